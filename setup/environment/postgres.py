"""A PostgreSQL cluster of our own: started when a command needs it, stopped with the last one."""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from . import cache, debian
from .console import Failure, children, is_alive, run, step

OLDEST = 13
ROLE = "odoo"
SETTINGS = {
    "listen_addresses": "''",  # the Unix socket is the only way in
    "unix_socket_permissions": "0700",
    "max_connections": 200,
    "shared_buffers": "1GB",
    "effective_cache_size": "8GB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    # What was answered `accepted` must survive a crash: never trade these for speed.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}


def binaries() -> Path:
    """Return the folder of the newest installed PostgreSQL, installed from Debian when missing."""
    return _find() or _install()


def _find() -> Path | None:
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path).resolve().parent)
    usable = [path for path in found if version(path) >= OLDEST]
    return max(usable, key=version, default=None)


def _install() -> Path:
    debian.require_packages(["postgresql"], "Odoo's database")
    found = _find()
    if not found:
        raise Failure(f"No PostgreSQL {OLDEST} or newer was found.", "Install one with your package manager.")
    return found


def version(bin_folder: Path) -> int:
    """Return the major version of the PostgreSQL in `bin_folder`."""
    text = run([bin_folder / "postgres", "--version"])
    return int(re.search(r"PostgreSQL\) (\d+)", text).group(1))


class Cluster:
    """One data folder, one socket folder, one server shared by all of our commands.

    Used as a context manager. Every command holds a shared lock while it uses the server;
    who gets the lock alone at the end was the last one, and stops the server.

    :param purpose: for a cluster apart from the usual one, such as one that is going to be killed
    """

    def __init__(self, purpose: str = ""):
        self.binaries = binaries()
        self.major = version(self.binaries)
        suffix = f"-{purpose}" if purpose else ""
        self.home = cache.folder() / f"postgres-{self.major}{suffix}"
        self.files = cache.folder() / f"data{suffix}"  # of Odoo, beside the databases
        self.data = self.home / "data"
        self.sockets = _short(self.home / "run")
        self.owner = _owner()
        self._in_use = None

    def __enter__(self):
        cache.complete(self.home, self._build, "the database cluster is being created")
        with self._starting():
            if not self.running():
                self._start()
            self._in_use = cache.lock_file(f"{self.home.name}-in-use").open("w")
            fcntl.flock(self._in_use, fcntl.LOCK_SH)
        return self

    def __exit__(self, *_):
        with self._starting(), self._in_use:
            try:
                fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            with step("Stopping PostgreSQL"):
                self._control("stop", "--mode=fast")

    def _starting(self):
        return cache.lock(f"{self.home.name}-start", "PostgreSQL is starting or stopping")

    def running(self) -> bool:
        """Tell whether the server answers."""
        ask = [self.binaries / "pg_isready", "--quiet", "--host", self.sockets]
        return subprocess.run(ask, check=False).returncode == 0

    def checkpoint(self) -> None:
        """Have everything on disk before a crash.

        In a database that was just copied PostgreSQL 15 and newer does not log every step of a sequence until the
        next checkpoint: after a crash it would give the same numbers again.
        """
        words = ["--no-psqlrc", "--quiet", "--username=postgres", "--dbname=postgres", "--command=CHECKPOINT"]
        run([self.binaries / "psql", *words], env=self.environment())

    def kill(self) -> None:
        """Kill every process of the server at once, as a power cut would, and start it again.

        It recovers from its log. Not for the cluster that other commands share.
        """
        pid_file = self.data / "postmaster.pid"
        main = int(pid_file.read_text().split()[0])
        os.kill(main, signal.SIGSTOP)  # so that it neither replaces nor outlives its children
        processes = [*children(main), main]
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        while any(map(is_alive, processes)):
            time.sleep(0.01)
        # A process whose end nobody asked for, as in a container without init, still counts as a running server.
        for left in (pid_file, *self.sockets.glob(".s.PGSQL.*.lock")):
            left.unlink()
        self._start()

    def environment(self) -> dict[str, str]:
        """Return the environment variables that lead libpq's clients, Odoo included, here."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**ours, "PGHOST": str(self.sockets), "PGUSER": ROLE}

    def psql(self, statement: str, database: str = "postgres") -> str:
        """Run SQL as Odoo's role and return the rows, one a line, columns parted by `|`."""
        options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        query = [self.binaries / "psql", *options, "--dbname", database, "--command", statement]
        return run(query, env=self.environment()).strip()

    def _build(self, home: Path) -> None:
        cache.require_space(3)
        self._hand_over(home)
        with step("Creating the database cluster"):
            words = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"]
            self._as_owner([self.binaries / "initdb", *words, "--pgdata", self.data])
            with (self.data / "postgresql.conf").open("a") as config:
                config.writelines(f"{name} = {value}\n" for name, value in SETTINGS.items())
            role = f"CREATE ROLE {ROLE} LOGIN CREATEDB\n"
            self._as_owner([self.binaries / "postgres", "--single", "-D", self.data, "postgres"], input=role)

    def _start(self) -> None:
        self.sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._hand_over(self.sockets)
        with step("Starting PostgreSQL"):
            self._control("start", f"--log={self.home / 'server.log'}", f"--options=-k '{self.sockets}'")

    def _control(self, action: str, *options: str) -> None:
        words = [self.binaries / "pg_ctl", action, "--wait", "--timeout=120", "--pgdata", self.data, *options]
        self._as_owner(words, remedy=f"Read the end of {self.home / 'server.log'}.")

    def _as_owner(self, words: list, remedy: str = "", **options) -> None:
        if self.owner:
            options |= {"user": self.owner.pw_uid, "group": self.owner.pw_gid, "extra_groups": []}
        run(words, remedy, cwd="/", **options)

    def _hand_over(self, folder: Path) -> None:
        if self.owner:
            os.chown(folder, self.owner.pw_uid, self.owner.pw_gid)


def _owner() -> pwd.struct_passwd | None:
    """Return who runs the server when we are root, whom PostgreSQL refuses; None means ourselves."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name: user for user in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def _short(folder: Path) -> Path:
    """Return `folder`, or a stand-in below /tmp when a socket's address would be too long."""
    return folder if len(str(folder)) < 80 else Path(f"/tmp/odoo-usage-{cache.digest(folder)}")
