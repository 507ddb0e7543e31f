"""Events a second in batches of 1,000 over two connections, beside a bare INSERT of the same bodies."""

from scenario import sender

from . import _ingest
from ._measure import Result, beside_floor

GROUP = "ingest"
UNIT = "events/s"
ABOUT = "batches of 1,000 new events over 2 client threads; floor: one bare INSERT … SELECT from the JSON"

CLIENTS = 2
BATCH = 1000
BATCHES_A_CLIENT = 4
ROUNDS = 7

arena = _ingest.arena


def measure(arena: _ingest.Arena) -> Result:
    """Rounds of 8,000 new events each way; every body is made before the clock starts."""
    connections = [arena.connection() for _ in range(CLIENTS)]
    lanes: list[list[bytes]] = []

    def prepare() -> None:
        lanes[:] = [[arena.body(BATCH) for _ in range(BATCHES_A_CLIENT)] for _ in range(CLIENTS)]
        arena.settle()

    def send(path: str = sender.PATH) -> int:
        _ingest.post_all(connections, lanes, path, BATCH)
        return CLIENTS * BATCHES_A_CLIENT * BATCH

    return beside_floor(UNIT, send, lambda: send(_ingest.PATH_INSERT), ROUNDS, prepare)
