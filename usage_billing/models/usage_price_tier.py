from odoo import api, fields, models

from odoo.addons.usage_connector_base.guard import is_unlocked

from ..fields import Exact
from ..numbers import exact, exact_text, format_number


class UsagePriceTier(models.Model):
    _name = "usage.price.tier"
    _description = "Tier of a Usage Price"
    _order = "sequence, id"

    price_id = fields.Many2one("usage.price", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="price_id.company_id", store=True, index=True)
    currency_id = fields.Many2one(related="price_id.currency_id")
    sequence = fields.Integer(default=10)
    up_to = Exact(help="Last unit of the period in this tier; 0 in the last tier, which has no end.")
    unit_amount = Exact(min_display_digits=2, help="Price of as many units as the price says under 'Per'.")
    flat_amount = Exact(min_display_digits=2, help="Charged once when a period's usage enters this tier.")

    def _definition(self):
        """Return the tier as the rating core reads it; ``up_to`` None has no end."""
        return {
            "up_to": exact_text(self.up_to) if self.up_to else None,
            "unit_amount": exact_text(self.unit_amount),
            "flat_amount": exact_text(self.flat_amount),
        }

    def _describe(self, first):
        """Return the tier in words; the unit is named in the ``first`` tier alone."""
        price = self.price_id
        words = price._amount_words(self.unit_amount)
        if first:
            words = f"{words} {price._per_words()}"
        if self.flat_amount:
            words = self.env._("%(amount)s plus %(flat)s", amount=words, flat=price._amount_words(self.flat_amount))
        if self.up_to:
            bound = format_number(self.env, exact(self.up_to))
            words = self.env._("%(amount)s up to %(bound)s", amount=words, bound=bound)
        return words

    @api.constrains("up_to", "unit_amount", "flat_amount", "sequence")
    def _check_price(self):
        self.price_id._check_definition()

    @api.model_create_multi
    def create(self, vals_list):
        """Add tiers to draft prices."""
        self._change(self.env["usage.price"].browse({vals.get("price_id") for vals in vals_list}))
        return super().create(vals_list)

    def write(self, vals):
        """Change tiers of draft prices."""
        self._change(self.price_id)
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_only_draft(self):
        self._change(self.price_id)

    def _change(self, prices):
        """Refuse to change approved prices; others become the current user's drafts."""
        if not is_unlocked(self.env):
            prices._terms_changed()
