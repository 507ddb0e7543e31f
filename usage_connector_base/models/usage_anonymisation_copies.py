import json

from odoo import models
from odoo.tools import SQL


class UsageAnonymisation(models.Model):
    """Copies of events that files and corrections left behind go with the payloads of settled exceptions."""

    _inherit = "usage.anonymisation"

    def _clear_payloads(self):
        self._clear_corrections()
        self._clear_files()
        return super()._clear_payloads()

    def _clear_corrections(self):
        """Remove what was replayed in place of the received event, of exceptions that are settled."""
        settled = SQL(
            "x.state <> 'open' AND x.last_seen < %s AND x.source_id = ANY(%s)",
            self._received_before(),
            self._sources().ids,
        )
        self.env.cr.execute(
            SQL(
                "UPDATE usage_exception x SET replayed_payload = NULL WHERE replayed_payload IS NOT NULL AND %s AND %s",
                settled,
                self._sql_names_user(SQL("replayed_payload")),
            )
        )
        self.env.cr.execute(
            SQL(
                "UPDATE usage_replay_line l SET payload = NULL FROM usage_exception x "
                "WHERE x.id = l.exception_id AND l.payload IS NOT NULL AND %s AND %s",
                settled,
                self._sql_names_user(SQL("l.payload")),
            )
        )
        self.env["usage.replay.line"].invalidate_model()

    def _clear_files(self):
        """Remove the files of imports that ended, and their rows: whom a whole file names, nobody has looked up."""
        # sudo: the job does what was approved, whoever may read the imports
        ended = (
            self.env["usage.import"]
            .sudo()
            .search([("source_id", "in", self._sources().ids), ("ended_at", "<", self._received_before())])
        )
        self.env.cr.execute(SQL("DELETE FROM usage_import_row WHERE import_id = ANY(%s)", ended.ids))
        ended._write_facts({"sample": False})
        of_files = [("res_model", "=", ended._name), ("res_field", "=", "file"), ("res_id", "in", ended.ids)]
        self.env["ir.attachment"].sudo().search(of_files).unlink()
        self.env["usage.import.row"].invalidate_model()

    def _sql_names_user(self, text):
        """Whether a JSON text names one of the users to anonymise; any text does where all are."""
        users = [user.strip() for user in (self.user_refs or "").splitlines()]
        if not users:
            return SQL("true")
        quoted = [json.dumps(user, ensure_ascii=False) for user in users]
        return SQL("EXISTS (SELECT 1 FROM unnest(%s) u WHERE strpos(%s, u) > 0)", quoted, text)
