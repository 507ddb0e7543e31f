from odoo import api, fields, models


class UsageAccountMerge(models.TransientModel):
    _name = "usage.account.merge"
    _description = "Merge Usage Accounts into Another"

    account_ids = fields.Many2many("usage.account", string="Accounts", required=True)
    source_id = fields.Many2one(related="account_ids.source_id")
    target_id = fields.Many2one(
        "usage.account",
        string="Merge Into",
        required=True,
        domain="[('source_id', '=', source_id), ('id', 'not in', account_ids), ('merged_into_id', '=', False)]",
        help="The account that these turned out to be.",
    )
    partner_id = fields.Many2one(related="target_id.partner_id", string="Customer")
    event_count = fields.Integer(
        string="Stored Events", compute="_compute_event_count", help="Events of the merged accounts so far."
    )

    @api.depends("account_ids")
    def _compute_event_count(self):
        for wizard in self:
            wizard.event_count = sum(wizard.account_ids._origin.mapped("event_count"))

    def action_merge(self):
        """Make the accounts aliases of the chosen one, and show it."""
        self.ensure_one()
        self.account_ids._merge_into(self.target_id)
        return {
            "type": "ir.actions.act_window",
            "res_model": "usage.account",
            "res_id": self.target_id.id,
            "view_mode": "form",
        }
