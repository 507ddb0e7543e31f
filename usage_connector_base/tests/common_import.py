"""Files of usage, made in the test, and the way through their import."""

import base64
import io
from unittest.mock import patch

import openpyxl

from odoo.addons.usage_connector_base.models import usage_import_job

from .common import UsageCommon

HEADER = ("Event ID", "Account", "Time", "tokens", "model", "type")


class ImportCommon(UsageCommon):
    """``imported(content)`` takes a file through all steps, in the test's transaction."""

    def csv(self, *rows, header=HEADER, separator=",", encoding="utf-8", end="\n"):
        lines = [separator.join(map(str, row)) for row in ((header, *rows) if header else rows)]
        return (end.join(lines) + end).encode(encoding)

    def row(self, event_id, tokens=1, **values):
        """The cells of a sound event, in the order of ``HEADER``."""
        cells = {"subject": "acme", "time": self.time(), "model": "large", "type": "llm.completion", **values}
        return (event_id, cells["subject"], cells["time"], tokens, cells["model"], cells["type"])

    def xlsx(self, *rows, header=HEADER, sheet="Usage"):
        book = openpyxl.Workbook()
        book.active.title = sheet
        for row in (header, *rows) if header else rows:
            book.active.append(row)
        for cell in book.active["A"]:
            if isinstance(cell.value, str):
                cell.data_type = "s"  # an id that begins with = is none of its formulas
        output = io.BytesIO()
        book.save(output)
        return output.getvalue()

    def new(self, content, name="usage.csv", source=None, **values):
        """A file, its columns matched."""
        job = (
            self.env["usage.import"]
            .with_user(self.operator)
            .create(
                {
                    "source_id": (source or self.source).id,
                    "file": base64.b64encode(content),
                    "file_name": name,
                    "tz": "UTC",
                    **values,
                }
            )
        )
        job.action_read_file()
        return job

    def run_steps(self, job):
        """What the job in the background does, in the test's transaction; the number of steps."""
        steps, worker = 1, job.sudo()
        while worker._step():
            steps += 1
        self.env.invalidate_all()
        return steps

    def run_job(self):
        """The job in the background, as the scheduler runs it."""
        self.env.flush_all()
        with self.enter_registry_test_mode():
            self.env.ref("usage_connector_base.cron_import").method_direct_trigger()
        self.env.invalidate_all()

    def imported(self, content, name="usage.csv", **values):
        job = self.new(content, name, **values)
        job.action_start()
        self.run_steps(job)
        return job

    def counts(self, job):
        names = ("accepted", "duplicate", "conflict", "quarantined", "rejected")
        return {name: job[f"{name}_count"] for name in names if job[f"{name}_count"]}

    def rows(self, job):
        """Outcome and code of each row, by its number in the file."""
        rows = self.env["usage.import.row"].search([("import_id", "=", job.id)])
        return {row.number: (row.outcome, row.code) if row.code else row.outcome for row in rows}

    def matched(self, job):
        """What each column of a file became, by its name."""
        return {column.name or column.constant: column.target for column in job.column_ids}

    def small_steps(self, rows=2):
        return patch.object(usage_import_job, "BATCH_ROWS", rows)
