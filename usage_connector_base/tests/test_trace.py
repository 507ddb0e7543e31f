import gzip
import io
import json
import logging
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch

from odoo.tests import Form, tagged

from odoo.addons.usage_connector_base.ingestion import facts
from odoo.addons.usage_connector_base.models import usage_exception

from .common import UsageHttpCommon

SECRET = "whisky-tango-foxtrot"


@tagged("post_install", "-at_install")
class TestTrace(UsageHttpCommon):
    """Who sent what, when, and what was done to it with what result: for every event, in the UI."""

    def test_from_an_event(self):
        self.post(
            [self.event("a"), self.event("b", subject="other", tokens=2)], headers={"X-Correlation-Id": "nightly"}
        )
        self.fold()
        event = self.stored("a").with_user(self.viewer)
        with Form(event, "usage_connector_base.view_usage_event_form") as form:
            self.assertEqual(form.key_id, self.source.key_ids.with_user(self.viewer))
            self.assertEqual((form.remote_addr, form.correlation_id), ("127.0.0.1", "nightly"))
            self.assertTrue(form.folded_at)
        hours = self.env["usage.aggregate"].with_user(self.viewer).search(event.action_view_hours()["domain"])
        self.assertEqual((hours.meter_id, hours.quantity), (self.meter, 1))
        self.assertEqual(event.batch_id.user_id, self.source.user_id)
        self.assertEqual(event.account_id, self.account)

    def test_counted_by_several_meters(self):
        self._meter("calls")
        self.post([self.event("a"), self.event("b", data={"tokens": 1, "model": "small"})])
        self.fold()
        self.assertEqual(set(self.stored("a")._hours().mapped("meter_id.code")), {"tokens", "calls"})
        self.assertEqual(len(self.stored("a")._hours()), 2, "not the hour of the other model")

    def test_not_counted(self):
        self.post([self.event("a", type="strange")])
        self.fold()
        event = self.stored("a")
        self.assertFalse(event._hours())
        exceptions = self.env["usage.exception"].search(event.action_view_exceptions()["domain"])
        self.assertEqual((exceptions.mapped("reason"), event.exception_count), (["meter_unknown"], 1))

    def test_exceptions_of_an_event(self):
        self.post([self.event("a")])
        self.post([self.event("a", tokens=3), self.event("b", tokens=4)])
        self.assertEqual(self.stored("a").exception_count, 1)
        self.assertEqual(self.stored("b").exception_count, 0)

    def test_from_a_request(self):
        self.post([self.event("a"), self.event("bad", tokens="x"), self.event("c", subject="new")])
        batch = self.last_batch().with_user(self.viewer)
        exceptions = self.env["usage.exception"].with_user(self.viewer).search(batch.action_view_exceptions()["domain"])
        self.assertIn("value_not_number", exceptions.mapped("reason"))
        with Form(batch, "usage_connector_base.view_usage_batch_form") as form:
            self.assertEqual((form.remote_addr, form.rejected_count), ("127.0.0.1", 1))
            self.assertTrue(form.key_id)


@tagged("post_install", "-at_install")
class TestLogs(UsageHttpCommon):
    """No key, secret or payload gets into the server's log, whatever goes wrong."""

    @contextmanager
    def listening(self):
        """Text of what is logged meanwhile: ours at every level, of others from INFO on, tracebacks included."""
        heard, own = io.StringIO(), logging.getLogger("odoo.addons.usage_connector_base")
        handler = logging.StreamHandler(heard)
        handler.addFilter(lambda record: record.levelno >= logging.INFO or record.name.startswith(own.name))
        root, level = logging.getLogger(), own.level
        others = root.handlers
        root.handlers = [handler]
        own.setLevel(logging.DEBUG)
        try:
            yield heard
        finally:
            root.handlers = others
            own.setLevel(level)

    def logged(self, *args, status=200, **kwargs):
        """What is logged of a request."""
        with self.listening() as heard:
            response = self.post(*args, **kwargs)
        self.assertEqual(response.status_code, status, response.text[:300])
        self.assertIn("POST /usage/v1/events", heard.getvalue())
        return heard.getvalue()

    def assertSilent(self, text, key=None):
        for secret in (SECRET, key or self.key, json.dumps(SECRET)):
            self.assertNotIn(secret, text)

    def test_good_and_bad_requests(self):
        good = self.event("good", data={"tokens": 1, "note": SECRET}, user=SECRET)
        bodies = [
            ([good], {}, 200),
            ([good], {}, 200),
            ([{**good, "data": {"tokens": 2, "note": SECRET}}], {}, 200),
            ([self.event("bad", data={"tokens": SECRET})], {}, 200),
            ([self.event("held", subject=SECRET, type=SECRET)], {}, 200),
            ([SECRET, {"id": SECRET}], {}, 200),
            (f'{{"events": ["{SECRET}'.encode(), {}, 400),
            (SECRET.encode(), {"content_type": f"text/{SECRET}"}, 415),
            (gzip.compress(SECRET.encode())[:-4], {"headers": {"Content-Encoding": "gzip"}}, 400),
            ([good], {"headers": {"X-Usage-Environment": SECRET}}, 403),
        ]
        for body, options, status in bodies:
            with self.subTest(body=body):
                self.assertSilent(self.logged(body, status=status, **options))

    def test_wrong_key(self):
        text = self.logged([], key=SECRET, status=401)
        self.assertSilent(text)
        self.assertIn("wrong or no key, from 127.0.0.1", text)

    def test_making_and_rotating_keys(self):
        with self.listening() as heard:
            source = self.source.with_user(self.admin)
            keys = [source._generate_key("made"), source._rotate_key("rotated", 30, 1)]
            for key in keys:
                self.post([], key=key)
            source.action_revoke_keys()
            self.post([], key=keys[0])
        self.assertIn("wrong or no key", heard.getvalue())
        for key in keys:
            self.assertNotIn(key, heard.getvalue())

    def test_rows_that_postgresql_does_not_take(self):
        """Its messages quote the row: they stay out of the log, which says what went wrong all the same."""
        dump = facts.dump
        with patch.object(facts, "dump", lambda value: f"no json {SECRET} {dump(value)}"):
            text = self.logged([self.event("a", data={"tokens": 1, "note": SECRET})], status=500)
        self.assertSilent(text)
        self.assertIn("InvalidTextRepresentation 22P02", text)
        self.assertFalse(self.stored("a"))

    def test_exceptions_that_postgresql_does_not_take(self):
        with patch.object(usage_exception, "json", SimpleNamespace(dumps=lambda rows: f"no json {rows}")):
            text = self.logged([self.event("a", data={"tokens": SECRET})], status=500)
        self.assertSilent(text)
        self.assertIn("22P02", text)

    def test_errors_of_our_own(self):
        ingestion = type(self.env["usage.ingestion"])
        with patch.object(ingestion, "_answer", autospec=True, side_effect=RuntimeError("power cut")):
            text = self.logged([self.event("a", data={"tokens": 1, "note": SECRET})], status=500)
        self.assertSilent(text)
        self.assertIn("power cut", text)
