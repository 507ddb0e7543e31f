"""What the ingest benchmarks share: a multi-process server with the product and the bare routes.

The floor's addon lives in `addons/` beside this file and is installed nowhere else.
"""

from __future__ import annotations

import configparser
import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import environment
from scenario.people import PEOPLE, Staff
from scenario.saas import METERS
from scenario.sender import Connection
from scenario.stage import Stage
from scenario.story import Customer

DATABASE = "usage_bench"
FLOOR_ADDON = "usage_bench_floor"
PATH_INSERT = "/usage_bench_floor/insert"
PATH_CONSTANT = "/usage_bench_floor/constant"
ADDONS = Path(__file__).parent / "addons"
ACCOUNTS = 200
WORKERS = 2
FOLD_SECONDS = 120


class Arena:
    """A running server, the key of an approved source, and bodies that were never sent before."""

    def __init__(self, env: environment.Environment, url: str, key: str):
        self._env = env
        self._url = url
        self._key = key
        self._numbers = itertools.count()
        self._now = datetime.now(timezone.utc).replace(microsecond=0)

    def connection(self) -> Connection:
        return Connection(self._url, self._key)

    def body(self, size: int) -> bytes:
        """A CloudEvents batch of `size` new events of 200 accounts in the last two hours."""
        return json.dumps([self._event(next(self._numbers)) for _ in range(size)]).encode()

    def _event(self, number: int) -> dict:
        at = self._now - timedelta(seconds=number * 7 % 7200)
        return {
            "specversion": "1.0",
            "id": f"{int(at.timestamp() * 1000):012x}{number:020x}",
            "source": "https://platform.example/usage",
            "type": "llm.completion",
            "subject": f"acct-{1000 + number * 31 % ACCOUNTS}",
            "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "data": {
                "model": ("atlas-large", "atlas-small")[number % 2],
                "usage": {"input_tokens": 1200 + number % 977, "output_tokens": 90 + number % 131},
            },
        }

    def settle(self) -> None:
        """Wait until the server has counted what it took, so that it is idle again."""
        deadline = time.monotonic() + FOLD_SECONDS
        while self._env.cluster.psql("SELECT 1 FROM usage_batch WHERE folded_at IS NULL LIMIT 1", DATABASE):
            if time.monotonic() > deadline:
                raise environment.Failure(f"Events were not counted within {FOLD_SECONDS} s.")
            time.sleep(0.1)


@contextmanager
def arena() -> Iterator[Arena]:
    """A fresh database and a multi-process server on it, gone again at the end."""
    with environment.prepare() as env, environment.cache.lock(env.cache / "bench.lock", "another benchmark runs"):
        env.create_database(DATABASE, ["usage_connector_base"])
        path = f"--addons-path={_addons_path(env)}"
        with environment.step("Installing the floor's routes"):
            env.run_odoo(["-d", DATABASE, path, "-i", FLOOR_ADDON, "--stop-after-init", "--no-http"])
        try:
            with env.server(DATABASE, workers=WORKERS, extra=(path,)) as server:
                with environment.step("Setting up a source and 200 accounts"):
                    key = _set_up(server.url)
                yield Arena(env, server.url, key)
        finally:
            env.drop_database(DATABASE)


def _addons_path(env: environment.Environment) -> str:
    config = configparser.ConfigParser(interpolation=None)
    config.read(env.config)
    return f"{config['options']['addons_path']},{ADDONS}"


def _set_up(url: str) -> str:
    """One approved source, the token meters, 200 mapped accounts; return the source's key."""
    staff = Staff(url, DATABASE)
    staff.hire(PEOPLE)
    stage = Stage(staff)
    key = stage.open_source("Benchmark", "bench")
    stage.create_meters(tuple(meter for meter in METERS if meter.event_type == "llm.completion"))
    names = [f"acct-{1000 + number}" for number in range(ACCOUNTS)]
    stage.create_customers(tuple(Customer(name, f"{name}@bench.example", "", (name,)) for name in names))
    return key


def post_all(connections: list[Connection], lanes: list[list[bytes]], path: str, events: int) -> None:
    """Send each lane's bodies over its own connection, all lanes at once, in threads.

    :param events: how many events a body holds, all of which must be accepted
    :raises Failure: another answer
    """

    def drive(connection: Connection, bodies: list[bytes]) -> None:
        for body in bodies:
            status, answer, _headers = connection.post(body, path=path)
            if status != 200 or answer["accepted"] != events:
                raise environment.Failure(f"{path} answered {status}: {answer}")

    with ThreadPoolExecutor(len(lanes)) as pool:
        list(pool.map(drive, connections, lanes))
