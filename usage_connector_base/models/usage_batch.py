from odoo import api, fields, models
from odoo.exceptions import UserError

OUTCOMES = ("accepted", "duplicate", "conflict", "quarantined", "rejected")


class Unchecked(fields.Many2one):
    """A reference that PostgreSQL does not check: of rows that come by the thousand, to records that stay."""

    def update_db_foreign_key(self, model, column):
        """Leave the constraint out, which would cost a look-up with each row."""


class UsageBatch(models.Model):
    _name = "usage.batch"
    _description = "Usage Batch"
    _order = "id desc"
    _rec_name = "id"
    _log_access = False  # written by the thousand, never changed

    source_id = fields.Many2one("usage.source", readonly=True, required=True, index=True, ondelete="restrict")
    company_id = fields.Many2one("res.company", readonly=True, required=True, index=True)
    user_id = fields.Many2one(
        "res.users",
        string="Sent By",
        readonly=True,
        help="The API user whose key was sent, or the person who imported or replayed.",
    )
    key_id = Unchecked("usage.source.key", string="Key", readonly=True, help="The API key that was sent.")
    remote_addr = fields.Char(
        string="Sent From",
        readonly=True,
        help="Address of the sender. Behind a proxy it is right when Odoo runs with proxy_mode.",
    )
    received_at = fields.Datetime(
        string="Received", readonly=True, required=True, index=True, help="When the request was answered (UTC)."
    )
    kind = fields.Selection(
        [("events", "Events"), ("corrections", "Corrections"), ("summaries", "Summaries")],
        readonly=True,
        default="events",
        help="What was sent. The counts are of these.",
    )
    correlation_id = fields.Char(readonly=True, help="X-Correlation-Id or traceparent of the request.")
    media_type = fields.Char(readonly=True)
    body_bytes = fields.Integer(readonly=True, help="Size of the request's body in bytes, after unpacking.")
    event_count = fields.Integer(string="Events", readonly=True)
    accepted_count = fields.Integer(string="Accepted", readonly=True, help="New events that were counted.")
    duplicate_count = fields.Integer(string="Duplicates", readonly=True, help="Events that we already had.")
    conflict_count = fields.Integer(
        string="Conflicts", readonly=True, help="Events whose id we had with other content."
    )
    quarantined_count = fields.Integer(
        string="Quarantined", readonly=True, help="New events held for an unknown account or meter."
    )
    rejected_count = fields.Integer(
        string="Rejected", readonly=True, help="Events that were not well-formed; kept as exceptions."
    )
    refusal_code = fields.Char(
        string="Refused", readonly=True, help="Why the whole request was refused; empty when it was judged."
    )
    duration_ms = fields.Integer(
        string="Duration (ms)", readonly=True, help="Milliseconds from the body read to the events stored."
    )
    folded_at = fields.Datetime(
        string="Counted At", readonly=True, help="When the batch's events went into the hourly usage (UTC)."
    )

    _unfolded = models.Index("(id) WHERE folded_at IS NULL")

    # Facts: nothing is handed on to super, whoever asks.
    @api.model_create_multi
    def create(self, vals_list):  # pylint: disable=method-required-super
        raise UserError(self.env._("Requests are recorded as they arrive: they are never entered by hand."))

    def write(self, vals):  # pylint: disable=method-required-super
        raise UserError(self.env._("The record of a request is never edited."))

    @api.ondelete(at_uninstall=False)
    def _unlink_never(self):
        raise UserError(self.env._("The record of a request is never deleted before its retention ends."))

    @api.depends_context("lang")
    def _compute_display_name(self):
        for batch in self:
            batch.display_name = self.env._("Request %s", batch.id)

    def action_view_exceptions(self):
        """Exceptions that first came up with these requests."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_exception")
        return {**action, "domain": [("batch_id", "in", self.ids)], "context": {}}

    def action_view_events(self):
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_event")
        return {**action, "domain": [("batch_id", "in", self.ids)], "context": {}}
