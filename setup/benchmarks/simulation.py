"""Seconds to simulate a plan over 1,000 subscriptions and three months of hourly usage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import environment

from ._measure import Result

GROUP = "simulation"
ABOUT = "a graduated plan over 1,000 subscriptions × 3 months of hours; floor: one SQL sum of the same hours"

DATABASE = "usage_bench_simulation"
SUBSCRIPTIONS = 1000
MOST = 60

SET_UP = """
from datetime import datetime
from odoo.addons.usage_connector_base.guard import unlocked
admin, second = env["res.users"].create([
    {"name": name, "login": f"bench_{name}", "group_ids": [(4, env.ref("usage_connector_base.group_usage_admin").id)]}
    for name in ("one", "two")])
source = env["usage.source"].with_user(admin).create({"name": "Bench", "code": "bench"})
source.with_user(second).action_approve()
meter = env["usage.meter"].create(
    {"name": "Tokens", "code": "tokens", "event_type": "bench", "aggregation": "sum", "value_path": "tokens"})
product = env["product.product"].create({"name": "Tokens", "type": "service"})
tiers = [(0, 0, {"sequence": n, "up_to": up_to, "unit_amount": amount})
    for n, (up_to, amount) in enumerate(((1e6, 1.5), (1e7, 1.2), (0, 0.9)))]
plans = env["usage.plan"].create([{"name": code, "code": code} for code in ("now", "new")])
prices = env["usage.price"].with_user(admin).create([
    {"plan_id": plans[0].id, "meter_id": meter.id, "product_id": product.id, "unit_amount": 1, "per_quantity": 1e6},
    {"plan_id": plans[1].id, "meter_id": meter.id, "product_id": product.id, "model": "graduated",
     "per_quantity": 1e6, "tier_ids": tiers, "minimum_amount": 10}])
prices.with_user(second).action_approve()
partners = env["res.partner"].create([{"name": f"Customer {n}", "is_company": True} for n in range(%(count)s)])
accounts = env["usage.account"].create(
    [{"external_id": f"acct-{n}", "source_id": source.id, "partner_id": p.id} for n, p in enumerate(partners)])
subscriptions = env["usage.subscription"].create([
    {"partner_id": p.id, "plan_id": plans[0].id, "date_start": "2025-01-01", "tz": "UTC",
     "line_ids": [(0, 0, {"price_id": prices[0].id})]} for p in partners])
unlocked(subscriptions).write({"state": "active"})
env.flush_all()
env.cr.execute("UPDATE usage_meter SET recount_pending = false")
env.invalidate_all()
env.cr.execute('''
    INSERT INTO usage_aggregate (source_id, company_id, account_id, meter_id, hour, dimensions, quantity, event_count)
    SELECT a.source_id, a.company_id, a.id, %%s, hour, '{}', 1000 + mod(a.id, 977), 3
    FROM usage_account a, generate_series('2025-01-01'::timestamp, '2025-03-31 23:00', '1 hour') hour
''', [meter.id])
env.cr.commit()
env.cr._cnx.autocommit = True
env.cr.execute("VACUUM ANALYZE usage_aggregate")
"""

MEASURE = """
import json, time
simulation = env["usage.simulation"].create({
    "plan_id": env["usage.plan"].search([("code", "=", "new")]).id,
    "date_from": "2025-01-01", "date_to": "2025-03-31"})
env.cr.commit()
started = time.perf_counter()
env.cr.execute("SELECT account_id, sum(quantity) FROM usage_aggregate WHERE hour < '2025-04-01' GROUP BY 1")
env.cr.fetchall()
floor = time.perf_counter() - started
started = time.perf_counter()
simulation.action_run()
env.cr.commit()
cron = env.ref("usage_billing.cron_simulate")
while simulation.state == "running":
    cron.method_direct_trigger()
    env.cr.commit()
    env.invalidate_all()
seconds = time.perf_counter() - started
lines = simulation.line_ids
print(json.dumps({"seconds": seconds, "floor": floor, "results": len(lines), "notes": len(lines.filtered("note")),
    "current": sum(lines.mapped("amount_current")), "simulated": sum(lines.mapped("amount_simulated"))}))
"""


@contextmanager
def arena() -> Iterator[environment.Environment]:
    """A database of its own with the subscriptions and their hours, gone again at the end."""
    with environment.prepare() as env, environment.cache.lock(env.cache / "bench.lock", "another benchmark runs"):
        env.create_database(DATABASE, ["usage_billing"])
        try:
            with environment.step(f"{SUBSCRIPTIONS:,} subscriptions with three months of hours"):
                env.shell(DATABASE, SET_UP % {"count": SUBSCRIPTIONS})
            yield env
        finally:
            env.drop_database(DATABASE)


def measure(env: environment.Environment) -> Result:
    """One run, in the background job's own steps, from the question to the last result."""
    found = json.loads(env.shell(DATABASE, MEASURE).strip().splitlines()[-1])
    if found["results"] != SUBSCRIPTIONS * 3 or found["notes"]:
        raise environment.Failure(f"The simulation is not complete: {found}")
    more = {name: round(found[name], 2) for name in ("results", "current", "simulated")}
    return Result(found["seconds"], "s", f"< {MOST}", found["seconds"] < MOST, found["floor"], more)
