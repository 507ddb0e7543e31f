"""How long the slowest of many small batches take, beside the usual one: no stalls."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import environment
from scenario.sender import Connection

from . import _ingest
from ._measure import Result, percentile

GROUP = "ingest"
ABOUT = "p99 of batches of 100 events from 2 parallel senders; floor: their median"

BATCH = 100
BATCHES_A_CLIENT = 500
WARM_UPS = 20  # batches of each client that are not looked at
TIMES = 5

arena = _ingest.arena


def measure(arena: _ingest.Arena) -> Result:
    """Times of 1,000 batches, from the request to its answer."""
    lanes = arena.lanes(BATCH, WARM_UPS + BATCHES_A_CLIENT)
    arena.settle()
    with ThreadPoolExecutor(len(lanes)) as pool:
        timed = list(pool.map(_drive, arena.connections(), lanes))
    times = [seconds * 1000 for lane in timed for seconds in lane[WARM_UPS:]]
    median, p99 = statistics.median(times), percentile(times, 99)
    more = {"batches": len(times), "slowest": round(max(times), 1)}
    return Result(p99, "ms", f"ratio < {TIMES}", p99 < TIMES * median, median, more)


def _drive(connection: Connection, bodies: list[bytes]) -> list[float]:
    """Send a lane's bodies one after the other; return how many seconds each took."""
    times = []
    for body in bodies:
        started = time.perf_counter()
        status, answer, _headers = connection.post(body)
        times.append(time.perf_counter() - started)
        if status != 200 or answer["accepted"] != BATCH:
            raise environment.Failure(f"Answered {status}: {str(answer)[:1000]}")
    return times
