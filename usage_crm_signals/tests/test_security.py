"""Who may do what, written out: every group, every operation, every company."""

from odoo.exceptions import AccessError
from odoo.tests import tagged

from .common import NOW, SignalCommon

BASE = "usage_connector_base"


@tagged("post_install", "-at_install")
class TestAccess(SignalCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.users = {
            "nobody": cls.new_user("nora", "base.group_user"),
            "viewer": cls.new_user("vera", f"{BASE}.group_usage_viewer"),
            "operator": cls.new_user("oscar", f"{BASE}.group_usage_operator"),
            "administrator": cls.admins[0],
            "salesperson": cls.salesperson,
            "preparer": cls.new_user("paul", "usage_billing.group_billing_preparer"),
            "approver": cls.new_user("anna", "usage_billing.group_billing_approver"),
        }
        cls.use_weeks(cls.account, [100, 100, 100, 100, 10])
        cls.signal = cls.drop_rule._detect(NOW)

    def check(self, record, expected, vals):
        """Compare what each user may do with a record with what is expected.

        :param dict expected: operations allowed, as letters of "rwcu", by user
        :param dict vals: values to write
        """
        for name, user in self.users.items():
            mine = record.with_user(user)
            operations = {
                "r": lambda mine=mine: mine.read(["display_name"]),
                "w": lambda mine=mine: mine.write(vals),
                "c": lambda mine=mine: mine.check_access("create") or mine.browse().check_access("create"),
                "u": lambda mine=mine: mine.check_access("unlink"),
            }
            for letter, operation in operations.items():
                with self.subTest(user=name, operation=letter):
                    if letter in expected[name]:
                        operation()
                    else:
                        with self.assertRaises(AccessError):
                            operation()

    def test_signals(self):
        self.check(
            self.signal,
            {
                "nobody": "",
                "viewer": "r",
                "operator": "rw",
                "administrator": "rw",
                "salesperson": "r",
                "preparer": "r",
                "approver": "r",
            },
            {"state": "dismissed"},
        )

    def test_rules(self):
        self.check(
            self.drop_rule,
            {
                "nobody": "",
                "viewer": "r",
                "operator": "r",
                "administrator": "rwcu",
                "salesperson": "r",
                "preparer": "r",
                "approver": "r",
            },
            {"sequence": 30},
        )

    def test_only_administrators_check_now(self):
        for name, user in self.users.items():
            rule = self.drop_rule.with_user(user)
            with self.subTest(user=name):
                if name == "administrator":
                    rule.action_check_now()
                else:
                    with self.assertRaises(AccessError):
                        rule.action_check_now()

    def test_nobody_creates_signals_by_hand(self):
        for name, user in self.users.items():
            with self.subTest(user=name), self.assertRaises(AccessError):
                self.env["usage.signal"].with_user(user).create(
                    {
                        "summary": "Made up",
                        "rule_id": self.drop_rule.id,
                        "company_id": self.company.id,
                        "partner_id": self.customer.id,
                        "date": NOW,
                        "period_start": NOW,
                        "period_end": NOW,
                    }
                )

    def test_the_ingestion_user_sees_nothing(self):
        group = self.env.ref(f"{BASE}.group_usage_ingestion")
        user = self.env["res.users"].create({"name": "API", "login": "signal_api", "group_ids": [(6, 0, group.ids)]})
        for record in (self.signal, self.drop_rule):
            with self.assertRaises(AccessError):
                record.with_user(user).read(["display_name"])

    def test_readers_open_every_field_of_a_signal(self):
        names = list(self.env["usage.signal"].fields_get())
        for name in ("viewer", "operator", "salesperson"):
            with self.subTest(user=name):
                # As the web client reads it: display names of what the user may not open too.
                specification = {field: {} for field in names}
                self.signal.with_user(self.users[name]).web_read(specification)

    def test_customers_are_shown_without_rights_on_signals(self):
        partner = self.customer.with_user(self.users["nobody"])
        self.assertNotIn("usage_signal_count", partner.fields_get())
        with self.assertRaises(AccessError):
            partner.read(["usage_signal_count"])


@tagged("post_install", "-at_install")
class TestCompanyRules(SignalCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.new_company("Other")
        meter = cls.new_meter(cls.other)
        account = cls.new_account(cls.customer, cls.new_source(cls.other))
        cls.use_weeks(account, [100, 100, 100, 100, 10], meter)
        cls.use_weeks(cls.account, [100, 100, 100, 100, 10])
        signals = cls.drop_rule._detect(NOW)
        cls.mine = signals.filtered(lambda signal: signal.company_id == cls.company)
        cls.theirs = signals - cls.mine
        cls.readers = (
            cls.new_user("vera", f"{BASE}.group_usage_viewer"),
            cls.new_user("oscar", f"{BASE}.group_usage_operator"),
            cls.admins[0],
            cls.salesperson,
            cls.manager,
        )

    def test_readers_see_the_signals_of_their_companies(self):
        for user in self.readers:
            with self.subTest(user=user.login):
                self.assertEqual(self.env["usage.signal"].with_user(user).search([]), self.mine)
                with self.assertRaises(AccessError):
                    self.theirs.with_user(user).read(["summary"])

    def test_with_another_company_they_see_its_signals(self):
        for user in self.readers:
            user.company_ids |= self.other
            context = {"allowed_company_ids": self.other.ids}
            with self.subTest(user=user.login):
                found = self.env["usage.signal"].with_user(user).with_context(**context).search([])
                self.assertEqual(found, self.theirs)

    def test_operators_dismiss_in_their_companies_only(self):
        operator = self.readers[1]
        self.mine.with_user(operator).action_dismiss()
        with self.assertRaises(AccessError):
            self.theirs.with_user(operator).action_dismiss()

    def test_counts_are_those_of_the_companies(self):
        partner = self.customer.with_user(self.salesperson)
        self.assertEqual(partner.usage_signal_count, 1)
        self.env.invalidate_all()
        self.assertEqual(self.customer.sudo().usage_signal_count, 2)

    def test_rules_of_a_company_and_rules_for_all(self):
        theirs = self.drop_rule.copy({"name": "Theirs", "company_id": self.other.id, "user_id": False})
        own = self.drop_rule.copy({"name": "Own", "company_id": self.company.id})
        for user in self.readers:
            with self.subTest(user=user.login):
                rules = self.env["usage.signal.rule"].with_user(user).search([])
                self.assertIn(self.drop_rule, rules)
                self.assertIn(own, rules)
                self.assertNotIn(theirs, rules)

    def test_administrators_change_no_rule_of_another_company(self):
        theirs = self.drop_rule.copy({"name": "Theirs", "company_id": self.other.id, "user_id": False})
        with self.assertRaises(AccessError):
            theirs.with_user(self.admins[0]).write({"percentage": 10})
        with self.assertRaises(AccessError):
            theirs.with_user(self.admins[0]).action_check_now()
