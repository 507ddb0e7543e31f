"""Pushes events to Odoo over HTTP as a platform does: in batches, in parallel, with retries.

Events with the same id travel on the same connection, in order; so which of two contradicting
events comes first does not depend on which thread is faster.
"""

from __future__ import annotations

import http.client
import json
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from .story import Event, batches

PATH = "/usage/v1/events"
MEDIA_TYPE = "application/cloudevents-batch+json"
OUTCOMES = ("accepted", "duplicate", "conflict", "quarantined", "rejected")
ATTEMPTS = 6
TIMEOUT = 120


class SendError(Exception):
    """The receiver refused a whole request, or could not be reached at all."""

    def __init__(self, message: str, status: int = 0):
        super().__init__(message)
        self.status = status


class Connection:
    """One persistent connection with a key; reconnects when the server has hung up."""

    def __init__(self, url: str, key: str, timeout: float = TIMEOUT):
        address = urlsplit(url)
        self._http = http.client.HTTPConnection(address.hostname, address.port or 80, timeout=timeout)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def post(self, body: bytes, media_type: str = MEDIA_TYPE, path: str = PATH, **headers: str):
        """Send one request once.

        :return: (status, answer parsed from JSON, or its text when it is none, headers)
        """
        sent = {**self._headers, "Content-Type": media_type}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        try:
            self._http.request("POST", path, body, sent)
            response = self._http.getresponse()
            return response.status, _parsed(response.read()), response.headers
        except (OSError, http.client.HTTPException):
            self._http.close()
            raise

    def deliver(self, events: list[Event]) -> dict:
        """Send a batch until it is answered: a safe retry, since ids count once.

        :return: the answer, with its counts by outcome
        :raises SendError: refused, or still unreachable after `ATTEMPTS`
        """
        body = json.dumps(events, separators=(",", ":")).encode()
        problem = ""
        for attempt in range(ATTEMPTS):
            try:
                status, answer, headers = self.post(body)
            except (OSError, http.client.HTTPException) as error:
                problem, wait = f"{type(error).__name__}: {error}", 0.2 * 2**attempt
            else:
                if status == 200:
                    return answer
                if status != 429 and status < 500:
                    raise SendError(f"HTTP {status}: {answer}", status)
                problem, wait = f"HTTP {status}", float(headers.get("Retry-After") or 0.2 * 2**attempt)
            time.sleep(min(wait, 10))
        raise SendError(f"No answer after {ATTEMPTS} attempts: {problem}")

    def close(self) -> None:
        self._http.close()


def send(
    url: str,
    key: str,
    events: Iterable[Event],
    *,
    threads: int = 2,
    batch_size: int = 1000,
    progress: Callable[[int], None] = lambda sent: None,
) -> Counter:
    """Push all events and count what became of them.

    :param progress: called with the number of events sent so far, from any thread
    :return: counter of `sent` and of each of `OUTCOMES`
    """
    lanes: list[list[Event]] = [[] for _ in range(threads)]
    for event in events:
        lanes[_lane(event, threads)].append(event)
    totals: Counter = Counter(sent=0, **dict.fromkeys(OUTCOMES, 0))

    def drive(lane: list[Event]) -> None:
        connection = Connection(url, key)
        for batch in batches(lane, batch_size):
            answer = connection.deliver(batch)
            totals.update({outcome: answer[outcome] for outcome in OUTCOMES}, sent=len(batch))
            progress(totals["sent"])
        connection.close()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(drive, lanes))
    return totals


def _lane(event: Event, threads: int) -> int:
    """The thread that carries an event, the same for every event with its id."""
    identifier = event.get("id") if isinstance(event, dict) else None
    return zlib.crc32(str(identifier).encode()) % threads


def _parsed(content: bytes):
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")
