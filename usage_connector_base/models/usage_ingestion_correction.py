import time
import uuid
from collections import Counter
from typing import NamedTuple

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL

from ..ingestion import corrections, facts
from ..ingestion.corrections import AMEND, CorrectionRejection
from ..ingestion.envelope import decode
from ..ingestion.summaries import ID_PREFIX, summary_key
from .usage_event import MAX_EVENTS
from .usage_exception import MAX_PAYLOAD, exception_digest
from .usage_ingestion import ACCEPTED, CONFLICT, DUPLICATE, UNMETERED, Verdict

CORRECTIONS = "corrections"
CORRECTION_COLUMNS = (
    "usage_correction (source_id, company_id, batch_id, user_id, received_at, event_id, replacement_id, root_id,"
    " action, reason, correction_ref, attributes)"
)
# What is known of a correction's id, in words that fit it.
KNOWN = {
    DUPLICATE: DUPLICATE._replace(message="This correction was received before; nothing changes."),
    CONFLICT: CONFLICT._replace(
        message="A correction with this id was received before and says something else; it stands until a person "
        "decides."
    ),
}


class Target(NamedTuple):
    """The event that a correction names: the row of it that counts now."""

    root_id: int  # row of the event as it was first received
    row_id: int | None  # None: voided, or deleted
    voided: bool
    account: str | None
    time: object  # naive UTC
    event: dict  # what it says, as it would be sent


class UsageIngestion(models.AbstractModel):
    """Corrections of stored events, on the pipeline of events: one batch in one transaction.

    Nothing that is stored changes: see ``usage.correction``.
    """

    _inherit = "usage.ingestion"

    @api.model
    def _correct(self, sender, sent, **request):
        """Judge and store the corrections of one request, in the current transaction.

        Should another transaction correct one of the events at the same moment, PostgreSQL raises
        ``UniqueViolation``: run it again, and what the other made of the event is corrected.

        :param sender: :class:`~.usage_source.Sender`; its user may be a person
        :param list sent: corrections as decoded by ``ingestion.envelope``, at most ``MAX_EVENTS``
        :param request: correlation_id, media_type and body_bytes of the request, where there is one
        :return: dict of the answer, as of :meth:`_ingest`, with ``corrections`` in the place of ``events``
        """
        started = time.monotonic()
        verdicts, read = [ACCEPTED] * len(sent), {}
        for index, correction in enumerate(sent):
            try:
                read[index] = corrections.read_correction(sender.source_id, correction)
            except facts.Rejection as rejection:
                verdicts[index] = Verdict("rejected", rejection.code, rejection.message)
        return self._apply_corrections(sender, sent, read, verdicts, started, request)

    @api.model
    def _correct_one(self, sender, event_id, action, reason, changes, whole=False):
        """Carry out what a person decided about one event.

        :param sender: of the event's source, with the person's user
        :param str event_id: the sender's id of the event
        :param str action: ``void`` or ``amend``
        :param dict changes: attributes of the event that are said anew
        :param bool whole: whether nothing of the event stays but ``changes``
        :raises UserError: when the pipeline does not take it, with what it says
        """
        if not reason.strip():
            raise UserError(corrections.REJECTIONS["reason_missing"])
        started = time.monotonic()
        ref = str(uuid.uuid4())
        key, mark = corrections.correction_key(sender.source_id, ref), facts.fingerprint(ref.encode())
        correction = corrections.Correction(key, mark, ref, action, event_id, reason, changes, whole, None)
        sent = [{"id": ref, "action": action, "event": event_id, "reason": reason, **changes}]
        answer = self._apply_corrections(sender, sent, {0: correction}, [ACCEPTED], started, {}, keep_rejected=False)
        if answer["rejected"]:
            raise UserError(answer[CORRECTIONS][0]["message"])
        self.env.invalidate_all()
        self.env["usage.aggregate"]._wake_fold()

    def _apply_corrections(self, sender, sent, read, verdicts, started, request, keep_rejected=True):
        batch_id = self._next_batch_id()
        fresh = self._drop_known(self._drop_repeats(read, verdicts), verdicts)
        verdicts[:] = [KNOWN.get(verdict, verdict) for verdict in verdicts]
        rows, amendments = self._judge_corrections(sender, batch_id, fresh, verdicts)
        accounts = self._accounts(sender, amendments.values())
        self._keep_aliases(amendments, accounts)
        inactive = self._judge_held(sender, amendments, accounts, verdicts)
        statements = self._store_keys(batch_id, {index: fresh[index] for index in rows})
        statements += self._store_facts(sender, batch_id, amendments, accounts)
        counts = Counter(verdict.outcome for verdict in verdicts)
        request = {**request, "kind": CORRECTIONS}
        self._store_batch(sender, batch_id, len(sent), counts, started, request, statements)
        self._store_corrections(sender, batch_id, rows.values())
        if keep_rejected:
            self._record_correction_exceptions(sender, batch_id, sent, amendments, verdicts)
        if inactive:
            # sudo: the API user may read neither accounts nor exceptions
            self.env["usage.exception"].sudo()._raise_inactive(inactive, batch_id)
        return self._answer(batch_id, sent, verdicts, counts, CORRECTIONS)

    # -- judging ----------------------------------------------------------------------------

    def _judge_corrections(self, sender, batch_id, fresh, verdicts):
        """What the corrections make of the events as they stand, each on what those before it made.

        :return: dict of index to row of ``usage_correction``, dict of index to fact that counts instead
        """
        targets = self._targets(sender, {correction.event_id for correction in fresh.values()})
        limits, meters_of = self._limits(), self._meters_of(sender)
        rows, amendments = {}, {}
        for index, correction in fresh.items():
            target = targets.get(correction.event_id)
            try:
                self._check_target(correction, target)
                if correction.action == AMEND:
                    event = corrections.amended(correction, target.event)
                    bounds = corrections.amended_limits(correction, limits, target.time)
                    amendments[index] = facts.read_fact(sender.source_id, event, meters_of, bounds)
                    row_id = batch_id * MAX_EVENTS + index
                    now_there = target._replace(row_id=row_id, time=amendments[index].time, event=event)
                else:
                    now_there = target._replace(row_id=None, voided=True)
            except facts.Rejection as rejection:
                verdicts[index] = Verdict("rejected", rejection.code, rejection.message)
            else:
                rows[index] = (correction, target, now_there.row_id)
                targets[correction.event_id] = now_there
        return rows, amendments

    def _check_target(self, correction, target):
        if not target:
            raise CorrectionRejection("event_unknown")
        if target.voided:
            raise CorrectionRejection("event_voided")
        if not target.row_id:
            raise CorrectionRejection("event_deleted")
        if correction.action == AMEND and target.event["type"] == facts.SUMMARY_TYPE:
            raise CorrectionRejection("summary_not_amendable")

    def _targets(self, sender, event_ids):
        """What counts now of the events of a source.

        :param event_ids: the sender's ids of events, and our ids of its summaries
        :return: dict of id to :class:`Target`, without those that were never received
        """
        keys = {facts.event_key(sender.source_id, event_id): event_id for event_id in event_ids}
        windows = {
            summary_key(sender.source_id, event_id): event_id
            for event_id in event_ids
            if event_id.startswith(ID_PREFIX)
        }
        targets = {}
        for key, *values in self._current_rows([*keys, *windows]):
            targets.setdefault((windows | keys)[key], _target(*values))
        return targets

    def _current_rows(self, keys):
        """The rows that count now of the events with these keys, NULL where nothing of them does."""
        query = SQL(
            """
            SELECT replace(k.key::text, '-', ''), k.event_id, c.id IS NOT NULL AND c.replacement_id IS NULL,
                e.id, a.external_id, e.type, e.time, e.data::text, e.tenant_ref, e.subscription_ref, e.user_ref,
                e.attributes::text
            FROM usage_event_key k
            LEFT JOIN LATERAL (
                SELECT id, replacement_id FROM usage_correction WHERE root_id = k.event_id ORDER BY id DESC LIMIT 1
            ) c ON true
            LEFT JOIN usage_event e ON e.id = CASE WHEN c.id IS NULL THEN k.event_id ELSE c.replacement_id END
            LEFT JOIN usage_account a ON a.id = e.account_id
            WHERE k.key = ANY(%s::uuid[])
            """,
            f"{{{','.join(keys)}}}",
        )
        return self.env.execute_query(query) if keys else []

    # -- storing ----------------------------------------------------------------------------

    def _store_corrections(self, sender, batch_id, rows):
        """Append what supersedes what.

        :param rows: tuples of what is corrected how (with action, reason, ref and attributes), the
            :class:`Target`, and the id of the event that counts instead
        """
        now = str(fields.Datetime.now())
        common = (str(sender.source_id), str(sender.company_id), str(batch_id), str(sender.user_id), now)
        statements = self._write_rows(
            CORRECTION_COLUMNS,
            [
                (
                    *common,
                    str(target.row_id),
                    replacement_id and str(replacement_id),
                    str(target.root_id),
                    correction.action,
                    correction.reason,
                    correction.ref,
                    correction.attributes and facts.dump(correction.attributes),
                )
                for correction, target, replacement_id in rows
            ],
        )
        for statement in statements:
            # Another request may correct the same events at this moment: not an error, see _correct.
            self.env.cr.execute(statement, log_exceptions=False)

    # -- exceptions -------------------------------------------------------------------------

    def _record_correction_exceptions(self, sender, batch_id, sent, amendments, verdicts):
        """Exceptions for corrections that a person must look at."""
        rows = []
        for index, verdict in enumerate(verdicts):
            if verdict.outcome in ("rejected", "conflict"):
                rows.append(self._correction_exception(sender, sent[index], verdict))
            elif verdict is UNMETERED:
                rows.append(self._type_exception(amendments[index].type))
        if rows:
            common = {"source_id": sender.source_id, "company_id": sender.company_id, "batch_id": batch_id}
            # sudo: the API user may not read exceptions
            self.env["usage.exception"].sudo()._record([{**row, **common} for row in rows])

    def _correction_exception(self, sender, correction, verdict):
        payload = facts.dump(correction)
        correction = correction if isinstance(correction, dict) else {}
        conflict = verdict.outcome == "conflict"
        return {
            "reason": "conflict" if conflict else verdict.code,
            "digest": exception_digest(CORRECTIONS, payload),
            "kind": CORRECTIONS,
            "event_ref": self._short_text(correction.get("event")),
            "message": verdict.message,
            "payload": payload[:MAX_PAYLOAD],
            "other_payload": self._stored_correction(sender, correction["id"]) if conflict else None,
        }

    def _stored_correction(self, sender, ref):
        """JSON of the correction that is stored under an id, with the event that counts by it."""
        query = SQL(
            """
            SELECT (jsonb_build_object('id', c.correction_ref, 'action', c.action, 'event', r.event_id,
                'reason', c.reason, 'type', e.type, 'time', e.time, 'data', e.data))::text
            FROM usage_correction c
            LEFT JOIN usage_event r ON r.id = c.event_id
            LEFT JOIN usage_event e ON e.id = c.replacement_id
            WHERE c.source_id = %s AND c.correction_ref = %s
            """,
            sender.source_id,
            ref,
        )
        rows = self.env.execute_query(query)
        return rows[0][0] if rows else None


def _target(root_id, voided, row_id, account, kind, moment, data, tenant, subscription, user, attributes):
    """A :class:`Target` of what the database says of it."""
    event = {}
    if row_id:
        references = {"tenant": tenant, "subscription": subscription, "user": user}
        event = {
            **(decode(attributes.encode()) if attributes else {}),
            **{name: value for name, value in references.items() if value is not None},
            "type": kind,
            "subject": account,
            "time": f"{moment.isoformat()}Z",
            "data": decode(data.encode()),
        }
    return Target(root_id, row_id, voided, account, moment, event)
