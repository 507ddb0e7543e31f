"""Interim statements: a period that runs is billed in part once it has cost a threshold; by hand."""

from datetime import datetime, timedelta
from unittest.mock import patch

from psycopg2 import OperationalError

from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Command
from odoo.tests import tagged

from odoo.addons.usage_connector_base.guard import unlocked

from .common import END, START, UsageBillingCommon, UsageInvoicingCommon
from .test_amendment import AmendmentCommon
from .test_rating import LOGGER

TIERS = ((100, 1, 0), (300, 0.5, 0), (0, 0.25, 0))


def day(number, hour=0):
    """An instant of March 2025."""
    return datetime(2025, 3, number, hour)


class InterimCommon(UsageBillingCommon):
    """``run(at)`` is what the scheduled job does at a moment of March."""

    @classmethod
    def thresholds(cls, *amounts, every=0):
        """Thresholds of the plan."""
        values = [{"amount": amount} for amount in amounts]
        values += [{"amount": every, "kind": "every"}] if every else []
        cls.plan.threshold_ids = [Command.clear(), *map(Command.create, values)]

    def bill_by(self, *prices):
        """Bill the customer by these prices alone."""
        self.subscription.line_ids.unlink()
        self.subscription.line_ids = [Command.create({"price_id": price.id}) for price in prices]

    def run_at(self, at, subscription=None):
        """What the job does at an instant."""
        (subscription or self.subscription).with_user(self.preparer)._prepare_statements(at)

    @property
    def interims(self):
        return self.subscription.statement_ids.filtered("interim_of_id").sorted("period_end")

    @property
    def march(self):
        return self.statement(START)

    def amounts(self):
        """Amounts of the interim statements, then of the period's own, which is over."""
        self.subscription._prepare_statements(END + timedelta(days=1))
        return [*self.interims.mapped("amount_untaxed"), self.march.amount_untaxed]

    def steps(self, statement, name):
        return [step for charge in statement.charge_ids for step in charge.explanation if step["step"] == name]


@tagged("post_install", "-at_install")
class TestInterim(InterimCommon):
    def test_graduated_tiers_count_on_over_three_statements(self):
        """100 × 1 + 20 × 0.5 = 110; to 320 in all: 180 × 0.5 + 20 × 0.25 = 95; to 400: 80 × 0.25 = 20.

        One statement: 100 × 1 + 200 × 0.5 + 100 × 0.25 = 225.
        """
        self.bill_by(self._price(model="graduated", tiers=TIERS))
        self.thresholds(100, 200)
        self.use(90, day(2))
        self.run_at(day(3))
        self.assertFalse(self.interims, "90.00 is below the first threshold")
        self.use(30, day(4))
        self.run_at(day(5, 6))
        first = self.interims
        self.assertEqual((first.amount_untaxed, first.state, first.interim_of_id), (110, "rated", self.march))
        self.assertEqual((first.period_start, first.period_end), (START, day(5, 6)))
        self.assertEqual(first.charge_ids.usage_end, day(5, 6))
        self.assertEqual((self.march.state, self.march.amount_untaxed), ("open", 0))
        self.use(200, day(9))
        self.run_at(day(10))
        second = self.interims - first
        self.assertTrue(self.messages(second, "has cost") and self.messages(second, "205.00"))
        self.assertEqual(second.amount_untaxed, 95)
        self.assertEqual(self.steps(second, "billed"), [{"step": "billed", "invoice": first.name, "amount": "-110"}])
        self.assertIn(first.name, second.explanation_html)
        self.use(80, day(20))
        self.assertEqual(self.amounts(), [110, 95, 20])
        statements = first | second | self.march
        self.assertEqual(sum(statements.mapped("amount_untaxed")), 225)
        self.assertEqual(statements.charge_ids.mapped("quantity"), [120, 200, 80])
        self.assertEqual([charge.metered for charge in statements.charge_ids.sorted("id")], ["120", "320", "400"])

    def test_nothing_is_drawn_twice(self):
        self.thresholds(10)
        self.use(30, day(2))
        for hour in range(3):
            self.run_at(day(3, hour))
        self.assertEqual(self.interims.mapped("amount_untaxed"), [15])
        self.assertEqual(self.interims.period_end, day(3))

    def test_one_step_past_several_thresholds_and_further_ones(self):
        """10, 20, then every 50: 15.00, 55.00 in one step, 70.00 is reached at 80.00."""
        self.thresholds(10, 20, every=50)
        for number, tokens in enumerate((30, 80, 20, 30), 2):
            self.use(tokens, day(number))
            self.run_at(day(number, 12))
        self.assertEqual(self.interims.mapped("amount_untaxed"), [15, 40, 25])
        self.assertEqual(self.amounts(), [15, 40, 25, 0])

    def failing(self, error, customer):
        """A patch: what an interim statement of a customer would charge cannot be found out."""
        statements = type(self.env["usage.statement"])
        original = statements._charge_vals

        def broken(statement, *what_was_used):
            if not statement.id and statement.partner_id == customer:
                raise error
            return original(statement, *what_was_used)

        return patch.object(statements, "_charge_vals", broken)

    def test_an_unexpected_error_stops_no_other_interim_statement(self):
        other = self._customer("Globex")[2]
        self.thresholds(10)
        self.use(30, day(2))
        self.use(30, day(2), subject="globex")
        with self.failing(ZeroDivisionError("boom"), self.customer), self.assertLogs(LOGGER, "ERROR"):
            self.run_at(day(3), self.subscription | other)
        drawn = other.statement_ids.filtered("interim_of_id")
        self.assertEqual((len(self.interims), drawn.amount_untaxed), (0, 15))
        self.run_at(day(3), self.subscription | other)
        self.assertEqual((self.interims.amount_untaxed, len(drawn)), (15, 1))

    def test_what_is_no_matter_of_one_interim_statement_is_raised(self):
        self.thresholds(10)
        self.use(30, day(2))
        for error in (OperationalError(), AccessError("no")):
            with self.subTest(error=error), self.failing(error, self.customer), self.assertRaises(type(error)):
                self.run_at(day(3))

    def test_every_alone(self):
        self.thresholds(every=50)
        self.use(240, day(2))
        self.run_at(day(3))
        self.use(70, day(4))
        self.run_at(day(5))
        self.assertEqual(self.interims.mapped("amount_untaxed"), [120, 35])

    def test_a_period_costs_to_the_cent_what_it_costs_at_once(self):
        """0.005 a token, 1 + 1 + 1: 0.01 + 0.00 + 0.01 by what is rounded together, not 0.01 three times."""
        self.bill_by(self._price(unit_amount=0.005))
        self.thresholds(every=0.01)
        for number in (2, 4, 6):
            self.use(1, day(number))
            self.run_at(day(number, 5))
        self.assertEqual(self.amounts(), [0.01, 0.01, 0])
        self.assertEqual([each.charge_ids.amount_unrounded for each in self.interims], [0.005, 0.005])

    def test_fees_minimums_and_what_lacks_stand_on_the_last_statement(self):
        """Interim: 30 × 0.5 + 7 flat; the rest: 20.00 fee, to the minimum 40.00: 18.00, commitment 5.00."""
        other = self._meter("calls", event_type="call")
        self.bill_by(
            self._price(unit_amount=0.5, flat_fee=7, minimum_amount=40),
            self._price(meter_id=False, model="recurring", fee_amount=20),
            self._price(meter_id=False, model="recurring", fee_amount=9, timing="advance"),
            self._price(meter_id=other.id, unit_amount=1, commitment_type="amount", commitment_value=5),
        )
        self._recount()
        self.thresholds(20)
        self.use(30, day(2))
        self.run_at(day(3))
        self.assertEqual(self.interims.amount_untaxed, 22)
        self.assertEqual(len(self.interims.charge_ids), 2)
        self.subscription._prepare_statements(END)
        self.assertEqual(sorted(self.march.charge_ids.mapped("amount")), [5, 9, 18, 20])
        april = self.statement(END)
        self.assertFalse(april.interim_ids)

    def test_included_quantity_is_that_of_the_whole_period(self):
        self.subscription.line_ids.included_quantity = 100
        self.thresholds(10)
        self.use(130, day(2))
        self.run_at(day(3))
        self.assertEqual(self.interims.amount_untaxed, 15)
        self.use(10, day(20))
        self.assertEqual(self.amounts(), [15, 5])

    def test_a_volume_price_waits_or_is_billed_so_far(self):
        """10 × 2 so far, then 20 × 1 in all: nothing more is due."""
        tiers = ((10, 2, 0), (0, 1, 0))
        waiting, billed = (self._price(model="volume", tiers=tiers, interim=when) for when in ("wait", "bill"))
        self.thresholds(15)
        self.subscription.line_ids.price_id = waiting
        self.use(10, day(2))
        self.run_at(day(3))
        self.assertFalse(self.interims)
        self.subscription.line_ids.price_id = billed
        self.run_at(day(3))
        self.use(10, day(20))
        self.assertEqual(self.amounts(), [20, 0])

    def test_the_highest_value_so_far(self):
        """A highest level of 30, then of 50: 15.00, then 10.00."""
        peak = self._meter("peak", aggregation="max", value_path="tokens", event_type="level")
        self._recount()
        self.bill_by(self._price(meter_id=peak.id, unit_amount=0.5))
        self.thresholds(10)
        self.use(30, day(2), event_type="level")
        self.run_at(day(3))
        self.use(50, day(9), event_type="level")
        self.assertEqual(self.amounts(), [15, 10])

    def test_prices_of_single_days_and_events(self):
        """Days of 10 and 20 at 1 a token, packages of 8 a day: 2 + 3 packages of 4.00, then 1 more."""
        self.bill_by(
            self._price(
                model="package",
                package_size=8,
                package_amount=4,
                bucket_interval="day",
                bucket_aggregation="sum",
            )
        )
        self.thresholds(15)
        self.use(10, day(2, 3))
        self.use(20, day(3, 3))
        self.run_at(day(3, 5))
        self.use(1, day(3, 20))
        self.use(1, day(4, 20))
        self.assertEqual(self.amounts(), [20, 4])

    def test_packages_that_begin_anew_on_each_statement(self):
        """12 tokens are 2 packages of 10 at 5.00; then 3 new ones are another one. Together they were 2."""
        for split, rest in (("independent", 5), ("cumulative", 0)):
            plan = self._plan(split)
            self._price(plan_id=plan.id, model="package", package_size=10, package_amount=5, split=split)
            plan.threshold_ids = [Command.create({"amount": 10})]
            _partner, _account, subscription = self._customer(split, plan_id=plan.id)
            self.use(12, day(2), subject=split)
            subscription._prepare_statements(day(3))
            self.use(3, day(9), subject=split)
            subscription._prepare_statements(END)
            march = subscription._ensure_statement(START)
            with self.subTest(split=split):
                self.assertEqual((march.interim_ids.amount_untaxed, march.amount_untaxed), (10, rest))
                self.assertEqual(march.charge_ids.quantity, 3)

    def test_quantities_that_are_rounded_on_each_statement(self):
        """12 tokens are 20 at 1.00 each; then 3 new ones are 10. Together, 15, they were 20."""
        rounded = {"unit_amount": 1, "quantity_rounding": "ceiling", "quantity_precision": -1}
        for split, rest in (("independent", 10), ("cumulative", 0)):
            plan = self._plan(split)
            self._price(plan_id=plan.id, quantity_split=split, **rounded)
            plan.threshold_ids = [Command.create({"amount": 10})]
            _partner, _account, subscription = self._customer(split, plan_id=plan.id)
            self.use(12, day(2), subject=split)
            subscription._prepare_statements(day(3))
            self.use(3, day(9), subject=split)
            with self.subTest(split=split):
                march = self.last(subscription)
                self.assertEqual((march.interim_ids.amount_untaxed, march.amount_untaxed), (20, rest))

    def anew(self, name="anew", **values):
        """A subscription at a price that begins anew on each statement; interim ones from 10.00 on, then every 5.00."""
        plan = self._plan(name)
        self._price(plan_id=plan.id, **{"split": "independent", **values})
        plan.threshold_ids = [Command.create({"amount": 10}), Command.create({"amount": 5, "kind": "every"})]
        return self._customer(name, plan_id=plan.id)[2]

    def more(self, subscription, tokens, at):
        """Use so much more, submit what the job draws up an hour later, and return the event's id."""
        self.use(tokens, at, subject=subscription.partner_id.name.lower())
        subscription._prepare_statements(at + timedelta(hours=1))
        drawn = subscription.statement_ids.filtered(lambda each: each.interim_of_id and each.state == "rated")
        drawn.with_user(self.preparer).action_submit()
        return f"use-{self._events}"

    def less(self, event, tokens):
        """Have an event count so much."""
        answer = self.correct(self.amend(f"less-{event}", event, data={"tokens": tokens}))
        self.assertFalse(answer["rejected"], answer)
        self.fold()

    def last(self, subscription):
        """The statement of March, which is over."""
        subscription._prepare_statements(END)
        return subscription._ensure_statement(START)

    def test_what_was_taken_back_of_a_price_that_begins_anew(self):
        """12 units: 10 × 1 + 2 × 0.5 = 11.00, 2 packages 10.00; none are left, or 8: 8.00, 1 package 5.00."""
        shapes = {
            "graduated": {"model": "graduated", "tiers": ((10, 1, 0), (0, 0.5, 0))},
            "package": {"model": "package", "package_size": 10, "package_amount": 5},
        }
        for shape, left, rest in (
            ("graduated", 0, -11),
            ("graduated", 8, -3),
            ("package", 0, -10),
            ("package", 8, -5),
            ("package", 11, 0),
        ):
            with self.subTest(shape=shape, left=left):
                subscription = self.anew(f"{shape}{left}", **shapes[shape])
                event = self.more(subscription, 12, day(2))
                interim = subscription.statement_ids.filtered("interim_of_id")
                self.assertEqual(interim.amount_untaxed, {"graduated": 11, "package": 10}[shape])
                self.less(event, left)
                march = self.last(subscription)
                self.assertEqual((march.amount_untaxed, march.charge_ids.quantity), (rest, left - 12))
                self.assertIn(interim.name, march.explanation_html)

    def test_only_intervals_that_lost_usage_are_priced_again(self):
        """Packages of 10 at 5.00: 12 are two, 5 more are one. Of 13 that are left 1 is more than 12, and a package
        still; of 12 none is; of 6 there is one package of three."""
        for left, rest, priced in ((13, 0, "1 unit"), (12, -5, "0 unit"), (6, -10, "6 unit")):
            with self.subTest(left=left):
                subscription = self.anew(f"left{left}", model="package", package_size=10, package_amount=5)
                first, second = self.more(subscription, 12, day(2)), self.more(subscription, 5, day(4))
                interims = subscription.statement_ids.filtered("interim_of_id").sorted("period_end")
                self.assertEqual(interims.mapped("amount_untaxed"), [10, 5])
                self.less(first, min(left, 12))
                self.less(second, max(left - 12, 0))
                march = self.last(subscription)
                self.assertEqual((march.amount_untaxed, march.charge_ids.exact_quantity), (rest, priced))

    def test_prepaid_units_of_usage_that_was_taken_back(self):
        """Rounded up to tens on each statement at 1.00, 10 units prepaid: 12 are 20, 10.00 charged. Of 5 that are left
        nothing is: they are 10, which are prepaid."""
        subscription = self.anew(
            split="cumulative",
            unit_amount=1,
            quantity_rounding="ceiling",
            quantity_precision=-1,
            quantity_split="independent",
        )
        grant = self.credit(0, kind="units", meter_id=self.meter.id, quantity=10, partner_id=subscription.partner_id.id)
        event = self.more(subscription, 12, day(2))
        interim = subscription.statement_ids.filtered("interim_of_id")
        self.assertEqual((interim.amount_untaxed, interim.charge_ids.credit_units), (10, {str(grant.id): "10"}))
        self.less(event, 5)
        march = self.last(subscription)
        self.assertEqual((march.amount_untaxed, march.charge_ids.credit_units), (-10, False))

    def test_usage_of_a_price_that_begins_anew_is_what_is_priced(self):
        """12 on the interim statement, 3 on the last: that is what each of them tells, not 15."""
        subscription = self.anew(model="package", package_size=10, package_amount=5)
        self.more(subscription, 12, day(2))
        self.use(3, day(9), subject="anew")
        march = self.last(subscription)
        self.assertEqual(march.interim_ids.charge_ids.exact_quantity, "12 unit")
        self.assertEqual((march.charge_ids.exact_quantity, march.charge_ids.metered), ("3 unit", "15"))
        self.assertIn("3 unit", march._invoice_line_text(march.charge_ids))

    def test_usage_of_a_price_that_counts_on_is_all_of_it(self):
        """30 are billed, 8 more: 38, of which 15.00 were billed before."""
        self.thresholds(10)
        self.use(30, day(2))
        self.run_at(day(3))
        self.use(8, day(9))
        self.amounts()
        self.assertEqual(self.march.charge_ids.exact_quantity, "38 unit")
        self.assertIn("15.00", self.march._invoice_line_text(self.march.charge_ids))

    def test_how_much_is_new_follows_where_the_amount_stays(self):
        """At most 20.00: 30 units, then 8. One of the 8 turns out to be of before: 31 and 7, for the same amounts."""
        self.bill_by(self._price(unit_amount=1, maximum_amount=20))
        self.thresholds(10)
        self.use(30, day(2))
        self.run_at(day(3))
        self.use(8, day(9))
        march = self.rated(START)
        self.assertEqual(march.charge_ids.quantity, 8)
        self.less(f"use-{self._events}", 7)
        self.use(1, day(2, 1))
        self.interims.with_user(self.preparer).action_rate()
        self.assertEqual((self.interims.amount_untaxed, self.interims.charge_ids.quantity), (20, 31))
        self.assertEqual((march.charge_ids.metered, march.charge_ids.quantity), ("38", 7))

    def test_a_price_that_changes_inside_the_period(self):
        """10 at 0.50 until the 9th, 10 + 5 at 2.00: 25.00 on the 12th, then 10.00."""
        version = self.price._draft_version(day(10).date())
        version.unit_amount = 2
        version.with_user(self.second_admin).action_approve()
        self.thresholds(20)
        self.use(10, day(2))
        self.use(10, day(11))
        self.run_at(day(12, 6))
        self.use(5, day(20))
        self.assertEqual(self.amounts(), [25, 10])
        self.assertEqual(self.interims.charge_ids.mapped("amount"), [5, 20])
        self.advance(self.interims, "approved")
        follower = version._draft_version(day(12).date())
        with self.assertRaisesRegex(UserError, "Choose 03/13/2025"):
            follower.with_user(self.second_admin).action_approve()

    def test_waits_for_late_usage_like_every_statement(self):
        self.company.usage_rating_delay = 24
        self.thresholds(10)
        self.use(30, day(2))
        subscription = self.subscription
        subscription._prepare_statements(day(3), day(2))
        interim = self.interims
        self.assertEqual((interim.state, interim.amount_untaxed), ("open", 15))
        self.use(4, day(2, 5))
        subscription._prepare_statements(day(4), day(3))
        self.assertEqual((interim.state, interim.amount_untaxed), ("rated", 17))

    def test_late_usage_after_submission_is_charged_by_the_next_one(self):
        self.thresholds(10)
        self.use(30, day(2))
        self.run_at(day(3))
        interim = self.advance(self.interims, "to_approve")
        self.use(6, day(2, 5))
        self.assertEqual(self.amounts(), [15, 3])
        interim._reconcile()
        row = interim.reconciliation_ids
        self.assertEqual((row.state, row.difference_quantity, row.quantity_charged), ("matched", 6, 30))
        self.advance(self.march, "rated")._reconcile()
        row = self.march.reconciliation_ids
        self.assertEqual((row.state, row.difference_quantity, row.quantity_charged), ("matched", 0, 6))

    def test_the_period_is_submitted_after_its_interim_statements(self):
        self.thresholds(10)
        self.use(30, day(2))
        self.run_at(day(3))
        interim, march = self.interims, self.rated(START)
        with self.assertRaisesRegex(UserError, f"{march.name} charges what {interim.name} left"):
            march.with_user(self.preparer).action_submit()
        (interim | march).with_user(self.preparer).action_submit()
        with self.assertRaisesRegex(UserError, f"{march.name} charges what {interim.name} left, .* reject that first"):
            interim.with_user(self.approver).action_reject("Again")
        (interim | march).with_user(self.approver).action_reject("Again")
        self.assertEqual(set((interim | march).mapped("state")), {"rated"})

    def test_what_was_taken_off_is_what_was_charged_when_it_is_approved(self):
        """15.00 are taken off, the interim statement comes to charge 17.00: 2.00 would be billed twice."""
        self.thresholds(10)
        self.use(30, day(2))
        self.run_at(day(3))
        interim, march = self.interims, self.rated(START)
        (interim | march).with_user(self.preparer).action_submit()
        unlocked(interim).write({"state": "rated"})  # as if rejected at the moment when march was submitted
        with self.assertRaisesRegex(UserError, f"{march.name} charges what {interim.name} left"):
            march.with_user(self.approver).action_approve()
        self.use(4, day(2, 1))
        self.advance(interim, "approved")
        self.assertEqual(interim.amount_untaxed, 17)
        with self.assertRaisesRegex(UserError, f"{march.name} .* no longer .* Reject"):
            march.with_user(self.approver).action_approve()
        march.with_user(self.approver).action_reject("Rate it again")
        self.advance(march, "approved")
        self.assertEqual(march.amount_untaxed, 0)

    def test_the_price_of_a_line_stays_once_it_is_billed(self):
        """30 at 0.50, at 2.00 as long as nobody submitted that: then not, or all 30 would be billed again."""
        dear = self._price(unit_amount=2)
        self.thresholds(10)
        self.use(30, day(2))
        self.run_at(day(3))
        line = self.subscription.line_ids.with_user(self.preparer)
        line.price_id = dear
        self.assertFalse(self.interims.charge_ids, "figures of another price are not submitted")
        self.run_at(day(3))
        self.assertEqual(self.interims.amount_untaxed, 60)
        interim = self.advance(self.interims, "to_approve")
        with self.assertRaisesRegex(UserError, f"{interim.name}.*'Change the price of a line'"):
            line.price_id = self.price
        line.write({"price_id": dear.id, "at_included_end": "stop"})
        self.assertEqual(self.amounts(), [60, 0])

    def test_an_interim_statement_that_is_rated_again_takes_the_rest_along(self):
        self.thresholds(10)
        self.use(30, day(2))
        self.run_at(day(3))
        march = self.rated(START)
        self.assertEqual(march.amount_untaxed, 0)
        self.use(4, day(2, 1))
        self.use(4, day(8))
        self.interims.with_user(self.preparer).action_rate()
        self.assertEqual((self.interims.amount_untaxed, march.amount_untaxed), (17, 2))

    def test_so_far_is_the_whole_period(self):
        self.thresholds(10)
        self.use(30, day(2))
        self.run_at(day(3))
        self.assertEqual((self.march.amount_interim, self.march.interim_count), (15, 1))
        with self.subTest("a period that runs"):
            items = self.march._measured()[self.march]
            pool = self.march._unit_pool()
            vals_list = self.march._all_charge_vals(items, pool)
            expected = self.march._project(items, vals_list, pool, {}, day(16, 12))
            self.assertEqual(expected, 30, "15.00 in half of the month")

    def test_byte_identical_when_rated_again(self):
        self.thresholds(10, every=10)
        for number in (2, 4, 6):
            self.use(30, day(number))
            self.run_at(day(number, 5))
        before = [(charge.id, charge.fingerprint) for charge in self.subscription.statement_ids.charge_ids]
        self.run_at(day(6, 5))
        (self.interims | self.march)._rate(day(6, 5))
        after = [(charge.id, charge.fingerprint) for charge in self.subscription.statement_ids.charge_ids]
        self.assertEqual(after, before)
        self.assertTrue(all(charge._is_intact() for charge in self.interims.charge_ids))

    def test_who_decides_when(self):
        """The subscription's own amounts take the place of the plan's; never means never."""
        self.thresholds(10)
        self.use(30, day(2))
        self.subscription.interim_billing = "never"
        self.run_at(day(3))
        self.assertFalse(self.interims)
        self.subscription.write({"interim_billing": "own", "threshold_ids": [Command.create({"amount": 20})]})
        self.run_at(day(3))
        self.assertFalse(self.interims)
        self.subscription.threshold_ids.amount = 15
        self.run_at(day(3))
        self.assertEqual(self.interims.amount_untaxed, 15)

    def test_in_whole_yen_and_thousandths_of_a_dinar(self):
        """JPY 0.4 × 300, 100 more; BHD 0.0004 × 30,000, 1 more."""
        for code, unit, amount, tokens, expected in (
            ("JPY", 0.4, 100, (301, 1), [120, 1]),
            ("BHD", 0.0004, 10, (30_001, 1), [12, 0.001]),
        ):
            with self.subTest(currency=code):
                currency = self.env.ref(f"base.{code}")
                currency.active = True
                plan = self._plan(code.lower(), currency_id=currency.id)
                self._price(plan_id=plan.id, unit_amount=unit)
                plan.threshold_ids = [Command.create({"amount": amount})]
                partner, _account, subscription = self._customer(code, plan_id=plan.id)
                self.use(tokens[0], day(2), subject=code.lower())
                subscription._prepare_statements(day(3))
                self.use(tokens[1], day(20), subject=code.lower())
                subscription._prepare_statements(END)
                march = subscription._ensure_statement(START)
                found = [*march.interim_ids.mapped("amount_untaxed"), march.amount_untaxed]
                self.assertEqual(found, expected)
                self.assertEqual(march.interim_ids.partner_id, partner)

    def test_thresholds_of_another_currency_are_for_others(self):
        euro = self.env.ref("base.EUR")
        euro.active = True
        self.plan.threshold_ids = [Command.create({"amount": 10, "currency_id": euro.id})]
        self.use(30, day(2))
        self.run_at(day(3))
        self.assertFalse(self.interims)

    def test_bad_thresholds(self):
        for values, message in (
            ([{"amount": 0}], "Amount: a threshold is above 0"),
            ([{"amount": -5}], "Amount: a threshold is above 0, .* Enter a higher amount"),
            ([{"amount": 5}, {"amount": 5}], "Amount: .*5.00 stands twice, .* Change or remove one"),
            ([{"amount": 5, "kind": "every"}, {"amount": 6, "kind": "every"}], "Billed: .* stands twice"),
        ):
            with self.subTest(values=values), self.assertRaisesRegex(ValidationError, message):
                self.plan.threshold_ids = [Command.clear(), *map(Command.create, values)]
        with self.assertRaisesRegex(ValidationError, "Interim Statements: there are no amounts of its own"):
            self.subscription.interim_billing = "own"

    def test_who_may_change_them(self):
        """Whoever may change what they belong to: a preparer the subscription, an administrator the plan."""
        self.thresholds(10)
        with self.assertRaises(AccessError):
            self.plan.threshold_ids.with_user(self.preparer).amount = 20
        with self.assertRaises(AccessError):
            self.env["usage.threshold"].with_user(self.preparer).create({"plan_id": self.plan.id, "amount": 20})
        own = {"interim_billing": "own", "threshold_ids": [Command.create({"amount": 20})]}
        self.subscription.with_user(self.preparer).write(own)
        self.plan.threshold_ids.with_user(self.admin).unlink()
        self.assertEqual(self.subscription._thresholds(), ([20], None))

    def test_it_is_not_made_by_hand(self):
        self.thresholds(10)
        self.use(30, day(2))
        self.run_at(day(3))
        with self.assertRaises(UserError):
            self.interims.with_user(self.both).write({"interim_of_id": False})


@tagged("post_install", "-at_install")
class TestInterimContracts(InterimCommon, AmendmentCommon):
    def test_an_allowance_of_a_contract_year(self):
        """100 a year at 2: 60 in January; February 50, of which 10 above, then 5 and 7 in March."""
        self.bill_by(self._price(unit_amount=2, included_quantity=100))
        self.subscription.line_ids.counted_over = "year"
        self.thresholds(15)
        self.use(60, datetime(2025, 1, 10))
        self.use(50, datetime(2025, 2, 10))
        self.run_at(datetime(2025, 2, 12))
        self.use(5, datetime(2025, 2, 20))
        self.use(7, day(2))
        self.run_at(END)
        amounts = self.subscription.statement_ids.sorted(lambda each: each._order_key()).mapped("amount_untaxed")
        self.assertEqual(amounts[:4], [0, 20, 10, 14])

    def test_amended_after_an_interim_statement(self):
        """30 × 0.5 until the 3rd; from the 10th on 2 each: 5 × 0.5 + 4 × 2."""
        dear = self._price(unit_amount=2)
        self.thresholds(10)
        self.use(30, day(2))
        self.run_at(day(3, 4))
        self.advance(self.interims, "approved")
        with self.assertRaisesRegex(UserError, "covers 03/03/2025 and is submitted or billed. Choose a day from 03/04"):
            self.subscription._amend("change_price", day(3).date(), line=self.subscription.line_ids, price=dear)
        self.subscription._amend("change_price", day(10).date(), line=self.subscription.line_ids, price=dear)
        self.use(5, day(9))
        self.use(4, day(10))
        self.assertEqual(self.amounts(), [15, 10.5])

    def test_paused_after_an_interim_statement(self):
        self.thresholds(10)
        self.use(30, day(2))
        self.run_at(day(3))
        self.subscription._amend("pause", day(10).date(), until=day(20).date())
        self.use(100, day(15))
        self.use(2, day(25))
        self.assertEqual(self.amounts(), [15, 1])

    def test_credit_in_units(self):
        """50 prepaid units: 80 used, 30 charged; 10 more are charged; nothing is covered twice."""
        grant = self.credit(0, kind="units", meter_id=self.meter.id, quantity=50)
        self.thresholds(10)
        self.use(80, day(2))
        self.run_at(day(3))
        self.assertEqual(self.interims.charge_ids.credit_units, {str(grant.id): "50"})
        self.use(10, day(20))
        self.assertEqual(self.amounts(), [15, 5])
        self.assertFalse(self.march.charge_ids.credit_units)
        self.assertEqual(grant._live_units()[grant], 0)

    def test_credit_in_units_that_is_left(self):
        """100 units cover all 80 of the interim statement, then 20 of 30: 10 are charged."""
        grant = self.credit(0, kind="units", meter_id=self.meter.id, quantity=100)
        other = self._meter("calls", aggregation="sum", value_path="tokens", event_type="call")
        self._recount()
        self.subscription.line_ids = [Command.create({"price_id": self._price(meter_id=other.id, unit_amount=1).id})]
        self.thresholds(10)
        self.use(80, day(2))
        self.use(12, day(2), event_type="call")
        self.run_at(day(3))
        self.assertEqual(sorted(self.interims.charge_ids.mapped("amount")), [0, 12])
        self.use(30, day(20))
        self.assertEqual(self.amounts(), [12, 5])
        units = (self.interims | self.march).charge_ids.mapped("credit_units")
        self.assertEqual([each for each in units if each], [{str(grant.id): "80"}, {str(grant.id): "20"}])


@tagged("post_install", "-at_install")
class TestInterimInvoices(InterimCommon, UsageInvoicingCommon):
    def settle(self, statement):
        """Take a statement that the job has rated to the ledger."""
        statement.with_user(self.preparer).action_submit()
        for method in ("action_approve", "action_invoice", "action_post"):
            getattr(statement.with_user(self.approver), method)()

    def test_to_the_ledger_without_a_difference(self):
        """110.00 and 95.00 on interim invoices, 20.00 on the last: 225.00 in all, nothing different."""
        self.bill_by(self._price(model="graduated", tiers=TIERS))
        self.thresholds(100, 200)
        for number, tokens in ((2, 120), (9, 200)):
            self.use(tokens, day(number))
            self.run_at(day(number + 1))
            self.settle(self.interims[-1])
        self.use(80, day(20))
        march = self.posted(START)
        statements = self.interims | march
        self.assertEqual(statements.move_id.mapped("amount_untaxed"), [110, 95, 20])
        self.assertIn(self.interims[0].name, march.move_id.invoice_line_ids.name)
        self.assertIn("205.00", march.move_id.invoice_line_ids.name)
        statements._reconcile()
        rows = statements.reconciliation_ids
        self.assertEqual(set(rows.mapped("state")), {"matched"})
        self.assertEqual(sum(rows.mapped("difference_amount")), 0)
        self.assertEqual(sum(rows.mapped("amount_posted")), 225)
        self.assertEqual(sum(rows.mapped("quantity_charged")), 400)
        self.assertEqual(
            statements.approval_ids.filtered(lambda step: step.action == "approved").user_id, self.approver
        )

    def test_prepaid_credit_pays_each_of_them(self):
        """100.00 of credit: 60.00 on the interim statement, 40.00 of the 50.00 that follow."""
        grant = self.credit(100)
        self.thresholds(50)
        self.use(120, day(2))
        self.run_at(day(3))
        interim = self.advance(self.interims, "posted")
        self.assertEqual((interim.amount_credit, interim.move_id.amount_untaxed), (60, 0))
        self.use(100, day(20))
        march = self.posted(START)
        self.assertEqual((march.amount_credit, march.move_id.amount_untaxed, grant.balance), (40, 10, 0))

    def test_credit_of_both_before_there_are_invoices(self):
        self.credit(100)
        self.thresholds(50)
        self.use(120, day(2))
        self.run_at(day(3))
        self.use(100, day(20))
        self.amounts()
        (self.interims | self.march).invalidate_recordset()
        self.assertEqual((self.interims.amount_credit, self.march.amount_credit), (60, 40))

    def test_usage_that_was_taken_back_becomes_a_credit_note(self):
        """60.00 billed for 120; the account is another customer's from the 2nd on: 60.00 is given back."""
        self.thresholds(50)
        self.use(120, day(2))
        self.run_at(day(3))
        self.advance(self.interims, "posted")
        other = self.env["res.partner"].create({"name": "Other", "is_company": True})
        self.account.assignment_ids.date_to = "2025-03-02 00:00:00"
        self.env["usage.account.assignment"].create(
            {"account_id": self.account.id, "partner_id": other.id, "date_from": "2025-03-02 00:00:00"}
        )
        march = self.statement(START)
        march.with_user(self.preparer).action_rate()
        self.assertEqual(march.amount_untaxed, -60)
        march.with_user(self.preparer).action_submit()
        for method in ("action_approve", "action_invoice"):
            getattr(march.with_user(self.approver), method)()
        self.assertEqual((march.move_id.move_type, march.move_id.amount_untaxed), ("out_refund", 60))
        with self.assertRaises(UserError):
            march.move_id.with_user(self.preparer).sudo().action_post()
        march.with_user(self.approver).action_post()
        self.assertEqual(march.state, "posted")
        row = march.reconciliation_ids
        self.assertEqual((row.state, row.amount_posted, row.difference_amount), ("matched", -60, 0))
