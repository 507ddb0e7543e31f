"""Subscriptions of three meters rated a second, beside creating the same statements and charges."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import environment

from ._measure import Result

GROUP = "rating_run"
ABOUT = "subscriptions of 3 meters rated; floor: bulk create of the same statements and charges; 36 months of history"

DATABASE = "usage_bench_rating_run"
# By name of the group: how many subscriptions, and how many months of hourly usage and statements each has.
# As many as the scheduled job takes at once; and few with a history, beside as few without.
GROUPS = {"main": (100, 1), "young": (20, 1), "old": (20, 36)}
ROUNDS = 9
RATIO = 0.7
MOST_WITH_HISTORY = 1.15  # times what it takes without: noise

IN_ODOO = f"""
import json, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from benchmarks import _rating
"""


@contextmanager
def arena() -> Iterator[environment.Environment]:
    """A database of its own with the subscriptions, their usage and history, gone again at the end."""
    with environment.prepare() as env, environment.cache.lock(env.cache / "bench.lock", "another benchmark runs"):
        env.create_database(DATABASE, ["usage_billing"])
        try:
            with environment.step("Subscriptions of three meters, some with three years of history"):
                env.shell(DATABASE, f"{IN_ODOO}_rating.set_up(env, {GROUPS!r})")
            yield env
        finally:
            env.drop_database(DATABASE)


def measure(env: environment.Environment) -> Result:
    """Rounds of the floor, the run, and runs without and with history, in turn, after a warm-up."""
    printed = env.shell(DATABASE, f"{IN_ODOO}print(json.dumps(_rating.rounds(env, {list(GROUPS)!r}, {ROUNDS + 1})))")
    times = json.loads(printed.strip().splitlines()[-1])
    return result({name: seconds[1:] for name, seconds in times.items()})


def result(times: dict[str, list[float]]) -> Result:
    """What rounds come to.

    :param times: seconds of each round of "floor", "main", "young" and "old"
    """
    count = GROUPS["main"][0]
    value, floor = (count / statistics.median(times[name]) for name in ("main", "floor"))
    rounds = list(zip(times["floor"], times["main"], strict=True))
    history = statistics.median(old / young for old, young in zip(times["old"], times["young"], strict=True))
    more = {
        "rounds": len(rounds),
        "ratio_lowest": round(min(least / seconds for least, seconds in rounds), 3),
        "ratio_highest": round(max(least / seconds for least, seconds in rounds), 3),
        "ms_with_1_month": _milliseconds(times, "young"),
        "ms_with_36_months": _milliseconds(times, "old"),
        "history": round(history, 3),
    }
    holds = value / floor >= RATIO and history <= MOST_WITH_HISTORY
    bound = f"ratio >= {RATIO}, 36 months of history <= {MOST_WITH_HISTORY} × 1 month"
    return Result(value, "subs/s", bound, holds, floor, more)


def _milliseconds(times: dict[str, list[float]], group: str) -> float:
    """What one subscription of a group takes."""
    return round(1000 * statistics.median(times[group]) / GROUPS[group][0], 2)
