from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestSuggestion(UsageCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.partners = cls.env["res.partner"]
        cls.suggestions = cls.env["usage.account.suggestion"]
        cls.globex = cls._company_partner("Globex", ref="C-4711", vat="BE0477472701", email="office@globex.example")
        cls.ann = cls.partners.create(
            {"name": "Ann", "parent_id": cls.globex.id, "email": "ann@gmail.com", "ref": "ann-1"}
        )

    @classmethod
    def _company_partner(cls, name, **values):
        return cls.partners.create({"name": name, "is_company": True, **values})

    def found(self, account=None, **values):
        """Suggestions of the account: dict of customer to (reason, score)."""
        account = account or self._account(values.pop("external_id", "x"), **values)
        self.suggestions._suggest(account)
        return {found.partner_id: (found.reason, found.score) for found in account.suggestion_ids}

    def test_by_what_the_account_is_called(self):
        for external_id, expected in (
            ("c-4711", ("reference", 95)),
            ("BE 0477.472.701", ("vat", 90)),
            ("office@globex.example", ("email", 80)),
            ("ann@gmail.com", ("email", 80)),
            ("it@globex.example", ("domain", 65)),
            ("globex.example", ("domain", 65)),
            ("https://www.globex.example/", ("domain", 65)),
            ("globex", ("name", 50)),
        ):
            with self.subTest(external_id):
                self.assertEqual(self.found(external_id=external_id), {self.globex: expected})
        self.assertEqual(self.found(external_id="tenant-1", name=" Globex "), {self.globex: ("name", 50)})

    def test_nothing_in_common(self):
        for external_id in ("tenant-7", "47", "someone@gmail.com", "gmail.com", "0477", "globex inc", "%", "a@b"):
            with self.subTest(external_id):
                self.assertFalse(self.found(external_id=external_id))

    def test_by_its_events(self):
        for subject, values, expected in (
            ("t-1", {"user": "bob@globex.example"}, ("domain", 65)),
            ("t-2", {"user": "ann@gmail.com"}, ("email", 80)),
            ("t-3", {"tenant": "C-4711"}, ("reference", 95)),
            ("t-4", {"user": "C-4711"}, None),
            ("t-5", {"user": "Globex"}, None),
        ):
            self.ingest([self.event(subject, subject=subject, **values)])
            with self.subTest(subject):
                self.assertEqual(
                    self.found(self.stored(subject).account_id), {self.globex: expected} if expected else {}
                )

    def test_the_best_reason_of_a_customer(self):
        self.assertEqual(self.found(external_id="it@globex.example", name="C-4711"), {self.globex: ("reference", 95)})

    def test_several_customers(self):
        branch = self._company_partner("Globex Branch", website="https://globex.example/branch")
        self.assertEqual(
            self.found(external_id="it@globex.example"), {self.globex: ("domain", 45), branch: ("domain", 45)}
        )

    def test_customers_of_other_companies_and_our_own(self):
        other = self.env["res.company"].create({"name": "Other"})
        self._company_partner("Foreign", ref="F-1", company_id=other.id)
        self.env.company.partner_id.ref = "OURS"
        self._company_partner("Gone", ref="G-1", active=False)
        for external_id in ("F-1", "OURS", "G-1"):
            self.assertFalse(self.found(external_id=external_id), external_id)
        theirs = self._account("F-1", source=self._source("other-cloud", other))
        self.assertEqual([partner.name for partner in self.found(theirs)], ["Foreign"])
        with self.assertRaises(AccessError):
            theirs.suggestion_ids.with_user(self.operator).action_accept()
        self.assertFalse(self.suggestions.with_user(self.viewer).search([("account_id", "=", theirs.id)]))

    def test_accepted_one_by_one(self):
        account = self._account("C-4711")
        self.ingest([self.event("a", subject="C-4711")])
        self.fold()
        self.suggestions._cron_suggest()
        suggestion = account.suggestion_ids
        self.assertFalse(account.partner_id)
        suggestion.with_user(self.operator).action_accept()
        self.assertEqual(account.partner_id, self.globex)
        self.assertEqual((suggestion.state, suggestion.decided_by_id), ("accepted", self.operator))
        self.assertEqual(self.stored("a").state, "counted")
        self.assertFalse(self.exceptions(account_id=account.id, state="open"))

    def test_accepted_in_bulk(self):
        other = self._company_partner("Initech")
        accounts = self._account("C-4711") | self._account("initech")
        self.suggestions._suggest()
        accounts.suggestion_ids.with_user(self.operator).action_accept()
        self.assertEqual(accounts.mapped("partner_id"), self.globex | other)

    def test_one_customer_for_an_account(self):
        self._company_partner("Globex Branch", website="globex.example")
        account = self._account("globex.example")
        self.suggestions._suggest()
        self.assertEqual(account.suggestion_count, 2)
        with self.assertRaisesRegex(UserError, "choose one"):
            account.suggestion_ids.action_accept()
        chosen = account.suggestion_ids[0]
        chosen.action_accept()
        self.assertEqual(self.suggestions.search([("account_id", "=", account.id)]), chosen)

    def test_dismissed_ones_are_remembered(self):
        account = self._account("C-4711")
        self.suggestions._suggest()
        suggestion = account.suggestion_ids
        suggestion.with_user(self.operator).action_dismiss()
        with self.assertRaisesRegex(UserError, "decided already"):
            suggestion.action_accept()
        self.suggestions._suggest()
        self.assertEqual((suggestion.state, account.suggestion_ids), ("dismissed", self.suggestions))
        suggestion.action_reopen()
        self.assertEqual(account.suggestion_ids, suggestion)

    def test_stay_as_long_as_they_hold(self):
        account = self._account("C-4711")
        self.suggestions._suggest()
        suggestion = account.suggestion_ids
        self.suggestions._suggest()
        self.assertEqual(account.suggestion_ids, suggestion)
        self.globex.ref = "C-4712"
        self.suggestions._suggest()
        self.assertFalse(suggestion.exists())

    def test_gone_with_another_customer(self):
        account = self._account("C-4711")
        self.suggestions._suggest()
        account.partner_id = self.customer
        self.assertFalse(account.suggestion_ids)
        account.partner_id = False
        self.suggestions._suggest()
        self.assertEqual(account.suggestion_ids.partner_id, self.globex)

    def test_again_after_it_was_taken_back(self):
        account = self._account("C-4711")
        self.suggestions._suggest()
        account.suggestion_ids.action_accept()
        account.partner_id = False
        self.suggestions._suggest()
        self.assertEqual((account.suggestion_ids.state, account.suggestion_ids.decided_by_id.id), ("open", False))

    def test_on_demand(self):
        account = self._account("C-4711").with_user(self.operator)
        action = account.action_suggest()
        self.assertEqual(self.env[action["res_model"]].search(action["domain"]).partner_id, self.globex)
        self.suggestions.with_user(self.operator).action_find()
        for call in (
            account.with_user(self.viewer).action_suggest,
            self.suggestions.with_user(self.viewer).action_find,
            account.suggestion_ids.with_user(self.viewer).action_accept,
            account.suggestion_ids.with_user(self.viewer).action_dismiss,
        ):
            with self.assertRaises(AccessError):
                call()

    def test_one_statement(self):
        self.env["usage.account"].create(
            [{"external_id": f"tenant-{n}", "source_id": self.source.id} for n in range(50)]
        )
        self.env.flush_all()
        with self.assertQueryCount(1):
            self.suggestions._suggest()
