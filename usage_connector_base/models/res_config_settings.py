from odoo import api, fields, models
from odoo.exceptions import ValidationError

from .usage_event import MAX_EVENTS


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    usage_max_events = fields.Integer(
        string="Events per Request",
        config_parameter="usage.max_events",
        default=10_000,
        help="A request with more events is refused with 413; nothing of it is counted.",
    )
    usage_max_body_bytes = fields.Integer(
        string="Bytes per Request",
        config_parameter="usage.max_body_bytes",
        default=16 * 1024 * 1024,
        help="A request with a larger body, after unpacking, is refused with 413.",
    )
    usage_max_age_days = fields.Integer(
        string="Oldest Usage (Days)",
        config_parameter="usage.max_age_days",
        default=400,
        help="An event whose time lies further back is rejected as time_too_old.",
    )
    usage_max_future_hours = fields.Integer(
        string="Clock Difference (Hours)",
        config_parameter="usage.max_future_hours",
        default=24,
        help="An event whose time lies further ahead is rejected as time_in_future.",
    )

    @api.constrains("usage_max_events", "usage_max_body_bytes", "usage_max_age_days", "usage_max_future_hours")
    def _check_usage_limits(self):
        for settings in self:
            if settings.usage_max_events > MAX_EVENTS:
                raise ValidationError(self.env._("A request may have at most %s events: set less.", MAX_EVENTS))
            if settings.usage_max_events < 1000 or settings.usage_max_body_bytes < 1024 * 1024:
                raise ValidationError(self.env._("Requests of 1,000 events and 1 MiB must be possible: set more."))
            if settings.usage_max_age_days < 1 or settings.usage_max_future_hours < 1:
                raise ValidationError(
                    self.env._("Oldest usage must be at least 1 day, clock difference at least 1 hour.")
                )
