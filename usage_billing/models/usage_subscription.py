import logging
from datetime import datetime, timedelta

from psycopg2.errors import UniqueViolation

from odoo import api, fields, models
from odoo.exceptions import ConcurrencyError, UserError, ValidationError
from odoo.fields import Command, Domain
from odoo.tools import split_every

from odoo.addons.base.models.res_partner import _tz_get
from odoo.addons.usage_connector_base.guard import is_unlocked, unlocked

from .. import rating
from ..rating.periods import anniversary_day, calendar_anchor, local_date, local_midnight
from .usage_statement import RATEABLE

_logger = logging.getLogger(__name__)

# What decides where one period ends and the next begins, and whose usage it is. Statements rest
# on it: once there is one, it stays.
CALENDAR_FIELDS = {
    *("partner_id", "company_id", "plan_id", "currency_id"),
    *("date_start", "anchor_day", "interval", "period_begin", "tz"),
}
INTERVALS = [
    ("day", "Daily"),
    ("week", "Weekly"),
    ("month", "Monthly"),
    ("quarter", "Quarterly"),
    ("year", "Yearly"),
]
WEEKDAYS = [
    ("1", "Monday"),
    ("2", "Tuesday"),
    ("3", "Wednesday"),
    ("4", "Thursday"),
    ("5", "Friday"),
    ("6", "Saturday"),
    ("7", "Sunday"),
]
CRON_BATCH = 100
NEVER = datetime.min


class UsageSubscription(models.Model):
    _name = "usage.subscription"
    _description = "Usage Subscription"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _order = "name desc"
    _rec_names_search = ["name", "partner_id.name"]
    _check_company_auto = True

    name = fields.Char(string="Number", readonly=True, copy=False, default=lambda self: self.env._("New"))
    partner_id = fields.Many2one(
        "res.partner",
        string="Customer",
        required=True,
        index=True,
        tracking=True,
        check_company=True,
        ondelete="restrict",
        help="Who pays. The usage of all accounts of this company and its contacts is billed.",
    )
    commercial_partner_id = fields.Many2one(
        related="partner_id.commercial_partner_id", string="Company of the Customer", store=True, index=True
    )
    plan_id = fields.Many2one(
        "usage.plan", required=True, index=True, tracking=True, check_company=True, ondelete="restrict"
    )
    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    currency_id = fields.Many2one(
        "res.currency",
        required=True,
        compute="_compute_currency_id",
        store=True,
        readonly=False,
        precompute=True,
        tracking=True,
        help="Charges and invoices are in it: the plan's currency, or another one that the plan has prices in.",
    )
    tz = fields.Selection(
        _tz_get,
        string="Time Zone",
        required=True,
        tracking=True,
        default=lambda self: self.env.company.usage_tz or self.env.user.tz or "UTC",
        help="Periods begin and end at midnight in this time zone.",
    )
    date_start = fields.Date(
        string="Start",
        required=True,
        tracking=True,
        default=fields.Date.context_today,
        help="First day whose usage is billed.",
    )
    date_end = fields.Date(
        string="End", tracking=True, copy=False, help="Last day whose usage is billed; empty: until closed."
    )
    interval = fields.Selection(
        INTERVALS,
        string="Billed",
        required=True,
        default="month",
        tracking=True,
        help="How long a billing period is: each one has a statement and an invoice.",
    )
    period_begin = fields.Selection(
        [("calendar", "By the calendar"), ("anniversary", "From the start date")],
        string="Periods Begin",
        required=True,
        default="calendar",
        tracking=True,
        help="By the calendar: on the anchor day, quarters in January, April, July and October, years in January; "
        "the first and the last period may be shorter.\n"
        "From the start date: on its day of the month or weekday, so that every period is a whole one.",
    )
    anchor_day = fields.Integer(
        required=True,
        default=1,
        tracking=True,
        help="Day of the month on which periods begin. In a month that is shorter, its last day. "
        "Of periods of a week: the weekday, 1 for Monday to 7 for Sunday.",
    )
    anchor_weekday = fields.Selection(
        WEEKDAYS,
        compute="_compute_anchor_weekday",
        inverse="_inverse_anchor_weekday",
        help="Day of the week on which periods begin.",
    )
    state = fields.Selection(
        [("draft", "Draft"), ("active", "Active"), ("closed", "Closed")],
        required=True,
        default="draft",
        readonly=True,
        copy=False,
        tracking=True,
        help="Statements are prepared while a subscription is active, and once more after it is closed.",
    )
    line_ids = fields.One2many("usage.subscription.line", "subscription_id", string="What Is Billed", copy=True)
    account_filter_ids = fields.Many2many(
        "usage.account",
        string="Only These Accounts",
        check_company=True,
        domain="[('commercial_partner_id', '=', commercial_partner_id)]",
        help="Bill the usage of these accounts alone; empty: of all accounts of the customer.",
    )
    account_ids = fields.Many2many(
        "usage.account",
        string="Billed Accounts",
        compute="_compute_account_ids",
        context={"active_test": False},
        help="Accounts of production systems whose usage this subscription bills, at least for a time.",
    )
    account_count = fields.Integer(compute="_compute_account_ids")
    statement_ids = fields.One2many("usage.statement", "subscription_id", string="Statements")
    statement_count = fields.Integer(compute="_compute_statement_count")
    at_credit_end = fields.Selection(
        [("bill", "Bill the rest"), ("stop", "Allow no more")],
        string="After Prepaid Credit",
        required=True,
        default="bill",
        tracking=True,
        help="What the product is told once the customer's prepaid credit is used up, live usage included, or if there "
        "is none. What is used all the same is billed.",
    )
    user_id = fields.Many2one("res.users", string="Responsible", default=lambda self: self.env.user, tracking=True)
    prepared_at = fields.Datetime(
        string="Last Prepared",
        readonly=True,
        copy=False,
        index=True,
        help="When the scheduled job last brought the statements up to date (UTC).",
    )

    _anchor_day = models.Constraint(
        "CHECK(anchor_day BETWEEN 1 AND 31)", "Anchor Day: a month has the days 1 to 31. Enter one of them."
    )
    _date_start = models.Constraint(
        "CHECK(date_start >= '2000-01-01')",
        "Start: there is a statement for each period since then. Enter a day from the year 2000 on.",
    )
    _date_order = models.Constraint(
        "CHECK(date_end IS NULL OR date_end >= date_start)",
        "End: a subscription cannot end before it starts. Choose a later day, or empty it.",
    )

    @api.depends("anchor_day")
    def _compute_anchor_weekday(self):
        weekdays = dict(WEEKDAYS)
        for subscription in self:
            day = str(subscription.anchor_day)
            subscription.anchor_weekday = day if day in weekdays else False

    def _inverse_anchor_weekday(self):
        for subscription in self.filtered("anchor_weekday"):
            subscription.anchor_day = int(subscription.anchor_weekday)

    @api.onchange("interval")
    def _onchange_interval(self):
        if self.interval == "week" and self.anchor_day > len(WEEKDAYS):
            self.anchor_day = 1

    @api.constrains("anchor_day", "interval", "period_begin")
    def _check_anchor_day(self):
        """Refuse a weekday that there is not."""
        for subscription in self:
            is_used = subscription.interval == "week" and subscription.period_begin == "calendar"
            if is_used and subscription.anchor_day > len(WEEKDAYS):
                raise ValidationError(
                    self.env._(
                        "Anchor Day: weeks begin on a weekday, and %s is none. Enter 1 for Monday to 7 for Sunday.",
                        subscription.anchor_day,
                    )
                )

    @api.depends("plan_id")
    def _compute_currency_id(self):
        for subscription in self:
            subscription.currency_id = subscription.plan_id.currency_id

    @api.constrains("currency_id", "plan_id")
    def _check_currency(self):
        """Refuse a currency that the plan has no price in, where that is not the plan's own."""
        for subscription in self:
            plan, currency = subscription.plan_id, subscription.currency_id
            if currency not in plan.currency_id | plan.price_ids.currency_id:
                raise ValidationError(
                    self.env._(
                        "Currency: %(plan)s has no price in %(currency)s. Add prices in %(currency)s to the plan, "
                        "or choose one of: %(known)s.",
                        plan=plan.name,
                        currency=currency.name,
                        known=", ".join((plan.currency_id | plan.price_ids.currency_id).mapped("name")),
                    )
                )

    # -- accounts ---------------------------------------------------------------------------

    @api.depends("commercial_partner_id", "company_id", "account_filter_ids")
    def _compute_account_ids(self):
        accounts = self._accounts()
        for subscription in self:
            subscription.account_ids = accounts[subscription]
            subscription.account_count = len(accounts[subscription])

    def _accounts(self):
        """Return {subscription: the ``usage.account`` records it bills, at one time or another}."""
        accounts = self.env["usage.account"]
        return {
            subscription: accounts.browse(dict.fromkeys(span.account_id for span in spans))
            for subscription, spans in self._spans().items()
        }

    @api.constrains("account_filter_ids", "partner_id")
    def _check_account_filter(self):
        """Refuse accounts that never were the customer's: nothing of them would be billed."""
        for subscription in self.filtered("account_filter_ids"):
            customer = subscription.commercial_partner_id
            for account in subscription.account_filter_ids:
                owners = (
                    account.commercial_partner_id | (account.payer_id or account).assignment_ids.commercial_partner_id
                )
                if customer not in owners:
                    raise ValidationError(
                        self.env._(
                            "Only These Accounts: %(account)s is no account of %(customer)s. Remove it, or assign it "
                            "to the customer first.",
                            account=account.display_name,
                            customer=customer.name,
                        )
                    )

    def _spans(self):
        """Return {subscription: the spans of time of accounts whose usage it bills}, with one query.

        Those of the customer's company and of all its contacts, in systems in production, archived
        accounts too: their usage happened. An account that changes hands is billed to each of its
        customers for the time that it was theirs.
        """
        found = self.env["usage.account"]._customer_spans(self.commercial_partner_id, "production")
        return {
            subscription: subscription._filtered_spans(
                found.get((subscription.commercial_partner_id.id, subscription.company_id.id), ())
            )
            for subscription in self
        }

    def _filtered_spans(self, spans):
        only = set(self.account_filter_ids.ids)
        return [span for span in spans if not only or span.account_id in only]

    def _usage_domain(self):
        """Return the domain that leaves out usage of the accounts at times when they were another's."""
        return [
            "|",
            ("account_id.is_dated", "=", False),
            ("partner_id.commercial_partner_id", "in", self.commercial_partner_id.ids),
        ]

    # -- periods ----------------------------------------------------------------------------

    def _period(self, n):
        """Return [start, end) of period ``n`` as naive UTC datetimes; 0 contains the start date."""
        return rating.period_bounds(*self._calendar(), n)

    def _period_index(self, at):
        """Return the number of the period that contains ``at`` (naive UTC)."""
        return rating.period_index(*self._calendar(), at)

    def _calendar(self):
        """Return what the periods follow from: a date in the first one, anchor day, interval, time zone."""
        start, interval = self.date_start, self.interval
        if self.period_begin == "anniversary":
            return start, anniversary_day(start, interval), interval, self.tz
        return calendar_anchor(start, self.anchor_day, interval), self.anchor_day, interval, self.tz

    def _start(self):
        """Return the first billed instant, naive UTC."""
        return local_midnight(self.date_start, self.tz)

    def _end(self):
        """Return the instant at which billing ends, naive UTC; None without an end date."""
        return local_midnight(self.date_end + timedelta(days=1), self.tz) if self.date_end else None

    def _billed_at(self, at):
        """Say whether usage at ``at`` (naive UTC) is billed by this subscription."""
        end = self._end()
        return self.state != "draft" and self._start() <= at and (end is None or at < end)

    def _ensure_statement(self, at):
        """Return the statement of the period that contains ``at`` (naive UTC), made when missing.

        Empty when the subscription is a draft, or bills nothing at that moment.
        """
        self.ensure_one()
        if not self._billed_at(at):
            return self.env["usage.statement"]
        start, _end = self._period(self._period_index(at))
        domain = [("subscription_id", "=", self.id), ("period_start", "=", start), ("interim_of_id", "=", False)]
        found = self.env["usage.statement"].search(domain)
        return found or self._create_statements([self._statement_vals(self._period_index(at))])

    def _ensure_statements(self, until):
        """Return the statements made now for all periods that began at or before ``until``.

        Periods that have a statement already are left alone.

        :param datetime until: naive UTC
        """
        known = self._known_periods(until)
        vals_list = [
            subscription._statement_vals(n)
            for subscription in self
            if subscription.state != "draft"
            for n in subscription._missing_periods(known.get(subscription, ()), until)
        ]
        return self._create_statements(vals_list)

    def _known_periods(self, until):
        """Return {subscription: starts of its periods that have a statement}."""
        domain = [("subscription_id", "in", self.ids), ("period_start", "<=", until), ("interim_of_id", "=", False)]
        return dict(self.env["usage.statement"]._read_group(domain, ["subscription_id"], ["period_start:array_agg"]))

    def _missing_periods(self, known, until):
        """Return the numbers of the periods that began at or before ``until``, without the ``known``."""
        end = self._end()
        last_moment = min(until, end - timedelta(seconds=1)) if end else until
        if last_moment < self._start():
            return []
        periods = range(self._period_index(last_moment) + 1)
        if len(periods) == len(known):
            return []
        calendar = self._calendar()  # once: there may be years of periods
        return [n for n in periods if rating.period_bounds(*calendar, n)[0] not in known]

    def _statement_vals(self, n):
        """Return the values of the statement of period ``n``."""
        start, end = self._period(n)
        return {
            "subscription_id": self.id,
            "partner_id": self.partner_id.id,
            "company_id": self.company_id.id,
            "currency_id": self.currency_id.id,
            "tz": self.tz,
            "period_start": start,
            "period_end": end,
            "date_from": local_date(start, self.tz),
            "date_to": local_date(end, self.tz) - timedelta(days=1),
        }

    def _create_statements(self, vals_list):
        # sudo: a statement follows from the subscription and the calendar; it is an empty sheet
        # that nobody needs a right of their own to open, and nobody may make by hand. For the same
        # reason nobody is told of it, or follows it, for having been there.
        quiet = self.env["usage.statement"].sudo().with_context(mail_create_nolog=True, mail_create_nosubscribe=True)
        try:
            with self.env.cr.savepoint():
                statements = unlocked(quiet).create(vals_list)
        except UniqueViolation as error:
            # Someone else opened the period since our transaction began, which therefore cannot
            # see it: start over.
            raise ConcurrencyError("A statement of this period was made at the same moment.") from error
        return self.env["usage.statement"].browse(statements.ids)

    # -- preparing statements ---------------------------------------------------------------

    def _prepare_statements(self, at=None, rate_until=None):
        """Bring the statements of these subscriptions up to date.

        Periods without a statement get one; those that have ended are rated, the running ones
        get live figures, and an interim statement where they cost as much as a threshold says. What
        cannot be rated is blocked with its reason, and stops nothing else.

        :param datetime at: naive UTC; periods that begin later are left alone. Now when absent
            or in the future
        :param datetime rate_until: naive UTC; periods that end later stay open. ``at`` when absent
        :return: the ``usage.statement`` records that were made or looked at
        """
        now = fields.Datetime.now()
        at = min(at or now, now)
        self._ensure_statements(at)
        statements = self.env["usage.statement"].search(
            [
                ("subscription_id", "in", self.ids),
                ("state", "in", RATEABLE),
                ("period_start", "<=", at),
            ]
        )
        rate_until = min(rate_until or at, at)
        statements._rate(rate_until)
        return statements | statements._draw_interims(at, rate_until)

    @api.model
    def _cron_prepare_statements(self):
        """Prepare the statements of all subscriptions, the longest untouched first.

        Commits after every batch, so a run that is cut off goes on where it stopped. A batch that
        fails as a whole is rolled back and tried again next time; the others are done.
        """
        started = fields.Datetime.now()
        due = self._due(started)
        cron, failed = self.env["ir.cron"], []
        cron._commit_progress(remaining=len(due))
        for ids in split_every(CRON_BATCH, due.ids):
            try:
                self.browse(ids)._prepare_due(started)
            except Exception:
                _logger.exception("Statements of the subscriptions %s were not prepared", ids)
                self.env.cr.rollback()
                failed += ids
            if not cron._commit_progress(len(ids)):
                break
        if failed:
            raise UserError(self.env._("Statements of %s subscriptions were not prepared.", len(failed)))

    def _due(self, now):
        """Return the subscriptions that no run has touched since ``now``, longest untouched first."""
        untouched = Domain("prepared_at", "=", False) | Domain("prepared_at", "<", now)
        unfinished = Domain("state", "=", "active") | Domain("statement_ids.state", "in", RATEABLE)
        return self.search(untouched & unfinished, order="prepared_at NULLS FIRST, id")

    def _prepare_due(self, now):
        """Prepare statements, rating ended periods once their company's waiting time is over."""
        for company, subscriptions in self.grouped("company_id").items():
            delay = timedelta(hours=company.usage_rating_delay)
            subscriptions._prepare_statements(now, now - delay if company.usage_auto_rate else NEVER)
        self.prepared_at = now

    # -- life -------------------------------------------------------------------------------

    @api.onchange("plan_id", "currency_id")
    def _onchange_plan_id(self):
        if self.plan_id and self.state == "draft":
            self.line_ids = [Command.clear(), *map(Command.create, self._line_vals_of_plan())]

    def _line_vals_of_plan(self):
        """Return the values of one line for each price of the plan that has not run out."""
        prices = self.plan_id._prices_for(self.commercial_partner_id or self.partner_id, self.currency_id)
        last_days = {price: price._validity()[-1][2] for price in prices}
        current = prices.filtered(lambda price: not last_days[price] or last_days[price] >= self.date_start)
        return [{"price_id": price.id} for price in current]

    @api.model_create_multi
    def create(self, vals_list):
        """Number the subscriptions; they start as drafts."""
        for vals in vals_list:
            vals.pop("state", None)
            vals["name"] = self.env["ir.sequence"].next_by_code("usage.subscription")
        return super().create(vals_list)

    def write(self, vals):
        """Refuse a state outside the buttons, and what would move existing periods."""
        if not is_unlocked(self.env):
            if "state" in vals:
                raise UserError(self.env._("Use the buttons of the subscription to activate or close it."))
            self._check_calendar_kept(vals)
        return super().write(vals)

    def _check_calendar_kept(self, vals):
        changed = CALENDAR_FIELDS & vals.keys()
        kept = self.filtered("statement_ids") if changed else self.browse()
        if any(subscription._field_changes(vals, changed) for subscription in kept):
            raise UserError(
                self.env._(
                    "%s has statements: customer, plan, currency, start, interval, anchor day and time zone stay as "
                    "they are. Amend its lines, or close it and make a new subscription.",
                    kept[0].name,
                )
            )

    def _field_changes(self, vals, names):
        fields_of = self._fields
        return any(
            fields_of[name].convert_to_cache(vals[name], self) != fields_of[name].convert_to_cache(self[name], self)
            for name in names
        )

    @api.ondelete(at_uninstall=False)
    def _unlink_only_draft(self):
        for subscription in self:
            if subscription.state != "draft":
                raise UserError(self.env._("%s was active: close it instead of deleting it.", subscription.name))

    def action_activate(self):
        """Start billing; a subscription without lines takes the prices of its plan.

        Raises ``UserError`` or ``ValidationError`` when nothing would be billed, a price is not
        approved, or another subscription bills the same usage.
        """
        for subscription in self.filtered(lambda subscription: subscription.state == "draft"):
            if not subscription.line_ids:
                subscription.line_ids = [Command.create(vals) for vals in subscription._line_vals_of_plan()]
            subscription._check_ready()
        unlocked(self).write({"state": "active"})
        self.line_ids._check_billed_once()
        self._wake_cron()

    def _wake_cron(self):
        """Have the statements of these subscriptions prepared within moments."""
        # sudo: whoever activates a subscription need not administer scheduled jobs
        self.env.ref("usage_billing.cron_prepare_statements").sudo()._trigger()

    def _check_ready(self):
        if not self.line_ids:
            raise UserError(self.env._("%s bills nothing: add prices to its plan, or lines to it.", self.name))
        drafts = self.line_ids.price_id.filtered(lambda price: price.state != "approved")
        if drafts:
            raise UserError(
                self.env._(
                    "The price of %s is not approved: have a second administrator approve it, or remove its line.",
                    drafts[0]._subject(),
                )
            )

    def action_close(self):
        """End billing today (or at the earlier end date) and prepare the last statement.

        Ending earlier than agreed on is an amendment. Raises ``UserError`` where later days are billed.
        """
        active = self.filtered(lambda subscription: subscription.state == "active")
        for subscription in active:
            today = local_date(fields.Datetime.now(), subscription.tz)
            end = max(subscription.date_start, min(subscription.date_end or today, today))
            if end == subscription.date_end:
                unlocked(subscription).write({"state": "closed"})
            else:
                subscription._amend("cancel", end + timedelta(days=1), state="closed")
        active._ensure_statements(fields.Datetime.now())

    # -- smart buttons ----------------------------------------------------------------------

    @api.depends("statement_ids")
    def _compute_statement_count(self):
        counts = dict(
            self.env["usage.statement"]._read_group(
                [("subscription_id", "in", self.ids)], ["subscription_id"], ["__count"]
            )
        )
        for subscription in self:
            subscription.statement_count = counts.get(subscription, 0)

    def action_view_statements(self):
        """The statements of these subscriptions."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_billing.action_usage_statement")
        return {**action, "domain": [("subscription_id", "in", self.ids)], "context": {}}

    def action_view_accounts(self):
        """The accounts whose usage these subscriptions bill."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_account")
        return {**action, "domain": [("id", "in", self.account_ids.ids)], "context": {"active_test": False}}

    def action_view_usage(self):
        """The hourly usage of the billed accounts, on the meters of the lines."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_aggregate")
        domain = [
            ("account_id", "in", self.account_ids.ids),
            *self._usage_domain(),
            ("meter_id", "in", self.line_ids.meter_id.ids),
        ]
        return {**action, "domain": domain, "context": {}}
