"""One summary as it was sent, to a fact that can be stored, and how it stands to the windows that there are."""

from bisect import bisect_left
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from .facts import (
    MAX_DECIMALS,
    MAX_DIMENSION,
    MAX_QUANTITY,
    SUMMARY_TYPE,
    Fact,
    Rejection,
    canonical_json,
    digest,
    fingerprint,
    read_references,
    read_text,
    read_utc,
)

MAX_WINDOW = timedelta(days=31)
MAX_SEQUENCE = 2**63 - 1
ID_PREFIX = "summary:"
_OWN = ("account", "meter", "start", "end", "quantity", "dimensions", "sequence")
_REFERENCES = ("tenant", "subscription", "user")

# What may be told apart in a rejection, beside what may be wrong with any value or time.
# Codes are part of the API: never renamed.
REJECTIONS = {
    "account_invalid": "account must be a text of 1 to 255 characters.",
    "meter_invalid": "meter, the code of a meter, must be a text of 1 to 255 characters.",
    "window_invalid": "start and end must be whole hours, such as 2026-01-31T23:00:00Z; end is later than start, by "
    "31 days at most.",
    "dimensions_invalid": "dimensions must be a JSON object of texts, numbers and booleans.",
    "sequence_invalid": "sequence must be a whole number from 0 to 9223372036854775807.",
    "meter_not_additive": "Windows of this meter do not add up: send events, or summaries of another meter.",
    "window_voided": "A person or a correction voided this window: it does not count, whatever its sequence.",
    "window_deleted": "The window was deleted when its retention ended.",
}


class SummaryRejection(Rejection):
    """A summary that is not well-formed, or of a meter that takes none.

    :param str code: a key of ``REJECTIONS``
    """

    texts = REJECTIONS


class Summary(NamedTuple):
    """One window of one account, as a data platform added it up."""

    account: str
    meter: str
    start: datetime  # naive UTC, on the hour
    end: datetime
    quantity: int | Decimal
    dimensions: dict
    sequence: int
    references: tuple
    attributes: dict | None  # whatever else was sent, kept

    @property
    def subject(self):
        """The account, as facts call it."""
        return self.account


class Window(NamedTuple):
    """A stored summary that counts."""

    start: datetime
    end: datetime
    quantity: int | Decimal
    sequence: int
    row_id: int  # of usage_event
    root_id: int  # of the window's first summary there
    data: dict  # as it is stored


class Windows:
    """The windows that count, which never overlap within a group: an account, a meter and dimensions.

    >>> windows = Windows()
    >>> windows.put("group", Window(datetime(2026, 1, 1, 3), datetime(2026, 1, 1, 5), 7, 1, 1, 1, {}))
    >>> [window.quantity for window in windows.overlapping("group", datetime(2026, 1, 1, 4), datetime(2026, 1, 1, 9))]
    [7]
    >>> windows.overlapping("group", datetime(2026, 1, 1, 5), datetime(2026, 1, 1, 9))
    []
    """

    def __init__(self):
        self._windows = defaultdict(list)  # by group, in the order of their starts

    def overlapping(self, group, start, end):
        """List of the group's windows that have an hour in common with [start, end)."""
        windows = self._windows[group]
        at = self._position(windows, start)
        if at and windows[at - 1].end > start:
            at -= 1
        return windows[at : self._position(windows, end)]

    def put(self, group, window):
        """Add a window, in the place of those that it overlaps."""
        for other in self.overlapping(group, window.start, window.end):
            self._windows[group].remove(other)
        windows = self._windows[group]
        windows.insert(self._position(windows, window.start), window)

    def _position(self, windows, start):
        return bisect_left(windows, start, key=lambda window: window.start)


def read_summary(summary, limits):
    """Judge one summary by itself.

    :param summary: the summary as decoded from JSON
    :param Limits limits: accepted range of times
    :return: :class:`Summary`
    :raises Rejection: with its code when it cannot be stored or counted
    """
    if not isinstance(summary, dict):
        raise Rejection("not_an_object")
    account = _named(summary, "account", "account_invalid")
    meter = _named(summary, "meter", "meter_invalid")
    start, end = (_hour(summary.get(name), limits) for name in ("start", "end"))
    if not timedelta(0) < end - start <= MAX_WINDOW:
        raise SummaryRejection("window_invalid")
    _check_quantity(summary.get("quantity"))
    sequence = summary.get("sequence")
    if type(sequence) is not int or not 0 <= sequence <= MAX_SEQUENCE:  # a boolean is an int to Python
        raise SummaryRejection("sequence_invalid")
    references = tuple(read_references(summary))
    attributes = {name: summary[name] for name in summary.keys() - {*_OWN, *_REFERENCES}} or None
    dimensions = _dimensions(summary.get("dimensions"))
    read = Summary(account, meter, start, end, summary["quantity"], dimensions, sequence, references, attributes)
    canonical_json(read)  # raises for what cannot be stored
    return read


def canonical(dimensions):
    """A text that is the same for the same dimensions.

    >>> canonical({"b": 1, "a": "x"}) == canonical({"a": "x", "b": 1})
    True
    """
    return digest(canonical_json(sorted(dimensions.items())))


def summary_id(summary, account_id):
    """The id of a window, whatever its sequence: what to ask for, and what to void."""
    content = (account_id, summary.meter, summary.start, summary.end, canonical(summary.dimensions))
    return f"{ID_PREFIX}{digest(canonical_json(content))}"


def summary_key(source_id, window_id):
    """What exists once: the digest of a sender and the id of a window, which no event has."""
    return digest(f"summary:{source_id}:{window_id}".encode())


def to_window(data, row_id, root_id):
    """The window of a stored summary, from its data."""
    start, end = (datetime.fromisoformat(data[name].removesuffix("Z")) for name in ("start", "end"))
    return Window(start, end, data["quantity"], data["sequence"], row_id, root_id, data)


def to_fact(source_id, summary, window_id):
    """The summary as a fact, which is stored, counted and traced as an event."""
    return Fact(
        summary_key(source_id, window_id),
        fingerprint(canonical_json(summary)),
        window_id,
        SUMMARY_TYPE,
        summary.account,
        summary.start,
        {
            "meter": summary.meter,
            "start": _rfc3339(summary.start),
            "end": _rfc3339(summary.end),
            "quantity": summary.quantity,
            "dimensions": summary.dimensions,
            "sequence": summary.sequence,
        },
        *summary.references,
        summary.attributes,
    )


def _rfc3339(moment):
    return f"{moment.isoformat()}Z"


def _named(summary, name, code):
    try:
        return read_text(summary, name, "id_invalid")
    except Rejection as rejection:
        if rejection.code == "character_invalid":
            raise
        raise SummaryRejection(code) from rejection


def _hour(value, limits):
    """Naive UTC of a whole hour."""
    try:
        moment = read_utc(value, limits)
    except Rejection as rejection:
        if rejection.code != "time_invalid":
            raise
        raise SummaryRejection("window_invalid") from rejection
    if moment.minute or moment.second or moment.microsecond:
        raise SummaryRejection("window_invalid")
    return moment


def _check_quantity(value):
    """As a value that an event brings."""
    if value is None:
        raise Rejection("value_missing", "It is quantity.")
    if type(value) not in (int, Decimal):  # a boolean is an int to Python
        raise Rejection("value_not_number", "It is quantity.")
    if value < 0:
        raise Rejection("value_negative", "It is quantity.")
    if value >= MAX_QUANTITY or (type(value) is Decimal and value.as_tuple().exponent < -MAX_DECIMALS):
        raise Rejection("value_out_of_range", "It is quantity.")


def _dimensions(sent):
    """The dimensions without those that are null, which an event would lack."""
    if sent is None:
        return {}
    if not isinstance(sent, dict):
        raise SummaryRejection("dimensions_invalid")
    for name, value in sent.items():
        if isinstance(value, (dict, list)) or (isinstance(value, str) and len(value) > MAX_DIMENSION):
            raise Rejection("dimension_invalid", f"It is {name[:MAX_DIMENSION]}.")
    return {name: value for name, value in sent.items() if value is not None}
