from odoo.tools import SQL

from .base import Aggregation


class Sum(Aggregation):
    """The sum of the values."""

    key = "sum"
    takes_summaries = True

    def columns(self):
        return {"quantity": SQL("sum(value)")}

    def merged(self):
        return {"quantity": SQL("a.quantity + excluded.quantity")}

    def quantity(self, column=SQL.identifier):
        return SQL("sum(%s)", column("quantity"))
