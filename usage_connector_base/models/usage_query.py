import json

from odoo import api, models
from odoo.modules import Manifest
from odoo.tools import SQL

from ..contract import openapi
from ..contract.questions import write_cursor
from ..contract.windows import joined, split_hours, to_local
from ..ingestion.envelope import Refusal
from ..ingestion.facts import MAX_IDENTIFIER, event_key
from .usage_batch import OUTCOMES
from .usage_exception import exception_digest
from .usage_ingestion import MESSAGES


class UsageQuery(models.AbstractModel):
    """What a sending system may ask: always of its own source, never of another's.

    Read with set-based SQL under the condition of the source, since its API user has no rights
    to the models themselves.
    """

    _name = "usage.query"
    _description = "Queries of Sending Systems"

    @api.model
    def _openapi(self, url):
        """The OpenAPI description of the API; addons that add to answers extend it.

        :param str url: address of the server, without a path
        :return: dict of JSON
        """
        version = Manifest.for_addon("usage_connector_base")["version"]
        return openapi.document(url, version, OUTCOMES, MESSAGES)

    # -- one event --------------------------------------------------------------------------

    @api.model
    def _event(self, sender, event_id):
        """What became of one event.

        :param sender: :class:`~.usage_source.Sender`
        :param str event_id: the sender's own id of the event
        :return: dict of the answer, None when no such event is known
        """
        stored = self._stored(sender, event_id)
        exceptions = self._exceptions(sender, event_id, stored)
        if not stored:
            return self._rejected(event_id, exceptions) if exceptions else None
        if not stored["id"]:
            return {"id": event_id, "state": "deleted", "exceptions": exceptions}
        meters = self._meters(sender, stored)
        return {
            "id": event_id,
            **self._state(stored, meters),
            "type": stored["type"],
            "time": _rfc3339(stored["time"]),
            "received_at": _rfc3339(stored["received_at"]),
            "account": {"id": stored["account"], "customer_assigned": stored["customer_assigned"]},
            "batch": {"id": stored["batch_id"], "correlation_id": stored["correlation_id"]},
            "meters": self._counts(stored, meters),
            "exceptions": exceptions,
            **self._event_details(stored, meters),
        }

    @api.model
    def _event_details(self, stored, meters):
        """What other addons know of a stored event: they extend this.

        :param dict stored: id, account_id, batch_id, type, time (naive UTC) and more of the event
        :param meters: ``usage.meter`` records that count it
        :return: dict of JSON, added to the answer of ``GET /usage/v1/events/{id}``
        """
        return {}

    def _stored(self, sender, event_id):
        """The row of an event; its id is None when only its key outlived its retention."""
        rows = self.env.execute_query_dict(
            SQL(
                """
                SELECT e.id, e.batch_id, e.account_id, e.type, e.time, e.received_at, b.correlation_id, b.folded_at,
                    a.external_id AS account, a.partner_id IS NOT NULL AS account_mapped,
                    EXISTS (
                        SELECT FROM usage_account_assignment s
                        WHERE s.account_id = coalesce(a.payer_id, a.id) AND tsrange(s.date_from, s.date_to) @> e.time
                    ) AS customer_assigned
                FROM usage_event_key k
                LEFT JOIN usage_event e ON e.id = k.event_id
                LEFT JOIN usage_batch b ON b.id = e.batch_id
                LEFT JOIN usage_account a ON a.id = e.account_id
                WHERE k.key = %s
                """,
                event_key(sender.source_id, event_id),
            )
        )
        return rows[0] if rows else None

    def _meters(self, sender, stored):
        # sudo: the API user reads no meters; the answer tells of those of its own company
        return self.env["usage.meter"].sudo()._of_event(sender.company_id, stored["type"], stored["time"])

    def _state(self, stored, meters):
        held = "" if meters else "meter_unknown"
        if not held and not stored["customer_assigned"]:
            held = "account_inactive" if stored["account_mapped"] else "account_unmapped"
        if held:
            return {"state": "held", "code": held, "message": MESSAGES[held]}
        return {"state": "counted" if self._is_folded(stored, meters) else "waiting"}

    def _is_folded(self, stored, meters):
        return bool(stored["folded_at"]) and not any(meters.mapped("recount_pending"))

    def _counts(self, stored, meters):
        """What each meter counted of an event, and in which hour."""
        return [
            {
                "meter": meter.code,
                "quantity": quantity,
                "unit": meter.unit_name,
                "hour": _rfc3339(stored["time"].replace(minute=0, second=0, microsecond=0)),
                "dimensions": dimensions,
                "counted": quantity is not None and self._is_folded(stored, meter),
            }
            for meter in meters
            for quantity, dimensions in self._quantity(stored, meter)
        ]

    def _quantity(self, stored, meter):
        aggregates = self.env["usage.aggregate"]
        return self.env.execute_query(
            SQL(
                "SELECT trim_scale(%s)::text, %s FROM usage_event e WHERE e.id = %s AND e.received_at = %s",
                aggregates._sql_value(meter),
                aggregates._sql_dimensions(meter),
                stored["id"],
                stored["received_at"],
            )
        )

    def _exceptions(self, sender, event_id, stored):
        """Exceptions of an event itself, and the open ones that hold it."""
        holding = [
            exception_digest(stored["account_id"]) if stored else None,
            exception_digest(stored["type"]) if stored else None,
        ]
        rows = self.env.execute_query_dict(
            SQL(
                """
                SELECT id, reason, state, message, occurrence_count AS occurrences, first_seen, last_seen, resolution
                FROM usage_exception WHERE source_id = %(source)s AND event_ref = %(ref)s
                UNION
                SELECT id, reason, state, message, occurrence_count, first_seen, last_seen, resolution
                FROM usage_exception WHERE source_id = %(source)s AND state = 'open'
                AND (reason, digest) IN (('account_unmapped', %(account)s), ('account_inactive', %(account)s),
                    ('meter_unknown', %(type)s))
                ORDER BY id
                """,
                source=sender.source_id,
                ref=event_id[:MAX_IDENTIFIER],
                account=holding[0],
                type=holding[1],
            )
        )
        return [self._exception(row) for row in rows]

    def _exception(self, row):
        times = {name: _rfc3339(row[name]) for name in ("first_seen", "last_seen")}
        return {name: value for name, value in {**row, **times}.items() if name != "id"}

    def _rejected(self, event_id, exceptions):
        latest = exceptions[-1]
        return {
            "id": event_id,
            "state": "rejected",
            "code": latest["reason"],
            "message": latest["message"],
            "exceptions": exceptions,
        }

    # -- usage ------------------------------------------------------------------------------

    @api.model
    def _usage(self, sender, question):
        """What a meter counted for the sender's accounts.

        :param sender: :class:`~.usage_source.Sender`
        :param question: :class:`~..contract.questions.Question`
        :return: dict of the answer, with rows in the order of windows, accounts and dimensions
        :raises Refusal: 404 for a meter, 400 for a dimension that is unknown
        """
        meter = self._meter(sender, question)
        rows = self.env.execute_query(self._sql_page(sender, meter, question))
        page = rows[: question.limit]
        last = page[-1] if len(rows) > len(page) else None
        return {
            "meter": meter.code,
            "unit": meter.unit_name,
            "granularity": question.granularity,
            "tz": question.zone.key,
            "data": [self._usage_row(question, *row) for row in page],
            "next_cursor": last and write_cursor(question.starts[last[0]], last[1], last[2]),
        }

    def _meter(self, sender, question):
        # sudo: the API user reads no meters; it asks for one of its own company by its code
        domain = [("company_id", "=", sender.company_id), ("code", "=", question.meter)]
        meter = self.env["usage.meter"].sudo().search(domain, limit=1)
        if not meter:
            raise Refusal(404, "meter_unknown", "No meter has this code.")
        names = meter._dimension_names()
        if not set(question.group_by) <= set(names):
            raise Refusal(400, "parameter_invalid", f"group_by may name {', '.join(names) or 'nothing'} here.")
        return meter

    def _usage_row(self, question, window, account, dimensions, quantity, event_count):
        starts = [*question.starts, question.end]
        return {
            "start": to_local(starts[window], question.zone).isoformat(),
            "end": to_local(starts[window + 1], question.zone).isoformat(),
            "account": account,
            "dimensions": json.loads(dimensions),
            "quantity": quantity,
            "events": event_count,
        }

    def _sql_page(self, sender, meter, question):
        """Rows of one answer and one more: window number, account, dimensions, quantity, events."""
        return SQL(
            """
            SELECT windowed.number, a.external_id, dimensions::text,
                trim_scale(quantity)::text, event_count
            FROM (
                SELECT width_bucket(at, %(starts)s::timestamp[]) - 1 AS number, account_id,
                    %(grouped)s AS dimensions, %(total)s AS quantity, sum(event_count)::bigint AS event_count
                FROM (%(counted)s) counted
                GROUP BY 1, 2, 3
            ) windowed
            JOIN usage_account a ON a.id = account_id
            WHERE %(after)s
            ORDER BY windowed.number, a.external_id COLLATE "C", dimensions::text COLLATE "C"
            LIMIT %(limit)s
            """,
            starts=question.starts,
            grouped=self._sql_grouped(question.group_by),
            total=self._sql_total(meter),
            counted=self._sql_counted(sender, meter, question),
            after=self._sql_after(question),
            limit=question.limit + 1,
        )

    @api.model
    def _sql_total(self, meter):
        """How the quantities of several hours make one of a longer window."""
        return SQL("sum(quantity)")

    def _sql_grouped(self, names):
        if not names:
            return SQL("'{}'::jsonb")
        return SQL(
            "jsonb_build_object(%s)",
            SQL(", ").join(SQL("%s::text, dimensions -> %s", name, name) for name in names),
        )

    def _sql_after(self, question):
        if not question.after:
            return SQL("true")
        start, account, dimensions = question.after
        return SQL(
            '(windowed.number, a.external_id COLLATE "C", dimensions::text COLLATE "C") > (%s, %s, %s)',
            question.starts.index(start),
            account,
            dimensions,
        )

    def _sql_counted(self, sender, meter, question):
        """Quantities with their times: of whole hours, and of events in hours that a window cuts."""
        start = question.after[0] if question.after else question.start
        cut = split_hours([moment for moment in (*question.starts, question.end) if moment >= start])
        hours = SQL(
            """
            SELECT account_id, hour AS at, dimensions, quantity, event_count FROM usage_aggregate
            WHERE source_id = %s AND meter_id = %s AND hour >= %s AND hour < %s AND %s AND %s
            """,
            sender.source_id,
            meter.id,
            start,
            question.end,
            self._sql_account(sender, question),
            SQL("hour <> ALL(%s::timestamp[])", cut) if cut else SQL("true"),
        )
        return SQL("%s UNION ALL %s", hours, self._sql_cut(sender, meter, question, cut)) if cut else hours

    def _sql_cut(self, sender, meter, question, hours):
        """The counted events in hours that a window cuts."""
        aggregates = self.env["usage.aggregate"]
        begins, ends = zip(*joined(hours), strict=True)
        return SQL(
            """
            SELECT account_id, time, dimensions, value, 1
            FROM (
                SELECT e.account_id, e.time, %(dimensions)s AS dimensions, %(value)s AS value
                FROM unnest(%(begins)s::timestamp[], %(ends)s::timestamp[]) cut(begins, ends)
                JOIN usage_event e ON e.time >= cut.begins AND e.time < cut.ends
                JOIN usage_batch b ON b.id = e.batch_id AND b.folded_at IS NOT NULL
                WHERE e.account_id IN (SELECT id FROM usage_account WHERE source_id = %(source)s)
                    AND e.type = %(type)s AND e.time >= %(start)s AND e.time < %(end)s AND %(account)s
            ) cut
            WHERE value IS NOT NULL
            """,
            dimensions=aggregates._sql_dimensions(meter),
            value=aggregates._sql_value(meter),
            begins=list(begins),
            ends=list(ends),
            source=sender.source_id,
            type=meter.event_type,
            start=question.start,
            end=question.end,
            account=self._sql_account(sender, question),
        )

    def _sql_account(self, sender, question):
        if question.account is None:
            return SQL("true")
        return SQL(
            """
            account_id IN (
                SELECT id FROM usage_account WHERE source_id = %(source)s AND external_id = %(account)s
                UNION
                SELECT account_id FROM usage_account_alias WHERE source_id = %(source)s AND external_id = %(account)s
            )
            """,
            source=sender.source_id,
            account=question.account,
        )


def _rfc3339(moment):
    return moment and f"{moment.isoformat()}Z"
