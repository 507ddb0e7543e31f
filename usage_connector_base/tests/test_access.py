from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .common import ADDON, UsageCommon

# What each group may do with each model: read, write, create, unlink.
RIGHTS = {
    "usage.source": {"viewer": "r", "operator": "r", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.source.key": {"viewer": "r", "operator": "r", "admin": "r", "ingestion": "", "employee": ""},
    "usage.retention": {"viewer": "", "operator": "", "admin": "", "ingestion": "", "employee": ""},
    "usage.retention.run": {"viewer": "", "operator": "", "admin": "r", "ingestion": "", "employee": ""},
    "usage.retention.wizard": {"viewer": "", "operator": "", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.retention.wizard.line": {"viewer": "", "operator": "", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.anonymisation": {"viewer": "", "operator": "", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.meter": {"viewer": "r", "operator": "r", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.meter.version": {"viewer": "r", "operator": "r", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.meter.filter": {"viewer": "r", "operator": "r", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.meter.reject": {"viewer": "", "operator": "", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.meter.try": {"viewer": "", "operator": "rwcu", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.meter.try.line": {"viewer": "", "operator": "rwcu", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.meter.definition": {"viewer": "", "operator": "", "admin": "", "ingestion": "", "employee": ""},
    "usage.account": {"viewer": "r", "operator": "rwcu", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.batch": {"viewer": "r", "operator": "r", "admin": "r", "ingestion": "", "employee": ""},
    "usage.event": {"viewer": "r", "operator": "r", "admin": "r", "ingestion": "", "employee": ""},
    "usage.correction": {"viewer": "r", "operator": "r", "admin": "r", "ingestion": "", "employee": ""},
    "usage.exception": {"viewer": "r", "operator": "rw", "admin": "rw", "ingestion": "", "employee": ""},
    "usage.aggregate": {"viewer": "r", "operator": "r", "admin": "r", "ingestion": "", "employee": ""},
    "usage.drift": {"viewer": "r", "operator": "r", "admin": "r", "ingestion": "", "employee": ""},
    "usage.drift.check": {"viewer": "r", "operator": "rc", "admin": "rc", "ingestion": "", "employee": ""},
    "usage.account.assignment": {"viewer": "r", "operator": "rwcu", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.account.alias": {"viewer": "r", "operator": "rwcu", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.account.merge": {"viewer": "", "operator": "rwcu", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.account.suggestion": {"viewer": "r", "operator": "rwu", "admin": "rwu", "ingestion": "", "employee": ""},
    "usage.account.mapping": {"viewer": "r", "operator": "rwc", "admin": "rwc", "ingestion": "", "employee": ""},
    "usage.account.mapping.line": {"viewer": "r", "operator": "rwc", "admin": "rwc", "ingestion": "", "employee": ""},
    "usage.customer.mixin": {"viewer": "", "operator": "", "admin": "", "ingestion": "", "employee": ""},
    "usage.account.map": {"viewer": "", "operator": "rwcu", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.correction.wizard": {"viewer": "", "operator": "rwcu", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.key.wizard": {"viewer": "", "operator": "", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.source.total": {"viewer": "r", "operator": "r", "admin": "r", "ingestion": "", "employee": ""},
    "usage.endpoint": {"viewer": "r", "operator": "r", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.delivery": {"viewer": "r", "operator": "r", "admin": "r", "ingestion": "", "employee": ""},
    "usage.delivery.attempt": {"viewer": "r", "operator": "r", "admin": "r", "ingestion": "", "employee": ""},
    "usage.delivery.type": {"viewer": "r", "operator": "r", "admin": "r", "ingestion": "", "employee": ""},
    "usage.endpoint.secret": {"viewer": "", "operator": "", "admin": "r", "ingestion": "", "employee": ""},
    "usage.endpoint.secret.wizard": {"viewer": "", "operator": "", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.import": {"viewer": "r", "operator": "rwcu", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.import.column": {"viewer": "r", "operator": "rwcu", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.import.row": {"viewer": "r", "operator": "r", "admin": "r", "ingestion": "", "employee": ""},
    "usage.import.mapping": {"viewer": "r", "operator": "ru", "admin": "ru", "ingestion": "", "employee": ""},
    "usage.replay": {"viewer": "r", "operator": "r", "admin": "r", "ingestion": "", "employee": ""},
    "usage.replay.line": {"viewer": "r", "operator": "r", "admin": "r", "ingestion": "", "employee": ""},
    "usage.exception.correct": {"viewer": "", "operator": "rwcu", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.event.find": {"viewer": "rwcu", "operator": "rwcu", "admin": "rwcu", "ingestion": "", "employee": ""},
    "usage.query": {"viewer": "", "operator": "", "admin": "", "ingestion": "", "employee": ""},
    "usage.monitoring": {"viewer": "", "operator": "", "admin": "", "ingestion": "", "employee": ""},
    "usage.guarded.mixin": {"viewer": "", "operator": "", "admin": "", "ingestion": "", "employee": ""},
    "usage.ingestion": {"viewer": "", "operator": "", "admin": "", "ingestion": "", "employee": ""},
}
OPERATIONS = {"r": "read", "w": "write", "c": "create", "u": "unlink"}
# Groups that the table does not repeat: they may do nothing with any of the models.
STRANGERS = ("base.group_portal", "base.group_public", "base.group_system")


@tagged("post_install", "-at_install")
class TestRights(UsageCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.people = {
            "viewer": cls.viewer,
            "operator": cls.operator,
            "admin": cls.admin,
            "ingestion": cls.source.user_id,
            "employee": cls._person("employee", "base.group_user"),
        }

    def test_every_group_and_operation(self):
        for model, groups in RIGHTS.items():
            for group, letters in groups.items():
                for letter, operation in OPERATIONS.items():
                    with self.subTest(model=model, group=group, operation=operation):
                        records = self.env[model].with_user(self.people[group])
                        self.assertEqual(records.has_access(operation), letter in letters)

    def test_strangers(self):
        for group in STRANGERS:
            person = self._person(group.rpartition("_")[2], group)
            for model in RIGHTS:
                for operation in OPERATIONS.values():
                    with self.subTest(model=model, group=group, operation=operation):
                        self.assertFalse(self.env[model].with_user(person).has_access(operation))

    def test_the_table_is_complete(self):
        """A new model of this addon, and a new group, must be added above."""
        data = self.env["ir.model.data"].search([("module", "=", ADDON), ("model", "in", ("ir.model", "res.groups"))])
        models = {self.env["ir.model"].browse(row.res_id).model for row in data if row.model == "ir.model"}
        self.assertEqual({model for model in models if model.startswith("usage.")}, set(RIGHTS))
        groups = {row.name.removeprefix("group_usage_") for row in data if row.model == "res.groups"}
        self.assertEqual(groups, set(self.people) - {"employee"})

    def test_what_the_groups_imply(self):
        groups = {
            name: self.env.ref(f"{ADDON}.group_usage_{name}") for name in ("viewer", "operator", "admin", "ingestion")
        }
        self.assertIn(self.env.ref("base.group_user"), groups["viewer"].all_implied_ids)
        self.assertIn(groups["viewer"], groups["operator"].all_implied_ids)
        self.assertIn(groups["operator"], groups["admin"].all_implied_ids)
        self.assertFalse(groups["ingestion"].all_implied_ids - groups["ingestion"])
        self.assertNotIn(groups["ingestion"], groups["admin"].all_implied_ids)

    def test_administrator_of_odoo_is_one_of_usage(self):
        self.assertTrue(self.env.ref("base.user_admin").has_group(f"{ADDON}.group_usage_admin"))


@tagged("post_install", "-at_install")
class TestDoing(UsageCommon):
    """The same with real records."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ingest([cls.event("a"), cls.event("b", tokens="x")])
        cls.fold()
        cls.records = {
            model: cls.env[model].search([("source_id", "=", cls.source.id)])
            for model in ("usage.account", "usage.batch", "usage.event", "usage.exception", "usage.aggregate")
        } | {"usage.source": cls.source, "usage.meter": cls.meter}

    def test_viewer_reads(self):
        for model, records in self.records.items():
            self.assertTrue(records)
            for values in records.with_user(self.viewer).read():
                self.assertTrue(values["display_name"], model)

    def test_api_user_reads_nothing(self):
        user = self.source.user_id
        for model, records in self.records.items():
            with self.subTest(model):
                with self.assertRaises(AccessError):
                    records.with_user(user).read(["display_name"])
                with self.assertRaises(AccessError):
                    self.env[model].with_user(user).search([])
                with self.assertRaises(UserError):
                    records.with_user(user).unlink()
        for model in ("res.partner", "res.users", "res.company", "ir.config_parameter"):
            with self.subTest(model), self.assertRaises(AccessError):
                self.env[model].with_user(user).search([]).read(["display_name"])

    def test_api_user_of_one_source_knows_nothing_of_another(self):
        """Its key is what says which source it sends for; no event can name another one."""
        other = self._source("other-cloud")
        self.ingest([self.event("mine", source="/other-cloud", source_id=other.id, company_id=99)])
        self.assertEqual(self.stored("mine").source_id, self.source)

    def test_viewer_changes_nothing(self):
        for model, name, value in (
            ("usage.source", "name", "x"),
            ("usage.meter", "name", "x"),
            ("usage.account", "name", "x"),
            ("usage.exception", "owner_id", False),
        ):
            with self.subTest(model), self.assertRaises(AccessError):
                self.records[model].with_user(self.viewer).write({name: value})

    def test_operator_sets_nothing_up(self):
        for model, name in (("usage.source", "name"), ("usage.meter", "value_path")):
            with self.subTest(model), self.assertRaises(AccessError):
                self.records[model].with_user(self.operator).write({name: "x"})
        with self.assertRaises(AccessError):
            self.env["usage.key.wizard"].with_user(self.operator).create({"source_id": self.source.id})

    def test_administrator_sets_up(self):
        self.meter.with_user(self.admin).name = "Renamed"
        self.source.with_user(self.admin).name = "Renamed"
        self.assertEqual((self.meter.name, self.source.name), ("Renamed", "Renamed"))
