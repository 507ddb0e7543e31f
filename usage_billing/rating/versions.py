"""Price versions: a period split where its price, or its plan, changes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from .decimals import ZERO
from .errors import UsageError
from .price import Price, rate
from .proration import second_share
from .values import Charge, Currency, Record, Usage, total


@dataclass(frozen=True, slots=True)
class VersionCharge:
    """What one version of a price made of its part [start, end) of a period."""

    start: datetime
    end: datetime
    charge: Charge


def rate_versions(
    versions: Iterable[tuple[datetime, Price]],
    records: Iterable[Record],
    period: tuple[datetime, datetime],
    currency: Currency,
) -> list[VersionCharge]:
    """Return a charge for each version in force in a period; usage is priced by its own date.

    ``versions`` are (valid from, price); the first must be valid when the period starts. Each
    charge knows the share of the period for what the price prorates, and the units used under
    earlier versions for prices whose tiers count on (``tiers_at_price_change``).
    Raises ``UsageError`` for a period, or a record, without a version.

    >>> from .price import parse_price
    >>> old, new = (parse_price({"model": "per_unit", "unit_amount": n}) for n in "12")
    >>> may = datetime(2026, 5, 1), datetime(2026, 6, 1)
    >>> records = [Record(100, at=datetime(2026, 5, day)) for day in (2, 10)]
    >>> versions = [(may[0], old), (datetime(2026, 5, 8), new)]
    >>> [str(v.charge.amount) for v in rate_versions(versions, records, may, Currency("USD"))]
    ['100.00', '200.00']
    """
    records = tuple(records)
    parts = list(_parts(versions, period))
    if any(record.at is None or not period[0] <= record.at < period[1] for record in records):
        raise UsageError("every record must have a time inside the period")
    charges, prior = [], ZERO
    for start, end, price in parts:
        own = [record for record in records if start <= record.at < end]
        usage = Usage.of(
            own,
            prior_quantity=prior,
            share=second_share(start, end, period),
            period=(start, end),
        )
        charges.append(VersionCharge(start, end, rate(price, usage, currency)))
        prior += total(own)
    return charges


def _parts(versions: Iterable, period: tuple[datetime, datetime]) -> Iterator[tuple]:
    """Yield (start, end, price) of the versions in force within a period."""
    ordered = sorted(versions, key=lambda version: version[0])
    if not ordered or ordered[0][0] > period[0]:
        raise UsageError("no version of the price is valid when the period starts")
    ends = [valid_from for valid_from, _ in ordered[1:]] + [period[1]]
    for (valid_from, price), end in zip(ordered, ends, strict=True):
        start, end = max(valid_from, period[0]), min(end, period[1])
        if start < end:
            yield start, end, price


def sort_late(
    records: Iterable[Record], bounds: Iterable[datetime], lookback: int
) -> tuple[dict[int, list[Record]], list[Record]]:
    """Sort records by the period they belong to; those too late for it are held for a person.

    ``bounds`` are the boundaries of consecutive periods, the last one the open period. Records of
    the open period and of the ``lookback`` periods before it come back by period (0: the first of
    ``bounds``), all others in a list of their own; nothing is dropped.

    >>> bounds = [datetime(2026, month, 1) for month in (4, 5, 6, 7, 8)]
    >>> records = [Record(1, at=datetime(2026, 4, 30)), Record(2, at=datetime(2026, 5, 1))]
    >>> by_period, held = sort_late(records, bounds, lookback=2)
    >>> sorted(by_period), [str(record.quantity) for record in held]
    ([1], ['1'])
    """
    periods = list(pairwise(bounds))
    by_period: dict[int, list[Record]] = {}
    held = []
    for record in records:
        numbers = [n for n, (start, end) in enumerate(periods) if start <= record.at < end]
        if numbers and numbers[0] >= len(periods) - 1 - lookback:
            by_period.setdefault(numbers[0], []).append(record)
        else:
            held.append(record)
    return by_period, held
