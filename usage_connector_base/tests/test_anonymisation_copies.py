from datetime import timedelta

from odoo import fields
from odoo.tests import tagged
from odoo.tools import SQL

from .common_import import HEADER, ImportCommon
from .test_anonymisation import AnonymisationCommon


@tagged("post_install", "-at_install")
class TestCopies(AnonymisationCommon, ImportCommon):
    """Copies of users' identifiers that files and corrections left behind."""

    def test_files_and_corrections(self):
        job = self.imported(self.csv((*self.row("a"), "ann"), header=(*HEADER, "user")))
        self.ingest([self.event("b", tokens="x", user="ann")])
        exception = self.exceptions(event_ref="b").with_user(self.operator)
        action = exception.action_correct()
        wizard = self.env[action["res_model"]].with_user(self.operator).with_context(**action["context"])
        wizard.create({"change": "set", "path": "data.tokens", "value": "7", "value_kind": "number"}).action_replay()
        self.assertIn("ann", exception.replayed_payload)
        files = [("res_model", "=", "usage.import"), ("res_field", "=", "file"), ("res_id", "=", job.id)]
        attachments = self.env["ir.attachment"].sudo()
        self.assertTrue(attachments.search(files))

        self.fold()
        self.env["usage.event"]._ensure_partitions(fields.Datetime.now() - timedelta(days=70))
        self.age(days=40)
        self.env.cr.execute(
            SQL("UPDATE usage_import SET ended_at = ended_at - %s WHERE id = %s", timedelta(days=40), job.id)
        )
        self.env.invalidate_all()
        self.done(age_days=35)
        lines = self.env["usage.replay.line"].search([("exception_id", "=", exception.id)])
        self.assertFalse(lines.payload or exception.replayed_payload or exception.payload or job.sample)
        self.assertFalse(self.rows(job))
        self.assertFalse(attachments.search(files))
        self.assertEqual(self.counts(job)["accepted"], 1, "its counts stay")
