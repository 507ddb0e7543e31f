"""Two real traces as CloudEvents: one event a row or line, whose number is its id.

The rows are those of the shared folder's `data/`; its README says where they come from.
Run as a program it writes one of them as JSON Lines, fit for `setup/demo --events FILE`:

    python tests/traces.py llm > llm.jsonl
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from shared import SHARED

DATA = SHARED / "data"
LLM_TRACE = DATA / "llm_chat_trace_2023.csv.gz"
ACCESS_LOG = DATA / "http_access_2015.log.gz"

LLM_TYPE = "llm.request"
LLM_SUBJECT = "chat-service"
ACCESS_TYPE = "http.request"

_LOG_LINE = re.compile(
    r'(?P<client>\S+) \S+ \S+ \[(?P<time>[^\]]+)\] "(?P<method>\S+) [^"]*" (?P<status>\d{3}) (?P<bytes>\d+|-)(?: |$)'
)


def llm_events() -> Iterator[dict]:
    """The requests of the LLM chat service, all of one customer; the times are UTC."""
    with gzip.open(LLM_TRACE, "rt", newline="") as trace:
        for number, row in enumerate(csv.DictReader(trace), 1):
            yield _event(
                number,
                "https://llm.example/chat",
                LLM_TYPE,
                LLM_SUBJECT,
                f"{row['TIMESTAMP'].replace(' ', 'T')}Z",
                {
                    "context_tokens": int(row["ContextTokens"]),
                    "generated_tokens": int(row["GeneratedTokens"]),
                },
            )


def access_events() -> Iterator[dict]:
    """The lines of the web server's log, the client address being the account; `-` is 0 bytes."""
    with gzip.open(ACCESS_LOG, "rt", errors="replace") as log:
        for number, line in enumerate(log, 1):
            found = _LOG_LINE.match(line)
            if not found:
                raise ValueError(f"line {number} is not of the combined log format: {line!r}")
            at = datetime.strptime(found["time"], "%d/%b/%Y:%H:%M:%S %z")
            size = 0 if found["bytes"] == "-" else int(found["bytes"])
            yield _event(
                number,
                "https://web.example/access-log",
                ACCESS_TYPE,
                found["client"],
                at.isoformat(),
                {"bytes": size, "method": found["method"], "status": int(found["status"])},
            )


def busiest(count: int = 100) -> list[str]:
    """The client addresses with the most requests of the access log, busiest first."""
    clients = Counter(event["subject"] for event in access_events())
    return [client for client, _requests in clients.most_common(count)]


def utc(event: dict) -> datetime:
    """The time of an LLM event, naive UTC, to the microsecond."""
    return datetime.fromisoformat(event["time"].rstrip("Z")[:26])


def _event(number: int, source: str, event_type: str, subject: str, time: str, data: dict) -> dict:
    return {
        "specversion": "1.0",
        "id": str(number),
        "source": source,
        "type": event_type,
        "subject": subject,
        "time": time,
        "data": data,
    }


if __name__ == "__main__":
    events = {"llm": llm_events, "access": access_events}
    if len(sys.argv) != 2 or sys.argv[1] not in events:
        sys.exit(f"usage: {sys.argv[0]} {'|'.join(events)}")
    for event in events[sys.argv[1]]():
        print(json.dumps(event))
