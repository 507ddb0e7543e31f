from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import UsageBillingCommon, UsageInvoicingCommon, rpc


@tagged("post_install", "-at_install")
class TestSeparation(UsageBillingCommon):
    """Who prepared a statement cannot approve it: over RPC, with sudo, or as the superuser."""

    def setUp(self):
        super().setUp()
        self.use(10)
        self.waiting = self.statement()

    def submit(self, rater=None, submitter=None):
        self.waiting.with_user(rater or self.preparer).action_rate()
        self.waiting.with_user(submitter or self.preparer).action_submit()

    def refused(self, records, method="action_approve"):
        with self.assertRaises(AccessError):
            getattr(records, method)()
        self.waiting.invalidate_recordset()
        self.assertEqual(self.waiting.state, "to_approve")

    def test_not_by_who_submitted(self):
        self.submit(submitter=self.both)
        self.refused(self.waiting.with_user(self.both))
        self.refused(self.waiting.with_user(self.both).sudo())

    def test_not_by_who_rated(self):
        self.submit(rater=self.both)
        self.refused(self.waiting.with_user(self.both))
        self.refused(self.waiting.with_user(self.both).sudo())

    def test_not_by_who_rated_it_once(self):
        self.waiting.with_user(self.both).action_rate()
        self.use(1)
        self.submit()
        self.assertEqual(self.waiting.prepared_by_id, self.preparer)
        self.refused(self.waiting.with_user(self.both))

    def test_not_by_who_submitted_before_it_was_rejected(self):
        self.submit(submitter=self.both)
        self.waiting.with_user(self.approver).action_reject("Again, please")
        self.waiting.with_user(self.preparer).action_submit()
        self.refused(self.waiting.with_user(self.both))

    def test_not_without_the_role(self):
        self.submit()
        for person in (self.viewer, self.operator, self.preparer, self.admin):
            with self.subTest(person=person.login):
                self.refused(self.waiting.with_user(person))
                self.refused(self.waiting.with_user(person).sudo())

    def test_not_by_the_superuser(self):
        self.submit()
        self.refused(self.waiting.with_user(self.env.ref("base.user_root")))
        self.refused(self.waiting.sudo())

    def test_by_a_second_person(self):
        self.submit()
        self.assertFalse(self.waiting.with_user(self.preparer).can_approve)
        self.assertTrue(self.waiting.with_user(self.approver).can_approve)
        self.assertTrue(self.waiting.with_user(self.both).can_approve)
        self.waiting.with_user(self.both).action_approve()
        self.assertEqual(self.waiting.approved_by_id, self.both)

    def test_over_rpc(self):
        self.submit(submitter=self.both)
        for person in (self.both, self.preparer, self.admin):
            with self.subTest(person=person.login), self.assertRaises(AccessError):
                rpc(self.waiting.with_user(person), "action_approve")
        rpc(self.waiting.with_user(self.approver), "action_approve")
        self.assertEqual(self.waiting.state, "approved")

    def test_state_is_not_written(self):
        self.submit()
        for vals in (
            {"state": "approved"},
            {"approved_by_id": self.approver.id},
            {"submitted_by_id": False},
            {"prepared_by_id": False},
            {"amount_untaxed": 0},
            {"move_id": False},
            {"charge_ids": [(5, 0, 0)]},
            {"period_end": "2025-03-02"},
            {"partner_id": self.env.user.partner_id.id},
        ):
            for person in (self.both, self.admin):
                with self.subTest(vals=vals, person=person.login), self.assertRaises(AccessError):
                    rpc(self.waiting.with_user(person), "write", vals)
            with self.subTest(vals=vals), self.assertRaises(AccessError):
                self.waiting.sudo().write(vals)

    def test_a_flag_in_the_context_opens_nothing(self):
        self.submit()
        for flag in (True, 1, "object", {}):
            with self.assertRaises(AccessError):
                rpc(
                    self.waiting.with_user(self.both),
                    "write",
                    {"state": "approved"},
                    context={"usage_guard": flag},
                )

    def test_private_methods_are_not_reachable(self):
        self.submit()
        for method in ("_log", "_rate", "_set_rated", "_follow_invoice", "_release_invoice"):
            with self.subTest(method=method), self.assertRaises(AccessError):
                rpc(self.waiting.with_user(self.both), method)

    def test_what_is_no_fact_can_be_written(self):
        self.submit()
        self.waiting.with_user(self.preparer).message_post(body="Please have a look")
        self.waiting.with_user(self.preparer).activity_schedule(
            "mail.mail_activity_data_todo", user_id=self.approver.id
        )
        self.assertEqual(self.waiting.activity_user_id, self.approver)

    def test_roles_of_the_other_steps(self):
        for person in (self.viewer, self.operator, self.approver, self.admin):
            with self.subTest(person=person.login), self.assertRaises(AccessError):
                self.waiting.with_user(person).sudo().action_rate()
        self.waiting.with_user(self.preparer).action_rate()
        for person in (self.viewer, self.operator, self.approver, self.admin):
            with self.subTest(person=person.login), self.assertRaises(AccessError):
                self.waiting.with_user(person).sudo().action_submit()
        self.waiting.with_user(self.preparer).action_submit()
        for person in (self.viewer, self.operator, self.preparer, self.admin):
            with self.subTest(person=person.login), self.assertRaises(AccessError):
                self.waiting.with_user(person).sudo().action_reject("No")


@tagged("post_install", "-at_install")
class TestSeparationOfPosting(UsageInvoicingCommon):
    """No code path posts an unapproved statement, and none posts it for who prepared it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.accountant = cls._person("accountant", "account.group_account_manager")
        cls.both.group_ids += cls.env.ref("account.group_account_manager")
        cls.preparer.group_ids += cls.env.ref("account.group_account_manager")

    def setUp(self):
        super().setUp()
        self.use(10)
        self.bill = self.invoiced()
        self.move = self.bill.move_id

    def refused(self, act):
        with self.assertRaises(UserError):
            act()
        self.env.invalidate_all()
        self.assertEqual((self.move.state, self.bill.state), ("draft", "invoiced"))

    def test_preparers_do_not_post(self):
        move = self.move.with_user(self.preparer)
        self.refused(move.action_post)
        self.refused(move.sudo().action_post)
        self.refused(lambda: move.sudo()._post(soft=False))
        self.refused(lambda: rpc(move, "write", {"state": "posted"}))
        self.refused(lambda: rpc(move, "action_post"))
        self.refused(self.bill.with_user(self.preparer).action_post)
        self.refused(self.bill.with_user(self.preparer).sudo().action_post)

    def test_an_accountant_posts_what_is_approved(self):
        self.move.with_user(self.accountant).action_post()
        self.assertEqual((self.move.state, self.bill.state), ("posted", "posted"))
        self.assertEqual(self.last_step(self.bill).user_id, self.accountant)

    def test_nobody_posts_what_is_not_approved(self):
        """Even where the approval vanished behind the model's back."""
        self.env.flush_all()
        self.env.cr.execute("UPDATE usage_statement SET state = 'to_approve' WHERE id = %s", [self.bill.id])
        self.env.invalidate_all()
        for person in (self.accountant, self.approver, self.env.ref("base.user_root")):
            move = self.move.with_user(person)
            for act in (
                move.action_post,
                move.sudo().action_post,
                lambda move=move: move.sudo()._post(),
                lambda move=move: move.sudo().write({"state": "posted"}),
            ):
                with self.subTest(person=person.login), self.assertRaisesRegex(UserError, "To Approve"):
                    act()

    def test_the_scheduled_posting_does_not_either(self):
        self.env.flush_all()
        self.env.cr.execute("UPDATE usage_statement SET state = 'to_approve' WHERE id = %s", [self.bill.id])
        self.env.cr.execute("UPDATE account_move SET auto_post = 'at_date' WHERE id = %s", [self.move.id])
        self.env.invalidate_all()
        # The job tells of the refusal in its log, and of having done nothing.
        with mute_logger("odoo.addons.base.models.ir_cron"), self.enter_registry_test_mode():
            self.env.ref("account.ir_cron_auto_post_draft_entry").with_user(
                self.env.ref("base.user_root")
            ).method_direct_trigger()
        self.env.invalidate_all()
        self.assertEqual(self.move.state, "draft")

    def test_together_with_other_invoices(self):
        other = self.env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": self.customer.id,
                "invoice_line_ids": [(0, 0, {"product_id": self.product.id, "price_unit": 1})],
            }
        )
        with self.assertRaises(AccessError):
            (other | self.move).with_user(self.preparer).action_post()
        (other | self.move).with_user(self.accountant).action_post()
        self.assertEqual((other.state, self.bill.state), ("posted", "posted"))
