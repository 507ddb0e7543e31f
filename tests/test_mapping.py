"""Assigning much at once: an account with very many held events, and very many accounts."""

from __future__ import annotations

import time

import pytest

from harness import product
from scenario.story import Meter

HELD = 100_000
ACCOUNTS = 1_200
LIMIT_SECONDS = 60


@pytest.fixture(scope="module")
def platform(environment):
    with product(environment, "mapping", ["usage_connector_base"]) as running:
        running.stage.create_meters((Meter("calls", "API Calls", "api.call", "call", "sum", "calls"),))
        yield running


class TestManyEvents:
    def test_an_account_with_100000_held_events(self, platform):
        """Nobody's, and half of them of a type that no meter counted: then both become known."""
        types = ("api.call", "gpu.session")
        events = (platform.event(subject="whale", type=types[n % 2], data={"calls": 1}) for n in range(HELD))
        assert platform.send(events)["quarantined"] == HELD
        platform.wait_counted()
        assert platform.staff["olga"].count("usage.event", [["state", "=", "held"]]) == HELD

        started = time.monotonic()
        platform.stage.create_meters((Meter("gpu", "GPU", "gpu.session", "call", "sum", "calls"),))
        platform.map_accounts(["whale"], "Whale Ltd")
        assert platform.quantity("calls", mapped=True) == (HELD / 2, HELD / 2)
        assert platform.quantity("gpu", mapped=True) == (HELD / 2, HELD / 2)
        seconds = time.monotonic() - started
        print(f"\n{HELD} held events of an account count for its customer after {seconds:.2f} s")

        assert platform.staff["olga"].count("usage.event", [["state", "=", "counted"]]) == HELD
        assert {held["state"] for held in platform.exceptions()} == {"resolved"}
        assert seconds < LIMIT_SECONDS

    def test_from_a_date(self, platform):
        """Dates decide event by event, and that takes no longer."""
        operator = platform.staff["olga"]
        [account] = operator.search("usage.account", [["external_id", "=", "whale"]])
        [partner] = operator.create("res.partner", [{"name": "Buyer Ltd"}])
        values = {"partner_id": partner, "account_ids": [[6, 0, [account]]], "date_from": "2026-05-04 11:00:00"}
        started = time.monotonic()
        [wizard] = operator.create("usage.account.map", [values])
        operator.call("usage.account.map", "action_map", [wizard])
        assert operator.count("usage.event", [["partner_id", "=", partner]]) == 0
        assert operator.count("usage.event", [["partner_id.name", "=", "Whale Ltd"]]) == HELD
        seconds = time.monotonic() - started
        print(f"\nreassigned from a date after {seconds:.2f} s")
        assert seconds < LIMIT_SECONDS


class TestManyAccounts:
    def test_in_the_background_with_progress(self, platform):
        operator = platform.staff["olga"]
        events = (platform.event(subject=f"tenant-{n}") for n in range(ACCOUNTS))
        assert platform.send(events)["quarantined"] == ACCOUNTS

        started = time.monotonic()
        platform.map_accounts([f"tenant-{n}" for n in range(ACCOUNTS)], "Many Ltd")
        answered = time.monotonic() - started
        seen = []
        while not seen or seen[-1]["state"] != "done":
            assert time.monotonic() - started < LIMIT_SECONDS, seen
            [mapping] = operator.read("usage.account.mapping", [], ["state", "progress", "done_count", "failed_count"])
            seen.append(mapping)
            time.sleep(0.1)
        seconds = time.monotonic() - started
        print(f"\n{ACCOUNTS} accounts: answered after {answered:.2f} s, assigned after {seconds:.2f} s")

        assert (seen[-1]["done_count"], seen[-1]["failed_count"], seen[-1]["progress"]) == (ACCOUNTS, 0, 100)
        assert any(0 < mapping["progress"] < 100 for mapping in seen)
        assert operator.count("usage.account", [["external_id", "like", "tenant-"], ["partner_id", "=", False]]) == 0
        assert operator.count("usage.exception", [["state", "=", "open"]]) == 0
