from odoo import fields, models

from .res_partner import READERS


class CrmLead(models.Model):
    _inherit = "crm.lead"

    usage_signal_ids = fields.One2many(
        "usage.signal",
        "lead_id",
        string="Usage Signals",
        groups=READERS,
        help="What in the customer's usage called for this opportunity.",
    )
    usage_signal_count = fields.Integer(compute="_compute_usage_signal_count", groups=READERS)

    def _compute_usage_signal_count(self):
        counts = dict(self.env["usage.signal"]._read_group([("lead_id", "in", self.ids)], ["lead_id"], ["__count"]))
        for lead in self:
            lead.usage_signal_count = counts.get(lead._origin, 0)

    def action_view_usage_signals(self):
        """Open the signals that led to this opportunity."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_crm_signals.action_usage_signal")
        return {**action, "domain": [("lead_id", "in", self.ids)], "context": {}}
