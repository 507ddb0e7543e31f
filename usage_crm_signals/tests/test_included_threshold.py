"""When an included quantity counts as nearly used, and what it will cost to go on."""

from datetime import datetime, timedelta

from psycopg2 import IntegrityError

from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import NOW, SignalCommon

JULY = datetime(2025, 7, 1)
AUGUST = datetime(2025, 8, 1)


@tagged("post_install", "-at_install")
class TestIncludedThreshold(SignalCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.price = cls.new_price(cls.meter)  # 1,000 included, then 0.50 per request
        cls.subscription = cls.subscribe(cls.customer, cls.price)
        cls.line = cls.subscription.line_ids

    def found(self, at=NOW):
        return self.detect(self.threshold_rule, at)

    # -- the percentage ---------------------------------------------------------------------

    def test_exactly_80_percent(self):
        self.use(self.account, datetime(2025, 7, 3, 12), 800)
        signal = self.found()
        self.assertEqual(signal.subscription_line_id, self.line)
        self.assertEqual(signal.percentage, 80.0)

    def test_one_less_is_none(self):
        self.use(self.account, datetime(2025, 7, 3, 12), 799)
        self.assertFalse(self.found())

    def test_a_billionth_below_is_none(self):
        self.use(self.account, datetime(2025, 7, 3, 12), "799.999999999")
        self.assertFalse(self.found())

    def test_decimals_are_exact(self):
        # 80 % of 1,000, in parts that binary floats add up to something else.
        for hour in range(8):
            self.use(self.account, datetime(2025, 7, 3, hour), "99.9")
        self.assertFalse(self.found())
        self.use(self.account, datetime(2025, 7, 4), "0.8")
        self.assertEqual(self.found().evidence["quantity"], "800.0")

    def test_more_than_everything(self):
        self.use(self.account, datetime(2025, 7, 3, 12), 2500)
        self.assertEqual(self.found().percentage, 250.0)

    def test_the_percentage_of_the_rule_counts(self):
        self.use(self.account, datetime(2025, 7, 3, 12), 600)
        self.assertFalse(self.found())
        self.threshold_rule.percentage = 60
        self.assertTrue(self.found())

    def test_a_rule_for_more_than_what_is_included(self):
        self.threshold_rule.percentage = 150
        self.use(self.account, datetime(2025, 7, 3, 12), 1499)
        self.assertFalse(self.found())
        self.use(self.account, datetime(2025, 7, 3, 13), 1)
        self.assertTrue(self.found())

    def test_the_included_quantity_of_the_line_counts(self):
        self.line.included_quantity = 2000
        self.use(self.account, datetime(2025, 7, 3, 12), 1599)
        self.assertFalse(self.found())
        self.use(self.account, datetime(2025, 7, 3, 13), 1)
        self.assertEqual(self.found().reference_value, 2000.0)

    def test_nothing_included_no_signal(self):
        self.line.included_quantity = 0
        self.use(self.account, datetime(2025, 7, 3, 12), 5000)
        self.assertFalse(self.found())

    # -- the period -------------------------------------------------------------------------

    def test_no_usage_no_signal(self):
        self.assertFalse(self.found())

    def test_the_first_hour_of_the_period_counts(self):
        self.use(self.account, JULY, 800)
        self.assertTrue(self.found())

    def test_the_last_hour_of_the_period_before_does_not(self):
        self.use(self.account, JULY - timedelta(hours=1), 800)
        self.assertFalse(self.found())

    def test_what_was_used_after_the_moment_does_not(self):
        self.use(self.account, NOW + timedelta(hours=1), 800)
        self.assertFalse(self.found())
        self.assertTrue(self.found(NOW + timedelta(hours=2)))

    def test_the_period_is_that_of_the_subscription(self):
        customer = self.new_customer("Tailspin")
        self.subscribe(customer, self.new_price(self.meter), anchor_day=15, tz="Asia/Tokyo")
        account = self.new_account(customer)
        # 00:00 of the 15th in Tokyo is 15:00 of the 14th in UTC.
        self.use(account, datetime(2025, 7, 14, 14), 900)
        self.assertFalse(self.found())
        self.use(account, datetime(2025, 7, 14, 15), 900)
        signal = self.found()
        self.assertEqual(signal.period_start, datetime(2025, 7, 14, 15))
        self.assertEqual(signal.period_end, datetime(2025, 8, 14, 15))

    def test_a_full_period_before_is_over_and_done(self):
        self.use(self.account, datetime(2025, 6, 20), 1500)
        self.assertFalse(self.found())

    # -- counted over more than a period ----------------------------------------------------

    def test_a_contract_year_counts_from_its_start(self):
        """1,000 a year: 400 in February and 399 in July are not enough, one more is; next year begins anew."""
        self.line.counted_over = "year"
        self.use(self.account, datetime(2025, 2, 3, 12), 400)
        self.use(self.account, datetime(2025, 7, 3, 12), 399)
        self.assertFalse(self.found())
        self.use(self.account, datetime(2025, 7, 3, 13), 1)
        signal = self.found()
        self.assertEqual((signal.value, signal.reference_value), (800.0, 1000.0))
        self.assertEqual((signal.period_start, signal.period_end), (datetime(2025, 1, 1), datetime(2026, 1, 1)))
        self.assertFalse(self.found(datetime(2026, 1, 20)))

    def test_once_a_contract_year(self):
        self.line.counted_over = "year"
        self.use(self.account, datetime(2025, 2, 3, 12), 850)
        self.assertTrue(self.found(datetime(2025, 2, 10)))
        self.use(self.account, datetime(2025, 7, 3, 12), 850)
        self.assertFalse(self.found())

    def test_the_pace_of_a_contract_year(self):
        """912 in 182 of 365 days make 1,829: 829 above at 0.50."""
        self.line.counted_over = "year"
        self.use(self.account, datetime(2025, 2, 3, 12), 912)
        signal = self.found(datetime(2025, 7, 2))
        self.assertEqual(signal.evidence["projected_quantity"], "1829")
        self.assertEqual(signal.expected_revenue, 414.5)
        self.assertIn("Contract year", signal.evidence_html)
        self.assertIn("01/01/2025 to 12/31/2025", signal.evidence_html)

    def test_a_contract_year_leads_to_the_statement_of_its_month(self):
        self.line.counted_over = "year"
        self.use(self.account, datetime(2025, 2, 3, 12), 850)
        signal = self.found()
        january = self.subscription._ensure_statement(datetime(2025, 1, 10))
        july = self.subscription._ensure_statement(NOW)
        self.assertNotEqual(january, july)
        self.env.invalidate_all()
        self.assertEqual(signal.statement_id, july)

    def test_a_contract_without_an_end(self):
        """Looked at until the end of the running period, and found once."""
        self.subscription.tz = "Asia/Tokyo"
        self.line.counted_over = "term"
        self.use(self.account, datetime(2025, 2, 3, 12), 850)
        signal = self.found()
        self.assertEqual(signal.period_start, datetime(2024, 12, 31, 15))
        self.assertEqual(signal.period_end, datetime(2025, 7, 31, 15))
        self.assertIn("01/01/2025 to 07/31/2025", signal.evidence_html)
        self.use(self.account, datetime(2025, 8, 3, 12), 900)
        self.assertFalse(self.found(datetime(2025, 8, 10)))

    def test_a_contract_with_an_end(self):
        self.subscription.date_end = "2025-10-31"
        self.line.counted_over = "term"
        self.use(self.account, datetime(2025, 2, 3, 12), 850)
        signal = self.found()
        self.assertEqual(signal.period_end, datetime(2025, 11, 1))
        self.assertIn("01/01/2025 to 10/31/2025", signal.evidence_html)

    # -- which subscriptions ----------------------------------------------------------------

    def test_drafts_raise_nothing(self):
        self.subscription.action_close()
        draft = self.subscription.copy({"date_start": "2025-01-01"})
        self.assertEqual(draft.state, "draft")
        self.use(self.account, datetime(2025, 7, 3, 12), 900)
        self.assertFalse(self.found())

    def test_a_line_that_ended_raises_nothing(self):
        self.line.date_to = "2025-07-10"
        self.use(self.account, datetime(2025, 7, 3, 12), 900)
        self.assertFalse(self.found())

    def test_a_line_that_has_not_begun_raises_nothing(self):
        self.line.date_from = "2025-07-20"
        self.use(self.account, datetime(2025, 7, 3, 12), 900)
        self.assertFalse(self.found())

    def test_usage_before_the_line_began_does_not_count(self):
        self.line.date_from = "2025-07-10"
        self.use(self.account, datetime(2025, 7, 9, 23), 900)
        self.assertFalse(self.found())
        self.use(self.account, datetime(2025, 7, 10), 800)
        self.assertEqual(self.found().value, 800.0)

    def test_all_accounts_of_the_customer_count_together(self):
        contact = self.env["res.partner"].create({"name": "Nora", "parent_id": self.customer.id})
        self.use(self.account, datetime(2025, 7, 3, 12), 400)
        self.use(self.new_account(contact), datetime(2025, 7, 3, 12), 400)
        self.assertEqual(self.found().value, 800.0)

    def test_accounts_of_others_do_not(self):
        self.use(self.account, datetime(2025, 7, 3, 12), 400)
        self.use(self.new_account(self.new_customer("Contoso")), datetime(2025, 7, 3, 12), 400)
        self.assertFalse(self.found())

    def test_sources_outside_production_do_not(self):
        source = self.new_source(self.company, code="staging", environment="staging")
        self.use(self.new_account(self.customer, source), datetime(2025, 7, 3, 12), 900)
        self.assertFalse(self.found())

    def test_a_subscription_of_a_contact_is_about_the_company(self):
        customer = self.new_customer("Contoso")
        contact = self.env["res.partner"].create({"name": "Cora", "parent_id": customer.id})
        self.subscribe(contact, self.new_price(self.meter))
        self.use(self.new_account(contact), datetime(2025, 7, 3, 12), 900)
        self.assertEqual(self.found().partner_id, customer)

    def test_each_line_by_itself(self):
        tokens = self.new_meter(self.company, "Tokens")
        other = self.new_price(tokens, included_quantity=500.0)
        self.subscribe(self.customer, other)
        self.use(self.account, datetime(2025, 7, 3, 12), 100)
        self.use(self.account, datetime(2025, 7, 3, 12), 400, tokens)
        self.assertEqual(self.found().meter_id, tokens)

    def test_a_rule_for_one_meter_looks_at_no_other(self):
        tokens = self.new_meter(self.company, "Tokens")
        self.threshold_rule.write({"company_id": self.company.id, "meter_id": tokens.id})
        self.use(self.account, datetime(2025, 7, 3, 12), 900)
        self.assertFalse(self.found())

    def test_several_customers_at_once(self):
        for number in range(3):
            customer = self.new_customer(f"Customer {number}")
            self.subscribe(customer, self.price)
            self.use(self.new_account(customer), datetime(2025, 7, 3, 12), 900)
        self.assertEqual(len(self.found()), 3)

    # -- what the signal says ---------------------------------------------------------------

    def test_what_the_signal_keeps(self):
        self.use(self.account, datetime(2025, 7, 3, 12), 850)
        signal = self.found()
        self.assertEqual(signal.kind, "included_threshold")
        self.assertEqual(signal.partner_id, self.customer)
        self.assertEqual(signal.subscription_id, self.subscription)
        self.assertEqual(signal.meter_id, self.meter)
        self.assertEqual((signal.period_start, signal.period_end), (JULY, AUGUST))
        self.assertEqual((signal.value, signal.reference_value), (850.0, 1000.0))
        self.assertEqual(signal.summary, "Requests: 85 % of the included quantity used")

    def test_the_evidence_is_complete_and_exact(self):
        self.use(self.account, datetime(2025, 7, 3, 12), "850.25")
        evidence = self.found(datetime(2025, 7, 11)).evidence
        self.assertEqual(
            evidence,
            {
                "meter": "Requests",
                "unit": "request",
                "subscription": self.subscription.display_name,
                "tz": "UTC",
                "billed_from": "2025-07-01 00:00:00",
                "billed_until": "2025-08-01 00:00:00",
                "quantity": "850.25",
                "included_quantity": "1000",
                "percentage": "85.02500",
                "threshold": "80",
                "projected_quantity": "2636",  # 850.25 in 10 of 31 days
                "projected_overage": "818.00",  # 1,636 at 0.50
                "currency": self.company.currency_id.name,
            },
        )

    def test_the_evidence_for_people(self):
        self.use(self.account, datetime(2025, 7, 3, 12), 850)
        html = self.found(datetime(2025, 7, 11)).evidence_html
        currency = self.company.currency_id.name
        self.assertIn("07/01/2025 to 07/31/2025", html)
        for text in ("850 request", "1,000 request", "85 %", "80 %", "2,635 request", f"817.50 {currency}"):
            self.assertIn(text, html)

    def test_the_days_are_those_of_the_subscription(self):
        customer = self.new_customer("Tailspin")
        self.subscribe(customer, self.new_price(self.meter), tz="America/New_York")
        self.use(self.new_account(customer), datetime(2025, 7, 3), 900)
        self.assertIn("07/01/2025 to 07/31/2025", self.found().evidence_html)

    # -- what it is worth -------------------------------------------------------------------

    def test_expected_revenue_is_the_price_of_the_part_over_it(self):
        self.use(self.account, datetime(2025, 7, 3, 12), 1000)
        # 1,000 in 10 of 31 days make 3,100: 2,100 at 0.50.
        self.assertEqual(self.found(datetime(2025, 7, 11)).expected_revenue, 1050.0)

    def test_no_revenue_when_the_included_quantity_will_do(self):
        self.use(self.account, datetime(2025, 7, 3, 12), 800)
        self.assertEqual(self.found(AUGUST - timedelta(hours=1)).expected_revenue, 0.0)

    def test_no_pace_is_made_of_the_first_hour(self):
        self.use(self.account, JULY, 800)
        signal = self.found(JULY + timedelta(hours=1))
        self.assertEqual(signal.evidence["projected_quantity"], str(800 * 31))

    def test_the_pace_is_that_of_the_line(self):
        self.line.date_from = "2025-07-11"
        self.use(self.account, datetime(2025, 7, 11, 12), 900)
        signal = self.found(datetime(2025, 7, 18))
        self.assertEqual(signal.evidence["projected_quantity"], "2700")  # 7 of 21 days

    def test_tiers_count_from_the_included_quantity(self):
        tokens = self.new_meter(self.company, "Tokens")
        price = self.new_price(
            tokens,
            model="graduated",
            tier_ids=[
                (0, 0, {"up_to": 1000, "unit_amount": 0.5}),
                (0, 0, {"up_to": 0, "unit_amount": 0.1}),
            ],
        )
        self.subscribe(self.customer, price)
        self.use(self.account, datetime(2025, 7, 3, 12), 1000, tokens)
        # 3,100 in all, 2,100 over: 1,000 at 0.50 and 1,100 at 0.10.
        self.assertEqual(self.found(datetime(2025, 7, 11)).expected_revenue, 610.0)

    def test_revenue_is_in_the_currency_of_the_company(self):
        euro = self.env.ref("base.EUR")
        dollar = self.env.ref("base.USD")
        foreign = dollar if self.company.currency_id == euro else euro
        foreign.active = True
        self.env["res.currency.rate"].create(
            {"name": "2025-07-01", "rate": 2.0, "currency_id": foreign.id, "company_id": self.company.id}
        )
        tokens = self.new_meter(self.company, "Tokens")
        price = self.new_price(self.new_meter(self.company, "Bytes"))
        plan = price.plan_id.copy({"name": "Abroad", "code": "abroad", "currency_id": foreign.id})
        plan.price_ids.meter_id = tokens
        plan.price_ids.with_user(self.admins[1]).action_approve()
        self.subscribe(self.customer, plan.price_ids)
        self.use(self.account, datetime(2025, 7, 3, 12), 1000, tokens)
        signal = self.found(datetime(2025, 7, 11))
        self.assertEqual(signal.evidence["projected_overage"], "1050.00")
        self.assertEqual(signal.evidence["currency"], foreign.name)
        self.assertEqual(signal.expected_revenue, 525.0)

    # -- the statement ----------------------------------------------------------------------

    def test_the_signal_leads_to_the_statement_of_its_period(self):
        self.use(self.account, datetime(2025, 7, 3, 12), 850)
        signal = self.found()
        self.assertFalse(signal.statement_id)
        statement = self.subscription._ensure_statement(NOW)
        self.env.invalidate_all()
        self.assertEqual(signal.statement_id, statement)
        self.assertEqual(signal.action_view_statement()["res_id"], statement.id)

    # -- once -------------------------------------------------------------------------------

    def test_twice_the_same_day_once(self):
        self.use(self.account, datetime(2025, 7, 3, 12), 850)
        self.assertEqual(len(self.found()), 1)
        self.assertFalse(self.found())

    def test_once_a_period_however_far_it_goes(self):
        self.use(self.account, datetime(2025, 7, 3, 12), 850)
        self.assertTrue(self.found())
        self.use(self.account, datetime(2025, 7, 20), 5000)
        self.assertFalse(self.found(datetime(2025, 7, 28)))

    def test_again_in_the_next_period(self):
        self.use(self.account, datetime(2025, 7, 3, 12), 850)
        self.use(self.account, datetime(2025, 8, 3, 12), 900)
        first = self.found()
        second = self.found(datetime(2025, 8, 4))
        self.assertEqual((first.period_start, second.period_start), (JULY, AUGUST))

    def test_a_subscription_with_signals_is_not_deleted(self):
        self.use(self.account, datetime(2025, 7, 3, 12), 850)
        self.found()
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.cr.savepoint():
            self.line.unlink()

    def test_detection_does_not_ask_once_per_customer(self):
        for number in range(12):
            customer = self.new_customer(f"Customer {number}")
            self.subscribe(customer, self.price)
            self.use(self.new_account(customer), datetime(2025, 7, 3, 12), 10)
        handler = self.env["usage.signal.kind.included_threshold"]
        self.env.flush_all()
        self.env.invalidate_all()
        with self.assertQueryCount(15):
            self.assertFalse(handler._detect(self.threshold_rule, NOW))
