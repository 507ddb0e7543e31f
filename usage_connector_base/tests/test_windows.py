from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from odoo.tests import BaseCase, tagged

from odoo.addons.usage_connector_base.contract.windows import (
    GRANULARITIES,
    joined,
    read_zone,
    split_hours,
    to_local,
    to_utc,
    window_starts,
)

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",  # half an hour off
    "Asia/Kathmandu",  # three quarters
    "Pacific/Chatham",  # three quarters, with summer time
    "Australia/Lord_Howe",  # summer time of half an hour
    "Africa/Cairo",  # summer time at midnight
    "Pacific/Apia",  # a day was left out
    "Africa/Monrovia",  # seconds, long ago
)


@tagged("post_install", "-at_install")
class TestWindows(BaseCase):
    """Windows tile their range, whatever the zone."""

    def test_days(self):
        starts = window_starts(datetime(2026, 5, 1), datetime(2026, 5, 4), "day", ZoneInfo("UTC"))
        self.assertEqual(starts, [datetime(2026, 5, 1), datetime(2026, 5, 2), datetime(2026, 5, 3)])

    def test_the_first_and_the_last_may_be_cut_short(self):
        starts = window_starts(datetime(2026, 5, 1, 13, 30), datetime(2026, 5, 3, 1), "day", ZoneInfo("UTC"))
        self.assertEqual(starts, [datetime(2026, 5, 1, 13, 30), datetime(2026, 5, 2), datetime(2026, 5, 3)])
        starts = window_starts(datetime(2026, 5, 1, 13, 30), datetime(2026, 5, 1, 14), "month", ZoneInfo("UTC"))
        self.assertEqual(starts, [datetime(2026, 5, 1, 13, 30)])

    def test_summer_time_begins(self):
        day = datetime(2026, 3, 28, 23), datetime(2026, 3, 29, 22)
        self.assertEqual(window_starts(*day, "day", BERLIN), [day[0]])
        self.assertEqual(len(window_starts(*day, "hour", BERLIN)), 23)

    def test_summer_time_ends(self):
        day = datetime(2026, 10, 24, 22), datetime(2026, 10, 25, 23)
        self.assertEqual(window_starts(*day, "day", BERLIN), [day[0]])
        self.assertEqual(len(window_starts(*day, "hour", BERLIN)), 25)

    def test_a_midnight_that_is_skipped(self):
        """Cairo goes from 23:59 to 01:00: the day begins where the hour is skipped."""
        starts = window_starts(datetime(2026, 4, 22, 22), datetime(2026, 4, 25, 21), "day", ZoneInfo("Africa/Cairo"))
        lengths = [
            after - before for before, after in zip(starts, [*starts[1:], datetime(2026, 4, 25, 21)], strict=True)
        ]
        self.assertEqual(sorted(lengths), [timedelta(hours=23), timedelta(hours=24), timedelta(hours=24)])
        self.assertEqual(sum(lengths, timedelta()), timedelta(hours=71))

    def test_months_around_the_year(self):
        starts = window_starts(datetime(2025, 11, 30, 23), datetime(2026, 2, 28, 23), "month", BERLIN)
        self.assertEqual(
            [to_local(start, BERLIN).isoformat() for start in starts],
            ["2025-12-01T00:00:00+01:00", "2026-01-01T00:00:00+01:00", "2026-02-01T00:00:00+01:00"],
        )

    def test_windows_tile(self):
        start, end = datetime(2026, 2, 27, 5, 17, 3, 250), datetime(2026, 11, 4, 9, 1)
        for name in ZONES:
            zone = read_zone(name)
            for granularity in GRANULARITIES:
                with self.subTest(zone=name, granularity=granularity):
                    starts = window_starts(start, end, granularity, zone)
                    self.assertEqual(starts[0], start)
                    self.assertLess(starts[-1], end)
                    self.assertEqual(starts, sorted(set(starts)))

    def test_windows_begin_on_the_local_clock(self):
        start, end = datetime(2026, 2, 27, 5, 17), datetime(2026, 11, 4)
        for name in ZONES[:6]:
            zone = read_zone(name)
            for granularity, clock in (("hour", "%M:%S"), ("day", "%H:%M:%S"), ("month", "%d %H:%M:%S")):
                with self.subTest(zone=name, granularity=granularity):
                    starts = window_starts(start, end, granularity, zone)[1:]
                    begins = {to_local(moment, zone).strftime(clock) for moment in starts}
                    self.assertEqual(
                        begins, {{"hour": "00:00", "day": "00:00:00", "month": "01 00:00:00"}[granularity]}
                    )

    def test_the_day_that_was_left_out(self):
        """Samoa had no 30 December 2011."""
        apia = ZoneInfo("Pacific/Apia")
        starts = window_starts(datetime(2011, 12, 29, 10), datetime(2012, 1, 1, 10), "day", apia)
        self.assertEqual(starts, sorted(set(starts)))
        self.assertIn(datetime(2011, 12, 30, 10), starts, "31 December follows on the 29th")


@tagged("post_install", "-at_install")
class TestSplitHours(BaseCase):
    def test_moments_on_the_hour_cut_nothing(self):
        self.assertEqual(split_hours([datetime(2026, 5, 1, 10), datetime(2026, 5, 1, 11)]), [])

    def test_moments_within_an_hour_cut_it(self):
        moments = [datetime(2026, 5, 1, 11, 30), datetime(2026, 5, 1, 10, 0, 1), datetime(2026, 5, 1, 11, 45)]
        self.assertEqual(split_hours(moments), [datetime(2026, 5, 1, 10), datetime(2026, 5, 1, 11)])

    def test_an_hour_may_begin_a_window_and_be_cut_by_another(self):
        moments = [datetime(2026, 5, 1, 11), datetime(2026, 5, 1, 11, 30)]
        self.assertEqual(split_hours(moments), [datetime(2026, 5, 1, 11)])

    def test_hours_that_follow_one_another_are_joined(self):
        hours = [datetime(2026, 5, 1, hour) for hour in (3, 4, 5, 9, 11, 12)]
        ranges = [(begin.hour, end.hour) for begin, end in joined(hours)]
        self.assertEqual(ranges, [(3, 6), (9, 10), (11, 13)])
        self.assertEqual(joined([]), [])
        self.assertEqual(joined([datetime(2026, 5, 1, 23)]), [(datetime(2026, 5, 1, 23), datetime(2026, 5, 2))])

    def test_microseconds_count(self):
        self.assertEqual(split_hours([datetime(2026, 5, 1, 11, 0, 0, 1)]), [datetime(2026, 5, 1, 11)])


@tagged("post_install", "-at_install")
class TestZones(BaseCase):
    def test_names(self):
        self.assertEqual(read_zone("Asia/Kolkata").key, "Asia/Kolkata")
        for name in ("Mars", "", "Europe", "../../etc/passwd", "/etc/localtime", "Europe/Berlin\0"):
            with self.subTest(name), self.assertRaises(ValueError):
                read_zone(name)

    def test_there_and_back(self):
        moment = datetime(2026, 7, 1, 12, 34, 56, 789)
        self.assertEqual(to_utc(to_local(moment, BERLIN).replace(tzinfo=None), BERLIN), moment)
        self.assertEqual(to_local(moment, BERLIN).utcoffset(), timedelta(hours=2))
