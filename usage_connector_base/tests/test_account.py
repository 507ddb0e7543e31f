import psycopg2

from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Command
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestAccount(UsageCommon):
    def test_takes_company_and_environment_of_its_source(self):
        source = self._source("staging", environment="staging")
        account = self._account("x", source=source)
        self.assertEqual((account.company_id, account.environment), (self.company, "staging"))

    def test_account_made_by_an_event(self):
        self.ingest([self.event("a", subject="new")])
        account = self.env["usage.account"].search([("external_id", "=", "new")])
        self.assertEqual((account.source_id, account.company_id), (self.source, self.company))
        self.assertEqual((account.environment, account.active, account.name), ("production", True, False))
        self.assertEqual(account.create_uid, self.source.user_id)
        self.assertTrue(account.create_date)

    def test_name(self):
        account = self._account("tenant-4711")
        self.assertEqual(account.display_name, "tenant-4711")
        account.name = "Acme Berlin"
        self.assertEqual(account.display_name, "Acme Berlin")
        for text in ("4711", "berlin"):
            self.assertEqual(self.env["usage.account"].name_search(text)[0][0], account.id)

    def test_figures(self):
        self.ingest([self.event("a"), self.event("b", time=self.time(7)), self.event("c", subject="other")])
        self.assertEqual(self.account.event_count, 2)
        self.assertEqual(self.account.last_event_time.minute, 7)
        empty = self._account("empty")
        self.assertEqual((empty.event_count, empty.last_event_time), (0, False))

    @mute_logger("odoo.sql_db")
    def test_identifier_is_unique_in_its_source(self):
        with self.assertRaises(psycopg2.errors.UniqueViolation), self.cr.savepoint():
            self._account("acme")
        self.assertTrue(self._account("acme", source=self._source("other-cloud")))

    def test_identity_stays_once_there_is_usage(self):
        account = self._account("new")
        account.external_id = "newer"
        self.ingest([self.event("a", subject="newer")])
        with self.assertRaisesRegex(UserError, "has usage"):
            account.external_id = "other"
        with self.assertRaisesRegex(UserError, "has usage"):
            account.source_id = self._source("other-cloud")
        account.write({"external_id": "newer", "name": "Newer"})
        self.assertEqual((account.external_id, account.name), ("newer", "Newer"))

    def test_deletion(self):
        self.ingest([self.event("a")])
        with self.assertRaisesRegex(UserError, "archive"):
            self.account.with_user(self.operator).unlink()
        unused = self._account("unused")
        unused.with_user(self.operator).unlink()
        self.assertFalse(unused.exists())
        self.assertFalse(self.exceptions(reason="account_unmapped"))

    @mute_logger("odoo.sql_db")
    def test_customer_with_accounts_stays(self):
        with self.assertRaises(psycopg2.errors.ForeignKeyViolation), self.cr.savepoint():
            self.customer.unlink()

    def test_parent(self):
        child, grandchild = self._account("child"), self._account("grandchild")
        child.parent_id = self.account
        grandchild.parent_id = child
        foreign = self._account("foreign", source=self._source("other-cloud"))
        for message, account, parent in (
            ("own parent", self.account, grandchild),
            ("own parent", child, child),
            ("same one", foreign, self.account),
        ):
            with self.assertRaisesRegex(ValidationError, message), self.cr.savepoint():
                account.parent_id = parent

    def test_customer_of_another_company(self):
        company = self.env["res.company"].create({"name": "Other"})
        foreign = self.env["res.partner"].create({"name": "Foreign", "company_id": company.id})
        with self.assertRaises(UserError):
            self.account.partner_id = foreign

    def test_drill_down(self):
        self.ingest([self.event("a"), self.event("b", subject="other")])
        self.fold()
        for method, model in (("action_view_usage", "usage.aggregate"), ("action_view_events", "usage.event")):
            action = getattr(self.account, method)()
            self.assertEqual(action["res_model"], model)
            self.assertEqual(self.env[model].search(action["domain"]).account_id, self.account)


@tagged("post_install", "-at_install")
class TestMapping(UsageCommon):
    """Assigning an account releases its usage at once."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ingest([cls.event(f"{n}", subject=f"new {n % 3}") for n in range(6)])
        cls.fold()
        cls.accounts = cls.env["usage.account"].search([("external_id", "like", "new %")])

    def wizard(self, accounts, person=None, **values):
        action = accounts.with_user(person or self.operator).action_map()
        return self.env[action["res_model"]].with_user(person or self.operator).with_context(**action["context"])

    def test_several_at_once(self):
        self.assertEqual(len(self.accounts), 3)
        wizard = self.wizard(self.accounts).create({"partner_id": self.customer.id})
        self.assertEqual((wizard.account_count, wizard.event_count, wizard.reassigned_count), (3, 6, 0))
        self.assertEqual(wizard.action_map()["type"], "ir.actions.act_window_close")
        self.assertEqual(self.accounts.partner_id, self.customer)
        self.assertFalse(self.exceptions(reason="account_unmapped", state="open"))

    def test_released_at_once(self):
        events = self.env["usage.event"].search([("account_id", "in", self.accounts.ids)])
        self.assertEqual(set(events.mapped("state")), {"held"})
        self.wizard(self.accounts).create({"partner_id": self.customer.id}).action_map()
        self.assertEqual(set(events.mapped("state")), {"counted"})
        answer = self.ingest([self.event("next", subject="new 0")])
        self.assertEqual(self.outcomes(answer), {"accepted": 1})
        self.assertEqual(self.fold(), 1)

    def test_moves_no_figure(self):
        before = self.figures()
        self.wizard(self.accounts).create({"partner_id": self.customer.id}).action_map()
        self.fold()
        self.assertEqual(self.figures(), before)

    def test_warns_of_accounts_of_another_customer(self):
        other = self.env["res.partner"].create({"name": "Other"})
        wizard = self.wizard(self.accounts | self.account).create({"partner_id": other.id})
        self.assertEqual((wizard.account_count, wizard.reassigned_count), (4, 1))
        wizard.action_map()
        self.assertEqual((self.accounts | self.account).partner_id, other)

    def test_same_customer_again(self):
        wizard = self.wizard(self.account).create({"partner_id": self.customer.id})
        self.assertEqual(wizard.reassigned_count, 0)

    def test_form(self):
        with Form(self.wizard(self.accounts)) as form:
            self.assertEqual(form.account_count, 3)
            form.partner_id = self.customer
        form.record.action_map()
        self.assertEqual(self.accounts.partner_id, self.customer)

    def test_viewer_may_not(self):
        with self.assertRaises(AccessError):
            self.wizard(self.accounts, self.viewer).create({"partner_id": self.customer.id})
        with self.assertRaises(AccessError):
            self.account.with_user(self.viewer).partner_id = False

    def test_foreign_accounts(self):
        """The dialog takes no account of a company that its user may not see."""
        company = self.env["res.company"].create({"name": "Other"})
        foreign = self._account("foreign", source=self._source("other-cloud", company))
        wizards = self.env["usage.account.map"].with_user(self.operator)
        with self.assertRaises(AccessError):
            wizards.create({"partner_id": self.customer.id, "account_ids": [Command.set(foreign.ids)]}).action_map()
        self.assertFalse(foreign.partner_id)

    def test_inline_in_the_list(self):
        self.accounts[0].with_user(self.operator).partner_id = self.customer
        self.assertEqual(self.exceptions(account_id=self.accounts[0].id).state, "resolved")
        self.assertEqual(len(self.exceptions(reason="account_unmapped", state="open")), 2)


@tagged("post_install", "-at_install")
class TestPartner(UsageCommon):
    def test_accounts_of_a_company_and_its_contacts(self):
        contact = self.env["res.partner"].create({"name": "Ann", "parent_id": self.customer.id})
        self._account("contact", contact)
        self.assertEqual(self.customer.with_user(self.viewer).usage_account_count, 2)
        self.assertEqual(contact.with_user(self.viewer).usage_account_count, 1)

    def test_usage(self):
        contact = self.env["res.partner"].create({"name": "Ann", "parent_id": self.customer.id})
        account = self._account("contact", contact)
        self._account("somebody else", self.env["res.partner"].create({"name": "Else"}))
        self.ingest([self.event("a"), self.event("b", subject="contact"), self.event("c", subject="somebody else")])
        self.fold()
        action = self.customer.with_user(self.viewer).action_view_usage()
        usage = self.env[action["res_model"]].search(action["domain"])
        self.assertEqual(usage.account_id, self.account | account)
        self.assertIn("Acme Ltd", action["name"])

    def test_people_without_usage_rights(self):
        """They go on working with contacts."""
        person = self._person("nobody", "base.group_user", "base.group_partner_manager")
        partner = self.customer.with_user(person)
        with self.assertRaises(AccessError):
            partner.read(["usage_account_count"])
        self.assertEqual(partner.read(["name"])[0]["name"], "Acme Ltd")
        partner.name = "Acme Limited"
