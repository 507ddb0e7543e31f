"""Measuring beside a floor: rounds of both in turn, so that a noisy machine troubles both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

WARM_UPS = 1


@dataclass(frozen=True)
class Result:
    """`value` and `floor` in `unit`; `more` are further fields of the printed row."""

    value: float
    unit: str
    floor: float
    more: dict = field(default_factory=dict)

    def row(self, name: str) -> dict:
        """What is printed as one JSON object."""
        return {
            "name": name,
            "value": round(self.value, 1),
            "unit": self.unit,
            "floor": round(self.floor, 1),
            "ratio": round(self.value / self.floor, 3),
            **self.more,
        }


def rate(work: Callable[[], int]) -> float:
    """How many a second `work` does; it returns how many it did."""
    started = time.perf_counter()
    count = work()
    return count / (time.perf_counter() - started)


def beside_floor(
    unit: str,
    value_round: Callable[[], int],
    floor_round: Callable[[], int],
    rounds: int,
    settle: Callable[[], None] = lambda: None,
) -> Result:
    """Medians of `rounds` rounds of each, in turn, after a warm-up of both.

    :param value_round: does its work once and returns how many things it did
    :param settle: called before each round, to let what the last one left behind be done
    """
    values, floors = [], []
    for _ in range(WARM_UPS + rounds):
        for rates, work in ((values, value_round), (floors, floor_round)):
            settle()
            rates.append(rate(work))
    values, floors = values[WARM_UPS:], floors[WARM_UPS:]
    spread = [round(value / floor, 3) for value, floor in zip(values, floors, strict=True)]
    more = {"rounds": rounds, "ratio_lowest": min(spread), "ratio_highest": max(spread)}
    return Result(statistics.median(values), unit, statistics.median(floors), more)
