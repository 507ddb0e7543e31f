"""In Chromium: an operator finds why events did not count, mends it, sees them counted; and imports a file."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import expect

from harness import FOLD_SECONDS, Product
from scenario.people import PASSWORD
from scenario.story import Customer, Meter

pytestmark = pytest.mark.browser

CUSTOMER = "Lost and Found Ltd."
TYPE = "page.printed"
METERS = (Meter("pages", "Pages", TYPE, "page", "sum", "pages"),)


def yesterday(hour: int) -> str:
    """RFC 3339 text of an hour of yesterday."""
    midnight = datetime.combine(datetime.now().astimezone().date(), datetime.min.time())
    return f"{(midnight - timedelta(days=1) + timedelta(hours=hour)).isoformat()}Z"


@pytest.fixture(scope="module")
def product(environment, server):
    """A customer, a meter, one event of an account nobody knows and one whose pages are no number."""
    product = Product(environment, server, "printers")
    product.stage.create_meters(METERS)
    product.stage.create_customers((Customer(CUSTOMER, "found@lost.example", "", ("lost-known",)),))
    at = yesterday(9)
    product.send(
        [
            product.event(id="lost-1", type=TYPE, subject="lost-unknown", time=at, data={"pages": 7}),
            product.event(id="lost-2", type=TYPE, subject="lost-known", time=at, data={"pages": "12"}),
        ]
    )
    product.wait_counted()
    return product


@pytest.fixture
def walk(walk):
    """The operator, logged in and in the app."""
    walk.log_in("olga", PASSWORD)
    walk.page.click(".o_navbar_apps_menu button")
    walk.page.click(".o-dropdown--menu .o_app:has-text('Usage Billing')")
    walk.settle()
    return walk


def open_menu(walk, *names):
    """Open an entry of the app's menu, section first."""
    walk.page.click(f".o_menu_sections button:has-text('{names[0]}')")
    walk.page.get_by_role("menuitem", name=names[1], exact=True).click()
    walk.settle()


def find(walk, event_id):
    """From the menu to what became of an event: the dialog with the answer."""
    open_menu(walk, "Usage", "Find an Event")
    dialog = walk.page.locator(".modal-dialog").last
    dialog.locator(".o_field_widget[name=event_ref] input").fill(event_id)
    walk.page.keyboard.press("Tab")
    expect(dialog.locator(".o_field_widget[name=story] li").first).to_be_visible()
    return dialog


def expect_counted(walk, event_id, counted):
    """Look again until the event is counted, as the fold job counts within seconds."""
    deadline = time.monotonic() + FOLD_SECONDS
    while True:
        dialog = find(walk, event_id)
        if dialog.locator(".o_field_widget[name=state]").inner_text() == "Counted":
            assert counted in dialog.inner_text()
            return dialog
        assert time.monotonic() < deadline, f"not counted within {FOLD_SECONDS} s: {dialog.inner_text()}"
        dialog.get_by_role("button", name="Close").click()


def choose(walk, widget, text):
    """Choose an entry of a selection, or of a many2one."""
    widget.locator("input").first.fill(text)
    entries = ".o-autocomplete--dropdown-item, .o-dropdown--menu .o-dropdown-item, .o_select_menu_item"
    walk.page.locator(entries).filter(has_text=text).first.click()


def press(dialog, label):
    dialog.get_by_role("button", name=label, exact=True).click()


def test_account_without_a_customer(walk):
    began = time.monotonic()
    dialog = find(walk, "lost-1")
    walk.look("operator 1 found in quarantine")
    assert "lost-unknown has no customer" in dialog.inner_text()
    press(dialog, "Assign to Customer")
    wizard = walk.page.locator(".modal-dialog").last
    choose(walk, wizard.locator(".o_field_widget[name=partner_id]"), CUSTOMER)
    walk.look("operator 2 assign")
    press(wizard, "Assign")
    expect(walk.page.locator(".modal-dialog")).to_have_count(0)
    expect_counted(walk, "lost-1", "counts 7 page")
    walk.look("operator 3 counted")
    print(f"account mapped and event counted in {time.monotonic() - began:.1f} s")


def test_wrong_payload(walk):
    began = time.monotonic()
    dialog = find(walk, "lost-2")
    walk.look("operator 4 found rejected")
    assert "must be a JSON number" in dialog.inner_text()
    press(dialog, "Open Exception")
    walk.page.wait_for_selector(".o_form_statusbar button[name=action_correct]")
    walk.look("operator 5 exception")
    walk.page.click(".o_form_statusbar button[name=action_correct]")
    wizard = walk.page.locator(".modal-dialog").last
    choose(walk, wizard.locator(".o_field_widget[name=change]"), "Make a text a number")
    wizard.locator(".o_field_widget[name=path] input").fill("data.pages")
    walk.page.keyboard.press("Tab")
    expect(wizard.locator(".o_field_widget[name=preview_html]")).to_contain_text("it will count")
    walk.look("operator 6 correction")
    press(wizard, "Correct and Replay")
    step = walk.page.locator(".o_statusbar_status .o_arrow_button_current")
    expect(step).to_have_text("Resolved", timeout=20_000, ignore_case=True)
    walk.look("operator 7 corrected and replayed")
    expect_counted(walk, "lost-2", "counts 12 page")
    walk.look("operator 8 counted")
    print(f"payload corrected and event counted in {time.monotonic() - began:.1f} s")


def test_import_of_a_file(walk, product):
    page = walk.page
    lines = ["id,account,time,pages", f"file-1,lost-known,{yesterday(10)},3", f"file-2,lost-known,{yesterday(10)},many"]
    open_menu(walk, "Usage", "Import Files")
    page.click(".o_list_button_add")
    choose(walk, page.locator(".o_field_widget[name=source_id]"), "Printers")
    file = {"name": "pages.csv", "mimeType": "text/csv", "buffer": "\n".join(lines).encode()}
    page.locator(".o_field_widget[name=file] input[type=file]").set_input_files(file)
    page.click("button[name=action_read_file]")
    expect(page.locator(".o_field_widget[name=column_ids] .o_data_row")).to_have_count(5)
    row = page.locator(".o_field_widget[name=column_ids] .o_data_row").last
    row.locator(".o_data_cell[name=constant]").click()
    row.locator(".o_field_widget[name=constant] input").fill(TYPE)
    page.keyboard.press("Tab")
    expect(page.locator(".o_field_widget[name=preview_html]")).to_contain_text("Column pages: many")
    walk.look("import 1 columns and preview")
    page.click("button[name=action_start]")
    page.click(".modal .modal-footer .btn-primary")
    step = page.locator(".o_statusbar_status .o_arrow_button_current")
    deadline = time.monotonic() + FOLD_SECONDS
    while step.inner_text().lower() != "done":
        assert time.monotonic() < deadline, "the job in the background imports the file"
        page.wait_for_timeout(500)
        if page.locator("button[name=action_refresh]").is_visible():
            page.click("button[name=action_refresh]")
        walk.settle()
    walk.look("import 2 done")
    assert page.locator(".o_field_widget[name=accepted_count]").inner_text() == "1"
    assert page.locator(".o_field_widget[name=rejected_count]").inner_text() == "1"
    with page.expect_download() as download:
        page.click("button[name=action_download_uncounted]")
    assert download.value.suggested_filename == "pages-to-correct.xlsx"
    assert product.stored("file-1", "file-2") == 1
