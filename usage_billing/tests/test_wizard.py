from datetime import datetime, timedelta

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import Form, tagged

from .common import UsageBillingCommon


@tagged("post_install", "-at_install")
class TestPrepareWizard(UsageBillingCommon):
    def prepare(self, person=None, **values):
        wizard = self.env["usage.statement.prepare"].with_user(person or self.preparer).create(values)
        action = wizard.action_prepare()
        return self.env[action["res_model"]].search(action["domain"])

    def test_rates_all_active_subscriptions(self):
        _partner, _account, other = self._customer("Globex")
        self.use(11)
        self.use(22, subject="globex")
        statements = self.prepare(date="2025-03-31")
        march = statements.filtered(lambda statement: str(statement.date_from) == "2025-03-01")
        found = {statement.subscription_id: (statement.state, statement.amount_untaxed) for statement in march}
        self.assertEqual(found, {self.subscription: ("rated", 5.5), other: ("rated", 11)})

    def test_a_period_is_over_with_its_last_day(self):
        self.prepare(date="2025-03-30")
        self.assertEqual(self.statement().state, "open")
        self.prepare(date="2025-03-31")
        self.assertEqual(self.statement().state, "rated")

    def test_days_are_those_of_the_subscription(self):
        for tz in ("Asia/Tokyo", "America/Los_Angeles"):
            _partner, _account, subscription = self._customer(tz.split("/")[1].lower(), tz=tz)
            self.prepare(date="2025-03-30", subscription_ids=subscription.ids)
            with self.subTest(tz=tz):
                self.assertEqual(self.statement(datetime(2025, 3, 20), subscription).state, "open")
                self.prepare(date="2025-03-31", subscription_ids=subscription.ids)
                self.assertEqual(self.statement(datetime(2025, 3, 20), subscription).state, "rated")

    def test_chosen_subscriptions_alone(self):
        _partner, _account, other = self._customer("Globex")
        self.assertEqual(self.prepare(date="2025-01-31", subscription_ids=other.ids).subscription_id, other)
        self.assertFalse(self.subscription.statement_ids)

    def test_chosen_plans_alone(self):
        plan = self._plan("other")
        self._price(plan_id=plan.id, unit_amount=1)
        _partner, _account, other = self._customer("Globex", plan_id=plan.id)
        self.assertEqual(self.prepare(date="2025-01-31", plan_ids=plan.ids).subscription_id, other)

    def test_drafts_and_other_companies_are_left_alone(self):
        draft = self._subscription(active=False, partner_id=self.env["res.partner"].create({"name": "New"}).id)
        statements = self.prepare(date="2025-01-31", subscription_ids=draft.ids)
        self.assertFalse(statements)
        company = self.env["res.company"].create({"name": "Sister"})
        self.preparer.company_ids |= company
        self.assertFalse(self.prepare(date="2025-01-31", company_id=company.id))

    def test_again_changes_nothing(self):
        self.use(11)
        self.prepare(date="2025-03-31")
        before = self.subscription.statement_ids.charge_ids.ids
        self.prepare(self.both, date="2025-03-31")
        self.assertEqual(self.subscription.statement_ids.charge_ids.ids, before)
        self.assertNotIn(self.both, self.subscription.statement_ids.approval_ids.user_id)

    def test_a_day_in_the_future_is_today(self):
        self.prepare(date=fields.Date.today() + timedelta(days=400))
        self.assertEqual(self.statement(fields.Datetime.now()).state, "open")

    def test_preparers_alone(self):
        for person in (self.viewer, self.approver, self.admin):
            with self.subTest(person=person.login), self.assertRaises(AccessError):
                self.prepare(person, date="2025-03-31")

    def test_the_dialog_proposes_yesterday(self):
        form = Form(self.env["usage.statement.prepare"].with_user(self.preparer))
        self.assertEqual(form.date, fields.Date.context_today(form._env["res.users"]) - timedelta(days=1))
