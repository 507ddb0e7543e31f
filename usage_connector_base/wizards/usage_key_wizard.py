from odoo import fields, models
from odoo.exceptions import ValidationError


class UsageKeyWizard(models.TransientModel):
    _name = "usage.key.wizard"
    _description = "New API Key of a Usage Source"

    source_id = fields.Many2one("usage.source", required=True, readonly=True)
    name = fields.Char(string="Description", required=True, default="API key", help="What the key is called.")
    days = fields.Integer(string="Valid for (Days)", required=True, default=365, help="Days until the key expires.")
    rotate = fields.Boolean(readonly=True, help="Whether the new key replaces those that the source has.")
    overlap_days = fields.Integer(
        string="Old Keys End After (Days)",
        required=True,
        default=7,
        help="Until then the old keys stay valid, so that the new one is installed without a gap; 0: they end now.",
    )
    key = fields.Char(readonly=True, store=False, help="Shown this once: it is stored as a hash only.")

    def action_generate(self):
        """Make the key and show it, this once."""
        self.ensure_one()
        if not 1 <= self.days <= 3650:
            raise ValidationError(self.env._("A key may be valid for 1 to 3,650 days."))
        if self.rotate and not 0 <= self.overlap_days < self.days:
            raise ValidationError(self.env._("The old keys must end before the new one, after 0 days or more."))
        key = self._make()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Copy the key now"),
            "res_model": self._name,
            "view_mode": "form",
            "target": "new",
            "context": {"default_source_id": self.source_id.id, "default_name": self.name, "default_key": key},
        }

    def _make(self):
        if self.rotate:
            return self.source_id._rotate_key(self.name, self.days, self.overlap_days)
        return self.source_id._generate_key(self.name, self.days)
