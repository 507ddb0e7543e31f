"""Graduated: the units inside each tier cost that tier's price."""

from dataclasses import dataclass
from decimal import Decimal

from ..decimals import ONE, ZERO, text
from ..fields import Fields
from ..levels import prorated_units
from ..tiers import Tier, TierFields, check_reach, parse_tiers
from ..values import Line
from ..work import Work
from .base import Model


@dataclass(frozen=True, slots=True)
class Graduated(Model):
    """Each tier's units at that tier's ``unit_amount / per``, plus a ``flat_amount`` on entering.

    ``flat_on_zero`` says whether the first tier's flat amount is due without any usage. A tier's
    ``maximum_amount`` caps what the tier costs. With ``prorated`` the records are changes of a
    level (seats added and removed): the full units say in which tiers a change lies, the
    prorated ones what it costs there.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> tiers = [{"up_to": "10", "unit_amount": "2"}, {"up_to": None, "unit_amount": "1"}]
    >>> charge = rate(parse_price({"model": "graduated", "tiers": tiers}),
    ...               Usage(quantity="12"), Currency("USD"))
    >>> [step["amount"] for step in charge.explanation]
    ['20', '2', '22.00']
    """

    name = "graduated"

    tiers: tuple[Tier, ...]
    prorated: bool

    @classmethod
    def parse(cls, fields: Fields) -> "Graduated":
        """Read ``tiers``, ``per`` (1), ``flat_on_zero`` (false) and ``prorated`` (false)."""
        per, on_zero = fields.positive("per", ONE), fields.boolean("flat_on_zero", False)
        tiers = parse_tiers(fields, TierFields(per=per, flat_on_zero=on_zero))
        return cls(tiers, fields.boolean("prorated", False))

    def price(self, work: Work) -> list[Line]:
        """Return one line for each tier that this invoice's units reach."""
        if self.prorated:
            return prorated_lines(self.tiers, work)
        return tier_lines(self.tiers, work)


def tier_lines(tiers: tuple[Tier, ...], work: Work) -> list[Line]:
    """Return a line for each tier that lies between the two marks of the work."""
    before, after, first = work.before, work.after, work.usage.first
    check_reach(tiers, after)
    low, high = (before, after) if before <= after else (after, before)
    lines = []
    for tier in tiers:
        if tier.over >= high and tier.number > 1:
            break
        if tier.up_to is None or low < tier.up_to:
            lines.append(tier_line(tier, before, after, first))
    return lines


def tier_line(tier: Tier, before: Decimal, after: Decimal, first: bool) -> Line:
    """Return what one tier costs between two cumulative quantities.

    ``first`` says that no invoice of the period has taken what is due without usage.
    """
    units, flat = tier.inside(after), tier.flat(after)
    amount = _capped(tier, tier.cost(units) + flat)
    if before or not first:
        units_before, flat_before = tier.inside(before), tier.flat(before, not first)
        amount -= _capped(tier, tier.cost(units_before) + flat_before)
        units, flat = units - units_before, flat - flat_before
    return _line(tier, units, flat, amount)


def _line(tier: Tier, units: Decimal, flat: Decimal, amount: Decimal) -> Line:
    detail = tier.detail.copy()
    detail["quantity"] = text(units)
    detail["flat_amount"] = text(flat) if flat else "0"
    detail["amount"] = text(amount)
    return Line(amount, detail)


def _capped(tier: Tier, amount: Decimal) -> Decimal:
    """Return an amount, or the cap of its tier if that is less."""
    return amount if tier.cap is None or amount <= tier.cap else tier.cap


def prorated_lines(tiers: tuple[Tier, ...], work: Work) -> list[Line]:
    """Return a line for each tier that the level of units has ever reached.

    Units that were there for a part of the period cost that part; a flat amount is due in full.
    Where more units were removed than there ever were, nothing is due; where the units together
    cost less than nothing, only the flat amounts are.
    """
    levels = prorated_units(tiers, work.usage.records)
    if levels.end < ZERO:
        return []
    owed = sum([tier.cost(units) for tier, units in zip(tiers, levels.units, strict=True)])
    return [
        _prorated_line(tier, units if owed >= ZERO else ZERO, levels.peak)
        for tier, units in zip(tiers, levels.units, strict=True)
        if tier.number == 1 or levels.peak > tier.over
    ]


def _prorated_line(tier: Tier, units: Decimal, peak: Decimal) -> Line:
    flat = tier.flat(peak)
    return _line(tier, units, flat, _capped(tier, tier.cost(units) + flat))
