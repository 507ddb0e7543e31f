import json

from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestTakeReceived(UsageCommon):
    """A person decides a conflict in favour of what was received."""

    def conflict(self):
        conflict = self.exceptions(reason="conflict")
        self.assertEqual(len(conflict), 1)
        return conflict.with_user(self.operator)

    def counting(self, *event_ids):
        return self.stored(*event_ids).filtered(lambda event: not event.superseding_ids)

    def test_event(self):
        self.ingest([self.event("a", tokens=1, tenant="t", region="eu", time=self.time(7))])
        received = self.event("a", tokens=2, time=None, subject="acme-2", zone="z")
        self.ingest([received])
        conflict = self.conflict()
        conflict.action_take_received("The first was a test")
        event = self.counting("a")
        self.assertEqual((event.data["tokens"], event.account_id.external_id), (2, "acme-2"))
        self.assertEqual(event.attributes, {"source": "/test", "zone": "z"}, "nothing of the stored one is mixed in")
        self.assertFalse(event.tenant_ref)
        self.assertEqual(event.time, self.stored("a").sorted("id")[0].time, "a time that was not sent is as it was")
        correction = self.corrections("a")
        self.assertEqual((correction.user_id, correction.reason), (self.operator, "The first was a test"))
        self.assertEqual(correction.action, "amend")
        self.assertEqual((conflict.state, conflict.resolved_by_id), ("resolved", self.operator))
        self.assertEqual(conflict.resolution, "The received one counts")
        batch = correction.batch_id
        self.assertEqual((batch.user_id, batch.kind), (self.operator, "corrections"))

    def test_what_is_stored_stands_beside_what_was_received(self):
        """In the same form, so that what differs shows."""
        stored = self.event("a", tenant="t", user="u", region="eu", time=self.time(7))
        self.ingest([stored])
        self.ingest([{**stored, "subject": "another"}])
        conflict = self.conflict()
        del stored["specversion"]
        self.assertEqual(json.loads(conflict.other_payload), stored)

    def test_without_a_reason(self):
        self.ingest([self.event("a", tokens=1)])
        self.ingest([self.event("a", tokens=2)])
        self.conflict().action_take_received()
        self.assertIn("Conflict", self.corrections("a").reason)

    def test_voided_meanwhile(self):
        self.ingest([self.event("a", tokens=1)])
        self.ingest([self.event("a", tokens=2)])
        self.correct(self.void("v-1", "a"))
        conflict = self.conflict()
        with self.assertRaisesRegex(UserError, "voided"):
            conflict.action_take_received()
        self.assertEqual(conflict.state, "open")

    def test_correction(self):
        self.ingest([self.event("a"), self.event("b")])
        self.correct(self.void("v-1", "a"))
        self.correct(self.void("v-1", "b"))
        conflict = self.conflict()
        conflict.action_take_received()
        self.assertFalse(self.counting("b"))
        self.assertEqual(self.corrections("b").reason, "Sent in error")
        self.assertEqual(self.corrections("b").user_id, self.operator)

    def test_quantity_of_a_summary(self):
        window = self.summarize(self.summary(1))["summaries"][0]["id"]
        self.summarize(self.summary(2))
        self.conflict().action_take_received("Counted again by hand")
        self.assertEqual(self.counting(window).data["quantity"], 2)
        correction = self.corrections(window)
        self.assertEqual((correction.action, correction.reason), ("amend", "Counted again by hand"))
        self.assertEqual(correction.user_id, self.operator)
        self.assertEqual(self.outcomes(self.summarize(self.summary(3, sequence=2))), {"accepted": 1})

    def test_overlapping_windows(self):
        ids = [
            one["id"]
            for one in self.summarize(self.summary(1), self.summary(2, start=1), self.summary(3, start=2))["summaries"]
        ]
        answer = self.summarize(self.summary(9, hours=2))
        conflict = self.conflict()
        self.assertEqual(len(json.loads(conflict.other_payload)), 2)
        conflict.action_take_received()
        self.assertEqual(self.counting(*ids).data["quantity"], 3)
        self.assertEqual(self.counting(answer["summaries"][0]["id"]).data["quantity"], 9)
        self.assertEqual(self.corrections(*ids).mapped("action"), ["void", "void"])

    def test_keep_stored(self):
        self.ingest([self.event("a", tokens=1)])
        self.ingest([self.event("a", tokens=2)])
        self.conflict().action_keep_stored()
        self.assertFalse(self.corrections("a"))

    def test_only_open_conflicts(self):
        self.ingest([self.event("a", tokens=1), self.event("bad", tokens="x")])
        self.ingest([self.event("a", tokens=2)])
        rejected = self.exceptions(reason="value_not_number").with_user(self.operator)
        rejected.action_take_received()
        self.assertEqual(rejected.state, "open")
        conflict = self.conflict()
        conflict.action_take_received()
        with self.assertRaises(UserError):
            conflict.action_take_received()

    def test_viewers_decide_nothing(self):
        self.ingest([self.event("a", tokens=1)])
        self.ingest([self.event("a", tokens=2)])
        with self.assertRaises(AccessError):
            self.conflict().with_user(self.viewer).action_take_received()
        self.assertFalse(self.corrections("a"))

    def test_part_of_a_payload(self):
        self.ingest([self.event("a", tokens=1)])
        self.ingest([self.event("a", tokens=2)])
        self.env.cr.execute("UPDATE usage_exception SET payload = repeat('x', 65536) WHERE reason = 'conflict'")
        self.env.invalidate_all()
        with self.assertRaises(UserError):
            self.conflict().action_take_received()
