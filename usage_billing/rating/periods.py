"""Billing periods: half-open [start, end) in naive UTC, computed from a local calendar.

Period ``n`` starts at local midnight of ``anchor + n × interval``, so the 31st clamps to a short
month's last day and comes back, and a period across a summer-time change is an hour shorter or
longer. Period 0 is the one that contains the anchor date. Starts and ends are computed by the
same function, so periods tile time without gap or overlap.
"""

from calendar import monthrange
from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

#: Months in an interval that is counted in months, days in one counted in days.
MONTHS = {"month": 1, "quarter": 3, "year": 12}
DAYS = {"day": 1, "week": 7}


@lru_cache(maxsize=4096)
def local_midnight(day: date, tz: str) -> datetime:
    """Return the first instant of a local day, as naive UTC.

    Where summer time starts at midnight the day begins at 01:00 local, the same instant.

    >>> local_midnight(date(2026, 7, 1), "Europe/Paris")
    datetime.datetime(2026, 6, 30, 22, 0)
    """
    local = datetime.combine(day, time(), ZoneInfo(tz))
    return local.astimezone(timezone.utc).replace(tzinfo=None)


def local_date(at: datetime, tz: str) -> date:
    """Return the local calendar day of a naive UTC instant.

    >>> local_date(datetime(2026, 6, 30, 22, 0), "Europe/Paris")
    datetime.date(2026, 7, 1)
    """
    return at.replace(tzinfo=timezone.utc).astimezone(ZoneInfo(tz)).date()


def clamped(months: int, day: int) -> date:
    """Return the day of a month counted from year 0, the last one where the month is shorter.

    >>> clamped(2026 * 12 + 1, 31)
    datetime.date(2026, 2, 28)
    """
    year, month = divmod(months, 12)
    return date(year, month + 1, min(day, monthrange(year, month + 1)[1]))


def _first_month(anchor: date, anchor_day: int) -> int:
    """Return the month (from year 0) in which the period containing the anchor starts."""
    months = anchor.year * 12 + anchor.month - 1
    return months if clamped(months, anchor_day) <= anchor else months - 1


def start_date(anchor: date, anchor_day: int, interval: str, n: int) -> date:
    """Return the local date on which period ``n`` starts.

    ``interval`` is day, week, month, quarter or year; ``anchor_day`` is the day of the month
    (1–31), the ISO weekday for weeks (1–7), and unused for days.
    Raises ``ValueError`` for an unknown interval or an anchor day outside its range.

    >>> [str(start_date(date(2026, 1, 31), 31, "month", n)) for n in range(4)]
    ['2026-01-31', '2026-02-28', '2026-03-31', '2026-04-30']
    >>> str(start_date(date(2026, 1, 14), 1, "week", 1))
    '2026-01-19'
    """
    _check(interval, anchor_day)
    if interval in MONTHS:
        months = _first_month(anchor, anchor_day) + n * MONTHS[interval]
        return clamped(months, anchor_day)
    back = (anchor.isoweekday() - anchor_day) % 7 if interval == "week" else 0
    return anchor + timedelta(days=n * DAYS[interval] - back)


def _check(interval: str, anchor_day: int):
    """Refuse an unknown interval and an anchor day outside its range."""
    if interval not in MONTHS and interval not in DAYS:
        known = ", ".join((*DAYS, *MONTHS))
        raise ValueError(f"interval {interval!r} is unknown: use one of {known}")
    highest = 7 if interval == "week" else 31
    if interval != "day" and not 1 <= anchor_day <= highest:
        raise ValueError(f"anchor_day {anchor_day} is outside 1 to {highest}")


def calendar_anchor(start: date, anchor_day: int, interval: str) -> date:
    """Return the date that the periods of the calendar are counted from, for one containing ``start``.

    Quarters of the calendar begin in January, April, July and October, years in January, each on
    the anchor day; days, weeks and months are counted from ``start`` itself.
    Raises ``ValueError`` for an unknown interval or an anchor day outside its range.

    >>> str(calendar_anchor(date(2026, 2, 15), 1, "quarter"))
    '2026-01-01'
    >>> str(calendar_anchor(date(2026, 1, 14), 15, "year"))
    '2025-01-15'
    """
    _check(interval, anchor_day)
    length = MONTHS.get(interval, 1)
    if length == 1:
        return start
    months = _first_month(start, anchor_day)
    return clamped(months - months % length, anchor_day)


def anniversary_day(start: date, interval: str) -> int:
    """Return the anchor day of periods that begin where the first one does: a weekday for weeks.

    >>> anniversary_day(date(2026, 1, 31), "month"), anniversary_day(date(2026, 1, 31), "week")
    (31, 6)
    """
    return start.isoweekday() if interval == "week" else start.day


@lru_cache(maxsize=4096)
def period_bounds(anchor: date, anchor_day: int, interval: str, tz: str, n: int) -> tuple[datetime, datetime]:
    """Return [start, end) of period ``n`` as naive UTC datetimes.

    >>> period_bounds(date(2026, 1, 31), 31, "month", "UTC", 1)
    (datetime.datetime(2026, 2, 28, 0, 0), datetime.datetime(2026, 3, 31, 0, 0))
    >>> start, end = period_bounds(date(2026, 3, 1), 1, "month", "Europe/Paris", 0)
    >>> (end - start).total_seconds() / 3600  # 31 days less the hour of summer time
    743.0
    """
    start = start_date(anchor, anchor_day, interval, n)
    end = start_date(anchor, anchor_day, interval, n + 1)
    return local_midnight(start, tz), local_midnight(end, tz)


def moment(anchor: datetime, interval: str, n: int) -> datetime:
    """Return ``anchor + n × interval`` at the same time of day, the day clamped to its month.

    >>> moment(datetime(2026, 1, 31, 9), "month", 1)
    datetime.datetime(2026, 2, 28, 9, 0)
    """
    if interval in DAYS:
        return anchor + timedelta(days=n * DAYS[interval])
    _check(interval, anchor.day)
    months = anchor.year * 12 + anchor.month - 1 + n * MONTHS[interval]
    return datetime.combine(clamped(months, anchor.day), anchor.time())


def _guess(anchor: date, interval: str, day: date) -> int:
    """Return the number of the period around a local day, at most one or two off."""
    if interval in MONTHS:
        months = (day.year - anchor.year) * 12 + day.month - anchor.month
        return months // MONTHS[interval]
    return (day - anchor).days // DAYS[interval]


@lru_cache(maxsize=4096)
def period_index(anchor: date, anchor_day: int, interval: str, tz: str, at: datetime) -> int:
    """Return the number of the one period that contains ``at`` (naive UTC).

    >>> period_index(date(2026, 1, 31), 31, "month", "UTC", datetime(2026, 3, 30, 23, 59))
    1
    >>> period_index(date(2026, 1, 31), 31, "month", "UTC", datetime(2025, 12, 31))
    -1
    """
    n = _guess(anchor, interval, local_date(at, tz))
    while at < period_bounds(anchor, anchor_day, interval, tz, n)[0]:
        n -= 1
    while at >= period_bounds(anchor, anchor_day, interval, tz, n)[1]:
        n += 1
    return n
