"""Threshold billing: an invoice inside the period whenever the spend passes a threshold."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext

from .decimals import CONTEXT, ZERO, text, to_decimal
from .values import Charge


@dataclass(frozen=True, slots=True)
class Interim:
    """One invoice inside a period: after which step, the spend so far, and what is new in it."""

    position: int
    spend: Decimal
    billed: Decimal


def interim_invoices(
    spends: Iterable[Decimal], thresholds: Iterable[Decimal], every: Decimal | None = None
) -> list[Interim]:
    """Return the invoices that thresholds call for, each billing what is new since the one before.

    ``spends`` are the period's running amounts in the order of time, unrounded or not;
    ``thresholds`` the amounts that each call for one invoice, ``every`` the distance of further
    ones after the last. One step that passes several thresholds makes one invoice. The period's
    own invoice bears everything, less what these took.

    >>> [str(each.billed) for each in interim_invoices([150, 220, 400, 900], [200], every=300)]
    ['220', '680']
    """
    pending = sorted(to_decimal(each) for each in thresholds)
    step = None if every is None else to_decimal(every)
    invoices: list[Interim] = []
    with localcontext(CONTEXT):
        for position, spend in enumerate(map(to_decimal, spends)):
            if pending and spend >= pending[0]:
                before = invoices[-1].spend if invoices else ZERO
                invoices.append(Interim(position, spend, spend - before))
                pending = _above(spend, pending, step)
    return invoices


def _above(spend: Decimal, pending: list[Decimal], step: Decimal | None) -> list[Decimal]:
    """Return the thresholds still to come; the last one repeats by ``step``."""
    above = [each for each in pending if each > spend]
    if above or not step:
        return above
    passed = (spend - pending[-1]) // step + 1
    return [pending[-1] + passed * step]


def passes_threshold(
    billed: Decimal, spend: Decimal, thresholds: Iterable[Decimal], every: Decimal | None = None
) -> bool:
    """Say whether a period's spend calls for an invoice, of which some was ``billed`` before.

    >>> [passes_threshold(220, spend, [200, 500]) for spend in (499, 500)]
    [False, True]
    """
    return any(each.position for each in interim_invoices([billed, spend], thresholds, every))


def less_billed(charge: Charge, billed: Iterable[tuple[str, Decimal]]) -> Charge:
    """Return what is left of a period's charge so far once earlier invoices billed a part of it.

    ``billed`` are (name of the invoice, amount as it was billed). The period is rounded as a
    whole before they are taken off, so its invoices add up to the period billed at once.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> price = parse_price({"model": "per_unit", "unit_amount": "0.005"})
    >>> first, whole = (rate(price, Usage(quantity=n), Currency("USD")) for n in (1, 2))
    >>> rest = less_billed(whole, [("INV/1", first.amount)])
    >>> first.amount, rest.amount, rest.steps("billed")
    (Decimal('0.01'), Decimal('0.00'), [{'step': 'billed', 'invoice': 'INV/1', 'amount': '-0.01'}])
    """
    with localcontext(CONTEXT):
        off = [(name, to_decimal(amount)) for name, amount in billed]
        taken = sum((amount for _, amount in off), ZERO)
        unrounded, amount = charge.unrounded - taken, charge.amount - taken
        *steps, rounded = charge.explanation
        steps += [{"step": "billed", "invoice": name, "amount": text(-each)} for name, each in off]
        steps.append({**rounded, "unrounded": text(unrounded), "amount": format(amount, "f")})
        lines = (*charge.line_amounts, *(-each for _, each in off))
        return replace(charge, unrounded=unrounded, amount=amount, explanation=steps, line_amounts=lines)


def whole_amount(result: dict, amount: str = "amount") -> Decimal:
    """Return what a charge comes to with what earlier invoices of its period billed of it.

    ``result`` is :meth:`Charge.as_dict`; ``amount`` says which one: ``amount`` or ``unrounded``.

    >>> whole_amount({"amount": "3.00", "explanation": [{"step": "billed", "amount": "-2"}]})
    Decimal('5.00')
    """
    with localcontext(CONTEXT):
        billed = [to_decimal(step["amount"]) for step in result["explanation"] if step["step"] == "billed"]
        return to_decimal(result[amount]) - sum(billed, ZERO)
