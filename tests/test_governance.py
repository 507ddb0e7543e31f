"""Limits of sources over real connections to several server processes."""

from __future__ import annotations

import json
import time
import xmlrpc.client
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from conftest import Client

from harness import BATCH, product
from scenario.story import Meter

METERS = (Meter("calls", "API Calls", "api.call", "call", "sum", "calls", "region"),)


@pytest.fixture(scope="module")
def platform(environment):
    with product(environment, "governance", ["usage_connector_base"]) as running:
        running.stage.create_meters(METERS)
        yield running


@pytest.fixture(scope="module")
def admin(platform):
    return Client(platform.server.url, platform.server.database)


def post_at_once(platform, bodies):
    """Send each body once over a connection of its own, all at the same moment.

    :return: list of (status, answer, Retry-After)
    """
    barrier = Barrier(len(bodies))

    def post(body):
        connection = platform.connection()
        barrier.wait()
        status, answer, headers = connection.post(body, BATCH)
        return status, answer, headers.get("Retry-After")

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(post, [json.dumps(body).encode() for body in bodies]))


class TestRateLimit:
    """One limit for a source, whichever process answers."""

    RATE, BURST, SIZE = 20, 200, 25

    @pytest.fixture(autouse=True)
    def limited(self, platform):
        source = [platform.stage.source_id]
        limit = {"rate_limit": self.RATE, "rate_unit": "second", "rate_burst": self.BURST}
        platform.staff["ada"].call("usage.source", "write", source, limit)
        yield
        platform.staff["ada"].call("usage.source", "write", source, {"rate_limit": 0})

    def test_of_all_processes_together(self, platform):
        before, started = platform.stored(), time.monotonic()
        bodies = [[platform.event() for _ in range(self.SIZE)] for _ in range(20)]
        answers = post_at_once(platform, bodies)
        elapsed = time.monotonic() - started
        taken = [answer for status, answer, _later in answers if status == 200]
        refused = [(answer, later) for status, answer, later in answers if status == 429]
        assert len(taken) + len(refused) == len(bodies)
        stored = platform.stored() - before
        assert stored == len(taken) * self.SIZE
        # What the bucket held, and what ran into it meanwhile; nothing is lost to requests at the same moment.
        assert self.BURST <= stored <= self.BURST + self.RATE * elapsed + self.SIZE
        for answer, later in refused:
            assert answer["error"]["code"] == "rate_limited"
            assert 1 <= int(later) <= 2 + self.BURST / self.RATE

    def test_senders_that_wait_get_everything_through(self, platform):
        before = platform.stored()
        bodies = [[platform.event() for _ in range(self.SIZE)] for _ in range(4)]
        platform.send_at_once(*bodies)
        assert platform.stored() - before == 4 * self.SIZE

    def test_refusals_are_for_a_person_to_see(self, platform):
        [found] = platform.exceptions(reason="rate_limited")
        assert found["state"] == "open"
        assert int(platform.query("SELECT count(*) FROM usage_batch WHERE refusal_code = 'rate_limited'")) > 0


class TestBackPressure:
    """While counting stands still, senders are held off before too much waits; then it goes on by itself."""

    LIMIT = 2000

    def switch(self, admin, active):
        """Stop the job that counts, or let it go on; not while it runs."""
        [job] = admin(
            "ir.cron", "search", [["cron_name", "=", "Usage: count new events"], ["active", "in", [True, False]]]
        )
        for _ in range(60):
            try:
                return admin("ir.cron", "write", [job], {"active": active})
            except xmlrpc.client.Fault:
                time.sleep(0.5)
        raise AssertionError("the job runs without end")

    def health(self, platform):
        connection = platform.connection()._http
        connection.request("GET", "/usage/v1/health")
        return connection.getresponse().read().decode()

    def test_counting_stands_still(self, platform, admin):
        platform.wait_counted()
        admin("ir.config_parameter", "set_param", "usage.max_waiting_events", str(self.LIMIT))
        self.switch(admin, active=False)
        try:
            statuses = []
            for _ in range(40):
                statuses.append(platform.post([platform.event() for _ in range(100)])[0])
                time.sleep(0.1)  # each process looks once a second how much waits
            assert statuses[:5] == [200] * 5
            assert 503 in statuses
            waiting = platform.query("SELECT sum(event_count) FROM usage_batch WHERE folded_at IS NULL")
            assert self.LIMIT <= int(waiting) < 2 * self.LIMIT
            status, answer = platform.post([platform.event()])
            assert (status, answer["error"]["code"]) == (503, "queue_full")
            assert '"full"' in self.health(platform)
        finally:
            self.switch(admin, active=True)
        held_off = platform.event()
        deadline = time.monotonic() + 90
        while platform.post([held_off])[0] != 200:
            assert time.monotonic() < deadline, "it does not recover by itself"
            time.sleep(1)
        platform.wait_counted(wake=True)
        assert '"ok"' in self.health(platform)
        assert platform.stored(held_off["id"]) == 1
