from odoo import fields
from odoo.tests import tagged

from odoo.addons.usage_connector_base.ingestion.envelope import Refusal

from .common import OUTCOMES, UsageCommon


@tagged("post_install", "-at_install")
class TestBatch(UsageCommon):
    """Every request leaves one record, with what became of it."""

    def batch(self, answer):
        return self.env["usage.batch"].browse(answer["batch"])

    def test_counts(self):
        self.ingest([self.event("known")])
        answer = self.ingest(
            [
                self.event("good"),
                self.event("known"),
                self.event("known", tokens=9),
                self.event("held", subject="new"),
                self.event("bad", tokens="x"),
                self.event("bad too", tokens=-1),
            ],
            correlation_id="c-1",
            media_type="application/json",
            body_bytes=1234,
        )
        batch = self.batch(answer)
        self.assertEqual(batch.event_count, 6)
        self.assertEqual([batch[f"{outcome}_count"] for outcome in OUTCOMES], [1, 1, 1, 1, 2])
        self.assertEqual(sum(batch[f"{outcome}_count"] for outcome in OUTCOMES), batch.event_count)
        self.assertEqual(
            (batch.source_id, batch.company_id, batch.user_id), (self.source, self.company, self.source.user_id)
        )
        self.assertEqual((batch.correlation_id, batch.media_type, batch.body_bytes), ("c-1", "application/json", 1234))
        self.assertFalse(batch.refusal_code)
        self.assertGreaterEqual(batch.duration_ms, 0)
        self.assertLess(abs(batch.received_at - fields.Datetime.now()).total_seconds(), 60)

    def test_waits_only_when_something_was_stored(self):
        self.assertFalse(self.batch(self.ingest([self.event("a")])).folded_at)
        self.assertFalse(
            self.batch(self.ingest([self.event("b", subject="new")])).folded_at, "held events are folded too"
        )
        for events in ([], [self.event("a")], [self.event("a", tokens=2)], [self.event("c", tokens="x")]):
            self.assertTrue(self.batch(self.ingest(events)).folded_at, events)

    def test_refused(self):
        sender = self.source._as_sender()
        ingestion = self.env(user=sender.user_id)["usage.ingestion"]
        ingestion._refuse(
            sender, Refusal(400, "invalid_json", "Not JSON."), media_type="application/json", body_bytes=3
        )
        batch = self.env["usage.batch"].search([("source_id", "=", self.source.id)], limit=1)
        self.assertEqual((batch.refusal_code, batch.event_count, batch.body_bytes), ("invalid_json", 0, 3))
        self.assertTrue(batch.folded_at, "there is nothing to fold")

    def test_name_and_drill_down(self):
        batch = self.batch(self.ingest([self.event("a"), self.event("b"), self.event("bad", tokens="x")]))
        self.assertEqual(batch.display_name, f"Request {batch.id}")
        action = batch.action_view_events()
        events = self.env[action["res_model"]].search(action["domain"])
        self.assertEqual(set(events.mapped("event_id")), {"a", "b"})

    def test_filters_and_groups(self):
        self.ingest([self.event("bad", tokens="x")])
        self.ingest([self.event("good")])
        domain = [("source_id", "=", self.source.id)]
        groups = self.env["usage.batch"]._read_group(
            domain, ["received_at:day"], ["event_count:sum", "rejected_count:sum", "duration_ms:avg"]
        )
        self.assertEqual([(events, rejected) for _day, events, rejected, _ms in groups], [(2, 1)])
        self.assertEqual(self.env["usage.batch"].search_count([*domain, ("folded_at", "=", False)]), 1)
