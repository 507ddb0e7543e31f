from datetime import datetime
from decimal import Decimal

from odoo.fields import Command
from odoo.tests import tagged

from .common import END, MARCH, START, UsageBillingCommon

CHANGE = datetime(2025, 3, 15)


@tagged("post_install", "-at_install")
class TestChangingHands(UsageBillingCommon):
    """An account is billed to each of its customers for the time that it was theirs."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.buyer, cls.buyers_account, cls.buyers_subscription = cls._customer("Buyer")
        for day in (3, 10, 15, 20, 28):
            cls.use(day, at=datetime(2025, 3, day))

    def quantities(self):
        """What March comes to for the first customer and for the buyer."""
        statements = self.statement() | self.statement(subscription=self.buyers_subscription)
        statements._rate(END)
        return [Decimal(statement.charge_ids.result["quantity"]) for statement in statements]

    def test_from_a_date(self):
        self.assertEqual(self.quantities(), [76, 0])
        self.account._assign(self.buyer, CHANGE)
        self.assertEqual(self.quantities(), [13, 63])
        self.account.partner_id = self.buyer
        self.assertEqual(self.quantities(), [0, 76])

    def test_for_a_time(self):
        self.account._assign(self.buyer, CHANGE, datetime(2025, 3, 20))
        self.assertEqual(self.quantities(), [61, 15])
        accounts = self.buyers_account | self.account
        self.assertEqual(self.buyers_subscription.account_ids, accounts)
        self.assertEqual(
            self.statement(subscription=self.buyers_subscription).charge_ids.source_accounts, accounts.ids[::-1]
        )

    def test_usage_of_nobody_is_billed_to_nobody(self):
        self.account.assignment_ids.date_to = CHANGE
        self.assertEqual(self.quantities(), [13, 0])
        self.assertTrue(self.exceptions(reason="account_inactive", state="open"))

    def test_a_child_that_is_billed_at_its_parent(self):
        child = self._account("child", parent_id=self.account.id, billed_at_parent=True)
        self.use(100, subject="child", at=MARCH)
        self.use(1000, subject="child", at=datetime(2025, 3, 21))
        self.assertEqual(self.quantities(), [1176, 0])
        self.account._assign(self.buyer, CHANGE)
        self.assertEqual(self.quantities(), [113, 1063])
        self.assertIn(child, self.subscription.account_ids)

    def test_a_merged_account(self):
        twin = self._account("acme-inc", self.buyer)
        self.use(100, subject="acme-inc")
        self.assertEqual(self.quantities(), [76, 100])
        twin._merge_into(self.account)
        self.use(1000, subject="acme-inc")
        self.assertEqual(self.quantities(), [1176, 0])
        twin.action_undo_merge()
        self.assertEqual(self.quantities(), [1076, 100])

    def test_only_these_accounts(self):
        self.account._assign(self.buyer, CHANGE)
        self.buyers_subscription.account_filter_ids = [Command.set(self.account.ids)]
        self.use(5, subject="buyer")
        self.assertEqual(self.quantities(), [13, 63])

    def test_compared(self):
        self.account._assign(self.buyer, CHANGE)
        self.quantities()
        statements = self.statement() | self.statement(subscription=self.buyers_subscription)
        statements._reconcile()
        self.assertEqual(statements.reconciliation_ids.mapped("state"), ["matched"] * 2)
        self.account.partner_id = self.customer
        statements._reconcile()
        self.assertEqual(sorted(statements.reconciliation_ids.mapped("difference_quantity")), [-63, 63])

    def test_walked_down(self):
        """From a charge and a statement to the hours that were the customer's."""
        self.account._assign(self.buyer, CHANGE)
        self.quantities()
        for records in (self.statement(), self.statement().charge_ids, self.subscription):
            action = records.action_view_usage()
            usage = self.env[action["res_model"]].search(action["domain"])
            with self.subTest(records._name):
                self.assertEqual(sorted(usage.mapped("quantity")), [3, 10])

    def test_one_query_for_all(self):
        spans = (self.subscription | self.buyers_subscription)._spans()
        self.env.flush_all()
        with self.assertQueryCount(1):
            again = (self.subscription | self.buyers_subscription)._spans()
        self.assertEqual(again, spans)

    def test_periods_do_not_matter(self):
        self.account._assign(self.buyer, START)
        self.assertEqual(self.quantities(), [0, 76])
