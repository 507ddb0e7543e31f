from odoo.tests import tagged

from .common import UsageBillingCommon

READ, ALL = "r", "rwcu"

# Every group × every model, written out: r read, w write, c create, u unlink.
RIGHTS = {
    "usage.plan": {"viewer": READ, "operator": READ, "preparer": READ, "approver": READ, "admin": ALL},
    "usage.price": {"viewer": READ, "operator": READ, "preparer": READ, "approver": READ, "admin": ALL},
    "usage.price.tier": {"viewer": READ, "operator": READ, "preparer": READ, "approver": READ, "admin": ALL},
    "usage.price.discount": {"viewer": READ, "operator": READ, "preparer": READ, "approver": READ, "admin": ALL},
    "usage.subscription": {"viewer": READ, "operator": READ, "preparer": ALL, "approver": READ, "admin": ALL},
    "usage.subscription.line": {"viewer": READ, "operator": READ, "preparer": ALL, "approver": READ, "admin": ALL},
    "usage.subscription.amendment": {
        "viewer": READ,
        "operator": READ,
        "preparer": "rwc",
        "approver": READ,
        "admin": "rwc",
    },
    "usage.subscription.commitment": {
        "viewer": READ,
        "operator": READ,
        "preparer": ALL,
        "approver": READ,
        "admin": ALL,
    },
    "usage.threshold": {"viewer": READ, "operator": READ, "preparer": ALL, "approver": READ, "admin": ALL},
    "usage.statement": {"viewer": READ, "operator": READ, "preparer": "rw", "approver": "rw", "admin": READ},
    "usage.statement.approval": {"viewer": READ, "operator": READ, "preparer": "rc", "approver": "rc", "admin": READ},
    "usage.charge": {"viewer": READ, "operator": READ, "preparer": ALL, "approver": "rw", "admin": READ},
    "usage.reconciliation": {"viewer": READ, "operator": READ, "preparer": READ, "approver": READ, "admin": READ},
    "usage.credit.grant": {"viewer": READ, "operator": READ, "preparer": ALL, "approver": "rw", "admin": READ},
    "usage.credit.entry": {"viewer": READ, "operator": READ, "preparer": "rc", "approver": "rc", "admin": READ},
    "usage.credit.topup": {"viewer": READ, "operator": READ, "preparer": ALL, "approver": "rw", "admin": READ},
    "usage.simulation": {"viewer": READ, "operator": READ, "preparer": ALL, "approver": READ, "admin": ALL},
    "usage.simulation.line": {"viewer": READ, "operator": READ, "preparer": READ, "approver": READ, "admin": READ},
    "usage.statement.prepare": {"viewer": "", "operator": "", "preparer": ALL, "approver": "", "admin": ""},
    "usage.subscription.amend": {"viewer": "", "operator": "", "preparer": ALL, "approver": "", "admin": ALL},
    "usage.statement.reject": {"viewer": "", "operator": "", "preparer": "", "approver": ALL, "admin": ""},
}
OPERATIONS = {"r": "read", "w": "write", "c": "create", "u": "unlink"}


@tagged("post_install", "-at_install")
class TestAccess(UsageBillingCommon):
    """Group × operation. What guards facts beyond these rights is tested with each of them."""

    def rights(self, model, person):
        records = self.env[model].with_user(person)
        return "".join(letter for letter, name in OPERATIONS.items() if records.has_access(name))

    def test_rights_of_every_group(self):
        people = {
            "viewer": self.viewer,
            "operator": self.operator,
            "preparer": self.preparer,
            "approver": self.approver,
            "admin": self.admin,
        }
        for model, rights in RIGHTS.items():
            for group, expected in rights.items():
                with self.subTest(model=model, group=group):
                    self.assertEqual(self.rights(model, people[group]), expected)

    def test_others_have_none(self):
        outsiders = {
            "employee": self._person("employee", "base.group_user"),
            "portal": self._person("portal", "base.group_portal"),
            "ingestion": self._person("ingestion", "group_usage_ingestion"),
            "accountant": self._person("accountant", "account.group_account_manager"),
        }
        for model in RIGHTS:
            for name, person in outsiders.items():
                with self.subTest(model=model, person=name):
                    self.assertEqual(self.rights(model, person), "")

    def test_every_model_is_in_the_table(self):
        data = self.env["ir.model.data"].search([("module", "=", "usage_billing"), ("model", "=", "ir.model")])
        models = self.env["ir.model"].browse(data.mapped("res_id")).mapped("model")
        made_here = {name for name in models if self.env[name]._original_module == "usage_billing"}
        ours = {name for name in made_here if name.startswith("usage.") and not self.env[name]._abstract}
        self.assertEqual(ours, set(RIGHTS))
        ours = [name for name in models if name.startswith("usage.") and not self.env[name]._abstract]
        self.assertEqual(set(ours) - {"usage.aggregate", "usage.event", "usage.exception"}, set(RIGHTS))

    def test_roles_imply_each_other_not(self):
        preparer = self.env.ref("usage_billing.group_billing_preparer")
        approver = self.env.ref("usage_billing.group_billing_approver")
        viewer = self.env.ref("usage_connector_base.group_usage_viewer")
        self.assertNotIn(approver, preparer.all_implied_ids)
        self.assertNotIn(preparer, approver.all_implied_ids)
        self.assertIn(viewer, preparer.all_implied_ids & approver.all_implied_ids)
        self.assertNotIn(preparer.privilege_id, approver.privilege_id, "a user may be given both")

    def test_the_superuser_has_no_role(self):
        root = self.env.ref("base.user_root")
        for name in ("group_billing_preparer", "group_billing_approver"):
            self.assertFalse(root.has_group(f"usage_billing.{name}"))
