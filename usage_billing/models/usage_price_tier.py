from odoo import api, fields, models

from ..fields import Exact
from ..numbers import exact, exact_text, format_number

TIER_FIELDS = (
    "sequence",
    "up_to",
    "unit_amount",
    "percent",
    "flat_amount",
    "maximum_amount",
    "block_size",
    "blocks",
    "amount",
    "limits",
)


class UsagePriceTier(models.Model):
    _name = "usage.price.tier"
    _description = "Tier of a Usage Price"
    _inherit = ["usage.price.part.mixin"]
    _order = "sequence, id"

    price_id = fields.Many2one("usage.price", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="price_id.company_id", store=True, index=True)
    currency_id = fields.Many2one(related="price_id.currency_id")
    sequence = fields.Integer(default=10)
    up_to = Exact(help="Last unit of the period in this tier; 0 in the last tier, which has no end.")
    unit_amount = Exact(min_display_digits=2, help="Price of as many units as the price says under 'Per'.")
    percent = Exact(string="Percentage", help="Per cent of the money inside this tier.")
    flat_amount = Exact(min_display_digits=2, help="Charged once when a period's usage enters this tier.")
    maximum_amount = Exact(string="Maximum", min_display_digits=2, help="The most that this tier costs; 0: no maximum.")
    block_size = Exact(help="Units in one block.")
    blocks = Exact(string="Width in Blocks", help="So many blocks are in this tier; 0 in the last one: no end.")
    amount = Exact(
        string="Amount", min_display_digits=2, help="Price of one block, or of the whole tier of a capacity."
    )
    limits = fields.Char(
        help="The peak of each unit that this tier holds, such as seats = 5, gb = 100; none for no limit."
    )

    def _definition(self, rate="unit_amount"):
        """Return the tier as the rating core reads it; ``up_to`` None has no end.

        :param str rate: the field of what one unit costs: ``unit_amount`` or ``percent``
        """
        return {
            "up_to": exact_text(self.up_to) if self.up_to else None,
            rate: exact_text(self[rate]),
            "flat_amount": exact_text(self.flat_amount),
            **({"maximum_amount": exact_text(self.maximum_amount)} if self.maximum_amount else {}),
        }

    def _describe(self, first):
        """Return the tier in words; the unit is named in the ``first`` tier alone."""
        price = self.price_id
        words = self._rate_words(price, first)
        if self.flat_amount:
            words = self.env._("%(amount)s plus %(flat)s", amount=words, flat=price._amount_words(self.flat_amount))
        if self.maximum_amount:
            most = price._amount_words(self.maximum_amount)
            words = self.env._("%(amount)s, at most %(maximum)s,", amount=words, maximum=most)
        if self.up_to:
            bound = format_number(self.env, exact(self.up_to))
            words = self.env._("%(amount)s up to %(bound)s", amount=words, bound=bound)
        return words

    def _line_text(self):
        """Return the tier for the table of a price's changes."""
        if self.price_id.model in ("blocks", "capacity"):
            limit = self.limits or format_number(self.env, exact(self.up_to or self.blocks))
            size = format_number(self.env, exact(self.block_size))
            return f"{self.price_id._amount_words(self.amount)} ({size} / {limit})"
        return self._describe(first=False)

    def _rate_words(self, price, first):
        if price.model == "graduated_percentage":
            return f"{format_number(self.env, exact(self.percent))}%"
        words = price._amount_words(self.unit_amount)
        return f"{words} {price._per_words()}" if first else words

    @api.constrains(*TIER_FIELDS)
    def _check_price(self):
        self.price_id._check_terms()
