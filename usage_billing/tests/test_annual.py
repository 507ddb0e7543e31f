from datetime import date, datetime

from psycopg2 import IntegrityError

from odoo.exceptions import UserError, ValidationError
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from .test_amendment import AmendmentCommon


@tagged("post_install", "-at_install")
class TestAnnual(AmendmentCommon):
    """Contract years billed monthly, commitments over them that rise, and what is due at the end; by hand."""

    def months(self, contract, *months, year=2025):
        """Amounts of the statements of some months, rated one after the other."""
        return [
            float(sum(self.rated(datetime(year, month, 10), contract).charge_ids.mapped("amount"))) for month in months
        ]

    def annual(self, price, **values):
        contract = self.contract(price, **values)
        contract.line_ids.counted_over = "year"
        self._account("globex", contract.partner_id)
        return contract

    def use_in(self, *tokens, year=2025):
        for month, quantity in enumerate(tokens, 1):
            self.use(quantity, datetime(year, month, 20), subject="globex")

    def test_included_for_a_year_and_overage_monthly(self):
        """100 a year at 2 above: 60 + 30 + 30 uses 20 too many in March, then all is overage; 2026 begins anew."""
        contract = self.annual(self._price(unit_amount=2, included_quantity=100))
        self.use_in(60, 30, 30, 5)
        self.use(7, datetime(2026, 1, 20), subject="globex")
        self.assertEqual(self.months(contract, 1, 2, 3, 4), [0, 0, 40, 10])
        self.assertEqual(self.months(contract, 1, year=2026), [0])
        self.assertEqual(self.months(contract, 3, 4), [40, 10])

    def test_all_months_at_once(self):
        """The same when the job rates all of them in one run."""
        contract = self.annual(self._price(unit_amount=2, included_quantity=100))
        self.use_in(60, 30, 30, 5)
        contract._prepare_statements(datetime(2025, 5, 1))
        amounts = [statement.amount_untaxed for statement in contract.statement_ids.sorted("period_start")]
        self.assertEqual(amounts[:4], [0, 0, 40, 10])

    def test_tiers_count_on(self):
        """10 at 2, the rest at 1: 8 in January, 8 in February of which 2 at 2."""
        contract = self.annual(self._price(model="graduated", tiers=((10, 2, 0), (0, 1, 0))))
        self.use_in(8, 8)
        self.assertEqual(self.months(contract, 1, 2), [16, 10])

    def test_a_commitment_for_a_year_is_trued_up_at_its_end(self):
        contract = self.annual(self._price(unit_amount=1, commitment_type="amount", commitment_value=100))
        self.use_in(10, 20)
        self.assertEqual(self.months(contract, *range(1, 13)), [10, 20, *[0] * 9, 70])

    def test_a_contract_that_ends_early(self):
        """What lacks is due on the last statement; by time where the price says so: 59 of 365 days of 365."""
        contract = self.annual(self._price(unit_amount=1, commitment_type="amount", commitment_value=365))
        prorated = self._price(unit_amount=1, commitment_type="amount", commitment_value=365, prorate_commitment=True)
        self.use_in(10)
        contract._amend("cancel", date(2025, 3, 1))
        self.assertEqual(self.months(contract, 1, 2), [10, 355])
        contract.amendment_ids.action_undo()
        contract._amend("change_price", date(2025, 1, 1), line=contract.line_ids, price=prorated)
        contract.line_ids.counted_over = "year"
        contract._amend("cancel", date(2025, 3, 1))
        self.assertEqual(self.months(contract, 1, 2), [10, 49])

    def test_over_the_whole_contract(self):
        price = self._price(unit_amount=1, commitment_type="amount", commitment_value=100)
        contract = self.contract(price, date_start="2025-01-15", date_end="2025-03-14")
        contract.line_ids.counted_over = "term"
        self._account("globex", contract.partner_id)
        self.use_in(10, 20)
        contract._prepare_statements(datetime(2025, 4, 1))
        statements = contract.statement_ids.sorted("period_start")
        self.assertEqual(statements.mapped("amount_untaxed"), [10, 20, 70])
        statements._rate(datetime(2025, 4, 1))
        self.assertEqual(statements.mapped("amount_untaxed"), [10, 20, 70])

    def test_a_commitment_that_rises(self):
        """10 a month in the first quarter, 20 from April on, 30 from June on."""
        contract = self.contract(self._price(unit_amount=1, commitment_type="amount", commitment_value=10))
        line = contract.line_ids
        self.env["usage.subscription.commitment"].with_user(self.preparer).create(
            [
                {"line_id": line.id, "date_from": "2025-04-01", "value": 20},
                {"line_id": line.id, "date_from": "2025-06-01", "value": 30},
            ]
        )
        self.assertEqual(self.months(contract, 3, 4, 5, 6), [10, 20, 20, 30])

    def test_a_commitment_outlasts_a_pause(self):
        """20 a month instead of the price's 10: after a pause still 20."""
        contract = self.contract(self._price(unit_amount=1, commitment_type="amount", commitment_value=10))
        self.env["usage.subscription.commitment"].create(
            {"line_id": contract.line_ids.id, "date_from": "2025-01-01", "value": 20}
        )
        contract._amend("pause", date(2025, 2, 1))
        resumed = contract._amend("resume", date(2025, 3, 1))
        self.assertEqual(self.months(contract, 1, 2, 3), [20, 0, 20])
        self.assertEqual(contract.commitment_ids.line_id, contract.with_context(active_test=False).line_ids)
        resumed.action_undo()
        self.assertEqual(len(contract.commitment_ids), 1)

    def test_commitments_of_what_is_billed_stay(self):
        """March is submitted: what was promised for it stays, what is promised from April on may change."""
        contract = self.contract(self._price(unit_amount=1, commitment_type="amount", commitment_value=10))
        line, commitments = contract.line_ids, self.env["usage.subscription.commitment"]
        first = commitments.create({"line_id": line.id, "date_from": "2025-01-01", "value": 20})
        first.value = 30
        self.advance(self.statement(datetime(2025, 3, 10), contract), "to_approve")
        again = {"line_id": line.id, "date_from": "2025-03-31", "value": 20}
        for change in (lambda: first.write({"value": 40}), first.unlink, lambda: commitments.create(again)):
            with self.assertRaisesRegex(UserError, "From: .* is billed until 03/31/2025 .* from a later day on"):
                change()
        later = commitments.create({"line_id": line.id, "date_from": "2025-04-01", "value": 40})
        later.value = 50
        with self.assertRaisesRegex(UserError, "is billed until 03/31/2025"), self.env.cr.savepoint():
            later.date_from = "2025-03-01"
        later.unlink()
        first.value = 30

    def test_bad_commitments(self):
        with self.assertRaisesRegex(ValidationError, "Line: the price of Tokens has no commitment"):
            self.env["usage.subscription.commitment"].create(
                {"line_id": self.subscription.line_ids.id, "date_from": "2025-04-01", "value": 20}
            )
        contract = self.contract(self._price(unit_amount=1, commitment_type="amount", commitment_value=10))
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.env.cr.savepoint():
            self.env["usage.subscription.commitment"].create(
                {"line_id": contract.line_ids.id, "date_from": "2025-04-01", "value": -1}
            )

    def test_seats_for_a_year_in_advance(self):
        """365 a seat: 10 for 2025; from March 2nd (60 days gone) 12: 10 × 60 - 3650 back, 12 × 305."""
        contract = self.annual(self.seats(365, timing="advance"))
        contract.line_ids.quantity = 10
        self.assertEqual(self.months(contract, 1, 2), [3650, 0])
        self.advance(contract.statement_ids, "approved")
        contract._amend("change_quantity", date(2025, 3, 2), line=contract.line_ids, quantity=12)
        self.assertEqual(self.amounts(self.rated(datetime(2025, 3, 10), contract)), ["-3050.00", "3660.00"])
        self.assertEqual(self.months(contract, 4), [0])

    def test_prices_of_single_hours_are_refused(self):
        contract = self.contract(self._price(unit_amount=1, bucket_interval="day"))
        with self.assertRaisesRegex(ValidationError, "Counted Over: .* Choose each billing period"):
            contract.line_ids.counted_over = "year"

    def test_contract_years_of_the_calendar(self):
        """From January 15th, billed by calendar months: the January after belongs to the second year."""
        contract = self.annual(self._price(unit_amount=1, included_quantity=10), date_start="2025-01-15")
        line = contract.line_ids
        self.assertEqual(line._counting_period(datetime(2025, 12, 31)), (datetime(2025, 1, 1), datetime(2026, 1, 1)))
        self.assertEqual(line._counting_period(datetime(2026, 1, 1)), (datetime(2026, 1, 1), datetime(2027, 1, 1)))

    def test_seats_storage_and_api_on_an_annual_contract(self):
        """Set up in forms; March by hand: 135.48 + 197.42 + 55.20 + 1.00.

        Seats: 30 each, 10 for 14 of 31 days and 12 for 17. Storage: 100 GB for 15 days, then 50 GB for 16 days, at
        0.001 a GB and hour. API: 1,000 calls a year included, 600 + 300 + 200 used, 100 above at 0.01.
        """
        storage = self._meter("storage", aggregation="time_weighted", value_path="gb", event_type="storage.level")
        calls = self._meter("calls", event_type="api.call", value_path="n")
        plan = self._plan("business")
        self.seats(30, plan_id=plan.id)
        self._price(plan_id=plan.id, meter_id=storage.id, unit_amount=0.001)
        self._price(plan_id=plan.id, meter_id=calls.id, unit_amount=0.01, included_quantity=1000)
        partner = self.env["res.partner"].create({"name": "Globex", "is_company": True})
        self._account("globex", partner)
        with Form(self.env["usage.subscription"].with_user(self.preparer)) as form:
            form.partner_id, form.plan_id, form.tz = partner, plan, "UTC"
            form.date_start, form.term_months = date(2025, 1, 1), 12
            for index in range(3):
                with form.line_ids.edit(index) as line:
                    if line.meter_id == calls:
                        line.counted_over = "year"
                    elif not line.meter_id:
                        line.quantity = 10
        contract = form.record
        contract.action_activate()
        self.assertEqual(str(contract.date_end), "2025-12-31")
        for month, number in ((1, 600), (2, 300), (3, 200)):
            self.use(at=datetime(2025, month, 5), subject="globex", event_type="api.call", n=number)
        self.use(at=datetime(2025, 3, 1), subject="globex", event_type="storage.level", gb=100)
        self.use(at=datetime(2025, 3, 16), subject="globex", event_type="storage.level", gb=50)
        with Form(
            self.env["usage.subscription.amend"]
            .with_user(self.preparer)
            .with_context(default_subscription_id=contract.id)
        ) as form:
            form.kind, form.date = "change_quantity", date(2025, 3, 15)
            form.line_id, form.quantity = contract.line_ids.filtered(lambda line: not line.meter_id), 12
        form.record.action_apply()
        self.assertEqual(self.months(contract, 1, 2), [300, 300])
        statement = self.rated(datetime(2025, 3, 10), contract)
        self.assertEqual(self.amounts(statement), ["1.00", "135.48", "197.42", "55.20"])
        self.assertEqual(statement.amount_untaxed, 389.1)
