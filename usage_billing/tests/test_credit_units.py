from datetime import datetime, timedelta
from decimal import Decimal

from freezegun import freeze_time
from psycopg2.errors import CheckViolation

from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import END, MARCH, START, UsageInvoicingCommon

APRIL = datetime(2025, 4, 10)
MIDDLE = datetime(2025, 3, 15)


@tagged("post_install", "-at_install")
class TestCreditUnits(UsageInvoicingCommon):
    """Credit in units of a meter covers usage before its price is applied. A token costs 0.50."""

    def units(self, quantity, meter=None, **values):
        """Credit in units of the meter, given by two people."""
        values = {"kind": "units", "meter_id": (meter or self.meter).id, "quantity": quantity, "amount": 0, **values}
        return self.credit(**values)

    def covered(self, statement):
        return {int(key): value for key, value in (statement.charge_ids.credit_units or {}).items()}

    def test_it_covers_units_before_the_price(self):
        grant = self.units(30)
        self.use(50)
        statement = self.rated()
        charge = statement.charge_ids
        self.assertEqual((charge.quantity, charge.amount, self.covered(statement)), (50, 10, {grant.id: "30"}))
        [step] = [step for step in charge.explanation if step["step"] == "credit"]
        self.assertEqual((step["quantity"], step["used"], step["billable"]), ("50", "30", "20"))
        self.assertIn("30 of 50", charge.explanation_html)
        self.assertEqual((grant.units, grant.live_units), (30, 0))

    def test_rated_again_it_is_the_same_charge(self):
        self.units(30)
        self.use(50)
        charge = self.rated().charge_ids
        self.statement().with_user(self.preparer).action_rate()
        self.assertEqual(self.statement().charge_ids, charge)
        self.assertTrue(charge._is_intact())

    def test_what_is_included_comes_first_and_covered_units_fill_no_tier(self):
        """60 used, 10 included, 30 covered: 20 to charge, of which the first 15 cost 1.00, the rest 0.10."""
        self.subscription.action_close()
        plan = self._plan("tiered")
        self._price(plan_id=plan.id, model="graduated", tiers=((15, 1, 0), (0, 0.1, 0)), included_quantity=10)
        customer, account, subscription = self._customer("Tiered", plan_id=plan.id)
        grant = self.units(30, partner_id=customer.id)
        self.use(60, subject=account.external_id)
        statement = self.rated(subscription=subscription)
        self.assertEqual((statement.amount_untaxed, self.covered(statement)), (15.5, {grant.id: "30"}))

    def test_fractions_are_exact(self):
        grant = self.units(0.3)
        self.use(Decimal("0.1"))
        self.use(Decimal("0.2"), APRIL)
        both = self.advance(self.statement() | self.statement(APRIL), "approved")
        both.with_user(self.approver).action_invoice()
        self.assertEqual(grant._units_left(), {grant.id: Decimal(0)})

    def test_priority_then_expiry_then_age(self):
        old, first = self.units(10, effective_at="2024-06-01 00:00:00"), self.units(10, priority=1)
        expiring = self.units(10, expires_at="2026-01-01 00:00:00")
        self.use(25)
        self.assertEqual(self.covered(self.rated()), {first.id: "10", expiring.id: "10", old.id: "5"})

    def test_usage_after_the_expiry_is_not_covered(self):
        """20 tokens before the 15th, 30 after: the credit that ends then covers 20."""
        grant = self.units(100, expires_at=MIDDLE)
        self.use(20, START + timedelta(days=1))
        self.use(30, MIDDLE)
        self.assertEqual(self.covered(self.rated()), {grant.id: "20"})

    def test_it_lives_across_periods_the_older_first(self):
        grant = self.units(30)
        self.use(20, MARCH)
        self.use(20, APRIL)
        both = self.statement() | self.statement(APRIL)
        self.advance(both, "rated")
        self.assertEqual(
            [statement.charge_ids.credit_units for statement in both], [{f"{grant.id}": "20"}, {f"{grant.id}": "10"}]
        )
        self.assertEqual((both[0].amount_untaxed, both[1].amount_untaxed, grant.live_units), (0, 5, 0))

    def test_the_invoice_takes_the_units_and_gives_them_back(self):
        grant = self.units(30)
        self.use(50)
        statement = self.invoiced()
        self.assertEqual((grant.units, statement.move_id.amount_untaxed), (0, 10))
        self.assertEqual(grant.entry_ids.mapped("units"), [-30, 30])
        statement.move_id.unlink()
        self.assertEqual((grant.units, grant.entry_ids[0].kind, grant.state), (30, "released", "active"))
        statement.with_user(self.approver).action_invoice()
        statement.with_user(self.approver).action_post()
        self.assertEqual((grant.units, statement.state), (0, "posted"))

    def test_all_covered_needs_no_invoice(self):
        grant = self.units(80)
        self.use(50)
        statement = self.advance(self.statement(), "approved")
        statement.with_user(self.approver).action_invoice()
        self.assertEqual((statement.state, len(statement.move_id), grant.units), ("posted", 0, 30))

    def test_units_that_are_gone_are_rated_again(self):
        grant = self.units(30)
        self.use(50)
        statement = self.advance(self.statement(), "approved")
        grant.with_user(self.approver).action_void()
        self.assertEqual((grant.units, grant.state), (0, "void"))
        with self.assertRaisesRegex(UserError, "rate it again"):
            statement.with_user(self.approver).action_invoice()
        statement.with_user(self.approver).action_reject("gone")
        statement.with_user(self.preparer).action_rate()
        self.assertEqual((statement.amount_untaxed, self.covered(statement)), (25, {}))

    def test_what_was_approved_keeps_its_units(self):
        """April was approved with units; March, rated later, has what is left."""
        grant = self.units(30)
        self.use(20, APRIL)
        april = self.advance(self.statement(APRIL), "approved")
        self.use(20, MARCH)
        self.assertEqual(self.covered(self.rated()), {grant.id: "10"})
        april.with_user(self.approver).action_invoice()
        self.assertEqual(grant.units, 10)

    def test_money_pays_what_units_do_not_cover(self):
        self.units(30)
        money = self.credit(100)
        self.use(50)
        statement = self.posted()
        self.assertEqual((statement.amount_untaxed, statement.amount_credit, money.balance), (10, 10, 90))

    def test_live_units_of_a_running_period(self):
        grant = self.units(30)
        self.subscription._ensure_statements(END)
        self.use(12)
        self.assertEqual(grant.live_units, 18)

    def test_others_and_other_meters_are_not_covered(self):
        other = self.env["res.partner"].create({"name": "Other"})
        meter = self._meter("other-meter")
        self.units(30, partner_id=other.id)
        self.units(30, meter=meter)
        self.use(50)
        self.assertEqual(self.rated().amount_untaxed, 25)

    def test_bad_terms_are_refused(self):
        for values in ({"meter_id": False}, {"quantity": 0}, {"amount": -1}):
            with self.subTest(values), mute_logger("odoo.sql_db"), self.assertRaises(CheckViolation):
                self.units(**{"quantity": 10, "approved": False, **values})

    def test_rolls_over_and_expires(self):
        other = self.env["res.partner"].create({"name": "Without usage"})
        grant = self.units(10, partner_id=other.id, effective_at=START, recurrence="month", rollover_quantity=4)
        for at in ("2025-04-02 00:00:00", "2025-04-02 01:00:00"):
            with freeze_time(at), self.enter_registry_test_mode():
                self.env.ref("usage_billing.cron_credits").method_direct_trigger()
            self.env.invalidate_all()
        following = self.env["usage.credit.grant"].search([("previous_id", "=", grant.id)])
        self.assertEqual((grant.state, grant.units, following.units), ("expired", 0, 14))

    def test_tells_once_when_units_run_out(self):
        self.company.usage_credit_alerts = "80"
        grant = self.units(100)
        self.use(85)
        self.rated()
        for _run in range(2):
            grant._cron_step(APRIL)
        self.assertEqual((grant.alerted_percent, len(grant.activity_ids)), (80, 1))

    def test_sold_units_are_refunded_by_their_part(self):
        grant = self.units(100, amount=40, approved=False, available_when="posted")
        grant.with_user(self.preparer).action_sell()
        grant.move_id.action_post()
        self.assertEqual((grant.move_id.amount_untaxed, grant.units), (40, 100))
        self.use(25)
        self.advance(self.statement(), "approved").with_user(self.approver).action_invoice()
        action = grant.with_user(self.approver).action_refund()
        refund = self.env["account.move"].browse(action["res_id"])
        self.assertEqual((refund.amount_untaxed, grant.units), (30, 0))
        refund.unlink()
        self.assertEqual((grant.units, grant.state), (75, "active"))
