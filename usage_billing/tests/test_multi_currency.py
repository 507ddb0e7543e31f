from odoo.exceptions import UserError
from odoo.tests import tagged

from .common import UsageInvoicingCommon


@tagged("post_install", "-at_install")
class TestMultiCurrency(UsageInvoicingCommon):
    """Charges, invoices and reconciliation in the currency of the plan."""

    def subscribe(self, code, unit_amount, **currency):
        currency = self.setup_other_currency(code, **currency)
        plan = self._plan(code.lower(), currency_id=currency.id)
        self._price(plan_id=plan.id, unit_amount=unit_amount)
        partner = self.env["res.partner"].create({"name": code, "is_company": True})
        self._account(code.lower(), partner)
        return self._subscription(partner_id=partner.id, plan_id=plan.id)

    def test_another_currency_with_a_rate(self):
        subscription = self.subscribe("EUR", 0.5)
        self.use(11, subject="eur")
        statement = self.posted(subscription=subscription)
        move = statement.move_id
        self.assertEqual((move.currency_id.name, move.amount_untaxed), ("EUR", 5.5))
        self.assertNotEqual(abs(move.invoice_line_ids.balance), 5.5, "the ledger is in the company's currency")
        row = statement.reconciliation_ids
        self.assertEqual((row.currency_id.name, row.amount_posted, row.difference_amount), ("EUR", 5.5, 0))
        self.assertEqual(row.state, "matched")

    def test_no_decimals(self):
        subscription = self.subscribe("JPY", 0.5, rounding=1)
        self.use(11, subject="jpy")
        statement = self.posted(subscription=subscription)
        self.assertEqual((statement.charge_ids.amount_unrounded, statement.move_id.amount_untaxed), (5.5, 6))
        self.assertEqual(statement.charge_ids.result["amount"], "6")

    def test_three_decimals(self):
        subscription = self.subscribe("BHD", 0.0005, rounding=0.001)
        self.use(11, subject="bhd")
        statement = self.posted(subscription=subscription)
        self.assertEqual((statement.charge_ids.amount_unrounded, statement.move_id.amount_untaxed), (0.0055, 0.006))

    def test_the_currency_of_the_invoice_stays(self):
        """An approved amount in one currency is not posted in another."""
        other = self.setup_other_currency("EUR")
        self.use(11)
        statement = self.invoiced()
        statement.move_id.currency_id = other
        with self.assertRaisesRegex(UserError, "as approved"):
            statement.with_user(self.approver).action_post()

    def test_in_words(self):
        subscription = self.subscribe("EUR", 0.5)
        self.assertIn("0.50 EUR", subscription.line_ids.description)
