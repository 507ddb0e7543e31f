#!/usr/bin/env python3
"""Checks the rating core against cases of other billing engines.

    python tests/rating/conformance.py FILE [--verbose]

``FILE`` is a list of cases ``{id, model, definition, usage, expected, note, source}``. A case says
what one engine makes of a usage. Its definition is put into a price of the core by its fields
(``cases/prices.py``), with the options that its engine implies; nothing here knows a single case.
The last line counts: ``N passed, M failed, K divergent, U unsupported``.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import loader  # noqa: F401 - makes the next imports possible
import rating
from cases import Unsupported, answer, same

#: Models of cases that the product answers differently on purpose, and why.
DIVERGENT: dict[str, str] = {}


@dataclass(frozen=True)
class Result:
    """The outcome of one case: passed, failed, divergent or unsupported, and why."""

    case: dict
    outcome: str
    reason: str = ""


def check(case: dict) -> Result:
    """Return the outcome of one case."""
    try:
        found = answer(case)
    except (Unsupported, KeyError, StopIteration, AttributeError) as error:
        return Result(case, "unsupported", f"{type(error).__name__}: {error}")
    except (rating.RatingError, ValueError, TypeError, ArithmeticError) as error:
        return Result(case, "failed", f"{type(error).__name__}: {error}")
    if same(case["expected"], found):
        return Result(case, "passed")
    if case["model"] in DIVERGENT:
        return Result(case, "divergent", DIVERGENT[case["model"]])
    shown = {name: str(value) for name, value in found.items()}
    return Result(case, "failed", f"expected {case['expected']}, found {shown}")


def check_file(path: str | Path) -> list[Result]:
    """Return the outcome of every case of a file."""
    return [check(case) for case in json.loads(Path(path).read_text())]


def summary(results: list[Result]) -> str:
    """Return the line that counts the outcomes."""
    outcomes = [result.outcome for result in results]
    names = ("passed", "failed", "divergent", "unsupported")
    return ", ".join(f"{outcomes.count(name)} {name}" for name in names)


def say(text: str):
    """Write a line for the person who runs this."""
    sys.stdout.write(f"{text}\n")


def main(arguments: list[str]) -> int:
    """Check a file and print what did not pass; return 1 if a case failed."""
    verbose = "--verbose" in arguments
    paths = [argument for argument in arguments if not argument.startswith("-")]
    if len(paths) != 1:
        say(__doc__)
        return 2
    results = check_file(paths[0])
    for result in results:
        if verbose or result.outcome != "passed":
            say(f"{result.outcome:12} {result.case['id']:40} {result.reason}")
    say(summary(results))
    return 1 if any(result.outcome in ("failed", "unsupported") for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
