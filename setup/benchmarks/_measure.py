"""Measuring beside a floor: rounds of both in turn, so that a noisy machine troubles both."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

WARM_UPS = 1


@dataclass(frozen=True)
class Result:
    """`value` and, where there is one, its `floor`, both in `unit`.

    `bound` says what must be, `holds` whether it is; `more` are further fields of the printed row.
    """

    value: float
    unit: str
    bound: str
    holds: bool
    floor: float | None = None
    more: dict = field(default_factory=dict)

    def row(self, name: str) -> dict:
        """What is printed as one JSON object."""
        row = {"name": name, "value": _short(self.value), "unit": self.unit}
        if self.floor is not None:
            row |= {"floor": _short(self.floor), "ratio": round(self.value / self.floor, 3)}
        return {**row, "bound": self.bound, "holds": self.holds, **self.more}


def _short(value: float) -> float:
    return round(value, 1 if abs(value) >= 100 else 3)


def rate(work: Callable[[], int]) -> float:
    """How many a second `work` does; it returns how many it did."""
    started = time.perf_counter()
    count = work()
    return count / (time.perf_counter() - started)


def at_least(ratio: float, value: float, floor: float, unit: str, **more) -> Result:
    """A result that holds when `value` is `ratio` of its floor or more."""
    return Result(value, unit, f"ratio >= {ratio}", value / floor >= ratio, floor, more)


def beside_floor(
    unit: str,
    ratio: float,
    prepare_value: Callable[[], Callable[[], int]],
    prepare_floor: Callable[[], Callable[[], int]],
    rounds: int,
) -> Result:
    """Medians of `rounds` rounds of each, in turn and the floor first, after a warm-up of both.

    :param ratio: what value / floor must be at least
    :param prepare_value: gets one round ready and returns the work to be timed, which does it and
        returns how many things it did; `prepare_floor` does the same for the floor
    """
    values, floors = [], []
    for _ in range(WARM_UPS + rounds):
        for rates, prepare in ((floors, prepare_floor), (values, prepare_value)):
            rates.append(rate(prepare()))
    values, floors = values[WARM_UPS:], floors[WARM_UPS:]
    spread = [round(value / floor, 3) for value, floor in zip(values, floors, strict=True)]
    more = {"rounds": rounds, "ratio_lowest": min(spread), "ratio_highest": max(spread)}
    return at_least(ratio, statistics.median(values), statistics.median(floors), unit, **more)


def percentile(values: list[float], percent: float) -> float:
    """The smallest of `values` that `percent` percent of them do not exceed.

    >>> percentile([4, 1, 3, 2], 50), percentile([4, 1, 3, 2], 99)
    (2, 4)
    """
    return sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1]
