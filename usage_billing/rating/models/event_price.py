"""Price carried by the event: the producer has priced it already."""

from dataclasses import dataclass
from decimal import Decimal

from ..decimals import ONE, ZERO, quotient, text
from ..errors import UsageError
from ..fields import Fields
from ..values import Line, Record, line
from ..work import Work
from .base import Model


@dataclass(frozen=True, slots=True)
class EventPrice(Model):
    """The sum of the records' amounts, divided by ``amount_divisor`` (100 for cents).

    >>> from rating import Currency, Record, Usage, parse_price, rate
    >>> price = parse_price({"model": "event_price", "amount_divisor": "100"})
    >>> charge = rate(price, Usage.of([Record(20, amount="40.2")]), Currency("USD"))
    >>> charge.unrounded, charge.unit_amount
    (Decimal('0.402'), Decimal('0.0201'))
    """

    name = "event_price"
    by_quantity = False

    divisor: Decimal

    @classmethod
    def parse(cls, fields: Fields) -> "EventPrice":
        """Read ``amount_divisor`` (1)."""
        return cls(fields.positive("amount_divisor", ONE))

    def price(self, work: Work) -> list[Line]:
        """Return one line."""
        carried = sum_of_amounts(work.usage.records)
        detail = {"quantity": text(work.quantity), "carried_amount": text(carried)}
        detail["amount_divisor"] = text(self.divisor)
        return [line(quotient(carried, self.divisor), "event_price", **detail)]


def sum_of_amounts(records: tuple[Record, ...]) -> Decimal:
    """Return the sum of the records' amounts; raise ``UsageError`` where one carries none."""
    if any(record.amount is None for record in records):
        raise UsageError("every record must carry an amount")
    return sum([record.amount for record in records], ZERO)
