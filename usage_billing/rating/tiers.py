"""Tiers: contiguous ranges of a cumulative quantity, each with its price."""

from dataclasses import dataclass, field
from decimal import Decimal

from .decimals import ONE, ZERO, quotient, text
from .errors import UsageError
from .fields import Fields

#: What happens above a last tier that has an end: its price goes on, or the usage is refused.
BEYOND = ("last_tier", "refuse")


def parse_beyond(fields: Fields) -> str | None:
    """Read ``beyond_last_tier``; None where the price does not say."""
    return fields.choice("beyond_last_tier", BEYOND) if fields.has("beyond_last_tier") else None


@dataclass(frozen=True, slots=True)
class Tier:
    """The units above ``over`` up to and including ``up_to`` (None: no end).

    One unit costs ``rate / per``; ``cap`` is the most that the tier may cost, ``detail`` the
    tier's own part of an explanation, written once when the price is read.
    """

    number: int
    over: Decimal
    up_to: Decimal | None
    rate: Decimal
    per: Decimal = ONE
    flat_amount: Decimal = ZERO
    cap: Decimal | None = None
    flat_on_zero: bool = False
    detail: dict = field(default_factory=dict)

    def inside(self, quantity: Decimal) -> Decimal:
        """Return how many units of a cumulative quantity lie in this tier.

        >>> tier = Tier(2, Decimal(10), Decimal(20), rate=ONE)
        >>> tier.inside(Decimal(13)), tier.inside(Decimal(25)), tier.inside(Decimal(10))
        (Decimal('3'), Decimal('10'), Decimal('0'))
        """
        if quantity <= self.over:
            return ZERO
        if self.up_to is not None and quantity > self.up_to:
            return self.up_to - self.over
        return quantity - self.over

    def cost(self, units: Decimal) -> Decimal:
        """Return what units of this tier cost, without its flat amount."""
        if self.per is ONE:
            return units * self.rate
        return quotient(units * self.rate, self.per)

    def flat(self, quantity: Decimal, zero: bool = True) -> Decimal:
        """Return the flat amount due at a cumulative quantity: all of it once the tier is entered.

        ``zero`` false leaves out what is due without any usage.
        """
        due = quantity > self.over or (zero and self.flat_on_zero)
        return self.flat_amount if due else ZERO


@dataclass(frozen=True, slots=True)
class TierFields:
    """How the tiers of a model are written: the field of the rate, and what it is divided by."""

    rate: str = "unit_amount"
    per: Decimal = ONE
    flat_on_zero: bool = False
    step: str = "tier"


def parse_tiers(fields: Fields, written: TierFields) -> tuple[Tier, ...]:
    """Read ``tiers``: each begins where the one before ends, so there is no gap or overlap.

    The last has no end, unless ``beyond_last_tier`` says what is above it: ``last_tier`` (its
    price goes on) or ``refuse`` (``UsageError``). Raises ``PriceError`` for bounds that do not
    rise and for a missing or unexplained end.
    """
    beyond, items = parse_beyond(fields), fields.items("tiers")
    tiers: list[Tier] = []
    for number, item in enumerate(items, 1):
        over = tiers[-1].up_to if tiers else ZERO
        up_to = _bound(item, over, number == len(items), beyond)
        tiers.append(_tier(item, number, (over, up_to), written))
    return tuple(tiers)


def _tier(item: Fields, number: int, bounds: tuple, written: TierFields) -> Tier:
    """Read one tier whose bounds are known."""
    over, up_to = bounds
    rate = item.number(written.rate, ZERO)
    tier = Tier(
        number,
        over,
        up_to,
        *_unit_rate(rate, written.per),
        flat_amount=item.number("flat_amount", ZERO),
        cap=item.number("maximum_amount", None),
        flat_on_zero=written.flat_on_zero and number == 1,
        detail=_detail(number, bounds, written, rate),
    )
    item.finish()
    return tier


def _unit_rate(rate: Decimal, per: Decimal) -> tuple[Decimal, Decimal]:
    """Return rate and divisor, the division done once and for all where it is exact."""
    unit = quotient(rate, per)
    return (unit, ONE) if unit * per == rate else (rate, per)


def _detail(number: int, bounds: tuple, written: TierFields, rate: Decimal) -> dict:
    """Return what an explanation says of a tier whatever the quantity."""
    over, up_to = bounds
    return {
        "step": written.step,
        "tier": number,
        "over": text(over),
        "up_to": None if up_to is None else text(up_to),
        written.rate: text(rate),
        "per": text(written.per),
    }


def _bound(item: Fields, over: Decimal, last: bool, beyond: str | None) -> Decimal | None:
    """Read where a tier ends; ``over`` is where it begins."""
    up_to = item.number("up_to", None)
    if up_to is not None and up_to <= over:
        problem = f"is {up_to}, not above {over} where the tier begins"
        raise item.error("up_to", problem, f"write more than {over}, tiers in rising order")
    if not last and up_to is None:
        raise item.error("up_to", "is missing before the last tier", "write where the tier ends")
    if last and up_to is not None:
        return _last_bound(item, up_to, beyond)
    return up_to


def _last_bound(item: Fields, up_to: Decimal, beyond: str | None) -> Decimal | None:
    """Read the end of the last tier: nothing, unless what is above it is refused."""
    if beyond is None:
        remedy = "write null, or say in beyond_last_tier what happens above it"
        raise item.error("up_to", "ends the last tier", remedy)
    return up_to if beyond == "refuse" else None


def check_reach(tiers: tuple[Tier, ...], quantity: Decimal):
    """Raise ``UsageError`` for a quantity above a last tier that has an end."""
    end = tiers[-1].up_to
    if end is not None and quantity > end:
        raise UsageError(f"the quantity {quantity} is above the last tier, which ends at {end}")


def tier_of(tiers: tuple[Tier, ...], quantity: Decimal, exclusive: bool = False) -> Tier:
    """Return the tier that a cumulative quantity has reached.

    A bound itself is in the tier that it ends; with ``exclusive`` in the next one. Raises
    ``UsageError`` above a last tier that has an end.
    """
    check_reach(tiers, quantity)
    for tier in tiers:
        if tier.up_to is None or quantity < tier.up_to or (quantity == tier.up_to and not exclusive):
            return tier
    raise UsageError(f"the quantity {quantity} is not below the end of the last tier, {tiers[-1].up_to}")
