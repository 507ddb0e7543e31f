"""What an aggregation is: a few expressions of SQL from which folding and reading are composed.

An hour of ``usage_aggregate`` keeps what is needed to make one quantity of several hours. Its columns,
of which an aggregation fills those that it needs:

``quantity``       what the hour alone comes to
``event_count``    how many events were counted
``total``          what adds up over hours where quantities do not
``first_time``     time of the first event
``last_time``      time of the last event
``last_event_id``  that event; of several at the same time the one that was stored last
``last_value``     its value

When a window is read, an event in an hour that the window cuts is a row with the same columns.
"""

from odoo.tools import SQL

DECIMALS = 12  # places of a quantity that is the result of a division
# Columns of an hour, with their types.
COLUMNS = {
    "quantity": SQL("numeric"),
    "event_count": SQL("integer"),
    "total": SQL("numeric"),
    "first_time": SQL("timestamp"),
    "last_time": SQL("timestamp"),
    "last_event_id": SQL("bigint"),
    "last_value": SQL("numeric"),
}
# The value of the last of some rows with ``value``, ``time`` and ``id``.
LAST_VALUE = SQL("(array_agg(value ORDER BY time DESC, id DESC))[1]")
LAST_ID = SQL("(array_agg(id ORDER BY time DESC, id DESC))[1]")


class Aggregation:
    """Common to all: what the others override is said here."""

    key = ""
    needs_value = True  # whether meters name a value
    needs_number = True  # whether that value must be a number
    takes_summaries = False  # whether quantities of windows that the sender counted can be counted on
    # Whether an hour and new events of it make the hour without its other events; where not, the
    # hours that get new events are counted again.
    merges_events = True
    # Whether hours make a window; where not, windows are read from events.
    merges_hours = True
    carries = False  # whether what an event says lasts beyond its hour

    def columns(self):
        """Columns of one hour: dict of name to SQL over its events.

        These have ``value``, ``time`` and ``id``, and what :meth:`around` adds. ``event_count`` is
        there already.
        """
        raise NotImplementedError

    def around(self):
        """What each event must know of its neighbours: more columns, as SQL that begins with a comma."""
        return SQL()

    def merged(self):
        """The same columns, of hour ``a`` and its new events ``excluded``: dict of name to SQL."""
        raise NotImplementedError

    def of_event(self):
        """Columns of a row that is one event ``e`` with ``value``: dict of name to SQL."""
        return {"quantity": SQL("e.value")}

    def quantity(self, column=SQL.identifier):
        """The quantity of a window: SQL over rows, of whole hours and of events, of one account.

        :param column: function of a column's name to its SQL, for those who join other tables
        """
        raise NotImplementedError


def rounded(dividend, divisor):
    """SQL of a quotient of numbers that are not negative, rounded half up to ``DECIMALS`` places.

    Exact whatever their sizes, where PostgreSQL's own division keeps some 16 digits.
    """
    return SQL(
        "trim_scale(div(%(a)s * 2 * %(scale)s + %(b)s, 2 * %(b)s) * %(unit)s)",
        a=dividend,
        b=divisor,
        scale=SQL(str(10**DECIMALS)),
        unit=SQL(f"0.{'1'.zfill(DECIMALS)}"),
    )
