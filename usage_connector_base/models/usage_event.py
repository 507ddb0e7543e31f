import json
from collections import defaultdict

from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL

EVENT_TABLES = ("usage_event", "usage_event_key")
MAX_EVENTS = 2**14  # in one batch, so that ids need no sequence: batch id × MAX_EVENTS + index
MONTHS_AHEAD = 2  # partitions that stand ready before their month begins

# Partitioned by the time of receipt, so that a month is dropped whole when its retention ends.
# A unique index of a partitioned table must contain that time; that an id counts once, whatever
# its time, is therefore the business of a table of its own, usage_event_key.
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
CREATE INDEX IF NOT EXISTS usage_event_account_time_idx ON usage_event (account_id, time);
CREATE TABLE IF NOT EXISTS usage_event_key (
    key uuid PRIMARY KEY,
    fingerprint uuid NOT NULL,
    event_id bigint NOT NULL
);
"""


class UsageEvent(models.Model):
    _name = "usage.event"
    _description = "Usage Event"
    _auto = False  # partitioned, see SCHEMA; written by usage.ingestion only
    _log_access = False
    # The registry does not take a partitioned table for a table: name it as a query.
    _table_query = "SELECT * FROM usage_event"
    _inherit = ["usage.customer.mixin"]
    _order = "time desc, id desc"
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
    state = fields.Selection(
        [("counted", "Counted"), ("waiting", "Being Counted"), ("held", "In Quarantine")],
        compute="_compute_state",
        search="_search_state",
        help="In quarantine: the account has no customer at that time, or no meter counts this type of event.",
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

    @api.depends("partner_id", "type", "time", "batch_id.folded_at")
    def _compute_state(self):
        periods = self._counted_types()
        for event in self:
            if not event.partner_id or not any(
                (not start or start <= event.time) and (not end or event.time < end)
                for start, end in periods.get((event.company_id.id, event.type), ())
            ):
                event.state = "held"
            else:
                event.state = "counted" if event.batch_id.folded_at else "waiting"

    @api.model
    def _counted_types(self):
        """What some meter counts: dict of (company id, event type) to the periods in which it does."""
        periods = defaultdict(list)
        for version in self.env["usage.meter.version"]._counting():
            periods[version.company_id.id, version.event_type].append(version._period())
        return periods

    def _search_state(self, operator, value):
        if operator != "in":
            return NotImplemented
        known = Domain.OR(
            Domain("company_id", "=", company)
            & Domain("type", "=", event_type)
            & (Domain("time", ">=", start) if start else Domain.TRUE)
            & (Domain("time", "<", end) if end else Domain.TRUE)
            for (company, event_type), periods in self._counted_types().items()
            for start, end in self._joined(periods)
        )
        # By the account alone where that says it: most have one customer for all time.
        assigned = Domain("account_id.is_dated", "=", False) | Domain("partner_id", "!=", False)
        mapped = Domain("account_id.partner_id", "!=", False) & assigned & known
        domains = {
            "held": ~mapped,
            "counted": mapped & Domain("batch_id.folded_at", "!=", False),
            "waiting": mapped & Domain("batch_id.folded_at", "=", False),
        }
        return Domain.OR(domains[state] for state in value if state in domains)

    @api.model
    def _joined(self, periods):
        """The periods, only the one without an end or begin where there is such a one."""
        return [(None, None)] if (None, None) in periods else periods

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
