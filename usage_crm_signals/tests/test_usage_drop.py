"""When usage counts as dropped, to the unit, and when it does not."""

from datetime import date, datetime, timedelta
from itertools import pairwise

from odoo.tests import tagged

from ..models.usage_signal_kind_usage_drop import week_bounds
from .common import NOW, TODAY, SignalCommon


@tagged("post_install", "-at_install")
class TestWeekBounds(SignalCommon):
    def test_today_is_left_out(self):
        bounds = week_bounds(datetime(2025, 7, 16, 23, 59, 59), 4)
        self.assertEqual(bounds[-1], datetime(2025, 7, 16))

    def test_at_midnight_the_day_before_is_full(self):
        bounds = week_bounds(datetime(2025, 7, 16), 4)
        self.assertEqual(bounds[-2:], [datetime(2025, 7, 9), datetime(2025, 7, 16)])

    def test_four_weeks_and_the_last_seven_days(self):
        bounds = week_bounds(NOW, 4)
        self.assertEqual(len(bounds), 6)
        self.assertEqual(bounds[0], datetime(2025, 6, 11))
        gaps = {later - earlier for earlier, later in pairwise(bounds)}
        self.assertEqual(gaps, {timedelta(days=7)})

    def test_days_begin_in_the_time_zone(self):
        bounds = week_bounds(datetime(2025, 7, 16, 1), 1, "America/New_York")
        # There it is still the 15th.
        self.assertEqual(bounds[-1], datetime(2025, 7, 15, 4))

    def test_a_week_with_summer_time_begins_at_midnight_all_the_same(self):
        bounds = week_bounds(datetime(2025, 4, 1, 12), 1, "Europe/Paris")
        self.assertEqual(bounds[-1] - bounds[-2], timedelta(days=7, hours=-1))

    def test_a_week_with_winter_time_is_an_hour_longer(self):
        bounds = week_bounds(datetime(2025, 10, 28, 12), 1, "Europe/Paris")
        self.assertEqual(bounds[-1] - bounds[-2], timedelta(days=7, hours=1))


@tagged("post_install", "-at_install")
class TestUsageDrop(SignalCommon):
    def found(self, at=NOW):
        return self.detect(self.drop_rule, at)

    # -- the percentage ---------------------------------------------------------------------

    def test_exactly_half_is_a_drop(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 50])
        signal = self.found()
        self.assertEqual(signal.partner_id, self.customer)
        self.assertEqual(signal.percentage, 50.0)

    def test_one_more_than_half_is_none(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 51])
        self.assertFalse(self.found())

    def test_a_billionth_above_half_is_none(self):
        self.use_weeks(self.account, ["0.2", "0.2", "0.2", "0.2", "0.100000001"])
        self.assertFalse(self.found())

    def test_decimals_are_exact(self):
        # In binary floats 0.1 + 0.2 is more than 0.3, and 0.15 no half of it.
        self.use_weeks(self.account, ["0.1", "0.2", "0.3", "0.6", "0.15"])
        self.assertEqual(self.found().percentage, 50.0)

    def test_large_quantities_are_exact(self):
        # Beyond 2 ** 53 a binary float cannot tell these two apart.
        week = 20000000000000000000
        self.use_weeks(self.account, [week, week, week, week, 10000000000000000001])
        self.assertFalse(self.found())

    def test_growth_is_none(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 300])
        self.assertFalse(self.found())

    def test_the_average_counts_and_not_the_week_before(self):
        self.use_weeks(self.account, [100, 100, 100, 500, 150])
        self.assertFalse(self.found())
        self.use(self.account, TODAY - timedelta(days=10), 400)  # average 300
        self.assertTrue(self.found())

    def test_the_percentage_of_the_rule_counts(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 70])
        self.assertFalse(self.found())
        self.drop_rule.percentage = 30
        self.assertTrue(self.found())

    def test_a_fall_to_nothing_only(self):
        self.drop_rule.percentage = 100
        self.use_weeks(self.account, [100, 100, 100, 100, 1])
        self.assertFalse(self.found())

    # -- which days -------------------------------------------------------------------------

    def test_usage_of_today_does_not_count(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.use(self.account, TODAY, 1000)
        self.assertTrue(self.found())

    def test_the_first_hour_of_the_seven_days_counts(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.use(self.account, TODAY - timedelta(days=7), 1000)
        self.assertFalse(self.found())

    def test_the_hour_before_them_does_not(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.use(self.account, TODAY - timedelta(days=7, hours=1), 1000)
        self.assertTrue(self.found())

    def test_the_last_hour_of_yesterday_counts(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.use(self.account, TODAY - timedelta(hours=1), 1000)
        self.assertFalse(self.found())

    def test_days_are_those_of_the_company(self):
        self.company.usage_tz = "Asia/Tokyo"
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        # 20:00 in London, when in Tokyo the 16th has begun.
        self.use(self.account, datetime(2025, 7, 15, 20), 1000)
        self.assertTrue(self.found())

    def test_weeks_to_compare_with_are_set_on_the_rule(self):
        self.use_weeks(self.account, [100, 100, 10])
        self.assertFalse(self.found())
        self.drop_rule.weeks = 2
        self.assertTrue(self.found())

    # -- history ----------------------------------------------------------------------------

    def test_no_history_no_signal(self):
        self.use_weeks(self.account, [10])
        self.assertFalse(self.found())

    def test_no_usage_at_all_no_signal(self):
        self.assertFalse(self.found())

    def test_three_weeks_are_too_few(self):
        self.use_weeks(self.account, [None, 100, 100, 100, 10])
        self.assertFalse(self.found())

    def test_a_week_without_usage_in_between_is_no_history(self):
        self.use_weeks(self.account, [100, 100, None, 100, 10])
        self.assertFalse(self.found())

    def test_a_week_of_zero_is_a_week_without_usage(self):
        self.use_weeks(self.account, [100, 100, 0, 100, 10])
        self.assertFalse(self.found())

    def test_a_customer_who_went_silent(self):
        self.use_weeks(self.account, [100, 100, 100, 100, None])
        signal = self.found()
        self.assertEqual((signal.value, signal.percentage), (0.0, 0.0))
        self.assertEqual(signal.evidence["recent_quantity"], "0")

    def test_a_customer_silent_for_long_is_no_news(self):
        self.use_weeks(self.account, [100, 100, 100, None, None])
        self.assertFalse(self.found())

    def test_small_customers_are_left_out(self):
        self.drop_rule.minimum_quantity = 100.5
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.assertFalse(self.found())

    def test_the_minimum_itself_is_enough(self):
        self.drop_rule.minimum_quantity = 100
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.assertTrue(self.found())

    # -- whose usage, of what ---------------------------------------------------------------

    def test_accounts_of_a_company_and_its_contacts_count_together(self):
        contact = self.env["res.partner"].create({"name": "Nora", "parent_id": self.customer.id})
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.use_weeks(self.new_account(contact), [10, 10, 10, 10, 100])
        self.assertFalse(self.found())

    def test_the_signal_is_about_the_company(self):
        contact = self.env["res.partner"].create({"name": "Nora", "parent_id": self.customer.id})
        self.use_weeks(self.new_account(contact), [100, 100, 100, 100, 10])
        self.assertEqual(self.found().partner_id, self.customer)

    def test_usage_moved_to_another_account_is_no_drop(self):
        self.use_weeks(self.account, [100, 100, 100, 100, None])
        self.use_weeks(self.new_account(self.customer), [None, None, None, None, 100])
        self.assertFalse(self.found())

    def test_accounts_without_a_customer_raise_nothing(self):
        self.account.partner_id = False
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.assertFalse(self.found())

    def test_archived_customers_raise_nothing(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.customer.active = False
        self.assertFalse(self.found())

    def test_sources_outside_production_raise_nothing(self):
        source = self.new_source(self.company, code="staging", environment="staging")
        self.use_weeks(self.new_account(self.customer, source), [100, 100, 100, 100, 10])
        self.assertFalse(self.found())

    def test_each_meter_by_itself(self):
        tokens = self.new_meter(self.company, "Tokens")
        self.use_weeks(self.account, [100, 100, 100, 100, 100])
        self.use_weeks(self.account, [100, 100, 100, 100, 10], tokens)
        self.assertEqual(self.found().meter_id, tokens)

    def test_a_rule_for_one_meter_looks_at_no_other(self):
        tokens = self.new_meter(self.company, "Tokens")
        self.drop_rule.write({"company_id": self.company.id, "meter_id": tokens.id})
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.assertFalse(self.found())

    def test_a_meter_that_is_counted_again_is_not_judged(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.meter.recount_pending = True
        self.assertFalse(self.found())
        self.meter.recount_pending = False
        self.assertTrue(self.found())

    def test_archived_meters_are_not_judged(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.meter.write({"active": False, "recount_pending": False})
        self.assertFalse(self.found())

    def test_several_customers_at_once(self):
        customers = [self.new_customer(f"Customer {number}") for number in range(3)]
        for customer in customers:
            self.use_weeks(self.new_account(customer), [100, 100, 100, 100, 10])
        self.assertEqual(len(self.found()), 3)

    # -- what the signal says ---------------------------------------------------------------

    def test_what_the_signal_keeps(self):
        self.use_weeks(self.account, [90, 110, 80, 120, "40.5"])
        signal = self.found()
        self.assertEqual(signal.kind, "usage_drop")
        self.assertEqual(signal.company_id, self.company)
        self.assertEqual(signal.meter_id, self.meter)
        self.assertFalse(signal.subscription_id)
        self.assertEqual(signal.date, NOW)
        self.assertEqual(signal.period_start, datetime(2025, 7, 9))
        self.assertEqual(signal.period_end, datetime(2025, 7, 16))
        self.assertEqual((signal.value, signal.reference_value), (40.5, 100.0))

    def test_the_evidence_is_complete_and_exact(self):
        self.use_weeks(self.account, [90, 110, 80, 120, "40.5"])
        evidence = self.found().evidence
        self.assertEqual(
            evidence,
            {
                "meter": "Requests",
                "unit": "request",
                "recent_quantity": "40.5",
                "recent_from": "2025-07-09",
                "recent_to": "2025-07-15",
                "weekly_quantities": ["90", "110", "80", "120"],
                "weekly_from": "2025-06-11",
                "weekly_average": "100",
                "change": "-59.500",
                "threshold": "50",
            },
        )

    def test_the_summary_says_how_far(self):
        self.use_weeks(self.account, [90, 110, 80, 120, "40.5"])
        self.assertEqual(self.found().summary, "Requests: usage fell by 59.5 % against the previous 4 weeks")

    def test_the_evidence_for_people(self):
        self.use_weeks(self.account, [1000, 1000, 1000, 1000, "400.50"])
        html = self.found().evidence_html
        for text in ("Requests", "400.5 request", "1,000 · 1,000 · 1,000 · 1,000", "-60 %", "07/15/2025"):
            self.assertIn(text, html)

    # -- once -------------------------------------------------------------------------------

    def test_twice_the_same_day_once(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.assertEqual(len(self.found()), 1)
        self.assertFalse(self.found())
        self.assertFalse(self.found(NOW + timedelta(hours=5)))

    def test_a_drop_that_lasts_is_reported_once(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.assertTrue(self.found())
        for day in range(1, 7):
            self.assertFalse(self.found(NOW + timedelta(days=day)))

    def test_dismissed_stays_dismissed(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.found().action_dismiss()
        self.assertFalse(self.found(NOW + timedelta(days=1)))

    def test_a_new_drop_after_the_compared_weeks_is_reported(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        first = self.found()
        later = TODAY + timedelta(days=35)
        self.use_weeks(self.account, [100, 100, 100, 100, 10], today=later)
        second = self.found(later + timedelta(hours=9))
        self.assertEqual(len(second), 1)
        self.assertGreaterEqual(second.period_start, first.period_end)

    def test_within_the_compared_weeks_a_second_drop_is_the_same_fact(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.assertTrue(self.found())
        later = TODAY + timedelta(days=21)
        self.use_weeks(self.account, [None, None, 300, 300, 5], today=later)
        self.assertFalse(self.found(later))

    def test_other_aggregations_compare_what_they_come_to(self):
        """The highest value of each week, not the sum of the hours' highest."""
        meter = self.new_meter(self.company, "Peak", aggregation="max", value_path="n")
        self.use_weeks(self.account, [100, 100, 100, 100, 10], meter)
        self.use_weeks(self.account, [60, 60, 60, 60, 9], meter, today=TODAY + timedelta(hours=1))
        signal = self.found()
        self.assertEqual((signal.meter_id, signal.value, signal.reference_value), (meter, 10, 100))

    def test_another_rule_reports_by_itself(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.assertTrue(self.found())
        other = self.drop_rule.copy({"name": "Fell by 80 %", "percentage": 80})
        self.assertEqual(len(self.detect(other)), 1)

    def test_another_meter_is_another_fact(self):
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        self.assertTrue(self.found())
        tokens = self.new_meter(self.company, "Tokens")
        self.use_weeks(self.account, [100, 100, 100, 100, 10], tokens)
        self.assertEqual(self.found().meter_id, tokens)

    def test_detection_takes_three_queries_however_many_customers(self):
        for number in range(12):
            customer = self.new_customer(f"Customer {number}")
            self.use_weeks(self.new_account(customer), [100, 100, 100, 100, 100])
        self.env.flush_all()
        handler = self.env["usage.signal.kind.usage_drop"]
        handler._detect(self.drop_rule, NOW)
        with self.assertQueryCount(3):
            self.assertFalse(handler._detect(self.drop_rule, NOW))

    def test_the_seven_days_are_dates_of_the_company(self):
        self.company.usage_tz = "America/New_York"
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        evidence = self.found().evidence
        self.assertEqual(date.fromisoformat(evidence["recent_from"]), date(2025, 7, 9))
        self.assertEqual(date.fromisoformat(evidence["recent_to"]), date(2025, 7, 15))
