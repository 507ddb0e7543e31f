"""The state of one rating while its steps are taken."""

from decimal import Decimal

from .decimals import ZERO, text
from .values import Currency, Line, Usage, line


class Work:
    """Quantities and lines of one rating (or of one part of it) while steps are taken.

    ``before`` and ``after`` are cumulative quantities of the period: what earlier invoices took,
    and that plus what this one bills. A step that changes quantities changes both marks, so a
    period split over several invoices adds up to the period billed at once.
    """

    __slots__ = ("after", "allowance", "before", "credit", "currency", "explanation", "lines", "usage")

    def __init__(self, usage: Usage, currency: Currency):
        self.currency = currency
        self.lines: list[Line] = []
        self.explanation: list[dict] = []
        #: What is left of an included quantity that the parts of a price share: before, after.
        self.allowance: list[Decimal] | None = None
        #: What is left of the units of credit that the parts share.
        self.credit: list[Decimal] | None = None
        self.restart(usage)

    def restart(self, usage: Usage):
        """Set the marks from a usage; a period's quantity is never below zero."""
        self.usage = usage
        self.before = before = usage.billed_quantity
        self.after = before + usage.quantity if before else usage.quantity
        if self.after < ZERO:
            self.note("negative", quantity=text(self.after), billable="0")
            self.after = ZERO

    @property
    def quantity(self) -> Decimal:
        """The quantity this invoice bills, in the unit reached so far."""
        return self.after - self.before

    def total(self) -> Decimal:
        """The sum of the lines after discounts, unrounded."""
        return sum([each.net for each in self.lines], ZERO)

    def prorated(self, value: Decimal, prorate: bool) -> Decimal:
        """Return a value of the whole period, or its part for the time the price was in force."""
        share = self.usage.share
        return share.of(value) if prorate and share else value

    def note(self, step: str, **detail):
        """Explain a step that adds no line."""
        detail["step"] = step
        self.explanation.append(detail)

    def add(self, amount: Decimal, step: str, **detail):
        """Add a line and its explanation."""
        self.extend((line(amount, step, **detail),))

    def extend(self, lines):
        """Add lines that a model has priced."""
        for each in lines:
            self.lines.append(each)
            self.explanation.append(each.detail)

    def absorb(self, part: "Work", label: dict):
        """Take over the lines and the explanation of a part, marked with its label."""
        self.lines += part.lines
        for step in part.explanation:
            step["part"] = {**label, **step.get("part", {})}
            self.explanation.append(step)
