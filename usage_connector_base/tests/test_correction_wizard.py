import json

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import Form, tagged

from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestCorrectionWizard(UsageCommon):
    """A person voids or amends an event from its form."""

    def wizard(self, event, user=None):
        context = event.with_user(user or self.operator).action_correct()["context"]
        return Form(self.env["usage.correction.wizard"].with_user(user or self.operator).with_context(**context))

    def test_void(self):
        self.ingest([self.event("a")])
        form = self.wizard(self.stored("a"))
        form.reason = "Sent twice, with two ids"
        form.save().action_correct()
        correction = self.corrections("a")
        self.assertEqual((correction.action, correction.user_id), ("void", self.operator))
        self.assertEqual(correction.reason, "Sent twice, with two ids")
        self.assertEqual(self.stored("a").state, "voided")
        self.assertEqual(correction.batch_id.user_id, self.operator)

    def test_amend(self):
        moment = f"{self.hour.isoformat()}.123456Z"
        data = (
            b'{"id": "a", "type": "llm.completion", "subject": "acme", "time": "%s", "data": {"tokens": 0.10, "n": 1}}'
        )
        self.ingest(b'{"events": [%s]}' % (data % moment.encode()))
        form = self.wizard(self.stored("a"))
        form.action = "amend"
        form.reason = "Measured wrong"
        self.assertEqual(json.loads(form.data_text), {"tokens": 0.1, "n": 1})
        form.data_text = '{"tokens": 0.300000000000000001, "n": 1}'
        form.save().action_correct()
        amended = self.corrections("a").replacement_id
        self.assertIn("0.300000000000000001", amended._exact_data())
        first = self.corrections("a").event_id
        self.assertEqual(amended.time, first.time, "to the microsecond, since it was not touched")

    def test_amend_everything(self):
        other = self._account("acme-2", self.customer)
        self.ingest([self.event("a")])
        form = self.wizard(self.stored("a"))
        form.action = "amend"
        form.reason = "Wrong account"
        form.account_id = other
        form.type = "another.type"
        form.time = fields.Datetime.add(self.hour, hours=1)
        form.save().action_correct()
        amended = self.corrections("a").replacement_id
        self.assertEqual((amended.account_id, amended.type), (other, "another.type"))
        self.assertEqual(amended.time, fields.Datetime.add(self.hour, hours=1))

    def test_a_reason_must_be_given(self):
        self.ingest([self.event("a")])
        form = self.wizard(self.stored("a"))
        with self.assertRaises(AssertionError):
            form.save()

    def test_what_is_refused(self):
        self.ingest([self.event("a")])
        for values, message in (
            ({"data_text": "{"}, "not valid JSON"),
            ({"data_text": '{"tokens": "many"}'}, "must be a JSON number"),
            ({"data_text": "[]"}, "must be a JSON object"),
            ({"type": False}, "type must be"),
            ({}, "Nothing is changed"),
            ({"reason": "  ", "action": "void"}, "reason must say why"),
        ):
            wizard = self.env["usage.correction.wizard"].with_user(self.operator)
            wizard = wizard.with_context(default_event_id=self.stored("a").id).create(
                {"action": "amend", "reason": "Because", **values}
            )
            with self.subTest(values), self.assertRaisesRegex(UserError, message):
                wizard.action_correct()
        self.assertFalse(self.corrections("a"))
        self.assertFalse(self.exceptions(), "a person sees the message: nobody else needs to")

    def test_what_does_not_count_is_not_corrected(self):
        self.ingest([self.event("a")])
        self.correct(self.amend("m-1", "a", data={"tokens": 2, "model": "large"}))
        first, second = self.stored("a").sorted("id")
        form = self.wizard(first)
        form.reason = "Because"
        with self.assertRaisesRegex(UserError, "does not count any more"):
            form.save().action_correct()
        form = self.wizard(second)
        form.reason = "Because"
        form.save().action_correct()
        self.assertEqual(second.state, "voided")

    def test_summary(self):
        window = self.summarize(self.summary(1))["summaries"][0]["id"]
        form = self.wizard(self.stored(window))
        self.assertTrue(form.is_summary)
        form.reason = "Not ours"
        form.save().action_correct()
        self.assertEqual(self.stored(window).state, "voided")

    def test_viewers_correct_nothing(self):
        self.ingest([self.event("a")])
        with self.assertRaises(AccessError):
            self.env["usage.correction.wizard"].with_user(self.viewer).create({"event_id": self.stored("a").id})

    def test_events_of_other_companies(self):
        company = self.env["res.company"].create({"name": "Other"})
        other = self._source("other-cloud", company)
        self.admin.company_ids = self.second_admin.company_ids = self.company
        self.ingest([self.event("a")], source=other)
        event = self.env["usage.event"].search([("source_id", "=", other.id)])
        wizard = self.env["usage.correction.wizard"].with_user(self.operator)
        with self.assertRaises(AccessError):
            wizard.create({"event_id": event.id, "reason": "x", "type": "t"}).action_correct()
