"""Reading quantities: what billing, signals and reconciliation ask of the hourly usage."""

from decimal import Decimal

from odoo import api, models
from odoo.tools import SQL

FOLDED = SQL("EXISTS (SELECT FROM usage_batch b WHERE b.id = e.batch_id AND b.folded_at IS NOT NULL)")


class UsageAggregate(models.Model):
    _inherit = "usage.aggregate"

    @api.model
    def _quantities(self, windows):
        """What was counted in windows, with one query for all of them.

        Whole hours are read from the hourly usage; the pieces of hours at the ends of spans are
        counted from the events that are in it.

        :param windows: list of :class:`~..aggregations.Window`
        :return: list of Decimals in the order given, in the unit of each window's meter
        """
        hours = [
            (key, span.account_id, window.meter.id, *span.hours())
            for key, window in enumerate(windows)
            for span in window.spans
            if span.hours()
        ]
        parts = [
            (key, span.account_id, window.meter, *part)
            for key, window in enumerate(windows)
            for span in window.spans
            for part in span.parts()
        ]
        return self._added(windows, ([self._sql_hours(hours)] if hours else []) + self._sql_parts(parts, FOLDED))

    @api.model
    def _quantities_from_events(self, windows):
        """The same as :meth:`_quantities`, from all stored events: to compare the two."""
        parts = [
            (key, span.account_id, window.meter, span.start, span.end)
            for key, window in enumerate(windows)
            for span in window.spans
        ]
        return self._added(windows, self._sql_parts(parts, SQL("true")))

    def _added(self, windows, selects):
        """Quantities of windows from queries of (key, quantity)."""
        if not selects:
            return [Decimal(0)] * len(windows)
        self.flush_model()
        query = SQL(
            "SELECT key, sum(quantity)::text FROM (%s) counted GROUP BY key HAVING sum(quantity) IS NOT NULL",
            SQL(" UNION ALL ").join(selects),
        )
        quantities = dict(self.env.execute_query(query))
        return [Decimal(quantities.get(key, 0)) for key in range(len(windows))]

    def _sql_hours(self, rows):
        return SQL(
            """
            SELECT s.key, a.quantity
            FROM unnest(%s::int[], %s::int[], %s::int[], %s::timestamp[], %s::timestamp[])
                AS s(key, account_id, meter_id, first, last)
            JOIN usage_aggregate a ON a.account_id = s.account_id AND a.meter_id = s.meter_id
                AND a.hour >= s.first AND a.hour < s.last
            """,
            *(list(column) for column in zip(*rows, strict=True)),
        )

    def _sql_parts(self, rows, condition):
        """One query for each meter, of the events under a condition."""
        by_meter = {}
        for key, account_id, meter, start, end in rows:
            by_meter.setdefault(meter, []).append((key, account_id, start, end))
        return [self._sql_part(meter, found, condition) for meter, found in by_meter.items()]

    def _sql_part(self, meter, rows, condition):
        return SQL(
            """
            SELECT s.key, %(value)s AS quantity
            FROM unnest(%(keys)s::int[], %(accounts)s::int[], %(starts)s::timestamp[], %(ends)s::timestamp[])
                AS s(key, account_id, first, last)
            JOIN usage_event e ON e.account_id = s.account_id AND e.type = %(type)s
                AND e.time >= s.first AND e.time < s.last
            WHERE %(condition)s
            """,
            value=self._sql_value(meter),
            type=meter.event_type,
            condition=condition,
            **dict(
                zip(("keys", "accounts", "starts", "ends"), map(list, zip(*rows, strict=True)), strict=True),
            ),
        )
