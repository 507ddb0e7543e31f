import json
from collections import defaultdict

from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL

from ..aggregations import AGGREGATIONS
from ..ingestion.facts import SUMMARY_TYPE

# Aggregations whose windows add up, or have a lowest and a highest.
ADDITIVE = tuple(name for name, aggregation in AGGREGATIONS.items() if aggregation.takes_summaries)

EVENT_TABLES = ("usage_event", "usage_event_key")
MAX_EVENTS = 2**14  # in one batch, so that ids need no sequence: batch id × MAX_EVENTS + index
MONTHS_AHEAD = 2  # partitions that stand ready before their month begins

# Partitioned by the time of receipt, so that a month is dropped whole when its retention ends.
# A unique index of a partitioned table must contain that time; that an id counts once, whatever
# its time, is therefore the business of a table of its own, usage_event_key.
# Of times an index keeps the hours: PostgreSQL stores those that repeat once, a quarter of the size.
SCHEMA = """
CREATE TABLE IF NOT EXISTS usage_event (
    id bigint NOT NULL,
    batch_id integer NOT NULL,
    source_id integer NOT NULL,
    company_id integer NOT NULL,
    account_id integer NOT NULL,
    time timestamp NOT NULL,
    received_at timestamp NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    data jsonb NOT NULL,
    tenant_ref text,
    subscription_ref text,
    user_ref text,
    attributes jsonb
) PARTITION BY RANGE (received_at);
CREATE INDEX IF NOT EXISTS usage_event_id_idx ON usage_event (id);
CREATE INDEX IF NOT EXISTS usage_event_batch_idx ON usage_event (batch_id);
CREATE INDEX IF NOT EXISTS usage_event_account_hour_idx ON usage_event (account_id, date_trunc('hour', time));
CREATE INDEX IF NOT EXISTS usage_event_summary_idx ON usage_event (account_id, (data ->> 'meter'), time)
    WHERE type = 'usage.summary';
CREATE TABLE IF NOT EXISTS usage_event_key (
    key uuid PRIMARY KEY,
    fingerprint bigint NOT NULL,
    event_id bigint NOT NULL
);
"""


def summary_label(code):
    """What stands in the place of an event's type for summaries of a meter: in exceptions, and in lists.

    :param str code: of the meter
    """
    return f"{SUMMARY_TYPE}: {code}"


class UsageEvent(models.Model):
    _name = "usage.event"
    _description = "Usage Event"
    _auto = False  # partitioned, see SCHEMA; written by usage.ingestion only
    _log_access = False
    # The registry does not take a partitioned table for a table: name it as a query.
    _table_query = "SELECT * FROM usage_event"
    _inherit = ["usage.customer.mixin"]
    _order = "id desc"  # the latest received first: by an index, which millions of events need
    _rec_name = "event_id"
    _customer_time = "time"

    batch_id = fields.Many2one("usage.batch", readonly=True)
    source_id = fields.Many2one("usage.source", readonly=True)
    company_id = fields.Many2one("res.company", readonly=True)
    account_id = fields.Many2one("usage.account", readonly=True)
    event_id = fields.Char(string="Event ID", readonly=True, help="The sender's id: counts once per source.")
    type = fields.Char(readonly=True, help="The event's type, which selects the meters that count it.")
    time = fields.Datetime(readonly=True, help="When the usage happened (UTC).")
    received_at = fields.Datetime(string="Received", readonly=True, help="When the event arrived (UTC).")
    data = fields.Json(string="Data (JSON)", readonly=True)
    data_text = fields.Text(string="Data", compute="_compute_data_text")
    tenant_ref = fields.Char(string="Tenant", readonly=True)
    subscription_ref = fields.Char(string="Subscription Reference", readonly=True)
    user_ref = fields.Char(string="User Reference", readonly=True)
    attributes = fields.Json(string="Other Attributes", readonly=True)
    summary_meter = fields.Char(
        compute="_compute_summary_meter",
        search="_search_summary_meter",
        help="Of a summary: the code of the meter that counts it.",
    )
    superseding_ids = fields.One2many(
        "usage.correction", "event_id", string="Superseded By", help="The correction by which it does not count."
    )
    correction_ids = fields.Many2many(
        "usage.correction",
        string="Corrections",
        compute="_compute_correction_ids",
        help="What became of the event since it was first received, the latest first.",
    )
    correction_count = fields.Integer(compute="_compute_correction_ids")
    state = fields.Selection(
        [
            ("waiting", "Being Counted"),
            ("counted", "Counted"),
            ("held", "In Quarantine"),
            ("superseded", "Superseded"),
            ("voided", "Voided"),
        ],
        compute="_compute_state",
        search="_search_state",
        help="In quarantine: the account has no customer at that time, or no meter counts this type of event. "
        "Superseded: a correction counts instead. Voided: nothing counts instead.",
    )

    def init(self):
        self.env.cr.execute(SCHEMA)
        self._ensure_partitions()

    @api.model
    def _ensure_partitions(self, first=None):
        """Partitions for the month of ``first`` (naive UTC, default now) and those after it."""
        first = (first or fields.Datetime.now()).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        for month in (first + relativedelta(months=n) for n in range(MONTHS_AHEAD + 1)):
            self.env.cr.execute(
                SQL(
                    "CREATE TABLE IF NOT EXISTS %s PARTITION OF usage_event FOR VALUES FROM (%s) TO (%s)",
                    SQL.identifier(f"usage_event_{month:%Y_%m}"),
                    month,
                    month + relativedelta(months=1),
                )
            )

    @api.depends("data", "attributes")
    def _compute_data_text(self):
        for event in self:
            content = {**(event.attributes or {}), "data": event.data or {}}
            event.data_text = json.dumps(content, indent=2, ensure_ascii=False)

    @api.depends("type", "data")
    def _compute_summary_meter(self):
        for event in self:
            event.summary_meter = event.type == SUMMARY_TYPE and event.data["meter"]

    def _search_summary_meter(self, operator, value):
        if operator != "in":
            return NotImplemented
        return Domain("type", "=", SUMMARY_TYPE) & Domain.custom(
            to_sql=lambda model, alias, query: SQL(
                "%s ->> 'meter' = ANY(%s)", SQL.identifier(alias, "data"), [code for code in value if code]
            )
        )

    def _compute_correction_ids(self):
        """Corrections of the events that the rows are of: each is the first row, or one that replaces it."""
        corrections = self.env["usage.correction"]
        of_rows = corrections.search(["|", ("event_id", "in", self.ids), ("replacement_id", "in", self.ids)])
        root_of = {}
        for correction in of_rows:
            root_of[correction.event_id] = root_of[correction.replacement_id] = correction.root_id
        by_root = corrections.search([("root_id", "in", of_rows.root_id.ids)]).grouped("root_id")
        for event in self:
            event.correction_ids = by_root.get(root_of.get(event), corrections)
            event.correction_count = len(event.correction_ids)

    @api.depends("partner_id", "type", "time", "batch_id.folded_at", "superseding_ids")
    def _compute_state(self):
        periods = self._counted_types()
        for event in self:
            if event.superseding_ids:
                event.state = "superseded" if event.superseding_ids.replacement_id else "voided"
            elif not event.partner_id or not any(
                (not start or start <= event.time) and (not end or event.time < end)
                for start, end in periods.get((event.company_id.id, event._counted_by()), ())
            ):
                event.state = "held"
            else:
                event.state = "counted" if event.batch_id.folded_at else "waiting"

    def _counted_by(self):
        """What the meters that count an event know it by, as in :meth:`_counted_types`."""
        return summary_label(self.summary_meter) if self.type == SUMMARY_TYPE else self.type

    @api.model
    def _counted_types(self):
        """What some meter counts: dict of (company id, event type or label of summaries) to the periods of it."""
        periods = defaultdict(list)
        for version in self.env["usage.meter.version"]._counting():
            company_id = version.company_id.id
            periods[company_id, version.event_type].append(version._period())
            if version.aggregation in ADDITIVE:
                periods[company_id, summary_label(version.meter_id.code)].append(version._period())
        return periods

    def _search_state(self, operator, value):
        if operator != "in":
            return NotImplemented
        known = Domain.OR(
            Domain("company_id", "=", company)
            & self._domain_of(kind)
            & (Domain("time", ">=", start) if start else Domain.TRUE)
            & (Domain("time", "<", end) if end else Domain.TRUE)
            for (company, kind), periods in self._counted_types().items()
            for start, end in self._joined(periods)
        )
        # By the account alone where that says it: most have one customer for all time.
        assigned = Domain("account_id.is_dated", "=", False) | Domain("partner_id", "!=", False)
        mapped = Domain("account_id.partner_id", "!=", False) & assigned & known
        counts = Domain("superseding_ids", "=", False)
        domains = {
            "held": counts & ~mapped,
            "counted": counts & mapped & Domain("batch_id.folded_at", "!=", False),
            "waiting": counts & mapped & Domain("batch_id.folded_at", "=", False),
            "superseded": Domain("superseding_ids.replacement_id", "!=", False),
            "voided": ~counts & Domain("superseding_ids.replacement_id", "=", False),
        }
        return Domain.OR(domains[state] for state in value if state in domains)

    @api.model
    def _domain_of(self, kind):
        """Events of a type, or summaries under their label."""
        if kind.startswith(summary_label("")):
            return Domain("summary_meter", "=", kind.removeprefix(summary_label("")))
        return Domain("type", "=", kind)

    @api.model
    def _joined(self, periods):
        """The periods, only the one without an end or begin where there is such a one."""
        return [(None, None)] if (None, None) in periods else periods

    def _exact_data(self):
        """The data as indented JSON, every number as it was sent."""
        [[text]] = self.env.execute_query(SQL("SELECT jsonb_pretty(data) FROM usage_event WHERE id = %s", self.id))
        return text

    # -- corrections ------------------------------------------------------------------------

    def action_correct(self):
        """Open the dialog that voids or amends the event."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_correction_wizard")
        return {**action, "context": {"default_event_id": self.id}}

    def action_view_corrections(self):
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_correction")
        return {**action, "domain": [("id", "in", self.correction_ids.ids)], "context": {}}

    # Facts: nothing is handed on to super, whoever asks.
    @api.model_create_multi
    def create(self, vals_list):  # pylint: disable=method-required-super
        raise UserError(self.env._("Events are sent through the API: they are never entered by hand."))

    def write(self, vals):  # pylint: disable=method-required-super
        raise UserError(self.env._("An event is a fact and is never edited: send a correction."))

    @api.ondelete(at_uninstall=False)
    def _unlink_never(self):
        raise UserError(self.env._("An event is a fact and is never deleted before its retention ends."))

    @api.model
    def _cron_partitions(self):
        """Keep partitions ready for the months to come."""
        self._ensure_partitions()
