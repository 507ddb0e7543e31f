"""Requests a second with one event each, beside a route that answers a constant."""

from __future__ import annotations

from collections.abc import Callable

from . import _ingest
from ._measure import Result, beside_floor

GROUP = "ingest"
ABOUT = "requests of one new event each over 2 client threads; floor: a route that answers a constant"

REQUESTS_A_CLIENT = 150
ROUNDS = 9
RATIO = 0.7

arena = _ingest.arena


def measure(arena: _ingest.Arena) -> Result:
    """Rounds of 300 requests each way; every body is made before the clock starts."""

    def constant() -> Callable[[], int]:
        return arena.send(arena.lanes(1, REQUESTS_A_CLIENT), 1, _ingest.PATH_CONSTANT)

    return beside_floor("requests/s", RATIO, lambda: arena.ingest(1, REQUESTS_A_CLIENT), constant, ROUNDS)
