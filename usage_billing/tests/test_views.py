from odoo.tests import tagged

from .common import UsageInvoicingCommon

MODELS = ("plan", "price", "subscription", "statement", "charge", "reconciliation")


@tagged("post_install", "-at_install")
class TestViews(UsageInvoicingCommon):
    """Every screen opens with data, for the people it is meant for."""

    def setUp(self):
        super().setUp()
        self.use(11)
        self.bill = self.posted()

    def open_screen(self, model, person, view_type):
        records = self.env[model].with_user(person)
        description = records.get_views([(False, view_type)])
        fields = list(description["models"][model]["fields"])
        records.search([], limit=5).web_read({name: {} for name in fields})
        return description["views"][view_type]["arch"]

    def test_every_view_of_every_action(self):
        for action in self.env["ir.actions.act_window"].search([("res_model", "=like", "usage.%")]):
            xmlid = action.get_external_id()[action.id]
            if not xmlid.startswith("usage_billing."):
                continue
            for view_type in action.view_mode.split(","):
                if view_type == "activity":
                    continue
                for person in (self.viewer, self.preparer, self.approver, self.admin):
                    if not self.env[action.res_model].with_user(person).has_access("read"):
                        continue
                    with self.subTest(action=xmlid, view=view_type, person=person.login):
                        self.assertTrue(self.open_screen(action.res_model, person, view_type))

    def test_every_screen_has_a_search_with_groupings(self):
        for name in MODELS:
            arch = self.open_screen(f"usage.{name}", self.viewer, "search")
            with self.subTest(model=name):
                self.assertIn("group_by", arch)
                self.assertIn("<filter", arch)

    def test_empty_screens_say_what_to_do(self):
        for name in MODELS:
            action = self.env.ref(f"usage_billing.action_usage_{name}")
            with self.subTest(model=name):
                self.assertIn("o_view_nocontent_smiling_face", action.help)

    def test_facts_cannot_be_entered_on_their_screens(self):
        for name in ("statement", "charge", "reconciliation"):
            for view_type in ("list", "form"):
                arch = self.open_screen(f"usage.{name}", self.preparer, view_type)
                with self.subTest(model=name, view=view_type):
                    self.assertIn('create="0"', arch.replace("'", '"').replace("False", "0"))

    def test_buttons_that_cannot_be_undone_ask_first(self):
        arch = self.open_screen("usage.statement", self.approver, "form")
        for name in ("action_approve", "action_post"):
            [button] = [part for part in arch.split("<button") if f'name="{name}"' in part.split(">")[0]]
            with self.subTest(button=name):
                self.assertIn("confirm=", button.split(">")[0])

    def test_buttons_are_shown_to_those_who_may(self):
        preparer = self.open_screen("usage.statement", self.preparer, "form")
        approver = self.open_screen("usage.statement", self.approver, "form")
        viewer = self.open_screen("usage.statement", self.viewer, "form")
        for arch, shown, hidden in (
            (preparer, ("action_rate", "action_submit"), ("action_approve", "action_post", "action_open_reject")),
            (approver, ("action_approve", "action_post", "action_open_reject"), ("action_rate", "action_submit")),
            (viewer, ("action_view_charges",), ("action_rate", "action_approve", "action_reconcile")),
        ):
            for name in shown:
                self.assertIn(f'"{name}"', arch)
            for name in hidden:
                self.assertNotIn(f'"{name}"', arch)

    def test_the_invoice_shows_its_statement(self):
        arch = self.open_screen("account.move", self.approver, "form")
        self.assertIn("action_view_usage_statement", arch)
        self.assertIn("action_view_usage_charge", arch)

    def test_the_invoice_opens_for_accountants_without_usage(self):
        accountant = self._person("accountant", "account.group_account_manager")
        arch = self.open_screen("account.move", accountant, "form")
        self.assertNotIn("action_view_usage_statement", arch)
        found = self.bill.move_id.with_user(accountant).web_read({"invoice_line_ids": {"fields": {"name": {}}}})
        self.assertEqual(len(found[0]["invoice_line_ids"]), 1)

    def test_menus(self):
        menus = self.env["ir.ui.menu"].with_user(self.preparer)._visible_menu_ids()
        for name in ("statement", "subscription", "charge", "reconciliation", "statement_prepare", "plan", "price"):
            with self.subTest(menu=name):
                self.assertIn(self.env.ref(f"usage_billing.menu_usage_{name}").id, menus)
        self.assertNotIn(self.env.ref("usage_billing.menu_usage_statement_to_approve").id, menus)
        menus = self.env["ir.ui.menu"].with_user(self.approver)._visible_menu_ids()
        self.assertIn(self.env.ref("usage_billing.menu_usage_statement_to_approve").id, menus)
