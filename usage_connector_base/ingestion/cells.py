"""Rows of a table, as people keep them in files, to events as systems send them.

What cannot be read is not guessed: the event then holds the cell as it stands, with a rejection
that names the column.
"""

import re
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from .envelope import decode
from .facts import Rejection, dump

SINGLE_TARGETS = ("id", "type", "subject", "tenant", "subscription", "user")
OPTIONAL_TARGETS = ("tenant", "subscription", "user")  # left out where the cell is empty
MAX_NUMBER = 110  # characters of a number, as in a request

_GROUP = "[ \u00a0\u2009\u202f'\u2019]"  # what separates thousands, whatever the decimal sign is
_NUMBER = {
    ".": re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)?(\.\d+)?([eE][+-]?\d+)?"),
    ",": re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)?(,\d+)?([eE][+-]?\d+)?"),
}
_MOMENT = re.compile(
    r"(\d{1,4})[-./](\d{1,2})[-./](\d{1,4})"
    r"(?:[T ,]\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*([AaPp][Mm])?)?"
    r"\s*(Z|UTC|[+-]\d{2}:?\d{2})?"
)
_ORDERS = {"dmy": (2, 1, 0), "mdy": (2, 0, 1)}  # where year, month and day stand
_EPOCH = datetime(1970, 1, 1)
_canonical = msgspec.json.Encoder(decimal_format="number", order="deterministic")


class CellError(NamedTuple):
    """A cell whose formula failed or was never calculated."""

    text: str  # such as #DIV/0!


class Column(NamedTuple):
    """Where a part of the event comes from."""

    label: str  # how people call the column
    index: int | None  # of the cell in its row; None: ``constant`` for every row
    target: str  # one of ``SINGLE_TARGETS``, "time" or "data"
    path: tuple = ()  # names from data down to the value
    is_number: bool = False
    constant: str = ""


class Reading(NamedTuple):
    """How the texts of a file are meant."""

    zone: object  # tzinfo of times that name none
    decimal_sign: str = "."
    time_format: str = "iso"  # iso, dmy, mdy, unix, unix_ms, custom
    time_pattern: str = ""  # of datetime.strptime, when custom


def read_row(cells, columns, reading):
    """The event that a row says.

    :param list cells: text, int, Decimal, bool, date, time, datetime, CellError or None
    :param columns: list of :class:`Column`
    :param Reading reading: how texts are meant
    :return: the event, numbers exact, and the :class:`~.facts.Rejection` of its first cell that cannot
        be read, or None; such a cell is in the event as text
    """
    event, troubles, moments = {}, [], []
    for column in columns:
        cell = column.constant if column.index is None else cell_at(cells, column.index)
        if column.target == "time":
            moments.append((column, cell))
            continue
        try:
            value = _number(column, cell, reading) if column.is_number else _text(column, cell)
        except Rejection as rejection:
            troubles.append(rejection)
            value = as_text(cell)
        _put(event, column, value)
    if moments:
        event["time"] = _time(moments, reading, troubles)
    # Once through JSON, so that the event is what a request with it would be.
    return decode(dump(event).encode()), troubles[0] if troubles else None


def give_id(event, seen):
    """Give an event without an id that of its content, so that the same row has the same id again.

    :param dict seen: how often each content came before in the same file; it is counted on
    """
    if "id" not in event:
        digest = content_digest(event)
        seen[digest] = number = seen.get(digest, 0) + 1
        event["id"] = f"row-{digest}" if number == 1 else f"row-{digest}-{number}"


def content_digest(event):
    """32 hexadecimal digits of what an event says."""
    return blake2b(_canonical.encode(event), digest_size=16).hexdigest()


def pack(cell):
    """A cell as a JSON value, numbers exact."""
    if isinstance(cell, CellError):
        return {"error": cell.text}
    if isinstance(cell, (date, time)):  # a datetime is a date
        return {type(cell).__name__: cell.isoformat()}
    return cell


def unpack(value):
    """The cell of a JSON value made by :func:`pack`.

    >>> unpack(pack(date(2026, 1, 31)))
    datetime.date(2026, 1, 31)
    """
    if not isinstance(value, dict):
        return value
    [[kind, text]] = value.items()
    kinds = {"error": CellError, "date": date.fromisoformat, "time": time.fromisoformat}
    return kinds.get(kind, datetime.fromisoformat)(text)


def exact(number):
    """A float of a spreadsheet as the decimal that people see: the shortest that is this float.

    >>> exact(0.1), exact(100000.0)
    (Decimal('0.1'), 100000)
    """
    return int(number) if number.is_integer() else Decimal(repr(number))


def looks_like_number(cell, decimal_sign):
    """Whether a cell is a number, or a text that is one."""
    if isinstance(cell, str):
        try:
            parse_number(cell, decimal_sign)
        except ValueError:
            return False
        return True
    return isinstance(cell, (int, Decimal)) and not isinstance(cell, bool)


def cell_at(cells, index):
    """The cell of a row, None where the row is too short."""
    return cells[index] if index < len(cells) else None


def _put(event, column, value):
    """Set what a column holds; what is empty is left out where it may be absent."""
    if column.target != "data":
        if value != "" or column.target not in OPTIONAL_TARGETS:
            event[column.target] = value
        return
    data = event.setdefault("data", {})
    if value == "":
        return
    for name in column.path[:-1]:
        data = data.setdefault(name, {})
    data[column.path[-1]] = value


# -- texts and numbers --------------------------------------------------------------------


def as_text(cell):
    """A cell as people would read it."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, (date, time)):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return format(cell, "f")
    return cell.text if isinstance(cell, CellError) else str(cell).strip()


_CODES = {"id": "id_invalid", "type": "type_invalid", "subject": "subject_invalid", "data": "dimension_invalid"}


def _text(column, cell):
    if isinstance(cell, CellError):
        raise Rejection(_CODES.get(column.target, "reference_invalid"), _where(column, cell))
    return as_text(cell)


def _number(column, cell, reading):
    """The number of a cell, "" when it is empty."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return ""
    if isinstance(cell, (int, Decimal)) and not isinstance(cell, bool):
        return cell
    if not isinstance(cell, str):
        raise Rejection("value_not_number", _where(column, cell))
    try:
        return parse_number(cell, reading.decimal_sign)
    except ValueError as exc:
        raise Rejection("value_not_number", _where(column, cell)) from exc


def parse_number(text, decimal_sign):
    """The number that a text says, with or without separated thousands.

    >>> parse_number("1.234,50", ","), parse_number("1e5", ".")
    (Decimal('1234.50'), Decimal('1E+5'))
    """
    text = re.sub(rf"(?<=\d){_GROUP}(?=\d{{3}})", "", text.strip())
    if len(text) > MAX_NUMBER or not _NUMBER[decimal_sign].fullmatch(text):
        raise ValueError(text)
    other = "," if decimal_sign == "." else "."
    try:
        return Decimal(text.replace(other, "").replace(decimal_sign, "."))
    except InvalidOperation as exc:
        raise ValueError(text) from exc


def _where(column, cell):
    return f"Column {column.label}: {as_text(cell)[:100]}"


# -- times --------------------------------------------------------------------------------


def _time(moments, reading, troubles):
    """RFC 3339 text of the columns that together say the time, "" when all are empty."""
    column = moments[0][0]
    filled = [cell for _column, cell in moments if as_text(cell)]
    text = " ".join(map(as_text, filled))
    if not filled:
        return ""
    try:
        if any(isinstance(cell, CellError) for cell in filled):
            raise ValueError(text)
        moment = _moment(filled, text, reading)
        return f"{utc_of(moment, reading.zone).isoformat()}Z"
    except (ValueError, OverflowError, InvalidOperation) as exc:
        detail = f"Column {column.label}: {text[:100]}"
        troubles.append(Rejection("time_invalid", f"{detail} ({exc})" if isinstance(exc, NoSuchTime) else detail))
        return text


class NoSuchTime(ValueError):
    """A time of day that the clocks skipped."""


def _moment(cells, text, reading):
    """The datetime of one or two cells, with a zone where they name one."""
    first = cells[0]
    if len(cells) == 2 and isinstance(first, date) and isinstance(cells[1], time):
        return datetime.combine(first, cells[1])
    if len(cells) == 1 and isinstance(first, datetime):
        return first
    if len(cells) == 1 and isinstance(first, date):
        return datetime.combine(first, time())
    if reading.time_format in ("unix", "unix_ms"):
        seconds = Decimal(text) / (1000 if reading.time_format == "unix_ms" else 1)
        return (_EPOCH + timedelta(microseconds=int(seconds * 1_000_000))).replace(tzinfo=timezone.utc)
    return _parse_moment(text.replace("T00:00:00 ", " "), reading)


def moment_of(text, time_format="iso"):
    """The datetime that a text says, with a zone where it names one.

    :raises ValueError: it says none

    >>> moment_of("2026-01-31 14:03")
    datetime.datetime(2026, 1, 31, 14, 3)
    """
    match = _MOMENT.fullmatch(text.strip())
    if not match or (len(match[1]) < 4 and time_format not in _ORDERS):
        raise ValueError(text)
    return _matched_moment(match, _ORDERS.get(time_format))


def _parse_moment(text, reading):
    try:
        return moment_of(text, reading.time_format)
    except ValueError:
        if reading.time_format != "custom":
            raise
        return datetime.strptime(text, reading.time_pattern)


def _matched_moment(match, order):
    """The datetime of a text of digits; a year of four digits in front is unmistakable."""
    groups = match.groups()
    year, month, day = map(int, groups[:3] if len(groups[0]) == 4 else (groups[place] for place in order))
    hour, minute, second = (int(group or 0) for group in groups[3:6])
    if groups[7]:
        if not 1 <= hour <= 12:
            raise ValueError(match[0])
        hour = hour % 12 + (12 if groups[7].lower() == "pm" else 0)
    micros = int((groups[6] or "0").ljust(6, "0")[:6])
    year += 2000 if year < 100 else 0
    return datetime(year, month, day, hour, minute, second, micros, tzinfo=_offset(groups[8]))


def _offset(text):
    if text is None:
        return None
    if text in ("Z", "UTC"):
        return timezone.utc
    digits = text[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)


def utc_of(moment, zone):
    """Naive UTC; of an hour that the clocks repeat, the first."""
    if moment.tzinfo:
        return moment.astimezone(timezone.utc).replace(tzinfo=None)
    utc = moment.replace(tzinfo=zone).astimezone(timezone.utc)
    if utc.astimezone(zone).replace(tzinfo=None) != moment:
        raise NoSuchTime(f"the clocks of {zone} skipped it")
    return utc.replace(tzinfo=None)
