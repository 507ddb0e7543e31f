"""Plan minimum: what all prices of a plan together cost at least."""

from dataclasses import dataclass
from decimal import Decimal

from ..decimals import ZERO, text
from ..fields import Fields
from ..values import Line, line
from ..work import Work
from .base import Model

#: What belongs to a price that costs something by itself.
OTHERS = ("flat_fee", "commitment", "discounts", "maximum", "minimum")


@dataclass(frozen=True, slots=True)
class PlanMinimum(Model):
    """``amount`` is what the plan costs at least; what lacks to it is due on the period's last invoice.

    ``Usage.spent`` is what the plan's other prices cost, on all invoices of the period. With
    ``prorate: ["amount"]`` only the usage's ``share`` of the minimum counts.

    >>> from rating import Currency, Share, Usage, parse_price, rate
    >>> price = parse_price({"model": "plan_minimum", "amount": "50", "prorate": ["amount"]})
    >>> usages = Usage(spent=30), Usage(spent=60), Usage(spent=10, share=Share(1, 2))
    >>> [str(rate(price, usage, Currency("USD")).amount) for usage in usages]
    ['20.00', '0.00', '15.00']
    """

    name = "plan_minimum"
    by_quantity = False

    amount: Decimal
    prorate: bool

    @classmethod
    def parse(cls, fields: Fields) -> "PlanMinimum":
        """Read ``amount`` and ``prorate``; raise ``PriceError`` for terms of a price of its own."""
        for field in OTHERS:
            if fields.has(field):
                raise fields.error(field, f"cannot be combined with the model {cls.name}", "remove it")
        return cls(fields.number("amount"), fields.prorates("amount"))

    def price(self, work: Work) -> list[Line]:
        """Return one line, of zero where nothing lacks; none before the period's last invoice."""
        usage = work.usage
        if not usage.final:
            return []
        minimum = work.prorated(self.amount, self.prorate)
        detail = {"minimum": text(minimum), "spent": text(usage.spent)}
        if self.prorate and usage.share:
            detail["share"] = str(usage.share)
        return [line(max(minimum - usage.spent, ZERO), "plan_minimum", **detail)]
