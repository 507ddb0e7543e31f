from odoo import fields, models

READERS = "usage_connector_base.group_usage_viewer,sales_team.group_sale_salesman"


class ResPartner(models.Model):
    _inherit = "res.partner"

    usage_signal_count = fields.Integer(string="Usage Signals", compute="_compute_usage_signal_count", groups=READERS)

    def _compute_usage_signal_count(self):
        """Signals belong to the whole company: its contacts show the same number."""
        counts = dict(
            self.env["usage.signal"]._read_group(
                [("partner_id", "in", self.commercial_partner_id.ids)], ["partner_id"], ["__count"]
            )
        )
        for partner in self:
            partner.usage_signal_count = counts.get(partner.commercial_partner_id, 0)

    def action_view_usage_signals(self):
        """Open the signals about this customer."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_crm_signals.action_usage_signal")
        domain = [("partner_id", "in", self.commercial_partner_id.ids)]
        return {**action, "domain": domain, "context": {}}
