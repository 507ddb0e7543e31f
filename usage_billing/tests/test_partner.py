from odoo.exceptions import AccessError
from odoo.tests import tagged

from .common import UsageBillingCommon


@tagged("post_install", "-at_install")
class TestPartner(UsageBillingCommon):
    """From the customer to usage, subscriptions and statements, in one click each."""

    def test_counts(self):
        self.statement()
        self.assertEqual(self.customer.usage_subscription_count, 1)
        self.assertEqual(self.customer.usage_statement_count, 1)

    def test_counts_of_a_contact_are_those_of_the_company(self):
        contact = self.env["res.partner"].create({"name": "Finance", "parent_id": self.customer.id})
        self.assertEqual(contact.usage_subscription_count, 1)

    def test_counts_of_others_are_zero(self):
        other = self.env["res.partner"].create({"name": "Other"})
        self.assertEqual((other.usage_subscription_count, other.usage_statement_count), (0, 0))

    def test_buttons(self):
        statement = self.statement()
        action = self.customer.action_view_usage_subscriptions()
        self.assertEqual(self.env[action["res_model"]].search(action["domain"]), self.subscription)
        action = self.customer.action_view_usage_statements()
        self.assertEqual(self.env[action["res_model"]].search(action["domain"]), statement)

    def test_merging_two_contacts_carries_everything_over(self):
        self.use(11)
        statement = self.rated()
        duplicate = self.env["res.partner"].create({"name": "Acme Limited", "is_company": True})
        wizard = self.env["base.partner.merge.automatic.wizard"].create({})
        wizard._merge((self.customer | duplicate).ids, duplicate)
        self.env.invalidate_all()
        self.assertEqual((self.subscription.partner_id, statement.partner_id), (duplicate, duplicate))
        self.assertEqual((statement.charge_ids.partner_id, statement.commercial_partner_id), (duplicate, duplicate))
        self.assertEqual(self.subscription.account_ids, self.account)
        statement.with_user(self.preparer).action_rate()
        self.assertEqual(statement.amount_untaxed, 5.5)

    def test_the_form_opens_for_everybody(self):
        clerk = self._person("clerk", "base.group_user")
        arch = self.env["res.partner"].with_user(clerk).get_view(view_type="form")["arch"]
        self.assertNotIn("usage_statement_count", arch)
        arch = self.env["res.partner"].with_user(self.viewer).get_view(view_type="form")["arch"]
        self.assertIn("usage_statement_count", arch)
        with self.assertRaises(AccessError):
            self.customer.with_user(clerk).read(["usage_statement_count"])
