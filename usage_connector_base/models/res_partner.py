from odoo import api, fields, models


class ResPartner(models.Model):
    _inherit = "res.partner"

    usage_account_ids = fields.One2many("usage.account", "partner_id", string="Usage Accounts")
    usage_account_count = fields.Integer(
        compute="_compute_usage_account_count", groups="usage_connector_base.group_usage_viewer"
    )

    @api.depends_context("uid", "allowed_company_ids")
    def _compute_usage_account_count(self):
        for partner in self:
            partner.usage_account_count = self.env["usage.account"].search_count(partner._usage_account_domain())

    def _usage_account_domain(self):
        """Accounts of the partner, and of the whole company when the partner is one."""
        return ["|", ("partner_id", "=", self.id), ("commercial_partner_id", "=", self.id)]

    def action_view_usage(self):
        """Hourly usage of the partner's accounts."""
        self.ensure_one()
        accounts = self.env["usage.account"].search(self._usage_account_domain())
        return {**accounts.action_view_usage(), "name": self.env._("Usage of %s", self.display_name)}
