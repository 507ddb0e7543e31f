"""The development environment: Odoo 19, PostgreSQL and Python packages, private to a cache folder.

An executable that uses it looks like this:

    import environment

    def main(arguments):
        with environment.prepare() as env:
            env.create_database("trial", ["usage_billing"])
            with env.server("trial") as server:
                print(server.url)

    if __name__ == "__main__":
        environment.main(main)
"""

from . import venv
from .console import Failure, children, command, hand_over, is_alive, run, say, step
from .odoo import REPO, Environment, Server, addons, answers, find_chromium, free_port, prepare, require_port

__all__ = [
    "REPO",
    "Environment",
    "Failure",
    "Server",
    "addons",
    "answers",
    "children",
    "find_chromium",
    "free_port",
    "hand_over",
    "is_alive",
    "main",
    "prepare",
    "reexec_in_venv",
    "require_port",
    "run",
    "say",
    "step",
]


def reexec_in_venv() -> None:
    """Continue this command in the environment's Python, which is built first where missing."""
    venv.enter()


def main(function) -> None:
    """Run `function(arguments) -> exit code or None` as a command, in the environment's Python."""

    def inside(arguments):
        reexec_in_venv()
        return function(arguments)

    command(inside)
