"""Counters: where the tiers and packages of an invoice begin to count."""

from dataclasses import dataclass

from ..decimals import ZERO, text
from ..fields import Fields
from ..work import Work
from .base import Step

#: Invoices of one period count on from each other, or each counts for itself.
SPLIT = ("cumulative", "independent")
#: Under a new version of the price tiers begin again, or count on from the old version's usage.
PRICE_CHANGE = ("restart", "continue")


@dataclass(frozen=True, slots=True)
class Counters(Step):
    """Move the marks between which the model prices.

    ``split``: ``cumulative`` (invoices of one period add up to the period billed at once) or
    ``independent`` (each invoice begins at zero). ``tiers_at_price_change``: ``restart`` or
    ``continue`` (units used under an earlier version, ``Usage.prior_quantity``, fill tiers).

    >>> from rating import Currency, Usage, parse_price, rate
    >>> price = {"model": "package", "package_size": "10", "package_amount": "1"}
    >>> usage = Usage(billed_quantity=5, quantity=5)
    >>> rate(parse_price(price), usage, Currency("USD")).amount
    Decimal('0.00')
    >>> rate(parse_price(price | {"split": "independent"}), usage, Currency("USD")).amount
    Decimal('1.00')
    """

    independent: bool
    carry_on: bool

    @classmethod
    def parse(cls, fields: Fields) -> "Counters | None":
        """Read ``split`` and ``tiers_at_price_change``."""
        independent = fields.choice("split", SPLIT, "cumulative") == "independent"
        carry_on = fields.choice("tiers_at_price_change", PRICE_CHANGE, "restart") == "continue"
        return cls(independent, carry_on) if independent or carry_on else None

    def apply(self, work: Work):
        """Set the marks, and explain them where they moved."""
        if self.independent and work.before:
            work.after, work.before = work.quantity, ZERO
            work.note("counters", begins_at="0")
        prior = work.usage.prior_quantity
        if self.carry_on and prior:
            work.before += prior
            work.after += prior
            work.note("counters", begins_at=text(work.before))
