from odoo import api, fields, models


class ResPartner(models.Model):
    _inherit = "res.partner"

    usage_subscription_ids = fields.One2many(
        "usage.subscription",
        "partner_id",
        string="Usage Subscriptions",
        groups="usage_connector_base.group_usage_viewer",
    )
    usage_subscription_count = fields.Integer(
        compute="_compute_usage_billing_counts", groups="usage_connector_base.group_usage_viewer"
    )
    usage_statement_count = fields.Integer(
        compute="_compute_usage_billing_counts", groups="usage_connector_base.group_usage_viewer"
    )

    @api.depends_context("allowed_company_ids")
    def _compute_usage_billing_counts(self):
        subscriptions = self._usage_counts("usage.subscription")
        statements = self._usage_counts("usage.statement")
        for partner in self:
            partner.usage_subscription_count = subscriptions.get(partner.commercial_partner_id, 0)
            partner.usage_statement_count = statements.get(partner.commercial_partner_id, 0)

    def _usage_counts(self, model):
        """Return {company of the customer: number of records of ``model``}."""
        domain = [("commercial_partner_id", "in", self.commercial_partner_id.ids)]
        return dict(self.env[model]._read_group(domain, ["commercial_partner_id"], ["__count"]))

    def action_view_usage_subscriptions(self):
        """The subscriptions of this customer's company."""
        return self._usage_billing_action("usage_billing.action_usage_subscription")

    def action_view_usage_statements(self):
        """The statements of this customer's company."""
        return self._usage_billing_action("usage_billing.action_usage_statement")

    def _usage_billing_action(self, xmlid):
        action = self.env["ir.actions.act_window"]._for_xml_id(xmlid)
        domain = [("commercial_partner_id", "in", self.commercial_partner_id.ids)]
        return {**action, "domain": domain, "context": {"default_partner_id": self[:1].id}}
