from datetime import datetime
from decimal import Decimal

from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import tagged

from .common import MARCH, UsageInvoicingCommon


@tagged("post_install", "-at_install")
class TestInvoicing(UsageInvoicingCommon):
    def test_one_line_a_charge(self):
        self.use(11)
        statement = self.invoiced()
        move = statement.move_id
        self.assertEqual((move.state, move.move_type, move.partner_id), ("draft", "out_invoice", self.customer))
        self.assertEqual((move.currency_id, move.company_id), (self.plan.currency_id, self.company))
        self.assertEqual((move.invoice_origin, move.usage_statement_id), (statement.name, statement))
        line = move.invoice_line_ids
        self.assertEqual((line.quantity, line.price_unit, line.price_subtotal), (1, 5.5, 5.5))
        self.assertEqual(line.product_id, self.product)
        self.assertEqual(line.account_id, self.company_data["default_account_revenue"])
        self.assertEqual((statement.charge_ids.move_line_id, line.usage_charge_id), (line, statement.charge_ids))

    def test_taxes_come_from_the_product(self):
        self.product.taxes_id = self.tax_sale_a
        self.use(11)
        move = self.invoiced().move_id
        self.assertEqual(move.invoice_line_ids.tax_ids, self.tax_sale_a)
        self.assertEqual(move.amount_untaxed, 5.5)
        self.assertGreater(move.amount_total, 5.5)

    def test_fiscal_position_of_the_customer(self):
        self.product.taxes_id = self.tax_sale_a
        self.customer.property_account_position_id = self.fiscal_pos_a
        self.use(11)
        self.assertEqual(self.invoiced().move_id.fiscal_position_id, self.fiscal_pos_a)

    def test_goes_to_the_invoice_address_on_the_customers_terms(self):
        self.customer.property_payment_term_id = self.pay_terms_b
        address = self.env["res.partner"].create({"name": "AP", "parent_id": self.customer.id, "type": "invoice"})
        self.use(11)
        move = self.invoiced().move_id
        self.assertEqual((move.partner_id, move.invoice_payment_term_id), (address, self.pay_terms_b))

    def test_text_says_usage_days_and_price(self):
        self.use(1_234_567)
        self.assertEqual(
            self.invoiced().move_id.invoice_line_ids.name,
            "Tokens: 1,234,567 unit, 03/01/2025 – 03/31/2025\n0.50 USD per unit",
        )

    def test_text_says_the_days_in_the_customers_time_zone(self):
        _partner, _account, subscription = self._customer("Tokyo", tz="Asia/Tokyo")
        self.use(1, subject="tokyo")
        self.assertIn("03/01/2025 – 03/31/2025", self.invoiced(subscription=subscription).move_id.invoice_line_ids.name)

    def test_text_is_in_the_customers_language(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        self.product.with_context(lang="fr_FR").name = "Jetons"
        self.customer.lang = "fr_FR"
        self.use(1)
        self.assertIn("Jetons: 1 unit, 01/03/2025 – 31/03/2025", self.invoiced().move_id.invoice_line_ids.name)

    def test_journal_of_the_settings(self):
        journal = self.env["account.journal"].create({"name": "Usage", "code": "USG", "type": "sale"})
        self.company.usage_journal_id = journal
        self.use(1)
        self.assertEqual(self.invoiced().move_id.journal_id, journal)

    def test_responsible_of_the_subscription(self):
        self.subscription.user_id = self.viewer
        self.use(1)
        self.assertEqual(self.invoiced().move_id.invoice_user_id, self.viewer)

    def test_posted(self):
        self.use(11)
        statement = self.posted()
        self.assertEqual((statement.move_id.state, statement.move_id.payment_state), ("posted", "not_paid"))
        self.assertEqual(self.last_step(statement).action, "posted")
        self.assertEqual(self.last_step(statement).user_id, self.approver)

    def test_a_preparer_without_rights_to_invoices_makes_none(self):
        self.use(1)
        statement = self.advance(self.statement(), "approved")
        with self.assertRaises(AccessError):
            statement.with_user(self.preparer).action_invoice()
        with self.assertRaises(AccessError):
            statement.with_user(self.viewer).sudo().action_invoice()

    def test_several_at_once(self):
        _partner, _account, other = self._customer("Globex")
        self.use(1)
        self.use(2, subject="globex")
        statements = self.statement() | self.statement(subscription=other)
        self.advance(statements, "posted")
        self.assertEqual(statements.move_id.mapped("amount_untaxed"), [0.5, 1])
        for statement in statements:
            self.assertEqual(statement.move_id.commercial_partner_id, statement.partner_id)

    def test_the_invoices_of_several_statements_are_listed(self):
        _partner, _account, other = self._customer("Globex")
        self.use(1)
        self.use(2, subject="globex")
        statements = self.advance(self.statement() | self.statement(subscription=other), "invoiced")
        action = statements.action_view_invoice()
        self.assertEqual(self.env["account.move"].search(action["domain"]), statements.move_id.sorted())
        self.assertEqual(action["view_mode"], "list,form")

    def test_the_action_shows_what_was_made(self):
        self.use(1)
        statement = self.advance(self.statement(), "approved")
        action = statement.with_user(self.approver).action_invoice()
        self.assertEqual((action["res_model"], action["res_id"]), ("account.move", statement.move_id.id))

    def test_from_the_invoice_to_the_statement_and_the_charge(self):
        self.use(1)
        statement = self.invoiced()
        action = statement.move_id.action_view_usage_statement()
        self.assertEqual((action["res_model"], action["res_id"]), ("usage.statement", statement.id))
        action = statement.move_id.invoice_line_ids.action_view_usage_charge()
        self.assertEqual((action["res_model"], action["res_id"]), ("usage.charge", statement.charge_ids.id))
        action = statement.charge_ids.action_view_invoice()
        self.assertEqual(action["res_id"], statement.move_id.id)


@tagged("post_install", "-at_install")
class TestToTheCent(UsageInvoicingCommon):
    """The invoice before tax is the sum of the charges, with any number of them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.product.taxes_id = cls.tax_sale_a
        cls.wide = cls._plan("wide")
        cls.codes = [f"meter{number}" for number in range(60)]
        for number, code in enumerate(cls.codes):
            meter = cls._meter(code, event_type=code, value_path="tokens")
            cls._price(plan_id=cls.wide.id, meter_id=meter.id, unit_amount=(number + 1) / 1000)
        cls._recount()
        cls.partner = cls.env["res.partner"].create({"name": "Wide", "is_company": True})
        cls._account("wide", cls.partner)
        cls.wide_subscription = cls._subscription(partner_id=cls.partner.id, plan_id=cls.wide.id)

    def test_many_charges(self):
        events = [
            self.event(
                f"wide-{code}",
                type=code,
                subject="wide",
                time=f"{MARCH.isoformat()}Z",
                data={"tokens": Decimal(number * 37 + 5) / 10},
            )
            for number, code in enumerate(self.codes)
        ]
        self.ingest(events)
        self.fold()
        statement = self.posted(subscription=self.wide_subscription)
        self.assertEqual(len(statement.charge_ids), 60)
        expected = sum(Decimal(charge.result["amount"]) for charge in statement.charge_ids)
        self.assertEqual(Decimal(str(statement.move_id.amount_untaxed)), expected)
        for charge in statement.charge_ids:
            line = charge.move_line_id
            self.assertEqual(line.quantity, 1)
            self.assertEqual(Decimal(str(line.price_subtotal)), Decimal(charge.result["amount"]))
        statement._reconcile()
        self.assertEqual(sum(statement.reconciliation_ids.mapped("difference_amount")), 0)
        self.assertEqual(set(statement.reconciliation_ids.mapped("state")), {"matched"})

    def test_large_amounts(self):
        self.use(123_456_789_012)
        statement = self.posted()
        self.assertEqual(statement.move_id.amount_untaxed, 61_728_394_506)


@tagged("post_install", "-at_install")
class TestNothingToInvoice(UsageInvoicingCommon):
    """A statement of zero charges is approved like any other and closed without an invoice."""

    def test_closed_without_an_invoice(self):
        statement = self.advance(self.statement(), "approved")
        self.assertTrue(statement.nothing_to_invoice)
        self.assertFalse(statement.with_user(self.approver).action_invoice())
        self.assertEqual((statement.state, statement.move_id.id), ("posted", False))
        self.assertEqual(self.last_step(statement).note, "Nothing to invoice: every charge is zero.")

    def test_reconciles(self):
        statement = self.advance(self.statement(), "approved")
        statement.with_user(self.approver).action_invoice()
        statement._reconcile()
        row = statement.reconciliation_ids
        self.assertEqual((row.state, row.difference_amount, row.amount_posted), ("matched", 0, 0))

    def test_a_period_without_any_line(self):
        self.subscription.line_ids.date_to = "2025-02-28"
        statement = self.advance(self.statement(), "approved")
        statement.with_user(self.approver).action_invoice()
        self.assertEqual(statement.state, "posted")

    def test_together_with_others(self):
        _partner, _account, other = self._customer("Globex")
        self.use(2, subject="globex")
        statements = self.advance(self.statement() | self.statement(subscription=other), "approved")
        statements.with_user(self.approver).action_invoice()
        self.assertEqual(statements.mapped("state"), ["posted", "invoiced"])

    def test_charges_of_zero_stand_on_an_invoice_with_others(self):
        """What was used inside the included quantity is told to the customer, too."""
        requests = self._meter("requests")
        self._recount()
        price = self._price(meter_id=requests.id, unit_amount=1, included_quantity=100)
        self.subscription.line_ids = [Command.create({"price_id": price.id})]
        self.use(2)
        statement = self.posted()
        self.assertEqual(statement.move_id.invoice_line_ids.mapped("price_subtotal"), [1, 0])
        self.assertEqual(len(statement.charge_ids.move_line_id), 2)


@tagged("post_install", "-at_install")
class TestTaxIncluded(UsageInvoicingCommon):
    def test_a_tax_inside_the_price_is_refused(self):
        """Charges are before tax: a product whose tax is included would bill less than approved."""
        tax = self.tax_sale_a.copy({"price_include_override": "tax_included", "name": "Included"})
        self.product.taxes_id = tax
        self.use(11)
        statement = self.advance(self.statement(), "approved")
        with self.assertRaisesRegex(UserError, "included in its price"), self.env.cr.savepoint():
            statement.with_user(self.approver).action_invoice()
        self.assertEqual((statement.state, statement.move_id.id), ("approved", False))
        self.assertFalse(self.env["account.move"].search([("usage_statement_id", "=", statement.id)]))


@tagged("post_install", "-at_install")
class TestSeveralCompanies(UsageInvoicingCommon):
    def test_invoiced_by_the_company_of_the_subscription(self):
        data = self.setup_other_company(name="Sister")
        sister = data["company"]
        people = self.preparer | self.approver | self.admin | self.second_admin
        people.company_ids |= sister
        source = self._source("sister", company=sister)
        self._account("sister", self.customer, source=source)
        meter = self._meter("sister-tokens", value_path="tokens", company_id=sister.id)
        self._recount()
        plan = self._plan("sister", company_id=sister.id, currency_id=sister.currency_id.id)
        product = self._service("Sister Tokens")
        price = (
            self.env["usage.price"]
            .with_user(self.admin)
            .with_company(sister)
            .create({"plan_id": plan.id, "meter_id": meter.id, "product_id": product.id, "unit_amount": 2})
        )
        price.with_user(self.second_admin).with_company(sister).action_approve()
        subscription = self._subscription(company_id=sister.id, plan_id=plan.id)
        self.ingest(
            [self.event("s1", subject="sister", time="2025-03-10T00:00:00Z", data={"tokens": 3})], source=source
        )
        self.use(1)
        self.fold()
        statements = self.statement() | self.statement(subscription=subscription)
        companies = {"allowed_company_ids": (self.company | sister).ids}
        statements = statements.with_context(**companies)
        self.advance(statements, "posted")
        found = {move.company_id: move.amount_untaxed for move in statements.move_id}
        self.assertEqual(found, {self.company: 0.5, sister: 6})

    def test_dates_of_another_year(self):
        self.use(1, datetime(2025, 2, 10))
        self.assertIn("02/01/2025 – 02/28/2025", self.invoiced(datetime(2025, 2, 10)).move_id.invoice_line_ids.name)
