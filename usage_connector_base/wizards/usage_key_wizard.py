from odoo import fields, models
from odoo.exceptions import ValidationError


class UsageKeyWizard(models.TransientModel):
    _name = "usage.key.wizard"
    _description = "New API Key of a Usage Source"

    source_id = fields.Many2one("usage.source", required=True, readonly=True)
    name = fields.Char(string="Description", required=True, default="API key", help="What the key is called.")
    days = fields.Integer(string="Valid for (Days)", required=True, default=365, help="Days until the key expires.")
    key = fields.Char(readonly=True, store=False, help="Shown this once: it is stored as a hash only.")

    def action_generate(self):
        """Make the key and show it, this once."""
        self.ensure_one()
        if not 1 <= self.days <= 3650:
            raise ValidationError(self.env._("A key may be valid for 1 to 3,650 days."))
        key = self.source_id._generate_key(self.name, self.days)
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Copy the key now"),
            "res_model": self._name,
            "view_mode": "form",
            "target": "new",
            "context": {"default_source_id": self.source_id.id, "default_name": self.name, "default_key": key},
        }
