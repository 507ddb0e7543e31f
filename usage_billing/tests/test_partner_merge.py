from odoo.exceptions import ValidationError
from odoo.tests import Form, tagged

from .common import END, MARCH, UsageBillingCommon


@tagged("post_install", "-at_install")
class TestPartnerMerge(UsageBillingCommon):
    """Odoo's own dialog for duplicate contacts carries subscriptions and statements over, and bills nothing twice."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.twin, cls.twins_account, cls.twins_subscription = cls._customer("Twin")
        cls.use(10)
        cls.use(200, subject="twin")
        cls.person = cls._person("keeper", "base.group_partner_manager", "base.group_user")

    def merge(self, partners, into):
        wizards = self.env["base.partner.merge.automatic.wizard"].with_user(self.person)
        with Form(wizards.with_context(active_model="res.partner", active_ids=(partners | into).ids)) as form:
            form.dst_partner_id = into
        form.record.action_merge()
        self.env.invalidate_all()

    def amounts(self):
        statements = self.statement() | self.statement(subscription=self.twins_subscription)
        statements._rate(END)
        return [statement.amount_untaxed for statement in statements]

    def test_each_bills_what_it_billed(self):
        self.assertEqual(self.amounts(), [5, 100])
        self.rated()
        self.merge(self.twin, self.customer)
        self.assertFalse(self.twin.exists())
        both = self.subscription | self.twins_subscription
        self.assertEqual(both.partner_id, self.customer)
        self.assertEqual(both.commercial_partner_id, self.customer)
        self.assertEqual(both.statement_ids.mapped("commercial_partner_id"), self.customer)
        self.assertEqual((self.account | self.twins_account).partner_id, self.customer)
        self.assertEqual(self.subscription.account_filter_ids, self.account)
        self.assertEqual(self.twins_subscription.account_filter_ids, self.twins_account)
        self.assertIn("was merged", " ".join(self.twins_subscription.message_ids.mapped("body")))
        self.use(1)
        self.use(20, subject="twin")
        self.assertEqual(self.amounts(), [5.5, 110])

    def test_one_subscription_bills_all(self):
        self.twins_subscription.action_close()
        self.merge(self.twin, self.customer)
        self.assertFalse(self.subscription.account_filter_ids)
        self.assertEqual(self.subscription.account_ids, self.account | self.twins_account)

    def test_contacts_of_the_same_company(self):
        """Their accounts were billed by the company's subscription before."""
        contact = self.env["res.partner"].create({"name": "Ann", "parent_id": self.customer.id})
        account = self._account("ann", contact)
        self.merge(contact, self.env["res.partner"].create({"name": "Anne", "parent_id": self.customer.id}))
        self.assertFalse(self.subscription.account_filter_ids)
        self.assertIn(account, self.subscription.account_ids)

    def test_posted_statements_stay_as_they_are(self):
        statement = self.statement(MARCH, self.twins_subscription)
        self.advance(statement, "approved")
        charge = statement.charge_ids.read(["result", "fingerprint", "amount"])
        self.merge(self.twin, self.customer)
        self.assertEqual(statement.charge_ids.read(["result", "fingerprint", "amount"]), charge)
        self.assertEqual((statement.state, statement.partner_id), ("approved", self.customer))
        self.assertEqual(statement.charge_ids.partner_id, self.customer)

    def test_refused_where_it_would_bill_twice(self):
        """An account that changed hands between the two would be billed by both for all time."""
        self.twins_account._assign(self.customer, MARCH)
        with self.assertRaisesRegex(ValidationError, "billed by"), self.cr.savepoint():
            self.merge(self.twin, self.customer)
        self.twins_subscription.action_close()
        self.merge(self.twin, self.customer)
