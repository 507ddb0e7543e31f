from odoo import api, fields, models
from odoo.exceptions import UserError


class UsageDeliveryAttempt(models.Model):
    _name = "usage.delivery.attempt"
    _description = "Attempt of a Usage Delivery"
    _order = "id desc"
    _log_access = False  # appended, never changed

    delivery_id = fields.Many2one("usage.delivery", required=True, readonly=True, index=True, ondelete="cascade")
    company_id = fields.Many2one("res.company", required=True, readonly=True, index=True)
    attempted_at = fields.Datetime(string="At", required=True, readonly=True, help="When it was sent (UTC).")
    status_code = fields.Integer(
        string="Status", readonly=True, aggregator=None, help="HTTP status of the answer; 0 when there was none."
    )
    error = fields.Char(readonly=True, help="Why the attempt failed; empty when the message was taken.")
    response = fields.Text(
        string="Answer",
        readonly=True,
        groups="usage_connector_base.group_usage_operator",
        help="The beginning of what the receiver answered.",
    )
    duration_ms = fields.Integer(
        string="Duration (ms)", readonly=True, aggregator="avg", help="Milliseconds until the answer was complete."
    )
    address = fields.Char(readonly=True, help="The address that the message was sent to.")

    def write(self, vals):
        if vals:
            raise UserError(self.env._("An attempt is a fact and is never edited: replay the message."))
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_never(self):
        raise UserError(self.env._("An attempt is a fact: it is deleted with its message when the retention ends."))
