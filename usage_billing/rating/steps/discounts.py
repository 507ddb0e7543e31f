"""Discounts: percentages and amounts off the lines."""

from dataclasses import dataclass
from decimal import Decimal

from ..decimals import HUNDRED, ZERO, quotient, text
from ..fields import Fields
from ..work import Work
from .base import Step


@dataclass(frozen=True, slots=True)
class Discounts(Step):
    """``discounts``: a list of ``{"percent": …}`` and ``{"amount": …}``, taken in that order.

    A percentage is taken of what is left by the ones before it. An amount is given once a period,
    over as many invoices as it takes, and never makes a line negative.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> price = parse_price({"model": "per_unit", "unit_amount": "10",
    ...                      "discounts": [{"percent": "50"}, {"amount": "5"}]})
    >>> rate(price, Usage(quantity=20), Currency("USD")).amount
    Decimal('95.00')
    """

    discounts: tuple[tuple[str, Decimal], ...]

    @classmethod
    def parse(cls, fields: Fields) -> "Discounts | None":
        """Read ``discounts``."""
        items = fields.items("discounts", ())
        return cls(tuple(_discount(item) for item in items)) if items else None

    def apply(self, work: Work):
        """Lower what is left of the lines."""
        given = work.usage.billed_discount
        for kind, value in self.discounts:
            if kind == "percent":
                self._percent(work, value)
            else:
                used, given = min(value, given), max(given - value, ZERO)
                self._amount(work, value - used)

    def _percent(self, work: Work, percent: Decimal):
        by_line = [quotient(line.net * percent, HUNDRED) for line in work.lines]
        take_off(work, by_line, "discount", percent=text(percent))

    def _amount(self, work: Work, amount: Decimal):
        room = work.total() - amount
        take_off(work, over_room(work, max(room, ZERO)), "discount", discount=text(amount))


def _discount(item: Fields) -> tuple[str, Decimal]:
    """Read one discount: a percentage of 100 at most, or an amount."""
    kind = "percent" if item.has("percent") else "amount"
    value = item.number(kind)
    if kind == "percent" and value > HUNDRED:
        raise item.error("percent", f"is {value}, more than everything", "write 100 or less")
    item.finish()
    return kind, value


def over_room(work: Work, room: Decimal) -> list[Decimal]:
    """Return by line what does not fit into ``room``, which the lines fill in their order."""
    over = []
    for line in work.lines:
        kept = min(line.net, room)
        room -= kept
        over.append(line.net - kept)
    return over


def take_off(work: Work, by_line: list[Decimal], step: str, **detail: str):
    """Lower the lines by the amounts and explain it as one step with a negative amount."""
    for line, amount in zip(work.lines, by_line, strict=True):
        line.net -= amount
    off = sum(by_line, ZERO)
    work.note(step, amount=text(-off), by_line=[text(-amount) for amount in by_line], **detail)
