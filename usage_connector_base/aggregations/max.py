from odoo.tools import SQL

from .base import Aggregation


class Max(Aggregation):
    """The greatest of the values."""

    key = "max"
    takes_summaries = True

    def columns(self):
        return {"quantity": SQL("max(value)")}

    def merged(self):
        return {"quantity": SQL("greatest(a.quantity, excluded.quantity)")}

    def quantity(self, column=SQL.identifier):
        return SQL("max(%s)", column("quantity"))
