"""How each kind of stage is run and its results counted."""

from __future__ import annotations

import os
import re
import shlex
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, replace

import yaml

from .console import Failure, say, step
from .odoo import REPO, addons, free_port, split

HOOKS = REPO / ".pre-commit-config.yaml"
RECORD = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ \d+ (?P<level>[A-Z]+) (?P<db>\S+) (?P<logger>\S+): (?P<text>.*)")
RESULT = re.compile(r"(\d+) failed, (\d+) error\(s\) of (\d+) tests")
SKIPPED = re.compile(r"^skipped \S+ : ")
HOOK_LINES = 80  # of a failing hook's output
SUMMARIES = ("odoo.modules.loading", "odoo.tests.result")  # what they repeat of failed tests is known by then
BAD = ("WARNING", "ERROR", "CRITICAL")


@dataclass
class Counts:
    """How many checks passed, failed and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"

    @property
    def good(self) -> bool:
        """Something passed; nothing failed, and nothing was skipped: a skipped test proves nothing."""
        return bool(self.passed) and not self.failed and not self.skipped


def hooks(job) -> Counts:
    """Run the hooks of .pre-commit-config.yaml; each counts as one check."""
    counts = Counts()
    for repository in yaml.safe_load(HOOKS.read_text())["repos"]:
        for hook in repository["hooks"]:
            counts += _hook(job, hook)
    return counts


def _hook(job, hook: dict) -> Counts:
    own = replace(job, log=job.log.with_stem(f"{job.log.stem}-{hook['id']}"))
    with step(hook["name"]):
        code = own.run(shlex.split(hook["entry"]))
    if code == 0:
        return Counts(passed=1)
    found = own.log.read_text(errors="replace").splitlines()
    cut = [f"… {len(found) - HOOK_LINES} more lines in {own.log}"] if len(found) > HOOK_LINES else []
    say("\n".join([f"FAILED {hook['name']}: {hook['entry']}", *found[:HOOK_LINES], *cut]))
    return Counts(failed=1)


def pytest(job) -> Counts:
    """Run pytest on the stage's paths and count from its JUnit report."""
    stage, report = job.stage, job.log.with_suffix(".xml")
    report.unlink(missing_ok=True)
    words = [str(job.env.python), "-m", "pytest", "-ra", f"--junit-xml={report}", *stage["paths"]]
    words += [f"--ignore={path}" for path in stage.get("ignore", ())]
    for option, key in (("-m", "marker"), ("-k", "keyword"), ("--hypothesis-profile", "profile")):
        words += [option, stage[key]] if stage.get(key) else []
    code = job.run(words, show=True, PYTHONDONTWRITEBYTECODE="1")
    if not report.exists():
        raise Failure(f"pytest ended with {code} and without a report.")
    return _read_report(report)


def _read_report(report) -> Counts:
    suite = ET.parse(report).getroot().find("testsuite")
    total, failures, errors, skipped = (int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped"))
    failed = failures + errors
    return Counts(max(total - failed - skipped, 0), failed, skipped)


def odoo(job) -> Counts:
    """Install addons with Odoo's test runner on, in a database made for it, and count from the log."""
    wanted = job.stage.get("only") or [*job.config["addons"]]
    missing = set(wanted) - set(addons())
    if missing:
        raise Failure(f"Not in this repository: {', '.join(sorted(missing))}")
    database, extra = f"test_{job.name}", job.stage.get("with")
    demo = job.stage.get("demo", False)
    # With other addons to try ours on, ours are there already; otherwise they are installed under test.
    job.env.create_database(database, wanted if extra else split(wanted)[1], demo)
    tags = job.stage.get("tags") or [f"/{addon}" for addon in wanted]
    with step("Testing", lambda: _progress(job.log)):
        job.run(_command(job.env, database, extra or wanted, tags, demo))
    return read_log(job)


def _command(env, database: str, modules: list[str], tags: list[str], demo: bool) -> list[str]:
    flags = ["--with-demo"] if demo else []
    install = ("-i", ",".join(modules), f"--test-tags={','.join(tags)}")
    return env.command("-d", database, *install, *flags, "--stop-after-init", f"--http-port={free_port()}")


def _progress(log) -> str:
    return f"({log.read_bytes().count(b': Starting ')} tests)" if log.exists() else ""


def read_log(job) -> Counts:
    """Count the tests in Odoo's log, show what went wrong; a warning outside of tests counts as a failure."""
    records = list(read_records(job.log))
    results = [match for record in records if (match := RESULT.search(record["text"]))]
    if not results:
        raise Failure(
            f"Odoo ended without a result:\n{job.log.read_text(errors='replace')[-4000:]}", f"Read {job.log}."
        )
    failures, errors, total = map(int, results[-1].groups())
    failed = failures + errors
    skips = [record for record in records if SKIPPED.match(record["text"])]
    bad = [record for record in records if _is_bad(record, job.config["accepted_warnings"])]
    for record in bad + skips:
        if not (failed and record["logger"] in SUMMARIES):
            say(record["whole"])
    unclean = 1 if bad and not failed else 0
    return Counts(max(total - failed - len(skips), 0), failed + unclean, len(skips))


def _is_bad(record: dict, accepted: list[str]) -> bool:
    return record["level"] in BAD and not any(re.search(pattern, record["whole"]) for pattern in accepted)


def read_records(log) -> Iterator[dict]:
    """Yield the records of an Odoo log: level, db, logger, text (first line) and whole (all lines)."""
    record = None
    for line in log.read_text(errors="replace").splitlines():
        match = RECORD.match(line)
        if match:
            if record:
                yield record
            record = {**match.groupdict(), "whole": line}
        elif record:
            record["whole"] += os.linesep + line
    if record:
        yield record


RUNNERS = {"hooks": hooks, "odoo": odoo, "pytest": pytest}
