"""Two events side by side: what differs between them, line by line."""

from datetime import datetime, timezone
from difflib import SequenceMatcher

import msgspec

from .envelope import Refusal, decode
from .facts import dump

# Of the transport, and no part of what an event says.
_IGNORED = ("specversion", "datacontenttype", "traceparent", "tracestate", "correlationid")
_sorted = msgspec.json.Encoder(decimal_format="number", order="sorted")


def side_by_side(left, right):
    """Lines of two JSON texts, those that belong together beside one another.

    :return: list of (left line, right line, whether they differ); None where one side has no such line

    >>> side_by_side('{"a": 1}', '{"a": 2}')
    [('{', '{', False), ('  "a": 1', '  "a": 2', True), ('}', '}', False)]
    """
    before, after = _lines(left), _lines(right)
    rows = []
    for tag, low, high, start, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        pairs = max(high - low, end - start)
        rows += [
            (
                before[low + n] if low + n < high else None,
                after[start + n] if start + n < end else None,
                tag != "equal",
            )
            for n in range(pairs)
        ]
    return rows


def _lines(text):
    """JSON with one value a line, names in order; as it stands where it is no JSON."""
    try:
        value = decode((text or "").encode())
    except Refusal:
        return (text or "").splitlines()
    return msgspec.json.format(_sorted.encode(_said(value)), indent=2).decode().splitlines()


def _said(event):
    """What an event says, the same for every way to write it."""
    if not isinstance(event, dict):
        return event
    said = {name: value for name, value in event.items() if name not in _IGNORED and value is not None}
    if isinstance(said.get("time"), str):
        said["time"] = _rfc3339(said["time"])
    return said


def _rfc3339(text):
    """A time in UTC; a stored one names no zone, since it is UTC."""
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return text
    if moment.tzinfo:
        moment = moment.astimezone(timezone.utc).replace(tzinfo=None)
    return f"{moment.isoformat()}Z"


def pretty(text):
    """A JSON text with one value a line, in its own order; as it stands where it is no JSON."""
    try:
        return msgspec.json.format(dump(decode(text.encode())).encode(), indent=2).decode()
    except Refusal:
        return text
