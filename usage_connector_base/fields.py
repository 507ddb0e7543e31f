"""A field for the ids of events, which outgrow 32 bits."""

from odoo import fields


class EventReference(fields.Many2one):
    """A row of ``usage.event``: 64 bits, and without a foreign key, which a partitioned table has no use for."""

    _column_type = ("int8", "int8")

    def __init__(self, string=None, **kwargs):
        super().__init__("usage.event", string=string, **kwargs)
