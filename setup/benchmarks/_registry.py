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
    return sorted(modules, key=lambda module: (module.GROUP, name_of(module)))


def name_of(benchmark: ModuleType) -> str:
    return benchmark.__name__.rpartition(".")[2]


def select(names: list[str]) -> list[ModuleType]:
    """The benchmarks of these names and groups, all of them when `names` is empty.

    :raises LookupError: a name that is none, with those that are
    """
    benchmarks = all_benchmarks()
    known = {name for benchmark in benchmarks for name in (name_of(benchmark), benchmark.GROUP)}
    unknown = sorted(set(names) - known)
    if unknown:
        raise LookupError(f"No benchmark {', '.join(unknown)}: there are {', '.join(sorted(known))}.")
    return [b for b in benchmarks if not names or {name_of(b), b.GROUP} & set(names)]


def run(benchmarks: list[ModuleType]) -> Iterator[tuple[str, Result]]:
    """Measure one benchmark after the other, each group in one arena."""
    for _group, some in itertools.groupby(benchmarks, key=lambda benchmark: benchmark.GROUP):
        members = list(some)
        with members[0].arena() as arena:
            for benchmark in members:
                yield name_of(benchmark), benchmark.measure(arena)
