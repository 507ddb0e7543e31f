from odoo.tests import Form, tagged

from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestPartnerMerge(UsageCommon):
    """Odoo's own dialog for duplicate contacts carries everything over."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.twin = cls.env["res.partner"].create({"name": "ACME", "is_company": True})
        cls.contact = cls.env["res.partner"].create({"name": "Ann", "parent_id": cls.twin.id})
        cls.twins = cls._account("acme-inc", cls.twin) | cls._account("acme-ann", cls.contact)
        cls.ingest([cls.event("a", subject="acme-inc"), cls.event("b", subject="acme-ann")])
        cls.fold()
        # Someone who looks after contacts, and has no rights to usage.
        cls.person = cls._person("keeper", "base.group_partner_manager", "base.group_user")

    def merge(self, partners, into):
        wizards = self.env["base.partner.merge.automatic.wizard"].with_user(self.person)
        with Form(wizards.with_context(active_model="res.partner", active_ids=(partners | into).ids)) as form:
            form.dst_partner_id = into
        form.record.action_merge()
        self.env.invalidate_all()

    def test_accounts_and_assignments(self):
        self.twins[0]._assign(self.customer, self.hour)
        self.merge(self.twin, self.customer)
        self.assertFalse(self.twin.exists())
        self.assertEqual(self.twins.mapped("partner_id"), self.customer | self.contact)
        self.assertEqual(self.twins.commercial_partner_id, self.customer)
        self.assertEqual(self.twins.assignment_ids.commercial_partner_id, self.customer)
        self.assertEqual(len(self.twins[0].assignment_ids), 2)
        self.assertEqual(self.stored("a", "b").mapped("state"), ["counted"] * 2)
        self.assertEqual(self.customer.with_user(self.viewer).usage_account_count, 3)

    def test_into_a_contact_of_a_company(self):
        boss = self.env["res.partner"].create({"name": "Boss", "parent_id": self.customer.id})
        other = self.env["res.partner"].create({"name": "The Boss"})
        account = self._account("boss", other)
        self.merge(other, boss)
        self.assertEqual((account.partner_id, account.commercial_partner_id), (boss, self.customer))
        self.assertEqual(account.assignment_ids.commercial_partner_id, self.customer)
        spans = self.env["usage.account"]._customer_spans(self.customer, "production")
        accounts = [span.account_id for span in spans[self.customer.id, self.company.id]]
        self.assertEqual(accounts, sorted((self.account | account).ids))

    def test_told(self):
        self._told(self.company)
        before = self.env["usage.delivery"].search([])
        self.merge(self.twin, self.customer)
        message = self.env["usage.delivery"].search([]) - before
        self.assertEqual(len(message), 1)
        self.assertIn("Acme Ltd", message.payload)
        self.assertIn("acme-inc", message.payload)
        self.assertIn("ACME was merged into Acme Ltd", " ".join(self.twins[0].message_ids.mapped("body")))

    def test_suggestions(self):
        account = self._account("tenant", name="ACME")
        self.env["usage.account.suggestion"]._suggest()
        self.assertEqual(account.suggestion_ids.partner_id, self.twin)
        self.merge(self.twin, self.customer)
        self.assertEqual(account.suggestion_ids.partner_id, self.customer)
