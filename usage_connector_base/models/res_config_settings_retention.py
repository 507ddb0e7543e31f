from odoo import api, fields, models
from odoo.exceptions import ValidationError

from .usage_retention import MIN_KEY_DAYS

DAYS_OF_A_MONTH = 30


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    usage_keep_events_months = fields.Integer(
        string="Keep Events (Months)",
        config_parameter="usage.keep_events_months",
        help="Events are deleted by whole months of receipt, so many months later, if nothing of them is needed any "
        "more. Hourly usage stays. 0: for ever.",
    )
    usage_keep_key_days = fields.Integer(
        string="Know Event IDs (Days)",
        config_parameter="usage.keep_key_days",
        default=MIN_KEY_DAYS,
        help="So long a repeated event is known as a duplicate, at least as long as the event itself is kept.",
    )
    usage_keep_batch_days = fields.Integer(
        string="Keep Requests (Days)",
        config_parameter="usage.keep_batch_days",
        help="Records of requests are deleted so many days later, never before their events. 0: for ever.",
    )
    usage_keep_exception_days = fields.Integer(
        string="Keep Settled Exceptions (Days)",
        config_parameter="usage.keep_exception_days",
        help="Resolved and ignored exceptions are deleted so many days after they were settled. 0: for ever.",
    )

    @api.constrains(
        "usage_keep_events_months",
        "usage_keep_key_days",
        "usage_keep_batch_days",
        "usage_keep_exception_days",
        "usage_max_age_days",
    )
    def _check_usage_retention(self):
        for settings in self:
            kept = settings.usage_keep_events_months
            if kept < 0 or min(settings.usage_keep_batch_days, settings.usage_keep_exception_days) < 0:
                raise ValidationError(self.env._("Keep for 1 or more, or 0 for ever."))
            if settings.usage_keep_key_days < MIN_KEY_DAYS:
                raise ValidationError(self.env._("Event IDs must be known for at least %s days.", MIN_KEY_DAYS))
            if kept and kept * DAYS_OF_A_MONTH < settings.usage_max_age_days:
                raise ValidationError(
                    self.env._(
                        "Usage of %(days)s days ago is still taken: keep events for %(months)s months or more, or take "
                        "no usage that old.",
                        days=settings.usage_max_age_days,
                        months=-(-settings.usage_max_age_days // DAYS_OF_A_MONTH),
                    )
                )
