"""Minimum and maximum: the least and the most that a period costs."""

from dataclasses import dataclass
from decimal import Decimal

from ..decimals import ZERO, text
from ..fields import Fields
from ..work import Work
from .base import Step
from .discounts import over_room, take_off


@dataclass(frozen=True, slots=True)
class Maximum(Step):
    """``maximum``: what the period costs at most, over all its invoices.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> price = parse_price({"model": "per_unit", "unit_amount": "10", "maximum": "100"})
    >>> usage = Usage(billed_quantity=7, billed_amount=70, quantity=5)
    >>> rate(price, usage, Currency("USD")).amount
    Decimal('30.00')
    """

    maximum: Decimal
    prorate: bool

    @classmethod
    def parse(cls, fields: Fields) -> "Maximum | None":
        """Read ``maximum``."""
        prorate, maximum = fields.prorates("maximum"), fields.number("maximum", None)
        return None if maximum is None else cls(maximum, prorate)

    def apply(self, work: Work):
        """Lower the lines that do not fit under the maximum."""
        maximum = work.prorated(self.maximum, self.prorate)
        room = max(maximum - work.usage.billed_amount, ZERO)
        if work.total() > room:
            take_off(work, over_room(work, room), "maximum", maximum=text(maximum))


@dataclass(frozen=True, slots=True)
class Minimum(Step):
    """``minimum``: what the period costs at least; what lacks is due on its last invoice.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> price = parse_price({"model": "per_unit", "unit_amount": "10", "minimum": "100"})
    >>> rate(price, Usage(billed_amount=40, quantity=1), Currency("USD")).amount
    Decimal('60.00')
    """

    minimum: Decimal
    prorate: bool

    @classmethod
    def parse(cls, fields: Fields) -> "Minimum | None":
        """Read ``minimum``; raise ``PriceError`` where it is above the maximum."""
        prorate, minimum = fields.prorates("minimum"), fields.number("minimum", ZERO)
        maximum = fields.number("maximum", None)
        if maximum is not None and minimum > maximum:
            problem = f"is {minimum}, above the maximum {maximum}"
            raise fields.error("minimum", problem, f"write {maximum} or less")
        return cls(minimum, prorate) if minimum else None

    def apply(self, work: Work):
        """Add what lacks."""
        minimum = work.prorated(self.minimum, self.prorate)
        lacks = minimum - work.usage.billed_amount - work.total()
        if lacks > ZERO and work.usage.final:
            work.add(lacks, "minimum", minimum=text(minimum))
