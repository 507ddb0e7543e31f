"""The benchmarks' own arithmetic: a wrong yardstick would go unnoticed."""

from __future__ import annotations

import datetime
import itertools
from collections import Counter

import pytest

from benchmarks import _faults, _measure, _registry, rating_run

NOW = datetime.datetime(2026, 5, 4, 10, 0)


class TestResult:
    def test_a_ratio_at_its_bound_holds(self):
        row = _measure.at_least(0.5, 50, 100, "events/s", rounds=3).row("ingest")
        expected = {"name": "ingest", "value": 50, "unit": "events/s", "floor": 100, "ratio": 0.5}
        assert row == {**expected, "bound": "ratio >= 0.5", "holds": True, "rounds": 3}

    def test_a_ratio_below_its_bound_does_not(self):
        assert not _measure.at_least(0.5, 49.9, 100, "events/s").holds

    def test_without_a_floor_there_is_no_ratio(self):
        row = _measure.Result(1.23456, "s", "<= 5 s", True).row("freshness")
        assert row == {"name": "freshness", "value": 1.235, "unit": "s", "bound": "<= 5 s", "holds": True}

    def test_rounds_take_turns_and_the_warm_up_does_not_count(self):
        calls = []

        def preparing(name):
            def prepare():
                calls.append(name)
                return lambda: 10

            return prepare

        result = _measure.beside_floor("events/s", 0.0, preparing("value"), preparing("floor"), rounds=2)
        assert calls == ["floor", "value"] * 3
        assert result.more["rounds"] == 2

    def test_the_row_has_the_ratio_of_the_medians(self):
        result = _measure.beside_floor("things/s", 0.0, lambda: lambda: 1, lambda: lambda: 1, rounds=1)
        row = result.row("name")
        assert list(row)[:5] == ["name", "value", "unit", "floor", "ratio"]
        assert row["ratio"] == pytest.approx(result.value / result.floor, abs=0.001)


class TestRatingRun:
    """What rounds of the rating run come to."""

    @staticmethod
    def result(main=0.125, old=0.11):
        times = {"floor": [0.2, 0.1, 0.1], "main": [0.2, main, main], "young": [0.2, 0.1, 0.1], "old": [0.1, old, old]}
        return rating_run.result(times)

    def test_the_row(self):
        row = self.result().row("rating_run")
        assert {name: row[name] for name in ("value", "floor", "ratio", "holds")} == {
            "value": 800,
            "floor": 1000,
            "ratio": 0.8,
            "holds": True,
        }
        assert (row["ratio_lowest"], row["ratio_highest"], row["rounds"]) == (0.8, 1, 3)
        assert (row["ms_with_1_month"], row["ms_with_36_months"], row["history"]) == (5, 5.5, 1.1)

    def test_too_slow_beside_the_floor(self):
        assert not self.result(main=0.15).holds

    def test_slower_with_history(self):
        assert not self.result(old=0.12).holds


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 50), (99, 99), (100, 100)])
def test_percentiles(percent, expected):
    assert _measure.percentile(list(range(100, 0, -1)), percent) == expected


class TestSelection:
    def test_large_ones_only_when_asked_for(self):
        large = {_registry.name_of(benchmark) for benchmark in _registry.select([], large=True)}
        usual = {_registry.name_of(benchmark) for benchmark in _registry.select([])}
        assert large - usual == {"growth", "faults"}
        assert [_registry.name_of(benchmark) for benchmark in _registry.select(["faults"])] == ["faults"]

    def test_a_name_that_is_none(self):
        with pytest.raises(LookupError, match="ingest_p99"):
            _registry.select(["ingest_p9"])


class TestLedger:
    """What a sender of the fault test sends, and remembers."""

    EVENTS = 20_000

    @pytest.fixture(scope="class")
    @classmethod
    def lane(cls):
        return _faults.Lane(3, cls.EVENTS, NOW)

    @pytest.fixture(scope="class")
    @classmethod
    def batches(cls, lane):
        return list(lane.batches())

    def test_every_event_is_sent(self, lane, batches):
        ids = {event["id"] for batch in batches for event in batch}
        assert ids == {lane.event_id(number) for number in range(self.EVENTS)}

    def test_shares_of_retries_duplicates_and_conflicts(self, lane, batches):
        fresh = self.EVENTS / _faults.BATCH
        retried = sum(batch is before for before, batch in itertools.pairwise(batches))
        assert retried / fresh == pytest.approx(_faults.RETRIES, abs=0.1)
        assert len(batches[-1]) == _faults.BATCH * (1 + _faults.DUPLICATES + _faults.CONFLICTS)
        assert len(lane.conflicting) == pytest.approx(self.EVENTS * _faults.CONFLICTS, rel=0.1)

    def test_the_first_content_is_that_of_the_ledger(self, lane, batches):
        seen = {}
        for event in (event for batch in batches for event in batch):
            seen.setdefault(event["id"], event)
        for number in range(0, self.EVENTS, 97):
            account, _time, _model, input_tokens, _output_tokens = lane.facts(number)
            first = seen[lane.event_id(number)]
            assert (first["subject"], first["data"]["usage"]["input_tokens"]) == (account, input_tokens)

    def test_only_conflicting_events_have_two_contents(self, lane, batches):
        contents = {}
        for event in (event for batch in batches for event in batch):
            contents.setdefault(event["id"], set()).add(event["data"]["usage"]["input_tokens"])
        twofold = {event_id for event_id, tokens in contents.items() if len(tokens) > 1}
        assert twofold == {lane.event_id(number) for number in lane.conflicting}
        assert Counter(map(len, contents.values())).keys() == {1, 2}
