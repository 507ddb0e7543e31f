from datetime import datetime
from decimal import Decimal

from odoo import fields
from odoo.exceptions import AccessError
from odoo.fields import Command
from odoo.tests import tagged

from .common import MARCH, UsageInvoicingCommon, rpc


@tagged("post_install", "-at_install")
class TestReconciliation(UsageInvoicingCommon):
    def row(self, statement):
        statement._reconcile()
        return statement.reconciliation_ids

    def test_everything_matches(self):
        self.use(11)
        statement = self.posted()
        row = statement.reconciliation_ids  # made by posting
        self.assertEqual((row.quantity_events, row.quantity_aggregates, row.quantity_charged), (11, 11, 11))
        self.assertEqual((row.amount_charged, row.amount_invoiced, row.amount_posted), (5.5, 5.5, 5.5))
        self.assertEqual((row.difference_quantity, row.difference_amount, row.state), (0, 0, "matched"))
        self.assertEqual((row.partner_id, row.meter_id, row.product_id), (self.customer, self.meter, self.product))
        self.assertEqual((row.charge_id, row.statement_id), (statement.charge_ids, statement))
        self.assertFalse(statement.is_different)
        self.assertTrue(statement.reconciled_date)

    def test_money_is_compared_as_far_as_it_has_come(self):
        self.use(11)
        for state, invoiced, posted in (
            ("rated", 0, 0),
            ("to_approve", 0, 0),
            ("approved", 0, 0),
            ("invoiced", 5.5, 0),
            ("posted", 5.5, 5.5),
        ):
            statement = self.step(state)
            row = self.row(statement)
            with self.subTest(state=state):
                self.assertEqual((row.amount_invoiced, row.amount_posted), (invoiced, posted))
                self.assertEqual((row.difference_amount, row.state), (0, "matched"))

    def step(self, state):
        person = self.preparer if state in ("rated", "to_approve") else self.approver
        methods = {
            "rated": "action_rate",
            "to_approve": "action_submit",
            "approved": "action_approve",
            "invoiced": "action_invoice",
            "posted": "action_post",
        }
        statement = self.statement()
        getattr(statement.with_user(person), methods[state])()
        return statement

    def test_late_usage_shows_and_changes_nothing(self):
        self.use(11)
        statement = self.posted()
        self.use(4)
        row = self.row(statement)
        self.assertEqual((row.quantity_events, row.quantity_aggregates, row.quantity_charged), (15, 15, 11))
        self.assertEqual((row.difference_quantity, row.difference_amount, row.state), (4, 0, "different"))
        self.assertEqual(statement.amount_untaxed, 5.5)

    def test_a_damaged_aggregate_shows(self):
        self.use(11)
        statement = self.rated()
        self.env.cr.execute("UPDATE usage_aggregate SET quantity = 10 WHERE account_id = %s", [self.account.id])
        row = self.row(statement)
        self.assertEqual((row.quantity_events, row.quantity_aggregates, row.quantity_charged), (11, 10, 11))
        self.assertEqual((row.difference_quantity, row.state), (0, "different"))

    def test_usage_that_was_moved_shows(self):
        self.use(11)
        statement = self.rated()
        self.account.partner_id = self.partner_a
        self.assertEqual(self.row(statement).difference_quantity, -11)

    def test_exact_to_the_last_digit(self):
        self.use(Decimal("12345678901234567.1"))
        self.use(Decimal("0.1"))
        row = self.row(self.rated())
        self.env.flush_all()
        self.env.cr.execute("SELECT quantity_events::text FROM usage_reconciliation WHERE id = %s", [row.id])
        self.assertEqual(self.env.cr.fetchone()[0], "12345678901234567.2")
        self.assertEqual(row.state, "matched")

    def test_a_row_for_every_charge(self):
        requests = self._meter("requests")
        self._recount()
        price = self._price(meter_id=requests.id, unit_amount=1)
        self.subscription.line_ids = [Command.create({"price_id": price.id})]
        self.use(2)
        self.use(3)
        statement = self.posted()
        found = {row.meter_id.code: (row.quantity_charged, row.amount_posted) for row in statement.reconciliation_ids}
        self.assertEqual(found, {"tokens": (5, 2.5), "requests": (2, 2)})

    def test_time_zones_inside_an_hour(self):
        _partner, _account, subscription = self._customer("Nepal", tz="Asia/Kathmandu")
        for minute in (0, 14, 15, 59):
            self.use(1, datetime(2025, 3, 31, 18, minute), subject="nepal")
        statement = self.posted(subscription=subscription)
        self.assertEqual(statement.reconciliation_ids.quantity_charged, 2)
        self.assertEqual(statement.reconciliation_ids.state, "matched")

    def test_open_statements_are_not_compared(self):
        statement = self.statement(fields.Datetime.now())
        self.assertFalse(self.row(statement))
        self.assertFalse(statement.reconciled_date)

    def test_made_anew_each_time(self):
        self.use(11)
        statement = self.rated()
        first = self.row(statement)
        second = self.row(statement)
        self.assertFalse(first.exists())
        self.assertEqual(len(second), 1)

    def test_rating_again_drops_what_was_compared(self):
        self.use(11)
        statement = self.rated()
        self.row(statement)
        self.use(1)
        statement.with_user(self.preparer).action_rate()
        self.assertFalse(statement.reconciliation_ids)

    def test_nobody_enters_or_changes_a_row(self):
        self.use(11)
        row = self.row(self.rated())
        for person in (self.viewer, self.preparer, self.approver, self.admin):
            with self.subTest(person=person.login):
                with self.assertRaises(AccessError):
                    rpc(row.with_user(person), "write", {"state": "different"})
                with self.assertRaises(AccessError):
                    row.with_user(person).unlink()
                with self.assertRaises(AccessError):
                    row.with_user(person).create(row.copy_data()[0])
        with self.assertRaises(AccessError):
            row.sudo().write({"state": "different"})

    def test_the_button(self):
        self.use(11)
        statement = self.rated()
        for person in (self.preparer, self.approver):
            action = statement.with_user(person).action_reconcile()
            rows = self.env[action["res_model"]].with_user(person).search(action["domain"])
            self.assertEqual(rows.statement_id, statement)
        for person in (self.viewer, self.operator, self.admin):
            with self.subTest(person=person.login), self.assertRaises(AccessError):
                statement.with_user(person).sudo().action_reconcile()
        self.assertEqual(statement.reconciliation_ids.action_view_statement()["res_id"], statement.id)

    def test_statements_with_differences_are_found(self):
        self.use(11)
        statement = self.posted()
        different = [("is_different", "=", True), ("id", "=", statement.id)]
        same = [("is_different", "=", False), ("id", "=", statement.id)]
        self.assertFalse(self.env["usage.statement"].search(different))
        self.assertTrue(self.env["usage.statement"].search(same))
        self.use(1, MARCH)
        statement._reconcile()
        self.assertTrue(self.env["usage.statement"].search(different))
        self.assertFalse(self.env["usage.statement"].search(same))

    def test_posting_in_accounting_wakes_the_job(self):
        self.use(11)
        statement = self.invoiced()
        self.row(statement)
        self.env["ir.cron.trigger"].search([]).unlink()
        statement.move_id.with_user(self.approver).action_post()
        self.assertFalse(statement.reconciled_date)
        cron = self.env.ref("usage_billing.cron_reconcile")
        self.assertTrue(self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id)]))
