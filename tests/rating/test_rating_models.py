"""Every pricing model by hand-calculated examples, its options and its edges."""

from datetime import datetime
from decimal import Decimal

import pytest
import rating
from helpers import T0, USD, at, charge, cost, graduated, of, package, paid, per_unit, tier, volume
from rating import Record, Share, Usage, UsageError

THREE = [(10, 5, 100), (20, 4, 50), (None, 3, 25)]


class TestPerUnit:
    def test_sub_cent_price_is_rounded_once(self):
        found = charge(per_unit("0.0004"), 12345)
        assert (found.unrounded, found.amount) == (Decimal("4.938"), Decimal("4.94"))

    def test_price_per_million_is_exact(self):
        assert cost(per_unit("0.15", per="1000000"), 1234567) == Decimal("0.18518505")

    def test_price_per_three_units(self):
        found = charge(per_unit(1, per="3"), 1)
        assert found.amount == Decimal("0.33")
        assert charge(per_unit(1, per="3"), 3).unrounded == 1

    def test_zero_usage_has_a_line_of_zero(self):
        found = charge(per_unit(5), 0)
        assert found.amount == 0
        assert [step["step"] for step in found.explanation] == ["unit", "round"]

    def test_a_correction_below_zero_bills_nothing(self):
        found = charge(per_unit(5), -3)
        assert found.amount == 0
        assert found.explanation[0] == {"step": "negative", "quantity": "-3", "billable": "0"}

    def test_a_correction_gives_back_what_was_billed(self):
        assert cost(per_unit(5), -3, billed_quantity=10) == -15
        assert cost(per_unit(5), -30, billed_quantity=10) == -50


class TestGraduated:
    @pytest.mark.parametrize(
        ("quantity", "amount"), [(0, 0), (1, 105), (10, 150), (11, 204), (20, 240), ("20.5", "266.5"), (30, 295)]
    )
    def test_tiers_are_inclusive_and_flats_are_due_on_entering(self, quantity, amount):
        assert cost(graduated(*THREE), quantity) == Decimal(amount)

    def test_first_flat_is_due_without_usage_if_the_price_says_so(self):
        assert cost(graduated(*THREE, flat_on_zero=True), 0) == 100
        assert cost(graduated(*THREE, flat_on_zero=True), 1) == 105

    def test_the_flat_due_without_usage_is_billed_once(self):
        price = graduated(*THREE, flat_on_zero=True)
        assert cost(price, 5, first=False) == 25
        assert cost(price, 0, first=False, billed_quantity=5) == 0

    @pytest.mark.parametrize("split", [1, 9, 10, 11, 20, 25])
    def test_two_invoices_add_up_to_one(self, split):
        price = graduated(*THREE)
        first = cost(price, split, final=False)
        assert first + cost(price, 27 - split, billed_quantity=split, first=False) == cost(price, 27)

    def test_lines_of_a_split_are_the_units_of_this_invoice(self):
        found = charge(graduated(*THREE), 10, billed_quantity=12)
        assert [(s["tier"], s["quantity"], s["amount"]) for s in found.steps("tier")] == [
            (2, "8", "32"),
            (3, "2", "31"),
        ]

    def test_nothing_new_has_no_line_of_a_tier_that_was_paid(self):
        assert cost(graduated(*THREE), 0, billed_quantity=12, first=False) == 0

    def test_a_tier_may_cost_no_more_than_its_cap(self):
        price = {"model": "graduated", "tiers": [tier(10, 5, maximum_amount="20"), tier(None, 1, maximum_amount="3")]}
        assert [cost(price, quantity) for quantity in (3, 10, 12, 99)] == [15, 20, 22, 23]
        assert cost(price, 89, billed_quantity=10) == 3

    def test_a_last_tier_with_an_end(self):
        tiers = graduated((10, 5), (20, 4))
        assert cost(tiers | {"beyond_last_tier": "last_tier"}, 25) == 110
        assert cost(tiers | {"beyond_last_tier": "refuse"}, 20) == 90
        with pytest.raises(UsageError, match="above the last tier, which ends at 20"):
            cost(tiers | {"beyond_last_tier": "refuse"}, "20.01")

    def test_price_per_million(self):
        price = graduated((1000000, "1.50"), (None, "1.20"), per="1000000")
        assert cost(price, 2500000) == Decimal("3.3")

    def test_a_correction_gives_back_units_and_flats(self):
        assert cost(graduated(*THREE), -12, billed_quantity=22) == -(cost(graduated(*THREE), 22) - 150)

    def test_seats_are_prorated_in_the_tiers_they_filled(self):
        price = graduated((5, 10, 100), (None, 5, 50), prorated=True)
        changes = [(4, "2.8"), (2, "1"), (-3, "-0.6")]
        assert cost(price, records=[Record(full, prorated=part) for full, part in changes]) == Decimal("180.5")

    def test_prorated_needs_prorated_records(self):
        with pytest.raises(UsageError, match="records with a prorated quantity"):
            cost(graduated((5, 10), (None, 5), prorated=True), records=[Record(1)])


class TestVolume:
    @pytest.mark.parametrize(("quantity", "amount"), [(0, 0), (10, 150), (11, 94), (20, 130), (21, 88)])
    def test_the_tier_reached_prices_everything(self, quantity, amount):
        assert cost(volume(*THREE), quantity) == amount

    def test_nothing_is_billed_before_the_period_is_over(self):
        found = charge(volume(*THREE), 10, final=False)
        assert (found.amount, found.line_amounts) == (0, ())

    def test_what_waited_is_billed_at_the_end(self):
        assert cost(volume(*THREE), 5, billed_quantity=10, first=False) == cost(volume(*THREE), 15)

    def test_billed_so_far_is_taken_off(self):
        price = volume(*THREE, interim="bill")
        parts = [cost(price, 10, final=False), cost(price, 5, billed_quantity=10, first=False)]
        assert parts == [150, -40]

    def test_full_quantity_chooses_the_tier_prorated_quantity_is_priced(self):
        assert cost(volume(*THREE, prorated=True), 25, prorated_quantity="12.5") == Decimal("62.5")
        records = [Record(20, prorated=10), Record(5, prorated="2.5")]
        assert cost(volume(*THREE, prorated=True), records=records) == Decimal("62.5")
        with pytest.raises(UsageError, match="prorated_quantity"):
            cost(volume(*THREE, prorated=True), 25)

    def test_in_which_tier_a_bound_itself_is(self):
        tiers = {
            "tiers": [{"up_to": "10", "unit_amount": "2"}, {"up_to": None, "unit_amount": "1", "flat_amount": "3"}]
        }
        inclusive, exclusive = ({"model": "volume", **tiers, "bounds": way} for way in ("inclusive", "exclusive"))
        assert [cost(inclusive, n) for n in (0, "9.999", 10, "10.001")] == [0, Decimal("19.998"), 20, Decimal("13.001")]
        assert [cost(exclusive, n) for n in (0, "9.999", 10, "10.001")] == [0, Decimal("19.998"), 13, Decimal("13.001")]
        assert charge(exclusive, 10).steps("tier")[0]["bounds"] == "exclusive"
        billed = {"billed_quantity": 10, "first": False}
        assert cost(exclusive | {"interim": "bill"}, 2, **billed) == 15 - 13

    def test_the_end_of_a_last_tier_is_not_below_it(self):
        price = volume((10, 5), (20, 4), beyond_last_tier="refuse", bounds="exclusive")
        assert cost(price, 19) == 76
        with pytest.raises(UsageError, match="not below the end"):
            cost(price, 20)

    def test_above_a_last_tier_with_an_end(self):
        price = volume((10, 5), (20, 4), beyond_last_tier="refuse")
        assert cost(price, 20) == 80
        with pytest.raises(UsageError):
            cost(price, 21)


class TestPackage:
    @pytest.mark.parametrize(
        ("rounding", "amounts"),
        [("up", [0, 15, 15, 15, 30]), ("down", [0, 0, 0, 15, 15]), ("half_up", [0, 0, 15, 15, 15])],
    )
    def test_how_a_started_package_counts(self, rounding, amounts):
        price = package(package_rounding=rounding)
        assert [cost(price, quantity) for quantity in (0, 4, 5, 10, 11)] == amounts

    def test_a_package_paid_before_is_not_paid_again(self):
        assert cost(package(), 3, billed_quantity=17) == 0
        assert cost(package(), 4, billed_quantity=17) == 15

    def test_the_explanation_says_the_units_billed(self):
        step = charge(package(), 11).steps("package")[0]
        assert (step["packages"], step["billed_units"]) == ("2", "20")

    def test_fractions_of_a_unit(self):
        assert cost(package("0.1", 1), "0.3") == 3


class TestBlocks:
    TIERS = (("100", "10", "1"), ("1000", "5", "5"), ("1000", None, "4"))

    def price(self, tiers=TIERS, **others):
        names = ("block_size", "blocks", "block_amount")
        return {"model": "blocks", "tiers": [dict(zip(names, each, strict=True)) for each in tiers]} | others

    @pytest.mark.parametrize(
        ("quantity", "amount"), [(0, 0), (1, 1), (100, 1), (1000, 10), (1001, 15), (6000, 35), (6001, 39)]
    )
    def test_tiers_are_as_wide_as_their_blocks(self, quantity, amount):
        assert cost(self.price(), quantity) == amount

    @pytest.mark.parametrize(("quantity", "amount"), [(1000, 10), (1001, 10), (6000, 30), (6001, 28)])
    def test_top_tier_prices_all_blocks(self, quantity, amount):
        assert cost(self.price(policy="top_tier"), quantity) == amount

    def test_blocks_may_be_rounded_down(self):
        assert cost(self.price(block_rounding="down"), 1999) == 10

    def test_a_split_period_adds_up(self):
        for price in (self.price(), self.price(policy="top_tier")):
            first = cost(price, 1500, final=False)
            second = cost(price, 5000, billed_quantity=1500, first=False)
            assert first + second == cost(price, 6500)

    def test_a_last_tier_with_a_width(self):
        tiers = self.TIERS[:2]
        assert cost(self.price(tiers, beyond_last_tier="last_tier"), 8000) == 45
        with pytest.raises(UsageError, match="above the last tier"):
            cost(self.price(tiers, beyond_last_tier="refuse"), 6001)


class TestPercentage:
    def price(self, percent="2", **others):
        return {"model": "percentage", "percent": percent} | others

    def test_percentage_and_fixed_amount_of_each_event(self):
        assert cost(self.price("2.9", fixed_amount="0.30"), records=paid(100, 50)) == Decimal("4.95")

    def test_money_and_events_are_enough_without_bounds(self):
        assert cost(self.price("2.9", fixed_amount="0.30"), 150, events=2) == Decimal("4.95")

    def test_bounds_are_those_of_each_event(self):
        price = self.price("1", minimum_per_event="0.5", maximum_per_event="3")
        found = charge(price, records=paid(10, 100, 1000))
        step = found.steps("percentage")[0]
        assert (found.unrounded, step["at_minimum"], step["at_maximum"]) == (Decimal("4.5"), 1, 1)

    @pytest.mark.parametrize(
        ("free", "free_events", "paid_base"),
        [
            ({"free_events": "2"}, 2, "430"),
            ({"free_amount": "120"}, 2, "430"),
            ({"free_events": "1", "free_amount": "120"}, 1, "500"),
            ({"free_events": "9", "free_amount": "100"}, 1, "450"),
            ({"free_events": "9", "free_amount": "9999"}, 3, "0"),
        ],
    )
    def test_free_events_and_amounts_end_with_the_first_to_be_used_up(self, free, free_events, paid_base):
        step = charge(self.price(**free), records=paid(50, 70, 430)).steps("percentage")[0]
        assert (step["free_events"], step["paid_base"]) == (free_events, paid_base)

    def test_the_event_that_crosses_the_free_amount_pays_for_the_rest(self):
        step = charge(self.price(free_amount="60", fixed_amount="1"), records=paid(50, 20)).steps("percentage")[0]
        assert (step["free_events"], step["paid_base"], step["amount"]) == (1, "10", "1.2")

    @pytest.mark.parametrize(("rule", "amount"), [("free", 0), ("paid", 1)])
    def test_an_event_that_uses_the_free_amount_up_exactly(self, rule, amount):
        price = self.price(free_amount="50", fixed_amount="1", event_at_free_amount=rule)
        assert cost(price, records=paid(50)) == amount

    def test_allowances_used_on_earlier_invoices(self):
        price = self.price(free_events="2")
        assert cost(price, records=paid(100), billed_records=paid(10)) == 0
        assert cost(price, records=paid(100), billed_records=paid(10, 10)) == 2

    def test_fixed_amounts_where_no_money_moved(self):
        assert cost(self.price(fixed_amount="1"), 0, events=3) == 3
        assert cost(self.price(fixed_amount="1", fixed_on_zero_base=False), 0, events=3) == 0
        assert cost(self.price(fixed_amount="1", fixed_on_zero_base=False), records=paid(0, 0)) == 0
        assert cost(self.price(fixed_amount="1", fixed_on_zero_base=False), records=paid(0, 5)) == Decimal("2.1")

    def test_a_line_for_each_event(self):
        found = charge(self.price("0.25", maximum_per_event="25", lines="event"), records=paid(4000, 20000))
        assert found.line_amounts == (10, 25)

    def test_quantities_stand_for_money_where_there_is_no_amount(self):
        assert cost(self.price(), records=[Record(100), Record(50)]) == 3

    def test_free_amount_of_a_total(self):
        assert cost(self.price(free_amount="100"), 150) == 1

    def test_all_events_free_without_records(self):
        assert cost(self.price(free_events="5"), 400, events=4) == 0

    @pytest.mark.parametrize(
        ("price", "usage", "words"),
        [
            ({"free_events": "2"}, {"events": 4}, "one for each event"),
            ({"maximum_per_event": "2"}, {"events": 4}, "one for each event"),
            ({"free_amount": "2", "fixed_amount": "1"}, {"events": 4}, "one for each event"),
            ({"fixed_amount": "1"}, {}, "needs the number of events"),
        ],
    )
    def test_what_needs_records_says_so(self, price, usage, words):
        with pytest.raises(UsageError, match=words):
            cost(self.price(**price), 400, **usage)


class TestGraduatedPercentage:
    PRICE = {
        "model": "graduated_percentage",
        "tiers": [
            {"up_to": "1000", "percent": "3", "flat_amount": "5"},
            {"up_to": None, "percent": "1", "flat_amount": "7"},
        ],
    }

    def test_the_money_in_each_tier(self):
        assert cost(self.PRICE, 1500) == 47
        assert cost(self.PRICE, records=paid(700, 800)) == 47

    def test_charge_says_the_money_as_quantity(self):
        assert charge(self.PRICE, records=paid(700, 800)).quantity == 1500

    def test_earlier_events_fill_the_tiers(self):
        assert cost(self.PRICE, records=paid(800), billed_records=paid(700)) == 21

    def test_by_group(self):
        price = self.PRICE | {"group_by": ["shop"]}
        records = [Record(1, amount=500, dimensions={"shop": shop}) for shop in "aabb"]
        assert cost(price, records=records) == 70


class TestCapacity:
    PRICE = {
        "model": "capacity",
        "tiers": [
            {"amount": "10", "limits": {"seats": "5", "gb": "100"}},
            {"amount": "20", "limits": {"seats": "10", "gb": "100"}},
            {"amount": "30", "limits": {"seats": None, "gb": None}},
        ],
    }

    @pytest.mark.parametrize(
        ("seats", "gb", "amount"), [(5, 100, 10), (6, 1, 20), (1, 101, 30), (11, 1, 30), (0, 0, 10)]
    )
    def test_lowest_tier_that_fits_every_peak(self, seats, gb, amount):
        assert cost(self.PRICE, records=[of(seats, unit="seats"), of(gb, unit="gb")]) == amount

    def test_peaks_not_sums(self):
        assert cost(self.PRICE, records=[of(5, unit="seats")] * 3) == 10

    def test_no_usage_is_the_first_tier(self):
        assert cost(self.PRICE, records=[]) == 10

    def test_an_invoice_in_between_bills_the_step_up(self):
        price, low, high = self.PRICE, [of(5, unit="seats")], [of(8, unit="seats")]
        assert cost(price, records=low, final=False) == 10
        assert cost(price, records=high, billed_records=low, first=False) == 10
        assert cost(price, records=low, billed_records=low, first=False) == 0

    def test_beyond_the_last_tier(self):
        price = {"model": "capacity", "tiers": self.PRICE["tiers"][:2]}
        records = [of(11, unit="seats")]
        assert cost(price | {"beyond_last_tier": "last_tier"}, records=records) == 20
        with pytest.raises(UsageError, match="above the limits"):
            cost(price | {"beyond_last_tier": "refuse"}, records=records)

    def test_a_unit_without_a_limit_is_refused(self):
        with pytest.raises(UsageError, match="no limit for unit 'cpu'"):
            cost(self.PRICE, records=[of(1, unit="cpu")])


class TestDimensional:
    PRICE = {
        "model": "dimensional",
        "prices": [
            {"match": {"region": "eu", "model": "big"}, "price": per_unit(5)},
            {"match": {"region": "eu"}, "price": graduated((10, 2), (None, 1))},
            {"match": {"region": "us"}, "price": package(100, 7, minimum="10")},
        ],
        "default": per_unit(9, included_quantity="2"),
    }

    def test_each_lot_by_its_own_price(self):
        records = [
            of(1, region="eu", model="big"),
            of(8, region="eu", model="small"),
            of(7, region="eu"),
            of(101, region="us"),
            of(3, region="asia"),
        ]
        found = charge(self.PRICE, records=records)
        assert found.line_amounts == (5, 20, 5, 14, 9)
        assert found.quantity == 120

    def test_the_explanation_says_which_price(self):
        found = charge(self.PRICE, records=[of(1, region="us")])
        assert found.explanation[0]["part"] == {"region": "us"}
        assert found.line_amounts == (7, 3)

    def test_a_quantity_without_records_goes_to_the_default(self):
        assert cost(self.PRICE, 3) == 9

    def test_nothing_used_costs_nothing(self):
        assert charge(self.PRICE, 0).line_amounts == ()

    def test_without_a_default_the_unmatched_is_refused(self):
        price = {key: value for key, value in self.PRICE.items() if key != "default"}
        with pytest.raises(UsageError, match="no price matches .*asia"):
            cost(price, records=[of(1, region="asia")])

    def test_earlier_invoices_count_in_each_lot(self):
        eu, us = [of(6, region="eu")], [of(50, region="us")]
        first = cost(self.PRICE, records=eu + us, final=False)
        second = cost(self.PRICE, records=eu + us, billed_records=eu + us, first=False)
        assert (first, second) == (12 + 7, 10 + 3)
        assert first + second == cost(self.PRICE, records=eu + us + eu + us)

    def test_nested_errors_say_where(self):
        price = {"model": "dimensional", "prices": [{"match": {"a": "b"}, "price": per_unit(-1)}]}
        with pytest.raises(rating.PriceError, match=r"prices\[0\].price.unit_amount"):
            rating.parse_price(price)


class TestTimeOfDay:
    def price(self, **others):
        windows = [{"from": "09:00", "to": "17:00", "price": per_unit(2)}]
        return {"model": "time_of_day", "windows": windows, "default": per_unit(1)} | others

    def test_windows_are_half_open(self):
        assert [cost(self.price(), records=[at(hour)]) for hour in (8, 9, 16, 17)] == [1, 2, 2, 1]

    def test_hours_are_local(self):
        assert cost(self.price(tz="America/New_York"), records=[at(13), at(14)]) == 3

    def test_summer_time_moves_the_window(self):
        winter, summer = datetime(2026, 1, 5, 8, 30), datetime(2026, 7, 5, 7, 30)
        price = self.price(tz="Europe/Paris")
        assert [cost(price, records=[Record(1, at=each)]) for each in (winter, summer)] == [2, 2]

    def test_a_window_over_midnight(self):
        windows = [{"from": "22:00", "to": "06:00", "price": per_unit(3)}]
        price = self.price(windows=windows)
        assert [cost(price, records=[at(hour)]) for hour in (21, 22, 5, 6)] == [1, 3, 3, 1]

    def test_empty_hours_are_trued_up_only_inside_their_window(self):
        committed = {"commitment": {"amount": "10", "per": "window"}}
        window = per_unit(2, bucket={"interval": "hour", "aggregation": "sum", "empty": "zero"}) | committed
        price = self.price(windows=[{"from": "09:00", "to": "12:00", "price": window}])
        period = (T0, datetime(2026, 1, 2))
        found = charge(price, records=[at(10, 8), at(20, 5)], period=period)
        assert found.unrounded == 10 + 16 + 10 + 5
        assert charge(price, records=[], period=period).unrounded == 30

    def test_records_need_their_time(self):
        with pytest.raises(UsageError, match="the time they happened"):
            cost(self.price(), 5)


class TestOtherModels:
    def test_event_price_adds_what_events_carry(self):
        records = [Record(2, amount="0.015"), Record(1, amount="0.002")]
        found = charge({"model": "event_price"}, records=records)
        assert (found.unrounded, found.quantity) == (Decimal("0.017"), 3)
        assert found.amount == Decimal("0.02")

    def test_unit_amount_of_nothing_is_zero(self):
        assert charge({"model": "event_price"}, 0).unit_amount == 0

    def test_an_event_without_an_amount_is_refused(self):
        with pytest.raises(UsageError, match="must carry an amount"):
            charge({"model": "event_price"}, records=[Record(1)])

    def test_cost_plus_margin(self):
        price = {"model": "cost_plus", "margin_percent": "25", "margin_per_unit": "0.10"}
        assert charge(price, records=[Record(5, amount=8)]).line_amounts == (8, Decimal("2.5"))

    def test_recurring_per_seat_prorated(self):
        price = {"model": "recurring", "amount": "10", "per_unit": True, "prorate": ["amount"]}
        assert cost(price, 3, share=Share(1, 4)) == Decimal("7.5")
        assert cost(price, 3) == 30

    def test_recurring_stands_on_one_invoice_of_the_period(self):
        arrears = {"model": "recurring", "amount": "10"}
        advance = arrears | {"timing": "advance"}
        where = [{"first": True, "final": False}, {"first": False, "final": False}, {"first": False, "final": True}]
        assert [cost(arrears, **each) for each in where] == [0, 0, 10]
        assert [cost(advance, **each) for each in where] == [10, 0, 0]

    def test_minimum_of_a_plan_stands_on_the_last_invoice(self):
        price = {"model": "plan_minimum", "amount": "50"}
        assert [cost(price, spent=spent, final=final) for spent, final in ((20, False), (20, True), (70, True))] == [
            0,
            30,
            0,
        ]
        assert cost(price | {"prorate": ["amount"]}, spent="10", share=Share(1, 4)) == Decimal("2.5")

    def test_minimum_of_a_plan_has_no_terms_of_its_own(self):
        for field, value in (("minimum", "5"), ("included_quantity", "1"), ("flat_fee", {"amount": "1"})):
            with pytest.raises(rating.PriceError, match=f"{field}: cannot be combined with"):
                rating.parse_price({"model": "plan_minimum", "amount": "50", field: value})
        with pytest.raises(rating.PriceError, match="amount: is -1 but cannot be negative"):
            rating.parse_price({"model": "plan_minimum", "amount": "-1"})

    def test_three_decimals_and_none(self):
        bhd, jpy = rating.Currency("BHD", "0.001"), rating.Currency("JPY", "1")
        price = rating.parse_price(per_unit("0.1235"))
        assert rating.rate(price, Usage(10), bhd).amount == Decimal("1.235")
        assert rating.rate(price, Usage(10), jpy).amount == 1

    def test_every_model_is_covered_here(self):
        assert set(rating.MODELS) == {
            "per_unit",
            "graduated",
            "volume",
            "package",
            "blocks",
            "percentage",
            "graduated_percentage",
            "capacity",
            "dimensional",
            "time_of_day",
            "event_price",
            "cost_plus",
            "recurring",
            "plan_minimum",
        }

    def test_currency_of_the_charge(self):
        assert charge(per_unit(1), 1).currency == USD.code
