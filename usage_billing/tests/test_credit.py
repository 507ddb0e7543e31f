from datetime import datetime, timedelta

from freezegun import freeze_time
from psycopg2.errors import CheckViolation

from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import END, MARCH, START, UsageBillingCommon, UsageInvoicingCommon, rpc

APRIL = datetime(2025, 4, 10)
MIDDLE = datetime(2025, 3, 15)


@tagged("post_install", "-at_install")
class TestGrant(UsageBillingCommon):
    """Who may grant what, and that the ledger alone changes a balance."""

    def test_waits_for_a_second_person(self):
        grant = self.credit(100, approved=False)
        self.assertEqual((grant.state, grant.balance), ("draft", 0))
        with self.assertRaises(AccessError):
            grant.with_user(self.preparer).action_approve()
        grant.with_user(self.approver).action_approve()
        self.assertEqual((grant.state, grant.balance, grant.approved_by_id), ("active", 100, self.approver))
        self.assertEqual(grant.entry_ids.mapped(lambda e: (e.kind, e.amount, e.balance)), [("granted", 100, 100)])

    def test_nobody_approves_what_they_set_up_or_changed(self):
        grant = self.credit(100, approved=False)
        own = grant.with_user(self.both).copy()
        with self.assertRaisesRegex(AccessError, "set up by you"):
            own.with_user(self.both).action_approve()
        with self.assertRaisesRegex(AccessError, "set up by you"):
            own.with_user(self.both).sudo().action_approve()
        grant.with_user(self.both).amount = 1000
        with self.assertRaisesRegex(AccessError, "set up by you"):
            grant.with_user(self.both).action_approve()
        grant.with_user(self.approver).action_approve()
        self.assertEqual(grant.balance, 1000)

    def test_facts_are_not_written(self):
        grant = self.credit(100)
        for name, value in (
            ("balance", 10**6),
            ("state", "draft"),
            ("origin", "bought"),
            ("prepared_by_id", self.viewer.id),
            ("approved_by_id", self.both.id),
        ):
            with self.subTest(name), self.assertRaises(AccessError):
                rpc(grant.with_user(self.both), "write", {name: value}, context={"usage_guard": True})
        for name, value in (
            ("amount", 5),
            ("expires_at", False),
            ("priority", 1),
            ("partner_id", self.company.partner_id.id),
        ):
            with self.subTest(name), self.assertRaises(UserError):
                grant.with_user(self.preparer).write({name: value})
        with self.assertRaises(AccessError):
            grant.entry_ids.sudo().write({"amount": 10**6})
        with self.assertRaises(AccessError):
            grant.entry_ids.sudo().create({"grant_id": grant.id, "kind": "granted", "amount": 1, "balance": 1})
        forged = (
            self.env["usage.credit.grant"]
            .with_user(self.preparer)
            .create(
                {
                    "partner_id": self.customer.id,
                    "product_id": self.credit_product.id,
                    "amount": 1,
                    "state": "active",
                    "balance": 1,
                    "prepared_by_id": self.viewer.id,
                }
            )
        )
        self.assertEqual((forged.state, forged.balance, forged.prepared_by_id), ("draft", 0, self.preparer))

    def test_what_was_granted_is_taken_back_not_deleted(self):
        grant = self.credit(100)
        with self.assertRaisesRegex(UserError, "take it back"):
            grant.with_user(self.preparer).unlink()
        grant.with_user(self.approver).action_void()
        self.assertEqual((grant.state, grant.balance), ("void", 0))
        self.assertEqual(grant.entry_ids[0].kind, "voided")
        with self.assertRaisesRegex(UserError, "Nothing is left"):
            grant.with_user(self.approver).action_void()
        self.credit(5, approved=False).with_user(self.preparer).unlink()

    def test_bad_terms_are_refused(self):
        for values, constraint in (
            ({"amount": 0}, "amount_positive"),
            ({"amount": -5}, "amount_positive"),
            ({"expires_at": "2024-12-31 00:00:00"}, "ends_after_start"),
            ({"recurrence": "month", "rollover": -1}, "rollover"),
        ):
            with self.subTest(values), mute_logger("odoo.sql_db"), self.assertRaises(CheckViolation) as caught:
                self.credit(**{"amount": 10, "approved": False, **values})
            self.assertIn(f"usage_credit_grant_{constraint}", str(caught.exception))
        with self.assertRaisesRegex(ValidationError, "nothing rolls over"):
            self.credit(10, approved=False, rollover=5)

    def test_defaults_of_the_context_grant_nothing(self):
        context = {"default_state": "active", "default_approved_by_id": self.approver.id, "default_balance": 5}
        grant = (
            self.env["usage.credit.grant"]
            .with_user(self.preparer)
            .with_context(**context)
            .create({"partner_id": self.customer.id, "product_id": self.credit_product.id, "amount": 5})
        )
        self.assertEqual((grant.state, grant.balance, len(grant.approved_by_id)), ("draft", 0, 0))

    def test_percentages_are_checked(self):
        for typed in ("0", "101", "many", "80;100"):
            with self.subTest(typed), self.assertRaisesRegex(ValidationError, "from 1 to 100"):
                self.company.usage_credit_alerts = typed


@tagged("post_install", "-at_install")
class TestBurnDown(UsageBillingCommon):
    """What credit will pay, before there is an invoice. A token costs 0.50."""

    def expected(self, statement=None):
        return {grant.id: float(a) for grant, a in (statement or self.statement())._expected_credit().items()}

    def test_the_order_is_priority_then_expiry_then_age(self):
        old = self.credit(10, effective_at="2024-06-01 00:00:00")
        young = self.credit(10, effective_at="2025-01-01 00:00:00")
        expiring = self.credit(10, expires_at="2026-01-01 00:00:00")
        first = self.credit(10, priority=1)
        self.use(50)
        self.rated()
        self.assertEqual(self.expected(), {first.id: 10, expiring.id: 10, old.id: 5})
        self.assertEqual([young.live_balance, old.live_balance, first.live_balance], [10, 5, 0])

    def test_what_no_credit_covers_is_left_to_pay(self):
        self.credit(10)
        self.use(50)
        statement = self.rated()
        self.assertEqual((statement.amount_untaxed, statement.amount_credit, statement.amount_due), (25, 10, 15))

    def test_usage_after_the_expiry_is_not_paid(self):
        """20 tokens before the 15th, 30 after: the credit that ends then pays 10.00."""
        grant = self.credit(100, expires_at=MIDDLE)
        self.use(20, START + timedelta(days=1))
        self.use(30, MIDDLE)
        self.assertEqual(self.expected(self.rated()), {grant.id: 10})

    def test_credit_of_later_pays_overage_of_the_open_period(self):
        grant = self.credit(100, effective_at=MIDDLE)
        self.use(20, START)
        self.use(30, MIDDLE)
        self.assertEqual(self.expected(self.rated()), {grant.id: 25})

    def test_not_before_the_period_of_its_start(self):
        self.credit(100, effective_at=END)
        self.use(20)
        self.assertEqual(self.expected(self.rated()), {})

    def test_a_price_with_tiers_is_cut_at_the_moment_of_expiry(self):
        """First 10 at 1.00, then 0.10. Until the 15th: 30 tokens, 12.00; in all 60 tokens, 15.00."""
        self.subscription.action_close()
        plan = self._plan("tiered")
        self._price(plan_id=plan.id, model="graduated", tiers=((10, 1, 0), (0, 0.1, 0)))
        customer, account, subscription = self._customer("Tiered", plan_id=plan.id)
        grant = self.credit(100, partner_id=customer.id, expires_at=MIDDLE)
        self.use(30, START, subject=account.external_id)
        self.use(30, MIDDLE, subject=account.external_id)
        statement = self.rated(subscription=subscription)
        self.assertEqual(statement.amount_untaxed, 15)
        self.assertEqual(self.expected(statement), {grant.id: 12})

    def test_older_periods_come_first(self):
        grant = self.credit(10)
        self.use(14, MARCH)
        self.use(14, APRIL)
        march, april = self.rated(), self.rated(APRIL)
        self.assertEqual((self.expected(march), self.expected(april)), ({grant.id: 7}, {grant.id: 3}))
        self.assertEqual(grant.live_balance, 0)

    def test_credit_of_a_later_period_does_not_pay_an_earlier_one(self):
        """March cost 7.00, April 2.00; credit from April on pays April, not what April's invoice lacks."""
        grant = self.credit(10, effective_at=END)
        self.use(14, MARCH)
        self.use(4, APRIL)
        march, april = self.rated(), self.rated(APRIL)
        self.assertEqual((self.expected(march), self.expected(april)), ({}, {grant.id: 2}))
        self.assertEqual(grant.live_balance, 8)

    def test_a_price_by_hours_is_cut_at_the_moment_of_expiry(self):
        """Nights (22 to 6) 0.50, else 1.00: 5 at noon and 5 at night are 7.50 before the 15th, 15.00 in all."""
        self.subscription.action_close()
        plan = self._plan("nights")
        parts = [{"sequence": 1, "time_from": 22, "time_to": 6, "unit_amount": 0.5}, {"sequence": 2, "unit_amount": 1}]
        self._price(plan_id=plan.id, model="time_of_day", part_ids=[Command.create(part) for part in parts])
        customer, account, subscription = self._customer("Nights", plan_id=plan.id)
        grant = self.credit(100, partner_id=customer.id, expires_at=MIDDLE)
        for day in (START, MIDDLE):
            for hour in (12, 23):
                self.use(5, day + timedelta(hours=hour), subject=account.external_id)
        statement = self.rated(subscription=subscription)
        self.assertEqual(statement.amount_untaxed, 15)
        self.assertEqual(self.expected(statement), {grant.id: 7.5})

    def test_other_customers_currencies_and_drafts_do_not_pay(self):
        other = self.env["res.partner"].create({"name": "Other"})
        currencies = self.env.ref("base.EUR") | self.env.ref("base.USD")
        self.credit(10, partner_id=other.id)
        self.credit(10, currency_id=(currencies - self.company.currency_id)[0].id)
        self.credit(10, approved=False)
        self.use(50)
        self.assertEqual(self.expected(self.rated()), {})

    def test_a_contact_of_the_company_shares_its_credit(self):
        contact = self.env["res.partner"].create({"name": "Office", "parent_id": self.customer.id})
        grant = self.credit(10, partner_id=contact.id)
        self.use(50)
        self.assertEqual(self.expected(self.rated()), {grant.id: 10})


@tagged("post_install", "-at_install")
class TestTime(UsageBillingCommon):
    """Renewal, rollover, expiry and alerts, by the scheduled job."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.env["res.partner"].create({"name": "Without usage"})

    def run_job(self, at):
        with freeze_time(at), self.enter_registry_test_mode():
            self.env.ref("usage_billing.cron_credits").method_direct_trigger()
        self.env.invalidate_all()

    def test_expires_once_nothing_can_use_it(self):
        grant = self.credit(10, partner_id=self.other.id, expires_at=MIDDLE)
        self.run_job("2025-03-14 23:00:00")
        self.assertEqual((grant.state, grant.balance), ("active", 10))
        self.run_job("2025-03-15 01:00:00")
        self.assertEqual((grant.state, grant.balance, grant.entry_ids[0].kind), ("expired", 0, "expired"))

    def test_waits_for_statements_that_may_use_it(self):
        grant = self.credit(10, expires_at=MIDDLE)
        self.use(4, START)
        self.rated()
        self.run_job("2025-04-02 00:00:00")
        self.assertEqual((grant.state, grant.balance), ("active", 10))

    def test_renews_every_month_and_rolls_over(self):
        grant = self.credit(10, partner_id=self.other.id, effective_at=START, recurrence="month", rollover=4)
        self.run_job("2025-04-02 00:00:00")
        following = self.env["usage.credit.grant"].search([("previous_id", "=", grant.id)])
        self.assertEqual(
            (following.effective_at, following.expires_at, following.origin), (END, datetime(2025, 5, 1), "renewed")
        )
        self.run_job("2025-04-02 01:00:00")
        self.assertEqual((grant.state, grant.balance, following.balance), ("expired", 0, 14))
        self.run_job("2025-04-03 00:00:00")
        self.assertEqual(self.env["usage.credit.grant"].search_count([("previous_id", "=", grant.id)]), 1)

    def test_catches_up_over_several_intervals(self):
        grant = self.credit(10, effective_at=START, recurrence="month")
        self.run_job("2025-06-15 00:00:00")
        chain = grant
        starts = []
        while chain := self.env["usage.credit.grant"].search([("previous_id", "=", chain.id)]):
            starts.append(chain.effective_at.month)
        self.assertEqual(starts, [4, 5, 6])

    def test_tells_once_for_each_percentage(self):
        self.company.usage_credit_alerts = "50, 80"
        grant = self.credit(10)
        self.use(12, MARCH)
        self.rated()
        self.run_job("2025-03-20 00:00:00")
        self.run_job("2025-03-20 01:00:00")
        self.assertEqual((grant.alerted_percent, len(grant.activity_ids)), (50, 1))
        self.use(6, MARCH)
        self.rated()
        self.run_job("2025-03-20 02:00:00")
        self.assertEqual((grant.alerted_percent, len(grant.activity_ids)), (80, 2))


@tagged("post_install", "-at_install")
class TestInvoiced(UsageInvoicingCommon):
    """Credit on invoices: taken, given back, sold and refunded."""

    def test_the_invoice_takes_the_credit(self):
        grant = self.credit(10)
        self.use(50)
        statement = self.posted()
        move = statement.move_id
        self.assertEqual(move.amount_untaxed, 15)
        line = move.invoice_line_ids.filtered("usage_credit_entry_id")
        self.assertEqual((line.price_subtotal, line.usage_credit_entry_id.statement_id), (-10, statement))
        self.assertEqual((grant.balance, grant.live_balance), (0, 0))
        self.assertEqual((statement.amount_credit, statement.amount_due), (10, 15))
        self.assertFalse(statement.is_different, "what credit pays is charged and posted all the same")

    def test_a_deleted_draft_gives_it_back(self):
        grant = self.credit(10)
        self.use(50)
        statement = self.invoiced()
        self.assertEqual(grant.balance, 0)
        statement.move_id.unlink()
        self.assertEqual((grant.balance, statement.state), (10, "approved"))
        self.assertEqual(grant.entry_ids.mapped("kind"), ["released", "used", "granted"])
        statement.with_user(self.approver).action_invoice()
        self.assertEqual((grant.balance, statement.move_id.amount_untaxed), (0, 15))

    def test_a_cancelled_invoice_gives_it_back_once(self):
        grant = self.credit(10)
        self.use(50)
        statement = self.invoiced()
        move = statement.move_id
        move.button_cancel()
        self.assertEqual(grant.balance, 10)
        move.button_draft()
        move.unlink()
        self.assertEqual(grant.balance, 10)

    def test_a_credit_note_asks_about_the_credit(self):
        grant = self.credit(10)
        self.use(50)
        move = self.posted().move_id
        refund = move._reverse_moves()
        self.assertFalse(grant.activity_ids)
        refund.action_post()
        self.assertIn(refund.name, grant.activity_ids.summary)
        self.assertEqual(grant.balance, 0)

    def test_an_altered_line_is_not_posted(self):
        self.credit(10)
        self.use(50)
        statement = self.invoiced()
        line = statement.move_id.invoice_line_ids.filtered("usage_credit_entry_id")
        line.price_unit = -20
        with self.assertRaisesRegex(UserError, "takes another amount"):
            statement.with_user(self.approver).action_post()
        line.unlink()
        with self.assertRaisesRegex(UserError, "takes another amount"):
            statement.with_user(self.approver).action_post()

    def test_statements_invoiced_together_share_it(self):
        grant = self.credit(10)
        self.use(14, MARCH)
        self.use(14, APRIL)
        both = self.advance(self.statement(), "approved") | self.advance(self.statement(APRIL), "approved")
        both.with_user(self.approver).action_invoice()
        self.assertEqual(both.mapped("move_id.amount_untaxed"), [0, 4])
        self.assertEqual(grant.balance, 0)

    def test_sold_credit_is_there_once_paid(self):
        grant = self.credit(200, approved=False)
        grant.with_user(self.preparer).action_sell()
        self.assertEqual((grant.state, grant.origin, grant.move_id.amount_untaxed), ("draft", "bought", 200))
        with self.assertRaisesRegex(UserError, "sold already"):
            grant.with_user(self.approver).action_approve()
        grant.move_id.action_post()
        self.assertEqual(grant.state, "draft")
        self.env["account.payment.register"].with_context(
            active_model="account.move", active_ids=grant.move_id.ids
        ).create({})._create_payments()
        self.assertEqual((grant.state, grant.balance), ("active", 200))

    def test_sold_credit_is_there_once_posted(self):
        grant = self.credit(200, approved=False, available_when="posted")
        grant.with_user(self.preparer).action_sell()
        grant.move_id.action_post()
        self.assertEqual((grant.state, grant.balance), ("active", 200))

    def test_a_deleted_sale_can_be_sold_again(self):
        grant = self.credit(200, approved=False)
        grant.with_user(self.preparer).action_sell()
        grant.move_id.unlink()
        self.assertEqual((grant.state, grant.origin), ("draft", "given"))
        grant.with_user(self.preparer).action_sell()
        self.assertTrue(grant.move_id)

    def test_what_was_bought_is_not_given_again_but_sold(self):
        grant = self.credit(10, approved=False, recurrence="month", effective_at=START)
        grant.with_user(self.preparer).action_sell()
        grant._activate()
        with freeze_time("2025-04-02 00:00:00"), self.enter_registry_test_mode():
            self.env.ref("usage_billing.cron_credits").method_direct_trigger()
        self.env.invalidate_all()
        following = self.env["usage.credit.grant"].search([("previous_id", "=", grant.id)])
        self.assertEqual((following.state, following.origin, following.balance), ("draft", "bought", 0))
        self.assertEqual((following.move_id.state, following.move_id.amount_untaxed), ("draft", 10))

    def test_a_refund_gives_back_what_is_left(self):
        grant = self.credit(200, approved=False, available_when="posted")
        grant.with_user(self.preparer).action_sell()
        grant.move_id.action_post()
        self.use(100)
        self.posted()
        with self.assertRaisesRegex(UserError, "refund what is left"):
            grant.with_user(self.approver).action_void()
        action = grant.with_user(self.approver).action_refund()
        refund = self.env["account.move"].browse(action["res_id"])
        self.assertEqual(
            (refund.move_type, refund.amount_untaxed, grant.balance, grant.state), ("out_refund", 150, 0, "void")
        )
        refund.unlink()
        self.assertEqual((grant.balance, grant.state), (150, "active"))

    def test_only_billing_says_what_a_line_books(self):
        grant = self.credit(10)
        entry = grant.entry_ids
        self.use(50)
        line = self.invoiced().move_id.invoice_line_ids[0]
        with self.assertRaises(UserError):
            line.write({"usage_credit_entry_id": entry.id})
