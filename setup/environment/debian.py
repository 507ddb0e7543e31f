"""What comes from Debian: Odoo itself, unpacked privately, and the few packages the system needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from . import cache
from .console import Failure, run, say, step

SERIES = "19.0"
SUITE = "sid"  # the only suite that carries Odoo 19
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PACKAGES = (
    "odoo-19",
    # Odoo's package links these fonts and scripts instead of carrying them.
    "libjs-jquery",
    "libjs-underscore",
    "libjs-jquery-form",
    "fonts-font-awesome",
    "fonts-roboto-unhinted",
    "fonts-montserrat",
    "fonts-inconsolata",
    "fonts-ocr-b",
)
LIBRARIES = Path("usr/lib/python3/dist-packages")
SPACE_GB = 5  # 0.1 download, 1.2 Odoo, 0.5 Python packages, the rest for databases
NO_NETWORK = "Check the network and the Debian mirror in /etc/apt, then run the same command again."


def odoo_home() -> Path:
    """Return the folder to import Odoo 19 from: $ODOO_HOME, or Debian's package in our cache."""
    own = os.environ.get("ODOO_HOME")
    if own:
        return _checked(Path(own).absolute())
    tree = cache.complete(cache.folder() / "odoo-19", _fetch_odoo, "Odoo is being downloaded")
    return tree / LIBRARIES


def _checked(home: Path) -> Path:
    release = home / "odoo/release.py"
    if not release.exists() or not re.search(r"version_info = \(19, 0\b", release.read_text()):
        raise Failure(f"ODOO_HOME={home} is not an Odoo {SERIES} checkout.", "Point it at one, or unset it.")
    return home


def _fetch_odoo(target: Path) -> None:
    cache.require_space(SPACE_GB)
    if not shutil.which("apt-get") or not KEYRING.exists():
        raise Failure(
            "Odoo is taken from Debian's archive, and this machine has no apt with Debian's keys.",
            f"Set ODOO_HOME to an Odoo {SERIES} checkout.",
        )
    downloads = target / "download"
    options = _private_apt(downloads)
    with step("Reading Debian's package index"):
        run(["apt-get", *options, "update", "--error-on=any"], NO_NETWORK)
    with step("Downloading Odoo (123 MB)", lambda: f"{_megabytes(downloads)} MB"):
        run(["apt-get", *options, "download", *PACKAGES], NO_NETWORK, cwd=downloads)
    with step("Unpacking Odoo"):
        for package in downloads.glob("*.deb"):
            _unpack(package, target)
    shutil.rmtree(downloads)
    _mend_links(target)


def _private_apt(downloads: Path) -> list[str]:
    """Return apt options that keep its state in `downloads` and the system's apt untouched."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (downloads / name).mkdir(parents=True)
    (downloads / "status").touch()
    source = downloads / "debian.sources"
    source.write_text(f"Types: deb\nURIs: {_mirror()}\nSuites: {SUITE}\nComponents: main\nSigned-By: {KEYRING}\n")
    settings = {
        "Dir::State": downloads / "state",
        "Dir::State::status": downloads / "status",
        "Dir::Cache": downloads / "cache",
        "Dir::Etc::sourcelist": source,
        "Dir::Etc::sourceparts": "-",
        # apt's own sandbox user could not write here.
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    return [f"-o{key}={value}" for key, value in settings.items()]


def _mirror() -> str:
    """Return the address of the Debian main archive that this machine's apt already uses."""
    pattern = "$(COMPONENT) $(RELEASE) $(REPO_URI)"
    listing = run(["apt-get", "indextargets", "--no-release-info", "--format", pattern, "Created-By: Packages"])
    archives = [line.split()[2] for line in listing.splitlines() if line.startswith("main ")]
    for address in sorted(archives, key=len):
        if address.rstrip("/").endswith("/debian"):
            return address
    raise Failure("This machine's apt has no Debian main archive.", "Add one to /etc/apt, or set ODOO_HOME.")


def _megabytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("**/*.deb")) // 1_000_000


def _unpack(package: Path, target: Path) -> None:
    """Unpack `package` without the copy of the addons that Odoo's package carries a second time."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as archive:
        leave_out = (f"./{LIBRARIES}/addons", "./usr/share/doc")
        run(["tar", "-x", "-C", target, *(f"--exclude={name}" for name in leave_out)], stdin=archive.stdout)
    if archive.returncode:
        raise Failure(f"{package.name} could not be unpacked.", "Check the disk, then run the command again.")


def _mend_links(target: Path) -> None:
    """Lead the links to Font Awesome 4's font, which Debian replaced, to its successor."""
    successor = target / "usr/share/fonts-font-awesome/fonts/fa-solid-900.ttf"
    for link in (target / LIBRARIES).glob("odoo/addons/web/static/**/fontawesome-webfont.ttf"):
        if link.is_symlink() and not link.exists():
            link.unlink()
            link.symlink_to(os.path.relpath(successor.resolve(), link.parent))


def require_packages(names: list[str], purpose: str) -> None:
    """Install Debian packages system-wide when we are root; otherwise say exactly how to."""
    install = f"apt-get install --no-install-recommends {' '.join(names)}"
    if os.geteuid() != 0:
        raise Failure(f"{purpose} needs {', '.join(names)}.", f"Run as root: apt-get update && {install}")
    if not shutil.which("apt-get"):
        raise Failure(f"{purpose} needs {', '.join(names)}.", "Install it with your system's package manager.")
    say(f"{purpose}: installing these Debian packages system-wide: {' '.join(names)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with cache.lock("apt", "Debian packages are being installed"), step(f"Installing {names[0]}"):
        run(["apt-get", "update"], NO_NETWORK)
        run([*install.split(), "--yes"], NO_NETWORK, env=quiet)
