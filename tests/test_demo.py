"""`./setup/demo` as a person runs it: what it prints, what it serves, how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

import traces
from environment import free_port

DEMO = str(Path(__file__).resolve().parents[1] / "setup/demo")

# What the invented month comes to, on whatever day it is run.
FIGURES = {
    "events_sent": 94_983,
    "accepted": 93_370,
    "duplicate": 1_125,
    "conflict": 24,
    "quarantined": 400,
    "rejected": 64,
    "statements": 188,
    "invoices_posted": 188,
    "amount_untaxed": "65689.17",
    "opportunities": 35,
    "activities": 57,
    "reconciliation_difference": "0.00",
}


def run(*arguments: str) -> dict:
    """Run the demo to its end and return the object on its last line."""
    done = subprocess.run([DEMO, *arguments, "--no-serve", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def serving(*arguments: str):
    """A demo that serves: yields the object it printed and the process, ended by Ctrl-C."""
    words = [DEMO, *arguments, "--json", "--port", str(free_port())]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            printed = process.stdout.readline()
            assert printed, process.stderr.read()[-3000:]
            yield json.loads(printed), process
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


def post(url: str, key: str, event: dict) -> dict:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/cloudevents+json"}
    request = urllib.request.Request(url, json.dumps(event).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_the_invented_month_comes_to_the_same_figures_every_time(environment):
    assert run() == FIGURES


def test_empty_serves_one_source_and_leaves_nothing_running(environment, shared_data):
    with serving("--empty") as (facts, process):
        answer = post(facts["endpoint"], facts["key"], next(traces.llm_events()) | {"time": None})
        assert (answer["quarantined"], answer["events"][0]["code"]) == (1, "meter_unknown")
    assert process.returncode == 0
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(facts["url"], timeout=5)


def test_anybodys_events_are_billed(environment, shared_data, tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text("".join(f"{json.dumps(event)}\n" for event in traces.llm_events()))
    figures = run("--events", str(path))
    assert (figures["events_sent"], figures["accepted"]) == (19_366, 19_366)
    assert (figures["statements"], figures["invoices_posted"]) == (1, 1)
    # Both meters at 0.50 per million: 11.180935 and 2.0443325, each rounded once.
    assert figures["amount_untaxed"] == "13.22"
    assert figures["reconciliation_difference"] == "0.00"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--events", "nowhere.jsonl"], "nowhere.jsonl: No such file"),
        (["--port", "0"], "--port 0 is no port"),
        (["--empty", "--events", "x"], "--empty takes no --events"),
        (["--faster"], "unrecognized arguments: --faster"),
    ],
)
def test_mistakes_are_named_at_once(environment, arguments, problem):
    done = subprocess.run([DEMO, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert problem in done.stderr


def test_a_taken_port_is_named_before_anything_is_made(environment):
    with serving("--empty") as (facts, _process):
        port = facts["url"].rpartition(":")[2]
        done = subprocess.run([DEMO, "--port", port], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"Port {port} is taken." in done.stderr
