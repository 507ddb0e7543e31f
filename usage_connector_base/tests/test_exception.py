import json
from datetime import timedelta

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from odoo.addons.usage_connector_base.models.usage_exception import MAX_PAYLOAD

from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestRecording(UsageCommon):
    """One open exception per cause, however often it occurs."""

    def test_unmapped_account(self):
        for batch in range(3):
            self.ingest([self.event(f"{batch} {n}", subject="new") for n in range(3)])
        exception = self.exceptions()
        self.assertEqual(len(exception), 1)
        self.assertEqual(
            (exception.reason, exception.category, exception.state), ("account_unmapped", "business", "open")
        )
        self.assertEqual(exception.account_id.external_id, "new")
        self.assertEqual(exception.held_event_count, 9)
        self.assertIn("new", exception.summary)

    def test_account_entered_by_hand(self):
        account = self._account("by hand")
        self.assertEqual(self.exceptions(account_id=account.id).mapped("state"), ["open"])
        self._account("by hand, mapped", self.customer)
        self.assertEqual(len(self.exceptions()), 1)

    def test_type_without_meter(self):
        self.ingest([self.event("a", type="new"), self.event("b", type="new"), self.event("c", type="newer")])
        self.ingest([self.event("d", type="new")])
        exceptions = self.exceptions(reason="meter_unknown")
        self.assertEqual({x.event_type: x.held_event_count for x in exceptions}, {"new": 3, "newer": 1})
        self.assertEqual({x.event_type: x.occurrence_count for x in exceptions}, {"new": 3, "newer": 1})
        self.assertEqual(set(exceptions.mapped("category")), {"operational"})

    def test_type_of_each_source(self):
        other = self._source("other-cloud")
        self.ingest([self.event("a", type="new")])
        self.ingest([self.event("a", type="new")], source=other)
        exceptions = self.env["usage.exception"].search([("reason", "=", "meter_unknown"), ("event_type", "=", "new")])
        self.assertEqual(exceptions.source_id, self.source | other)

    def test_same_rejected_event_again(self):
        bad = self.event("a", tokens="x")
        first = self.ingest([bad, bad])
        self.ingest([bad])
        exception = self.exceptions()
        self.assertEqual(len(exception), 1)
        self.assertEqual(exception.occurrence_count, 3)
        self.assertEqual(exception.batch_id.id, first["batch"])
        self.assertLessEqual(exception.first_seen, exception.last_seen)

    def test_each_rejected_event_is_one(self):
        self.ingest([self.event("a", tokens="x"), self.event("b", tokens="x"), self.event("a", tokens="y")])
        self.assertEqual(len(self.exceptions(reason="value_not_number")), 3)

    def test_rejected_event(self):
        self.ingest([self.event("a", tokens="x")])
        exception = self.exceptions()
        self.assertEqual((exception.event_ref, exception.event_type), ("a", "llm.completion"))
        self.assertEqual(json.loads(exception.payload), self.event("a", tokens="x"))
        self.assertIn("data.tokens", exception.message)
        self.assertFalse(exception.other_payload)
        self.assertEqual((exception.company_id, exception.owner_id), (self.company, self.source.owner_id))
        self.assertEqual(exception.category, "operational")

    def test_payload_digit_by_digit(self):
        self.ingest(b'{"events": [{"id": "a", "n": [0.10000000000000000001, 1e400, 123456789012345678901234567890]}]}')
        self.assertIn('[0.10000000000000000001,"1e400",123456789012345678901234567890]', self.exceptions().payload)

    def test_long_payload_is_cut(self):
        self.ingest([self.event("a", extension="x" * 2 * MAX_PAYLOAD)])
        self.assertEqual(len(self.exceptions().payload), MAX_PAYLOAD)

    def test_rejected_without_readable_identity(self):
        self.ingest(
            b'{"events": [7, {"id": {"deep": [1.50]}, "type": 8, "subject": "s"}, {"id": "%s"}]}' % (b"x" * 300)
        )
        exceptions = self.exceptions().sorted("id")
        self.assertEqual(set(exceptions.mapped("payload")) >= {"7"}, True)
        self.assertTrue(all(exceptions.mapped("summary")))
        self.assertLessEqual(max(len(x.event_ref or "") for x in exceptions), 255)

    def test_conflict(self):
        self.ingest([self.event("a", tokens=1, region="eu")])
        self.ingest([self.event("a", tokens=2)])
        exception = self.exceptions()
        self.assertEqual((exception.reason, exception.category, exception.event_ref), ("conflict", "business", "a"))
        self.assertEqual(json.loads(exception.payload)["data"]["tokens"], 2)
        stored = json.loads(exception.other_payload)
        self.assertEqual((stored["id"], stored["data"]["tokens"], stored["region"]), ("a", 1, "eu"))

    def test_conflict_within_a_batch(self):
        self.ingest([self.event("a", tokens=1), self.event("a", tokens=2)])
        exception = self.exceptions()
        self.assertEqual(json.loads(exception.payload)["data"]["tokens"], 2)
        self.assertEqual(json.loads(exception.other_payload)["data"]["tokens"], 1)

    def test_duplicates_and_good_events_are_no_exceptions(self):
        self.ingest([self.event("a"), self.event("a")])
        self.assertFalse(self.exceptions())

    def test_search_by_summary(self):
        self.ingest([self.event("needle", tokens="x"), self.event("a", subject="haystack")])
        search = self.env["usage.exception"].search
        self.assertEqual(search([("summary", "ilike", "needle")]).event_ref, "needle")
        self.assertEqual(search([("summary", "ilike", "haystack")]).account_id.external_id, "haystack")

    def test_drill_down(self):
        self.ingest([self.event("a", subject="new"), self.event("b", type="new"), self.event("c")])
        for reason, event_id in (("account_unmapped", "a"), ("meter_unknown", "b")):
            action = self.exceptions(reason=reason).action_view_events()
            self.assertEqual(self.env[action["res_model"]].search(action["domain"]).mapped("event_id"), [event_id])


@tagged("post_install", "-at_install")
class TestSettling(UsageCommon):
    def rejected(self, event_id="a", **values):
        self.ingest([self.event(event_id, **{"tokens": "x", **values})])
        return self.exceptions(event_ref=event_id).with_user(self.operator)

    def test_mapping_resolves(self):
        self.ingest([self.event("a", subject="new")])
        exception = self.exceptions()
        exception.account_id.with_user(self.operator).partner_id = self.customer
        self.assertEqual(exception.state, "resolved")
        self.assertEqual(exception.resolved_by_id, self.operator)
        self.assertLess(abs(exception.resolved_date - fields.Datetime.now()), timedelta(minutes=1))
        self.assertIn("Acme Ltd", exception.resolution)

    def test_taking_the_customer_away_opens_a_new_one(self):
        self.account.partner_id = False
        self.assertEqual(self.exceptions(account_id=self.account.id).mapped("state"), ["open"])
        self.account.partner_id = self.customer
        self.account.partner_id = False
        states = self.exceptions(account_id=self.account.id).sorted("id").mapped("state")
        self.assertEqual(states, ["resolved", "open"])

    def test_other_changes_of_an_account_leave_it_alone(self):
        account = self._account("new")
        account.name = "New Account"
        self.assertEqual(self.exceptions(account_id=account.id).mapped("state"), ["open"])

    def test_meter_resolves(self):
        self.ingest([self.event("a", type="new", data={})])
        exception = self.exceptions(reason="meter_unknown")
        self.env["usage.meter"].with_user(self.admin).create({"name": "New", "code": "new", "event_type": "new"})
        self.assertEqual((exception.state, exception.resolved_by_id), ("resolved", self.admin))
        self.assertIn("New", exception.resolution)

    def test_archived_meter_resolves_nothing(self):
        self.ingest([self.event("a", type="new", data={})])
        self._meter("new", "new", active=False)
        self.assertEqual(self.exceptions(reason="meter_unknown").state, "open")

    def test_ignore_and_reopen(self):
        exception = self.rejected()
        exception.action_ignore()
        self.assertEqual((exception.state, exception.resolved_by_id), ("ignored", self.operator))
        self.assertTrue(exception.resolution)
        exception.action_reopen()
        self.assertEqual((exception.state, exception.resolution), ("open", False))
        self.assertFalse(exception.resolved_by_id)
        self.assertFalse(exception.resolved_date)

    def test_ignored_comes_up_again(self):
        """It is a new exception then, and the ignored one cannot be opened beside it."""
        ignored = self.rejected()
        ignored.action_ignore()
        both = self.rejected()
        self.assertEqual(both.sorted("id").mapped("state"), ["ignored", "open"])
        with self.assertRaisesRegex(UserError, "open already"):
            ignored.action_reopen()
        (both - ignored).action_ignore()
        ignored.action_reopen()
        self.assertEqual(ignored.state, "open")

    def test_two_of_one_cause_are_not_reopened_at_once(self):
        first = self.rejected()
        first.action_ignore()
        both = self.rejected()
        (both - first).action_ignore()
        with self.assertRaisesRegex(UserError, "open already"):
            both.action_reopen()

    def test_resolved_cannot_be_reopened(self):
        account = self._account("new")
        exception = self.exceptions(account_id=account.id)
        account.partner_id = self.customer
        exception.action_reopen()
        self.assertEqual(exception.state, "resolved")

    def test_only_open_ones_are_settled(self):
        exception = self.rejected()
        exception.action_ignore()
        for method in ("action_ignore", "action_keep_stored", "action_replay"):
            with self.assertRaisesRegex(UserError, "open"):
                getattr(exception, method)()

    def test_keep_stored(self):
        self.ingest([self.event("a", tokens=1)])
        self.ingest([self.event("a", tokens=2)])
        self.rejected("b")
        exceptions = self.exceptions().with_user(self.operator)
        exceptions.action_keep_stored()
        self.assertEqual({x.reason: x.state for x in exceptions}, {"conflict": "resolved", "value_not_number": "open"})
        self.assertEqual(self.stored("a").data["tokens"], 1)

    def test_settled_conflict_stays_settled_while_nothing_new_is_sent(self):
        self.ingest([self.event("a", tokens=1)])
        self.ingest([self.event("a", tokens=2)])
        self.exceptions().action_keep_stored()
        self.ingest([self.event("a", tokens=1)])
        self.assertEqual(self.exceptions().mapped("state"), ["resolved"])
        self.ingest([self.event("a", tokens=2)])
        self.assertEqual(sorted(self.exceptions().mapped("state")), ["open", "resolved"])

    def test_assign_from_the_exception(self):
        self.ingest([self.event("a", subject="new")])
        exception = self.exceptions().with_user(self.operator)
        action = exception.action_map_account()
        wizard = self.env[action["res_model"]].with_user(self.operator).with_context(**action["context"])
        wizard.create({"partner_id": self.customer.id}).action_map()
        self.assertEqual((exception.state, exception.account_id.partner_id), ("resolved", self.customer))

    def test_assign_without_an_account(self):
        with self.assertRaisesRegex(UserError, "waits for a customer"):
            self.rejected().action_map_account()

    def test_messages_and_activities(self):
        """A person may discuss an exception, plan its work and hand it on."""
        exception = self.rejected()
        exception.message_post(body="Asked the engineers.")
        exception.activity_schedule("mail.mail_activity_data_todo", user_id=self.operator.id, summary="Call")
        exception.owner_id = self.operator
        self.assertEqual(exception.activity_ids.summary, "Call")
        self.assertEqual(exception.owner_id, self.operator)


@tagged("post_install", "-at_install")
class TestReplay(UsageCommon):
    def rejected(self, **values):
        self.ingest([self.event("a", **values)])
        return self.exceptions(event_ref="a").with_user(self.operator)

    def test_after_the_limit_was_raised(self):
        long_ago = fields.Datetime.subtract(self.hour, days=450).isoformat() + "Z"
        exception = self.rejected(time=long_ago)
        self.assertEqual(exception.reason, "time_too_old")
        self.env["ir.config_parameter"].set_param("usage.max_age_days", 500)
        exception.action_replay()
        self.assertEqual((exception.state, exception.resolved_by_id), ("resolved", self.operator))
        stored = self.stored("a")
        self.assertEqual(stored.time, fields.Datetime.subtract(self.hour, days=450))
        self.assertEqual(stored.batch_id.source_id, self.source)

    def test_after_the_meter_was_mended(self):
        exception = self.rejected(data={"usage": 0.1, "model": "large"})
        self.assertEqual(exception.reason, "value_missing")
        self.meter.value_path = "usage"
        exception.action_replay()
        self.assertEqual(exception.state, "resolved")
        self.fold()
        self.assertEqual([quantity for quantity, _count in self.figures().values()], ["0.1"])

    def test_nothing_was_mended(self):
        exception = self.rejected(tokens="x")
        exception.action_replay()
        self.assertEqual(exception.state, "open")
        self.assertEqual(len(self.exceptions()), 1, "the second failure is no second exception")
        self.assertIn("number", exception.message_ids[0].body)
        self.assertFalse(self.stored("a"))

    def test_the_sender_was_faster(self):
        """The same event was sent again meanwhile and counted: nothing is counted twice."""
        exception = self.rejected(data={"usage": 5})
        self.meter.value_path = "usage"
        self.ingest([self.event("a", data={"usage": 5})])
        exception.action_replay()
        self.assertEqual(exception.state, "resolved")
        self.assertEqual(len(self.stored("a")), 1)

    def test_the_sender_sent_something_else(self):
        """The mended event has another content: which of both counts is for a person to say."""
        exception = self.rejected(data={"usage": 5})
        self.ingest([self.event("a", tokens=6)])
        self.meter.write({"value_path": False, "aggregation": "count"})
        exception.action_replay()
        self.assertEqual(exception.state, "open")
        self.assertEqual(self.exceptions(reason="conflict").state, "open")
        self.assertEqual(self.stored("a").data["tokens"], 6)

    def test_several_at_once(self):
        self.ingest(
            [self.event("a", data={"usage": 1}), self.event("b", tokens="x"), self.event("c", data={"usage": 2})]
        )
        self.meter.value_path = "usage"
        exceptions = self.exceptions().with_user(self.operator)
        exceptions.action_replay()
        self.assertEqual({x.event_ref: x.state for x in exceptions}, {"a": "resolved", "b": "open", "c": "resolved"})

    def test_unmapped_account_is_no_obstacle(self):
        exception = self.rejected(subject="new", data={"usage": 1})
        self.meter.value_path = "usage"
        exception.action_replay()
        self.assertEqual(exception.state, "resolved")
        self.assertEqual(self.exceptions(reason="account_unmapped").state, "open")

    def test_conflicts_are_not_replayed(self):
        self.ingest([self.event("a", tokens=1)])
        exception = self.rejected(tokens=2)
        exception.action_replay()
        self.assertEqual(exception.state, "open")
        self.assertEqual(exception.occurrence_count, 1)

    def test_cut_payload(self):
        exception = self.rejected(extension="x" * 2 * MAX_PAYLOAD)
        with self.assertRaisesRegex(UserError, "send it again"):
            exception.action_replay()

    def test_character_that_cannot_be_stored(self):
        """It is kept as it came, and never counted with another character in its place."""
        exception = self.rejected(data={"tokens": 1, "text": "a\0b"})
        self.assertEqual(exception.reason, "character_invalid")
        self.assertIn(r"a\u0000b", exception.payload)
        exception.action_replay()
        self.assertEqual((exception.state, exception.occurrence_count), ("open", 2))
        self.assertFalse(self.stored("a"))

    def test_viewer_may_not(self):
        exception = self.rejected(tokens="x").with_user(self.viewer)
        for method in ("action_replay", "action_ignore", "action_keep_stored"):
            with self.assertRaises(AccessError):
                getattr(exception, method)()

    def test_nobody_forges_an_event(self):
        """An operator replays what was received, and never what they wrote themselves."""
        exception = self.rejected(tokens="x")
        with self.assertRaises(UserError):
            exception.payload = json.dumps(self.event("forged", tokens=10**9))
        for name, value in (
            ("state", "resolved"),
            ("reason", "conflict"),
            ("source_id", self._source("other-cloud").id),
            ("resolution", "Paid"),
            ("resolved_by_id", self.admin.id),
            ("occurrence_count", 0),
        ):
            with self.subTest(name), self.assertRaises(UserError):
                exception.write({name: value})
        with self.assertRaises(UserError):
            exception.with_context(usage_guard="object").write({"payload": "{}"})
        with self.assertRaises(AccessError):
            self.env["usage.exception"].with_user(self.operator).create(
                {
                    "source_id": self.source.id,
                    "company_id": self.company.id,
                    "reason": "time_too_old",
                    "category": "operational",
                    "digest": "x",
                    "payload": json.dumps(self.event("forged")),
                }
            )
        self.assertFalse(self.stored("forged"))
