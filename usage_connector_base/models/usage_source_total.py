from datetime import timedelta

from odoo import api, fields, models
from odoo.tools import SQL

from .usage_batch import OUTCOMES

SETTLED = timedelta(minutes=10)  # no request stores its batch as long after it said when it received it
COUNTED = ("request_count", "refused_count", *(f"{outcome}_count" for outcome in OUTCOMES))
COMMA = SQL(", ")
NAMES = [SQL.identifier(name) for name in COUNTED]
# The same of one batch, in the order of COUNTED.
BATCH_COUNTS = [
    SQL("1 AS request_count"),
    SQL("(refusal_code IS NOT NULL)::int AS refused_count"),
    *NAMES[2:],
]


class UsageSourceTotal(models.Model):
    _name = "usage.source.total"
    _description = "Totals of a Usage Source"
    _rec_name = "source_id"
    _log_access = False  # written by set-based SQL only

    source_id = fields.Many2one("usage.source", readonly=True, required=True, ondelete="cascade")
    company_id = fields.Many2one("res.company", readonly=True, required=True, index=True)
    until = fields.Datetime(
        readonly=True, required=True, help="Batches received before this moment (UTC) are in the totals."
    )
    # Of type NUMERIC, since an integer ends at two billion.
    request_count = fields.Float(string="Requests", digits=0, readonly=True, required=True)
    refused_count = fields.Float(string="Refused Requests", digits=0, readonly=True, required=True)
    accepted_count = fields.Float(string="Accepted", digits=0, readonly=True, required=True)
    duplicate_count = fields.Float(string="Duplicates", digits=0, readonly=True, required=True)
    conflict_count = fields.Float(string="Conflicts", digits=0, readonly=True, required=True)
    quarantined_count = fields.Float(string="Quarantined", digits=0, readonly=True, required=True)
    rejected_count = fields.Float(string="Rejected", digits=0, readonly=True, required=True)

    _source_uniq = models.Constraint("UNIQUE(source_id)", "A source has one row of totals.")

    @api.model
    def _current(self, sources):
        """Totals of sources over all batches there ever were, up to now.

        Reads the batches since the totals were last brought up to date, not all of them.

        :param sources: ``usage.source`` records
        :return: dict of source id to dict of counts by name, as in ``COUNTED``
        """
        query = SQL(
            """
            SELECT source_id, %s FROM (
                SELECT source_id, %s FROM usage_source_total
                UNION ALL
                SELECT source_id, %s FROM usage_batch WHERE received_at >= %s
            ) counted
            WHERE source_id = ANY(%s) GROUP BY source_id
            """,
            COMMA.join(SQL("sum(%(name)s)::bigint AS %(name)s", name=name) for name in NAMES),
            COMMA.join(NAMES),
            COMMA.join(BATCH_COUNTS),
            self._until(),
            sources.ids,
        )
        none = dict.fromkeys(COUNTED, 0)
        found = {row.pop("source_id"): row for row in self.env.execute_query_dict(query)}
        return {source.id: found.get(source.id, none) for source in sources}

    @api.model
    def _cron_total(self):
        """Bring the totals up to date, but for the batches of the last minutes."""
        query = SQL(
            """
            INSERT INTO usage_source_total AS t (source_id, company_id, until, %(names)s)
            SELECT source_id, company_id, %(until)s, %(sums)s FROM (
                SELECT source_id, company_id, %(counts)s FROM usage_batch
                WHERE received_at >= %(since)s AND received_at < %(until)s
            ) counted
            GROUP BY source_id, company_id
            ON CONFLICT (source_id) DO UPDATE SET until = excluded.until, %(added)s
            """,
            names=COMMA.join(NAMES),
            sums=COMMA.join(SQL("sum(%s)", name) for name in NAMES),
            counts=COMMA.join(BATCH_COUNTS),
            since=self._until(),
            until=fields.Datetime.now() - SETTLED,
            added=COMMA.join(SQL("%(name)s = t.%(name)s + excluded.%(name)s", name=name) for name in NAMES),
        )
        self.env.cr.execute(query)
        self.invalidate_model()

    def _until(self):
        """The moment up to which batches are in the totals, of whichever source."""
        return SQL("coalesce((SELECT max(until) FROM usage_source_total), '-infinity')")
