from datetime import datetime, timedelta
from unittest.mock import patch

from dateutil.relativedelta import relativedelta
from psycopg2.errors import LockNotAvailable

from odoo import fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import tagged
from odoo.tools import SQL

from odoo.addons.usage_connector_base.models import usage_retention
from odoo.addons.usage_connector_base.models.usage_event import MAX_EVENTS

from .common import UsageCommon


class RetentionCommon(UsageCommon):
    """Events that were received two years ago, counted and without anything that needs them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.parameters = cls.env["ir.config_parameter"]
        cls.parameters.set_param("usage.max_age_days", 10_000)
        # Where usage_billing is installed it asks for more, which its own tests are about.
        cls.parameters.set_param("usage.retention_unbilled", "True")
        cls.first = (fields.Datetime.now() - relativedelta(years=2)).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        cls.retention = cls.env["usage.retention"]
        cls.runs = cls.env["usage.retention.run"].search([])

    def send(self, *ids, month=0, **values):
        """Events received in one of the months, counted."""
        received = self.first + relativedelta(months=month, days=9)
        limit = self.parameters.get_param("usage.max_age_days")
        self.parameters.set_param("usage.max_age_days", 10_000)
        events = [self.event(name, time=f"{received.isoformat()}Z", **values) for name in ids]
        answer = self.ingest(events)
        self.parameters.set_param("usage.max_age_days", limit)
        self.fold()
        self.env["usage.event"]._ensure_partitions(received)
        self.env.cr.execute(
            SQL("UPDATE usage_event SET received_at = %s WHERE batch_id = %s", received, answer["batch"])
        )
        self.env.cr.execute(SQL("UPDATE usage_batch SET received_at = %s WHERE id = %s", received, answer["batch"]))
        self.env.invalidate_all()
        return answer

    def keep(self, months, **values):
        """Settings, as they are saved."""
        self.parameters.set_param("usage.max_age_days", 200)
        self.parameters.set_param("usage.keep_events_months", months)
        for name, value in values.items():
            self.parameters.set_param(f"usage.{name}", value)

    def run_it(self):
        """What was logged by a run."""
        self.env.flush_all()
        self.retention._run()
        self.env.invalidate_all()
        new = self.env["usage.retention.run"].search([]) - self.runs
        return new.sorted("id")

    def due(self):
        return [month.label for month in self.retention._due_months()]


@tagged("post_install", "-at_install")
class TestDue(RetentionCommon):
    def test_for_ever_unless_set(self):
        self.send("a")
        self.assertEqual(self.due(), [])
        self.assertFalse(self.run_it())
        self.assertTrue(self.stored("a"))

    def test_whole_months(self):
        self.send("a")
        self.send("b", month=1)
        self.keep(23)
        # A month is over with its last second, and is kept for 23 months from then on.
        self.assertEqual(self.due(), [f"{self.first:%Y-%m}"])
        self.keep(24)
        self.assertEqual(self.due(), [])

    def test_never_later_than_the_oldest_usage_that_is_taken(self):
        """Else an event could come for an hour that has lost the others."""
        self.send("a")
        self.keep(1, max_age_days=10_000)
        self.assertEqual(self.due(), [])
        self.keep(1)
        self.assertIn(f"{self.first:%Y-%m}", self.due())
        now = f"{fields.Datetime.now():%Y-%m}"
        self.assertNotIn(now, self.due())

    def test_settings(self):
        def save(**values):
            self.env["res.config.settings"].create(values).execute()

        save(usage_max_age_days=60, usage_keep_events_months=2)
        self.assertEqual(self.parameters.get_param("usage.keep_events_months"), "2")
        for values in (
            {"usage_max_age_days": 400, "usage_keep_events_months": 13},
            {"usage_keep_events_months": -1},
            {"usage_keep_key_days": 399},
            {"usage_keep_batch_days": -1},
        ):
            with self.subTest(values), self.assertRaises(ValidationError), self.cr.savepoint():
                save(**values)
        save(usage_max_age_days=400, usage_keep_events_months=14)


@tagged("post_install", "-at_install")
class TestEvents(RetentionCommon):
    def test_dropped(self):
        self.send("a", "b")
        self.send("c", month=1)
        before = self.figures()
        self.keep(23)
        run, keys = self.run_it()
        self.assertEqual((run.kind, run.state, run.row_count), ("events", "deleted", 2))
        self.assertEqual((keys.kind, keys.row_count), ("keys", 2), "they are older than 400 days")
        self.assertEqual(
            (run.subject, run.month, run.user_id), (f"{self.first:%Y-%m}", self.first.date(), self.env.user)
        )
        self.assertGreater(run.byte_count, 0)
        self.assertFalse(self.stored("a", "b"))
        self.assertTrue(self.stored("c"))
        self.assertEqual(self.figures(), before, "hourly usage stays")
        self.env.cr.execute("SELECT 1 FROM pg_class WHERE relname = %s", [f"usage_event_{self.first:%Y_%m}"])
        self.assertFalse(self.env.cr.fetchall(), "the partition is gone as a whole")
        self.assertFalse(self.run_it() - run - keys, "there is nothing left to do")

    def test_sent_again_afterwards(self):
        """A repetition is known, though the event is gone; nothing counts twice."""
        self.send("a", month=16)
        self.keep(1)
        self.run_it()
        self.assertFalse(self.stored("a"))
        before = self.figures()
        self.parameters.set_param("usage.max_age_days", 10_000)
        time = f"{(self.first + relativedelta(months=16, days=9)).isoformat()}Z"
        self.assertEqual(self.outcomes(self.ingest([self.event("a", time=time)])), {"duplicate": 1})
        self.assertEqual(self.outcomes(self.ingest([self.event("a", time=time, tokens=7)])), {"conflict": 1})
        self.fold()
        self.assertEqual(self.figures(), before)

    def test_replayable_from(self):
        aggregates = self.env["usage.aggregate"]
        self.assertIsNone(aggregates._replayable_from())
        self.send("a")
        self.send("c", month=1)
        self.keep(23)
        self.run_it()
        hour = (self.first + relativedelta(days=9)).replace(minute=0)
        self.assertEqual(aggregates._replayable_from(), hour + timedelta(hours=1))

    def test_counting_again_leaves_hours_that_lost_events(self):
        self.send("a")
        self.send("c", month=1)
        before = self.figures()
        self.keep(23)
        self.run_it()
        self.meter._definition_changed()
        self.fold()
        self.assertEqual(self.figures(), before)
        self.assertEqual(len(before), 2)

    def refused(self, *expected):
        """A run refuses the month, and its reason says so."""
        self.keep(23)
        run = self.run_it()[-1:]
        self.assertEqual((run.kind, run.state, run.row_count), ("events", "refused", 0), run.subject)
        for text in expected:
            self.assertIn(text, run.reason)
        return run

    def test_not_counted_yet(self):
        answer = self.send("a")
        self.env.cr.execute("UPDATE usage_batch SET folded_at = NULL WHERE id = %s", [answer["batch"]])
        self.refused("1 events are not counted yet")
        self.assertTrue(self.stored("a"))

    def test_meter_that_is_counted_again(self):
        self.send("a")
        self._meter("fresh")
        self.refused("fresh")
        self.assertTrue(self.stored("a"))
        self.fold()
        self.assertEqual(self.run_it()[-1:].state, "deleted")

    def test_account_without_a_customer(self):
        self.send("a", "b", subject="nobody")
        self.refused("2 events", "nobody")
        self.exceptions(reason="account_unmapped").action_ignore()
        self.assertEqual(self.run_it()[-1:].state, "deleted", "a person said that it does not matter")

    def test_type_without_a_meter(self):
        self.send("a", type="strange")
        self.refused("strange")
        self.exceptions(reason="meter_unknown").action_ignore()
        self.assertEqual(self.run_it()[-1:].state, "deleted")

    def test_conflict(self):
        self.send("a")
        self.ingest([self.event("a", tokens=9)])
        self.refused("1 conflicts", "a")
        self.exceptions(reason="conflict").action_keep_stored()
        self.assertEqual(self.run_it()[-1:].state, "deleted")

    def test_test_systems_hold_nothing_up(self):
        """Their usage is billed to nobody, ever."""
        staging = self._source("staging", environment="staging")
        received = self.first + relativedelta(days=9)
        answer = self.ingest(
            [self.event("s", subject="nobody", type="strange", time=f"{received.isoformat()}Z")], source=staging
        )
        self.fold()
        self.env["usage.event"]._ensure_partitions(received)
        self.env.cr.execute(
            SQL("UPDATE usage_event SET received_at = %s WHERE batch_id = %s", received, answer["batch"])
        )
        self.keep(23)
        self.assertEqual(self.run_it()[-1:].state, "deleted")

    def test_refusal_is_noted_once(self):
        self.send("a", subject="nobody")
        run = self.refused("nobody")
        self.assertEqual(self.run_it(), run)
        self.send("b", subject="somebody")
        self.assertEqual(len(self.run_it()), 2, "another reason is another refusal")

    def test_each_month_for_itself(self):
        self.send("a", subject="nobody")
        self.send("b", month=1)
        self.keep(20)
        runs = self.run_it()
        self.assertEqual(runs.mapped("state"), ["refused", "deleted", *["deleted"] * (len(runs) - 2)])
        self.assertTrue(self.stored("a"))
        self.assertFalse(self.stored("b"))

    def test_in_use(self):
        """Senders and readers never wait long for it: it tries again tomorrow."""
        self.send("a")
        self.keep(23)
        execute = type(self.env.cr).execute

        def locked(cr, query, *args, **kwargs):
            if "DROP TABLE" in str(getattr(query, "code", query)):
                raise LockNotAvailable()
            return execute(cr, query, *args, **kwargs)

        with patch.object(type(self.env.cr), "execute", locked):
            [run] = self.run_it()
        self.assertEqual(run.state, "refused")
        self.assertIn("in use", run.reason)
        self.assertTrue(self.stored("a"))
        self.assertEqual(self.run_it()[-1:].state, "deleted")

    def test_log_is_never_written(self):
        self.send("a")
        self.keep(23)
        run = self.run_it()
        with self.assertRaises(AccessError):
            run.sudo().write({"row_count": 0})
        with self.assertRaises(AccessError):
            run.sudo().unlink()


@tagged("post_install", "-at_install")
class TestOtherKinds(RetentionCommon):
    def keys(self):
        self.env.cr.execute("SELECT event_id / %s FROM usage_event_key ORDER BY 1", [MAX_EVENTS])
        return [batch for (batch,) in self.env.cr.fetchall()]

    def test_keys_outlive_their_events(self):
        first, second = self.send("a"), self.send("b", month=16)
        known = self.keys()
        self.keep(1)
        self.run_it()
        self.assertFalse(self.stored("a", "b"))
        # Received two years ago, and eight months ago.
        self.assertEqual([batch for batch in known if batch not in self.keys()], [first["batch"]])
        self.assertIn(second["batch"], self.keys())

    def test_keys_of_stored_events_stay(self):
        self.send("a", subject="nobody")
        known = self.keys()
        self.keep(1)
        self.run_it()
        self.assertTrue(self.stored("a"))
        self.assertEqual(self.keys(), known)

    def test_keys_in_slices(self):
        self.send("a")
        self.keep(1)
        with patch.object(usage_retention, "SLICE_PAGES", 1):
            steps = []
            self.env.flush_all()
            for month in self.retention._due_months():
                self.retention._end_month(month)
            self.retention._delete_keys(lambda done: steps.append(done) or False)
        self.assertEqual(len(steps), 1, "it stops when there is no time left")

    def test_requests(self):
        old, new = self.send("a"), self.send("b", month=20)
        self.keep(23, keep_batch_days=300)
        runs = self.run_it()
        batches = self.env["usage.batch"].search([("id", "in", [old["batch"], new["batch"]])])
        self.assertEqual(batches.ids, [new["batch"]])
        self.assertIn(("batches", 1), [(run.kind, run.row_count) for run in runs])

    def test_requests_stay_with_their_events(self):
        answer = self.send("a", subject="nobody")
        self.keep(23, keep_batch_days=30)
        self.run_it()
        self.assertTrue(self.env["usage.batch"].browse(answer["batch"]).exists())

    def test_settled_exceptions(self):
        self.ingest([self.event("bad", tokens="x"), self.event("worse", tokens=-1)])
        settled = self.exceptions(reason="value_not_number")
        settled.action_ignore()
        self.env.flush_all()
        self.env.cr.execute("UPDATE usage_exception SET resolved_date = resolved_date - interval '40 days'")
        self.env.invalidate_all()
        self.keep(0, keep_exception_days=60)
        self.run_it()
        self.assertTrue(settled.exists())
        self.keep(0, keep_exception_days=30)
        [run] = self.run_it()
        self.assertEqual((run.kind, run.row_count), ("exceptions", 1))
        self.assertFalse(settled.exists())
        self.assertTrue(self.exceptions(reason="value_negative"), "open ones stay")


@tagged("post_install", "-at_install")
class TestPreview(RetentionCommon):
    """What would go is told before it goes."""

    def wizard(self, person=None):
        return self.env["usage.retention.wizard"].with_user(person or self.admin).create({})

    def states(self, wizard):
        return {f"{line.month:%Y-%m}": line.state for line in wizard.line_ids}

    def test_lines(self):
        self.send("a", subject="nobody")
        self.send("b", month=1)
        self.send("c", month=23)
        self.keep(20)
        wizard = self.wizard()
        months = [f"{self.first + relativedelta(months=n):%Y-%m}" for n in (0, 1, 23)]
        self.assertEqual([self.states(wizard)[month] for month in months], ["blocked", "due", "kept"])
        self.assertIn("nobody", wizard.line_ids[0].reason)
        self.assertTrue(all(line.byte_count for line in wizard.line_ids))
        self.assertTrue(self.stored("a", "b"), "nothing is deleted by looking")
        action = wizard.action_run()
        self.assertEqual(action["res_model"], "usage.retention.run")
        self.assertFalse(self.stored("b"))
        run = self.env["usage.retention.run"].search([("month", "=", f"{months[1]}-01")])
        self.assertEqual(run.user_id, self.admin)

    def test_nothing_is_due(self):
        self.assertFalse(self.wizard().is_due)

    def test_for_administrators_alone(self):
        wizard = self.wizard()
        for person in (self.viewer, self.operator):
            with self.assertRaises(AccessError):
                self.wizard(person)
            with self.assertRaises(UserError):
                wizard.with_user(person).sudo().action_run()


@tagged("post_install", "-at_install")
class TestMonth(UsageCommon):
    def test_months_that_are_stored(self):
        months = self.env["usage.retention"]._months()
        now = fields.Datetime.now()
        self.assertIn(datetime(now.year, now.month, 1), [month.start for month in months])
        self.assertEqual([month.start for month in months], sorted(month.start for month in months))
