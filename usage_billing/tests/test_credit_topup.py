from odoo.exceptions import AccessError
from odoo.tests import tagged

from .common import UsageInvoicingCommon


@tagged("post_install", "-at_install")
class TestTopup(UsageInvoicingCommon):
    """More credit is sold when too little is left. A token costs 0.50."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.rule = (
            cls.env["usage.credit.topup"]
            .with_user(cls.preparer)
            .create(
                {"partner_id": cls.customer.id, "threshold": 20, "amount": 100, "product_id": cls.credit_product.id}
            )
            .with_env(cls.env)
        )

    def run_job(self):
        with self.enter_registry_test_mode():
            self.env.ref("usage_billing.cron_credits").method_direct_trigger()
        self.env.invalidate_all()

    def sold(self):
        return self.env["usage.credit.grant"].search([("origin", "=", "bought")])

    def test_a_second_person_approves(self):
        self.run_job()
        self.assertFalse(self.sold())
        with self.assertRaises(AccessError):
            self.rule.with_user(self.preparer).action_approve()
        with self.assertRaises(AccessError):
            self.rule.with_user(self.preparer).write({"state": "active"})
        self.rule.with_user(self.approver).action_approve()
        self.assertEqual(self.rule.state, "active")
        self.rule.with_user(self.preparer).amount = 10_000
        self.assertEqual(self.rule.state, "draft", "what changes is approved again")

    def test_sells_below_the_threshold_live_usage_included(self):
        self.rule.with_user(self.approver).action_approve()
        self.credit(50)
        self.use(60)
        self.rated()
        self.run_job()
        self.assertFalse(self.sold(), "20.00 are left")
        self.use(1)
        self.rated()
        self.run_job()
        grant = self.sold()
        self.assertEqual((grant.amount, grant.state, grant.move_id.state), (100, "active", "posted"))
        self.assertTrue(grant.expires_at)
        self.run_job()
        self.assertEqual(self.sold(), grant, "119.50 are left")

    def test_waits_for_what_is_not_paid_yet(self):
        self.rule.with_user(self.preparer).available_when = "paid"
        self.rule.with_user(self.approver).action_approve()
        self.run_job()
        grant = self.sold()
        self.assertEqual((grant.state, grant.move_id.state), ("draft", "posted"))
        self.run_job()
        self.assertEqual(self.sold(), grant)

    def test_another_currency_is_approved_again(self):
        self.rule.with_user(self.approver).action_approve()
        currencies = self.env.ref("base.EUR") | self.env.ref("base.USD")
        self.rule.with_user(self.preparer).currency_id = (currencies - self.rule.currency_id)[0]
        self.assertEqual(self.rule.state, "draft")

    def test_defaults_of_the_context_approve_nothing(self):
        rules = self.env["usage.credit.topup"].with_user(self.preparer).with_context(default_state="active")
        values = {"threshold": 1, "amount": 1, "product_id": self.credit_product.id, "partner_id": self.customer.id}
        self.assertEqual(rules.create(values).state, "draft")

    def test_a_sale_that_fails_is_told_once_and_stops_nothing_else(self):
        """The sales journal is gone: the first rule fails, and credit expires all the same."""
        self.rule.with_user(self.approver).action_approve()
        other = self.env["res.partner"].create({"name": "Other"})
        grant = self.credit(10, partner_id=other.id, expires_at="2025-02-01 00:00:00")
        self.env["account.journal"].search([("type", "=", "sale")]).active = False
        for _run in range(2):
            self.run_job()
        self.assertFalse(self.sold())
        self.assertEqual((len(self.rule.activity_ids), self.rule.activity_ids.user_id), (1, self.approver))
        self.assertEqual(grant.state, "expired")

    def test_stopped_it_sells_nothing(self):
        self.rule.with_user(self.approver).action_approve()
        self.rule.with_user(self.preparer).action_stop()
        self.run_job()
        self.assertFalse(self.sold())
