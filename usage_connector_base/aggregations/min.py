from odoo.tools import SQL

from .base import Aggregation


class Min(Aggregation):
    """The least of the values."""

    key = "min"
    takes_summaries = True

    def columns(self):
        return {"quantity": SQL("min(value)")}

    def merged(self):
        return {"quantity": SQL("least(a.quantity, excluded.quantity)")}

    def quantity(self, column=SQL.identifier):
        return SQL("min(%s)", column("quantity"))
