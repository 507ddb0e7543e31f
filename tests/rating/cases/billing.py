"""Answers cases about more than one charge: splits, versions, thresholds, deltas."""

import re
from datetime import timedelta
from decimal import Decimal
from itertools import accumulate

import rating

from .charges import Answers, answer_rating, rate_case
from .prices import PriceReader
from .usages import amount_of
from .written import CENTS, USD, label, midnight, month_of, number, share


def answer_each_quantity(case: dict) -> dict:
    """Rate several quantities, each by itself, and say what was billed of each."""
    price = PriceReader(case).price()
    charges = [rating.rate(price, rating.Usage(number(q)), USD) for q in case["usage"]["quantities"]]
    return {"billed_quantities": [c.steps("package")[0]["billed_units"] for c in charges]}


def answer_successive_quantities(case: dict) -> dict:
    """Bill quantities one after the other on invoices of one period."""
    if "quantities" not in case["usage"]:
        return answer_rating(case)
    price, billed, answers = PriceReader(case).price(), Decimal(0), []
    for quantity in map(number, case["usage"]["quantities"]):
        charge = rating.rate(price, rating.Usage(quantity, billed_quantity=billed), USD)
        answers.append(charge.steps("included")[0]["billable"])
        billed += quantity
    return {"billed_quantities": answers}


def answer_successive_events(case: dict) -> dict:
    """Bill events one after the other, each by what it adds to the period."""
    price, billed, amounts = PriceReader(case).price(), Decimal(0), []
    for position, base in enumerate(map(number, case["usage"]["event_bases"])):
        usage = rating.Usage(base, billed_quantity=billed, first=not position)
        amounts.append(rating.rate(price, usage, USD).amount)
        billed += base
    return {"amounts": amounts}


def answer_both_splits(case: dict) -> dict:
    """Round the quantity of an invoice by itself, and cumulatively."""
    both = {split: rate_case(case, split=split) for split in ("independent", "cumulative")}
    return {f"{split}_rounding": charge.unrounded for split, charge in both.items()}


def answer_minimum(case: dict) -> dict:
    """Rate in cents with a minimum for a part of the period; both lines are rounded and taxed."""
    definition, charge = case["definition"], rate_case(case)
    lacking = Answers(case, charge).say_trueup()
    usage = charge.unrounded - lacking
    found = {"usage_cents": CENTS.round(usage), "trueup_cents": CENTS.round(lacking)}
    if "tax_pct" in definition:
        tax = rating.taxed(lacking, number(definition["tax_pct"]), CENTS).tax
        found["trueup_tax_cents"] = tax
    return found


def answer_versions(case: dict) -> dict:
    """Rate a month in which the price changes; usage is priced by its own date."""
    definition, reader = case["definition"], PriceReader(case)
    change = midnight(definition.get("v2_effective", definition.get("change_on")))
    old, new = (definition.get(names[0], definition.get(names[1])) for names in (("v1", "old"), ("v2", "new")))
    prices = [rating.parse_price(reader.with_tiers("graduated", tiers, "unit_amount", "unit")) for tiers in (old, new)]
    period = month_of(change.date())
    records = [rating.Record(amount_of(r), at=midnight(r[0])) for r in case["usage"]["records"]]
    charges = rating.rate_versions([(period[0], prices[0]), (change, prices[1])], records, period, USD)
    return {"lines": [[label(part.start, part.end), part.charge.amount] for part in charges]}


def answer_late_usage(case: dict) -> dict:
    """Bill late usage for its own period, as far back as the look-back; older usage is held."""
    definition, usage = case["definition"], case["usage"]
    open_start, lookback = midnight(usage["last_invoiced_end"]), definition["lookback_periods"]
    bounds = [rating.moment(open_start, "month", n) for n in range(-lookback, 2)]
    written = [*usage["late_records"], *usage["current_period"]]
    records = [rating.Record(amount_of(r), at=midnight(r[0])) for r in written]
    by_period, _held = rating.sort_late(records, bounds, lookback)
    price = PriceReader(case).price()
    return {
        "items": [
            {
                "period": label(bounds[n], bounds[n + 1]),
                "amount": rating.rate(price, rating.Usage.of(own), USD).amount,
            }
            for n, own in sorted(by_period.items())
        ]
    }


def answer_cancellation(case: dict) -> dict:
    """Bill what was used up to the day of the cancellation, that day included."""
    end = midnight(case["usage"]["cancelled_at"]) + timedelta(days=1)
    records = [r for r in case["usage"]["records"] if midnight(r[0]) < end]
    return answer_rating(case | {"usage": {"records": records}})


def answer_delta(case: dict) -> dict:
    """Rate a billed period again and bill the difference."""
    usage = case["usage"]
    if "late_quantity" in usage:
        price = PriceReader(case).price()
        quantities = (number(usage["billed_quantity"]), number(usage["late_quantity"]))
        billed, should_be = (rating.rate(price, rating.Usage(q), USD).amount for q in (quantities[0], sum(quantities)))
        return {"delta": rating.delta(should_be, billed)}
    units = {name: value for name, value in usage.items() if name != "already_billed"}
    charge = rate_case(case | {"usage": units})
    return {"delta": rating.delta(charge.amount, number(usage["already_billed"]))}


def answer_credits_on_invoice(case: dict) -> dict:
    """Pay the lines of a charge from credits."""
    charge = rate_case(case)
    paid = rating.pay(charge.line_amounts, map(number, case["usage"]["credits"]))
    answers, found = Answers(case, charge), {"credits_used": paid.used, "due": paid.due}
    for name in case["expected"]:
        if match := re.fullmatch(r"line(\d+)_from", name):
            found[name] = list(paid.by_line[int(match[1]) - 1])
        elif name not in found:
            found[name] = answers(name)
    return found


def answer_progressive(case: dict) -> dict:
    """Invoice when a threshold is passed; the period's invoice credits that."""
    definition, usage = case["definition"], case["usage"]
    quantities = [number(quantity) for _, quantity in sorted(usage["events"])]
    price = PriceReader(case).price()
    spends = [rating.rate(price, rating.Usage(spent), USD).amount * 100 for spent in accumulate(quantities)]
    every = definition.get("recurring_cents", definition.get("recurring_threshold_cents"))
    invoices = rating.interim_invoices(spends, definition["thresholds_cents"], every)
    interim = [each.billed for each in invoices]
    days = days_in_force(usage)
    fee = CENTS.round(rating.Share(days, 31).of(number(definition.get("plan_fee_cents", 0))))
    fees, credit = sum(spends[-1:], fee), sum(interim)
    return {
        "interim_invoices_cents": interim,
        "final_fees_cents": fees,
        "final_credit_cents": credit,
        "final_total_cents": fees - credit,
    }


def days_in_force(usage: dict) -> int:
    """Return for how many days of a month of 31 the plan was in force.

    The day of a termination is still paid; on the day of an upgrade the new plan is.
    """
    if "upgraded_on_day_offset" in usage:
        return usage["upgraded_on_day_offset"]
    return usage.get("terminated_on_day_offset", 30) + 1


def answer_commitment(case: dict) -> dict:
    """True a plan's commitment up against its fee and its usage."""
    definition = case["definition"]
    part = share(definition.get("proration", "1/1"))
    fee = definition.get("plan_fee_cents", 0)
    due = rating.true_up(number(definition["commitment_cents"]), [number(fee)], CENTS, part)
    return {"trueup_cents": max(due - number(case["usage"].get("usage_cents", 0)), Decimal(0))}
