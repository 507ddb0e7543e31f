"""Finds the benchmarks of this folder, selects some by name or group, and runs them."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from ._measure import Result


def all_benchmarks() -> list[ModuleType]:
    """Every benchmark, by group and name."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    modules = [importlib.import_module(f"{__package__}.{name}") for name in names]
    return sorted(modules, key=lambda module: (is_large(module), module.GROUP, name_of(module)))


def name_of(benchmark: ModuleType) -> str:
    return benchmark.__name__.rpartition(".")[2]


def is_large(benchmark: ModuleType) -> bool:
    """Whether it takes so long that it runs only when asked for."""
    return hasattr(benchmark, "EVENTS")


def select(names: list[str], large: bool = False) -> list[ModuleType]:
    """The benchmarks of these names and groups; when `names` is empty all, the large ones only with `large`.

    :raises LookupError: a name that is none, with those that are
    """
    benchmarks = all_benchmarks()
    known = {name for benchmark in benchmarks for name in (name_of(benchmark), benchmark.GROUP)}
    unknown = sorted(set(names) - known)
    if unknown:
        raise LookupError(f"No benchmark {', '.join(unknown)}: there are {', '.join(sorted(known))}.")
    if names:
        return [b for b in benchmarks if {name_of(b), b.GROUP} & set(names)]
    return [b for b in benchmarks if large or not is_large(b)]


def run(benchmarks: list[ModuleType], events: int | None = None) -> Iterator[tuple[str, Result]]:
    """Measure one benchmark after the other, each group in one arena.

    :param events: how many events the large ones take, instead of their own number
    """
    for _group, some in itertools.groupby(benchmarks, key=lambda benchmark: benchmark.GROUP):
        members = list(some)
        with members[0].arena() as arena:
            for benchmark in members:
                counts = [events or benchmark.EVENTS] if is_large(benchmark) else []
                yield name_of(benchmark), benchmark.measure(arena, *counts)
