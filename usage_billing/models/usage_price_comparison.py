"""Prices: who pays what more under a draft, on last month's real usage."""

from odoo import models


class UsagePrice(models.Model):
    _inherit = "usage.price"

    def action_compare(self):
        """Calculate last month's usage of all who pay this price, under it and the one before it.

        :return: action that shows the comparison; nothing but it is made
        """
        self.ensure_one()
        return self.env["usage.simulation"]._of_price(self).action_run()
