import json

from odoo import api, models
from odoo.modules import Manifest
from odoo.tools import SQL, groupby

from ..aggregations import AGGREGATIONS
from ..aggregations.time_weighted import seconds
from ..aggregations.window import floor_hour
from ..contract import openapi
from ..contract.questions import write_cursor
from ..contract.windows import joined, split_hours, to_local
from ..ingestion.envelope import Refusal, decode
from ..ingestion.facts import MAX_IDENTIFIER, SUMMARY_TYPE, event_key
from ..ingestion.summaries import summary_key
from .usage_aggregate_quantities import NAMES, UNION_ALL
from .usage_batch import OUTCOMES
from .usage_event import summary_label
from .usage_exception import exception_digest
from .usage_ingestion import MESSAGES
from .usage_ingestion_summary import SUMMARY_MESSAGES

NO_ROWS = SQL(
    "SELECT 0 AS number, 0 AS account_id, '{}'::jsonb AS dimensions, 0::numeric AS quantity, 0 AS event_count "
    "WHERE false"
)


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
        return openapi.document(url, version, OUTCOMES, MESSAGES, SUMMARY_MESSAGES)

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
        corrections = self._corrections(stored)
        if not stored["id"]:
            return {"id": event_id, "state": "deleted", "exceptions": exceptions, **corrections}
        meters = self._meters(sender, stored)
        return {
            "id": event_id,
            **self._state(stored, meters),
            "type": stored["type"],
            "time": _rfc3339(stored["time"]),
            "received_at": _rfc3339(stored["received_at"]),
            "account": {"id": stored["account"], "customer_assigned": stored["customer_assigned"]},
            "batch": {"id": stored["batch_id"], "correlation_id": stored["correlation_id"]},
            **({"summary": decode(stored["summary"].encode())} if stored["summary"] else {}),
            "meters": self._counts(stored, meters),
            **corrections,
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
        """The row of an event that counts, or counted last; its id is None when only its key outlived its retention.

        Beside its columns: ``root_id``, the row as it was first received, and ``voided``.
        """
        query = SQL(
            """
            SELECT e.id, e.batch_id, e.account_id, e.type, e.time, e.received_at, b.correlation_id, b.folded_at,
                a.external_id AS account, a.partner_id IS NOT NULL AS account_mapped,
                EXISTS (
                    SELECT FROM usage_account_assignment s
                    WHERE s.account_id = coalesce(a.payer_id, a.id) AND tsrange(s.date_from, s.date_to) @> e.time
                ) AS customer_assigned,
                CASE WHEN e.type = %(summary)s THEN e.data::text END AS summary, e.data ->> 'meter' AS summary_meter,
                k.event_id AS root_id, c.id IS NOT NULL AND c.replacement_id IS NULL AS voided
            FROM usage_event_key k
            LEFT JOIN LATERAL (
                SELECT id, event_id, replacement_id FROM usage_correction
                WHERE root_id = k.event_id ORDER BY id DESC LIMIT 1
            ) c ON true
            LEFT JOIN usage_event e ON e.id = coalesce(c.replacement_id, c.event_id, k.event_id)
            LEFT JOIN usage_batch b ON b.id = e.batch_id
            LEFT JOIN usage_account a ON a.id = e.account_id
            WHERE k.key = ANY(%(keys)s::uuid[]) ORDER BY k.key = %(first)s DESC
            """,
            summary=SUMMARY_TYPE,
            keys=[event_key(sender.source_id, event_id), summary_key(sender.source_id, event_id)],
            first=event_key(sender.source_id, event_id),
        )
        rows = self.env.execute_query_dict(query)
        return rows[0] if rows else None

    def _corrections(self, stored):
        """What became of an event since it was first received, with what counted before each correction."""
        query = SQL(
            """
            SELECT c.correction_ref AS id, c.action, c.reason, c.received_at, c.batch_id AS batch,
                jsonb_build_object('type', e.type, 'time', to_json(e.time)::jsonb, 'account', a.external_id,
                    'data', e.data)::text AS superseded
            FROM usage_correction c
            LEFT JOIN usage_event e ON e.id = c.event_id
            LEFT JOIN usage_account a ON a.id = e.account_id
            WHERE c.root_id = %s ORDER BY c.id
            """,
            stored["root_id"],
        )
        rows = self.env.execute_query_dict(query)
        return {"corrections": [self._correction(row) for row in rows]} if rows else {}

    def _correction(self, row):
        superseded = decode(row["superseded"].encode())
        if superseded["time"]:
            superseded["time"] = f"{superseded['time']}Z"
        return {
            **row,
            "received_at": _rfc3339(row["received_at"]),
            "superseded": superseded if superseded["type"] else None,
        }

    def _meters(self, sender, stored):
        # sudo: the API user reads no meters; the answer tells of those of its own company
        meters = self.env["usage.meter"].sudo()
        if stored["voided"]:
            return meters
        if stored["summary"]:
            return meters._of_summary(sender.company_id, stored["summary_meter"], stored["time"])
        return meters._of_event(sender.company_id, stored["type"], stored["time"])

    def _state(self, stored, meters):
        if stored["voided"]:
            return {"state": "voided"}
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
        definition = meter._version_at(stored["time"])
        return self.env.execute_query(
            SQL(
                "SELECT %s, %s FROM usage_event e WHERE e.id = %s AND e.received_at = %s",
                aggregates._sql_value_text(definition),
                aggregates._sql_dimensions(definition),
                stored["id"],
                stored["received_at"],
            )
        )

    def _exceptions(self, sender, event_id, stored):
        """Exceptions of an event itself, and the open ones that hold it."""
        holding = [
            exception_digest(stored["account_id"]) if stored else None,
            exception_digest(self._label(stored)) if stored else None,
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

    def _label(self, stored):
        """What an exception calls the events that wait for a meter as this one does."""
        return summary_label(stored["summary_meter"]) if stored["summary"] else stored["type"]

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
        meter = self.env["usage.meter"].sudo().search_fetch(domain, ["code", "unit_name", "company_id"], limit=1)
        if not meter:
            raise Refusal(404, "meter_unknown", "No meter has this code.")
        names = list(dict.fromkeys(name for found in meter._definitions() for name in found._dimension_names()))
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
            SELECT windowed.number, a.external_id, windowed.dimensions::text,
                trim_scale(windowed.quantity)::text, windowed.event_count
            FROM (
                SELECT number, account_id, dimensions, sum(quantity) AS quantity,
                    sum(event_count)::bigint AS event_count
                FROM (%(counted)s) counted
                GROUP BY 1, 2, 3
            ) windowed
            JOIN usage_account a ON a.id = account_id
            WHERE %(after)s
            ORDER BY windowed.number, a.external_id COLLATE "C", windowed.dimensions::text COLLATE "C"
            LIMIT %(limit)s
            """,
            counted=self._sql_counted(sender, meter, question),
            after=self._sql_after(question),
            limit=question.limit + 1,
        )

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
            '(windowed.number, a.external_id COLLATE "C", windowed.dimensions::text COLLATE "C") > (%s, %s, %s)',
            question.starts.index(start),
            account,
            dimensions,
        )

    def _sql_counted(self, sender, meter, question):
        """Quantities of windows, accounts and dimensions, of each aggregation that the meter had in the range.

        Where a new definition counts in another way, the quantities of both add up.
        """
        start = question.after[0] if question.after else question.start
        aggregates = self.env["usage.aggregate"]
        parts = aggregates._parts_by_definition(meter._definitions(), start, question.end)
        selects = [
            SQL(
                """
                SELECT number, account_id, %s AS dimensions, %s AS quantity, sum(event_count) AS event_count
                FROM (%s) counted
                GROUP BY 1, 2, 3
                """,
                self._sql_grouped(question.group_by),
                aggregation.quantity(),
                UNION_ALL.join(self._sql_rows(sender, question, *part) for part in own),
            )
            for aggregation, own in groupby(parts, key=lambda part: AGGREGATIONS[part[0].aggregation])
        ]
        return UNION_ALL.join(selects) or NO_ROWS

    def _sql_rows(self, sender, question, definition, start, end):
        """Rows of a definition in [start, end), with the numbers of their windows.

        They are whole hours, and events: in hours that a window cuts, or where hours do not do.
        """
        aggregation = AGGREGATIONS[definition.aggregation]
        if not aggregation.merges_hours:
            return self._sql_numbered(
                question, self._sql_events(sender, question, definition, start, end, [(start, end)])
            )
        bounds = [moment for moment in (*question.starts, question.end) if start < moment < end]
        cut = split_hours([start, *bounds, end])
        selects = [self._sql_hours(sender, question, definition, start, end, cut)]
        if cut:
            selects.append(self._sql_events(sender, question, definition, start, end, joined(cut)))
        if not aggregation.carries:
            return self._sql_numbered(question, UNION_ALL.join(selects))
        selects += self._sql_carried(sender, question, definition, start, end)
        return self._sql_lasting(question, UNION_ALL.join(selects))

    def _sql_numbered(self, question, rows):
        return SQL(
            "SELECT width_bucket(at, %s::timestamp[]) - 1 AS number, rows.* FROM (%s) rows", question.starts, rows
        )

    def _sql_hours(self, sender, question, definition, start, end, cut):
        """Whole hours in [start, end) without those that are cut."""
        return SQL(
            """
            SELECT 0 AS key, account_id, %(start)s AS span_start, %(end)s AS span_end, dimensions, hour AS at,
                hour + interval '1 hour' AS until, %(columns)s
            FROM usage_aggregate
            WHERE source_id = %(source)s AND meter_id = %(meter)s AND hour >= %(start)s AND hour < %(end)s
                AND %(whole)s AND %(account)s
            """,
            start=SQL("%s::timestamp", start),
            end=SQL("%s::timestamp", end),
            columns=NAMES,
            source=sender.source_id,
            meter=self._meter_id(definition),
            whole=SQL("hour <> ALL(%s::timestamp[])", cut) if cut else SQL("true"),
            account=self._sql_account(sender, question),
        )

    def _meter_id(self, definition):
        return self.env["usage.aggregate"]._meter_of(definition).id

    def _sql_events(self, sender, question, definition, start, end, ranges):
        """The counted events in ranges of time, and inside [start, end).

        Of what lasts, also those of the hour that ``start`` cuts: they count no event.
        """
        aggregates = self.env["usage.aggregate"]
        aggregation = AGGREGATIONS[definition.aggregation]
        begins, ends = zip(*ranges, strict=True)
        return SQL(
            """
            SELECT 0 AS key, account_id, %(start)s AS span_start, %(end)s AS span_end, dimensions, time AS at,
                time AS until, %(columns)s
            FROM (
                SELECT e.account_id, e.time, e.id, %(dimensions)s AS dimensions, %(value)s AS value
                FROM unnest(%(begins)s::timestamp[], %(ends)s::timestamp[]) cut(begins, ends)
                JOIN usage_event e ON %(in_cut)s
                WHERE e.account_id IN (SELECT id FROM usage_account WHERE source_id = %(source)s)
                    AND %(is_between)s AND %(is_of)s AND %(counted)s AND %(account)s
            ) e
            WHERE value IS NOT NULL
            """,
            start=SQL("%s::timestamp", start),
            columns=aggregates._sql_event_columns(aggregation, SQL("(time >= %s)::int", start)),
            dimensions=aggregates._sql_dimensions(definition),
            value=aggregates._sql_value(definition),
            begins=list(begins),
            ends=list(ends),
            source=sender.source_id,
            in_cut=aggregates._sql_is_between(SQL("cut.begins"), SQL("cut.ends")),
            is_between=aggregates._sql_is_between(floor_hour(start) if aggregation.carries else start, end),
            end=SQL("%s::timestamp", end),
            is_of=aggregates._sql_is_of(definition),
            counted=aggregates._sql_is_counted(),
            account=self._sql_account(sender, question),
        )

    def _sql_carried(self, sender, question, definition, start, end):
        """The levels before ``start``, of each account: of hours, and of events before the definition."""
        aggregates = self.env["usage.aggregate"]
        first, _last = definition._period()
        origins = SQL(
            """
            (
                SELECT 0 AS key, account_id, %(meter)s AS meter_id, %(start)s::timestamp AS span_start,
                    %(end)s::timestamp AS span_end, %(first)s::timestamp AS first
                FROM (SELECT id AS account_id FROM usage_account WHERE source_id = %(source)s) accounts
                WHERE %(account)s
            ) s
            """,
            meter=self._meter_id(definition),
            start=start,
            end=end,
            first=first,
            source=sender.source_id,
            account=self._sql_account(sender, question),
        )
        carried = [aggregates._sql_carried_hours(origins, SQL("'infinity'"))]
        if first:
            counted = aggregates._sql_is_counted()
            carried.append(aggregates._sql_carried_events_of(definition, origins, SQL("s.first"), counted))
        return carried

    def _sql_lasting(self, question, rows):
        """Rows with numbers of windows: of what hours hold, and of the levels that last beyond them."""
        return SQL(
            """
            (WITH windows AS (SELECT %(starts)s::timestamp[] AS starts, %(bounds)s::timestamp[] AS bounds),
            lasting AS (%(lasts)s)
            SELECT width_bucket(at, starts) - 1 AS number, account_id, dimensions, total, event_count
            FROM lasting, windows WHERE event_count > 0
            UNION ALL
            SELECT number, account_id, dimensions, last_value * %(seconds)s, 0
            FROM lasting, windows, generate_series(
                width_bucket(lasts_from, starts) - 1,
                width_bucket(lasts_until - interval '1 microsecond', starts) - 1
            ) number
            WHERE lasts_from < lasts_until AND last_value <> 0)
            """,
            starts=question.starts,
            bounds=[*question.starts, question.end],
            lasts=self.env["usage.aggregate"]._sql_lasts(rows),
            seconds=seconds(
                SQL("greatest(lasts_from, bounds[number + 1])"), SQL("least(lasts_until, bounds[number + 2])")
            ),
        )

    def _sql_account(self, sender, question):
        """Whether ``account_id`` is the account that is asked for, if one is."""
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
