"""Screens open for those they are for, and lead where they say."""

from lxml import etree

from odoo.tests import Form, tagged
from odoo.tools.safe_eval import safe_eval

from .common import SignalCommon

BASE = "usage_connector_base"
VIEWS = ("list", "form", "kanban", "search", "pivot", "graph")


@tagged("post_install", "-at_install")
class TestScreens(SignalCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.viewer = cls.new_user("vera", f"{BASE}.group_usage_viewer")
        cls.operator = cls.new_user("oscar", f"{BASE}.group_usage_operator")

    def arch(self, model, view_type, user):
        """Return the view as the user gets it."""
        view = self.env[model].with_user(user).get_view(view_type=view_type)
        return etree.fromstring(view["arch"])

    def buttons(self, model, user):
        """Return the names of the buttons that the form offers to the user."""
        return {button.get("name") for button in self.arch(model, "form", user).iter("button")}

    def test_every_view_of_signals_opens_for_every_reader(self):
        for user in (self.viewer, self.operator, self.admins[0], self.salesperson):
            for view_type in VIEWS:
                with self.subTest(user=user.login, view=view_type):
                    self.assertIsNotNone(self.arch("usage.signal", view_type, user))

    def test_every_view_of_rules_opens_for_administrators(self):
        for view_type in ("list", "form", "search"):
            with self.subTest(view=view_type):
                self.assertIsNotNone(self.arch("usage.signal.rule", view_type, self.admins[0]))

    def test_readers_are_offered_nothing_they_may_not_do(self):
        acts = {"action_create_opportunity", "action_schedule_activity", "action_dismiss", "action_reopen"}
        for user in (self.viewer, self.salesperson):
            self.assertFalse(acts & self.buttons("usage.signal", user))
        self.assertLessEqual(acts, self.buttons("usage.signal", self.operator))

    def test_salespeople_are_not_sent_where_they_may_not_go(self):
        billing = {"action_view_usage", "action_view_subscription", "action_view_statement"}
        self.assertFalse(billing & self.buttons("usage.signal", self.salesperson))
        self.assertIn("action_view_lead", self.buttons("usage.signal", self.salesperson))
        self.assertLessEqual(billing, self.buttons("usage.signal", self.viewer))
        self.assertNotIn("action_view_lead", self.buttons("usage.signal", self.viewer))

    def test_the_form_of_a_signal_opens(self):
        for signal in (self.drop_signal(), self.threshold_signal()):
            with Form(signal.with_user(self.operator)) as form:
                self.assertEqual(form.summary, signal.summary)

    def test_an_administrator_sets_up_a_rule(self):
        with Form(self.env["usage.signal.rule"].with_user(self.admins[0])) as form:
            form.name = "Fell by a third"
            form.kind = "usage_drop"
            form.percentage = 33
            form.minimum_quantity = 1000
            form.user_id = self.manager
        self.use_weeks(self.account, [1000, 1000, 1000, 1000, 600])
        self.assertEqual(len(self.detect(form.record.sudo())), 1)

    def test_customers_and_opportunities_have_their_button(self):
        for user in (self.salesperson, self.admins[0]):
            self.assertIn("action_view_usage_signals", self.buttons("res.partner", user))
        self.assertIn("action_view_usage_signals", self.buttons("crm.lead", self.salesperson))

    def test_others_see_customers_without_it(self):
        nobody = self.new_user("nora", "base.group_user")
        self.assertNotIn("action_view_usage_signals", self.buttons("res.partner", nobody))
        with Form(self.customer.with_user(nobody)):
            pass

    def menus(self, user):
        """Return the ids of the menus that the user sees."""
        return self.env["ir.ui.menu"].with_user(user)._visible_menu_ids()

    def test_menus(self):
        signals = self.env.ref("usage_crm_signals.menu_usage_signals").id
        rules = self.env.ref("usage_crm_signals.menu_usage_signal_rules").id
        sales = self.env.ref("usage_crm_signals.menu_crm_usage_signals").id
        expected = {
            self.viewer: {signals},
            self.operator: {signals},
            self.admins[0]: {signals, rules},
            self.salesperson: {sales},
            self.new_user("nora", "base.group_user"): set(),
        }
        for user, visible in expected.items():
            with self.subTest(user=user.login):
                self.assertEqual(self.menus(user) & {signals, rules, sales}, visible)

    def test_empty_screens_say_what_to_do_first(self):
        for name in ("action_usage_signal", "action_usage_signal_rule"):
            action = self.env.ref(f"usage_crm_signals.{name}")
            self.assertIn("o_view_nocontent", action.help)

    def test_signals_can_be_summed_up(self):
        self.drop_signal()
        self.threshold_signal()
        groups = self.env["usage.signal"].formatted_read_group(
            [], ["kind", "date:month"], ["__count", "expected_revenue:sum", "percentage:avg"]
        )
        self.assertEqual(sum(group["__count"] for group in groups), 2)

    def test_every_filter_of_the_search_works(self):
        self.drop_signal()
        for model in ("usage.signal", "usage.signal.rule"):
            for node in self.arch(model, "search", self.admins[0]).iter("filter"):
                if not node.get("domain"):
                    continue
                with self.subTest(model=model, filter=node.get("name")):
                    records = self.env[model].with_user(self.admins[0])
                    records.search(safe_eval(node.get("domain"), {"uid": self.admins[0].id}))
