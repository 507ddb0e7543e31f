from odoo.tools import SQL

from .base import LAST_ID, LAST_VALUE, Aggregation


class Latest(Aggregation):
    """The value of the last event by its time; of several at that time, of the one stored last.

    It does not outlast its window: where nothing happened, the quantity is 0.
    """

    key = "latest"

    def columns(self):
        return {"quantity": LAST_VALUE, "last_time": SQL("max(time)"), "last_event_id": LAST_ID}

    def merged(self):
        later = SQL("(excluded.last_time, excluded.last_event_id) > (a.last_time, a.last_event_id)")
        return {
            name: SQL("CASE WHEN %(later)s THEN excluded.%(name)s ELSE a.%(name)s END", later=later, name=column)
            for name in self.columns()
            for column in [SQL.identifier(name)]
        }

    def of_event(self):
        return {"quantity": SQL("e.value"), "last_time": SQL("e.time"), "last_event_id": SQL("e.id")}

    def quantity(self, column=SQL.identifier):
        return SQL(
            "(array_agg(%s ORDER BY %s DESC, %s DESC))[1]",
            column("quantity"),
            column("last_time"),
            column("last_event_id"),
        )
