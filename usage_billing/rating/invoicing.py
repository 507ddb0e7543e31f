"""From charges to an invoice: sums, deltas, true-ups, tax and what credits pay."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext

from .decimals import CONTEXT, HUNDRED, ZERO, quotient, to_decimal
from .values import Currency, Share


def subtotal(amounts: Iterable[Decimal], currency: Currency, rounding: str = "lines") -> Decimal:
    """Return unrounded amounts added up: each rounded first (``lines``), or their sum (``total``).

    >>> amounts = ["10.333333"] * 3
    >>> subtotal(amounts, Currency("USD")), subtotal(amounts, Currency("USD"), "total")
    (Decimal('30.99'), Decimal('31.00'))
    """
    with localcontext(CONTEXT):
        numbers = [to_decimal(amount) for amount in amounts]
        if rounding == "lines":
            return sum([currency.round(number) for number in numbers], currency.round(ZERO))
        return currency.round(sum(numbers, ZERO))


def delta(should_be: Decimal, billed: Decimal) -> Decimal:
    """Return what rating a billed period again adds to it (or gives back, below zero).

    >>> delta(Decimal("37.10"), Decimal("5.70"))
    Decimal('31.40')
    """
    return CONTEXT.subtract(to_decimal(should_be), to_decimal(billed))


def true_up(
    committed: Decimal,
    spent: Iterable[Decimal],
    currency: Currency,
    share: Share | None = None,
    rounding: str = "lines",
) -> Decimal:
    """Return what is due of a commitment over several charges: what they did not spend of it.

    For a contract, ``spent`` are the amounts of all its periods. ``share`` takes commitment and
    amounts for a part of the period; with ``rounding`` ``lines`` each is rounded before they are
    subtracted, as it stands on the invoice, with ``total`` only the difference is.

    >>> true_up(10000, [1000], Currency("USD"), Share(5, 7))
    Decimal('6428.57')
    """
    with localcontext(CONTEXT):
        parts = [share.of(to_decimal(x)) if share else to_decimal(x) for x in (committed, *spent)]
        if rounding == "lines":
            parts = [currency.round(part) for part in parts]
        return currency.round(max(parts[0] - sum(parts[1:], ZERO), ZERO))


@dataclass(frozen=True, slots=True)
class Taxed:
    """An amount without tax, its tax, and both together, all rounded."""

    untaxed: Decimal
    tax: Decimal

    @property
    def total(self) -> Decimal:
        """The amount with tax."""
        return CONTEXT.add(self.untaxed, self.tax)


def taxed(amount: Decimal, percent: Decimal, currency: Currency, base: str = "rounded") -> Taxed:
    """Return an unrounded amount with its tax, taken of the ``rounded`` or the ``precise`` amount.

    >>> taxed(Decimal("193.3333"), 25, Currency("USD"), "precise").total
    Decimal('241.66')
    """
    with localcontext(CONTEXT):
        untaxed = currency.round(to_decimal(amount))
        of = untaxed if base == "rounded" else to_decimal(amount)
        return Taxed(untaxed, currency.round(quotient(of * to_decimal(percent), HUNDRED)))


@dataclass(frozen=True, slots=True)
class Paid:
    """What credits pay of lines: by line and credit, in all, and what is left due."""

    by_line: tuple[tuple[Decimal, ...], ...]
    used: Decimal
    due: Decimal


def pay(lines: Iterable[Decimal], credits: Iterable[Decimal]) -> Paid:
    """Pay lines from credits, both in their order; a credit may pay a part of several lines.

    ``by_line`` has, for each line, what each credit that pays it gives. Nothing is paid of a line
    of zero or less, and no more is used than is due: credit is never created.

    >>> paid = pay([100, 50], [75, 75])
    >>> [[str(amount) for amount in line] for line in paid.by_line], str(paid.due)
    ([['75', '25'], ['50']], '0')
    """
    left = [to_decimal(credit) for credit in credits]
    by_line, due = [], ZERO
    with localcontext(CONTEXT):
        available = sum(left, ZERO)
        for amount in lines:
            parts = _pay_line(to_decimal(amount), left)
            by_line.append(parts)
            due += to_decimal(amount) - sum(parts, ZERO)
        return Paid(tuple(by_line), available - sum(left, ZERO), due)


def _pay_line(amount: Decimal, left: list[Decimal]) -> tuple[Decimal, ...]:
    """Return what each credit pays of one line, and lower what is left of the credits."""
    parts = []
    for number, credit in enumerate(left):
        part = min(amount, credit)
        if part > ZERO:
            left[number] -= part
            amount -= part
            parts.append(part)
    return tuple(parts)
