from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain

from odoo.addons.usage_billing.fields import Exact

# What was found, when and about whom: never changed after it was raised.
FACTS = {
    "rule_id",
    "partner_id",
    "subscription_id",
    "subscription_line_id",
    "meter_id",
    "company_id",
    "period_start",
    "period_end",
    "date",
    "value",
    "reference_value",
    "expected_revenue",
    "evidence",
    "summary",
}


class UsageSignal(models.Model):
    """One call for a person: what happened at which customer, with the evidence."""

    _name = "usage.signal"
    _description = "Usage Signal"
    _inherit = ["mail.thread"]
    _rec_name = "summary"
    _order = "date desc, id desc"
    _check_company_auto = True

    summary = fields.Char(required=True, readonly=True, help="What happened, in one line.")
    rule_id = fields.Many2one(
        "usage.signal.rule",
        required=True,
        readonly=True,
        index=True,
        check_company=True,
        ondelete="restrict",
        help="The rule that raised the signal.",
    )
    kind = fields.Selection(related="rule_id.kind", store=True, index=True)
    company_id = fields.Many2one("res.company", required=True, readonly=True, index=True)
    currency_id = fields.Many2one(related="company_id.currency_id")
    partner_id = fields.Many2one(
        "res.partner",
        string="Customer",
        required=True,
        readonly=True,
        index=True,
        check_company=True,
        ondelete="restrict",
        help="The company whose usage it is, with all its contacts and accounts.",
    )
    salesperson_id = fields.Many2one(related="partner_id.user_id", string="Salesperson", store=True)
    subscription_id = fields.Many2one(
        "usage.subscription",
        readonly=True,
        index="btree_not_null",
        check_company=True,
        ondelete="restrict",
    )
    subscription_line_id = fields.Many2one(
        "usage.subscription.line", readonly=True, index="btree_not_null", check_company=True, ondelete="restrict"
    )
    statement_id = fields.Many2one(
        "usage.statement",
        compute="_compute_statement_id",
        compute_sudo=True,  # salespeople see that there is one; opening it takes its own rights
        help="The statement of the billing period in which the signal was raised, once it was opened.",
    )
    meter_id = fields.Many2one(
        "usage.meter", readonly=True, index="btree_not_null", check_company=True, ondelete="restrict"
    )
    date = fields.Datetime(string="Raised On", required=True, readonly=True, help="When the signal was raised (UTC).")
    period_start = fields.Datetime(
        string="Usage From",
        required=True,
        readonly=True,
        help="Start of the usage that was looked at (UTC): of what the included quantity is for, or of the 7 days.",
    )
    period_end = fields.Datetime(
        string="Usage Until",
        required=True,
        readonly=True,
        help="End of that usage (UTC), not included.",
    )
    value = Exact(string="Used", readonly=True, help="Quantity used, in the unit of the meter.")
    reference_value = Exact(
        string="Compared With",
        readonly=True,
        help="The included quantity, or the weekly average of the weeks before.",
    )
    percentage = fields.Float(
        string="% of Reference",
        digits=(16, 1),
        compute="_compute_percentage",
        store=True,
        aggregator="avg",
        help="Used quantity in percent of what it is compared with.",
    )
    expected_revenue = fields.Monetary(
        readonly=True,
        help="What the customer would pay over the included quantity by the end of the period "
        "if usage goes on as it did, before tax, in the currency of your company.",
    )
    evidence = fields.Json(string="Figures", readonly=True, help="The figures behind the signal; decimals as text.")
    evidence_html = fields.Html(
        string="Evidence", compute="_compute_evidence_html", sanitize=False, help="The figures behind the signal."
    )
    state = fields.Selection(
        [("new", "New"), ("actioned", "Actioned"), ("dismissed", "Dismissed")],
        required=True,
        default="new",
        index=True,
        tracking=True,
        copy=False,
        help="New: nobody was told yet. Actioned: there is an opportunity or an activity. "
        "Dismissed: somebody decided that nothing is to be done.",
    )
    lead_id = fields.Many2one(
        "crm.lead",
        string="Opportunity",
        readonly=True,
        index="btree_not_null",
        check_company=True,
        ondelete="set null",
        copy=False,
    )
    activity_id = fields.Many2one(
        "mail.activity", readonly=True, index="btree_not_null", ondelete="set null", copy=False
    )
    activity_user_id = fields.Many2one(related="activity_id.user_id", string="Activity Of")
    activity_date_deadline = fields.Date(
        related="activity_id.date_deadline", string="Activity Due", help="By when the activity is due."
    )

    _fact_uniq = models.UniqueIndex(
        "(rule_id, company_id, partner_id, COALESCE(meter_id, 0), COALESCE(subscription_line_id, 0), period_start)",
        "This was signalled before.",
    )

    @api.depends("value", "reference_value")
    def _compute_percentage(self):
        for signal in self:
            reference = signal.reference_value
            signal.percentage = signal.value / reference * 100 if reference else 0.0

    @api.depends("subscription_id", "date")
    def _compute_statement_id(self):
        self.statement_id = False
        billed = self.filtered(lambda signal: signal.subscription_id and signal.date)
        if not billed:
            return
        # Of the period in which it was raised: what was looked at may have begun long before.
        dates = billed.mapped("date")
        domain = Domain("subscription_id", "in", billed.subscription_id.ids) & Domain("interim_of_id", "=", False)
        domain &= Domain("period_start", "<=", max(dates)) & Domain("period_end", ">", min(dates))
        statements = self.env["usage.statement"].search(domain).grouped("subscription_id")
        for signal in billed.filtered(lambda signal: signal.subscription_id in statements):
            signal.statement_id = statements[signal.subscription_id].filtered(
                lambda statement, at=signal.date: statement.period_start <= at < statement.period_end
            )

    @api.depends("evidence", "kind")
    @api.depends_context("lang", "tz")
    def _compute_evidence_html(self):
        for signal in self:
            handler = signal.rule_id._handler()
            signal.evidence_html = handler._render(signal.evidence) if signal.evidence else False

    def write(self, vals):
        """Refuse to change what was found: dismiss the signal instead."""
        if frozen := FACTS & vals.keys():
            names = ", ".join(self._fields[name]._description_string(self.env) for name in sorted(frozen))
            raise UserError(self.env._("A signal keeps what was found (%s). Dismiss it if it is not right.", names))
        return super().write(vals)

    # Telling facts apart

    @api.model
    def _fact_key(self, vals):
        """Return what tells the fact in ``vals`` from others of its rule and company."""
        names = ("partner_id", "meter_id", "subscription_line_id", "period_start")
        return tuple(vals.get(name) or False for name in names)

    @api.model
    def _known_facts(self, rule, facts):
        """Return the keys (see :meth:`_fact_key`) of those facts that were raised before."""
        domain = Domain("rule_id", "=", rule.id) & Domain("company_id", "=", self.env.company.id)
        domain &= Domain("period_start", "in", list({vals["period_start"] for vals in facts}))
        signals = self.search_fetch(domain, ["partner_id", "meter_id", "subscription_line_id", "period_start"])
        return {
            (signal.partner_id.id, signal.meter_id.id, signal.subscription_line_id.id, signal.period_start)
            for signal in signals
        }

    # What people do

    def action_create_opportunity(self):
        """Open an opportunity for each signal that has none, and show it."""
        self.check_access("write")
        # sudo: who works on signals need not be a salesperson to hand one over to sales
        self.sudo()._open_opportunity()
        return self.action_view_lead()

    def action_schedule_activity(self):
        """Schedule an activity on the customer for each signal that has none."""
        self.check_access("write")
        # sudo: who works on signals need not have the right to write on customers
        self.sudo()._schedule_activity()

    def action_dismiss(self):
        """Note that nothing is to be done about the signals."""
        self.write({"state": "dismissed"})

    def action_reopen(self):
        """Take a dismissal back."""
        for signal in self.filtered(lambda signal: signal.state == "dismissed"):
            signal.state = "actioned" if signal.lead_id or signal.activity_id else "new"

    def action_view_lead(self):
        """Open the opportunity of the signal."""
        return self._open_form(self.lead_id)

    def action_view_partner(self):
        """Open the customer of the signal."""
        return self._open_form(self.partner_id)

    def action_view_subscription(self):
        """Open the subscription of the signal."""
        return self._open_form(self.subscription_id)

    def action_view_statement(self):
        """Open the statement that bills the usage of the signal."""
        return self._open_form(self.statement_id)

    def action_view_usage(self):
        """Open the customer's usage of the meter in the time that was looked at."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_aggregate")
        domain = Domain("partner_id.commercial_partner_id", "=", self.partner_id.id)
        domain &= Domain("hour", ">=", self.period_start) & Domain("hour", "<", self.period_end)
        if self.meter_id:
            domain &= Domain("meter_id", "=", self.meter_id.id)
        return {**action, "domain": list(domain), "context": {}}

    def _open_form(self, record):
        """Return the action that shows one record, or a list when there are several."""
        action = {"type": "ir.actions.act_window", "res_model": record._name, "name": record._description}
        if len(record) == 1:
            return {**action, "view_mode": "form", "res_id": record.id}
        return {**action, "view_mode": "list,form", "domain": [("id", "in", record.ids)]}

    # What automation rules call

    def _open_opportunity(self):
        """Open an opportunity for each signal without one; called by an automation rule.

        When the same line was signalled before and that opportunity is still open, the
        signal is added to it: salespeople get one opportunity, not one a month.
        """
        for signal in self.filtered(lambda signal: not signal.lead_id):
            signal = signal.with_company(signal.company_id)
            lead = signal._ongoing_opportunity()
            if lead:
                lead.message_post(body=signal._note(), subtype_xmlid="mail.mt_note")
            else:
                lead = signal._create_opportunity()
            signal.write({"lead_id": lead.id, "state": "actioned"})

    def _schedule_activity(self):
        """Schedule an activity on the customer for each signal without one.

        Called by an automation rule. The customer's salesperson gets it, else the rule's
        responsible.
        """
        for signal in self.filtered(lambda signal: not signal.activity_id):
            signal = signal.with_company(signal.company_id)
            activity = signal.partner_id.activity_schedule(
                date_deadline=signal._activity_type()._get_date_deadline(),
                **signal._activity_values(),
            )
            if activity:
                signal.write({"activity_id": activity.id, "state": "actioned"})

    def _ongoing_opportunity(self):
        """Return the open opportunity about the same line and meter, if there is one."""
        domain = Domain("rule_id", "=", self.rule_id.id)
        domain &= Domain("partner_id", "=", self.partner_id.id)
        domain &= Domain("company_id", "=", self.company_id.id)
        domain &= Domain("meter_id", "=", self.meter_id.id)
        domain &= Domain("subscription_line_id", "=", self.subscription_line_id.id)
        domain &= Domain("lead_id.won_status", "=", "pending") & Domain("lead_id.active", "=", True)
        return self.search(domain, limit=1).lead_id

    def _create_opportunity(self):
        """Return a new opportunity that says where it comes from."""
        lead = self.env["crm.lead"].create(self._lead_values())
        lead.message_post_with_source(
            "mail.message_origin_link",
            render_values={"self": lead, "origin": self},
            subtype_xmlid="mail.mt_note",
        )
        return lead

    def _lead_values(self):
        """Return the values of the opportunity that the signal opens."""
        user = self.rule_id._responsible(self.partner_id)
        vals = {
            "type": "opportunity",
            "name": self.summary,
            "partner_id": self.partner_id.id,
            "company_id": self.company_id.id,
            "user_id": user.id,
            "expected_revenue": self.expected_revenue,
            "description": self.with_context(lang=user.lang or self.env.lang)._note(),
        }
        if self.rule_id.team_id:
            vals["team_id"] = self.rule_id.team_id.id
        return vals

    def _activity_type(self):
        """Return the type of the activities that signals schedule."""
        return self.env.ref("usage_crm_signals.mail_activity_type_usage_drop", raise_if_not_found=False) or (
            self.env.ref("mail.mail_activity_data_todo")
        )

    def _activity_values(self):
        """Return the values of the activity that the signal schedules."""
        user = self.rule_id._responsible(self.partner_id)
        return {
            "activity_type_id": self._activity_type().id,
            "summary": self.summary,
            "note": self.with_context(lang=user.lang or self.env.lang)._note(),
            "user_id": user.id,
        }

    def _note(self):
        """Return the evidence with links to signal and statement, as HTML (Markup)."""
        self.ensure_one()
        links = self._link(self, self.env._("Open the signal"))
        if self.statement_id:
            links += Markup(" · ") + self._link(self.statement_id, self.env._("Open the statement"))
        return self.rule_id._handler()._render(self.evidence) + Markup("<p>%s</p>") % links

    def _link(self, record, label):
        """Return a link to the form of a record (Markup)."""
        return Markup('<a href="/odoo/%s/%s">%s</a>') % (record._name, record.id, label)
