from odoo import api, fields, models

from odoo.addons.usage_connector_base.guard import is_unlocked

from ..fields import Exact
from ..numbers import exact, format_number

DISCOUNT_FIELDS = ("sequence", "type", "value")


class UsagePriceDiscount(models.Model):
    _name = "usage.price.discount"
    _description = "Discount of a Usage Price"
    _order = "sequence, id"

    price_id = fields.Many2one("usage.price", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="price_id.company_id", store=True, index=True)
    currency_id = fields.Many2one(related="price_id.currency_id")
    sequence = fields.Integer(default=10)
    type = fields.Selection(
        [("percent", "Percent"), ("amount", "Amount")],
        required=True,
        default="percent",
        help="A percentage is taken of what the discounts above it leave; an amount is given once a period.",
    )
    value = Exact(required=True, help="Percent, or an amount in the price's currency.")

    def _describe(self):
        """Return the discount in words: '10%' or '5.00 EUR'."""
        if self.type == "percent":
            return f"{format_number(self.env, exact(self.value))}%"
        return self.price_id._amount_words(self.value)

    def _line_text(self):
        """Return the discount for the table of a price's changes."""
        return self._describe()

    @api.constrains(*DISCOUNT_FIELDS)
    def _check_price(self):
        self.price_id._check_terms()

    @api.model_create_multi
    def create(self, vals_list):
        """Add discounts to draft prices."""
        self._change(self.env["usage.price"].browse({vals.get("price_id") for vals in vals_list}))
        return super().create(vals_list)

    def write(self, vals):
        """Change discounts of draft prices."""
        self._change(self.price_id)
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_only_draft(self):
        self._change(self.price_id)

    def _change(self, prices):
        """Refuse to change approved prices; others become the current user's drafts."""
        if not is_unlocked(self.env):
            prices._terms_changed()
