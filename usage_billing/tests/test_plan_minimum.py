"""A minimum over all lines of a plan: what lacks, on the last statement of the period; by hand."""

from datetime import date, datetime

from odoo.exceptions import ValidationError
from odoo.fields import Command
from odoo.tests import tagged

from .common import END, MARCH, START, UsageInvoicingCommon
from .test_interim import InterimCommon


class PlanMinimumCommon(InterimCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.least = cls._service("Monthly minimum")
        cls.calls = cls._meter("calls", aggregation="sum", value_path="tokens", event_type="call")
        cls._recount()
        cls.call_price = cls._price(meter_id=cls.calls.id, unit_amount=1)

    @classmethod
    def minimum(cls, amount=50, **values):
        """A minimum of the plan, drafted by one administrator and approved by another."""
        values = {"model": "plan_minimum", "meter_id": False, "product_id": cls.least.id, **values}
        return cls._price(plan_minimum=amount, **values)

    def subscribe(self, *prices):
        """Bill the customer by these prices, beside tokens at 0.50."""
        self.subscription.line_ids = [Command.create({"price_id": price.id}) for price in prices]

    def lacking(self, statement):
        return statement.charge_ids.filtered(lambda charge: charge.price_id.model == "plan_minimum")


@tagged("post_install", "-at_install")
class TestPlanMinimum(PlanMinimumCommon):
    def test_what_lacks_to_the_minimum(self):
        """20 tokens × 0.50 + 12 calls × 1 = 22.00; 28.00 lack to 50.00."""
        self.subscribe(self.call_price, self.minimum())
        self.use(20)
        self.use(12, event_type="call")
        statement = self.rated()
        charge = self.lacking(statement)
        self.assertEqual((charge.amount, charge.product_id, statement.amount_untaxed), (28, self.least, 50))
        [step] = [step for step in charge.explanation if step["step"] == "plan_minimum"]
        self.assertEqual((step["minimum"], step["spent"], step["amount"]), ("50", "22", "28"))
        self.assertIn("the plan costs at least", charge.explanation_html)
        self.assertEqual(charge.price_description, "at least 50.00 USD a period for the whole plan")
        self.assertTrue(charge._is_intact())

    def test_nothing_lacks(self):
        self.subscribe(self.call_price, self.minimum())
        self.use(20)
        self.use(40, event_type="call")
        statement = self.rated()
        self.assertEqual((self.lacking(statement).amount, statement.amount_untaxed), (0, 50))

    def test_rated_again_it_is_the_same(self):
        self.subscribe(self.minimum())
        statement = self.rated()
        before = [(charge.id, charge.fingerprint) for charge in statement.charge_ids]
        statement.with_user(self.preparer).action_rate()
        self.assertEqual([(charge.id, charge.fingerprint) for charge in statement.charge_ids], before)
        self.use(10)
        statement.with_user(self.preparer).action_rate()
        self.assertEqual((self.lacking(statement).amount, statement.amount_untaxed), (45, 50))

    def test_lines_of_their_own_minimum_and_fees_count(self):
        """Calls cost 30.00 at least, the fee is 15.00: 5.00 lack."""
        calls = self._price(meter_id=self.calls.id, unit_amount=1, minimum_amount=30)
        fee = self._price(meter_id=False, model="recurring", fee_amount=15)
        self.subscribe(calls, fee, self.minimum())
        self.assertEqual(self.lacking(self.rated()).amount, 5)

    def test_a_fee_in_advance_counts_in_the_period_it_is_for(self):
        """20.00 for February and for March stand on the statement before; of January the first charges two."""
        fee = self._price(meter_id=False, model="recurring", fee_amount=20, timing="advance")
        self.subscribe(fee, self.minimum())
        self.use(20, datetime(2025, 1, 10))
        self.use(30, datetime(2025, 2, 10))
        self.subscription._prepare_statements(END)
        months = self.subscription.statement_ids.sorted("period_start")[:3]
        self.assertEqual([self.lacking(month).amount for month in months], [20, 15, 30])
        self.assertEqual(months.mapped("amount_untaxed"), [70, 50, 50])

    def test_for_a_part_of_the_period(self):
        """62.00 for 17 of 31 days: 34.00; 10.00 are used. In full where the price says nothing: 52.00."""
        for prorated, lacks in ((True, 24), (False, 52)):
            plan = self._plan(f"part{prorated}")
            self._price(plan_id=plan.id, unit_amount=0.5)
            self.minimum(62, plan_id=plan.id, prorate_minimum=prorated)
            _partner, _account, subscription = self._customer(
                f"part{prorated}", plan_id=plan.id, date_start="2025-03-15"
            )
            self.use(20, datetime(2025, 3, 20), subject=f"part{prorated}".lower())
            statement = self.rated(datetime(2025, 3, 20), subscription)
            with self.subTest(prorated=prorated):
                self.assertEqual(self.lacking(statement).amount, lacks)
                html = self.lacking(statement).explanation_html
                self.assertEqual("17/31" in html, prorated)

    def test_a_plan_that_changes_within_the_period(self):
        """By days: 31.00 for 10 of 31 is 10.00, 62.00 for 21 is 42.00; used are 4.00 and 50.00."""
        small, large = self._plan("small"), self._plan("large")
        for plan, amount in ((small, 31), (large, 62)):
            self._price(plan_id=plan.id, unit_amount=0.5)
            self.minimum(amount, plan_id=plan.id, prorate_minimum=True)
        _partner, _account, subscription = self._customer("changes", plan_id=small.id)
        subscription._amend("change_plan", date(2025, 3, 11), plan=large)
        self.use(8, datetime(2025, 3, 5), subject="changes")
        self.use(100, datetime(2025, 3, 15), subject="changes")
        charges = self.lacking(self.rated(MARCH, subscription))
        self.assertEqual(charges.sorted("usage_start").mapped("amount"), [6, 0])

    def test_a_new_version_within_the_period(self):
        """31.00 for 15 of 31 days and 62.00 for 16: 15.00 + 32.00; of 20.00 used 15 and 5 count: 27.00 lack."""
        first = self.minimum(31, prorate_minimum=True)
        self.subscribe(first)
        version = first._draft_version(date(2025, 3, 16))
        version.plan_minimum = 62
        version.with_user(self.second_admin).action_approve()
        self.use(40)
        charges = self.lacking(self.rated()).sorted("usage_start")
        self.assertEqual(charges.mapped("amount"), [0, 27])

    def test_in_whole_yen_and_thousandths_of_a_dinar(self):
        """JPY 1000 - 333 × 0.7 (233.1 → 233) = 767; BHD 5 - 333 × 0.0007 (0.2331 → 0.233) = 4.767."""
        for code, unit, amount, lacks in (("JPY", 0.7, 1000, 767), ("BHD", 0.0007, 5, 4.767)):
            currency = self.env.ref(f"base.{code}")
            currency.active = True
            plan = self._plan(code.lower(), currency_id=currency.id)
            self._price(plan_id=plan.id, unit_amount=unit)
            self.minimum(amount, plan_id=plan.id)
            _partner, _account, subscription = self._customer(code, plan_id=plan.id)
            self.use(333, subject=code.lower())
            statement = self.rated(MARCH, subscription)
            with self.subTest(currency=code):
                self.assertEqual((self.lacking(statement).amount, statement.amount_untaxed), (lacks, amount))

    def test_with_interim_statements(self):
        """15.00 on an interim statement, 4.00 after: 31.00 lack to 50.00, on the last one."""
        self.subscribe(self.minimum())
        self.thresholds(10)
        self.use(30, datetime(2025, 3, 2))
        self.run_at(datetime(2025, 3, 3))
        self.assertFalse(self.lacking(self.interims))
        self.use(8, datetime(2025, 3, 20))
        self.assertEqual(self.amounts(), [15, 35])
        self.assertEqual(self.lacking(self.march).amount, 31)

    def test_over_a_contract_year(self):
        """120.00 a year: 10.00 in January, 20.00 in February; 90.00 lack in December, a fee of 60.00 is counted."""
        fee = self._price(meter_id=False, model="recurring", fee_amount=5)
        self.subscribe(fee, self.minimum(120))
        self.subscription.line_ids.filtered(lambda line: line.price_id.model == "plan_minimum").counted_over = "year"
        self.use(20, datetime(2025, 1, 10))
        self.use(40, datetime(2025, 2, 10))
        self.subscription._prepare_statements(datetime(2026, 1, 1))
        statements = self.subscription.statement_ids.sorted("period_start")[:12]
        self.assertEqual([self.lacking(each).amount for each in statements], [*[0] * 11, 30])
        self.assertEqual(sum(statements.mapped("amount_untaxed")), 120)

    def test_a_new_version_inside_a_contract_year(self):
        """120.00 a year, 240.00 from 16 March on: 10.00 in January; 230.00 lack in December, nothing in March."""
        first = self.minimum(120)
        self.subscribe(first)
        self.subscription.line_ids.filtered(lambda line: line.price_id == first).counted_over = "year"
        version = first._draft_version(date(2025, 3, 16))
        version.plan_minimum = 240
        version.with_user(self.second_admin).action_approve()
        self.use(20, datetime(2025, 1, 10))
        self.subscription._prepare_statements(datetime(2026, 1, 1))
        statements = self.subscription.statement_ids.sorted("period_start")[:12]
        self.assertEqual(set(statements.mapped("state")), {"rated"})
        self.assertEqual(len(self.lacking(statements[2])), 2)
        lacks = [sum(self.lacking(each).mapped("amount")) for each in statements]
        self.assertEqual(lacks, [*[0] * 11, 230])

    def test_promised_for_one_subscription_and_rising(self):
        """What a customer promised instead: 70.00 from March on, 90.00 from April on."""
        self.subscribe(self.minimum())
        line = self.subscription.line_ids.filtered(lambda line: line.price_id.model == "plan_minimum")
        for day, value in (("2025-03-01", 70), ("2025-04-01", 90)):
            line.commitment_ids.create({"line_id": line.id, "date_from": day, "value": value})
        found = [self.lacking(self.rated(datetime(2025, month, 5))).amount for month in (2, 3, 4)]
        self.assertEqual(found, [50, 70, 90])

    def test_expected_of_a_period_that_runs(self):
        """5.00 in half of the month make 10.00: 40.00 are going to lack, not 45.00."""
        self.subscribe(self.minimum())
        self.use(10, datetime(2025, 3, 2))
        march = self.statement()
        items, pool = march._measured()[march], march._unit_pool()
        vals_list = march._all_charge_vals(items, pool)
        self.assertEqual([vals["amount"] for vals in vals_list], [5, 45])
        self.assertEqual(march._project(items, vals_list, pool, {}, datetime(2025, 3, 16, 12)), 50)
        self.use(100, datetime(2025, 3, 3))
        items = march._measured()[march]
        vals_list = march._all_charge_vals(items, pool)
        self.assertEqual(march._project(items, vals_list, pool, {}, datetime(2025, 3, 16, 12)), 110)

    def test_one_customer_s_own_takes_its_place(self):
        self.minimum()
        own = self.minimum(20, partner_id=self.customer.id)
        prices = self.plan._prices_for(self.customer, self.plan.currency_id)
        self.assertEqual(prices.filtered(lambda price: price.model == "plan_minimum"), own)

    def test_in_a_simulation(self):
        """What March would cost with a minimum of 80.00 instead of 50.00: 30.00 more."""
        first = self.minimum()
        self.subscribe(first)
        self.use(20)
        version = first._draft_version(date(2025, 3, 1))
        version.plan_minimum = 80
        values = {"price_id": version.id, "date_from": "2025-03-01", "date_to": "2025-03-31"}
        simulation = self.env["usage.simulation"].create(values)
        simulation.action_run()
        row = simulation.line_ids
        self.assertEqual((row.amount_current, row.amount_simulated), (50, 80))
        plan = self.env["usage.simulation"].create({**values, "price_id": False, "plan_id": self.plan.id})
        plan.action_run()
        self.assertEqual(plan.line_ids.amount_current, 50)
        self.assertIn("Minimum of the Plan", version.changes_html)

    def test_bad_minimums(self):
        for values, message in (
            ({"amount": -1}, "Minimum of the Plan: .* cannot be negative"),
            ({"meter_id": self.meter.id}, "Meter: the minimum of a plan is for all its prices together"),
            ({"minimum_amount": 5}, "Minimum: .* cannot be combined"),
        ):
            with self.subTest(values=values), self.assertRaisesRegex(ValidationError, message):
                self.minimum(approved=False, **values)
        with self.assertRaisesRegex(ValidationError, "has a minimum of its plan on these days already. End one"):
            self.subscribe(self.minimum(), self.minimum(60))


@tagged("post_install", "-at_install")
class TestPlanMinimumInvoiced(PlanMinimumCommon, UsageInvoicingCommon):
    def test_taxed_as_its_product(self):
        """10.00 used without tax, 40.00 that lack with 20%: 8.00."""
        tax = self.env["account.tax"].create({"name": "20%", "amount": 20, "type_tax_use": "sale"})
        self.least.taxes_id = tax
        self.product.taxes_id = False
        self.subscribe(self.minimum())
        self.use(20, START)
        statement = self.posted()
        self.assertEqual((statement.move_id.amount_untaxed, statement.move_id.amount_tax), (50, 8))
        self.assertEqual(set(statement.reconciliation_ids.mapped("state")), {"matched"})
