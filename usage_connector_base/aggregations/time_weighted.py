from odoo.tools import SQL

from .base import LAST_VALUE, Aggregation, rounded

SECONDS_PER_HOUR = SQL("3600")


class TimeWeighted(Aggregation):
    """A level multiplied by the hours that it lasts, such as seats × hours.

    Every event sets the level of its dimensions, which lasts until the next one, over hours and
    months without events. ``total`` is level × seconds from the first event of the hour to its end.
    """

    key = "time_weighted"
    merges_events = False
    carries = True

    def around(self):
        return SQL(
            ", lead(time) OVER (PARTITION BY account_id, hour, dimensions ORDER BY time, id) AS next_time",
        )

    def columns(self):
        total = SQL("sum(value * %s)", seconds(SQL("time"), SQL("coalesce(next_time, hour + interval '1 hour')")))
        return {
            "quantity": rounded(total, SECONDS_PER_HOUR),
            "total": total,
            "first_time": SQL("min(time)"),
            "last_value": LAST_VALUE,
        }

    def of_event(self):
        return {
            "total": SQL("0::numeric"),
            "first_time": SQL("e.time"),
            "last_event_id": SQL("e.id"),
            "last_value": SQL("e.value"),
        }

    def quantity(self, column=SQL.identifier):
        return rounded(SQL("sum(%s)", column("total")), SECONDS_PER_HOUR)


def seconds(start, end):
    """SQL of the exact number of seconds between two times."""
    return SQL("extract(epoch FROM %s - %s)", end, start)
