from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.exceptions import AccessError

from odoo.addons.usage_connector_base.guard import is_unlocked, unlocked

from .usage_statement import APPROVER

FACTS = {"state", "prepared_by_id", "approved_by_id"}
# What is approved: a change of it is approved again.
TERMS = {"partner_id", "company_id", "currency_id", "threshold", "amount", "product_id", "available_when"}
TERMS |= {"months_valid"}


class UsageCreditTopup(models.Model):
    """Sells a customer more credit whenever what is left falls below a threshold."""

    _name = "usage.credit.topup"
    _description = "Automatic Top-Up"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _order = "partner_id, id"
    _check_company_auto = True

    partner_id = fields.Many2one(
        "res.partner",
        string="Customer",
        required=True,
        index=True,
        tracking=True,
        check_company=True,
        ondelete="restrict",
        help="Whose credit is kept above the threshold.",
    )
    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    currency_id = fields.Many2one(
        "res.currency",
        required=True,
        default=lambda self: self.env.company.currency_id,
        help="Currency of the credit that is watched and sold.",
    )
    threshold = fields.Monetary(
        required=True, tracking=True, help="More is sold when less than this is left, live usage included."
    )
    amount = fields.Monetary(required=True, tracking=True, help="How much credit is sold each time, before tax.")
    product_id = fields.Many2one(
        "product.product",
        required=True,
        check_company=True,
        domain="[('type', '=', 'service')]",
        help="Names the credit on the invoice; its income account is the liability for prepaid usage.",
    )
    months_valid = fields.Integer(default=12, help="Months until the credit expires; 0: it never does.")
    available_when = fields.Selection(
        [("paid", "The invoice is paid"), ("posted", "The invoice is posted")],
        required=True,
        default="posted",
        help="When the credit that is sold can be used.",
    )
    state = fields.Selection(
        [("draft", "Awaiting Approval"), ("active", "Active"), ("stopped", "Stopped")],
        required=True,
        readonly=True,
        default="draft",
        copy=False,
        tracking=True,
        help="Sells credit while it is active: approved by a second person, because its invoices are posted without "
        "another look.",
    )
    prepared_by_id = fields.Many2one("res.users", readonly=True, copy=False, help="Who set up the rule.")
    approved_by_id = fields.Many2one("res.users", readonly=True, copy=False, tracking=True)

    _amount = models.Constraint("CHECK(amount > 0)", "Amount: a top-up sells something. Enter an amount above zero.")
    _threshold = models.Constraint(
        "CHECK(threshold >= 0)", "Threshold: a balance is never below zero. Enter an amount of zero or more."
    )
    _months_valid = models.Constraint(
        "CHECK(months_valid >= 0)", "Months Valid: enter zero or more months; 0 for credit that never expires."
    )

    @api.depends("partner_id", "currency_id")
    def _compute_display_name(self):
        for rule in self:
            partner = rule.partner_id
            rule.display_name = self.env._("Top-up of %s", partner.display_name) if partner else self.env._("New")

    @api.model_create_multi
    def create(self, vals_list):
        """Rules wait for approval, whoever makes them."""
        # Said one by one, because a default may come with the context, too.
        facts = {"state": "draft", "prepared_by_id": self.env.uid, "approved_by_id": False}
        return super().create([{**vals, **facts} for vals in vals_list])

    def write(self, vals):
        """Have a changed rule approved again."""
        if is_unlocked(self.env):
            return super().write(vals)
        if FACTS & vals.keys():
            raise AccessError(self.env._("Use the buttons to approve or stop a top-up."))
        res = super().write(vals)
        if TERMS & vals.keys():
            unlocked(self).write({"state": "draft", "prepared_by_id": self.env.uid, "approved_by_id": False})
        return res

    def action_approve(self):
        """Let the rules sell credit (billing approvers who did not set them up)."""
        self.env["usage.credit.grant"]._check_group(APPROVER)
        for rule in self:
            if rule.prepared_by_id == self.env.user:
                raise AccessError(
                    self.env._("%s was set up by you: someone else has to approve it.", rule.display_name)
                )
        unlocked(self).write({"state": "active", "approved_by_id": self.env.uid})

    def action_stop(self):
        """Sell nothing any more until it is approved again."""
        self.check_access("write")
        unlocked(self).write({"state": "stopped"})

    def _cron_step(self, now):
        """Sell credit when too little is left and none is on its way."""
        if self._is_pending() or self._left() >= self.threshold:
            return
        grant = self.env["usage.credit.grant"].create(self._grant_vals(now))
        grant._sell()
        grant.move_id.action_post()

    def _responsible(self):
        return self.approved_by_id

    def _is_pending(self):
        """Whether credit was sold that is not available yet."""
        return bool(
            self.env["usage.credit.grant"].search_count(
                [*self._customer_domain(), ("state", "=", "draft"), ("origin", "=", "bought")], limit=1
            )
        )

    def _left(self):
        """What is left of the customer's credit once usage so far is paid."""
        credits = self.env["usage.credit.grant"]
        live = credits._live_balances_of(self.partner_id, self.company_id, self.currency_id)
        return self.currency_id.round(sum(live[grant] for grant in credits.concat(*live)._usable()))

    def _customer_domain(self):
        return [
            ("commercial_partner_id", "=", self.partner_id.commercial_partner_id.id),
            ("company_id", "=", self.company_id.id),
            ("currency_id", "=", self.currency_id.id),
        ]

    def _grant_vals(self, now):
        return {
            "partner_id": self.partner_id.id,
            "company_id": self.company_id.id,
            "currency_id": self.currency_id.id,
            "product_id": self.product_id.id,
            "amount": self.amount,
            "effective_at": now,
            "expires_at": now + relativedelta(months=self.months_valid) if self.months_valid else False,
            "available_when": self.available_when,
            "note": self.env._("Sold by an automatic top-up: less than %s was left.", self.threshold),
        }
