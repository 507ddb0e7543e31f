import time
from collections import Counter
from typing import NamedTuple

from odoo import api, fields, models
from odoo.tools import SQL

from ..ingestion import facts
from .usage_batch import OUTCOMES
from .usage_exception import MAX_PAYLOAD, exception_digest

MESSAGES = {
    "id_known": "This event was received before; nothing changes.",
    "id_conflict": "An event with this id was received before with other content; the first one counts "
    "until a person decides.",
    "account_unmapped": "Stored; counted for nobody until the account is assigned to a customer.",
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
UNMETERED = Verdict("quarantined", "meter_unknown", MESSAGES["meter_unknown"])


class UsageIngestion(models.AbstractModel):
    """The pipeline from events to stored facts, one batch in one transaction.

    Everything is set-based: the number of statements does not depend on the number of events.
    """

    _name = "usage.ingestion"
    _description = "Usage Ingestion"

    @api.model
    def _ingest(self, sender, events, **request):
        """Judge and store the events of one request, in the current transaction.

        :param sender: :class:`~.usage_source.Sender`
        :param list events: events as decoded by ``ingestion.envelope``
        :param request: correlation_id, media_type and body_bytes of the request, where there is one
        :return: dict of the answer: batch, counts per outcome, and ``events`` with index, id,
            outcome, code and message of each event that is not accepted
        """
        started = time.monotonic()
        batch_id = self._next_batch_id()
        verdicts, read = self._read(sender, events)
        stored = self._drop_repeats(read, verdicts)
        accounts = self._accounts(sender, stored.values())
        self._judge_held(sender, stored, accounts, verdicts)
        self._store(sender, batch_id, stored, accounts, verdicts)
        counts = Counter(verdict.outcome for verdict in verdicts)
        self._store_batch(sender, batch_id, len(events), counts, started, request)
        self._record_exceptions(sender, batch_id, events, stored, verdicts)
        return self._answer(batch_id, events, verdicts, counts)

    @api.model
    def _refuse(self, sender, refusal, **request):
        """Keep a record of a request that was refused as a whole."""
        request["refusal_code"] = refusal.code
        self._store_batch(sender, self._next_batch_id(), 0, {}, time.monotonic(), request)

    # -- reading ----------------------------------------------------------------------------

    def _read(self, sender, events):
        """Facts of the well-formed events.

        :return: list of verdicts, and dict of index to fact
        """
        limits = self._limits()
        meters = self.env["usage.meter"]
        specs = {}

        def meters_of(event_type):
            if event_type not in specs:
                specs[event_type] = meters._specs(sender.company_id, event_type)
            return specs[event_type]

        verdicts, read = [ACCEPTED] * len(events), {}
        for index, event in enumerate(events):
            try:
                read[index] = facts.read_fact(sender.source_id, event, meters_of, limits)
            except facts.Rejection as rejection:
                verdicts[index] = Verdict("rejected", rejection.code, rejection.message)
        return verdicts, read

    def _limits(self):
        # sudo: the API user reads no settings; these two bound what it may send
        parameters = self.env["ir.config_parameter"].sudo()
        return facts.limits_at(
            fields.Datetime.now(),
            int(parameters.get_param("usage.max_age_days", 400)),
            int(parameters.get_param("usage.max_future_hours", 24)),
        )

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

    # -- accounts ---------------------------------------------------------------------------

    def _accounts(self, sender, stored):
        """Accounts of the facts, made where the source names one for the first time.

        :return: dict of outside identifier to (account id, whether a customer is known)
        """
        subjects = {fact.subject for fact in stored}
        accounts = self._known_accounts(sender, subjects)
        unknown = sorted(subjects - accounts.keys())
        if unknown:
            self._create_accounts(sender, unknown)
            accounts.update(self._known_accounts(sender, unknown))
        return accounts

    def _known_accounts(self, sender, subjects):
        query = SQL(
            "SELECT external_id, id, partner_id IS NOT NULL FROM usage_account WHERE source_id = %s AND external_id = ANY(%s)",
            sender.source_id,
            list(subjects),
        )
        return {external_id: (account, mapped) for external_id, account, mapped in self.env.execute_query(query)}

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

    def _judge_held(self, sender, stored, accounts, verdicts):
        """Quarantine the facts that no meter or no customer waits for."""
        specs = self.env["usage.meter"]._specs
        for index, fact in stored.items():
            if not specs(sender.company_id, fact.type):
                verdicts[index] = UNMETERED
            elif not accounts[fact.subject][1]:
                verdicts[index] = UNMAPPED

    # -- storing ----------------------------------------------------------------------------

    def _next_batch_id(self):
        [[batch_id]] = self.env.execute_query(SQL("SELECT nextval('usage_batch_id_seq')"))
        return batch_id

    def _store(self, sender, batch_id, stored, accounts, verdicts):
        """Insert the facts; those whose id is known get the verdict duplicate or conflict."""
        if not stored:
            return
        # In the order of their keys, so that two batches with the same ids never wait for one another.
        ordered = sorted(stored, key=lambda index: stored[index].key)
        rows = [self._row(index, stored[index], accounts) for index in ordered]
        inserted = self._insert_events(sender, batch_id, rows)
        if len(inserted) < len(stored):
            self._judge_known({i: f for i, f in stored.items() if i not in inserted}, verdicts)

    def _row(self, index, fact, accounts):
        return {
            "i": index,
            "k": fact.key,
            "f": fact.fingerprint,
            "e": fact.event_id,
            "y": fact.type,
            "a": accounts[fact.subject][0],
            "t": fact.time,
            "d": fact.data,
            "n": fact.tenant_ref,
            "s": fact.subscription_ref,
            "u": fact.user_ref,
            "x": fact.attributes,
        }

    def _insert_events(self, sender, batch_id, rows):
        """Insert the events whose key is new.

        :return: set of the inserted rows' indexes
        """
        query = SQL(
            """
            WITH sent AS MATERIALIZED (
                SELECT nextval('usage_event_id_seq') AS id, r.* FROM json_to_recordset(%(rows)s)
                AS r(i int, k uuid, f uuid, e text, y text, a int, t timestamp, d jsonb, n text, s text, u text, x jsonb)
            ), fresh AS (
                INSERT INTO usage_event_key (key, fingerprint, event_id)
                SELECT k, f, id FROM sent ON CONFLICT DO NOTHING RETURNING event_id
            ), stored AS (
                INSERT INTO usage_event (id, batch_id, source_id, company_id, account_id, time, received_at, event_id,
                    type, data, tenant_ref, subscription_ref, user_ref, attributes)
                SELECT id, %(batch)s, %(source)s, %(company)s, a, coalesce(t, %(now)s), %(now)s, e, y, d, n, s, u, x
                FROM sent WHERE id IN (SELECT event_id FROM fresh)
            )
            SELECT i FROM sent WHERE id IN (SELECT event_id FROM fresh)
            """,
            rows=facts.dump(rows),
            batch=batch_id,
            source=sender.source_id,
            company=sender.company_id,
            now=fields.Datetime.now(),
        )
        return {row[0] for row in self.env.execute_query(query)}

    def _judge_known(self, known, verdicts):
        """Verdicts of facts whose id is stored already: by whether the content is the same."""
        query = SQL(
            "SELECT key::text, fingerprint::text FROM usage_event_key WHERE key = ANY(%s::uuid[])",
            [str(fact.key) for fact in known.values()],
        )
        fingerprints = dict(self.env.execute_query(query))
        for index, fact in known.items():
            same = fingerprints[str(fact.key)] == str(fact.fingerprint)
            verdicts[index] = DUPLICATE if same else CONFLICT

    def _store_batch(self, sender, batch_id, event_count, counts, started, request):
        values = {
            "id": batch_id,
            "source_id": sender.source_id,
            "company_id": sender.company_id,
            "user_id": sender.user_id,
            "received_at": fields.Datetime.now(),
            "event_count": event_count,
            **{f"{outcome}_count": counts.get(outcome, 0) for outcome in OUTCOMES},
            "duration_ms": round((time.monotonic() - started) * 1000),
            **request,
        }
        # A batch that stored nothing has nothing to fold.
        if not counts.get("accepted") and not counts.get("quarantined"):
            values["folded_at"] = values["received_at"]
        self.env.cr.execute(
            SQL(
                "INSERT INTO usage_batch (%s) VALUES (%s)",
                SQL(", ").join(map(SQL.identifier, values)),
                SQL(", ").join(SQL("%s", value) for value in values.values()),
            )
        )

    # -- exceptions -------------------------------------------------------------------------

    def _record_exceptions(self, sender, batch_id, events, stored, verdicts):
        """Exceptions for events that a person must look at; unmapped accounts have theirs already."""
        rows = []
        for index, verdict in enumerate(verdicts):
            if verdict.outcome in ("rejected", "conflict"):
                rows.append(self._event_exception(sender, events[index], verdict))
            elif verdict is UNMETERED:
                rows.append(self._type_exception(stored[index].type))
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
            "payload": payload.replace("\\u0000", "\\ufffd")[:MAX_PAYLOAD],
        }
        if verdict.outcome == "conflict":
            row["other_payload"] = self._stored_payload(sender, event["id"])
        return row

    def _stored_payload(self, sender, event_id):
        """JSON of the event that is stored under an id, None when its retention has ended."""
        query = SQL(
            """
            SELECT (jsonb_build_object('id', event_id, 'type', type, 'time', time, 'data', data)
                || coalesce(attributes, '{}'))::text
            FROM usage_event WHERE id = (SELECT event_id FROM usage_event_key WHERE key = %s)
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

    def _answer(self, batch_id, events, verdicts, counts):
        return {
            "batch": batch_id,
            **{outcome: counts[outcome] for outcome in OUTCOMES},
            "events": [
                {"index": index, "id": self._sent_id(events[index]), **verdict._asdict()}
                for index, verdict in enumerate(verdicts)
                if verdict is not ACCEPTED
            ],
        }

    def _sent_id(self, event):
        return event.get("id") if isinstance(event, dict) else None
