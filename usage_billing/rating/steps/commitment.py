"""Commitment: an amount of spend promised per period or per window, and what is above it."""

from dataclasses import dataclass
from decimal import Decimal

from ..decimals import ONE, ZERO, quotient, text
from ..fields import Fields
from ..models.base import Model
from ..values import Usage
from ..work import Work
from .base import Step

PER = ("period", "window")


@dataclass(frozen=True, slots=True)
class Commitment(Step):
    """``commitment``: ``{"amount" or "quantity", "overage_factor", "true_up", "per"}``.

    What is committed is an amount, or what a ``quantity`` costs at this price. Spend up to it
    costs what it costs, spend above it ``overage_factor`` times that (1 unless told). With
    ``true_up`` (the rule unless told) what was not spent of the commitment is billed all the
    same. ``per``: the ``period``, billed on its last invoice, or the ``window``, which is each
    ``bucket`` or group of the price.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> price = parse_price({"model": "per_unit", "unit_amount": "2",
    ...                      "commitment": {"amount": "10", "overage_factor": "2"}})
    >>> [str(rate(price, Usage(quantity=n), Currency("USD")).amount) for n in (2, 8)]
    ['10.00', '22.00']
    """

    committed: Decimal
    in_units: bool
    factor: Decimal
    true_up: bool
    per_window: bool
    prorate: bool
    #: Says what a committed quantity costs; set by :mod:`rating.order`.
    model: Model | None = None

    @classmethod
    def parse(cls, fields: Fields) -> "Commitment | None":
        """Read ``commitment``."""
        prorate = fields.prorates("commitment")
        own = fields.child("commitment", None)
        if own is None:
            return None
        in_units = own.has("quantity")
        step = cls(
            own.number("quantity" if in_units else "amount"),
            in_units,
            own.positive("overage_factor", ONE),
            own.boolean("true_up", True),
            own.choice("per", PER, "period") == "window",
            prorate,
        )
        if in_units and own.has("amount"):
            raise own.error("quantity", "is there beside amount", "write one of the two")
        own.finish()
        return step

    def apply(self, work: Work):
        """Add the surcharge of the overage and the true-up."""
        committed = work.prorated(self._amount(work), self.prorate)
        spent = work.total()
        before = self._spent_before(work, committed)
        overage = _above(before + spent, committed) - _above(before, committed)
        surcharge = overage * (self.factor - ONE)
        self._explain(work, committed, spent - overage, overage)
        if surcharge:
            work.add(surcharge, "overage", overage=text(overage), factor=text(self.factor))
        if self.true_up and (self.per_window or work.usage.final):
            self._true_up(work, committed, before, spent)

    def _true_up(self, work: Work, committed: Decimal, before: Decimal, spent: Decimal):
        """Bill what lacks; in a window billed before, what now lacks more (or less)."""
        lacks = max(committed - before - spent, ZERO)
        if self.per_window and work.usage.billed_records:
            lacks -= max(committed - before, ZERO)
        if lacks:
            work.add(lacks, "true_up", committed=text(committed))

    def _amount(self, work: Work) -> Decimal:
        """Return the committed amount: as written, or the price of the committed quantity."""
        if not self.in_units:
            return self.committed
        whole = Work(Usage(self.committed), work.currency)
        whole.extend(self.model.price(whole))
        return whole.total()

    def _explain(self, work: Work, committed: Decimal, utilized: Decimal, overage: Decimal):
        work.note(
            "commitment",
            committed=text(committed),
            utilized=text(utilized),
            overage=text(overage),
            overage_amount=text(overage * self.factor),
        )

    def _spent_before(self, work: Work, committed: Decimal) -> Decimal:
        """Return what earlier invoices of the period took, without the factor on overage."""
        billed = work.usage.billed_amount
        if self.per_window:  # the parts know it without the factor
            return billed
        above = _above(billed, committed)
        return billed - above + quotient(above, self.factor)


def _above(spend: Decimal, committed: Decimal) -> Decimal:
    """Return the part of a spend that is above the commitment."""
    return max(spend - committed, ZERO)
