"""What a scenario consists of, without Odoo: meters, plans, customers, accounts, dates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

Event = dict
"""One CloudEvent as the dictionary that is sent (or something malformed on purpose)."""


@dataclass(frozen=True)
class Meter:
    """What is counted, and the service it is invoiced as.

    `aggregation` is `sum` (of `value_path` inside `data`) or `count`; `dimensions` are
    dotted names inside `data`, separated by commas.
    """

    code: str
    name: str
    event_type: str
    unit: str
    aggregation: str = "sum"
    value_path: str = ""
    dimensions: str = ""


@dataclass(frozen=True)
class Tier:
    """One step of a graduated price; `up_to` 0 stands for "no upper limit"."""

    up_to: str
    unit_amount: str
    flat_amount: str = "0"


@dataclass(frozen=True)
class Price:
    """The price of one meter in one plan; every number is a decimal string."""

    meter: str
    model: str
    unit_amount: str = "0"
    per: str = "1"
    package_size: str = "0"
    package_amount: str = "0"
    included: str = "0"
    tiers: tuple[Tier, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A price list for usage."""

    code: str
    name: str
    prices: tuple[Price, ...]


@dataclass(frozen=True)
class Customer:
    """A company with one subscription and the platform's accounts that are theirs."""

    name: str
    email: str
    plan: str
    accounts: tuple[str, ...]


@dataclass(frozen=True)
class Story:
    """All that must exist in Odoo before the first event arrives, and when things happen.

    `start` is the first billed instant, `until` the instant at which statements are prepared
    (periods that have ended by then are billed), `detected` the moments at which signals are
    looked for, in order; all naive UTC.
    """

    meters: tuple[Meter, ...]
    plans: tuple[Plan, ...]
    customers: tuple[Customer, ...]
    start: datetime
    until: datetime
    detected: tuple[datetime, ...]


def batches(events: Iterable[Event], size: int) -> Iterator[list[Event]]:
    """Cut `events` into lists of `size`, the last one shorter."""
    batch: list[Event] = []
    for event in events:
        batch.append(event)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
