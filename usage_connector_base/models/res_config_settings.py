from odoo import api, fields, models
from odoo.exceptions import ValidationError

from .usage_event import MAX_EVENTS
from .usage_monitoring import MAX_WAITING_EVENTS
from .usage_source_key import WARNING_DAYS


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

    usage_max_waiting_events = fields.Integer(
        string="Events Waiting to be Counted",
        config_parameter="usage.max_waiting_events",
        default=MAX_WAITING_EVENTS,
        help="While so many wait, further ones are refused with 503, for their senders to try again; "
        "a small request weighs 50 events. 0: never.",
    )
    usage_key_warning_days = fields.Integer(
        string="Warn of Expiring Keys (Days)",
        config_parameter="usage.key_warning_days",
        default=WARNING_DAYS,
        help="So many days before the last key of a source expires, its responsible is told to rotate it.",
    )

    @api.constrains("usage_max_waiting_events", "usage_key_warning_days")
    def _check_usage_governance(self):
        for settings in self:
            if settings.usage_max_waiting_events and settings.usage_max_waiting_events < 100_000:
                raise ValidationError(
                    self.env._(
                        "Let 100,000 events or more wait: counting takes them in by the thousand. 0: any number."
                    )
                )
            if settings.usage_key_warning_days < 1:
                raise ValidationError(self.env._("Warn of expiring keys at least 1 day before."))

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
