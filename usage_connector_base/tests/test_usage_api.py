from datetime import datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode

from odoo.tests import tagged

from odoo.addons.usage_connector_base.contract.questions import read_question

from .common import EVENT_TYPE
from .common_query import QueryCommon

USAGE = "/usage/v1/usage"


class UsageApiCommon(QueryCommon):
    """Events at times of one's choice, however long ago, and ``usage(**parameters)``."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["ir.config_parameter"].set_param("usage.max_age_days", 40_000)
        cls.number = 0

    def send(self, *moments, tokens=1, **values):
        """Store and count one event at each of these moments, as ``2025-03-30T00:30``."""
        events = []
        for moment in moments:
            type(self).number += 1
            events.append(self.event(f"u-{self.number}", tokens, time=f"{moment}:00Z", **values))
        self.ingest(events)
        self.fold()

    def path(self, **parameters):
        named = {"meter": "tokens", "from": "2025-03-01", "to": "2025-04-01"}
        named.update({name.rstrip("_"): value for name, value in parameters.items()})
        return f"{USAGE}?{urlencode({name: value for name, value in named.items() if value is not None})}"

    def usage(self, key=None, **parameters):
        return self.answer(self.path(**parameters), key=key)

    def quantities(self, **parameters):
        """Dict of window start to quantity."""
        return {row["start"]: row["quantity"] for row in self.usage(**parameters)["data"]}


@tagged("post_install", "-at_install")
class TestUsage(UsageApiCommon):
    """``GET /usage/v1/usage``: what a meter counted, by window, account and dimensions."""

    def test_a_row(self):
        self.send("2025-03-05T10:15", "2025-03-05T10:45", "2025-03-05T23:59", tokens=3)
        usage = self.usage()
        self.assertEqual(
            usage,
            {
                "meter": "tokens",
                "unit": "unit",
                "granularity": "day",
                "tz": "UTC",
                "data": [
                    {
                        "start": "2025-03-05T00:00:00+00:00",
                        "end": "2025-03-06T00:00:00+00:00",
                        "account": "acme",
                        "dimensions": {},
                        "quantity": "9",
                        "events": 3,
                    }
                ],
                "next_cursor": None,
            },
        )

    def test_granularities(self):
        self.send("2025-03-05T10:15", "2025-03-05T10:45", "2025-03-05T11:00", "2025-03-06T10:00")
        self.assertEqual(
            self.quantities(granularity="hour"),
            {"2025-03-05T10:00:00+00:00": "2", "2025-03-05T11:00:00+00:00": "1", "2025-03-06T10:00:00+00:00": "1"},
        )
        self.assertEqual(
            self.quantities(granularity="day"), {"2025-03-05T00:00:00+00:00": "3", "2025-03-06T00:00:00+00:00": "1"}
        )
        self.assertEqual(self.quantities(granularity="month"), {"2025-03-01T00:00:00+00:00": "4"})

    def test_the_range_is_half_open(self):
        self.send("2025-03-05T09:59", "2025-03-05T10:00", "2025-03-05T11:59", "2025-03-05T12:00")
        found = self.usage(from_="2025-03-05T10:00:00Z", to="2025-03-05T12:00:00Z")["data"]
        self.assertEqual(
            [(row["start"], row["end"], row["quantity"]) for row in found],
            [
                ("2025-03-05T10:00:00+00:00", "2025-03-05T12:00:00+00:00", "2"),
            ],
        )

    def test_a_range_within_an_hour(self):
        """Hours are counted whole; what a window cuts is read from the events."""
        self.send("2025-03-05T10:00", "2025-03-05T10:20", "2025-03-05T10:40", "2025-03-05T11:10")
        found = self.quantities(from_="2025-03-05T10:10:00Z", to="2025-03-05T11:10:00Z", granularity="hour")
        self.assertEqual(found, {"2025-03-05T10:10:00+00:00": "2"})
        found = self.quantities(from_="2025-03-05T10:20:00Z", to="2025-03-05T11:11:00Z", granularity="hour")
        self.assertEqual(found, {"2025-03-05T10:20:00+00:00": "2", "2025-03-05T11:00:00+00:00": "1"})

    def test_accounts(self):
        self._account("zeta")
        self.send("2025-03-05T10:15", subject="zeta", tokens=5)
        self.send("2025-03-05T10:15", tokens=2)
        rows = [(row["account"], row["quantity"]) for row in self.usage()["data"]]
        self.assertEqual(rows, [("acme", "2"), ("zeta", "5")])
        rows = [(row["account"], row["quantity"]) for row in self.usage(account="zeta")["data"]]
        self.assertEqual(rows, [("zeta", "5")])
        self.assertEqual(self.usage(account="nobody")["data"], [])

    def test_dimensions(self):
        for model, tokens in (("large", 2), ("small", 3), ("large", 4)):
            self.send("2025-03-05T10:15", data={"tokens": tokens, "model": model})
        self.send("2025-03-05T10:15", data={"tokens": 10})
        rows = {row["dimensions"]["model"]: row["quantity"] for row in self.usage(group_by="model")["data"]}
        self.assertEqual(rows, {"large": "6", "small": "3", None: "10"})
        [row] = self.usage()["data"]
        self.assertEqual((row["dimensions"], row["quantity"], row["events"]), ({}, "19", 4))

    def test_some_of_several_dimensions(self):
        self._meter("by_both", "both", value_path="n", dimensions="model, place.region")
        for model, region in (("large", "eu"), ("large", "us"), ("small", "eu")):
            self.send("2025-03-05T10:15", type="both", data={"n": 1, "model": model, "place": {"region": region}})
        answer = self.usage(meter="by_both", group_by="place.region")
        rows = [(row["dimensions"], row["quantity"]) for row in answer["data"]]
        self.assertEqual(rows, [({"place.region": "eu"}, "2"), ({"place.region": "us"}, "1")])
        self.assertEqual(len(self.usage(meter="by_both", group_by="model, place.region")["data"]), 3)

    def test_quantities_are_exact(self):
        for tokens in ("0.1", "0.2", "0.000000000000000001"):
            self.send("2025-03-05T10:15", tokens=Decimal(tokens))
        self.assertEqual(self.usage()["data"][0]["quantity"], "0.300000000000000001")
        self.send("2025-03-06T10:15", tokens=999_999_999_999_999_999)
        self.send("2025-03-06T10:15", tokens=Decimal("0.10"))
        self.assertEqual(self.usage()["data"][1]["quantity"], "999999999999999999.1")

    def test_counts_of_events(self):
        self._meter("calls")
        self.send("2025-03-05T10:15", "2025-03-05T10:16", tokens=7)
        self.assertEqual(self.usage(meter="calls")["data"][0]["quantity"], "2")

    def test_unmapped_accounts_are_told_too(self):
        self.send("2025-03-05T10:15", subject="stranger")
        self.assertEqual(self.usage(account="stranger")["data"][0]["quantity"], "1")

    def test_not_counted_yet(self):
        self.ingest([self.event("later", time="2025-03-05T10:15:00Z")])
        self.assertEqual(self.usage()["data"], [])
        self.assertEqual(self.usage(from_="2025-03-05T10:10:00Z")["data"], [], "nor from events in an hour that is cut")
        self.fold()
        self.assertEqual(len(self.usage()["data"]), 1)

    def test_only_the_own_source(self):
        other = self._source("other-cloud")
        self.ingest([self.event("o-1", 100, time="2025-03-05T10:15:00Z")], other)
        self.send("2025-03-05T10:15", tokens=1)
        self.assertEqual([row["quantity"] for row in self.usage()["data"]], ["1"])
        self.assertEqual([row["quantity"] for row in self.usage(from_="2025-03-05T10:01:00Z")["data"]], ["1"])
        key = self.new_key(other)
        self.assertEqual([row["quantity"] for row in self.usage(key=key)["data"]], ["100"])
        found = self.usage(key=key, account="acme", from_="2025-03-05T10:01:00Z")["data"]
        self.assertEqual([row["quantity"] for row in found], ["100"])

    def test_meter_of_another_company(self):
        company = self.env["res.company"].create({"name": "Elsewhere"})
        self._meter("theirs", company_id=company.id)
        self.assertRefused(self.get(self.path(meter="theirs")), 404, "meter_unknown")

    def test_needs_a_key(self):
        self.assertNeedsKey(self.path())

    def test_one_read(self):
        """However many events, accounts and windows: the same statements."""
        self.send(*(f"2025-03-{day:02}T10:15" for day in range(1, 29)), tokens=1)
        sender = self.source._as_sender()
        from_one = self.count_queries(sender, self.question(to="2025-03-02", tz="Asia/Kolkata"))
        from_all = self.count_queries(sender, self.question(tz="Asia/Kolkata", granularity="hour"))
        self.assertEqual(from_one, from_all)
        self.assertLessEqual(from_all, 5, "the meter, its versions, what they say, their filters, the rows")

    def question(self, **parameters):
        return read_question({"meter": "tokens", "from": "2025-03-01", "to": "2025-04-01", **parameters})

    def count_queries(self, sender, question):
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        self.env["usage.query"]._usage(sender, question)
        return self.env.cr.sql_log_count - before


@tagged("post_install", "-at_install")
class TestUsageZones(UsageApiCommon):
    """Hours, days and months of a time zone, exact in every zone and through summer time."""

    def test_days_of_a_zone(self):
        self.send("2025-03-04T22:59", "2025-03-04T23:00", "2025-03-05T22:59", "2025-03-05T23:00")
        self.assertEqual(
            self.quantities(tz="Europe/Berlin"),
            {"2025-03-04T00:00:00+01:00": "1", "2025-03-05T00:00:00+01:00": "2", "2025-03-06T00:00:00+01:00": "1"},
        )

    def test_a_date_begins_in_the_zone(self):
        self.send("2025-03-04T22:59", "2025-03-04T23:00", "2025-03-05T22:59", "2025-03-05T23:00")
        found = self.quantities(tz="Europe/Berlin", from_="2025-03-05", to="2025-03-06")
        self.assertEqual(found, {"2025-03-05T00:00:00+01:00": "2"})
        found = self.quantities(tz="Europe/Berlin", from_="2025-03-05T00:00:00+01:00", to="2025-03-06T00:00:00+01:00")
        self.assertEqual(found, {"2025-03-05T00:00:00+01:00": "2"})

    def test_the_day_of_23_hours(self):
        hours = [datetime(2025, 3, 29, 23) + timedelta(hours=n) for n in range(23)]
        self.send(*(f"{hour:%Y-%m-%dT%H:%M}" for hour in hours), "2025-03-30T22:00")
        found = self.quantities(tz="Europe/Berlin")
        self.assertEqual(found, {"2025-03-30T00:00:00+01:00": "23", "2025-03-31T00:00:00+02:00": "1"})
        found = self.quantities(tz="Europe/Berlin", granularity="hour", from_="2025-03-30", to="2025-03-31")
        self.assertEqual(len(found), 23)
        self.assertNotIn("2025-03-30T02:00:00+01:00", found)

    def test_the_day_of_25_hours(self):
        hours = [datetime(2025, 10, 25, 22) + timedelta(hours=n) for n in range(25)]
        self.send(*(f"{hour:%Y-%m-%dT%H:%M}" for hour in hours))
        days = {"tz": "Europe/Berlin", "from_": "2025-10-01", "to": "2025-11-01"}
        self.assertEqual(self.quantities(**days), {"2025-10-26T00:00:00+02:00": "25"})
        found = self.quantities(**days, granularity="hour")
        self.assertEqual(len(found), 25)
        self.assertEqual(
            {found["2025-10-26T02:00:00+02:00"], found["2025-10-26T02:00:00+01:00"]}, {"1"}, "the hour that comes twice"
        )
        self.assertEqual(self.quantities(**days, granularity="month"), {"2025-10-01T00:00:00+02:00": "25"})

    def test_a_zone_within_the_hour(self):
        """India's days begin at half past: the hour that midnight cuts is read from the events."""
        self.send("2025-03-04T18:29", "2025-03-04T18:30", "2025-03-05T12:00", "2025-03-05T18:29", "2025-03-05T18:30")
        found = self.quantities(tz="Asia/Kolkata")
        self.assertEqual(
            found,
            {"2025-03-04T00:00:00+05:30": "1", "2025-03-05T00:00:00+05:30": "3", "2025-03-06T00:00:00+05:30": "1"},
        )
        self.assertEqual(self.quantities(tz="Asia/Kolkata", granularity="month"), {"2025-03-01T00:00:00+05:30": "5"})
        hours = self.quantities(tz="Asia/Kolkata", granularity="hour")
        self.assertEqual(hours["2025-03-04T23:00:00+05:30"], "1")
        self.assertEqual(hours["2025-03-05T00:00:00+05:30"], "1")

    def test_a_zone_within_the_hour_with_dimensions(self):
        for moment, model, tokens in (
            ("2025-03-04T18:29", "large", 1),
            ("2025-03-04T18:30", "large", 2),
            ("2025-03-04T18:45", "small", 4),
            ("2025-03-04T19:10", "large", 8),
        ):
            self.send(moment, data={"tokens": tokens, "model": model})
        rows = self.usage(tz="Asia/Kolkata", group_by="model", account="acme")["data"]
        self.assertEqual(
            [(row["start"][:10], row["dimensions"]["model"], row["quantity"], row["events"]) for row in rows],
            [("2025-03-04", "large", "1", 1), ("2025-03-05", "large", "10", 2), ("2025-03-05", "small", "4", 1)],
        )

    def test_every_zone_and_granularity_gives_the_same_total(self):
        moments = [datetime(2025, 3, 1) + timedelta(hours=7 * n, minutes=13 * n) for n in range(100)]
        self.send(*(f"{moment:%Y-%m-%dT%H:%M}" for moment in moments), tokens=Decimal("0.1"))
        for zone in ("UTC", "America/St_Johns", "Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe"):
            for granularity in ("hour", "day", "month"):
                with self.subTest(zone=zone, granularity=granularity):
                    days = {"from_": "2025-02-01", "to": "2025-06-01"}
                    found = self.quantities(tz=zone, granularity=granularity, limit=5000, **days)
                    self.assertEqual(sum(map(Decimal, found.values())), Decimal(10))


@tagged("post_install", "-at_install")
class TestUsagePages(UsageApiCommon):
    """All rows, once each, however small the pages."""

    def fill(self):
        for name in ("zeta", "ä", "Beta", "beta"):
            self._account(name)
        for name in ("acme", "zeta", "ä", "Beta", "beta"):
            for day in (3, 4):
                for model in ("large", "small", None):
                    self.send(f"2025-03-{day:02}T18:45", subject=name, data={"tokens": 1, "model": model})

    def pages(self, **parameters):
        answer = self.usage(**parameters)
        rows, sizes = answer["data"], [len(answer["data"])]
        while answer["next_cursor"]:
            answer = self.usage(**parameters, cursor=answer["next_cursor"])
            rows = rows + answer["data"]
            sizes.append(len(answer["data"]))
        return rows, sizes

    def test_every_row_once(self):
        self.fill()
        for zone in ("UTC", "Asia/Kolkata"):
            parameters = {"group_by": "model", "tz": zone}
            whole, _sizes = self.pages(**parameters)
            self.assertEqual(len(whole), 30)
            for limit in (1, 7, 29, 30, 31):
                with self.subTest(zone=zone, limit=limit):
                    rows, sizes = self.pages(**parameters, limit=limit)
                    self.assertEqual(rows, whole)
                    self.assertEqual(set(sizes[:-1]) - {limit}, set(), "full pages but the last")
                    self.assertTrue(sizes[-1])

    def test_order(self):
        self.fill()
        rows = self.usage(group_by="model")["data"]
        keys = [(row["start"], row["account"].encode()) for row in rows]
        self.assertEqual(keys, sorted(keys))

    def test_no_cursor_at_the_end(self):
        self.send("2025-03-05T10:15", "2025-03-06T10:15")
        self.assertIsNone(self.usage(limit=2)["next_cursor"])
        self.assertTrue(self.usage(limit=1)["next_cursor"])

    def test_usage_that_comes_meanwhile(self):
        """Rows behind the cursor are told; none is told twice."""
        self.send("2025-03-05T10:15", "2025-03-06T10:15")
        first = self.usage(limit=1)
        self.send("2025-03-04T10:15", "2025-03-05T10:30", "2025-03-07T10:15")
        second = self.usage(limit=5, cursor=first["next_cursor"])
        self.assertEqual(
            [row["start"][:10] for row in first["data"] + second["data"]], ["2025-03-05", "2025-03-06", "2025-03-07"]
        )


@tagged("post_install", "-at_install")
class TestUsageParameters(UsageApiCommon):
    """What may not be asked is refused, with the name of the parameter and what it may be."""

    def assertInvalid(self, code="parameter_invalid", mention="", **parameters):
        response = self.get(self.path(**parameters))
        self.assertRefused(response, 404 if code == "meter_unknown" else 400, code)
        self.assertIn(mention, response.json()["error"]["message"])

    def test_missing(self):
        for name in ("meter", "from", "to"):
            with self.subTest(name):
                self.assertInvalid("parameter_missing", name, **{f"{name}_": None})
                self.assertInvalid("parameter_missing", name, **{f"{name}_": ""})

    def test_unknown(self):
        self.assertInvalid("parameter_unknown", "granuarity", granuarity="hour")
        self.assertInvalid("meter_unknown", "", meter="nothing")
        self.assertInvalid(mention="model", group_by="region")
        self._meter("plain")
        self.assertInvalid(mention="nothing", meter="plain", group_by="model")

    def test_granularity(self):
        for value in ("week", "HOUR", ""):
            self.assertInvalid(mention="hour, day, month", granularity=value)

    def test_zone(self):
        for value in ("Berlin", "", "Europe", "../etc/passwd", "/etc/localtime", "+02:00", "Europe/Berlin\n"):
            with self.subTest(value):
                self.assertInvalid(mention="Europe/Berlin", tz=value)

    def test_moments(self):
        values = ("yesterday", "2025-13-01", "2025-02-30", "2025-03-05T10:00:00", "1741170000", "2025-03-05 10:00")
        for value in values:
            with self.subTest(value):
                self.assertInvalid(mention="from", from_=value)

    def test_a_plus_that_became_a_space(self):
        self.assertInvalid(mention="%2B", from_="2025-03-01T00:00:00 02:00")

    def test_range(self):
        self.assertInvalid(mention="later", from_="2025-03-05", to="2025-03-05")
        self.assertInvalid(mention="later", from_="2025-03-06", to="2025-03-05")
        self.assertInvalid("range_too_long", "", from_="2000-01-01", to="2025-01-01", granularity="hour")
        self.assertInvalid("range_too_long", "", from_="0001-01-01", to="9999-01-01")
        self.assertEqual(self.usage(from_="2000-01-01", to="2025-01-01", granularity="month")["data"], [])

    def test_the_end_of_the_calendar(self):
        self.assertInvalid(mention="calendar", from_="9999-12-01", to="9999-12-31", granularity="month")
        self.assertInvalid(from_="9999-12-31", to="9999-12-31T23:00:00Z", tz="America/New_York")

    def test_limit(self):
        for value in ("0", "-1", "5001", "x", "1.5", "", "٣", "9" * 30):
            with self.subTest(value):
                self.assertInvalid(mention="1 to 5000", limit=value)

    def test_cursor(self):
        self.send("2025-03-05T10:15", "2025-03-06T10:15")
        cursor = self.usage(limit=1)["next_cursor"]
        for value in ("", "x", "AAAA", "é", cursor[:-4], cursor[4:]):
            with self.subTest(value):
                self.assertInvalid(mention="cursor", cursor=value)
        self.assertInvalid(mention="cursor", cursor=cursor, granularity="month", from_="2025-03-02")

    def test_the_nul_character(self):
        for name in ("meter", "account", "from", "tz", "group_by", "cursor"):
            with self.subTest(name):
                self.assertInvalid(mention=name, **{f"{name}_": "a\0b"})

    def test_texts_of_any_kind_are_values(self):
        for value in ("'; DROP TABLE usage_event; --", "%s", "%(x)s", "日本", "x" * 3000):
            with self.subTest(value[:20]):
                self.assertEqual(self.usage(account=value)["data"], [])
                self.assertInvalid("meter_unknown", meter=value)

    def test_the_type_of_events_is_not_the_meter(self):
        self.assertInvalid("meter_unknown", meter=EVENT_TYPE)
