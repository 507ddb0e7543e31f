"""When the invented month takes place: recent, and yet the same month whenever it is run.

Figures must not depend on the day of the run, so the billed period always has 31 days and
always begins on a Monday: it starts at the first Monday of the latest month of 31 days that
leaves room for the whole story. Contracts are anchored at that day of the month.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta

BILLED_DAYS = 31
STORY_DAYS = 35  # five whole weeks: four to compare with, and the last one


def story_start(today: date) -> datetime:
    """Midnight UTC (naive) of the Monday on which the story ending before `today` starts.

    >>> story_start(date(2026, 11, 21))
    datetime.datetime(2026, 10, 5, 0, 0)
    >>> story_start(date(2026, 3, 10))
    datetime.datetime(2026, 1, 5, 0, 0)
    """
    first = today.replace(day=1)
    while not _fits(first, today):
        first = (first - timedelta(days=1)).replace(day=1)
    return datetime.combine(_first_monday(first), datetime.min.time())


def _fits(first: date, today: date) -> bool:
    """Whether the story may start in the month of `first` and be over before `today`."""
    has_31_days = monthrange(first.year, first.month)[1] == BILLED_DAYS
    return has_31_days and _first_monday(first) + timedelta(days=STORY_DAYS) <= today


def _first_monday(first: date) -> date:
    return first + timedelta(days=-first.weekday() % 7)
