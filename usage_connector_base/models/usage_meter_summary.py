from odoo import api, models
from odoo.exceptions import UserError, ValidationError

from ..ingestion.facts import SUMMARY_TYPE
from .usage_event import ADDITIVE


class UsageMeter(models.Model):
    """A meter counts the summaries that name its code, beside its events."""

    _inherit = "usage.meter"

    @api.constrains("event_type")
    def _check_event_type(self):
        if any(meter.event_type == SUMMARY_TYPE for meter in self):
            raise ValidationError(
                self.env._("usage.summary is no type of an event: summaries name the meter that counts them.")
            )

    def write(self, vals):
        changed = self.filtered(lambda meter: "code" in vals and meter.code != vals["code"])
        for meter in changed:
            if meter._has_summaries():
                raise UserError(self.env._("%s has summaries, which name its code: create another meter.", meter.name))
        res = super().write(vals)
        if changed:  # the summaries that came before under the new code are the meter's now
            changed._definition_changed()
        return res

    def _has_summaries(self):
        # sudo: whether there are any, whoever asks
        events = self.env["usage.event"].sudo()
        domain = [("company_id", "=", self.company_id.id), ("summary_meter", "=", self.code)]
        return bool(events.search_count(domain, limit=1))

    @api.model
    def _of_summary(self, company_id, code, time):
        """The meter that counts summaries which name this code and begin at ``time`` (naive UTC), or none."""
        meter = self.search([("company_id", "=", company_id), ("code", "=", code)])
        return meter.filtered(lambda meter: meter._version_at(time).aggregation in ADDITIVE)
