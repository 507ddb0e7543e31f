from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL

from .usage_batch import OUTCOMES

GC_ROWS = 100_000  # deleted at once
KEEP_DAYS = 90  # rows of an import that ended; its counts, its file and its events stay


class UsageImportRow(models.Model):
    _name = "usage.import.row"
    _description = "Row of a Usage File"
    _order = "number, id"
    _rec_name = "number"
    _log_access = False  # written by the thousand, by the import alone

    import_id = fields.Many2one("usage.import", readonly=True, required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one("res.company", readonly=True, required=True, index=True)
    number = fields.Integer(string="Row", readonly=True, required=True, help="Row of the file, from 1.")
    cells = fields.Json(readonly=True, required=True, help="The cells as they stand in the file.")
    event = fields.Text(readonly=True, required=True, help="The event that the row became, as JSON.")
    event_ref = fields.Char(string="Event ID", readonly=True)
    digest = fields.Char(readonly=True, help="That of the row's exception, where it has one.")
    outcome = fields.Selection(
        [(outcome, outcome.title()) for outcome in OUTCOMES], readonly=True, help="Empty until the row's turn comes."
    )
    code = fields.Char(readonly=True)
    message = fields.Char(string="Reason", readonly=True, help="Why the row did not count, or not yet.")
    batch_id = fields.Many2one("usage.batch", string="Request", readonly=True, index="btree_not_null")

    _number_uniq = models.UniqueIndex("(import_id, number)")
    _waiting = models.Index("(import_id, number) WHERE outcome IS NULL")

    # Facts: nothing is handed on to super, whoever asks.
    @api.model_create_multi
    def create(self, vals_list):  # pylint: disable=method-required-super
        raise UserError(self.env._("The rows of a file are read from it: import a corrected file instead."))

    def write(self, vals):  # pylint: disable=method-required-super
        raise UserError(self.env._("The rows of a file are read from it: import a corrected file instead."))

    @api.autovacuum
    def _gc_rows(self):
        """Forget the rows of imports that ended long ago, some thousands at a time."""
        query = SQL(
            """
            DELETE FROM usage_import_row WHERE id IN (
                SELECT r.id FROM usage_import_row r JOIN usage_import i ON i.id = r.import_id
                WHERE i.state = 'done' AND i.ended_at < %s LIMIT %s)
            """,
            fields.Datetime.subtract(fields.Datetime.now(), days=KEEP_DAYS),
            GC_ROWS,
        )
        self.env.cr.execute(query)
        done = self.env.cr.rowcount
        return done, int(done == GC_ROWS)
