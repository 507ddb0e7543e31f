"""Every aggregation against figures computed by hand, and against a reference in plain Python.

The reference knows events alone: no hours, no merging, no order of arrival.
"""

import random
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal

from odoo.tests import tagged
from odoo.tools import SQL

from odoo.addons.usage_connector_base.aggregations import AGGREGATIONS, Span, Window

from .common import UsageCommon

EXACT = Context(prec=100)
PLACES = Decimal("1E-12")
KEYS = tuple(AGGREGATIONS)
HOUR = timedelta(hours=1)


def divided(dividend, divisor):
    """A quotient with the places and the rounding that quantities have."""
    return EXACT.divide(Decimal(dividend), Decimal(divisor)).quantize(PLACES, ROUND_HALF_UP, EXACT)


def reference(key, events, start, end):
    """What one account's events come to in [start, end).

    :param list events: of (time, order of receipt, value, dimensions)
    """
    inside = sorted(event for event in events if start <= event[0] < end)
    values = [value for _time, _order, value, _dimensions in inside]
    if key == "time_weighted":
        return weighted(events, start, end)
    if not values:
        return Decimal(0)
    return {
        "count": lambda: Decimal(len(values)),
        "sum": lambda: sum(values),
        "min": lambda: min(values),
        "max": lambda: max(values),
        "average": lambda: divided(sum(values), len(values)),
        "latest": lambda: values[-1],
        "unique_count": lambda: Decimal(len({value.normalize() for value in values})),
    }[key]()


def weighted(events, start, end):
    levels = defaultdict(list)
    for time, _order, value, dimensions in sorted(events):
        levels[dimensions].append((time, value))
    area = Decimal(0)
    for points in levels.values():
        for number, (time, value) in enumerate(points):
            until = points[number + 1][0] if number + 1 < len(points) else end
            lasts = min(until, end) - max(time, start)
            if lasts > timedelta(0):
                area += value * (Decimal(lasts // timedelta(microseconds=1)) / 10**6)
    return divided(area, 3600)


class AggregationCommon(UsageCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["ir.config_parameter"].sudo().set_param("usage.max_age_days", 10_000)
        # A meter of each aggregation, on the same events.
        cls.meters = {
            key: cls._meter(f"m_{key}", "level", aggregation=key, value_path=key != "count" and "n", dimensions="zone")
            for key in KEYS
        }
        cls._recount()
        cls.start = datetime(2025, 3, 10)
        cls.number = 0

    @classmethod
    def at(cls, hours=0, minutes=0, **more):
        """A moment after 10 March 2025, naive UTC."""
        return cls.start + timedelta(hours=hours, minutes=minutes, **more)

    def send(self, *events, subject="acme"):
        """One batch of (moment, value) or (moment, value, zone), counted at once."""
        self.ingest([self.level(*event, subject=subject) for event in events])
        self.fold()

    def level(self, moment, value, zone="a", subject="acme"):
        type(self).number += 1
        return {
            "id": f"level {self.number}",
            "type": "level",
            "subject": subject,
            "time": f"{moment.isoformat()}Z",
            "data": {"n": value, "zone": zone},
        }

    def quantity_of(self, key, start, end, accounts=None):
        """The quantity from the hours, which must be that from the events."""
        windows = [Window.over(self.meters[key], accounts or self.account, start, end)]
        [quantity] = self.env["usage.aggregate"]._quantities(windows)
        self.assertEqual(self.env["usage.aggregate"]._quantities_from_events(windows), [quantity], key)
        return quantity

    def assertRead(self, start, end, accounts=None, **expected):
        """Quantities of [start, end) by aggregation, as text or number."""
        for key, quantity in expected.items():
            self.assertEqual(self.quantity_of(key, start, end, accounts), Decimal(quantity), key)

    def rows(self, key):
        """Stored hours of the meter: every column, in an order."""
        return self.env.execute_query(
            SQL(
                """
                SELECT account_id, hour, dimensions::text, trim_scale(quantity)::text, event_count,
                    trim_scale(total)::text, first_time, last_time, last_event_id, trim_scale(last_value)::text
                FROM usage_aggregate WHERE meter_id = %s ORDER BY 1, 2, 3
                """,
                self.meters[key].id,
            )
        )


@tagged("post_install", "-at_install")
class TestAggregations(AggregationCommon):
    """By hand."""

    def test_all_of_one_hour(self):
        self.send((self.at(1), 4), (self.at(1, 15), 10), (self.at(1, 45), 4))
        self.assertRead(
            self.at(0),
            self.at(24),
            count=3,
            sum=18,
            min=4,
            max=10,
            average=6,
            latest=4,
            unique_count=2,
            # 4 for a quarter, 10 for a half, 4 from 1:45 to 24:00
            time_weighted=Decimal(1) + 5 + Decimal("22.25") * 4,
        )

    def test_over_hours_days_and_months(self):
        self.send((self.at(1), 4), (self.at(3), 1))
        self.send((self.at(24 * 30), 7), (self.at(24 * 30 + 5), 1))
        self.assertRead(
            self.at(0),
            self.at(24 * 31),
            count=4,
            sum=13,
            min=1,
            max=7,
            average="3.25",
            latest=1,
            unique_count=3,
            time_weighted=2 * 4 + (24 * 30 - 3) * 1 + 5 * 7 + 19 * 1,
        )

    def test_nothing_there(self):
        self.assertRead(self.at(0), self.at(24), **dict.fromkeys(KEYS, 0))

    def test_nothing_in_the_window(self):
        """Only a level lasts; the latest value does not."""
        self.send((self.at(1), 4))
        empty = {key: 0 for key in KEYS if key != "time_weighted"}
        self.assertRead(self.at(24), self.at(48), **empty, time_weighted=96)
        self.assertRead(self.at(0), self.at(1), **empty, time_weighted=0)

    def test_hours_may_come_in_any_order(self):
        for hours in (5, 1, 3):
            self.send((self.at(hours), hours), (self.at(hours, 30), hours + 1))
        expected = {
            "latest": 6,
            "min": 1,
            "max": 6,
            "average": "3.5",
            "time_weighted": Decimal("0.5") + 3 + Decimal("1.5") + 6 + Decimal("2.5") + 6 * Decimal("18.5"),
        }
        self.assertRead(self.at(0), self.at(24), **expected)

    def test_late_events_of_the_same_hour(self):
        """Late, out of order, each in a batch of its own."""
        for minutes, value in ((40, 3), (10, 9), (20, 1), (0, 2)):
            self.send((self.at(1, minutes), value))
        # 2 for 10, 9 for 10, 1 for 20, 3 for 20 minutes of the hour
        hour = divided(2 * 10 + 9 * 10 + 1 * 20 + 3 * 20, 60)
        self.assertRead(
            self.at(1), self.at(2), latest=3, min=1, max=9, average="3.75", unique_count=4, time_weighted=hour
        )

    def test_several_events_at_the_same_time(self):
        """The one that was stored last says what holds."""
        self.send((self.at(1), 5), (self.at(1), 8))
        self.send((self.at(1), 2))
        self.assertRead(self.at(0), self.at(3), latest=2, time_weighted=4, unique_count=3, average=5)
        self.send((self.at(1), 11), (self.at(1), 3))
        self.assertRead(self.at(0), self.at(3), latest=3, time_weighted=6, max=11)

    def test_the_last_microsecond(self):
        self.send((self.at(2) - timedelta(microseconds=1), 3600 * 10**6), (self.at(2), 0))
        self.assertRead(self.at(0), self.at(2), time_weighted=1, latest=3600 * 10**6, count=1)
        self.assertRead(self.at(2), self.at(3), time_weighted=0, latest=0, count=1)

    def test_dimensions(self):
        """Levels of different dimensions add up; all else is taken over all events of the account."""
        self.send((self.at(1), 4, "a"), (self.at(2), 10, "b"), (self.at(3), 6, "a"))
        self.assertRead(
            self.at(0),
            self.at(5),
            count=3,
            sum=20,
            min=4,
            max=10,
            average=divided(20, 3),
            latest=6,
            unique_count=3,
            time_weighted=4 * 2 + 6 * 2 + 10 * 3,
        )

    def test_the_same_value_in_two_dimensions_is_one(self):
        self.send((self.at(1), 4, "a"), (self.at(2), 4, "b"))
        self.assertRead(self.at(0), self.at(5), unique_count=1)

    def test_accounts_add_up(self):
        other = self._account("other", self.customer)
        self.send((self.at(1), 4), (self.at(3), 6))
        self.send((self.at(2), 5), (self.at(3), 5), subject="other")
        self.assertRead(
            self.at(0),
            self.at(5),
            self.account | other,
            count=4,
            sum=20,
            min=4 + 5,
            max=6 + 5,
            average=5 + 5,
            latest=6 + 5,
            unique_count=2 + 1,
            time_weighted=4 * 2 + 6 * 2 + 5 * 3,
        )

    def test_an_account_for_a_part_of_the_time(self):
        """Two spans of an account are one range with a gap; a level lasts into the second."""
        self.send((self.at(1), 4), (self.at(5), 9), (self.at(11), 6))
        spans = (Span(self.account.id, self.at(0), self.at(3)), Span(self.account.id, self.at(10), self.at(12)))
        expected = {
            "count": 2,
            "sum": 10,
            "min": 4,
            "max": 6,
            "average": 5,
            "latest": 6,
            "unique_count": 2,
            "time_weighted": 4 * 2 + 9 * 1 + 6 * 1,
        }
        windows = [Window(self.meters[key], spans) for key in expected]
        for read in (self.env["usage.aggregate"]._quantities, self.env["usage.aggregate"]._quantities_from_events):
            self.assertEqual(dict(zip(expected, read(windows), strict=True)), expected)

    def test_windows_that_cut_hours(self):
        """Kathmandu's days begin at 18:15 UTC."""
        self.send((self.at(18, 14), 2), (self.at(18, 15), 4), (self.at(42, 14), 10), (self.at(42, 15), 100))
        self.assertRead(
            self.at(18, 15),
            self.at(42, 15),
            count=2,
            sum=14,
            min=4,
            max=10,
            average=7,
            latest=10,
            unique_count=2,
            time_weighted=divided(4 * (24 * 60 - 1) + 10, 60),
        )
        self.assertRead(self.at(18, 20), self.at(18, 50), count=0, latest=0, time_weighted=2)
        self.assertRead(self.at(18, 50), self.at(19, 10), time_weighted=divided(4, 3))

    def test_a_level_set_in_the_hour_that_the_window_cuts(self):
        self.send((self.at(1), 6), (self.at(4, 10), 3))
        self.assertRead(self.at(4, 30), self.at(6, 30), time_weighted=6, count=0)
        self.assertRead(self.at(4, 5), self.at(4, 15), time_weighted=divided(6 * 5 + 3 * 5, 60), count=1)

    def test_division(self):
        """Twelve places, halves up, exact for numbers of any size."""
        self.send((self.at(1), 1), (self.at(1), 0), (self.at(1), 0))
        self.assertRead(self.at(0), self.at(2), average="0.333333333333")
        self.send((self.at(1), 1))
        self.send((self.at(30), Decimal("0.000000000001")), (self.at(30), 0))
        self.assertRead(self.at(30), self.at(31), average="0.000000000001", time_weighted=0)
        self.send((self.at(60), Decimal("999999999999999999.999999999999999998")), (self.at(61), 0), (self.at(61), 0))
        self.assertRead(self.at(60), self.at(62), average="333333333333333333.333333333333")

    def test_levels_of_any_size(self):
        self.send((self.at(1, microseconds=1), Decimal("999999999999999999.999999999999999999")))
        expected = divided(Decimal("999999999999999999.999999999999999999") * Decimal("3599.999999"), 3600)
        self.assertRead(self.at(1), self.at(2), time_weighted=expected)

    def test_levels_do_not_last_into_the_future(self):
        """What has not happened is not used."""
        now = self.env.cr.now()
        self.send((now - timedelta(hours=2), 6))
        self.assertRead(now - timedelta(hours=3), now + timedelta(days=30), time_weighted=12)

    def test_a_level_that_ends(self):
        self.send((self.at(1), 6), (self.at(2), 0))
        self.assertRead(self.at(0), self.at(24 * 300), time_weighted=6)

    def test_unique_values_are_texts_numbers_and_booleans(self):
        for value in ("ann", "bob", "ann", "1", 1, True, "true", None, ["ann"], {"n": 1}, "x" * 201):
            event = self.level(self.at(1), 0)
            event.update(type="login", data={"n": value})
            self.ingest([event])
        meter = self._meter("logins", "login", aggregation="unique_count", value_path="n")
        self.fold()
        self.assertEqual(list(self.figures(meter).values()), [("4", 7)])
        self.meters = {"unique_count": meter}
        self.assertRead(self.at(0), self.at(2), unique_count=4)
        exception = self.exceptions(reason="value_missing", event_type="login")
        self.assertIn("4 stored events have no text, number or boolean for logins at data.n", exception.message)

    def test_hours(self):
        """What the screens show of each hour."""
        self.send((self.at(1), 4), (self.at(1, 30), 5), (self.at(2, 30), 7))
        found = {key: [row[3] for row in self.rows(key)] for key in KEYS}
        self.assertEqual(
            found,
            {
                "count": ["2", "1"],
                "sum": ["9", "7"],
                "min": ["4", "7"],
                "max": ["5", "7"],
                "average": ["4.5", "7"],
                "latest": ["5", "7"],
                "unique_count": ["2", "1"],
                "time_weighted": ["4.5", "3.5"],
            },
        )

    def test_groups_on_the_screens(self):
        """As the meter's aggregation has it; nothing where that is not to be had of hours, or units are mixed."""
        self.send((self.at(1), 4), (self.at(1, 30), 5), (self.at(2, 30), 9))
        read = self.env["usage.aggregate"].with_user(self.viewer)._read_group
        groups = dict(read([], ["meter_id"], ["quantity:sum"]))
        found = {key: groups[meter] for key, meter in self.meters.items()}
        self.assertEqual(
            found,
            {
                "count": 3,
                "sum": 18,
                "min": 4,
                "max": 9,
                "average": 6,
                "latest": 9,
                "unique_count": False,
                "time_weighted": False,
            },
        )
        self.assertEqual(read([], [], ["quantity:sum"]), [(False,)])
        self.assertEqual(len(read([], ["partner_id", "source_id"], ["quantity:sum", "event_count:sum"])), 1)

    def test_walking_down(self):
        self.send((self.at(1), 4), (self.at(1, 30), 5, "b"), (self.at(2, 30), 7))
        for key in KEYS:
            hours = self.env["usage.aggregate"].search([("meter_id", "=", self.meters[key].id)])
            self.assertEqual(len(hours), 3)
            for hour in hours:
                self.assertEqual(len(hour._event_ids()), hour.event_count, key)


class RandomEvents:
    """Random events in random batches, and what the reference makes of them."""

    def setUp(self):
        super().setUp()
        self.random = random.Random(self._testMethodName)
        self.accounts = self.account | self._account("other", self.customer)
        self.events = []  # (account, time, order of receipt, value, dimensions, id)
        self.received = 0

    def some_events(self, count):
        """Events of three days, with ties in time and repeated values, some of them on the hour."""
        for _ in range(count):
            moment = self.at(self.random.randrange(72), self.random.choice((0, 0, 7, 15, 30, 59)))
            moment += timedelta(microseconds=self.random.choice((0, 0, 1, 999_999)))
            value = Decimal(self.random.randrange(50)).scaleb(-self.random.randrange(4))
            yield self.random.choice(self.accounts), moment, value, self.random.choice("ab")

    def send_some(self, batches):
        for _ in range(batches):
            self.send_batch(list(self.some_events(self.random.randrange(1, 12))))
            if self.random.random() < 0.6:
                self.fold()
        self.fold()

    def send_batch(self, batch):
        sent = []
        for account, time, value, zone in batch:
            event = self.level(time, value, zone, account.external_id)
            sent.append(event)
            self.received += 1
            self.events.append((account, time, self.received, value, zone, event["id"]))
        return self.ingest(sent or [self.level(self.start, 0, subject="of the correction alone")])["batch"]

    def correct_one(self):
        """Void or amend an event, in a request that is counted now or later."""
        account, time, _order, value, zone, event_id = self.events.pop(self.random.randrange(len(self.events)))
        self.received += 1
        correction = f"correction {self.received}"
        if self.random.random() < 0.5:
            self.correct(self.void(correction, event_id))
        else:
            self.correct(self.amend(correction, event_id, data={"n": value + 1, "zone": zone}))
            self.events.append((account, time, self.received, value + 1, zone, event_id))

    def expected(self, key, start, end):
        return sum(
            reference(key, [event[1:5] for event in self.events if event[0] == account], start, end)
            for account in self.accounts
        )


@tagged("post_install", "-at_install")
class TestAnyEvents(RandomEvents, AggregationCommon):
    """Random events give what the reference says, and counting again changes nothing."""

    def some_windows(self):
        yield self.at(0), self.at(72)
        yield self.at(100), self.at(900)
        for _ in range(12):
            minutes = sorted(self.random.sample(range(-60, 80 * 60), 2))
            yield tuple(self.at(0, minute) for minute in minutes)
        for day in range(-1, 4):  # of Kathmandu
            yield self.at(24 * day + 18, 15), self.at(24 * day + 42, 15)

    def assertAsReference(self):
        for key in KEYS:
            for start, end in self.some_windows():
                with self.subTest(key, start=start, end=end):
                    self.assertEqual(self.quantity_of(key, start, end, self.accounts), self.expected(key, start, end))

    def test_as_the_reference(self):
        self.send_some(15)
        self.assertAsReference()

    def test_counting_again_changes_nothing(self):
        self.send_some(15)
        before = {key: self.rows(key) for key in KEYS}
        hours = {(account, hour) for rows in before.values() for account, hour, *_more in rows}
        for meter in self.meters.values():
            self.env["usage.aggregate"]._recount_hours(sorted(hours), meter._definitions())
        self.assertEqual({key: self.rows(key) for key in KEYS}, before)
        for meter in self.meters.values():
            meter.recount_pending = True
        self.fold()
        self.assertEqual({key: self.rows(key) for key in KEYS}, before)

    def test_with_corrections(self):
        """Voided and amended in any order, in batches that are folded before or after those they correct."""
        self.send_some(6)
        for _ in range(8):
            self.correct_one()
            self.send_batch(list(self.some_events(3)))
            if self.random.random() < 0.5:
                self.correct_one()  # of what may not be counted yet
                self.fold()
        self.fold()
        self.assertAsReference()
        before = {key: self.rows(key) for key in KEYS}
        for meter in self.meters.values():
            meter.recount_pending = True
        self.fold()
        self.assertEqual({key: self.rows(key) for key in KEYS}, before)
