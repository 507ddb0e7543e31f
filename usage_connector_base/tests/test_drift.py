from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import tagged
from odoo.tools import SQL, mute_logger

from .test_aggregations import KEYS, AggregationCommon, RandomEvents

MODULE = "odoo.addons.usage_connector_base.models.usage_drift_check"


class DriftCommon(AggregationCommon):
    def compare(self, **values):
        """A comparison of the days that the tests are about, made by the job."""
        values = {"date_from": "2025-03-01", "date_to": "2025-03-31", **values}
        check = self.env["usage.drift.check"].with_user(self.operator).create(values).with_env(self.env)
        with self.daily_done():
            self.run_job()
        return check

    def daily_done(self):
        return patch.object(type(self.env["usage.drift.check"]), "_queue_daily", lambda self: None)

    def run_job(self):
        with self.enter_registry_test_mode():
            self.env.ref("usage_connector_base.cron_compare").method_direct_trigger()
        self.env.invalidate_all()

    def count_again(self, drifts, user=None):
        with self.enter_registry_test_mode():
            drifts.with_user(user or self.operator).action_count_again()

    def damage(self, key, statement):
        """Change hours of a meter as nothing in the product does."""
        self.env.flush_all()
        self.env.cr.execute(SQL("%s WHERE meter_id = %s", SQL(statement), self.meters[key].id))
        self.env.invalidate_all()

    def found(self, key):
        """Open differences of a meter."""
        return self.env["usage.drift"].search([("meter_id", "=", self.meters[key].id), ("state", "=", "open")])


@tagged("post_install", "-at_install")
class TestDrift(DriftCommon):
    def setUp(self):
        super().setUp()
        self.send((self.at(1), 4), (self.at(1, 30), 10), (self.at(30), 1, "b"))

    def test_nothing_differs(self):
        check = self.compare()
        self.assertEqual((check.state, check.hour_count, check.found_count, check.failed_count), ("done", 16, 0, 0))
        self.assertTrue(check.finished_date)
        self.assertFalse(self.env["usage.drift"].search([]))

    def test_a_damaged_hour_is_found_and_named(self):
        self.damage("sum", "UPDATE usage_aggregate SET quantity = quantity + 0.000001")
        check = self.compare()
        self.assertEqual((check.found_count, check.open_count), (2, 2))
        [late, early] = self.found("sum")
        self.assertEqual((early.account_id, early.meter_id, early.hour), (self.account, self.meters["sum"], self.at(1)))
        self.assertEqual((early.dimensions, early.dimension_label), ({"zone": "a"}, "a"))
        self.assertEqual((early.stored_quantity, early.replayed_quantity), (14.000001, 14))
        self.assertEqual((early.stored_event_count, early.replayed_event_count), (2, 2))
        self.assertEqual((late.hour, late.dimension_label, late.replayed_quantity), (self.at(30), "b", 1))
        self.assertIn(self.meters["sum"].name, early.display_name)
        self.assertEqual(self.env["usage.event"].search_count(early.action_view_events()["domain"]), 2)
        self.assertEqual(check.action_view_drifts()["domain"], [("check_id", "in", check.ids)])

    def test_a_missing_hour(self):
        self.damage("max", "DELETE FROM usage_aggregate")
        self.compare()
        figures = [
            (drift.stored_quantity, drift.stored_event_count, drift.replayed_quantity) for drift in self.found("max")
        ]
        self.assertEqual(figures, [(0, 0, 1), (0, 0, 10)])

    def test_an_hour_that_no_event_made(self):
        self.damage("sum", "UPDATE usage_aggregate SET hour = hour + interval '2 hours'")
        self.compare()
        figures = {(drift.hour, drift.stored_quantity, drift.replayed_quantity) for drift in self.found("sum")}
        hours = [(self.at(hour), quantity) for hour, quantity in ((1, 14), (30, 1))]
        self.assertEqual(
            figures,
            {(hour, 0, quantity) for hour, quantity in hours}
            | {(hour + timedelta(hours=2), quantity, 0) for hour, quantity in hours},
        )

    def test_what_hours_are_put_together_from(self):
        """A quantity that is right does not hide what would make the next one wrong."""
        for key, statement in (
            ("average", "UPDATE usage_aggregate SET total = total + 1"),
            ("latest", "UPDATE usage_aggregate SET last_event_id = last_event_id + 1"),
            ("time_weighted", "UPDATE usage_aggregate SET last_value = last_value + 1"),
        ):
            self.damage(key, statement)
        self.compare()
        self.assertEqual([len(self.found(key)) for key in ("average", "latest", "time_weighted", "sum")], [2, 2, 2, 0])

    def test_count_again(self):
        before = {key: self.rows(key) for key in KEYS}
        for key in KEYS:
            self.damage(key, "UPDATE usage_aggregate SET quantity = quantity * 2 + 1, event_count = 7")
        self.damage("min", "DELETE FROM usage_aggregate")
        self.compare()
        drifts = self.env["usage.drift"].search([("state", "=", "open")])
        self.assertEqual(len(drifts), 16)
        self.count_again(drifts)
        self.assertEqual({key: self.rows(key) for key in KEYS}, before)
        self.assertEqual(set(drifts.mapped("state")), {"mended"})
        self.assertEqual(drifts.mended_by_id, self.operator)
        self.assertEqual(self.compare().found_count, 0)

    def test_count_again_is_for_operators_and_open_differences(self):
        self.damage("sum", "UPDATE usage_aggregate SET quantity = 0")
        self.compare()
        drifts = self.found("sum")
        with self.assertRaises(AccessError):
            self.count_again(drifts, self.viewer)
        self.count_again(drifts[0])
        with self.assertRaisesRegex(UserError, "Only open differences"):
            self.count_again(drifts)

    def test_found_again(self):
        """One difference is one record, however often it is found."""
        self.damage("sum", "UPDATE usage_aggregate SET quantity = 0")
        self.compare()
        drifts = self.found("sum")
        self.damage("sum", "UPDATE usage_aggregate SET quantity = 5")
        check = self.compare()
        self.assertEqual(self.found("sum"), drifts)
        self.assertEqual((drifts.check_id, set(drifts.mapped("stored_quantity"))), (check, {5}))

    def test_gone_by_itself(self):
        self.damage("sum", "UPDATE usage_aggregate SET quantity = 0")
        self.compare()
        drifts = self.found("sum")
        self.meters["sum"].recount_pending = True
        self.fold()
        self.compare()
        self.assertEqual(set(drifts.mapped("state")), {"gone"})

    def test_what_waits_is_no_difference(self):
        """Batches and corrections that are not counted yet, and meters that are counted again."""
        self.ingest([self.level(self.at(2), 9)])
        self.correct(self.void("voided", self.stored_ids()[0]))
        self.damage("count", "DELETE FROM usage_aggregate")
        self.meters["count"].recount_pending = True
        check = self.compare()
        self.assertEqual((check.hour_count, check.found_count), (14, 0))

    def stored_ids(self):
        """Ids of the stored events, the oldest first."""
        return self.env["usage.event"].search([("type", "=", "level")], order="time").mapped("event_id")

    def test_days_sources_and_meters(self):
        for key in ("sum", "max"):
            self.damage(key, "UPDATE usage_aggregate SET quantity = 0")
        self.assertEqual(self.compare(date_from="2025-03-11", meter_id=self.meters["sum"].id).found_count, 1)
        self.assertEqual(self.compare(date_to="2025-03-10", meter_id=self.meters["max"].id).found_count, 1)
        other = self._source("other-cloud")
        self.assertEqual(self.compare(source_id=other.id).hour_count, 0)
        self.assertEqual(self.compare(source_id=self.source.id).found_count, 4)

    def test_hours_that_lost_events(self):
        """They are what is known, and neither compared nor counted again."""
        self.damage("sum", "UPDATE usage_aggregate SET quantity = 0")
        self.compare()
        drifts = self.found("sum")
        self.env.cr.execute(
            SQL(
                """
                INSERT INTO usage_retention_run (kind, subject, state, events_until, user_id, date, checked_date)
                VALUES ('events', 'March', 'deleted', %s, %s, now(), now())
                """,
                self.at(24),
                self.env.uid,
            )
        )
        self.env.invalidate_all()
        self.assertEqual(self.compare().hour_count, 8)
        with self.assertRaisesRegex(UserError, "deleted when their retention ended"):
            self.count_again(drifts)
        self.count_again(drifts[0])

    def test_bad_dates(self):
        with self.assertRaisesRegex(ValidationError, "ends before it begins"):
            self.compare(date_from="2025-03-11", date_to="2025-03-10")

    def test_facts(self):
        check = self.compare()
        self.damage("sum", "UPDATE usage_aggregate SET quantity = 0")
        self.compare()
        for records in (check, self.found("sum")):
            for user in (self.admin, self.env.user):
                with self.assertRaises(AccessError):
                    records.with_user(user).write({"state": "done"})
                with self.assertRaises(AccessError):
                    records.with_user(user).unlink()
        forged = self.env["usage.drift.check"].create({"date_from": "2025-03-01", "state": "done", "found_count": 7})
        self.assertEqual((forged.state, forged.found_count), ("waiting", 0))


@tagged("post_install", "-at_install")
class TestDriftJob(DriftCommon):
    def test_every_day_the_last_months_of_each_company(self):
        other = self.env["res.company"].create({"name": "Other"})
        self._meter("other", company_id=other.id)
        self.run_job()
        checks = self.env["usage.drift.check"].search([("company_id", "in", (self.company | other).ids)])
        self.assertEqual(checks.company_id, self.company | other)
        today = fields.Date.today()
        for check in checks:
            self.assertEqual((check.state, check.date_to), ("done", today))
            self.assertEqual(check.date_from, fields.Date.subtract(today.replace(day=1), months=2))
        self.run_job()
        self.assertEqual(self.env["usage.drift.check"].search_count([]), len(checks), "once a day")
        yesterday = fields.Datetime.now() - timedelta(days=1)
        self.env.cr.execute(SQL("UPDATE usage_drift_check SET create_date = %s", yesterday))
        self.env.invalidate_all()
        self.run_job()
        self.assertEqual(self.env["usage.drift.check"].search_count([]), 2 * len(checks))

    def test_goes_on_where_it_was_cut_off(self):
        self.send((self.at(1), 4), (self.at(30), 1))
        check = self.env["usage.drift.check"].create({"date_from": "2025-03-10", "date_to": "2025-03-17"})
        seen, compare = [], type(check)._compare_hours

        def spied(check, meter, day):
            seen.append((meter, day))
            return compare(check, meter, day)

        with self.daily_done(), patch.object(type(check), "_compare_hours", spied):
            with patch.object(type(self.env["ir.cron"]), "_commit_progress", lambda *args, **kwargs: 0):
                for _ in range(3):
                    check._cron_compare()
            self.assertEqual((len(seen), check.state), (3, "waiting"))
            self.run_job()
        meters = self.env["usage.meter"].search([("company_id", "=", self.company.id)], order="id")
        self.assertEqual(len(seen), len(set(seen)))
        self.assertEqual(len(seen), 2 * len(meters))
        self.assertEqual((check.state, check.hour_count), ("done", 16))

    def test_one_that_fails_stops_nothing_else(self):
        self.send((self.at(1), 4))
        self.damage("sum", "UPDATE usage_aggregate SET quantity = 0")
        compare = type(self.env["usage.drift.check"])._compare_hours

        def broken(check, meter, day):
            if meter == self.meters["count"]:
                check.env.cr.execute("SELECT 1 / 0")
            return compare(check, meter, day)

        with (
            patch.object(type(self.env["usage.drift.check"]), "_compare_hours", broken),
            mute_logger("odoo.sql_db"),
            self.assertLogs(MODULE, "ERROR") as logs,
        ):
            check = self.compare(date_from="2025-03-10", date_to="2025-03-10")
        self.assertEqual((check.state, check.failed_count, check.found_count), ("done", 1, 1))
        self.assertIn("m_count from 2025-03-10", logs.output[0])

    def test_without_meters(self):
        company = self.env["res.company"].create({"name": "Empty"})
        check = self.env["usage.drift.check"].create({"company_id": company.id, "date_from": "2025-03-10"})
        with self.daily_done():
            self.run_job()
        self.assertEqual((check.state, check.hour_count), ("done", 0))

    def test_people_wake_it(self):
        job = self.env.ref("usage_connector_base.cron_compare")
        before = self.env["ir.cron.trigger"].search_count([("cron_id", "=", job.id)])
        self.env["usage.drift.check"].with_user(self.operator).create({"date_from": "2025-03-10"})
        self.assertEqual(self.env["ir.cron.trigger"].search_count([("cron_id", "=", job.id)]), before + 1)


@tagged("post_install", "-at_install")
class TestReplay(RandomEvents, DriftCommon):
    """Whatever came in whatever order: replaying it gives the same hours, of all aggregations."""

    def test_any_events(self):
        self.send_some(10)
        for _ in range(5):
            self.correct_one()
            self.send_some(2)
        self.change(self.meters["sum"], self.at(30), aggregation="max")
        self.change(self.meters["max"], self.at(40), aggregation="time_weighted")
        self.change(self.meters["latest"], self.at(20), dimensions=False)
        self.fold()
        self.send_some(5)
        check = self.compare()
        self.assertEqual((check.state, check.found_count, check.failed_count), ("done", 0, 0))
        self.assertGreater(check.hour_count, 500)
