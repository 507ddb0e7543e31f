"""Proration: which part of a period something was in force, and what a change then costs."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext

from .decimals import CONTEXT, to_decimal
from .values import Currency, Share


def day_share(start: date, end: date, period: tuple[date, date]) -> Share:
    """Return the part of a period's days on which [start, end) was in force.

    All days are local calendar days, half-open: a day of 23 or 25 hours is one day.

    >>> str(day_share(date(2026, 3, 15), date(2027, 1, 1), (date(2026, 3, 1), date(2026, 4, 1))))
    '17/31'
    """
    first, last = max(start, period[0]), min(end, period[1])
    return Share(max((last - first).days, 0), (period[1] - period[0]).days)


def second_share(start: datetime, end: datetime, period: tuple[datetime, datetime]) -> Share:
    """Return the part of a period's seconds (naive UTC) in which [start, end) was in force.

    >>> noon, midnight = datetime(2026, 1, 1, 12), datetime(2026, 1, 2)
    >>> str(second_share(noon, midnight, (datetime(2026, 1, 1), midnight)))
    '43200/86400'
    """
    first, last = max(start, period[0]), min(end, period[1])
    return Share(_seconds(max(last - first, timedelta())), _seconds(period[1] - period[0]))


def _seconds(length: timedelta) -> Decimal:
    """Return the exact seconds of a length of time, microseconds as decimals."""
    return CONTEXT.divide(Decimal(length // timedelta(microseconds=1)), Decimal(1_000_000))


@dataclass(frozen=True, slots=True)
class Change:
    """What a change within a paid period costs: credit (0 or below), charge, and both together."""

    credit: Decimal
    charge: Decimal

    @property
    def net(self) -> Decimal:
        """The credit and the charge together."""
        return CONTEXT.add(self.credit, self.charge)


def change(old: Decimal, new: Decimal, remaining: Share, currency: Currency) -> Change:
    """Return the credit for the rest of ``old`` and the charge for the rest of ``new``.

    Amounts are those of the whole period, ``remaining`` is its part from the change on. Credit
    and charge are rounded by themselves, because they stand on the invoice as two lines. What is
    added has an ``old`` of 0, what is removed a ``new`` of 0.

    >>> one = change(10, 20, Share(17, 31), Currency("USD"))
    >>> one.credit, one.charge, one.net
    (Decimal('-5.48'), Decimal('10.97'), Decimal('5.49'))
    """
    with localcontext(CONTEXT):
        credit = currency.round(-remaining.of(to_decimal(old)))
        return Change(credit, currency.round(remaining.of(to_decimal(new))))
