from odoo.tools import SQL

from .models.usage_event import EVENT_TABLES

# Of what sources may send; without a model.
GOVERNANCE_TABLES = ("usage_source_bucket",)


def uninstall_hook(env):
    """Drop the tables that the ORM did not create and so does not drop, such as the partitioned ones of events."""
    for table in (*EVENT_TABLES, *GOVERNANCE_TABLES):
        env.cr.execute(SQL("DROP TABLE IF EXISTS %s CASCADE", SQL.identifier(table)))
