"""Changes to an event that was rejected, so that it can be sent once more.

Each takes the event as decoded by :mod:`envelope` and returns another one: what was received stays as it is.
"""

from copy import deepcopy
from datetime import timedelta, timezone

from .cells import moment_of, parse_number, utc_of


class CannotMend(Exception):
    """The event is not of the kind that this change is for.

    :param str code: not_an_object, nothing_there, in_the_way, no_number or no_time
    """

    def __init__(self, code):
        super().__init__(code)
        self.code = code


def put(event, path, value):
    """The event with a value at a path, such as ("data", "tokens"); objects on the way are made.

    >>> put({"id": "a"}, ("data", "tokens"), 5)
    {'id': 'a', 'data': {'tokens': 5}}
    """
    mended = _copy(event)
    parent = mended
    for name in path[:-1]:
        if parent.get(name) is None:
            parent[name] = {}
        parent = parent[name]
        if not isinstance(parent, dict):
            raise CannotMend("in_the_way")
    parent[path[-1]] = value
    return mended


def take(event, path):
    """The event without what stands at a path, and that value."""
    mended = _copy(event)
    parent = mended
    for name in path[:-1]:
        parent = parent.get(name)
        if not isinstance(parent, dict):
            raise CannotMend("nothing_there")
    if path[-1] not in parent:
        raise CannotMend("nothing_there")
    return mended, parent.pop(path[-1])


def remove(event, path):
    """The event without what stands at a path."""
    return take(event, path)[0]


def rename(event, path, new_path):
    """The event with a value at another path."""
    mended, value = take(event, path)
    return put(mended, new_path, value)


def to_number(event, path, decimal_sign="."):
    """The event with the number that a text at a path says."""
    _rest, value = take(event, path)
    if not isinstance(value, str):
        raise CannotMend("no_number")
    try:
        return put(event, path, parse_number(value, decimal_sign))
    except ValueError as exc:
        raise CannotMend("no_number") from exc


def place(event, zone):
    """The event with its time of day meant in a zone, whatever zone it named or did not name."""
    return put(event, ("time",), _sent(utc_of(_moment(event).replace(tzinfo=None), zone)))


def shift(event, hours):
    """The event with its time later by some hours, earlier when they are negative."""
    moment = _moment(event)
    try:
        moved = moment.astimezone(timezone.utc) if moment.tzinfo else moment
        return put(event, ("time",), _sent(moved.replace(tzinfo=None) + timedelta(hours=hours)))
    except OverflowError as exc:
        raise CannotMend("no_time") from exc


def _copy(event):
    if not isinstance(event, dict):
        raise CannotMend("not_an_object")
    return deepcopy(event)


def _moment(event):
    if not isinstance(event, dict) or not isinstance(event.get("time"), str):
        raise CannotMend("no_time")
    try:
        return moment_of(event["time"])
    except ValueError as exc:
        raise CannotMend("no_time") from exc


def _sent(moment):
    return f"{moment.isoformat()}Z"
