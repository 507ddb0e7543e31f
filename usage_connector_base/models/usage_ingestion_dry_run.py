from odoo import api, models

from .usage_ingestion import Known


class UsageIngestion(models.AbstractModel):
    _inherit = "usage.ingestion"

    @api.model
    def _dry_run(self, sender, events):
        """Judge events as ``_ingest`` would at this moment, and store nothing.

        :param sender: :class:`~.usage_source.Sender`
        :param list events: events as decoded by ``ingestion.envelope``
        :return: list of :class:`~.usage_ingestion.Verdict`, one for each event
        """
        verdicts, read = self._read(sender, events)
        fresh = self._drop_repeats(self._drop_known(read, verdicts), verdicts)
        subjects = {fact.subject for fact in fresh.values()}
        # An account that an event is the first to name is made without a customer.
        new = dict.fromkeys(subjects, Known(None, has_customer=False, spans=None, is_alias=False))
        accounts = {**new, **self._known_accounts(sender, subjects)}
        self._judge_held(sender, fresh, accounts, verdicts)
        return verdicts
