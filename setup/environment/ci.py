"""The stages of .odoo-ci.yml: which of them to run, and what came of them."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from . import stages
from .console import Failure, say
from .odoo import REPO, Environment, prepare

CONFIG = REPO / ".odoo-ci.yml"
EXPLANATION = """Run the checks of .odoo-ci.yml, all of them or those named.

The last line is `N passed, N failed, N skipped`; anything failed or skipped makes the exit code 1.
Full logs are kept in the cache folder."""
EXAMPLES = """what can be named:
  a stage             {stages}
  an addon            {addons}: its own tests
  Odoo test tags      /usage_billing:TestStatement.test_approval
  a file, a test      tests/test_server.py, tests/test_server.py::test_restart

--nightly: the rating stage with at least 10,000 examples of every property, which takes long; -k picks some of them.
--conformance FILE, alone: hold the rating core against a file of pricing cases."""


@dataclass
class Selection:
    """What to run: stages by name, addons, Odoo test tags, pytest paths, pytest's -k; or what runs at night."""

    stages: list[str]
    addons: list[str]
    tags: list[str]
    paths: list[str]
    keyword: str | None
    nightly: bool


def read_config() -> dict:
    """Return .odoo-ci.yml as it stands."""
    return yaml.safe_load(CONFIG.read_text())


def main(arguments: list[str]) -> int:
    """Run what `arguments` select and return the exit code."""
    config = read_config()
    if arguments[:1] == ["--conformance"]:
        return conformance(arguments[1:])
    plan = planned(config, parse(config, arguments))
    with prepare(browser=any(stage.get("chromium") for stage in plan.values())) as env:
        require_versions(config, env)
        total = stages.Counts()
        for name, stage in plan.items():
            total += run_stage(env, config, name, stage)
    if total == stages.Counts():
        say("error: nothing was run")
    print(total, flush=True)
    return 0 if total.good else 1


def conformance(files: list[str]) -> int:
    """Hold the rating core against files of pricing cases; the last line counts them by outcome."""
    return subprocess.run([sys.executable, REPO / "tests/rating/conformance.py", *files], check=False).returncode


def parse(config: dict, arguments: list[str]) -> Selection:
    """Sort the command line's words into a Selection; exit with the usage for a word nobody knows."""
    examples = EXAMPLES.format(stages=", ".join(config["stages"]), addons=", ".join(config["addons"]))
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("setup/test", description=EXPLANATION, epilog=examples, formatter_class=form)
    parser.add_argument("what", nargs="*", help="stages, addons, Odoo test tags or test files; default: everything")
    parser.add_argument("-k", dest="keyword", metavar="EXPR", help="pytest: only tests whose name matches")
    parser.add_argument("--nightly", action="store_true", help="the rating stage with at least 10,000 examples each")
    options = parser.parse_args(arguments)
    if options.nightly and options.what:
        parser.error(f"--nightly runs the rating stage alone: leave out {' '.join(options.what)}, or pick with -k")
    chosen = Selection([], [], [], [], options.keyword, options.nightly)
    for word in options.what:
        place = _place(config, chosen, word)
        if place is None:
            parser.error(f"{word} is no stage, addon, test tag or test file")
        place.append(word)
    return chosen


def _place(config: dict, chosen: Selection, word: str) -> list | None:
    if word in config["stages"]:
        return chosen.stages
    if word in config["addons"]:
        return chosen.addons
    if word.startswith("/") and not Path(word).exists():
        return chosen.tags
    return chosen.paths if Path(word.split("::")[0]).exists() else None


def planned(config: dict, chosen: Selection) -> dict[str, dict]:
    """Return the stages to run, by name, narrowed to the selection."""
    everything = config["stages"]
    if chosen.nightly:
        nights = {name: {**stage, **stage["nightly"]} for name, stage in everything.items() if "nightly" in stage}
        return {name: {**stage, "keyword": chosen.keyword} for name, stage in nights.items()}
    plan = {name: everything[name] for name in everything if name in chosen.stages}
    if chosen.addons or chosen.tags:
        plan["addons"] = {**everything["addons"], "only": chosen.addons, "tags": chosen.tags}
    if chosen.paths:
        plan["files"] = {"runs": "pytest", "minutes": 30, "paths": chosen.paths}
    if not plan:
        wanted = {"pytest"} if chosen.keyword else {stage["runs"] for stage in everything.values()}
        plan = {name: stage for name, stage in everything.items() if stage["runs"] in wanted}
    return {name: {**stage, "keyword": chosen.keyword} for name, stage in plan.items()}


def require_versions(config: dict, env: Environment) -> None:
    """Raise Failure when this machine is older than what the configuration promises to run on."""
    if env.cluster.major < config["postgresql"]:
        raise Failure(
            f"PostgreSQL {env.cluster.major} is older than {config['postgresql']}.",
            "Install a newer one beside it; the newest is used.",
        )


def run_stage(env: Environment, config: dict, name: str, stage: dict) -> stages.Counts:
    """Run one stage, print its result line and return its counts; a stage that breaks off counts as failed."""
    started = time.monotonic()
    say(f"== {name}")
    job = Job(env, config, name, stage, env.cache / f"logs/test-{name}.log")
    try:
        counts = stages.RUNNERS[stage["runs"]](job)
    except Failure as failure:
        say(f"error: {failure}")
        counts = stages.Counts(failed=1)
    if counts == stages.Counts() and not stage["keyword"]:
        say("error: nothing was run")
        counts = stages.Counts(failed=1)
    print(f"{name}: {counts} ({time.monotonic() - started:.0f} s)", flush=True)
    return counts


@dataclass
class Job:
    """One stage at work: where, with which settings, and where its log goes."""

    env: Environment
    config: dict
    name: str
    stage: dict
    log: Path

    @property
    def seconds(self) -> float:
        """How long the stage may take."""
        return self.stage["minutes"] * 60

    def run(self, words: list[str], show: bool = False, **variables: str) -> int:
        """Run a program, its output in the log or, with `show`, on the terminal; return its exit code.

        The program and what it started are gone afterwards, also when time ran out (Failure).
        """
        self.log.parent.mkdir(exist_ok=True)
        environment = {**self.env.variables(), **variables}
        with contextlib.ExitStack() as stack:
            output = None if show else stack.enter_context(self.log.open("wb"))
            program = subprocess.Popen(
                words, env=environment, cwd=REPO, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
            try:
                return program.wait(self.seconds)
            except subprocess.TimeoutExpired:
                raise self._too_slow() from None
            finally:
                end_group(program)

    def _too_slow(self) -> Failure:
        last = self.log.read_text(errors="replace").splitlines()[-1:] if self.log.exists() else []
        problem = "\n".join([f"{self.name} took more than {self.stage['minutes']} minutes.", *last])
        return Failure(problem, f"Read {self.log}; the limit is in {CONFIG.name}.")


def end_group(program: subprocess.Popen) -> None:
    """End a program and all of its children, giving it half a minute to tidy up."""
    if program.poll() is None:
        program.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()
