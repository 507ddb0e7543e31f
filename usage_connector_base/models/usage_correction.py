from odoo import api, fields, models
from odoo.exceptions import UserError

from ..fields import EventReference

ACTIONS = {
    "void": "Voided",
    "amend": "Amended",
    "replace": "Replaced",
}


class UsageCorrection(models.Model):
    """That a stored event no longer counts, why, and which one counts in its stead.

    Written by ``usage.ingestion`` only. The event itself stays as it came: whatever counts events
    leaves out those that ``event_id`` names here. What an amendment says is an event of its own,
    ``replacement_id``, stored with the correction's request, so that it is counted and traced as
    any other. A row may be superseded once: of two corrections at the same moment, the unique
    index lets one pass, and the other runs again on what is there by then.
    """

    _name = "usage.correction"
    _description = "Usage Correction"
    _order = "id desc"
    _log_access = False  # written once, never changed

    source_id = fields.Many2one("usage.source", readonly=True, required=True, ondelete="restrict")
    company_id = fields.Many2one("res.company", readonly=True, required=True, index=True)
    batch_id = fields.Many2one(
        "usage.batch", string="Request", readonly=True, index="btree_not_null", ondelete="set null"
    )
    event_id = EventReference(
        string="Event",
        readonly=True,
        required=True,
        index=True,
        help="The stored event that does not count any more.",
    )
    replacement_id = EventReference(
        string="Counts Instead", readonly=True, index="btree_not_null", help="Empty where nothing counts instead."
    )
    root_id = EventReference(
        string="First Event",
        readonly=True,
        required=True,
        index=True,
        help="The event as it was first received, however often it was corrected since.",
    )
    event_ref = fields.Char(related="event_id.event_id", string="Event ID", help="The sender's id of the event.")
    account_id = fields.Many2one(related="event_id.account_id")
    event_text = fields.Text(related="event_id.data_text", string="Superseded")
    replacement_text = fields.Text(related="replacement_id.data_text", string="What Counts Instead")
    action = fields.Selection(
        list(ACTIONS.items()),
        readonly=True,
        required=True,
        help="Voided: nothing counts instead. Amended: what the correction says counts instead. Replaced: a summary "
        "of the same window with a higher sequence counts instead.",
    )
    reason = fields.Text(readonly=True, required=True, help="Why, in the words of who sent or entered the correction.")
    correction_ref = fields.Char(string="Correction ID", readonly=True, help="The sender's id of the correction.")
    user_id = fields.Many2one(
        "res.users", string="Corrected By", readonly=True, required=True, help="A person, or the source's API user."
    )
    received_at = fields.Datetime(
        string="Received", readonly=True, required=True, help="When the correction arrived (UTC)."
    )
    attributes = fields.Json(
        string="Other Attributes", readonly=True, help="What else the sender said of the correction."
    )

    _source_ref = models.Index("(source_id, correction_ref)")
    _event_uniq = models.Constraint("UNIQUE(event_id)", "This event was corrected already.")

    @api.depends("action", "event_id")
    def _compute_display_name(self):
        labels = dict(self._fields["action"]._description_selection(self.env))
        for correction in self:
            correction.display_name = f"{labels[correction.action]}: {correction.event_ref}"

    # Facts: nothing is handed on to super, whoever asks.
    @api.model_create_multi
    def create(self, vals_list):  # pylint: disable=method-required-super
        raise UserError(self.env._("A correction goes through the pipeline: use the buttons of the event."))

    def write(self, vals):  # pylint: disable=method-required-super
        raise UserError(self.env._("A correction is a fact and is never edited: correct the event once more."))

    @api.ondelete(at_uninstall=False)
    def _unlink_never(self):
        raise UserError(self.env._("A correction is a fact and is never deleted before its event."))
