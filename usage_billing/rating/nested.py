"""Prices inside a price: parts of the usage, each rated by a price of its own."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from .values import Record, Usage
from .work import Work

#: A :class:`rating.price.Price`; not imported here, because prices import the models.
NestedPrice = Any


def rate_parts(work: Work, lots: dict, prices: list[tuple[dict, NestedPrice]], in_force=None):
    """Rate lots of records (see :func:`lots_of`), each by the price of its number.

    ``prices`` are (label, price). Lines and explanation go to ``work``, each step marked with the
    label of its part. ``in_force(number, at)`` says whether a price is in force at an instant.
    """
    for number in sorted(lots):
        label, price = prices[number]
        part = work.usage.part(*lots[number], in_force=in_force and partial(in_force, number))
        billed_amount = billed_before(work, price, part)
        work.absorb(price.run(replace(part, billed_amount=billed_amount), work.currency), label)


def lots_of(usage: Usage, choose: Callable[[Record], Any]) -> dict[Any, tuple[list, list]]:
    """Return the records sorted by ``choose``: by what it returns, new ones and billed ones."""
    lots: dict[Any, tuple[list, list]] = {}
    for which, records in enumerate((records_of(usage), usage.billed_records)):
        for record in records:
            lots.setdefault(choose(record), ([], []))[which].append(record)
    return lots


def billed_before(work: Work, price: NestedPrice, part: Usage):
    """Return what earlier invoices of the period took for a part, by rating their records."""
    earlier = work.usage.part(part.billed_records, (), final=False)
    return price.run(earlier, work.currency).total() if part.billed_records else part.billed_amount


def records_of(usage: Usage) -> tuple[Record, ...]:
    """Return the records of a usage, or one record that stands for its quantity."""
    if usage.records or not usage.quantity:
        return usage.records
    return (Record(usage.quantity),)
