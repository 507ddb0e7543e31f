"""The bare table that the floor route fills: what an event needs, and one unique index."""

from odoo.tools import SQL

CREATE = SQL(
    """
    CREATE TABLE usage_bench_floor_event (
        id text NOT NULL,
        type text,
        subject text,
        time timestamptz,
        data jsonb
    )
    """
)
INDEX = SQL("CREATE UNIQUE INDEX usage_bench_floor_event_id ON usage_bench_floor_event (id)")


def create_bare_table(env):
    """Create the table and its unique index."""
    env.cr.execute(CREATE)
    env.cr.execute(INDEX)


def drop_bare_table(env):
    """Leave nothing behind."""
    env.cr.execute(SQL("DROP TABLE IF EXISTS usage_bench_floor_event"))
