from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from odoo import api, models
from odoo.tools import SQL

HOUR = timedelta(hours=1)


class Window(NamedTuple):
    """What to add up: a meter, for accounts, in [start, end) of naive UTC."""

    meter: models.BaseModel
    accounts: models.BaseModel
    start: object
    end: object

    def whole_hours(self):
        """Return the start of the first and the end of the last hour that lie inside."""
        return _hour(self.start + HOUR - timedelta.resolution), _hour(self.end)

    def parts(self):
        """Return the pieces at either end that are less than an hour, as [start, end) pairs.

        Only where a period begins off the UTC hour, in time zones such as Kathmandu's.
        """
        first, last = self.whole_hours()
        if first > last:
            return [(self.start, self.end)]
        return [(start, end) for start, end in ((self.start, first), (last, self.end)) if start < end]


def _hour(at):
    return at.replace(minute=0, second=0, microsecond=0)


class UsageAggregate(models.Model):
    _inherit = "usage.aggregate"

    @api.model
    def _quantities(self, windows):
        """Return the quantity of every window as Decimals, in the order given.

        One query for all whole hours, however many windows; the pieces of hours at the ends of
        windows that do not begin on a UTC hour are added up from the events.

        :param windows: list of :class:`Window`
        """
        self.flush_model()
        quantities = self._whole_hours(windows)
        return [quantities.get(key, Decimal(0)) + self._parts_of_hours(window) for key, window in enumerate(windows)]

    def _whole_hours(self, windows):
        """Return {position of the window: Decimal} for the windows that have usage."""
        bounds = [(key, window.meter.id, *window.whole_hours()) for key, window in enumerate(windows)]
        pairs = [(key, account) for key, window in enumerate(windows) for account in window.accounts.ids]
        if not pairs:
            return {}
        query = SQL(
            """
            SELECT w.key, sum(a.quantity)::text
              FROM unnest(%s::int[], %s::int[], %s::timestamp[], %s::timestamp[]) AS w(key, meter_id, first, last)
              JOIN unnest(%s::int[], %s::int[]) AS p(key, account_id) ON p.key = w.key
              JOIN usage_aggregate a
                ON a.account_id = p.account_id AND a.meter_id = w.meter_id AND a.hour >= w.first AND a.hour < w.last
             GROUP BY w.key
            """,
            *(list(column) for column in zip(*bounds, strict=True)),
            *(list(column) for column in zip(*pairs, strict=True)),
        )
        return {key: Decimal(quantity) for key, quantity in self.env.execute_query(query)}

    def _parts_of_hours(self, window):
        parts = [self._quantity_from_events(window.accounts, window.meter, start, end) for start, end in window.parts()]
        return sum(parts, Decimal(0))
