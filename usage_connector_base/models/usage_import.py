from itertools import pairwise

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_datetime

from odoo.addons.base.models.res_partner import _tz_get

from ..contract.windows import read_zone
from ..guard import is_unlocked, unlocked
from ..ingestion import cells
from ..ingestion.envelope import decode
from .usage_batch import OUTCOMES
from .usage_import_column import COMMON_NAMES
from .usage_import_mapping import REMEMBERED

REASON_COLUMN = "Why it did not count"  # of the file of rows to correct; not read when it comes back
REQUIRED = ("subject", "type", "time")

# What an import did, which people do not write: see ``guard``.
FACTS = {
    *("state", "user_id", "started_at", "ended_at", "names", "sample", "row_count", "is_read", "trouble", "file_bytes"),
    *(f"{outcome}_count" for outcome in OUTCOMES),
}
# Decides what the rows become: fixed once the import has begun.
QUESTION = {
    *("source_id", "file", "file_name", "sheet_name", "encoding", "separator", "has_header", "column_ids"),
    *("decimal_sign", "time_format", "time_pattern", "tz"),
}


class UsageImport(models.Model):
    """A file of events, from its columns to what became of each row.

    The file is read once into rows (``usage_import_file``), then its rows go through the pipeline in
    batches (``usage_import_job``). Both can be killed anywhere and go on where they were.
    """

    _name = "usage.import"
    _description = "Usage File Import"
    _order = "id desc"
    _rec_name = "file_name"
    _check_company_auto = True

    source_id = fields.Many2one(
        "usage.source",
        required=True,
        index=True,
        ondelete="restrict",
        domain=[("state", "=", "approved")],
        help="The system whose usage the file holds. Its events count as if the system had sent them.",
    )
    company_id = fields.Many2one(related="source_id.company_id", store=True, index=True)
    user_id = fields.Many2one(
        "res.users", string="Imported By", readonly=True, default=lambda self: self.env.user, copy=False
    )
    file = fields.Binary(required=True, attachment=True, help="CSV, XLSX or XLS, with one event a row.")
    file_name = fields.Char()
    file_bytes = fields.Integer(string="Size (Bytes)", readonly=True, copy=False)
    state = fields.Selection(
        [
            ("draft", "File"),
            ("mapping", "Columns"),
            ("running", "Running"),
            ("paused", "Stopped"),
            ("done", "Done"),
        ],
        required=True,
        default="draft",
        readonly=True,
        copy=False,
        help="An import that is stopped goes on where it was: no row is counted twice.",
    )
    trouble = fields.Char(readonly=True, copy=False, help="Why the import stopped by itself.")
    sheet_name = fields.Char(string="Sheet", help="The sheet to read; the first one when empty.")
    encoding = fields.Char(help="How letters are written, such as utf-8 or windows-1252; found out when empty.")
    separator = fields.Selection(
        [(",", "Comma"), (";", "Semicolon"), ("\t", "Tab"), ("|", "Bar")],
        help="What stands between the columns of a CSV file; found out if empty.",
    )
    has_header = fields.Boolean(string="First Row Is a Header", default=True)
    decimal_sign = fields.Selection(
        [(".", "Point: 1,234.5"), (",", "Comma: 1.234,5")],
        required=True,
        default=".",
        help="How texts that are numbers are written. Numbers of a spreadsheet need no such hint.",
    )
    time_format = fields.Selection(
        [
            ("iso", "Year first: 2026-01-31 14:03"),
            ("dmy", "Day first: 31.01.2026 14:03"),
            ("mdy", "Month first: 01/31/2026 2:03 PM"),
            ("unix", "Seconds since 1970"),
            ("unix_ms", "Milliseconds since 1970"),
            ("custom", "A pattern of your own"),
        ],
        required=True,
        default="iso",
        help="How texts that are times are written. Years of four digits in front are understood in any case.",
    )
    time_pattern = fields.Char(help="Such as %d %b %Y %H:%M, with the letters of Python's strptime.")
    tz = fields.Selection(
        _tz_get,
        string="Time Zone",
        required=True,
        default=lambda self: self.env.user.tz or "UTC",
        help="Of times that name no zone themselves.",
    )
    names = fields.Json(readonly=True, copy=False, help="The columns of the file.")
    sample = fields.Text(readonly=True, copy=False, help="The first rows of the file, as JSON.")
    column_ids = fields.One2many("usage.import.column", "import_id", string="Columns")
    is_read = fields.Boolean(readonly=True, copy=False, help="All rows are read from the file.")
    row_count = fields.Integer(string="Rows", readonly=True, copy=False)
    accepted_count = fields.Integer(string="Accepted", readonly=True, copy=False, help="New events, counted.")
    duplicate_count = fields.Integer(
        string="Duplicates", readonly=True, copy=False, help="Rows that were imported or sent before."
    )
    conflict_count = fields.Integer(
        string="Conflicts", readonly=True, copy=False, help="Rows whose id is known with other content."
    )
    quarantined_count = fields.Integer(
        string="Quarantined", readonly=True, copy=False, help="New events that wait for a customer or a meter."
    )
    rejected_count = fields.Integer(
        string="Rejected", readonly=True, copy=False, help="Rows that are no sound events; each is an exception."
    )
    progress = fields.Float(compute="_compute_progress", help="Share of the rows that had their turn, in percent.")
    uncounted_count = fields.Integer(
        string="Rows to Correct", compute="_compute_progress", help="Rows that were rejected or are in conflict."
    )
    started_at = fields.Datetime(string="Started", readonly=True, copy=False, help="When the import began (UTC).")
    ended_at = fields.Datetime(string="Ended", readonly=True, copy=False, help="When its last row was judged (UTC).")

    @api.depends("row_count", *(f"{outcome}_count" for outcome in OUTCOMES))
    def _compute_progress(self):
        for job in self:
            done = sum(job[f"{outcome}_count"] for outcome in OUTCOMES)
            job.progress = 100 * done / job.row_count if job.row_count else 0
            job.uncounted_count = job.rejected_count + job.conflict_count

    @api.depends_context("lang", "tz")
    def _compute_display_name(self):
        for job in self:
            moment = format_datetime(self.env, job.create_date, dt_format="short") if job.create_date else ""
            job.display_name = f"{job.file_name or self.env._('File')} {moment}".strip()

    # -- guard ------------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        if any(FACTS & vals.keys() for vals in vals_list):
            raise UserError(self.env._("What an import did is not entered by hand: use its buttons."))
        return super().create(vals_list)

    def write(self, vals):
        if not is_unlocked(self.env):
            if FACTS & vals.keys():
                raise UserError(self.env._("What an import did is not entered by hand: use its buttons."))
            if QUESTION & vals.keys() and any(job.state not in ("draft", "mapping") for job in self):
                raise UserError(self.env._("The import has begun: import the file once more to read it another way."))
            if {"file", "source_id"} & vals.keys() and any(job.state != "draft" for job in self):
                raise UserError(self.env._("Go back to the first step to choose another file or source."))
        return super().write(vals)

    def _write_facts(self, vals):
        return unlocked(self).write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_unstarted(self):
        if any(job.started_at for job in self):
            raise UserError(self.env._("An import that has begun stays: it tells where its events came from."))

    # -- steps ------------------------------------------------------------------------------

    def action_read_file(self):
        """Look into the file: its columns, and what each of them probably is."""
        self.ensure_one()
        self.check_access("write")
        self._check_state("draft", "mapping")
        names, sample = self._look_into_file()
        self._write_facts({"names": names, "sample": sample, "state": "mapping"})
        self._match_columns()

    def action_back(self):
        """Choose another file, source or way to read it."""
        self.check_access("write")
        self._check_state("mapping")
        self._write_facts({"state": "draft"})

    def action_start(self):
        """Read all rows and send them through the pipeline, in the background."""
        self.ensure_one()
        self.check_access("write")
        self._check_state("mapping")
        self._check_columns()
        self._check_source()
        self._remember()
        now = fields.Datetime.now()
        self._write_facts({"state": "running", "trouble": False, "started_at": now, "user_id": self.env.uid})
        self._wake()

    def action_stop(self):
        """Stop after the batch that is on its way; what was imported stays."""
        self.check_access("write")
        self._check_state("running")
        self._write_facts({"state": "paused", "trouble": False})

    def action_continue(self):
        """Go on where the import stopped."""
        self.check_access("write")
        self._check_state("paused")
        self._check_source()
        self._write_facts({"state": "running", "trouble": False})
        self._wake()

    def action_refresh(self):
        """Show how far the import is by now."""
        return {"type": "ir.actions.client", "tag": "soft_reload"}

    def _check_state(self, *states):
        if any(job.state not in states for job in self):
            raise UserError(self.env._("The import is at another step by now: reload the page."))

    def _check_source(self):
        for job in self:
            if job.source_id.state != "approved":
                raise UserError(
                    self.env._("%s is not approved: have an administrator approve it first.", job.source_id.name)
                )

    # -- columns ----------------------------------------------------------------------------

    def _match_columns(self):
        """Columns as they were matched the last time, or as their names and values suggest."""
        known = self.env["usage.import.mapping"]._find(self.source_id, self.names)
        if known:
            self.write({name: known.settings[name] for name in REMEMBERED})
            described = known.columns
        else:
            described = self._suggested_columns()
        self.column_ids.unlink()
        for sequence, values in enumerate(described):
            position = values["position"]
            example = self._example(position) if position >= 0 else False
            self.column_ids.create({**values, "import_id": self.id, "sequence": sequence, "example": example})

    def _suggested_columns(self):
        """Dicts of name, position, target, path, kind and constant, as good as one can guess."""
        taken, described = set(), []
        for position, name in enumerate(self.names):
            plain = "".join(letter for letter in name.casefold() if letter.isalnum())
            target = next((t for t, names in COMMON_NAMES.items() if plain in names and t not in taken), "data")
            taken.add(target)
            described.append(self._suggested_column(position, name, target))
        described += [
            {"name": False, "position": -1, "target": name, "path": False, "kind": "text", "constant": False}
            for name in REQUIRED
            if name not in taken
        ]
        return described

    def _suggested_column(self, position, name, target):
        path = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name.strip().lower())
        path = path.strip("_") or f"column_{position + 1}"
        is_number = target == "data" and (path in self._counted_paths() or self._is_numeric(position))
        return {
            "name": name,
            "position": position,
            "target": "ignore" if name == REASON_COLUMN else target,
            "path": path if target == "data" else False,
            "kind": "number" if is_number else "text",
            "constant": False,
        }

    def _counted_paths(self):
        """Where the meters of the source's company find their values."""
        meters = self.env["usage.meter"].search([("company_id", "=", self.company_id.id)])
        return set(meters.mapped("value_path"))

    def _is_numeric(self, position):
        """Whether most cells of a column that are not empty are numbers."""
        filled = [cell for row in self._sample_rows() if (cell := cells.cell_at(row, position)) not in (None, "")]
        numbers = [cell for cell in filled if cells.looks_like_number(cell, self.decimal_sign)]
        return len(numbers) > len(filled) / 2

    def _sample_rows(self):
        return [[cells.unpack(cell) for cell in row] for row in decode(self.sample.encode())]

    def _example(self, position):
        values = [cells.as_text(cells.cell_at(row, position)) for row in self._sample_rows()]
        return " · ".join(list(dict.fromkeys(value for value in values if value))[:3])[:120]

    def _check_columns(self):
        """Refuse, with what to do, columns that make no events."""
        used = self.column_ids.filtered(lambda column: column.target != "ignore")
        labels = dict(self.env["usage.import.column"]._fields["target"]._description_selection(self.env))
        for target in REQUIRED:
            filled = used.filtered(lambda c, t=target: c.target == t and (c.position >= 0 or c.constant))
            if not filled:
                raise UserError(
                    self.env._(
                        "No column becomes the %s: choose the column that holds it, or give a text for every row.",
                        labels[target],
                    )
                )
        for target, columns in used.grouped("target").items():
            if len(columns) > {"data": len(columns), "time": 2}.get(target, 1):
                raise UserError(self.env._("Several columns become the %s: leave all but one out.", labels[target]))
        self._check_data(used.filtered(lambda column: column.target == "data"))
        if self.time_format == "custom" and not self.time_pattern:
            raise UserError(self.env._("Give the pattern of the times, such as %s.", "%d %b %Y %H:%M"))

    def _check_data(self, columns):
        columns._check_path()
        paths = sorted(column.path.split(".") for column in columns)
        for path, following in pairwise(paths):
            if following[: len(path)] == path:
                raise UserError(
                    self.env._("Two columns go to data.%s: give each a place of its own.", ".".join(following))
                )

    def _columns(self):
        """The columns that make the event, as plain values."""
        return [
            column._as_column()
            for column in self.column_ids
            if column.target != "ignore" and (column.position >= 0 or column.constant)
        ]

    def _reading(self):
        return cells.Reading(read_zone(self.tz), self.decimal_sign, self.time_format, self.time_pattern or "")

    def _remember(self):
        names = ("name", "position", "target", "path", "kind", "constant")
        columns = [{name: column[name] for name in names} for column in self.column_ids]
        settings = {name: self[name] for name in REMEMBERED}
        self.env["usage.import.mapping"]._remember(self.source_id, self.names, columns, settings)
