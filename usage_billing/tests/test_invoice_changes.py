from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import tagged

from .common import UsageInvoicingCommon, rpc


@tagged("post_install", "-at_install")
class TestInvoiceChanges(UsageInvoicingCommon):
    """What accounting does with the invoice: the statement follows, the approval holds."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.accountant = cls._person("accountant", "account.group_account_manager")

    def setUp(self):
        super().setUp()
        self.use(11)

    def by_accountant(self, records):
        return records.with_user(self.accountant)

    # -- cancelled, deleted, reset ----------------------------------------------------------

    def test_cancelling_the_draft_releases_the_statement(self):
        statement = self.invoiced()
        first = statement.move_id
        self.by_accountant(first).button_cancel()
        self.assertEqual((statement.state, statement.move_id.id), ("approved", False))
        self.assertFalse(statement.charge_ids.move_line_id)
        self.assertTrue(self.messages(statement, "cancelled or deleted"))
        self.advance_again(statement)
        self.assertNotEqual(statement.move_id, first)

    def advance_again(self, statement):
        statement.with_user(self.approver).action_invoice()
        statement.with_user(self.approver).action_post()
        self.assertEqual((statement.state, statement.move_id.amount_untaxed), ("posted", 5.5))

    def test_a_cancelled_draft_does_not_come_back(self):
        """Otherwise the same usage would be billed twice."""
        statement = self.invoiced()
        first = statement.move_id
        self.by_accountant(first).button_cancel()
        self.by_accountant(first).button_draft()
        self.assertEqual(statement.state, "approved")
        with self.assertRaisesRegex(UserError, "is not billed by"):
            self.by_accountant(first).action_post()
        self.advance_again(statement)

    def test_deleting_the_draft_releases_the_statement(self):
        statement = self.invoiced()
        self.by_accountant(statement.move_id).unlink()
        self.assertEqual((statement.state, statement.move_id.id), ("approved", False))
        self.advance_again(statement)

    def test_reset_to_draft_and_posted_again(self):
        statement = self.posted()
        move = statement.move_id
        self.by_accountant(move).button_draft()
        self.assertEqual((statement.state, statement.move_id), ("invoiced", move))
        self.assertEqual(statement.charge_ids.move_line_id, move.invoice_line_ids)
        self.by_accountant(move).action_post()
        self.assertEqual(statement.state, "posted")
        self.assertEqual(statement.approval_ids.mapped("action").count("posted"), 2)

    def test_reset_to_draft_and_cancelled(self):
        statement = self.posted()
        self.by_accountant(statement.move_id).button_draft()
        self.by_accountant(statement.move_id).button_cancel()
        self.assertEqual((statement.state, statement.move_id.id), ("approved", False))

    def test_an_approval_is_not_withdrawn_past_the_invoice(self):
        statement = self.invoiced()
        with self.assertRaisesRegex(UserError, "this takes one that is"):
            statement.with_user(self.approver).action_reject("Too late")

    # -- altered ----------------------------------------------------------------------------

    def test_an_altered_amount_is_not_posted(self):
        statement = self.invoiced()
        line = statement.move_id.invoice_line_ids
        for vals in ({"price_unit": 1}, {"quantity": 2}, {"discount": 50}):
            before = {name: line[name] for name in vals}
            statement.move_id.invoice_line_ids = [Command.update(line.id, vals)]
            with self.subTest(vals=vals), self.assertRaisesRegex(UserError, "was approved at"):
                self.by_accountant(statement.move_id).action_post()
            statement.move_id.invoice_line_ids = [Command.update(line.id, before)]
        self.by_accountant(statement.move_id).action_post()
        self.assertEqual(statement.state, "posted")

    def test_text_and_account_may_be_changed(self):
        statement = self.invoiced()
        line = statement.move_id.invoice_line_ids
        account = self.company_data["default_account_revenue"].copy()
        line.write({"name": "Tokens in March", "account_id": account.id})
        self.by_accountant(statement.move_id).action_post()
        self.assertEqual(statement.state, "posted")

    def test_another_customer_is_not_posted(self):
        statement = self.invoiced()
        statement.move_id.partner_id = self.partner_a
        with self.assertRaisesRegex(UserError, "must go to"):
            self.by_accountant(statement.move_id).action_post()

    def test_a_line_is_not_deleted_alone(self):
        statement = self.invoiced()
        with self.assertRaisesRegex(UserError, "cancel the whole invoice"):
            self.by_accountant(statement.move_id.invoice_line_ids).unlink()

    def test_a_line_of_something_else_may_be_added(self):
        statement = self.invoiced()
        statement.move_id.invoice_line_ids = [Command.create({"product_id": self.product_a.id, "price_unit": 7})]
        self.by_accountant(statement.move_id).action_post()
        self.assertEqual((statement.state, statement.move_id.amount_untaxed), ("posted", 12.5))
        statement._reconcile()
        self.assertEqual(statement.reconciliation_ids.state, "matched")

    # -- duplicated and credited ------------------------------------------------------------

    def test_a_duplicate_is_not_posted(self):
        statement = self.posted()
        duplicate = self.by_accountant(statement.move_id).copy()
        self.assertFalse(duplicate.usage_statement_id)
        with self.assertRaisesRegex(UserError, "is not billed by"):
            duplicate.action_post()
        self.by_accountant(duplicate).unlink()
        self.assertEqual(statement.state, "posted")

    def test_a_credit_note_is_posted_and_counted(self):
        statement = self.posted()
        reversal = self.by_accountant(statement.move_id)._reverse_moves(cancel=True)
        self.assertEqual((reversal.state, statement.move_id.payment_state), ("posted", "reversed"))
        self.assertEqual(statement.state, "posted", "the period is closed: it is credited, not rewritten")
        statement._reconcile()
        row = statement.reconciliation_ids
        self.assertEqual((row.amount_charged, row.amount_invoiced, row.amount_posted), (5.5, 0, 0))
        self.assertEqual((row.difference_amount, row.state), (5.5, "different"))
        self.assertTrue(statement.is_different)

    def test_a_draft_credit_note_is_invoiced_but_not_posted(self):
        statement = self.posted()
        self.by_accountant(statement.move_id)._reverse_moves()
        statement._reconcile()
        row = statement.reconciliation_ids
        self.assertEqual((row.amount_invoiced, row.amount_posted, row.difference_amount), (0, 5.5, 0))

    # -- forged -----------------------------------------------------------------------------

    def test_the_statement_of_an_invoice_is_not_forged(self):
        statement = self.invoiced()
        move = self.by_accountant(self.env["account.move"]).create(
            {"move_type": "out_invoice", "partner_id": self.customer.id, "usage_statement_id": statement.id}
        )
        self.assertFalse(move.usage_statement_id)
        for records in (self.by_accountant(move), move.sudo()):
            with self.assertRaisesRegex(UserError, "Create Invoice"):
                records.write({"usage_statement_id": statement.id})
        with self.assertRaises(UserError):
            rpc(self.by_accountant(statement.move_id), "write", {"usage_statement_id": False})

    def test_the_charge_of_a_line_is_not_forged(self):
        statement = self.invoiced()
        line = statement.move_id.invoice_line_ids
        for records in (self.by_accountant(line), line.sudo()):
            with self.assertRaisesRegex(UserError, "stays as it was made"):
                records.write({"usage_charge_id": False})

    def test_a_forged_line_is_not_posted(self):
        self.use(5, subject="acme")
        charge = self.rated().charge_ids
        move = self.by_accountant(self.env["account.move"]).create(
            {
                "move_type": "out_invoice",
                "partner_id": self.customer.id,
                "invoice_line_ids": [
                    Command.create({"product_id": self.product.id, "price_unit": 8, "usage_charge_id": charge.id})
                ],
            }
        )
        with self.assertRaisesRegex(UserError, "is not billed by"):
            move.action_post()

    def test_other_invoices_are_none_of_our_business(self):
        move = self.by_accountant(self.env["account.move"]).create(
            {
                "move_type": "out_invoice",
                "partner_id": self.customer.id,
                "invoice_line_ids": [Command.create({"product_id": self.product.id, "price_unit": 8})],
            }
        )
        move.action_post()
        move.button_draft()
        move.button_cancel()
        self.assertEqual(move.state, "cancel")
