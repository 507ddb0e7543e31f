from odoo import models

from .. import rating
from ..numbers import exact


class ResCurrency(models.Model):
    _inherit = "res.currency"

    def _rating_currency(self, mode="half_up"):
        """Return the currency as the rating core reads it, with the rule by which it rounds."""
        return rating.Currency(self.name, exact(self.rounding).normalize(), mode)
