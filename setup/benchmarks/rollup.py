"""How fast stored events are counted, beside how fast they come in."""

from __future__ import annotations

import statistics

from . import _ingest
from ._measure import Result, at_least, rate
from .ingest_batch_1000 import BATCH, BATCHES_A_CLIENT

GROUP = "ingest"
ABOUT = "events a second folded into hours, two meters counting each; floor: ingest_batch_1000, counting meanwhile"

ROUNDS = 7
LOT = 2 * BATCHES_A_CLIENT  # batches folded in one transaction: as many as the floor sends in one round
RATIO = 2

arena = _ingest.arena


def measure(arena: _ingest.Arena) -> Result:
    """Rounds of 8,000 events taken in, then as many that were left to wait."""
    taken_in = ingest_rate(arena, ROUNDS)
    return at_least(RATIO, rollup_rate(arena, ROUNDS), taken_in, "events/s", rounds=ROUNDS)


def ingest_rate(arena: _ingest.Arena, rounds: int) -> float:
    """Median events a second, as `ingest_batch_1000` measures its value."""
    rates = [rate(arena.ingest(BATCH, BATCHES_A_CLIENT)) for _ in range(rounds + 1)]
    return statistics.median(rates[1:])


def rollup_rate(arena: _ingest.Arena, rounds: int) -> float:
    """Median events a second of one process that does nothing but count."""
    with arena.uncounted():
        _ingest.post_all(arena.connections(), arena.lanes(BATCH, BATCHES_A_CLIENT * (rounds + 1)), BATCH)
        lots = arena.fold(LOT)
    return statistics.median(count * BATCH / seconds for count, seconds in lots[1:])
