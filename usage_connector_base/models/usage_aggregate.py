import logging
import time

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL, format_datetime

from ..ingestion.facts import MAX_QUANTITY
from ..tools import read_committed_cursor
from .usage_exception import exception_digest

_logger = logging.getLogger(__name__)

FOLD_LOCK = 0x75736167  # advisory lock: folding and counting again exclude one another
FOLD_BATCHES = 200  # batches folded in one transaction
LINGER_SECONDS = 2.0  # the job stays awake as long after the last batch
POLL_SECONDS = 0.5  # between two looks: many batches at once cost less than one by one
RUN_SECONDS = 20.0  # then other jobs get their turn
WAKE_SECONDS = 1.0  # one process wakes the job so often; must be below LINGER_SECONDS

_last_wake = {}  # database name -> monotonic time at which this process last woke the job


class UsageAggregate(models.Model):
    _name = "usage.aggregate"
    _description = "Usage by Hour"
    _inherit = ["usage.customer.mixin"]
    _order = "hour desc, id desc"
    _log_access = False  # written by set-based SQL only
    _customer_time = "hour"

    source_id = fields.Many2one("usage.source", readonly=True, required=True, ondelete="restrict")
    company_id = fields.Many2one("res.company", readonly=True, required=True, index=True)
    account_id = fields.Many2one("usage.account", readonly=True, required=True, ondelete="restrict")
    meter_id = fields.Many2one("usage.meter", readonly=True, required=True, index=True, ondelete="cascade")
    unit_name = fields.Char(related="meter_id.unit_name", string="Unit")
    hour = fields.Datetime(readonly=True, required=True, index=True, help="Start of the hour (UTC).")
    dimensions = fields.Json(string="Dimensions (JSON)", readonly=True, required=True)
    dimension_label = fields.Char(string="Dimensions", readonly=True)
    quantity = fields.Float(
        digits=0, readonly=True, required=True, help="What the meter counted in this hour, in its unit."
    )
    event_count = fields.Integer(string="Events", readonly=True, required=True)

    # By a digest of the dimensions: their texts may be longer than an index takes.
    _hour_uniq = models.UniqueIndex(
        "(account_id, meter_id, hour, md5(dimensions::text))",
        "There is one quantity per account, meter, hour and dimensions.",
    )
    # Of GET /usage/v1/usage; its first column also serves those who look for a source.
    _source_meter_hour = models.Index("(source_id, meter_id, hour)")

    @api.depends("meter_id", "account_id", "hour")
    @api.depends_context("lang", "tz")
    def _compute_display_name(self):
        for aggregate in self:
            hour = format_datetime(self.env, aggregate.hour, dt_format="short")
            aggregate.display_name = f"{aggregate.meter_id.name} · {aggregate.account_id.display_name} · {hour}"

    # -- walking down -----------------------------------------------------------------------

    def action_view_events(self):
        """The events behind these hours."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_event")
        return {**action, "domain": [("id", "in", self._event_ids())], "context": {}}

    def _event_ids(self, limit=10_000):
        """Ids of the events that were counted into these hours, the latest first."""
        self.env["usage.event"].check_access("read")
        self.check_access("read")
        ids = []
        for aggregate in self:
            query = SQL(
                """
                SELECT id FROM usage_event e
                WHERE account_id = %s AND type = %s AND time >= %s AND time < %s + interval '1 hour' AND %s = %s::jsonb
                    AND %s IS NOT NULL
                ORDER BY time DESC LIMIT %s
                """,
                aggregate.account_id.id,
                aggregate.meter_id.event_type,
                aggregate.hour,
                aggregate.hour,
                self._sql_dimensions(aggregate.meter_id),
                self._json_text(aggregate),
                self._sql_value(aggregate.meter_id),
                limit,
            )
            ids += [row[0] for row in self.env.execute_query(query)]
        return ids

    def _json_text(self, aggregate):
        [[text]] = self.env.execute_query(
            SQL("SELECT dimensions::text FROM usage_aggregate WHERE id = %s", aggregate.id)
        )
        return text

    # Facts: nothing is handed on to super, whoever asks.
    @api.model_create_multi
    def create(self, vals_list):  # pylint: disable=method-required-super
        raise UserError(self.env._("Usage by hour is counted from events: it is never entered by hand."))

    def write(self, vals):  # pylint: disable=method-required-super
        raise UserError(self.env._("Usage by hour is counted from events: it is never edited."))

    @api.ondelete(at_uninstall=False)
    def _unlink_never(self):
        raise UserError(self.env._("Usage by hour is counted from events: it is never deleted."))

    # -- folding ----------------------------------------------------------------------------

    @api.model
    def _wake_fold(self):
        """Have the job fold what was just stored, within moments.

        At most once a second in a process: the job stays awake for longer than that, and so
        sees the batches for which it was not woken.
        """
        now = time.monotonic()
        if now - _last_wake.get(self.env.cr.dbname, 0) < WAKE_SECONDS:
            return
        _last_wake[self.env.cr.dbname] = now
        # sudo: API users may not read scheduled jobs
        self.env.ref("usage_connector_base.cron_fold").sudo()._trigger()

    @api.model
    def _cron_fold(self):
        """Fold batches as they come, until none has come for a moment."""
        started = last_found = time.monotonic()
        while time.monotonic() < started + RUN_SECONDS:
            folded = self._fold_pending()
            if folded:
                last_found = time.monotonic()
                self.env["ir.cron"]._commit_progress(folded, remaining=1)
            elif time.monotonic() > last_found + LINGER_SECONDS:
                break
            if folded < FOLD_BATCHES:
                time.sleep(POLL_SECONDS)
        else:
            return  # something may remain: the job is run again at once
        self.env["ir.cron"]._commit_progress(remaining=0)

    @api.model
    def _fold_pending(self, limit=FOLD_BATCHES):
        """Fold up to ``limit`` committed batches and changed meters, in a transaction of its own.

        :return: how many batches were folded and meters counted again
        """
        with read_committed_cursor(self.env) as cr:
            model = self.with_env(self.env(cr=cr))
            return model._recount_changed_meters() + model._fold(limit)

    @api.model
    def _fold(self, limit=FOLD_BATCHES):
        """Fold batches in the current transaction, each exactly once: see :meth:`_fold_pending`."""
        self._lock_fold()
        batch_ids = [
            row[0]
            for row in self.env.execute_query(
                SQL(
                    "SELECT id FROM usage_batch WHERE folded_at IS NULL ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED",
                    limit,
                )
            )
        ]
        if batch_ids:
            # sudo: the job folds for all companies
            meters = self.env["usage.meter"].sudo().search([("recount_pending", "=", False)])
            self._add_events(meters, SQL("e.batch_id = ANY(%s)", batch_ids))
            self.env.cr.execute(
                SQL("UPDATE usage_batch SET folded_at = now() AT TIME ZONE 'UTC' WHERE id = ANY(%s)", batch_ids)
            )
            self.env["usage.batch"].invalidate_model(["folded_at"])
        return len(batch_ids)

    def _lock_fold(self):
        self.env.cr.execute(SQL("SELECT pg_advisory_xact_lock(%s)", FOLD_LOCK))

    @api.model
    def _recount_changed_meters(self):
        """Count all stored events again for meters that are new or changed.

        :return: how many meters were counted again
        """
        # sudo: the job counts for all companies
        meters = self.env["usage.meter"].sudo()
        meters.flush_model()
        versions = self.env.execute_query(SQL("SELECT id, write_date FROM usage_meter WHERE recount_pending"))
        if versions:
            self._lock_fold()
            meters.invalidate_model()
            self._recount(meters.browse([meter_id for meter_id, _version in versions]))
            self._mark_counted(versions)
        return len(versions)

    def _mark_counted(self, versions):
        """Meters are complete, except those that were changed while they were being counted."""
        ids, write_dates = zip(*versions, strict=True)
        self.env.cr.execute(
            SQL(
                """
                UPDATE usage_meter m SET recount_pending = false
                FROM unnest(%s, %s::timestamp[]) v(id, write_date)
                WHERE m.id = v.id AND m.write_date IS NOT DISTINCT FROM v.write_date
                """,
                list(ids),
                list(write_dates),
            )
        )
        self.env["usage.meter"].invalidate_model(["recount_pending"])

    def _recount(self, meters):
        """Replace the aggregates of meters by what the folded events make of their definitions."""
        self.env.cr.execute(SQL("DELETE FROM usage_aggregate WHERE meter_id = ANY(%s)", meters.ids))
        active = meters.filtered("active")
        self._add_events(active, SQL("e.batch_id IN (SELECT id FROM usage_batch WHERE folded_at IS NOT NULL)"))
        for meter in active:
            self._report_uncountable(meter)

    def _report_uncountable(self, meter):
        """Events that were stored before the meter asked for a number, and have none."""
        if meter.aggregation == "count":
            return
        digest = exception_digest("recount", meter.id)
        self.env["usage.exception"]._resolve_recounted(digest)
        query = SQL(
            """
            SELECT source_id, count(*) FROM usage_event e
            WHERE company_id = %s AND type = %s AND %s IS NULL GROUP BY source_id
            """,
            meter.company_id.id,
            meter.event_type,
            self._sql_value(meter),
        )
        self.env["usage.exception"]._record(
            [
                {
                    "source_id": source_id,
                    "company_id": meter.company_id.id,
                    "reason": "value_missing",
                    "digest": digest,
                    "event_type": meter.event_type,
                    "message": f"{count} stored events have no number for {meter.code} at data.{meter.value_path}.",
                }
                for source_id, count in self.env.execute_query(query)
            ]
        )

    def _add_events(self, meters, condition):
        """Add the quantities of the events under ``condition`` to the aggregates of ``meters``."""
        if not meters:
            return
        selects = [self._sql_quantities(meter, condition) for meter in meters]
        self.env.cr.execute(
            SQL(
                """
                INSERT INTO usage_aggregate AS a (source_id, company_id, account_id, meter_id, hour, dimensions,
                    dimension_label, quantity, event_count)
                %s
                ON CONFLICT (account_id, meter_id, hour, md5(dimensions::text)) DO UPDATE
                SET quantity = a.quantity + excluded.quantity, event_count = a.event_count + excluded.event_count
                """,
                SQL(" UNION ALL ").join(selects),
            )
        )
        self.invalidate_model()

    def _sql_quantities(self, meter, condition):
        """Rows of the aggregates' columns for one meter and the events under ``condition``."""
        return SQL(
            """
            SELECT source_id, company_id, account_id, %(meter)s, hour, dimensions,
                (SELECT string_agg(value, ' · ') FROM jsonb_each_text(dimensions)), sum(value), count(*)
            FROM (
                SELECT e.source_id, e.company_id, e.account_id, date_trunc('hour', e.time) AS hour,
                    %(dimensions)s AS dimensions, %(value)s AS value
                FROM usage_event e
                WHERE %(condition)s AND e.company_id = %(company)s AND e.type = %(type)s
            ) counted
            WHERE value IS NOT NULL
            GROUP BY source_id, company_id, account_id, hour, dimensions
            """,
            meter=meter.id,
            condition=condition,
            company=meter.company_id.id,
            type=meter.event_type,
            value=self._sql_value(meter),
            dimensions=self._sql_dimensions(meter),
        )

    @api.model
    def _sql_value(self, meter):
        """What one event ``e`` counts for a meter: NUMERIC, NULL when it has no number that counts.

        Whether a number counts is decided as at ingestion, which does not know the meters to come.
        """
        if meter.aggregation == "count":
            return SQL("1::numeric")
        path = meter._value_names()
        return SQL(
            """
            CASE WHEN jsonb_typeof(e.data #> %(path)s) = 'number' AND e.data #> %(path)s >= '0'
                AND e.data #> %(path)s < %(limit)s::jsonb THEN (e.data #>> %(path)s)::numeric END
            """,
            path=path,
            limit=str(MAX_QUANTITY),
        )

    @api.model
    def _sql_dimensions(self, meter):
        """The meter's dimensions of one event ``e``: JSONB, without those that the event lacks."""
        names = meter._dimension_names()
        if not names:
            return SQL("'{}'::jsonb")
        pairs = [SQL("%s::text, e.data #> %s", name, name.split(".")) for name in names]
        return SQL("jsonb_strip_nulls(jsonb_build_object(%s))", SQL(", ").join(pairs))
