"""Statements: events, hourly usage, charges, invoice lines and posted entries side by side."""

from datetime import timedelta

from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import split_every

from odoo.addons.usage_connector_base.aggregations import Window
from odoo.addons.usage_connector_base.guard import unlocked

from .usage_statement import APPROVER, PREPARER

CHARGED = ("rated", "to_approve", "approved", "invoiced", "posted")
CRON_BATCH = 50
WATCHED = timedelta(days=92)  # how long after its end a period is compared every day


class UsageStatement(models.Model):
    _inherit = "usage.statement"

    reconciliation_ids = fields.One2many("usage.reconciliation", "statement_id")
    reconciled_date = fields.Datetime(
        string="Compared On", readonly=True, help="When usage and money were last compared (UTC)."
    )
    is_different = fields.Boolean(
        string="Has Differences",
        compute="_compute_is_different",
        search="_search_is_different",
        help="Usage and money of this statement do not agree: see the reconciliation.",
    )

    @api.depends("reconciliation_ids.state")
    def _compute_is_different(self):
        for statement in self:
            statement.is_different = "different" in statement.reconciliation_ids.mapped("state")

    def _search_is_different(self, operator, value):
        if operator != "in":
            return NotImplemented
        different = Domain("reconciliation_ids.state", "=", "different")
        return Domain.OR(different if wanted else ~different for wanted in value)

    def action_reconcile(self):
        """Compare usage and money again, and show the comparison (preparers and approvers)."""
        self._check_group(PREPARER, APPROVER)
        self._reconcile()
        return self.action_view_reconciliation()

    def action_view_reconciliation(self):
        """The reconciliation of these statements."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_billing.action_usage_reconciliation")
        return {**action, "domain": [("statement_id", "in", self.ids)], "context": {}}

    def _reconcile(self):
        """Compare, for every charge of these statements, what was used, charged and posted.

        Statements that another transaction holds, the scheduled job's or a person's, are left to it.
        """
        statements = self.filtered(lambda statement: statement.state in CHARGED).try_lock_for_update()
        # sudo: derived figures that nobody may enter, taken from invoices that not every billing
        # user may read; who sees the result is decided by its own rules
        vals_list = statements.sudo()._reconciliation_vals()
        unlocked(statements.sudo().reconciliation_ids).unlink()
        unlocked(self.env["usage.reconciliation"].sudo()).create(vals_list)
        unlocked(statements.sudo()).write({"reconciled_date": fields.Datetime.now()})

    def _reconciliation_vals(self):
        """Return the values of one row for every charge."""
        spans = self.subscription_id._spans()
        charges = self.charge_ids
        windows = [
            Window.within(
                charge.meter_id,
                spans[charge.subscription_id] if charge.meter_id else (),
                charge.usage_start,
                charge.usage_end,
            )
            for charge in charges
        ]
        by_hour = self.env["usage.aggregate"]._quantities(windows)
        from_events = self._quantities_from_events(charges, windows, by_hour)
        amounts = charges._billed_amounts()
        return [
            charge._reconciliation_vals(*quantities, *amounts.get(charge, (0.0, 0.0)))
            for charge, *quantities in zip(charges, from_events, by_hour, strict=True)
        ]

    def _quantities_from_events(self, charges, windows, by_hour):
        """Return what the events say; the hourly usage speaks for those whose retention has ended."""
        aggregates = self.env["usage.aggregate"]
        gone_before = aggregates._replayable_from()
        quantities = aggregates._quantities_from_events(windows)
        return [
            hourly if gone_before and charge.usage_start < gone_before else quantity
            for charge, quantity, hourly in zip(charges, quantities, by_hour, strict=True)
        ]

    def _reconcile_later(self):
        """Have the scheduled job compare these statements again within moments."""
        if self:
            unlocked(self).write({"reconciled_date": False})
            # sudo: whoever posts an invoice need not administer scheduled jobs
            self.env.ref("usage_billing.cron_reconcile").sudo()._trigger()

    @api.model
    def _cron_reconcile(self):
        """Compare statements that changed, and once a day those of the last months."""
        now = fields.Datetime.now()
        stale = Domain("reconciled_date", "=", False)
        aged = Domain("reconciled_date", "<", now - timedelta(days=1)) & Domain("period_end", ">", now - WATCHED)
        due = self.search(Domain("state", "in", CHARGED) & (stale | aged), order="reconciled_date NULLS FIRST, id")
        cron = self.env["ir.cron"]
        cron._commit_progress(remaining=len(due))
        for ids in split_every(CRON_BATCH, due.ids):
            self.browse(ids)._reconcile()
            if not cron._commit_progress(len(ids)):
                break
