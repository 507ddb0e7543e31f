"""Senders that keep a ledger, while the processes that serve them are killed: what was lost, what counts twice?

Every event is sent at least once and told apart by its id. Of all batches 20 % are sent again after they were
answered, as by a client whose answer got lost; every batch also holds events that were answered before: 10 %
are sent once more as they were, and 1 % with another content, which may never count and must be found by a
person. The benchmark `faults` and the tests run the same.
"""

from __future__ import annotations

import http.client
import itertools
import json
import math
import os
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import environment
from scenario.sender import Connection

from . import _ingest

DATABASE = "usage_faults"
PURPOSE = "faults"  # of the PostgreSQL cluster, which no other command uses
SENDERS = 8
BATCH = 500
RETRIES = 0.20
DUPLICATES = 0.10
CONFLICTS = 0.01
ANSWER_SECONDS = 180  # after which a batch without an answer is given up
SETTLE_SECONDS = 300
# What is killed, in turn: an HTTP worker, the cron worker, PostgreSQL, or the whole server.
VICTIMS = ("worker", "cron", "postgres", "server", "worker", "cron", "postgres", "worker", "cron", "worker")
ALIVE = re.compile(r"Worker (\w+) \((\d+)\) alive")  # in the server's log, of each of its processes
WORKER_SECONDS = 60  # for a killed process to have a successor


@dataclass
class Outcome:
    """What became of the events; all is well when everything but kills, events and answers is 0."""

    events: int
    kills: int
    lost: int  # events that were answered and are not stored, or not counted
    double: int  # events that are stored or counted more than once
    conflicts_missed: int  # ids that came with another content, and no exception says so
    wrong_quantities: int  # hours whose quantity is not the sum of their events
    conflicts: int
    answers: dict  # number of answers by status; 0 is none at all

    @property
    def good(self) -> bool:
        return not (self.lost or self.double or self.conflicts_missed or self.wrong_quantities)


class Lane:
    """One sender: its events, in batches, each sent until it is answered.

    Event n of the lane is always the same; the ledger is how many events were sent, and which of them came
    with another content too.
    """

    def __init__(self, number: int, events: int, now: datetime):
        self.number = number
        self.events = events
        self.conflicting: set[int] = set()
        self._now = now
        self._random = random.Random(number)

    def event_id(self, number: int) -> str:
        return f"{self.number}-{number:08}"

    def facts(self, number: int) -> tuple[str, datetime, str, int, int]:
        """(account, time, model, input tokens, output tokens) of event `number`."""
        return (
            _ingest.account_name((number * 31 + self.number) % _ingest.ACCOUNTS),
            self._now - timedelta(seconds=number * 7 % 14400),
            ("atlas-large", "atlas-small")[number % 2],
            1000 + number % 977,
            100 + number % 131,
        )

    def batches(self) -> Iterator[list[dict]]:
        """What is sent, in order."""
        sent = 0
        while sent < self.events:
            size = min(BATCH, self.events - sent)
            batch = [self._event(number) for number in range(sent, sent + size)]
            batch += self._again(sent, round(size * DUPLICATES))
            batch += self._contradicting(sent, round(size * CONFLICTS))
            yield batch
            if self._random.random() < RETRIES:
                yield batch
            sent += size

    def _again(self, sent: int, count: int) -> list[dict]:
        return [self._event(self._random.randrange(sent)) for _ in range(count if sent else 0)]

    def _contradicting(self, sent: int, count: int) -> list[dict]:
        numbers = [self._random.randrange(sent) for _ in range(count if sent else 0)]
        self.conflicting.update(numbers)
        return [self._event(number, tokens=7_000_000) for number in numbers]

    def _event(self, number: int, tokens: int = 0) -> dict:
        account, at, model, input_tokens, output_tokens = self.facts(number)
        return {
            "specversion": "1.0",
            "id": self.event_id(number),
            "source": "/platform",
            "type": "llm.completion",
            "subject": account,
            "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "data": {"model": model, "usage": {"input_tokens": tokens or input_tokens, "output_tokens": output_tokens}},
        }


class Trial:
    """The senders, what kills, and the books that are balanced at the end."""

    def __init__(self, env: environment.Environment, server: environment.Server, key: str, events: int):
        self._env = env
        self._server = server
        self._key = key
        now = datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)
        shares = [events // SENDERS + (number < events % SENDERS) for number in range(SENDERS)]
        self._lanes = [Lane(number, share, now) for number, share in enumerate(shares)]
        self._events = events
        self._sent = itertools.count(1)  # counts for all threads: next() of it is one step
        self._progress = 0  # batches answered
        self._share = 0.0  # of the batches, for one kill
        self._answers: Counter = Counter()
        self._kills: list[str] = []
        self._over = threading.Event()

    def run(self, kills: int) -> Outcome:
        """Send everything while processes are killed `kills` times, wait until all is counted, and compare."""
        self._share = sum(-(-lane.events // BATCH) for lane in self._lanes) / kills
        told = environment.step("Sending while processes are killed", self._told)
        with told, ThreadPoolExecutor(SENDERS + 1) as pool:
            lanes = [pool.submit(self._send, lane) for lane in self._lanes]
            killer = pool.submit(self._kill, kills)
            killer.add_done_callback(lambda _done: self._over.set())
            try:
                for done in as_completed(lanes):
                    done.result()
            finally:
                self._over.set()  # ends the killer, and whoever is still at it when another one failed
            killer.result()
        with environment.step("Counting"):
            self._settle()
        with environment.step("Comparing with the ledger"):
            return self._compare()

    def _told(self) -> str:
        return f"({self._progress * BATCH:,} events, {len(self._kills)} kills)"

    # --- sending ---------------------------------------------------------------------

    def _send(self, lane: Lane) -> None:
        connection = Connection(self._server.url, self._key, timeout=30)
        for batch in lane.batches():
            # Not further than half a share ahead of the next kill, which may take a while.
            while self._progress > (len(self._kills) + 1) * self._share and not self._over.is_set():
                time.sleep(0.01)
            self._deliver(connection, json.dumps(batch).encode())
            self._progress = next(self._sent)
        connection.close()

    def _deliver(self, connection: Connection, body: bytes) -> None:
        """Send a body until it is answered 200, whatever the answers until then: the server is being killed."""
        deadline, answer = time.monotonic() + ANSWER_SECONDS, None
        while time.monotonic() < deadline and not self._over.is_set():
            try:
                status, answer, _headers = connection.post(body)
            except (OSError, http.client.HTTPException):
                status, answer = 0, None
            self._answers[status] += 1
            if status == 200:
                if answer["rejected"] or answer["quarantined"]:
                    raise environment.Failure(f"Events were not accepted: {str(answer)[:1000]}")
                return
            time.sleep(0.2)
        if not self._over.is_set():
            raise environment.Failure(f"No answer within {ANSWER_SECONDS} s: {str(answer)[:300]}")

    # --- killing ---------------------------------------------------------------------

    def _kill(self, kills: int) -> None:
        """Kill once in each of `kills` equal parts of what is to be sent."""
        victims = itertools.cycle(VICTIMS)
        for number in range(kills):
            while self._progress < (number + 0.5) * self._share:
                if self._over.wait(0.02):
                    return
                self._keep_up()
            victim = next(victims)
            getattr(self, f"_kill_{victim}")()
            self._kills.append(victim)
        self._share = math.inf
        while not self._over.wait(0.1):
            self._keep_up()

    def _keep_up(self) -> None:
        """Start a server that has ended again, as whatever runs services does."""
        if self._server.ended:
            self._kill_server()

    def _kill_worker(self) -> None:
        self._kill_one_of("WorkerHTTP")

    def _kill_cron(self) -> None:
        self._kill_one_of("WorkerCron")

    def _kill_one_of(self, kind: str) -> None:
        """Kill a process of the server, once there is one of its kind again after the last kill."""
        deadline = time.monotonic() + WORKER_SECONDS
        while time.monotonic() < deadline:
            self._keep_up()
            known = {int(pid) for found, pid in ALIVE.findall(self._server.log_path.read_text()) if found == kind}
            for pid in filter(environment.is_alive, known & {*environment.children(self._server.pid)}):
                os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.1)
        raise environment.Failure(f"The server has no {kind}.", f"Read {self._server.log_path}.")

    def _kill_postgres(self) -> None:
        self._env.cluster.kill()

    def _kill_server(self) -> None:
        self._server.kill()
        self._server.start()

    # --- balancing the books -----------------------------------------------------------

    def _settle(self) -> None:
        """Wait until everything is counted; a request now and then wakes the killed job's successor."""
        deadline = time.monotonic() + SETTLE_SECONDS
        connection = Connection(self._server.url, self._key, timeout=30)
        while int(self._query("SELECT count(*) FROM usage_batch WHERE folded_at IS NULL")):
            if time.monotonic() > deadline:
                raise environment.Failure(f"Not counted within {SETTLE_SECONDS} s.", f"Read {self._server.log_path}.")
            self._keep_up()
            with suppress(OSError, http.client.HTTPException):
                connection.post(b"[]")
            time.sleep(1)
        connection.close()

    def _compare(self) -> Outcome:
        stored = Counter(self._query("SELECT event_id FROM usage_event").split())
        answered = [lane.event_id(number) for lane in self._lanes for number in range(lane.events)]
        missing = sum(not stored[event_id] for event_id in answered)
        repeated = sum(stored.values()) - len(stored)
        uncounted, overcounted, wrong = self._compare_hours()
        contradicted = {lane.event_id(number) for lane in self._lanes for number in lane.conflicting}
        found = set(self._query("SELECT event_ref FROM usage_exception WHERE reason = 'conflict'").split())
        return Outcome(
            events=self._events,
            kills=len(self._kills),
            lost=missing + uncounted,
            double=repeated + overcounted,
            conflicts_missed=len(contradicted - found),
            wrong_quantities=wrong,
            conflicts=len(contradicted),
            answers={str(status): count for status, count in sorted(self._answers.items())},
        )

    def _compare_hours(self) -> tuple[int, int, int]:
        """How many events too few and too many the hours of both meters count, and how many quantities are wrong."""
        expected = self._expected_hours()
        counted = {tuple(row.split("|")[:4]): tuple(map(int, row.split("|")[4:])) for row in self._hours()}
        too_few = too_many = wrong = 0
        for hour in expected.keys() | counted.keys():
            (events, quantity), (events_counted, quantity_counted) = expected[hour], counted.get(hour, (0, 0))
            too_few += max(events - events_counted, 0)
            too_many += max(events_counted - events, 0)
            wrong += quantity != quantity_counted
        return too_few, too_many, wrong

    def _expected_hours(self) -> _Hours:
        """(events, quantity) by (meter, account, hour, model), from the ledger."""
        events, quantities = Counter(), Counter()
        for lane in self._lanes:
            for number in range(lane.events):
                account, at, model, input_tokens, output_tokens = lane.facts(number)
                hour = at.strftime("%Y-%m-%d %H:00:00")
                for meter, tokens in (("input_tokens", input_tokens), ("output_tokens", output_tokens)):
                    events[meter, account, hour, model] += 1
                    quantities[meter, account, hour, model] += tokens
        return _Hours({hour: (count, quantities[hour]) for hour, count in events.items()})

    def _hours(self) -> list[str]:
        return self._query(
            "SELECT m.code, a.external_id, u.hour, u.dimensions->>'model', sum(u.event_count), sum(u.quantity)::bigint"
            " FROM usage_aggregate u JOIN usage_meter m ON m.id = u.meter_id"
            " JOIN usage_account a ON a.id = u.account_id"
            " GROUP BY 1, 2, 3, 4"
        ).splitlines()

    def _query(self, statement: str) -> str:
        return self._env.cluster.psql(statement, self._server.database)


class _Hours(dict):
    """(events, quantity) by hour; an hour that nobody sent events of has none."""

    def __missing__(self, _hour: tuple) -> tuple[int, int]:
        return 0, 0


def run_trial(database: str, events: int, kills: int) -> Outcome:
    """A trial on a fresh database of a PostgreSQL of its own, gone again at the end."""
    with environment.prepare(purpose=PURPOSE) as env:
        env.create_database(database, ["usage_connector_base"])
        try:
            with env.server(database, workers=_ingest.WORKERS) as server:
                with environment.step("Setting up a source and its accounts"):
                    key = _ingest.set_up(server.url, database)
                env.cluster.checkpoint()
                return Trial(env, server, key, events).run(kills)
        finally:
            env.drop_database(database)
