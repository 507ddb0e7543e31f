"""Whether anything is lost, counted twice or overlooked while processes are killed: see `_faults`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from . import _faults
from ._measure import Result

GROUP = "faults"
ABOUT = "8 senders with retries, duplicates and conflicts, while 50 processes of server and PostgreSQL are killed"

EVENTS = 1_000_000
KILLS = 50


@contextmanager
def arena() -> Iterator[None]:
    """Nothing: a trial makes its own."""
    yield


def measure(_arena: None, events: int) -> Result:
    started = time.perf_counter()
    outcome = _faults.run_trial(_faults.DATABASE, events, KILLS)
    rate = events / (time.perf_counter() - started)
    bound = f"{KILLS} kills; lost, double, conflicts_missed and wrong_quantities 0"
    return Result(rate, "events/s", bound, outcome.good and outcome.kills == KILLS, more=asdict(outcome))
