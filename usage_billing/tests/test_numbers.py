from decimal import Decimal

from odoo.tests import tagged

from odoo.addons.usage_billing.numbers import exact, exact_text, format_amount, format_number

from .common import UsageBillingCommon


@tagged("post_install", "-at_install")
class TestNumbers(UsageBillingCommon):
    def test_a_float_is_what_was_typed(self):
        self.assertEqual(exact(0.1), Decimal("0.1"))
        self.assertEqual(exact(False), Decimal(0))
        self.assertEqual(exact_text(2_747_282_740.0), "2747282740")
        self.assertEqual(exact_text(1e-9), "0.000000001")

    def test_a_number_for_people(self):
        for value, decimals, expected in (
            ("22361870", 0, "22,361,870"),
            ("1234.5", 2, "1,234.50"),
            ("-0.25", 0, "-0.25"),
            ("0", 2, "0.00"),
            ("123456789012345678901.123456789", 0, "123,456,789,012,345,678,901.123456789"),
        ):
            with self.subTest(value=value):
                self.assertEqual(format_number(self.env, Decimal(value), decimals), expected)

    def test_in_the_language_of_the_reader(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        self.env["res.lang"]._lang_get("fr_FR").write({"decimal_point": ",", "thousands_sep": " "})
        french = self.env(context={**self.env.context, "lang": "fr_FR"})
        self.assertEqual(format_number(french, Decimal("1234.5"), 2), "1 234,50")

    def test_an_amount_with_its_currency(self):
        self.assertEqual(format_amount(self.env, Decimal("11.180935"), self.env.ref("base.USD")), "11.180935 USD")
        self.assertEqual(format_amount(self.env, Decimal(5), self.env.ref("base.USD")), "5.00 USD")
        self.assertEqual(format_amount(self.env, Decimal(5), self.env.ref("base.JPY")), "5 JPY")
