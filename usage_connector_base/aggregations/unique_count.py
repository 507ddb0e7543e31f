from odoo.tools import SQL

from .base import Aggregation


class UniqueCount(Aggregation):
    """How many different values there are: texts, numbers and booleans, compared as text.

    The same value may come in every hour, so that hours do not add up: windows are counted from
    their events.
    """

    key = "unique_count"
    needs_number = False
    merges_events = False
    merges_hours = False

    def columns(self):
        return {"quantity": SQL("count(DISTINCT value)")}

    def of_event(self):
        return {"last_value": SQL("e.value")}

    def quantity(self, column=SQL.identifier):
        return SQL("count(DISTINCT %s)::numeric", column("last_value"))
