import json
from datetime import datetime, timedelta
from decimal import Decimal
from unittest.mock import patch

from psycopg2 import OperationalError

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import mute_logger

from odoo.addons.usage_billing import rating

from .common import END, MARCH, START, UsageBillingCommon

LOGGER = "odoo.addons.usage_billing.models.usage_statement_rating"


@tagged("post_install", "-at_install")
class TestRating(UsageBillingCommon):
    def test_a_charge_of_the_usage_of_the_period(self):
        self.use(100, START)
        self.use(23, END - timedelta(seconds=1))
        self.use(1000, START - timedelta(seconds=1))
        self.use(1000, END)
        charge = self.rated().charge_ids
        self.assertEqual((charge.quantity, charge.amount), (123, 61.5))
        self.assertEqual((charge.meter_id, charge.product_id), (self.meter, self.product))
        self.assertEqual((charge.usage_start, charge.usage_end), (START, END))
        self.assertEqual(charge.source_accounts, self.account.ids)

    def test_dimensions_add_up(self):
        for model in ("large", "small"):
            self.use(10, model=model)
        self.assertEqual(self.rated().charge_ids.quantity, 20)

    def test_usage_of_others_is_not_charged(self):
        self._account("elsewhere", self.env["res.partner"].create({"name": "Elsewhere"}))
        for subject in ("acme", "elsewhere", "unknown"):
            self.use(1, subject=subject)
        self.assertEqual(self.rated().charge_ids.quantity, 1)

    def test_an_account_mapped_later_is_charged(self):
        self.use(7, subject="unknown")
        self.env["usage.account"].search([("external_id", "=", "unknown")]).partner_id = self.customer
        self.assertEqual(self.rated().charge_ids.quantity, 7)

    def test_a_period_without_usage_has_charges_of_zero(self):
        charge = self.rated().charge_ids
        self.assertEqual((charge.quantity, charge.amount, len(charge)), (0, 0, 1))

    def test_quantities_and_amounts_are_exact_in_the_database(self):
        self.use(Decimal("0.1"))
        self.use(Decimal("12345678901234567.1"))
        charge = self.rated().charge_ids
        self.env.flush_all()
        self.env.cr.execute(
            "SELECT quantity::text, amount_unrounded::text FROM usage_charge WHERE id = %s", [charge.id]
        )
        self.assertEqual(self.env.cr.fetchone(), ("12345678901234567.2", "6172839450617283.60"))
        self.assertEqual(charge.result["quantity"], "12345678901234567.2")

    def test_rounded_once(self):
        price = self._price(unit_amount=0.001)
        self.subscription.line_ids.unlink()
        self.subscription.line_ids = [Command.create({"price_id": price.id})]
        self.use(5005)
        statement = self.rated()
        self.assertEqual((statement.charge_ids.amount_unrounded, statement.amount_untaxed), (5.005, 5.01))

    def test_included_quantity_of_the_line(self):
        self.subscription.line_ids.included_quantity = 90
        self.use(100)
        charge = self.rated().charge_ids
        self.assertEqual((charge.quantity, charge.amount), (100, 5))
        self.assertIn("First 90 included", charge.price_description)

    def test_a_line_from_a_day_on(self):
        self.subscription.line_ids.date_from = "2025-03-11"
        self.use(1, datetime(2025, 3, 10, 23, 59))
        self.use(2, datetime(2025, 3, 11))
        self.assertEqual(self.rated().charge_ids.quantity, 2)

    def test_a_line_that_ended_before_the_period(self):
        self.subscription.line_ids.date_to = "2025-02-28"
        self.use(1)
        self.assertFalse(self.rated().charge_ids)

    def test_a_price_replaced_inside_the_period(self):
        new = self._price(unit_amount=2, date_start="2025-03-16")
        self.price.date_end = "2025-03-15"
        self.subscription.line_ids = [Command.create({"price_id": new.id})]
        self.use(10, datetime(2025, 3, 15, 12))
        self.use(10, datetime(2025, 3, 16))
        statement = self.rated()
        self.assertEqual(statement.charge_ids.mapped("amount"), [5, 20])
        self.assertEqual(statement.amount_untaxed, 25)

    def test_graduated_and_packages(self):
        plan = self._plan("mixed")
        requests = self._meter("requests", event_type="http.request")
        graduated = self._price(
            plan_id=plan.id, model="graduated", per_quantity=1000, tiers=((1000, 1.5, 0), (0, 1.2, 0))
        )
        package = self._price(plan_id=plan.id, meter_id=requests.id, model="package", package_size=2, package_amount=7)
        partner = self.env["res.partner"].create({"name": "Mixed"})
        self._account("mixed", partner)
        subscription = self._subscription(partner_id=partner.id, plan_id=plan.id)
        self.use(2500, subject="mixed")
        for _number in range(3):
            self.use(subject="mixed", event_type="http.request")
        charges = self.rated(subscription=subscription).charge_ids
        amounts = {charge.price_id: charge.amount for charge in charges}
        self.assertEqual(amounts, {graduated: 3.3, package: 14})

    def test_the_figures_of_an_llm_trace(self):
        plan = self._plan("llm")
        self._price(plan_id=plan.id, unit_amount=0.5, per_quantity=1e6)
        generated = self._meter("generated", value_path="generated")
        self._recount()
        self._price(
            plan_id=plan.id,
            meter_id=generated.id,
            model="graduated",
            per_quantity=1e6,
            tiers=((1e6, 1.5, 0), (0, 1.2, 0)),
        )
        partner = self.env["res.partner"].create({"name": "Chat"})
        self._account("chat", partner)
        subscription = self._subscription(partner_id=partner.id, plan_id=plan.id)
        self.use(22_361_870, subject="chat", generated=4_088_665)
        charges = self.rated(subscription=subscription).charge_ids
        names = ("quantity", "unrounded", "amount")
        found = {charge.meter_id: tuple(charge.result[name] for name in names) for charge in charges}
        self.assertEqual(
            found, {self.meter: ("22361870", "11.180935", "11.18"), generated: ("4088665", "5.206398", "5.21")}
        )


@tagged("post_install", "-at_install")
class TestRatingAgain(UsageBillingCommon):
    """Same facts, same result, and the very same records."""

    def snapshot(self, statement):
        return [
            (charge.id, charge.fingerprint, json.dumps(charge.result, sort_keys=True), charge.definition)
            for charge in statement.charge_ids
        ]

    def test_byte_identical(self):
        self.use(1234)
        statement = self.rated()
        before = self.snapshot(statement)
        statement.with_user(self.both).action_rate()
        self.assertEqual(self.snapshot(statement), before)
        self.assertEqual(len(statement.approval_ids), 1, "nothing changed, so nobody prepared anything anew")

    def test_made_anew_it_is_the_same(self):
        self.use(Decimal("1234.5"))
        charge = self.rated().charge_ids
        price = rating.parse_price(charge.definition)
        again = rating.rate(
            price, rating.Usage(quantity=charge.result["quantity"]), rating.Currency("USD", Decimal("0.01"))
        )
        self.assertEqual((again.as_dict(), again.fingerprint()), (charge.result, charge.fingerprint))
        self.assertTrue(charge._is_intact())

    def test_late_usage_is_taken_in_until_submitted(self):
        self.use(10)
        statement = self.rated()
        self.use(5)
        statement.with_user(self.both).action_rate()
        self.assertEqual(statement.charge_ids.quantity, 15)
        self.assertEqual(statement.prepared_by_id, self.both)
        self.assertEqual(statement.approval_ids.user_id, self.preparer | self.both)

    def test_not_afterwards(self):
        self.use(10)
        statement = self.advance(self.statement(), "to_approve")
        self.use(5)
        with self.assertRaisesRegex(UserError, "To Approve"):
            statement.with_user(self.preparer).action_rate()
        self.subscription._prepare_statements()
        self.assertEqual((statement.state, statement.charge_ids.quantity), ("to_approve", 10))

    def test_a_changed_price_makes_new_charges(self):
        self.use(10)
        statement = self.rated()
        self.subscription.line_ids.included_quantity = 4
        statement.with_user(self.preparer).action_rate()
        self.assertEqual(statement.amount_untaxed, 3)

    def test_only_the_charge_that_changed_is_replaced(self):
        requests = self._meter("requests")
        self._recount()
        price = self._price(meter_id=requests.id, unit_amount=1)
        self.subscription.line_ids = [Command.create({"price_id": price.id})]
        statement = self.rated()
        kept = statement.charge_ids.filtered(lambda charge: charge.meter_id == requests)
        self.subscription.line_ids.filtered(lambda line: line.meter_id == self.meter).included_quantity = 1
        statement.with_user(self.preparer).action_rate()
        self.assertIn(kept, statement.charge_ids)
        self.assertEqual(len(statement.charge_ids), 2)


@tagged("post_install", "-at_install")
class TestLiveFigures(UsageBillingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.now = fields.Datetime.now()
        cls.live = cls.statement(cls.now)

    def test_an_open_statement_shows_what_it_costs_so_far(self):
        self.use(10, self.live.period_start)
        self.live.with_user(self.preparer).action_refresh()
        self.assertEqual((self.live.state, self.live.amount_untaxed), ("open", 5))
        self.assertTrue(self.live.rated_date)
        self.use(10, self.live.period_start)
        self.live.with_user(self.preparer).action_refresh()
        self.assertEqual(self.live.amount_untaxed, 10)
        self.assertFalse(self.live.approval_ids)

    def test_it_is_not_rated(self):
        self.assertFalse(self.live.period_ended)
        with self.assertRaisesRegex(UserError, "still runs"):
            self.live.with_user(self.preparer).action_rate()

    def test_nor_submitted(self):
        with self.assertRaisesRegex(UserError, "Rated"):
            self.live.with_user(self.preparer).action_submit()

    def test_only_preparers_refresh(self):
        for person in (self.viewer, self.operator, self.admin, self.approver):
            with self.subTest(person=person.login), self.assertRaises(AccessError):
                self.live.with_user(person).action_refresh()

    def test_preparing_refreshes(self):
        self.use(10, self.live.period_start)
        statements = self.subscription._prepare_statements()
        self.assertIn(self.live, statements)
        self.assertEqual((self.live.state, self.live.amount_untaxed), ("open", 5))

    def test_preparing_for_a_moment_in_the_past(self):
        statements = self.subscription._prepare_statements(datetime(2025, 3, 10))
        self.assertNotIn(self.live, statements)
        states = {str(statement.date_from): statement.state for statement in statements}
        self.assertEqual(states, {"2025-01-01": "rated", "2025-02-01": "rated", "2025-03-01": "open"})

    def test_a_moment_in_the_future_is_now(self):
        self.subscription._prepare_statements(self.now + timedelta(days=365))
        self.assertEqual(self.live.state, "open")
        self.assertEqual(max(self.subscription.statement_ids.mapped("period_start")), self.live.period_start)


@tagged("post_install", "-at_install")
class TestBlocked(UsageBillingCommon):
    """What cannot be rated says why, and stops nothing else."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.partner, cls.other_account, cls.other = cls._customer("Globex")

    def unapprove(self):
        """Take the approval of the first subscription's price away, past the model's own checks."""
        plan = self._plan("other")
        price = self._price(plan_id=plan.id, unit_amount=1)
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE usage_subscription_line SET price_id = %s WHERE subscription_id = %s",
            [price.id, self.subscription.id],
        )
        self.env.cr.execute("UPDATE usage_price SET state = 'draft' WHERE id = %s", [price.id])
        self.env.invalidate_all()
        return price

    def test_one_bad_subscription_does_not_stop_the_run(self):
        self.use(10, subject="globex")
        self.unapprove()
        both = self.subscription | self.other
        both._prepare_statements(END)
        bad, good = self.statement(), self.statement(subscription=self.other)
        self.assertEqual((bad.state, good.state), ("blocked", "rated"))
        self.assertRegex(bad.blocked_reason, "not approved: have a second administrator approve it")
        self.assertEqual(good.amount_untaxed, 5)
        self.assertTrue(self.messages(bad, "Blocked: The price"))

    def test_it_is_rated_once_the_cause_is_gone(self):
        price = self.unapprove()
        statement = self.statement()
        statement.with_user(self.preparer).action_rate()
        self.assertEqual(statement.state, "blocked")
        self.env.cr.execute("UPDATE usage_price SET state = 'approved' WHERE id = %s", [price.id])
        self.env.invalidate_all()
        statement.with_user(self.preparer).action_rate()
        self.assertEqual((statement.state, statement.blocked_reason), ("rated", False))

    def test_the_same_reason_is_told_once(self):
        self.unapprove()
        statement = self.statement()
        statement.with_user(self.preparer).action_rate()
        statement.with_user(self.preparer).action_rate()
        self.assertEqual(len(self.messages(statement, "Blocked:")), 1)

    def test_it_has_no_figures(self):
        self.use(10)
        statement = self.rated()
        self.unapprove()
        statement.with_user(self.preparer).action_rate()
        self.assertEqual((statement.state, statement.amount_untaxed, len(statement.charge_ids)), ("blocked", 0, 0))

    def test_it_cannot_be_submitted(self):
        self.unapprove()
        statement = self.statement()
        statement.with_user(self.preparer).action_rate()
        with self.assertRaisesRegex(UserError, "Blocked"):
            statement.with_user(self.preparer).action_submit()

    def test_a_meter_that_is_being_counted_again(self):
        self.change(self.meter, value_path="cached")
        self.assertTrue(self.meter.recount_pending)
        statement = self.statement()
        statement.with_user(self.preparer).action_rate()
        self.assertRegex(statement.blocked_reason, "still being counted")

    def test_an_unexpected_error(self):
        original = type(self.statement())._charge_vals

        def broken(statement, *what_was_used):
            if statement.subscription_id == self.subscription:
                raise ZeroDivisionError("boom")
            return original(statement, *what_was_used)

        with patch.object(type(self.statement()), "_charge_vals", broken), mute_logger(LOGGER):
            (self.subscription | self.other)._prepare_statements(END)
        self.assertEqual(self.statement().state, "blocked")
        self.assertIn("boom", self.statement().blocked_reason)
        self.assertEqual(self.statement(subscription=self.other).state, "rated")

    def test_an_error_of_the_database(self):
        """An SQL error in one statement is rolled back alone."""
        original = type(self.statement())._apply_charges

        def broken(statements, calculated, at):
            original(statements, calculated, at)
            if self.statement() in calculated:
                statements.env.cr.execute("SELECT 1 / 0")

        with patch.object(type(self.statement()), "_apply_charges", broken), mute_logger(LOGGER, "odoo.sql_db"):
            (self.subscription | self.other)._prepare_statements(END)
        self.assertEqual((self.statement().state, len(self.statement().charge_ids)), ("blocked", 0))
        self.assertIn("division by zero", self.statement().blocked_reason)
        self.assertEqual(self.statement(subscription=self.other).state, "rated")

    def test_a_concurrent_change_is_raised(self):
        """The transaction is lost: it is run again, not papered over."""
        for method in ("_apply_charges", "_charge_vals"):
            with (
                self.subTest(method=method),
                patch.object(type(self.statement()), method, side_effect=OperationalError),
                self.assertRaises(OperationalError),
            ):
                self.statement().with_user(self.preparer).action_rate()

    def test_both_kinds_in_one_run(self):
        """Blocked ones, and those that can be stored alone, side by side."""
        _partner, _account, third = self._customer("Initech")
        self.unapprove()
        statements = (self.subscription | self.other | third)._prepare_statements(END)
        march = statements.filtered(lambda statement: statement.date_from.month == 3)
        found = {statement.subscription_id: statement.state for statement in march}
        self.assertEqual(found, {self.subscription: "blocked", self.other: "rated", third: "rated"})

    def test_a_statement_that_is_held_elsewhere_is_left_alone(self):
        nothing = self.env["usage.statement"]
        with patch.object(type(nothing), "try_lock_for_update", lambda statement: statement.browse()):
            self.statement()._rate(END)
        self.assertEqual(self.statement().state, "open")


@tagged("post_install", "-at_install")
class TestManyAtOnce(UsageBillingCommon):
    """The number of queries does not grow with the number of statements."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.few = cls._many(2, "few")
        cls.many = cls._many(12, "many")

    @classmethod
    def _many(cls, count, name):
        subscriptions = cls.env["usage.subscription"]
        for number in range(count):
            subscriptions |= cls._customer(f"{name}{number}", active=False)[2]
        return subscriptions

    def queries(self, act):
        """How many queries ``act`` takes, its writes included."""
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.cr.sql_log_count
        act()
        self.env.flush_all()
        return self.cr.sql_log_count - before

    def test_rating(self):
        self.few.action_activate()
        self.many.action_activate()
        few, many = self.few._ensure_statements(MARCH), self.many._ensure_statements(MARCH)
        self.assertEqual((len(few), len(many)), (6, 36))
        queries_of_few = self.queries(lambda: few._rate(END))
        self.assertLess(self.queries(lambda: many._rate(END)), queries_of_few + 10)
        self.assertEqual(set(many.mapped("state")), {"rated"})

    def test_rating_again(self):
        self.few.action_activate()
        self.many.action_activate()
        few, many = self.few._prepare_statements(END), self.many._prepare_statements(END)
        queries_of_few = self.queries(lambda: few._rate(END))
        self.assertLess(self.queries(lambda: many._rate(END)), queries_of_few + 10)

    def test_looking_for_missing_periods(self):
        self.few.action_activate()
        self.many.action_activate()
        (self.few | self.many)._ensure_statements(MARCH)
        queries_of_few = self.queries(lambda: self.few._ensure_statements(MARCH))
        self.assertLess(self.queries(lambda: self.many._ensure_statements(MARCH)), queries_of_few + 3)

    def test_looking_for_usage_that_is_billed_twice(self):
        self.few.action_activate()
        self.many.action_activate()
        queries_of_few = self.queries(lambda: self.few.line_ids._check_billed_once())
        self.assertLess(self.queries(lambda: self.many.line_ids._check_billed_once()), queries_of_few + 3)


@tagged("post_install", "-at_install")
class TestQuantities(UsageBillingCommon):
    def test_one_query_for_any_number_of_statements(self):
        subscriptions = self.subscription
        for number in range(5):
            subscriptions |= self._customer(f"Customer{number}")[2]
        statements = subscriptions._ensure_statements(datetime(2025, 3, 10))
        statements._windows()
        self.env.flush_all()
        windows = [window for lines in statements._windows().values() for window in lines.values()]
        self.assertEqual(len(windows), 18)
        self.env["usage.aggregate"]._quantities(windows[:1])  # reads what the meters count, once
        with self.assertQueryCount(1):
            self.env["usage.aggregate"]._quantities(windows)

    def test_no_windows_no_query(self):
        with self.assertQueryCount(0):
            self.assertEqual(self.env["usage.aggregate"]._quantities([]), [])

    def test_in_the_order_of_the_windows(self):
        self.use(1, datetime(2025, 1, 10))
        self.use(2, datetime(2025, 2, 10))
        statements = self.subscription._ensure_statements(datetime(2025, 2, 10)).sorted("period_start")
        windows = [window for lines in statements._windows().values() for window in lines.values()]
        self.assertEqual(self.env["usage.aggregate"]._quantities(windows), [Decimal(1), Decimal(2)])
        self.assertEqual(self.env["usage.aggregate"]._quantities(windows[::-1]), [Decimal(2), Decimal(1)])
