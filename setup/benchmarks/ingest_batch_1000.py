"""Events a second in batches of 1,000 over two connections, beside a bare INSERT of the same bodies."""

from __future__ import annotations

from collections.abc import Callable

from . import _ingest
from ._measure import Result, beside_floor

GROUP = "ingest"
ABOUT = "batches of 1,000 new events over 2 client threads; floor: one bare INSERT … SELECT from the JSON"

BATCH = 1000
BATCHES_A_CLIENT = 4
ROUNDS = 9
RATIO = 0.5

arena = _ingest.arena


def measure(arena: _ingest.Arena) -> Result:
    """Rounds of 8,000 new events each way; every body is made before the clock starts."""

    def bare() -> Callable[[], int]:
        return arena.send(arena.lanes(BATCH, BATCHES_A_CLIENT), BATCH, _ingest.PATH_INSERT)

    return beside_floor("events/s", RATIO, lambda: arena.ingest(BATCH, BATCHES_A_CLIENT), bare, ROUNDS)
