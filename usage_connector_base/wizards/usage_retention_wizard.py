from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tools import SQL

COUNTED_BYTES = 64 * 1024 * 1024  # of a month, up to which its events are counted rather than estimated


class UsageRetentionWizard(models.TransientModel):
    """What the end of the retention would delete now, before anything is."""

    _name = "usage.retention.wizard"
    _description = "End of Retention"

    line_ids = fields.One2many("usage.retention.wizard.line", "wizard_id", readonly=True)
    is_due = fields.Boolean(compute="_compute_is_due", help="Whether any month of events may go now.")

    @api.depends("line_ids.state")
    def _compute_is_due(self):
        for wizard in self:
            wizard.is_due = "due" in wizard.line_ids.mapped("state")

    @api.model
    def default_get(self, fields):
        defaults = super().default_get(fields)
        if "line_ids" in fields:
            self._check_administrator()
            defaults["line_ids"] = [Command.create(vals) for vals in self._lines()]
        return defaults

    def _lines(self):
        """Values of one line for each stored month."""
        retention = self.env["usage.retention"]
        due = set(retention._due_months())
        for month in retention._months():
            reasons = retention._retention_blockers(month) if month in due else []
            state = ("blocked" if reasons else "due") if month in due else "kept"
            yield {
                "month": month.start.date(),
                "row_count": self._estimate(month),
                "byte_count": self._size(month),
                "state": state,
                "reason": "\n".join(reasons),
            }

    def _estimate(self, month):
        if self._size(month) < COUNTED_BYTES:
            query = SQL("SELECT count(*) FROM %s", SQL.identifier(month.table))
        else:
            query = SQL("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = %s::regclass", month.table)
        return self.env.execute_query(query)[0][0]

    def _size(self, month):
        [[size]] = self.env.execute_query(SQL("SELECT pg_total_relation_size(%s::regclass)", month.table))
        return size

    def _check_administrator(self):
        if not self.env.user.has_group("usage_connector_base.group_usage_admin"):
            raise UserError(self.env._("Only a Usage Administrator may do this."))

    def action_run(self):
        """Delete what is due, and show the log of it."""
        self._check_administrator()
        self.env["usage.retention"]._run()
        return self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_retention_run")


class UsageRetentionWizardLine(models.TransientModel):
    _name = "usage.retention.wizard.line"
    _description = "Month at the End of Retention"
    _order = "month"

    wizard_id = fields.Many2one("usage.retention.wizard", required=True, ondelete="cascade")
    month = fields.Date(readonly=True, help="Month in which the events were received.")
    row_count = fields.Integer(
        string="Events (about)", readonly=True, help="Of a large month as PostgreSQL estimates it."
    )
    byte_count = fields.Float(string="Bytes", digits=(20, 0), readonly=True, help="Space on disk, with indexes.")
    state = fields.Selection(
        [("kept", "Kept"), ("due", "Would Be Deleted"), ("blocked", "Still Needed")],
        string="What Happens",
        readonly=True,
        help="Kept: not old enough. Still needed: old enough, but for the reason given.",
    )
    reason = fields.Text(readonly=True)
