"""What goes into rating and what comes out: usage, currency, charge."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal, localcontext
from hashlib import sha256

from .decimals import CONTEXT, ROUNDING_MODES, ZERO, quotient, round_to, set_decimals, text


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency or credit unit and how its amounts are rounded.

    ``rounding`` is the smallest amount (0.01, 1, 0.001, 0.05 …); ``mode`` one of
    :data:`rating.decimals.ROUNDING_MODES`. Raises ``ValueError`` for any other.

    >>> Currency("JPY", Decimal(1)).round(Decimal("1023.5"))
    Decimal('1024')
    """

    code: str
    rounding: Decimal = Decimal("0.01")
    mode: str = "half_up"

    def __post_init__(self):
        set_decimals(self, "rounding")
        if self.mode not in ROUNDING_MODES:
            raise ValueError(f"mode {self.mode!r}: use one of {', '.join(ROUNDING_MODES)}")
        if self.rounding <= ZERO:
            raise ValueError(f"rounding {self.rounding}: use an amount above 0")

    def round(self, amount: Decimal) -> Decimal:
        """Return ``amount`` rounded to this currency."""
        return round_to(amount, self.rounding, self.mode)


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole in days or seconds, exact: ``Share(17, 31)`` is 17/31.

    >>> Share(17, 31).of(Decimal(310))
    Decimal('170')
    """

    part: Decimal
    whole: Decimal

    def __post_init__(self):
        set_decimals(self, "part", "whole")
        if self.whole <= ZERO or self.part < ZERO:
            raise ValueError(f"share {self.part}/{self.whole}: use 0 or more of a whole above 0")

    def of(self, value: Decimal) -> Decimal:
        """Return this part of ``value``: multiplied first, divided last."""
        return quotient(CONTEXT.multiply(value, self.part), self.whole)

    def __str__(self):
        return f"{text(self.part)}/{text(self.whole)}"


@dataclass(frozen=True, slots=True)
class Record:
    """One piece of usage, for prices that look below the total.

    ``quantity`` in units of the meter (negative where units are removed), ``amount`` the money
    the event carries (a payment's size, its price or its cost), ``at`` naive UTC, ``dimensions``
    text by name, ``prorated`` the quantity weighted by the part of the period it was there.
    """

    quantity: Decimal = ZERO
    amount: Decimal | None = None
    at: datetime | None = None
    dimensions: dict[str, str] = field(default_factory=dict)
    prorated: Decimal | None = None

    def __post_init__(self):
        set_decimals(self, "quantity", "amount", "prorated")


@dataclass(frozen=True, slots=True)
class Usage:
    """What one price is applied to, for one period or a part of it.

    >>> Usage(quantity="1.5").quantity
    Decimal('1.5')
    """

    #: Units used since the period's last invoice (all of them on the first one).
    quantity: Decimal = ZERO
    #: Units that earlier invoices of the same period took.
    billed_quantity: Decimal = ZERO
    #: Money that earlier invoices of the same period took, after discounts.
    billed_amount: Decimal = ZERO
    #: Discounts in money that earlier invoices of the same period gave.
    billed_discount: Decimal = ZERO
    #: Units of those on earlier invoices of the same period that credit covered, as they are sold.
    billed_credit: Decimal = ZERO
    #: Units used in this period under an earlier version of the price.
    prior_quantity: Decimal = ZERO
    #: What the other prices of the plan cost in the period, for what a plan costs at least.
    spent: Decimal = ZERO
    #: This is the first, the last invoice of the period.
    first: bool = True
    final: bool = True
    #: How many events the quantity is made of, where there are no records.
    events: int | None = None
    #: The usage in pieces, and the pieces that earlier invoices of the period took.
    records: tuple[Record, ...] = ()
    billed_records: tuple[Record, ...] = ()
    #: The quantity weighted by time, where the price is prorated.
    prorated_quantity: Decimal | None = None
    #: The part of the period in which the price was in force, for what is prorated.
    share: Share | None = None
    #: [start, end) of the period and the start of the subscription, naive UTC.
    period: tuple[datetime, datetime] | None = None
    subscribed_at: datetime | None = None
    #: Says of an instant whether the price is in force then; None where it always is.
    in_force: Callable[[datetime], bool] | None = None

    def __post_init__(self):
        if type(self.quantity) is not Decimal:
            set_decimals(self, "quantity")
        if self.billed_quantity is not ZERO or self.billed_amount is not ZERO:
            set_decimals(self, "billed_quantity", "billed_amount", "billed_discount", "billed_credit")
        if self.spent is not ZERO:
            set_decimals(self, "spent")
        if self.prior_quantity is not ZERO or self.prorated_quantity is not None:
            set_decimals(self, "prior_quantity", "prorated_quantity")

    @classmethod
    def of(cls, records: Iterable[Record], **others) -> "Usage":
        """Return the usage that is made of records: their quantities added up.

        >>> Usage.of([Record(2), Record(3)]).quantity
        Decimal('5')
        """
        records = tuple(records)
        billed = tuple(others.pop("billed_records", ()))
        others.setdefault("quantity", total(records))
        others.setdefault("billed_quantity", total(billed))
        return cls(records=records, billed_records=billed, **others)

    def part(self, records: Iterable[Record], billed: Iterable[Record], **others) -> "Usage":
        """Return the part of this usage that is made of some of its records.

        A part that earlier invoices of the period have not seen is on its first one.
        """
        records, billed = tuple(records), tuple(billed)
        changed = {"quantity": total(records), "billed_quantity": total(billed), **others}
        changed["first"] = self.first or not billed
        return replace(
            self,
            records=records,
            billed_records=billed,
            billed_amount=ZERO,
            billed_discount=ZERO,
            prior_quantity=ZERO,
            **changed,
        )


def total(records: Iterable[Record]) -> Decimal:
    """Return the quantity of records, added up exactly."""
    with localcontext(CONTEXT):
        return sum((record.quantity for record in records), ZERO)


class Line:
    """One priced line: its amount, what is left of it after discounts, and its explanation.

    ``detail`` is data of text and whole numbers, ready for JSON.
    """

    __slots__ = ("amount", "detail", "net")

    def __init__(self, amount: Decimal, detail: dict):
        self.amount = self.net = amount
        self.detail = detail


def line(amount: Decimal, step: str, **detail) -> Line:
    """Make a line; ``detail`` holds numbers already written as text.

    >>> line(Decimal("1.50"), "unit", quantity="3").detail
    {'quantity': '3', 'step': 'unit', 'amount': '1.5'}
    """
    detail["step"] = step
    detail["amount"] = text(amount)
    return Line(amount, detail)


@dataclass(frozen=True, slots=True)
class Charge:
    """What a usage costs at a price, and how that came about.

    ``amount`` is rounded by the currency; ``unrounded`` is what it was rounded from.
    ``explanation`` is a list of steps in the order they were taken, numbers as text; the amounts
    of all steps but the last (``round``) add up to ``unrounded``. ``line_amounts`` are the priced
    lines after discounts.
    """

    quantity: Decimal
    unrounded: Decimal
    amount: Decimal
    currency: str
    price_version: str
    explanation: list[dict]
    line_amounts: tuple[Decimal, ...]

    @property
    def unit_amount(self) -> Decimal:
        """The unrounded amount of one unit, on average; 0 without usage."""
        return quotient(self.unrounded, self.quantity) if self.quantity else ZERO

    def steps(self, *names: str) -> list[dict]:
        """Return the steps of the explanation with one of these names."""
        return [step for step in self.explanation if step["step"] in names]

    def as_dict(self) -> dict:
        """Return the charge as JSON-able data, numbers as text."""
        return {
            "quantity": text(self.quantity),
            "unrounded": text(self.unrounded),
            "amount": format(self.amount, "f"),
            "currency": self.currency,
            "price_version": self.price_version,
            "explanation": self.explanation,
        }

    def canonical(self) -> str:
        """Return the charge as canonical JSON: byte-identical for the same facts."""
        return json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))

    def fingerprint(self) -> str:
        """Return the SHA-256 of the canonical JSON, 64 hexadecimal digits."""
        return sha256(self.canonical().encode()).hexdigest()
