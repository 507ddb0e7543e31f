"""Threshold billing: an invoice inside the period whenever the spend passes a threshold."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext

from .decimals import CONTEXT, ZERO, to_decimal


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
