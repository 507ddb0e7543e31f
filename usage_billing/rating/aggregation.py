"""Quantities that depend on time: a level held for a while, units added for the rest of a period."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext

from .decimals import CONTEXT, ZERO, quotient, to_decimal

MICROSECOND = timedelta(microseconds=1)


def weighted_sum(
    changes: Iterable[tuple[datetime, Decimal]],
    period: tuple[datetime, datetime],
    opening: Decimal = ZERO,
) -> Decimal:
    """Return the average level over [start, end): the level's integral by the period's length.

    ``changes`` are (time, change of the level) in any order, ``opening`` the level at the start.
    Changes at the same time all count; those before the start belong into ``opening`` and raise
    ``ValueError``, those from the end on do not count.

    >>> changes = [(datetime(2026, 1, 1, 6), 10), (datetime(2026, 1, 1, 18), -10)]
    >>> weighted_sum(changes, (datetime(2026, 1, 1), datetime(2026, 1, 2)))
    Decimal('5')
    """
    start, end = period
    with localcontext(CONTEXT):
        area = to_decimal(opening) * ((end - start) // MICROSECOND)
        for at, change in changes:
            if at < start:
                raise ValueError("a change before the period belongs into the opening level")
            area += to_decimal(change) * (max(end - at, timedelta()) // MICROSECOND)
        return quotient(area, Decimal((end - start) // MICROSECOND))


def prorated_sum(added: Iterable[tuple[date, Decimal]], period: tuple[date, date], opening: Decimal = ZERO) -> Decimal:
    """Return units weighted by the days of [start, end) they were there, the first day included.

    ``added`` are (day, units added), ``opening`` the units there from the start. A day outside
    the period raises ``ValueError``.

    >>> period = (date(2026, 6, 1), date(2026, 7, 1))
    >>> prorated_sum([(date(2026, 6, 16), 10)], period, opening=5)
    Decimal('10')
    """
    start, end = period
    with localcontext(CONTEXT):
        days = to_decimal(opening) * (end - start).days
        for day, units in added:
            if not start <= day < end:
                raise ValueError(f"{day} is outside the period")
            days += to_decimal(units) * (end - day).days
        return quotient(days, Decimal((end - start).days))
