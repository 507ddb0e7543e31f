"""What the system tests share: the environment, one real server, a client for it, a browser.

`./setup/test system browser` runs them; so does pytest called from the environment (`./setup/run pytest tests`).
"""

import os
import signal
import sys
import xmlrpc.client
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
ADDONS = ["usage_connector_base", "usage_billing", "usage_crm_signals"]
DATABASE = os.environ.get("USAGE_TEST_DATABASE") or "test_system"  # two runs at once take two names

sys.path.insert(0, str(REPO / "setup"))
from shared import SHARED

import environment as setup_environment


def pytest_configure(config):
    # Whoever ends us early gets our servers ended too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config.addinivalue_line("markers", "browser: looks at the server in Chromium")


def pytest_collection_modifyitems(config, items):
    """Leave out, and say so, the tests that need recorded data this machine does not have."""
    if SHARED.is_dir():
        return
    needing = [item for item in items if "shared_data" in getattr(item, "fixturenames", ())]
    if needing:
        config.hook.pytest_deselected(items=needing)
        items[:] = [item for item in items if item not in needing]
        setup_environment.say(f"{len(needing)} tests need {SHARED} (or USAGE_SHARED), which is not there: left out")


@contextmanager
def uncaptured(request):
    """Let progress show: making the first database takes a minute."""
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        yield


@dataclass(frozen=True)
class Client:
    """Odoo's external API as one user."""

    url: str
    database: str
    login: str = "admin"
    password: str = "admin"

    @cached_property
    def uid(self):
        return xmlrpc.client.ServerProxy(f"{self.url}/xmlrpc/2/common").authenticate(
            self.database, self.login, self.password, {}
        )

    def __call__(self, model, method, *args, **kwargs):
        """Call a public method and return its result; raise xmlrpc.client.Fault with Odoo's message."""
        server = xmlrpc.client.ServerProxy(f"{self.url}/xmlrpc/2/object", allow_none=True)
        return server.execute_kw(self.database, self.uid, self.password, model, method, args, kwargs)


@pytest.fixture(scope="session")
def environment(request):
    """The prepared environment, PostgreSQL running."""
    with uncaptured(request), setup_environment.prepare() as prepared:
        yield prepared


@pytest.fixture(scope="session")
def server(request, environment):
    """A server with two workers and cron on a fresh database with our addons, as a user would run it."""
    with uncaptured(request):
        environment.create_database(DATABASE, ADDONS)
        running = environment.server(DATABASE)
        running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def web_server(request, environment, server):
    """A second, threaded server on the same database, to be looked at in a browser.

    Several processes would need a reverse proxy in front of them for the web client's websocket.
    """
    with uncaptured(request):
        running = environment.server(server.database, workers=0, extra=("--max-cron-threads=0",))
        running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def admin(server):
    """Call a method as the administrator: admin("res.partner", "search_count", [])."""
    return Client(server.url, server.database)


@pytest.fixture(scope="session")
def shell(environment, server):
    """Run code in Odoo's shell on the server's database: shell("print(env.user.login)") returns the output."""
    return lambda code: environment.shell(server.database, code)


@pytest.fixture(scope="session")
def shared_data():
    """The folder of recorded data; tests that use it are left out where it is missing."""
    return SHARED


@pytest.fixture(scope="session")
def chromium(request):
    """A headless Chromium, driven by Playwright; open pages with chromium.new_page()."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only browser tests pay for it

    with uncaptured(request):
        path = setup_environment.find_chromium()
    arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def walk(chromium, environment, product, web_server):
    """A fresh browser page in UTC on what the module's `product` set up; its pictures are kept in the cache folder."""
    from screens import Walk  # noqa: PLC0415 - as above

    folder = environment.cache / "screens"
    folder.mkdir(exist_ok=True)
    page = chromium.new_page(timezone_id="UTC")
    walk = Walk(page, web_server.url, folder)
    yield walk
    page.close()
    assert walk.complaints == []
