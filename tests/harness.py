"""What the system tests share: a running Odoo as a sending system and as people see it."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal, getcontext
from threading import Barrier

import psutil

from scenario import sender
from scenario.people import Staff
from scenario.stage import Stage
from scenario.story import batches

BATCH = sender.MEDIA_TYPE
SINGLE = "application/cloudevents+json"
PLAIN = "application/json"
getcontext().prec = 60  # sums of quantities stay exact
FOLD_SECONDS = 90  # Odoo wakes a killed cron worker's successor after a minute at the latest
ASSIGN_SECONDS = 60


class Product:
    """One server on a fresh database, with people and an approved source.

    `stage` sets more of it up, `staff["olga"]` is a person's session, `send` the platform.
    """

    def __init__(self, env, server, source: str = "platform"):
        self.env = env
        self.server = server
        self.staff = Staff(server.url, server.database)
        self.staff.hire()
        self.stage = Stage(self.staff)
        self.key = self.stage.open_source(source.title(), source)
        self._numbers = itertools.count(1)

    # --- as the sending system -------------------------------------------------------

    def connection(self, key: str | None = None) -> sender.Connection:
        """A new connection, with the source's key unless another one is given ("" is none)."""
        return sender.Connection(self.server.url, self.key if key is None else key)

    def post(self, body, media_type: str = BATCH, key: str | None = None, **headers: str):
        """Send one request: bytes as they are, anything else as JSON.

        :return: (status, answer)
        """
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, answer, _headers = self.connection(key).post(content, media_type, **headers)
        return status, answer

    def send(self, events: Iterable[dict], size: int = 1000) -> dict:
        """Send events in batches; each must be answered 200.

        :return: the sum of the counts by outcome
        """
        return dict(sender.send(self.server.url, self.key, events, batch_size=size))

    def event(self, **changes) -> dict:
        """A sound event with an id of its own; None as a change leaves the attribute out."""
        event = {
            "specversion": "1.0",
            "id": f"event-{next(self._numbers)}",
            "source": "https://platform.example",
            "type": "api.call",
            "subject": "acct-1",
            "time": "2026-05-04T10:15:00Z",
            "data": {"calls": 2, "region": "eu"},
            **changes,
        }
        return {name: value for name, value in event.items() if value is not None}

    def send_at_once(self, *bodies: list[dict]) -> list[dict]:
        """Send each body over a connection of its own, all at the same moment."""
        barrier = Barrier(len(bodies))

        def drive(body: list[dict]) -> dict:
            connection = self.connection()
            barrier.wait()
            return connection.deliver(body)

        with ThreadPoolExecutor(len(bodies)) as pool:
            return list(pool.map(drive, bodies))

    # --- what became of it -----------------------------------------------------------

    def wait_counted(self, wake: bool = False) -> None:
        """Return when every stored event is in its hourly quantity.

        With `wake` requests go on arriving: the successor of a killed cron worker hears of them,
        where it would look for work by itself only after a minute.
        """
        deadline = time.monotonic() + FOLD_SECONDS
        pending = (
            "SELECT 1 FROM usage_batch WHERE folded_at IS NULL UNION ALL "
            "SELECT 1 FROM usage_meter WHERE recount_pending LIMIT 1"
        )
        while self.query(pending):
            assert time.monotonic() < deadline, f"not counted within {FOLD_SECONDS} s"
            if wake:
                self.post([])
            time.sleep(0.1)

    def quantity(self, meter: str, mapped: bool | None = None) -> tuple[Decimal, int]:
        """What a meter counted: (quantity, events), of mapped or unmapped accounts or both."""
        self.wait_counted()
        condition = {None: "true", True: "partner_id IS NOT NULL", False: "partner_id IS NULL"}[mapped]
        total, events = self.query(
            "SELECT coalesce(sum(quantity), 0)::text, coalesce(sum(event_count), 0) FROM usage_aggregate "
            "JOIN usage_account a ON a.id = account_id JOIN usage_meter m ON m.id = meter_id "
            f"WHERE m.code = '{meter}' AND {condition}"
        ).split("|")
        return Decimal(total), int(events)

    def stored(self, *ids: str) -> int:
        """How many events are stored, of these ids or of all."""
        listed = ",".join(f"'{id_}'" for id_ in ids)
        return int(self.query(f"SELECT count(*) FROM usage_event WHERE {f'event_id IN ({listed})' if ids else 'true'}"))

    def exceptions(self, **match) -> list[dict]:
        """Exceptions of the source as the operator sees them, newest first."""
        match["source_id"] = self.stage.source_id
        domain = [[name, "=", value] for name, value in match.items()]
        fields = ["reason", "state", "event_ref", "event_type", "payload", "other_payload", "message", "account_id"]
        return self.staff["olga"].read("usage.exception", domain, fields, order="id desc")

    def query(self, sql: str) -> str:
        """Rows of a query straight from the database, columns separated by `|`."""
        return self.env.cluster.psql(sql, self.server.database)

    def map_accounts(self, external_ids: Iterable[str], customer: str) -> None:
        """Have the operator assign accounts to one new customer, all in one go."""
        operator = self.staff["olga"]
        [partner] = operator.create("res.partner", [{"name": customer, "is_company": True}])
        ids = operator.search("usage.account", [["external_id", "in", list(external_ids)]])
        [wizard] = operator.create("usage.account.map", [{"partner_id": partner, "account_ids": [[6, 0, ids]]}])
        operator.call("usage.account.map", "action_map", [wizard])

    def wait_assigned(self) -> None:
        """Wait until accounts that are assigned in the background have their customer."""
        deadline = time.monotonic() + ASSIGN_SECONDS
        while self.query("SELECT 1 FROM usage_account_mapping WHERE state <> 'done' LIMIT 1"):
            assert time.monotonic() < deadline, f"accounts were not assigned within {ASSIGN_SECONDS} s"
            time.sleep(0.2)

    # --- the server's processes --------------------------------------------------------

    def workers(self) -> list[psutil.Process]:
        """The server's child processes: HTTP workers, the cron worker and the websocket process."""
        return psutil.Process(self.server.pid).children()


@contextmanager
def product(env, purpose: str, modules: list[str]) -> Iterator[Product]:
    """A product on a fresh database and a multi-process server, gone again at the end."""
    database = f"{os.environ.get('USAGE_TEST_DATABASE') or 'test'}_{purpose}"
    env.create_database(database, modules)
    try:
        with env.server(database) as server:
            yield Product(env, server)
    finally:
        env.drop_database(database)


def packed(body) -> bytes:
    """JSON, gzipped."""
    return gzip.compress(json.dumps(body).encode())


__all__ = ["BATCH", "PLAIN", "SINGLE", "Product", "batches", "packed", "product"]
