"""Events a second of batches that are sent a second time, beside the first time."""

from __future__ import annotations

from collections.abc import Callable

from scenario import sender

from . import _ingest
from ._measure import Result, beside_floor
from .ingest_batch_1000 import BATCH, BATCHES_A_CLIENT, ROUNDS

GROUP = "ingest"
ABOUT = "the same batches of 1,000 once more; floor: the first time, which is ingest_batch_1000"

RATIO = 1.0

arena = _ingest.arena


def measure(arena: _ingest.Arena) -> Result:
    """Rounds of 8,000 new events, and of all of them again."""
    lanes: list[list[bytes]] = []

    def first() -> Callable[[], int]:
        lanes[:] = arena.lanes(BATCH, BATCHES_A_CLIENT)
        return arena.send(lanes, BATCH)

    def again() -> Callable[[], int]:
        return arena.send(lanes, BATCH, sender.PATH, "duplicate")

    return beside_floor("events/s", RATIO, again, first, ROUNDS)
