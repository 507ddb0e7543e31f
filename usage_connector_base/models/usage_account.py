from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import SQL


class UsageAccount(models.Model):
    _name = "usage.account"
    _description = "Usage Account"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _order = "external_id"
    _rec_names_search = ["name", "external_id"]
    _check_company_auto = True

    name = fields.Char(help="What people call the account; the product's identifier when empty.")
    external_id = fields.Char(
        string="Account ID",
        required=True,
        help="How the product names the account: the subject of its events.",
    )
    source_id = fields.Many2one("usage.source", required=True, index=True, ondelete="restrict")
    company_id = fields.Many2one(related="source_id.company_id", store=True, index=True)
    environment = fields.Selection(related="source_id.environment", store=True)
    partner_id = fields.Many2one(
        "res.partner",
        string="Customer",
        index=True,
        tracking=True,
        check_company=True,
        ondelete="restrict",
        help="Who uses the account now. Usage without a customer is kept and waits until one is chosen. A customer "
        "chosen here is the account's for all time; 'Assign to Customer' asks from and until when.",
    )
    commercial_partner_id = fields.Many2one(
        related="partner_id.commercial_partner_id", string="Company of the Customer", store=True, index=True
    )
    parent_id = fields.Many2one(
        "usage.account",
        string="Parent Account",
        index="btree_not_null",
        domain="[('source_id', '=', source_id), ('id', '!=', id)]",
        help="The account that this one belongs to in the product.",
    )
    event_count = fields.Integer(
        string="Events", compute="_compute_event_figures", help="Events stored for the account."
    )
    last_event_time = fields.Datetime(
        string="Last Usage", compute="_compute_event_figures", help="Time of the account's latest event (UTC)."
    )
    active = fields.Boolean(default=True)

    _external_id_uniq = models.Constraint(
        "UNIQUE(source_id, external_id)", "The source already has an account with this identifier."
    )

    @api.depends("name", "external_id")
    def _compute_display_name(self):
        for account in self:
            account.display_name = account.name or account.external_id

    def _compute_event_figures(self):
        query = SQL(
            """
            SELECT account_id, (SELECT count(*) FROM usage_event e WHERE e.account_id = a.account_id), (
                SELECT time FROM usage_event e WHERE e.account_id = a.account_id
                ORDER BY date_trunc('hour', e.time) DESC, e.time DESC LIMIT 1
            ) FROM unnest(%s::int[]) a(account_id)
            """,
            list(self.ids),
        )
        figures = {account: (count, latest) for account, count, latest in self.env.execute_query(query)}
        for account in self:
            account.event_count, account.last_event_time = figures.get(account.id, (0, False))

    @api.constrains("parent_id", "source_id")
    def _check_parent(self):
        if self._has_cycle():
            raise ValidationError(self.env._("An account cannot be its own parent, near or far."))
        for account in self.filtered("parent_id"):
            if account.parent_id.source_id != account.source_id:
                raise ValidationError(
                    self.env._("%s belongs to another source: choose a parent of the same one.", account.parent_id.name)
                )

    def write(self, vals):
        self._check_identity(vals)
        return super().write(vals)

    def _check_identity(self, vals):
        """What an account's events call it stays, so that later ones find the same account."""
        for account in self:
            changed = vals.get("external_id", account.external_id) != account.external_id
            moved = vals.get("source_id", account.source_id.id) != account.source_id.id
            if (changed or moved) and account.event_count:
                raise UserError(self.env._("%s has usage: create another account instead.", account.display_name))

    @api.ondelete(at_uninstall=False)
    def _unlink_without_events(self):
        for account in self:
            if account.event_count:
                raise UserError(self.env._("%s has usage: archive it instead of deleting it.", account.display_name))
        others = self.with_context(active_test=False).search([("payer_id", "in", self.ids), ("id", "not in", self.ids)])
        if others:
            raise UserError(
                self.env._(
                    "%(account)s is billed at %(payer)s: change that first.",
                    account=others[0].display_name,
                    payer=others[0].payer_id.display_name,
                )
            )

    def _sync_exceptions(self):
        """Have exactly those exceptions open that hold usage of these accounts.

        One for an account without a customer, and one for an account with usage outside of the times
        for which it was assigned.
        """
        exceptions = self.env["usage.exception"]
        mapped = self.filtered("partner_id")
        inactive = self.browse(mapped.filtered("is_dated")._held_counts())
        exceptions._resolve_mapped(mapped)
        exceptions._resolve_active(self - inactive)
        exceptions._raise_unmapped((self - mapped)._without_open("account_unmapped").ids)
        exceptions._raise_inactive(inactive._without_open("account_inactive").ids)

    def _without_open(self, reason):
        """The accounts that have no open exception for this reason."""
        domain = [("account_id", "in", self.ids), ("reason", "=", reason), ("state", "=", "open")]
        return self - self.env["usage.exception"].search(domain).account_id

    def action_map(self):
        """Open the dialog that assigns the accounts to a customer."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_account_map")
        return {**action, "context": {"active_model": self._name, "active_ids": self.ids}}

    def action_view_usage(self):
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_aggregate")
        return {**action, "domain": [("account_id", "in", self.ids)], "context": {}}

    def action_view_children(self):
        """The accounts whose parent is one of these."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_account")
        context = {"active_test": False, "default_parent_id": self[:1].id, "default_source_id": self[:1].source_id.id}
        return {**action, "domain": [("parent_id", "in", self.ids)], "context": context}

    def action_view_family_usage(self):
        """Hourly usage of the accounts and of all their children, near and far."""
        family = self.with_context(active_test=False).search([("id", "child_of", self.ids)])
        return family.action_view_usage()

    def action_view_events(self):
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_event")
        return {**action, "domain": [("account_id", "in", self.ids)], "context": {}}
