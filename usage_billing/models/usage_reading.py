"""Usage in the shape that a price needs: totals, hours, or events, with the dimensions it looks at."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from odoo import api, models
from odoo.tools import SQL, groupby

from odoo.addons.usage_connector_base.aggregations import AGGREGATIONS, Span, Window
from odoo.addons.usage_connector_base.models.usage_aggregate_quantities import Piece

from .. import rating
from ..numbers import exact
from ..rating.decimals import quotient
from ..rating.periods import local_date
from ..terms import EVENTS, HOURS, WHOLE, Need

HOUR = timedelta(hours=1)
MONEY = r"^-?[0-9]+(\.[0-9]+)?$"


class Reading(NamedTuple):
    """What to read for one price: a window, in the shape of a need."""

    window: Window
    need: Need
    #: Names from the event's data down to its money; empty where the price needs none.
    amount_path: tuple = ()
    #: Instant (naive UTC) from which on usage is read by itself, because it is free before; None for no such.
    cut: datetime | None = None

    def parts(self):
        """Return [(instant, reading)]: what is read from an instant on, None where nothing is cut."""
        if not self.cut:
            return [(None, self)]
        meter, spans = self.window
        edges = (datetime.min, self.cut), (self.cut, datetime.max)
        return [(edge[0], self._replace(window=Window.within(meter, spans, *edge), cut=None)) for edge in edges]

    @property
    def in_pieces(self):
        """Whether more than the total is needed."""
        return bool(self.need.pieces or self.need.dimensions)

    @property
    def shape(self):
        """What decides the query: :class:`Shape`."""
        zones = sorted(zone for zone in self.need.zones if self._cuts_hours(zone))
        hours = self.need.pieces == HOURS
        return Shape(hours, zones[0] if zones and hours else "", self.need.dimensions)

    def _cuts_hours(self, zone):
        """Whether hours of a time zone are not hours of UTC, at either end of the window."""
        edges = [edge for span in self.window.spans for edge in (span.start, span.end)]
        return any(offset(zone, edge) % HOUR for edge in edges)


class Shape(NamedTuple):
    """How pieces are put together: by hours or not, of a zone that cuts those of UTC, by dimensions."""

    hours: bool
    zone: str
    dimensions: frozenset


class UsageReading(models.AbstractModel):
    _name = "usage.reading"
    _description = "Reading Usage for Prices"

    @api.model
    def _records(self, readings):
        """Return the usage of every reading in pieces, with one query for all that need no event.

        What is read before and after a cut is two pieces at least, each aggregated by itself.

        An hour, or the usage of some dimensions, is what the meter's aggregation makes of it for
        each account, added up. Pieces come in the order of time, then dimensions; events of the
        same instant in the order in which they were received. The same facts always give the same
        pieces.

        :param readings: list of :class:`Reading`
        :return: list of tuples of ``rating.Record``, empty where the total does
        """
        parts = [(key, since, part) for key, reading in enumerate(readings) for since, part in reading.parts()]
        found = self._of_parts([part for _key, _since, part in parts])
        found.update(self._of_totals([(n, part) for n, (_key, since, part) in enumerate(parts) if since]))
        records = [[] for _reading in readings]
        for n, (key, since, _part) in enumerate(parts):
            records[key] += [_from(since, record) for record in found.get(n, ())]
        return list(map(tuple, records))

    def _of_parts(self, readings):
        """Return {position: records} of the readings that need more than their total."""
        wanted = [(key, reading) for key, reading in enumerate(readings) if reading.in_pieces]
        from_events = [item for item in wanted if item[1].need.pieces == EVENTS]
        by_hour = [item for item in wanted if item[1].need.pieces != EVENTS]
        return {**self._of_hours(by_hour), **self._of_events(from_events)}

    def _of_totals(self, items):
        """Return {key: records}: one record for the total, where that is all that is needed."""
        items = [(key, reading) for key, reading in items if not reading.in_pieces]
        quantities = self.env["usage.aggregate"]._quantities([reading.window for _key, reading in items])
        return {key: [rating.Record(found)] for (key, _reading), found in zip(items, quantities, strict=True)}

    # -- hours, or the dimensions of the whole -------------------------------------------------

    def _of_hours(self, items):
        """Return {key: records}: what the meters' aggregations make of each hour, or of the whole."""
        self.env["usage.aggregate"].flush_model()
        by_query = groupby(self._pieces(items), key=lambda item: (_aggregation(item[0]), item[1].shape))
        selects = [
            self._sql_pieces(aggregation, shape, [piece for piece, _reading in found])
            for (aggregation, shape), found in by_query
        ]
        if not selects:
            return {}
        query = SQL(
            """
            SELECT key, hour, dimensions, sum(quantity)::text FROM (%s) pieces WHERE quantity IS NOT NULL
            GROUP BY key, hour, dimensions
            """,
            SQL(" UNION ALL ").join(selects),
        )
        records = {}
        for key, hour, dimensions, quantity in self.env.execute_query(query):
            records.setdefault(key, []).append(rating.Record(Decimal(quantity), None, hour, dimensions))
        return {key: sorted(found, key=_order) for key, found in records.items()}

    def _pieces(self, items):
        """Return [(Piece, Reading)]: the parts of spans, each counted by one definition of its meter."""
        aggregate = self.env["usage.aggregate"]
        definitions = {reading.window.meter: reading.window.meter._definitions() for _key, reading in items}
        return [
            (Piece(key, definition, Span(span.account_id, *part)), reading)
            for key, reading in items
            for span in reading.window.spans
            for definition, *part in aggregate._parts_by_definition(
                definitions[reading.window.meter], span.start, span.end
            )
        ]

    def _sql_pieces(self, aggregation, shape, pieces):
        """Rows of key, hour, dimensions and quantity, a quantity being of one account."""
        aggregate = self.env["usage.aggregate"]
        if shape.zone:
            rows = SQL(" UNION ALL ").join(
                aggregate._sql_events(
                    aggregation, [(piece, *piece.span[1:]) for piece in pieces], aggregate._sql_is_counted()
                )
            )
        else:
            rows = aggregate._sql_rows(aggregation, pieces)
        return SQL(
            """
            SELECT key, hour, kept AS dimensions, %(quantity)s AS quantity
            FROM (SELECT counted.*, %(hour)s AS hour, %(kept)s AS kept FROM (%(rows)s) counted) sorted
            GROUP BY key, account_id, hour, kept
            """,
            quantity=aggregation.quantity(),
            hour=_sql_hour(shape),
            kept=_sql_kept(shape.dimensions),
            rows=rows,
        )

    # -- events -------------------------------------------------------------------------------

    def _of_events(self, items):
        """Return {key: records} from the events, one query for each definition and place of money."""
        by_query = groupby(self._pieces(items), key=lambda item: (item[0].definition, item[1].amount_path))
        events = {}
        for (definition, path), found in by_query:
            query = self._sql_money(definition, path, [piece for piece, _reading in found])
            for key, *event in self.env.execute_query(query):
                events.setdefault(key, []).append(event)
        return {key: self._event_records(sorted(events.get(key, ())), reading.need) for key, reading in items}

    def _sql_money(self, definition, path, pieces):
        """The events of a definition: key, time, id, what each counts, its money, its dimensions as text."""
        aggregate = self.env["usage.aggregate"]
        return SQL(
            """
            SELECT key, time, id, value::text, CASE WHEN money ~ %(number)s THEN money END,
                (SELECT jsonb_object_agg(name, value) FROM jsonb_each_text(dimensions) d(name, value))
            FROM (
                SELECT s.key, e.time, e.id, %(dimensions)s AS dimensions, %(value)s AS value, %(money)s AS money
                FROM %(spans)s JOIN usage_event e ON e.account_id = s.account_id AND %(is_between)s
                WHERE %(is_of)s AND %(is_counted)s
            ) e
            WHERE value IS NOT NULL
            """,
            number=MONEY,
            dimensions=aggregate._sql_dimensions(definition),
            value=aggregate._sql_value(definition),
            money=SQL("e.data #>> %s", list(path)) if path else SQL("NULL::text"),
            spans=aggregate._sql_spans([(piece, *piece.span[1:]) for piece in pieces]),
            is_between=aggregate._sql_is_between(SQL("s.first"), SQL("s.last")),
            is_of=aggregate._sql_is_of(definition),
            is_counted=aggregate._sql_is_counted(),
        )

    def _event_records(self, events, need):
        return [
            rating.Record(Decimal(value), money and Decimal(money), at, _kept(dimensions or {}, need))
            for at, _id, value, money, dimensions in events
        ]


def _aggregation(piece):
    return AGGREGATIONS[piece.definition.aggregation]


def _from(since, record):
    """Return a record as of an instant where it tells none, or that of the hour in which it lies."""
    return replace(record, at=max(record.at or since, since)) if since else record


def _order(record):
    """Hours in their order, and dimensions within them."""
    return record.at or datetime.min, sorted(record.dimensions.items())


def _sql_hour(shape):
    """The begin of the hour of a row, in the shape's zone; NULL where hours are not asked for."""
    if not shape.hours:
        return SQL("NULL::timestamp")
    if not shape.zone:
        return SQL("date_trunc('hour', at)")
    local = SQL("(at AT TIME ZONE 'UTC' AT TIME ZONE %s)", shape.zone)
    return SQL("at - (%(local)s - date_trunc('hour', %(local)s))", local=local)


def _sql_kept(names):
    """Those dimensions of a row that a price looks at, as text."""
    pairs = [SQL("%s::text, dimensions ->> %s::text", name, name) for name in sorted(names - {WHOLE})]
    if WHOLE in names:
        pairs.append(SQL("%s::text, %s::text", WHOLE, WHOLE))
    return SQL("jsonb_strip_nulls(jsonb_build_object(%s))", SQL(", ").join(pairs))


def _kept(dimensions, need):
    """Return the dimensions that a price looks at."""
    kept = {name: value for name, value in dimensions.items() if name in need.dimensions}
    return {**kept, WHOLE: WHOLE} if WHOLE in need.dimensions else kept


def offset(zone, at):
    """Return how far a time zone is from UTC at an instant (naive UTC)."""
    return at.replace(tzinfo=timezone.utc).astimezone(ZoneInfo(zone)).utcoffset()


class Terms(NamedTuple):
    """When a price was in force for a customer: what a usage must know beside its quantities."""

    price: models.BaseModel
    tz: str
    #: [start, end) in which the price applies, and the billing period around it, naive UTC.
    start: object
    end: object
    period: tuple
    #: First billed instant of the subscription, naive UTC.
    subscribed_at: object

    def need(self):
        """Return the shape in which the usage must be read."""
        return self.price._need(self.tz)

    def trial_end(self):
        """Return the instant at which the trial ends, None for a price without one."""
        days = self.price.trial_days
        return self.subscribed_at + timedelta(days=days) if days else None

    def cut(self):
        """Return the instant at which the trial ends while the price is in force, None where it does not."""
        end = self.trial_end()
        return end if end and self.start < end < self.end else None

    def window(self, spans):
        """Return the window of what was used on these terms; a fee without a meter has none.

        :param spans: of the accounts that are billed
        """
        meter = self.price.meter_id
        return Window.within(meter, spans if meter else (), self.start, self.end)

    def reading(self, window):
        """Return what to read for a window."""
        path = self.price.amount_path if self.price.amount_path else ""
        return Reading(window, self.need(), tuple(path.split(".")) if path else (), self.cut())

    def usage(self, quantity, records, prior=0):
        """Return the ``rating.Usage`` of what was read.

        Raises ``rating.UsageError`` for events that lack the money the price looks at.
        """
        values = {
            "prior_quantity": prior,
            "period": (self.start, self.end),
            "subscribed_at": self.subscribed_at,
            "share": self.share(),
        }
        if not records:
            return rating.Usage(quantity=quantity, **values)
        lacking = sum(record.amount is None for record in records) if self.price.amount_path else 0
        if lacking:
            raise rating.UsageError(
                f"{lacking} events have no number at data.{self.price.amount_path}: correct them, or the price"
            )
        records = [self._with_money(record) for record in records]
        if self.price._counts_from_day():
            records = [self._prorated(record) for record in records]
        return rating.Usage.of(records, **values)

    def _with_money(self, record):
        """Return a record with its money in the unit of the currency; a price in the event tells how it is divided."""
        divisor = exact(self.price.amount_divisor)
        if record.amount is None or divisor == 1 or self.price.model == "event_price":
            return record
        return replace(record, amount=quotient(record.amount, divisor))

    def share(self):
        """Return the part of the period in which the price applies; None for all of it."""
        if (self.start, self.end) == self.period:
            return None
        if self.price.prorate_by == "second":
            return rating.second_share(self.start, self.end, self.period)
        return rating.day_share(
            self._day(self.start), self._day(self.end), (self._day(self.period[0]), self._day(self.period[1]))
        )

    def _day(self, at):
        return local_date(at, self.tz)

    def _prorated(self, record):
        """Return a record with the part of its units that the rest of the period is."""
        whole = self.period
        if self.price.prorate_by == "second":
            share = rating.second_share(record.at, self.end, whole)
        else:
            share = rating.day_share(
                self._day(record.at), self._day(self.end), (self._day(whole[0]), self._day(whole[1]))
            )
        prorated = share.of(record.quantity)
        return rating.Record(record.quantity, record.amount, record.at, record.dimensions, prorated)
