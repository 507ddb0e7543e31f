"""Reading quantities: what billing, signals and reconciliation ask of the hourly usage.

A window becomes rows of whole hours and, where it cuts hours or hours do not add up, rows of
events; both have the columns of ``aggregations/base.py``, and the aggregation makes one quantity of
them for each account. The quantities of several accounts add up.
"""

from decimal import Decimal
from typing import Any, NamedTuple

from odoo import api, models
from odoo.tools import SQL, groupby

from ..aggregations import AGGREGATIONS, Span
from ..aggregations.base import COLUMNS
from ..aggregations.time_weighted import seconds
from ..aggregations.window import floor_hour

COMMA = SQL(", ")
UNION_ALL = SQL(" UNION ALL ")
NAMES = COMMA.join(map(SQL.identifier, COLUMNS))


class Piece(NamedTuple):
    """A part of a span that one definition counts.

    It is read as rows with its key, account_id, span_start and span_end; ``dimensions``; ``at`` and
    ``until``, the time of an event twice, or begin and end of an hour; and the columns of hours.
    """

    key: int  # position of the window
    definition: Any
    span: Span


class UsageAggregate(models.Model):
    _inherit = "usage.aggregate"

    @api.model
    def _quantities(self, windows):
        """What was counted in windows, with one query for all of them.

        Whole hours are read from the hourly usage; the pieces of hours at the ends of spans, and
        what hours cannot be added up to, are counted from the events that are in it. Levels last
        until now at most.

        :param windows: list of :class:`~..aggregations.Window`
        :return: list of Decimals in the order given, in the unit of each window's meter
        """
        return self._read_windows(windows, self._sql_rows)

    @api.model
    def _quantities_from_events(self, windows):
        """The same as :meth:`_quantities`, from all stored events: to compare the two."""
        return self._read_windows(windows, self._sql_rows_of_all_events)

    def _read_windows(self, windows, sql_rows):
        """Quantities of windows.

        :param sql_rows: function of an aggregation and its pieces to the rows to put together
        """
        return self._read_query(self._sql_windows(windows, sql_rows), len(windows))

    def _sql_quantities(self, windows):
        """The query of :meth:`_quantities`, to be read by :meth:`_read_query` as often as it is needed.

        Levels last until the moment at which it was made.
        """
        return self._sql_windows(windows, self._sql_rows)

    def _read_query(self, query, count):
        """Quantities, as many as the windows were that a query was made for."""
        self.flush_model()
        quantities = dict(self.env.execute_query(query)) if query else {}
        return [Decimal(quantities.get(key, 0)) for key in range(count)]

    def _sql_windows(self, windows, sql_rows):
        """The query of pairs of a window's position and its quantity as text; None where there is nothing to read."""
        definitions = {meter: meter._definitions() for meter in {window.meter for window in windows if window.spans}}
        pieces = [
            Piece(key, definition, Span(span.account_id, *part))
            for key, window in enumerate(windows)
            for span in window.spans
            for definition, *part in self._parts_by_definition(definitions[window.meter], span.start, span.end)
        ]
        by_aggregation = groupby(pieces, key=lambda piece: AGGREGATIONS[piece.definition.aggregation])
        selects = [self._sql_by_account(aggregation, sql_rows(aggregation, own)) for aggregation, own in by_aggregation]
        if not selects:
            return None
        return SQL(
            "SELECT key, sum(quantity)::text FROM (%s) counted WHERE quantity IS NOT NULL GROUP BY key",
            UNION_ALL.join(selects),
        )

    @api.model
    def _parts_by_definition(self, definitions, start, end):
        """The part of [start, end), naive UTC, in which each definition is valid: definition, start and end.

        What lasts does so until now, and not into the future.
        """
        parts = []
        for definition in definitions:
            first, last = definition._period()
            now = self.env.cr.now() if AGGREGATIONS[definition.aggregation].carries else end
            part = max(start, first or start), min(end, last or end, now)
            if part[0] < part[1]:
                parts.append((definition, *part))
        return parts

    def _sql_by_account(self, aggregation, rows):
        if aggregation.carries:
            rows = self._sql_lasting(rows)
        return SQL(
            "SELECT key, account_id, %s AS quantity FROM (%s) counted GROUP BY key, account_id",
            aggregation.quantity(),
            rows,
        )

    # -- rows -------------------------------------------------------------------------------

    def _sql_rows(self, aggregation, pieces):
        """Rows of hours, and of counted events where hours do not do."""
        hours, parts, selects = [], [], []
        for piece in pieces:
            whole = piece.span.hours() if aggregation.merges_hours else None
            if whole:
                hours.append((piece, *whole))
            cuts = piece.span.parts() if aggregation.merges_hours else [piece.span[1:]]
            for start, end in cuts:
                # What lasts is looked for from the begin of the hour on, and in the hours before it.
                parts.append((piece, floor_hour(start) if aggregation.carries else start, end))
        if hours:
            selects.append(self._sql_hours(hours))
        selects += self._sql_events(aggregation, parts, self._sql_is_counted())
        if aggregation.carries:
            selects += self._sql_carried(pieces)
        return UNION_ALL.join(selects)

    def _sql_rows_of_all_events(self, aggregation, pieces):
        """Rows of all stored events, counted yet or not."""
        parts = [(piece, *piece.span[1:]) for piece in pieces]
        selects = self._sql_events(aggregation, parts, self._sql_is_valid())
        if aggregation.carries:
            selects += self._sql_carried_from_all_events(pieces)
        return UNION_ALL.join(selects)

    def _sql_spans(self, rows):
        """Spans as a relation ``s`` of key, account_id, meter_id, span_start, span_end, first, last.

        :param list rows: of a :class:`Piece`, and first and last, the range to read for it
        """
        columns = [
            (piece.key, piece.span.account_id, self._meter_of(piece.definition).id, *piece.span[1:], first, last)
            for piece, first, last in rows
        ]
        return SQL(
            """
            unnest(%s::int[], %s::int[], %s::int[], %s::timestamp[], %s::timestamp[], %s::timestamp[], %s::timestamp[])
                AS s(key, account_id, meter_id, span_start, span_end, first, last)
            """,
            *(list(column) for column in zip(*columns, strict=True)),
        )

    def _sql_hours(self, rows):
        """Rows of whole hours, in the order in which they are put together, so that nothing is sorted for it."""
        return SQL(
            """
            SELECT s.key, s.account_id, s.span_start, s.span_end, dimensions, hour AS at,
                hour + interval '1 hour' AS until, %s
            FROM (SELECT * FROM %s ORDER BY key, account_id) s
                JOIN usage_aggregate a ON a.account_id = s.account_id AND a.meter_id = s.meter_id
                AND a.hour >= s.first AND a.hour < s.last
            """,
            NAMES,
            self._sql_spans(rows),
        )

    def _sql_events(self, aggregation, rows, condition):
        """One query for each definition, of its events under a condition."""
        by_definition = groupby(rows, key=lambda row: row[0].definition)
        return [
            self._sql_events_of(aggregation, definition, own, condition) for definition, own in by_definition if own
        ]

    def _sql_events_of(self, aggregation, definition, rows, condition):
        return SQL(
            """
            SELECT key, account_id, span_start, span_end, dimensions, time AS at, time AS until, %(columns)s
            FROM (
                SELECT s.key, s.account_id, s.span_start, s.span_end, e.time, e.id,
                    %(dimensions)s AS dimensions, %(value)s AS value
                FROM %(spans)s JOIN usage_event e ON e.account_id = s.account_id AND %(is_between)s
                WHERE %(is_of)s AND %(condition)s
            ) e
            WHERE value IS NOT NULL
            """,
            columns=self._sql_event_columns(aggregation, SQL("(time >= span_start)::int")),
            dimensions=self._sql_dimensions(definition),
            value=self._sql_value(definition),
            spans=self._sql_spans(rows),
            is_between=self._sql_is_between(SQL("s.first"), SQL("s.last")),
            is_of=self._sql_is_of(definition),
            condition=condition,
        )

    @api.model
    def _sql_event_columns(self, aggregation, event_count):
        """The columns of hours for a row that is one event ``e``, with its time, id and value.

        :param SQL event_count: 1, or 0 for an event that is only read for what lasts of it
        """
        filled = {"event_count": event_count, **aggregation.of_event()}
        types = COLUMNS if aggregation.merges_hours else {**COLUMNS, "last_value": SQL("text")}
        return COMMA.join(
            SQL("(%s)::%s AS %s", filled.get(name, SQL("NULL")), types[name], SQL.identifier(name)) for name in COLUMNS
        )

    # -- what lasts -------------------------------------------------------------------------

    def _sql_lasting(self, rows):
        """Rows with ``total``, in level × seconds, of what they hold and of what lasts beyond them."""
        return SQL(
            """
            SELECT key, account_id, coalesce(total, 0)
                + CASE WHEN lasts_from < lasts_until THEN last_value * %s ELSE 0 END AS total
            FROM (%s) lasting
            """,
            seconds(SQL("lasts_from"), SQL("lasts_until")),
            self._sql_lasts(rows),
        )

    @api.model
    def _sql_lasts(self, rows):
        """Rows with the range in which the level of each lasts inside its span: ``lasts_from``, ``lasts_until``.

        That of an hour lasts from the hour's end, up to which its ``total`` has it.
        """
        return SQL(
            """
            SELECT points.*, greatest(until, span_start) AS lasts_from,
                least(lead(first_time) OVER (
                    PARTITION BY key, account_id, span_start, dimensions ORDER BY first_time, last_event_id NULLS FIRST
                ), span_end) AS lasts_until
            FROM (%s) points
            """,
            rows,
        )

    def _sql_carried(self, pieces):
        """The levels before spans: of the hours before them, and of the events before their definitions."""
        condition = self._sql_is_counted()
        older = [piece for piece in pieces if piece.definition._period()[0]]
        return [
            self._sql_carried_hours(self._sql_origins(pieces), SQL("'infinity'")),
            *self._sql_carried_events(older, SQL("s.first"), condition),
        ]

    def _sql_carried_from_all_events(self, pieces):
        """The same, of events alone, except where they are so old that they are not stored any more."""
        carried = self._sql_carried_events(pieces, SQL("s.span_start"), self._sql_is_valid())
        replayable = self._replayable_from()
        if replayable:
            carried.append(self._sql_carried_hours(self._sql_origins(pieces), SQL("%s", replayable)))
        return carried

    def _sql_origins(self, pieces):
        """Spans as a relation ``s`` of key, account_id, meter_id, span_start, span_end and ``first``.

        ``first`` is when the definition begins, NULL when it always was the meter's.
        """
        return SQL(
            "(SELECT key, account_id, meter_id, span_start, span_end, first FROM %s) s",
            self._sql_spans([(piece, piece.definition._period()[0], None) for piece in pieces]),
        )

    @api.model
    def _sql_carried_hours(self, origins, before):
        """The last hour of each dimensions before a span, as a row that counts no event."""
        return SQL(
            """
            SELECT key, account_id, span_start, span_end, dimensions, hour AS at, hour + interval '1 hour' AS until, %s
            FROM (
                SELECT DISTINCT ON (s.key, s.account_id, s.span_start, a.dimensions)
                    s.key, s.account_id, s.span_start, s.span_end, a.dimensions, a.hour, a.last_value,
                    NULL::numeric AS quantity, 0 AS event_count, 0::numeric AS total, a.hour AS first_time,
                    NULL::timestamp AS last_time, NULL::bigint AS last_event_id
                FROM %s JOIN usage_aggregate a ON a.account_id = s.account_id AND a.meter_id = s.meter_id
                    AND a.hour < date_trunc('hour', s.span_start) AND a.hour < %s
                    AND (s.first IS NULL OR a.hour >= s.first)
                ORDER BY s.key, s.account_id, s.span_start, a.dimensions, a.hour DESC
            ) carried
            """,
            NAMES,
            origins,
            before,
        )

    def _sql_carried_events(self, pieces, before, condition):
        """The last events before spans, one query for each definition."""
        by_definition = groupby(pieces, key=lambda piece: piece.definition)
        return [
            self._sql_carried_events_of(definition, self._sql_origins(own), before, condition)
            for definition, own in by_definition
        ]

    @api.model
    def _sql_carried_events_of(self, definition, origins, before, condition):
        """The last event of each dimensions before a moment, as a row that counts no event.

        It may be older than the definition, which says what it set.

        :param SQL origins: relation ``s``, see :meth:`_sql_origins`
        :param SQL before: the moment, such as ``s.span_start``
        :param SQL condition: which events
        """
        return SQL(
            """
            SELECT key, account_id, span_start, span_end, dimensions, time AS at, time AS until, %(columns)s
            FROM (
                SELECT DISTINCT ON (key, account_id, span_start, dimensions) *
                FROM (
                    SELECT s.key, s.account_id, s.span_start, s.span_end, e.time, e.id,
                        %(dimensions)s AS dimensions, %(value)s AS value
                    FROM %(origins)s JOIN usage_event e ON e.account_id = s.account_id AND e.time < %(before)s
                        AND date_trunc('hour', e.time) <= date_trunc('hour', %(before)s)
                    WHERE e.company_id = %(company)s AND %(is_of_type)s AND %(condition)s
                ) counted
                WHERE value IS NOT NULL
                ORDER BY key, account_id, span_start, dimensions, time DESC, id DESC
            ) e
            """,
            columns=self._sql_event_columns(AGGREGATIONS[definition.aggregation], SQL("0")),
            dimensions=self._sql_dimensions(definition),
            value=self._sql_value(definition),
            origins=origins,
            before=before,
            company=self._meter_of(definition).company_id.id,
            is_of_type=self._sql_is_of_type(definition),
            condition=condition,
        )
