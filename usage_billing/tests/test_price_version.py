"""Versions of a price, for customers and currencies: drafted, compared, approved, rolled back."""

from datetime import date, datetime
from unittest.mock import patch

from psycopg2 import OperationalError

from odoo import fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import date_utils

from odoo.addons.usage_billing.models import usage_simulation

from .common import END, UsageBillingCommon
from .test_rating import LOGGER

EARLY, LATE = datetime(2025, 3, 10, 12), datetime(2025, 3, 20, 12)


class PriceVersionCommon(UsageBillingCommon):
    def version(self, day="2025-03-16", approved=True, **values):
        """A version of the price, drafted by one administrator and approved by another."""
        action = self.price._versions()[-1].with_user(self.admin).action_new_version()
        draft = self.env["usage.price"].with_user(self.admin).browse(action["res_id"])
        draft.write({"date_start": day, **values})
        if approved:
            draft.with_user(self.second_admin).action_approve()
        return draft.with_env(self.env)


@tagged("post_install", "-at_install")
class TestPriceVersion(PriceVersionCommon):
    def test_usage_is_priced_by_its_day(self):
        """10 before the 16th at 0.50, 10 from then on at 2.00; the subscription is left alone."""
        new = self.version(unit_amount=2)
        self.use(10, EARLY)
        self.use(10, LATE)
        charges = self.rated().charge_ids
        self.assertEqual(charges.mapped("amount"), [5, 20])
        self.assertEqual(charges.price_id, self.price | new)
        self.assertEqual(charges.mapped("usage_end")[0], datetime(2025, 3, 16))
        self.assertEqual(self.subscription.line_ids.price_id, self.price)
        april = self.rated(datetime(2025, 4, 10)).charge_ids
        self.assertEqual(april.price_id, new)

    def test_tiers_count_on_where_the_price_says_so(self):
        """Of 20 units 10 are used before; the new version's first 15 units cost 1, so 5 at 1 and 5 at 3."""
        values = {
            "model": "graduated",
            "tier_ids": [
                Command.create({"sequence": 1, "up_to": 15, "unit_amount": 1}),
                Command.create({"sequence": 2, "unit_amount": 3}),
            ],
        }
        self.version(tiers_at_price_change="continue", **values)
        self.use(10, EARLY)
        self.use(10, LATE)
        charges = self.rated().charge_ids
        self.assertEqual(charges.mapped("amount"), [5, 20])
        self.assertIn("Counting begins at 10", charges[1].explanation_html)

    def test_included_quantity_of_each_version_unless_the_line_has_its_own(self):
        self.version(unit_amount=1, included_quantity=4)
        self.use(10, LATE)
        self.assertEqual(self.rated().charge_ids.mapped("amount"), [0, 6])
        self.subscription.line_ids.included_quantity = 9
        self.statement().with_user(self.preparer).action_rate()
        self.assertEqual(self.statement().charge_ids.mapped("amount"), [0, 1])

    def test_a_draft_changes_nothing(self):
        self.version(approved=False, unit_amount=2)
        self.use(10, LATE)
        self.assertEqual(self.rated().charge_ids.mapped("amount"), [5])

    def test_one_drafts_and_another_approves(self):
        draft = self.version(approved=False, unit_amount=2)
        with self.assertRaisesRegex(UserError, "second administrator"):
            draft.with_user(self.admin).action_approve()

    def test_a_price_in_use_is_superseded_not_changed(self):
        for act in (self.price.unlink, lambda: self.price.write({"unit_amount": 1})):
            with self.assertRaisesRegex(UserError, "supersede it with a new version"):
                act()
        self.version(unit_amount=2)
        with self.assertRaisesRegex(UserError, "Subscriptions use"):
            self.price._versions()[-1].with_user(self.admin).action_reset_to_draft()

    def test_not_for_days_that_are_billed(self):
        self.use(10, EARLY)
        self.advance(self.statement(), "to_approve")
        draft = self.version(approved=False, unit_amount=2)
        with self.assertRaisesRegex(UserError, "Choose 04/01/2025"):
            draft.with_user(self.second_admin).action_approve()
        draft.with_user(self.admin).date_start = "2025-04-01"
        draft.with_user(self.second_admin).action_approve()

    def test_not_before_another_version(self):
        self.version(unit_amount=2)
        draft = self.price.with_user(self.admin)._draft_version(date(2025, 3, 10))
        with self.assertRaisesRegex(UserError, "Choose 03/17/2025"):
            draft.with_user(self.second_admin).action_approve()

    def test_a_version_is_one_of_the_same_price(self):
        draft = self.version(approved=False)
        with self.assertRaisesRegex(ValidationError, "Meter: a version has that"):
            draft.meter_id = self._meter("other")

    def test_a_version_has_a_day(self):
        draft = self.version(approved=False)
        with self.assertRaisesRegex(ValidationError, "Valid From"):
            draft.date_start = False

    def test_a_version_begins_after_the_one_before(self):
        first = self.version(unit_amount=2)
        draft = self.version(day="2025-04-01", approved=False)
        self.assertEqual(draft.supersedes_id, first)
        with self.assertRaisesRegex(ValidationError, "begins on 03/17/2025 or later"):
            draft.date_start = "2025-03-16"

    def test_validity_is_shown(self):
        new = self.version(unit_amount=2)
        self.assertEqual((self.price.superseded_on, new.superseded_on), (date(2025, 3, 16), False))
        self.assertEqual(self.price.version_ids, self.price | new)
        self.assertEqual(new.version_ids, self.price | new)

    def test_rolled_back_at_once_while_nothing_is_billed(self):
        new = self.version(unit_amount=2)
        self.use(10, LATE)
        self.assertEqual(sum(self.rated().charge_ids.mapped("amount")), 20)
        new.with_user(self.admin).action_roll_back()
        self.assertEqual((new.state, self.price.superseded_on), ("withdrawn", False))
        self.statement().with_user(self.preparer).action_rate()
        self.assertEqual(self.statement().charge_ids.mapped("amount"), [5])
        with self.assertRaisesRegex(UserError, "latest approved version"):
            new.with_user(self.admin).action_roll_back()

    def test_rolled_back_by_a_version_once_billed(self):
        new = self.version(unit_amount=2)
        self.use(10, LATE)
        self.advance(self.statement(), "to_approve")
        action = new.with_user(self.admin).action_roll_back()
        draft = self.env["usage.price"].browse(action["res_id"])
        self.assertEqual((draft.unit_amount, draft.supersedes_id, draft.state), (0.5, new, "draft"))
        self.assertEqual(draft.date_start, date(2025, 4, 1))
        draft.with_user(self.second_admin).action_approve()
        self.assertEqual(self.price._versions(), self.price | new | draft)

    def test_only_administrators_roll_back(self):
        new = self.version(unit_amount=2)
        with self.assertRaisesRegex(UserError, "Administrator"):
            new.with_user(self.preparer).sudo().action_roll_back()

    def test_the_difference_is_shown(self):
        draft = self.version(approved=False, unit_amount=2, minimum_amount=50)
        html = draft.changes_html
        for text in ("0.50 USD per unit", "2.00 USD per unit; at least 50.00 USD", "Unit Amount", "Minimum"):
            self.assertIn(text, html)
        self.assertNotIn("Package Size", html)
        self.assertFalse(self.price.changes_html)

    def test_a_part_changed_is_shown(self):
        self.meter.dimensions = "model"
        self._recount()
        price = self._price(
            model="dimensional",
            dimension_1="model",
            part_ids=[Command.create({"value_1": "large", "unit_amount": 1}), Command.create({"unit_amount": 2})],
        )
        draft = price.with_user(self.admin)._draft_version(date(2025, 5, 1))
        draft.part_ids[0].unit_amount = 3
        self.assertIn("large: 3.00 USD per unit", draft.changes_html)
        self.assertEqual(price.part_ids[0].unit_amount, 1)


@tagged("post_install", "-at_install")
class TestPriceComparison(PriceVersionCommon):
    """Who pays what more on last month's real usage, before it takes effect."""

    def test_who_pays_what_more(self):
        this_month = date_utils.start_of(fields.Date.context_today(self.price), "month")
        last_month = fields.Datetime.to_datetime(this_month - date_utils.relativedelta(days=3))
        _partner, _account, other = self._customer("Globex")
        self.use(100, last_month)
        self.use(10, last_month, subject="globex")
        draft = self.version(day=str(this_month), approved=False, unit_amount=0.4, minimum_amount=20)
        charges = self.env["usage.charge"].search_count([])
        action = draft.with_user(self.admin).action_compare()
        lines = self.env["usage.simulation.line"].search(action["domain"])
        found = {line.subscription_id: (line.amount_current, line.amount_simulated, line.difference) for line in lines}
        self.assertEqual(found, {self.subscription: (50, 40, -10), other: (5, 20, 15)})
        self.assertEqual(self.env["usage.charge"].search_count([]), charges)
        self.assertEqual(draft.state, "draft")


@tagged("post_install", "-at_install")
class TestPriceOfCustomer(UsageBillingCommon):
    def test_the_price_agreed_on_takes_the_place_of_the_plans(self):
        agreed = self._price(unit_amount=0.1, partner_id=self.customer.id)
        _partner, _account, other = self._customer("Globex")
        self.assertEqual(other.line_ids.price_id, self.price)
        mine = self._subscription(active=False, date_start="2026-01-01")
        self.subscription.date_end = "2025-12-31"
        mine.action_activate()
        self.assertEqual(mine.line_ids.price_id, agreed)

    def test_not_for_others(self):
        partner = self.env["res.partner"].create({"name": "Globex"})
        price = self._price(unit_amount=0.1, partner_id=partner.id)
        with self.assertRaisesRegex(ValidationError, "agreed on with Globex"):
            self.subscription.line_ids.price_id = price

    def test_parts_and_versions_are_not_chosen_alone(self):
        version = self.price.with_user(self.admin)._draft_version(date(2026, 1, 1))
        with self.assertRaisesRegex(ValidationError, "part or a version"):
            self.subscription.line_ids.price_id = version


@tagged("post_install", "-at_install")
class TestPriceInCurrency(UsageBillingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.yen = cls.env.ref("base.JPY")
        cls.yen.active = True

    def test_a_subscription_in_another_currency(self):
        """10 × 75.5 yen are 755; the plan's own currency goes on for others."""
        self._price(unit_amount=75.55, currency_id=self.yen.id)
        partner = self.env["res.partner"].create({"name": "Tokyo"})
        self._account("tokyo", partner)
        subscription = self._subscription(partner_id=partner.id, currency_id=self.yen.id)
        self.use(10, EARLY, subject="tokyo")
        statement = self.rated(subscription=subscription)
        self.assertEqual((statement.currency_id, statement.charge_ids.amount), (self.yen, 756))
        self.assertEqual(self.subscription.line_ids.price_id.currency_id, self.env.ref("base.USD"))

    def test_a_currency_without_a_price(self):
        with self.assertRaisesRegex(ValidationError, "Currency: Standard has no price in JPY. Add prices"):
            self._subscription(active=False, currency_id=self.yen.id)

    def test_a_price_in_another_currency_than_the_subscription(self):
        price = self._price(unit_amount=75, currency_id=self.yen.id)
        with self.assertRaisesRegex(ValidationError, "is in JPY, the subscription in USD"):
            self.subscription.line_ids.price_id = price

    def test_a_price_has_the_plans_currency_unless_told(self):
        self.assertEqual(self.price.currency_id, self.plan.currency_id)


@tagged("post_install", "-at_install")
class TestSimulation(UsageBillingCommon):
    """What would usage have cost? By hand: 100 tokens of March and 10 of February at 0.50, and at 1.00."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other_plan = cls._plan("new")
        cls._price(plan_id=cls.other_plan.id, unit_amount=1, minimum_amount=20)
        cls.use(100, EARLY)
        cls.use(10, datetime(2025, 2, 10))

    def simulation(self, **values):
        return (
            self.env["usage.simulation"]
            .with_user(self.preparer)
            .create({"plan_id": self.other_plan.id, "date_from": "2025-02-01", "date_to": "2025-03-31", **values})
        )

    def found(self, simulation):
        return {
            str(line.month): (line.amount_current, line.amount_simulated, line.difference)
            for line in simulation.line_ids
        }

    def test_current_and_simulated(self):
        simulation = self.simulation()
        action = simulation.action_run()
        self.assertEqual(action["domain"], [("simulation_id", "in", simulation.ids)])
        self.assertEqual(self.found(simulation), {"2025-02-01": (5, 20, 15), "2025-03-01": (50, 100, 50)})
        self.assertEqual((simulation.state, simulation.progress), ("done", 100))

    def test_nothing_is_touched(self):
        before = self.env["usage.statement"].search_count([]), self.env["usage.charge"].search_count([])
        self.simulation().action_run()
        after = self.env["usage.statement"].search_count([]), self.env["usage.charge"].search_count([])
        self.assertEqual(after, before)

    def test_the_current_figure_is_the_charge(self):
        simulation = self.simulation(plan_id=self.plan.id)
        simulation.action_run()
        self.assertEqual(self.rated().charge_ids.amount, self.found(simulation)["2025-03-01"][0])
        self.assertEqual(simulation.line_ids.mapped("difference"), [0, 0])

    def test_only_some(self):
        partner, _account, other = self._customer("Globex")
        simulation = self.simulation(partner_ids=[Command.set(partner.ids)])
        simulation.action_run()
        self.assertEqual(simulation.line_ids.subscription_id, other)
        simulation.write({"partner_ids": [Command.clear()], "subscription_ids": [Command.set(self.subscription.ids)]})
        self.assertEqual((simulation.state, len(simulation.line_ids)), ("draft", 0))
        simulation.action_run()
        self.assertEqual(simulation.line_ids.subscription_id, self.subscription)

    def test_what_cannot_be_rated_is_told(self):
        self._price(plan_id=self.other_plan.id, model="volume", tiers=((50, 1, 0),), beyond_last_tier="refuse")
        simulation = self.simulation(date_from="2025-03-01")
        simulation.action_run()
        self.assertIn("above the last tier", simulation.line_ids.note)

    def test_an_unexpected_error_is_told_of_its_own_subscription(self):
        """The others are calculated, and the run in the background comes to its end."""
        other = self._customer("Globex")[2]
        simulation = self.simulation(date_from="2025-03-01")
        statements = type(self.env["usage.statement"])
        original = statements._charge_vals

        def broken(statement, *what_was_used):
            if statement.partner_id == self.customer:
                raise ZeroDivisionError("boom")
            return original(statement, *what_was_used)

        self.patch(usage_simulation, "AT_ONCE", 1)
        simulation.action_run()
        with (
            patch.object(statements, "_charge_vals", broken),
            self.assertLogs(LOGGER, "ERROR") as logs,
            self.enter_registry_test_mode(),
        ):
            self.env.ref("usage_billing.cron_simulate").method_direct_trigger()
        self.env.invalidate_all()
        self.assertEqual((simulation.state, simulation.done_count), ("done", 2))
        notes = {line.subscription_id: line.note for line in simulation.line_ids}
        self.assertIn("boom", notes[self.subscription])
        self.assertFalse(notes[other])
        self.assertIn(f"customer {self.customer.id} cannot be rated", logs.output[0])

    def test_what_is_no_matter_of_one_subscription_is_raised(self):
        statements = type(self.env["usage.statement"])
        for error in (OperationalError(), AccessError("no")):
            with (
                self.subTest(error=error),
                patch.object(statements, "_charge_vals", side_effect=error),
                self.assertRaises(type(error)),
            ):
                self.simulation().action_run()

    def test_a_simulation_that_cannot_go_on_stops_alone(self):
        first, second = self.simulation(), self.simulation()
        self.patch(usage_simulation, "AT_ONCE", 0)
        (first + second).mapped(lambda simulation: simulation.action_run())
        simulations = type(first)
        original = simulations._sheets

        def broken(simulation, *arguments):
            if simulation == first:
                raise ZeroDivisionError("boom")
            return original(simulation, *arguments)

        with (
            patch.object(simulations, "_sheets", broken),
            self.assertLogs("odoo.addons.usage_billing.models.usage_simulation", "ERROR"),
            self.enter_registry_test_mode(),
        ):
            self.env.ref("usage_billing.cron_simulate").method_direct_trigger()
        self.env.invalidate_all()
        self.assertEqual((first.state, first.problem, second.state), ("stopped", "boom", "done"))
        first.action_run()
        self.assertEqual((first.state, first.problem), ("running", False))

    def test_many_run_in_the_background(self):
        self._customer("Globex")
        simulation = self.simulation()
        self.patch(usage_simulation, "AT_ONCE", 1)
        self.patch(usage_simulation, "CHUNK", 1)
        simulation.action_run()
        self.assertEqual((simulation.state, simulation.progress, len(simulation.line_ids)), ("running", 0, 0))
        with self.enter_registry_test_mode():
            self.env.ref("usage_billing.cron_simulate").method_direct_trigger()
        self.env.invalidate_all()
        self.assertEqual((simulation.state, simulation.done_count, len(simulation.line_ids)), ("done", 2, 4))

    def test_nothing_to_calculate(self):
        with self.assertRaisesRegex(UserError, "No subscription fits"):
            self.simulation(date_from="2024-01-01", date_to="2024-01-31").action_run()

    def test_a_plan_is_needed(self):
        with self.assertRaisesRegex(ValidationError, "choose the plan"):
            self.simulation(plan_id=False)

    def test_last_quarter_is_proposed(self):
        simulation = self.env["usage.simulation"].new({"plan_id": self.plan.id})
        self.assertEqual(simulation.date_from.month % 3, 1)
        self.assertLess(simulation.date_to, fields.Date.context_today(simulation))

    def test_a_period_that_was_cut_by_the_start(self):
        """A subscription from March 8th: its first period begins before the range does and is taken all the same."""
        self.subscription.date_end = "2025-02-28"
        partner = self.env["res.partner"].create({"name": "Late"})
        self._account("late", partner)
        self._subscription(partner_id=partner.id, date_start="2025-03-08")
        self.use(4, END.replace(month=3, day=9), subject="late")
        simulation = self.simulation(partner_ids=[Command.set(partner.ids)], date_from="2025-03-05")
        simulation.action_run()
        self.assertEqual(self.found(simulation), {"2025-03-01": (2, 20, 18)})
