"""What is billed beside a single charge: shares, changes, versions, thresholds, tax, credits on invoices."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
import rating
from helpers import T0, USD, graduated, package, per_unit
from rating import Record, Share, UsageError

CENT = rating.Currency("CENT", "1")
MARCH = (date(2026, 3, 1), date(2026, 4, 1))
MAY = (datetime(2026, 5, 1), datetime(2026, 6, 1))


class TestShares:
    def test_multiply_first_divide_last(self):
        assert Share(1, 3).of(Decimal(3)) == 1
        assert Share(17, 31).of(Decimal("62.0")) == 34

    def test_days_are_clipped_to_the_period(self):
        assert str(rating.day_share(date(2026, 1, 1), date(2026, 3, 11), MARCH)) == "10/31"
        assert str(rating.day_share(date(2026, 5, 1), date(2026, 6, 1), MARCH)) == "0/31"

    def test_seconds_with_their_fractions(self):
        share = rating.second_share(
            T0 + timedelta(seconds=0.5), T0 + timedelta(days=9), (T0, T0 + timedelta(seconds=2))
        )
        assert str(share) == "1.5/2"

    def test_a_day_of_summer_time_is_one_day(self):
        whole = rating.day_share(*MARCH, MARCH)
        assert whole.part == whole.whole == 31


class TestChange:
    def test_upgrade(self):
        found = rating.change(10, 20, Share(17, 31), USD)
        assert (found.credit, found.charge, found.net) == (Decimal("-5.48"), Decimal("10.97"), Decimal("5.49"))

    def test_removed_and_added(self):
        assert rating.change(40, 0, Share(17, 31), USD).net == Decimal("-21.94")
        assert rating.change(0, 25, Share(17, 31), USD).net == Decimal("13.71")

    def test_nothing_remains(self):
        assert rating.change(10, 20, Share(0, 31), USD).net == 0


class TestRecurringFees:
    def test_arrears_bill_the_period_that_ended(self):
        assert [rating.periods_due("arrears", n, 0, 2) for n in (-1, 0, 2, 3)] == [[], [0], [2], []]

    def test_advance_bills_the_period_that_begins(self):
        assert [rating.periods_due("advance", n, 0, 2) for n in (-1, 0, 1, 2)] == [[0], [1], [2], []]

    @pytest.mark.parametrize("timing", ["arrears", "advance"])
    def test_every_period_is_billed_once(self, timing):
        billed = [period for n in range(-1, 12) for period in rating.periods_due(timing, n, 0, 11)]
        assert billed == list(range(12))

    def test_unknown_timing(self):
        with pytest.raises(ValueError, match="arrears, advance"):
            rating.periods_due("whenever", 0, 0)


class TestVersions:
    OLD, NEW = (rating.parse_price(graduated((100, n), (None, 1))) for n in (3, 5))
    CHANGE = datetime(2026, 5, 8)

    def rate(self, versions, *records, period=MAY):
        listed = [Record(quantity, at=datetime(2026, 5, day)) for day, quantity in records]
        return rating.rate_versions(versions, listed, period, USD)

    def test_usage_is_priced_by_its_own_date(self):
        parts = self.rate([(MAY[0], self.OLD), (self.CHANGE, self.NEW)], (7, 10), (8, 10))
        assert [(part.start, part.end, part.charge.amount) for part in parts] == [
            (MAY[0], self.CHANGE, 30),
            (self.CHANGE, MAY[1], 50),
        ]

    def test_order_of_versions_and_records_does_not_matter(self):
        versions = [(self.CHANGE, self.NEW), (MAY[0], self.OLD)]
        assert [part.charge.amount for part in self.rate(versions, (8, 10), (7, 10))] == [30, 50]

    def test_tiers_may_count_on(self):
        keeps = rating.parse_price(graduated((100, 5), (None, 1), tiers_at_price_change="continue"))
        parts = self.rate([(MAY[0], self.OLD), (self.CHANGE, keeps)], (1, 90), (9, 20))
        assert [part.charge.amount for part in parts] == [270, 60]

    def test_an_older_version_is_valid_from_before_the_period(self):
        parts = self.rate([(T0, self.OLD)], (1, 10))
        assert [(part.start, part.end) for part in parts] == [MAY]

    def test_fees_are_prorated_by_the_time_in_force(self):
        fee = rating.parse_price(per_unit(1, flat_fee={"amount": "31"}, prorate=["flat_fee"]))
        parts = rating.rate_versions([(MAY[0], fee), (self.CHANGE, fee)], [], MAY, USD)
        assert [part.charge.amount for part in parts] == [7, 24]

    def test_what_is_missing(self):
        with pytest.raises(UsageError, match="no version"):
            self.rate([(self.CHANGE, self.NEW)], (9, 1))
        with pytest.raises(UsageError, match="inside the period"):
            rating.rate_versions([(MAY[0], self.OLD)], [Record(1, at=T0)], MAY, USD)


class TestLateUsage:
    BOUNDS = [datetime(2026, month, 1) for month in (1, 2, 3, 4)]

    @pytest.mark.parametrize(("lookback", "billed", "held"), [(0, [2], 3), (1, [1, 2], 2), (2, [0, 1, 2], 1)])
    def test_look_back(self, lookback, billed, held):
        days = [datetime(2025, 12, 31), datetime(2026, 1, 1), datetime(2026, 2, 28), datetime(2026, 3, 31)]
        by_period, waiting = rating.sort_late([Record(1, at=at) for at in days], self.BOUNDS, lookback)
        assert (sorted(by_period), len(waiting)) == (billed, held)

    def test_usage_of_a_period_to_come_is_held(self):
        assert len(rating.sort_late([Record(1, at=datetime(2026, 4, 1))], self.BOUNDS, 9)[1]) == 1


class TestThresholds:
    def billed(self, spends, thresholds, every=None):
        return [int(each.billed) for each in rating.interim_invoices(spends, thresholds, every)]

    def test_each_threshold_once(self):
        assert self.billed([100, 200, 400, 600], [200, 500]) == [200, 400]

    def test_one_step_over_several_is_one_invoice(self):
        assert self.billed([600], [100, 200, 500]) == [600]

    def test_the_last_one_repeats(self):
        assert self.billed([220, 440, 660, 880, 3080, 5280], [200, 500, 700], 1000) == [220, 440, 220, 2200, 2200]

    def test_below_it_nothing(self):
        assert self.billed([1, 199], [200]) == []
        assert self.billed([500], []) == []

    def test_says_where(self):
        assert [each.position for each in rating.interim_invoices([1, 300], [200])] == [1]


class TestInvoicing:
    def test_true_up_rounds_each_or_the_difference(self):
        third = Share(1, 3)
        assert rating.true_up(100, [50], CENT, third) == 33 - 17
        assert rating.true_up(100, [50], CENT, third, rounding="total") == 17

    def test_true_up_over_a_contract(self):
        assert rating.true_up(1200, [100] * 11, USD) == 100
        assert rating.true_up(1200, [150] * 11, USD) == 0

    def test_tax_of_the_rounded_or_the_precise_amount(self):
        assert rating.taxed(Decimal("0.5"), 50, CENT).tax == 1
        assert rating.taxed(Decimal("0.5"), 50, CENT, "precise").tax == 0
        assert rating.taxed(Decimal("19333.333"), 25, CENT, "precise").total == 24166

    def test_subtotals(self):
        assert rating.subtotal(["100.4", "200.5", "300.6"], rating.Currency("JPY", "1")) == 602
        assert rating.subtotal([], USD) == 0

    def test_delta(self):
        assert rating.delta("10.00", "12.50") == Decimal("-2.50")

    def test_credits_pay_in_order(self):
        paid = rating.pay([100, 50, 50], [75, 100])
        assert paid.by_line == ((75, 25), (50,), (25,))
        assert (paid.used, paid.due) == (175, 25)

    def test_credits_do_not_pay_what_is_not_due(self):
        paid = rating.pay([-5, 0, 10], [100])
        assert (paid.by_line, paid.used, paid.due) == (((), (), (10,)), 10, -5)


class TestAggregation:
    DAY = (T0, T0 + timedelta(days=1))

    def test_level_held_for_a_part_of_the_day(self):
        assert rating.weighted_sum([(T0 + timedelta(hours=6), 4)], self.DAY) == 3
        assert rating.weighted_sum([], self.DAY, opening=7) == 7

    def test_order_does_not_matter_and_later_does_not_count(self):
        changes = [(T0 + timedelta(hours=12), -2), (T0, 2), (T0, 2), (T0 + timedelta(days=2), 99)]
        assert rating.weighted_sum(changes, self.DAY) == 3

    def test_a_change_before_the_period(self):
        with pytest.raises(ValueError, match="opening level"):
            rating.weighted_sum([(T0 - timedelta(seconds=1), 1)], self.DAY)

    def test_units_added_within_a_period(self):
        june = (date(2026, 6, 1), date(2026, 7, 1))
        assert rating.prorated_sum([(date(2026, 6, 16), 10), (date(2026, 6, 30), 30)], june, opening=5) == 11
        with pytest.raises(ValueError, match="outside"):
            rating.prorated_sum([(june[1], 1)], june)


def test_threshold_billing_of_packages_adds_up():
    """Interim invoices bill what is new; the last one the rest: together what one would have."""
    price, billed_quantity, billed_amount, amounts = rating.parse_price(package(10, 15)), Decimal(0), Decimal(0), []
    for quantity, final in ((17, False), (5, False), (30, True)):
        usage = rating.Usage(quantity, billed_quantity, billed_amount, first=not amounts, final=final)
        amounts.append(rating.rate(price, usage, USD).amount)
        billed_quantity, billed_amount = billed_quantity + quantity, billed_amount + amounts[-1]
    assert amounts == [30, 15, 45]
    assert sum(amounts) == rating.rate(price, rating.Usage(52), USD).amount
