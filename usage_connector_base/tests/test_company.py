from odoo.exceptions import AccessError
from odoo.fields import Command
from odoo.tests import tagged

from .common import ADDON, UsageCommon

MODELS = (
    "usage.source",
    "usage.source.key",
    "usage.meter",
    "usage.meter.version",
    "usage.meter.filter",
    "usage.account",
    "usage.account.assignment",
    "usage.account.alias",
    "usage.account.suggestion",
    "usage.account.mapping",
    "usage.account.mapping.line",
    "usage.batch",
    "usage.event",
    "usage.correction",
    "usage.exception",
    "usage.aggregate",
    "usage.drift",
    "usage.drift.check",
    "usage.source.total",
    "usage.endpoint",
    "usage.delivery",
    "usage.delivery.attempt",
    "usage.import",
    "usage.replay",
    "usage.replay.line",
    "usage.import.column",
    "usage.import.row",
    "usage.import.mapping",
)
# For administrators alone: see test_delivery_endpoint and test_anonymisation
ELSEWHERE = ("usage.endpoint.secret", "usage.anonymisation")


@tagged("post_install", "-at_install")
class TestCompanies(UsageCommon):
    """People see the usage of their companies, and none of any other."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other_company = cls.env["res.company"].create({"name": "Other"})
        cls.other_source = cls._source("other-cloud", cls.other_company)
        cls.other_meter = cls._meter("other", value_path="tokens", company_id=cls.other_company.id)
        for meter in (cls.meter, cls.other_meter):
            meter.filter_ids = [Command.create({"path": "model", "operator": "set"})]
        cls._account("acme", cls.customer, source=cls.other_source)
        for account in cls.env["usage.account"].search([("external_id", "=", "acme")]):
            account.alias_ids = [Command.create({"external_id": "acme-inc"})]
        for source in (cls.source, cls.other_source):
            account = cls._account("acme ltd", source=source)
            mappings = cls.env["usage.account.mapping"].with_company(source.company_id)
            mappings._start([(account, cls.customer)], False, False)
        cls.env["usage.account.suggestion"]._suggest()
        for source in (cls.source, cls.other_source):
            cls.ingest([cls.event("a"), cls.event("b", tokens="x"), cls.event("c", type="other")], source=source)
            cls.correct(cls.void("v", "c"), source=source)
            source.with_user(cls.admin)._generate_key()
        cls.fold()
        cls._told(cls.company)
        cls._told(cls.other_company)
        for source in (cls.source, cls.other_source):
            cls._imported(source)
            cls.env["usage.exception"].search([("source_id", "=", source.id), ("event_ref", "=", "b")]).action_replay()
        cls.env["usage.source.total"]._cron_total()
        cls.sources = cls.source | cls.other_source
        # Created for its second company after approving: back to one company.
        cls.admin.company_ids = cls.second_admin.company_ids = cls.company
        cls.traveller = cls._person("traveller", "group_usage_admin")
        cls.traveller.company_ids |= cls.other_company

    def records(self, model, company):
        return self.env[model].search([("company_id", "=", company.id)])

    def test_there_is_something_to_hide(self):
        for model in MODELS:
            for company in (self.company, self.other_company):
                self.assertTrue(self.records(model, company), (model, company.name))

    def test_one_company(self):
        for person in (self.viewer, self.operator, self.admin):
            for model in MODELS:
                with self.subTest(model=model, person=person.login):
                    found = self.env[model].with_user(person).search([])
                    self.assertEqual(found.company_id, self.company)
                    self.assertLessEqual(self.records(model, self.company), found.sudo())

    def test_foreign_records(self):
        for model in MODELS:
            foreign = self.records(model, self.other_company).with_user(self.admin)
            with self.subTest(model), self.assertRaises(AccessError):
                foreign.read(["display_name"])

    def test_foreign_records_are_not_written(self):
        for model, name in (("usage.source", "name"), ("usage.meter", "name"), ("usage.account", "name")):
            with self.subTest(model), self.assertRaises(AccessError):
                self.records(model, self.other_company).with_user(self.admin).write({name: "x"})
        with self.assertRaises(AccessError):
            self.records("usage.exception", self.other_company).with_user(self.operator).action_ignore()
        with self.assertRaises(AccessError):
            self.env["usage.source"].with_user(self.admin).create(
                {"name": "x", "code": "x", "company_id": self.other_company.id}
            )

    def test_two_companies(self):
        for model in MODELS:
            both = self.env[model].with_user(self.traveller)
            allowed = both.with_context(allowed_company_ids=(self.company | self.other_company).ids)
            with self.subTest(model):
                self.assertEqual(allowed.search([]).company_id, self.company | self.other_company)
                one = both.with_context(allowed_company_ids=self.other_company.ids)
                self.assertEqual(one.search([]).company_id, self.other_company)

    def test_foreign_drill_down(self):
        aggregates = self.records("usage.aggregate", self.other_company)
        self.assertEqual(len(aggregates._event_ids()), 1)
        with self.assertRaises(AccessError):
            aggregates.with_user(self.viewer)._event_ids()
        with self.assertRaises(AccessError):
            aggregates.with_user(self.viewer).action_view_events()

    def test_foreign_exceptions_are_not_replayed(self):
        rejected = self.records("usage.exception", self.other_company)
        with self.assertRaises(AccessError):
            rejected.with_user(self.operator).action_replay()

    def test_foreign_sources_are_not_approved(self):
        for method in ("action_approve", "action_suspend", "action_revoke_keys"):
            with self.subTest(method), self.assertRaises(AccessError):
                getattr(self.other_source.with_user(self.second_admin), method)()
        with self.assertRaises(AccessError):
            wizard = (
                self.env["usage.key.wizard"].with_user(self.second_admin).create({"source_id": self.other_source.id})
            )
            wizard.action_generate()
        self.assertEqual(self.other_source.state, "approved")

    def test_customer_of_both(self):
        """The figures on a customer are those of the companies that one may see."""
        self.assertEqual(self.customer.usage_account_count, 2)
        self.assertEqual(self.customer.with_user(self.viewer).usage_account_count, 1)

    def test_same_id_and_account_in_two_companies(self):
        self.assertEqual(self.stored("a").company_id, self.company)
        self.assertEqual(list(self.figures().values()), [("1", 1)])
        self.assertEqual(list(self.figures(self.other_meter).values()), [("1", 1)])

    def test_every_model_has_its_rule(self):
        """A model with a company and without a rule would show everybody everything."""
        data = self.env["ir.model.data"].search([("module", "=", ADDON), ("model", "=", "ir.model")])
        models = self.env["ir.model"].browse(data.mapped("res_id"))
        for model in models.filtered(lambda model: model.model.startswith("usage.")):
            if "company_id" in self.env[model.model]._fields:
                rules = self.env["ir.rule"].search([("model_id", "=", model.id), ("global", "=", True)])
                self.assertTrue(rules.filtered(lambda rule: "company_ids" in (rule.domain_force or "")), model.model)
                self.assertIn(model.model, MODELS + ELSEWHERE)
