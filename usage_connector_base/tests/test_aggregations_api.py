"""GET /usage/v1/usage of every aggregation against the same reference as billing's quantities."""

import json
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

from odoo.tests import tagged

from odoo.addons.usage_connector_base.contract.questions import read_question
from odoo.addons.usage_connector_base.contract.windows import to_local

from .test_aggregations import EXACT, KEYS, AggregationCommon, RandomEvents, reference

ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns")


class ApiCommon(AggregationCommon):
    def ask(self, key, **parameters):
        """All rows of an answer, page by page."""
        parameters = {"meter": self.meters[key].code, **parameters}
        sender, rows = self.source._as_sender(), []
        while True:
            question = read_question(parameters)
            answer = self.env["usage.query"]._usage(sender, question)
            rows += answer["data"]
            if not answer["next_cursor"]:
                return rows
            parameters["cursor"] = answer["next_cursor"]

    def quantities(self, key, **parameters):
        """Pairs of begin, in its zone, and quantity, of the range that most tests are about."""
        parameters = {"from": "2025-03-10", "to": "2025-03-12", **parameters}
        return [(row["start"][:16], row["quantity"]) for row in self.ask(key, **parameters)]


@tagged("post_install", "-at_install")
class TestUsageOfAggregations(ApiCommon):
    """By hand."""

    def test_days(self):
        self.send((self.at(1), 4), (self.at(23), 10), (self.at(30), 1))
        first, second = "2025-03-10T00:00", "2025-03-11T00:00"
        expected = {
            "count": ("2", "1"),
            "sum": ("14", "1"),
            "min": ("4", "1"),
            "max": ("10", "1"),
            "average": ("7", "1"),
            "latest": ("10", "1"),
            "unique_count": ("2", "1"),
            "time_weighted": (str(22 * 4 + 10), str(6 * 10 + 18)),
        }
        for key, (one, other) in expected.items():
            self.assertEqual(self.quantities(key), [(first, one), (second, other)], key)

    def test_levels_in_hours_without_events(self):
        self.send((self.at(1, 30), 4))
        found = self.quantities("time_weighted", granularity="hour", to="2025-03-10T05:00:00Z")
        hours = [("2025-03-10T01:00", "2"), *((f"2025-03-10T0{n}:00", "4") for n in (2, 3, 4))]
        self.assertEqual(found, hours)
        rows = self.ask("time_weighted", **{"from": "2025-04-01", "to": "2025-05-01", "granularity": "month"})
        self.assertEqual([(row["quantity"], row["events"]) for row in rows], [(str(4 * 24 * 30), 0)])

    def test_levels_that_ended_are_not_told_for_ever(self):
        self.send((self.at(1), 4), (self.at(2), 0))
        self.assertEqual(self.quantities("time_weighted"), [("2025-03-10T00:00", "4")])

    OF_DAY = {"max": ["2", "10"], "latest": ["2", "10"], "average": ["2", "7"], "unique_count": ["1", "2"]}

    def test_days_of_kathmandu(self):
        self.send((self.at(18, 14), 2), (self.at(18, 15), 4), (self.at(42, 14), 10))
        of_day = {
            key: [quantity for _day, quantity in self.quantities(key, tz="Asia/Kathmandu", to="2025-03-13")]
            for key in ("max", "latest", "average", "unique_count")
        }
        self.assertEqual(of_day, self.OF_DAY)
        levels = [quantity for _day, quantity in self.quantities("time_weighted", tz="Asia/Kathmandu", to="2025-03-13")]
        self.assertEqual(levels, ["0.033333333333", "96.1", "240"])

    def test_dimensions(self):
        """A quantity of each group, of its own events; time-weighted groups add their dimensions up."""
        self.send((self.at(1), 4, "a"), (self.at(2), 10, "b"), (self.at(3), 6, "a"))
        found = {
            key: [(row["dimensions"]["zone"], row["quantity"]) for row in self.ask(key, **self.day(group_by="zone"))]
            for key in KEYS
        }
        self.assertEqual(
            found,
            {
                "count": [("a", "2"), ("b", "1")],
                "sum": [("a", "10"), ("b", "10")],
                "min": [("a", "4"), ("b", "10")],
                "max": [("a", "6"), ("b", "10")],
                "average": [("a", "5"), ("b", "10")],
                "latest": [("a", "6"), ("b", "10")],
                "unique_count": [("a", "2"), ("b", "1")],
                "time_weighted": [("a", str(2 * 4 + 21 * 6)), ("b", str(22 * 10))],
            },
        )

    def day(self, **parameters):
        return {"from": "2025-03-10", "to": "2025-03-11", **parameters}

    def test_the_running_hour_ends_now(self):
        now = self.env.cr.now()
        self.send((now - timedelta(hours=2), 6))
        bounds = {
            "from": f"{(now - timedelta(hours=3)).isoformat()}Z",
            "to": f"{(now + timedelta(days=2)).isoformat()}Z",
        }
        rows = self.ask("time_weighted", granularity="hour", **bounds)
        self.assertEqual(sum(Decimal(row["quantity"]) for row in rows), 12)


@tagged("post_install", "-at_install")
class TestUsageOfAnyEvents(RandomEvents, ApiCommon):
    def test_as_the_reference(self):
        self.send_some(12)
        self.fold()
        for key in KEYS:
            for zone in ZONES:
                for granularity in ("hour", "day", "month"):
                    for group_by in ("", "zone"):
                        self.assertTold(key, granularity, zone, group_by)

    def assertTold(self, key, granularity, zone, group_by):
        start, end = self.at(self.random.randrange(-30, 30), 13), self.at(self.random.randrange(40, 90), 31)
        parameters = {"granularity": granularity, "tz": zone, "group_by": group_by, "limit": "7"}
        bounds = {"from": f"{start.isoformat()}Z", "to": f"{end.isoformat()}Z"}
        rows = self.ask(key, **parameters, **bounds)
        told = [
            (row["start"], row["account"], json.dumps(row["dimensions"]), row["quantity"], row["events"])
            for row in rows
        ]
        with self.subTest(key, granularity=granularity, zone=zone, group_by=group_by):
            self.assertTrue(told)
            self.assertEqual(told, sorted(self.told(key, start, end, granularity, zone, group_by)))

    def told(self, key, start, end, granularity, zone, group_by):
        """The rows as the reference has them."""
        question = read_question(
            {
                "meter": "any",
                "from": f"{start.isoformat()}Z",
                "to": f"{end.isoformat()}Z",
                "granularity": granularity,
                "tz": zone,
            }
        )
        limits = [*question.starts, end]
        for first, last in pairwise(limits):
            for account in self.accounts:
                for value in "ab" if group_by else [None]:
                    events = [event[1:5] for event in self.events if event[0] == account and value in (None, event[4])]
                    count = sum(first <= event[0] < last for event in events)
                    quantity = reference(key, events, first, last)
                    if count or key == "time_weighted" and quantity:
                        yield (
                            to_local(first, ZoneInfo(zone)).isoformat(),
                            account.external_id,
                            json.dumps({"zone": value} if group_by else {}),
                            f"{quantity.normalize(EXACT):f}",
                            count,
                        )
