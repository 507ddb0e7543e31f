import json
from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import Form, tagged
from odoo.tools import SQL, mute_logger

from odoo.addons.usage_connector_base.models import usage_replay
from odoo.addons.usage_connector_base.models.usage_exception import MAX_PAYLOAD

from .common import UsageCommon


class ReplayCommon(UsageCommon):
    def rejected(self, *events):
        """Exceptions of rejected events, for the operator; in the order of the events."""
        self.ingest(list(events))
        ids = [event.get("id") for event in events]
        return (
            self.exceptions(state="open")
            .filtered("payload")
            .sorted(lambda x: ids.index(x.event_ref))
            .with_user(self.operator)
        )

    def results(self, exceptions):
        """What the latest replay said of each exception, by the id of its event."""
        lines = self.env["usage.replay.line"].search([("exception_id", "in", exceptions.ids)])
        return {line.event_ref: line.result for line in lines}

    def correct(self, exceptions, **values):
        """Correct exceptions through the dialog."""
        action = exceptions.action_correct()
        wizard = self.env[action["res_model"]].with_user(self.operator).with_context(**action["context"])
        wizard = wizard.create(values)
        result = wizard.action_replay()
        self.env.invalidate_all()
        return result


@tagged("post_install", "-at_install")
class TestReplays(ReplayCommon):
    def test_many_at_once_each_on_its_own(self):
        """The result of each is told; one that is still wrong stops no other."""
        exceptions = self.rejected(
            self.event("good", data={"usage": 1}),
            self.event("held", data={"usage": 2}, subject="nobody"),
            self.event("bad", tokens="x"),
            self.event("cut", extension="x" * 2 * MAX_PAYLOAD),
        )
        self.change(self.meter, value_path="usage")
        action = exceptions.action_replay()
        self.assertEqual(
            self.results(exceptions), {"good": "counted", "held": "held", "bad": "rejected"}, "cut is left out"
        )
        replay = self.env["usage.replay"].browse(action["res_id"])
        self.assertEqual((replay.state, replay.user_id), ("done", self.operator))
        self.assertEqual((replay.line_count, replay.settled_count, replay.unsettled_count), (3, 2, 1))
        batch = self.stored("good").batch_id
        self.assertEqual((batch.user_id, batch.media_type, batch.event_count), (self.operator, "replay", 3))
        still = self.env["usage.exception"].search(replay.action_view_unsettled()["domain"])
        self.assertEqual(still.event_ref, "bad")
        self.fold()
        self.assertEqual(sorted(quantity for quantity, _n in self.figures().values()), ["1", "2"])

    def test_hundreds_in_the_background(self):
        count = 450
        exceptions = self.rejected(*[self.event(f"e{n}", data={"usage": 1}) for n in range(count)])
        self.change(self.meter, value_path="usage")
        job = self.env.ref("usage_connector_base.cron_replay")
        before = self.env["ir.cron.trigger"].search_count([("cron_id", "=", job.id)])
        replay = self.env["usage.replay"].browse(exceptions.action_replay()["res_id"])
        self.assertEqual((replay.state, replay.progress), ("running", 0))
        self.assertEqual(self.env["ir.cron.trigger"].search_count([("cron_id", "=", job.id)]), before + 1)
        self.assertTrue(replay._step())
        self.env.invalidate_all()
        self.assertEqual(round(replay.progress), 44)
        self.env.flush_all()
        with self.enter_registry_test_mode():
            job.method_direct_trigger()
        self.env.invalidate_all()
        self.assertEqual((replay.state, replay.settled_count), ("done", count))
        self.assertEqual(set(exceptions.mapped("state")), {"resolved"})
        self.assertEqual(exceptions.resolved_by_id, self.operator)

    def test_settled_meanwhile(self):
        exceptions = self.rejected(*[self.event(f"e{n}", tokens="x") for n in range(3)])
        with patch.object(usage_replay, "AT_ONCE", 1):
            replay = self.env["usage.replay"].browse(exceptions.action_replay()["res_id"])
        exceptions[0].action_ignore()
        replay._run()
        self.assertEqual(self.results(exceptions), {"e0": "impossible", "e1": "rejected", "e2": "rejected"})
        self.assertEqual(exceptions[0].state, "ignored")

    def test_failure_of_one_batch_stops_no_event(self):
        """Should storing them together fail, each is stored alone, and the failing one says so."""
        exceptions = self.rejected(*[self.event(f"e{n}", data={"usage": 1}) for n in range(3)])
        self.change(self.meter, value_path="usage")
        ingest = type(self.env["usage.ingestion"])._ingest

        def failing(model, sender, events, **request):
            answer = ingest(model, sender, events, **request)
            if any(event["id"] == "e1" for event in events):
                raise ValueError("broken")
            return answer

        logger = "odoo.addons.usage_connector_base.models.usage_replay_line"
        with patch.object(type(self.env["usage.ingestion"]), "_ingest", failing), mute_logger(logger):
            exceptions.action_replay()
        self.assertEqual(self.results(exceptions), {"e0": "counted", "e1": "failed", "e2": "counted"})
        self.assertEqual([x.state for x in exceptions], ["resolved", "open", "resolved"])
        self.assertEqual(len(self.stored("e0", "e1", "e2")), 2)

    def test_all_like_this(self):
        """Of one source, reason and type, after a meter was mended; others stay."""
        exceptions = self.rejected(
            self.event("a", data={"usage": 1}),
            self.event("b", data={"usage": 2}),
            self.event("negative", tokens=-1),
        )
        other = self._source("other-cloud")
        self.ingest([self.event("a", data={"usage": 1})], source=other)
        self.change(self.meter, value_path="usage")
        exceptions[0].action_replay_alike()
        self.assertEqual([x.state for x in exceptions], ["resolved", "resolved", "open"])
        self.assertEqual(self.env["usage.exception"].search([("source_id", "=", other.id)]).state, "open")

    def test_schema_that_was_mended(self):
        """What a meter's schema refused is replayed after the schema is another."""
        if "payload_schema" not in self.meter._fields:
            self.fail("meters have schemas")
        schema = {"type": "object", "required": ["region"]}
        self.change(self.meter, payload_schema=json.dumps(schema))
        exception = self.rejected(self.event("a"))
        self.assertEqual(exception.reason, "schema_mismatch")
        self.change(self.meter, payload_schema=False)
        exception.action_replay_alike()
        self.assertEqual(exception.state, "resolved")

    def test_nothing_to_replay(self):
        self.ingest([self.event("a", subject="new"), self.event("b"), self.event("b", tokens=2)])
        exceptions = self.exceptions().with_user(self.operator)
        self.assertFalse(exceptions.action_replay())
        self.assertFalse(self.env["usage.replay"].search([]))
        with self.assertRaisesRegex(UserError, "nothing to correct"):
            exceptions.action_correct()

    def test_results_are_facts(self):
        exceptions = self.rejected(self.event("a", tokens="x"), self.event("b", tokens="x"))
        replay = self.env["usage.replay"].browse(exceptions.action_replay()["res_id"])
        for record, values in ((replay, {"state": "running"}), (replay.line_ids, {"result": "counted"})):
            with self.assertRaises(AccessError):
                record.write(values)
            with self.assertRaises(AccessError):
                record.with_user(self.operator).write(values)
            with self.assertRaises(AccessError):
                record.unlink()


@tagged("post_install", "-at_install")
class TestCorrecting(ReplayCommon):
    def test_by_hand(self):
        exception = self.rejected(self.event("a", tokens="x"))
        received = exception.payload
        action = exception.action_correct()
        wizards = self.env[action["res_model"]].with_user(self.operator).with_context(**action["context"])
        with Form(wizards) as form:
            form.change = "edit"
            self.assertIn('"tokens": "x"', form.payload)
            form.payload = form.payload.replace('"x"', "7")
            self.assertIn("it will count", form.preview_html)
        form.record.action_replay()
        self.assertEqual((exception.state, exception.resolved_by_id), ("resolved", self.operator))
        self.assertEqual(exception.payload, received, "what was received stays")
        self.assertEqual(json.loads(exception.replayed_payload)["data"]["tokens"], 7)
        self.assertIn("Corrected", exception.resolution)
        self.assertIn("Corrected and replayed", exception.comparison_html)
        self.assertEqual(self.stored("a").data["tokens"], 7)
        self.assertEqual(self.stored("a").batch_id.user_id, self.operator)

    def test_many_in_one_go(self):
        exceptions = self.rejected(*[self.event(f"e{n}", data={"model": "m", "count": str(n)}) for n in range(5)])
        self.correct(exceptions, change="rename", path="data.count", new_path="data.tokens")
        self.assertEqual(set(exceptions.mapped("state")), {"open"}, "they are texts still")
        self.assertEqual(len(self.exceptions()), 5, "what is still wrong makes no second exception")
        for exception in exceptions:
            payload = json.loads(exception.payload)
            self.assertIn("count", payload["data"])
        self.ingest([self.event(f"n{n}", data={"model": "m", "tokens": str(n)}) for n in range(5)])
        texts = self.exceptions(reason="value_not_number").with_user(self.operator)
        self.correct(texts, change="number", path="data.tokens")
        self.assertEqual(set(texts.mapped("state")), {"resolved"})
        self.assertEqual({event.data["tokens"] for event in self.stored(*texts.mapped("event_ref"))}, set(range(5)))

    def test_each_correction(self):
        naive = self.time().rstrip("Z")
        for number, (change, values, event, expected) in enumerate(
            (
                (
                    "set",
                    {"path": "data.tokens", "value": "1.5", "value_kind": "number"},
                    {"tokens": "x"},
                    ("tokens", 1.5),
                ),
                ("set", {"path": "user", "value": "ann"}, {"user": ""}, None),
                ("rename", {"path": "data.count", "new_path": "data.tokens"}, {"data": {"count": 2}}, ("tokens", 2)),
                ("remove", {"path": "data.model"}, {"data": {"tokens": 3, "model": ["x"]}}, ("tokens", 3)),
                ("number", {"path": "data.tokens", "decimal_sign": ","}, {"tokens": "1,5"}, ("tokens", 1.5)),
                ("subject", {"subject": "acme"}, {"subject": ""}, None),
                ("zone", {"tz": "Asia/Kolkata"}, {"time": naive}, None),
                ("shift", {"hours": -96}, {"time": f"{fields.Datetime.add(self.hour, days=4).isoformat()}Z"}, None),
            )
        ):
            with self.subTest(change):
                exception = self.rejected(self.event(f"{change} {number}", **event))
                self.correct(exception, change=change, **values)
                self.assertEqual((exception.state, exception.reason != "conflict"), ("resolved", True))
                stored = self.stored(f"{change} {number}")
                self.assertEqual(stored.account_id, self.account)
                if expected:
                    self.assertEqual(stored.data[expected[0]], expected[1])
        self.assertEqual(self.stored("zone 6").time, self.hour - timedelta(hours=5, minutes=30))
        self.assertEqual(self.stored("shift 7").time, self.hour)

    def test_what_does_not_fit_is_told(self):
        exceptions = self.rejected(
            self.event("a", data={"count": 1}), self.event("b", data={"other": 1}), self.event("c", time="never")
        )
        self.correct(exceptions, change="rename", path="data.count", new_path="data.tokens")
        self.assertEqual(self.results(exceptions), {"a": "counted", "b": "impossible", "c": "impossible"})
        line = self.env["usage.replay.line"].search([("event_ref", "=", "b")])
        self.assertIn("nothing at data.count", line.message)
        self.assertEqual(line.replay_id.correction, "Move a value to another name: data.count → data.tokens")

    def test_still_wrong(self):
        exception = self.rejected(self.event("a", tokens="x"))
        with self.assertRaisesRegex(UserError, "negative"):
            self.correct(exception, change="set", path="data.tokens", value="-1", value_kind="number")
        self.assertEqual((exception.state, exception.occurrence_count), ("open", 1))
        self.assertFalse(exception.replayed_payload)

    def test_what_is_missing_is_asked_for(self):
        exceptions = self.rejected(self.event("a", tokens="x"), self.event("b", tokens="x"))
        for values, message in (
            ({"change": "set"}, "Where: fill it in"),
            ({"change": "rename", "path": "data.a"}, "New Name"),
            ({"change": "zone"}, "Time Zone"),
            ({"change": "edit", "payload": "{}"}, "one at a time"),
            ({"change": "shift"}, "Hours"),
            ({"change": "set", "path": "data.tokens", "value": "x", "value_kind": "number"}, "x is no number"),
            ({"change": "zone", "tz": "UTC", "path": "x"}, None),
        ):
            with self.subTest(values):
                if message:
                    with self.assertRaisesRegex(UserError, message):
                        self.correct(exceptions, **values)
                else:
                    self.correct(exceptions, **values)
        with self.assertRaisesRegex(UserError, "no JSON"):
            self.correct(exceptions[0], change="edit", payload="{")

    def test_preview_says_what_is_wrong(self):
        exception = self.rejected(self.event("a", tokens="x"))
        action = exception.action_correct()
        form = Form(self.env[action["res_model"]].with_user(self.operator).with_context(**action["context"]))
        self.assertFalse(form.preview_html)
        form.change, form.path = "number", "data.tokens"
        self.assertIn("no text that is a number", form.preview_html)
        form.change, form.value, form.value_kind = "set", "-1", "number"
        self.assertIn("negative", form.preview_html)
        form.value = "5"
        self.assertIn("it will count", form.preview_html)
        self.assertIn("table-warning", form.preview_html)

    def test_its_id_is_known(self):
        """A corrected event whose id counts with other content is a conflict, to be decided."""
        exception = self.rejected(self.event("a", tokens="x"))
        self.ingest([self.event("a", tokens=6)])
        self.correct(exception, change="set", path="data.tokens", value="7", value_kind="number")
        self.assertEqual(exception.state, "resolved")
        conflict = self.exceptions(reason="conflict")
        self.assertEqual(conflict.state, "open")
        self.assertIn("7", conflict.payload)
        self.assertEqual(self.stored("a").data["tokens"], 6)

    def test_viewer_may_not(self):
        exception = self.rejected(self.event("a", tokens="x")).with_user(self.viewer)
        for method in ("action_correct", "action_replay_alike", "action_assign_to_me"):
            with self.subTest(method), self.assertRaises(AccessError):
                getattr(exception, method)()
        with self.assertRaises(AccessError):
            self.env["usage.exception.correct"].with_user(self.viewer).create({"exception_ids": exception.ids})

    def test_of_another_company(self):
        company = self.env["res.company"].create({"name": "Other"})
        self.ingest([self.event("a", time="never")], source=self._source("other", company))
        foreign = self.env["usage.exception"].search([("company_id", "=", company.id)])
        wizards = self.env["usage.exception.correct"].with_user(self.operator)
        with self.assertRaises(AccessError):
            wizards.create(
                {"exception_ids": foreign.ids, "change": "set", "path": "time", "value": self.time()}
            ).action_replay()
        with self.assertRaises(AccessError):
            self.env["usage.replay"].with_user(self.operator)._start(foreign.with_user(self.operator))


@tagged("post_install", "-at_install")
class TestQueue(ReplayCommon):
    def test_age(self):
        exception = self.rejected(self.event("a", tokens="x"))
        self.assertEqual(exception.age_days, 0)
        self.env.cr.execute(
            SQL(
                "UPDATE usage_exception SET first_seen = first_seen - interval '9 days 1 hour' WHERE id = %s",
                exception.id,
            )
        )
        self.env.invalidate_all()
        self.assertEqual(exception.age_days, 9)
        search = self.env["usage.exception"].search
        old = [("first_seen", "<=", "now -7d"), ("first_seen", ">", "now -30d"), ("source_id", "=", self.source.id)]
        self.assertEqual(search(old), exception)
        self.assertFalse(search([("first_seen", ">", "now -7d"), ("source_id", "=", self.source.id)]))

    def test_assign_to_me(self):
        exceptions = self.rejected(self.event("a", tokens="x"), self.event("b", tokens="x"))
        self.assertEqual(exceptions.owner_id, self.source.owner_id)
        exceptions.action_assign_to_me()
        self.assertEqual(exceptions.owner_id, self.operator)

    def test_advice(self):
        self.ingest(
            [
                self.event("held", subject="nobody"),
                self.event("typed", type="unheard.of"),
                self.event("a"),
                self.event("a", tokens=2),
                self.event("b", tokens="x"),
                self.event("cut", extension="x" * 2 * MAX_PAYLOAD),
            ]
        )
        advice = {x.event_ref or x.reason: x.advice for x in self.exceptions()}
        self.assertIn("customer", advice["account_unmapped"])
        self.assertIn("meter", advice["meter_unknown"])
        self.assertIn("decide", advice["a"])
        self.assertIn("Correct it", advice["b"])
        self.assertIn("send it again", advice["cut"])
        exception = self.exceptions(event_ref="b")
        exception.action_ignore()
        self.assertFalse(exception.advice)

    def test_conflict_side_by_side(self):
        self.ingest([self.event("a", tokens=1, data={"tokens": 1, "text": "<script>"})])
        self.ingest([self.event("a", data={"tokens": 2, "text": "<script>"})])
        html = self.exceptions(reason="conflict").comparison_html
        self.assertEqual(html.count("table-warning"), 1, html)
        self.assertLess(html.index("Stored"), html.index("Received"))
        self.assertNotIn("<script>", html)

    def test_conflict_of_the_account(self):
        self.ingest([self.event("a", tenant="t")])
        self.ingest([self.event("a", tenant="t", subject="other")])
        html = self.exceptions(reason="conflict").comparison_html
        self.assertIn("acme", html)
        self.assertEqual(html.count("table-warning"), 1)

    def test_business_apart_from_operational(self):
        self.ingest([self.event("a", subject="nobody"), self.event("b", tokens="x")])
        found = {}
        for kind in ("business", "operational"):
            action = self.env["ir.actions.act_window"]._for_xml_id(
                f"usage_connector_base.action_usage_exception_{kind}"
            )
            domain = [*json.loads(action["domain"].replace("'", '"').replace("(", "[").replace(")", "]"))]
            found[kind] = self.env["usage.exception"].search([*domain, ("source_id", "=", self.source.id)])
        self.assertEqual(found["business"].reason, "account_unmapped")
        self.assertEqual(found["operational"].reason, "value_not_number")
