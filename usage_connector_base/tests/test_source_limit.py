from datetime import timedelta
from unittest.mock import patch

import psycopg2

from odoo.exceptions import ValidationError
from odoo.http import HTTPRequest
from odoo.tests import tagged
from odoo.tools import config, mute_logger

from odoo.addons.usage_connector_base.controllers.common import QUEUE_SECONDS
from odoo.addons.usage_connector_base.models import usage_monitoring

from .common import UsageCommon, UsageHttpCommon


@tagged("post_install", "-at_install")
class TestBucket(UsageCommon):
    """What a source may send at a moment, as one bucket that all processes share."""

    def setUp(self):
        super().setUp()
        self.limit(10, burst=100)

    def limit(self, rate, unit="second", burst=0):
        self.source.write({"rate_limit": rate, "rate_unit": unit, "rate_burst": burst})
        self.sender = self.source._as_sender()

    def take(self, count):
        return self.env["usage.source"]._take(self.sender, count)

    def wait(self, seconds):
        """Let time pass, for the bucket."""
        self.env.cr.execute("UPDATE usage_source_bucket SET filled_at = filled_at - %s", [timedelta(seconds=seconds)])

    def test_no_limit(self):
        self.limit(0)
        self.assertEqual(self.sender.rate, 0)

    def test_rate_of_a_minute(self):
        self.limit(120, "minute")
        self.assertEqual((self.sender.rate, self.sender.burst), (2, 120))

    def test_burst_of_a_minute_unless_set(self):
        self.limit(10)
        self.assertEqual(self.sender.burst, 600)
        self.limit(1, "minute")
        self.assertEqual(self.sender.burst, 1)

    def test_up_to_the_burst(self):
        self.assertEqual([self.take(40), self.take(60)], [0, 0])
        self.assertEqual(self.take(20), 2)

    def test_refilled_at_the_rate(self):
        self.take(100)
        self.wait(3)
        self.assertEqual(self.take(30), 0)
        self.assertEqual(self.take(30), 3)
        self.wait(10_000)
        self.assertEqual(self.take(100), 0, "no further than the burst")
        self.assertEqual(self.take(1), 1)

    def test_refused_takes_nothing(self):
        self.take(100)
        for _ in range(5):
            self.assertEqual(self.take(50), 5)

    def test_larger_than_the_burst(self):
        """Taken when the bucket is full; the rate holds all the same."""
        self.assertEqual(self.take(250), 0)
        self.assertEqual(self.take(1), 16, "15 seconds of debt, and its own tenth of one")
        self.assertEqual(self.take(250), 25)
        self.wait(25)
        self.assertEqual(self.take(250), 0)

    def test_requests_without_events(self):
        self.limit(1, burst=3)
        self.assertEqual([self.take(0) for _ in range(4)], [0, 0, 0, 1])

    def test_clock_that_went_back(self):
        self.take(100)
        self.wait(-5)
        self.assertEqual(self.take(10), 1, "nothing is taken away for it")

    def test_each_source_has_its_own(self):
        self.take(100)
        other = self._source("other-cloud")
        other.rate_limit = 1
        self.assertEqual(self.env["usage.source"]._take(other._as_sender(), 5), 0)

    def test_is_no_fact(self):
        """It is unlogged, so that taking writes no log to disk, and goes with its source."""
        self.env.cr.execute("SELECT relpersistence FROM pg_class WHERE relname = 'usage_source_bucket'")
        self.assertEqual(self.env.cr.fetchall(), [("u",)])

    def test_nothing_below_zero(self):
        for values in ({"rate_limit": -1}, {"rate_burst": -1}):
            with (
                self.assertRaises(psycopg2.errors.CheckViolation),
                mute_logger("odoo.sql_db"),
                self.cr.savepoint(),
            ):
                self.source.write(values)
                self.source.flush_recordset()


@tagged("post_install", "-at_install")
class TestNetworks(UsageCommon):
    def networks(self, text):
        self.source.allowed_networks = text
        return [str(network) for network in self.source._networks()]

    def test_addresses_and_networks(self):
        self.assertEqual(self.networks(False), [])
        self.assertEqual(
            self.networks("203.0.113.7\n198.51.100.0/24, 2001:db8::/32;\n\n ::1"),
            ["203.0.113.7/32", "198.51.100.0/24", "2001:db8::/32", "::1/128"],
        )

    def test_what_is_none(self):
        for text in ("example.com", "203.0.113.7/33", "203.0.113.1/24", "1.2.3", "*", "203.0.113.1-9"):
            with self.subTest(text), self.assertRaisesRegex(ValidationError, "203.0.113.0/24"):
                self.source.allowed_networks = text


@tagged("post_install", "-at_install")
class TestLimitsOfRequests(UsageHttpCommon):
    """What senders are told who send too much, or from elsewhere."""

    def tearDown(self):
        usage_monitoring._looked.clear()
        super().tearDown()

    def test_over_the_rate(self):
        self.source.write({"rate_limit": 6, "rate_unit": "minute", "rate_burst": 3})
        self.assertEqual(self.post([self.event(f"{n}") for n in range(3)]).status_code, 200)
        for n in (3, 4):
            response = self.post([self.event(f"{n}")])
            self.assertRefused(response, 429, "rate_limited")
            self.assertTrue(0 < int(response.headers["Retry-After"]) <= 10)
            self.assertIn(response.headers["Retry-After"], response.json()["error"]["message"])
            self.assertFalse(self.stored(f"{n}"))
            self.assertEqual(self.last_batch().refusal_code, "rate_limited")
        found = self.exceptions(reason="rate_limited")
        self.assertEqual((found.state, found.occurrence_count, found.category), ("open", 2, "operational"))

    def test_later_it_passes(self):
        self.source.write({"rate_limit": 1, "rate_burst": 1})
        self.post([self.event("a")])
        self.assertRefused(self.post([self.event("b")]), 429, "rate_limited")
        self.env.cr.execute("UPDATE usage_source_bucket SET filled_at = filled_at - interval '1 second'")
        self.assertEqual(self.post([self.event("b")]).json()["accepted"], 1)

    def test_limit_is_known_at_once(self):
        self.assertEqual(self.post([self.event("a")]).status_code, 200)
        self.source.write({"rate_limit": 1, "rate_unit": "minute", "rate_burst": 1})
        self.assertEqual(self.post([self.event("b")]).status_code, 200)
        self.assertRefused(self.post([self.event("c")]), 429, "rate_limited")
        self.source.rate_limit = 0
        self.assertEqual(self.post([self.event("c")]).status_code, 200)

    def test_costs_nothing_without_a_limit(self):
        self.post([self.event("a")])
        with patch.object(type(self.env["usage.source"]), "_take", side_effect=AssertionError):
            self.assertEqual(self.post([self.event("b")]).status_code, 200)

    def test_clients_of_others(self):
        """They get their own shape of a refusal, with the same status and Retry-After."""
        self.source.write({"rate_limit": 1, "rate_unit": "minute", "rate_burst": 1})
        self.post([self.event("a")])
        for path in ("/usage/openmeter/api/v1/events", "/usage/lago/api/v1/events/batch"):
            response = self.url_open(
                path,
                data=b'{"events": []}' if "lago" in path else b"[]",
                headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
            )
            self.assertEqual(response.status_code, 429, path)
            self.assertTrue(int(response.headers["Retry-After"]) > 0)

    # -- back-pressure ----------------------------------------------------------------------

    def let_wait(self, limit):
        self.env["ir.config_parameter"].set_param("usage.max_waiting_events", limit)
        usage_monitoring._looked.clear()

    def test_too_much_waits(self):
        self.fold()
        self.let_wait(100)
        for n in range(2):
            self.assertEqual(self.post([self.event(f"{n}")]).status_code, 200, "each weighs 50")
            usage_monitoring._looked.clear()
        response = self.post([self.event("2")])
        self.assertRefused(response, 503, "queue_full")
        self.assertEqual(response.headers["Retry-After"], str(QUEUE_SECONDS))
        self.assertFalse(self.stored("2"))
        self.assertEqual(self.last_batch().refusal_code, "queue_full")
        self.assertTrue(self.exceptions(reason="queue_full"))
        self.assertEqual(self.url_open("/usage/v1/health").json()["status"], "full")
        self.assertIn("usage_refusing 1", self.metrics())
        self.assertIn("usage_waiting_events 100", self.metrics())
        self.fold()
        usage_monitoring._looked.clear()
        self.assertEqual(self.post([self.event("2")]).json()["accepted"], 1, "it recovers by itself")
        self.fold()
        usage_monitoring._looked.clear()
        self.assertEqual(self.url_open("/usage/v1/health").json()["status"], "ok")
        self.assertIn("usage_refusing 0", self.metrics())

    def metrics(self):
        return self.url_open("/usage/v1/metrics", headers={"Authorization": f"Bearer {self.key}"}).text

    def test_body_is_not_read_meanwhile(self):
        self.post([self.event("a")])
        self.let_wait(1)
        self.assertRefused(self.post(b"no json"), 503, "queue_full")

    def test_never(self):
        self.post([self.event("a")])
        self.let_wait(0)
        self.assertEqual(self.post([self.event("b")]).status_code, 200)

    def test_looked_up_once_a_second(self):
        self.post([self.event("a")])
        with patch.object(usage_monitoring, "LOOK_SECONDS", 1000):
            usage_monitoring._looked.clear()
            monitoring = self.env["usage.monitoring"]
            monitoring._is_full()
            with self.assertQueryCount(0):
                monitoring._is_full()

    def test_weight(self):
        self.fold()
        waiting = self.env["usage.monitoring"]._waiting_events
        self.assertEqual(waiting(), 0)
        self.ingest([self.event(f"{n}") for n in range(70)])
        self.ingest([self.event("one")])
        self.assertEqual(waiting(), 120)

    # -- addresses --------------------------------------------------------------------------

    def allow(self, networks):
        self.source.allowed_networks = networks

    def test_address(self):
        self.allow("203.0.113.0/24")
        response = self.post([self.event("a")])
        self.assertRefused(response, 403, "address_not_allowed")
        self.assertFalse(self.stored("a"))
        batch = self.last_batch()
        self.assertEqual((batch.refusal_code, batch.remote_addr), ("address_not_allowed", "127.0.0.1"))
        self.assertIn("127.0.0.1", self.exceptions(reason="address_not_allowed").message)
        self.allow("203.0.113.0/24\n127.0.0.1")
        self.assertEqual(self.post([self.event("a")]).status_code, 200)
        self.assertEqual(self.last_batch().remote_addr, "127.0.0.1")

    def test_address_of_questions(self):
        self.allow("203.0.113.0/24")
        for path in ("/usage/v1/events/a", "/usage/v1/usage?meter=tokens", "/usage/v1/metrics"):
            response = self.url_open(path, headers={"Authorization": f"Bearer {self.key}"})
            self.assertRefused(response, 403, "address_not_allowed")

    def test_address_before_all_else(self):
        """Whoever holds a stolen key learns nothing of its source."""
        self.source.with_user(self.admin).action_suspend()
        self.allow("203.0.113.0/24")
        self.assertRefused(self.post([]), 403, "address_not_allowed")

    def test_kinds_of_addresses(self):
        self.allow("203.0.113.0/24\n2001:db8::/32")
        for address, status in (
            ("203.0.113.200", 200),
            ("::ffff:203.0.113.200", 200),
            ("203.0.114.1", 403),
            ("2001:db8::5", 200),
            ("2001:db9::5", 403),
            ("::1", 403),
        ):
            with self.subTest(address), patch.object(HTTPRequest, "remote_addr", address):
                self.assertEqual(self.post([]).status_code, status)

    def test_forwarded_addresses_are_not_believed(self):
        """Unless Odoo is told that it stands behind a proxy, which is its own setting."""
        self.allow("203.0.113.0/24")
        forwarded = {
            "X-Forwarded-For": "203.0.113.7",
            "X-Forwarded-Host": "odoo.example.com",
            "X-Real-IP": "203.0.113.7",
        }
        self.assertRefused(self.post([], headers=forwarded), 403, "address_not_allowed")
        with patch.dict(config.options.maps[0], {"proxy_mode": True}):
            self.assertEqual(self.post([], headers=forwarded).status_code, 200)
            spoofed = {**forwarded, "X-Forwarded-For": "203.0.113.7, 198.51.100.1"}
            self.assertRefused(self.post([], headers=spoofed), 403, "address_not_allowed")
