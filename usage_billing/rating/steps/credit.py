"""Credit in units: what prepaid units cover is not priced."""

from dataclasses import dataclass
from decimal import Decimal

from ..decimals import ZERO, text
from ..fields import Fields
from ..work import Work
from .base import Step


@dataclass(frozen=True, slots=True)
class Credit(Step):
    """Take units that credit covers off what this invoice bills; the rest is billable.

    ``credit_quantity`` is what there is for this invoice, in the unit that is sold. The parts of a
    price (groups, buckets) share it, in their order. What covered units of earlier invoices of the
    period (``Usage.billed_credit``) is taken off both marks: those units fill no tier either. That
    takes the field, of ``0`` where nothing is left.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> price = parse_price({"model": "per_unit", "unit_amount": "1", "included_quantity": "10",
    ...                      "credit_quantity": "20"})
    >>> rate(price, Usage(quantity=35), Currency("USD")).amount
    Decimal('5.00')
    """

    credit: Decimal

    @classmethod
    def parse(cls, fields: Fields) -> "Credit | None":
        """Read ``credit_quantity``."""
        credit = fields.number("credit_quantity", None)
        return None if credit is None else cls(credit)

    def apply(self, work: Work):
        """Lower what is billed by what is left of the credit, not below zero."""
        covered = min(work.usage.billed_credit, max(work.before, ZERO))
        work.before -= covered
        work.after -= covered
        quantity = work.quantity
        left = [self.credit] if work.credit is None else work.credit
        used = max(min(quantity, left[0]), ZERO)
        left[0] -= used
        work.after -= used
        if self.credit:
            work.note("credit", quantity=text(quantity), used=text(used), billable=text(work.quantity))
