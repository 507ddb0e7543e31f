"""Parts: a peak (or sum) per hour or day, tiers per group; each part is priced by itself."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

from ..decimals import ZERO
from ..errors import UsageError
from ..fields import Fields
from ..models.time_of_day import parse_zone
from ..nested import lots_of
from ..periods import local_date, local_midnight
from ..values import Record, Usage
from ..work import Work
from .base import Step
from .commitment import Commitment
from .credit import Credit

#: How the records of one bucket become its quantity.
AGGREGATIONS: dict[str, Callable[[list[Decimal]], Decimal]] = {
    "max": max,
    "min": min,
    "sum": lambda quantities: sum(quantities, ZERO),
    "last": lambda quantities: quantities[-1],
}
INTERVALS = ("hour", "day")
EMPTY = ("skip", "zero")


@dataclass(frozen=True, slots=True)
class Bucket:
    """``bucket``: ``{"interval": hour or day, "aggregation": max, min, sum or last, "tz": …}``.

    Hours and days are those of the zone ``tz`` (UTC). ``empty``: whether a bucket without usage is
    left out (``skip``) or priced with a quantity of ``zero``, which needs ``Usage.period``.
    """

    interval: str
    aggregation: str
    tz: str
    fill: bool

    @classmethod
    def parse(cls, fields: Fields) -> "Bucket | None":
        """Read ``bucket``."""
        own = fields.child("bucket", None)
        if own is None:
            return None
        bucket = cls(
            own.choice("interval", INTERVALS),
            own.choice("aggregation", AGGREGATIONS),
            parse_zone(own).key,
            own.choice("empty", EMPTY, "skip") == "zero",
        )
        own.finish()
        return bucket

    def start(self, at: datetime | None) -> datetime:
        """Return the start, in naive UTC, of the bucket that contains ``at``.

        >>> Bucket("hour", "max", "Asia/Kathmandu", False).start(datetime(2026, 1, 1, 9, 20))
        datetime.datetime(2026, 1, 1, 9, 15)
        """
        if at is None:
            raise UsageError("a price by bucket needs records with the time they happened")
        if self.interval == "day":
            return local_midnight(local_date(at, self.tz), self.tz)
        local = at.replace(tzinfo=timezone.utc).astimezone(ZoneInfo(self.tz))
        return at - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)

    def quantity(self, records: Iterable[Record]) -> Decimal:
        """Return the quantity of one bucket; zero without records."""
        quantities = [record.quantity for record in records]
        return AGGREGATIONS[self.aggregation](quantities) if quantities else ZERO

    def starts(self, usage: Usage) -> Iterable[datetime]:
        """Yield the start of every bucket of the period in which the price is in force."""
        if usage.period is None:
            raise UsageError('a bucket with "empty": "zero" needs to know the period')
        at = self.start(usage.period[0])
        while at < usage.period[1]:
            if usage.in_force is None or usage.in_force(at):
                yield at
            at = self._next(at)

    def _next(self, start: datetime) -> datetime:
        if self.interval == "day":
            day = local_date(start, self.tz) + timedelta(days=1)
            return local_midnight(day, self.tz)
        return self.start(start + timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class Parts(Step):
    """Sort records by bucket and by the dimensions of ``group_by``, and take ``steps`` for each.

    Every part has tiers, packages and rounding of its own; the lines are then added up.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> price = parse_price({"model": "package", "package_size": "100", "package_amount": "5",
    ...                      "bucket": {"interval": "hour", "aggregation": "max"}})
    >>> peaks = [Record(50, at=datetime(2026, 1, 1, 9)), Record(70, at=datetime(2026, 1, 1, 9, 30)),
    ...          Record(150, at=datetime(2026, 1, 1, 10))]
    >>> rate(price, Usage.of(peaks), Currency("USD")).amount
    Decimal('15.00')
    """

    bucket: Bucket | None
    group_by: tuple[str, ...]
    steps: tuple[Step, ...] = ()

    @property
    def fills(self) -> bool:
        """Whether there are parts without any record."""
        return self.bucket is not None and self.bucket.fill

    @classmethod
    def parse(cls, fields: Fields) -> "Parts | None":
        """Read ``bucket`` and ``group_by``; the steps are added by :mod:`rating.order`."""
        bucket, names = Bucket.parse(fields), fields.get("group_by", ())
        listed = isinstance(names, (list, tuple)) and all(isinstance(x, str) for x in names)
        if not listed:
            raise fields.error("group_by", "is not a list", 'write dimensions, as ["region"]')
        return cls(bucket, tuple(names)) if bucket or names else None

    def apply(self, work: Work):
        """Take the steps for each part, in the order of groups and time."""
        usage = work.usage
        if usage.quantity and not usage.records:
            raise UsageError("a price by bucket or group needs records, not only a quantity")
        allowance = self._allowance(work)
        credit = [step.credit for step in self.steps if isinstance(step, Credit)] or None
        for key, (records, billed) in sorted(self._lots(usage).items(), key=_by_key):
            part = self._part(work, records, billed)
            part.allowance, part.credit = allowance, credit
            self._take_steps(part)
            work.absorb(part, self._label(key))

    def _take_steps(self, part: Work):
        for step in self.steps:
            step.apply(part)

    def _allowance(self, work: Work) -> list[Decimal] | None:
        """Return the included quantity that the parts share, if there is one."""
        for step in self.steps:
            if hasattr(step, "allowance"):
                return step.allowance(work)
        return None

    def _lots(self, usage: Usage) -> dict[tuple, tuple[list[Record], list[Record]]]:
        lots = lots_of(usage, self._key)
        if self.fills:
            groups = {key[0] for key in lots} or ({()} if not self.group_by else set())
            for start in self.bucket.starts(usage):
                for group in groups:
                    lots.setdefault((group, start), ([], []))
        return lots

    def _key(self, record: Record) -> tuple:
        group = tuple(record.dimensions.get(name, "") for name in self.group_by)
        return group, self.bucket.start(record.at) if self.bucket else None

    def _label(self, key: tuple) -> dict:
        group, start = key
        label = dict(zip(self.group_by, group, strict=True))
        return label | ({"bucket": start.isoformat()} if start else {})

    def _part(self, work: Work, records: list[Record], billed: list[Record]) -> Work:
        """Return the work on one part, its marks set by the bucket's aggregation."""
        usage = work.usage.part(records, billed)
        if billed:
            usage = replace(usage, billed_amount=self._spent_before(work, billed))
        part = Work(usage, work.currency)
        if self.bucket:
            part.before = self.bucket.quantity(billed)
            part.after = self.bucket.quantity([*billed, *records])
        return part

    def _spent_before(self, work: Work, billed: list[Record]) -> Decimal:
        """Return what the records of earlier invoices cost, without a commitment's terms."""
        part = self._part(work, billed, [])
        for step in self.steps:
            if not isinstance(step, Commitment):
                step.apply(part)
        return part.total()


def _by_key(item: tuple) -> tuple:
    (group, start), _ = item
    return group, start or datetime.min
