from odoo.tests import tagged

from odoo.addons.usage_billing.explanation import Explanation

from .common import UsageBillingCommon


@tagged("post_install", "-at_install")
class TestExplanation(UsageBillingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.explanation = Explanation(cls.env, cls.env.ref("base.USD"), "tokens")

    def row(self, **step):
        return self.explanation.row(step)

    def test_included(self):
        self.assertEqual(
            self.row(step="included", quantity="120", included_quantity="100", used="100", billable="20"),
            ("Included", "120 tokens used, 100 of the 100 included: 20 tokens to charge", ""),
        )

    def test_unit(self):
        self.assertEqual(
            self.row(step="unit", quantity="2500", unit_amount="0.5", per="1000", amount="1.25"),
            ("Usage", "2,500 tokens × 0.50 USD per 1,000", "1.25 USD"),
        )

    def test_tiers(self):
        tier = {"step": "tier", "over": "0", "per": "1", "unit_amount": "2", "quantity": "10", "amount": "20"}
        self.assertEqual(
            self.row(**tier, tier=1, up_to="10", flat_amount="0"),
            ("Tier 1: above 0 up to 10", "10 tokens × 2.00 USD", "20.00 USD"),
        )
        self.assertEqual(
            self.row(**tier, tier=2, up_to=None, flat_amount="3"),
            ("Tier 2: above 0", "10 tokens × 2.00 USD + 3.00 USD", "20.00 USD"),
        )

    def test_package(self):
        self.assertEqual(
            self.row(
                step="package", quantity="2500", package_size="1000", packages="3", package_amount="5", amount="15"
            ),
            ("Packages", "2,500 tokens in packages of 1,000: 3 × 5.00 USD", "15.00 USD"),
        )

    def test_round(self):
        title, calculation, amount = self.row(
            step="round", unrounded="11.180935", rounding="0.01", mode="half_up", amount="11.18"
        )
        self.assertEqual((title, calculation), ("Charge before tax", "11.180935 USD rounded once, to 0.01"))
        self.assertIn("11.18 USD", amount)

    def test_a_step_of_the_future_is_shown_with_its_figures(self):
        self.assertEqual(self.row(step="of_2030", floor="50", amount="12"), ("of_2030", "floor: 50", "12.00 USD"))
        self.assertEqual(self.row(step="another", days="14"), ("another", "days: 14", ""))

    def test_nothing_is_taken_for_markup(self):
        explanation = Explanation(self.env, self.env.ref("base.USD"), "<script>")
        html = explanation.render([{"step": "unit", "quantity": "1", "unit_amount": "1", "per": "1", "amount": "1"}])
        self.assertNotIn("<script>", html)
        self.assertIn("&lt;script&gt;", html)

    def test_every_step_of_the_core_has_words(self):
        """The steps that the pricing models of today produce are all told in sentences."""
        self.use(2500)
        prices = [
            {"unit_amount": 1, "included_quantity": 10},
            {"model": "graduated", "tiers": ((10, 1, 1), (0, 2, 0))},
            {"model": "package", "package_size": 7, "package_amount": 1},
        ]
        for values in prices:
            line = self.subscription.line_ids
            line.price_id = self._price(**values)
            statement = self.rated() if self.statement().state == "open" else self.statement()
            statement.with_user(self.preparer).action_rate()
            for step in statement.charge_ids.explanation:
                with self.subTest(step=step["step"]):
                    self.assertTrue(hasattr(Explanation, f"_row_{step['step']}"))
