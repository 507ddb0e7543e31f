"""The demo: a story played from the first event to the ledger, by the people whose work it is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import environment

from . import sender
from .eventfile import EventFileError, EventFiles
from .odoo_session import Session
from .people import ADMINISTRATOR, PASSWORD, PEOPLE, Staff
from .saas import Saas
from .stage import Stage
from .story import Story

ADDONS = ["usage_connector_base", "usage_billing", "usage_crm_signals"]
COMPANY = "Nimbus Cloud Inc."
SOURCE = ("Nimbus Platform", "platform")
STATEMENTS_A_CALL = 25
FOLD_SECONDS = 300

COMPANY_SETUP = """
company = env.company
company.name = {name!r}
if not company.chart_template:
    env["account.chart.template"].try_loading("generic_coa", company, install_demo=False)
env.cr.commit()
"""
STORY_SETUP = """
env.company.usage_auto_rate = False  # Paula prepares the statements herself
parameters = env["ir.config_parameter"]
parameters.set_param("usage.max_age_days", max({days}, int(parameters.get_param("usage.max_age_days", 400))))
# The story ends before today. Seen from today every customer would have fallen silent, so
# signals are looked for at the story's own dates.
env.ref("usage_crm_signals.cron_detect").active = False
env.cr.commit()
"""
DETECT = """
from datetime import datetime
for at in {moments}:
    env["usage.signal.rule"]._detect(datetime.fromisoformat(at))
env.cr.commit()
"""


@dataclass(frozen=True)
class Outcome:
    """What to print: one object for programs, one text for people."""

    json: dict
    table: str


def platform(paths: list[Path] | None) -> Saas | EventFiles:
    """Who sends the events: the files at `paths`, or an invented platform when there are none."""
    try:
        return EventFiles(paths) if paths else Saas()
    except EventFileError as error:
        raise environment.Failure(str(error)) from None


@contextmanager
def alone(env: environment.Environment) -> Iterator[None]:
    """Wait for another demo, whose database would otherwise be replaced under its server."""
    with environment.cache.lock(env.cache / "demo.lock", "another demo runs, until its end or Ctrl-C"):
        yield


def prepare_company(env: environment.Environment, database: str, story: Story | None) -> None:
    """A company with a chart of accounts, ready for events as old as the story's."""
    code = COMPANY_SETUP.format(name=COMPANY)
    if story:
        code += STORY_SETUP.format(days=(datetime.now() - story.start).days + 2)
    with environment.step("Preparing the company"):
        env.shell(database, code)


def run_empty(server: environment.Server) -> Outcome:
    """Only the people, and one approved source with its key."""
    staff = Staff(server.url, server.database)
    staff.hire()
    key = Stage(staff).open_source(*SOURCE)
    facts = {
        "url": server.url,
        "endpoint": server.url + sender.PATH,
        "database": server.database,
        "source": SOURCE[1],
        "key": key,
    }
    return Outcome(facts, "\n".join(f"{name:<10}{value}" for name, value in facts.items()))


def run(env: environment.Environment, server: environment.Server, events_of: Saas | EventFiles) -> Outcome:
    """The whole way, from people to figures."""
    story = events_of.story
    staff = Staff(server.url, server.database)
    stage = Stage(staff)
    with environment.step(f"Setting up {len(story.customers)} customers with their subscriptions"):
        staff.hire()
        key = stage.open_source(*SOURCE)
        stage.set_up(story)
    sent = _push(server.url, key, events_of.events())
    _await_folding(staff)
    with environment.step("Looking for signals"):
        moments = [moment.isoformat() for moment in story.detected]
        env.shell(server.database, DETECT.format(moments=moments))
    _bill(staff, stage.subscription_ids, story.until)
    return _outcome(sent, _figures(staff))


def _push(url: str, key: str, events: list) -> Counter:
    """Send the events in batches of 1,000 over two connections."""
    done = [0]
    with environment.step(f"Sending {len(events):,} events", lambda: f"{done[0]:,} sent"):
        return sender.send(url, key, events, progress=lambda count: done.__setitem__(0, count))


def _await_folding(staff: Staff) -> None:
    """Wait until every event is in its hourly quantity."""
    deadline = time.monotonic() + FOLD_SECONDS
    with environment.step("Waiting for the hourly quantities"):
        while staff["olga"].count("usage.batch", [["folded_at", "=", False]]):
            if time.monotonic() > deadline:
                raise environment.Failure(f"The events were not counted within {FOLD_SECONDS} s.")
            time.sleep(0.2)


def _bill(staff: Staff, subscriptions: list[int], until: datetime) -> None:
    """Everything from quantities to the ledger, by those who may."""
    while subscriptions:
        _prepare(staff["paula"], subscriptions, until)
        # The scheduled job may have held some for its live figures: those are left, so prepare them again.
        subscriptions = _unrated(staff["paula"], until)
    rated = staff["paula"].search("usage.statement", [["state", "=", "rated"]], order="id")
    _each("Submitting", staff["paula"], "action_submit", rated)
    _each("Approving", staff["amir"], "action_approve", rated)
    _each("Invoicing", staff["amir"], "action_invoice", rated)
    invoiced = staff["amir"].search("usage.statement", [["state", "=", "invoiced"]], order="id")
    _each("Posting", staff["amir"], "action_post", invoiced)
    _each("Reconciling", staff["amir"], "action_reconcile", rated)


def _prepare(preparer: Session, subscriptions: list[int], until: datetime) -> None:
    """Rate what has ended by `until`, through the dialog; what still runs gets live figures."""
    last_day = (until - timedelta(days=1)).date().isoformat()
    for some in _in_calls("Preparing", subscriptions):
        values = {"date": last_day, "subscription_ids": [[6, 0, some]]}
        wizards = preparer.create("usage.statement.prepare", [values])
        preparer.call("usage.statement.prepare", "action_prepare", wizards)


def _unrated(preparer: Session, until: datetime) -> list[int]:
    """Subscriptions with a statement that could have been rated by `until` and is not."""
    ended = [["state", "=", "open"], ["period_end", "<=", until.isoformat(" ")]]
    return [row["subscription_id"][0] for row in preparer.read("usage.statement", ended, ["subscription_id"])]


def _each(title: str, person: Session, method: str, statements: list[int]) -> None:
    """Have a person do one thing to all statements."""
    for some in _in_calls(title, statements):
        person.call("usage.statement", method, some)


def _in_calls(title: str, ids: list[int]) -> Iterator[list[int]]:
    """Records in handfuls, one for each call, with progress."""
    done = [0]
    with environment.step(f"{title} {len(ids)} statements", lambda: f"{done[0]} done"):
        for start in range(0, len(ids), STATEMENTS_A_CALL):
            yield ids[start : start + STATEMENTS_A_CALL]
            done[0] = start + STATEMENTS_A_CALL


def _figures(staff: Staff) -> dict:
    """What can be read in Odoo afterwards, by those who may see it."""
    amir, sam = staff["amir"], staff["sam"]
    moves = amir.read(
        "account.move",
        [["move_type", "=", "out_invoice"], ["state", "=", "posted"]],
        ["amount_untaxed"],
    )
    reconciled = amir.read("usage.reconciliation", [], ["difference_amount"])
    return {
        "statements": amir.count("usage.statement", [["state", "=", "posted"]]),
        "invoices_posted": len(moves),
        "amount_untaxed": _money(move["amount_untaxed"] for move in moves),
        "opportunities": sam.count("crm.lead", [["type", "=", "opportunity"]]),
        "activities": sam.count("mail.activity", [["res_model", "=", "res.partner"]]),
        "reconciliation_difference": _money(abs(row["difference_amount"]) for row in reconciled),
    }


def _outcome(sent: Counter, figures: dict) -> Outcome:
    json = {"events_sent": sent["sent"], **{name: sent[name] for name in sender.OUTCOMES}, **figures}
    return Outcome(json, _table(json))


def _table(figures: dict) -> str:
    """Two columns, as a person reads them."""
    rows = [(name.replace("_", " ").capitalize(), value) for name, value in figures.items()]
    return "\n".join(f"  {name:<28}{_grouped(value):>16}" for name, value in rows)


def _grouped(value: int | str) -> str:
    """A number with thousands apart."""
    return f"{value:,}" if isinstance(value, int) else f"{Decimal(value):,}"


def _money(amounts) -> str:
    """The sum of amounts with two decimals, added up without binary fractions."""
    return str(sum((Decimal(repr(amount)) for amount in amounts), Decimal()).quantize(Decimal("0.01")))


def serve(server: environment.Server) -> None:
    """Show where to look, and wait for Ctrl-C."""
    login, password = ADMINISTRATOR
    logins = "\n".join(f"  {p.login:<8}{PASSWORD:<8}{p.name:<16}{p.duty}" for p in PEOPLE)
    environment.say(
        f"\nOdoo is at {server.url}/odoo\n\n{logins}\n  {login:<8}{password:<8}{'Administrator':<16}everything else\n"
        "\nCtrl-C stops it."
    )
    try:
        server.wait()
    except KeyboardInterrupt:
        environment.say("\nStopping.")
    else:
        raise environment.Failure("Odoo has ended.", f"Read {server.log_path}.")
