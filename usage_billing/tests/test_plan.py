from psycopg2 import IntegrityError

from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import UsageBillingCommon


@tagged("post_install", "-at_install")
class TestPlan(UsageBillingCommon):
    def test_code_is_unique_in_the_company(self):
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.env.cr.savepoint():
            self._plan("standard")

    def test_constraints_exist(self):
        self.env.cr.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid IN ("
            "'usage_plan'::regclass, 'usage_price'::regclass, 'usage_subscription'::regclass, "
            "'usage_subscription_line'::regclass, 'usage_statement'::regclass, 'usage_charge'::regclass, "
            "'usage_reconciliation'::regclass, 'res_company'::regclass) AND contype IN ('u', 'c')"
        )
        names = {name for [name] in self.env.cr.fetchall()}
        self.assertLessEqual(
            {
                "usage_plan_code_uniq",
                "usage_price_validity",
                "usage_subscription_anchor_day",
                "usage_subscription_date_order",
                "usage_subscription_line_date_order",
                "usage_statement_period_uniq",
                "usage_statement_period_order",
                "usage_charge_line_uniq",
                "usage_reconciliation_charge_uniq",
                "res_company_usage_rating_delay",
            },
            names,
        )
        self.env.cr.execute("SELECT indexname FROM pg_indexes WHERE indexname = 'usage_charge_move_line_uniq'")
        self.assertTrue(self.env.cr.fetchone())

    def test_currency_is_that_of_the_company(self):
        self.assertEqual(self.plan.currency_id, self.company.currency_id)

    def test_a_copy_has_its_own_code_and_draft_prices(self):
        copy = self.plan.copy()
        self.assertEqual((copy.code, copy.name), ("standard-copy", "Standard (copy)"))
        self.assertEqual(copy.price_ids.mapped("state"), ["draft"])
        self.assertEqual(copy.subscription_count, 0)

    def test_a_copy_takes_given_values(self):
        self.assertEqual(self.plan.copy({"code": "other"}).code, "other")

    def test_counts_and_shows_its_subscriptions(self):
        self.assertEqual(self.plan.subscription_count, 1)
        action = self.plan.action_view_subscriptions()
        self.assertEqual(self.env[action["res_model"]].search(action["domain"]), self.subscription)

    def test_a_plan_in_use_is_not_deleted(self):
        with self.assertRaisesRegex(UserError, f"such as {self.subscription.name}. Archive the plan"):
            self.plan.unlink()

    def test_approved_prices_are_not_deleted_with_their_plan(self):
        plan = self._plan("gold")
        price = self._price(plan_id=plan.id, unit_amount=1)
        with self.assertRaisesRegex(UserError, "such as that of Tokens. Archive the plan"):
            plan.unlink()
        price.with_user(self.admin).action_reset_to_draft()
        plan.unlink()
        self.assertFalse(price.exists())

    def test_prices_take_company_and_currency_of_the_plan(self):
        self.assertEqual(self.price.company_id, self.company)
        self.assertEqual(self.price.currency_id, self.plan.currency_id)
