from unittest.mock import patch

from odoo.exceptions import AccessError
from odoo.tests import tagged

from odoo.addons.usage_connector_base.models import usage_account_mapping

from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestManyAccounts(UsageCommon):
    """Many accounts are assigned in the background, for the person who asked."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.startClassPatcher(patch.object(usage_account_mapping, "AT_ONCE", 3))
        cls.startClassPatcher(patch.object(usage_account_mapping, "CHUNK", 2))
        cls.ingest([cls.event(f"{n}", subject=f"new {n}") for n in range(5)])
        cls.fold()
        cls.accounts = cls.env["usage.account"].search([("external_id", "like", "new %")])

    def map(self, accounts, **values):
        action = accounts.with_user(self.operator).action_map()
        wizards = self.env[action["res_model"]].with_user(self.operator).with_context(**action["context"])
        return wizards.create({"partner_id": self.customer.id, **values}).action_map()

    def run_job(self):
        self.env.flush_all()
        with self.enter_registry_test_mode():
            self.env.ref("usage_connector_base.cron_map").method_direct_trigger()
        self.env.invalidate_all()

    def test_a_few_at_once(self):
        self.assertEqual(self.map(self.accounts[:3])["type"], "ir.actions.act_window_close")
        self.assertEqual(len(self.accounts.filtered("partner_id")), 3)
        self.assertFalse(self.env["usage.account.mapping"].search([]))

    def test_many_in_the_background(self):
        action = self.map(self.accounts, date_from=self.hour)
        mapping = self.env[action["res_model"]].browse(action["res_id"])
        self.assertEqual((mapping.user_id, mapping.state, mapping.progress), (self.operator, "running", 0))
        self.assertEqual((mapping.account_count, mapping.done_count), (5, 0))
        self.assertEqual(mapping.display_name, "5 accounts, Operator")
        self.assertFalse(self.accounts.partner_id)
        self.run_job()
        self.assertEqual((mapping.state, mapping.progress, mapping.done_count), ("done", 100, 5))
        self.assertTrue(mapping.finished_date)
        self.assertEqual(self.accounts.partner_id, self.customer)
        self.assertEqual(set(self.accounts.assignment_ids.mapped("date_from")), {self.hour})
        self.assertEqual(self.accounts.assignment_ids.create_uid, self.operator)
        self.assertFalse(self.exceptions(reason="account_unmapped", state="open"))
        note = self.env["mail.message"].search([("model", "=", mapping._name), ("res_id", "=", mapping.id)], limit=1)
        self.assertIn("5 of 5", note.body)
        self.assertEqual(note.notified_partner_ids, self.operator.partner_id)

    def test_goes_on_where_it_stopped(self):
        """Each part is committed; a run that is cut off leaves the rest to the next one."""
        action = self.map(self.accounts)
        mapping = self.env[action["res_model"]].browse(action["res_id"])
        with patch.object(type(self.env["ir.cron"]), "_commit_progress", return_value=0):
            self.env["usage.account.mapping"]._cron_map()
        self.assertEqual((mapping.state, mapping.done_count, mapping.progress), ("running", 2, 40))
        self.run_job()
        self.assertEqual((mapping.state, mapping.done_count), ("done", 5))

    def test_one_that_fails_costs_no_other(self):
        action = self.map(self.accounts)
        mapping = self.env[action["res_model"]].browse(action["res_id"])
        first = self.accounts[0]
        first.write({"parent_id": self.account.id, "billed_at_parent": True})
        first.billed_at_parent = True
        self.run_job()
        self.assertEqual((mapping.done_count, mapping.failed_count, mapping.state), (4, 1, "done"))
        failed = mapping.line_ids.filtered(lambda line: line.state == "failed")
        self.assertIn("is billed at acme", failed.message)
        first.billed_at_parent = False
        mapping.with_user(self.operator).action_retry()
        self.assertEqual(mapping.state, "running")
        self.run_job()
        self.assertEqual((mapping.failed_count, mapping.state), (0, "done"))

    def test_with_the_rights_of_the_person(self):
        self.map(self.accounts)
        self.operator.group_ids = self._group("group_usage_viewer")
        self.run_job()
        self.assertFalse(self.accounts.partner_id)
        self.assertEqual(self.env["usage.account.mapping"].search([]).failed_count, 5)

    def test_is_not_made_by_hand(self):
        mappings = self.env["usage.account.mapping"].with_user(self.operator)
        with self.assertRaises(AccessError):
            mappings.create({"user_id": self.admin.id, "company_id": self.company.id})
        action = self.map(self.accounts)
        with self.assertRaises(AccessError):
            mappings.browse(action["res_id"]).user_id = self.admin
        with self.assertRaises(AccessError):
            mappings.browse(action["res_id"]).line_ids.partner_id = self.admin.partner_id
        with self.assertRaises(AccessError):
            mappings.with_user(self.viewer)._start([(self.accounts, self.customer)], False, False)
