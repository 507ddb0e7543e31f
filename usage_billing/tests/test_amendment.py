from datetime import date, datetime, timedelta

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import Form, tagged

from .common import MARCH, UsageBillingCommon, rpc

APRIL = datetime(2025, 4, 10)


class AmendmentCommon(UsageBillingCommon):
    """A subscription of its own, whose lines a test chooses."""

    def contract(self, *prices, **values):
        partner = self.env["res.partner"].create({"name": "Globex", "is_company": True})
        lines = [Command.create({"price_id": price.id}) for price in prices]
        return self._subscription(partner_id=partner.id, line_ids=lines, **values)

    def seats(self, amount=31, **values):
        """A price of a fee for each seat, by time."""
        values = {"prorate_fee": True, **values}
        return self._price(model="recurring", fee_amount=amount, fee_per_unit=True, meter_id=False, **values)

    def amounts(self, statement):
        return sorted(charge.result["amount"] for charge in statement.charge_ids)


@tagged("post_install", "-at_install")
class TestAmendment(AmendmentCommon):
    """What is amended, from when, by whom; what it does to statements; and taking it back."""

    def test_a_line_is_added(self):
        self.use(10, datetime(2025, 3, 9, 23))
        second = self._meter("calls")
        price = self._price(meter_id=second.id, unit_amount=2)
        self.use(3, datetime(2025, 3, 9, 23))
        self.use(4, datetime(2025, 3, 10))
        amendment = self.subscription.with_user(self.preparer)._amend("add_line", date(2025, 3, 10), price=price)
        self.assertEqual(
            (amendment.kind, amendment.state, amendment.create_uid), ("add_line", "in_force", self.preparer)
        )
        line = self.subscription.line_ids.filtered(lambda line: line.price_id == price)
        self.assertEqual(str(line.date_from), "2025-03-10")
        charge = self.rated().charge_ids.filtered(lambda charge: charge.price_id == price)
        self.assertEqual(charge.usage_start, datetime(2025, 3, 10))

    def test_a_line_is_removed(self):
        self.use(10, datetime(2025, 3, 9, 23))
        self.use(5, datetime(2025, 3, 10))
        self.subscription._amend("end_line", date(2025, 3, 10), line=self.subscription.line_ids)
        self.assertEqual(self.rated().charge_ids.quantity, 10)

    def test_a_line_that_begins_that_day_is_not_billed_at_all(self):
        line = self.subscription.line_ids
        amendment = self.subscription._amend("end_line", date(2025, 1, 1), line=line)
        self.assertFalse(self.subscription.line_ids)
        amendment.action_undo()
        self.assertEqual(self.subscription.line_ids, line)

    def test_a_price_is_changed(self):
        """10 tokens at 0.50 until the 9th, 4 at 2.00 from the 10th on."""
        self.use(10, datetime(2025, 3, 9, 23))
        self.use(4, datetime(2025, 3, 10))
        self.subscription._amend(
            "change_price", date(2025, 3, 10), line=self.subscription.line_ids, price=self._price(unit_amount=2)
        )
        self.assertEqual(self.amounts(self.rated()), ["5.00", "8.00"])

    def test_the_plan_is_changed(self):
        """An upgrade: all lines of the old plan end, those of the new one begin; earlier statements keep their plan."""
        before = self.statement(datetime(2025, 2, 1))
        gold = self._plan("gold")
        price = self._price(plan_id=gold.id, unit_amount=3)
        self.use(10, datetime(2025, 3, 9, 23))
        self.use(4, datetime(2025, 3, 10))
        amendment = self.subscription._amend("change_plan", date(2025, 3, 10), plan=gold)
        self.assertEqual(self.subscription.plan_id, gold)
        self.assertEqual(before.plan_id, self.plan)
        self.assertIn("Standard → Gold", amendment.changes)
        statement = self.rated()
        self.assertEqual((statement.plan_id, self.amounts(statement)), (gold, ["12.00", "5.00"]))
        amendment.action_undo()
        self.assertEqual(self.subscription.plan_id, self.plan)
        self.assertNotIn(price, self.subscription.line_ids.price_id)
        self.assertFalse(self.subscription.line_ids.date_to)
        self.assertEqual(self.amounts(self.rated()), ["7.00"])

    def test_what_was_agreed_on_for_a_line_outlasts_another_price(self):
        """Counted over the year, told to stop, 7 included instead of 5, 20 promised instead of 10."""
        promise = {"commitment_type": "amount", "included_quantity": 5, "unit_amount": 1}
        for kind in ("change_price", "change_plan"):
            plan = self._plan(f"gold {kind}") if kind == "change_plan" else self.plan
            contract = self.contract(self._price(commitment_value=10, **promise))
            line = contract.line_ids
            line.write({"counted_over": "year", "at_included_end": "stop", "included_quantity": 7})
            self._commit(line, 20)
            price = self._price(plan_id=plan.id, commitment_value=15, **promise)
            values = {"plan": plan} if kind == "change_plan" else {"line": line, "price": price}
            amendment = contract._amend(kind, date(2025, 3, 10), **values)
            new = contract.line_ids - line
            with self.subTest(kind):
                self.assertEqual((new.price_id, str(new.date_from)), (price, "2025-03-10"))
                self.assertEqual((new.counted_over, new.at_included_end, new.included_quantity), ("year", "stop", 7))
                self.assertEqual(new.commitment_ids.mapped("value"), [20])
                amendment.action_undo()
                self.assertEqual(contract.commitment_ids.line_id, line)

    def _commit(self, line, value):
        self.env["usage.subscription.commitment"].create(
            {"line_id": line.id, "date_from": "2025-01-01", "value": value}
        )

    def test_what_another_price_cannot_keep(self):
        """A price of a quantity promised instead of an amount; of single days, which no year adds up."""
        promise = {"commitment_value": 10, "included_quantity": 5, "unit_amount": 1}
        contract = self.contract(self._price(commitment_type="amount", **promise))
        contract.line_ids.counted_over = "year"
        self._commit(contract.line_ids, 20)
        quantity = self._price(commitment_type="quantity", **promise)
        contract._amend("change_price", date(2025, 3, 10), line=contract.line_ids, price=quantity)
        new = contract._lines_at(date(2025, 3, 10))
        self.assertEqual((new.counted_over, new.included_quantity, len(new.commitment_ids)), ("year", 5, 0))
        daily = self._price(unit_amount=1, bucket_interval="day")
        contract._amend("change_price", date(2025, 4, 10), line=new, price=daily)
        self.assertEqual(contract._lines_at(date(2025, 4, 10)).counted_over, "period")

    def test_agreed_on_with_another_price(self):
        line = self.subscription.line_ids
        price = self._price(unit_amount=1, included_quantity=5)
        agreed = {"included_quantity": 9, "at_included_end": "stop", "counted_over": "term"}
        self.subscription._amend("change_price", date(2025, 3, 10), line=line, price=price, **agreed)
        new = self.subscription.line_ids - line
        self.assertEqual({name: new[name] for name in agreed}, agreed)

    def test_seats_go_with_another_plan(self):
        """Those of the same product; or the only seats there are in both plans."""
        for case, products in (("same", (self.product, self.product)), ("only", (self.product, self._service("Gold")))):
            gold = self._plan(f"gold {case}")
            contract = self.contract(self.seats(product_id=products[0].id), self._price(unit_amount=1))
            contract.line_ids.filtered(lambda line: not line.meter_id).quantity = 10
            self.seats(plan_id=gold.id, product_id=products[1].id)
            self._price(plan_id=gold.id, meter_id=False, model="recurring", fee_amount=1)
            contract._amend("change_plan", date(2025, 3, 10), plan=gold)
            with self.subTest(case):
                self.assertEqual(sorted(contract._lines_at(date(2025, 3, 10)).mapped("quantity")), [1, 10])

    def test_seats_of_two_kinds_are_not_mixed_up(self):
        """No fee of the new plan says whose seats it is for: each begins with one."""
        gold = self._plan("gold")
        contract = self.contract(self.seats(), self.seats(product_id=self._service("Admins").id))
        contract.line_ids.quantity = 10
        for name in ("Gold", "Gold admins"):
            self.seats(plan_id=gold.id, product_id=self._service(name).id)
        contract._amend("change_plan", date(2025, 3, 10), plan=gold)
        self.assertEqual(contract._lines_at(date(2025, 3, 10)).mapped("quantity"), [1, 1])

    def test_a_plan_without_prices(self):
        euro = self._plan("euro", currency_id=self.env.ref("base.EUR").id)
        with self.assertRaisesRegex(UserError, "no price in"):
            self.subscription._amend("change_plan", date(2025, 3, 10), plan=euro)

    def test_pause_and_resume(self):
        for day, tokens in ((9, 1), (10, 2), (19, 4), (20, 8)):
            self.use(tokens, datetime(2025, 3, day))
        self.subscription._amend("pause", date(2025, 3, 10))
        self.assertEqual(str(self.subscription.paused_from), "2025-03-10")
        self.assertEqual(self.rated().charge_ids.quantity, 1)
        resumed = self.subscription._amend("resume", date(2025, 3, 20))
        self.assertFalse(self.subscription.paused_from)
        self.assertEqual(sorted(self.rated().charge_ids.mapped("quantity")), [1, 8])
        resumed.action_undo()
        self.assertEqual(str(self.subscription.paused_from), "2025-03-10")
        self.assertEqual(self.rated().charge_ids.quantity, 1)

    def test_a_pause_with_an_end(self):
        for day, tokens in ((9, 1), (10, 2), (19, 4), (20, 8)):
            self.use(tokens, datetime(2025, 3, day))
        self.subscription._amend("pause", date(2025, 3, 10), until=date(2025, 3, 19))
        self.assertFalse(self.subscription.paused_from)
        self.assertEqual(sorted(self.rated().charge_ids.mapped("quantity")), [1, 8])

    def test_pauses_that_are_none(self):
        with self.assertRaisesRegex(UserError, "not paused"):
            self.subscription._amend("resume", date(2025, 3, 20))
        with self.assertRaisesRegex(UserError, "Until: a pause ends after"):
            self.subscription._amend("pause", date(2025, 3, 20), until=date(2025, 3, 19))
        self.subscription._amend("pause", date(2025, 3, 10))
        with self.assertRaisesRegex(UserError, "paused already"):
            self.subscription._amend("pause", date(2025, 3, 20))
        with self.assertRaisesRegex(UserError, "undo it"):
            self.subscription._amend("resume", date(2025, 3, 10))

    def test_cancel(self):
        self.use(1, datetime(2025, 3, 15, 23))
        self.use(2, datetime(2025, 3, 16))
        amendment = self.subscription._amend("cancel", date(2025, 3, 16), "Out of business")
        self.assertEqual((str(self.subscription.date_end), amendment.note), ("2025-03-15", "Out of business"))
        self.assertEqual(self.rated().charge_ids.quantity, 1)
        amendment.action_undo()
        self.assertFalse(self.subscription.date_end)
        self.assertEqual(self.rated().charge_ids.quantity, 3)

    def test_what_is_cancelled_is_closed_by_the_job(self):
        self.subscription._amend("cancel", date(2025, 3, 16))
        self.subscription._prepare_due(fields.Datetime.now())
        self.assertEqual(self.subscription.state, "closed")
        self.assertEqual(max(self.subscription.statement_ids.mapped("date_from")), date(2025, 3, 1))

    def test_a_term_ends_and_is_renewed(self):
        contract = self.contract(self.price, term_months=12, date_start="2024-02-29")
        self.assertEqual(str(contract.date_end), "2025-02-27")
        amendment = contract._amend("renew", date(2025, 2, 28))
        self.assertEqual(str(contract.date_end), "2026-02-27")
        amendment.action_undo()
        self.assertEqual(str(contract.date_end), "2025-02-27")

    def test_renewal_by_itself(self):
        contract = self.contract(self.price, term_months=12, renews=True)
        self.assertEqual(str(contract.date_end), "2025-12-31")
        contract._prepare_due(datetime(2025, 12, 31, 23))
        self.assertEqual(str(contract.date_end), "2025-12-31")
        contract._prepare_due(datetime(2026, 1, 1))
        self.assertEqual((contract.state, str(contract.date_end)), ("active", "2026-12-31"))
        contract._amend("cancel", date(2027, 1, 1))
        contract._prepare_due(datetime(2027, 1, 1))
        self.assertEqual((contract.state, str(contract.date_end)), ("closed", "2026-12-31"))

    def test_renewed_or_given_another_end_after_it_was_cancelled(self):
        """What was agreed on last counts: a contract that goes on after all renews by itself again."""
        for kind, values in (("renew", {}), ("change_end", {"end": date(2026, 12, 31)})):
            with self.subTest(kind):
                contract = self.contract(self.price, term_months=12, renews=True)
                contract._amend("cancel", date(2026, 1, 1))
                contract._amend(kind, date(2026, 1, 1), **values)
                contract._prepare_due(datetime(2027, 1, 1))
                self.assertEqual((contract.state, str(contract.date_end)), ("active", "2027-12-31"))
                contract._amend("cancel", date(2028, 1, 1))
                contract._prepare_due(datetime(2028, 1, 1))
                self.assertEqual((contract.state, str(contract.date_end)), ("closed", "2027-12-31"))

    def test_cancelled_again_once_the_renewal_is_undone(self):
        contract = self.contract(self.price, term_months=12, renews=True)
        contract._amend("cancel", date(2026, 1, 1))
        contract._amend("renew", date(2026, 1, 1)).action_undo()
        contract._prepare_due(datetime(2026, 1, 1))
        self.assertEqual((contract.state, str(contract.date_end)), ("closed", "2025-12-31"))

    def test_the_end_is_changed(self):
        self.subscription._amend("change_end", date(2025, 7, 1), end=date(2025, 6, 30))
        self.assertEqual(str(self.subscription.date_end), "2025-06-30")
        self.subscription._amend("change_end", date(2025, 7, 1))
        self.assertFalse(self.subscription.date_end)

    def test_terms_of_a_line_that_is_billed_are_amended(self):
        """What a submitted statement charged by stays as it is; nothing keeps the same from being entered again."""
        line = self.subscription.line_ids
        terms = {"quantity": 2, "included_quantity": 5, "counted_over": "year", "date_from": date(2025, 1, 2)}
        self.use(1)
        statement = self.rated()
        line.write(terms)
        self.advance(statement, "to_approve")
        for name, value in (
            {"quantity": 3, "included_quantity": 6, "counted_over": "term", "date_from": False}
        ).items():
            with self.subTest(name), self.assertRaisesRegex(UserError, f"{statement.name}. Choose 'Amend'"):
                line.write({name: value})
        line.write(terms)
        line.at_included_end = "stop"
        self.subscription._amend("change_price", date(2025, 4, 1), line=line, price=self.price, included_quantity=6)
        self.assertEqual(self.subscription._lines_at(date(2025, 4, 1)).included_quantity, 6)

    def test_the_end_of_what_is_billed_stays(self):
        self.use(1)
        self.advance(self.statement(), "to_approve")
        with self.assertRaisesRegex(UserError, "is submitted or billed. Choose a day from"):
            self.subscription.date_end = "2025-03-15"
        self.subscription.date_end = "2025-03-31"
        self.subscription.date_end = False

    def test_closing_is_an_amendment(self):
        today = self.subscription._today()
        self.subscription.with_user(self.preparer).action_close()
        amendment = self.subscription.amendment_ids
        self.assertEqual((amendment.kind, amendment.create_uid), ("cancel", self.preparer))
        self.assertEqual((self.subscription.state, self.subscription.date_end), ("closed", today))
        self.assertIn("Active → Closed", amendment.changes)
        amendment.action_undo()
        self.assertEqual((self.subscription.state, self.subscription.date_end), ("active", False))

    def test_closing_what_is_over_changes_nothing(self):
        self.subscription.date_end = "2025-03-31"
        self.use(1)
        self.advance(self.statement(), "to_approve")
        self.subscription.action_close()
        self.assertEqual((self.subscription.state, str(self.subscription.date_end)), ("closed", "2025-03-31"))
        self.assertFalse(self.subscription.amendment_ids)

    def test_scheduled_until_its_day(self):
        tomorrow = self.subscription._today() + timedelta(days=1)
        amendment = self.subscription._amend("cancel", tomorrow)
        self.assertEqual(amendment.state, "scheduled")
        found = self.env["usage.subscription.amendment"].search([("state", "=", "scheduled")])
        self.assertIn(amendment, found)
        amendment.action_undo()
        self.assertEqual((amendment.state, amendment.reverted_by_id), ("reverted", self.env.user))

    def test_not_where_it_was_billed(self):
        self.use(1)
        self.advance(self.statement(), "to_approve")
        for day in (date(2025, 3, 31), date(2025, 1, 1)):
            with self.assertRaisesRegex(UserError, "Choose a day from .*04/01/2025"):
                self.subscription._amend("cancel", day)
        self.assertTrue(self.subscription._amend("cancel", date(2025, 4, 1)))

    def test_not_undone_once_it_was_billed(self):
        self.use(1)
        amendment = self.subscription._amend("pause", date(2025, 3, 20))
        self.advance(self.statement(), "to_approve")
        with self.assertRaisesRegex(UserError, "rejected or its invoice cancelled"):
            amendment.action_undo()

    def test_the_latest_is_undone_first(self):
        first = self.subscription._amend("pause", date(2025, 3, 10))
        second = self.subscription._amend("resume", date(2025, 3, 20))
        with self.assertRaisesRegex(UserError, "undo that first"):
            first.action_undo()
        (first | second).action_undo()
        self.assertFalse(self.subscription.line_ids.date_to)
        with self.assertRaisesRegex(UserError, "undone already"):
            first.action_undo()

    def test_only_of_active_contracts_and_lines_of_the_day(self):
        with self.assertRaisesRegex(UserError, "not active"):
            self._subscription(active=False)._amend("cancel", date(2025, 3, 1))
        with self.assertRaisesRegex(UserError, "not billed on"):
            self.subscription._amend("end_line", date(2024, 3, 1), line=self.subscription.line_ids)

    def test_by_preparers_and_administrators(self):
        for person in (self.preparer, self.admin):
            amendment = self.subscription.with_user(person)._amend("pause", date(2025, 3, 10))
            rpc(amendment.with_user(person), "action_undo")
        with self.assertRaises(AccessError):
            self.subscription.with_user(self.viewer)._amend("pause", date(2025, 3, 10))
        amendment = self.subscription._amend("pause", date(2025, 3, 10))
        with self.assertRaises(AccessError):
            amendment.with_user(self.viewer).action_undo()
        with self.assertRaisesRegex(AccessError, "this is a fact"):
            amendment.sudo().note = "other"

    def test_the_dialog(self):
        amend = self.env["usage.subscription.amend"].with_user(self.preparer)
        amend = amend.with_context(**self.subscription.action_amend()["context"])
        today = self.subscription._today()
        with Form(amend) as form:
            form.kind, form.when = "cancel", "now"
        rpc(form.record, "action_apply")
        self.assertEqual(self.subscription.date_end, today)
        with Form(amend) as form:
            form.kind = "cancel"
        rpc(form.record, "action_apply")
        self.assertEqual((self.subscription.date_end + timedelta(days=1)).day, 1)
        with Form(amend) as form:
            form.kind, form.end = "change_end", today + timedelta(days=90)
        rpc(form.record, "action_apply")
        self.assertEqual(self.subscription.date_end, today + timedelta(days=90))
        with Form(amend) as form:
            form.kind, form.line_id, form.price_id = (
                "change_price",
                self.subscription.line_ids,
                self._price(unit_amount=3),
            )
        rpc(form.record, "action_apply")
        self.assertEqual(len(self.subscription.line_ids), 2)
        price = self._price(unit_amount=3, included_quantity=5)
        self.subscription.line_ids[-1:].write({"counted_over": "year", "at_included_end": "stop"})
        with Form(amend) as form:
            form.kind, form.line_id, form.price_id = "change_price", self.subscription.line_ids[-1:], price
            form.date = today + timedelta(days=1)
            self.assertEqual((form.included_quantity, form.at_included_end, form.counted_over), (5, "stop", "year"))
            form.included_quantity = 6
        rpc(form.record, "action_apply")
        line = self.subscription.line_ids.filtered(lambda line: line.price_id == price)
        self.assertEqual((line.included_quantity, line.at_included_end, line.counted_over), (6, "stop", "year"))
        calls = self._price(meter_id=self._meter("calls").id, unit_amount=1, included_quantity=50)
        with Form(amend) as form:
            form.kind, form.price_id, form.counted_over = "add_line", calls, "year"
            self.assertEqual((form.included_quantity, form.at_included_end), (50, "bill"))
        rpc(form.record, "action_apply")
        line = self.subscription.line_ids.filtered(lambda line: line.price_id == calls)
        self.assertEqual((line.included_quantity, line.at_included_end, line.counted_over), (50, "bill", "year"))
        with self.assertRaisesRegex(UserError, "New Plan: this change takes one"):
            amend.create({"kind": "change_plan"}).action_apply()


@tagged("post_install", "-at_install")
class TestSeats(AmendmentCommon):
    """Seats by hand: what a change within a period costs, in arrears and in advance."""

    def change(self, contract, quantity, day):
        line = contract._lines_at(day)
        return contract._amend("change_quantity", day, line=line, quantity=quantity)

    def test_up_in_march(self):
        """31 a seat: 10 seats × 14 of 31 days = 140, 12 seats × 17 of 31 = 204."""
        contract = self.contract(self.seats())
        contract.line_ids.quantity = 10
        amendment = self.change(contract, 12, date(2025, 3, 15))
        self.assertEqual(amendment.changes, "Tokens: Until: – → 03/14/2025\nNew: 12 × Tokens, from 03/15/2025")
        statement = self.rated(MARCH, contract)
        self.assertEqual(self.amounts(statement), ["140.00", "204.00"])
        self.assertIn("10", statement.charge_ids[0].exact_quantity)
        statement._reconcile()
        self.assertEqual(set(statement.reconciliation_ids.mapped("state")), {"matched"})

    def test_down_in_february(self):
        """28 a seat: 10 seats × 9 of 28 days = 90, 4 × 19 of 28 = 76; in a leap year by 29: 86.90 and 77.24."""
        for year, expected in ((2025, ["76.00", "90.00"]), (2024, ["77.24", "86.90"])):
            contract = self.contract(self.seats(28), date_start=f"{year}-01-01")
            contract.line_ids.quantity = 10
            self.change(contract, 4, date(year, 2, 10))
            with self.subTest(year=year):
                self.assertEqual(self.amounts(self.rated(datetime(year, 2, 1), contract)), expected)

    def test_by_the_second(self):
        """Paris loses an hour on March 30th: 743 hours, of which 14 × 24 = 336 at 10 and 407 at 12 seats."""
        contract = self.contract(self.seats(743, prorate_by="second"), tz="Europe/Paris")
        contract.line_ids.quantity = 10
        self.change(contract, 12, date(2025, 3, 15))
        self.assertEqual(self.amounts(self.rated(MARCH, contract)), ["3360.00", "4884.00"])

    def test_in_advance(self):
        """March is paid on the statement of February: the change gives back 10 × 17 and takes 12 × 17."""
        contract = self.contract(self.seats(timing="advance"), date_start="2025-02-01")
        contract.line_ids.quantity = 10
        # February itself, and March: 10 × 31 each
        self.assertEqual(self.amounts(self.rated(datetime(2025, 2, 1), contract)), ["620.00"])
        self.advance(self.statement(datetime(2025, 2, 1), contract), "approved")
        self.change(contract, 12, date(2025, 3, 15))
        statement = self.rated(MARCH, contract)
        # 10 × 14 - 310; 12 × 17 and April's 12 × 31
        self.assertEqual(self.amounts(statement), ["-170.00", "576.00"])
        self.assertIn("in advance", statement.explanation_html)
        self.assertEqual(self.amounts(self.rated(APRIL, contract)), ["372.00"])

    def test_in_advance_from_the_first_day_on(self):
        """Recorded after the fee of the period was billed: all of it is given back, the new fee is due."""
        contract = self.contract(self.seats(timing="advance"), date_start="2025-02-01")
        contract.line_ids.quantity = 10
        self.advance(self.statement(datetime(2025, 2, 1), contract), "approved")
        self.change(contract, 4, date(2025, 3, 1))
        self.assertEqual(self.amounts(self.rated(MARCH, contract)), ["-310.00", "248.00"])

    def test_in_advance_before_anything_was_billed(self):
        """The statement before follows: it charges the days until the change alone."""
        contract = self.contract(self.seats(timing="advance"), date_start="2025-02-01")
        contract.line_ids.quantity = 10
        february = self.rated(datetime(2025, 2, 1), contract)
        self.change(contract, 12, date(2025, 3, 15))
        statements = february | self.statement(MARCH, contract)
        statements._rate(datetime(2025, 4, 1))
        self.assertEqual(self.amounts(february), ["450.00"])  # 310, and 10 × 14 of March
        self.assertEqual(self.amounts(self.statement(MARCH, contract)), ["0.00", "576.00"])

    def test_cancelled_in_a_paid_period(self):
        contract = self.contract(self.seats(timing="advance"), date_start="2025-02-01")
        self.advance(self.statement(datetime(2025, 2, 1), contract), "approved")
        contract._amend("cancel", date(2025, 3, 11))
        self.assertEqual(self.amounts(self.rated(MARCH, contract)), ["-21.00"])

    def test_a_metered_line_has_no_quantity_to_enter(self):
        with self.assertRaisesRegex(UserError, "what its meter counts"):
            self.change(self.subscription, 3, date(2025, 3, 1))
