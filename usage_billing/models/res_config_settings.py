from odoo import fields, models


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    usage_auto_rate = fields.Boolean(related="company_id.usage_auto_rate", readonly=False)
    usage_rating_delay = fields.Integer(related="company_id.usage_rating_delay", readonly=False)
    usage_journal_id = fields.Many2one(related="company_id.usage_journal_id", readonly=False)
    usage_retention_unbilled = fields.Boolean(
        string="Delete Unbilled Usage",
        config_parameter="usage.retention_unbilled",
        help="At the end of its retention, usage in production that no subscription ever billed is deleted too. "
        "Otherwise it holds up its month.",
    )
    usage_tz = fields.Selection(related="company_id.usage_tz", readonly=False)
    usage_credit_alerts = fields.Char(related="company_id.usage_credit_alerts", readonly=False)
