"""Unit conversion: from the unit that is metered to the unit that is priced."""

from dataclasses import dataclass
from decimal import Decimal

from ..decimals import quotient, text
from ..fields import Fields
from ..work import Work
from .base import Step

OPERATIONS = ("multiply", "divide")


@dataclass(frozen=True, slots=True)
class Conversion(Step):
    """``conversion``: ``{"operation": "multiply" or "divide", "factor": number}``.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> price = parse_price({"model": "per_unit", "unit_amount": "10",
    ...                      "conversion": {"operation": "divide", "factor": "1000"}})
    >>> rate(price, Usage(quantity=1400), Currency("USD")).amount
    Decimal('14.00')
    """

    divide: bool
    factor: Decimal

    @classmethod
    def parse(cls, fields: Fields) -> "Conversion | None":
        """Read ``conversion``."""
        own = fields.child("conversion", None)
        if own is None:
            return None
        divide = own.choice("operation", OPERATIONS) == "divide"
        step = cls(divide, own.positive("factor"))
        own.finish()
        return step

    def apply(self, work: Work):
        """Convert both marks."""
        quantity = text(work.quantity)
        work.before, work.after = self._convert(work.before), self._convert(work.after)
        work.note(
            "conversion",
            quantity=quantity,
            operation="divide" if self.divide else "multiply",
            factor=text(self.factor),
            converted=text(work.quantity),
        )

    def _convert(self, quantity: Decimal) -> Decimal:
        return quotient(quantity, self.factor) if self.divide else quantity * self.factor

    def metered(self, quantity: Decimal) -> Decimal:
        """Return a converted quantity in the unit that is metered."""
        return quantity * self.factor if self.divide else quotient(quantity, self.factor)
