"""One event as it was sent, to a fact that can be stored, or a rejection that says why not.

This is the hot path: some ten thousand events a second pass through :func:`read_fact`.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from hashlib import blake2b
from typing import NamedTuple

import msgspec

MAX_IDENTIFIER = 255  # characters of id, type, subject, tenant, subscription, user
MAX_DIMENSION = 200  # characters of one dimension's value
MAX_DATA = 32 * 1024  # bytes of an event's content, as JSON
MAX_QUANTITY = 10**18
MAX_DECIMALS = 18

# CloudEvents attributes that we store in columns, and those that belong to the transport:
# neither is repeated in ``attributes``.
_COLUMNS = frozenset(("specversion", "id", "type", "subject", "time", "data", "tenant", "subscription", "user"))
_TRANSPORT = frozenset(("datacontenttype", "traceparent", "tracestate", "correlationid"))
_KNOWN = _COLUMNS | _TRANSPORT
SUMMARY_TYPE = "usage.summary"  # of stored summaries, a window each, see :mod:`.summaries`: no event may have it
_REFERENCES = ("tenant", "subscription", "user")
_NO_REFERENCES = [None] * len(_REFERENCES)
_REFERENCE_NAMES = frozenset(_REFERENCES)

# What may be told apart in a rejection. Codes are part of the API: never renamed.
REJECTIONS = {
    "not_an_object": "The event is not a JSON object.",
    "specversion_unsupported": "specversion must be 1.0.",
    "id_invalid": "id must be a text of 1 to 255 characters.",
    "type_invalid": "type must be a text of 1 to 255 characters.",
    "type_reserved": "usage.summary is no type of an event: send summaries to /usage/v1/summaries.",
    "subject_invalid": "subject, the account, must be a text of 1 to 255 characters.",
    "time_invalid": "time must be an RFC 3339 time with a zone, such as 2026-01-31T23:59:59Z.",
    "time_in_future": "time lies too far in the future: check the sender's clock.",
    "time_too_old": "time lies too far in the past: send it as a correction or raise the limit.",
    "reference_invalid": "tenant, subscription and user must be texts of at most 255 characters.",
    "data_invalid": "data must be a JSON object.",
    "data_too_large": "An event may take 32 KiB.",
    "character_invalid": "The NUL character cannot be stored.",
    "value_missing": "data lacks the value that the meter counts.",
    "value_not_number": "The value that the meter counts must be a JSON number.",
    "value_negative": "The value that the meter counts may not be negative.",
    "value_out_of_range": "The value may have 18 digits before and 18 after the point.",
    "value_invalid": "A value that is told apart must be a text of at most 200 characters, a number or a boolean.",
    "schema_mismatch": "data is not of the form that was agreed upon for the meter.",
    "dimension_invalid": "A dimension must be a text of at most 200 characters, a number or a boolean.",
}

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # escaped in JSON; not a backslash before the letters u0000
_TOO_FINE = re.compile(r"(\.\d{6})\d+")  # a fraction of a second beyond microseconds

_encode_number = msgspec.json.Encoder(decimal_format="number")
_encode_canonical = msgspec.json.Encoder(decimal_format="number", order="deterministic")


class Rejection(Exception):
    """An event that is not well-formed.

    :param str code: a key of ``texts``
    :param str detail: where and what, for the sender; the code's text when absent
    """

    texts = REJECTIONS

    def __init__(self, code, detail=""):
        super().__init__(code)
        self.code = code
        self.message = f"{self.texts[code]} {detail}".strip()


class Filter(NamedTuple):
    """What an event's data must fulfil for a meter to count it."""

    path: tuple  # names from data down to the value
    operator: str  # in, not_in, set, not_set
    values: frozenset = frozenset()  # of texts, as :func:`text_of` writes them

    def passes(self, data):
        """Whether the data fulfils this. What has no text is none of the values.

        >>> Filter(("tokens", "input"), "in", frozenset({"7", "8"})).passes({"tokens": {"input": 7}})
        True
        """
        value = dig(data, self.path)
        if self.operator == "set":
            return value is not None
        if self.operator == "not_set":
            return value is None
        return (text_of(value) in self.values) == (self.operator == "in")


class Condition(NamedTuple):
    """To which events of its type a meter is limited."""

    starts: datetime | None  # naive UTC, inclusive
    ends: datetime | None  # naive UTC, exclusive
    filters: tuple = ()  # of :class:`Filter`, all of which must pass

    def covers(self, time):
        """Whether an event of this time (naive UTC) is meant."""
        return (self.starts is None or self.starts <= time) and (self.ends is None or time < self.ends)

    def takes(self, time, data):
        """Whether an event of this time (naive UTC) with this data is counted."""
        return self.covers(time) and all(line.passes(data) for line in self.filters)


class MeterSpec(NamedTuple):
    """What ingestion must know of a meter to judge an event's data."""

    code: str
    value_path: tuple  # names from data down to the value; () when events are counted
    dimension_paths: tuple  # of such paths
    is_number: bool = True  # whether the value must be one; else it is told apart from others by its text
    condition: Condition | None = None  # None: every event of the type is counted
    schema: Callable | None = None  # of data to None, or to what is wrong with it: see :mod:`schemas`


class Limits(NamedTuple):
    """Bounds of an event's time, as naive UTC."""

    earliest: datetime
    latest: datetime
    now: datetime  # the time of an event that names none


class Fact(NamedTuple):
    """One event, judged and ready to be stored."""

    key: str  # digest of the source and the event's id: counts once
    fingerprint: int  # digest of the content: the same id with another one is a conflict
    event_id: str
    type: str
    subject: str
    time: datetime | None  # naive UTC; None: the time it was received
    data: dict
    tenant_ref: str | None
    subscription_ref: str | None
    user_ref: str | None
    attributes: dict | None  # extension attributes that we do not know, kept


def dump(value):
    """JSON text of a value decoded by :mod:`envelope`, numbers exactly as they came."""
    return _encode_number.encode(value).decode()


def dig(data, path):
    """The value at ``path`` in nested dicts, None where it is absent.

    >>> dig({"tokens": {"input": 7}}, ("tokens", "input"))
    7
    """
    try:
        for name in path:
            data = data[name]
    except (KeyError, TypeError):  # TypeError: something before the end is no object
        return None
    return data


def text_of(value):
    """The text by which values of JSON are compared, as PostgreSQL's ``#>>`` writes it.

    :return: None for what has no text: null, objects and lists

    >>> text_of(True), text_of(Decimal("1E-7")), text_of("Größe"), text_of([1])
    ('true', '0.0000001', 'Größe', None)
    """
    kind = type(value)
    if kind is str:
        return value
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(value)
    return f"{value:f}" if kind is Decimal else None


def read_fact(source_id, event, meters_of, limits):
    """Judge one event.

    :param int source_id: the sender, half of the event's identity
    :param event: the event as decoded from JSON
    :param meters_of: function of an event type to the :class:`MeterSpec` it feeds
    :param Limits limits: accepted range of times
    :return: :class:`Fact`
    :raises Rejection: with its code when the event cannot be stored or counted
    """
    if not isinstance(event, dict):
        raise Rejection("not_an_object")
    if event.get("specversion", "1.0") != "1.0":
        raise Rejection("specversion_unsupported")
    event_id = read_text(event, "id", "id_invalid")
    event_type = read_text(event, "type", "type_invalid")
    subject = read_text(event, "subject", "subject_invalid")
    sent_time = event.get("time")
    time = None if sent_time is None else read_utc(sent_time, limits)
    data = event.get("data")
    if data is None:
        data = {}
    elif not isinstance(data, dict):
        raise Rejection("data_invalid")
    schemas = ()
    for meter in meters_of(event_type):
        if meter.condition is None or meter.condition.takes(time or limits.now, data):
            _check_meter(meter, data)
            if meter.schema is not None:
                schemas += (meter,)
    references = read_references(event)
    attributes = None if _KNOWN.issuperset(event) else {name: event[name] for name in event.keys() - _KNOWN}
    canonical = canonical_json((event_type, subject, time, data, references, attributes))
    for meter in schemas:  # last: only now is it known that the data is not large
        _check_schema(meter, data)
    return Fact(
        event_key(source_id, event_id),
        fingerprint(canonical),
        event_id,
        event_type,
        subject,
        time,
        data,
        *references,
        attributes,
    )


def event_key(source_id, event_id):
    """What counts once: the digest of a sender and the id that it gave an event."""
    return digest(f"{source_id}:{event_id}".encode())


def read_text(event, name, code):
    """A text that identifies, of 1 to 255 characters; anything else is rejected with the code."""
    value = event.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_IDENTIFIER:
        raise Rejection(code)
    if "\0" in value:
        raise Rejection("character_invalid", f"It is in {name}.")
    return value


def read_references(event):
    """Texts of the references that the event has, None for those that it has not."""
    if _REFERENCE_NAMES.isdisjoint(event):
        return _NO_REFERENCES
    return [None if event.get(name) is None else read_text(event, name, "reference_invalid") for name in _REFERENCES]


def read_utc(value, limits):
    """Naive UTC of an RFC 3339 text within the limits."""
    if not isinstance(value, str):
        raise Rejection("time_invalid")
    if len(value) > len("2026-01-31T23:59:59.999999Z"):
        value = _TOO_FINE.sub(r"\1", value)  # cut, where msgspec would round into the next second
    in_utc = value.endswith(("Z", "z"))  # as nearly always: read without a zone, which is faster
    try:
        time = msgspec.convert(value[:-1] if in_utc else value, datetime)
        if (time.tzinfo is None) != in_utc:
            raise Rejection("time_invalid", "" if in_utc else "The zone is missing.")
        if not in_utc:
            time = time.astimezone(timezone.utc).replace(tzinfo=None)
    except (msgspec.ValidationError, OverflowError) as exc:
        raise Rejection("time_invalid") from exc
    if time > limits.latest:
        raise Rejection("time_in_future", f"The latest accepted is {limits.latest:%Y-%m-%dT%H:%M:%SZ}.")
    if time < limits.earliest:
        raise Rejection("time_too_old", f"The earliest accepted is {limits.earliest:%Y-%m-%dT%H:%M:%SZ}.")
    return time


def _check_meter(meter, data):
    """Reject data that the meter could not count."""
    if meter.value_path:
        value = dig(data, meter.value_path)
        if meter.is_number:
            if type(value) is not int or not 0 <= value < MAX_QUANTITY:  # most are whole numbers
                _check_value(meter, value)
        elif value is None:
            raise Rejection("value_missing", _where(meter, meter.value_path))
        elif not _is_label(value):
            raise Rejection("value_invalid", _where(meter, meter.value_path))
    for path in meter.dimension_paths:
        if not _is_label(dig(data, path)):
            raise Rejection("dimension_invalid", _where(meter, path))


def _check_value(meter, value):
    if value is None:
        raise Rejection("value_missing", _where(meter, meter.value_path))
    if type(value) not in (int, Decimal):  # a boolean is an int to Python
        raise Rejection("value_not_number", _where(meter, meter.value_path))
    if value < 0:
        raise Rejection("value_negative", _where(meter, meter.value_path))
    if value >= MAX_QUANTITY or (type(value) is Decimal and value.as_tuple().exponent < -MAX_DECIMALS):
        raise Rejection("value_out_of_range", _where(meter, meter.value_path))


def _is_label(value):
    """Whether quantities may be kept apart by a value."""
    if isinstance(value, str):
        return len(value) <= MAX_DIMENSION
    return not isinstance(value, (dict, list))


def _check_schema(meter, data):
    wrong = meter.schema(data)
    if wrong:
        raise Rejection("schema_mismatch", f"Meter {meter.code}: {wrong}")


def _where(meter, path):
    """The place of a meter's value or dimension, for a message."""
    return f"Meter {meter.code}, data.{'.'.join(path)}."


def canonical_json(content):
    """JSON as bytes, the same for every way in which it was written.

    :raises Rejection: for what cannot be stored
    """
    canonical = _encode_canonical.encode(content)
    if b"\\u0000" in canonical and _NUL.search(canonical):
        raise Rejection("character_invalid")
    if len(canonical) > MAX_DATA:
        raise Rejection("data_too_large")
    return canonical


def digest(content):
    """What nothing else has: 128 bits as hexadecimal text, of bytes."""
    return blake2b(content, digest_size=16).hexdigest()


def fingerprint(content):
    """What tells two contents of one id apart: 64 bits as PostgreSQL's BIGINT, of bytes."""
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big", signed=True)


def covered(meters):
    """A function of an event's time (naive UTC): whether any of these meters counts events of that time.

    :param meters: :class:`MeterSpec` of one type of event
    """
    conditions = [meter.condition for meter in meters]
    if any(condition is None or condition.starts is condition.ends is None for condition in conditions):
        return lambda _time: True
    return lambda time: any(condition.covers(time) for condition in conditions)


def limits_at(now, max_age_days, max_future_hours):
    """The accepted range of times around ``now`` (naive UTC)."""
    return Limits(now - timedelta(days=max_age_days), now + timedelta(hours=max_future_hours), now)
