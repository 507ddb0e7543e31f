"""What `rating_run` does inside Odoo: subscriptions with and without history, the real run, and its floor.

Both make the same statements and charges of one month, in one transaction, as a billing preparer: the run by the
button that prepares statements, which also writes its steps to their log; the floor with one bulk `create` of each,
of values copied from what a run made, with the note that `create` leaves in the chatter. What a round made is
deleted before the next one.
"""

from __future__ import annotations

import time
from datetime import date
from functools import partial

from dateutil.relativedelta import relativedelta

from odoo.fields import Command
from odoo.models import MAGIC_COLUMNS
from odoo.tools import SQL

from odoo.addons.usage_connector_base.guard import unlocked

MONTH = date(2025, 3, 1)  # the one that is rated in every round
LAST_DAY = MONTH + relativedelta(months=1, days=-1)
OF_MONTH = [("period_start", ">=", MONTH)]
METERS = ("input", "output", "storage")
TIERS = ((1e6, 1.5), (1e7, 1.2), (0, 0.9))
NOT_COPIED = {*MAGIC_COLUMNS, "name", "statement_id"}  # given by create; of the statement that is made, too
ADMINISTRATOR = "usage_connector_base.group_usage_admin"
USERS = {"one": ADMINISTRATOR, "two": ADMINISTRATOR, "preparer": "usage_billing.group_billing_preparer"}


# -- what there is to rate ------------------------------------------------------------------------


def set_up(env, groups: dict[str, tuple[int, int]]) -> None:
    """Subscriptions of three meters, their usage of every hour, and the posted statements of earlier months.

    :param groups: by name, how many subscriptions, and how many months of usage with the rated one
    """
    one, two, _preparer = env["res.users"].create(
        [{"name": name, "login": name, "group_ids": [Command.link(env.ref(group).id)]} for name, group in USERS.items()]
    )
    source = env["usage.source"].with_user(one).create({"name": "Bench", "code": "bench"})
    source.with_user(two).action_approve()
    prices = _prices(env, one)
    prices.with_user(two).action_approve()
    for name, (count, months) in groups.items():
        _subscribe(env, source, prices, [f"{name} {n}" for n in range(count)], months)
    _use(env)
    for name in groups:
        rate(env, name)
    env.cr.execute("UPDATE usage_statement SET state = 'posted' WHERE period_start < %s", [MONTH])
    env.cr.execute("UPDATE usage_charge SET statement_state = 'posted' WHERE usage_start < %s", [MONTH])
    delete(env)


def _prices(env, drafter):
    """One price of another model for each meter, drafts."""
    meters = env["usage.meter"].create(
        [
            {"name": name, "code": name, "event_type": "bench", "aggregation": "sum", "value_path": name}
            for name in METERS
        ]
    )
    env.flush_all()
    env.cr.execute("UPDATE usage_meter SET recount_pending = false")  # there are no events to count
    env.invalidate_all()
    product = env["product.product"].create({"name": "Usage", "type": "service"})
    plan = env["usage.plan"].create({"name": "Bench", "code": "bench"})
    tiers = [
        Command.create({"sequence": number, "up_to": up_to, "unit_amount": amount})
        for number, (up_to, amount) in enumerate(TIERS)
    ]
    terms = (
        {"model": "graduated", "per_quantity": 1e6, "tier_ids": tiers, "minimum_amount": 1},
        {"model": "per_unit", "per_quantity": 1e6, "unit_amount": 2.5, "included_quantity": 1e5},
        {"model": "package", "package_size": 1000, "package_amount": 0.01},
    )
    return (
        env["usage.price"]
        .with_user(drafter)
        .create(
            [
                {"plan_id": plan.id, "product_id": product.id, "meter_id": meter.id, **own}
                for meter, own in zip(meters, terms, strict=True)
            ]
        )
    )


def _subscribe(env, source, prices, names: list[str], months: int) -> None:
    """Subscribe customers with an account each from so many months on, until the end of the rated one."""
    partners = env["res.partner"].create([{"name": name, "is_company": True} for name in names])
    env["usage.account"].create([{"external_id": p.name, "source_id": source.id, "partner_id": p.id} for p in partners])
    common = {
        "plan_id": prices.plan_id.id,
        "date_start": MONTH - relativedelta(months=months - 1),
        "date_end": LAST_DAY,
        "tz": "UTC",
        "line_ids": [Command.create({"price_id": price.id}) for price in prices],
    }
    subscriptions = env["usage.subscription"].create([{"partner_id": partner.id, **common} for partner in partners])
    unlocked(subscriptions).write({"state": "active"})


def _use(env) -> None:
    """Store usage of every meter in every hour of the subscriptions."""
    env.flush_all()
    env.cr.execute(
        """
        INSERT INTO usage_aggregate (source_id, company_id, account_id, meter_id, hour, dimensions, quantity,
            event_count)
        SELECT a.source_id, a.company_id, a.id, m.id, hour, '{}', 1000 * m.id + mod(a.id, 977), 3
        FROM usage_subscription s JOIN usage_account a ON a.partner_id = s.partner_id, usage_meter m,
            generate_series(s.date_start, s.date_end + interval '23 hours', '1 hour') hour
        """
    )
    _vacuum(env, "usage_aggregate")


# -- rounds ---------------------------------------------------------------------------------------


def rounds(env, groups: list[str], count: int) -> dict[str, list[float]]:
    """Seconds of each round: of the floor, which makes what the run makes of the first group, and of the groups."""
    rate(env, groups[0])
    values = made(env)
    delete(env)
    works = {"floor": lambda: create(env, *values), **{name: partial(rate, env, name) for name in groups}}
    times = {name: [] for name in works}
    for _ in range(count):
        for name, work in works.items():
            times[name].append(work())
            delete(env)
    return times


def rate(env, group: str) -> float:
    """Prepare the statements of a group; return how many seconds it took."""
    env = _as_preparer(env)
    subscriptions = env["usage.subscription"].search([("partner_id.name", "=like", f"{group} %")])
    wizard = env["usage.statement.prepare"].create(
        {"date": LAST_DAY, "subscription_ids": [Command.set(subscriptions.ids)]}
    )
    seconds = _timed(env, wizard.action_prepare)
    statements = env["usage.statement"].search([("subscription_id", "in", subscriptions.ids), *OF_MONTH])
    if set(statements.mapped(lambda x: (x.state, len(x.charge_ids)))) != {("rated", len(METERS))}:
        raise RuntimeError(f"Not all was rated: {statements.mapped('blocked_reason')[:3]}")
    return seconds


def made(env) -> tuple[list[dict], list[tuple[int, dict]]]:
    """Return the values of the statements that a run made, and of the charges with the place of their statement."""
    statements = env["usage.statement"].search(OF_MONTH, order="id")
    place = {statement.id: number for number, statement in enumerate(statements)}
    charges = statements.charge_ids.sorted("id")
    return (
        [_values(statement) for statement in statements],
        [(place[charge.statement_id.id], _values(charge)) for charge in charges],
    )


def _values(record) -> dict:
    """The values with which `create` makes the same record: of all fields that follow from no others."""
    return {
        name: field.convert_to_write(record[name], record)
        for name, field in record._fields.items()
        if field.store and field.column_type and not field.compute and name not in NOT_COPIED
    }


def create(env, statement_vals: list[dict], charge_vals: list[tuple[int, dict]]) -> float:
    """Create the same statements and charges in bulk; return how many seconds it took."""
    env = _as_preparer(env)
    own_vals = [dict(vals) for vals in statement_vals]  # they are numbered in place

    def work():
        statements = unlocked(env["usage.statement"].sudo()).create(own_vals)
        vals_list = [{**vals, "statement_id": statements[place].id} for place, vals in charge_vals]
        unlocked(env["usage.charge"]).create(vals_list)

    return _timed(env, work)


def _as_preparer(env):
    return env(user=env["res.users"].search([("login", "=", "preparer")]), su=False)


def _timed(env, work) -> float:
    """Seconds of some work and its commit, which begins as a request does: with nothing in memory."""
    env.cr.commit()
    env.invalidate_all()
    started = time.perf_counter()
    work()
    env.cr.commit()
    return time.perf_counter() - started


def delete(env) -> None:
    """Take away what a round made, and its traces."""
    env.invalidate_all()
    ids = env["usage.statement"].search(OF_MONTH).ids
    for table, condition in (
        ("usage_charge", SQL("statement_id = ANY(%s)", ids)),
        ("usage_statement_approval", SQL("statement_id = ANY(%s)", ids)),
        ("mail_message", SQL("model = 'usage.statement' AND res_id = ANY(%s)", ids)),
        ("mail_followers", SQL("res_model = 'usage.statement' AND res_id = ANY(%s)", ids)),
        ("usage_statement", SQL("id = ANY(%s)", ids)),
    ):
        env.cr.execute(SQL("DELETE FROM %s WHERE %s", SQL.identifier(table), condition))
        _vacuum(env, table)


def _vacuum(env, table: str) -> None:
    """Leave a table as if nothing had ever been deleted from it, committing what was done."""
    env.cr.commit()
    env.cr._cnx.autocommit = True
    env.cr.execute(SQL("VACUUM ANALYZE %s", SQL.identifier(table)))
    env.cr._cnx.autocommit = False
    env.invalidate_all()
