from odoo.tools import SQL

from .models.usage_event import EVENT_TABLES


def uninstall_hook(env):
    """Drop the partitioned event tables, which the ORM did not create and so does not drop."""
    for table in EVENT_TABLES:
        env.cr.execute(SQL("DROP TABLE IF EXISTS %s CASCADE", SQL.identifier(table)))
