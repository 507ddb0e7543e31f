"""What `./setup/bench rating_run` compares is the same: the real run, and the floor beside it. Smaller."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import benchmarks

GROUPS = {"main": (3, 1), "young": (1, 1), "old": (1, 3)}
DATABASE = f"{os.environ.get('USAGE_TEST_DATABASE') or 'test'}_rating_run"
IN_ODOO = f"""
import json, sys
sys.path.insert(0, {str(Path(benchmarks.__file__).parents[1])!r})
from benchmarks import _rating
_rating.set_up(env, {GROUPS!r})
times = _rating.rounds(env, {list(GROUPS)!r}, 2)
_rating.rate(env, "main")
run = _rating.made(env)
_rating.delete(env)
_rating.create(env, *run)
print(json.dumps([times, len(run[0]), len(run[1]), _rating.made(env) == run]))
"""


@pytest.fixture(scope="module")
def found(environment):
    environment.create_database(DATABASE, ["usage_connector_base", "usage_billing", "usage_crm_signals"])
    yield json.loads(environment.shell(DATABASE, IN_ODOO).strip().splitlines()[-1])
    environment.drop_database(DATABASE)


def test_every_round_is_timed(found):
    times = found[0]
    assert list(times) == ["floor", *GROUPS]
    assert {len(seconds) for seconds in times.values()} == {2}


def test_the_floor_makes_what_the_run_makes(found):
    _times, statements, charges, same = found
    assert (statements, charges, same) == (3, 9, True)
