from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .common import UsageBillingCommon, rpc


@tagged("post_install", "-at_install")
class TestStatement(UsageBillingCommon):
    def test_numbered(self):
        self.assertRegex(self.statement().name, r"^USTM/\d+$")
        self.assertEqual(self.statement().display_name, f"{self.statement().name} · Acme Ltd")

    def test_period_in_words(self):
        self.assertEqual(self.statement().period_label, "03/01/2025 – 03/31/2025")

    def test_made_by_the_system_alone(self):
        vals = self.subscription._statement_vals(5)
        for person in (self.viewer, self.preparer, self.approver, self.admin):
            with self.subTest(person=person.login), self.assertRaises(AccessError):
                self.env["usage.statement"].with_user(person).create(vals)
        with self.assertRaises(AccessError):
            self.env["usage.statement"].sudo().create(vals)

    def test_never_deleted(self):
        statement = self.statement()
        for records in (statement.with_user(self.admin), statement.sudo()):
            with self.assertRaises(AccessError):
                records.unlink()

    def test_never_copied(self):
        with self.assertRaises(AccessError):
            self.statement().copy()

    def test_amount_is_the_sum_of_its_charges(self):
        self.use(11)
        statement = self.rated()
        self.assertEqual((statement.amount_untaxed, statement.charge_count), (5.5, 1))

    def test_explanation_of_all_charges(self):
        self.use(11)
        html = self.rated().explanation_html
        for text in ("Tokens", "0.50 USD per unit", "11 unit × 0.50 USD", "5.50 USD"):
            self.assertIn(text, html)

    def test_buttons_show_charges_and_usage(self):
        self.use(11)
        statement = self.rated()
        action = statement.action_view_charges()
        self.assertEqual(self.env[action["res_model"]].search(action["domain"]), statement.charge_ids)
        action = statement.action_view_usage()
        self.assertEqual(self.env[action["res_model"]].search(action["domain"]).mapped("quantity"), [11])

    def test_found_by_the_name_of_its_customer(self):
        statement = self.statement()
        self.assertIn(statement.id, [id_ for id_, _name in self.env["usage.statement"].name_search("Acme Ltd")])


@tagged("post_install", "-at_install")
class TestApproval(UsageBillingCommon):
    def setUp(self):
        super().setUp()
        self.use(10)

    def steps(self, statement):
        return [(step.action, step.user_id, step.amount) for step in statement.approval_ids.sorted("id")]

    def test_every_step_is_logged(self):
        statement = self.advance(self.statement(), "approved")
        self.assertEqual(
            self.steps(statement),
            [("rated", self.preparer, 5), ("submitted", self.preparer, 5), ("approved", self.approver, 5)],
        )
        self.assertEqual(statement.prepared_by_id, self.preparer)
        self.assertEqual((statement.submitted_by_id, statement.approved_by_id), (self.preparer, self.approver))
        self.assertTrue(statement.rated_date <= statement.submitted_date <= statement.approved_date)

    def test_rejected_with_a_reason(self):
        statement = self.advance(self.statement(), "to_approve")
        statement.with_user(self.approver).action_reject("The contract says 0.40")
        self.assertEqual((statement.state, statement.submitted_by_id.id), ("rated", False))
        step = self.last_step(statement)
        self.assertEqual((step.action, step.user_id, step.note), ("rejected", self.approver, "The contract says 0.40"))
        self.assertTrue(self.messages(statement, "The contract says 0.40"))

    def test_an_approval_can_be_withdrawn_before_there_is_an_invoice(self):
        statement = self.advance(self.statement(), "approved")
        statement.with_user(self.approver).action_reject("Wrong month")
        self.assertEqual((statement.state, statement.approved_by_id.id), ("rated", False))
        self.advance(statement, "approved")

    def test_not_rejected_without_a_reason(self):
        statement = self.advance(self.statement(), "to_approve")
        for reason in ("", "  ", False):
            with self.assertRaisesRegex(UserError, "Say why"):
                statement.with_user(self.approver).action_reject(reason)

    def test_the_dialog_rejects(self):
        statement = self.advance(self.statement(), "to_approve")
        action = statement.with_user(self.approver).action_open_reject()
        wizard = (
            self.env[action["res_model"]]
            .with_user(self.approver)
            .with_context(**action["context"])
            .create({"reason": "Too much"})
        )
        wizard.action_reject()
        self.assertEqual((statement.state, self.last_step(statement).note), ("rated", "Too much"))

    def test_steps_are_taken_in_order(self):
        statement = self.statement()
        for method in ("action_submit", "action_approve", "action_invoice", "action_post"):
            person = self.preparer if method == "action_submit" else self.approver
            with self.subTest(method=method), self.assertRaisesRegex(UserError, "this takes one that is"):
                getattr(statement.with_user(person), method)()
        self.assertEqual(statement.state, "open")

    def test_several_at_once_all_or_none(self):
        statements = self.subscription._ensure_statements(self.statement().period_start)
        statements |= self.statement()
        statements.with_user(self.preparer).action_rate()
        statements[:1].with_user(self.preparer).action_submit()
        with self.assertRaises(UserError):
            statements.with_user(self.preparer).action_submit()
        statements[1:].with_user(self.preparer).action_submit()
        statements.with_user(self.approver).action_approve()
        self.assertEqual(set(statements.mapped("state")), {"approved"})

    def test_state_changes_are_tracked(self):
        statement = self.statement()
        self.env.flush_all()
        self.advance(statement, "to_approve")
        self.flush_tracking()
        changes = statement.message_ids.tracking_value_ids.mapped("new_value_char")
        self.assertIn("To Approve", changes)

    def flush_tracking(self):
        """Write the tracking messages that Odoo keeps for the end of the transaction."""
        self.env.flush_all()
        self.cr.precommit.run()


@tagged("post_install", "-at_install")
class TestApprovalLog(UsageBillingCommon):
    """Approvals are facts: appended by the buttons, and by nothing else."""

    def setUp(self):
        super().setUp()
        self.step = self.rated().approval_ids

    def test_not_forged(self):
        vals = {"statement_id": self.step.statement_id.id, "action": "approved", "user_id": self.approver.id}
        for person in (self.viewer, self.preparer, self.approver, self.admin):
            with self.subTest(person=person.login), self.assertRaises(AccessError):
                rpc(self.env["usage.statement.approval"].with_user(person), "create", [vals])
        with self.assertRaises(AccessError):
            self.step.sudo().create(vals)

    def test_not_changed(self):
        for records in (self.step.with_user(self.preparer), self.step.with_user(self.approver), self.step.sudo()):
            with self.assertRaises(AccessError):
                records.write({"user_id": self.approver.id})

    def test_not_deleted(self):
        for records in (self.step.with_user(self.preparer), self.step.with_user(self.admin), self.step.sudo()):
            with self.assertRaises(AccessError):
                records.unlink()

    def test_not_through_the_statement(self):
        vals = {"approval_ids": [(0, 0, {"action": "approved", "user_id": self.approver.id})]}
        with self.assertRaises(AccessError):
            self.step.statement_id.sudo().write(vals)
