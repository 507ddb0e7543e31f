"""In Chromium: an annual contract, invoiced monthly, of seats, storage and an API, set up without code.

By hand, for last month, of N days, the contract's second one:

    seats      30.00 each: 10 for 14 of N days, then 12 for N - 14
    storage    0.001 a GB and hour: 100 GB for 15 days, then 50 GB for N - 15
    API        1,000 calls a year are included: 900 and 200 used, 100 above at 0.01          1.00

The month's invoice, before taxes, is the sum of these four, each rounded to the cent; with N = 31:
135.48 + 197.42 + 55.20 + 1.00 = 389.10.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest
from forms import open_form
from playwright.sync_api import expect
from test_browser import expect_status, month_before, open_smart_button, rate

from harness import Product
from scenario.people import PASSWORD
from scenario.story import Customer, Meter, Plan

pytestmark = pytest.mark.browser

STORAGE = Meter("storage", "Storage", "storage.level", "GB hour", "time_weighted", "gb")
CALLS = Meter("calls", "API Calls", "api.called", "call", "sum", "calls")
SEATS = Meter("seats", "Seats", "seat.unused", "seat", "count")  # its product is what the fee is invoiced as
PLAN = Plan("team", "Team", ())
CUSTOMER = Customer("Team Work Ltd.", "ap@team.example", PLAN.code, ("team-1",))
CENT = Decimal("0.01")
INVOICE_LINES = ".o_field_widget[name=invoice_line_ids]"


@pytest.fixture(scope="module")
def product(environment, server):
    """Two months' usage of a customer, and a plan without prices."""
    product = Product(environment, server, "contract")
    product.start = month_before(datetime.today().date())
    product.begin = month_before(product.start.date())
    meters = (STORAGE, CALLS, SEATS)
    product.stage.create_meters(meters)
    product.stage.create_plans((PLAN,), meters)
    product.stage.create_customers((CUSTOMER,))
    used = (
        (product.start, STORAGE, {"gb": 100}),
        (product.start + timedelta(days=15), STORAGE, {"gb": 50}),
        (product.begin + timedelta(days=3), CALLS, {"calls": 900}),
        (product.start + timedelta(days=3), CALLS, {"calls": 200}),
    )
    product.send(
        product.event(type=meter.event_type, subject="team-1", time=f"{at.isoformat()}Z", data=data)
        for at, meter, data in used
    )
    product.wait_counted()
    return product


def tick(form, name):
    form.field(name).locator("input").check()


def draft_price(walk, product, meter):
    """The form of a new price of the plan, with the product of a meter."""
    form = open_form(walk, product, "usage_billing.action_usage_price")
    form.pick("plan_id", PLAN.name)
    form.pick("product_id", meter.name)
    return form


def save_price(walk, form, words):
    form.save()
    walk.look(f"contract price {words}")
    expect(form.field("description")).to_have_text(words)


def draft_prices(walk, product):
    """30.00 a seat and month, by time; storage by the GB and hour; API calls above 1,000."""
    form = draft_price(walk, product, SEATS)
    form.choose("model", "Recurring fee")
    form.fill("fee_amount", "30")
    tick(form, "fee_per_unit")
    walk.page.get_by_role("tab", name="Rounding and Parts of a Period").click()
    tick(form, "prorate_fee")
    save_price(walk, form, "30.00 USD a period for each unit")

    form = draft_price(walk, product, STORAGE)
    form.pick("meter_id", STORAGE.name)
    form.fill("unit_amount", "0.001")
    save_price(walk, form, "0.001 USD per GB hour")

    form = draft_price(walk, product, CALLS)
    form.pick("meter_id", CALLS.name)
    form.fill("unit_amount", "0.01")
    form.fill("included_quantity", "1000")
    save_price(walk, form, "First 1,000 included, then 0.01 USD per call")


def approve_prices(walk, product):
    prices = product.staff["ben"].search("usage.price", [["plan_id", "=", product.stage.plan_ids[PLAN.code]]])
    assert len(prices) == 3
    for price in prices:
        open_form(walk, product, "usage_billing.action_usage_price", price).press("Approve", confirm=True)
        expect_status(walk, "Approved")


def edit_line(walk, form, text, name, enter):
    """Change a field of the line that shows a text."""
    row = form.field("line_ids").locator(".o_data_row", has_text=text)
    row.locator(f"td[name={name}]").click()
    enter(form.field("line_ids").locator(".o_selected_row").locator(f".o_field_widget[name={name}]"))
    walk.settle()


def contract(walk, product):
    """An annual contract with 10 seats, whose API calls count over the year."""
    form = open_form(walk, product, "usage_billing.action_usage_subscription")
    form.pick("partner_id", CUSTOMER.name)
    form.pick("plan_id", PLAN.name)
    form.type_date("date_start", product.begin)
    form.fill("term_months", "12")
    form.choose("tz", "UTC")
    edit_line(walk, form, "Seats", "quantity", lambda field: field.locator("input").fill("10"))
    edit_line(walk, form, "API Calls", "counted_over", lambda field: _select(walk, field, "Each contract year"))
    form.save()
    form.press("Activate")
    walk.look("contract")
    return form


def _select(walk, field, label):
    control = field.locator("select, input").first
    if control.evaluate("node => node.tagName") == "SELECT":
        control.select_option(label=label)
    else:
        control.click()
        walk.page.locator(".o_select_menu_item", has_text=label).first.click()


def invoice(walk, product, statement, total):
    """Take a rated statement to its posted invoice: Paula, who is logged in, submits it, Amir does the rest."""
    form = open_form(walk, product, "usage_billing.action_usage_statement", statement)
    expect(form.field("amount_untaxed")).to_contain_text(total)
    form.press("Submit for Approval")
    expect_status(walk, "To Approve")

    walk.log_in("amir", PASSWORD)
    form = open_form(walk, product, "usage_billing.action_usage_statement", statement)
    form.press("Approve", confirm=True)
    expect_status(walk, "Approved")
    form.press("Create Invoice")
    walk.page.wait_for_selector(INVOICE_LINES)
    expect(form.field("tax_totals")).to_contain_text(total)
    walk.look("contract draft invoice")
    open_smart_button(walk, "Usage Statement")
    form.press("Post Invoice", confirm=True)
    expect_status(walk, "Posted")
    walk.look("contract posted statement")
    open_smart_button(walk, "Invoice")
    walk.page.wait_for_selector(INVOICE_LINES)
    expect(form.field("tax_totals")).to_contain_text(total)
    expect_status(walk, "Posted")
    walk.look("contract invoice")


def test_seats_storage_and_api_on_an_annual_contract(walk, product):
    walk.log_in("ada", PASSWORD)
    draft_prices(walk, product)
    walk.log_in("ben", PASSWORD)
    approve_prices(walk, product)

    # Paula makes the contract, and two seats more in the middle of last month.
    walk.log_in("paula", PASSWORD)
    form = contract(walk, product)
    form.press("Amend")
    form.choose("kind", "Change the quantity of a line")
    form.type_date("date", product.start + timedelta(days=14))
    form.field("line_id").locator("input").click()
    walk.page.locator(".o-autocomplete--dropdown-item", has_text="Seats").first.click()
    walk.settle()
    form.fill("quantity", "12")
    walk.look("contract amend")
    walk.page.locator(".modal .modal-footer").get_by_role("button", name="Amend", exact=True).click()
    walk.page.wait_for_selector(".modal", state="detached")
    walk.settle()
    expect(form.field("line_ids").locator(".o_data_row", has_text="Seats")).to_have_count(2)

    # Last month's charges, line by line.
    paula = product.staff["paula"]
    partner = product.stage.partner_ids[CUSTOMER.name]
    product.stage.subscription_ids = paula.search("usage.subscription", [["partner_id", "=", partner]])
    rate(product, product.start)
    days = (product.start + timedelta(days=31)).replace(day=1) - product.start
    whole = Decimal(days.days)
    by_hand = (
        Decimal(1),
        Decimal(300) * 14 / whole,
        Decimal(360) * (whole - 14) / whole,
        (100 * 15 * 24 + 50 * (whole - 15) * 24) / 1000,
    )
    expected = [amount.quantize(CENT, ROUND_HALF_UP) for amount in by_hand]
    charges = paula.call(
        "usage.charge",
        "search_read",
        [["partner_id", "=", partner], ["usage_start", ">=", product.start.isoformat(" ")]],
        ["amount", "statement_id", "statement_state"],
    )
    rated = [charge for charge in charges if charge["statement_state"] == "rated"]
    assert sorted(Decimal(repr(charge["amount"])) for charge in rated) == sorted(expected)

    # From there to the posted invoice.
    [statement] = {charge["statement_id"][0] for charge in rated}
    invoice(walk, product, statement, f"{sum(expected):,}")
    [posted] = paula.read("usage.statement", [["id", "=", statement]], ["state", "move_id"])
    admin = product.staff["admin"]
    [move] = admin.call("account.move", "read", [posted["move_id"][0]], ["state", "amount_untaxed", "invoice_line_ids"])
    assert (posted["state"], move["state"]) == ("posted", "posted")
    lines = admin.call("account.move.line", "read", move["invoice_line_ids"], ["price_subtotal"])
    assert sorted(Decimal(repr(line["price_subtotal"])) for line in lines) == sorted(expected)
    assert Decimal(repr(move["amount_untaxed"])) == sum(expected)
