"""Recurring: a fee of the period, in advance or in arrears."""

from dataclasses import dataclass
from decimal import Decimal

from ..decimals import ONE, text
from ..fields import Fields
from ..values import Line, line
from ..work import Work
from .base import Model

TIMING = ("arrears", "advance")


@dataclass(frozen=True, slots=True)
class Recurring(Model):
    """``amount`` for the period, or for each unit (a seat) with ``per_unit``.

    With ``prorate: ["amount"]`` only the usage's ``share`` of the period is due. ``timing`` says
    on which invoice the fee stands: of several invoices in a period the first one in ``advance``
    and the last one in ``arrears``; for the periods see :func:`rating.recurrence.periods_due`.

    >>> from rating import Currency, Share, Usage, parse_price, rate
    >>> price = parse_price({"model": "recurring", "amount": "50", "prorate": ["amount"]})
    >>> rate(price, Usage(share=Share(24, 31)), Currency("USD")).amount
    Decimal('38.71')
    """

    name = "recurring"

    amount: Decimal
    per_unit: bool
    prorate: bool
    in_advance: bool

    @classmethod
    def parse(cls, fields: Fields) -> "Recurring":
        """Read ``amount``, ``per_unit`` (false), ``prorate`` and ``timing`` (arrears)."""
        return cls(
            fields.number("amount"),
            fields.boolean("per_unit", False),
            fields.prorates("amount"),
            fields.choice("timing", TIMING, "arrears") == "advance",
        )

    def price(self, work: Work) -> list[Line]:
        """Return one line, or none on an invoice that does not bear the fee."""
        usage = work.usage
        if not (usage.first if self.in_advance else usage.final):
            return []
        quantity = work.after if self.per_unit else ONE
        amount = work.prorated(self.amount * quantity, self.prorate)
        detail = {"quantity": text(quantity), "unit_amount": text(self.amount)}
        if self.prorate and usage.share:
            detail["share"] = str(usage.share)
        return [line(amount, "recurring", **detail)]
