"""The parameters of ``GET /usage/v1/usage``, read and checked."""

import base64
import binascii
from datetime import datetime, timezone
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from ..ingestion.envelope import Refusal
from .windows import GRANULARITIES, SHORTEST, read_zone, to_utc, window_starts

DEFAULT_LIMIT = 1000
MAX_LIMIT = 5000
MAX_WINDOWS = 10_000  # hours, days or months in one range

# name -> what it is; the order in which they are described
PARAMETERS = {
    "meter": "Code of the meter.",
    "from": "Start of the range, included: a time such as 2026-05-01T00:00:00Z, or a date, which begins in tz.",
    "to": "End of the range, excluded: a time or a date, as for from.",
    "account": "The account as events name it in subject. All accounts of the source when absent.",
    "granularity": "Length of the windows.",
    "tz": "IANA time zone whose hours, days and months the windows are.",
    "group_by": "Dimensions of the meter to keep quantities apart by, joined by commas.",
    "limit": "At most this many rows in one answer.",
    "cursor": "next_cursor of the previous answer: the rows after it. Leave the other parameters as they were.",
}
REQUIRED = ("meter", "from", "to")


class Question(NamedTuple):
    """What usage is asked for."""

    meter: str
    account: str | None
    start: datetime  # naive UTC, as ``end`` and ``starts``
    end: datetime
    starts: list  # of the windows
    granularity: str
    zone: ZoneInfo
    group_by: tuple
    limit: int
    after: tuple | None  # window start, account and dimensions of the last row that was answered


def read_question(parameters):
    """Check the parameters of a request.

    :param dict parameters: texts by name, as they were sent
    :return: :class:`Question`
    :raises Refusal: 400, naming the parameter and what it may be
    """
    _check_names(parameters)
    granularity = parameters.get("granularity", "day")
    if granularity not in GRANULARITIES:
        raise _invalid("granularity", f"It may be {', '.join(GRANULARITIES)}.")
    zone = _zone(parameters.get("tz", "UTC"))
    start, end = (_moment(parameters, name, zone) for name in ("from", "to"))
    starts = _starts(start, end, granularity, zone)
    return Question(
        parameters["meter"],
        parameters.get("account"),
        start,
        end,
        starts,
        granularity,
        zone,
        tuple(name.strip() for name in parameters.get("group_by", "").split(",") if name.strip()),
        _limit(parameters.get("limit", str(DEFAULT_LIMIT))),
        _after(parameters["cursor"], starts) if "cursor" in parameters else None,
    )


def write_cursor(start, account, dimensions):
    """The cursor that asks for the rows after this one.

    :param datetime start: of the row's window, naive UTC
    :param str account: of the row
    :param str dimensions: of the row, as JSON text
    """
    return base64.urlsafe_b64encode(msgspec.json.encode([start, account, dimensions])).decode()


def _check_names(parameters):
    unknown = sorted(parameters.keys() - PARAMETERS.keys())
    if unknown:
        raise Refusal(400, "parameter_unknown", f"{unknown[0]} is none of {', '.join(PARAMETERS)}.")
    for name in REQUIRED:
        if not parameters.get(name):
            raise Refusal(400, "parameter_missing", f"{name} is missing. {PARAMETERS[name]}")
    for name, value in parameters.items():
        if "\0" in value:
            raise _invalid(name, "It may not hold the NUL character.")


def _invalid(name, remedy):
    return Refusal(400, "parameter_invalid", f"{name} is not valid. {remedy}")


def _zone(name):
    try:
        return read_zone(name)
    except ValueError as exc:
        raise _invalid("tz", "It must be an IANA time zone such as Europe/Berlin.") from exc


def _moment(parameters, name, zone):
    """Naive UTC of a time with a zone, or of a date, whose day begins in ``zone``."""
    text = parameters[name]
    try:
        if len(text) == len("2026-05-01"):
            moment = to_utc(datetime.strptime(text, "%Y-%m-%d"), zone)
        else:
            moment = _utc(msgspec.convert(text, datetime))
    except (msgspec.ValidationError, ValueError, OverflowError) as exc:
        raise _invalid(name, f"{PARAMETERS[name]} Write a + in it as %2B.") from exc
    return moment


def _utc(moment):
    if moment.tzinfo is None:
        raise ValueError(moment)
    return moment.astimezone(timezone.utc).replace(tzinfo=None)


def _starts(start, end, granularity, zone):
    if start >= end:
        raise _invalid("to", "It must be later than from.")
    if (end - start) / SHORTEST[granularity] > MAX_WINDOWS:
        raise Refusal(400, "range_too_long", f"A range may hold {MAX_WINDOWS} windows: ask in parts.")
    try:
        return window_starts(start, end, granularity, zone)
    except (OverflowError, ValueError) as exc:
        raise _invalid("to", "It lies beyond the calendar.") from exc


def _limit(text):
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_LIMIT):
        raise _invalid("limit", f"It may be 1 to {MAX_LIMIT}.")
    return int(text)


def _after(cursor, starts):
    try:
        start, account, dimensions = msgspec.json.decode(
            base64.urlsafe_b64decode(cursor.encode()), type=tuple[datetime, str, str]
        )
    except (binascii.Error, msgspec.DecodeError, ValueError) as exc:
        raise _invalid("cursor", PARAMETERS["cursor"]) from exc
    if start not in starts or "\0" in account + dimensions:
        raise _invalid("cursor", PARAMETERS["cursor"])
    return start, account, dimensions
