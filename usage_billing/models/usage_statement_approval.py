from odoo import fields, models


class UsageStatementApproval(models.Model):
    """One step of a statement on its way to approval: appended, never changed."""

    _name = "usage.statement.approval"
    _description = "Approval Step"
    _inherit = ["usage.guarded.mixin"]
    _order = "id desc"
    _rec_name = "action"

    statement_id = fields.Many2one("usage.statement", required=True, readonly=True, index=True, ondelete="restrict")
    company_id = fields.Many2one("res.company", required=True, readonly=True, index=True)
    currency_id = fields.Many2one(related="statement_id.currency_id")
    action = fields.Selection(
        [
            ("rated", "Rated"),
            ("submitted", "Submitted"),
            ("approved", "Approved"),
            ("rejected", "Rejected"),
            ("posted", "Posted"),
        ],
        required=True,
        readonly=True,
        help="What was done. Whoever rated or submitted a statement can neither approve it nor post its invoice.",
    )
    user_id = fields.Many2one("res.users", string="By", required=True, readonly=True, ondelete="restrict")
    date = fields.Datetime(required=True, readonly=True, default=fields.Datetime.now, help="When it was done (UTC).")
    amount = fields.Monetary(readonly=True, help="What the statement amounted to at that moment, before tax.")
    note = fields.Text(readonly=True)
