import logging
import time
from datetime import datetime, timedelta
from functools import partial

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL, format_datetime, groupby

from ..aggregations import AGGREGATIONS
from ..aggregations.base import COLUMNS
from ..fields import EventReference
from ..tools import read_committed_cursor
from .usage_event import MAX_EVENTS
from .usage_exception import exception_digest

_logger = logging.getLogger(__name__)

FOLD_LOCK = 0x75736167  # advisory lock: folding and counting again exclude one another
FOLD_BATCHES = 200  # batches folded in one transaction
LINGER_SECONDS = 2.0  # the job stays awake as long after the last batch
POLL_SECONDS = 1.0  # between two looks: many batches at once cost less than one by one
RUN_SECONDS = 20.0  # then other jobs get their turn
WAKE_SECONDS = 1.0  # one process wakes the job so often; must be below LINGER_SECONDS

COMMA = SQL(", ")

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
        digits=0,
        readonly=True,
        required=True,
        help="What the meter counted in this hour, in its unit. Of several hours: their sum, least or greatest value, "
        "average or latest one, as the meter says; empty for several meters, different values and levels.",
    )
    event_count = fields.Integer(string="Events", readonly=True, required=True)
    # What hours are put together from: see aggregations/base.py.
    total = fields.Float(digits=0, readonly=True)
    first_time = fields.Datetime(readonly=True, help="Time of the hour's first event (UTC), where levels last.")
    last_time = fields.Datetime(readonly=True, help="Time of the hour's last event (UTC), where it alone counts.")
    last_event_id = EventReference(string="Last Event", readonly=True)
    last_value = fields.Float(digits=0, readonly=True)

    # By a digest of the dimensions: their texts may be longer than an index takes.
    _hour_uniq = models.UniqueIndex(
        "(account_id, meter_id, hour, md5(dimensions::text))",
        "There is one quantity per account, meter, hour and dimensions.",
    )
    # Of GET /usage/v1/usage; its first column also serves those who look for a source.
    _source_meter_hour = models.Index("(source_id, meter_id, hour)")

    def init(self):
        # The hours that now pass are counted up again and again: with room beside them, no index is touched.
        self.env.cr.execute("ALTER TABLE usage_aggregate SET (fillfactor = 50)")

    @api.depends("meter_id", "account_id", "hour")
    @api.depends_context("lang", "tz")
    def _compute_display_name(self):
        for aggregate in self:
            hour = format_datetime(self.env, aggregate.hour, dt_format="short")
            aggregate.display_name = f"{aggregate.meter_id.name} · {aggregate.account_id.display_name} · {hour}"

    def _read_group_select(self, aggregate_spec, query):
        """Quantities of groups: as the meter's aggregation puts hours together, never a sum of maxima.

        Nothing where a group holds several meters, and where hours alone do not make a quantity.
        """
        selected = super()._read_group_select(aggregate_spec, query)
        if aggregate_spec != "quantity:sum":
            return selected
        meter = query.left_join(self._table, "meter_id", "usage_meter", "id", "meter_id")
        cases = [
            SQL("WHEN %s THEN %s", key, aggregation.quantity(partial(SQL.identifier, self._table)))
            for key, aggregation in AGGREGATIONS.items()
            if aggregation.merges_hours and not aggregation.carries
        ]
        return SQL(
            "CASE WHEN min(%(id)s) = max(%(id)s) THEN CASE min(%(aggregation)s) %(cases)s END END",
            id=SQL.identifier(meter, "id"),
            aggregation=SQL.identifier(meter, "aggregation"),
            cases=SQL(" ").join(cases),
        )

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
            definition = aggregate.meter_id._version_at(aggregate.hour)
            if not definition:
                continue
            query = SQL(
                """
                SELECT id FROM usage_event e
                WHERE e.account_id = %s AND %s AND %s AND %s AND %s = %s::jsonb AND %s IS NOT NULL
                ORDER BY e.time DESC LIMIT %s
                """,
                aggregate.account_id.id,
                self._sql_is_between(aggregate.hour, aggregate.hour + timedelta(hours=1)),
                self._sql_is_of(definition),
                self._sql_is_counted(),
                self._sql_dimensions(definition),
                self._json_text(aggregate),
                self._sql_value(definition),
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
            # First, so that what is counted again below is counted with these batches.
            self.env.cr.execute(
                SQL("UPDATE usage_batch SET folded_at = now() AT TIME ZONE 'UTC' WHERE id = ANY(%s)", batch_ids)
            )
            self.env["usage.batch"].invalidate_model(["folded_at"])
            self._fold_events(batch_ids)
        return len(batch_ids)

    def _fold_events(self, batch_ids):
        """Count the events of batches, and what their corrections touch."""
        # sudo: the job folds for all companies
        meters = self.env["usage.meter"].sudo().search([("recount_pending", "=", False)])
        definitions = [definition for meter in meters for definition in meter._definitions()]
        merged = [found for found in definitions if AGGREGATIONS[found.aggregation].merges_events]
        again = [found for found in definitions if not AGGREGATIONS[found.aggregation].merges_events]
        source, condition = SQL("usage_event e"), SQL("e.batch_id = ANY(%s)", batch_ids)
        self._add_events(merged, source, SQL("%s AND %s", condition, self._sql_is_none_of(self._superseded(batch_ids))))
        for definition in again:
            self._recount_hours(
                self._touched_hours(SQL("%s AND %s", condition, self._sql_is_of(definition))), [definition]
            )
        corrected = SQL("e.id IN (SELECT event_id FROM usage_correction WHERE batch_id = ANY(%s))", batch_ids)
        self._recount_hours(self._touched_hours(corrected), definitions)

    def _superseded(self, batch_ids):
        """Ids of the events of batches that a folded correction supersedes.

        Looked up beforehand by the range of their ids, since there are none for nearly every batch.
        """
        query = SQL(
            """
            SELECT c.event_id FROM usage_correction c JOIN usage_batch b ON b.id = c.batch_id
            WHERE c.event_id >= %s AND c.event_id < %s AND b.folded_at IS NOT NULL
            """,
            min(batch_ids) * MAX_EVENTS,
            (max(batch_ids) + 1) * MAX_EVENTS,
        )
        return [row[0] for row in self.env.execute_query(query)]

    def _sql_is_none_of(self, event_ids):
        return SQL("e.id <> ALL(%s::bigint[])", event_ids) if event_ids else SQL("true")

    def _touched_hours(self, condition):
        """Pairs of account id and hour of the events under a condition, where events are stored since."""
        query = SQL(
            """
            SELECT DISTINCT e.account_id, date_trunc('hour', e.time) FROM usage_event e
            WHERE %s AND e.time >= %s
            """,
            condition,
            self._replayable_from() or datetime.min,
        )
        return self.env.execute_query(query)

    @api.model
    def _recount_hours(self, pairs, definitions):
        """Replace hours of accounts by what the folded events make of them.

        :param list pairs: of account id and begin of the hour, naive UTC
        :param list definitions: of the meters to count again
        """
        if not pairs or not definitions:
            return
        accounts, hours = map(list, zip(*pairs, strict=True))
        touched = SQL("unnest(%s::int[], %s::timestamp[]) AS touched(account_id, hour)", accounts, hours)
        for definition in definitions:
            first, last = definition._period()
            self.env.cr.execute(
                SQL(
                    """
                    DELETE FROM usage_aggregate a USING %s
                    WHERE a.account_id = touched.account_id AND a.hour = touched.hour AND a.meter_id = %s
                        AND a.hour >= %s AND a.hour < %s
                    """,
                    touched,
                    self._meter_of(definition).id,
                    first or datetime.min,
                    last or datetime.max,
                )
            )
        source = SQL(
            "%s JOIN usage_event e ON e.account_id = touched.account_id AND date_trunc('hour', e.time) = touched.hour",
            touched,
        )
        self._add_events(definitions, source, self._sql_is_counted())

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
                UPDATE usage_meter m SET recount_pending = false, recount_from = NULL
                FROM unnest(%s, %s::timestamp[]) v(id, write_date)
                WHERE m.id = v.id AND m.write_date IS NOT DISTINCT FROM v.write_date
                """,
                list(ids),
                list(write_dates),
            )
        )
        self.env["usage.meter"].invalidate_model(["recount_pending", "recount_from"])

    def _recount(self, meters):
        """Replace the aggregates of meters by what the folded events make of their definitions.

        From the hour on from which something changed, and from which all events are stored.
        """
        for meter in meters:
            since = max(meter.recount_from or datetime.min, self._replayable_from() or datetime.min)
            self.env.cr.execute(SQL("DELETE FROM usage_aggregate WHERE meter_id = %s AND hour >= %s", meter.id, since))
            if meter.active:
                condition = SQL("e.time >= %s AND %s", since, self._sql_is_counted())
                self._add_events(meter._definitions(), SQL("usage_event e"), condition)
                self._report_uncountable(meter)

    def _report_uncountable(self, meter):
        """Events that were stored before the meter asked for a value, and have none that counts."""
        digest = exception_digest("recount", meter.id)
        self.env["usage.exception"]._resolve_recounted(digest)
        rows = []
        for definition in meter._definitions():
            rows += self._uncountable(meter, definition, digest)
        self.env["usage.exception"]._record(rows)

    def _uncountable(self, meter, definition, digest):
        """Exceptions of one definition, one for each source."""
        aggregation = AGGREGATIONS[definition.aggregation]
        if not aggregation.needs_value:
            return []
        query = SQL(
            """
            SELECT e.source_id, count(*) FROM usage_event e
            WHERE %s AND %s AND %s AND %s IS NULL GROUP BY e.source_id
            """,
            self._sql_is_of(definition),
            self._sql_filter(definition),
            self._sql_is_valid(),
            self._sql_value(definition),
        )
        wanted = "number" if aggregation.needs_number else "text, number or boolean"
        return [
            {
                "source_id": source_id,
                "company_id": meter.company_id.id,
                "reason": "value_missing",
                "digest": digest,
                "event_type": definition.event_type,
                "message": f"{count} stored events have no {wanted} for {meter.code} at data.{definition.value_path}.",
            }
            for source_id, count in self.env.execute_query(query)
        ]

    def _add_events(self, definitions, source, condition):
        """Add what definitions make of events to the hours, one statement for each aggregation.

        :param list definitions: of the meters
        :param SQL source: what stands after FROM, with ``usage_event e``
        :param SQL condition: which of its events
        """
        for aggregation, own in groupby(definitions, key=lambda found: AGGREGATIONS[found.aggregation]):
            columns = ["event_count", *aggregation.columns()]
            selects = [self._sql_hours_of(definition, columns, source, condition) for definition in own]
            self.env.cr.execute(
                SQL(
                    """
                    INSERT INTO usage_aggregate AS a (source_id, company_id, account_id, meter_id, hour, dimensions,
                        dimension_label, %s)
                    %s
                    ON CONFLICT (account_id, meter_id, hour, md5(dimensions::text)) %s
                    """,
                    COMMA.join(map(SQL.identifier, columns)),
                    SQL(" UNION ALL ").join(selects),
                    self._sql_merge(aggregation),
                )
            )
        self.invalidate_model()

    def _sql_merge(self, aggregation):
        """What becomes of an hour that is there already; one that was deleted before is not."""
        if not aggregation.merges_events:
            return SQL("DO NOTHING")
        merged = {"event_count": SQL("a.event_count + excluded.event_count"), **aggregation.merged()}
        return SQL(
            "DO UPDATE SET %s",
            COMMA.join(SQL("%s = %s", SQL.identifier(name), value) for name, value in merged.items()),
        )

    def _sql_hours_of(self, definition, columns, source, condition):
        """The hours that events make: source_id, company_id, account_id, meter_id, hour, dimensions, label and columns.

        :param columns: names of columns; those that the aggregation does not fill are NULL
        """
        aggregation = AGGREGATIONS[definition.aggregation]
        filled = {"event_count": SQL("count(*)"), **aggregation.columns()}
        return SQL(
            """
            SELECT source_id, company_id, account_id, %(meter)s AS meter_id, hour, dimensions,
                (SELECT string_agg(value, ' · ') FROM jsonb_each_text(dimensions)) AS label, %(columns)s
            FROM (
                SELECT counted.* %(around)s
                FROM (
                    SELECT e.source_id, e.company_id, e.account_id, e.time, e.id, date_trunc('hour', e.time) AS hour,
                        %(dimensions)s AS dimensions, %(value)s AS value
                    FROM %(source)s
                    WHERE %(condition)s AND %(is_of)s
                    OFFSET 0 -- else the value would be computed twice
                ) counted
                WHERE value IS NOT NULL
            ) counted
            GROUP BY source_id, company_id, account_id, hour, dimensions
            """,
            meter=self._meter_of(definition).id,
            columns=COMMA.join(
                SQL("(%s)::%s AS %s", filled.get(name, SQL("NULL")), COLUMNS[name], SQL.identifier(name))
                for name in columns
            ),
            around=aggregation.around(),
            dimensions=self._sql_dimensions(definition),
            value=self._sql_value(definition),
            source=source,
            condition=condition,
            is_of=self._sql_is_of(definition),
        )
