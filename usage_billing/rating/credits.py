"""Prepaid credit: grants, the order in which usage burns them, and what is left.

Usage burns grants in the order priority (the lower number first) → expiry (the sooner first) →
age (the older first). What no grant covers is overage; the next grant to become available is
burned for it first. A grant is available from ``effective_at`` until it expires or is voided,
half-open: usage at the moment of expiry burns it no more.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, localcontext
from heapq import heappop, heappush
from typing import NamedTuple

from .decimals import CONTEXT, ZERO, set_decimals, to_decimal
from .periods import moment

# What happens at one moment, in this order: grants end, credit is renewed or starts, a reset cuts
# balances, and only then usage burns what is there.
END, RENEW, START, RESET, USE = range(5)


@dataclass(frozen=True, slots=True)
class Grant:
    """Credit in money or in units; times are naive UTC.

    ``every`` (day, week, month, year) renews a recurring grant to its amount, plus at most
    ``rollover`` of what was left, at ``anchor + n × every`` (``anchor``: effective_at unless
    told). A reset leaves at most ``reset_maximum`` and at least ``reset_minimum`` of the balance.
    """

    id: str
    amount: Decimal
    effective_at: datetime
    expires_at: datetime | None = None
    voided_at: datetime | None = None
    priority: int = 1
    every: str | None = None
    anchor: datetime | None = None
    rollover: Decimal = ZERO
    reset_maximum: Decimal | None = None
    reset_minimum: Decimal = ZERO

    def __post_init__(self):
        set_decimals(self, "amount", "rollover", "reset_maximum", "reset_minimum")
        if self.amount < ZERO:
            raise ValueError(f"grant {self.id}: the amount cannot be negative")

    @property
    def ends_at(self) -> datetime | None:
        """The first moment at which the grant is no longer available, None if there is none."""
        ends = [end for end in (self.expires_at, self.voided_at) if end]
        return min(ends) if ends else None

    def order(self) -> tuple:
        """Return the place of the grant among those that usage burns."""
        expiry = self.expires_at or datetime.max
        return self.priority, expiry, self.effective_at, str(self.id)

    def renewals(self, until: datetime) -> Iterator[datetime]:
        """Yield the moments after it became effective, up to ``until``, at which it is renewed."""
        if not self.every:
            return
        end, n = self.ends_at or datetime.max, 0
        anchor = self.anchor or self.effective_at
        while moment(anchor, self.every, n) > self.effective_at:
            n -= 1
        while (at := moment(anchor, self.every, n)) <= until and at < end:
            if at > self.effective_at:
                yield at
            n += 1


class Entry(NamedTuple):
    """One movement of a grant: burned by usage (or by earlier overage), below zero."""

    at: datetime
    grant_id: str
    amount: Decimal
    reason: str


@dataclass(slots=True)
class Ledger:
    """Balances by grant, the overage no grant has covered, and what burned them."""

    balances: dict[str, Decimal] = field(default_factory=dict)
    overage: Decimal = ZERO
    entries: list[Entry] = field(default_factory=list)

    @property
    def balance(self) -> Decimal:
        """What is left of all grants together."""
        return CONTEXT.create_decimal(sum(self.balances.values(), ZERO))


def burn_down(
    grants: Iterable[Grant],
    usage: Iterable[tuple[datetime, Decimal]],
    until: datetime,
    resets: Iterable[datetime] = (),
    keep_overage: bool = True,
) -> Ledger:
    """Return what is left of grants at ``until`` after usage, resets and renewals up to then.

    ``usage`` is (time, quantity) in any order; ``keep_overage`` says whether a reset keeps it.
    Raises ``ValueError`` for negative usage, which would create credit.

    >>> t0 = datetime(2026, 1, 1)
    >>> grants = [Grant("a", 100, t0, priority=1), Grant("b", 100, t0, priority=2)]
    >>> ledger = burn_down(grants, [(t0, 120)], until=datetime(2026, 2, 1))
    >>> [str(balance) for balance in ledger.balances.values()], str(ledger.overage)
    (['0', '80'], '0')
    """
    with localcontext(CONTEXT):
        run = _Run(grants, keep_overage)
        events = sorted(run.events(usage, until, resets), key=lambda event: event[:2])
        for at, kind, what in events:
            run.handle(at, kind, what)
        run.settle()
        return run.ledger


def burned(grants: Iterable[Grant], usage: Iterable[tuple[datetime, Decimal]]) -> dict[str, Decimal]:
    """Return what usage takes of each grant, by its id; grants that it leaves alone are not in it.

    >>> t0 = datetime(2026, 1, 1)
    >>> burned([Grant("a", 100, t0, priority=1), Grant("b", 100, t0, priority=2)], [(t0, 120)])
    {'a': Decimal('100'), 'b': Decimal('20')}
    """
    usage = list(usage)
    if not usage:
        return {}
    used: dict[str, Decimal] = {}
    for entry in burn_down(grants, usage, until=max(at for at, _quantity in usage)).entries:
        used[entry.grant_id] = CONTEXT.subtract(used.get(entry.grant_id, ZERO), entry.amount)
    return used


class _Run:
    """One pass through time: a heap of available grants in burning order, and the ledger."""

    def __init__(self, grants: Iterable[Grant], keep_overage: bool):
        self.grants = list(grants)
        self.keep_overage = keep_overage
        self.ledger = Ledger({grant.id: ZERO for grant in self.grants})
        self.heap: list[tuple] = []
        self.now = datetime.min
        self.handlers = {
            END: self.end,
            RENEW: self.renew,
            START: self.start,
            RESET: self.reset,
            USE: self.use,
        }

    def events(self, usage: Iterable, until: datetime, resets: Iterable) -> Iterator[tuple]:
        """Yield (time, kind, what) of everything that happens up to ``until``, in any order."""
        for grant in self.grants:
            yield from self._life(grant, until)
        for at in resets:
            if at <= until:
                yield at, RESET, None
        for at, quantity in usage:
            if to_decimal(quantity) < ZERO:
                raise ValueError("usage cannot be negative: it would create credit")
            if at <= until:
                yield at, USE, to_decimal(quantity)

    def _life(self, grant: Grant, until: datetime) -> Iterator[tuple]:
        end = grant.ends_at
        if grant.effective_at > until or (end and end <= grant.effective_at):
            return
        yield grant.effective_at, START, grant
        for at in grant.renewals(until):
            yield at, RENEW, grant
        if end and end <= until:
            yield end, END, grant

    def handle(self, at: datetime, kind: int, what):
        """Let one thing happen.

        Overage is settled once all that happens to grants at a moment has happened, so that it
        burns them in their order, not in the order in which they came to be.
        """
        if kind == USE or at != self.now:
            self.settle()
        self.now = at
        self.handlers[kind](at, what)

    def settle(self):
        """Let the grants that are available cover earlier overage."""
        if self.ledger.overage:
            self.ledger.overage = self._burn(self.now, self.ledger.overage, "overage")

    def start(self, at: datetime, grant: Grant):
        """Make a grant available."""
        self._fill(grant, grant.amount)

    def renew(self, at: datetime, grant: Grant):
        """Fill a recurring grant again; what was left is lost but for what rolls over."""
        left = min(self.ledger.balances[grant.id], grant.rollover)
        self._fill(grant, grant.amount + left)

    def end(self, at: datetime, grant: Grant):
        """Take an expired or voided grant out."""
        self.ledger.balances[grant.id] = ZERO

    def reset(self, at: datetime, _what):
        """Cut every available balance to what rolls over; overage stays or is forgiven."""
        if not self.keep_overage:
            self.ledger.overage = ZERO
        for grant in self.grants:
            if _available(grant, at):
                self._fill(grant, self._rolled_over(grant))

    def _rolled_over(self, grant: Grant) -> Decimal:
        balance = max(self.ledger.balances[grant.id], grant.reset_minimum)
        most = grant.reset_maximum
        return balance if most is None else min(balance, most)

    def use(self, at: datetime, quantity: Decimal):
        """Burn grants for usage."""
        self.ledger.overage += self._burn(at, quantity, "usage")

    def _fill(self, grant: Grant, balance: Decimal):
        self.ledger.balances[grant.id] = balance
        heappush(self.heap, (grant.order(), grant.id))

    def _burn(self, at: datetime, quantity: Decimal, reason: str) -> Decimal:
        """Burn grants in their order, and return what none of them covers."""
        balances = self.ledger.balances
        while quantity and self.heap:
            grant_id = self.heap[0][1]
            part = min(quantity, balances[grant_id])
            if part:
                balances[grant_id] -= part
                quantity -= part
                self.ledger.entries.append(Entry(at, grant_id, -part, reason))
            if not balances[grant_id]:
                heappop(self.heap)
        return quantity


def _available(grant: Grant, at: datetime) -> bool:
    end = grant.ends_at
    return grant.effective_at <= at and (end is None or at < end)


def draw(balance: Decimal, due: Decimal) -> tuple[Decimal, Decimal]:
    """Return what a balance pays of an amount that is due, and the balance left.

    >>> draw(Decimal("39.00"), Decimal("17.72"))
    (Decimal('17.72'), Decimal('21.28'))
    """
    drawn = max(min(balance, due), ZERO)
    return drawn, CONTEXT.subtract(balance, drawn)


def ongoing_balance(settled: Decimal, *unsettled: Decimal) -> Decimal:
    """Return a settled balance less what is on its way: live usage and invoices in draft.

    It may be below zero: more is on its way than there is.

    >>> ongoing_balance(Decimal("10.00"), Decimal("5.00"), Decimal("6.00"))
    Decimal('-1.00')
    """
    with localcontext(CONTEXT):
        return settled - sum(unsettled, ZERO)
