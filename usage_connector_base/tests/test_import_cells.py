from datetime import date, datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

from odoo.tests import BaseCase, tagged

from ..ingestion import cells
from ..ingestion.cells import CellError, Column, Reading

BERLIN = ZoneInfo("Europe/Berlin")
UTC = ZoneInfo("UTC")


@tagged("post_install", "-at_install")
class TestNumbers(BaseCase):
    def number(self, cell, decimal_sign="."):
        """What a cell becomes: (value, code)."""
        column = Column("N", 0, "data", ("n",), is_number=True)
        event, trouble = cells.read_row([cell], [column], Reading(UTC, decimal_sign))
        return event["data"].get("n"), trouble and trouble.code

    def test_texts_with_a_point(self):
        for text, value in (
            ("0", 0),
            ("42", 42),
            (" 42 ", 42),
            ("-3", -3),
            ("+3", 3),
            ("0.10", Decimal("0.1")),
            (".5", Decimal("0.5")),
            ("1e5", 100000),
            ("1E-7", Decimal("1E-7")),
            ("1,234", 1234),
            ("1,234,567.89", Decimal("1234567.89")),
            ("1 234.5", Decimal("1234.5")),
            ("1\u00a0234\u00a0567", 1234567),
            ("1'234.50", Decimal("1234.5")),
            ("0.1234567890123456789012345", Decimal("0.1234567890123456789012345")),
            ("123456789012345678901234567890", 123456789012345678901234567890),
        ):
            with self.subTest(text):
                self.assertEqual(self.number(text), (value, None))

    def test_texts_with_a_comma(self):
        for text, value in (
            ("1,5", Decimal("1.5")),
            ("1.234,50", Decimal("1234.5")),
            ("1.234", 1234),
            ("0,0000001", Decimal("1E-7")),
        ):
            with self.subTest(text):
                self.assertEqual(self.number(text, ","), (value, None))

    def test_what_is_no_number(self):
        for sign, text in (
            (".", "1,5"),
            (".", "1,23,456"),
            (".", "12 34"),
            (".", "ten"),
            (".", "1.2.3"),
            (".", "0x10"),
            (".", "NaN"),
            (".", "Infinity"),
            (".", "5 EUR"),
            (".", "1_000"),
            (".", "-"),
            (".", "."),
            (".", "9" * 200),
            (",", "1.5"),
            (",", "1,5,0"),
        ):
            with self.subTest(text, sign=sign):
                self.assertEqual(self.number(text, sign), (text, "value_not_number"))

    def test_numbers_of_spreadsheets_need_no_sign(self):
        for cell, value in ((42, 42), (cells.exact(0.1), Decimal("0.1")), (cells.exact(1e5), 100000)):
            self.assertEqual(self.number(cell, ","), (value, None))
        self.assertEqual(self.number(cells.exact(1e22)), (10**22, None))
        self.assertEqual(self.number(cells.exact(0.1 + 0.2)), (Decimal("0.30000000000000004"), None))

    def test_empty_is_left_out(self):
        for cell in (None, "", "  "):
            self.assertEqual(self.number(cell), (None, None))

    def test_other_cells_are_no_numbers(self):
        for cell in (True, date(2026, 1, 31), CellError("#DIV/0!")):
            self.assertEqual(self.number(cell)[1], "value_not_number")


@tagged("post_install", "-at_install")
class TestTimes(BaseCase):
    def time(self, *values, zone=UTC, time_format="iso", pattern=""):
        columns = [Column(f"T{n}", n, "time") for n in range(len(values))]
        event, trouble = cells.read_row(list(values), columns, Reading(zone, ".", time_format, pattern))
        return event["time"] if not trouble else trouble.code

    def test_texts(self):
        for text, time_format, expected in (
            ("2026-01-31T14:03:07Z", "iso", "2026-01-31T14:03:07Z"),
            ("2026-01-31 14:03", "iso", "2026-01-31T14:03:00Z"),
            ("2026-01-31", "iso", "2026-01-31T00:00:00Z"),
            ("2026/1/31 4:03", "iso", "2026-01-31T04:03:00Z"),
            ("2026-01-31T14:03:07.250+01:00", "iso", "2026-01-31T13:03:07.250000Z"),
            ("2026-01-31 14:03:07 +0100", "iso", "2026-01-31T13:03:07Z"),
            ("2026-01-31 14:03:07 UTC", "dmy", "2026-01-31T14:03:07Z"),
            ("31.01.2026 14:03", "dmy", "2026-01-31T14:03:00Z"),
            ("31/1/26", "dmy", "2026-01-31T00:00:00Z"),
            ("02/01/2026 12:30 AM", "mdy", "2026-02-01T00:30:00Z"),
            ("02/01/2026, 2:03 pm", "mdy", "2026-02-01T14:03:00Z"),
            ("1769903999", "unix", "2026-01-31T23:59:59Z"),
            ("1769903999.25", "unix", "2026-01-31T23:59:59.250000Z"),
            ("1769903999250", "unix_ms", "2026-01-31T23:59:59.250000Z"),
        ):
            with self.subTest(text, time_format=time_format):
                self.assertEqual(self.time(text, time_format=time_format), expected)

    def test_pattern(self):
        self.assertEqual(
            self.time("31 Jan 2026 14h03", time_format="custom", pattern="%d %b %Y %Hh%M"), "2026-01-31T14:03:00Z"
        )
        self.assertEqual(self.time("14h", time_format="custom", pattern="%d %b %Y"), "time_invalid")

    def test_no_times(self):
        for text, time_format in (
            ("31.01.2026", "iso"),
            ("31.01.2026", "mdy"),
            ("2026-02-29", "iso"),
            ("2026-01-31 25:00", "iso"),
            ("01/31/2026 13:00 PM", "mdy"),
            ("yesterday", "dmy"),
            ("1769903999", "iso"),
            ("soon", "unix"),
            ("1e99", "unix"),
            ("2026-01-31 10:00 +99:00", "iso"),
        ):
            with self.subTest(text, time_format=time_format):
                self.assertEqual(self.time(text, time_format=time_format), "time_invalid")

    def test_zones(self):
        self.assertEqual(self.time("2026-01-31 14:03", zone=BERLIN), "2026-01-31T13:03:00Z")
        self.assertEqual(self.time("2026-07-31 14:03", zone=BERLIN), "2026-07-31T12:03:00Z")
        self.assertEqual(self.time("2026-07-31T14:03Z", zone=BERLIN), "2026-07-31T14:03:00Z")

    def test_clocks_change(self):
        """An hour that the clocks repeat is the first of both; one that they skip is none."""
        self.assertEqual(self.time("2026-10-25 02:30", zone=BERLIN), "2026-10-25T00:30:00Z")
        self.assertEqual(self.time("2026-03-29 02:30", zone=BERLIN), "time_invalid")

    def test_cells_of_spreadsheets(self):
        self.assertEqual(self.time(datetime(2026, 1, 31, 14, 3), zone=BERLIN), "2026-01-31T13:03:00Z")
        self.assertEqual(self.time(date(2026, 1, 31), zone=BERLIN), "2026-01-30T23:00:00Z")
        self.assertEqual(self.time(CellError("#REF!")), "time_invalid")

    def test_day_and_time_of_day(self):
        self.assertEqual(self.time(date(2026, 1, 31), time(14, 3)), "2026-01-31T14:03:00Z")
        self.assertEqual(self.time(datetime(2026, 1, 31), time(14, 3)), "2026-01-31T14:03:00Z")
        self.assertEqual(self.time("31.01.2026", "14:03", time_format="dmy"), "2026-01-31T14:03:00Z")
        self.assertEqual(self.time(datetime(2026, 1, 31), "14:03"), "2026-01-31T14:03:00Z")

    def test_empty(self):
        self.assertEqual(self.time(None), "")
        self.assertEqual(self.time("", " "), "")


@tagged("post_install", "-at_install")
class TestRows(BaseCase):
    COLUMNS = (
        Column("Id", 0, "id"),
        Column("Account", 1, "subject"),
        Column("Tenant", 2, "tenant"),
        Column("Model", 3, "data", ("model", "name")),
        Column("Tokens", 4, "data", ("model", "tokens"), is_number=True),
        Column("Type", None, "type", constant="llm.completion"),
    )

    def row(self, *values):
        return cells.read_row(list(values), self.COLUMNS, Reading(UTC))

    def test_event(self):
        event, trouble = self.row(4711, " acme ", None, True, "1.50")
        self.assertIsNone(trouble)
        self.assertEqual(
            event,
            {
                "id": "4711",
                "subject": "acme",
                "type": "llm.completion",
                "data": {"model": {"name": "true", "tokens": Decimal("1.5")}},
            },
        )

    def test_short_row(self):
        """What is required stays, empty, for the pipeline to reject."""
        event, trouble = self.row("a")
        self.assertEqual((event, trouble), ({"id": "a", "subject": "", "type": "llm.completion", "data": {}}, None))

    def test_failed_formula_names_its_column(self):
        event, trouble = self.row("a", CellError("#N/A"), None, None, 1)
        self.assertEqual((trouble.code, event["subject"]), ("subject_invalid", "#N/A"))
        self.assertIn("Column Account: #N/A", trouble.message)

    def test_first_trouble_is_told(self):
        event, trouble = self.row("a", "b", None, CellError("#N/A"), "x")
        self.assertEqual(trouble.code, "dimension_invalid")
        self.assertEqual(event["data"]["model"]["tokens"], "x")

    def test_derived_ids(self):
        seen, again = {}, {}
        events = [{"subject": name, "data": {"n": n}} for name, n in (("a", 1), ("b", 1), ("a", 1), ("a", 2))]
        copies = [dict(reversed(event.items())) for event in events]
        for event in events:
            cells.give_id(event, seen)
        for event in copies:
            cells.give_id(event, again)
        ids = [event["id"] for event in events]
        self.assertEqual(len(set(ids)), 4, "rows that are alike are told apart")
        self.assertEqual(ids[2], ids[0] + "-2")
        self.assertEqual(ids, [event["id"] for event in copies], "the same rows, the same ids")

    def test_packing(self):
        row = ["a", 1, Decimal("0.10"), True, None, date(2026, 1, 31), time(14, 3), datetime(2026, 1, 31, 14, 3)]
        row.append(CellError("#REF!"))
        self.assertEqual([cells.unpack(cells.pack(cell)) for cell in row], row)
