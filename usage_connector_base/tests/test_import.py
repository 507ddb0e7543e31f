import base64
import io
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import openpyxl
import xlwt

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from odoo.addons.usage_connector_base.models import usage_import_job
from odoo.addons.usage_connector_base.models.usage_import import REASON_COLUMN

from .common_import import HEADER, ImportCommon


@tagged("post_install", "-at_install")
class TestFiles(ImportCommon):
    """Files as people have them."""

    def data(self, *ids):
        return {event.event_id: event.data for event in self.stored(*ids)}

    def test_csv(self):
        job = self.imported(self.csv(self.row("a", "1.50"), self.row("b", "1e5"), self.row("c", 3, model="")))
        self.assertEqual((job.state, job.row_count, job.progress), ("done", 3, 100))
        self.assertEqual(self.counts(job), {"accepted": 3})
        stored = self.data("a", "b", "c")
        self.assertEqual(stored["a"], {"tokens": 1.5, "model": "large"})
        self.assertEqual(stored["b"]["tokens"], 100000)
        self.assertNotIn("model", stored["c"])
        self.fold()
        self.assertEqual(sum(Decimal(quantity) for quantity, _n in self.figures().values()), Decimal("100004.5"))

    def test_latin_1_with_semicolons(self):
        content = self.csv(
            ("a", "Müller & Söhne", "31.01.2026 14:03".replace("31.01.2026", f"{self.hour:%d.%m.%Y}"), "1.234,5"),
            header=("ID", "Konto", "Zeit", "Größe"),
            separator=";",
            encoding="latin-1",
            end="\r\n",
        )
        job = self.new(content, encoding="latin-1")
        self.assertEqual(job.names, ["ID", "Konto", "Zeit", "Größe"])
        self.assertEqual(self.matched(job)["Zeit"], "time")
        job.write({"decimal_sign": ",", "time_format": "dmy", "tz": "Europe/Berlin"})
        job.column_ids.filtered(lambda c: c.name == "Größe").write({"path": "tokens", "kind": "number"})
        job.column_ids.filtered(lambda c: c.target == "type").constant = "llm.completion"
        job.action_start()
        self.run_steps(job)
        self.assertEqual(self.counts(job), {"quarantined": 1})
        event = self.stored("a")
        self.assertEqual((event.account_id.external_id, event.data["tokens"]), ("Müller & Söhne", 1234.5))
        self.assertIn(self.hour.replace(hour=14, minute=3) - event.time, (timedelta(hours=1), timedelta(hours=2)))

    def test_encodings_found_out(self):
        for encoding in ("utf-8", "utf-8-sig", "utf-16", "windows-1252"):
            with self.subTest(encoding):
                text = [(f"{encoding} {n}", "Müller Straße für Äpfel", self.time(), n) for n in range(20)]
                job = self.new(self.csv(*text, header=HEADER[:4], encoding=encoding))
                self.assertEqual(job.names, list(HEADER[:4]))
                subject = next(column for column in job.column_ids if column.target == "subject")
                self.assertEqual(subject.example, "Müller Straße für Äpfel")

    def test_separators_found_out(self):
        for separator in (",", ";", "\t", "|"):
            with self.subTest(separator):
                self.assertEqual(self.new(self.csv(self.row("a"), separator=separator)).names, list(HEADER))

    def test_quoted_lines(self):
        content = (
            f'Event ID,Account,Time,tokens,model,type\n"a","acme",{self.time()},1,"two\nlines, ""quoted""",'
            f"llm.completion\n\n,,,,,\nb,acme,{self.time()},x,large,llm.completion\n"
        ).encode()
        job = self.imported(content)
        self.assertEqual(self.data("a")["a"]["model"], 'two\nlines, "quoted"')
        self.assertEqual(self.rows(job), {2: "accepted", 5: ("rejected", "value_not_number")}, "empty rows are none")

    def test_xlsx(self):
        job = self.imported(
            self.xlsx(
                ("a", "acme", self.hour, 0.1, "large", "llm.completion"),
                (4711, "acme", self.hour, 100000.0, None, "llm.completion"),
                ("c", "acme", self.hour.date(), 1e-7, True, "llm.completion"),
                (None, None, None, None, None, None),
                ("e", "acme", self.time(), "1.50", 7.0, "llm.completion"),
            ),
            "usage.xlsx",
        )
        self.assertEqual(self.counts(job), {"accepted": 4})
        stored = self.data("a", "4711", "c", "e")
        self.assertEqual(stored["4711"], {"tokens": 100000})
        self.assertEqual((stored["c"]["model"], stored["e"]["model"]), ("true", "7"))
        self.assertEqual(self.stored("a").time, self.hour)
        self.assertEqual(self.stored("c").time, self.hour.replace(hour=0))
        self.fold()
        self.assertEqual(
            sum(Decimal(quantity) for quantity, _n in self.figures().values()), Decimal("100001.6000001"), "exact"
        )
        self.assertEqual(set(self.rows(job)), {2, 3, 4, 6})

    def test_xlsx_dates_are_of_the_chosen_zone(self):
        self.imported(self.xlsx(self.row("a", time=self.hour)), "usage.xlsx", tz="Asia/Kolkata")
        self.assertEqual(self.stored("a").time, self.hour - timedelta(hours=5, minutes=30))

    def test_formulas(self):
        """One that was never calculated is no empty cell, one that failed is no account."""
        job = self.imported(
            self.xlsx(self.row("a", "=1+1"), self.row("b", subject="=NA()"), self.row("c", 3)), "usage.xlsx"
        )
        self.assertEqual(
            self.rows(job), {2: ("rejected", "value_not_number"), 3: ("rejected", "subject_invalid"), 4: "accepted"}
        )
        message = self.exceptions(event_ref="a").message
        self.assertIn("Column tokens: a formula without a value", message)

    def test_failed_formula(self):
        book = openpyxl.Workbook()
        book.active.append(HEADER)
        book.active.append(self.row("a"))
        book.active["B2"].value, book.active["B2"].data_type = "#DIV/0!", "e"
        output = io.BytesIO()
        book.save(output)
        job = self.imported(output.getvalue(), "usage.xlsx")
        self.assertEqual(self.rows(job), {2: ("rejected", "subject_invalid")})
        self.assertFalse(self.env["usage.account"].search([("external_id", "=", "#DIV/0!")]))

    def test_sheets(self):
        book = openpyxl.Workbook()
        book.active.title = "Notes"
        book.active.append(["nothing here"])
        sheet = book.create_sheet("Usage")
        sheet.append(HEADER)
        sheet.append(self.row("a"))
        output = io.BytesIO()
        book.save(output)
        self.assertEqual(self.counts(self.imported(output.getvalue(), "u.xlsx", sheet_name="Usage")), {"accepted": 1})
        with self.assertRaisesRegex(UserError, "one of Notes, Usage"):
            self.new(output.getvalue(), "u.xlsx", sheet_name="Other")

    def test_xls(self):
        book = xlwt.Workbook()
        sheet = book.add_sheet("Usage")
        style = xlwt.easyxf(num_format_str="yyyy-mm-dd hh:mm")
        rows = (HEADER, self.row("a", 0.1), self.row(4711, 3, time=self.hour))
        for number, row in enumerate(rows):
            for place, value in enumerate(row):
                sheet.write(number, place, value, *[style] * (value is self.hour))
        output = io.BytesIO()
        book.save(output)
        job = self.imported(output.getvalue(), "usage.xls")
        self.assertEqual(self.counts(job), {"accepted": 2})
        self.assertEqual(self.stored("4711").time, self.hour)
        self.assertEqual(self.data("a")["a"]["tokens"], 0.1)

    def test_without_a_header(self):
        content = self.csv(self.row("a"), header=None)
        job = self.new(content, has_header=False)
        self.assertEqual(job.names[0], "Column A")
        targets = dict(zip(job.column_ids, ("id", "subject", "time", "data", "data", "type"), strict=False))
        for column, target in targets.items():
            column.target = target
        job.column_ids[3].path, job.column_ids[4].path = "tokens", "model"
        job.column_ids.filtered(lambda c: c.position < 0).unlink()
        job.action_start()
        self.run_steps(job)
        self.assertEqual(self.rows(job), {1: "accepted"})

    def test_what_is_no_table(self):
        good = self.xlsx(self.row("a"))
        for what, content, message in (
            ("nothing", b"", "choose another|required"),
            ("a header only", self.csv(), "no rows"),
            ("blank lines", b"\n\n,,\n", "no rows"),
            ("a PDF", b"%PDF-1.7 rest", "CSV, XLSX or XLS"),
            ("bytes", b"\x00\x01\x02" * 99, "CSV, XLSX or XLS"),
            ("half a spreadsheet", good[: len(good) // 2], "cannot be read"),
            ("a broken old spreadsheet", b"\xd0\xcf\x11\xe0" + b"x" * 3000, "cannot be read"),
            ("300 columns", self.csv(range(300), header=range(300)), "200 columns"),
        ):
            with self.subTest(what), self.assertRaisesRegex(UserError, message):
                self.new(content)

    def test_wrong_choices(self):
        content = self.csv(self.row("a", subject="Müller"))
        for encoding, message in (("klingon", "no way to write letters"), ("ascii", "how its letters are written")):
            with self.subTest(encoding), self.assertRaisesRegex(UserError, message):
                self.new(content, encoding=encoding)

    def test_limits(self):
        self.env["ir.config_parameter"].set_param("usage.import_max_bytes", 50)
        with self.assertRaisesRegex(UserError, "in parts"):
            self.new(self.csv(self.row("a")))
        self.env["ir.config_parameter"].set_param("usage.import_max_bytes", 10**6)
        self.env["ir.config_parameter"].set_param("usage.import_max_rows", 1)
        job = self.new(self.csv(self.row("a"), self.row("b")))
        job.action_start()
        with self.assertRaisesRegex(UserError, "more than 1 rows"):
            self.run_steps(job)

    def test_packed_too_well(self):
        """A spreadsheet that is small outside and large inside is refused before it is unpacked."""
        content = self.xlsx(*[self.row(n, model="x" * 500) for n in range(300)])
        self.env["ir.config_parameter"].set_param("usage.import_max_bytes", len(content))
        unpacked = "odoo.addons.usage_connector_base.models.usage_import_file.UNPACKED"
        with patch(unpacked, 1), self.assertRaisesRegex(UserError, "too large inside"):
            self.new(content, "u.xlsx")


@tagged("post_install", "-at_install")
class TestColumns(ImportCommon):
    def test_suggestions(self):
        job = self.new(
            self.csv(("a", "acme", self.time(), "5", "Big One", "t"), header=(*HEADER[:4], "Größe x", "Typ"))
        )
        columns = {column.name: column for column in job.column_ids}
        self.assertEqual(self.matched(job)["Typ"], "type")
        self.assertEqual((columns["tokens"].target, columns["tokens"].path), ("data", "tokens"))
        self.assertEqual((columns["tokens"].kind, columns["Größe x"].kind), ("number", "text"))
        self.assertEqual(columns["Größe x"].path, "gr__e_x")

    def test_missing_columns_are_asked_for(self):
        job = self.new(self.csv(("acme", 5), header=("Account", "tokens")))
        constants = job.column_ids.filtered(lambda c: c.position < 0)
        self.assertEqual(set(constants.mapped("target")), {"type", "time"})
        with self.assertRaisesRegex(UserError, "No column becomes the Event Type"):
            job.action_start()
        constants.filtered(lambda c: c.target == "type").constant = "llm.completion"
        with self.assertRaisesRegex(UserError, "No column becomes the Time"):
            job.action_start()
        constants.filtered(lambda c: c.target == "time").constant = self.time()
        job.action_start()
        self.run_steps(job)
        self.assertEqual(self.counts(job), {"accepted": 1})

    def test_columns_that_make_no_events(self):
        def change(values, name="model"):
            job = self.new(self.csv(self.row("a")))
            job.column_ids.filtered(lambda c: c.name == name).write(values)
            return job

        for values, message in (
            ({"target": "id"}, "Several columns become the Event ID"),
            ({"path": "tokens"}, "Two columns go to data.tokens"),
            ({"path": "tokens.deep"}, "Two columns go to data.tokens.deep"),
            ({"path": "a b"}, "is no path"),
            ({"path": False}, "is no path"),
        ):
            with self.subTest(message), self.assertRaisesRegex(UserError, message):
                change(values).action_start()
        job = self.new(self.csv(self.row("a")))
        job.time_format = "custom"
        with self.assertRaisesRegex(UserError, "pattern"):
            job.action_start()

    def test_remembered(self):
        job = self.new(self.csv(self.row("a")))
        job.column_ids.filtered(lambda c: c.name == "model").write({"target": "tenant"})
        job.column_ids.create({"import_id": job.id, "target": "data", "path": "region", "constant": "eu"})
        job.tz = "Europe/Berlin"
        job.action_start()
        self.run_steps(job)
        self.assertEqual(self.stored("a").data["region"], "eu")
        again = self.new(self.csv(self.row("b"), header=[name.upper() for name in HEADER]), "other.csv")
        self.assertEqual(self.matched(again)["model"], "tenant")
        self.assertEqual((again.tz, self.matched(again)["eu"]), ("Europe/Berlin", "data"))
        mapping = self.env["usage.import.mapping"].search([("source_id", "=", self.source.id)])
        self.assertIn("model → Tenant", mapping.description)
        self.assertIn("eu → Data region", mapping.description)

        other = self.new(self.csv(self.row("b")), source=self._source("other-cloud"))
        self.assertEqual(self.matched(other)["model"], "data", "another source remembers its own")
        mapping.with_user(self.operator).unlink()
        self.assertEqual(self.matched(self.new(self.csv(self.row("c"))))["model"], "data")

    def test_the_latest_is_remembered(self):
        for target in ("tenant", "user"):
            job = self.new(self.csv(self.row(target)))
            job.column_ids.filtered(lambda c: c.name == "model").target = target
            job.action_start()
        self.assertEqual(self.matched(self.new(self.csv(self.row("x"))))["model"], "user")
        self.assertEqual(self.env["usage.import.mapping"].search_count([("source_id", "=", self.source.id)]), 1)

    def test_preview(self):
        self.ingest([self.event("known", source=None), self.event("other", tokens=7, source=None)])
        before = self.env["usage.batch"].search_count([])
        job = self.new(
            self.csv(
                self.row("new"),
                self.row("known"),
                self.row("other", 8),
                self.row("held", subject="<b>nobody</b>"),
                self.row("typed", type="unheard.of"),
                self.row("bad", "many"),
                self.row("late", time="1970-01-01"),
            )
        )
        html = job.preview_html
        for text in ("Accepted", "Duplicate", "Conflict", "Quarantined", "Rejected", "Column tokens: many", "past"):
            self.assertIn(text, html)
        self.assertIn("&lt;b&gt;nobody", html)
        self.assertNotIn("<b>nobody", html)
        self.assertEqual(self.env["usage.batch"].search_count([]), before, "nothing is stored")
        self.assertFalse(self.env["usage.account"].search([("external_id", "ilike", "nobody")]))
        self.assertFalse(self.exceptions())
        job.column_ids.filtered(lambda c: c.name == "tokens").path = False
        self.assertIn("where its value goes", job.preview_html)


@tagged("post_install", "-at_install")
class TestJob(ImportCommon):
    def test_same_pipeline(self):
        """Outcomes, exceptions and the request are those of events that a system sends."""
        self.ingest([self.event("known", source=None), self.event("other", tokens=7, source=None)])
        job = self.imported(
            self.csv(
                self.row("new"),
                self.row("known"),
                self.row("other", 8),
                self.row("held", subject="nobody"),
                self.row("typed", type="unheard.of"),
                self.row("bad", -1),
                self.row("worse", "many"),
                self.row("new"),
            )
        )
        self.assertEqual(
            self.rows(job),
            {
                2: "accepted",
                3: ("duplicate", "id_known"),
                4: ("conflict", "id_conflict"),
                5: ("quarantined", "account_unmapped"),
                6: ("quarantined", "meter_unknown"),
                7: ("rejected", "value_negative"),
                8: ("rejected", "value_not_number"),
                9: ("duplicate", "id_known"),
            },
        )
        self.assertEqual(
            self.counts(job), {"accepted": 1, "duplicate": 2, "conflict": 1, "quarantined": 2, "rejected": 2}
        )
        found = self.env["usage.exception"].search(job.action_view_exceptions()["domain"])
        self.assertEqual(
            set(found.mapped("reason")),
            {"conflict", "account_unmapped", "meter_unknown", "value_negative", "value_not_number"},
        )
        batch = self.env["usage.batch"].search(job.action_view_batches()["domain"])
        self.assertEqual((batch.import_id, batch.user_id, batch.source_id), (job, self.operator, self.source))
        self.assertEqual(self.env["usage.event"].search_count(job.action_view_events()["domain"]), 3)
        self.assertEqual(self.env["usage.import.row"].search_count(job.action_view_rows()["domain"]), 8)

    def test_the_same_file_again(self):
        content = self.csv(self.row("a"), self.row("b"), self.row("bad", "x"))
        first, second = self.imported(content), self.imported(content, "renamed.csv")
        self.assertEqual(self.counts(first), {"accepted": 2, "rejected": 1})
        self.assertEqual(self.counts(second), {"duplicate": 2, "rejected": 1})
        self.assertEqual(self.exceptions().occurrence_count, 2)
        domain = second.action_view_exceptions()["domain"]
        self.assertEqual(self.env["usage.exception"].search(domain), self.exceptions(), "the second finds it as well")

    def test_the_same_file_again_without_ids(self):
        """Ids are derived from what the rows say: not from the file, nor from columns that are left out."""
        rows = [("acme", self.time(), n // 2) for n in range(6)]
        header = ("Account", "Time", "tokens")

        def take(content, name):
            job = self.new(content, name)
            job.column_ids.filtered(lambda c: c.target == "type").constant = "llm.completion"
            job.column_ids.filtered(lambda c: c.name == "Exported").target = "ignore"
            job.action_start()
            self.run_steps(job)
            return job

        first = take(self.csv(*rows, header=header), "a.csv")
        self.assertEqual(self.counts(first), {"accepted": 6}, "rows that are alike count each")
        longer = [(*row, "today") for row in [*rows, ("acme", self.time(), 9)]]
        second = take(self.csv(*longer, header=(*header, "Exported")), "b.csv")
        self.assertEqual(self.counts(second), {"duplicate": 6, "accepted": 1})

    def test_in_batches(self):
        with self.small_steps():
            job = self.imported(self.csv(*[self.row(f"e{n}") for n in range(7)]))
        self.assertEqual(self.counts(job), {"accepted": 7})
        batches = self.env["usage.batch"].search([("import_id", "=", job.id)])
        self.assertEqual(sorted(batches.mapped("event_count")), [1, 2, 2, 2])

    def test_stop_and_continue(self):
        job = self.new(self.csv(*[self.row(f"e{n}") for n in range(6)]))
        job.action_start()
        with self.small_steps():
            self.assertTrue(job.sudo()._step())
            self.assertTrue(job.sudo()._step())
            self.assertEqual((round(job.progress), job.accepted_count), (33, 2))
            job.action_stop()
            self.assertFalse(job.sudo()._step(), "a stopped import does nothing")
            job.action_continue()
            self.run_steps(job)
        self.assertEqual((job.state, self.counts(job)), ("done", {"accepted": 6}))

    def test_killed_while_reading(self):
        """What was read stays, the rest follows, and derived ids go on counting."""
        rows = [("acme", self.time(), 1) for _n in range(7)]
        job = self.new(self.csv(*rows, header=("Account", "Time", "tokens")))
        job.column_ids.filtered(lambda c: c.target == "type").constant = "llm.completion"
        job.action_start()
        with patch.object(usage_import_job, "READ_ROWS", 3), patch.object(usage_import_job, "READ_SECONDS", -1):
            steps = self.run_steps(job)
        self.assertGreaterEqual(steps, 4)
        self.assertEqual((job.row_count, self.counts(job)), (7, {"accepted": 7}))

    def test_source_suspended_meanwhile(self):
        job = self.new(self.csv(self.row("a")))
        job.action_start()
        self.source.with_user(self.admin).action_suspend()
        self.run_job()
        self.assertEqual(job.state, "paused")
        self.assertIn("not approved", job.trouble)
        with self.assertRaisesRegex(UserError, "not approved"):
            job.action_continue()
        self.source.with_user(self.second_admin).action_approve()
        job.action_continue()
        self.run_steps(job)
        self.assertEqual((job.state, job.trouble, self.counts(job)), ("done", False, {"accepted": 1}))

    def test_job(self):
        jobs = self.new(self.csv(self.row("a"))), self.new(self.csv(self.row("b")))
        for job in jobs:
            job.action_start()
        self.run_job()
        self.assertEqual([job.state for job in jobs], ["done", "done"])
        self.assertTrue(self.stored("a", "b"))

    def test_failure_stops_one_import_alone(self):
        jobs = self.new(self.csv(self.row("a"))), self.new(self.csv(self.row("b")))
        for job in jobs:
            job.action_start()
        step = type(jobs[0])._import_some

        def broken(job):
            return step(job) if job.id != jobs[0].id else 1 // 0

        logger = "odoo.addons.usage_connector_base.models.usage_import_job"
        with patch.object(type(jobs[0]), "_import_some", broken), mute_logger(logger):
            self.run_job()
        self.assertEqual([job.state for job in jobs], ["paused", "done"])
        self.assertIn("continue", jobs[0].trouble)
        jobs[0].action_continue()
        self.run_steps(jobs[0])
        self.assertEqual(self.counts(jobs[0]), {"accepted": 1})

    def test_rows_to_correct(self):
        """The spreadsheet of them, corrected and imported, counts; the rest of it changes nothing."""
        self.ingest([self.event("other", tokens=7, source=None)])
        job = self.imported(
            self.xlsx(
                self.row("good", 1.25),
                self.row("bad", "many", time=self.hour),
                self.row("=worse", -0.5, subject="00123"),
                self.row("other", 8),
            ),
            "usage.xlsx",
        )
        self.assertEqual((job.uncounted_count, self.counts(job)["accepted"]), (3, 1))
        self.assertIn("usage-to-correct.xlsx", job.action_download_uncounted()["url"])
        content = base64.b64decode(job.uncounted_file)
        sheet = openpyxl.load_workbook(io.BytesIO(content)).active
        rows = list(sheet.iter_rows(values_only=True))
        self.assertEqual(rows[0], (*HEADER, REASON_COLUMN))
        self.assertEqual(rows[1][:4], ("bad", "acme", self.hour, "many"))
        self.assertEqual(rows[2][:4], ("=worse", "00123", self.time(), -0.5))
        self.assertIn("Column tokens: many", rows[1][-1])
        self.assertIn("negative", rows[2][-1])
        self.assertEqual(len(rows), 4)

        sheet["D2"], sheet["D3"] = 5, 0.5
        output = io.BytesIO()
        sheet.parent.save(output)
        again = self.new(output.getvalue(), "corrected.xlsx")
        self.assertEqual(self.matched(again)[REASON_COLUMN], "ignore")
        again.action_start()
        self.run_steps(again)
        self.assertEqual(self.counts(again), {"accepted": 1, "quarantined": 1, "conflict": 1})
        self.assertEqual(self.stored("=worse").data["tokens"], 0.5)

    def test_large(self):
        """Tens of thousands of rows, in batches of a thousand."""
        content = self.csv(*[self.row(f"e{n}", n) for n in range(20_000)])
        job = self.imported(content)
        self.assertEqual(self.counts(job), {"accepted": 20_000})
        self.assertEqual(self.env["usage.batch"].search_count([("import_id", "=", job.id)]), 20)

    def test_rows_are_forgotten_at_last(self):
        job, kept = self.imported(self.csv(self.row("a"))), self.imported(self.csv(self.row("b")))
        job.sudo()._write_facts({"ended_at": fields.Datetime.now() - timedelta(days=91)})
        self.env.flush_all()
        self.env["usage.import.row"]._gc_rows()
        self.assertEqual((self.rows(job), self.rows(kept)), ({}, {2: "accepted"}))
        self.assertEqual(self.counts(job), {"accepted": 1})


@tagged("post_install", "-at_install")
class TestImportSecurity(ImportCommon):
    def test_viewer_may_not(self):
        job = self.new(self.csv(self.row("a"))).with_user(self.viewer)
        for method in ("action_read_file", "action_start", "action_back", "action_stop", "action_continue"):
            with self.subTest(method), self.assertRaises(AccessError):
                getattr(job, method)()
        with self.assertRaises(AccessError):
            self.env["usage.import"].with_user(self.viewer).create({"source_id": self.source.id, "file": b"YQ=="})

    def test_nobody_forges_what_an_import_did(self):
        job = self.new(self.csv(self.row("a")))
        for name, value in (("state", "done"), ("accepted_count", 9), ("user_id", self.admin.id), ("sample", "[]")):
            with self.subTest(name), self.assertRaises(UserError):
                job.write({name: value})
            with self.subTest(name), self.assertRaises(UserError):
                self.env["usage.import"].create({"source_id": self.source.id, "file": b"YQ==", name: value})

    def test_begun_is_fixed(self):
        job = self.imported(self.csv(self.row("a")))
        for values in ({"decimal_sign": ","}, {"file": b"YQ=="}, {"tz": "UTC"}, {"column_ids": []}):
            with self.subTest(values), self.assertRaises(UserError):
                job.write(values)
        with self.assertRaises(UserError):
            job.column_ids[0].target = "ignore"
        with self.assertRaises(UserError):
            job.column_ids[0].unlink()
        with self.assertRaises(UserError):
            job.unlink()
        for method in ("action_read_file", "action_start", "action_back", "action_stop", "action_continue"):
            with self.subTest(method), self.assertRaisesRegex(UserError, "another step"):
                getattr(job, method)()

    def test_file_is_chosen_in_the_first_step(self):
        job = self.new(self.csv(self.row("a")))
        with self.assertRaisesRegex(UserError, "first step"):
            job.file = b"YQ=="
        job.action_back()
        job.write({"file": base64.b64encode(self.csv(self.row("b")))})
        job.action_read_file()
        self.assertEqual(job.column_ids[0].example, "b")
        job.unlink()

    def test_approved_sources_only(self):
        job = self.new(self.csv(self.row("a")))
        self.source.with_user(self.admin).action_suspend()
        with self.assertRaisesRegex(UserError, "not approved"):
            job.action_start()

    def test_rows_are_facts(self):
        job = self.imported(self.csv(self.row("a")))
        row = self.env["usage.import.row"].search([("import_id", "=", job.id)])
        with self.assertRaises(UserError):
            row.write({"outcome": "rejected"})
        with self.assertRaises(UserError):
            self.env["usage.import.row"].create({"import_id": job.id})
        with self.assertRaises(AccessError):
            row.with_user(self.operator).unlink()
        with self.assertRaises(AccessError):
            self.env["usage.import.mapping"].with_user(self.operator).create({"source_id": self.source.id})
