"""Simulations of whole contracts: the customer's own plan gives to the cent what the statements give."""

from datetime import date, datetime

from odoo.tests import tagged

from .test_amendment import AmendmentCommon

FEBRUARY, MARCH, APRIL = (datetime(2025, month, 10) for month in (2, 3, 4))


class SimulationCommon(AmendmentCommon):
    def simulate(self, contract, plan=None, **values):
        """A calculated simulation of the first quarter, of one contract."""
        plan = plan or contract.plan_id
        values = {"plan_id": plan.id, "date_from": "2025-01-01", "date_to": "2025-03-31", **values}
        values["subscription_ids"] = [(6, 0, contract.ids)]
        simulation = self.env["usage.simulation"].with_user(self.preparer).create(values)
        simulation.action_run()
        self.assertFalse(any(simulation.line_ids.mapped("note")))
        return simulation.line_ids.sorted("month")

    def billed(self, contract, *moments):
        """Amounts of statements, rated one after the other."""
        return [self.rated(at, contract).amount_untaxed for at in moments]

    def assertOwnPlan(self, contract, amounts):
        """The statements of the quarter come to these amounts, and so does what is simulated of their plan."""
        self.assertEqual(self.billed(contract, datetime(2025, 1, 10), FEBRUARY, MARCH), amounts)
        lines = self.simulate(contract)
        self.assertEqual(lines.mapped("amount_current"), amounts)
        self.assertEqual(lines.mapped("amount_simulated"), amounts)


@tagged("post_install", "-at_install")
class TestSimulationOfContracts(SimulationCommon):
    """Seats, contract years and commitments, by hand."""

    def test_seats(self):
        """31 a seat: 10 in January and February, from March 11th on 12: 10 × 10 + 12 × 21."""
        contract = self.contract(self.seats(31))
        contract.line_ids.quantity = 10
        contract._amend("change_quantity", date(2025, 3, 11), line=contract.line_ids, quantity=12)
        self.assertOwnPlan(contract, [310, 310, 352])

    def test_seats_in_advance(self):
        """Every statement charges the next month, the first its own, too; what begins in April is charged in April."""
        contract = self.contract(self.seats(31, timing="advance"))
        contract.line_ids.quantity = 10
        contract._amend("change_quantity", date(2025, 4, 1), line=contract.line_ids, quantity=12)
        self.assertOwnPlan(contract, [620, 310, 0])

    def test_seats_on_another_plan(self):
        """The seats there are, 10 and then 12, at 62 each; another product's where it is the only fee."""
        contract = self.contract(self.seats(31))
        contract.line_ids.quantity = 10
        contract._amend("change_quantity", date(2025, 3, 11), line=contract.line_ids, quantity=12)
        plan = self._plan("gold")
        self.seats(62, plan_id=plan.id, product_id=self._service("Gold seats").id)
        lines = self.simulate(contract, plan)
        self.assertEqual(lines.mapped("amount_current"), [310, 310, 352])
        self.assertEqual(lines.mapped("amount_simulated"), [620, 620, 704])

    def test_a_contract_year(self):
        """100 tokens a year included, 2 above: 60, 30 and 30 are used."""
        contract = self.year(self._price(unit_amount=2, included_quantity=100))
        self.assertOwnPlan(contract, [0, 0, 40])

    def test_a_contract_year_from_its_middle_on(self):
        """March alone is asked for: what was used before is counted all the same."""
        contract = self.year(self._price(unit_amount=2, included_quantity=100))
        [line] = self.simulate(contract, date_from="2025-03-01")
        self.assertEqual((line.amount_current, line.amount_simulated), (40, 40))

    def test_a_contract_year_on_another_plan(self):
        """Tiers of the year: 80 at 1, the rest at 3: 60, 20 + 10 × 3, 30 × 3."""
        contract = self.year(self._price(unit_amount=2, included_quantity=100))
        plan = self._plan("gold")
        self._price(plan_id=plan.id, model="graduated", tiers=((80, 1, 0), (0, 3, 0)))
        lines = self.simulate(contract, plan)
        self.assertEqual(lines.mapped("amount_simulated"), [60, 50, 90])
        self.assertEqual(lines.mapped("difference"), [60, 50, 50])

    def test_a_version_of_a_contract_year(self):
        """A draft that includes 70 instead of 100; the seats beside it stay as they are: 0, 2 × 20, 2 × 30."""
        price = self._price(unit_amount=2, included_quantity=100)
        contract = self.year(price, self.seats(31))
        draft = self.env["usage.price"].browse(price.with_user(self.admin).action_new_version()["res_id"])
        draft.with_user(self.admin).included_quantity = 70
        lines = self.simulate(contract, plan_id=False, price_id=draft.id)
        self.assertEqual(lines.mapped("amount_current"), [31, 31, 71])
        self.assertEqual(lines.mapped("amount_simulated"), [31, 71, 91])

    def test_what_was_agreed_on_for_a_line(self):
        """5 more tokens are included for this customer, and 100 a month are promised instead of 50."""
        price = self._price(
            unit_amount=1, included_quantity=10, commitment_type="amount", commitment_value=50, minimum_amount=1
        )
        contract = self.year(price, counted_over="period")
        contract.line_ids.included_quantity = 15
        self.env["usage.subscription.commitment"].with_user(self.preparer).create(
            {"line_id": contract.line_ids.id, "date_from": "2025-03-01", "value": 100}
        )
        self.assertOwnPlan(contract, [50, 50, 100])

    def test_what_the_customer_does_not_take_is_not_charged(self):
        contract = self.year(self._price(unit_amount=1), counted_over="period")
        self._price(meter_id=False, model="recurring", fee_amount=99)
        self.assertOwnPlan(contract, [60, 30, 30])

    def test_the_plan_was_changed_since(self):
        """Gold since March 11th; before, the old price. What would gold have cost all along: 3 a token, at least 60."""
        contract = self.year(self._price(unit_amount=1), counted_over="period")
        gold = self._plan("gold")
        self._price(plan_id=gold.id, unit_amount=3, minimum_amount=60)
        contract._amend("change_plan", date(2025, 3, 11), plan=gold)
        lines = self.simulate(contract, gold)
        self.assertEqual(lines.mapped("amount_current"), [60, 30, 90])
        self.assertEqual(lines.mapped("amount_simulated"), [180, 90, 90])

    def test_nothing_is_touched(self):
        contract = self.year(self._price(unit_amount=2, included_quantity=100), self.seats(31))
        self.credit(0, kind="units", meter_id=self.meter.id, quantity=10, partner_id=contract.partner_id.id)
        tables = (
            *("usage.subscription", "usage.subscription.line", "usage.statement", "usage.charge"),
            *("usage.credit.grant", "usage.credit.entry", "usage.price", "mail.message"),
        )
        self.env.flush_all()
        query = " UNION ALL ".join(
            f"SELECT '{table}', count(*)::text || coalesce(sum(hashtext(t::text))::text, '') FROM {table} t"
            for table in (name.replace(".", "_") for name in tables)
        )

        def found():
            self.env.flush_all()
            self.env.cr.execute(query)
            return dict(self.env.cr.fetchall())

        before = found()
        self.simulate(contract)
        after = found()
        for counts in (before, after):
            counts.pop("mail_message")  # of the simulation itself
        self.assertEqual(after, before)

    def year(self, *prices, counted_over="year"):
        """A contract whose tokens count over its years: 60, 30 and 30 of them."""
        contract = self.contract(*prices)
        contract.line_ids.filtered("meter_id").counted_over = counted_over
        self._account("globex", contract.partner_id)
        for month, tokens in ((1, 60), (2, 30), (3, 30)):
            self.use(tokens, datetime(2025, month, 20), subject="globex")
        return contract


@tagged("post_install", "-at_install")
class TestSimulationOfCredit(SimulationCommon):
    """Prepaid units cover usage in a simulation, too. A token costs 0.50; 60, 30 and 30 were used."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for month, tokens in ((1, 60), (2, 30), (3, 30)):
            cls.use(tokens, datetime(2025, month, 20))

    def units(self, quantity, **values):
        return self.credit(0, kind="units", meter_id=self.meter.id, quantity=quantity, **values)

    def test_units_cover_the_oldest_first(self):
        self.units(80)
        self.assertOwnPlan(self.subscription, [0, 5, 15])

    def test_units_of_some_time(self):
        """They expire on March 1st; in June that is long done."""
        grant = self.units(200, expires_at="2025-03-01 00:00:00")
        self.assertOwnPlan(self.subscription, [0, 0, 15])
        both = self.statement(datetime(2025, 1, 10)) | self.statement(FEBRUARY)
        self.advance(both | self.statement(MARCH), "approved")
        (both | self.statement(MARCH)).with_user(self.approver).action_invoice()
        grant._cron_step(datetime(2025, 6, 1))
        self.assertEqual((grant.state, grant.units), ("expired", 0))
        self.assertEqual(self.simulate(self.subscription).mapped("amount_simulated"), [0, 0, 15])

    def test_what_invoices_took_is_there_again(self):
        grant = self.units(80)
        statements = self.statement(datetime(2025, 1, 10)) | self.statement(FEBRUARY)
        self.advance(statements, "approved")
        statements.with_user(self.approver).action_invoice()
        self.assertEqual(grant.units, 0)
        self.assertEqual(self.simulate(self.subscription).mapped("amount_simulated"), [0, 5, 15])
        self.assertEqual(grant.units, 0)

    def test_what_other_periods_took_stays_taken(self):
        """January took 60 of the 80: 20 are left for February."""
        self.units(80)
        self.rated(datetime(2025, 1, 10))
        lines = self.simulate(self.subscription, date_from="2025-02-01")
        self.assertEqual(lines.mapped("amount_simulated"), [5, 15])

    def test_units_over_a_contract_year(self):
        """50 a year included, the first 20 then at 1, the rest at 2; credit covers 30 of the year's tokens.

        January: 10 to charge, covered. February: 20 covered, 10 at 1. March: 10 at 1, 20 at 2.
        """
        price = self._price(model="graduated", tiers=((20, 1, 0), (0, 2, 0)), included_quantity=50)
        self.subscription.line_ids.write({"price_id": price.id, "included_quantity": 50, "counted_over": "year"})
        grant = self.units(30)
        self.assertOwnPlan(self.subscription, [0, 10, 50])
        march = self.statement(MARCH).charge_ids
        self.assertEqual((march.credit_units, march.definition["credit_quantity"]), (False, "0"))
        self.assertEqual(self.billed(self.subscription, FEBRUARY, MARCH), [10, 50])
        statements = self.subscription.statement_ids
        self.advance(statements, "approved")
        statements.with_user(self.approver).action_invoice()
        self.assertEqual(grant.units, 0)
        self.assertEqual(self.simulate(self.subscription).mapped("amount_simulated"), [0, 10, 50])

    def test_another_plan_takes_what_it_needs(self):
        """10 a month are included there: credit covers 50, 20 and 10 of the 80."""
        self.units(80)
        plan = self._plan("gold")
        self._price(plan_id=plan.id, unit_amount=1, included_quantity=10)
        lines = self.simulate(self.subscription, plan)
        self.assertEqual(lines.mapped("amount_current"), [0, 5, 15])
        self.assertEqual(lines.mapped("amount_simulated"), [0, 0, 10])

    def test_two_subscriptions_of_one_customer(self):
        """Accounts of their own, one credit: the older subscription is first."""
        self.units(40)
        second = self._account("acme-eu", self.customer)
        self.subscription.account_filter_ids = self.account
        other = self._subscription(account_filter_ids=[(6, 0, second.ids)])
        self.use(30, datetime(2025, 1, 20), subject="acme-eu")
        both = self.subscription | other
        rated = [self.rated(datetime(2025, 1, 10), each).amount_untaxed for each in both]
        self.assertEqual(rated, [10, 15])
        lines = self.simulate(both, date_to="2025-01-31")
        self.assertEqual(lines.sorted("subscription_id").mapped("amount_simulated"), [15, 10])
