"""Answers cases about parts of a period: fees, changes and credits prorated."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import rating
from rating.periods import start_date

from .written import CENTS, USD, currency, instant, number, share, span


def fee_of(definition: dict) -> Decimal:
    """Return the recurring fee of a definition, in cents."""
    name = next(name for name in definition if name.endswith("fee_cents"))
    return number(definition[name])


def recurring(amount: Decimal, part: rating.Share) -> Decimal:
    """Return the unrounded fee for a part of a period."""
    price = rating.parse_price({"model": "recurring", "amount": str(amount), "prorate": ["amount"]})
    return rating.rate(price, rating.Usage(share=part), CENTS).unrounded


def answer_recurring(case: dict) -> dict:
    """Bill, or give back, a recurring fee for some days of its period, with its tax."""
    definition, usage = case["definition"], case["usage"]
    days = usage.get("days", usage.get("unused_days"))
    whole = usage.get("period_days", definition.get("period_days", definition.get("year_days")))
    precise = "credit_note" in case["model"]
    fee = recurring(fee_of(definition), rating.Share(days, whole))
    base = "precise" if precise else "rounded"
    result = rating.taxed(fee, number(definition.get("tax_pct", 0)), CENTS, base)
    answers = {"fee": result.untaxed, "excl_tax": result.untaxed, "tax": result.tax, "total": result.total}
    answers |= {"credit": result.untaxed, "credit_excl_tax": result.untaxed}
    answers |= {"invoice_total": result.total, "credit_total": result.total}
    return {name: answers[name.removesuffix("_cents")] for name in case["expected"]}


def answer_change(case: dict) -> dict:
    """Change, add or remove an item within a period."""
    definition, usage = case["definition"], case["usage"]
    unit = number(definition.get("unit", 0))
    old = definition.get("old", number(usage.get("from", 0)) * unit)
    new = definition.get("new", number(usage.get("to", 0)) * unit)
    if "added" in case["model"]:
        new = unit * number(usage.get("quantity", 1))
    if "removed" in case["model"]:
        old = unit * number(usage.get("quantity", 1))
    result = rating.change(number(old), number(new), remaining(case), USD)
    return {"credit": result.credit, "charge": result.charge, "net": result.net}


def remaining(case: dict) -> rating.Share:
    """Return the part of the period that a change leaves."""
    if "fraction" in case["usage"]:
        return share(case["usage"]["fraction"])
    start, last = span(case["definition"]["period"])
    period = (start, last + timedelta(days=1))
    return rating.day_share(date.fromisoformat(case["usage"]["change_on"]), period[1], period)


def answer_granted_credits(case: dict) -> dict:
    """Grant credits for the rest of a period, to the second."""
    start, end = (datetime.combine(day, datetime.min.time()) for day in span(case["definition"]["period"]))
    part = rating.second_share(instant(case["usage"]["granted_at"]), end, (start, end))
    return {"credits": currency("CREDITS", 8).round(part.of(number(case["definition"]["credits"])))}


def answer_windows(case: dict) -> dict:
    """List the starts of the windows from an anchor on."""
    start, until = date.fromisoformat(case["definition"]["start"]), date.fromisoformat(case["usage"]["until"])
    starts, n = [], 0
    while (day := start_date(start, start.day, case["definition"]["window"], n)) < until:
        starts.append(day.isoformat())
        n += 1
    return {"starts": starts}
