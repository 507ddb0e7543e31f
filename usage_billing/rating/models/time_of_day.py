"""Time of day: other prices for some hours of the local day."""

from dataclasses import dataclass
from datetime import datetime, time, timezone
from zoneinfo import ZoneInfo

from ..errors import UsageError
from ..fields import Fields
from ..nested import NestedPrice, lots_of, rate_parts
from ..values import Line, Record
from ..work import Work
from .base import Model


@dataclass(frozen=True, slots=True)
class TimeOfDay(Model):
    """Records are sorted by the local time at which they happened, in the zone ``tz``.

    ``windows`` is a list of ``{"from": "09:00", "to": "12:00", "price": {…}}``, half-open and
    allowed to pass midnight; all other times go to ``default``. A nested price may be of any
    model, for instance with a commitment per hour.

    >>> from datetime import datetime
    >>> from rating import Currency, Usage, parse_price, rate
    >>> def per_unit(amount): return {"model": "per_unit", "unit_amount": amount}
    >>> price = parse_price({"model": "time_of_day", "default": per_unit("1"), "windows": [
    ...     {"from": "22:00", "to": "06:00", "price": per_unit("0.5")}]})
    >>> night, noon = (Record(10, at=datetime(2026, 1, 1, hour)) for hour in (23, 12))
    >>> rate(price, Usage.of([night, noon]), Currency("USD")).amount
    Decimal('15.00')
    """

    name = "time_of_day"
    by_quantity = False

    windows: tuple[tuple[time, time], ...]
    prices: tuple[tuple[dict, NestedPrice], ...]
    tz: ZoneInfo

    @classmethod
    def parse(cls, fields: Fields) -> "TimeOfDay":
        """Read ``windows``, ``default`` and ``tz`` (UTC)."""
        windows, prices = [], []
        for item in fields.items("windows"):
            start, end = _clock(item, "from"), _clock(item, "to")
            if any(_overlap((start, end), other) for other in windows):
                raise item.error("from", "is inside another window", "let windows not overlap")
            windows.append((start, end))
            label = {"from": f"{start:%H:%M}", "to": f"{end:%H:%M}"}
            prices.append((label, item.price("price")))
            item.finish()
        prices.append(({"default": "true"}, fields.price("default")))
        return cls(tuple(windows), tuple(prices), parse_zone(fields))

    def price(self, work: Work) -> list[Line]:
        """Add the lines of every nested price that has records, marked with their window."""
        lots = lots_of(work.usage, self._choose)
        for number, (_, price) in enumerate(self.prices):
            if price.fills_buckets:
                lots.setdefault(number, ([], []))
        rate_parts(work, lots, self.prices, lambda number, at: self._window(at) == number)
        return []

    def _choose(self, record: Record) -> int:
        if record.at is None:
            raise UsageError("a price by time of day needs records with the time they happened")
        return self._window(record.at)

    def _window(self, at: datetime) -> int:
        """Return the number of the window of an instant; the last one is the default."""
        clock = at.replace(tzinfo=timezone.utc).astimezone(self.tz).time()
        for number, (start, end) in enumerate(self.windows):
            if _inside(clock, start, end):
                return number
        return len(self.windows)


def parse_zone(fields: Fields) -> ZoneInfo:
    """Read ``tz``, UTC unless told; raise ``PriceError`` for a zone that does not exist."""
    name = fields.string("tz", "UTC")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        remedy = 'write one such as "Europe/Paris"'
        raise fields.error("tz", f"{name!r} is not a time zone", remedy) from None


def _clock(item: Fields, name: str) -> time:
    """Read a time of day such as 09:00; 24:00 is midnight."""
    written = item.string(name)
    try:
        return time() if written == "24:00" else time.fromisoformat(written)
    except ValueError:
        raise item.error(name, f"is {written!r}", 'write a time such as "09:00"') from None


def _inside(clock: time, start: time, end: time) -> bool:
    if start < end:
        return start <= clock < end
    return clock >= start or clock < end


def _overlap(one: tuple[time, time], other: tuple[time, time]) -> bool:
    return _inside(one[0], *other) or _inside(other[0], *one)
