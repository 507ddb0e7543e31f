"""Included quantity: what a period contains before anything is billed."""

from dataclasses import dataclass
from decimal import Decimal

from ..decimals import ZERO, text
from ..fields import Fields
from ..values import Share
from ..work import Work
from .base import Step

#: Whether the parts of a price (groups, buckets) share the included quantity or each has it.
SCOPE = ("price", "part")


@dataclass(frozen=True, slots=True)
class IncludedQuantity(Step):
    """Take ``included_quantity`` off the period's quantity; the rest is billable.

    Earlier invoices of the period have used what they could of it. With ``group_by`` or
    ``bucket``, ``included_per`` says whether all parts of the ``price`` share it (in the order of
    the parts) or each ``part`` has its own.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> price = parse_price({"model": "per_unit", "unit_amount": "1", "included_quantity": "10"})
    >>> rate(price, Usage(billed_quantity=5, quantity=15), Currency("USD")).amount
    Decimal('10.00')
    """

    included: Decimal
    shared: bool
    prorate: bool

    @classmethod
    def parse(cls, fields: Fields) -> "IncludedQuantity | None":
        """Read ``included_quantity`` and ``included_per`` (price)."""
        included = fields.number("included_quantity", ZERO)
        shared = fields.choice("included_per", SCOPE, "price") == "price"
        prorate = fields.prorates("included_quantity")
        return cls(included, shared, prorate) if included else None

    def of(self, share: Share | None) -> Decimal:
        """Return what is included in a part of the period; ``None`` is all of it."""
        return share.of(self.included) if self.prorate and share else self.included

    def allowance(self, work: Work) -> list[Decimal]:
        """Return what the parts share: for earlier invoices, and for the whole period."""
        included = self.of(work.usage.share)
        return [included, included]

    def apply(self, work: Work):
        """Lower both marks by the included quantity, not below zero."""
        quantity = work.quantity
        left = work.allowance if self.shared else None
        left = self.allowance(work) if left is None else left
        included = left[1]
        work.before, left[0] = _take(work.before, left[0])
        work.after, left[1] = _take(work.after, left[1])
        work.note(
            "included",
            quantity=text(quantity),
            included_quantity=text(included),
            used=text(quantity - work.quantity),
            billable=text(work.quantity),
        )


def _take(quantity: Decimal, left: Decimal) -> tuple[Decimal, Decimal]:
    """Return what remains of a quantity and of the allowance."""
    taken = min(quantity, left) if quantity > ZERO else ZERO
    return quantity - taken, left - taken
