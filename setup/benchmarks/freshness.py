"""How long after its answer an event shows in the usage API, while events keep coming."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import environment
from scenario.sender import Connection

from . import _ingest
from ._measure import Result, percentile

GROUP = "ingest"
ABOUT = "p99 seconds from the answer to visible in GET /usage/v1/usage, at 5,000 events a second for a minute"

RATE = 5000
SECONDS = 60
BATCH = 500
LOOK_SECONDS = 0.2  # between two looks at a lane's usage: what is seen late counts as late
WAIT_SECONDS = 30  # for the last events to show
P99_SECONDS = 5.0
KEPT_RATE = 0.99  # of RATE, or the figures tell of an easier task

arena = _ingest.arena


class Lane:
    """One client, each of whose batches holds one event of an account that no other batch has.

    Batches of a lane are stored, and so counted, in their order: when the account shows n events, the first n
    batches are visible.
    """

    def __init__(self, arena: _ingest.Arena, connection: Connection, number: int):
        self.account = _ingest.account_name(_ingest.ACCOUNTS - 1 - number)
        others = _ingest.ACCOUNTS - _ingest.CLIENTS
        self._bodies = [arena.body(BATCH, others, ({"subject": self.account},)) for _ in range(batches_a_lane())]
        self._arena = arena
        self._connection = connection
        self._before = self._visible()
        self.answered: list[float] = []
        self.seen: list[float] = []

    def send(self, start: float) -> None:
        """Send the bodies at their times, from the monotonic time `start` on."""
        for number, body in enumerate(self._bodies):
            time.sleep(max(start + number * SECONDS / len(self._bodies) - time.monotonic(), 0))
            status, answer, _headers = self._connection.post(body)
            self.answered.append(time.monotonic())
            if status != 200 or answer["accepted"] != BATCH:
                raise environment.Failure(f"Answered {status}: {str(answer)[:1000]}")

    def look(self, sent: threading.Event) -> None:
        """Note when batches become visible, until all are, or `WAIT_SECONDS` after the last was sent."""
        deadline = None
        while len(self.seen) < len(self._bodies):
            visible = self._visible() - self._before
            self.seen += [time.monotonic()] * (visible - len(self.seen))
            if sent.is_set():
                deadline = deadline or time.monotonic() + WAIT_SECONDS
                if time.monotonic() > deadline:
                    return
            time.sleep(LOOK_SECONDS)

    def delays(self) -> list[float]:
        """Seconds from the answer to visible, of each batch."""
        missing = [self.answered[-1] + WAIT_SECONDS] * (len(self.answered) - len(self.seen))
        return [seen - answered for seen, answered in zip(self.seen + missing, self.answered, strict=True)]

    def _visible(self) -> int:
        """How many events of the lane's account the usage API tells of."""
        span = {"from": "2000-01-01", "to": "2100-01-01", "granularity": "month"}
        answer = self._arena.get("/usage/v1/usage", meter="input_tokens", account=self.account, **span)
        return sum(row["events"] for row in answer["data"])


def batches_a_lane() -> int:
    return RATE * SECONDS // BATCH // _ingest.CLIENTS


def measure(arena: _ingest.Arena) -> Result:
    """600 batches at their times, with one looker for each of the two lanes."""
    arena.settle()
    with environment.step("Writing the bodies"):
        lanes = [Lane(arena, connection, number) for number, connection in enumerate(arena.connections())]
    sent = threading.Event()
    with ThreadPoolExecutor(2 * len(lanes)) as pool:
        start = time.monotonic()
        lookers = [pool.submit(lane.look, sent) for lane in lanes]
        senders = [pool.submit(lane.send, start) for lane in lanes]
        try:
            for sender in senders:
                sender.result()
        finally:
            sent.set()
        for looker in lookers:
            looker.result()
    events = BATCH * sum(len(lane.answered) for lane in lanes)
    kept = events / max(max(lane.answered[-1] for lane in lanes) - start, SECONDS)
    delays = [delay for lane in lanes for delay in lane.delays()]
    p99 = percentile(delays, 99)
    more = {"rate": round(kept), "median": round(percentile(delays, 50), 3), "slowest": round(max(delays), 3)}
    return Result(p99, "s", f"<= {P99_SECONDS:g} s", p99 <= P99_SECONDS and kept >= KEPT_RATE * RATE, more=more)
