"""What holds for any price and any usage: tried with random ones.

``--hypothesis-profile nightly`` tries at least 10,000 examples of each.
"""

import decimal
import json
from datetime import datetime, timedelta
from decimal import Decimal

import rating
from helpers import T0, USD, sum_of_steps
from hypothesis import given, reject
from hypothesis import strategies as st
from rating import Grant, Record, Usage

CURRENCIES = st.builds(
    rating.Currency,
    st.just("XXX"),
    st.sampled_from(["0.01", "1", "0.001", "0.05"]),
    st.sampled_from(["half_up", "half_even", "up", "down"]),
)


def decimals(highest: int, places: int = 2):
    """Return numbers of 0 or more as text."""
    return st.integers(0, highest * 10**places).map(lambda n: str(Decimal(n).scaleb(-places)))


AMOUNTS = decimals(100, 4)
QUANTITIES = decimals(5000, 2).map(Decimal)


@st.composite
def rising(draw, least: int = 0) -> list:
    """Draw rising bounds of tiers, the last one open."""
    steps = draw(st.lists(st.integers(1, 500), min_size=least, max_size=4))
    bounds = [str(sum(steps[: n + 1])) for n in range(len(steps))]
    return [*bounds, None]


@st.composite
def tiered(draw, model: str, rate: str = "unit_amount", caps: bool = False) -> dict:
    """Draw a price with tiers."""
    tiers = []
    for bound in draw(rising()):
        tier = {"up_to": bound, rate: draw(AMOUNTS), "flat_amount": draw(st.sampled_from(["0", "3", "10.5"]))}
        if caps and draw(st.booleans()):
            tier["maximum_amount"] = str(Decimal(tier["flat_amount"]) + Decimal(draw(AMOUNTS)))
        tiers.append(tier)
    return {"model": model, "tiers": tiers, "flat_on_zero": draw(st.booleans())}


@st.composite
def per_unit(draw) -> dict:
    """Draw a price per unit, or per so many units."""
    return {"model": "per_unit", "unit_amount": draw(AMOUNTS), "per": draw(st.sampled_from(["1", "3", "1000"]))}


@st.composite
def package(draw) -> dict:
    """Draw a price per package."""
    rounding = draw(st.sampled_from(["up", "down", "half_up"]))
    size = str(draw(st.integers(1, 300)))
    return {"model": "package", "package_size": size, "package_amount": draw(AMOUNTS), "package_rounding": rounding}


@st.composite
def blocks(draw) -> dict:
    """Draw a price with tiers of blocks."""
    widths = [*draw(st.lists(st.integers(1, 20), max_size=3)), None]
    tiers = [
        {
            "block_size": str(draw(st.integers(1, 50))),
            "blocks": width and str(width),
            "block_amount": draw(AMOUNTS),
        }
        for width in widths
    ]
    return {"model": "blocks", "tiers": tiers}


#: Prices under which more usage never costs less.
RISING = st.one_of(
    per_unit(), tiered("graduated", caps=True), tiered("graduated_percentage", "percent"), package(), blocks()
)
#: Prices whose total may fall when a tier is reached.
FALLING = st.one_of(
    tiered("volume").map(lambda price: price | {"interim": "bill"}),
    blocks().map(lambda price: price | {"policy": "top_tier"}),
)
PRICES = st.one_of(RISING, FALLING)


@st.composite
def quantities_around(draw) -> dict:
    """Draw what is done to quantities before they are priced."""
    found = {}
    if draw(st.booleans()):
        operation = draw(st.sampled_from(["multiply", "divide"]))
        found["conversion"] = {"operation": operation, "factor": draw(st.sampled_from(["3", "1000", "1.2"]))}
    if draw(st.booleans()):
        mode = draw(st.sampled_from(["ceiling", "floor", "half_up"]))
        found["quantity_rounding"] = {"mode": mode, "precision": draw(st.sampled_from(["0", "1", "-1"]))}
    if draw(st.booleans()):
        found["included_quantity"] = draw(decimals(500))
    return found


@st.composite
def amounts_around(draw, discounts: bool = True) -> dict:
    """Draw what is done to amounts after they are priced."""
    found = {}
    if draw(st.booleans()):
        found["flat_fee"] = {"amount": draw(AMOUNTS), "when": draw(st.sampled_from(["always", "used"]))}
    if draw(st.booleans()):
        terms = {"amount": draw(AMOUNTS), "overage_factor": draw(st.sampled_from(["1", "1.5", "2"]))}
        found["commitment"] = terms | {"true_up": draw(st.booleans())}
    if discounts and draw(st.booleans()):
        found["discounts"] = [{"percent": draw(decimals(100))}, {"amount": draw(AMOUNTS)}]
    if draw(st.booleans()):
        found["minimum"] = draw(AMOUNTS)
    if draw(st.booleans()):
        found["maximum"] = str(Decimal(found.get("minimum", 0)) + Decimal(draw(AMOUNTS)))
    return found


def rate(definition: dict, usage: Usage, currency=USD) -> rating.Charge:
    """Rate a usage at a price definition."""
    return rating.rate(rating.parse_price(definition), usage, currency)


def invoices(definition: dict, quantities: list[Decimal]) -> list[Decimal]:
    """Return the unrounded amounts of a period billed on several invoices."""
    billed_quantity, amounts = Decimal(0), []
    for position, quantity in enumerate(quantities):
        usage = Usage(
            quantity,
            billed_quantity=billed_quantity,
            billed_amount=sum(amounts, Decimal(0)),
            first=position == 0,
            final=position == len(quantities) - 1,
        )
        amounts.append(rate(definition, usage).unrounded)
        billed_quantity += quantity
    return amounts


def close(one: Decimal, other: Decimal) -> bool:
    """Say whether two amounts are the same but for the last digits that divisions leave."""
    return abs(one - other) < Decimal("1e-20")


# --- Splits and order --------------------------------------------------------------------------


@given(PRICES, quantities_around(), st.lists(QUANTITIES, min_size=1, max_size=4))
def test_invoices_of_a_period_add_up_to_the_period_billed_at_once(price, around, quantities):
    definition = price | around
    assert close(sum(invoices(definition, quantities)), rate(definition, Usage(sum(quantities))).unrounded)


@given(RISING, quantities_around(), amounts_around(discounts=False), st.lists(QUANTITIES, min_size=1, max_size=4))
def test_fees_commitments_and_bounds_add_up_over_invoices_too(price, around, amounts, quantities):
    if "commitment" in amounts and ("maximum" in amounts or "flat_fee" in amounts):
        reject()
    definition = price | around | amounts
    once = rate(definition, Usage(sum(quantities))).unrounded
    assert close(sum(invoices(definition, quantities)), once)


RECORDS = st.lists(
    st.builds(
        lambda quantity, hours, region, model: Record(
            quantity, at=T0 + timedelta(hours=hours), dimensions={"region": region, "model": model}
        ),
        decimals(300).map(Decimal),
        st.integers(0, 60),
        st.sampled_from(["eu", "us", "asia"]),
        st.sampled_from(["big", "small"]),
    ),
    max_size=12,
)


@st.composite
def by_parts(draw) -> dict:
    """Draw a price that looks at records, whatever their order."""
    price = draw(st.one_of(RISING, tiered("volume"))) | draw(quantities_around())
    if price["model"] == "graduated_percentage":
        price.pop("quantity_rounding", None)
    kind = draw(st.sampled_from(["bucket", "group", "both", "dimensional", "time_of_day"]))
    if kind in ("bucket", "both"):
        interval = draw(st.sampled_from(["hour", "day"]))
        price["bucket"] = {"interval": interval, "aggregation": draw(st.sampled_from(["max", "min", "sum"]))}
    if kind in ("group", "both"):
        price["group_by"] = draw(st.sampled_from([["region"], ["model", "region"]]))
    if kind == "dimensional":
        listed = [
            {"match": {"region": "eu", "model": "big"}, "price": price},
            {"match": {"region": "eu"}, "price": price},
        ]
        return {"model": "dimensional", "prices": listed, "default": price}
    if kind == "time_of_day":
        windows = [{"from": "09:00", "to": "17:00", "price": price}]
        return {"model": "time_of_day", "windows": windows, "default": price, "tz": "Asia/Kathmandu"}
    return price


@given(st.one_of(by_parts(), PRICES), amounts_around(), st.lists(RECORDS, min_size=1, max_size=4), CURRENCIES)
def test_what_is_left_of_a_period_makes_it_whole_to_the_cent(price, amounts, pieces, currency):
    definition, so_far, billed = price | amounts, [], []
    for number, records in enumerate(pieces):
        so_far += records
        usage = Usage.of(so_far, final=number == len(pieces) - 1)
        charge = rating.less_billed(rate(definition, usage, currency), billed)
        billed.append((str(number), charge.amount))
        assert sum_of_steps(charge) == charge.unrounded
    once = rate(definition, Usage.of(so_far), currency)
    assert sum(amount for _, amount in billed) == once.amount
    assert rating.whole_amount(charge.as_dict()) == once.amount
    assert rating.whole_amount(charge.as_dict(), "unrounded") == once.unrounded


@given(by_parts(), RECORDS, st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(price, records, random):
    shuffled = records[:]
    random.shuffle(shuffled)
    one, other = (rate(price, Usage.of(each)) for each in (records, shuffled))
    assert one.canonical() == other.canonical()


@given(by_parts(), RECORDS, RECORDS)
def test_prices_by_part_add_up_over_two_invoices(price, first, second):
    written = json.dumps(price)
    if any(word in written for word in ("volume", '"min"')):
        reject()
    parts = [
        rate(price, Usage.of(first, final=False)),
        rate(price, Usage.of(second, billed_records=first, first=not first)),
    ]
    once = rate(price, Usage.of(first + second))
    assert close(sum(each.unrounded for each in parts), once.unrounded)


# --- Explanations ------------------------------------------------------------------------------


@given(PRICES, quantities_around(), amounts_around(), QUANTITIES, QUANTITIES, CURRENCIES)
def test_the_steps_add_up_to_the_total(price, around, amounts, quantity, billed, currency):
    usage = Usage(quantity, billed_quantity=billed, billed_amount="3.21", first=not billed)
    found = rate(price | around | amounts, usage, currency)
    assert sum_of_steps(found) == found.unrounded
    assert close(found.unrounded, sum(found.line_amounts))
    assert found.amount == currency.round(found.unrounded)


@given(by_parts(), RECORDS)
def test_the_steps_of_parts_add_up_to_the_total(price, records):
    found = rate(price, Usage.of(records))
    assert sum_of_steps(found) == found.unrounded


@given(PRICES, quantities_around(), amounts_around(), QUANTITIES, CURRENCIES)
def test_computed_again_it_is_byte_identical(price, around, amounts, quantity, currency):
    definition = price | around | amounts
    again = json.loads(json.dumps(definition))
    with decimal.localcontext(decimal.Context(prec=3, rounding=decimal.ROUND_UP)):
        odd = rate(again, Usage(quantity), currency).canonical()
    assert odd == rate(definition, Usage(quantity), currency).canonical()


@given(PRICES, amounts_around(), QUANTITIES)
def test_an_explanation_is_json_of_texts_and_whole_numbers(price, amounts, quantity):
    found = rate(price | amounts, Usage(quantity))
    assert json.loads(found.canonical()) == found.as_dict()
    assert "." not in "".join(str(v) for step in found.explanation for v in step.values() if isinstance(v, float))


# --- Bounds and monotony -----------------------------------------------------------------------


@given(PRICES, quantities_around(), amounts_around(), QUANTITIES)
def test_minimum_and_maximum_hold(price, around, amounts, quantity):
    found = rate(price | around | amounts, Usage(quantity)).unrounded
    assert found >= Decimal(amounts.get("minimum", 0))
    assert "maximum" not in amounts or found <= Decimal(amounts["maximum"])


@given(PRICES, amounts_around(), st.lists(QUANTITIES, min_size=1, max_size=4))
def test_the_maximum_holds_over_all_invoices_of_a_period(price, amounts, quantities):
    if "maximum" not in amounts:
        reject()
    assert sum(invoices(price | amounts, quantities)) <= Decimal(amounts["maximum"])


@given(RISING, quantities_around(), amounts_around(), QUANTITIES, QUANTITIES)
def test_more_usage_never_costs_less(price, around, amounts, quantity, more):
    definition = price | around | amounts
    costs = [rate(definition, Usage(each)).unrounded for each in (quantity, quantity + more)]
    assert costs[0] <= costs[1] or close(*costs)


@given(PRICES, quantities_around(), amounts_around(), QUANTITIES)
def test_nothing_costs_less_than_nothing(price, around, amounts, quantity):
    found = rate(price | around | amounts, Usage(quantity))
    assert found.unrounded >= 0
    assert all(line >= 0 for line in found.line_amounts)


@given(RISING, QUANTITIES, QUANTITIES)
def test_a_correction_never_gives_back_more_than_was_billed(price, billed, less):
    definition = price | {"flat_on_zero": False} if "tiers" in price and price["model"] != "blocks" else price
    paid = rate(definition, Usage(billed)).unrounded
    back = rate(definition, Usage(-less, billed_quantity=billed, first=False)).unrounded
    assert back <= 0 or close(back, Decimal(0))
    assert -back <= paid or close(-back, paid)


@given(QUANTITIES, decimals(500), PRICES)
def test_an_included_quantity_never_makes_it_dearer_under_a_rising_price(quantity, included, price):
    if price["model"] == "volume" or price.get("policy") == "top_tier":
        reject()
    plain = rate(price, Usage(quantity)).unrounded
    assert rate(price | {"included_quantity": included}, Usage(quantity)).unrounded <= plain


# --- Against a simple calculation --------------------------------------------------------------


@given(tiered("graduated"), st.integers(0, 600))
def test_graduated_is_the_sum_over_single_units(price, quantity):
    expected = Decimal(0)
    for number, tier in enumerate(price["tiers"]):
        over = Decimal(price["tiers"][number - 1]["up_to"]) if number else Decimal(0)
        inside = [n for n in range(1, quantity + 1) if over < n and (tier["up_to"] is None or n <= int(tier["up_to"]))]
        expected += len(inside) * Decimal(tier["unit_amount"])
        if inside or (not number and price["flat_on_zero"]):
            expected += Decimal(tier["flat_amount"])
    assert rate(price, Usage(quantity)).unrounded == expected


@given(tiered("volume"), st.integers(0, 2000))
def test_volume_is_the_whole_quantity_at_one_tier(price, quantity):
    tier = next(t for t in price["tiers"] if t["up_to"] is None or quantity <= int(t["up_to"]))
    due = quantity or (price["flat_on_zero"])
    expected = quantity * Decimal(tier["unit_amount"]) + (Decimal(tier["flat_amount"]) if due else 0)
    assert rate(price, Usage(quantity)).unrounded == expected


MONEY = st.lists(decimals(1000).map(Decimal), max_size=8)


@given(MONEY, decimals(10), decimals(5), st.integers(0, 4), decimals(800), st.booleans())
def test_percentage_is_the_sum_over_events(bases, percent, fixed, events, amount, bounds):
    price = {"model": "percentage", "percent": percent, "fixed_amount": fixed}
    price |= {"free_events": str(events), "free_amount": amount}
    if bounds:
        price |= {"minimum_per_event": "1", "maximum_per_event": "20"}
    expected, left_events, left = Decimal(0), events or 99, Decimal(amount) or Decimal("1e9")
    if not events and not Decimal(amount):
        left = Decimal(0)
    for base in bases:
        free = min(base, left) if left_events > 0 else Decimal(0)
        left, left_events = left - free, left_events - 1
        if free == base and (free or (left > 0 and left_events >= 0)):
            continue
        left = left if free == base else Decimal(0)
        cost = (base - free) * Decimal(percent) / 100 + Decimal(fixed)
        expected += min(max(cost, Decimal(1)), Decimal(20)) if bounds else cost
    assert rate(price, Usage.of([Record(1, amount=base) for base in bases])).unrounded == expected


# --- Periods -----------------------------------------------------------------------------------


@given(
    st.dates(datetime(2000, 1, 1).date(), datetime(2060, 1, 1).date()),
    st.integers(1, 31),
    st.sampled_from(["day", "month", "quarter", "year"]),
    st.sampled_from(["UTC", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo"]),
    st.datetimes(datetime(2001, 1, 1), datetime(2050, 1, 1)),
)
def test_an_instant_is_in_exactly_one_period(anchor, day, interval, tz, instant):
    n = rating.period_index(anchor, day, interval, tz, instant)
    found = [
        number
        for number in (n - 1, n, n + 1)
        if (bounds := rating.period_bounds(anchor, day, interval, tz, number)) and bounds[0] <= instant < bounds[1]
    ]
    assert found == [n]


# --- Credit ------------------------------------------------------------------------------------

HOURS = st.integers(0, 2000).map(lambda hours: T0 + timedelta(hours=hours))
OPTIONAL_HOURS = st.one_of(st.none(), HOURS)


@st.composite
def grants(draw, recurring: bool = True) -> list[Grant]:
    """Draw some grants."""
    return [
        Grant(
            str(number),
            draw(decimals(200).map(Decimal)),
            draw(HOURS),
            expires_at=draw(OPTIONAL_HOURS),
            voided_at=draw(OPTIONAL_HOURS),
            priority=draw(st.integers(1, 3)),
            every=draw(st.sampled_from([None, "day", "week", "month"])) if recurring else None,
        )
        for number in range(draw(st.integers(0, 5)))
    ]


USED = st.lists(st.tuples(HOURS, decimals(150).map(Decimal)), max_size=8)


@given(grants(), USED, HOURS)
def test_credit_is_never_created(grants, used, until):
    ledger = rating.burn_down(grants, used, until)
    burned = -sum(entry.amount for entry in ledger.entries)
    assert all(balance >= 0 for balance in ledger.balances.values())
    assert burned + ledger.overage == sum(quantity for at, quantity in used if at <= until)
    granted = {grant.id: grant.amount * (1 + len(list(grant.renewals(until)))) for grant in grants}
    for name, amount in granted.items():
        taken = -sum(entry.amount for entry in ledger.entries if entry.grant_id == name)
        assert taken + ledger.balances[name] <= amount


@given(grants(recurring=False), USED, HOURS, st.randoms(use_true_random=False))
def test_the_order_of_grants_and_usage_does_not_matter(grants, used, until, random):
    shuffled = grants[:], used[:]
    for each in shuffled:
        random.shuffle(each)
    one, other = rating.burn_down(grants, used, until), rating.burn_down(*shuffled, until)
    assert (one.balances, one.overage) == (other.balances, other.overage)


@given(grants(), USED, HOURS)
def test_a_grant_is_burned_only_while_it_is_there(grants, used, until):
    by_id = {grant.id: grant for grant in grants}
    for entry in rating.burn_down(grants, used, until).entries:
        grant = by_id[entry.grant_id]
        assert grant.effective_at <= entry.at
        assert grant.ends_at is None or entry.at < grant.ends_at


@given(st.lists(decimals(100).map(Decimal), max_size=6), st.lists(decimals(100).map(Decimal), max_size=4))
def test_credits_pay_what_is_due_and_no_more(lines, credits):
    paid = rating.pay(lines, credits)
    assert paid.used == min(sum(lines), sum(credits))
    assert paid.due == sum(lines) - paid.used >= 0
    assert all(sum(parts) <= line for parts, line in zip(paid.by_line, lines, strict=True))


@given(decimals(100).map(Decimal), decimals(100).map(Decimal))
def test_drawing_keeps_the_sum(balance, due):
    drawn, left = rating.draw(balance, due)
    assert drawn + left == balance and 0 <= drawn <= due and left >= 0


# --- Thresholds, shares and sums ---------------------------------------------------------------


@given(st.lists(decimals(100).map(Decimal), max_size=10), st.lists(st.integers(1, 300), max_size=4), st.booleans())
def test_threshold_invoices_never_bill_twice(usage, thresholds, repeats):
    spends = [sum(usage[: n + 1]) for n in range(len(usage))]
    found = rating.interim_invoices(spends, thresholds, 50 if repeats else None)
    assert sum(each.billed for each in found) == (found[-1].spend if found else 0)
    assert all(each.billed > 0 for each in found)
    assert repeats or len(found) <= len(thresholds)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), AMOUNTS.map(Decimal))
def test_shares_of_a_whole_add_up(parts, amount):
    whole = sum(parts)
    assert close(sum(rating.Share(part, whole).of(amount) for part in parts), amount)


@given(st.lists(AMOUNTS, max_size=8), CURRENCIES)
def test_lines_rounded_first_are_off_by_less_than_a_step_each(amounts, currency):
    rounded, total = (rating.subtotal(amounts, currency, rounding) for rounding in ("lines", "total"))
    assert abs(rounded - total) <= currency.rounding * (len(amounts) + 1)
    assert rounded % currency.rounding == total % currency.rounding == 0


@given(
    st.lists(st.tuples(st.integers(0, 23), st.integers(-50, 50)), max_size=8),
    st.integers(0, 100),
    st.randoms(use_true_random=False),
)
def test_a_weighted_sum_is_between_the_levels_it_passes(changes, opening, random):
    day = (T0, T0 + timedelta(days=1))
    timed = [(T0 + timedelta(hours=hour), change) for hour, change in changes]
    levels, level = [opening], opening
    for _, change in sorted(timed, key=lambda each: each[0]):
        level += change
        levels.append(level)
    found = rating.weighted_sum(timed, day, opening)
    random.shuffle(timed)
    assert found == rating.weighted_sum(timed, day, opening)
    assert min(levels) - Decimal("1e-20") <= found <= max(levels) + Decimal("1e-20")
