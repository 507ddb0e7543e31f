"""Requests a second with one event each, beside a route that answers a constant."""

from scenario import sender

from . import _ingest
from ._measure import Result, beside_floor

GROUP = "ingest"
UNIT = "requests/s"
ABOUT = "requests of one new event each over 2 client threads; floor: a route that answers a constant"

CLIENTS = 2
REQUESTS_A_CLIENT = 150
ROUNDS = 7

arena = _ingest.arena


def measure(arena: _ingest.Arena) -> Result:
    """Rounds of 300 requests each way; every body is made before the clock starts."""
    connections = [arena.connection() for _ in range(CLIENTS)]
    lanes: list[list[bytes]] = []

    def prepare() -> None:
        lanes[:] = [[arena.body(1) for _ in range(REQUESTS_A_CLIENT)] for _ in range(CLIENTS)]
        arena.settle()

    def send(path: str = sender.PATH) -> int:
        _ingest.post_all(connections, lanes, path, 1)
        return CLIENTS * REQUESTS_A_CLIENT

    return beside_floor(UNIT, send, lambda: send(_ingest.PATH_CONSTANT), ROUNDS, prepare)
