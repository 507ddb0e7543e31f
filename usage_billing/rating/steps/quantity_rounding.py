"""Quantity rounding: whole units, or as many decimals as are priced."""

from dataclasses import dataclass
from decimal import Decimal

from ..decimals import ROUNDING_MODES, ZERO, round_to, text
from ..fields import Fields
from ..work import Work
from .base import Step
from .counters import SPLIT


@dataclass(frozen=True, slots=True)
class QuantityRounding(Step):
    """``quantity_rounding``: ``{"mode": …, "precision": decimals, "split": …}``.

    ``precision`` may be negative: -2 rounds to hundreds. ``split`` says what is rounded where a
    period is split over invoices: the ``cumulative`` quantity, so that invoices add up to the
    period billed at once, or each invoice's by itself (``independent``).

    >>> from rating import Currency, Usage, parse_price, rate
    >>> price = {"model": "per_unit", "unit_amount": "1"}
    >>> def amount(split):
    ...     rounding = {"mode": "ceiling", "split": split}
    ...     usage = Usage(billed_quantity="1.4", quantity="1.3")
    ...     definition = price | {"quantity_rounding": rounding}
    ...     return rate(parse_price(definition), usage, Currency("USD")).amount
    >>> amount("cumulative"), amount("independent")
    (Decimal('1.00'), Decimal('2.00'))
    """

    mode: str
    increment: Decimal
    independent: bool

    @classmethod
    def parse(cls, fields: Fields) -> "QuantityRounding | None":
        """Read ``quantity_rounding``."""
        own = fields.child("quantity_rounding", None)
        if own is None:
            return None
        precision = own.number("precision", ZERO, signed=True)
        if precision % 1 or not -20 <= precision <= 20:
            problem = f"is {precision}"
            raise own.error("precision", problem, "write a whole number from -20 to 20")
        split = own.choice("split", SPLIT, "cumulative")
        step = cls(
            own.choice("mode", ROUNDING_MODES),
            Decimal(1).scaleb(-int(precision)),
            split == "independent",
        )
        own.finish()
        return step

    def apply(self, work: Work):
        """Round both marks, or this invoice's quantity."""
        quantity = work.quantity
        before = self._round(work.before)
        if self.independent:
            work.after = before + self._round(quantity)
        else:
            work.after = self._round(work.after)
        work.before = before
        work.note(
            "quantity_rounding",
            quantity=text(quantity),
            mode=self.mode,
            increment=text(self.increment),
            rounded=text(work.quantity),
        )

    def _round(self, quantity: Decimal) -> Decimal:
        return round_to(quantity, self.increment, self.mode)
