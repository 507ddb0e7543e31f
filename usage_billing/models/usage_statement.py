from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.tools.misc import format_date

from odoo.addons.usage_connector_base.guard import unlocked

PREPARER = "usage_billing.group_billing_preparer"
APPROVER = "usage_billing.group_billing_approver"

# While a statement is in one of these states its charges follow usage and prices.
RATEABLE = ("open", "rated", "blocked")
STATES = [
    ("open", "Open"),
    ("rated", "Rated"),
    ("to_approve", "To Approve"),
    ("approved", "Approved"),
    ("invoiced", "Invoiced"),
    ("posted", "Posted"),
    ("blocked", "Blocked"),
]


class UsageStatement(models.Model):
    """One billing period of one subscription.

    ``open`` → ``rated`` → ``to_approve`` → ``approved`` → ``invoiced`` → ``posted``, and
    ``blocked`` with its reason where it cannot be rated. How each step is taken is told in files
    of its own: rating, invoicing, reconciling.
    """

    _name = "usage.statement"
    _description = "Usage Statement"
    _inherit = ["usage.guarded.mixin", "mail.thread", "mail.activity.mixin"]
    _order = "period_start desc, name desc"
    _rec_names_search = ["name", "partner_id.name"]
    _check_company_auto = True

    name = fields.Char(string="Number", readonly=True, required=True, copy=False)
    subscription_id = fields.Many2one(
        "usage.subscription", readonly=True, required=True, index=True, ondelete="restrict", check_company=True
    )
    plan_id = fields.Many2one(
        "usage.plan",
        compute="_compute_plan_id",
        store=True,
        precompute=True,
        index=True,
        help="The plan that the customer was on when the period was opened.",
    )
    partner_id = fields.Many2one(
        "res.partner", string="Customer", readonly=True, required=True, index=True, ondelete="restrict"
    )
    commercial_partner_id = fields.Many2one(
        related="partner_id.commercial_partner_id",
        string="Company of the Customer",
        store=True,
        precompute=True,
        index=True,
    )
    company_id = fields.Many2one("res.company", readonly=True, required=True, index=True)
    currency_id = fields.Many2one(
        "res.currency", readonly=True, required=True, help="Currency of the charges and of the invoice."
    )
    tz = fields.Char(string="Time Zone", readonly=True, required=True, help="Where the period begins at midnight.")
    period_start = fields.Datetime(readonly=True, required=True, index=True, help="First instant of the period (UTC).")
    period_end = fields.Datetime(
        readonly=True, required=True, index=True, help="Instant at which the period ends, not included (UTC)."
    )
    date_from = fields.Date(
        string="From", readonly=True, required=True, help="First day of the period, in the customer's time zone."
    )
    date_to = fields.Date(
        string="To", readonly=True, required=True, help="Last day of the period, in the customer's time zone."
    )
    period_label = fields.Char(string="Period", compute="_compute_period_label")
    period_ended = fields.Boolean(compute="_compute_period_ended", help="Whether the period is over.")
    state = fields.Selection(
        STATES,
        string="Status",
        readonly=True,
        required=True,
        default="open",
        index=True,
        tracking=True,
        help="Open: the period runs, figures are live.\n"
        "Rated: the charges are calculated and can be submitted.\n"
        "To approve: waits for a second person.\n"
        "Approved: can be invoiced. Invoiced: there is a draft invoice. Posted: it is in the ledger.\n"
        "Blocked: cannot be calculated; the reason is given.",
    )
    blocked_reason = fields.Text(readonly=True, help="Why the charges could not be calculated, and what to do.")
    rated_date = fields.Datetime(
        string="Calculated On", readonly=True, help="When the charges were last calculated (UTC)."
    )
    prepared_by_id = fields.Many2one("res.users", readonly=True, help="Who last rated the statement.")
    submitted_by_id = fields.Many2one("res.users", readonly=True)
    submitted_date = fields.Datetime(
        string="Submitted On", readonly=True, help="When the statement was submitted for approval (UTC)."
    )
    approved_by_id = fields.Many2one("res.users", readonly=True, tracking=True)
    approved_date = fields.Datetime(string="Approved On", readonly=True, help="When the statement was approved (UTC).")
    approval_ids = fields.One2many("usage.statement.approval", "statement_id", string="Approval Log")
    charge_ids = fields.One2many("usage.charge", "statement_id", string="Charges")
    charge_count = fields.Integer(compute="_compute_charge_count")
    amount_untaxed = fields.Monetary(
        string="Amount",
        compute="_compute_amount_untaxed",
        store=True,
        precompute=True,
        help="Sum of the charges, before tax.",
    )
    explanation_html = fields.Html(
        string="How It Was Calculated",
        compute="_compute_explanation_html",
        sanitize=False,
        help="The calculation of every charge, step by step.",
    )
    can_approve = fields.Boolean(
        compute="_compute_can_approve", help="Whether you may approve: you are an approver and prepared nothing of it."
    )

    # Interim statements begin with their period, too, and end within it.
    _period_uniq = models.Constraint(
        "UNIQUE(subscription_id, period_start, period_end)", "A subscription has one statement for each period."
    )
    _period_order = models.Constraint("CHECK(period_end > period_start)", "A period ends after it starts.")

    # Everything but what a person may annotate: messages, activities, followers.
    _guarded_fields = frozenset(
        {
            "name",
            "subscription_id",
            "partner_id",
            "company_id",
            "currency_id",
            "tz",
            "period_start",
            "period_end",
            "date_from",
            "date_to",
            "state",
            "blocked_reason",
            "rated_date",
            "prepared_by_id",
            "submitted_by_id",
            "submitted_date",
            "approved_by_id",
            "approved_date",
            "approval_ids",
            "charge_ids",
            "amount_untaxed",
            "amount_projected",
            "move_id",
            "reconciled_date",
            "reconciliation_ids",
            "interim_of_id",
            "interim_ids",
        }
    )

    @api.model_create_multi
    def create(self, vals_list):
        """Number the statements."""
        for vals in vals_list:
            vals["name"] = self.env["ir.sequence"].next_by_code("usage.statement")
        return super().create(vals_list)

    # -- figures ----------------------------------------------------------------------------

    @api.depends("name", "partner_id")
    def _compute_display_name(self):
        for statement in self:
            statement.display_name = f"{statement.name} · {statement.partner_id.name}"

    @api.depends("date_from", "date_to")
    @api.depends_context("lang")
    def _compute_period_label(self):
        for statement in self:
            statement.period_label = statement._days_label(statement.date_from, statement.date_to)

    def _order_key(self):
        """Return what statements are sorted by in the order of time.

        One in memory has the number that it was made with for an id.
        """
        return self.period_start, self.period_end, self.id or self.id.ref

    def _days_label(self, first, last):
        """Return 'first – last' as dates in the reader's language."""
        return f"{format_date(self.env, first)} – {format_date(self.env, last)}"

    @api.depends("period_end")
    def _compute_period_ended(self):
        now = fields.Datetime.now()
        for statement in self:
            statement.period_ended = bool(statement.period_end) and statement.period_end <= now

    @api.depends("subscription_id")
    def _compute_plan_id(self):
        for statement in self:
            statement.plan_id = statement.subscription_id.plan_id

    @api.depends("charge_ids")
    def _compute_charge_count(self):
        for statement in self:
            statement.charge_count = len(statement.charge_ids)

    @api.depends("charge_ids.amount")
    def _compute_amount_untaxed(self):
        for statement in self:
            statement.amount_untaxed = sum(statement.charge_ids.mapped("amount"))

    @api.depends("charge_ids.result")
    @api.depends_context("lang")
    def _compute_explanation_html(self):
        title = Markup("<h4>{}</h4><p class='text-muted'>{}</p>")
        for statement in self:
            parts = [
                title.format(charge.price_id._subject(), charge.price_description) + charge.explanation_html
                for charge in statement.charge_ids
            ]
            statement.explanation_html = Markup().join(parts)

    @api.depends("approval_ids.user_id")
    @api.depends_context("uid")
    def _compute_can_approve(self):
        approver = self.env.user.has_group(APPROVER)
        for statement in self:
            statement.can_approve = approver and self.env.user not in statement._preparers()

    # -- who may ----------------------------------------------------------------------------

    def _preparers(self):
        """Return the users who ever rated or submitted this statement."""
        return self.approval_ids.filtered(lambda step: step.action in ("rated", "submitted")).user_id

    def _check_group(self, *groups):
        """Raise ``AccessError`` unless the user may write here and is in one of ``groups``.

        ``sudo`` lends rights but no identity: the user stays who they are.
        """
        self.check_access("write")
        if not any(self.env.user.has_group(group) for group in groups):
            names = ", ".join(self.env.ref(group).sudo().display_name for group in groups)  # sudo: a name to show
            raise AccessError(self.env._("This takes one of these roles: %s.", names))

    def _check_second_person(self):
        """Raise ``AccessError`` when the user prepared a statement: a second person must act."""
        for statement in self:
            if self.env.user in statement._preparers():
                raise AccessError(
                    self.env._("%s was prepared by you: someone else has to approve and post it.", statement.name)
                )

    def _check_state(self, *states):
        """Raise ``UserError`` unless every statement is in one of ``states``."""
        labels = dict(self._fields["state"]._description_selection(self.env))
        for statement in self:
            if statement.state not in states:
                raise UserError(
                    self.env._(
                        "%(statement)s is '%(state)s'; this takes one that is '%(needed)s'.",
                        statement=statement.name,
                        state=labels[statement.state],
                        needed="', '".join(labels[state] for state in states),
                    )
                )

    def _log(self, action, note=False):
        """Append a step, done now by the current user, to the approval log of each statement."""
        vals_list = [
            {
                "statement_id": statement.id,
                "company_id": statement.company_id.id,
                "action": action,
                "user_id": self.env.uid,
                "amount": statement.amount_untaxed,
                "note": note,
            }
            for statement in self
        ]
        unlocked(self.env["usage.statement.approval"]).create(vals_list)

    # -- approval ---------------------------------------------------------------------------

    def action_submit(self):
        """Submit rated statements for approval by a second person (billing preparers)."""
        self._check_group(PREPARER)
        self._check_state("rated")
        now = fields.Datetime.now()
        unlocked(self).write({"state": "to_approve", "submitted_by_id": self.env.uid, "submitted_date": now})
        self._log("submitted")

    def action_approve(self):
        """Approve submitted statements (billing approvers who prepared nothing of them)."""
        self._check_group(APPROVER)
        self._check_second_person()
        self._check_state("to_approve")
        now = fields.Datetime.now()
        unlocked(self).write({"state": "approved", "approved_by_id": self.env.uid, "approved_date": now})
        self._log("approved")

    def action_reject(self, reason):
        """Give submitted or approved statements back to their preparers (billing approvers).

        :param str reason: what is to be put right; it stands in the log
        """
        self._check_group(APPROVER)
        self._check_state("to_approve", "approved")
        if not (reason or "").strip():
            raise UserError(self.env._("Say why, so that the preparer knows what to put right."))
        unlocked(self).write({"state": "rated", **dict.fromkeys(self._approval_fields(), False)})
        self._log("rejected", reason)
        for statement in self:
            statement.message_post(body=self.env._("Rejected: %s", reason))

    def _approval_fields(self):
        return ("submitted_by_id", "submitted_date", "approved_by_id", "approved_date")

    def action_open_reject(self):
        """Open the dialog that asks for the reason of a rejection."""
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Reject"),
            "res_model": "usage.statement.reject",
            "view_mode": "form",
            "target": "new",
            "context": {"default_statement_ids": self.ids},
        }

    # -- smart buttons ----------------------------------------------------------------------

    def action_view_charges(self):
        """The charges of these statements."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_billing.action_usage_charge")
        return {**action, "domain": [("statement_id", "in", self.ids)], "context": {}}

    def action_view_usage(self):
        """The hours of usage in the period, of the accounts and meters that are billed."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_aggregate")
        domain = [
            ("account_id", "in", self.subscription_id.account_ids.ids),
            *self.subscription_id._usage_domain(),
            ("meter_id", "in", self.subscription_id.line_ids.meter_id.ids),
            ("hour", ">=", self.period_start.replace(minute=0)),
            ("hour", "<", self.period_end),
        ]
        return {**action, "name": self.env._("Usage by Hour: %s", self.name), "domain": domain, "context": {}}
