"""Settings of rules, the companies they are checked in, and the scheduled action."""

from datetime import datetime, timedelta
from unittest.mock import patch

from psycopg2 import IntegrityError

from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import Form, freeze_time, tagged
from odoo.tools import mute_logger

from ..models import usage_signal_rule
from .common import NOW, SignalCommon


@tagged("post_install", "-at_install")
class TestRuleSettings(SignalCommon):
    def test_two_rules_come_with_the_module(self):
        self.assertEqual(self.threshold_rule.kind, "included_threshold")
        self.assertEqual(self.threshold_rule.percentage, 80.0)
        self.assertEqual(self.drop_rule.kind, "usage_drop")
        self.assertEqual((self.drop_rule.percentage, self.drop_rule.weeks), (50.0, 4))
        self.assertFalse((self.threshold_rule | self.drop_rule).company_id)

    def test_the_percentage_follows_the_kind(self):
        with Form(self.env["usage.signal.rule"]) as form:
            form.name = "New rule"
            self.assertEqual(form.percentage, 80.0)
            form.kind = "usage_drop"
            self.assertEqual(form.percentage, 50.0)
            form.percentage = 30.0
        self.assertEqual(form.record.percentage, 30.0)

    def test_a_percentage_that_is_given_stays(self):
        rule = self.env["usage.signal.rule"].create({"name": "Fell by 90 %", "kind": "usage_drop", "percentage": 90})
        self.assertEqual(rule.percentage, 90.0)

    def check_refused(self, vals):
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.cr.savepoint():
            self.drop_rule.write(vals)
            self.env.flush_all()

    def test_zero_percent_is_refused(self):
        self.check_refused({"percentage": 0})

    def test_a_fall_by_more_than_everything_is_refused(self):
        self.check_refused({"percentage": 101})

    def test_no_weeks_are_refused(self):
        self.check_refused({"weeks": 0})

    def test_more_than_a_year_is_refused(self):
        self.check_refused({"weeks": 53})

    def test_a_negative_minimum_is_refused(self):
        self.check_refused({"minimum_quantity": -1})

    def test_more_than_everything_included_is_allowed(self):
        self.threshold_rule.percentage = 120
        self.env.flush_all()

    def test_a_meter_needs_its_company(self):
        with self.assertRaises(UserError):
            self.drop_rule.meter_id = self.meter
        self.drop_rule.write({"company_id": self.company.id, "meter_id": self.meter.id})

    def test_a_meter_of_another_company_is_refused(self):
        meter = self.new_meter(self.new_company("Other"), "Tokens")
        with self.assertRaises(UserError):
            self.drop_rule.write({"company_id": self.company.id, "meter_id": meter.id})

    def test_every_kind_has_its_model(self):
        for kind, _label in self.env["usage.signal.rule"]._fields["kind"]._description_selection(self.env):
            rule = self.env["usage.signal.rule"].new({"kind": kind})
            handler = rule._handler()
            self.assertEqual(handler._name, f"usage.signal.kind.{kind}")
            self.assertGreater(handler._default_percentage, 0)

    def test_a_kind_must_say_what_it_finds(self):
        base = self.env["usage.signal.kind"]
        for call in (
            lambda: base._detect(self.drop_rule, NOW),
            lambda: base._summary({}),
            lambda: base._evidence_lines({}),
        ):
            with self.assertRaises(NotImplementedError):
                call()

    def test_the_rule_counts_and_shows_its_signals(self):
        signal = self.drop_signal()
        self.assertEqual(self.drop_rule.signal_count, 1)
        self.assertEqual(self.threshold_rule.signal_count, 0)
        action = self.drop_rule.action_view_signals()
        self.assertEqual(self.env[action["res_model"]].search(action["domain"]), signal)

    def test_a_rule_with_signals_is_archived_and_not_deleted(self):
        self.drop_signal()
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.cr.savepoint():
            self.drop_rule.unlink()
        self.drop_rule.active = False
        self.assertEqual(self.drop_rule.signal_count, 1)

    def test_archived_rules_are_not_checked(self):
        self.drop_rule.active = False
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.assertFalse(self.env["usage.signal.rule"]._detect(NOW))

    def test_without_a_selection_all_active_rules_are_checked(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        signals = self.env["usage.signal.rule"]._detect(NOW)
        self.assertEqual(signals.rule_id, self.drop_rule)
        self.assertTrue(self.threshold_rule.last_run)

    def test_the_moment_is_now_when_left_out(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        with freeze_time(NOW):
            self.assertEqual(self.drop_rule._detect().date, NOW)


@tagged("post_install", "-at_install")
class TestCheckNow(SignalCommon):
    def test_it_raises_signals_and_says_how_many(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        with freeze_time(NOW):
            action = self.drop_rule.with_user(self.admins[0]).action_check_now()
        self.assertEqual(self.drop_rule.signal_count, 1)
        self.assertEqual(action["params"]["type"], "success")
        self.assertIn("1 new", action["params"]["message"])

    def test_a_signal_of_the_button_acts_as_one_of_the_night(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        with freeze_time(NOW):
            self.drop_rule.with_user(self.admins[0]).action_check_now()
        self.assertEqual(self.drop_rule.signal_ids.activity_id.user_id, self.salesperson)

    def test_it_says_that_something_failed(self):
        handler = type(self.env["usage.signal.kind.usage_drop"])
        with (
            patch.object(handler, "_detect", side_effect=UserError("No such table")),
            mute_logger(usage_signal_rule.__name__),
        ):
            action = self.drop_rule.with_user(self.admins[0]).action_check_now()
        self.assertEqual(action["params"]["type"], "warning")


@tagged("post_install", "-at_install")
class TestCompanies(SignalCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.new_company("Other")
        cls.other_source = cls.new_source(cls.other)
        cls.other_meter = cls.new_meter(cls.other)

    def use_both(self):
        """Let the usage of one customer fall in both companies."""
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        account = self.new_account(self.customer, self.other_source)
        self.use_weeks(account, [100, 100, 100, 100, 10], self.other_meter)

    def test_a_rule_without_company_is_checked_in_each(self):
        self.use_both()
        signals = self.detect(self.drop_rule)
        self.assertEqual(signals.company_id, self.company | self.other)
        self.assertEqual(len(signals), 2)

    def test_each_company_counts_its_own_usage(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 50])
        account = self.new_account(self.customer, self.other_source)
        self.use_weeks(account, [100, 100, 100, 100, 100], self.other_meter)
        self.assertEqual(self.detect(self.drop_rule).company_id, self.company)

    def test_a_rule_of_a_company_is_checked_there_only(self):
        self.drop_rule.write({"company_id": self.other.id, "user_id": False})
        self.use_both()
        self.assertEqual(self.detect(self.drop_rule).company_id, self.other)

    def test_kinds_run_in_their_company(self):
        seen = []

        def detect(handler, rule, at):
            seen.append((handler.env.company, rule.env.company))
            return []

        with patch.object(type(self.env["usage.signal.kind.usage_drop"]), "_detect", detect):
            self.drop_rule._detect(NOW)
        self.assertIn((self.company, self.company), seen)
        self.assertIn((self.other, self.other), seen)

    def test_days_begin_in_the_time_zone_of_each_company(self):
        self.other.usage_tz = "Asia/Tokyo"
        self.use_both()
        starts = {signal.company_id: signal.period_start for signal in self.detect(self.drop_rule)}
        self.assertEqual(starts[self.company], datetime(2025, 7, 9))
        self.assertEqual(starts[self.other], datetime(2025, 7, 8, 15))

    def test_the_activity_goes_to_someone_of_the_company(self):
        seller = self.new_user("olga", "sales_team.group_sale_salesman", self.other)
        self.drop_rule.user_id = False
        self.drop_rule.write({"company_id": self.other.id, "user_id": seller.id})
        self.use_both()
        # The customer's salesperson does not belong to this company.
        self.assertEqual(self.detect(self.drop_rule).activity_id.user_id, seller)


@tagged("post_install", "-at_install")
class TestCron(SignalCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cron = cls.env.ref("usage_crm_signals.cron_detect")
        # The scheduled action looks at the real present.
        cls.now = fields.Datetime.now()
        cls.today = datetime.combine(cls.now.date(), datetime.min.time())

    def run_cron(self):
        with self.enter_registry_test_mode():
            self.cron.method_direct_trigger()

    def test_it_runs_every_day(self):
        self.assertEqual((self.cron.interval_number, self.cron.interval_type), (1, "days"))
        self.assertTrue(self.cron.active)

    def test_it_raises_signals_with_what_follows(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10], today=self.today)
        self.run_cron()
        signal = self.env["usage.signal"].search([("partner_id", "=", self.customer.id)])
        self.assertEqual(signal.rule_id, self.drop_rule)
        self.assertEqual(signal.activity_id.user_id, self.salesperson)

    def test_it_notes_when_each_rule_was_checked(self):
        rules = self.threshold_rule | self.drop_rule
        rules.last_run = False
        self.run_cron()
        self.assertTrue(all(rules.mapped("last_run")))
        self.assertFalse(any(rules.mapped("pending")))

    def test_twice_the_same_day_once(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10], today=self.today)
        self.run_cron()
        self.run_cron()
        self.assertEqual(self.env["usage.signal"].search_count([("partner_id", "=", self.customer.id)]), 1)

    def test_it_goes_on_where_it_was_cut_off(self):
        checked = []

        def run(rule, at):
            checked.append(rule.id)
            rule._note_result([])
            yield rule.env["usage.signal"]

        Rule = self.env["usage.signal.rule"]
        rules = self.threshold_rule | self.drop_rule
        with (
            patch.object(type(Rule), "_run", run),
            patch.object(type(self.env["ir.cron"]), "_commit_progress", return_value=0),
        ):
            Rule._cron_detect()  # no time left after the first
            self.assertEqual(checked, rules[0].ids)
            Rule._cron_detect()
            self.assertEqual(checked, rules.ids)
            Rule._cron_detect()  # and all over again
            self.assertEqual(checked, rules.ids + rules[0].ids)

    def test_it_commits_as_it_goes(self):
        for number in range(5):
            account = self.new_account(self.new_customer(f"Customer {number}"))
            self.use_weeks(account, [100, 100, 100, 100, 10], today=self.today)
        progress = []

        def commit(cron, processed=0, *, remaining=None, deactivate=False):
            progress.append((processed, remaining))
            return 10

        with (
            patch.object(usage_signal_rule, "CHUNK", 2),
            patch.object(type(self.env["ir.cron"]), "_commit_progress", commit),
        ):
            self.env["usage.signal.rule"]._cron_detect()
        self.assertEqual(progress, [(0, 2), (1, 1), (2, 1), (2, 1), (1, 1), (1, 0)])

    def test_the_next_run_finishes_what_one_left(self):
        for number in range(5):
            account = self.new_account(self.new_customer(f"Customer {number}"))
            self.use_weeks(account, [100, 100, 100, 100, 10], today=self.today)
        self.threshold_rule.active = False
        with (
            patch.object(usage_signal_rule, "CHUNK", 2),
            patch.object(type(self.env["ir.cron"]), "_commit_progress", return_value=0),
        ):
            self.env["usage.signal.rule"]._cron_detect()
            self.assertEqual(self.drop_rule.signal_count, 2)
            self.assertTrue(self.drop_rule.pending)
        self.run_cron()
        self.assertEqual(self.drop_rule.signal_count, 5)
        self.assertFalse(self.drop_rule.pending)

    def test_a_day_later_a_drop_is_not_reported_again(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10], today=self.today - timedelta(days=1))
        with freeze_time(self.now - timedelta(days=1)):
            self.env["usage.signal.rule"]._detect()
        self.run_cron()
        self.assertEqual(self.env["usage.signal"].search_count([("partner_id", "=", self.customer.id)]), 1)
