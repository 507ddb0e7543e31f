"""In Chromium: a percentage of payments, with caps, in yen and in dinars, set up without code, checked by hand.

A payment carries its money as `payment.amount`. Each month the first one is free. By hand, for last month:

    JPY, without decimals: 2.9% + 10 a payment, at least 50, at most 1,000

        12,000                                             free                0
         1,000     29.000 +  10.000 =    39.000        at least 50        50.000
        12,345    358.005 +  10.000                                      368.005
        80,000  2,320.000 +  10.000 = 2,330.000     at most 1,000      1,000.000
        33,333    966.657 +  10.000                                      976.657
                                                                       2,394.662    2,395

    BHD, three decimals: 1.75% + 0.025 a payment, at least 0.100, at most 2.500

         5.000                                             free                0
         2.500  0.0437500 + 0.025 = 0.0687500       at least 0.100     0.1000000
        47.315  0.8280125 + 0.025                                      0.8530125
       300.125  5.2521875 + 0.025 = 5.2771875        at most 2.500     2.5000000
        19.999  0.3499825 + 0.025                                      0.3749825
                                                                       3.8279950    3.828
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from forms import open_form
from playwright.sync_api import expect
from test_browser import month_before, rate

from harness import Product
from scenario.people import PASSWORD
from scenario.story import Customer, Meter

pytestmark = pytest.mark.browser

METER = Meter("payments", "Payments", "payment.made", "payment", "count")
PLAN = "Card Payments"


@dataclass(frozen=True)
class Case:
    """A currency's price, as it is typed, a customer who pays in it, and what comes of it."""

    currency: str
    customer: Customer
    #: The name of a field on the price's form, and what is typed into it.
    price: dict
    payments: tuple[str, ...]
    words: str
    #: Minimum and maximum as the form shows them, with the decimals of the currency.
    caps: tuple[str, str]
    explained: tuple[str, ...]
    unrounded: str
    amount: str


CASES = (
    Case(
        "JPY",
        Customer("Sakura Payments K.K.", "ap@sakura.example", "", ("sakura-1",)),
        {"percent": "2.9", "fixed_amount": "10", "minimum_per_event": "50", "maximum_per_event": "1000"},
        ("12000", "1000", "12345", "80000", "33333"),
        "2.9% of the amount plus 10 JPY an event, at least 50 JPY an event, at most 1,000 JPY an event",
        ("50", "1,000"),
        (
            "events: 5 (138,678 JPY); free: 1 (12,000 JPY)",
            "at the minimum of 50 JPY: 1; at the maximum of 1,000 JPY: 1",
            "the others: 45,678 JPY × 2.9% + 2 × 10 JPY",
        ),
        "2,394.662 JPY",
        "2,395",
    ),
    Case(
        "BHD",
        Customer("Pearl Payments W.L.L.", "ap@pearl.example", "", ("pearl-1",)),
        {"percent": "1.75", "fixed_amount": "0.025", "minimum_per_event": "0.1", "maximum_per_event": "2.5"},
        ("5.000", "2.500", "47.315", "300.125", "19.999"),
        "1.75% of the amount plus 0.025 BHD an event, at least 0.100 BHD an event, at most 2.500 BHD an event",
        ("0.100", "2.500"),
        (
            "events: 5 (374.939 BHD); free: 1 (5.000 BHD)",
            "at the minimum of 0.100 BHD: 1; at the maximum of 2.500 BHD: 1",
            "the others: 67.314 BHD × 1.75% + 2 × 0.025 BHD",
        ),
        "3.827995 BHD",
        "3.828",
    ),
)


@pytest.fixture(scope="module")
def product(environment, server):
    """Last month's payments of two customers, in the two currencies; no plan and no price yet."""
    product = Product(environment, server, "payments")
    product.start = month_before(datetime.today().date())
    admin = product.staff["admin"]
    names = [["name", "in", [case.currency for case in CASES]]]
    admin.write("res.currency", admin.search("res.currency", names, context={"active_test": False}), {"active": True})
    product.stage.create_meters((METER,))
    product.stage.create_plans((), (METER,))
    product.stage.create_customers(tuple(case.customer for case in CASES))
    product.send(
        product.event(
            type=METER.event_type,
            subject=case.customer.accounts[0],
            time=f"{(product.start + timedelta(days=day, hours=9)).isoformat()}Z",
            data={"payment": {"amount": amount, "currency": case.currency}},
        )
        for case in CASES
        for day, amount in enumerate(case.payments)
    )
    product.wait_counted()
    return product


def set_up_plan(walk, product):
    """A plan in yen, with a price in yen and one in dinars."""
    form = open_form(walk, product, "usage_billing.action_usage_plan")
    form.fill("name", PLAN)
    form.fill("code", "payments")
    form.pick("currency_id", "JPY")
    form.save()
    for case in CASES:
        form = open_form(walk, product, "usage_billing.action_usage_price")
        form.pick("plan_id", PLAN)
        form.pick("meter_id", METER.name)
        form.pick("product_id", METER.name)
        form.pick("currency_id", case.currency)
        form.choose("model", "Percentage")
        for name, value in {**case.price, "free_events": "1", "amount_path": "payment.amount"}.items():
            form.fill(name, value)
        form.save()
        walk.look(f"payments price {case.currency}")
        assert f"{case.words}, the first event free" in form.field("description").inner_text()
        caps = [form.field(f"{bound}_per_event").locator("input").input_value() for bound in ("minimum", "maximum")]
        assert tuple(caps) == case.caps


def approve(walk, product):
    ben = product.staff["ben"]
    for price in ben.search("usage.price", [["plan_id.name", "=", PLAN]]):
        open_form(walk, product, "usage_billing.action_usage_price", price).press("Approve", confirm=True)
        expect(status(walk)).to_have_text("Approved", ignore_case=True)


def subscribe(walk, product, case):
    """Subscribe a customer to the plan, in the case's currency."""
    form = open_form(walk, product, "usage_billing.action_usage_subscription")
    form.pick("partner_id", case.customer.name)
    form.pick("plan_id", PLAN)
    form.pick("currency_id", case.currency)
    form.type_date("date_start", product.start)
    form.choose("tz", "UTC")
    form.save()
    form.press("Activate")
    expect(status(walk)).to_have_text("Active", ignore_case=True)
    walk.look(f"payments subscription {case.currency}")


def status(walk):
    return walk.page.locator(".o_statusbar_status .o_arrow_button_current")


def digits(text):
    return re.sub(r"[^\d.,]", "", text)


def test_a_percentage_of_payments_without_code(walk, product):
    walk.log_in("ada", PASSWORD)
    set_up_plan(walk, product)
    walk.log_in("ben", PASSWORD)
    approve(walk, product)

    walk.log_in("paula", PASSWORD)
    for case in CASES:
        subscribe(walk, product, case)
    paula, amir = product.staff["paula"], product.staff["amir"]
    product.stage.subscription_ids = paula.search("usage.subscription", [["plan_id.name", "=", PLAN]])
    rate(product, product.start)
    statements = paula.read(
        "usage.statement", [["plan_id.name", "=", PLAN], ["state", "=", "rated"]], ["currency_id"], order="id"
    )
    assert len(statements) == len(CASES)
    by_currency = {statement["currency_id"][1]: statement["id"] for statement in statements}
    for case in CASES:
        form = open_form(walk, product, "usage_billing.action_usage_statement", by_currency[case.currency])
        walk.look(f"payments statement {case.currency}")
        assert digits(form.field("amount_untaxed").inner_text()) == case.amount
        walk.page.get_by_role("tab", name="How It Was Calculated").click()
        walk.look(f"payments explanation {case.currency}")
        explained = form.field("explanation_html").inner_text()
        for text in (*case.explained, case.unrounded, case.amount):
            assert text in explained

    ids = list(by_currency.values())
    paula.call("usage.statement", "action_submit", ids)
    for step in ("action_approve", "action_invoice", "action_post"):
        amir.call("usage.statement", step, ids)
    for case in CASES:
        [statement] = paula.read("usage.statement", [["id", "=", by_currency[case.currency]]], ["state", "move_id"])
        [move] = product.staff["admin"].call(
            "account.move", "read", [statement["move_id"][0]], ["state", "amount_untaxed", "currency_id"]
        )
        assert (statement["state"], move["state"], move["currency_id"][1]) == ("posted", "posted", case.currency)
        assert move["amount_untaxed"] == float(case.amount.replace(",", ""))
