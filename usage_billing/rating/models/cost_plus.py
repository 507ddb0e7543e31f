"""Cost plus margin: what the usage cost us, and a margin on it."""

from dataclasses import dataclass
from decimal import Decimal

from ..decimals import HUNDRED, ZERO, quotient, text
from ..fields import Fields
from ..values import Line, line
from ..work import Work
from .base import Model
from .event_price import sum_of_amounts


@dataclass(frozen=True, slots=True)
class CostPlus(Model):
    """The sum of the records' amounts (our cost) plus ``margin_percent`` and ``margin_per_unit``.

    >>> from rating import Currency, Record, Usage, parse_price, rate
    >>> price = parse_price({"model": "cost_plus", "margin_percent": "20"})
    >>> charge = rate(price, Usage.of([Record(5, amount="1.50")]), Currency("USD"))
    >>> [(step["step"], step["amount"]) for step in charge.explanation]
    [('cost', '1.5'), ('margin', '0.3'), ('round', '1.80')]
    """

    name = "cost_plus"
    by_quantity = False

    margin_percent: Decimal
    margin_per_unit: Decimal

    @classmethod
    def parse(cls, fields: Fields) -> "CostPlus":
        """Read ``margin_percent`` and ``margin_per_unit`` (0 each)."""
        return cls(fields.number("margin_percent", ZERO), fields.number("margin_per_unit", ZERO))

    def price(self, work: Work) -> list[Line]:
        """Return a line for the cost and one for the margin."""
        cost = sum_of_amounts(work.usage.records)
        margin = quotient(cost * self.margin_percent, HUNDRED)
        margin += work.quantity * self.margin_per_unit
        detail = {
            "quantity": text(work.quantity),
            "margin_percent": text(self.margin_percent),
            "margin_per_unit": text(self.margin_per_unit),
        }
        return [line(cost, "cost"), line(margin, "margin", **detail)]
