from contextlib import contextmanager

from psycopg2.extensions import ISOLATION_LEVEL_READ_COMMITTED

from odoo.sql_db import Cursor


@contextmanager
def read_committed_cursor(env):
    """A cursor of its own at READ COMMITTED, committed when the block ends well.

    Odoo's transactions run at REPEATABLE READ, where an ``INSERT … ON CONFLICT`` that meets a
    row committed since the snapshot fails and is retried after seconds of sleep. Here it sees
    the row.
    """
    with env.registry.cursor() as cr:
        # In Odoo's tests the cursor is a savepoint of the test's own transaction.
        if isinstance(cr, Cursor):
            cr.connection.set_isolation_level(ISOLATION_LEVEL_READ_COMMITTED)
        yield cr
