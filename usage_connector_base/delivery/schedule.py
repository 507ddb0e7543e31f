"""When a message is tried again, when it is given up, and when an endpoint is left alone for a while."""

import random
from datetime import datetime, timedelta
from typing import NamedTuple

GIVE_UP_AFTER = timedelta(hours=72)  # from the moment a message is due for the first time
FIRST_WAIT = 30  # seconds
LONGEST_WAIT = 6 * 3600  # seconds
FIRST_COOL_DOWN = 5 * 60  # seconds
LONGEST_COOL_DOWN = 3600  # seconds

_random = random.SystemRandom()


def wait(failures, rng=_random):
    """Seconds to wait after so many failures of a message.

    They double from ``FIRST_WAIT`` to ``LONGEST_WAIT``; of each, between half and all is waited at
    random, so that messages which failed together do not come back together.

    :param int failures: at least 1
    """
    longest = min(FIRST_WAIT * 2 ** min(failures - 1, 20), LONGEST_WAIT)
    return longest * rng.uniform(0.5, 1.0)


def next_attempt(failures, now, give_up_at, retry_after=None, rng=_random):
    """When to try a message again that has just failed.

    :param int failures: how often it has failed, this time included
    :param datetime now: naive UTC
    :param datetime give_up_at: naive UTC; one last attempt is made then
    :param retry_after: seconds that the receiver asked us to wait at least, None if it did not
    :return: naive UTC in whole seconds, None when its time is over

    >>> at = datetime(2026, 1, 1)
    >>> next_attempt(1, at, at) is None
    True
    >>> next_attempt(30, at, at + timedelta(minutes=1))
    datetime.datetime(2026, 1, 1, 0, 1)
    """
    if now >= give_up_at:
        return None
    seconds = max(wait(failures, rng), retry_after or 0)
    # Bounded before it is added: a receiver may ask for a wait longer than time itself.
    seconds = min(seconds, (give_up_at - now).total_seconds())
    return (now + timedelta(seconds=round(seconds))).replace(microsecond=0)


class Circuit(NamedTuple):
    """How an endpoint is doing: closed while ``open_until`` is None, otherwise left alone until then."""

    failures: int  # in a row
    open_until: datetime | None  # naive UTC


CLOSED = Circuit(0, None)


def after_failure(circuit, limit, now):
    """The circuit after one more failure: open from ``limit`` failures in a row on.

    Each failed probe doubles the time until the next one, up to ``LONGEST_COOL_DOWN``.

    >>> after_failure(Circuit(3, None), 5, datetime(2026, 1, 1))
    Circuit(failures=4, open_until=None)
    >>> after_failure(Circuit(4, None), 5, datetime(2026, 1, 1)).open_until
    datetime.datetime(2026, 1, 1, 0, 5)
    """
    failures = circuit.failures + 1
    if failures < limit:
        return Circuit(failures, None)
    return Circuit(failures, (now + timedelta(seconds=cool_down(failures, limit))).replace(microsecond=0))


def cool_down(failures, limit):
    """Seconds that an endpoint is left alone after so many failures in a row."""
    return min(FIRST_COOL_DOWN * 2 ** min(max(failures - limit, 0), 10), LONGEST_COOL_DOWN)
