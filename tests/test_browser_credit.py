"""In Chromium: prepaid credit with expiry and automatic top-up, set up without code, checked by hand.

A word costs 0.50. Last month 160 words were used on the 4th, 100 on the 20th; credit of 100.00, valid
from the 1st until the 15th, was given. By hand:

    charges                      260 × 0.50                        130.00
    paid by credit               160 × 0.50 before the 15th         80.00
    left to pay                                                     50.00
    expires with                 100.00 - 80.00                     20.00

Nothing usable is left today, which is below the top-up's threshold of 50.00: 200.00 are sold by a posted invoice.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from forms import open_form
from playwright.sync_api import expect
from test_browser import month_before, rate

from harness import Product
from scenario.people import PASSWORD
from scenario.story import Customer, Meter, Plan, Price

pytestmark = pytest.mark.browser

METER = Meter("prepaid_words", "Prepaid Words", "text.prepaid", "word", "sum", "words")
PLAN = Plan("prepaid", "Prepaid", (Price(METER.code, "per_unit", "0.5"),))
CUSTOMER = Customer("Prepaid Prose Ltd.", "ap@prose.example", PLAN.code, ("prose-1",))


@pytest.fixture(scope="module")
def product(environment, server):
    """Last month's usage of a customer who is subscribed."""
    product = Product(environment, server, "prepaid")
    product.start = month_before(datetime.today().date())
    product.stage.create_meters((METER,))
    product.stage.create_plans((PLAN,), (METER,))
    product.stage.create_customers((CUSTOMER,))
    product.stage.subscribe((CUSTOMER,), product.start)
    product.send(
        product.event(
            type=METER.event_type,
            subject="prose-1",
            time=f"{(product.start + timedelta(days=days, hours=9)).isoformat()}Z",
            data={"words": words},
        )
        for days, words in ((3, 160), (19, 100))
    )
    product.wait_counted()
    return product


def write_moment(form, name, moment):
    """Type a date and time into a field that shows it as text until it is clicked."""
    field = form.field(name)
    control = field.locator("input, button").first
    if control.evaluate("node => node.tagName") == "BUTTON":
        control.click()
    field.locator("input").first.fill(moment.strftime("%m/%d/%Y %H:%M:%S"))
    field.locator("input").first.press("Enter")
    form.page.keyboard.press("Escape")


def status(walk):
    return walk.page.locator(".o_statusbar_status .o_arrow_button_current")


def test_prepaid_credit_without_code(walk, product):
    start = product.start
    paula = product.staff["paula"]

    # Paula sets up the credit and the top-up, Amir approves both.
    walk.log_in("paula", PASSWORD)
    form = open_form(walk, product, "usage_billing.action_usage_credit_grant")
    form.pick("partner_id", CUSTOMER.name)
    form.pick("product_id", METER.name)
    form.fill("amount", "100")
    write_moment(form, "effective_at", start)
    write_moment(form, "expires_at", start + timedelta(days=14))
    walk.look("credit draft")
    form.save()
    form = open_form(walk, product, "usage_billing.action_usage_credit_topup")
    form.pick("partner_id", CUSTOMER.name)
    form.pick("product_id", METER.name)
    form.fill("threshold", "50")
    form.fill("amount", "200")
    form.save()
    customer = [["partner_id.name", "=", CUSTOMER.name]]
    [grant] = paula.search("usage.credit.grant", customer)
    [rule] = paula.search("usage.credit.topup", customer)

    walk.log_in("amir", PASSWORD)
    form = open_form(walk, product, "usage_billing.action_usage_credit_grant", grant)
    form.press("Give Away", confirm=True)
    expect(status(walk)).to_have_text("Active", ignore_case=True)
    form = open_form(walk, product, "usage_billing.action_usage_credit_topup", rule)
    form.press("Approve", confirm=True)
    expect(status(walk)).to_have_text("Active", ignore_case=True)

    # The statement of last month: what credit pays of it, and what is left.
    rate(product, start)
    [statement] = paula.search("usage.statement", [*customer, ["state", "=", "rated"]])
    form = open_form(walk, product, "usage_billing.action_usage_statement", statement)
    walk.look("credit statement")
    for name, amount in (("amount_untaxed", "130.00"), ("amount_credit", "80.00"), ("amount_due", "50.00")):
        assert amount in form.field(name).inner_text()
    amir = product.staff["amir"]
    paula.call("usage.statement", "action_submit", [statement])
    for step in ("action_approve", "action_invoice", "action_post"):
        amir.call("usage.statement", step, [statement])

    # The scheduled job: what was left expires, and credit is sold.
    admin = product.staff["admin"]
    admin.call("ir.cron", "method_direct_trigger", [admin.find_ref("usage_billing.cron_credits")])
    form = open_form(walk, product, "usage_billing.action_usage_credit_grant", grant)
    expect(status(walk)).to_have_text("Expired", ignore_case=True)
    walk.look("credit ledger")
    ledger = form.field("entry_ids").inner_text().replace("\N{MINUS SIGN}", "-")
    for kind, amount in (("Granted", "100.00"), ("Used", "-80.00"), ("Expired", "-20.00")):
        assert kind in ledger
        assert amount in ledger
    fields = ["amount", "balance", "state", "move_id"]
    [sold] = paula.call("usage.credit.grant", "search_read", [*customer, ["origin", "=", "bought"]], fields)
    assert (sold["amount"], sold["balance"], sold["state"]) == (200, 200, "active")
    [move] = admin.call("account.move", "read", [sold["move_id"][0]], ["state", "amount_untaxed"])
    assert (move["state"], move["amount_untaxed"]) == ("posted", 200)
