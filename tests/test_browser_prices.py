"""In Chromium: a pricing manager sets up a price of an LLM API without code, another one approves it.

Input and output tokens by model, graduated, at least 50 a month. By hand, for last month:

    large, input     2,500,000   1,000,000 × 2.00 + 1,500,000 × 1.50, per million      4.25
    large, output    1,200,000   1,000,000 × 8.00 +   200,000 × 6.00, per million      9.20
    all others         800,000     800,000 × 0.50, per million                         0.40
                                                                                      13.85
    at least 50.00: 36.15 lacks                                                       50.00

Then a new version without the minimum is drafted: who pays what is shown before it is approved.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from forms import Form, open_form
from playwright.sync_api import expect
from test_browser import month_before, rate

from harness import Product
from scenario.people import PASSWORD
from scenario.story import Customer, Meter, Plan

pytestmark = pytest.mark.browser

METER = Meter("llm_tokens", "LLM Tokens", "llm.tokens", "token", "sum", "tokens", "model, direction")
CUSTOMER = Customer("Prompt Works Ltd.", "ap@prompt.example", "llm_api", ("prompt-1",))
USAGE = (("large", "input", 2_500_000), ("large", "output", 1_200_000), ("small", "input", 800_000))


@pytest.fixture(scope="module")
def product(environment, server):
    """A meter with last month's usage of a customer, and a plan without prices."""
    product = Product(environment, server, "llm")
    product.start = month_before(datetime.today().date())
    product.stage.create_meters((METER,))
    product.stage.create_plans((Plan(CUSTOMER.plan, "LLM API", ()),), (METER,))
    product.stage.create_customers((CUSTOMER,))
    at = f"{(product.start + timedelta(days=3, hours=9)).isoformat()}Z"
    product.send(
        product.event(
            type=METER.event_type,
            subject="prompt-1",
            time=at,
            data={"model": model, "direction": direction, "tokens": tokens},
        )
        for model, direction, tokens in USAGE
    )
    product.wait_counted()
    return product


def set_up_row(walk, number, first, above):
    """Make a row of the matrix graduated, with two tiers, in its dialog."""
    walk.page.locator("button[name=action_open_part]").nth(number).click()
    walk.page.wait_for_selector(".modal .o_form_view")
    form = Form(walk)
    form.choose("model", "Graduated tiers")
    form.add_row("tier_ids", up_to="1000000", unit_amount=first)
    form.add_row("tier_ids", unit_amount=above)
    walk.look(f"price row {number}")
    form.save()


def test_an_llm_price_without_code(walk, product):
    page = walk.page
    walk.log_in("ada", PASSWORD)
    open_form(walk, product, "usage_billing.action_usage_price")
    form = Form(walk)
    form.pick("plan_id", "LLM API")
    form.pick("meter_id", METER.name)
    form.pick("product_id", METER.name)
    form.choose("model", "By dimension")
    form.fill("dimension_1", "model")
    form.field("dimension_1").locator("input").press("Tab")
    form.fill("dimension_2", "direction")
    form.field("dimension_2").locator("input").press("Tab")
    for values in (("large", "input"), ("large", "output"), ("", "")):
        form.add_row("part_ids", value_1=values[0], value_2=values[1], unit_amount="0.5", per_quantity="1000000")
    page.get_by_role("tab", name="Fees, Bounds, Discounts").click()
    form.fill("minimum_amount", "50")
    form.save()
    set_up_row(walk, 0, "2", "1.5")
    set_up_row(walk, 1, "8", "6")
    walk.look("price llm draft")
    words = form.field("description").inner_text()
    assert "large · output: 8.00 USD per million token up to 1,000,000, then 6.00 USD" in words
    assert "all others: 0.50 USD per million token" in words
    assert "at least 50.00 USD a period" in words

    # The other administrator approves it; a subscription takes it; the statement is as by hand.
    [price] = product.staff["ada"].search(
        "usage.price", [["meter_id", "=", product.stage.meter_ids[METER.code]], ["parent_id", "=", False]]
    )
    walk.log_in("ben", PASSWORD)
    open_form(walk, product, "usage_billing.action_usage_price", price)
    form.press("Approve", confirm=True)
    expect(page.locator(".o_statusbar_status .o_arrow_button_current")).to_have_text("Approved", ignore_case=True)
    product.stage.subscribe((CUSTOMER,), product.start)
    rate(product, product.start)
    paula = product.staff["paula"]
    [charge] = paula.call(
        "usage.charge",
        "search_read",
        [["price_id", "=", price], ["statement_state", "=", "rated"]],
        ["amount", "explanation_html"],
    )
    assert charge["amount"] == 50
    for text in ("large · input", "large · output", "All others", "2.25 USD", "1.20 USD", "36.15 USD"):
        assert text in charge["explanation_html"]

    # A version without the minimum: what changes, and who pays what, before it takes effect.
    open_form(walk, product, "usage_billing.action_usage_price", price)
    form.press("New Version")
    expect(page.locator(".o_statusbar_status .o_arrow_button_current")).to_have_text("Draft", ignore_case=True)
    page.get_by_role("tab", name="Fees, Bounds, Discounts").click()
    form.fill("minimum_amount", "0")
    form.save()
    page.get_by_role("tab", name="What Changes").click()
    walk.look("price version")
    assert "Minimum" in form.field("changes_html").inner_text()
    form.press("Who Pays What")
    walk.look("price who pays what")
    row = page.locator(".o_data_row", has_text=CUSTOMER.name).inner_text()
    for amount in ("50.00", "13.85", "-36.15"):
        assert amount in row.replace("\N{MINUS SIGN}", "-")
