"""Usage in the shape that a price needs: totals, hours, or events, with the dimensions it looks at."""

from datetime import timedelta
from decimal import Decimal, localcontext
from typing import NamedTuple
from zoneinfo import ZoneInfo

from odoo import api, models
from odoo.tools import SQL

from odoo.addons.usage_connector_base.aggregations import Window

from .. import rating
from ..rating.decimals import CONTEXT
from ..rating.periods import local_date
from ..terms import EVENTS, HOURS, WHOLE, Need

HOUR = timedelta(hours=1)
FOLDED = SQL("EXISTS (SELECT FROM usage_batch b WHERE b.id = e.batch_id AND b.folded_at IS NOT NULL)")
COUNTED = SQL("NOT EXISTS (SELECT FROM usage_correction c WHERE c.event_id = e.id)")
MONEY = r"^-?[0-9]+(\.[0-9]+)?$"


class Reading(NamedTuple):
    """What to read for one price: a window, in the shape of a need."""

    window: Window
    need: Need
    #: Names from the event's data down to its money; empty where the price needs none.
    amount_path: tuple = ()

    @property
    def in_pieces(self):
        """Whether more than the total is needed."""
        return bool(self.need.pieces or self.need.dimensions)

    @property
    def from_events(self):
        """Whether the hourly usage does not do: hours of the need are not hours of UTC."""
        return self.need.pieces == EVENTS or self._off_the_hour()

    def _off_the_hour(self):
        edges = [edge for span in self.window.spans for edge in (span.start, span.end)]
        if any(edge.minute or edge.second or edge.microsecond for edge in edges):
            return True
        zones = self.need.zones if self.need.pieces else ()
        return any(offset(zone, edge) % HOUR for zone in zones for edge in edges)


class UsageReading(models.AbstractModel):
    _name = "usage.reading"
    _description = "Reading Usage for Prices"

    @api.model
    def _records(self, readings):
        """Return the usage of every reading in pieces, with one query for all that is by the hour.

        Pieces come in the order of time, then dimensions; events of the same instant in the order
        in which they were received. The same facts always give the same pieces.

        :param readings: list of :class:`Reading`
        :return: list of tuples of ``rating.Record``, empty where the total does
        """
        wanted = [(key, reading) for key, reading in enumerate(readings) if reading.in_pieces]
        from_events = [item for item in wanted if item[1].from_events]
        by_hour = [item for item in wanted if not item[1].from_events]
        found = {**self._of_hours(by_hour), **self._of_events(from_events)}
        return [tuple(found.get(key, ())) for key in range(len(readings))]

    # -- hours --------------------------------------------------------------------------------

    def _of_hours(self, items):
        """Return {key: records} from the hourly usage."""
        rows = [
            (key, span.account_id, reading.window.meter.id, span.start, span.end, reading.need.pieces == HOURS)
            for key, reading in items
            for span in reading.window.spans
        ]
        if not rows:
            return {}
        self.env["usage.aggregate"].flush_model()
        query = SQL(
            """
            SELECT key, hour, (SELECT jsonb_object_agg(name, value) FROM jsonb_each_text(dimensions) d(name, value)),
                quantity::text
            FROM (
                SELECT s.key, CASE WHEN s.hours THEN a.hour END AS hour, a.dimensions, sum(a.quantity) AS quantity
                FROM unnest(%s::int[], %s::int[], %s::int[], %s::timestamp[], %s::timestamp[], %s::bool[])
                    AS s(key, account_id, meter_id, first, last, hours)
                JOIN usage_aggregate a ON a.account_id = s.account_id AND a.meter_id = s.meter_id
                    AND a.hour >= s.first AND a.hour < s.last
                GROUP BY 1, 2, 3
            ) summed
            """,
            *(list(column) for column in zip(*rows, strict=True)),
        )
        pieces = {key: [] for key, _reading in items}
        for key, hour, dimensions, quantity in self.env.execute_query(query):
            pieces[key].append((hour, dimensions or {}, Decimal(quantity)))
        return {key: _added(pieces[key], reading.need) for key, reading in items}

    # -- events -------------------------------------------------------------------------------

    def _of_events(self, items):
        """Return {key: records} from the events, one query for each meter and place of money."""
        by_query = {}
        for key, reading in items:
            by_query.setdefault((reading.window.meter, reading.amount_path), []).append((key, reading))
        found = {}
        for (meter, path), some in by_query.items():
            found.update(self._of_meter(meter, path, some))
        return found

    def _of_meter(self, meter, path, items):
        rows = [(key, *span) for key, reading in items for span in reading.window.spans]
        events = {key: [] for key, _reading in items}
        if rows:
            for key, *event in self.env.execute_query(self._sql_events(meter, path, rows)):
                events[key].append(event)
        return {key: self._pieces(events[key], reading) for key, reading in items}

    def _sql_events(self, meter, path, rows):
        """The events of a meter: key, time, dimensions as text, what it counts, its money."""
        aggregate = self.env["usage.aggregate"]
        keys, accounts, starts, ends = (list(column) for column in zip(*rows, strict=True))
        return SQL(
            """
            SELECT key, time, (SELECT jsonb_object_agg(name, value) FROM jsonb_each_text(dimensions) d(name, value)),
                value::text, CASE WHEN money ~ %(number)s THEN money END
            FROM (
                SELECT s.key, e.time, e.id, %(dimensions)s AS dimensions, %(value)s AS value,
                    %(money)s AS money
                FROM unnest(%(keys)s::int[], %(accounts)s::int[], %(starts)s::timestamp[], %(ends)s::timestamp[])
                    AS s(key, account_id, first, last)
                JOIN usage_event e ON e.account_id = s.account_id AND e.type = %(type)s
                    AND e.time >= s.first AND e.time < s.last
                WHERE %(folded)s AND %(counted)s
            ) counted
            WHERE value IS NOT NULL ORDER BY key, time, id
            """,
            number=MONEY,
            dimensions=aggregate._sql_dimensions(meter),
            value=aggregate._sql_value(meter),
            money=SQL("e.data #>> %s", list(path)) if path else SQL("NULL::text"),
            type=meter.event_type,
            keys=keys,
            accounts=accounts,
            starts=starts,
            ends=ends,
            folded=FOLDED,
            counted=COUNTED,
        )

    def _pieces(self, events, reading):
        """Return records of events, or of the hours of the customer's zone where those are asked for."""
        need = reading.need
        if need.pieces == EVENTS:
            return [
                rating.Record(Decimal(value), money and Decimal(money), at, _kept(dimensions or {}, need))
                for at, dimensions, value, money in events
            ]
        zone = min(need.zones, default="UTC")
        hours = [
            (floor(at, zone) if need.pieces else None, dimensions or {}, Decimal(value))
            for at, dimensions, value, _money in events
        ]
        return _added(hours, need)


def _added(pieces, need):
    """Return one record for each hour and the dimensions that are looked at, in their order."""
    sums = {}
    with localcontext(CONTEXT):
        for at, dimensions, quantity in pieces:
            key = (at, tuple(sorted(_kept(dimensions, need).items())))
            sums[key] = sums.get(key, Decimal(0)) + quantity
    ordered = sorted(sums.items(), key=lambda item: (item[0][0] is not None and item[0][0], item[0][1]))
    return [rating.Record(quantity, None, at, dict(dimensions)) for (at, dimensions), quantity in ordered]


def _kept(dimensions, need):
    """Return the dimensions that a price looks at."""
    kept = {name: value for name, value in dimensions.items() if name in need.dimensions}
    return {**kept, WHOLE: WHOLE} if WHOLE in need.dimensions else kept


def offset(zone, at):
    """Return how far a time zone is from UTC at an instant (naive UTC)."""
    return ZoneInfo("UTC").fromutc(at.replace(tzinfo=ZoneInfo("UTC"))).astimezone(ZoneInfo(zone)).utcoffset()


def floor(at, zone):
    """Return the start, in naive UTC, of the hour of a time zone that contains ``at``."""
    local = at + offset(zone, at)
    return at - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


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
        need = self.price._need(self.tz)
        trial = self._trial_end()
        if trial and self.start < trial < self.end:
            need |= Need(HOURS if trial == trial.replace(minute=0, second=0) else EVENTS)
        return need

    def _trial_end(self):
        days = self.price.trial_days
        return self.subscribed_at + timedelta(days=days) if days else None

    def reading(self, window):
        """Return what to read for a window."""
        path = self.price.amount_path if self.price.amount_path else ""
        return Reading(window, self.need(), tuple(path.split(".")) if path else ())

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
        if self.price._counts_from_day():
            records = [self._prorated(record) for record in records]
        return rating.Usage.of(records, **values)

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
