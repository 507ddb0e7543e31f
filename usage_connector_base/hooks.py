from odoo.tools import SQL

from .models.usage_event import EVENT_TABLES

# Without a model: what sources may send at a moment, and the key of digests.
GOVERNANCE_TABLES = ("usage_source_bucket", "usage_anonymisation_key")


def uninstall_hook(env):
    """Drop the tables that the ORM did not create and so does not drop, such as the partitioned ones of events."""
    for table in (*EVENT_TABLES, *GOVERNANCE_TABLES):
        env.cr.execute(SQL("DROP TABLE IF EXISTS %s CASCADE", SQL.identifier(table)))
