import logging

from psycopg2 import OperationalError

from odoo import fields, models

from ..guard import unlocked
from ..ingestion.envelope import Refusal, decode

_logger = logging.getLogger(__name__)

RESULTS = {"accepted": "counted", "quarantined": "held"}  # of outcomes that have another name here


class UsageReplayLine(models.Model):
    _name = "usage.replay.line"
    _description = "Result of a Usage Replay"
    _order = "id"
    _inherit = ["usage.guarded.mixin"]
    _log_access = False  # written by the hundred, by the replay alone

    replay_id = fields.Many2one("usage.replay", required=True, readonly=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="replay_id.company_id", store=True, index=True)
    exception_id = fields.Many2one("usage.exception", required=True, readonly=True, index=True, ondelete="cascade")
    event_ref = fields.Char(related="exception_id.event_ref", string="Event ID")
    reason = fields.Selection(related="exception_id.reason")
    payload = fields.Text(string="Corrected Event", readonly=True, help="What was sent; empty: as it was received.")
    result = fields.Selection(
        [
            ("waiting", "Not Yet"),
            ("counted", "Counted"),
            ("held", "Stored, in Quarantine"),
            ("duplicate", "Known Already"),
            ("conflict", "Known with Other Content"),
            ("rejected", "Still Rejected"),
            ("impossible", "Not Sent"),
            ("failed", "Failed"),
        ],
        required=True,
        readonly=True,
        default="waiting",
        index=True,
        help="What became of the event this time.",
    )
    message = fields.Char(readonly=True, help="Why it was not settled, or not yet counted.")

    # -- replaying, for lines of one source -------------------------------------------------

    def _replay(self):
        """Send the events; write the result of each, and settle the exceptions of those that passed."""
        ready, alone = {}, self.browse()
        for line in self:
            obstacle = line._obstacle()
            if obstacle:
                line._note("impossible", obstacle)
            elif line.exception_id._replays_in_batches():
                ready[line] = line._event()
            else:
                alone += line
        self._send(self._without_hopeless(ready))
        for line in alone:
            line._send_alone()

    def _obstacle(self):
        """Why an event cannot be sent, None when it can."""
        exception = self.exception_id
        if exception.state != "open":
            return self.env._("It was settled meanwhile.")
        if not exception._is_rejected():
            return self.env._("It holds no rejected event: settle it with its own buttons.")
        if not self.payload and exception._is_cut():
            return self.env._("Only a part of this event was kept: have the source send it again.")
        try:
            self._event()
        except Refusal as refusal:
            return refusal.message
        return None

    def _event(self):
        return decode((self.payload or self.exception_id.payload).encode())

    def _sender(self):
        """The source of the lines, in the name of who replays."""
        return self.exception_id.source_id._as_sender()._replace(user_id=self.env.uid)

    def _without_hopeless(self, ready):
        """The events without corrected ones that would be rejected: these make no second exception."""
        corrected = {line: event for line, event in ready.items() if line.payload}
        if not corrected:
            return ready
        self.env.flush_all()
        verdicts = self.env["usage.ingestion"]._dry_run(self._sender(), list(corrected.values()))
        for line, verdict in zip(corrected, verdicts, strict=True):
            if verdict.outcome == "rejected":
                line._note("rejected", verdict.message)
                del ready[line]
        return ready

    def _send(self, ready):
        """Send events together: dict of line to event. Should that fail, one by one."""
        if not ready:
            return
        try:
            self._note_answer(ready, self._ingest(list(ready.values())))
        except OperationalError:
            raise  # Odoo runs the whole transaction once more
        except Exception:
            _logger.warning("Replay of %s usage exceptions failed: now one by one", len(ready), exc_info=True)
            for line, event in ready.items():
                line._send_one(event)

    def _send_one(self, event):
        try:
            self._note_answer({self: event}, self._ingest([event]))
        except OperationalError:
            raise
        except Exception:
            _logger.warning("Replay of usage exception %s failed", self.exception_id.id, exc_info=True)
            self._note_failure()

    def _send_alone(self):
        """Of what does not go through the pipeline in batches: as its exception replays it."""
        try:
            with self.env.cr.savepoint():
                self.exception_id._replay()
        except OperationalError:
            raise
        except Exception:
            _logger.warning("Replay of usage exception %s failed", self.exception_id.id, exc_info=True)
            self._note_failure()
        else:
            settled = self.exception_id.state != "open"
            self._note("counted" if settled else "rejected", False if settled else self.exception_id.message)

    def _ingest(self, events):
        self.env.flush_all()
        with self.env.cr.savepoint():
            answer = self.env["usage.ingestion"]._ingest(self._sender(), events, media_type="replay")
        self.env["usage.aggregate"]._wake_fold()
        return answer

    # -- results ----------------------------------------------------------------------------

    def _note(self, result, message):
        unlocked(self).write({"result": result, "message": message})

    def _note_failure(self):
        self._note("failed", self.env._("It could not be stored at this moment: replay it once more."))

    def _note_answer(self, ready, answer):
        judged = {verdict["index"]: verdict for verdict in answer["events"]}
        settled = {}
        for index, line in enumerate(ready):
            verdict = judged.get(index, {"outcome": "accepted", "message": False})
            result = RESULTS.get(verdict["outcome"], verdict["outcome"])
            line._note(result, verdict["message"])
            if line.payload:
                line.exception_id._write_facts({"replayed_payload": line.payload})
            if line._is_settled_by(result):
                settled.setdefault(line._resolution(result), []).append(line.exception_id.id)
            else:
                line.exception_id.message_post(body=self.env._("Replayed: %s", verdict["message"]))
        for resolution, ids in settled.items():
            self.env["usage.exception"].browse(ids)._settle("resolved", resolution)

    def _is_settled_by(self, result):
        """A corrected event that is in conflict has an exception of its own, with both to compare."""
        return result in ("counted", "held", "duplicate") or (result == "conflict" and bool(self.payload))

    def _resolution(self, result):
        if result == "conflict":
            return self.env._("Corrected; its id is known with other content, which is an exception of its own")
        return self.env._("Corrected and replayed") if self.payload else self.env._("Replayed")
