from datetime import timedelta

from odoo.exceptions import ValidationError
from odoo.fields import Command
from odoo.tests import tagged

from .common import MARCH, UsageInvoicingCommon


@tagged("post_install", "-at_install")
class TestSubscriptionInvoicing(UsageInvoicingCommon):
    """Invoice address, fiscal position, payment terms and analytic accounts, on the posted invoice."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.use(11)

    def test_as_the_subscription_says(self):
        address = self.env["res.partner"].create({"name": "Billing", "parent_id": self.customer.id, "type": "other"})
        term = self.env["account.payment.term"].create(
            {
                "name": "12 days",
                "company_id": self.company.id,
                "line_ids": [Command.create({"value": "percent", "value_amount": 100, "nb_days": 12})],
            }
        )
        position = self.env["account.fiscal.position"].create({"name": "Abroad", "company_id": self.company.id})
        untaxed = self.env["account.tax"].create({"name": "Nothing", "amount": 0, "company_id": self.company.id})
        tax = self.env["account.tax"].create({"name": "Ten", "amount": 10, "company_id": self.company.id})
        untaxed.write({"fiscal_position_ids": [Command.set(position.ids)], "original_tax_ids": [Command.set(tax.ids)]})
        self.product.taxes_id = tax
        analytic_plan = self.env["account.analytic.plan"].create({"name": "Teams"})
        team = self.env["account.analytic.account"].create({"name": "API", "plan_id": analytic_plan.id})
        self.subscription.with_user(self.preparer).write(
            {
                "partner_invoice_id": address.id,
                "payment_term_id": term.id,
                "fiscal_position_id": position.id,
                "analytic_distribution": {str(team.id): 100},
            }
        )
        move = self.posted().move_id
        line = move.invoice_line_ids
        self.assertEqual((move.state, move.partner_id, move.commercial_partner_id), ("posted", address, self.customer))
        self.assertEqual((move.fiscal_position_id, line.tax_ids), (position, untaxed))
        self.assertEqual(move.invoice_date_due, move.invoice_date + timedelta(days=12))
        self.assertEqual(line.analytic_distribution, {str(team.id): 100})
        self.assertEqual(sum(line.analytic_line_ids.mapped("amount")), 5.5)

    def test_else_as_the_customer_says(self):
        address = self.env["res.partner"].create({"name": "Desk", "parent_id": self.customer.id, "type": "invoice"})
        term = self.env.ref("account.account_payment_term_30days")
        self.customer.property_payment_term_id = term
        move = self.invoiced(MARCH).move_id
        self.assertEqual((move.partner_id, move.invoice_payment_term_id), (address, term))
        self.assertFalse(move.invoice_line_ids.analytic_distribution)

    def test_the_address_is_one_of_the_customer(self):
        stranger = self.env["res.partner"].create({"name": "Stranger"})
        with self.assertRaisesRegex(ValidationError, "Invoice Address: Stranger is no contact"):
            self.subscription.partner_invoice_id = stranger
