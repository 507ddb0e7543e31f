"""Opens every screen of the app in a browser, looks for errors, and keeps pictures of what it saw.

As a program it walks over any server, for a person to look at the pictures afterwards:

    ./setup/run python tests/screens.py http://127.0.0.1:8069 admin admin FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import TimeoutError

APP = "Usage Billing"
ERRORS = ".o_error_dialog, .o_notification:has(.bg-danger), .o_notification_bar.bg-danger"
TIMEOUT = 30_000
FIRST_TIMEOUT = 180_000  # the first to log in waits until the server has compiled the web client
SIZE = {"width": 1440, "height": 900}


@dataclass
class Walk:
    """A browser page of one logged-in user, and the complaints collected on the way.

    `page` is Playwright's; pictures go to `folder` when there is one.
    """

    page: object
    url: str
    folder: Path | None = None
    complaints: list[str] = field(default_factory=list)
    pictures: int = 0

    def __post_init__(self):
        self.page.set_default_timeout(TIMEOUT)
        self.page.set_viewport_size(SIZE)
        self.page.on("pageerror", lambda error: self.complaints.append(f"{self.page.url}: {error}"))
        self.page.on("response", self._note_response)

    def _note_response(self, response) -> None:
        if response.status >= 500:
            self.complaints.append(f"{response.url}: HTTP {response.status}")

    def log_in(self, login: str, password: str) -> None:
        """Log in as a person does; whoever was logged in is logged out."""
        self.page.context.clear_cookies()
        # With a name given, the page does not offer those who logged in before in place of its fields.
        self.page.goto(f"{self.url}/web/login?{urlencode({'login': login})}", timeout=FIRST_TIMEOUT)
        self.page.fill("input[name=password]", password)
        self.page.click("button[type=submit]")
        self.page.wait_for_selector(".o_web_client .o_navbar", timeout=FIRST_TIMEOUT)

    def settle(self) -> None:
        """Wait until the screen shows its data."""
        self.page.wait_for_selector(".o_action_manager .o_view_controller, .o_dialog .o_form_view")
        self.page.wait_for_function("!document.querySelector('.o_loading_indicator')")
        # Graphs grow for a second; what else moves is faster.
        self.page.wait_for_timeout(1200 if self.page.locator(".o_graph_renderer").count() else 150)

    def look(self, title: str) -> None:
        """Keep a picture, and complain about any error that shows."""
        try:
            self.settle()
        except TimeoutError:
            self.complaints.append(f"{title}: does not open: {self.page.inner_text('body')[:500]}")
        for message in self.page.locator(ERRORS).all_inner_texts():
            self.complaints.append(f"{title}: {message}")
        if self.folder:
            self.pictures += 1
            name = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
            self.page.screenshot(path=str(self.folder / f"{self.pictures:03d}-{name}.png"))

    def menus(self) -> list[tuple[str, int]]:
        """The app's menu entries this user has: (path, id of the action)."""
        tree = self.page.evaluate("() => fetch('/web/webclient/load_menus').then(answer => answer.json())")
        root = next(menu for menu in tree.values() if menu.get("name") == APP)
        return list(self._leaves(tree, root, ""))

    def _leaves(self, tree: dict, menu: dict, path: str) -> Iterator[tuple[str, int]]:
        if menu["actionID"] and not menu["children"]:
            yield path, menu["actionID"]
        for child in menu["children"]:
            below = tree[str(child)]
            yield from self._leaves(tree, below, f"{path} {below['name']}".strip())

    def visit(self, title: str, action: int, thoroughly: bool = True) -> None:
        """Open one menu entry, in each of its views when `thoroughly`, then its first record."""
        self.page.goto(f"{self.url}/odoo/action-{action}")
        self.look(title)
        if self.page.locator(".o_dialog").count():
            return
        if thoroughly:
            self._switch_views(title)
        self._open_first_record(title, thoroughly)

    def _switch_views(self, title: str) -> None:
        """Look at every view of an action and come back to its first one."""
        buttons = self.page.locator(".o_cp_switch_buttons button.o_switch_view").all()
        names = [_view_class(button.get_attribute("class")) for button in buttons]
        for name in names[1:]:
            self.page.click(f".o_cp_switch_buttons button.{name}")
            self.look(f"{title} {name[2:]}")
        if names[1:]:
            self.page.click(f".o_cp_switch_buttons button.{names[0]}")
            self.settle()

    def _open_first_record(self, title: str, thoroughly: bool) -> None:
        if self.page.locator(".o_view_nocontent").count():
            return  # the rows behind the explanation are examples
        row = self.page.locator(".o_data_row:not(.o_group_header) .o_data_cell:not(.o_list_button)").first
        group = self.page.locator(".o_group_header").first
        if not row.count() and group.count():
            group.click()
            self.settle()
        if row.count():
            row.click()
            self.page.wait_for_timeout(300)
            if self.page.locator(".o_form_view").count():
                self.look(f"{title} form")
                if thoroughly:
                    self._open_tabs(title)

    def _open_tabs(self, title: str) -> None:
        tabs = self.page.locator(".o_form_view .o_notebook_headers .nav-link")
        for number in range(1, tabs.count()):
            tabs.nth(number).click()
            self.look(f"{title} form {tabs.nth(number).inner_text()}")


def _view_class(classes: str) -> str:
    """The class that tells a view's button from the others, such as `o_list`."""
    return next(name for name in classes.split() if name.startswith("o_") and name != "o_switch_view")


def main(url: str, login: str, password: str, folder: str) -> int:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - the tests bring their own browser

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "setup"))
    import environment  # noqa: PLC0415 - found by the line above

    Path(folder).mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=environment.find_chromium(), args=["--no-sandbox"])
        walk = Walk(browser.new_page(), url, Path(folder))
        walk.log_in(login, password)
        for title, action in walk.menus():
            walk.visit(title, action)
        browser.close()
    print(f"{walk.pictures} pictures in {folder}", *walk.complaints, sep="\n")
    return 1 if walk.complaints else 0


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
