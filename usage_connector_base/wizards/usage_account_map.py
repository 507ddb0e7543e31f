from datetime import datetime

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tools import SQL


class UsageAccountMap(models.TransientModel):
    _name = "usage.account.map"
    _description = "Assign Usage Accounts to a Customer"

    partner_id = fields.Many2one("res.partner", string="Customer", required=True, help="Who uses these accounts.")
    account_ids = fields.Many2many("usage.account", string="Accounts", required=True)
    date_from = fields.Datetime(
        string="From", help="First hour whose usage is the customer's; empty: from the beginning, past usage too."
    )
    date_to = fields.Datetime(string="Until", help="Hour at which that ends, not included; empty: it does not end.")
    account_count = fields.Integer(compute="_compute_figures")
    event_count = fields.Integer(
        string="Stored Events", compute="_compute_figures", help="Events that count for the customer from now on."
    )
    reassigned_count = fields.Integer(
        compute="_compute_figures", help="Accounts among them that belong to another customer so far."
    )
    elsewhere_count = fields.Integer(
        compute="_compute_figures",
        help="Accounts among them that are billed at another account, and go on following that one's customer.",
    )

    @api.depends("account_ids", "partner_id", "date_from", "date_to")
    def _compute_figures(self):
        for wizard in self:
            accounts = wizard._own_accounts()
            wizard.account_count = len(accounts)
            wizard.elsewhere_count = len(wizard.account_ids) - len(accounts)
            wizard.event_count = wizard._count_events(accounts)
            wizard.reassigned_count = len(
                accounts.filtered(lambda account, to=wizard.partner_id: account.partner_id not in (to, to.browse()))
            )

    def _own_accounts(self):
        """The accounts without those whose customer is another account's."""
        return self.account_ids._origin.filtered(lambda account: not account._billed_at())

    def _count_events(self, accounts):
        if not self.date_from and not self.date_to:
            return sum(accounts.mapped("event_count"))
        is_between = self.env["usage.aggregate"]._sql_is_between(
            self.date_from or datetime.min, self.date_to or datetime.max
        )
        query = SQL("SELECT count(*) FROM usage_event e WHERE account_id = ANY(%s) AND %s", accounts.ids, is_between)
        [[count]] = self.env.execute_query(query)
        return count

    @api.model
    def default_get(self, fields):
        values = super().default_get(fields)
        if self.env.context.get("active_model") == "usage.account":
            values["account_ids"] = [Command.set(self.env.context.get("active_ids", []))]
        return values

    def action_map(self):
        """Assign the accounts, many of them in the background; their usage counts for the customer at once."""
        self.ensure_one()
        accounts = self._own_accounts()
        if not accounts:
            raise UserError(
                self.env._("These accounts are billed at other accounts: assign those to the customer instead.")
            )
        pairs = [(account, self.partner_id) for account in accounts]
        return self.env["usage.account.mapping"]._map(pairs, self.date_from, self.date_to)
