from odoo.tools import SQL

from .base import Aggregation, rounded


class Average(Aggregation):
    """The mean of the values, each event with the same weight, divided once at the end.

    ``total`` is the sum of the values.
    """

    key = "average"

    def columns(self):
        return {"quantity": rounded(SQL("sum(value)"), SQL("count(*)")), "total": SQL("sum(value)")}

    def merged(self):
        total, events = SQL("(a.total + excluded.total)"), SQL("(a.event_count + excluded.event_count)")
        return {"quantity": rounded(total, events), "total": total}

    def of_event(self):
        return {"quantity": SQL("e.value"), "total": SQL("e.value")}

    def quantity(self, column=SQL.identifier):
        return rounded(SQL("sum(%s)", column("total")), SQL("sum(%s)", column("event_count")))
