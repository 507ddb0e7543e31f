import logging
from datetime import datetime, time, timedelta

from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import SQL

from ..aggregations.base import COLUMNS
from ..guard import unlocked

_logger = logging.getLogger(__name__)

ASKED = ("company_id", "source_id", "meter_id", "date_from", "date_to")  # what people enter
MONTHS = 2  # whole months before the running one that are compared every day
SLICE = timedelta(days=7)  # of a meter, compared in one transaction
DAILY = timedelta(hours=20)  # a scheduled comparison is not made again within this time
COMMA = SQL(", ")
NAMES = [SQL.identifier(name) for name in COLUMNS]


class UsageDriftCheck(models.Model):
    """A comparison of the hourly usage of some days with what the stored events come to.

    Made by a job, in the background, a meter and a week at a time. Each is one query on one
    snapshot of the database, in which hours and folded batches belong together: whatever is
    counted meanwhile, no difference is found that is none.
    """

    _name = "usage.drift.check"
    _description = "Comparison of Usage with Events"
    _inherit = ["usage.guarded.mixin"]
    _order = "id desc"
    _rec_name = "id"
    _check_company_auto = True

    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    source_id = fields.Many2one(
        "usage.source", index="btree_not_null", check_company=True, help="Of this source alone; empty: of all."
    )
    meter_id = fields.Many2one(
        "usage.meter",
        index="btree_not_null",
        check_company=True,
        ondelete="cascade",
        help="Of this meter alone; empty: of all.",
    )
    date_from = fields.Date(
        string="From",
        required=True,
        default=lambda self: fields.Date.today().replace(day=1),
        help="First day that is compared (UTC).",
    )
    date_to = fields.Date(
        string="To",
        required=True,
        default=lambda self: fields.Date.today(),
        help="Last day that is compared (UTC), included.",
    )
    state = fields.Selection(
        [("waiting", "Waiting"), ("done", "Done")],
        required=True,
        readonly=True,
        default="waiting",
        help="A job compares what waits, in the background.",
    )
    next_meter_id = fields.Integer(readonly=True, aggregator=None, help="Where the job goes on.")
    next_day = fields.Date(readonly=True, help="Where the job goes on (UTC).")
    hour_count = fields.Integer(
        string="Hours Compared", readonly=True, help="Hours of accounts, meters and dimensions that were compared."
    )
    found_count = fields.Integer(
        string="Differences Found", readonly=True, help="Hours that were not what their events come to."
    )
    failed_count = fields.Integer(
        string="Not Compared", readonly=True, help="Weeks of meters that failed: the server's log says why."
    )
    drift_ids = fields.One2many("usage.drift", "check_id", string="Differences")
    open_count = fields.Integer(compute="_compute_open_count", help="Differences of this comparison that are open.")
    finished_date = fields.Datetime(string="Finished", readonly=True, help="When all was compared (UTC).")

    @api.constrains("date_from", "date_to")
    def _check_dates(self):
        for check in self:
            if check.date_from > check.date_to:
                raise ValidationError(self.env._("The comparison ends before it begins: choose a later 'To'."))

    @api.depends("date_from", "date_to")
    def _compute_display_name(self):
        for check in self:
            check.display_name = self.env._("%(first)s to %(last)s", first=check.date_from, last=check.date_to)

    @api.depends("drift_ids.state")
    def _compute_open_count(self):
        counts = dict(
            self.env["usage.drift"]._read_group(
                [("check_id", "in", self.ids), ("state", "=", "open")], ["check_id"], ["__count"]
            )
        )
        for check in self:
            check.open_count = counts.get(check, 0)

    @api.model_create_multi
    def create(self, vals_list):
        """Queue comparisons, and have the job make them."""
        asked = [{name: vals[name] for name in ASKED if name in vals} for vals in vals_list]
        checks = super(UsageDriftCheck, unlocked(self)).create(asked).with_env(self.env)
        # sudo: whoever compares need not administer scheduled jobs
        self.env.ref("usage_connector_base.cron_compare").sudo()._trigger()
        return checks

    def action_view_drifts(self):
        """The differences that were found."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_drift")
        return {**action, "domain": [("check_id", "in", self.ids)], "context": {}}

    # -- comparing --------------------------------------------------------------------------

    @api.model
    def _cron_compare(self):
        """Compare the last months once a day, and what people ask for; goes on where it was cut off."""
        self._queue_daily()
        remaining = {check: check._slices() for check in self.search([("state", "=", "waiting")], order="id")}
        cron = self.env["ir.cron"]
        cron._commit_progress(remaining=sum(map(len, remaining.values())))
        for check, slices in remaining.items():
            for meter, day in slices:
                check._compare(meter, day)
                if not cron._commit_progress(1):
                    return
            unlocked(check).write({"state": "done", "finished_date": fields.Datetime.now()})
            cron._commit_progress()

    def _queue_daily(self):
        """A comparison of the last months for each company with meters that none was made for lately."""
        today = fields.Date.today()
        # sudo: the job works for all companies
        companies = self.env["usage.meter"].sudo().search([("active", "=", True)]).company_id
        recent = self.search([("create_uid", "=", self.env.uid), ("create_date", ">", fields.Datetime.now() - DAILY)])
        self.create(
            [
                {
                    "company_id": company.id,
                    "date_from": today.replace(day=1) - relativedelta(months=MONTHS),
                    "date_to": today,
                }
                for company in companies - recent.company_id
            ]
        )

    def _slices(self):
        """What remains to compare: list of a meter and the first day of a week, in the order in which it is done."""
        # sudo: the job works for all companies
        meters = self.env["usage.meter"].sudo().search([("company_id", "=", self.company_id.id)], order="id")
        meters = meters & self.meter_id.sudo() if self.meter_id else meters
        days = [self.date_from + SLICE * n for n in range((self.date_to - self.date_from) // SLICE + 1)]
        return [
            (meter, day)
            for meter in meters.sorted("id")
            for day in days
            if not self.next_day or (meter.id, day) >= (self.next_meter_id, self.next_day)
        ]

    def _compare(self, meter, day):
        """Compare one week of a meter, and remember where to go on. One that fails stops nothing else."""
        values = {"next_meter_id": meter.id, "next_day": day + SLICE}
        self.env.flush_all()
        self.env.invalidate_all()  # of what the meter counted before the snapshot of this transaction
        try:
            with self.env.cr.savepoint():
                hours, found = self._compare_hours(meter, day)
            values.update(hour_count=self.hour_count + hours, found_count=self.found_count + found)
        except Exception:
            _logger.exception("Usage of meter %s from %s on was not compared with its events", meter.code, day)
            values["failed_count"] = self.failed_count + 1
        unlocked(self).write(values)

    def _compare_hours(self, meter, day):
        """Record the hours of a week that differ, and settle those that do not any more.

        :return: number of hours compared, and of those that differ
        """
        aggregates = self.env["usage.aggregate"]
        start = datetime.combine(day, time())
        end = datetime.combine(min(day + SLICE, self.date_to + timedelta(days=1)), time())
        start = max(start, aggregates._replayable_from() or start)
        # What is being counted again is compared another day.
        if meter.recount_pending or not meter.active or start >= end:
            return 0, 0
        query = SQL(
            """
            WITH replayed AS (%(replayed)s),
            stored AS (
                SELECT * FROM usage_aggregate a
                WHERE meter_id = %(meter)s AND hour >= %(start)s AND hour < %(end)s AND %(of_source)s
            ),
            compared AS (
                SELECT coalesce(r.source_id, s.source_id) AS source_id,
                    coalesce(r.account_id, s.account_id) AS account_id,
                    coalesce(r.hour, s.hour) AS hour, coalesce(r.dimensions, s.dimensions) AS dimensions,
                    coalesce(r.label, s.dimension_label) AS label, s.quantity AS stored_quantity,
                    r.quantity AS replayed_quantity, coalesce(s.event_count, 0) AS stored_event_count,
                    coalesce(r.event_count, 0) AS replayed_event_count,
                    (%(replayed_columns)s) IS DISTINCT FROM (%(stored_columns)s) AS different
                FROM replayed r FULL JOIN stored s
                    ON s.account_id = r.account_id AND s.hour = r.hour AND s.dimensions = r.dimensions
            ),
            found AS (
                INSERT INTO usage_drift AS d (check_id, company_id, meter_id, source_id, account_id, hour, dimensions,
                    dimension_label, stored_quantity, replayed_quantity, stored_event_count, replayed_event_count,
                    found_date, state)
                SELECT %(check)s, %(company)s, %(meter)s, source_id, account_id, hour, dimensions, label,
                    stored_quantity, replayed_quantity, stored_event_count, replayed_event_count, %(now)s, 'open'
                FROM compared WHERE different
                ON CONFLICT (account_id, meter_id, hour, md5(dimensions::text)) WHERE state = 'open' DO UPDATE
                SET check_id = excluded.check_id, found_date = excluded.found_date,
                    stored_quantity = excluded.stored_quantity, replayed_quantity = excluded.replayed_quantity,
                    stored_event_count = excluded.stored_event_count,
                    replayed_event_count = excluded.replayed_event_count
                RETURNING d.id
            ),
            gone AS (
                UPDATE usage_drift d SET state = 'gone', mended_date = %(now)s
                WHERE state = 'open' AND meter_id = %(meter)s AND hour >= %(start)s AND hour < %(end)s
                    AND %(of_source_d)s AND NOT EXISTS (
                        SELECT FROM compared c WHERE c.different AND c.account_id = d.account_id AND c.hour = d.hour
                            AND c.dimensions = d.dimensions
                    )
            )
            SELECT (SELECT count(*) FROM compared), (SELECT count(*) FROM found)
            """,
            replayed=self._sql_replayed(meter, start, end),
            meter=meter.id,
            check=self.id,
            company=meter.company_id.id,
            start=start,
            end=end,
            now=fields.Datetime.now(),
            of_source=self._sql_of_source("a"),
            of_source_d=self._sql_of_source("d"),
            replayed_columns=COMMA.join(SQL("r.%s", name) for name in NAMES),
            stored_columns=COMMA.join(SQL("s.%s", name) for name in NAMES),
        )
        [[hours, found]] = self.env.execute_query(query)
        self.env["usage.drift"].invalidate_model()
        return hours, found

    def _sql_replayed(self, meter, start, end):
        """The hours that the stored events of a meter come to, with all columns."""
        aggregates = self.env["usage.aggregate"]
        # By account, since events are found by account and hour.
        source = SQL(
            "usage_account a JOIN usage_event e ON e.account_id = a.id AND %s", aggregates._sql_is_between(start, end)
        )
        condition = SQL(
            "a.company_id = %s AND %s AND %s",
            meter.company_id.id,
            self._sql_of_source("a"),
            aggregates._sql_is_counted(),
        )
        return SQL(" UNION ALL ").join(
            aggregates._sql_hours_of(definition, COLUMNS, source, condition) for definition in meter._definitions()
        )

    def _sql_of_source(self, alias):
        if not self.source_id:
            return SQL("true")
        return SQL("%s = %s", SQL.identifier(alias, "source_id"), self.source_id.id)
