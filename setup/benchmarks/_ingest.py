"""What the benchmarks share: a multi-process server with the product and the bare routes.

The floor's addon lives in `addons/` beside this file and is installed nowhere else.
"""

from __future__ import annotations

import configparser
import http.client
import itertools
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import environment
from scenario import sender
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
CLIENTS = 2
WORKERS = 2
FOLD_SECONDS = 120
CRON = "(SELECT res_id FROM ir_model_data WHERE module = 'usage_connector_base' AND name = 'cron_fold')"
# Folds lots of so many batches in a process of its own, and prints how long each lot took.
FOLD = """
import time
folded = 1
while folded:
    started = time.perf_counter()
    folded = env["usage.aggregate"]._fold_pending({lot})
    print(folded, time.perf_counter() - started)
"""


class Arena:
    """A running server, the key of an approved source, and bodies that were never sent before."""

    def __init__(self, env: environment.Environment, database: str, url: str, key: str):
        self.env = env
        self._database = database
        self._url = url
        self._key = key
        self._numbers = itertools.count()
        self._now = datetime.now(timezone.utc).replace(microsecond=0)

    # --- sending ---------------------------------------------------------------------

    def connections(self, count: int = CLIENTS) -> list[Connection]:
        return [Connection(self._url, self._key) for _ in range(count)]

    def body(self, size: int, accounts: int = ACCOUNTS, first: tuple[dict, ...] = ()) -> bytes:
        """A CloudEvents batch of `size` new events of that many accounts in the last two hours.

        :param first: changes of the attributes of the first events
        """
        events = [self._event(next(self._numbers), accounts) for _ in range(size)]
        for event, changes in zip(events, first, strict=False):
            event.update(changes)
        return json.dumps(events).encode()

    def _event(self, number: int, accounts: int) -> dict:
        at = self._now - timedelta(seconds=number * 7 % 7200)
        return {
            "specversion": "1.0",
            "id": f"{int(at.timestamp() * 1000):010X}{number:016X}",  # as long as a ULID
            "source": "/platform",
            "type": "llm.completion",
            "subject": account_name(number * 31 % accounts),
            "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "data": {
                "model": ("atlas-large", "atlas-small")[number % 2],
                "usage": {"input_tokens": 1200 + number % 977, "output_tokens": 90 + number % 131},
            },
        }

    def lanes(self, size: int, count: int) -> list[list[bytes]]:
        """Bodies of `size` new events, `count` for each client."""
        return [[self.body(size) for _ in range(count)] for _ in range(CLIENTS)]

    def ingest(self, size: int, count: int) -> Callable[[], int]:
        """The work of sending `count` bodies of `size` new events for each client, to an idle server."""
        return self.send(self.lanes(size, count), size)

    def send(self, lanes: list[list[bytes]], size: int, *how: str) -> Callable[[], int]:
        """The work of sending lanes of bodies to an idle server: see `beside_floor`, and `post_all` for how."""
        connections = self.connections()
        self.settle()
        return lambda: post_all(connections, lanes, size, *how)

    # --- what became of it -----------------------------------------------------------

    def get(self, path: str, **parameters: str) -> dict:
        """The answer to one question of the source."""
        connection = http.client.HTTPConnection(urlsplit(self._url).netloc, timeout=60)
        connection.request("GET", f"{path}?{urlencode(parameters)}", headers={"Authorization": f"Bearer {self._key}"})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        if response.status != 200:
            raise environment.Failure(f"{path} answered {response.status}: {content[:300]!r}")
        return json.loads(content)

    def connection(self) -> tuple[http.client.HTTPConnection, dict[str, str]]:
        """A persistent connection of the source, and the headers that its questions need."""
        return http.client.HTTPConnection(urlsplit(self._url).netloc, timeout=60), {
            "Authorization": f"Bearer {self._key}"
        }

    def query(self, statement: str) -> str:
        return self.env.cluster.psql(statement, self._database)

    def settle(self) -> None:
        """Wait until the server has counted what it took, so that it is idle again."""
        deadline = time.monotonic() + FOLD_SECONDS
        while self.query("SELECT 1 FROM usage_batch WHERE folded_at IS NULL LIMIT 1"):
            if time.monotonic() > deadline:
                raise environment.Failure(f"Events were not counted within {FOLD_SECONDS} s.")
            time.sleep(0.1)

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Meanwhile the server counts nothing: what it takes waits for `fold`."""
        self.settle()
        self._let_count("false")  # returns when a running job has ended
        try:
            yield
        finally:
            self._let_count("true")

    def _let_count(self, value: str) -> None:
        self.query(f"UPDATE ir_cron SET active = {value} WHERE id = {CRON}")

    def fold(self, lot: int) -> list[tuple[int, float]]:
        """Count what waits, in one process of its own.

        :param lot: how many batches are folded in one transaction
        :return: of each lot the number of batches and the seconds that they took
        """
        code = FOLD.format(lot=lot)
        printed = self.env.shell(self._database, code, (addons_path(self.env),))
        rows = [line.split() for line in printed.splitlines()]
        return [(int(count), float(seconds)) for count, seconds in rows if int(count)]


@contextmanager
def arena(database: str = DATABASE, addons: tuple[str, ...] = ()) -> Iterator[Arena]:
    """A fresh database and a multi-process server on it, gone again at the end.

    :param addons: to install beside the connector
    """
    with environment.prepare() as env, environment.cache.lock("bench.lock", "another benchmark runs"):
        env.create_database(database, ["usage_connector_base", *addons])
        path = addons_path(env)
        with environment.step("Installing the floor's routes"):
            env.run_odoo(["-d", database, path, "-i", FLOOR_ADDON, "--stop-after-init", "--no-http"])
        try:
            with env.server(database, workers=WORKERS, extra=(path,)) as server:
                with environment.step(f"Setting up a source and {ACCOUNTS} accounts"):
                    key = set_up(server.url, database)
                yield Arena(env, database, server.url, key)
        finally:
            env.drop_database(database)


def addons_path(env: environment.Environment) -> str:
    """The command line word that makes the floor's addon known to Odoo."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(env.config)
    return f"--addons-path={config['options']['addons_path']},{ADDONS}"


def set_up(url: str, database: str) -> str:
    """One approved source, the token meters, 200 mapped accounts; return the source's key."""
    staff = Staff(url, database)
    staff.hire(PEOPLE)
    stage = Stage(staff)
    key = stage.open_source("Benchmark", "bench")
    stage.create_meters(tuple(meter for meter in METERS if meter.event_type == "llm.completion"))
    names = [account_name(number) for number in range(ACCOUNTS)]
    stage.create_customers(tuple(Customer(name, f"{name}@bench.example", "", (name,)) for name in names))
    return key


def account_name(number: int) -> str:
    return f"acct-{1000 + number}"


def post_all(
    connections: list[Connection],
    lanes: list[list[bytes]],
    events: int,
    path: str = sender.PATH,
    outcome: str = "accepted",
) -> int:
    """Send each lane's bodies over its own connection, all lanes at once, in threads.

    :param events: how many events a body holds, all of which must have this outcome
    :return: how many events were sent
    :raises Failure: another answer
    """

    def drive(connection: Connection, bodies: list[bytes]) -> None:
        for body in bodies:
            status, answer, _headers = connection.post(body, path=path)
            if status != 200 or answer[outcome] != events:
                raise environment.Failure(f"{path} answered {status}: {str(answer)[:1000]}")

    with ThreadPoolExecutor(len(lanes)) as pool:
        list(pool.map(drive, connections, lanes))
    return sum(map(len, lanes)) * events
