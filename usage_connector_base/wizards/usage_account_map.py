from odoo import api, fields, models
from odoo.fields import Command


class UsageAccountMap(models.TransientModel):
    _name = "usage.account.map"
    _description = "Assign Usage Accounts to a Customer"

    partner_id = fields.Many2one("res.partner", string="Customer", required=True, help="Who uses these accounts.")
    account_ids = fields.Many2many("usage.account", string="Accounts", required=True)
    account_count = fields.Integer(compute="_compute_figures")
    event_count = fields.Integer(
        string="Stored Events", compute="_compute_figures", help="Events that count for the customer from now on."
    )
    reassigned_count = fields.Integer(
        compute="_compute_figures", help="Accounts among them that belong to another customer so far."
    )

    @api.depends("account_ids", "partner_id")
    def _compute_figures(self):
        for wizard in self:
            accounts = wizard.account_ids._origin
            wizard.account_count = len(accounts)
            wizard.event_count = sum(accounts.mapped("event_count"))
            wizard.reassigned_count = len(
                accounts.filtered(lambda account, to=wizard.partner_id: account.partner_id not in (to, to.browse()))
            )

    @api.model
    def default_get(self, fields):
        values = super().default_get(fields)
        if self.env.context.get("active_model") == "usage.account":
            values["account_ids"] = [Command.set(self.env.context.get("active_ids", []))]
        return values

    def action_map(self):
        """Assign the accounts; their usage counts for the customer from this moment."""
        self.ensure_one()
        self.account_ids.partner_id = self.partner_id
        return {"type": "ir.actions.act_window_close"}
