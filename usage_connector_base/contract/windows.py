"""Hours, days and months of a time zone, as half-open windows of naive UTC."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

HOUR = timedelta(hours=1)
SHORTEST = {"hour": HOUR, "day": timedelta(hours=23), "month": timedelta(days=28)}
GRANULARITIES = tuple(SHORTEST)


def read_zone(name):
    """The time zone of an IANA name.

    :raises ValueError: there is none of this name
    """
    try:
        return ZoneInfo(name)
    except (KeyError, OSError) as exc:  # unknown, or a folder of the database
        raise ValueError(name) from exc


def window_starts(start, end, granularity, zone):
    """Where the windows of [start, end) begin; the first and the last may be cut short.

    :param datetime start: naive UTC
    :param datetime end: naive UTC, later
    :param str granularity: one of ``GRANULARITIES``
    :param zone: time zone whose hours, days or months they are
    :return: ascending list of naive UTC, beginning with ``start``

    >>> window_starts(datetime(2026, 3, 28, 23), datetime(2026, 3, 30, 22), "day", ZoneInfo("Europe/Berlin"))
    [datetime.datetime(2026, 3, 28, 23, 0), datetime.datetime(2026, 3, 29, 22, 0)]
    """
    following = {"hour": _next_hour, "day": _next_day, "month": _next_month}[granularity]
    starts = []
    while start < end:
        starts.append(start)
        start = following(start, zone)
    return starts


def split_hours(moments):
    """Hours of UTC that one of the moments cuts in two, ascending.

    Zones such as India's begin their days within an hour of UTC.
    """
    hours = {moment: moment.replace(minute=0, second=0, microsecond=0) for moment in moments}
    return sorted({hour for moment, hour in hours.items() if hour != moment})


def joined(hours):
    """Ranges of hours that follow one another: list of (start, end), end excluded.

    :param list hours: ascending
    """
    known = set(hours)
    starts = [hour for hour in hours if hour - HOUR not in known]
    ends = [hour + HOUR for hour in hours if hour + HOUR not in known]
    return list(zip(starts, ends, strict=True))


def to_local(moment, zone):
    """A naive UTC moment in a zone, with its offset."""
    return moment.replace(tzinfo=timezone.utc).astimezone(zone)


def to_utc(local, zone):
    """Naive UTC of a naive local time; of one that summer time skips, the moment it is skipped."""
    return local.replace(tzinfo=zone).astimezone(timezone.utc).replace(tzinfo=None)


def _next_hour(moment, zone):
    local = to_local(moment, zone)
    return moment + HOUR - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


def _next_day(moment, zone):
    day = to_local(moment, zone).date() + timedelta(days=1)
    return to_utc(datetime(day.year, day.month, day.day), zone)


def _next_month(moment, zone):
    local = to_local(moment, zone)
    year, month = divmod(local.year * 12 + local.month, 12)
    return to_utc(datetime(year, month + 1, 1), zone)
