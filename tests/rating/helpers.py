"""Short ways to say in tests what a price, a usage and a charge are."""

from datetime import datetime, timedelta
from decimal import Context, Decimal, localcontext

import rating

USD = rating.Currency("USD", "0.01")
T0 = datetime(2026, 1, 1)


def tier(up_to, unit=0, flat=0, **others) -> dict:
    """Return one tier as a definition writes it."""
    return {"up_to": up_to and str(up_to), "unit_amount": str(unit), "flat_amount": str(flat)} | others


def per_unit(amount=1, **around) -> dict:
    """Return the definition of a price per unit."""
    return {"model": "per_unit", "unit_amount": str(amount)} | around


def graduated(*tiers, **around) -> dict:
    """Return the definition of a graduated price; tiers are tuples for :func:`tier`."""
    return {"model": "graduated", "tiers": [tier(*each) for each in tiers]} | around


def volume(*tiers, **around) -> dict:
    """Return the definition of a volume price."""
    return graduated(*tiers, **around) | {"model": "volume"}


def package(size=10, amount=15, **around) -> dict:
    """Return the definition of a price per package."""
    return {"model": "package", "package_size": str(size), "package_amount": str(amount)} | around


def charge(definition: dict, quantity=0, currency=USD, **usage) -> rating.Charge:
    """Return the charge of a quantity, or of ``records``."""
    price = rating.parse_price(definition)
    if "records" in usage:
        return rating.rate(price, rating.Usage.of(usage.pop("records"), **usage), currency)
    return rating.rate(price, rating.Usage(quantity, **usage), currency)


def cost(definition: dict, quantity=0, **usage) -> Decimal:
    """Return the unrounded amount of a quantity, or of ``records``."""
    return charge(definition, quantity, **usage).unrounded


def at(hours=0, quantity=1, **others) -> rating.Record:
    """Return a record some hours after T0."""
    return rating.Record(quantity, at=T0 + timedelta(hours=hours), **others)


def of(quantity=1, **dimensions) -> rating.Record:
    """Return a record with dimensions."""
    return rating.Record(quantity, dimensions=dimensions)


def paid(*amounts) -> list[rating.Record]:
    """Return events that move money."""
    return [rating.Record(1, amount=amount) for amount in amounts]


def sum_of_steps(found: rating.Charge) -> Decimal:
    """Return the sum of the amounts that the explanation says, without the rounding."""
    steps = [step for step in found.explanation if step["step"] != "round"]
    with localcontext(Context(prec=50)):
        return sum((Decimal(step["amount"]) for step in steps if "amount" in step), Decimal(0))
