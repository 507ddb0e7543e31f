"""Percentage: a part of the money that each event moves."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from ..decimals import HUNDRED, ZERO, quotient, text
from ..errors import UsageError
from ..fields import Fields
from ..values import Line, Record, line
from ..work import Work
from .base import Model


@dataclass(slots=True)
class Allowance:
    """What is left of the free events and the free amount; it ends when either is used up."""

    events: Decimal | None
    amount: Decimal | None
    end_is_free: bool

    def take(self, base: Decimal) -> Decimal | None:
        """Return the free part of an event's base, None if the event is free altogether."""
        if not self._left():
            return ZERO
        free = base if self.amount is None else min(base, self.amount)
        whole = free == base and (self.end_is_free or self.amount is None or base < self.amount)
        if self.events is not None:
            self.events -= 1
        if self.amount is not None:
            self.amount -= free
        return None if whole else free

    def _left(self) -> bool:
        if self.events is None and self.amount is None:
            return False
        return (self.events is None or self.events > 0) and (self.amount is None or self.amount > 0)


@dataclass(slots=True)
class Tally:
    """What the events of an invoice add up to.

    ``paid_base`` is the base that is not free; ``rated_base`` that part of it whose events pay the
    percentage of it, not a minimum or a maximum.
    """

    events: int = 0
    free_events: int = 0
    base: Decimal = ZERO
    paid_base: Decimal = ZERO
    rated_base: Decimal = ZERO
    at_minimum: int = 0
    at_maximum: int = 0
    amount: Decimal = ZERO

    def detail(self) -> dict:
        """Return the tally as part of an explanation."""
        return {
            "events": self.events,
            "free_events": self.free_events,
            "paid_events": self.events - self.free_events,
            "base": text(self.base),
            "free_base": text(self.base - self.paid_base),
            "paid_base": text(self.paid_base),
            "rated_base": text(self.rated_base),
            "at_minimum": self.at_minimum,
            "at_maximum": self.at_maximum,
        }


@dataclass(frozen=True, slots=True)
class Percentage(Model):
    """``percent`` of each event's amount plus ``fixed_amount``, after free events and amounts.

    Events are taken in the order of the records. One is free while both ``free_events`` and
    ``free_amount`` (those that are set) last; the event that crosses ``free_amount`` pays for the
    rest. ``event_at_free_amount`` says whether an event that uses it up exactly is ``free`` or
    ``paid``. What an event pays is kept within ``minimum_per_event`` and ``maximum_per_event``.
    ``fixed_on_zero_base``: whether fixed amounts are due if all events together move no money.
    ``lines``: one for the ``total``, or one an ``event``.

    Without records the usage's quantity is the money and ``events`` the number of events; that is
    enough where no event needs to be looked at.

    >>> from rating import Currency, Record, Usage, parse_price, rate
    >>> price = parse_price({"model": "percentage", "percent": "2", "maximum_per_event": "5"})
    >>> rate(price, Usage.of([Record(amount="100"), Record(amount=900)]), Currency("USD")).amount
    Decimal('7.00')
    """

    name = "percentage"
    by_quantity = False
    of_amounts = True

    percent: Decimal
    fixed_amount: Decimal
    free_events: Decimal | None
    free_amount: Decimal | None
    minimum: Decimal | None
    maximum: Decimal | None
    end_is_free: bool
    fixed_on_zero_base: bool
    by_event: bool

    @classmethod
    def parse(cls, fields: Fields) -> "Percentage":
        """Read ``percent``; all else is optional."""
        minimum = fields.number("minimum_per_event", None)
        maximum = fields.number("maximum_per_event", None)
        if minimum is not None and maximum is not None and minimum > maximum:
            problem = f"is {maximum}, below minimum_per_event {minimum}"
            raise fields.error("maximum_per_event", problem, f"write {minimum} or more")
        return cls(
            fields.number("percent"),
            fields.number("fixed_amount", ZERO),
            fields.number("free_events", ZERO) or None,
            fields.number("free_amount", ZERO) or None,
            minimum,
            maximum,
            fields.choice("event_at_free_amount", ("free", "paid"), "free") == "free",
            fields.boolean("fixed_on_zero_base", True),
            fields.choice("lines", ("total", "event"), "total") == "event",
        )

    def price(self, work: Work) -> list[Line]:
        """Return one line for all events, or one for each."""
        if not work.usage.records:
            return [self._line(self._of_totals(work))]
        allowance = Allowance(self.free_events, self.free_amount, self.end_is_free)
        for record in work.usage.billed_records:
            allowance.take(record.quantity)
        return self._lines(list(self._tallies(work.usage.records, allowance)))

    def _lines(self, tallies: list[Tally]) -> list[Line]:
        if not self.fixed_on_zero_base and not any(each.base for each in tallies):
            for each in tallies:
                each.amount = ZERO
        if self.by_event:
            return [self._line(each) for each in tallies]
        return [self._line(_added(tallies))]

    def _line(self, tally: Tally) -> Line:
        detail = {"percent": text(self.percent), "fixed_amount": text(self.fixed_amount)}
        bounds = {"minimum_per_event": self.minimum, "maximum_per_event": self.maximum}
        detail |= {name: text(bound) for name, bound in bounds.items() if bound is not None}
        return line(tally.amount, "percentage", **tally.detail(), **detail)

    def _tallies(self, records: Iterable[Record], allowance: Allowance) -> Iterator[Tally]:
        for record in records:
            base = record.quantity
            free = allowance.take(base)
            if free is None:
                yield Tally(1, 1, base)
            else:
                yield self._paid(base, base - free)

    def _paid(self, base: Decimal, paid: Decimal) -> Tally:
        """Return what one paying event costs, kept within the bounds per event."""
        amount = quotient(paid * self.percent, HUNDRED) + self.fixed_amount
        if self.minimum is not None and amount < self.minimum:
            return Tally(1, 0, base, paid, at_minimum=1, amount=self.minimum)
        if self.maximum is not None and amount > self.maximum:
            return Tally(1, 0, base, paid, at_maximum=1, amount=self.maximum)
        return Tally(1, 0, base, paid, paid, amount=amount)

    def _of_totals(self, work: Work) -> Tally:
        """Return the tally where only the money and the number of events are known."""
        base, events = work.quantity, work.usage.events or 0
        if not base and not (events and self.fixed_amount):
            return Tally(events)
        self._check_totals(work)
        if self.free_events is not None:  # checked: all events are free
            return Tally(events, events, base)
        free = min(base, self.free_amount or ZERO)
        fixed = events * self.fixed_amount if base or self.fixed_on_zero_base else ZERO
        amount = quotient((base - free) * self.percent, HUNDRED) + fixed
        return Tally(events, 0, base, base - free, base - free, amount=amount)

    def _check_totals(self, work: Work):
        """Raise ``UsageError`` where the events must be looked at one by one."""
        events = work.usage.events
        all_free = self.free_events is not None and events is not None
        if all_free and events <= self.free_events and self.free_amount is None:
            return
        by_event = self.minimum is not None or self.maximum is not None
        if self.free_events is not None or by_event or (self.free_amount and self.fixed_amount):
            raise UsageError("this percentage needs records, one for each event, with its amount")
        if self.fixed_amount and events is None:
            raise UsageError("a fixed amount per event needs the number of events")


def _added(tallies: Iterable[Tally]) -> Tally:
    """Return tallies added up."""
    total = Tally()
    for each in tallies:
        total.events += each.events
        total.free_events += each.free_events
        total.base += each.base
        total.paid_base += each.paid_base
        total.rated_base += each.rated_base
        total.at_minimum += each.at_minimum
        total.at_maximum += each.at_maximum
        total.amount += each.amount
    return total
