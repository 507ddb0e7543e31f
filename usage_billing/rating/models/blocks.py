"""Block tiers: tiers as wide as a number of blocks, each with its block size and block price."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from ..decimals import ZERO, text
from ..errors import UsageError
from ..fields import Fields
from ..tiers import parse_beyond
from ..values import Line
from ..work import Work
from .base import Model
from .package import PACKAGE_ROUNDING, packages

#: Which tiers price: each its own units, or the highest one reached all units.
POLICY = ("all_tiers", "top_tier")


@dataclass(frozen=True, slots=True)
class BlockTier:
    """Blocks of ``size`` units at ``amount`` each; the tier holds the units ``over``–``up_to``."""

    number: int
    over: Decimal
    up_to: Decimal | None
    size: Decimal
    amount: Decimal

    def inside(self, quantity: Decimal) -> Decimal:
        """Return how many units of a cumulative quantity lie in this tier."""
        top = quantity if self.up_to is None else min(quantity, self.up_to)
        return max(top - self.over, ZERO)


@dataclass(frozen=True, slots=True)
class Blocks(Model):
    """Tiers whose width is ``blocks`` blocks of ``block_size`` units; a block costs ``block_amount``.

    ``policy``: ``all_tiers`` prices the units of each tier there, ``top_tier`` all units at the
    highest tier reached. ``block_rounding`` (up, down, half_up) says how a started block counts.
    ``beyond_last_tier`` says what is above the last tier if that has a width.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> tiers = [{"block_size": "100", "blocks": "10", "block_amount": "1"},
    ...          {"block_size": "1000", "blocks": None, "block_amount": "5"}]
    >>> price = parse_price({"model": "blocks", "tiers": tiers})
    >>> rate(price, Usage(quantity=1001), Currency("USD")).amount
    Decimal('15.00')
    """

    name = "blocks"

    tiers: tuple[BlockTier, ...]
    top_only: bool
    rounding: str

    @classmethod
    def parse(cls, fields: Fields) -> "Blocks":
        """Read ``tiers``, ``policy`` (all_tiers), ``block_rounding`` (up), ``beyond_last_tier``."""
        return cls(
            tuple(_parse_tiers(fields)),
            fields.choice("policy", POLICY, "all_tiers") == "top_tier",
            PACKAGE_ROUNDING[fields.choice("block_rounding", PACKAGE_ROUNDING, "up")],
        )

    def price(self, work: Work) -> list[Line]:
        """Return one line for each tier that this invoice's units reach."""
        top = self._reached(work.after)
        tiers = (top,) if self.top_only else self.tiers[: top.number]
        lines = [self._line(tier, work) for tier in tiers]
        return [each for each in lines if each.amount or each.detail["blocks"] != "0"] or lines[:1]

    def _reached(self, quantity: Decimal) -> BlockTier:
        for tier in self.tiers:
            if tier.up_to is None or quantity <= tier.up_to:
                return tier
        raise UsageError(f"the quantity {quantity} is above the last tier, at {tier.up_to}")

    def _line(self, tier: BlockTier, work: Work) -> Line:
        blocks = self._blocks(tier, work.after)
        amount, billed = blocks * tier.amount, self._billed(tier, work.before)
        detail = {
            "step": "block_tier",
            "tier": tier.number,
            "over": text(tier.over),
            "up_to": None if tier.up_to is None else text(tier.up_to),
            "quantity": text(work.after if self.top_only else tier.inside(work.after)),
            "block_size": text(tier.size),
            "blocks": text(blocks),
            "block_amount": text(tier.amount),
        }
        if work.before:
            detail["billed_before"] = text(billed)
        return Line(amount - billed, {**detail, "amount": text(amount - billed)})

    def _blocks(self, tier: BlockTier, quantity: Decimal) -> Decimal:
        units = quantity if self.top_only else tier.inside(quantity)
        return packages(units, tier.size, self.rounding)

    def _billed(self, tier: BlockTier, before: Decimal) -> Decimal:
        """Return what earlier invoices of the period took for this tier (or for all units)."""
        if self.top_only and before:
            tier = self._reached(before)
        return self._blocks(tier, before) * tier.amount


def _parse_tiers(fields: Fields) -> Iterator[BlockTier]:
    """Read the tiers; the last has no width, or ``beyond_last_tier`` says what is above it."""
    beyond, items, over = parse_beyond(fields), fields.items("tiers"), ZERO
    for number, item in enumerate(items, 1):
        size, width = item.positive("block_size"), item.positive("blocks", None)
        amount = item.number("block_amount")
        item.finish()
        if number == len(items):
            width = _last_width(item, width, beyond)
        elif width is None:
            raise item.error("blocks", "is missing before the last tier", "write the tier's width")
        up_to = None if width is None else over + width * size
        yield BlockTier(number, over, up_to, size, amount)
        over = up_to


def _last_width(item: Fields, width: Decimal | None, beyond: str | None) -> Decimal | None:
    """Return the width of the last tier: none, unless what is above it is refused."""
    if width is not None and beyond is None:
        remedy = "write null, or say in beyond_last_tier what happens above it"
        raise item.error("blocks", "ends the last tier", remedy)
    return width if beyond == "refuse" else None
