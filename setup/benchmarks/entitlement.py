"""Requests a second that ask what an account may still use, beside a route that answers a constant."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import environment

from . import _ingest
from ._measure import Result, beside_floor

GROUP = "entitlement"
ABOUT = "what an account may still use, asked over 2 client threads; floor: a route that answers a constant"

DATABASE = "usage_bench_entitlement"
REQUESTS_A_CLIENT = 150
ROUNDS = 9
RATIO = 0.6
PATH = "/usage/v1/entitlements/"
USED = 4000  # events

# Every account's customer has a subscription with included units, for both meters.
SUBSCRIBE = """
admin, second = (env["res.users"].search([("login", "=", login)]) for login in ("ada", "ben"))
product = env["product.product"].create({"name": "Tokens", "type": "service"})
plan = env["usage.plan"].create({"name": "Bench", "code": "bench"})
prices = env["usage.price"].with_user(admin).create([
    {"plan_id": plan.id, "meter_id": meter.id, "product_id": product.id, "unit_amount": 1, "included_quantity": 1e9}
    for meter in env["usage.meter"].search([])])
prices.with_user(second).action_approve()
env["usage.subscription"].create([
    {"partner_id": account.partner_id.id, "plan_id": plan.id, "date_start": "2025-01-01", "tz": "UTC"}
    for account in env["usage.account"].search([])]).action_activate()
env.cr.commit()
"""


@contextmanager
def arena() -> Iterator[_ingest.Arena]:
    """The arena of ingestion with billing: a subscription for every account, and some usage of each."""
    with _ingest.arena(DATABASE, ("usage_billing",)) as arena:
        with environment.step("Subscribing every account"):
            arena.env.shell(DATABASE, SUBSCRIBE, (_ingest.addons_path(arena.env),))
            arena.ingest(1000, USED // 1000 // _ingest.CLIENTS)()
            arena.settle()
        yield arena


def measure(arena: _ingest.Arena) -> Result:
    """Rounds of 300 requests each way, for 200 accounts in turn."""

    def constant() -> Callable[[], int]:
        return arena.send(arena.lanes(1, REQUESTS_A_CLIENT), 1, _ingest.PATH_CONSTANT)

    return beside_floor("requests/s", RATIO, lambda: ask(arena), constant, ROUNDS)


def ask(arena: _ingest.Arena) -> Callable[[], int]:
    """The work of asking for each client's accounts in turn, to an idle server."""
    arena.settle()
    lanes = [arena.connection() for _ in range(_ingest.CLIENTS)]

    def work() -> int:
        with ThreadPoolExecutor(_ingest.CLIENTS) as pool:
            list(pool.map(lambda lane: drive(*lane), lanes))
        return REQUESTS_A_CLIENT * _ingest.CLIENTS

    return work


def drive(connection: http.client.HTTPConnection, headers: dict) -> None:
    """Ask over one persistent connection; every answer must tell of both meters."""
    for number in range(REQUESTS_A_CLIENT):
        account = _ingest.account_name(number % _ingest.ACCOUNTS)
        connection.request("GET", f"{PATH}{account}", headers=headers)
        response = connection.getresponse()
        content = response.read()
        if response.status != 200 or content.count(b'"allowed": true') != 2:
            raise environment.Failure(f"{PATH} answered {response.status}: {content[:1000]!r}")
    connection.close()
