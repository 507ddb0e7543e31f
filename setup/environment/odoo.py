"""Odoo on this machine: its command line, quick databases, real servers."""

from __future__ import annotations

import ast
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from . import cache, debian, venv
from .console import Failure, run, step
from .postgres import Cluster

REPO = venv.REPO
TEMPLATE = "usage_tpl"
PORT_SECONDS = 5  # for a killed server's port to be free again
UNSHIPPED = {"__pycache__", "readme", "tests"}  # what no database depends on


@dataclass(frozen=True)
class Environment:
    """A prepared machine. As a context manager it keeps PostgreSQL running.

    `python` is the venv's, `home` the folder Odoo is imported from, `config` an odoo.conf,
    `chromium` the browser's path or None when it was not asked for.
    """

    cache: Path
    python: Path
    home: Path
    config: Path
    cluster: Cluster
    chromium: str | None = None
    _reserved: set[str] = field(default_factory=set)
    _reservations: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self):
        self.cluster.__enter__()
        return self

    def __exit__(self, *error):
        self._reservations.close()
        self._reserved.clear()
        self.cluster.__exit__(*error)

    # -- Odoo's command line ------------------------------------------------------------------

    def command(self, *arguments: str) -> list[str]:
        """Return the words that run Odoo's CLI; start them with `variables()`."""
        return [str(self.python.with_name("odoo")), *map(str, arguments)]

    def variables(self) -> dict[str, str]:
        """Return the environment variables Odoo and PostgreSQL's clients need."""
        path = f"{self.python.parent}:{os.environ.get('PATH', '')}"
        return {**self.cluster.environment(), "ODOO_RC": str(self.config), "PATH": path}

    def run_odoo(self, arguments: list[str], **options) -> str:
        """Run Odoo's CLI silently and return its output, log lines included; raise Failure if it fails.

        Odoo answers success to `-i` with a broken or unknown addon too: see `install`.
        """
        return run(self.command(*arguments), env=self.variables(), **options)

    def shell(self, database: str, code: str, extra: tuple[str, ...] = ()) -> str:
        """Run Python `code` in Odoo's shell, with `env` as superuser, and return what it printed.

        Nothing is kept unless the code calls `env.cr.commit()`. `extra` are further command line words.
        """
        words = self.command("shell", "-d", database, "--no-http", "--log-level=warn", *extra)
        done = subprocess.run(words, input=code, text=True, capture_output=True, env=self.variables(), check=False)
        if done.returncode or "Traceback (most recent call last)" in done.stderr:
            raise Failure(f"The Odoo shell failed:\n{done.stderr[-3000:]}")
        return done.stdout

    # -- Databases ----------------------------------------------------------------------------

    def create_database(self, name: str, modules: list[str], demo: bool = False) -> None:
        """Make `name` a fresh database with `modules`, replacing one that exists.

        It is copied from a template, which is made on the first call and again when our addons change.
        Until we are done it is ours: another command that wants to replace it waits.
        """
        self._reserve(name)
        template = self._template(sorted(modules), demo)
        with step(f"Creating database {name}"):
            self.drop_database(name)
            self._copy(template, name)

    def _reserve(self, name: str) -> None:
        if name not in self._reserved:
            self._reservations.enter_context(cache.lock(f"database-{name}", f"it uses database {name}"))
            self._reserved.add(name)

    def drop_database(self, name: str) -> None:
        """Remove a database and its files, whoever uses it; nothing happens if there is none."""
        # WITH (FORCE) fails while PostgreSQL vacuums the database by itself; a plain DROP interrupts that.
        sessions = f"pg_stat_activity WHERE datname = '{name}' AND usename = current_user"
        self.cluster.psql(f"SELECT pg_terminate_backend(pid) FROM {sessions}")
        self.cluster.psql(f'DROP DATABASE IF EXISTS "{name}"')
        shutil.rmtree(self.filestore(name), ignore_errors=True)

    def filestore(self, name: str) -> Path:
        """Return the folder of a database's attachments."""
        return self.cluster.files / "filestore" / name

    def install(self, database: str, modules: list[str], demo: bool = False) -> None:
        """Install `modules` into a database, created if missing; raise Failure unless all of them are."""
        flags = ["--with-demo"] if demo else []
        log = self.run_odoo(["-d", database, "-i", ",".join(modules), *flags, "--stop-after-init", "--no-http"])
        listed = ", ".join(f"'{module}'" for module in modules)
        query = f"SELECT name FROM ir_module_module WHERE state = 'installed' AND name IN ({listed})"
        missing = set(modules) - set(self.cluster.psql(query, database).split())
        if missing:
            raise Failure(f"Not installed: {', '.join(sorted(missing))}\n{log[-4000:]}")

    def _template(self, modules: list[str], demo: bool) -> str:
        ours, theirs = split(modules)
        kind = "demo" if demo else "plain"
        base = f"{TEMPLATE}_{kind}_{cache.digest(self.home, *theirs)}"
        self._ensure_template(base, None, theirs, demo)
        if not ours:
            return base
        family = f"{base}_{cache.digest(REPO, *modules)}"
        content = (part for path in sources(ours) for part in (path.relative_to(REPO), path))
        name = f"{family}_{cache.digest(*content)}"
        if self._ensure_template(name, base, modules, demo):
            self._drop_others(family, name)
        return name

    def _ensure_template(self, name: str, base: str | None, modules: list[str], demo: bool) -> bool:
        """Make the template unless it exists, and tell whether it had to be made."""
        with cache.lock(name, "a template database is being made"):
            if self._exists(name):
                return False
            draft = f"{name}_draft"
            self.drop_database(draft)
            with step(f"Installing {', '.join(modules)}"):
                if base:
                    self._copy(base, draft)
                self.install(draft, modules, demo)
            self._rename(draft, name)
            return True

    def _drop_others(self, family: str, current: str) -> None:
        """Drop the templates of earlier versions of our addons, unless one is being copied right now."""
        query = f"SELECT datname FROM pg_database WHERE datname ~ '^{family}_[0-9a-f]+$' AND datname <> '{current}'"
        for name in self.cluster.psql(query).split():
            with contextlib.suppress(Failure):
                self.cluster.psql(f'DROP DATABASE "{name}"')
                shutil.rmtree(self.filestore(name), ignore_errors=True)

    def _exists(self, name: str) -> bool:
        return self.cluster.psql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'") == "1"

    def _copy(self, template: str, name: str) -> None:
        """Copy a database; attachments never change once written, so hard links will do."""
        self.cluster.psql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        if self.filestore(template).exists():
            shutil.copytree(self.filestore(template), self.filestore(name), copy_function=os.link)
        own = "UPDATE ir_config_parameter SET value = gen_random_uuid() WHERE key = 'database.uuid'"
        self.cluster.psql(own, name)

    def _rename(self, draft: str, name: str) -> None:
        if self.filestore(draft).exists():
            shutil.rmtree(self.filestore(name), ignore_errors=True)
            self.filestore(draft).rename(self.filestore(name))
        self.cluster.psql(f'ALTER DATABASE "{draft}" RENAME TO "{name}"')

    # -- Servers ------------------------------------------------------------------------------

    def server(self, database: str, port: int | None = None, workers: int = 2, extra: tuple[str, ...] = ()) -> Server:
        """Return a server for `database`, to be used as a context manager; see Server."""
        return Server(self, database, port, workers, extra)


class Server:
    """A real Odoo server process: several workers, cron running, on a loopback port.

    `port` None picks a free one; a given one that is taken raises Failure. `extra` are further
    command line words. `workers` 0 is Odoo's threaded server.
    """

    def __init__(self, environment: Environment, database: str, port: int | None, workers: int, extra: tuple):
        self.environment = environment
        self.database = database
        self.port = port or free_port()
        self.log_path = environment.cache / f"logs/{database}-{self.port}.log"
        self.url = f"http://127.0.0.1:{self.port}"
        self._words = (f"--workers={workers}", "--max-cron-threads=1", *extra)
        self._process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, timeout: float = 120) -> None:
        """Start the process and return when it answers; raise Failure after `timeout` seconds."""
        require_port(self.port)
        self.log_path.parent.mkdir(exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment.variables(),
                start_new_session=True,  # so that Ctrl-C reaches it through stop()
            )
        try:
            with step(f"Starting Odoo on {self.url}"):
                self._wait(time.monotonic() + timeout)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout: float = 20) -> None:
        """End the server and all of its workers, politely for `timeout` seconds."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
        self.kill()

    def wait(self) -> None:
        """Return when the server has ended, by itself or by somebody's hand."""
        self._process.wait()

    @property
    def ended(self) -> bool:
        """Whether the server has ended, as it does by itself when it needs a worker while PostgreSQL is away."""
        return self._process.poll() is not None

    @property
    def pid(self) -> int:
        """The process id of the server, whose workers are its children."""
        return self._process.pid

    def kill(self) -> None:
        """Kill the server and all of its workers at once, as a power cut would."""
        if not self._process:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        # The workers, which are not ours to wait for, give the port back a moment later.
        deadline = time.monotonic() + PORT_SECONDS
        while not _is_free(self.port) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _command(self) -> list[str]:
        place = ("--http-interface=127.0.0.1", f"--http-port={self.port}", f"--gevent-port={free_port()}")
        only = ("-d", self.database, f"--db-filter=^{self.database}$", "--no-database-list")
        return self.environment.command(*only, *place, *self._words)

    def _wait(self, deadline: float) -> None:
        while not answers(f"{self.url}/web/health"):
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                log = "\n".join(self.log_path.read_text(errors="replace").splitlines()[-20:])
                raise Failure(f"Odoo {'ended' if ended else 'did not answer'}:\n{log}", f"Read {self.log_path}.")
            time.sleep(0.1)


def answers(url: str, timeout: float = 30) -> bool:
    """Tell whether `url` answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


def free_port() -> int:
    """Return a TCP port that was free on the loopback interface a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def require_port(port: int) -> None:
    """Raise Failure if something listens on `port` already."""
    if not _is_free(port):
        raise Failure(
            f"Port {port} is taken.",
            f"Stop what uses it (ss -ltnp 'sport = :{port}' shows it), or choose another port.",
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def addons() -> list[str]:
    """Return the names of the addons in this repository."""
    return sorted(manifest.parent.name for manifest in REPO.glob("*/__manifest__.py"))


def depends(addon: str) -> list[str]:
    """Return what the manifest of one of our addons says it depends on."""
    return ast.literal_eval((REPO / addon / "__manifest__.py").read_text())["depends"]


def split(modules: list[str]) -> tuple[list[str], list[str]]:
    """Part modules and all they depend on into our addons and those of others, each sorted."""
    own, ours, theirs, queue = set(addons()), set(), {"base"}, list(modules)
    while queue:
        module = queue.pop()
        if module not in own:
            theirs.add(module)
        elif module not in ours:
            ours.add(module)
            queue += depends(module)
    return sorted(ours), sorted(theirs)


def sources(names: list[str]) -> list[Path]:
    """Return the files of our addons that a database's content can depend on, sorted."""
    files = (path for name in names for path in (REPO / name).rglob("*") if path.is_file())
    return sorted(path for path in files if not UNSHIPPED & set(path.relative_to(REPO).parts))


def write_config(cluster: Cluster, home: Path) -> Path:
    """Write an odoo.conf for this repository and return its path; one is kept per content."""
    folders = [home / "addons", home / "odoo/addons", REPO]
    settings = {
        "addons_path": ",".join(str(folder) for folder in folders if folder.is_dir()),
        "data_dir": cluster.files,
        "db_host": cluster.sockets,
        "db_user": "odoo",
        "pg_path": cluster.binaries,
        "http_interface": "127.0.0.1",
        "without_demo": True,
    }
    text = "".join(f"{name} = {value}\n" for name, value in settings.items())
    path = cache.folder() / f"odoo-{cache.digest(text)}.conf"
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(f"[options]\n{text}admin_passwd = {secrets.token_urlsafe(24)}\n")
        draft.chmod(0o600)
        draft.rename(path)
    return path


def find_chromium() -> str:
    """Return the path of Chromium, installed from Debian when missing."""
    names = ("chromium", "chromium-browser", "google-chrome")
    if not any(map(shutil.which, names)):
        debian.require_packages(["chromium"], "The browser tests")
    return next(filter(None, map(shutil.which, names)))


def prepare(browser: bool = False, purpose: str = "") -> Environment:
    """Return the environment, downloading and building what is missing; with `browser` Chromium too.

    With a `purpose` PostgreSQL is one of its own, that can be killed without harm to other commands.
    Raise Failure, with the remedy, when something is missing that we cannot bring.
    """
    target = venv.ensure()
    home, cluster = debian.odoo_home(), Cluster(purpose)
    return Environment(
        cache=cache.folder(),
        python=target / "bin/python",
        home=home,
        config=write_config(cluster, home),
        cluster=cluster,
        chromium=find_chromium() if browser else None,
    )
