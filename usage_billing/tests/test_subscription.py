from datetime import datetime, timedelta

from psycopg2 import IntegrityError

from odoo import fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Command
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from .common import MARCH, UsageBillingCommon


@tagged("post_install", "-at_install")
class TestSubscription(UsageBillingCommon):
    def test_number_comes_from_the_sequence(self):
        self.assertRegex(self.subscription.name, r"^USUB/\d+$")

    def test_currency_is_that_of_the_plan(self):
        plan = self._plan("euro", currency_id=self.env.ref("base.EUR").id)
        self.assertEqual(self._subscription(active=False, plan_id=plan.id).currency_id.name, "EUR")

    def test_time_zone_is_proposed_by_the_company(self):
        self.company.usage_tz = "Asia/Tokyo"
        values = self.env["usage.subscription"].default_get(["tz"])
        self.assertEqual(values["tz"], "Asia/Tokyo")
        self.company.usage_tz = False
        user = self.preparer
        user.tz = "Europe/Paris"
        self.assertEqual(self.env["usage.subscription"].with_user(user).default_get(["tz"])["tz"], "Europe/Paris")

    def test_the_form_takes_the_prices_of_the_plan(self):
        with Form(self.env["usage.subscription"].with_user(self.preparer)) as form:
            form.partner_id, form.plan_id = self.customer, self.plan
        self.assertEqual(form.record.line_ids.price_id, self.price)
        self.assertEqual(form.record.state, "draft")

    def test_anchor_day_is_a_day(self):
        for day in (0, 32):
            with (
                self.subTest(day=day),
                mute_logger("odoo.sql_db"),
                self.assertRaises(IntegrityError),
                self.env.cr.savepoint(),
            ):
                self._subscription(active=False, anchor_day=day)

    def test_cannot_end_before_it_starts(self):
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.env.cr.savepoint():
            self._subscription(active=False, date_end="2024-12-31")


@tagged("post_install", "-at_install")
class TestActivation(UsageBillingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.env["res.partner"].create({"name": "Other Ltd", "is_company": True})

    def draft(self, **values):
        return self._subscription(active=False, **{"partner_id": self.other.id, **values})

    def test_takes_the_prices_of_the_plan(self):
        subscription = self.draft()
        subscription.with_user(self.preparer).action_activate()
        self.assertEqual(subscription.state, "active")
        self.assertEqual(subscription.line_ids.price_id, self.price)

    def test_leaves_given_lines_alone(self):
        second = self._price(unit_amount=3)
        subscription = self.draft(line_ids=[Command.create({"price_id": second.id})])
        subscription.action_activate()
        self.assertEqual(subscription.line_ids.price_id, second)

    def test_skips_prices_that_have_run_out(self):
        self.price.date_end = "2024-06-30"
        with self.assertRaisesRegex(UserError, "bills nothing"):
            self.draft().action_activate()

    def test_not_with_a_plan_without_prices(self):
        with self.assertRaisesRegex(UserError, "bills nothing"):
            self.draft(plan_id=self._plan("empty").id).action_activate()

    def test_not_with_a_price_that_is_not_approved(self):
        plan = self._plan("new")
        self._price(approved=False, plan_id=plan.id, unit_amount=1)
        with self.assertRaisesRegex(UserError, "not approved"):
            self.draft(plan_id=plan.id).action_activate()

    def test_not_by_a_viewer(self):
        with self.assertRaises(AccessError):
            self.draft().with_user(self.viewer).action_activate()

    def test_by_an_administrator(self):
        subscription = self.draft()
        subscription.with_user(self.admin).action_activate()
        self.assertEqual(subscription.state, "active")

    def test_wakes_the_job(self):
        self.env["ir.cron.trigger"].search([]).unlink()
        self.draft().action_activate()
        cron = self.env.ref("usage_billing.cron_prepare_statements")
        self.assertTrue(self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id)]))

    def test_state_is_not_written_past_the_button(self):
        subscription = self.draft()
        with self.assertRaisesRegex(UserError, "buttons"):
            subscription.sudo().state = "active"
        self.assertEqual(self._subscription(active=False, state="active").state, "draft")

    def test_a_copy_is_a_draft_with_the_same_lines(self):
        copy = self.subscription.copy()
        self.assertEqual((copy.state, copy.line_ids.price_id), ("draft", self.price))
        self.assertNotEqual(copy.name, self.subscription.name)

    def test_a_draft_is_deleted_and_no_other(self):
        self.draft().unlink()
        with self.assertRaisesRegex(UserError, "close it"):
            self.subscription.unlink()

    def test_a_price_of_another_plan_is_refused(self):
        plan = self._plan("second")
        price = self._price(plan_id=plan.id, unit_amount=1)
        with self.assertRaisesRegex(ValidationError, "another plan"):
            self.draft(line_ids=[Command.create({"price_id": price.id})])


@tagged("post_install", "-at_install")
class TestBilledOnce(UsageBillingCommon):
    """No usage is billed twice: by two subscriptions, or by two lines of one."""

    def second(self, **values):
        return self._subscription(active=False, **values)

    def test_two_subscriptions_of_one_customer(self):
        with self.assertRaisesRegex(ValidationError, "is billed by USUB"):
            self.second().action_activate()

    def test_two_lines_of_one_subscription(self):
        with self.assertRaisesRegex(ValidationError, "for the same days"):
            self.subscription.line_ids = [Command.create({"price_id": self._price(unit_amount=1).id})]

    def test_one_after_the_other(self):
        self.subscription.date_end = "2025-06-30"
        second = self.second(date_start="2025-07-01")
        second.action_activate()
        self.assertEqual(second.state, "active")

    def test_one_line_after_the_other(self):
        later = self._price(unit_amount=1)
        self.subscription.line_ids.date_to = "2025-06-30"
        self.subscription.line_ids = [Command.create({"price_id": later.id, "date_from": "2025-07-01"})]
        self.assertEqual(len(self.subscription.line_ids), 2)

    def test_overlapping_by_a_day(self):
        self.subscription.date_end = "2025-07-01"
        with self.assertRaises(ValidationError):
            self.second(date_start="2025-07-01").action_activate()

    def test_different_accounts(self):
        other = self._account("acme-eu", self.customer)
        self.subscription.account_filter_ids = self.account
        second = self.second(account_filter_ids=[Command.set(other.ids)])
        second.action_activate()
        self.assertEqual(second.account_ids, other)

    def test_different_meters(self):
        meter = self._meter("requests")
        plan = self._plan("requests")
        self._price(plan_id=plan.id, meter_id=meter.id, unit_amount=1)
        second = self.second(plan_id=plan.id)
        second.action_activate()
        self.assertEqual(second.state, "active")

    def test_contact_of_the_same_company(self):
        contact = self.env["res.partner"].create({"name": "Finance", "parent_id": self.customer.id})
        with self.assertRaises(ValidationError):
            self.second(partner_id=contact.id).action_activate()


@tagged("post_install", "-at_install")
class TestBilledAccounts(UsageBillingCommon):
    def test_those_of_the_company_and_its_contacts(self):
        contact = self.env["res.partner"].create({"name": "Team", "parent_id": self.customer.id})
        team = self._account("team", contact)
        self._account("stranger", self.env["res.partner"].create({"name": "Stranger"}))
        self._account("unknown")
        self.subscription.invalidate_recordset()
        self.assertEqual(self.subscription.account_ids, self.account | team)
        self.assertEqual(self.subscription.account_count, 2)

    def test_a_contact_as_customer_pays_for_the_company(self):
        contact = self.env["res.partner"].create({"name": "Finance", "parent_id": self.customer.id})
        subscription = self._subscription(active=False, partner_id=contact.id)
        self.assertEqual(subscription.account_ids, self.account)

    def test_systems_in_production_alone(self):
        staging = self._source("staging", environment="staging")
        self._account("acme-test", self.customer, source=staging)
        self.subscription.invalidate_recordset()
        self.assertEqual(self.subscription.account_ids, self.account)

    def test_archived_accounts_have_been_used(self):
        self.account.active = False
        self.subscription.invalidate_recordset()
        self.assertEqual(self.subscription.account_ids, self.account)

    def test_an_explicit_choice(self):
        other = self._account("acme-eu", self.customer)
        self.subscription.account_filter_ids = other
        self.assertEqual(self.subscription.account_ids, other)

    def test_of_its_own_company_alone(self):
        company = self.env["res.company"].create({"name": "Sister"})
        source = self._source("sister", company=company)
        account = self._account("acme-sister", self.customer, source=source)
        self.subscription.invalidate_recordset()
        self.assertNotIn(account, self.subscription.account_ids)

    def test_buttons_show_accounts_and_usage(self):
        self.use(5)
        action = self.subscription.action_view_accounts()
        self.assertEqual(self.env[action["res_model"]].search(action["domain"]), self.account)
        action = self.subscription.action_view_usage()
        self.assertEqual(self.env[action["res_model"]].search(action["domain"]).mapped("quantity"), [5.0])


@tagged("post_install", "-at_install")
class TestCalendar(UsageBillingCommon):
    """What statements rest on stays once there are statements."""

    def test_free_before_the_first_statement(self):
        self.subscription.write({"anchor_day": 15, "tz": "Europe/Paris", "date_start": "2025-02-01"})
        self.assertEqual(self.subscription.anchor_day, 15)

    def test_kept_afterwards(self):
        self.statement()
        for vals in (
            {"anchor_day": 15},
            {"tz": "Europe/Paris"},
            {"date_start": "2025-02-01"},
            {"partner_id": self.env["res.partner"].create({"name": "New"}).id},
            {"plan_id": self._plan("new").id},
        ):
            with self.subTest(vals=vals), self.assertRaisesRegex(UserError, "has statements"):
                self.subscription.write(vals)

    def test_writing_the_same_again_is_no_change(self):
        self.statement()
        self.subscription.write({"anchor_day": 1, "partner_id": self.customer.id, "date_start": "2025-01-01"})

    def test_everything_else_can_change(self):
        self.statement()
        self.subscription.write({"date_end": "2027-01-01", "user_id": self.preparer.id})


@tagged("post_install", "-at_install")
class TestClosing(UsageBillingCommon):
    def test_ends_today(self):
        self.subscription.with_user(self.preparer).action_close()
        self.assertEqual(self.subscription.state, "closed")
        self.assertEqual(self.subscription.date_end, fields.Datetime.now().date())

    def test_keeps_an_earlier_end(self):
        self.subscription.date_end = "2025-06-30"
        self.subscription.action_close()
        self.assertEqual(str(self.subscription.date_end), "2025-06-30")

    def test_before_it_began(self):
        tomorrow = fields.Date.today() + timedelta(days=30)
        self.subscription.write({"date_start": tomorrow})
        self.subscription.action_close()
        self.assertEqual(self.subscription.date_end, tomorrow)
        self.assertFalse(self.subscription.statement_ids)

    def test_has_all_its_statements(self):
        self.subscription.date_end = "2025-03-15"
        self.subscription.action_close()
        self.assertEqual(
            sorted(self.subscription.statement_ids.mapped("period_start")),
            [datetime(2025, 1, 1), datetime(2025, 2, 1), datetime(2025, 3, 1)],
        )

    def test_usage_after_the_end_is_not_billed(self):
        self.subscription.date_end = "2025-03-15"
        self.use(3, datetime(2025, 3, 15, 23, 59))
        self.use(5, datetime(2025, 3, 16))
        self.assertEqual(self.rated().charge_ids.quantity, 3)

    def test_no_statement_after_the_end(self):
        self.subscription.date_end = "2025-03-15"
        self.assertTrue(self.subscription._ensure_statement(MARCH))
        self.assertFalse(self.subscription._ensure_statement(datetime(2025, 3, 16)))
        self.assertFalse(self.subscription._ensure_statement(datetime(2024, 12, 31)))

    def test_no_statement_of_a_draft(self):
        draft = self._subscription(active=False, partner_id=self.env["res.partner"].create({"name": "New"}).id)
        self.assertFalse(draft._ensure_statement(MARCH))


@tagged("post_install", "-at_install")
class TestLines(UsageBillingCommon):
    def test_included_quantity_is_that_of_the_price_unless_changed(self):
        price = self._price(unit_amount=1, included_quantity=100)
        draft = self._subscription(active=False, line_ids=[Command.create({"price_id": price.id})])
        self.assertEqual(draft.line_ids.included_quantity, 100)
        draft.line_ids.included_quantity = 250
        self.assertEqual(draft.line_ids._definition()["included_quantity"], "250")
        self.assertIn("First 250 included", draft.line_ids.description)

    def test_no_included_quantity_at_all(self):
        price = self._price(unit_amount=1, included_quantity=100)
        draft = self._subscription(
            active=False, line_ids=[Command.create({"price_id": price.id, "included_quantity": 0})]
        )
        self.assertNotIn("included_quantity", draft.line_ids._definition())

    def test_a_charged_line_is_not_deleted(self):
        self.use(1)
        self.rated()
        with self.assertRaisesRegex(UserError, "Until"):
            self.subscription.line_ids.unlink()

    def test_an_uncharged_line_is(self):
        self.subscription.line_ids.unlink()
        self.assertFalse(self.subscription.line_ids)

    def test_ends_after_it_begins(self):
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.env.cr.savepoint():
            self.subscription.line_ids.write({"date_from": "2025-03-02", "date_to": "2025-03-01"})

    def test_name(self):
        self.assertEqual(self.subscription.line_ids.display_name, f"{self.subscription.name} · Tokens")
