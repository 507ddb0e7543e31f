import logging
from decimal import Decimal

from dateutil.relativedelta import relativedelta
from psycopg2 import OperationalError

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Command, Domain
from odoo.tools import SQL

from odoo.addons.usage_connector_base.guard import is_unlocked, unlocked

from .. import rating
from ..fields import Exact
from ..numbers import exact
from .usage_statement import APPROVER, PREPARER

_logger = logging.getLogger(__name__)

# Who made a grant available, and what is left of it: written by buttons and by the ledger alone.
FACTS = {"name", "state", "balance", "origin", "prepared_by_id", "approved_by_id", "approved_date", "move_id"}
FACTS |= {"previous_id", "renewed", "alerted_percent", "units"}
# What was approved, or paid for: stays once the credit can be used.
TERMS = {"partner_id", "company_id", "currency_id", "amount", "effective_at", "expires_at", "priority", "product_id"}
TERMS |= {"recurrence", "rollover", "kind", "meter_id", "quantity", "rollover_quantity"}
INTERVALS = {
    "day": relativedelta(days=1),
    "week": relativedelta(weeks=1),
    "month": relativedelta(months=1),
    "quarter": relativedelta(months=3),
    "year": relativedelta(years=1),
}


class UsageCreditGrant(models.Model):
    """Credit of a customer that pays for usage until it is used up, expires or is taken back.

    ``balance`` is the sum of the entries; the database refuses one below zero. Usage burns grants
    in the order priority → expiry → age, see :mod:`..rating.credits`.
    """

    _name = "usage.credit.grant"
    _description = "Prepaid Credit"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _order = "priority, expires_at NULLS LAST, effective_at, id"
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
        help="Whose usage the credit pays: that of all subscriptions of this company and its contacts.",
    )
    commercial_partner_id = fields.Many2one(
        related="partner_id.commercial_partner_id", string="Company of the Customer", store=True, index=True
    )
    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    currency_id = fields.Many2one(
        "res.currency",
        required=True,
        default=lambda self: self.env.company.currency_id,
        help="The credit pays statements in this currency.",
    )
    origin = fields.Selection(
        [("given", "Given"), ("bought", "Bought"), ("renewed", "Renewed")],
        required=True,
        readonly=True,
        default="given",
        help="Given: free of charge, approved by a second person. Bought: by an invoice. "
        "Renewed: follows a recurring one.",
    )
    product_id = fields.Many2one(
        "product.product",
        required=True,
        check_company=True,
        domain="[('type', '=', 'service')]",
        help="Names the credit on invoices. Its income account is the liability for prepaid usage (or, for credit "
        "that is given, the account of discounts); its taxes apply when credit is bought and, negative, when used.",
    )
    kind = fields.Selection(
        [("money", "Money"), ("units", "Units of a Meter")],
        string="Credit In",
        required=True,
        default="money",
        help="Money pays charges on the invoice. Units cover usage of a meter before its price is applied.",
    )
    meter_id = fields.Many2one(
        "usage.meter",
        check_company=True,
        index="btree_not_null",
        ondelete="restrict",
        tracking=True,
        help="Whose units the credit covers.",
    )
    unit_name = fields.Char(related="meter_id.unit_name", string="Unit")
    quantity = Exact(
        string="Units Granted", tracking=True, help="How many units are covered in all, as the price counts them."
    )
    units = Exact(
        string="Units Left",
        readonly=True,
        copy=False,
        help="Units that are left: granted, less what statements used, expired or was taken back.",
    )
    live_units = Exact(
        compute="_compute_live_units",
        help="Units that will be left once the usage so far that is not billed yet is covered.",
    )
    amount = fields.Monetary(
        required=True,
        tracking=True,
        help="Before tax: what credit in money pays in all; of units, what they are sold for.",
    )
    balance = fields.Monetary(
        readonly=True, copy=False, help="What is left: granted, less what invoices used, expired or was taken back."
    )
    live_balance = fields.Monetary(
        compute="_compute_live_balance",
        help="What will be left once the usage so far that is not invoiced yet is paid.",
    )
    effective_at = fields.Datetime(
        string="Valid From",
        required=True,
        default=fields.Datetime.now,
        tracking=True,
        help="First instant at which the credit pays usage (UTC).",
    )
    expires_at = fields.Datetime(
        tracking=True, help="Usage from this instant on is not paid (UTC). Empty: the credit never expires."
    )
    priority = fields.Integer(
        default=10, required=True, help="Lower numbers are used first; among equals, what expires sooner."
    )
    recurrence = fields.Selection(
        [("day", "Daily"), ("week", "Weekly"), ("month", "Monthly"), ("quarter", "Quarterly"), ("year", "Yearly")],
        help="Granted again after this time, when the present one ends. Empty: granted once.",
    )
    rollover = fields.Monetary(help="At most so much of what is left goes over into the next one; the rest expires.")
    rollover_quantity = Exact(
        string="Units Rolled Over",
        help="At most so many units of what is left go over into the next one; the rest expires.",
    )
    available_when = fields.Selection(
        [("paid", "The invoice is paid"), ("posted", "The invoice is posted")],
        required=True,
        default="paid",
        help="When credit that is bought can be used.",
    )
    state = fields.Selection(
        [("draft", "Draft"), ("active", "Active"), ("expired", "Expired"), ("void", "Taken Back")],
        required=True,
        readonly=True,
        default="draft",
        copy=False,
        tracking=True,
        index=True,
        help="Draft: cannot be used yet. Active: pays usage from its start until it is used up. "
        "Expired: what was left is gone. Taken back: what was left was refunded or withdrawn.",
    )
    prepared_by_id = fields.Many2one("res.users", readonly=True, copy=False, help="Who set up the credit.")
    approved_by_id = fields.Many2one("res.users", readonly=True, copy=False, tracking=True)
    approved_date = fields.Datetime(
        string="Approved On", readonly=True, copy=False, help="When the credit was approved (UTC)."
    )
    move_id = fields.Many2one(
        "account.move",
        string="Invoice",
        readonly=True,
        copy=False,
        index="btree_not_null",
        ondelete="restrict",
        help="The invoice by which the credit is bought.",
    )
    previous_id = fields.Many2one(
        "usage.credit.grant", string="Renews", readonly=True, copy=False, index="btree_not_null", ondelete="restrict"
    )
    renewed = fields.Boolean(readonly=True, copy=False, help="The next one of a recurring credit was granted.")
    alerted_percent = fields.Integer(readonly=True, copy=False, help="The highest share used that was told of.")
    entry_ids = fields.One2many("usage.credit.entry", "grant_id", string="Ledger")
    note = fields.Text(string="Reason")

    _amount_positive = models.Constraint(
        "CHECK(amount > 0 OR kind = 'units' AND amount = 0)",
        "Amount: a credit pays something. Enter an amount above zero.",
    )
    _units_positive = models.Constraint(
        "CHECK(kind = 'money' OR meter_id IS NOT NULL AND quantity > 0)",
        "Meter, Units Granted: credit in units covers those of a meter. Choose the meter, and enter how many, above "
        "zero.",
    )
    _never_below_zero = models.Constraint(
        "CHECK(balance >= 0 AND (units IS NULL OR units >= 0))", "A credit cannot pay more than is left of it."
    )
    _ends_after_start = models.Constraint(
        "CHECK(expires_at IS NULL OR expires_at > effective_at)",
        "Expires At: a credit cannot expire before it is valid. Choose a later day, or empty it.",
    )
    _rollover = models.Constraint(
        "CHECK(rollover >= 0 AND (rollover_quantity IS NULL OR rollover_quantity >= 0))",
        "Rollover: what goes over into the next one cannot be negative. Enter zero or more.",
    )
    _customer = models.Index("(commercial_partner_id, company_id, currency_id) WHERE state = 'active'")

    @api.constrains("recurrence", "rollover", "rollover_quantity")
    def _check_recurrence(self):
        for grant in self:
            if (grant.rollover or grant.rollover_quantity) and not grant.recurrence:
                raise ValidationError(
                    self.env._(
                        "Rollover: %s is granted once, so that nothing rolls over. Choose how often, or empty it.",
                        grant.name,
                    )
                )

    @api.depends("partner_id", "balance", "state", "entry_ids.amount")
    def _compute_live_balance(self):
        live = self._live_balances()
        for grant in self:
            grant.live_balance = live.get(grant._origin, grant.balance)

    @api.depends("partner_id", "units", "state", "entry_ids.units")
    def _compute_live_units(self):
        live = self._live_units()
        for grant in self:
            grant.live_units = float(live.get(grant._origin, 0))

    # -- setting up -------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        """Number the grants; they start as drafts without balance, whoever creates them."""
        if not is_unlocked(self.env):
            # Said one by one, because a default may come with the context, too.
            facts = {**dict.fromkeys(FACTS, False), "state": "draft", "origin": "given", "balance": 0}
            facts["prepared_by_id"] = self.env.uid
            vals_list = [{**vals, **facts} for vals in vals_list]
        for vals in vals_list:
            vals["name"] = self.env["ir.sequence"].next_by_code("usage.credit.grant")
        return super().create(vals_list)

    def write(self, vals):
        """Refuse facts outside the buttons, and other terms once the credit can be used."""
        if not is_unlocked(self.env):
            if FACTS & vals.keys():
                raise AccessError(self.env._("State and balance of a credit follow from its buttons and its ledger."))
            if TERMS & vals.keys() and any(grant.state != "draft" or grant.move_id for grant in self):
                raise UserError(
                    self.env._("What was granted or sold stays as it is: take the credit back and grant another one.")
                )
            if TERMS & vals.keys():
                # Whoever changes what there is to approve cannot approve it.
                unlocked(self).write({"prepared_by_id": self.env.uid})
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_only_draft(self):
        for grant in self:
            if grant.state != "draft" or grant.move_id:
                raise UserError(self.env._("%s was granted or sold: take it back instead of deleting it.", grant.name))

    def _check_group(self, group):
        self.check_access("write")
        if not self.env.user.has_group(group):
            name = self.env.ref(group).sudo().display_name  # sudo: a name to show
            raise AccessError(self.env._("This takes the role: %s.", name))

    def _check_draft(self):
        for grant in self:
            if grant.state != "draft" or grant.move_id:
                raise UserError(self.env._("%s was granted or sold already.", grant.name))

    # -- becoming available -----------------------------------------------------------------

    def action_approve(self):
        """Grant the credit for free (billing approvers who did not set it up)."""
        self._check_group(APPROVER)
        self._check_draft()
        for grant in self:
            if grant.prepared_by_id == self.env.user:
                raise AccessError(self.env._("%s was set up by you: someone else has to approve it.", grant.name))
        unlocked(self).write({"approved_by_id": self.env.uid, "approved_date": fields.Datetime.now()})
        self._activate()

    def action_sell(self):
        """Make the draft invoice by which the customer buys the credit (billing preparers).

        :return: action that shows the invoices
        """
        self._check_group(PREPARER)
        self._check_draft()
        # sudo: a preparer need not be an accountant; the invoice is a draft that accountants post
        self.sudo()._sell()
        return self.action_view_invoice()

    def _sell(self):
        """Make the draft invoices by which the credit is bought."""
        for grant in self:
            moves = self.env["account.move"].with_company(grant.company_id)
            unlocked(grant).write({"move_id": moves.create(grant._invoice_vals()).id, "origin": "bought"})

    def _invoice_vals(self):
        partner = self.partner_id
        return {
            "move_type": "out_invoice",
            "partner_id": partner.address_get(["invoice"])["invoice"],
            "currency_id": self.currency_id.id,
            "company_id": self.company_id.id,
            "invoice_origin": self.name,
            "invoice_line_ids": [
                Command.create(
                    {
                        "product_id": self.product_id.id,
                        "name": f"{self.product_id.name} {self.name}",
                        "quantity": 1,
                        "price_unit": self.amount,
                    }
                )
            ],
        }

    def _follow_invoice(self):
        """Make credit available whose invoice is posted or paid, and forget invoices that are gone."""
        for grant in self:
            move = grant.move_id
            if move.state == "cancel":
                grant._forget_invoice()
            elif move.state == "posted" and (grant.available_when == "posted" or grant._is_paid()):
                grant._activate()

    def _is_paid(self):
        return self.move_id.payment_state in ("paid", "in_payment")

    def _forget_invoice(self):
        drafts = self.filtered(lambda grant: grant.state == "draft")
        unlocked(drafts).write({"move_id": False, "origin": "given"})

    def _activate(self):
        for grant in self.filtered(lambda grant: grant.state == "draft"):
            unlocked(grant).write({"state": "active"})
            if grant.kind == "units":
                grant._enter("granted", 0, exact(grant.quantity))
            else:
                grant._enter("granted", grant.amount)

    # -- the ledger -------------------------------------------------------------------------

    def _enter(self, kind, amount, units=Decimal(0), **values):
        """Append an entry and change what is left by it; the database refuses less than nothing.

        Two transactions that change one balance at the same moment: the second fails to
        serialize, and Odoo runs it again on the new balance.

        :param str kind: one of the kinds of ``usage.credit.entry``
        :param float amount: in the grant's currency, negative when credit goes
        :param Decimal units: the same of credit in units
        :return: the entry
        """
        self.ensure_one()
        if self.kind == "units":
            values.update(units=units, units_left=self._change_units(units))
        balance = self.currency_id.round(self.balance + amount)
        unlocked(self).write({"balance": balance})
        self.flush_recordset(["balance"])
        return unlocked(self.env["usage.credit.entry"]).create(
            [{"grant_id": self.id, "kind": kind, "amount": amount, "balance": balance, **values}]
        )

    def _change_units(self, units):
        """Change the units that are left, exactly, and return them; the database refuses less than none."""
        self.flush_recordset()
        [[left]] = self.env.execute_query(
            SQL(
                "UPDATE usage_credit_grant SET units = coalesce(units, 0) + %s WHERE id = %s RETURNING units::text",
                units,
                self.id,
            )
        )
        self.invalidate_recordset(["units"])
        return Decimal(left)

    def _usable(self):
        """Return those of the grants that pay for what is used now."""
        now = fields.Datetime.now()
        return self.filtered(
            lambda grant: grant.effective_at <= now and (not grant.expires_at or now < grant.expires_at)
        )

    def _units_left(self):
        """Return {grant id: Decimal} of the units that are left, exactly."""
        self.flush_model(["units"])
        query = SQL("SELECT id, coalesce(units, 0)::text FROM usage_credit_grant WHERE id = ANY(%s)", self.ids)
        return {key: Decimal(left) for key, left in self.env.execute_query(query)}

    def _as_core(self, left=None):
        """The grant as the rating core burns it: what is left, from when to when."""
        left = exact(self.balance) if left is None else left
        return rating.Grant(self.id, left, self.effective_at, self.expires_at or None, priority=self.priority)

    @api.model
    def _of_customer(self, partner, company, currency):
        """Active grants with something left of a customer's company, in the order in which they are used."""
        return self.search(
            [
                ("commercial_partner_id", "=", partner.commercial_partner_id.id),
                ("company_id", "=", company.id),
                ("currency_id", "=", currency.id),
                ("state", "=", "active"),
                ("kind", "=", "money"),
                ("balance", ">", 0),
            ]
        )

    def _live_balances(self):
        """Return {grant: what is left once the usage that no invoice bills yet is paid}."""
        live = {}
        customers = {(grant.commercial_partner_id, grant.company_id, grant.currency_id) for grant in self._origin}
        for customer in customers:
            live.update(self._live_balances_of(*customer))
        return live

    @api.model
    def _live_balances_of(self, partner, company, currency):
        """Return {grant: live balance} of one customer's grants in the order of their use."""
        grants = self._of_customer(partner, company, currency)
        if not grants:
            return {}
        shares = self.env["usage.statement"]._unbilled(partner, company, currency)._credit_shares(grants).values()
        return {
            grant: float(exact(grant.balance) - sum((share.get(grant, Decimal(0)) for share in shares), Decimal(0)))
            for grant in grants
        }

    def _live_units(self):
        """Return {grant: Decimal} of the units left once usage that is not billed yet is covered."""
        grants = self._origin.filtered(lambda grant: grant.kind == "units")
        live = {}
        for partner, company in {(grant.commercial_partner_id, grant.company_id) for grant in grants}:
            pool = self.env["usage.statement"]._unbilled(partner, company)._live_pool()
            live.update(pool.left)
        left = grants._units_left()
        return {grant: live.get(grant.id, left[grant.id]) for grant in grants}

    # -- taking back ------------------------------------------------------------------------

    def action_void(self):
        """Withdraw what is left of credit that was given (billing approvers)."""
        self._check_group(APPROVER)
        for grant in self:
            if grant.origin == "bought":
                raise UserError(self.env._("%s was bought: refund what is left instead.", grant.name))
            grant._take_back("voided")

    def action_refund(self):
        """Give back what is left of credit that was bought: a draft credit note (billing approvers).

        :return: action that shows the credit note
        """
        self._check_group(APPROVER)
        self.ensure_one()
        if self.origin != "bought" or self.move_id.state != "posted":
            raise UserError(self.env._("%s was not bought: take it back instead.", self.name))
        entry = self._take_back("refunded")
        vals = self._invoice_vals()
        [[_create, _id, line]] = vals["invoice_line_ids"]
        line.update(price_unit=self._worth(entry), usage_credit_entry_id=entry.id)
        # sudo: an approver of billing need not be an accountant; the credit note is a draft
        refund = unlocked(self.env["account.move"].sudo().with_company(self.company_id)).create(
            {**vals, "move_type": "out_refund", "reversed_entry_id": self.move_id.id}
        )
        return self._action_of_moves(refund)

    def _worth(self, entry):
        """Return what is given back for an entry: of units, their part of what all were sold for."""
        if self.kind == "money":
            return -entry.amount
        return self.currency_id.round(self.amount * -entry.units / self.quantity)

    def _take_back(self, kind):
        self.ensure_one()
        units = self._units_left()[self.id]
        if self.state != "active" or not (self.balance or units):
            raise UserError(self.env._("Nothing is left of %s that could be taken back.", self.name))
        entry = self._enter(kind, -self.balance, -units)
        unlocked(self).write({"state": "void"})
        return entry

    # -- time passes ------------------------------------------------------------------------

    @api.model
    def _cron_credits(self):
        """Renew recurring credit, end what has expired, tell of what runs out, and top up."""
        now = fields.Datetime.now()
        active = Domain("state", "=", "active")
        due = Domain("recurrence", "!=", False) & Domain("renewed", "=", False)
        ending = Domain("expires_at", "<=", now)
        watched = Domain("effective_at", "<=", now) & Domain("alerted_percent", "<", 100)
        grants = self.search(active & (due | ending | watched))
        rules = self.env["usage.credit.topup"].search([("state", "=", "active")])
        cron = self.env["ir.cron"]
        steps = [*grants, *rules]
        cron._commit_progress(remaining=len(steps))
        for record in steps:
            self._try_step(record, now)
            if not cron._commit_progress(1):
                break

    def _try_step(self, record, now):
        """Take the step of one record; what goes wrong becomes an activity on it, and the rest goes on."""
        try:
            with self.env.cr.savepoint():
                record._cron_step(now)
        except OperationalError:
            # Changed by someone at the same moment: the next run takes this step.
            _logger.info("%s is left to the next run: someone changed it meanwhile", record, exc_info=True)
            self.env.cr.rollback()
        except Exception as error:
            if not isinstance(error, (UserError, AccessError)):
                _logger.exception("The scheduled step of %s failed", record)
            self.env.invalidate_all()
            self._tell_failure(record, str(error))

    def _tell_failure(self, record, reason):
        """Give the responsible person what went wrong in the scheduled job, once while it is open."""
        summary = self.env._("The scheduled job failed for %s", record.display_name)
        if summary not in record.activity_ids.mapped("summary"):
            record.activity_schedule(
                "mail.mail_activity_data_warning", summary=summary, note=reason, user_id=record._responsible().id
            )

    def _cron_step(self, now):
        """What time does to one grant."""
        if self.recurrence and not self.renewed:
            self._renew(now)
        if self.expires_at and self.expires_at <= now:
            self._expire(now)
        elif self.state == "active":
            self._alert()

    def _renew(self, now):
        """Grant a recurring credit again for every interval that has begun."""
        grant = self
        while grant and (begins := grant._next_start()) <= now:
            grant = grant._grant_next(begins)

    def _next_start(self):
        return self.effective_at + INTERVALS[self.recurrence]

    def _grant_next(self, begins):
        """Grant the next of a recurring credit; the present one ends as it begins.

        What was given is given again, as approved; what was bought is sold again, by a draft invoice.
        """
        is_sold = self.origin == "bought"
        following = unlocked(self).copy(
            {
                "origin": "renewed",
                "previous_id": self.id,
                "effective_at": begins,
                "expires_at": begins + INTERVALS[self.recurrence],
                "state": "draft",
                "prepared_by_id": self.prepared_by_id.id,
                "approved_by_id": self.approved_by_id.id,
                "approved_date": self.approved_date,
            }
        )
        if is_sold:
            following.with_env(self.env)._sell()
        else:
            following._activate()
        ends = min(filter(None, (self.expires_at, begins)))
        unlocked(self).write({"renewed": True, "expires_at": ends})
        return following.with_env(self.env)

    def _expire(self, now):
        """End a grant once every statement that it might pay is invoiced; some may roll over."""
        currency = self.currency_id if self.kind == "money" else None
        statements = self.env["usage.statement"]._unbilled(self.partner_id, self.company_id, currency)
        if any(statement.period_start < self.expires_at for statement in statements):
            return
        following = self.search([("previous_id", "=", self.id)], limit=1)
        if following.state == "active":
            self._roll_over(following)
        units = self._units_left()[self.id]
        if self.balance or units:
            self._enter("expired", -self.balance, -units)
        unlocked(self).write({"state": "expired"})

    def _roll_over(self, following):
        """Move what may go over of what is left into the next of a recurring credit."""
        amount = min(self.rollover, self.balance)
        units = min(exact(self.rollover_quantity), self._units_left()[self.id])
        if amount or units:
            self._enter("rolled_over", -amount, -units)
            following._enter("rolled_over", amount, units)

    def _used_percent(self):
        """Return the share of the credit that is used, live usage included, from 0 to 100."""
        if self.kind == "units":
            return 100 * (1 - self.live_units / self.quantity)
        return 100 * (1 - self.live_balance / self.amount)

    def _alert(self):
        """Tell the responsible person, once each, that a share of the credit is used."""
        used = self._used_percent()
        reached = max((p for p in self.company_id._usage_credit_percentages() if p <= used), default=0)
        told = self.alerted_percent
        if max(reached, 100 if used >= 100 else 0) > told:
            # At 100 there is nothing left to watch, whatever the percentages are.
            unlocked(self).write({"alerted_percent": 100 if used >= 100 else reached})
        if reached <= told:
            return
        self.activity_schedule(
            "mail.mail_activity_data_todo",
            summary=self.env._("%(percent)s %% of %(credit)s are used", percent=reached, credit=self.name),
            user_id=self._responsible().id,
        )

    def _responsible(self):
        subscription = self.env["usage.subscription"].search(
            [("commercial_partner_id", "=", self.commercial_partner_id.id), ("state", "=", "active")], limit=1
        )
        return subscription.user_id or self.prepared_by_id

    # -- smart buttons ----------------------------------------------------------------------

    def action_view_invoice(self):
        """The invoices by which these credits are bought."""
        return self._action_of_moves(self.move_id)

    def action_view_uses(self):
        """The statements that these credits paid."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_billing.action_usage_statement")
        return {**action, "domain": [("id", "in", self.entry_ids.statement_id.ids)], "context": {}}

    def _action_of_moves(self, moves):
        action = {
            "type": "ir.actions.act_window",
            "name": self.env._("Invoices"),
            "res_model": "account.move",
            "view_mode": "list,form",
            "domain": [("id", "in", moves.ids)],
        }
        if len(moves) == 1:
            action.update(view_mode="form", res_id=moves.id)
        return action
