from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.tools import format_datetime

from ..guard import unlocked
from ..tools import read_committed_cursor


class UsageDrift(models.Model):
    """An hour that is not what its events come to, as a comparison found it."""

    _name = "usage.drift"
    _description = "Difference of Usage and Events"
    _inherit = ["usage.guarded.mixin"]
    _order = "hour desc, id desc"
    _log_access = False  # written by set-based SQL

    check_id = fields.Many2one(
        "usage.drift.check", string="Comparison", readonly=True, required=True, index=True, ondelete="restrict"
    )
    source_id = fields.Many2one("usage.source", readonly=True, required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one("res.company", readonly=True, required=True, index=True)
    account_id = fields.Many2one("usage.account", readonly=True, required=True, index=True, ondelete="cascade")
    meter_id = fields.Many2one("usage.meter", readonly=True, required=True, index=True, ondelete="cascade")
    unit_name = fields.Char(related="meter_id.unit_name", string="Unit")
    hour = fields.Datetime(readonly=True, required=True, index=True, help="Start of the hour (UTC).")
    dimensions = fields.Json(string="Dimensions (JSON)", readonly=True, required=True)
    dimension_label = fields.Char(string="Dimensions", readonly=True)
    stored_quantity = fields.Float(
        string="Stored", digits=0, readonly=True, aggregator=None, help="What the hour says; 0 when it is missing."
    )
    replayed_quantity = fields.Float(
        string="From Events",
        digits=0,
        readonly=True,
        aggregator=None,
        help="What the stored events of the hour come to; 0 when there are none.",
    )
    stored_event_count = fields.Integer(string="Events Stored", readonly=True, aggregator=None)
    replayed_event_count = fields.Integer(string="Events Found", readonly=True, aggregator=None)
    found_date = fields.Datetime(string="Found", readonly=True, required=True, help="When it was found last (UTC).")
    state = fields.Selection(
        [("open", "Different"), ("mended", "Counted Again"), ("gone", "Agrees Now")],
        readonly=True,
        required=True,
        help="Counted again: somebody had the hour counted from its events. Agrees now: a later comparison found "
        "no difference any more.",
    )
    mended_by_id = fields.Many2one("res.users", string="Counted Again By", readonly=True)
    mended_date = fields.Datetime(string="Settled", readonly=True, help="When the difference went away (UTC).")

    _open_uniq = models.UniqueIndex(
        "(account_id, meter_id, hour, md5(dimensions::text)) WHERE state = 'open'", "This difference is open already."
    )

    @api.depends("meter_id", "account_id", "hour")
    @api.depends_context("lang", "tz")
    def _compute_display_name(self):
        for drift in self:
            hour = format_datetime(self.env, drift.hour, dt_format="short")
            drift.display_name = f"{drift.meter_id.name} · {drift.account_id.display_name} · {hour}"

    def action_count_again(self):
        """Replace these hours by what their events come to (operators)."""
        if not self.env.user.has_group("usage_connector_base.group_usage_operator"):
            raise AccessError(self.env._("Only a Usage Operator may have hours counted again."))
        self.check_access("read")
        self._check_countable()
        with read_committed_cursor(self.env) as cr:
            # sudo: operators settle differences by this button alone
            self.with_env(self.env(cr=cr)).sudo()._count_again()
        self.env.invalidate_all()

    def _check_countable(self):
        if any(drift.state != "open" for drift in self):
            raise UserError(self.env._("Only open differences can be counted again: leave the others out."))
        since = self.env["usage.aggregate"]._replayable_from()
        for drift in self:
            if since and drift.hour < since:
                raise UserError(
                    self.env._(
                        "Events of %s were deleted when their retention ended: what the hour says is what is known.",
                        drift.display_name,
                    )
                )

    def _count_again(self):
        aggregates = self.env["usage.aggregate"]
        aggregates._lock_fold()
        for meter, drifts in self.grouped("meter_id").items():
            pairs = sorted({(drift.account_id.id, drift.hour) for drift in drifts})
            aggregates._recount_hours(pairs, meter._definitions())
        unlocked(self).write({"state": "mended", "mended_by_id": self.env.uid, "mended_date": fields.Datetime.now()})
        self.env.flush_all()

    def action_view_events(self):
        """The events of this account in this hour."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_event")
        domain = [
            ("account_id", "=", self.account_id.id),
            ("time", ">=", self.hour),
            ("time", "<", fields.Datetime.add(self.hour, hours=1)),
        ]
        return {**action, "domain": domain, "context": {}}
