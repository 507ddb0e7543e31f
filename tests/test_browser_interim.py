"""In Chromium: an administrator sets up amounts of interim statements and a minimum of the plan, without code.

By hand: 1,000 calls × 0.25 = 250.00 pass the first threshold of 100.00, and a further 50.00. They stand on an
interim statement; at least 400.00 are due for the year, which runs on: 150.00 lack on its own statement.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from forms import Form, open_form
from playwright.sync_api import expect

from harness import Product
from scenario.people import PASSWORD
from scenario.story import Customer, Meter, Plan, Price

pytestmark = pytest.mark.browser

METER = Meter("spent_calls", "Spent Calls", "call.spent", "call", "sum", "calls")
CUSTOMER = Customer("Big Spender Ltd.", "ap@spender.example", "spending", ("spender-1",))
PLAN = Plan(CUSTOMER.plan, "Spending", (Price(METER.code, "per_unit", "0.25"),))


def days_ago(days):
    """An instant in UTC, in whole seconds."""
    return datetime.now(timezone.utc).replace(microsecond=0, tzinfo=None) - timedelta(days=days)


@pytest.fixture(scope="module")
def product(environment, server):
    """A plan with a price of calls, and a customer who made 1,000 of them two days ago."""
    product = Product(environment, server, "spending")
    product.stage.create_meters((METER,))
    product.stage.create_plans((PLAN,), (METER,))
    product.stage.create_customers((CUSTOMER,))
    event = {"type": METER.event_type, "subject": "spender-1", "data": {"calls": 1000}}
    product.send([product.event(time=f"{days_ago(2).isoformat()}Z", **event)])
    product.wait_counted()
    return product


def subscribe(product):
    """A subscription that is billed yearly from some days ago on, as the preparer makes it."""
    paula = product.staff["paula"]
    values = {
        "partner_id": product.stage.partner_ids[CUSTOMER.name],
        "plan_id": product.stage.plan_ids[PLAN.code],
        "date_start": days_ago(9).date().isoformat(),
        "interval": "year",
        "period_begin": "anniversary",
        "tz": "UTC",
    }
    ids = paula.create("usage.subscription", [values])
    paula.call("usage.subscription", "action_activate", ids)
    tomorrow = days_ago(-1).date().isoformat()
    wizards = paula.create("usage.statement.prepare", [{"date": tomorrow, "subscription_ids": [[6, 0, ids]]}])
    paula.call("usage.statement.prepare", "action_prepare", wizards)
    return ids


def test_interim_statements_and_a_minimum_of_the_plan(walk, product):
    page = walk.page
    plan = product.stage.plan_ids[PLAN.code]
    walk.log_in("ada", PASSWORD)
    open_form(walk, product, "usage_billing.action_usage_price")
    form = Form(walk)
    form.pick("plan_id", PLAN.name)
    form.pick("product_id", METER.name)
    form.choose("model", "Minimum of the plan")
    form.fill("plan_minimum", "400")
    form.save()
    walk.look("minimum of a plan")
    assert "at least 400.00 USD a period for the whole plan" in form.field("description").inner_text()
    prices = product.staff["ada"].search("usage.price", [["plan_id", "=", plan], ["state", "=", "draft"]])
    product.staff["ben"].call("usage.price", "action_approve", prices)

    form = open_form(walk, product, "usage_billing.action_usage_plan", plan)
    page.get_by_role("tab", name="Interim Statements").click()
    form.add_row("threshold_ids", amount="0")
    page.click(".o_form_button_save")
    expect(page.locator(".modal, .o_notification")).to_contain_text("Amount: a threshold is above 0")
    page.keyboard.press("Escape")
    form.field("threshold_ids").locator("[name=amount]").last.click()
    form.field("threshold_ids").locator("[name=amount] input").fill("100")
    form.save()
    walk.look("thresholds of a plan")

    ids = subscribe(product)
    walk.log_in("paula", PASSWORD)
    [interim] = product.staff["paula"].search(
        "usage.statement", [["subscription_id", "in", ids], ["interim_of_id", "!=", False]]
    )
    form = open_form(walk, product, "usage_billing.action_usage_statement", interim)
    walk.look("interim statement")
    expect(page.locator(".o_form_sheet")).to_contain_text("Interim statement: what was used until")
    expect(form.field("amount_untaxed")).to_contain_text("250.00")
    form.field("interim_of_id").locator("a").first.click()
    expect(page.locator(".o_form_sheet")).to_contain_text("A part of this period stands on interim statements")
    page.get_by_role("tab", name="How It Was Calculated").click()
    walk.look("statement after an interim one")
    words = form.field("explanation_html").inner_text()
    for text in ("Billed Before", "-250.00 USD", "the plan costs at least 400.00 USD", "150.00 USD"):
        assert text in words.replace("\N{MINUS SIGN}", "-"), words
    expect(form.field("amount_interim")).to_contain_text("250.00")

    form = open_form(walk, product, "usage_billing.action_usage_subscription", ids[0])
    page.get_by_role("tab", name="Interim Statements").click()
    form.choose("interim_billing", "At amounts of its own")
    form.add_row("threshold_ids", amount="500")
    form.save()
    walk.look("thresholds of a subscription")
