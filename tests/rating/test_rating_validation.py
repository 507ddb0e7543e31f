"""What is wrong with a price is said when it is read: the field, the problem and the remedy."""

import pytest
import rating
from helpers import graduated, package, per_unit, tier, volume
from rating import PriceError, Record, Share, Usage, UsageError

CAPACITY = {
    "model": "capacity",
    "tiers": [{"amount": "1", "limits": {"a": "5"}}, {"amount": "2", "limits": {"a": None}}],
}


def tiers(*listed, **others) -> dict:
    """Return a graduated price whose tiers are written out."""
    return {"model": "graduated", "tiers": list(listed)} | others


WRONG = [
    ("no model", {}, "model", "is missing"),
    ("unknown model", {"model": "magic"}, "model", "write one of per_unit, graduated"),
    ("not an object", "per_unit", "price", "write it as {field: value}"),
    ("missing amount", {"model": "per_unit"}, "unit_amount", "is missing"),
    ("binary float", {"model": "per_unit", "unit_amount": 0.1}, "unit_amount", "binary float"),
    ("a boolean", {"model": "per_unit", "unit_amount": True}, "unit_amount", "write it as text"),
    ("not a number", per_unit("a lot"), "unit_amount", "'a lot' is not a number"),
    ("not finite", per_unit("NaN"), "unit_amount", "not a finite number"),
    ("infinite", per_unit("Infinity"), "unit_amount", "not a finite number"),
    ("negative amount", per_unit("-1"), "unit_amount", "write 0 or more"),
    ("per nothing", per_unit(1, per="0"), "per", "write a number above 0"),
    ("misspelt field", per_unit(1, minimun="5"), "minimun", "write minimum, or remove it"),
    ("unknown field", per_unit(1, colour="red"), "colour", "remove it"),
    ("version as number", per_unit(1, version=3), "version", "write a text"),
    ("no tiers", {"model": "graduated", "tiers": []}, "tiers", "write a list of objects"),
    ("tiers not a list", {"model": "graduated", "tiers": {}}, "tiers", "write a list of objects"),
    ("a tier not an object", {"model": "graduated", "tiers": ["10"]}, "tiers[0]", "write it as {field: value}"),
    ("overlap", graduated((10, 1), (5, 1), (None, 1)), "tiers[1].up_to", "write more than 10"),
    ("the same bound twice", graduated((10, 1), (10, 1), (None, 1)), "tiers[1].up_to", "write more than 10"),
    ("a tier of nothing", graduated(("0", 1), (None, 1)), "tiers[0].up_to", "write more than 0"),
    ("gap", graduated((None, 1), (10, 1)), "tiers[0].up_to", "write where the tier ends"),
    ("unexplained end", graduated((10, 1), (20, 1)), "tiers[1].up_to", "beyond_last_tier"),
    ("negative tier", tiers(tier(None, -1)), "tiers[0].unit_amount", "write 0 or more"),
    ("unknown in a tier", tiers(tier(None, 1, price="1")), "tiers[0].price", "remove it"),
    ("unknown end", graduated((10, 1), beyond_last_tier="stop"), "beyond_last_tier", "last_tier, refuse"),
    ("flag as text", graduated((None, 1), flat_on_zero="yes"), "flat_on_zero", "write true or false"),
    ("volume interim", volume((None, 1), interim="often"), "interim", "wait, bill"),
    ("package of nothing", package(0), "package_size", "write a number above 0"),
    ("package rounding", package(package_rounding="sideways"), "package_rounding", "up, down, half_up"),
    (
        "blocks: gap",
        {"model": "blocks", "tiers": [{"block_size": "1", "block_amount": "1"}] * 2},
        "tiers[0].blocks",
        "write the tier's width",
    ),
    (
        "blocks: end",
        {"model": "blocks", "tiers": [{"block_size": "1", "blocks": "1", "block_amount": "1"}]},
        "tiers[0].blocks",
        "beyond_last_tier",
    ),
    (
        "percentage: bounds",
        {"model": "percentage", "percent": "1", "minimum_per_event": "5", "maximum_per_event": "3"},
        "maximum_per_event",
        "write 5 or more",
    ),
    (
        "capacity: no limits",
        {"model": "capacity", "tiers": [{"amount": "1", "limits": {}}]},
        "tiers[0].limits",
        "is empty",
    ),
    ("capacity: end", {"model": "capacity", "tiers": CAPACITY["tiers"][:1]}, "tiers[0].limits", "beyond_last_tier"),
    (
        "capacity: falls",
        {"model": "capacity", "tiers": [{"amount": "1", "limits": {"a": "5"}}, {"amount": "2", "limits": {"a": "3"}}]},
        "tiers[1].limits.a",
        "rising order",
    ),
    (
        "capacity: other units",
        {"model": "capacity", "tiers": [CAPACITY["tiers"][0], {"amount": "2", "limits": {"b": None}}]},
        "tiers[1].limits",
        "write a",
    ),
    (
        "dimensional: twice",
        {"model": "dimensional", "prices": [{"match": {"a": "b"}, "price": per_unit()}] * 2},
        "prices[1].match",
        "is there twice",
    ),
    (
        "dimensional: empty match",
        {"model": "dimensional", "prices": [{"match": {}, "price": per_unit()}]},
        "prices[0].match",
        "use default",
    ),
    (
        "dimensional: rounding inside",
        {"model": "dimensional", "prices": [{"match": {"a": "b"}, "price": per_unit(rounding="lines")}]},
        "prices[0].price.rounding",
        "at the top",
    ),
    (
        "time of day: overlap",
        {
            "model": "time_of_day",
            "default": per_unit(),
            "windows": [
                {"from": "22:00", "to": "06:00", "price": per_unit()},
                {"from": "05:00", "to": "07:00", "price": per_unit()},
            ],
        },
        "windows[1].from",
        "not overlap",
    ),
    (
        "time of day: clock",
        {"model": "time_of_day", "default": per_unit(), "windows": [{"from": "9 o'clock", "to": "06:00", "price": {}}]},
        "windows[0].from",
        '"09:00"',
    ),
    (
        "time of day: zone",
        {
            "model": "time_of_day",
            "default": per_unit(),
            "tz": "Mars/Olympus",
            "windows": [{"from": "09:00", "to": "10:00", "price": per_unit()}],
        },
        "tz",
        "Europe/Paris",
    ),
    ("minimum above maximum", per_unit(minimum="5", maximum="3"), "minimum", "write 3 or less"),
    ("negative minimum", per_unit(minimum="-5"), "minimum", "write 0 or more"),
    ("negative commitment", per_unit(commitment={"amount": "-5"}), "commitment.amount", "write 0 or more"),
    ("commitment of nothing", per_unit(commitment={}), "commitment.amount", "is missing"),
    (
        "amount and units",
        per_unit(commitment={"amount": "5", "quantity": "5"}),
        "commitment.quantity",
        "write one of the two",
    ),
    (
        "units without a price",
        {"model": "event_price", "commitment": {"quantity": "5"}},
        "commitment.quantity",
        "write amount",
    ),
    ("no windows", per_unit(commitment={"amount": "5", "per": "window"}), "commitment.per", "add bucket or group_by"),
    (
        "overage for free",
        per_unit(commitment={"amount": "5", "overage_factor": "0"}),
        "commitment.overage_factor",
        "above 0",
    ),
    ("discount of more than all", per_unit(discounts=[{"percent": "101"}]), "discounts[0].percent", "100 or less"),
    ("empty discount", per_unit(discounts=[{}]), "discounts[0].amount", "is missing"),
    (
        "conversion by nothing",
        per_unit(conversion={"operation": "divide", "factor": "0"}),
        "conversion.factor",
        "above 0",
    ),
    (
        "conversion how",
        per_unit(conversion={"operation": "add", "factor": "1"}),
        "conversion.operation",
        "multiply, divide",
    ),
    ("rounding mode", per_unit(quantity_rounding={"mode": "nearest"}), "quantity_rounding.mode", "half_up"),
    (
        "rounding precision",
        per_unit(quantity_rounding={"mode": "up", "precision": "1.5"}),
        "quantity_rounding.precision",
        "whole number",
    ),
    ("bucket interval", per_unit(bucket={"interval": "moon", "aggregation": "max"}), "bucket.interval", "hour, day"),
    ("bucket field", per_unit(bucket={"interval": "day", "aggregation": "max", "x": 1}), "bucket.x", "remove it"),
    ("group by a text", per_unit(group_by="region"), "group_by", 'as ["region"]'),
    ("trial of half a day", per_unit(trial_days="0.5"), "trial_days", "whole number"),
    ("prorate a text", per_unit(prorate="minimum"), "prorate", 'as ["minimum"]'),
    ("prorate the unknown", per_unit(prorate=["colour"]), "prorate", "name fields that can be prorated"),
    (
        "included in events",
        {"model": "percentage", "percent": "1", "included_quantity": "5"},
        "included_quantity",
        "remove it",
    ),
    (
        "conversion of seats",
        graduated((None, 1), prorated=True, included_quantity="5"),
        "included_quantity",
        "prorated",
    ),
    (
        "peaks of events",
        {"model": "event_price", "bucket": {"interval": "day", "aggregation": "max"}},
        "bucket",
        "remove it",
    ),
]


@pytest.mark.parametrize(
    ("definition", "field", "words"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG]
)
def test_a_wrong_price_is_refused(definition, field, words):
    with pytest.raises(PriceError) as caught:
        rating.parse_price(definition)
    assert caught.value.field == field
    assert words in str(caught.value)
    assert caught.value.remedy


def test_numbers_may_be_integers_or_text():
    assert rating.parse_price({"model": "per_unit", "unit_amount": 2}).model.unit_amount == 2


def test_null_is_as_good_as_absent():
    assert (
        rating.parse_price(per_unit(1, minimum=None, included_quantity=None)).steps
        == rating.parse_price(per_unit()).steps
    )


def test_the_price_keeps_its_definition_and_version():
    price = rating.parse_price(per_unit(1, version="2026-01"))
    assert price.definition["unit_amount"] == "1"
    assert rating.rate(price, Usage(1), rating.Currency("USD")).price_version == "2026-01"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Usage(quantity=0.5),
        lambda: Record(amount=0.5),
        lambda: Share(0.5, 1),
        lambda: rating.Currency("USD", 0.01),
    ],
)
def test_values_refuse_binary_floats(make):
    with pytest.raises(TypeError, match="binary float"):
        make()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rating.Currency("USD", "0.01", "sideways"), "use one of half_up"),
        (lambda: rating.Currency("USD", "0"), "above 0"),
        (lambda: Share(1, 0), "whole above 0"),
        (lambda: Share(-1, 2), "0 or more"),
        (lambda: Usage(quantity="many"), "not a number"),
        (lambda: rating.Grant("a", -1, None), "cannot be negative"),
    ],
)
def test_values_refuse_nonsense(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_all_errors_of_the_core_have_one_base():
    assert issubclass(PriceError, rating.RatingError)
    assert issubclass(UsageError, rating.RatingError)
    assert issubclass(rating.RatingError, ValueError)
