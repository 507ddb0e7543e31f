from datetime import timedelta

from odoo import api, fields, models

from .usage_exception import SILENT, exception_digest


class UsageSource(models.Model):
    """Sources that fall silent: an outage of the sender, which else would look like less usage."""

    _inherit = "usage.source"

    silence_hours = fields.Integer(
        string="Silent After",
        tracking=True,
        copy=False,
        help="Hours without an event after which somebody is to look at the sender: an exception tells, and settles "
        "itself when events come again; 0: never.",
    )

    _silence_hours = models.Constraint("CHECK(silence_hours >= 0)", "Silent After: hours are 0 or more.")

    @api.model
    def _cron_watch(self):
        res = super()._cron_watch()
        self._watch_silence()
        return res

    def _watch_silence(self):
        """Open an exception for each source that fell silent, and settle those of sources that send again."""
        exceptions = self.env["usage.exception"]
        latest = dict(
            self.env["usage.batch"]._read_group([("event_count", ">", 0)], ["source_id"], ["received_at:max"])
        )
        silent = self.search([("state", "=", "approved"), ("silence_hours", ">", 0)]).filtered(
            lambda source: source._is_silent(latest.get(source))
        )
        known = exceptions.search([("reason", "=", SILENT), ("state", "=", "open")])
        known.filtered(lambda exception: exception.source_id not in silent)._settle(
            "resolved", self.env._("Events come again, or are not waited for")
        )
        new = silent - known.source_id
        exceptions._record([source._silence(latest.get(source)) for source in new])

    def _is_silent(self, received_at):
        since = max(filter(None, (received_at, self.approved_date)), default=self.create_date)
        return since < fields.Datetime.now() - timedelta(hours=self.silence_hours)

    def _silence(self, received_at):
        since = f"since {received_at:%Y-%m-%d %H:%M} UTC" if received_at else "yet"
        return {
            "source_id": self.id,
            "company_id": self.company_id.id,
            "reason": SILENT,
            "digest": exception_digest(SILENT),
            "message": f"No event of this source has arrived {since}: find out whether it still sends.",
        }
