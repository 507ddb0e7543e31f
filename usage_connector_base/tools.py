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
        _read_committed(cr)
        yield cr


@contextmanager
def read_committed_transaction(cr):
    """A transaction at READ COMMITTED of a request's own cursor, committed when the block ends well.

    Whatever the request did before is committed first: it must, as the level is that of a whole
    transaction, and what is answered has to be committed. Saves a request the second connection that
    :func:`read_committed_cursor` would take.
    """
    cr.commit()  # pylint: disable=invalid-commit
    _read_committed(cr)
    try:
        yield
    except BaseException:
        cr.rollback()
        raise
    cr.commit()  # pylint: disable=invalid-commit


def _read_committed(cr):
    # In Odoo's tests the cursor is a savepoint of the test's own transaction.
    if isinstance(cr, Cursor):
        cr.connection.set_isolation_level(ISOLATION_LEVEL_READ_COMMITTED)
