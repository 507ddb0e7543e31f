from odoo import api, models

from odoo.addons.usage_connector_base.guard import is_unlocked


class UsagePricePartMixin(models.AbstractModel):
    """Lines of a price, by their field ``price_id``: what they say is approved with the price."""

    _name = "usage.price.part.mixin"
    _description = "Line of a Usage Price"

    @api.model_create_multi
    def create(self, vals_list):
        """Add lines to draft prices."""
        self._change(self.env["usage.price"].browse({vals.get("price_id") for vals in vals_list}))
        return super().create(vals_list)

    def write(self, vals):
        """Change lines of draft prices."""
        self._change(self.price_id)
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_only_draft(self):
        self._change(self.price_id)

    def _change(self, prices):
        """Refuse to change approved prices; others become the current user's drafts."""
        if not is_unlocked(self.env):
            prices._terms_changed()
