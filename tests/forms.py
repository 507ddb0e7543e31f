"""Forms in the browser, filled as a person does."""

from __future__ import annotations

from contextlib import suppress

from playwright.sync_api import TimeoutError, expect

ATTEMPTS = 4
AT_ONCE = 3_000  # milliseconds in which a menu opens


class Form:
    """The form on the screen, the dialog's when one is open."""

    def __init__(self, walk):
        self.walk, self.page = walk, walk.page

    @property
    def scope(self):
        dialog = self.page.locator(".modal .o_form_view")
        return dialog.last if dialog.count() else self.page.locator(".o_form_view")

    def field(self, name):
        return self.scope.locator(f".o_field_widget[name={name}]").first

    def fill(self, name, value):
        self.field(name).locator("input").first.fill(value)

    def pick(self, name, text):
        """Choose a record by typing its name."""
        self.fill(name, text)
        self.page.locator(".o-autocomplete--dropdown-item").get_by_text(text, exact=True).click()
        expect(self.field(name).locator("input").first).to_have_value(text)
        self.page.wait_for_timeout(500)  # what depends on it comes back
        self.walk.settle()

    def choose(self, name, label):
        """Choose from a selection."""
        control = self.field(name).locator("select, input").first
        if control.evaluate("node => node.tagName") == "SELECT":
            control.select_option(label=label)
        else:
            menu = self.page.locator(".o_select_menu_item")
            item = menu.get_by_text(label, exact=True)
            for _attempt in range(ATTEMPTS):  # a form that comes back from the server closes a menu
                self.walk.settle()
                control.click()
                with suppress(TimeoutError):
                    menu.first.wait_for(timeout=AT_ONCE)
                    if not item.count():  # of a long list only the beginning is shown
                        control.fill(label)
                        item.first.wait_for(timeout=AT_ONCE)
                        self.page.wait_for_timeout(500)  # what is typed is looked for a moment later
                    item.first.click(timeout=AT_ONCE)
                    self.walk.settle()
                    if not menu.count() and control.input_value() == label:
                        return
            raise AssertionError(f"{name}: {label} cannot be chosen")

    def type_date(self, name, day):
        """Enter a date as a person types it."""
        self.field(name).locator("button, input").first.click()
        self.fill(name, day.strftime("%m/%d/%Y"))
        self.field(name).locator("input").first.press("Enter")
        self.walk.settle()

    def add_row(self, table, **values):
        """Add a line to a table, once the one before it is taken over."""
        rows = self.field(table).locator(".o_data_row")
        before = rows.count()
        self.field(table).get_by_role("button", name="Add a line").click()
        expect(rows).to_have_count(before + 1)
        row = rows.nth(before)
        expect(row).to_contain_class("o_selected_row")
        for name, value in values.items():
            row.locator(f".o_field_widget[name={name}] input").fill(value)

    def save(self):
        dialog = self.page.locator(".modal .o_form_button_save")
        if dialog.count():
            dialog.last.click()
            self.page.wait_for_selector(".modal", state="detached")
        else:
            self.page.click(".o_form_button_save")
            self.page.wait_for_selector(".o_form_status_indicator_buttons.invisible", state="attached")
        self.walk.settle()

    def press(self, label, confirm=False):
        self.page.locator(".o_form_statusbar").get_by_role("button", name=label, exact=True).click()
        if confirm:
            self.page.click(".modal .modal-footer .btn-primary")
        self.walk.settle()


def open_form(walk, product, action, record="new"):
    """Open a record, by default a new one, of an action such as "usage_billing.action_usage_price"."""
    number = product.staff["admin"].find_ref(action)
    walk.page.goto(f"{walk.url}/odoo/action-{number}/{record}")
    walk.settle()
    return Form(walk)
