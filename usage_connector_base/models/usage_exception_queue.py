from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import UserError

from ..ingestion.compare import side_by_side
from .usage_exception import MAX_PAYLOAD

_TABLE = Markup(
    '<table class="table table-sm table-borderless font-monospace w-100" style="table-layout: fixed">'
    "<thead><tr><th>{}</th><th>{}</th></tr></thead><tbody>{}</tbody></table>"
)
_ROW = Markup('<tr{}><td class="text-break py-0">{}</td><td class="text-break py-0">{}</td></tr>')
_DIFFERS = Markup(' class="table-warning fw-bold"')


class UsageException(models.Model):
    """The queue that people empty: how old, whose, what to do, and replaying."""

    _inherit = "usage.exception"

    age_days = fields.Integer(
        string="Age (Days)",
        compute="_compute_age_days",
        help="Days since the first occurrence; until it was settled, when it is.",
    )
    advice = fields.Char(string="What to Do", compute="_compute_advice", help="The next step to settle it.")
    replayed_payload = fields.Text(
        string="Replayed As",
        readonly=True,
        help="The corrected event that was sent in place of the received one, which stays as it was.",
    )
    comparison_html = fields.Html(
        string="Comparison",
        compute="_compute_comparison_html",
        sanitize=False,
        help="Stored beside received, or received beside corrected; lines that differ are marked.",
    )

    @api.depends("first_seen", "resolved_date")
    def _compute_age_days(self):
        now = fields.Datetime.now()
        for exception in self:
            age = (exception.resolved_date or now) - (exception.first_seen or now)
            exception.age_days = max(age.days, 0)

    @api.depends("reason", "state", "payload")
    @api.depends_context("lang")
    def _compute_advice(self):
        for exception in self:
            exception.advice = exception._advice() if exception.state == "open" else False

    def _advice(self):
        if self.reason == "account_unmapped":
            return self.env._("Assign the account to a customer: what is held counts from that moment.")
        if self.reason == "account_inactive":
            return self.env._("Say whose the account was at that time: add an assignment, or change its dates.")
        if self.reason == "meter_unknown":
            return self.env._("Have an administrator set up a meter for this type: what is held counts then.")
        if self.reason == "conflict":
            return self.env._("Compare the two and decide which one counts.")
        if not self.payload:
            return False
        if self._is_cut():
            return self.env._("Only a part of the event was kept: have the source send it again.")
        if not self._replays_in_batches():
            return self.env._("Have its cause mended and replay it, or have the source send a right one.")
        return self.env._("Correct it here, or have its cause mended and replay it.")

    @api.depends("payload", "other_payload", "replayed_payload")
    @api.depends_context("lang")
    def _compute_comparison_html(self):
        for exception in self:
            received, stored, replayed = exception.payload, exception.other_payload, exception.replayed_payload
            if stored:
                titles = self.env._("Stored: it counts"), self.env._("Received: it does not count")
                exception.comparison_html = render_comparison(titles, stored, received)
            elif replayed:
                titles = self.env._("Received"), self.env._("Corrected and replayed")
                exception.comparison_html = render_comparison(titles, received, replayed)
            else:
                exception.comparison_html = False

    # -- people -----------------------------------------------------------------------------

    def action_assign_to_me(self):
        """Take the exceptions over."""
        self.owner_id = self.env.user

    # -- replaying --------------------------------------------------------------------------

    def action_replay(self):
        """Send rejected events through the pipeline again; those that pass are resolved."""
        self._check_open()
        ready = self._replayable()
        if not ready and self.filtered(lambda x: x._is_rejected() and x._is_cut()):
            raise UserError(self.env._("Only a part of this event was kept: have the source send it again."))
        return ready and self.env["usage.replay"]._start(ready)

    def action_replay_alike(self):
        """Replay every open exception of the same source, reason and type: their common cause was mended."""
        self.ensure_one()
        self._check_open()
        return self.search(self._alike_domain()).action_replay()

    def action_correct(self):
        """Open the dialog that corrects rejected events and replays them."""
        self._check_open()
        ready = self._replayable().filtered(lambda x: x._replays_in_batches())
        if not ready:
            raise UserError(self.env._("None of these holds a whole rejected event: there is nothing to correct."))
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_exception_correct")
        return {**action, "context": {"default_exception_ids": ready.ids}}

    def _alike_domain(self):
        names = ("source_id", "reason", "event_type")
        same = [(name, "=", self[name].id if name == "source_id" else self[name]) for name in names]
        return [*same, ("state", "=", "open")]

    def _replayable(self):
        """Those among the exceptions that hold a whole rejected event."""
        return self.filtered(lambda x: x._is_rejected() and not x._is_cut())

    def _is_rejected(self):
        return bool(self.payload) and self.reason != "conflict"

    def _is_cut(self):
        return len(self.payload or "") >= MAX_PAYLOAD

    def _replays_in_batches(self):
        """Whether it is a plain event, which goes through the pipeline with others."""
        return self.kind == "events"


def render_comparison(titles, left, right):
    """HTML of two JSON texts side by side, under their titles."""
    rows = [
        _ROW.format(_DIFFERS if differs else "", *(_indented(line) for line in pair))
        for *pair, differs in side_by_side(left, right)
    ]
    return _TABLE.format(*titles, Markup().join(rows))


def _indented(line):
    """A line whose leading spaces show in HTML."""
    text = line or ""
    return "\u00a0" * (len(text) - len(text.lstrip())) + text.lstrip()
