"""Nothing lost, nothing twice, no conflict overlooked: `./setup/bench faults`, smaller."""

from __future__ import annotations

import os

from benchmarks import _faults

EVENTS = 50_000
KILLS = 8
DATABASE = f"{os.environ.get('USAGE_TEST_DATABASE') or 'test'}_faults"


def test_senders_while_server_cron_and_postgresql_are_killed():
    outcome = _faults.run_trial(DATABASE, EVENTS, KILLS)
    assert outcome.kills == KILLS
    assert (outcome.lost, outcome.double, outcome.conflicts_missed, outcome.wrong_quantities) == (0, 0, 0, 0)
    assert outcome.conflicts > EVENTS * _faults.CONFLICTS / 2  # there was something to overlook
