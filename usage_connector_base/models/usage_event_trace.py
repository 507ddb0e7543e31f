from odoo import fields, models
from odoo.fields import Domain

SEARCHED_EVENTS = 10_000  # of an hour, to tell whether it counted one of them


class UsageEvent(models.Model):
    """Who sent an event, and what was done to it."""

    _inherit = "usage.event"

    key_id = fields.Many2one(related="batch_id.key_id", string="Sent With Key")
    remote_addr = fields.Char(related="batch_id.remote_addr", string="Sent From")
    correlation_id = fields.Char(related="batch_id.correlation_id")
    folded_at = fields.Datetime(related="batch_id.folded_at", string="Counted At")
    exception_count = fields.Integer(
        compute="_compute_exception_count",
        string="Exceptions",
        help="Exceptions of this event, and those that hold events like it.",
    )

    def _compute_exception_count(self):
        for event in self:
            event.exception_count = self.env["usage.exception"].search_count(event._exceptions_domain())

    def _exceptions_domain(self):
        """Exceptions with this event's id, of its account, and of its type."""
        self.ensure_one()
        return Domain("source_id", "=", self.source_id.id) & Domain.OR(
            [
                Domain("event_ref", "=", self.event_id),
                Domain("account_id", "=", self.account_id.id) & Domain("reason", "=", "account_unmapped"),
                Domain("event_type", "=", self.type) & Domain("reason", "=", "meter_unknown"),
            ]
        )

    def action_view_exceptions(self):
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_exception")
        return {**action, "domain": list(self._exceptions_domain()), "context": {}}

    def action_view_hours(self):
        """The hourly quantities that this event is counted in, one for each meter."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_aggregate")
        return {**action, "domain": [("id", "in", self._hours().ids)], "context": {}}

    def _hours(self):
        """The ``usage.aggregate`` records that counted this event."""
        self.ensure_one()
        hours = self.env["usage.aggregate"].search(
            [
                ("account_id", "=", self.account_id.id),
                ("hour", "=", self.time.replace(minute=0, second=0, microsecond=0)),
            ]
        )
        return hours.filtered(self._is_counted_in)

    def _is_counted_in(self, hour):
        ids = hour._event_ids(SEARCHED_EVENTS)
        return self.id in ids or len(ids) == SEARCHED_EVENTS
