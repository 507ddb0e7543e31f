"""What the commands say: progress on stderr, failures that name the way out."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

QUIET_SECONDS = 1.5
LINE_SECONDS = 10


class Failure(Exception):
    """Something the reader can put right: what happened, and what to do about it."""

    def __init__(self, problem: str, remedy: str = ""):
        super().__init__(f"{problem}\n  → {remedy}" if remedy else problem)


def say(text: str) -> None:
    """Print one line to stderr at once; stdout belongs to results."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(title: str, detail=lambda: ""):
    """Show that `title` is under way, and how long it took once it is over two seconds.

    `detail()` returns a few words about how far it is, shown beside the elapsed seconds.
    """
    started, finished = time.monotonic(), threading.Event()
    ticker = threading.Thread(target=_tick, args=(title, detail, started, finished), daemon=True)
    ticker.start()
    try:
        yield
    finally:
        finished.set()
        ticker.join()
        elapsed = time.monotonic() - started
        if elapsed > QUIET_SECONDS:
            say(f"{_clear()}{title}: {elapsed:.0f} s")


def _clear() -> str:
    return "\r\033[K" if sys.stderr.isatty() else ""


def _tick(title, detail, started, finished):
    live = sys.stderr.isatty()
    pause = QUIET_SECONDS
    while not finished.wait(pause):
        text = f"{title} … {time.monotonic() - started:.0f} s {detail()}".rstrip()
        print(_clear() + text, end="" if live else "\n", file=sys.stderr, flush=True)
        pause = 0.5 if live else LINE_SECONDS


def run(command: list, remedy: str = "", **options) -> str:
    """Run `command` silently and return its output; raise Failure with the output's end otherwise."""
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=options.pop("stdin", subprocess.DEVNULL if "input" not in options else None),
        text=True,
        errors="replace",
        check=False,
        **options,
    )
    if done.returncode:
        last = "\n".join(done.stdout.strip().splitlines()[-15:])
        raise Failure(f"{Path(command[0]).name} failed ({done.returncode}):\n{last}", remedy)
    return done.stdout


def children(pid: int) -> list[int]:
    """Return the ids of a process's children, none if there is no such process."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_alive(pid: int) -> bool:
    """Tell whether there is such a process that has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def hand_over(words: list[str], variables: dict[str, str]) -> int:
    """Run a program on our terminal and return its exit code.

    Ctrl-C reaches the program, which stops in its own time; we wait for it.
    """
    try:
        with subprocess.Popen(words, env=variables) as program:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                return program.wait()
            finally:
                program.terminate()
    except FileNotFoundError:
        raise Failure(f"There is no program {words[0]}.") from None


def command(function) -> None:
    """Run `function(arguments)` as a command of its own and exit with the number it returns.

    Ctrl-C, SIGTERM and a closed terminal unwind the stack, so that whatever was started is stopped.
    """
    # Shells have jobs in the background ignore Ctrl-C; whoever sends it to us by id means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _frame: sys.exit(128 + number))
    try:
        sys.exit(function(sys.argv[1:]))
    except Failure as failure:
        say(f"{_clear()}error: {failure}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
