"""What quantities are asked for: a meter, and accounts over ranges of time. Plain Python."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

HOUR = timedelta(hours=1)


class Span(NamedTuple):
    """One account in [start, end), naive UTC to the microsecond."""

    account_id: int
    start: datetime
    end: datetime

    def hours(self):
        """Return the part made of whole UTC hours, as [start, end); None when there is none."""
        first, last = floor_hour(self.start + HOUR - timedelta.resolution), floor_hour(self.end)
        return (first, last) if first < last else None

    def within(self, start, end):
        """Return the part of the span that lies in [start, end); None when there is none."""
        start, end = max(self.start, start), min(self.end, end)
        return self._replace(start=start, end=end) if start < end else None

    def parts(self):
        """Return the pieces at either end that are less than an hour, as [start, end) pairs.

        Only where a range begins off the UTC hour, as in time zones such as Kathmandu's.
        """
        hours = self.hours()
        pieces = ((self.start, hours[0]), (hours[1], self.end)) if hours else ((self.start, self.end),)
        return [(start, end) for start, end in pieces if start < end]


class Window(NamedTuple):
    """One quantity to be read: of a ``usage.meter``, over spans of one or more accounts.

    An account may come with several spans, which are one range with gaps to it.
    """

    meter: Any
    spans: tuple

    @classmethod
    def over(cls, meter, accounts, start, end):
        """Return the window of ``usage.account`` records that all are counted in [start, end)."""
        return cls(meter, tuple(Span(account, start, end) for account in accounts.ids))

    @classmethod
    def within(cls, meter, spans, start, end):
        """Return the window of those parts of spans that lie in [start, end)."""
        return cls(meter, tuple(filter(None, (span.within(start, end) for span in spans))))

    def account_ids(self):
        """Return the ids of the accounts, each once, in order."""
        return sorted({span.account_id for span in self.spans})


def floor_hour(moment):
    """Return the begin of the hour that contains ``moment``."""
    return moment.replace(minute=0, second=0, microsecond=0)
