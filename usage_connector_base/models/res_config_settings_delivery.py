from odoo import api, fields, models
from odoo.exceptions import ValidationError


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    usage_delivery_allow_private = fields.Boolean(
        string="Private Networks",
        config_parameter="usage.delivery_allow_private",
        help="Endpoints may lie in private networks, on this server itself, and be reached by http. Whoever sets up "
        "endpoints can then reach systems that only this server reaches.",
    )
    usage_delivery_keep_days = fields.Integer(
        string="Keep Deliveries (Days)",
        config_parameter="usage.delivery_keep_days",
        default=90,
        help="Delivered messages are deleted so many days later; dead letters are kept.",
    )

    @api.constrains("usage_delivery_keep_days")
    def _check_delivery_keep_days(self):
        for settings in self:
            if settings.usage_delivery_keep_days < 4:
                raise ValidationError(self.env._("Deliveries must be kept for at least 4 days."))
