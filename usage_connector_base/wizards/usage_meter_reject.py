from odoo import fields, models


class UsageMeterReject(models.TransientModel):
    _name = "usage.meter.reject"
    _description = "Reject a Change of a Meter"

    version_id = fields.Many2one("usage.meter.version", required=True, readonly=True)
    reason = fields.Text(required=True, help="What has to be put right; it stands in the version's log.")

    def action_reject(self):
        """Give the version back to whoever prepared it, with the reason."""
        self.version_id._reject(self.reason)
