from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import tagged

from odoo.addons.usage_connector_base.aggregations import Window
from odoo.addons.usage_connector_base.models import usage_anonymisation

from .common import UsageCommon

DIGEST = r"^anon-[0-9a-f]{32}$"


class AnonymisationCommon(UsageCommon):
    def ask(self, person=None, **values):
        records = self.env["usage.anonymisation"].with_user(person or self.admin)
        return records.create({"name": "Asked to be forgotten", **values}).with_env(self.env)

    def approved(self, **values):
        record = self.ask(**values)
        record.with_user(self.second_admin).action_approve()
        return record

    def age(self, days=1):
        """Let so many days pass since all requests so far."""
        for table in ("usage_batch", "usage_event"):
            self.env.cr.execute(f"UPDATE {table} SET received_at = received_at - %s", [timedelta(days=days)])
        self.env.cr.execute("UPDATE usage_exception SET last_seen = last_seen - %s", [timedelta(days=days)])
        self.env.invalidate_all()

    def done(self, **values):
        """One that ran to its end."""
        record = self.approved(**values)
        self.env.flush_all()
        record._run()
        self.env.invalidate_all()
        return record

    def cron(self):
        """The job, which commits after each slice."""
        with self.enter_registry_test_mode():
            self.env.flush_all()
            self.env.ref("usage_connector_base.cron_anonymise").method_direct_trigger()
        self.env.invalidate_all()

    def send(self, *events, **values):
        self.env["usage.event"]._ensure_partitions(fields.Datetime.now() - timedelta(days=70))
        answer = self.ingest([self.event(name, user=user, **values) for name, user in events])
        self.fold()
        return answer


@tagged("post_install", "-at_install")
class TestApproval(AnonymisationCommon):
    """Asked for by one administrator, approved by another, and known for ever."""

    def test_by_a_second_administrator(self):
        record = self.ask()
        for same in (record.with_user(self.admin), record.with_user(self.admin).sudo()):
            with self.assertRaisesRegex(UserError, "second administrator"):
                same.action_approve()
        for person in (self.viewer, self.operator):
            with self.assertRaises(UserError):
                record.with_user(person).sudo().action_approve()
        record.with_user(self.second_admin).action_approve()
        self.assertEqual(
            (record.state, record.prepared_by_id, record.approved_by_id), ("running", self.admin, self.second_admin)
        )
        with self.assertRaises(UserError):
            record.with_user(self.second_admin).action_approve()

    def test_nothing_before(self):
        self.send(("a", "ann"))
        self.age()
        self.ask()
        self.cron()
        self.assertEqual(self.stored("a").user_ref, "ann")

    def test_facts_are_not_written(self):
        record = self.ask(state="running", approved_by_id=self.second_admin.id, prepared_by_id=self.second_admin.id)
        self.assertEqual((record.state, record.prepared_by_id, record.approved_by_id.id), ("draft", self.admin, False))
        for values in ({"state": "running"}, {"prepared_by_id": self.second_admin.id}, {"event_count": 3}):
            with self.assertRaises(UserError):
                record.sudo().write(values)
        record.with_user(self.admin).method = "remove"
        record.with_user(self.second_admin).action_approve()
        for values in ({"method": "digest"}, {"paths": "data.x"}, {"name": "x"}):
            with self.assertRaises(UserError):
                record.sudo().write(values)
        with self.assertRaises(UserError):
            record.sudo().unlink()
        self.ask().with_user(self.admin).unlink()

    def test_stopped(self):
        self.send(("a", "ann"))
        self.age()
        record = self.approved()
        record.with_user(self.admin).action_stop()
        self.cron()
        self.assertEqual((record.state, self.stored("a").user_ref), ("stopped", "ann"))

    def test_of_another_company(self):
        company = self.env["res.company"].create({"name": "Other"})
        self.second_admin.company_ids |= company
        foreign = self.ask(self.second_admin, company_id=company.id)
        with self.assertRaises(AccessError):
            foreign.with_user(self.admin).read(["name"])
        self.assertNotIn(foreign, self.env["usage.anonymisation"].with_user(self.admin).search([]))

    def test_places(self):
        for paths in ("user.email", "data", "data.", "data.a b..c", "batch.id", "data.user;drop"):
            with self.subTest(paths), self.assertRaises(ValidationError):
                self.ask(paths=paths)
        with self.assertRaisesRegex(ValidationError, "Say what"):
            self.ask(user=False)
        self.assertEqual(
            self.ask(paths="data.user.email\nattributes.actor")._places(),
            [("data", ("user", "email")), ("attributes", ("actor",))],
        )

    def test_places_that_a_meter_counts_by(self):
        self._meter("deep", value_path="tokens.input", dimensions="meta.region")
        for paths in ("data.tokens", "data.model", "data.meta", "data.meta.region", "data.tokens.input.x"):
            with self.subTest(paths), self.assertRaisesRegex(ValidationError, "would change"):
                self.ask(paths=paths)
        self.ask(paths="data.meta.user\ndata.tokens_of\nattributes.tokens")

    def test_place_that_a_meter_counts_by_later(self):
        self.send(("a", "ann"), data={"tokens": 1, "user": "ann"})
        self.age()
        record = self.approved(paths="data.user")
        self._meter("by user", dimensions="user")
        self.cron()
        self.assertEqual(record.state, "stopped")
        self.assertEqual(self.stored("a").data["user"], "ann")


@tagged("post_install", "-at_install")
class TestDoing(AnonymisationCommon):
    def test_digest(self):
        self.send(("a", "ann"), ("b", "bob"), ("c", "ann"), ("d", None))
        self.age()
        record = self.done()
        refs = {event.event_id: event.user_ref for event in self.stored("a", "b", "c", "d")}
        self.assertRegex(refs["a"], DIGEST)
        self.assertEqual(refs["a"], refs["c"], "one user is one digest")
        self.assertNotEqual(refs["a"], refs["b"])
        self.assertFalse(refs["d"])
        self.assertEqual((record.state, record.event_count), ("done", 3))
        self.assertTrue(record.finished_date)
        self.assertIn("3 events", record.message_ids[0].body)

    def test_remove(self):
        self.send(("a", "ann"))
        self.age()
        self.done(method="remove")
        self.assertFalse(self.stored("a").user_ref)

    def test_twice_is_once(self):
        self.send(("a", "ann"))
        self.age()
        self.done()
        before = self.stored("a").user_ref
        self.assertEqual(self.done().event_count, 0)
        self.assertEqual(self.stored("a").user_ref, before)

    def test_digest_is_of_this_company_and_database(self):
        self.send(("a", "ann"))
        self.age()
        self.env.cr.execute(
            "UPDATE usage_anonymisation_key SET inner_key = sha256(inner_key), outer_key = sha256(outer_key)"
        )
        self.done()
        other = self.stored("a").user_ref
        self.send(("b", "ann"))
        self.age()
        self.env.cr.execute("UPDATE usage_anonymisation_key SET inner_key = sha256(inner_key)")
        self.done()
        self.assertNotEqual(self.stored("b").user_ref, other)

    def test_no_model_has_the_key(self):
        tables = {model._table for model in self.env.registry.models.values()}
        self.assertNotIn("usage_anonymisation_key", tables)
        self.env.cr.execute("SELECT octet_length(inner_key), inner_key <> outer_key FROM usage_anonymisation_key")
        self.assertEqual(self.env.cr.fetchall(), [(64, True)])

    def test_other_places(self):
        self.send(
            ("a", "ann"),
            data={"tokens": 3, "who": {"email": "ann@example.com", "age": 40, "all": ["ann"]}},
            actor="ann",
        )
        self.age()
        self.done(paths="data.who.email\ndata.who.age\ndata.who.all\nattributes.actor\ndata.absent.deep")
        event = self.stored("a")
        self.assertEqual(set(event.data), {"tokens", "who"})
        self.assertRegex(event.data["who"]["email"], DIGEST)
        self.assertRegex(event.data["who"]["age"], DIGEST)
        self.assertNotIn("all", event.data["who"], "a list is removed")
        self.assertRegex(event.attributes["actor"], DIGEST)
        self.assertNotIn("ann", event.data_text)

    def test_only_these_users(self):
        self.send(("a", "ann"), ("b", "bob"))
        self.age()
        self.done(user_refs="ann\n carl ", method="remove")
        self.assertEqual({event.event_id: event.user_ref for event in self.stored("a", "b")}, {"a": False, "b": "bob"})

    def test_only_these_sources(self):
        other = self._source("other-cloud")
        self.send(("a", "ann"))
        self.ingest([self.event("b", user="ann")], source=other)
        self.age()
        self.done(source_ids=other.ids)
        self.assertEqual(self.stored("a").user_ref, "ann")
        self.assertRegex(self.env["usage.event"].search([("source_id", "=", other.id)]).user_ref, DIGEST)

    def test_age_and_every_day(self):
        self.send(("old", "ann"))
        self.age(40)
        self.send(("new", "ann"))
        self.age(1)
        record = self.done(age_days=30, repeat=True)
        self.assertEqual(record.state, "running")
        self.assertRegex(self.stored("old").user_ref, DIGEST)
        self.assertEqual(self.stored("new").user_ref, "ann")
        self.age(30)
        self.cron()
        self.env.invalidate_all()
        self.assertRegex(self.stored("new").user_ref, DIGEST)
        self.assertEqual(record.event_count, 2)

    def test_in_slices(self):
        for n in range(5):
            self.send((f"{n}", "ann"))
        self.age()
        record = self.approved()
        self.env.flush_all()
        with patch.object(usage_anonymisation, "SLICE_BATCHES", 2):
            self.assertFalse(record._run(lambda _done: False), "no time left after the first")
            self.assertTrue(0 < record.event_count < 5)
            self.assertTrue(record._run())
        self.assertEqual((record.event_count, record.state), (5, "done"))

    def test_quantities_stay(self):
        """What every meter counted is what it counts again from the anonymised events, to the digit."""
        meters = self.meter | self._meter("calls") | self._meter("sizes", value_path="size", dimensions="model, kind")
        for n in range(30):
            data = {"tokens": n + 0.1, "model": f"m{n % 3}", "size": n, "kind": n % 2, "user": f"u{n % 7}"}
            self.send((f"{n}", f"user {n % 7}"), data=data)
        self.age()
        before = {meter: self.figures(meter) for meter in meters}
        events = self._from_events(meters)
        self.done(paths="data.user", method="digest")
        self.assertEqual(self._from_events(meters), events)
        meters._definition_changed()
        self.fold()
        self.assertEqual({meter: self.figures(meter) for meter in meters}, before)
        self.env.cr.execute(
            "SELECT count(DISTINCT user_ref), count(DISTINCT data->>'user'), "
            "count(*) FILTER (WHERE user_ref LIKE 'user%%') FROM usage_event WHERE source_id = %s",
            [self.source.id],
        )
        self.assertEqual(self.env.cr.fetchall(), [(7, 7, 0)], "users are still told apart")

    def test_unique_counts_stay(self):
        """A digest keeps apart what was apart, and makes nothing count that did not."""
        meter = self._meter("users", aggregation="unique_count", value_path="user.id")
        ids = ["ann", "bob", "ann", 1, "1", 2, True, None, [1], {"a": 1}, "x" * 201, "anne"]
        for n, value in enumerate(ids):
            self.send((f"{n}", "ann"), data={"tokens": 1, "user": {"id": value}})
        self.age()
        before, events = self.figures(meter), self._from_events(meter)
        self.assertEqual(events, [6], "ann, bob, 1, 2, true, anne")
        for values in ({"method": "remove"}, {"method": "digest", "paths": "data.user"}):
            with self.assertRaisesRegex(ValidationError, "would change"):
                self.ask(**{"paths": "data.user.id", **values})
        self.done(paths="data.user.id")
        self.assertEqual(self._from_events(meter), events)
        meter._definition_changed()
        self.fold()
        self.assertEqual(self.figures(meter), before)
        self.assertRegex(self.stored("0").data["user"]["id"], DIGEST)

    def _from_events(self, meters):
        window = self.hour, self.hour + timedelta(hours=1)
        windows = [Window.over(meter, self.account, *window) for meter in meters]
        return self.env["usage.aggregate"]._quantities_from_events(windows)

    def test_repetitions_are_still_known(self):
        self.send(("a", "ann"))
        self.age()
        self.done(method="remove")
        self.assertEqual(self.outcomes(self.send(("a", "ann"))), {"duplicate": 1})
        self.assertEqual(self.outcomes(self.send(("a", "bob"))), {"conflict": 1})

    def test_payloads_of_settled_exceptions(self):
        self.ingest([self.event("bad", tokens="x", user="ann"), self.event("worse", tokens=-1, user="bob")])
        self.ingest([self.event("open", user="ann", subject=None)])
        (self.exceptions(reason="value_not_number") | self.exceptions(reason="value_negative")).action_ignore()
        self.age()
        record = self.done(user_refs="ann")
        self.assertFalse(self.exceptions(reason="value_not_number").payload)
        self.assertTrue(self.exceptions(reason="value_negative").payload, "bob's")
        self.assertTrue(self.exceptions(reason="subject_invalid").payload, "it may still be replayed")
        self.assertEqual(record.exception_count, 1)
