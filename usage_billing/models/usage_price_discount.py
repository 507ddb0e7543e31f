from odoo import api, fields, models

from ..fields import Exact
from ..numbers import exact, format_number

DISCOUNT_FIELDS = ("sequence", "type", "value")


class UsagePriceDiscount(models.Model):
    _name = "usage.price.discount"
    _description = "Discount of a Usage Price"
    _inherit = ["usage.price.part.mixin"]
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
