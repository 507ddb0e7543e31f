"""The Python environment: Odoo's and our requirements in a venv of their own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from . import cache, debian
from .console import Failure, run, step

REPO = Path(__file__).resolve().parents[2]
REQUIREMENTS = REPO / "requirements.txt"
LAUNCHER = """#!{python}
import odoo.cli

odoo.cli.main()
"""


def ensure() -> Path:
    """Return the venv's folder, built when requirements, Python or Odoo's place changed."""
    if sys.version_info < (3, 10):  # noqa: UP036 - the reader may start us with any Python
        raise Failure(f"Odoo {debian.SERIES} needs Python 3.10 or newer; this is {sys.version.split()[0]}.")
    home = debian.odoo_home()
    key = cache.digest(REQUIREMENTS, sys.version, sys.base_prefix, home)
    target = cache.folder() / f"venv-{key}"
    cache.complete(target, lambda path: _build(path, home), "Python packages are being installed")
    return target


def _build(target: Path, home: Path) -> None:
    cache.forget_unused("venv-*")
    cache.require_space(2)
    try:
        import ensurepip  # noqa: F401, PLC0415 - Debian packs it apart
    except ImportError:
        debian.require_packages(["python3-venv"], "Odoo's Python environment")
    python = target / "bin/python"
    with step("Creating the Python environment"):
        run([sys.executable, "-m", "venv", target])
    with step("Installing Python packages"):
        remedy = "Check the network and pip's index (pip config list), then run the same command again."
        run([python, "-m", "pip", "install", "--quiet", "--requirement", REQUIREMENTS], remedy)
    _add_odoo(target, home)


def _add_odoo(target: Path, home: Path) -> None:
    """Make `import odoo`, pip's view of it and the command `odoo` work in the venv."""
    packages = next(target.glob("lib/python*/site-packages"))
    (packages / "odoo-home.pth").write_text(f"{home}\n")
    launcher = target / "bin/odoo"
    launcher.write_text(LAUNCHER.format(python=target / "bin/python"))
    launcher.chmod(0o755)


def enter() -> None:
    """Continue this command with the venv's Python, unless that is what runs it already."""
    target = ensure()
    if Path(sys.prefix) != target:
        python = str(target / "bin/python")
        os.execv(python, [python, *sys.argv])
