"""Graduated three-tier charges a second on one core, with their explanation and fingerprint's text."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import ModuleType

from ._measure import Result, rate

GROUP = "rating"
ABOUT = "graduated three-tier charges with explanation, on one core; floor: their products and sum alone"

CHARGES = 10_000
ROUNDS = 7
LEAST = 30_000
TIERS = (
    {"up_to": "1000000", "unit_amount": "1.50"},
    {"up_to": "10000000", "unit_amount": "1.20", "flat_amount": "5"},
    {"up_to": None, "unit_amount": "0.90"},
)


@contextmanager
def arena() -> Iterator[ModuleType]:
    """The rating core, which needs neither Odoo nor a database."""
    addon = str(Path(__file__).resolve().parents[2] / "usage_billing")
    sys.path.insert(0, addon)
    try:
        import rating  # noqa: PLC0415 - found by the line above

        yield rating
    finally:
        sys.path.remove(addon)


def measure(rating: ModuleType) -> Result:
    """Rounds of 10,000 charges of another quantity each, all of which reach the third tier."""
    price = rating.parse_price({"model": "graduated", "per": "1000000", "tiers": TIERS})
    dollar = rating.Currency("USD", "0.01")
    quantities = [Decimal(10_000_000 + 37 * number) for number in range(CHARGES)]

    def charges() -> int:
        for quantity in quantities:
            rating.rate(price, rating.Usage(quantity=quantity), dollar)
        return CHARGES

    rounds = [(rate(charges), rate(lambda: bare(quantities))) for _ in range(ROUNDS + 1)][1:]
    values, floors = zip(*rounds, strict=True)
    value = statistics.median(values)
    more = {"rounds": ROUNDS, "lowest": round(min(values)), "highest": round(max(values))}
    return Result(value, "charges/s", f">= {LEAST:,}", value >= LEAST, statistics.median(floors), more)


def bare(quantities: list[Decimal]) -> int:
    """What cannot be saved: three products, their sum, rounded."""
    cent, per = Decimal("0.01"), Decimal(1_000_000)
    first, second, rates = Decimal(1_000_000), Decimal(9_000_000), [Decimal(n) for n in ("1.5", "1.2", "0.9")]
    for quantity in quantities:
        parts = (first, second, quantity - first - second)
        amount = sum([units * rate / per for units, rate in zip(parts, rates, strict=True)], Decimal(5))
        amount.quantize(cent)
    return len(quantities)
