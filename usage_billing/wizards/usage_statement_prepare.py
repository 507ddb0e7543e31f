from datetime import timedelta

from odoo import fields, models

from ..models.usage_statement import PREPARER
from ..rating.periods import local_midnight


class UsageStatementPrepare(models.TransientModel):
    _name = "usage.statement.prepare"
    _description = "Prepare Statements"

    date = fields.Date(
        string="Periods Ended By",
        required=True,
        default=lambda self: fields.Date.context_today(self) - timedelta(days=1),
        help="Statements of periods whose last day is this day or earlier are rated. "
        "Periods that still run get live figures.",
    )
    company_id = fields.Many2one("res.company", required=True, default=lambda self: self.env.company)
    plan_ids = fields.Many2many(
        "usage.plan",
        string="Plans",
        domain="[('company_id', '=', company_id)]",
        help="Prepare statements of these plans alone; empty: of all.",
    )
    subscription_ids = fields.Many2many(
        "usage.subscription",
        string="Subscriptions",
        domain="[('company_id', '=', company_id), ('state', '!=', 'draft')]",
        help="Prepare statements of these subscriptions alone; empty: of all active ones.",
    )

    def action_prepare(self):
        """Rate the ended periods of the chosen subscriptions, and show the statements.

        One subscription that cannot be rated is blocked with its reason; the others go on.
        """
        self.ensure_one()
        self.env["usage.statement"]._check_group(PREPARER)
        statements = self.env["usage.statement"]
        for tz, subscriptions in self._subscriptions().grouped("tz").items():
            statements |= subscriptions._prepare_statements(local_midnight(self.date + timedelta(days=1), tz))
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_billing.action_usage_statement")
        return {**action, "domain": [("id", "in", statements.ids)], "context": {}}

    def _subscriptions(self):
        """Return the subscriptions to prepare."""
        if self.subscription_ids:
            return self.subscription_ids.filtered(lambda subscription: subscription.state != "draft")
        domain = [("company_id", "=", self.company_id.id), ("state", "=", "active")]
        if self.plan_ids:
            domain.append(("plan_id", "in", self.plan_ids.ids))
        return self.env["usage.subscription"].search(domain)
