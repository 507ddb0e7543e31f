from odoo import api, fields, models
from odoo.tools import SQL


class UsageRetentionRun(models.Model):
    """What the end of a retention deleted, or why it did not: the log of it."""

    _name = "usage.retention.run"
    _description = "Retention Log"
    _inherit = ["usage.guarded.mixin"]
    _order = "id desc"
    _rec_name = "subject"

    kind = fields.Selection(
        [("events", "Events"), ("keys", "Event IDs"), ("batches", "Requests"), ("exceptions", "Settled Exceptions")],
        readonly=True,
        required=True,
    )
    subject = fields.Char(readonly=True, required=True, help="What it was about, such as the month of the events.")
    month = fields.Date(readonly=True, help="First day of the month in which the events were received.")
    state = fields.Selection(
        [("deleted", "Deleted"), ("refused", "Refused")],
        string="Result",
        readonly=True,
        required=True,
        help="Refused: something of it is still needed; the reason says what, and it is tried again every day.",
    )
    reason = fields.Text(readonly=True, help="Why nothing was deleted, and what to do.")
    row_count = fields.Integer(string="Records", readonly=True)
    byte_count = fields.Float(string="Bytes", digits=0, readonly=True, help="Space on disk that became free.")
    events_until = fields.Datetime(
        readonly=True, help="Hours from here on (UTC) lost no event; earlier ones cannot be counted again."
    )
    user_id = fields.Many2one("res.users", string="By", readonly=True, required=True)
    date = fields.Datetime(readonly=True, required=True, help="When it was deleted or first refused (UTC).")
    checked_date = fields.Datetime(
        string="Last Tried", readonly=True, required=True, help="When it was last tried (UTC)."
    )


class UsageAggregate(models.Model):
    _inherit = "usage.aggregate"

    @api.model
    def _replayable_from(self):
        """The first hour from which on every event that was ever received is still stored.

        Hours before it have lost events to the end of their retention: what they hold is what is
        known of them, and they are never counted again nor compared with events.

        :return: naive UTC, on the hour; None as long as no event was deleted
        """
        self.env["usage.retention.run"].flush_model()
        [[moment]] = self.env.execute_query(
            SQL("SELECT max(events_until) FROM usage_retention_run WHERE state = 'deleted'")
        )
        return moment
