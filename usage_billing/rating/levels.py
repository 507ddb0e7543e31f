"""Levels: a number of units that rises and falls within a period, and the tiers it fills."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from .decimals import ZERO, quotient
from .errors import UsageError
from .tiers import Tier
from .values import Record


@dataclass(slots=True)
class Levels:
    """Prorated units by tier, the highest level reached and the level at the end."""

    units: list[Decimal]
    peak: Decimal = ZERO
    end: Decimal = ZERO


def prorated_units(tiers: tuple[Tier, ...], records: Iterable[Record]) -> Levels:
    """Spread the prorated units of every change over the tiers its full units pass through.

    Added units fill tiers from the level upwards, removed ones empty them from the top down.
    Raises ``UsageError`` for a record without a prorated quantity.

    >>> tiers = Tier(1, ZERO, Decimal(5), ZERO), Tier(2, Decimal(5), None, ZERO)
    >>> levels = prorated_units(tiers, [Record(4, prorated="2.8"), Record(2, prorated=1)])
    >>> [str(units.normalize()) for units in levels.units], levels.peak
    (['3.3', '0.5'], Decimal('6'))
    """
    levels = Levels([ZERO] * len(tiers))
    for record in records:
        if record.prorated is None:
            raise UsageError("a prorated price needs records with a prorated quantity")
        _spread(tiers, levels, record)
    return levels


def _spread(tiers: tuple[Tier, ...], levels: Levels, record: Record):
    """Add one change to the tiers between the level before it and the level after it."""
    start, end = levels.end, levels.end + record.quantity
    for index, tier in enumerate(tiers):
        full = tier.inside(end) - tier.inside(start)
        if full:
            levels.units[index] += quotient(full * record.prorated, record.quantity)
    below = min(end, ZERO) - min(start, ZERO)
    if below:  # removed below zero: taken from the first tier, the clamp comes later
        levels.units[0] += quotient(below * record.prorated, record.quantity)
    levels.end, levels.peak = end, max(levels.peak, end)
