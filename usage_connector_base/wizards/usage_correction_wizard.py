from odoo import api, fields, models
from odoo.exceptions import UserError

from ..fields import EventReference
from ..ingestion.corrections import AMEND, VOID
from ..ingestion.envelope import Refusal, decode
from ..ingestion.facts import SUMMARY_TYPE


class UsageCorrectionWizard(models.TransientModel):
    _name = "usage.correction.wizard"
    _description = "Correct a Usage Event"

    event_id = EventReference(string="Event", required=True, readonly=True)
    is_summary = fields.Boolean(compute="_compute_is_summary")
    source_id = fields.Many2one(related="event_id.source_id")
    action = fields.Selection(
        [(VOID, "Void: it does not count"), (AMEND, "Amend: what is said here counts instead")],
        required=True,
        default=VOID,
        help="The event itself stays as it came. The correction says what counts from now on.",
    )
    reason = fields.Text(required=True, help="Why, for those who ask later: the correction keeps it with your name.")
    type = fields.Char(help="The event's type, which selects the meters that count it.")
    account_id = fields.Many2one("usage.account", help="Whose usage it really was.")
    time = fields.Datetime(help="When the usage really happened.")
    data_text = fields.Text(string="Data", help="The event's data as JSON, as it should have been.")

    @api.depends("event_id")
    def _compute_is_summary(self):
        for wizard in self:
            wizard.is_summary = wizard.event_id.type == SUMMARY_TYPE

    @api.model
    def default_get(self, fields):
        """Begin an amendment with what the event says."""
        values = super().default_get(fields)
        event = self.env["usage.event"].browse(values.get("event_id"))
        if event:
            values |= {
                "type": event.type,
                "account_id": event.account_id.id,
                "time": event.time.replace(microsecond=0),
                "data_text": event._exact_data(),
            }
        return values

    def action_correct(self):
        """Append the correction; the usage is counted again within moments."""
        self.ensure_one()
        event = self.event_id
        event.check_access("read")
        if event.superseding_ids:
            raise UserError(self.env._("%s does not count any more: correct the event that counts.", event.event_id))
        changes = self._changes() if self.action == AMEND else {}
        if self.action == AMEND and not changes:
            raise UserError(self.env._("Nothing is changed: say what should have been, or void the event."))
        sender = event.source_id._as_sender()._replace(user_id=self.env.uid)
        # sudo: storing is for the pipeline alone; whoever may use this dialog may correct
        self.env["usage.ingestion"].sudo()._correct_one(sender, event.event_id, self.action, self.reason, changes)
        return {"type": "ir.actions.act_window_close"}

    def _changes(self):
        """Attributes of the event that are not as they were."""
        event = self.event_id
        changes = {}
        if self.type != event.type:
            changes["type"] = self.type or ""
        if self.account_id and self.account_id != event.account_id:
            changes["subject"] = self.account_id.external_id
        if self.time and self.time != event.time.replace(microsecond=0):
            changes["time"] = f"{self.time.isoformat()}Z"
        data = self._data()
        if data != decode(event._exact_data().encode()):
            changes["data"] = data
        return changes

    def _data(self):
        try:
            return decode((self.data_text or "{}").encode())
        except Refusal as refusal:
            raise UserError(self.env._("The data are not valid JSON: %s", refusal.message)) from refusal
