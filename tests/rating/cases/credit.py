"""Answers cases about credit: grants, wallets, resets."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

import rating

from .written import T0, USD, Unsupported, instant, number


def grants_of(definition: dict) -> Iterable[rating.Grant]:
    """Yield the grants of a definition; one with a count stands for many alike."""
    for position, written in enumerate(definition["grants"]):
        for copy in range(written.get("count", 1)):
            name = written.get("id", f"{position}-{copy}")
            yield grant(str(name), written)


def grant(name: str, written: dict) -> rating.Grant:
    """Return one grant."""
    intervals = {"daily": "day", "weekly": "week", "monthly": "month", "yearly": "year"}
    effective = moment_of(written.get("effective", "t0"))
    expires, voided = written.get("expires"), written.get("voided_at", written.get("deleted_at"))
    if expires and re.fullmatch(r"\d+[a-z]+", expires):
        expires = f"t0+{expires}"
    return rating.Grant(
        name,
        number(written["amount"]),
        effective,
        expires_at=moment_of(expires) if expires else None,
        voided_at=moment_of(voided) if voided else None,
        priority=written.get("priority", 1),
        every=intervals[written["recurs"]] if "recurs" in written else None,
        anchor=moment_of(written["anchor"]) if "anchor" in written else None,
    )


def moment_of(written: str) -> datetime:
    """Return a time, which may be ``after first usage``: usage without times comes by the hour."""
    if match := re.fullmatch(r"after (\w+) usage", written):
        return T0 + timedelta(hours=1 + ("first", "second", "third").index(match[1]), minutes=30)
    return instant(written)


def timed(usage) -> list[tuple[datetime, Decimal]]:
    """Return usage with its times; without times it comes by the hour from t0 on."""
    listed = usage if isinstance(usage, list) else [usage]
    return [
        (instant(each[0]), number(each[1])) if isinstance(each, list) else (T0 + timedelta(hours=hour), number(each))
        for hour, each in enumerate(listed, 1)
    ]


def answer_grants(case: dict) -> dict:
    """Burn grants by usage."""
    usage = timed(case["usage"]["usage"])
    default = max(at for at, _ in usage) + timedelta(hours=1)
    until = instant(case["usage"]["at"]) if "at" in case["usage"] else default
    grants = list(grants_of(case["definition"]))
    ledger = rating.burn_down(grants, usage, until)
    found = {"overage": ledger.overage, "balance": ledger.balance}
    found["balances"] = balances_of(ledger, case["expected"].get("balances", {}))
    found["usage_in_period"] = sum(quantity for _, quantity in usage)
    found["overage_at_activation"] = -sum(e.amount for e in ledger.entries if e.reason == "overage")
    return {name: found[name] for name in case["expected"]}


def balances_of(ledger: rating.Ledger, expected: dict) -> dict:
    """Return the balances that are asked for; ``others`` is the one that all others have."""
    found = {name: ledger.balances[name] for name in expected if name != "others"}
    if "others" in expected:
        others = {balance for name, balance in ledger.balances.items() if name not in found}
        found["others"] = others.pop() if len(others) == 1 else sorted(others)
    return found


def answer_reset(case: dict) -> dict:
    """Reset a grant after some usage; a part of its balance rolls over."""
    definition = case["definition"]
    one = rating.Grant(
        "1",
        number(definition["grant"]),
        T0,
        reset_maximum=number(definition["max_rollover"]) if "max_rollover" in definition else None,
        reset_minimum=number(definition.get("min_rollover", 0)),
    )
    used = [(T0 + timedelta(hours=1), number(case["usage"]["usage_before_reset"]))]
    reset, keep = T0 + timedelta(hours=5), any(definition[name] for name in definition if "overage" in name)
    ledger = rating.burn_down([one], used, T0 + timedelta(days=1), [reset], keep)
    return {"balance_after_reset": ledger.balance, "overage_after_reset": ledger.overage}


def answer_wallet(case: dict) -> dict:
    """Draw invoices with tax from a wallet."""
    definition = case["definition"]
    balance, tax = number(definition["wallet_balance"]), number(definition.get("tax_pct", 0))
    drawn, balances, totals = [], [], []
    for name in case["usage"]["events"]:
        due = rating.taxed(number(definition["unit_prices"][name]), tax, USD).total
        paid, balance = rating.draw(balance, due)
        drawn.append(paid)
        balances.append(balance)
        totals.append(due - paid)
    return {"drawn": drawn, "balances": balances, "invoice_totals": totals}


def answer_topup(case: dict) -> dict:
    """Buy credits; what the client sends is rounded before anything is made of it."""
    credits = USD.round(number(case["usage"]["credits"]))
    amount = USD.round(credits * number(case["definition"]["credit_rate"]))
    return {"credits_balance": credits, "invoice_cents": amount * 100}


def answer_ongoing(case: dict) -> dict:
    """Follow a wallet's balance while usage and drafts are not settled."""
    definition = case["definition"]
    settled, live, drafts = number(definition["wallet_cents"]), Decimal(0), Decimal(0)
    found: dict[str, list] = {"settled_cents": [], "ongoing_cents": []}
    for step in case["usage"]["steps"]:
        if match := re.search(r"use ([\d.]+)", step):
            live += number(match[1]) * number(definition["unit"]) * 100
        elif match := re.search(r"draft invoice of ([\d.]+)", step):
            live, drafts = Decimal(0), drafts + number(match[1]) * 100
        elif re.search("finali[sz]", step):
            (_, settled), drafts = rating.draw(settled, drafts), Decimal(0)
        else:
            raise Unsupported(f"step {step!r}")
        found["settled_cents"].append(settled)
        found["ongoing_cents"].append(rating.ongoing_balance(settled, live, drafts))
    return found
