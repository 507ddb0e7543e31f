"""Answers cases about quantities and amounts alone: aggregation and rounding."""

import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import rating

from .written import currency, instant, number


def answer_weighted_sum(case: dict) -> dict:
    """Average a level over a period, for all or by group; the source keeps five decimals."""
    definition, usage = case["definition"], case["usage"]
    period = tuple(instant(each) for each in definition["period"])
    groups: dict[str, list] = {} if "group_by" in definition else {"quantity": []}
    for at, change, *group in usage["deltas"]:
        moment = instant(at, usage.get("day", definition["period"][0][:10]))
        groups.setdefault(group[0] if group else "quantity", []).append((moment, number(change)))
    opening = number(definition.get("opening_level", 0))
    places = currency("UNITS", 5)
    return {name: places.round(rating.weighted_sum(each, period, opening)) for name, each in groups.items()}


def answer_prorated_sum(case: dict) -> dict:
    """Weight added units by their days; the source rounds up at five decimals."""
    start, last = (date.fromisoformat(each) for each in case["definition"]["period"])
    opening = sum(map(number, case["usage"].get("opening", ())), Decimal(0))
    signs = {"added": 1, "removed": -1}
    added = [
        (date.fromisoformat(match[2]), signs[match[1]] * number(units))
        for name, listed in case["usage"].items()
        if (match := re.fullmatch(r"(added|removed)_on_(\S+)", name))
        for units in listed
    ]
    exact = rating.prorated_sum(added, (start, last + timedelta(days=1)), opening)
    return {"quantity": rating.round_to(exact, Decimal("0.00001"), "ceiling")}


def answer_rounding(case: dict) -> dict:
    """Round an amount by its currency."""
    definition = case["definition"]
    unit = currency(definition["currency"], definition.get("precision"))
    unit = replace(unit, mode="half_even" if "even" in definition.get("mode", "") else "half_up")
    return {"amount": unit.round(number(case["usage"]["amount"]))}


def answer_subtotal(case: dict) -> dict:
    """Add up lines that are rounded, or round their sum."""
    definition = case["definition"]
    rounding = "lines" if definition["rule"].startswith("round each") else "total"
    lines = map(number, case["usage"]["lines"])
    return {"subtotal": rating.subtotal(lines, currency(definition["currency"]), rounding)}
