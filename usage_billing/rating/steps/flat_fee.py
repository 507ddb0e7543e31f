"""Flat fee: an amount per period beside what is used."""

from dataclasses import dataclass
from decimal import Decimal

from ..fields import Fields
from ..work import Work
from .base import Step

WHEN = ("always", "used")


@dataclass(frozen=True, slots=True)
class FlatFee(Step):
    """``flat_fee``: ``{"amount": …, "when": always or used}``, once a period.

    A fee due ``always`` stands on the period's first invoice, one due when something was ``used``
    on the invoice that has the period's first usage.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> price = parse_price({"model": "per_unit", "unit_amount": "1", "flat_fee": {"amount": "9"}})
    >>> rate(price, Usage(quantity=0), Currency("USD")).amount
    Decimal('9.00')
    """

    amount: Decimal
    if_used: bool
    prorate: bool

    @classmethod
    def parse(cls, fields: Fields) -> "FlatFee | None":
        """Read ``flat_fee``."""
        prorate, own = fields.prorates("flat_fee"), fields.child("flat_fee", None)
        if own is None:
            return None
        step = cls(own.number("amount"), own.choice("when", WHEN, "always") == "used", prorate)
        own.finish()
        return step

    def apply(self, work: Work):
        """Add the fee if it is due on this invoice."""
        usage = work.usage
        due = (usage.quantity and not usage.billed_quantity) if self.if_used else usage.first
        if due:
            share = {"share": str(usage.share)} if self.prorate and usage.share else {}
            work.add(work.prorated(self.amount, self.prorate), "flat_fee", **share)
