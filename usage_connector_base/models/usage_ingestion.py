import io
import time
from collections import Counter
from typing import NamedTuple

from odoo import api, fields, models
from odoo.tools import SQL

from ..ingestion import facts
from .usage_batch import OUTCOMES
from .usage_event import MAX_EVENTS
from .usage_exception import MAX_PAYLOAD, REFUSED_REASONS, exception_digest

FEW_EVENTS = 20  # up to which INSERT in one round trip is faster than COPY in several

MESSAGES = {
    "id_known": "This event was received before; nothing changes.",
    "id_conflict": "An event with this id was received before with other content; the first one counts "
    "until a person decides.",
    "account_unmapped": "Stored; counted for nobody until the account is assigned to a customer.",
    "account_inactive": "Stored; counted for nobody: the account belongs to no customer at that time.",
    "meter_unknown": "Stored; counted when a meter for this type is set up.",
}


class Verdict(NamedTuple):
    """What became of one event of a batch."""

    outcome: str  # one of OUTCOMES
    code: str = ""
    message: str = ""


ACCEPTED = Verdict("accepted")
DUPLICATE = Verdict("duplicate", "id_known", MESSAGES["id_known"])
CONFLICT = Verdict("conflict", "id_conflict", MESSAGES["id_conflict"])
UNMAPPED = Verdict("quarantined", "account_unmapped", MESSAGES["account_unmapped"])
INACTIVE = Verdict("quarantined", "account_inactive", MESSAGES["account_inactive"])
UNMETERED = Verdict("quarantined", "meter_unknown", MESSAGES["meter_unknown"])


KEY_COLUMNS = "usage_event_key (key, fingerprint, event_id)"
EVENT_COLUMNS = (
    "usage_event (id, batch_id, source_id, company_id, received_at, account_id, time, event_id, type, data,"
    " tenant_ref, subscription_ref, user_ref, attributes)"
)
_COPY_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def copy_text(rows):
    """Rows of texts and None as input of COPY, with an empty text for None.

    >>> copy_text([("1", "a"), ("2", None)])
    '1\\ta\\n2\\t\\n'
    """
    text = "\n".join(["\t".join([value or "" for value in row]) for row in rows])
    # Escapes are rare: whether any is needed is asked once for all rows.
    separators = len(rows) * len(rows[0]) - 1
    if "\\" in text or "\r" in text or text.count("\t") + text.count("\n") > separators:
        text = "\n".join(["\t".join([(value or "").translate(_COPY_ESCAPES) for value in row]) for row in rows])
    return f"{text}\n"


class Known(NamedTuple):
    """An account as ingestion knows it."""

    account_id: int
    has_customer: bool
    spans: list | None  # of [begin, end), naive UTC, when it belongs to its customers; None: always
    is_alias: bool


class UsageIngestion(models.AbstractModel):
    """The pipeline from events to stored facts, one batch in one transaction.

    Everything is set-based: the number of statements does not depend on the number of events.
    """

    _name = "usage.ingestion"
    _description = "Usage Ingestion"

    @api.model
    def _ingest(self, sender, events, **request):
        """Judge and store the events of one request, in the current transaction.

        Should another transaction store one of the events at the same moment, PostgreSQL has this one wait
        for its end, and at READ COMMITTED the event is found to be known.

        :param sender: :class:`~.usage_source.Sender`
        :param list events: events as decoded by ``ingestion.envelope``, at most ``MAX_EVENTS``
        :param request: correlation_id, media_type and body_bytes of the request, where there is one
        :return: dict of the answer: batch, counts per outcome, and ``events`` with index, id,
            outcome, code and message of each event that is not accepted
        """
        started = time.monotonic()
        batch_id = self._next_batch_id()
        verdicts, read = self._read(sender, events)
        fresh = self._claim(batch_id, read, verdicts)
        accounts = self._accounts(sender, fresh.values())
        self._keep_aliases(fresh, accounts)
        inactive = self._judge_held(sender, fresh, accounts, verdicts)
        statements = self._store_facts(sender, batch_id, fresh, accounts)
        counts = Counter(verdict.outcome for verdict in verdicts)
        self._store_batch(sender, batch_id, len(events), counts, started, request, statements)
        self._record_exceptions(sender, batch_id, events, fresh, verdicts)
        if inactive:
            # sudo: the API user may read neither accounts nor exceptions
            self.env["usage.exception"].sudo()._raise_inactive(inactive, batch_id)
        return self._answer(batch_id, events, verdicts, counts)

    @api.model
    def _refuse(self, sender, refusal, **request):
        """Keep a record of a request that was refused as a whole."""
        request["refusal_code"] = refusal.code
        batch_id = self._next_batch_id()
        self._store_batch(sender, batch_id, 0, {}, time.monotonic(), request)
        if refusal.code in REFUSED_REASONS:
            # sudo: the API user may not read exceptions
            self.env["usage.exception"].sudo()._record_refusal(sender, batch_id, refusal, request.get("remote_addr"))

    # -- reading ----------------------------------------------------------------------------

    def _read(self, sender, events):
        """Facts of the well-formed events.

        :return: list of verdicts, and dict of index to fact
        """
        limits = self._limits()
        meters_of = self._meters_of(sender)
        verdicts, read = [ACCEPTED] * len(events), {}
        for index, event in enumerate(events):
            try:
                read[index] = facts.read_fact(sender.source_id, event, meters_of, limits)
            except facts.Rejection as rejection:
                verdicts[index] = Verdict("rejected", rejection.code, rejection.message)
        return verdicts, read

    def _meters_of(self, sender):
        """Function of an event type to what ingestion must know of the meters that count it."""
        meters = self.env["usage.meter"]
        specs = {}

        def meters_of(event_type):
            if event_type not in specs:
                if event_type == facts.SUMMARY_TYPE:
                    raise facts.Rejection("type_reserved")
                specs[event_type] = meters._specs(sender.company_id, event_type)
            return specs[event_type]

        return meters_of

    def _limits(self):
        # sudo: the API user reads no settings; these two bound what it may send
        parameters = self.env["ir.config_parameter"].sudo()
        return facts.limits_at(
            fields.Datetime.now(),
            int(parameters.get_param("usage.max_age_days", 400)),
            int(parameters.get_param("usage.max_future_hours", 24)),
        )

    def _claim(self, batch_id, read, verdicts):
        """The facts that are the first with their id, whose keys are stored with that."""
        claimed = self._claim_keys(batch_id, read)
        if claimed == len(read):
            return read
        fresh = self._drop_repeats(self._drop_known(read, verdicts, batch_id), verdicts)
        if claimed < len(fresh):  # keys were there first, and deleted since, as their retention ended
            self._claim_keys(batch_id, fresh)
        return fresh

    def _claim_keys(self, batch_id, read):
        """Store the keys that are not stored yet, and return how many."""
        if not read:
            return 0
        # In the order of their keys, so that two batches with the same ids never wait for one another.
        query = SQL(
            """
            INSERT INTO usage_event_key (key, fingerprint, event_id)
            SELECT key, fingerprint, %s + index FROM unnest(%s::uuid[], %s::bigint[], %s::int[])
                AS sent(key, fingerprint, index) ORDER BY key, index
            ON CONFLICT (key) DO NOTHING
            """,
            batch_id * MAX_EVENTS,
            f"{{{','.join([fact.key for fact in read.values()])}}}",
            f"{{{','.join([str(fact.fingerprint) for fact in read.values()])}}}",
            f"{{{','.join(map(str, read))}}}",
        )
        self.env.cr.execute(query)
        return self.env.cr.rowcount

    def _drop_repeats(self, read, verdicts):
        """The facts without those that repeat an id of the same batch."""
        first, kept = {}, {}
        for index, fact in read.items():
            earlier = first.setdefault(fact.key, fact)
            if earlier is fact:
                kept[index] = fact
            else:
                verdicts[index] = DUPLICATE if earlier.fingerprint == fact.fingerprint else CONFLICT
        return kept

    def _drop_known(self, read, verdicts, batch_id=0):
        """The facts without those whose id is stored already, by another batch than this one."""
        first_id = batch_id * MAX_EVENTS
        query = SQL(
            "SELECT replace(key::text, '-', ''), fingerprint FROM usage_event_key "
            "WHERE key = ANY(%s::uuid[]) AND NOT (event_id >= %s AND event_id < %s)",
            f"{{{','.join([fact.key for fact in read.values()])}}}",
            first_id,
            first_id + MAX_EVENTS,
        )
        known = dict(self.env.execute_query(query)) if read else {}
        if not known:
            return read
        fresh = {}
        for index, fact in read.items():
            if fact.key not in known:
                fresh[index] = fact
            else:
                verdicts[index] = DUPLICATE if known[fact.key] == fact.fingerprint else CONFLICT
        return fresh

    # -- accounts ---------------------------------------------------------------------------

    def _accounts(self, sender, stored):
        """Accounts of the facts, made where the source names one for the first time.

        :return: dict of outside identifier to :class:`Known`
        """
        subjects = {fact.subject for fact in stored}
        accounts = self._known_accounts(sender, subjects)
        unknown = sorted(subjects - accounts.keys())
        if unknown:
            self._create_accounts(sender, unknown)
            accounts.update(self._known_accounts(sender, unknown))
        return accounts

    def _known_accounts(self, sender, subjects):
        # Aliases come last: they win over an account that an event made at the moment they were added.
        query = SQL(
            """
            SELECT external_id, id, partner_id IS NOT NULL, %(spans)s, false FROM usage_account a
            WHERE source_id = %(source)s AND external_id = ANY(%(subjects)s)
            UNION ALL
            SELECT l.external_id, a.id, a.partner_id IS NOT NULL, %(spans)s, true
            FROM usage_account_alias l JOIN usage_account a ON a.id = l.account_id
            WHERE l.source_id = %(source)s AND l.external_id = ANY(%(subjects)s)
            ORDER BY 5
            """,
            spans=SQL(
                """CASE WHEN a.is_dated THEN (
                    SELECT array_agg(ARRAY[coalesce(date_from, '0001-01-01'), coalesce(date_to, '9999-12-31')])
                    FROM usage_account_assignment WHERE account_id = coalesce(a.payer_id, a.id)
                ) END"""
            ),
            source=sender.source_id,
            subjects=list(subjects),
        )
        return {external_id: Known(*known) for external_id, *known in self.env.execute_query(query)}

    def _create_accounts(self, sender, subjects):
        """Accounts without a customer, with the exception that asks for one."""
        query = SQL(
            """
            INSERT INTO usage_account (source_id, company_id, environment, external_id, active,
                create_uid, write_uid, create_date, write_date)
            SELECT %(source)s, %(company)s, %(environment)s, subject, true,
                %(uid)s, %(uid)s, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC'
            FROM unnest(%(subjects)s) subject
            ON CONFLICT (source_id, external_id) DO NOTHING
            RETURNING id
            """,
            source=sender.source_id,
            company=sender.company_id,
            environment=sender.environment,
            uid=sender.user_id,
            subjects=subjects,
        )
        created = [row[0] for row in self.env.execute_query(query)]
        # sudo: the API user may read neither accounts nor exceptions
        self.env["usage.exception"].sudo()._raise_unmapped(created)

    def _keep_aliases(self, fresh, accounts):
        """Note on facts that were sent under an alias what their subject was."""
        if not any(known.is_alias for known in accounts.values()):
            return
        for index, fact in fresh.items():
            if accounts[fact.subject].is_alias:
                fresh[index] = fact._replace(attributes={**(fact.attributes or {}), "subject": fact.subject})

    def _judge_held(self, sender, fresh, accounts, verdicts):
        """Quarantine the facts that no meter counts, or whose account has no customer at their time.

        :return: for each fact of an account that is not assigned at its time, the account's id
        """
        now = fields.Datetime.now()
        inactive = []
        specs = self.env["usage.meter"]._specs
        metered = {kind: facts.covered(specs(sender.company_id, kind)) for kind in {f.type for f in fresh.values()}}
        for index, fact in fresh.items():
            known = accounts[fact.subject]
            if known.spans and not any(begin <= (fact.time or now) < end for begin, end in known.spans):
                inactive.append(known.account_id)
                verdicts[index] = INACTIVE
            if not metered[fact.type](fact.time or now):
                verdicts[index] = UNMETERED
            elif not known.has_customer:
                verdicts[index] = UNMAPPED
        return inactive

    # -- storing ----------------------------------------------------------------------------

    def _next_batch_id(self):
        [[batch_id]] = self.env.execute_query(SQL("SELECT nextval('usage_batch_id_seq')"))
        return batch_id

    def _store_keys(self, batch_id, fresh):
        """Write the keys of whatever has a key and a fingerprint, none of which may be stored: as :meth:`_store_facts`.

        Should another transaction store one at the same moment, PostgreSQL raises ``UniqueViolation``.
        """
        # In the order of their keys, so that two batches with the same ids never wait for one another.
        ordered = sorted(fresh.items(), key=lambda item: item[1].key)
        first_id = batch_id * MAX_EVENTS
        keys = [(fact.key, str(fact.fingerprint), str(first_id + index)) for index, fact in ordered]
        return self._write_rows(KEY_COLUMNS, keys)

    def _store_facts(self, sender, batch_id, fresh, accounts):
        """Write the facts into their table.

        :return: list of SQL that remains to be executed, together with the batch's own
        """
        first_id = batch_id * MAX_EVENTS
        now = str(fields.Datetime.now())
        common = (str(batch_id), str(sender.source_id), str(sender.company_id), now)
        events = [
            (
                str(first_id + index),
                *common,
                str(accounts[fact.subject].account_id),
                str(fact.time or now),
                fact.event_id,
                fact.type,
                facts.dump(fact.data),
                fact.tenant_ref,
                fact.subscription_ref,
                fact.user_ref,
                fact.attributes and facts.dump(fact.attributes),
            )
            for index, fact in fresh.items()
        ]
        return self._write_rows(EVENT_COLUMNS, events)

    def _write_rows(self, target, rows):
        """Rows into a table: many at once, few by a statement for the caller to execute.

        :param str target: table and columns, a constant of this file
        :param list rows: tuples of texts in the order of the columns; None is NULL, and no text is empty
        :return: list of SQL
        """
        if not rows:
            return []
        if len(rows) <= FEW_EVENTS:
            return [SQL("INSERT INTO %s VALUES %s", SQL(target), SQL(", ").join(SQL("%s", row) for row in rows))]
        self.env.cr.copy_expert(f"COPY {target} FROM STDIN (NULL '')", io.StringIO(copy_text(rows)))
        return []

    def _store_batch(self, sender, batch_id, event_count, counts, started, request, statements=()):
        """The record of the request, in one round trip with other statements."""
        values = {
            "id": batch_id,
            "source_id": sender.source_id,
            "company_id": sender.company_id,
            "user_id": sender.user_id,
            "key_id": sender.key_id,
            "kind": "events",
            "received_at": fields.Datetime.now(),
            "event_count": event_count,
            **{f"{outcome}_count": counts.get(outcome, 0) for outcome in OUTCOMES},
            "duration_ms": round((time.monotonic() - started) * 1000),
            **request,
        }
        # A batch that stored nothing has nothing to fold.
        if not counts.get("accepted") and not counts.get("quarantined"):
            values["folded_at"] = values["received_at"]
        record = SQL(
            "INSERT INTO usage_batch (%s) VALUES %s",
            SQL(", ").join(map(SQL.identifier, values)),
            tuple(values.values()),
        )
        # Odoo logs no error: that another request stores the same key at this moment is none, see _store_keys.
        self.env.cr.execute(SQL("; ").join([*statements, record]), log_exceptions=False)

    # -- exceptions -------------------------------------------------------------------------

    def _record_exceptions(self, sender, batch_id, events, fresh, verdicts):
        """Exceptions for events that a person must look at; unmapped accounts have theirs already."""
        rows = []
        for index, verdict in enumerate(verdicts):
            if verdict.outcome in ("rejected", "conflict"):
                rows.append(self._event_exception(sender, events[index], verdict))
            elif verdict is UNMETERED:
                rows.append(self._type_exception(fresh[index].type))
        if rows:
            common = {"source_id": sender.source_id, "company_id": sender.company_id, "batch_id": batch_id}
            # sudo: the API user may not read exceptions
            self.env["usage.exception"].sudo()._record([{**row, **common} for row in rows])

    def _event_exception(self, sender, event, verdict):
        payload = facts.dump(event)
        event = event if isinstance(event, dict) else {}
        row = {
            "reason": "conflict" if verdict.outcome == "conflict" else verdict.code,
            "digest": exception_digest(payload),
            "event_ref": self._short_text(event.get("id")),
            "event_type": self._short_text(event.get("type")),
            "message": verdict.message,
            "payload": payload[:MAX_PAYLOAD],
        }
        if verdict.outcome == "conflict":
            row["other_payload"] = self._stored_payload(sender, event["id"])
        return row

    def _stored_payload(self, sender, event_id):
        """JSON of the event that is stored under an id as it was last amended, None when its retention has ended."""
        query = SQL(
            """
            SELECT (coalesce(e.attributes, '{}') || jsonb_strip_nulls(jsonb_build_object(
                'id', e.event_id, 'type', e.type, 'subject', a.external_id, 'time', to_json(e.time) #>> '{}' || 'Z',
                'tenant', e.tenant_ref, 'subscription', e.subscription_ref, 'user', e.user_ref
            )) || jsonb_build_object('data', e.data))::text
            FROM usage_event_key k
            LEFT JOIN LATERAL (
                SELECT replacement_id FROM usage_correction
                WHERE root_id = k.event_id AND replacement_id IS NOT NULL ORDER BY id DESC LIMIT 1
            ) c ON true
            JOIN usage_event e ON e.id = coalesce(c.replacement_id, k.event_id)
            JOIN usage_account a ON a.id = e.account_id
            WHERE k.key = %s
            """,
            str(facts.event_key(sender.source_id, event_id)),
        )
        rows = self.env.execute_query(query)
        return rows[0][0] if rows else None

    def _short_text(self, value):
        return str(value).replace("\0", "\ufffd")[: facts.MAX_IDENTIFIER] if value is not None else None

    def _type_exception(self, event_type):
        return {
            "reason": "meter_unknown",
            "digest": exception_digest(event_type),
            "event_type": event_type,
            "message": MESSAGES["meter_unknown"],
        }

    # -- answering --------------------------------------------------------------------------

    def _answer(self, batch_id, events, verdicts, counts, name="events"):
        return {
            "batch": batch_id,
            **{outcome: counts[outcome] for outcome in OUTCOMES},
            name: [
                {
                    "index": index,
                    "id": self._sent_id(events[index]),
                    "outcome": verdict.outcome,
                    "code": verdict.code,
                    "message": verdict.message,
                }
                for index, verdict in enumerate(verdicts)
                if verdict is not ACCEPTED
            ],
        }

    def _sent_id(self, event):
        event_id = event.get("id") if isinstance(event, dict) else None
        return event_id if isinstance(event_id, str) else None
