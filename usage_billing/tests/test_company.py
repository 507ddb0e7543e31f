from datetime import date

from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import tagged

from .common import UsageBillingCommon
from .test_access import RIGHTS


@tagged("post_install", "-at_install")
class TestCompany(UsageBillingCommon):
    """Nobody sees or uses what belongs to a company that is not theirs."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sister = cls.env["res.company"].create({"name": "Sister"})
        company_ids = [Command.set(cls.sister.ids)]
        groups = ("usage_billing.group_billing_preparer", "usage_billing.group_billing_approver", "group_usage_admin")
        cls.stranger = cls._person("stranger", *groups, company_id=cls.sister.id, company_ids=company_ids)
        cls.stored = [model for model in RIGHTS if not cls.env[model]._transient]

    def setUp(self):
        super().setUp()
        self._price(
            unit_amount=1,
            model="graduated",
            tiers=((0, 1, 0),),
            discount_ids=[Command.create({"type": "percent", "value": 1})],
        )
        self.use(11)
        promised = self._price(unit_amount=1, commitment_type="amount", commitment_value=5)
        line = {"price_id": promised.id, "date_from": "2025-06-01"}
        self.subscription.line_ids.date_to = "2025-05-31"
        self.subscription.line_ids = [Command.create(line)]
        self.env["usage.subscription.commitment"].create(
            {"line_id": self.subscription.line_ids[-1].id, "date_from": "2025-06-01", "value": 10}
        )
        self.subscription._amend("cancel", date(2026, 1, 1))
        self.bill = self.rated()
        self.bill._reconcile()
        self.credit(10)
        self.env["usage.credit.topup"].create(
            {"partner_id": self.customer.id, "threshold": 5, "amount": 50, "product_id": self.product.id}
        )
        self.env["usage.threshold"].create({"plan_id": self.plan.id, "amount": 1_000_000})
        self.env["usage.simulation"].create(
            {"plan_id": self.plan.id, "date_from": "2025-03-01", "date_to": "2025-03-31"}
        ).action_run()

    def test_every_model_has_a_rule(self):
        for model in self.stored:
            rules = self.env["ir.rule"].search([("model_id.model", "=", model), ("groups", "=", False)])
            with self.subTest(model=model):
                self.assertIn("company_ids", "".join(rules.mapped("domain_force")))

    def test_nothing_of_another_company_is_seen(self):
        for model in self.stored:
            with self.subTest(model=model):
                self.assertTrue(self.env[model].with_user(self.viewer).search_count([]))
                self.assertFalse(self.env[model].with_user(self.stranger).search_count([]))

    def test_nothing_of_another_company_is_read(self):
        for model in self.stored:
            record = self.env[model].search([("company_id", "=", self.company.id)], limit=1)
            with self.subTest(model=model), self.assertRaises(AccessError):
                record.with_user(self.stranger).read(["display_name"])

    def test_nothing_of_another_company_is_done(self):
        for method in ("action_rate", "action_submit", "action_approve"):
            with self.subTest(method=method), self.assertRaises(UserError):
                getattr(self.bill.with_user(self.stranger), method)()
        with self.assertRaises(AccessError):
            self.subscription.with_user(self.stranger).action_close()
        self.assertEqual((self.bill.state, self.subscription.state), ("rated", "active"))

    def test_a_missing_right_is_raised_and_blocks_nothing(self):
        """Not turned into a reason on the statement."""
        with self.assertRaises(AccessError):
            self.bill.with_user(self.stranger)._rate(self.bill.period_end)
        self.assertEqual((self.bill.state, self.bill.blocked_reason), ("rated", False))

    def test_companies_are_not_mixed(self):
        meter = self._meter("sister", company_id=self.sister.id)
        plan = self._plan("sister", company_id=self.sister.id)
        with self.assertRaises(UserError):
            self.env["usage.price"].create(
                {"plan_id": self.plan.id, "meter_id": meter.id, "product_id": self.product.id, "unit_amount": 1}
            )
        with self.assertRaises(UserError):
            self._subscription(active=False, plan_id=plan.id)
        with self.assertRaises(UserError):
            self.subscription.account_filter_ids = self._account(
                "foreign", source=self._source("foreign", company=self.sister)
            )
        product = self._service("Foreign", company_id=self.sister.id)
        with self.assertRaises(UserError):
            self._price(approved=False, product_id=product.id, unit_amount=1)

    def test_a_plan_of_each_company_may_have_the_same_code(self):
        self.assertTrue(self._plan("standard", company_id=self.sister.id))
