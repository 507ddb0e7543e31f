"""Bad rows of files as a table: what stands in a row, what becomes of it, and where a person finds it."""

from datetime import date, datetime
from typing import NamedTuple

from odoo.tests import tagged

from .common_import import ImportCommon

EMPTY = object()


class BadRow(NamedTuple):
    """One row of the table; files that cannot be read at all are in ``test_import``."""

    what: str
    cells: dict  # changes to a sound row
    outcome: str
    code: str


def rejected(what, cells, code):
    return BadRow(what, cells, "rejected", code)


TABLE = [
    rejected("a word for a number", {"tokens": "many"}, "value_not_number"),
    rejected("a decimal comma where points are expected", {"tokens": "1,5"}, "value_not_number"),
    rejected("a number with its unit", {"tokens": "5 GB"}, "value_not_number"),
    rejected("a number with a currency", {"tokens": "$5"}, "value_not_number"),
    rejected("two numbers", {"tokens": "1 2"}, "value_not_number"),
    rejected("NaN", {"tokens": "NaN"}, "value_not_number"),
    rejected("a hexadecimal number", {"tokens": "0x1F"}, "value_not_number"),
    rejected("a percentage", {"tokens": "5%"}, "value_not_number"),
    rejected("a date for a number", {"tokens": date(2026, 1, 31)}, "value_not_number"),
    rejected("a truth value for a number", {"tokens": True}, "value_not_number"),
    rejected("a huge exponent", {"tokens": "1e400"}, "value_not_number"),
    rejected("a number of 200 digits", {"tokens": "9" * 200}, "value_not_number"),
    rejected("an empty number", {"tokens": EMPTY}, "value_missing"),
    rejected("blanks for a number", {"tokens": "   "}, "value_missing"),
    rejected("a negative number", {"tokens": -1}, "value_negative"),
    rejected("a negative text", {"tokens": "-0.5"}, "value_negative"),
    rejected("a number of 19 digits", {"tokens": "9" * 19}, "value_out_of_range"),
    rejected("a formula that was never calculated", {"tokens": "=1+1"}, "value_not_number"),
    rejected("a formula for the account", {"subject": "=A1"}, "subject_invalid"),
    rejected("a formula for the time", {"time": "=NOW()"}, "time_invalid"),
    rejected("a formula for a dimension", {"model": "=A1"}, "dimension_invalid"),
    rejected("a formula for the type", {"type": "=A1"}, "type_invalid"),
    rejected("no account", {"subject": EMPTY}, "subject_invalid"),
    rejected("blanks for the account", {"subject": "  "}, "subject_invalid"),
    rejected("an account of 256 characters", {"subject": "x" * 256}, "subject_invalid"),
    rejected("no type", {"type": EMPTY}, "type_invalid"),
    rejected("no id where a column holds ids", {"id": EMPTY}, "id_invalid"),
    rejected("an id of 256 characters", {"id": "x" * 256}, "id_invalid"),
    rejected("no time", {"time": EMPTY}, "time_invalid"),
    rejected("a word for a time", {"time": "yesterday"}, "time_invalid"),
    rejected("the day first where the year is expected", {"time": "31.01.2026"}, "time_invalid"),
    rejected("a day that does not exist", {"time": "2025-02-29"}, "time_invalid"),
    rejected("an hour that does not exist", {"time": "2026-01-31 24:30"}, "time_invalid"),
    rejected("seconds where dates are expected", {"time": "1769903999"}, "time_invalid"),
    rejected("a number that is no date", {"time": 46053}, "time_invalid"),
    rejected("a time of 1970", {"time": datetime(1970, 1, 1, 10)}, "time_too_old"),
    rejected("a time in the year 3000", {"time": "3000-01-01"}, "time_in_future"),
    rejected("a dimension of 201 characters", {"model": "x" * 201}, "dimension_invalid"),
    BadRow("an account nobody knows", {"subject": "nobody"}, "quarantined", "account_unmapped"),
    BadRow("a type nobody counts", {"type": "unheard.of"}, "quarantined", "meter_unknown"),
    BadRow("a row that was imported before", {"id": "known"}, "duplicate", "id_known"),
    BadRow("its id with another number", {"id": "known", "tokens": 9}, "conflict", "id_conflict"),
]


@tagged("post_install", "-at_install")
class TestBadRows(ImportCommon):
    def cells(self, number, bad):
        names = ("id", "subject", "time", "tokens", "model", "type")
        sound = dict(zip(names, self.row(f"bad {number}"), strict=True))
        return [None if cell is EMPTY else cell for cell in {**sound, **bad.cells}.values()]

    def test_table(self):
        """All in one file, each between two good rows: every good one counts, every bad one is told."""
        self.imported(self.xlsx(self.row("known")), "before.xlsx")
        rows = []
        for number, bad in enumerate(TABLE):
            rows += [self.cells(number, bad), self.row(f"good {number}")]
        job = self.imported(self.xlsx(*rows), "bad.xlsx")
        found = self.rows(job)
        for number, bad in enumerate(TABLE):
            with self.subTest(bad.what):
                self.assertEqual(found[2 * number + 2], (bad.outcome, bad.code))
                self.assertEqual(found[2 * number + 3], "accepted")
                self._find(job, 2 * number + 2, bad)
        self.assertEqual(job.accepted_count, len(TABLE))

    def _find(self, job, number, bad):
        """A person finds it: the row with its reason, and the exception where there is one."""
        row = self.env["usage.import.row"].search([("import_id", "=", job.id), ("number", "=", number)])
        self.assertTrue(row.message)
        if bad.outcome in ("rejected", "conflict"):
            exceptions = self.env["usage.exception"].search(job.action_view_exceptions()["domain"])
            [found] = exceptions.filtered(lambda x: x.digest == row.digest)
            self.assertEqual(found.reason, "conflict" if bad.outcome == "conflict" else bad.code)
            self.assertEqual((found.state, found.message), ("open", row.message))
            self.assertTrue(found.payload)
