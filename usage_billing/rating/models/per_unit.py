"""Per unit: every unit costs the same."""

from dataclasses import dataclass
from decimal import Decimal

from ..decimals import ONE, quotient, text
from ..fields import Fields
from ..values import Line, line
from ..work import Work
from .base import Model


@dataclass(frozen=True, slots=True)
class PerUnit(Model):
    """``quantity × unit_amount / per``; ``per`` is the units one ``unit_amount`` buys.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> price = parse_price({"model": "per_unit", "unit_amount": "0.50", "per": "1000000"})
    >>> rate(price, Usage(quantity="2500000"), Currency("USD")).amount
    Decimal('1.25')
    """

    name = "per_unit"

    unit_amount: Decimal
    per: Decimal

    @classmethod
    def parse(cls, fields: Fields) -> "PerUnit":
        """Read ``unit_amount`` and ``per`` (1 unless told)."""
        return cls(fields.number("unit_amount"), fields.positive("per", ONE))

    def price(self, work: Work) -> list[Line]:
        """Return one line."""
        quantity = work.after - work.before
        amount = quotient(quantity * self.unit_amount, self.per)
        detail = {"unit_amount": text(self.unit_amount), "per": text(self.per)}
        return [line(amount, "unit", quantity=text(quantity), **detail)]
