from datetime import datetime

from odoo.tests import freeze_time, tagged

from .common import UsageBillingCommon

# Ten of the thirty days of June are over.
NOW = datetime(2025, 6, 11)


@tagged("post_install", "-at_install")
class TestProjection(UsageBillingCommon):
    """What a running period costs so far, and is going to cost; by hand."""

    def live(self, price):
        _partner, _account, subscription = self._customer("Globex", line_ids=[(0, 0, {"price_id": price.id})])
        self.use(10, datetime(2025, 6, 5), subject="globex")
        with freeze_time(NOW):
            statement = subscription._ensure_statement(NOW)
            statement._rate(NOW)
        self.assertEqual((statement.state, statement.blocked_reason), ("open", False))
        return statement.amount_untaxed, statement.amount_projected

    def test_at_any_moment(self):
        """Usage that no job has looked at yet is in the figures on the screen."""
        _partner, _account, subscription = self._customer("Globex")
        statement = subscription._ensure_statement(NOW)
        self.use(10, datetime(2025, 6, 5), subject="globex")
        with freeze_time(NOW):
            [shown] = statement.with_user(self.viewer).read(["amount_so_far", "amount_expected", "amount_untaxed"])
        self.assertEqual((shown["amount_so_far"], shown["amount_expected"], shown["amount_untaxed"]), (5, 15, 0))

    def test_usage_goes_on(self):
        self.assertEqual(self.live(self._price(unit_amount=0.5)), (5, 15))

    def test_tiers_and_included_quantity(self):
        """10 so far, 5 included; 30 expected: 25 to pay, 10 at 1 and 15 at 0.5."""
        price = self._price(model="graduated", included_quantity=5, tiers=((10, 1, 0), (0, 0.5, 0)))
        self.assertEqual(self.live(price), (5, 17.5))

    def test_a_minimum_is_not_multiplied(self):
        self.assertEqual(self.live(self._price(unit_amount=0.5, minimum_amount=12)), (12, 15))

    def test_fees_are_due_in_full(self):
        self.assertEqual(self.live(self._price(model="recurring", fee_amount=50)), (50, 50))

    def test_the_highest_value_stays(self):
        meter = self._meter("peak", aggregation="max", value_path="tokens")
        self.assertEqual(self.live(self._price(meter_id=meter.id, unit_amount=1)), (10, 10))

    def test_prices_of_pieces_grow(self):
        price = self._price(unit_amount=0.5, bucket_interval="day", bucket_aggregation="sum")
        self.assertEqual(self.live(price), (5, 15))

    def test_above_the_last_tier(self):
        price = self._price(model="graduated", tiers=((20, 1, 0),), beyond_last_tier="refuse")
        self.assertEqual(self.live(price), (10, 10))

    def test_a_line_that_begins_later(self):
        """From the 6th on: 5 of 25 days are over."""
        price = self._price(unit_amount=1, date_start="2025-06-06")
        _partner, _account, subscription = self._customer("Globex", line_ids=[(0, 0, {"price_id": price.id})])
        self.use(10, datetime(2025, 6, 7), subject="globex")
        with freeze_time(NOW):
            statement = subscription._ensure_statement(NOW)
            statement._rate(NOW)
        self.assertEqual((statement.amount_untaxed, statement.amount_projected), (10, 50))
