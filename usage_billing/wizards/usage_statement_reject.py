from odoo import fields, models


class UsageStatementReject(models.TransientModel):
    _name = "usage.statement.reject"
    _description = "Reject Statements"

    statement_ids = fields.Many2many("usage.statement", string="Statements", required=True, readonly=True)
    reason = fields.Text(required=True, help="What the preparer has to put right; it stands in the approval log.")

    def action_reject(self):
        """Give the statements back to their preparers with the reason."""
        self.statement_ids.action_reject(self.reason)
