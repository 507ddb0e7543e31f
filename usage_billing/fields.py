"""A field for quantities and rates that must not pass through a binary float."""

from decimal import Decimal

from odoo import fields


class Exact(fields.Float):
    """A number of unlimited precision (NUMERIC), created from a ``Decimal`` without loss.

    The ORM reads it as a float, good for screens and sums; what is computed further reads the
    column as text, or the exact text that is kept beside it. Only ``create`` keeps a Decimal
    exact: values assigned later go through the ORM's cache, which holds floats.
    """

    _digits = 0
    _min_display_digits = 1

    def convert_to_column(self, value, record, values=None, validate=True):
        """Hand a Decimal to the database as it is."""
        if isinstance(value, Decimal):
            return value
        return super().convert_to_column(value, record, values, validate)
