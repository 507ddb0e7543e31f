"""Bad set-ups: each gets an error on save that names the field, as it is on the screen, and what to do."""

from unittest.mock import patch

from psycopg2 import IntegrityError

from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import mute_logger
from odoo.tools.translate import code_translations

from .common import ADDON, UsageBillingCommon


def tiers(*rows, **names):
    """Values of tiers: each a dict."""
    return {"tier_ids": [Command.create({"sequence": n, **row, **names}) for n, row in enumerate(rows)]}


def parts(*rows):
    """Values of the rows of a matrix, or of hours: each a dict."""
    return {"part_ids": [Command.create({"sequence": n, "unit_amount": 1, **row}) for n, row in enumerate(rows)]}


def discount(**values):
    return {"unit_amount": 1, "discount_ids": [Command.create(values)]}


def matrix(*rows, **values):
    return {"model": "dimensional", "dimension_1": "model", **parts(*rows), **values}


PERCENT = {"model": "percentage", "percent": 3}
# Some mistakes in a language in which words contain 'null', which is a word of the rating core.
ITALIAN = {
    "is %s, more than all of the money": "è %s, più di tutto il denaro",
    "write at most 100": "scrivi al massimo 100, o annulla",
    "is '%s' again": "è di nuovo '%s'",
    "choose another dimension, or empty it": "scegli un'altra dimensione, o nulla",
}
# What a price says, and the error that it gets.
PRICES = (
    # Tiers
    ({"model": "graduated"}, "Tiers: .*is not a list with items"),
    ({"model": "graduated", **tiers({"up_to": 10}, {"up_to": 5}, {})}, "Tiers, line 2, Up To: .*write more than 10"),
    ({"model": "graduated", **tiers({"up_to": 10}, {"up_to": 10}, {})}, "Tiers, line 2, Up To: .*write more than 10"),
    ({"model": "volume", **tiers({}, {"up_to": 5}, {})}, "Tiers, line 1, Up To: .*write where the tier ends"),
    ({"model": "volume", **tiers({"up_to": -5}, {})}, "Tiers, line 1, Up To: .*write 0 or more"),
    ({"model": "graduated", **tiers({"up_to": 5})}, "Tiers, line 1, Up To: .*Above the Last Tier"),
    ({"model": "graduated", **tiers({"unit_amount": -1})}, "Tiers, line 1, Unit Amount: .*write 0 or more"),
    ({"model": "graduated", **tiers({"flat_amount": -1})}, "Tiers, line 1, Flat Amount: .*write 0 or more"),
    ({"model": "graduated_percentage", **tiers({"percent": 290})}, "Tiers, line 1, Percentage: .*at most 100"),
    ({"model": "blocks", **tiers({"amount": 1})}, "Tiers, line 1, Block Size: .*above 0"),
    ({"model": "capacity", **tiers({"up_to": 9, "amount": 5}, {"up_to": 5, "amount": 9})}, "Tiers, line 2"),
    # Amounts and quantities
    ({"unit_amount": -1}, "Unit Amount: .*write 0 or more"),
    ({"unit_amount": 1, "per_quantity": 0}, "Per: .*write a number above 0"),
    ({"unit_amount": 1, "per_quantity": -1000}, "Per: .*write 0 or more"),
    ({"model": "package", "package_amount": 1}, "Package Size: .*write a number above 0"),
    ({"model": "package", "package_size": 10, "package_amount": -1}, "Package Amount: .*write 0 or more"),
    ({"unit_amount": 1, "included_quantity": -5}, "Included Quantity: .*write 0 or more"),
    ({"unit_amount": 1, "trial_days": -5}, "Free Trial .*: .*write 0 or more"),
    (
        {"unit_amount": 1, "conversion_operation": "divide", "conversion_factor": 0},
        "Factor: .*write a number above 0",
    ),
    (
        {"unit_amount": 1, "quantity_rounding": "ceiling", "quantity_precision": 99},
        "Decimals: .*whole number from -20 to 20",
    ),
    # Percentages
    ({"model": "percentage", "percent": 290}, "Percentage: .*at most 100"),
    ({"model": "percentage", "percent": -1}, "Percentage: .*write 0 or more"),
    ({**PERCENT, "fixed_amount": -1}, "Fixed Amount per Event: .*write 0 or more"),
    ({**PERCENT, "free_events": -1}, "Free Events: .*write 0 or more"),
    ({**PERCENT, "free_events": 1.5}, "Free Events: .*whole number"),
    ({**PERCENT, "free_amount": -1}, "Free Amount: .*write 0 or more"),
    ({**PERCENT, "minimum_per_event": -1}, "Minimum per Event: .*write 0 or more"),
    ({**PERCENT, "minimum_per_event": 5, "maximum_per_event": 4}, "Maximum per Event: .*write 5 or more"),
    ({**PERCENT, "amount_path": "payment..amount"}, "Amount in the Event: .*names joined by points"),
    ({**PERCENT, "amount_path": "$.payment amount"}, "Amount in the Event: .*names joined by points"),
    ({"model": "event_price"}, "Amount in the Event: .*"),
    ({"model": "event_price", "amount_path": "cost", "amount_divisor": 0}, "Amount Divisor: .*above 0"),
    ({**PERCENT, "amount_path": "cost", "amount_divisor": 0}, "Amount Divisor: .*above 0"),
    ({"model": "cost_plus", "amount_path": "cost", "amount_divisor": 0}, "Amount Divisor: .*above 0"),
    ({"model": "cost_plus", "amount_path": "cost", "margin_percent": -5}, "Margin .*: .*write 0 or more"),
    # A matrix, and hours
    (matrix(), "Prices: .*"),
    (matrix({"value_1": "large"}, {"value_1": "large"}, {}), "Prices, line 2, .*remove one of the two"),
    (matrix({"value_1": "large", "value_2": "eu"}, {}), "Prices, line 1.*name the dimension"),
    (matrix({}, {"value_1": "large"}, dimension_1="planet"), "Add planet to the meter's dimensions"),
    (matrix({"value_1": "large"}, {}, dimension_2="model"), "Second Dimension: .*another dimension"),
    ({"unit_amount": 1, "group_by": "planet"}, "Add planet to the meter's dimensions"),
    ({"model": "time_of_day", **parts({"time_from": 8, "time_to": 12})}, "Prices: .*row without hours"),
    (
        {"model": "time_of_day", **parts({"time_from": 8, "time_to": 12}, {"time_from": 11, "time_to": 14}, {})},
        "Prices, line 2, From: .*not overlap",
    ),
    ({"model": "time_of_day", **parts({"time_from": 8, "time_to": 8}, {})}, "Prices, line 1, Until: .*another time"),
    ({"model": "time_of_day", **parts({"time_from": 8, "time_to": 25}, {})}, "Prices, line 1, Until: .*09:00"),
    # Fees, bounds, discounts
    ({"model": "recurring", "meter_id": False, "fee_amount": -1}, "Fee: .*write 0 or more"),
    ({"unit_amount": 1, "meter_id": False}, "choose the meter"),
    ({"unit_amount": 1, "flat_fee": -1}, "Flat Fee: .*write 0 or more"),
    ({"unit_amount": 1, "commitment_type": "amount", "commitment_value": -5}, "Commitment.*: .*write 0 or more"),
    ({"unit_amount": 1, "commitment_type": "amount", "commitment_value": 5, "overage_factor": -1}, "Overage Factor"),
    ({"unit_amount": 1, "minimum_amount": -1}, "Minimum: .*write 0 or more"),
    ({"unit_amount": 1, "minimum_amount": 5, "maximum_amount": 4}, "Minimum: .*above the maximum"),
    (discount(type="percent", value=120), "Discounts, line 1, Value: .*100"),
    (discount(type="percent", value=-5), "Discounts, line 1, Value: .*write 0 or more"),
    (discount(type="amount", value=-5), "Discounts, line 1, Value: .*write 0 or more"),
    # When, and in what
    ({"unit_amount": 1, "date_start": "2025-02-01", "date_end": "2025-01-01"}, "Valid Until"),
)
SUBSCRIPTIONS = (
    ({"date_end": "2024-12-31"}, "End: .*Choose a later day"),
    ({"date_start": "0225-01-01"}, "Start: .*2000"),
    ({"anchor_day": 32}, "Anchor Day: .*1 to 31"),
    ({"anchor_day": 0}, "Anchor Day: .*1 to 31"),
    ({"anchor_day": 9, "interval": "week"}, "Anchor Day: .*Enter 1 for Monday"),
    ({"term_months": -1}, "Contract Term: .*Enter 0"),
    ({"renews": True}, "Renews by Itself: .*Enter the term"),
)
LINES = (
    ({"date_from": "2025-03-01", "date_to": "2025-02-01"}, "Until"),
    ({"date_to": "2024-12-01"}, "Until: .*"),
    ({"quantity": -1}, "Quantity: .*0 units or more"),
    ({"included_quantity": -1}, "Included Quantity: .*0 units or more"),
)
GRANTS = (
    ({"amount": 0}, "Amount: .*above zero"),
    ({"amount": -5}, "Amount: .*above zero"),
    ({"expires_at": "2024-12-31"}, "Expires At"),
    ({"rollover": -1, "recurrence": "month"}, "Rollover: .*zero or more"),
    ({"rollover": 1}, "Rollover: .*Choose how often"),
    ({"kind": "units", "quantity": 5}, "Meter, .*Choose the meter"),
    ({"kind": "units", "quantity": 0}, "Units Granted: .*above zero"),
)
TOPUPS = (
    ({"amount": 0}, "Amount: .*above zero"),
    ({"threshold": -1}, "Threshold: .*zero or more"),
    ({"months_valid": -1}, "Months Valid: .*zero or more"),
)


@tagged("post_install", "-at_install")
class TestSetUpErrors(UsageBillingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.matrix_meter = cls._meter("matrix", dimensions="model, region")

    def told(self, do, *args, **values):
        """Return what a person reads where something is refused; nothing where it is not."""
        try:
            with mute_logger("odoo.sql_db"), self.env.cr.savepoint():
                do(*args, **values)
                self.env.flush_all()
                raise _Done
        except _Done:
            return "it was taken"
        except UserError as error:
            return str(error)
        except IntegrityError as error:
            model = next(name for name, cls in self.registry.items() if cls._table == error.diag.table_name)
            return self.env[model]._sql_error_to_message(error)

    def refused(self, table, do, **base):
        for values, regex in table:
            with self.subTest(values):
                self.assertRegex(self.told(do, **{**base, **values}), f"(?s){regex}")

    def test_prices(self):
        self.refused(PRICES, self._price, approved=False, meter_id=self.matrix_meter.id)

    def test_prices_in_the_language_of_who_writes_them(self):
        self.env["res.lang"]._activate_lang("it_IT")
        self.admin.lang = "it_IT"
        create = self.env["usage.price"].with_user(self.admin).with_context(lang="it_IT").create
        base = {"plan_id": self.plan.id, "product_id": self.product.id, "meter_id": self.matrix_meter.id}
        table = (
            ({**PERCENT, "percent": 290}, "è 290, più di tutto il denaro.*scrivi al massimo 100, o annulla"),
            (matrix({"value_1": "large"}, {}, dimension_2="model"), "di nuovo 'model'.*un'altra dimensione, o nulla"),
        )
        with patch.dict(code_translations.python_translations, {(ADDON, "it_IT"): ITALIAN}):
            self.refused(table, lambda **values: create({**base, **values}))

    def test_subscriptions(self):
        self.refused(SUBSCRIPTIONS, self._subscription, active=False)

    def test_lines(self):
        self.refused(LINES, lambda **values: self.subscription.line_ids.write(values))

    def test_what_does_not_belong_together(self):
        """Customers, accounts, currencies, plans and prices that are not each other's."""
        other = self.env["res.partner"].create({"name": "Globex", "is_company": True})
        contact = self.env["res.partner"].create({"name": "Ann", "parent_id": self.customer.id})
        account = self._account("globex", other)
        gold = self._plan("gold")
        golden = self._price(plan_id=gold.id, unit_amount=1)
        percentage = self._price(model="percentage", percent=3)
        draft = self._subscription(active=False)
        yen = self.env.ref("base.JPY")
        yen.active = True
        line = self.subscription.line_ids
        for do, values, regex in (
            (draft.write, {"currency_id": yen.id}, "Currency: .*Add prices in JPY"),
            (
                draft.write,
                {"account_filter_ids": [Command.set(account.ids)]},
                "Only These Accounts: .* no account of Acme",
            ),
            (draft.write, {"partner_invoice_id": other.id}, "Invoice Address: .*Choose one of the customer's contacts"),
            (line.write, {"price_id": golden.id}, "another plan: choose a price of Standard"),
            (line.write, {"price_id": percentage.id, "included_quantity": 5}, "Included Quantity: .*Enter 0"),
            (self._price, {"unit_amount": 1, "partner_id": contact.id}, "Only For: .*Choose Acme"),
        ):
            with self.subTest(regex):
                arguments = values if do == self._price else {"vals": values}
                self.assertRegex(self.told(do, **arguments), regex)

    def test_commitments(self):
        price = self._price(unit_amount=1, commitment_type="amount", commitment_value=10)
        line = self.subscription.line_ids
        base = {"line_id": line.id, "date_from": "2025-03-01", "value": 5}
        create = self.env["usage.subscription.commitment"].create
        self.assertRegex(self.told(create, vals_list=[base]), "Line: .*Choose another line")
        line.price_id = price
        self.assertRegex(self.told(create, vals_list=[{**base, "value": -1}]), "Commitment: .*0 or more")
        self.assertRegex(self.told(create, vals_list=[base, base]), "From: .*Change that one")

    def test_what_is_in_use_is_not_deleted(self):
        for record, regex in (
            (self.plan, "Plan: Standard has subscriptions.*Archive the plan instead"),
            (self.price, "approved and stays as it is: supersede it"),
            (self.subscription, "was active: close it instead"),
            (self.credit(5), "take it back instead of deleting it"),
        ):
            with self.subTest(record):
                self.assertRegex(self.told(record.unlink), regex)

    def test_a_matrix_says_what_becomes_of_all_others(self):
        price = self._price(approved=False, meter_id=self.matrix_meter.id, **matrix({"value_1": "large"}))
        self.assertIn("all others: no price, they block the statement", price.description)

    def test_credit(self):
        self.refused(GRANTS, self.credit, amount=5, approved=False)

    def test_topups(self):
        def topup(**values):
            return self.env["usage.credit.topup"].with_user(self.preparer).create(values)

        base = {"partner_id": self.customer.id, "product_id": self.credit_product.id, "threshold": 5, "amount": 10}
        self.refused(TOPUPS, topup, **base)


class _Done(Exception):
    """Nothing was refused: undo it."""
