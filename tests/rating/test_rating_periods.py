"""Billing periods tile time: 12 time zones, summer time, leap days, anchors at the month's end."""

from collections import Counter
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
import rating
from rating.periods import calendar_anchor, clamped, local_date, local_midnight, start_date

ZONES = [
    "UTC",
    "Europe/Paris",
    "Europe/London",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
    "Africa/Cairo",
]
INTERVALS = ["day", "week", "month", "quarter", "year"]
TICK = timedelta(microseconds=1)
#: Around summer-time changes, a leap day and the ends of short and long months.
ANCHORS = [date(2023, 12, 31), date(2024, 2, 29), date(2024, 3, 10), date(2026, 1, 30)]


def anchor_day(interval: str, day: int) -> int:
    """Return an anchor day that the interval allows."""
    return day % 7 + 1 if interval == "week" else day


@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("day", [28, 29, 30, 31])
def test_periods_tile_time(tz, interval, day):
    day = anchor_day(interval, day)
    for anchor in ANCHORS:
        bounds = [rating.period_bounds(anchor, day, interval, tz, n) for n in range(-14, 14)]
        for (start, end), (following, _) in pairwise(bounds):
            assert start < end == following


@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("day", [28, 31])
def test_usage_lands_in_exactly_one_period(tz, interval, day):
    day = anchor_day(interval, day)
    for anchor in ANCHORS:
        for n in (-13, -1, 0, 1, 12):
            start, end = rating.period_bounds(anchor, day, interval, tz, n)
            for instant in (start, start + TICK, start + (end - start) / 2, end - TICK):
                assert rating.period_index(anchor, day, interval, tz, instant) == n
            assert rating.period_index(anchor, day, interval, tz, end) == n + 1


@pytest.mark.parametrize("tz", ZONES)
def test_every_hour_of_two_years_is_in_the_period_of_its_local_day(tz):
    zone = ZoneInfo(tz)
    anchor = date(2024, 1, 31)
    starts = [start_date(anchor, 31, "month", n) for n in range(-3, 28)]
    instant = datetime(2024, 1, 1)
    while instant < datetime(2026, 1, 1):
        day = instant.replace(tzinfo=timezone.utc).astimezone(zone).date()
        n = rating.period_index(anchor, 31, "month", tz, instant)
        assert starts[n + 3] <= day < starts[n + 4]
        instant += timedelta(hours=7)


@pytest.mark.parametrize("day", [1, 15, 28, 29, 30, 31])
@pytest.mark.parametrize("interval", ["month", "quarter", "year"])
def test_period_zero_contains_the_anchor(day, interval):
    for offset in range(0, 800, 5):
        anchor = date(2023, 6, 1) + timedelta(days=offset)
        start, end = (start_date(anchor, day, interval, n) for n in (0, 1))
        assert start <= anchor < end


@pytest.mark.parametrize("weekday", range(1, 8))
def test_weeks_start_on_their_weekday(weekday):
    for offset in range(7):
        anchor = date(2026, 1, 1) + timedelta(days=offset)
        start = start_date(anchor, weekday, "week", 0)
        assert start.isoweekday() == weekday
        assert start <= anchor < start + timedelta(days=7)


def test_the_31st_clamps_and_comes_back():
    starts = [start_date(date(2024, 1, 31), 31, "month", n) for n in range(6)]
    assert [each.isoformat()[5:] for each in starts] == ["01-31", "02-29", "03-31", "04-30", "05-31", "06-30"]


def test_a_leap_day_comes_back_every_fourth_year():
    years = [start_date(date(2024, 2, 29), 29, "year", n) for n in range(5)]
    assert [each.isoformat() for each in years] == [
        "2024-02-29",
        "2025-02-28",
        "2026-02-28",
        "2027-02-28",
        "2028-02-29",
    ]


def test_quarters_follow_the_month_of_the_anchor():
    assert [str(start_date(date(2026, 1, 1), 1, "quarter", n)) for n in (-1, 0, 1)] == [
        "2025-10-01",
        "2026-01-01",
        "2026-04-01",
    ]


def test_days_of_23_and_25_hours():
    def hours(day):
        start, end = rating.period_bounds(day, 1, "day", "Europe/Paris", 0)
        return (end - start).total_seconds() / 3600

    assert [hours(date(2026, 3, 28)), hours(date(2026, 3, 29)), hours(date(2026, 10, 25))] == [24, 23, 25]


def test_lord_howe_moves_by_half_an_hour():
    start, end = rating.period_bounds(date(2026, 4, 5), 1, "day", "Australia/Lord_Howe", 0)
    assert end - start == timedelta(hours=24, minutes=30)


def test_a_day_that_starts_at_one_where_midnight_does_not_exist():
    midnight = local_midnight(date(2024, 4, 26), "Africa/Cairo")
    assert midnight == datetime(2024, 4, 25, 22)
    assert local_date(midnight, "Africa/Cairo") == date(2024, 4, 26)
    assert local_date(midnight - TICK, "Africa/Cairo") == date(2024, 4, 25)


def test_a_day_the_calendar_skipped():
    """Samoa had no 30 December 2011: its day is empty, and the ones beside it touch."""
    bounds = [rating.period_bounds(date(2011, 12, 28), 1, "day", "Pacific/Apia", n) for n in range(5)]
    assert all(before[1] == after[0] for before, after in pairwise(bounds))
    assert bounds[2][0] == bounds[2][1]
    assert rating.period_index(date(2011, 12, 28), 1, "day", "Pacific/Apia", bounds[2][0]) == 3


@pytest.mark.parametrize(
    ("interval", "day", "words"),
    [("moon", 1, "use one of day, week, month, quarter, year"), ("month", 0, "1 to 31"), ("week", 8, "1 to 7")],
)
def test_nonsense_is_refused(interval, day, words):
    with pytest.raises(ValueError, match=words):
        rating.period_bounds(date(2026, 1, 1), day, interval, "UTC", 0)


def test_moments_keep_their_time_of_day():
    anchor = datetime(2026, 1, 31, 9, 30)
    assert rating.moment(anchor, "month", 1) == datetime(2026, 2, 28, 9, 30)
    assert rating.moment(anchor, "week", -1) == datetime(2026, 1, 24, 9, 30)
    assert rating.moment(anchor, "year", 2) == datetime(2028, 1, 31, 9, 30)


def test_clamped_to_every_month_of_a_year():
    days = [clamped(2023 * 12 + month, 31).day for month in range(12)]
    assert days == [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize("day", [28, 29, 30, 31])
@pytest.mark.parametrize("places", ["1", "0.01", "0.001"])
@pytest.mark.parametrize("mode", ["half_up", "half_even", "up", "down"])
def test_usage_at_the_edges_is_charged_once_and_a_fee_adds_up(tz, day, places, mode):
    """An event at every edge of a year of months is charged once; shares of a fee are whole, in any currency."""
    currency = rating.Currency("XXX", Decimal(places), mode)
    fee = rating.parse_price({"model": "recurring", "amount": "100", "prorate": ["amount"]})
    price = rating.parse_price({"model": "per_unit", "unit_amount": "0.5"})
    for anchor in ANCHORS:
        bounds = [rating.period_bounds(anchor, day, "month", tz, n) for n in range(13)]
        edges = [at for start, end in bounds for at in (start, end - TICK)]
        used = Counter(rating.period_index(anchor, day, "month", tz, at) for at in edges)
        assert used == dict.fromkeys(range(13), 2)
        charges = [rating.rate(price, rating.Usage(Decimal(used[n])), currency) for n in range(13)]
        assert sum(charge.unrounded for charge in charges) == len(edges) / Decimal(2)
        for start, end in bounds:
            middle = start + (end - start) / 3
            parts = [
                rating.rate(fee, rating.Usage(share=rating.second_share(*part, (start, end))), currency)
                for part in ((start, middle), (middle, end))
            ]
            assert abs(sum(part.unrounded for part in parts) - 100) < Decimal("1e-20")
            assert all(part.amount % Decimal(places) == 0 for part in parts)
            assert abs(sum(part.amount for part in parts) - 100) <= 2 * Decimal(places)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("day", [1, 15, 28, 31])
def test_periods_of_the_calendar_contain_their_start(interval, day):
    """Quarters begin in January, April, July and October, years in January; period 0 has the first day."""
    day = anchor_day(interval, day)
    for offset in range(0, 800, 5):
        begin = date(2023, 6, 1) + timedelta(days=offset)
        anchor = calendar_anchor(begin, day, interval)
        start, end = (start_date(anchor, day, interval, n) for n in (0, 1))
        assert start <= begin < end
        if interval in ("quarter", "year"):
            assert start.month in ((1, 4, 7, 10) if interval == "quarter" else (1,))
