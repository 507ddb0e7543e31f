"""Capacity: one price for the lowest tier that fits every peak."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from ..decimals import ZERO, text
from ..errors import UsageError
from ..fields import Fields
from ..tiers import parse_beyond
from ..values import Line, Record, line
from ..work import Work
from .base import Model


@dataclass(frozen=True, slots=True)
class CapacityTier:
    """One amount for all units up to their limits (None: no limit)."""

    number: int
    amount: Decimal
    limits: dict[str, Decimal | None]

    def fits(self, peaks: dict[str, Decimal]) -> bool:
        """Say whether every peak is within its limit."""
        return all(limit is None or peaks.get(unit, ZERO) <= limit for unit, limit in self.limits.items())


@dataclass(frozen=True, slots=True)
class Capacity(Model):
    """The ``amount`` of the lowest tier whose ``limits`` hold every unit's peak of the period.

    The dimension named in ``unit_dimension`` says which unit a record is of; a unit without
    records has a peak of zero. ``beyond_last_tier`` says what happens above the last tier if that
    has limits. An invoice within the period bills the tier so far less the tier billed before.

    >>> from rating import Currency, Record, Usage, parse_price, rate
    >>> tiers = [{"amount": "10", "limits": {"seats": "5", "gb": "100"}},
    ...          {"amount": "30", "limits": {"seats": None, "gb": None}}]
    >>> price = parse_price({"model": "capacity", "tiers": tiers})
    >>> peaks = [Record(4, dimensions={"unit": "seats"}), Record(101, dimensions={"unit": "gb"})]
    >>> rate(price, Usage.of(peaks), Currency("USD")).amount
    Decimal('30.00')
    """

    name = "capacity"
    by_quantity = False

    tiers: tuple[CapacityTier, ...]
    dimension: str
    open_end: bool

    @classmethod
    def parse(cls, fields: Fields) -> "Capacity":
        """Read ``tiers``, ``unit_dimension`` (unit) and ``beyond_last_tier``."""
        items = fields.items("tiers")
        tiers = [_tier(item, number) for number, item in enumerate(items, 1)]
        for item, lower, upper in zip(items[1:], tiers, tiers[1:], strict=False):
            _check_order(item, lower, upper)
        beyond = parse_beyond(fields)
        if beyond is None and any(limit is not None for limit in tiers[-1].limits.values()):
            remedy = "write null, or say in beyond_last_tier what happens above them"
            raise items[-1].error("limits", "end the last tier", remedy)
        return cls(tuple(tiers), fields.string("unit_dimension", "unit"), beyond == "last_tier")

    def price(self, work: Work) -> list[Line]:
        """Return one line."""
        usage = work.usage
        peaks = self._peaks((*usage.billed_records, *usage.records))
        tier = self._tier(peaks)
        billed = ZERO if usage.first and not usage.billed_records else self._before(work)
        detail = {
            "tier": tier.number,
            "peaks": {unit: text(peak) for unit, peak in sorted(peaks.items())},
            "limits": {unit: limit and text(limit) for unit, limit in tier.limits.items()},
            "tier_amount": text(tier.amount),
            "billed_before": text(billed),
        }
        return [line(tier.amount - billed, "capacity", **detail)]

    def _before(self, work: Work) -> Decimal:
        return self._tier(self._peaks(work.usage.billed_records)).amount

    def _peaks(self, records: Iterable[Record]) -> dict[str, Decimal]:
        peaks: dict[str, Decimal] = {}
        for record in records:
            unit = record.dimensions.get(self.dimension)
            if unit not in self.tiers[0].limits:
                raise UsageError(f"the price has no limit for {self.dimension} {unit!r}")
            peaks[unit] = max(peaks.get(unit, ZERO), record.quantity)
        return peaks

    def _tier(self, peaks: dict[str, Decimal]) -> CapacityTier:
        for tier in self.tiers:
            if tier.fits(peaks):
                return tier
        if self.open_end:
            return self.tiers[-1]
        raise UsageError("a peak is above the limits of the last tier")


def _tier(item: Fields, number: int) -> CapacityTier:
    limits = item.child("limits")
    read = {unit: limits.number(unit, None) for unit in limits.definition}
    if not read:
        raise item.error("limits", "is empty", "write a limit, or null, for each unit")
    tier = CapacityTier(number, item.number("amount"), read)
    item.finish()
    return tier


def _check_order(item: Fields, lower: CapacityTier, upper: CapacityTier):
    """Raise ``PriceError`` for a tier that has other units or a lower limit than the one before."""
    if set(lower.limits) != set(upper.limits):
        units = ", ".join(sorted(lower.limits))
        raise item.error("limits", "are not for the units of the tier before", f"write {units}")
    for unit, limit in upper.limits.items():
        below = lower.limits[unit]
        if limit is not None and (below is None or limit < below):
            remedy = "write tiers in rising order"
            raise item.error(f"limits.{unit}", "is below that of the tier before", remedy)
