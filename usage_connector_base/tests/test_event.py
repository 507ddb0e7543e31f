import json
from datetime import datetime

from psycopg2.errors import UniqueViolation

from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestEvent(UsageCommon):
    """Reading what was stored."""

    def test_state(self):
        self.ingest([self.event("counted"), self.event("unmapped", subject="new"), self.event("unmetered", type="new")])
        self.assertEqual(self.states("counted", "unmapped", "unmetered"), ["waiting", "held", "held"])
        self.fold()
        self.assertEqual(self.states("counted", "unmapped", "unmetered"), ["counted", "held", "held"])
        self._meter("new", "new")
        self.stored("unmapped").account_id.partner_id = self.customer
        self.assertEqual(self.states("counted", "unmapped", "unmetered"), ["counted", "counted", "counted"])

    def states(self, *event_ids):
        self.env.invalidate_all()
        return [self.stored(event_id).state for event_id in event_ids]

    def test_search_by_state(self):
        self.ingest([self.event("counted"), self.event("unmapped", subject="new"), self.event("unmetered", type="new")])
        self.fold()
        self.ingest([self.event("waiting")])
        for states, expected in {
            ("held",): {"unmapped", "unmetered"},
            ("counted",): {"counted"},
            ("waiting",): {"waiting"},
            ("counted", "waiting"): {"counted", "waiting"},
            ("held", "counted", "waiting"): {"counted", "unmapped", "unmetered", "waiting"},
        }.items():
            found = self.search([("state", "in", states)])
            self.assertEqual(set(found.mapped("event_id")), expected)
            self.assertEqual(set(found.mapped("state")), set(states))
        self.assertEqual(set(self.search([("state", "!=", "held")]).mapped("event_id")), {"counted", "waiting"})
        self.assertEqual(self.search([("state", "=", "held")]), self.search([("state", "in", ["held"])]))

    def search(self, domain):
        return self.env["usage.event"].search([("source_id", "=", self.source.id), *domain])

    def test_search_by_state_without_any_meter(self):
        self.ingest([self.event("a")])
        self.env["usage.meter"].search([]).active = False
        self.assertEqual(self.search([("state", "=", "held")]).event_id, "a")
        self.assertFalse(self.search([("state", "=", "counted")]))

    def test_text_of_data_and_attributes(self):
        """An attribute never hides a value of the same name."""
        self.ingest([self.event("a", data={"tokens": 1, "region": "inner"}, region="outer")])
        content = json.loads(self.stored("a").data_text)
        self.assertEqual(content["data"], {"tokens": 1, "region": "inner"})
        self.assertEqual((content["region"], content["source"]), ("outer", "/test"))

    def test_text_without_data(self):
        self.ingest(b'{"events": [{"id": "a", "type": "t", "subject": "acme"}]}')
        self.assertEqual(json.loads(self.stored("a").data_text), {"data": {}})

    def test_reading_as_the_web_client_does(self):
        self.ingest([self.event("a"), self.event("b", time=self.time(60))])
        events = self.env["usage.event"].with_user(self.viewer)
        domain = [("source_id", "=", self.source.id)]
        specification = {name: {} for name in events.fields_get()}
        result = events.web_search_read(domain, specification, limit=1, order="time desc")
        self.assertEqual((result["length"], result["records"][0]["event_id"]), (2, "b"))
        self.assertEqual(events._read_group(domain, ["type"], ["__count"]), [("llm.completion", 2)])
        self.assertEqual(events._read_group(domain, ["account_id", "time:day"], ["__count"])[0][0], self.account)
        self.assertEqual(events.search(domain).mapped("display_name"), ["b", "a"])
        self.assertEqual(events.search_count([*domain, ("partner_id", "=", self.customer.id)]), 2)

    def test_ids_fit_the_web_client(self):
        """JavaScript's numbers are exact below 2^53."""
        self.ingest([self.event("a")])
        self.assertLess(self.stored("a").id, 2**53)


@tagged("post_install", "-at_install")
class TestPartitions(UsageCommon):
    def partitions(self):
        self.env.cr.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'usage_event'::regclass"
        )
        return {name for (name,) in self.env.cr.fetchall()}

    def test_now_and_two_months_ahead(self):
        months = [fields.Datetime.add(fields.Datetime.now().replace(day=1), months=n) for n in range(3)]
        self.assertLessEqual({f"usage_event_{month:%Y_%m}" for month in months}, self.partitions())

    def test_job_keeps_them_ready(self):
        job = self.env.ref("usage_connector_base.cron_partitions")
        self.assertTrue(job.active)
        self.env.cr.execute("SELECT max(relname) FROM pg_class WHERE relname ~ '^usage_event_[0-9]{4}_[0-9]{2}$'")
        [[last]] = self.env.cr.fetchall()
        self.env.cr.execute(f'DROP TABLE "{last}"')
        with self.enter_registry_test_mode():
            job.method_direct_trigger()
        self.assertIn(last, self.partitions())

    def test_again_changes_nothing(self):
        before = self.partitions()
        self.env["usage.event"]._ensure_partitions()
        self.env["usage.event"].init()
        self.assertEqual(self.partitions(), before)

    def test_turn_of_the_year(self):
        self.env["usage.event"]._ensure_partitions(datetime(2099, 11, 30, 23, 59))
        self.assertLessEqual({"usage_event_2099_11", "usage_event_2099_12", "usage_event_2100_01"}, self.partitions())

    def test_event_is_stored_in_its_month(self):
        self.ingest([self.event("a")])
        self.env.cr.execute("SELECT tableoid::regclass::text FROM usage_event WHERE id = %s", [self.stored("a").id])
        self.assertEqual(self.env.cr.fetchall(), [(f"usage_event_{fields.Datetime.now():%Y_%m}",)])


@tagged("post_install", "-at_install")
class TestAppendOnly(UsageCommon):
    """Facts and what is counted from them are never written through the ORM, sudo and superuser included."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ingest([cls.event("a")])
        cls.fold()

    def test_events_and_aggregates(self):
        for model, values in (
            ("usage.event", {"event_id": "b", "type": "t"}),
            ("usage.aggregate", {"quantity": 10**6}),
        ):
            records = self.env[model].search([("source_id", "=", self.source.id)])
            self.assertEqual(len(records), 1)
            for records_as in (records, records.sudo(), records.with_user(self.admin).sudo()):
                with self.subTest(model=model), self.assertRaises(UserError):
                    records_as.create(values)
                with self.subTest(model=model), self.assertRaises(UserError):
                    records_as.write(values)
                with self.subTest(model=model), self.assertRaises(UserError):
                    records_as.unlink()
                with self.subTest(model=model), self.assertRaises(UserError):
                    records_as.copy()
                with self.subTest(model=model), self.assertRaises(UserError):
                    name = next(iter(values))
                    records_as[name] = values[name]

    def test_corrections(self):
        self.correct(self.void("v", "a"))
        correction = self.corrections("a")
        for records in (correction, correction.sudo(), correction.with_user(self.admin).sudo()):
            with self.assertRaises(UserError):
                records.create({"event_id": self.stored("a").id})
            with self.assertRaises(UserError):
                records.write({"reason": "None"})
            with self.assertRaises(UserError):
                records.unlink()

    def test_a_row_is_corrected_once(self):
        self.correct(self.void("v", "a"))
        query = """
            INSERT INTO usage_correction (source_id, company_id, event_id, root_id, action, reason, user_id,
                received_at)
            SELECT source_id, company_id, event_id, root_id, action, reason, user_id, received_at
            FROM usage_correction WHERE event_id = %s
        """
        with mute_logger("odoo.sql_db"), self.assertRaises(UniqueViolation), self.env.cr.savepoint():
            self.env.cr.execute(query, [self.stored("a").id])

    def test_batches(self):
        batch = self.env["usage.batch"].search([("source_id", "=", self.source.id)])
        for records in (batch, batch.sudo(), batch.with_user(self.admin).sudo()):
            with self.assertRaises(UserError):
                records.create({"source_id": self.source.id, "company_id": self.company.id})
            with self.assertRaises(UserError):
                records.write({"accepted_count": 5})
            with self.assertRaises(UserError):
                records.write({"folded_at": False})
            with self.assertRaises(UserError):
                records.unlink()
