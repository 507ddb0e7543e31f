from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from ..guard import is_unlocked, unlocked


class UsageAccountAlias(models.Model):
    """Another identifier under which the source sends usage of an account."""

    _name = "usage.account.alias"
    _description = "Alias of a Usage Account"
    _order = "external_id"
    _rec_name = "external_id"

    account_id = fields.Many2one("usage.account", required=True, index=True, ondelete="cascade")
    source_id = fields.Many2one(related="account_id.source_id", store=True, index=True)
    company_id = fields.Many2one(related="account_id.company_id", store=True, index=True)
    external_id = fields.Char(
        string="Alias", required=True, help="Events with this subject are stored as the account's from now on."
    )
    merged_account_id = fields.Many2one(
        "usage.account",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        help="The account that had this identifier before it was merged. Removing the alias undoes the merge.",
    )
    create_uid = fields.Many2one("res.users", string="Added By", readonly=True)
    create_date = fields.Datetime(string="Added On", readonly=True)

    _external_id_uniq = models.Constraint(
        "UNIQUE(source_id, external_id)",
        "The source has an account with this alias already: remove it there first.",
    )

    @api.constrains("external_id", "account_id", "merged_account_id")
    def _check_no_account(self):
        for alias in self:
            domain = [("source_id", "=", alias.source_id.id), ("external_id", "=", alias.external_id)]
            account = self.env["usage.account"].with_context(active_test=False).search(domain)
            if account - alias.merged_account_id:
                raise ValidationError(
                    self.env._(
                        "%s is an account of its own: merge it into this one instead of adding an alias.",
                        alias.external_id,
                    )
                )

    @api.model_create_multi
    def create(self, vals_list):
        if any(vals.get("merged_account_id") for vals in vals_list) and not is_unlocked(self.env):
            raise UserError(self.env._("Accounts are merged by their button: use it instead."))
        return super().create(vals_list)

    def write(self, vals):
        """Rename an alias; what was merged stays as it is until the merge is undone."""
        if not is_unlocked(self.env) and ("merged_account_id" in vals or self.merged_account_id):
            raise UserError(self.env._("This alias comes from a merged account: undo the merge to change it."))
        return super().write(vals)

    def unlink(self):
        """Remove aliases: events under them are another account's from now on. Merges are undone."""
        merged = self.merged_account_id
        res = super().unlink()
        unlocked(merged).write({"merged_into_id": False, "active": True})
        merged._follow()
        return res


class UsageAccount(models.Model):
    _inherit = "usage.account"

    alias_ids = fields.One2many("usage.account.alias", "account_id", string="Aliases")
    merged_into_id = fields.Many2one(
        "usage.account",
        readonly=True,
        index="btree_not_null",
        ondelete="restrict",
        tracking=True,
        help="The account that this one turned out to be. Its past usage stays with it and is billed there; its "
        "identifier is an alias there.",
    )

    @api.constrains("external_id", "source_id")
    def _check_no_alias(self):
        for account in self:
            domain = [("source_id", "=", account.source_id.id), ("external_id", "=", account.external_id)]
            alias = self.env["usage.account.alias"].search(domain)
            if alias and alias.merged_account_id != account:
                raise ValidationError(
                    self.env._(
                        "%(alias)s is an alias of %(account)s: remove it there first.",
                        alias=alias.external_id,
                        account=alias.account_id.display_name,
                    )
                )

    def _merge_into(self, target):
        """Make the accounts aliases of another one, which they turned out to be.

        Nothing moves: their past usage stays with them and is billed at the other one, later events
        with their identifiers are stored as its own.

        :param target: one ``usage.account`` of the same source
        :raises UserError: a merge that cannot be
        """
        self.check_access("write")
        self._check_merge(target)
        aliases = self.env["usage.account.alias"]
        known = target.alias_ids.grouped("external_id")
        unlocked(self).write({"merged_into_id": target.id, "active": False})
        for account in self:
            if account.external_id in known:
                unlocked(known[account.external_id]).write({"merged_account_id": account.id})
        unlocked(aliases).create(
            [
                {"account_id": target.id, "external_id": account.external_id, "merged_account_id": account.id}
                for account in self
                if account.external_id not in known
            ]
        )
        self._follow()

    def _check_merge(self, target):
        if target.merged_into_id:
            raise UserError(
                self.env._(
                    "%(account)s is merged itself: choose %(target)s.",
                    account=target.display_name,
                    target=target.merged_into_id.display_name,
                )
            )
        for account in self:
            if account == target:
                raise UserError(self.env._("%s cannot be merged into itself.", account.display_name))
            if account.source_id != target.source_id:
                raise UserError(self.env._("%s belongs to another source.", account.display_name))
            if account.merged_into_id:
                raise UserError(
                    self.env._(
                        "%(account)s is merged into %(target)s already.",
                        account=account.display_name,
                        target=account.merged_into_id.display_name,
                    )
                )

    def action_merge(self):
        """Open the dialog that merges the accounts into another one."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_account_merge")
        return {**action, "context": {"default_account_ids": self.ids}}

    def action_undo_merge(self):
        """Let merged accounts stand alone again: later events with their identifiers are theirs."""
        self.env["usage.account.alias"].search([("merged_account_id", "in", self.ids)]).unlink()
