from odoo import api, models
from odoo.exceptions import UserError

from ..ingestion import corrections
from ..ingestion.corrections import AMEND
from ..ingestion.envelope import decode
from .usage_event import ADDITIVE, summary_label
from .usage_exception import MAX_PAYLOAD


class UsageException(models.Model):
    """Conflicts settled in favour of what was received; corrections and summaries among the exceptions."""

    _inherit = "usage.exception"

    # -- conflicts --------------------------------------------------------------------------

    def action_take_received(self, reason=None):
        """Settle conflicts in favour of what was received: it counts, and what was stored does not.

        What was stored is not edited: a correction supersedes it, with the name of who decided.

        :param str reason: why, for the record; that a conflict was settled, when absent
        """
        self._check_open()
        for exception in self.filtered(lambda x: x.reason == "conflict"):
            exception._take_received(reason)
            exception._settle("resolved", self.env._("The received one counts"))

    def _take_received(self, reason):
        self.ensure_one()
        received = self._received()
        # sudo: storing is for the pipeline alone; whoever may write exceptions may settle them
        ingestion = self.env["usage.ingestion"].sudo()
        sender = self.source_id._as_sender()._replace(user_id=self.env.uid)
        why = reason or self.env._("Conflict settled: the received one counts")
        if self.kind == "events":
            ingestion._correct_one(sender, received["id"], AMEND, why, received, whole=True)
        elif self.kind == "corrections":
            correction = corrections.read_correction(sender.source_id, received)
            ingestion._correct_one(
                sender, correction.event_id, correction.action, reason or correction.reason, correction.changes
            )
        else:
            [summary] = ingestion._summarize(sender, [received], taken=why)["summaries"]
            if summary["outcome"] in ("rejected", "conflict"):
                raise UserError(summary["message"])
            self.env["usage.aggregate"]._wake_fold()

    def _received(self):
        """The event, correction or summary as it was received."""
        if len(self.payload) >= MAX_PAYLOAD:
            raise UserError(self.env._("Only a part of it was kept: have the source send it again."))
        self.env.flush_all()
        return decode(self.payload.encode())

    # -- replaying --------------------------------------------------------------------------

    def _replay(self):
        """One more time through the pipeline that it came by."""
        self.ensure_one()
        if self.kind == "events":
            return super()._replay()
        received = self._received()
        # sudo: storing is for the pipeline alone; whoever may write exceptions may replay them
        ingestion = self.env["usage.ingestion"].sudo()
        send = ingestion._correct if self.kind == "corrections" else ingestion._summarize
        answer = send(self.source_id._as_sender(), [received])
        self.env["usage.aggregate"]._wake_fold()
        if answer["rejected"] or answer["conflict"]:
            self.message_post(body=self.env._("Replayed: %s", answer[self.kind][0]["message"]))
        else:
            self._settle("resolved", self.env._("Replayed"))
        return None

    # -- summaries of a meter to come -------------------------------------------------------

    @api.model
    def _resolve_known_types(self, meters):
        res = super()._resolve_known_types(meters)
        for meter in meters.filtered(lambda meter: meter.active and meter.aggregation in ADDITIVE):
            self.search(
                [
                    ("company_id", "=", meter.company_id.id),
                    ("event_type", "=", summary_label(meter.code)),
                    ("reason", "=", "meter_unknown"),
                    ("state", "=", "open"),
                ]
            )._settle("resolved", self.env._("Counted by meter %s", meter.name))
        return res

    def _of_summaries(self):
        """Those among the exceptions that hold the summaries of a meter to come."""
        prefix = summary_label("")
        return self.filtered(lambda x: x.reason == "meter_unknown" and (x.event_type or "").startswith(prefix))

    def _held_summaries(self):
        """Domain of the events that an exception of :meth:`_of_summaries` holds."""
        code = self.event_type.removeprefix(summary_label(""))
        return [("source_id", "=", self.source_id.id), ("summary_meter", "=", code)]

    def _compute_held_event_count(self):
        res = super()._compute_held_event_count()
        for exception in self._of_summaries():
            exception.held_event_count = self.env["usage.event"].search_count(exception._held_summaries())
        return res

    def action_view_events(self):
        action = super().action_view_events()
        return {**action, "domain": self._held_summaries()} if self._of_summaries() else action
