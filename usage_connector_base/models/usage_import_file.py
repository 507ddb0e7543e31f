import base64
import csv
import io
import zipfile
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from urllib.parse import quote

import openpyxl
import xlrd
import xlsxwriter

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL

from odoo.addons.base_import.models.base_import import ImportValidationError

from ..ingestion import cells, facts
from ..ingestion.cells import CellError
from ..ingestion.envelope import decode
from .usage_import import REASON_COLUMN

SAMPLE_ROWS = 30
SAMPLE_BYTES = 256 * 1024  # in which letters and separator of a CSV file are found out
MAX_COLUMNS = 200
UNPACKED = 20  # times the allowed size of a file, that a packed one may have inside
READ_BYTES = 1024 * 1024
DATE_FORMATS = {datetime: "yyyy-mm-dd hh:mm:ss", date: "yyyy-mm-dd", time: "hh:mm:ss"}
NO_VALUE = CellError("a formula without a value: open the file in a spreadsheet and save it")


class UsageImport(models.Model):
    """Reading a file, row by row, so that a large one takes little more memory than its bytes.

    Letters and separator of CSV files are found out as Odoo's own import does. Its readers themselves are not
    used: they keep all rows in memory, forget which row is which, and one failed formula makes them refuse the file.
    """

    _inherit = "usage.import"

    def _look_into_file(self):
        """Names of the columns, and the first rows as JSON text.

        :raises UserError: what is wrong with the file and what to do
        """
        rows = list(islice(self._file_rows(), SAMPLE_ROWS + 1))
        width = max((len(row) for _number, row in rows), default=0)
        if not width or (self.has_header and len(rows) < 2):
            raise UserError(self.env._("The file has no rows to import: choose another file or sheet."))
        if width > MAX_COLUMNS:
            raise UserError(self.env._("The file has more than %s columns: leave out what is not usage.", MAX_COLUMNS))
        header = rows[0][1] if self.has_header else []
        names = [
            cells.as_text(cells.cell_at(header, n)) or self.env._("Column %s", openpyxl.utils.get_column_letter(n + 1))
            for n in range(width)
        ]
        sample = [list(map(cells.pack, row)) for _number, row in (rows[1:] if self.has_header else rows)]
        return names, facts.dump(sample)

    def _data_rows(self):
        """The rows that hold events: (number of the row in the file from 1, cells), without empty ones."""
        rows = self._file_rows()
        return islice(rows, 1, None) if self.has_header else rows

    def _file_rows(self):
        """All rows of the file but empty ones: (number, cells)."""
        self.ensure_one()
        content = self._content()
        for number, row in enumerate(self._reader(content)(content), 1):
            if any(cell is not None and cell != "" for cell in row):
                yield number, row

    def _content(self):
        content = base64.b64decode(self.with_context(bin_size=False).file or b"")
        limit = self._byte_limit()
        if not content:
            raise UserError(self.env._("The file is empty: choose another one."))
        if len(content) > limit:
            raise UserError(self.env._("The file is over %s MiB: import it in parts.", limit // 1024 // 1024))
        return content

    @api.model
    def _limit(self, name, default):
        # sudo: operators read no settings; these bound what a file may hold
        return int(self.env["ir.config_parameter"].sudo().get_param(name, default))

    def _reader(self, content):
        """The function that reads a file of this kind, told by its first bytes."""
        if content.startswith(b"PK\x03\x04"):
            return self._xlsx_rows
        if content.startswith(b"\xd0\xcf\x11\xe0"):
            return self._xls_rows
        if content.startswith(b"%PDF") or b"\0" in content[:1000] and content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
            raise UserError(self.env._("This is no CSV, XLSX or XLS file: save it as one of these."))
        return self._csv_rows

    def _byte_limit(self):
        return self._limit("usage.import_max_bytes", 64 * 1024 * 1024)

    # -- CSV --------------------------------------------------------------------------------

    def _csv_rows(self, content):
        encoding, separator = self._csv_dialect(content)
        text = io.TextIOWrapper(io.BytesIO(content), encoding, newline="")
        reader = csv.reader(text, delimiter=separator)
        try:
            yield from reader
        except UnicodeError as exc:
            raise UserError(
                self.env._(
                    "After row %(row)s the file is not %(encoding)s: choose how its letters are written.",
                    row=reader.line_num,
                    encoding=encoding,
                )
            ) from exc
        except csv.Error as exc:
            raise UserError(
                self.env._(
                    "After row %(row)s the file is no sound CSV (%(error)s): mend it, or choose another separator.",
                    row=reader.line_num,
                    error=exc,
                )
            ) from exc

    def _csv_dialect(self, content):
        """How the letters are written and what separates columns: as chosen, or as found out."""
        encoding = self._known_encoding(self.encoding) if self.encoding else self._unicode_encoding(content)
        if encoding and self.separator:
            return encoding, self.separator
        options = {"quoting": '"', "encoding": encoding, "separator": self.separator}
        sample = content if len(content) <= SAMPLE_BYTES else content[: content.rindex(b"\n", 0, SAMPLE_BYTES) + 1]
        try:
            self.env["base_import.import"].new({"file": sample})._read_csv(options)
        except (ImportValidationError, csv.Error, LookupError, ValueError, AttributeError) as exc:
            # AttributeError: letters that the library knows nothing of have no name, which Odoo does not expect
            raise UserError(
                self.env._("The file cannot be read (%s): choose how its letters are written.", exc)
            ) from exc
        return options["encoding"], options["separator"] or ","

    def _unicode_encoding(self, content):
        """UTF-8 where the whole file is, UTF-16 where it says so, None otherwise."""
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return "utf-16"
        try:
            content.decode()
        except UnicodeDecodeError:
            return None
        return "utf-8-sig"

    def _known_encoding(self, encoding):
        try:
            "".encode(encoding)
        except LookupError as exc:
            raise UserError(
                self.env._("%s is no way to write letters that we know: try utf-8 or windows-1252.", encoding)
            ) from exc
        return encoding

    # -- spreadsheets -----------------------------------------------------------------------

    def _xls_rows(self, content):
        try:
            book = xlrd.open_workbook(file_contents=content, on_demand=True)
            sheet = book.sheet_by_name(self._sheet_of(book.sheet_names()))
        except UserError:
            raise
        except Exception as exc:  # xlrd raises whatever a broken file leads it into
            raise self._broken_spreadsheet(exc) from exc
        for row in sheet.get_rows():
            yield [self._xls_cell(cell, book.datemode) for cell in row]

    def _xls_cell(self, cell, datemode):
        if cell.ctype == xlrd.XL_CELL_NUMBER:
            return cells.exact(cell.value)
        if cell.ctype == xlrd.XL_CELL_DATE:
            try:
                return xlrd.xldate.xldate_as_datetime(cell.value, datemode)
            except (ValueError, OverflowError):
                return CellError(str(cell.value))
        if cell.ctype == xlrd.XL_CELL_BOOLEAN:
            return bool(cell.value)
        if cell.ctype == xlrd.XL_CELL_ERROR:
            return CellError(xlrd.error_text_from_code.get(cell.value, "#ERROR!"))
        return cell.value or None

    def _xlsx_rows(self, content):
        try:
            values = self._xlsx_sheet(content, data_only=True)
            formulas = self._has_formulas(content) and iter(self._xlsx_sheet(content, data_only=False).rows)
            for row in values.rows:
                known = next(formulas) if formulas else row
                yield [self._xlsx_cell(*pair) for pair in zip(row, known, strict=True)]
        except UserError:
            raise
        except Exception as exc:  # openpyxl raises whatever a broken file leads it into
            raise self._broken_spreadsheet(exc) from exc

    def _xlsx_sheet(self, content, data_only):
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=data_only)
        sheet = book[self._sheet_of(book.sheetnames)]
        sheet.reset_dimensions()  # as long as its rows are, not as the file claims
        return sheet

    def _has_formulas(self, content):
        """Whether any sheet has formulas: only then it is read twice, to tell empty cells from those not calculated.

        :raises UserError: the file is too large inside
        """
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(info.file_size for info in archive.infolist()) > UNPACKED * self._byte_limit():
                raise UserError(self.env._("The spreadsheet is too large inside: import it in parts, or as CSV."))
            return any(
                self._mentions_formula(archive, name)
                for name in archive.namelist()
                if name.startswith("xl/worksheets/")
            )

    def _mentions_formula(self, archive, name):
        with archive.open(name) as sheet:
            end = b""
            while chunk := sheet.read(READ_BYTES):
                if b"<f>" in end + chunk or b"<f " in end + chunk:
                    return True
                end = chunk[-2:]
        return False

    def _sheet_of(self, names):
        if self.sheet_name and self.sheet_name not in names:
            raise UserError(
                self.env._(
                    "The file has no sheet %(sheet)s: choose one of %(names)s.",
                    sheet=self.sheet_name,
                    names=", ".join(names),
                )
            )
        return self.sheet_name or names[0]

    def _xlsx_cell(self, cell, known):
        value = cell.value
        if value is None:
            return NO_VALUE if known.data_type == "f" else None
        if cell.data_type == "e":
            return CellError(str(value))
        if isinstance(value, float):
            return cells.exact(value)
        if isinstance(value, (str, bool, int, Decimal, date, time)):
            return value
        return str(value)  # a length of time

    def _broken_spreadsheet(self, exc):
        return UserError(self.env._("The spreadsheet cannot be read (%s): save it anew, as XLSX or CSV.", exc))

    # -- what did not count -----------------------------------------------------------------

    uncounted_file = fields.Binary(compute="_compute_uncounted_file", help="Rows to correct, with the reason of each.")

    def _compute_uncounted_file(self):
        for job in self:
            job.uncounted_file = base64.b64encode(job._write_uncounted())

    def action_download_uncounted(self):
        """The rows that did not count, as a spreadsheet to correct and import again."""
        self.ensure_one()
        name = quote(f"{(self.file_name or 'usage').rsplit('.', 1)[0]}-to-correct.xlsx")
        url = f"/web/content/{self._name}/{self.id}/uncounted_file/{name}?download=true"
        return {"type": "ir.actions.act_url", "url": url, "target": "download"}

    def _write_uncounted(self):
        """Bytes of an XLSX file: the rows as they came, each with its reason in a last column."""
        query = SQL(
            "SELECT cells::text, message FROM usage_import_row "
            "WHERE import_id = %s AND outcome IN ('rejected', 'conflict') ORDER BY number",
            self.id,
        )
        self.check_access("read")
        names = [name for name in self.names or [] if name != REASON_COLUMN]
        output = io.BytesIO()
        # Texts stay texts, whatever they begin with: what a sender wrote is no formula here.
        options = {"in_memory": True, "constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        with xlsxwriter.Workbook(output, options) as book:
            formats = {kind: book.add_format({"num_format": text}) for kind, text in DATE_FORMATS.items()}
            sheet = book.add_worksheet()
            sheet.write_row(0, 0, [*names, REASON_COLUMN])
            for number, (packed, message) in enumerate(self.env.execute_query(query), 1):
                row = decode(packed.encode())
                del row[len(names) :]
                for place, cell in enumerate(map(cells.unpack, row)):
                    self._write_cell(sheet, number, place, cell, formats)
                sheet.write_string(number, len(names), message or "")
        return output.getvalue()

    def _write_cell(self, sheet, number, place, cell, formats):
        if isinstance(cell, str):
            sheet.write_string(number, place, cell)
        elif isinstance(cell, CellError):
            sheet.write_string(number, place, cell.text)
        elif isinstance(cell, (date, time)):
            sheet.write_datetime(number, place, cell, formats[type(cell)])
        elif cell is not None:
            sheet.write(number, place, cell)
