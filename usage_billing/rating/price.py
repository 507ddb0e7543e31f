"""Prices: parsed once from their definition, applied any number of times."""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext

from .decimals import CONTEXT, ZERO, text
from .fields import Fields
from .models import MODELS, Model
from .order import parse_steps
from .steps.base import Step
from .steps.conversion import Conversion
from .steps.included import IncludedQuantity
from .values import Charge, Currency, Record, Share, Usage, total
from .work import Work

#: Round the sum of the lines, or each line.
ROUNDING = ("total", "lines")
#: So many definitions are remembered, see :func:`parse_price`.
MOST_KNOWN = 4096
_known: dict[str, "Price"] = {}


@dataclass(frozen=True, slots=True)
class Price:
    """One version of one price, ready to rate: what it says and the steps it takes."""

    definition: dict
    model: Model
    steps: tuple[Step, ...]
    version: str
    round_lines: bool

    @property
    def fills_buckets(self) -> bool:
        """Whether it prices buckets of the period in which nothing was used."""
        return any(getattr(step, "fills", False) for step in self.steps)

    def included(self, share: Share | None = None) -> Decimal:
        """Return how many units, as they are metered, a part of the period includes; all of it without ``share``.

        >>> parse_price({"model": "per_unit", "unit_amount": "10", "included_quantity": "2",
        ...              "conversion": {"operation": "divide", "factor": "1000"}}).included()
        Decimal('2000')
        """
        included = ZERO
        steps = [inner for step in self.steps for inner in getattr(step, "steps", (step,))]
        with localcontext(CONTEXT):
            for step in reversed(steps):  # what is included is in the unit that is sold
                if isinstance(step, IncludedQuantity):
                    included = step.of(share)
                elif isinstance(step, Conversion):
                    included = step.metered(included)
        return included

    def run(self, usage: Usage, currency: Currency) -> Work:
        """Take the steps for a usage, and return the work without rounding it."""
        if self.model.of_amounts and (usage.records or usage.billed_records):
            usage = _of_amounts(usage)
        work = Work(usage, currency)
        for step in self.steps:
            if step.apply(work):
                break
        return work


def _of_amounts(usage: Usage) -> Usage:
    """Return a usage whose quantities are the money that its records carry."""
    records, billed = _money(usage.records), _money(usage.billed_records)
    changed = {"quantity": total(records)} if records else {}
    if billed:
        changed["billed_quantity"] = total(billed)
    return replace(usage, records=records, billed_records=billed, **changed)


def _money(records: tuple[Record, ...]) -> tuple[Record, ...]:
    """Return records with their amount, where they carry one, as their quantity."""
    return tuple(r if r.amount is None else replace(r, quantity=r.amount) for r in records)


def parse_price(definition: dict) -> Price:
    """Return the price a definition describes; the same one for the same text, which is parsed once.

    Raises ``PriceError``, which names the field and the remedy, for what cannot be rated.

    >>> parse_price({"model": "per_unit", "unit_amount": "1"}).model
    PerUnit(unit_amount=Decimal('1'), per=Decimal('1'))
    >>> parse_price({"model": "per_unit", "unit_amout": "1"})
    Traceback (most recent call last):
    ...
    rating.errors.PriceError: unit_amount: is missing. \
Remedy: write a number as text, such as "0.50".
    """
    key = repr(definition)
    price = _known.get(key)
    if price is None:
        with localcontext(CONTEXT):
            price = parse_fields(Fields(deepcopy(definition), parse_price=parse_fields))
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[key] = price
    return price


def parse_fields(fields: Fields) -> Price:
    """Return the price that fields describe; see :func:`parse_price`."""
    model = MODELS[fields.choice("model", MODELS)].parse(fields)
    steps = parse_steps(fields, model)
    version = fields.string("version", "")
    round_lines = fields.choice("rounding", ROUNDING, "total") == "lines"
    if round_lines and fields.path:
        raise fields.error("rounding", "is for the whole price", "write it at the top, not here")
    fields.finish()
    return Price(fields.definition, model, steps, version, round_lines)


def rate(price: Price, usage: Usage, currency: Currency) -> Charge:
    """Return what ``usage`` costs at ``price``, rounded once by ``currency``, with its explanation.

    The result does not depend on the caller's decimal context. Raises ``UsageError`` for a usage
    that lacks what the price looks at.

    >>> price = parse_price({"model": "per_unit", "unit_amount": "5.12345"})
    >>> charge = rate(price, Usage(quantity="10"), Currency("USD"))
    >>> charge.unrounded, charge.amount
    (Decimal('51.23450'), Decimal('51.23'))
    """
    with localcontext(CONTEXT):
        return _charge(price, price.run(usage, currency))


def rate_together(
    price: Price,
    usages: Iterable[tuple[dict, Usage]],
    currency: Currency,
    paid: Iterable[tuple[dict, Decimal]] = (),
) -> Charge:
    """Return one charge for several usages, such as fees of two periods on one invoice.

    ``usages`` are (label, usage); the steps of each are marked with its label. ``paid`` are
    (label, amount) that earlier invoices took for the same, and that are given back. What all
    cost is rounded once. The charge's quantity is that of the first usage.

    >>> price = parse_price({"model": "recurring", "amount": "10"})
    >>> fees = [({"period": "2026-01"}, Usage()), ({"period": "2026-02"}, Usage())]
    >>> rate_together(price, fees, Currency("USD")).amount
    Decimal('20.00')
    >>> rate_together(price, fees[:1], Currency("USD"), [({"period": "2026-01"}, Decimal(4))]).amount
    Decimal('6.00')
    """
    with localcontext(CONTEXT):
        usages = list(usages)
        whole = Work(usages[0][1] if usages else Usage(), currency)
        for label, usage in usages:
            whole.absorb(price.run(usage, currency), label)
        for label, amount in paid:
            whole.add(-amount, "paid_before", part=label)
        return _charge(price, whole)


def _charge(price: Price, work: Work) -> Charge:
    """Return the charge that the steps taken come to, rounded and explained."""
    currency, unrounded = work.currency, work.total()
    if price.round_lines:
        amount = sum([currency.round(line.net) for line in work.lines], currency.round(ZERO))
    else:
        amount = currency.round(unrounded)
    _explain_rounding(work, price, unrounded, amount)
    return Charge(
        work.usage.quantity,
        unrounded,
        amount,
        currency.code,
        price.version,
        work.explanation,
        tuple([line.net for line in work.lines]),
    )


def _explain_rounding(work: Work, price: Price, unrounded: Decimal, amount: Decimal):
    currency = work.currency
    work.note(
        "round",
        unrounded=text(unrounded),
        of="lines" if price.round_lines else "total",
        rounding=text(currency.rounding),
        mode=currency.mode,
        amount=format(amount, "f"),
    )
