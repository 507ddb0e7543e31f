from odoo import fields, models
from odoo.exceptions import ValidationError

LONGEST_OVERLAP = 7 * 24  # hours


class UsageEndpointSecretWizard(models.TransientModel):
    _name = "usage.endpoint.secret.wizard"
    _description = "New Secret of a Usage Endpoint"

    endpoint_id = fields.Many2one("usage.endpoint", required=True, readonly=True)
    has_secret = fields.Boolean(related="endpoint_id.has_secret")
    overlap_hours = fields.Integer(
        string="Old Secret Signs for (Hours)",
        required=True,
        default=24,
        help="So long messages are signed with both secrets, so that the receiver can change over without a gap. "
        "0 when the old one is known to others.",
    )
    secret = fields.Char(readonly=True, store=False, help="Shown this once: it cannot be read again.")

    def action_generate(self):
        """Make the secret and show it, this once."""
        self.ensure_one()
        if not 0 <= self.overlap_hours <= LONGEST_OVERLAP:
            raise ValidationError(self.env._("The old secret may sign for 0 to %s hours.", LONGEST_OVERLAP))
        secret = self.endpoint_id._rotate_secret(self.overlap_hours)
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Copy the secret now"),
            "res_model": self._name,
            "view_mode": "form",
            "target": "new",
            "context": {"default_endpoint_id": self.endpoint_id.id, "default_secret": secret},
        }
