"""A story made of anybody's CloudEvents: JSON Lines files, plain or gzipped.

Every subject becomes a customer, every number in an event type's data a meter, and types
without numbers are counted; each meter costs one plain price. What is billed are the calendar
months (UTC) in which something happened.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

from .story import Customer, Event, Meter, Plan, Price, Story

PLAN = "usage"
UNIT_AMOUNT, PER = "0.50", "1000000"
COUNT_AMOUNT, COUNT_PER = "0.10", "1000"
NAME = re.compile(r"[A-Za-z0-9_-]+")  # what a meter's path is made of


class EventFileError(Exception):
    """A file that cannot be used, with the place and the remedy."""


class EventFiles:
    """Events of one or several files, in their order, and the story that fits them.

    :param paths: JSON Lines, one CloudEvent a line; `.gz` is unpacked
    :raises EventFileError: unreadable, not JSON, or nothing in it that could be billed
    """

    def __init__(self, paths: list[Path]):
        self._events = [event for path in paths for event in _read(path)]
        self._usable = [event for event in self._events if _is_usable(event)]
        if not self._usable:
            names = ", ".join(map(str, paths))
            raise EventFileError(
                f"{names}: no CloudEvent with id, type, subject and an RFC 3339 time. "
                'A line looks like {"specversion": "1.0", "id": "1", "source": "app", "type": "api.call", '
                '"subject": "customer-1", "time": "2026-01-31T12:00:00Z", "data": {"calls": 1}}.'
            )

    def events(self) -> list[Event]:
        return self._events

    @property
    def story(self) -> Story:
        times = [_utc(event["time"]) for event in self._usable]
        meters = self._meters()
        return Story(
            meters,
            (Plan(PLAN, "Usage", tuple(_price(meter) for meter in meters)),),
            tuple(_customer(subject) for subject in sorted({event["subject"] for event in self._usable})),
            start=_month(min(times)),
            # A month that still runs cannot be billed yet.
            until=min(_month(_month(max(times)) + timedelta(days=31)), _now()),
            detected=(max(times) + timedelta(seconds=1),),
        )

    def _meters(self) -> tuple[Meter, ...]:
        """A sum for every path that is a number in all events of its type, or else a count."""
        paths: dict[str, set[str]] = {}
        for event in self._usable:
            numbers = set(_numbers(event.get("data")))
            paths[event["type"]] = paths.get(event["type"], numbers) & numbers
        return tuple(meter for kind in sorted(paths) for meter in _meters_of(kind, sorted(paths[kind])))


def _read(path: Path) -> Iterator[Event]:
    """The events of one file, whatever JSON value each line holds."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _parsed(line, path, number)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise EventFileError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _parsed(line: str, path: Path, number: int) -> Event:
    try:
        return json.loads(line)
    except ValueError as error:
        raise EventFileError(f"{path}, line {number}: not JSON ({error}). Each line must be one CloudEvent.") from None


def _is_usable(event) -> bool:
    """Whether a customer, a meter and a month can be read off the event."""
    if not isinstance(event, dict):
        return False
    texts = all(isinstance(event.get(name), str) and event[name] for name in ("id", "type", "subject", "time"))
    return texts and _utc(event["time"]) is not None


def _utc(text: str) -> datetime | None:
    """Naive UTC of an RFC 3339 time, None for anything else or beyond today."""
    fraction = re.sub(r"(\.\d{1,6})\d*", r"\1", text.upper().replace("Z", "+00:00"))
    try:
        time = datetime.fromisoformat(fraction)
    except ValueError:
        return None
    if time.tzinfo is None:
        return None
    time = time.astimezone(timezone.utc).replace(tzinfo=None)
    return time if time <= _now() else None


def _now() -> datetime:
    """Naive UTC."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def _month(time: datetime) -> datetime:
    """The first instant of its month."""
    return time.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _numbers(data, prefix: str = "") -> Iterator[str]:
    """Dotted paths of the non-negative numbers in nested dictionaries."""
    named = data.items() if isinstance(data, dict) else ()
    for name, value in named:
        if not NAME.fullmatch(name):
            continue
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
            yield prefix + name


def _meters_of(event_type: str, paths: list[str]) -> Iterator[Meter]:
    if not paths:
        yield Meter(_code(event_type), _title(event_type), event_type, "event", "count")
    for path in paths:
        unit = path.rpartition(".")[2].replace("_", " ")
        yield Meter(_code(f"{event_type}_{path}"), _title(f"{event_type} {path}"), event_type, unit, "sum", path)


def _price(meter: Meter) -> Price:
    if meter.aggregation == "count":
        return Price(meter.code, "per_unit", COUNT_AMOUNT, per=COUNT_PER)
    return Price(meter.code, "per_unit", UNIT_AMOUNT, per=PER)


def _customer(subject: str) -> Customer:
    return Customer(subject, f"billing@{_code(subject)}.example", PLAN, (subject,))


def _code(text: str) -> str:
    return re.sub(r"\W+", "_", text.lower()).strip("_")


def _title(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text).strip().title()
