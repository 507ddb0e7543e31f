"""What a platform asks back, over real connections to a real server with several processes."""

from __future__ import annotations

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from urllib.parse import quote, urlencode, urlsplit

import pytest

from harness import product
from scenario.story import Customer, Meter

METERS = (
    Meter("calls", "API Calls", "api.call", "call", "sum", "calls", "region"),
    Meter("logins", "Logins", "login", "login", "count"),
)
CUSTOMERS = (Customer("Customer 1", "c1@example.com", "", ("acct-1", "acct-2")),)
RANGE = {"meter": "calls", "from": "2026-05-01", "to": "2026-06-01"}
FRESH_SECONDS = 10  # from the answer to visible usage; seconds at most, on any machine that runs this


@pytest.fixture(scope="module")
def platform(environment):
    with product(environment, "usage_test_queries", ["usage_connector_base"]) as running:
        running.stage.create_meters(METERS)
        running.stage.create_customers(CUSTOMERS)
        yield running


def get(platform, path, key=None, **parameters):
    """One request on a connection of its own: (status, answer)."""
    connection = http.client.HTTPConnection(urlsplit(platform.server.url).netloc, timeout=60)
    sent = {"Authorization": f"Bearer {platform.key if key is None else key}"}
    connection.request("GET", f"{path}?{urlencode(parameters)}" if parameters else path, headers=sent)
    response = connection.getresponse()
    content = response.read().decode()
    connection.close()
    return response.status, json.loads(content) if "json" in response.headers["Content-Type"] else content


def usage(platform, **parameters):
    """All rows, over as many pages as there are."""
    rows, cursor = [], {}
    while True:
        status, answer = get(platform, "/usage/v1/usage", **{**RANGE, **parameters, **cursor})
        assert status == 200, answer
        rows += answer["data"]
        if not answer["next_cursor"]:
            return rows
        cursor = {"cursor": answer["next_cursor"]}


def total(rows):
    return sum(Decimal(row["quantity"]) for row in rows), sum(row["events"] for row in rows)


def wait_for(found, seconds=FRESH_SECONDS):
    """Seconds until ``found()``."""
    started = time.monotonic()
    while not found():
        assert time.monotonic() < started + seconds, f"not within {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - started


class TestFreshness:
    def test_usage_shows_within_seconds(self, platform):
        before = total(usage(platform))
        platform.send([platform.event() for _ in range(100)])
        wait_for(lambda: total(usage(platform)) == (before[0] + 200, before[1] + 100))

    def test_an_event_is_known_at_once_and_counted_soon(self, platform):
        event = platform.event()
        platform.send([event])
        status, answer = get(platform, f"/usage/v1/events/{event['id']}")
        assert (status, answer["id"]) == (200, event["id"])
        assert answer["state"] in ("waiting", "counted")
        wait_for(lambda: get(platform, f"/usage/v1/events/{event['id']}")[1]["state"] == "counted")

    def test_an_account_that_is_mapped_shows_at_once(self, platform):
        event = platform.event(subject="newcomer")
        platform.send([event])
        assert get(platform, f"/usage/v1/events/{event['id']}")[1]["code"] == "account_unmapped"
        platform.map_accounts(["newcomer"], "A Newcomer")
        wait_for(lambda: get(platform, f"/usage/v1/events/{event['id']}")[1]["state"] == "counted")


class TestWhileOthersSend:
    """Readers neither hold writers up nor see half of anything."""

    def test_reading_while_sending(self, platform):
        before = total(usage(platform))
        batches = [[platform.event(subject=f"acct-{n % 2 + 1}") for n in range(200)] for _ in range(20)]
        with ThreadPoolExecutor(3) as pool:
            sending = pool.map(platform.send, batches)
            seen = [total(usage(platform, granularity="hour", limit=1)) for _ in range(10)]
            assert all(answer["accepted"] == 200 for answer in sending)
        assert seen == sorted(seen), "usage only grows"
        assert all(quantity == 2 * events for quantity, events in ((q - before[0], e - before[1]) for q, e in seen))
        wait_for(lambda: total(usage(platform)) == (before[0] + 8000, before[1] + 4000))

    def test_every_event_of_a_batch_can_be_asked_for(self, platform):
        events = [platform.event(id=f"asked/for {number}?") for number in range(40)]
        platform.send(events)
        with ThreadPoolExecutor(4) as pool:
            answers = list(
                pool.map(lambda event: get(platform, f"/usage/v1/events/{quote(event['id'], safe='')}"), events)
            )
        assert [status for status, _answer in answers] == [200] * 40
        assert [answer["id"] for _status, answer in answers] == [event["id"] for event in events]


class TestAgainstTheDatabase:
    """The same figures, however they are asked for."""

    def test_all_ways_to_cut_time(self, platform):
        times = [
            f"2026-05-{day:02}T{hour:02}:{minute:02}:00Z"
            for day in (1, 15, 31)
            for hour in (0, 7, 18, 23)
            for minute in (5, 35)
        ]
        platform.send([platform.event(time=time_text, data={"calls": 0.1, "region": "us"}) for time_text in times])
        quantity, _events = platform.quantity("calls")
        expected = {
            total(usage(platform, granularity=g, tz=tz, **{"from": "2026-04-01", "to": "2026-07-01"}))
            for g in ("hour", "day", "month")
            for tz in ("UTC", "America/New_York", "Asia/Kolkata")
        }
        assert {found[0] for found in expected} == {quantity}
        assert len(expected) == 1

    def test_a_part_of_the_range(self, platform):
        platform.wait_counted()
        found = platform.query(
            "SELECT sum((data->>'calls')::numeric) FROM usage_event WHERE type = 'api.call' "
            "AND time >= '2026-05-01 18:10' AND time < '2026-05-15 18:20'"
        )
        window = {"from": "2026-05-01T18:10:00Z", "to": "2026-05-15T18:20:00Z"}
        assert total(usage(platform, **window))[0] == Decimal(found)


class TestOperations:
    def test_health_needs_no_key(self, platform):
        status, answer = get(platform, "/usage/v1/health", key="")
        assert (status, answer["status"]) == (200, "ok")
        assert answer["fold_lag_seconds"] < FRESH_SECONDS

    def test_counters_add_up(self, platform):
        before = self.events(platform)
        good, bad = platform.event(), platform.event(time="yesterday")
        platform.post([good, bad])
        platform.post([good])
        after = self.events(platform)
        assert {name: after[name] - before[name] for name in after} == {
            "accepted": 1,
            "duplicate": 1,
            "conflict": 0,
            "quarantined": 0,
            "rejected": 1,
        }

    def test_counters_are_those_of_the_batches(self, platform):
        found = platform.query("SELECT sum(accepted_count), sum(duplicate_count), sum(rejected_count) FROM usage_batch")
        events = self.events(platform)
        assert found == "|".join(str(events[name]) for name in ("accepted", "duplicate", "rejected"))

    def test_metrics_need_a_key(self, platform):
        assert get(platform, "/usage/v1/metrics", key="wrong")[0] == 401

    def events(self, platform):
        """Events by outcome, as Prometheus would read them."""
        status, text = get(platform, "/usage/v1/metrics")
        assert status == 200
        lines = [line for line in text.splitlines() if line.startswith("usage_events_total{")]
        return {line.split('outcome="')[1].split('"')[0]: int(line.rsplit(" ", 1)[1]) for line in lines}
