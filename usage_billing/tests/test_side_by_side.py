from datetime import datetime

from odoo.fields import Command
from odoo.tests import tagged

from .common import MARCH, UsageBillingCommon


@tagged("post_install", "-at_install")
class TestSideBySide(UsageBillingCommon):
    """Accounts, currencies and companies side by side, through statements."""

    def test_several_accounts_and_their_children_on_one_statement(self):
        """Two accounts of the customer, a child billed at its parent, and one of somebody else."""
        self._account("acme-eu", self.customer)
        child = self._account("acme-lab", self.env["res.partner"].create({"name": "Lab", "is_company": True}))
        child.write({"parent_id": self.account.id, "billed_at_parent": True})
        self._account("other", self.env["res.partner"].create({"name": "Other"}))
        for subject, tokens in (("acme", 1), ("acme-eu", 2), ("acme-lab", 4), ("other", 8)):
            self.use(tokens, subject=subject)
        charge = self.rated().charge_ids
        self.assertEqual((charge.quantity, charge.result["amount"]), (7, "3.50"))
        self.assertEqual(len(charge.source_accounts), 3)

    def test_currencies_of_0_2_and_3_decimals(self):
        """3 tokens at 1.2345 each: rounded as each currency is, by each rule; all in one run."""
        expected = {
            ("JPY", "half_up"): "4",
            ("JPY", "up"): "4",
            ("JPY", "down"): "3",
            ("JPY", "half_even"): "4",
            ("USD", "half_up"): "3.70",
            ("USD", "up"): "3.71",
            ("USD", "down"): "3.70",
            ("USD", "half_even"): "3.70",
            ("BHD", "half_up"): "3.704",
            ("BHD", "up"): "3.704",
            ("BHD", "down"): "3.703",
            ("BHD", "half_even"): "3.704",
        }
        currencies = self.env["res.currency"].with_context(active_test=False)
        statements = {}
        for name, rule in expected:
            currency = currencies.search([("name", "=", name)])
            currency.active = True
            plan = self._plan(f"{name}-{rule}", currency_id=currency.id)
            self._price(plan_id=plan.id, unit_amount=1.2345, rounding_mode=rule)
            code = f"{name}{rule.replace('_', '')}".lower()
            _partner, _account, subscription = self._customer(code, plan_id=plan.id)
            self.use(3, subject=code)
            statements[name, rule] = self.statement(MARCH, subscription)
        self.env["usage.statement"].union(*statements.values())._rate(datetime(2025, 4, 1))
        amounts = {key: statement.charge_ids.result["amount"] for key, statement in statements.items()}
        self.assertEqual(amounts, expected)

    def test_companies(self):
        """The same customer in two companies: each bills the usage of its own sources."""
        sister = self.env["res.company"].create({"name": "Sister"})
        source = self._source("sister", company=sister)
        self._account("acme-there", self.customer, source=source)
        meter = self._meter("sister", company_id=sister.id)
        plan = self._plan("sister", company_id=sister.id)
        price = self._price(plan_id=plan.id, meter_id=meter.id, unit_amount=3)
        there = self._subscription(
            plan_id=plan.id, company_id=sister.id, line_ids=[Command.create({"price_id": price.id})]
        )
        self.use(5)
        here = self.statement()
        statements = here | self.statement(MARCH, there)
        statements._rate(datetime(2025, 4, 1))
        self.assertEqual(statements.mapped("company_id"), self.company | sister)
        self.assertEqual((here.amount_untaxed, (statements - here).amount_untaxed), (2.5, 0))
        self.assertEqual(there.account_ids.mapped("external_id"), ["acme-there"])
