"""In Chromium: the finance user's path from usage to invoice and back, and a look at every screen."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

import pytest
from playwright.sync_api import expect

from harness import Product
from scenario.people import ADMINISTRATOR, PASSWORD
from scenario.story import Customer, Meter, Plan, Price, Tier

pytestmark = pytest.mark.browser

CUSTOMER = "Walk Through Ltd."
METERS = (
    Meter("words_in", "Words In", "text.processed", "word", "sum", "words_in", "language"),
    Meter("words_out", "Words Out", "text.processed", "word", "sum", "words_out"),
    Meter("reports", "Reports", "report.made", "report", "count"),
)
PLAN = Plan(
    "words",
    "Words",
    (
        Price("words_in", "per_unit", "0.50", per="1000000"),
        Price("words_out", "graduated", per="1000000", tiers=(Tier("1000000", "1.50"), Tier("0", "1.20"))),
        Price("reports", "package", package_size="10", package_amount="5.00", included="4"),
    ),
)

DETECT = """
from datetime import datetime
env["usage.signal.rule"]._detect(datetime.fromisoformat("{day} 23:00:00"))
env.cr.commit()
"""


def month_before(today: date) -> datetime:
    """The first instant of the last whole month before `today`."""
    last_day = today.replace(day=1) - timedelta(days=1)
    return datetime.combine(last_day.replace(day=1), datetime.min.time())


@pytest.fixture(scope="module")
def product(environment, server, shell):
    """Last month's usage of one customer, rated: 2,500,000 words in, 1,500,000 out, 15 reports."""
    product = Product(environment, server, "browser")
    start = month_before(date.today())
    stage = product.stage
    customers = (Customer(CUSTOMER, "ap@walk.example", PLAN.code, ("walk-1", "walk-2")),)
    stage.create_meters(METERS)
    stage.create_plans((PLAN,), METERS)
    stage.create_customers(customers)
    product.send(usage(product, start))
    product.wait_counted()
    stage.subscribe(customers, start)
    rate(product, start)
    shell(DETECT.format(day=start.date()))
    return product


def usage(product, start):
    """A month's events, three a day on two accounts, and two that nobody can place."""
    for day in range(25):
        at = f"{(start + timedelta(days=day, hours=9)).isoformat()}Z"
        words = {"words_in": 100_000, "words_out": 60_000, "language": ("en", "fr")[day % 2]}
        yield product.event(type="text.processed", subject=f"walk-{day % 2 + 1}", time=at, data=words)
        if day < 15:
            yield product.event(type="report.made", subject="walk-1", time=at, data=None)
    yield product.event(type="text.processed", subject="walk-unknown", time=at, data=words)
    yield product.event(type="text.processed", subject="walk-1", time="never", data=words)


def rate(product, start):
    """Have the preparer rate the month that ended, as in the dialog."""
    paula = product.staff["paula"]
    values = {"date": (start + timedelta(days=31)).replace(day=1).date().isoformat()}
    values["subscription_ids"] = [[6, 0, product.stage.subscription_ids]]
    wizards = paula.create("usage.statement.prepare", [values])
    paula.call("usage.statement.prepare", "action_prepare", wizards)


def expect_status(walk, label):
    """Wait until the status bar highlights this step."""
    step = walk.page.locator(".o_statusbar_status .o_arrow_button_current")
    expect(step).to_have_text(label, timeout=20_000, ignore_case=True)


def button(walk, label):
    """A button of the form's header."""
    return walk.page.locator(".o_form_statusbar").get_by_role("button", name=label, exact=True)


def press(walk, label, confirm=False):
    """Press a button of the form's header, and the confirmation's when there is one."""
    button(walk, label).click()
    if confirm:
        walk.page.click(".modal .modal-footer .btn-primary")
    walk.settle()


def open_smart_button(walk, label):
    walk.page.click(f".o-form-buttonbox .oe_stat_button:has-text('{label}')")
    walk.settle()


def open_menu(walk, *names):
    """Open an entry of the app's menu, section first."""
    walk.page.click(f".o_menu_sections button:has-text('{names[0]}')")
    walk.page.get_by_role("menuitem", name=names[1], exact=True).click()
    walk.settle()


def test_from_usage_to_invoice_and_back(walk, product):
    page = walk.page

    # Paula, who prepares: from the app's first screen to the customer's usage …
    walk.log_in("paula", PASSWORD)
    page.click(".o_navbar_apps_menu button")
    page.click(".o-dropdown--menu .o_app:has-text('Usage Billing')")
    walk.look("path 1 usage summary")
    row = page.locator(".o_pivot tbody tr", has_text=CUSTOMER)
    assert "2,500,000" in row.inner_text()
    assert "1,500,000" in row.inner_text()
    row.locator("td.o_pivot_cell_value").first.click()
    walk.look("path 2 hours")
    page.locator(".o_data_row .o_data_cell[name=meter_id]").first.click()
    walk.settle()
    page.click(".o_field_widget[name=partner_id] a")
    walk.look("path 3 customer")

    # … to the statement, its charges and how they came about.
    open_smart_button(walk, "Usage Statements")
    page.locator(".o_data_row", has_text="Rated").locator(".o_data_cell[name=name]").click()
    walk.look("path 4 statement")
    amounts = page.locator(".o_field_widget[name=charge_ids] .o_data_row .o_data_cell[name=amount]").all_inner_texts()
    assert [re.sub(r"[^\d.]", "", amount) for amount in amounts] == ["10.00", "1.25", "2.10"]
    page.get_by_role("tab", name="How It Was Calculated").click()
    walk.look("path 5 explanation")
    explained = page.locator(".o_field_widget[name=explanation_html]").inner_text()
    for step in ("1,000,000", "500,000", "0.60 USD", "10.00 USD", "1.25 USD", "2.10 USD"):
        assert step in explained
    press(walk, "Submit for Approval")
    expect_status(walk, "To Approve")
    assert not button(walk, "Approve").count(), "who prepared it cannot approve it"

    # Amir, who approves: finds it waiting, approves, invoices and posts it.
    walk.log_in("amir", PASSWORD)
    page.click(".o_navbar_apps_menu button")
    page.click(".o-dropdown--menu .o_app:has-text('Usage Billing')")
    walk.settle()
    open_menu(walk, "Billing", "To Approve")
    page.locator(".o_data_row", has_text=CUSTOMER).locator(".o_data_cell[name=name]").click()
    walk.settle()
    press(walk, "Approve", confirm=True)
    expect_status(walk, "Approved")
    walk.look("path 6 approved")
    press(walk, "Create Invoice")
    page.wait_for_selector(".o_field_widget[name=invoice_line_ids]")
    walk.look("path 7 draft invoice")
    expect_status(walk, "Draft")
    assert "13.35" in page.locator(".o_field_widget[name=tax_totals]").inner_text()
    open_smart_button(walk, "Usage Statement")
    press(walk, "Post Invoice", confirm=True)
    expect_status(walk, "Posted")
    walk.look("path 8 posted statement")

    # From the invoice's line back down to charge, hours and events.
    open_smart_button(walk, "Invoice")
    page.wait_for_selector(".o_field_widget[name=invoice_line_ids]")
    expect_status(walk, "Posted")
    walk.look("path 9 invoice")
    page.locator("button[name=action_view_usage_charge]").nth(2).click()
    page.wait_for_selector(".o_field_widget[name=explanation_html]")
    walk.look("path 10 charge")
    assert "2.10 USD" in page.locator(".o_field_widget[name=explanation_html]").inner_text()
    open_smart_button(walk, "Usage by Hour")
    walk.look("path 11 hours of the charge")
    page.locator(".o_data_row").first.locator("button[name=action_view_events]").click()
    walk.look("path 12 events of the hour")
    assert page.locator(".o_data_row").count() == 1


def test_every_screen_opens(walk, product):
    walk.log_in(*ADMINISTRATOR)
    menus = walk.menus()
    for title, action in menus:
        walk.visit(title, action)
    assert {title.split()[0] for title, _action in menus} == {"Usage", "Billing", "Signals", "Configuration"}
    assert walk.pictures > 2 * len(menus)


@pytest.mark.parametrize("login", ["paula", "sam"])
def test_every_screen_opens_for_those_with_fewer_rights(walk, product, login):
    walk.log_in(login, PASSWORD)
    menus = walk.menus()
    assert len(menus) >= 10
    for title, action in menus:
        walk.visit(f"{login} {title}", action, thoroughly=False)
