"""What stands around a pricing model: each step, and the order in which they are taken."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
import rating
from helpers import T0, at, charge, cost, graduated, of, package, per_unit, volume
from rating import Record, Share, UsageError


def steps_of(found) -> list[str]:
    """Return the names of the steps of a charge, in their order."""
    return [step["step"] for step in found.explanation]


class TestIncludedQuantity:
    @pytest.mark.parametrize(("quantity", "amount"), [(0, 0), (10, 0), (11, 1), (25, 15)])
    def test_is_taken_off(self, quantity, amount):
        assert cost(per_unit(1, included_quantity="10"), quantity) == amount

    def test_is_carried_across_the_invoices_of_a_period(self):
        price, billed, amounts = per_unit(1, included_quantity="500"), 0, []
        for quantity in (300, 250, 100):
            amounts.append(cost(price, quantity, billed_quantity=billed))
            billed += quantity
        assert amounts == [0, 50, 100]

    def test_tiers_count_billable_units(self):
        assert cost(graduated((10, 2), (None, 1), included_quantity="5"), 20) == 25

    def test_explains_what_was_used_of_it(self):
        step = charge(per_unit(1, included_quantity="10"), 15, billed_quantity=4).steps("included")[0]
        assert (step["quantity"], step["used"], step["billable"]) == ("15", "6", "9")

    def test_groups_share_it_or_have_their_own(self):
        price = per_unit(1, included_quantity="10", group_by=["region"])
        records = [of(8, region="eu"), of(8, region="us")]
        assert cost(price, records=records) == 6
        assert cost(price | {"included_per": "part"}, records=records) == 0

    def test_shared_by_groups_on_two_invoices(self):
        price = per_unit(1, included_quantity="10", group_by=["region"])
        first, second = [of(8, region="eu")], [of(8, region="us")]
        assert cost(price, records=first) == 0
        assert cost(price, records=second, billed_records=first) == 6

    def test_prorated(self):
        price = per_unit(1, included_quantity="10", prorate=["included_quantity"])
        assert cost(price, 10, share=Share(1, 2)) == 5


class TestConversionAndRounding:
    def test_divide_round_then_include(self):
        price = per_unit(
            10,
            conversion={"operation": "divide", "factor": "1000"},
            quantity_rounding={"mode": "ceiling"},
            included_quantity="0.5",
        )
        found = charge(price, 1400)
        assert found.amount == 15
        assert steps_of(found) == ["conversion", "quantity_rounding", "included", "unit", "round"]

    def test_multiply(self):
        assert cost(per_unit(1, conversion={"operation": "multiply", "factor": "1.2"}), 10) == 12

    @pytest.mark.parametrize(
        ("mode", "precision", "rounded"),
        [
            ("half_up", "2", "123.46"),
            ("half_up", "-2", "100"),
            ("ceiling", "0", "124"),
            ("floor", "2", "123.45"),
            ("ceiling", "-1", "130"),
            ("half_even", "1", "123.5"),
            ("down", "0", "123"),
            ("up", "0", "124"),
        ],
    )
    def test_rounding_modes(self, mode, precision, rounded):
        price = per_unit(1, quantity_rounding={"mode": mode, "precision": precision})
        assert cost(price, "123.456") == Decimal(rounded)

    def test_split_invoices_add_up_or_round_alone(self):
        rounding = {"mode": "ceiling"}
        price = per_unit(1, quantity_rounding=rounding)
        assert [cost(price, "1.4"), cost(price, "1.3", billed_quantity="1.4")] == [2, 1]
        alone = per_unit(1, quantity_rounding=rounding | {"split": "independent"})
        assert [cost(alone, "1.4"), cost(alone, "1.3", billed_quantity="1.4")] == [2, 2]

    def test_a_third_and_two_thirds_are_one(self):
        price = per_unit(
            1,
            conversion={"operation": "divide", "factor": "3"},
            quantity_rounding={"mode": "ceiling", "precision": "6"},
        )
        assert cost(price, 3) == 1


class TestParts:
    def test_peak_of_each_hour(self):
        price = per_unit("0.10", bucket={"interval": "hour", "aggregation": "max"})
        records = [at(0, 2), at(0.5, 9), at(0.7, 6), at(1, 10)]
        assert cost(price, records=records) == Decimal("1.9")

    @pytest.mark.parametrize(("aggregation", "amount"), [("max", 9), ("min", 2), ("sum", 17), ("last", 6)])
    def test_aggregations(self, aggregation, amount):
        price = per_unit(1, bucket={"interval": "day", "aggregation": aggregation})
        assert cost(price, records=[at(0, 2), at(1, 9), at(2, 6)]) == amount

    def test_tiers_restart_in_each_bucket(self):
        price = graduated((10, "0.10"), (20, "0.05"), (None, "0.02"), bucket={"interval": "hour", "aggregation": "max"})
        assert cost(price, records=[at(0, 9), at(1, 15)]) == Decimal("2.15")

    def test_days_are_local(self):
        price = per_unit(1, bucket={"interval": "day", "aggregation": "max", "tz": "Pacific/Auckland"})
        assert cost(price, records=[at(10.9, 5), at(11.1, 5)]) == 10
        assert cost(price | {"bucket": {"interval": "day", "aggregation": "max"}}, records=[at(1, 5), at(20, 5)]) == 5

    def test_an_hour_that_comes_twice_is_two_buckets(self):
        price = per_unit(1, bucket={"interval": "hour", "aggregation": "max", "tz": "Europe/Paris"})
        night = datetime(2026, 10, 25)
        records = [Record(5, at=night + timedelta(minutes=30)), Record(5, at=night + timedelta(minutes=90))]
        assert cost(price, records=records) == 10

    def test_a_higher_peak_on_a_later_invoice_bills_the_difference(self):
        price = per_unit(1, bucket={"interval": "day", "aggregation": "max"})
        assert cost(price, records=[at(1, 5)], final=False) == 5
        assert cost(price, records=[at(2, 8)], billed_records=[at(1, 5)]) == 3
        assert cost(price, records=[at(2, 4)], billed_records=[at(1, 5)]) == 0

    def test_tiers_per_group(self):
        price = graduated((10, 1), (None, 2), group_by=["resource"])
        found = charge(price, records=[of(3, resource="a"), of(12, resource="b")])
        assert found.unrounded == 17
        assert [step["part"] for step in found.steps("tier")] == [{"resource": "a"}, *[{"resource": "b"}] * 2]

    def test_groups_and_buckets_together(self):
        price = package(10, 1, group_by=["host"], bucket={"interval": "hour", "aggregation": "max"})
        records = [
            Record(n, at=T0 + timedelta(hours=h), dimensions={"host": x})
            for n, h, x in ((1, 0, "a"), (11, 0, "b"), (1, 1, "a"))
        ]
        assert cost(price, records=records) == 4

    def test_empty_buckets_count_if_asked_for(self):
        price = graduated(
            (None, 1, 3), flat_on_zero=True, bucket={"interval": "day", "aggregation": "max", "empty": "zero"}
        )
        assert cost(price, records=[at(1, 5)], period=(T0, T0 + timedelta(days=3))) == 14
        with pytest.raises(UsageError, match="needs to know the period"):
            cost(price, records=[at(1, 5)])

    def test_a_quantity_is_not_enough(self):
        price = per_unit(1, bucket={"interval": "day", "aggregation": "max"})
        with pytest.raises(UsageError, match="needs records"):
            cost(price, 5)
        with pytest.raises(UsageError, match="the time they happened"):
            cost(price, records=[Record(5)])


class TestCounters:
    def test_each_invoice_may_begin_at_zero(self):
        price = graduated((10, 2), (None, 1), split="independent")
        assert cost(price, 10, billed_quantity=10) == 20

    def test_tiers_restart_at_a_price_change_or_not(self):
        price = graduated((10, 2), (None, 1))
        assert cost(price, 5, prior_quantity=10) == 10
        assert cost(price | {"tiers_at_price_change": "continue"}, 5, prior_quantity=10) == 5


class TestFlatFee:
    def test_always_on_the_first_invoice(self):
        price = per_unit(1, flat_fee={"amount": "9"})
        assert [cost(price, 0), cost(price, 1), cost(price, 1, first=False)] == [9, 10, 1]

    def test_only_if_used(self):
        price = per_unit(1, flat_fee={"amount": "9", "when": "used"})
        assert [cost(price, 0), cost(price, 1), cost(price, 1, billed_quantity=1)] == [0, 10, 1]

    def test_prorated(self):
        price = per_unit(1, flat_fee={"amount": "9"}, prorate=["flat_fee"])
        assert cost(price, 0, share=Share(1, 3)) == 3


class TestDiscounts:
    def test_in_the_order_they_are_written(self):
        price = per_unit(1, discounts=[{"amount": "20"}, {"percent": "50"}])
        assert cost(price, 100) == 40
        assert cost(price | {"discounts": price["discounts"][::-1]}, 100) == 30

    def test_an_amount_never_gives_money_back(self):
        assert cost(per_unit(1, discounts=[{"amount": "20"}]), 5) == 0

    def test_an_amount_is_given_once_a_period(self):
        price = per_unit(1, discounts=[{"amount": "20"}])
        assert cost(price, 15, final=False) == 0
        assert cost(price, 15, billed_quantity=15, billed_discount=15, first=False) == 10

    def test_the_explanation_says_by_line(self):
        step = charge(graduated((10, 2), (None, 1), discounts=[{"percent": "10"}]), 15).steps("discount")[0]
        assert (step["amount"], step["by_line"]) == ("-2.5", ["-2", "-0.5"])


class TestBounds:
    def test_maximum_over_several_invoices(self):
        price = graduated((5, 0, 100), (10, 0, 50), (15, 5), (None, 1), maximum="170")
        found = charge(price, 10, billed_quantity=12, billed_amount=160)
        assert found.unrounded == 10
        assert found.line_amounts == (10, 0)
        assert found.steps("maximum")[0]["by_line"] == ["-5", "-7"]

    def test_minimum_is_due_on_the_last_invoice(self):
        price = per_unit(1, minimum="100")
        assert [cost(price, 5, final=False), cost(price, 5, billed_amount=5, first=False)] == [5, 95]

    def test_minimum_prorated(self):
        price = per_unit(800, minimum="1000", prorate=["minimum"])
        assert charge(price, 1, share=Share(25, 28)).amount == Decimal("892.86")

    def test_percentage_discount_before_the_maximum(self):
        price = per_unit(10, discounts=[{"percent": "50"}], maximum="100")
        assert cost(price, 20, billed_amount=35) == 65

    def test_minimum_after_the_discount(self):
        assert cost(per_unit(10, discounts=[{"percent": "50"}], minimum="80"), 10) == 80

    def test_a_maximum_of_zero_is_a_maximum(self):
        assert cost(per_unit(10, maximum="0"), 10) == 0


class TestCommitment:
    def test_true_up_and_overage(self):
        price = per_unit(2, commitment={"amount": "10", "overage_factor": "2"})
        assert [cost(price, quantity) for quantity in (0, 2, 5, 8)] == [10, 10, 10, 22]

    def test_without_true_up(self):
        price = per_unit(2, commitment={"amount": "10", "overage_factor": "2", "true_up": False})
        assert [cost(price, quantity) for quantity in (0, 2, 5, 8)] == [0, 4, 10, 22]

    def test_in_units(self):
        price = graduated((10, 2), (None, 1), commitment={"quantity": "15", "overage_factor": "3"})
        assert [cost(price, quantity) for quantity in (0, 15, 16)] == [25, 25, 28]

    @pytest.mark.parametrize("factor", ["1", "2", "0.5"])
    def test_split_invoices_add_up(self, factor):
        price = per_unit(2, commitment={"amount": "10", "overage_factor": factor})
        billed = [cost(price, 4, final=False)]
        billed.append(cost(price, 3, billed_quantity=4, billed_amount=billed[0], first=False, final=False))
        billed.append(cost(price, 1, billed_quantity=7, billed_amount=sum(billed), first=False))
        assert sum(billed) == cost(price, 8)

    def test_per_window(self):
        commitment = {"amount": "10", "overage_factor": "2", "per": "window"}
        price = per_unit(2, bucket={"interval": "hour", "aggregation": "sum"}, commitment=commitment)
        assert cost(price, records=[at(0, 2), at(1, 8)]) == 32

    def test_a_window_on_two_invoices(self):
        commitment = {"amount": "10", "overage_factor": "2", "per": "window"}
        price = per_unit(2, bucket={"interval": "hour", "aggregation": "sum"}, commitment=commitment)
        first, second = [at(0, 2)], [at(0.5, 6)]
        amounts = [cost(price, records=first), cost(price, records=second, billed_records=first)]
        assert amounts == [10, 12]
        assert sum(amounts) == cost(price, records=first + second)

    def test_prorated(self):
        price = per_unit(2, commitment={"amount": "10"}, prorate=["commitment"])
        assert cost(price, 0, share=Share(1, 2)) == 5

    def test_is_compared_before_discounts(self):
        price = per_unit(2, commitment={"amount": "10"}, discounts=[{"percent": "50"}])
        assert cost(price, 5) == 5


class TestTrial:
    PRICE = per_unit(1, trial_days="14", minimum="50")

    def test_a_period_in_the_trial_costs_nothing_at_all(self):
        found = charge(self.PRICE, 99, subscribed_at=T0, period=(T0, T0 + timedelta(days=14)))
        assert (found.amount, steps_of(found)) == (0, ["trial", "round"])

    def test_a_period_after_it_is_as_any_other(self):
        period = (T0 + timedelta(days=14), T0 + timedelta(days=44))
        found = charge(self.PRICE, 99, subscribed_at=T0, period=period)
        assert (found.amount, steps_of(found)) == (99, ["unit", "round"])

    def test_records_in_the_trial_are_free(self):
        records = [at(14 * 24 - 1, 100), at(14 * 24, 70)]
        found = charge(self.PRICE, records=records, subscribed_at=T0)
        assert (found.unrounded, found.quantity) == (70, 70)
        assert found.explanation[0]["free"] == "100"

    def test_money_in_the_trial_is_free(self):
        price = {"model": "percentage", "percent": "10", "trial_days": "1"}
        records = [at(1, amount=100), at(25, amount=200)]
        assert cost(price, records=records, subscribed_at=T0) == 20

    def test_what_it_needs_to_know(self):
        with pytest.raises(UsageError, match="when the subscription started"):
            cost(self.PRICE, 5)
        with pytest.raises(UsageError, match="records with their time"):
            cost(self.PRICE, 5, subscribed_at=T0, period=(T0, T0 + timedelta(days=31)))
        with pytest.raises(UsageError, match="the time of every record"):
            cost(self.PRICE, records=[Record(5)], subscribed_at=T0)


class TestRounding:
    def test_of_the_total_or_of_each_line(self):
        price = graduated((1, "0.004"), (2, "0.004"), (None, "0.004"))
        assert charge(price, 3).amount == Decimal("0.01")
        assert charge(price | {"rounding": "lines"}, 3).amount == 0

    def test_says_how(self):
        found = charge(per_unit("1.005"), 1)
        assert found.explanation[-1] == {
            "step": "round",
            "unrounded": "1.005",
            "of": "total",
            "rounding": "0.01",
            "mode": "half_up",
            "amount": "1.01",
        }

    @pytest.mark.parametrize(
        ("mode", "amounts"),
        [
            ("half_up", ["0.13", "-0.13", "0.12"]),
            ("half_even", ["0.12", "-0.12", "0.12"]),
            ("down", ["0.12", "-0.12", "0.12"]),
            ("up", ["0.13", "-0.13", "0.13"]),
        ],
    )
    def test_rules_of_a_currency(self, mode, amounts):
        unit = rating.Currency("USD", "0.01", mode)
        assert [str(unit.round(Decimal(each))) for each in ("0.125", "-0.125", "0.121")] == amounts

    def test_steps_that_are_not_a_power_of_ten(self):
        assert rating.Currency("CHF", "0.05").round(Decimal("1.025")) == Decimal("1.05")
        assert rating.Currency("XXX", "100").round(Decimal("149.99")) == 100


def test_the_documented_order():
    price = graduated(
        (5, 1),
        (None, 2),
        conversion={"operation": "divide", "factor": "10"},
        quantity_rounding={"mode": "ceiling"},
        included_quantity="2",
        flat_fee={"amount": "3"},
        commitment={"amount": "100"},
        discounts=[{"percent": "10"}],
        minimum="200",
        maximum="300",
    )
    found = charge(price, 101)
    assert steps_of(found) == [
        "conversion",
        "quantity_rounding",
        "included",
        "tier",
        "tier",
        "flat_fee",
        "commitment",
        "true_up",
        "discount",
        "minimum",
        "round",
    ]
    assert found.amount == 200


def test_an_interim_invoice_of_a_volume_price_bills_no_minimum_either():
    assert cost(volume((None, 2), minimum="50"), 5, final=False) == 0
