"""The folder where everything we download, build and run is kept, and who may build when."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

from .console import Failure, say

STAMP = ".complete"
UNUSED_SECONDS = 14 * 24 * 3600


def folder() -> Path:
    """Return the cache folder, created: $USAGE_CACHE, or the usual place for this user.

    As root it is below /var, because PostgreSQL runs as another user, who cannot enter /root.
    """
    root = os.geteuid() == 0
    default = Path("/var/cache") if root else _user_cache()
    path = Path(os.environ.get("USAGE_CACHE") or default / "odoo-usage").absolute()
    try:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"Cannot create {path}: {error.strerror}", "Set USAGE_CACHE to a folder you can write.") from None
    if root:
        _require_way(path)
    return path


def _require_way(path: Path) -> None:
    closed = [folder for folder in (path, *path.parents) if not folder.stat().st_mode & 0o001]
    if closed:
        raise Failure(
            f"PostgreSQL, which refuses to run as root, cannot enter {closed[0]} as another user.",
            f"Run chmod o+x {closed[0]}, or set USAGE_CACHE to a folder below ones that everybody may enter.",
        )


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def digest(*parts: object) -> str:
    """Return 12 hex digits that stand for `parts`; a file's path stands for its content."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) and part.is_file() else str(part).encode()
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()[:12]


def lock_file(name: str) -> Path:
    """Return the path of the lock called `name`."""
    locks = folder() / "locks"
    locks.mkdir(exist_ok=True)
    return locks / name


@contextmanager
def lock(name: str, why: str):
    """Hold the lock `name` alone; say `why` we wait when another command has it first."""
    with lock_file(name).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another command: {why}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def complete(target: Path, build, why: str) -> Path:
    """Return the folder `target`, first filled by `build(target)` unless that was done before.

    The stamp is written last: what was interrupted halfway is thrown away and done again.
    """
    stamp = target / STAMP
    if not stamp.exists():
        with lock(target.name, why):
            if not stamp.exists():
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir(parents=True)
                build(target)
                stamp.touch()
    os.utime(stamp)
    return target


def forget_unused(pattern: str) -> None:
    """Remove the finished folders matching `pattern` that no command used for two weeks."""
    for stamp in folder().glob(f"{pattern}/{STAMP}"):
        if time.time() - stamp.stat().st_mtime > UNUSED_SECONDS:
            shutil.rmtree(stamp.parent, ignore_errors=True)


def require_space(gigabytes: float) -> None:
    """Raise Failure unless the cache folder's disk has `gigabytes` (10⁹ bytes) left."""
    free = shutil.disk_usage(folder()).free / 1e9
    if free < gigabytes:
        raise Failure(
            f"{folder()} has {free:.1f} GB left; {gigabytes:.0f} GB are needed.",
            "Free some space, or set USAGE_CACHE to a folder on a larger disk.",
        )
