import time
from collections import Counter
from typing import NamedTuple

from odoo import api, models
from odoo.tools import SQL

from ..ingestion import facts, summaries
from ..ingestion.corrections import AMEND, VOID
from ..ingestion.envelope import decode
from ..ingestion.summaries import MAX_WINDOW, SummaryRejection, Windows, canonical, summary_id, to_fact, to_window
from .usage_event import ADDITIVE, MAX_EVENTS, summary_label
from .usage_exception import MAX_PAYLOAD, exception_digest
from .usage_ingestion import ACCEPTED, INACTIVE, UNMAPPED, UNMETERED, Verdict

SUMMARIES = "summaries"
SUMMARY_LOCK = 0x73756D73  # advisory lock, with a source: no index could tell that two windows overlap

SUMMARY_MESSAGES = {
    "sequence_known": "This summary was received before; nothing changes.",
    "sequence_outdated": "A summary of this window with a higher sequence was received before; nothing changes.",
    "sequence_conflict": "A summary of this window with this sequence and another quantity was received before; the "
    "first one counts until a person decides.",
    "window_overlap": "Another window of this account, meter and dimensions overlaps this one; the first one counts "
    "until a person decides.",
}
KNOWN = Verdict("duplicate", "sequence_known", SUMMARY_MESSAGES["sequence_known"])
OUTDATED = Verdict("duplicate", "sequence_outdated", SUMMARY_MESSAGES["sequence_outdated"])
OTHER_QUANTITY = Verdict("conflict", "sequence_conflict", SUMMARY_MESSAGES["sequence_conflict"])
OVERLAP = Verdict("conflict", "window_overlap", SUMMARY_MESSAGES["window_overlap"])
NO_METER = UNMETERED._replace(message="Stored; counted when a meter with this code is set up.")


class UsageIngestion(models.AbstractModel):
    """Summaries of windows, on the pipeline of events: one batch in one transaction.

    A summary is stored as an event of a type of its own. What a higher sequence replaces is
    superseded through ``usage.correction``.
    """

    _inherit = "usage.ingestion"

    @api.model
    def _summarize(self, sender, sent, taken=None, **request):
        """Judge and store the summaries of one request, in the current transaction.

        :param sender: :class:`~.usage_source.Sender`
        :param list sent: summaries as decoded by ``ingestion.envelope``, at most ``MAX_EVENTS``
        :param str taken: why a person takes these in the place of those that they conflict with
        :param request: correlation_id, media_type and body_bytes of the request, where there is one
        :return: dict of the answer, as of :meth:`_ingest`, with all ``summaries`` in the place of ``events``
        """
        started = time.monotonic()
        batch_id = self._next_batch_id()
        verdicts, read = self._read_summaries(sender, sent)
        # Before anything is read of them: what others of the source store meanwhile is there when this goes on.
        self.env.cr.execute(SQL("SELECT pg_advisory_xact_lock(%s, %s)", SUMMARY_LOCK, sender.source_id))
        accounts = self._accounts(sender, read.values())
        ids = {index: summary_id(summary, accounts[summary.account].account_id) for index, summary in read.items()}
        fresh, placing = self._place_summaries(sender, batch_id, read, ids, accounts, verdicts, taken)
        self._keep_aliases(fresh, accounts)
        inactive = self._judge_held_summaries(fresh, accounts, verdicts)
        statements = self._store_keys(batch_id, {index: fresh[index] for index in placing.firsts})
        statements += self._store_facts(sender, batch_id, fresh, accounts)
        counts = Counter(verdict.outcome for verdict in verdicts)
        request = {**request, "kind": SUMMARIES}
        self._store_batch(sender, batch_id, len(sent), counts, started, request, statements)
        self._store_corrections(sender, batch_id, placing.superseded)
        self._record_summary_exceptions(sender, batch_id, sent, ids, read, verdicts, placing.conflicts)
        if inactive:
            # sudo: the API user may read neither accounts nor exceptions
            self.env["usage.exception"].sudo()._raise_inactive(inactive, batch_id)
        return self._answer_summaries(batch_id, ids, verdicts, counts)

    # -- judging ----------------------------------------------------------------------------

    def _read_summaries(self, sender, sent):
        """The well-formed summaries of meters that take them.

        :return: list of verdicts, dict of index to summary; those of meters to come are NO_METER
        """
        limits = self._limits()
        verdicts, read = [ACCEPTED] * len(sent), {}
        meters = {}
        for index, summary in enumerate(sent):
            try:
                read[index] = summaries.read_summary(summary, limits)
            except facts.Rejection as rejection:
                verdicts[index] = Verdict("rejected", rejection.code, rejection.message)
        if read:
            meters = self._summed_meters(sender, {summary.meter for summary in read.values()})
        additive = {}
        for index, summary in list(read.items()):
            meter, known = meters.get(summary.meter), (summary.meter, summary.start)
            if meter and known not in additive:
                additive[known] = meter._version_at(summary.start).aggregation in ADDITIVE
            if not meter:
                verdicts[index] = NO_METER
            elif not additive[known]:
                rejection = SummaryRejection("meter_not_additive", f"Meter {summary.meter}.")
                verdicts[index] = Verdict("rejected", rejection.code, rejection.message)
                del read[index]
        return verdicts, read

    def _summed_meters(self, sender, codes):
        # sudo: the API user reads no meters; nothing of them but how they count is used
        domain = [("company_id", "=", sender.company_id), ("code", "in", list(codes))]
        return {meter.code: meter for meter in self.env["usage.meter"].sudo().search(domain)}

    def _place_summaries(self, sender, batch_id, read, ids, accounts, verdicts, taken):
        """Judge how each summary stands to the windows that there are, and to those before it.

        :return: dict of index to fact to be stored, and the :class:`_Placing`
        """
        groups = {
            index: (accounts[summary.account].account_id, summary.meter, canonical(summary.dimensions))
            for index, summary in read.items()
        }
        windows = self._current_windows(read, groups)
        placing = _Placing(windows, self._targets(sender, set(ids.values())), taken)
        fresh = {}
        for index, summary in read.items():
            fact = to_fact(sender.source_id, summary, ids[index])
            window = to_window(fact.data, batch_id * MAX_EVENTS + index, None)
            verdict = placing.place(index, groups[index], window, ids[index])
            if verdict is ACCEPTED:
                fresh[index] = fact
            else:
                verdicts[index] = verdict
        return fresh, placing

    def _current_windows(self, read, groups):
        """The stored windows that count and may overlap those of the request, as :class:`Windows`."""
        spans = {}
        for index, (account_id, meter, _dimensions) in groups.items():
            start, end = spans.get((account_id, meter), (read[index].start, read[index].end))
            spans[account_id, meter] = min(start, read[index].start), max(end, read[index].end)
        windows = Windows()
        rows = [(*group, *span) for group, span in spans.items()]
        query = SQL(
            """
            SELECT e.account_id, e.data::text, e.id, coalesce(p.root_id, e.id)
            FROM unnest(%s::int[], %s::text[], %s::timestamp[], %s::timestamp[]) g(account_id, meter, starts, ends)
            JOIN usage_event e ON e.type = 'usage.summary' AND e.account_id = g.account_id
                AND e.data ->> 'meter' = g.meter AND e.time > g.starts - %s AND e.time < g.ends
                AND (e.data ->> 'end')::timestamp > g.starts
            LEFT JOIN usage_correction p ON p.replacement_id = e.id
            WHERE NOT EXISTS (SELECT 1 FROM usage_correction c WHERE c.event_id = e.id)
            """,
            *([list(column) for column in zip(*rows, strict=True)] if rows else [[], [], [], []]),
            MAX_WINDOW,
        )
        for account_id, text, row_id, root_id in self.env.execute_query(query):
            data = decode(text.encode())
            group = (account_id, data["meter"], canonical(data["dimensions"]))
            windows.put(group, to_window(data, row_id, root_id))
        return windows

    def _judge_held_summaries(self, fresh, accounts, verdicts):
        """Quarantine summaries of accounts that have no customer at their start: as :meth:`_judge_held`."""
        inactive = []
        for index, fact in fresh.items():
            known = accounts[fact.subject]
            held = None if known.has_customer else UNMAPPED
            if known.spans and not any(begin <= fact.time < end for begin, end in known.spans):
                inactive.append(known.account_id)
                held = held or INACTIVE
            if held and verdicts[index] is ACCEPTED:
                verdicts[index] = held
        return inactive

    # -- exceptions and the answer ----------------------------------------------------------

    def _record_summary_exceptions(self, sender, batch_id, sent, ids, read, verdicts, conflicts):
        """Exceptions for summaries that a person must look at."""
        rows = []
        for index, verdict in enumerate(verdicts):
            if verdict.outcome in ("rejected", "conflict"):
                rows.append(self._summary_exception(sent[index], ids.get(index), verdict, conflicts.get(index)))
            elif verdict is NO_METER:
                rows.append({**self._type_exception(summary_label(read[index].meter)), "message": NO_METER.message})
        if rows:
            common = {"source_id": sender.source_id, "company_id": sender.company_id, "batch_id": batch_id}
            # sudo: the API user may not read exceptions
            self.env["usage.exception"].sudo()._record([{**row, **common} for row in rows])

    def _summary_exception(self, summary, window_id, verdict, windows):
        payload = facts.dump(summary)
        others = [window.data for window in windows or ()]
        return {
            "reason": "conflict" if windows else verdict.code,
            "digest": exception_digest(SUMMARIES, payload),
            "kind": SUMMARIES,
            "event_ref": window_id,
            "event_type": facts.SUMMARY_TYPE,
            "message": verdict.message,
            "payload": payload[:MAX_PAYLOAD],
            "other_payload": facts.dump(others[0] if len(others) == 1 else others) if others else None,
        }

    def _answer_summaries(self, batch_id, ids, verdicts, counts):
        """The answer lists all, since our ids of the windows are in it."""
        answer = self._answer(batch_id, [], [], counts, SUMMARIES)
        answer[SUMMARIES] = [
            {"index": index, "id": ids.get(index), **{name: text for name, text in verdict._asdict().items() if text}}
            for index, verdict in enumerate(verdicts)
        ]
        return answer


class _Superseded(NamedTuple):
    """Why a stored summary does not count any more: what :meth:`UsageIngestion._store_corrections` asks for."""

    action: str
    reason: str
    ref: str | None = None
    attributes: dict | None = None


class _Placing:
    """Places the summaries of one request, one after the other."""

    def __init__(self, windows, targets, taken):
        """Begin with what is stored.

        :param Windows windows: those that count
        :param dict targets: what is known of the windows of the request, by id
        :param str taken: why conflicts are settled in favour of the request, None where they are not
        """
        self._windows = windows
        self._targets = targets
        self._taken = taken
        self.firsts = set()  # indexes of the first summaries of their windows
        self.superseded = []  # rows for usage.correction
        self.conflicts = {}  # index -> the windows that it conflicts with

    def place(self, index, group, window, window_id):
        """Judge one summary; it is among the windows when it is accepted."""
        found = self._windows.overlapping(group, window.start, window.end)
        if [(other.start, other.end) for other in found] == [(window.start, window.end)]:
            return self._replace(index, group, window, found[0])
        if window_id in self._targets:
            return self._gone(self._targets[window_id])
        if found and not self._taken:
            self.conflicts[index] = found
            return OVERLAP
        for other in found:
            self.superseded.append((_Superseded(VOID, self._taken), other, None))
        self.firsts.add(index)
        self._windows.put(group, window._replace(root_id=window.row_id))
        return ACCEPTED

    def _replace(self, index, group, window, other):
        """Judge a summary of the same window as another one."""
        if window.sequence < other.sequence:
            return OUTDATED
        if window.sequence > other.sequence:
            reason = f"Sequence {window.sequence} replaces sequence {other.sequence}."
            superseded = _Superseded("replace", reason)
        elif window.quantity == other.quantity:
            return KNOWN
        elif self._taken:
            superseded = _Superseded(AMEND, self._taken)
        else:
            self.conflicts[index] = [other]
            return OTHER_QUANTITY
        self.superseded.append((superseded, other, window.row_id))
        self._windows.put(group, window._replace(root_id=other.root_id))
        return ACCEPTED

    def _gone(self, target):
        rejection = SummaryRejection("window_voided" if target.voided else "window_deleted")
        return Verdict("rejected", rejection.code, rejection.message)
