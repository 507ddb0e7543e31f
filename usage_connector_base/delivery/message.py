"""A fact as the JSON text that is signed and sent, and what its headers may hold."""

import re
import secrets
from datetime import date, datetime, timezone

import msgspec

MAX_HEADER = 255  # characters
TRACEPARENT = re.compile(r"^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$")

_encoder = msgspec.json.Encoder(decimal_format="number")


def new_id():
    """A message's id: the same for every attempt, so that a receiver can tell a repetition."""
    return f"msg_{secrets.token_hex(16)}"


def encode(event_type, at, data):
    """The text of a message, in the form that Standard Webhooks recommends.

    :param str event_type: such as ``usage.account.mapped``
    :param datetime at: naive UTC, when the fact came to be
    :param dict data: JSON values, ``Decimal`` (a JSON number with all its digits), dates, and datetimes (naive: UTC)
    :raises TypeError: a binary float, whose digits are not those of the quantity or amount that it stands for

    >>> encode("usage.test", datetime(2026, 1, 1), {"n": 1})
    '{"type":"usage.test","timestamp":"2026-01-01T00:00:00Z","data":{"n":1}}'
    """
    return _encoder.encode({"type": event_type, "timestamp": _plain(at), "data": _plain(data)}).decode()


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        raise TypeError(f"{value!r} is a binary float: give a Decimal or a text.")
    if isinstance(value, datetime):
        return f"{value.astimezone(timezone.utc) if value.tzinfo else value:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, date):
        return value.isoformat()
    return value


def header_text(value):
    """A text as a header may hold it: printable ASCII, bounded; None when nothing is left."""
    kept = "".join(character for character in value or "" if " " <= character <= "~")
    return kept[:MAX_HEADER].strip() or None


def trace_text(value):
    """A W3C ``traceparent``, None when it is none: a broken one is not passed on."""
    return value if value and TRACEPARENT.match(value) else None
