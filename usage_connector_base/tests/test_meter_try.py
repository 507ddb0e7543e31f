from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import tagged

from .common import UsageCommon, to_json


@tagged("post_install", "-at_install")
class TestTryIt(UsageCommon):
    def tried(self, content, version=None, meter=None, person=None):
        """Lines of the result for what is pasted: text, or a value to write as JSON."""
        action = ((version or meter or self.meter).with_user(person or self.operator)).action_try()
        wizards = self.env[action["res_model"]].with_user(person or self.operator).with_context(**action["context"])
        wizard = wizards.create({"text": content if isinstance(content, str) else to_json(content).decode()})
        wizard.action_try()
        return wizard.line_ids

    def test_data_alone(self):
        line = self.tried('{"tokens": 5.50, "model": "large"}')
        self.assertEqual((line.outcome, line.code), ("counted", False))
        self.assertEqual((line.meter_id, line.version_number), (self.meter, 1))
        self.assertEqual((line.sent_value, line.quantity, line.unit_name), ("5.5", "5.5", "unit"))
        self.assertEqual(line.dimensions, "model: large")
        self.assertTrue(line.hour)

    def test_an_event(self):
        line = self.tried(self.event("e-1", tokens=7))
        self.assertEqual((line.outcome, line.quantity, line.event_ref, line.hour), ("counted", "7", "e-1", self.hour))

    def test_nothing_is_stored(self):
        before = self.env["usage.batch"].search_count([])
        self.tried([self.event("e-1"), self.event("e-2", tokens="x"), self.event("e-3", subject="new")])
        self.fold()
        self.assertFalse(self.stored("e-1", "e-2", "e-3"))
        self.assertEqual(self.env["usage.batch"].search_count([]), before)
        self.assertFalse(self.exceptions())
        self.assertFalse(self.env["usage.account"].search([("external_id", "=", "new")]))
        self.assertEqual(self.outcomes(self.ingest([self.event("e-1")])), {"accepted": 1}, "its id is not taken")

    def test_batches(self):
        events = [self.event("a", tokens=1), self.event("b", tokens="x"), self.event("c", type="unheard.of")]
        for content in (events, {"events": events}):
            lines = self.tried(content)
            self.assertEqual(lines.mapped("number"), [1, 2, 3])
            self.assertEqual(lines.mapped("outcome"), ["counted", "rejected", "held"])
            self.assertEqual(lines.mapped("code"), [False, "value_not_number", "meter_unknown"])
            self.assertIn("data.tokens", lines[1].explanation)

    def test_the_same_verdict_as_ingestion(self):
        """What is tried is judged as what is sent, code by code."""
        events = [self.event("a", data={}), self.event("b", time="never"), self.event("c", id=None), 7]
        self.assertEqual(
            dict(enumerate(self.tried(events).mapped("code"))), self.codes(self.ingest(events)), "the same codes"
        )

    def test_several_meters(self):
        requests = self._meter("requests")
        people = self._meter("people", aggregation="unique_count", value_path="model")
        lines = self.tried(self.event("a", tokens=7))
        self.assertEqual(lines[0].meter_id, self.meter, "the one that is tried stands first")
        quantities = {line.meter_id: line.quantity for line in lines}
        self.assertEqual(quantities, {self.meter: "7", requests: "1", people: "1"})

    def test_left_out_by_a_filter(self):
        self.meter.filter_ids = [
            Command.create({"path": "model", "operator": "set"}),
            Command.create({"path": "model", "value_list": "small, tiny"}),
        ]
        line = self.tried('{"tokens": 5, "model": "large"}')
        self.assertEqual((line.outcome, line.quantity), ("left_out", False))
        self.assertIn("model is one of small, tiny", line.explanation)
        self.assertNotIn("is there", line.explanation)

    def test_converted(self):
        gram, kilogram = self.env.ref("uom.product_uom_gram"), self.env.ref("uom.product_uom_kgm")
        self.meter.write(
            {
                "convert_from_id": gram.id,
                "convert_to_id": kilogram.id,
                "rounding_step": "0.1",
                "rounding_method": "up",
                "unit_name": "kg",
            }
        )
        line = self.tried('{"tokens": 1234}')
        self.assertEqual((line.sent_value, line.quantity, line.unit_name), ("1234 g", "1.3", "kg"))
        self.assertIn("1 g is 1/1000 kg, rounded to 0.1", line.explanation)

    def test_the_version_of_the_time(self):
        self.ingest([self.event("first")])
        self.fold()
        self.change(self.meter, valid_from=self.hour, value_path="cached")
        data = {"tokens": 5, "cached": 2}
        lines = self.tried([self.event("a", time=self.time(-1), data=data), self.event("b", data=data)])
        self.assertEqual(lines.mapped("version_number"), [1, 2])
        self.assertEqual(lines.mapped("quantity"), ["5", "2"])

    def test_a_draft(self):
        """A draft is tried as if it were valid, whatever it will be valid from."""
        self.ingest([self.event("first")])
        self.fold()
        draft = self.meter.version_ids.with_user(self.admin)._propose(self.meter.version_ids)
        draft.write({"value_path": "cached", "payload_schema": '{"required": ["cached"]}'})
        line = self.tried(self.event("a", data={"cached": 3}), version=draft, person=self.admin)
        self.assertEqual((line.version_number, line.quantity), (2, "3"))
        line = self.tried(self.event("a", data={"tokens": 3}), version=draft, person=self.admin)
        self.assertEqual((line.outcome, line.code), ("rejected", "value_missing"))
        line = self.tried(self.event("a", data={"cached": 3}))
        self.assertEqual((line.outcome, line.code), ("rejected", "value_missing"), "the meter itself is as it was")

    def test_a_draft_of_another_type(self):
        draft_of = self._meter("sessions", "session")
        self.ingest([self.event("first", type="session")])
        self.fold()
        draft = draft_of.version_ids.with_user(self.admin)._propose(draft_of.version_ids)
        draft.event_type = "session.end"
        self.assertEqual(self.tried({"n": 1}, version=draft, person=self.admin).outcome, "counted")
        line = self.tried(self.event("a", type="session"), version=draft, person=self.admin)
        self.assertEqual((line.outcome, line.code), ("held", "meter_unknown"))

    def test_what_cannot_be_tried(self):
        for text, message in (
            ("", "Paste an event"),
            ("  ", "Paste an event"),
            ("{", "no JSON: .*line 1 column 2"),
            ('{"a": NaN}', "not valid JSON"),
            ("[]", "1 to 100"),
            ('{"events": []}', "1 to 100"),
            (f"[{', '.join(['{}'] * 101)}]", "1 to 100"),
            ("x" * 1_048_577, "Paste less"),
        ):
            with self.subTest(text[:20]), self.assertRaisesRegex(UserError, message):
                self.tried(text)

    def test_who_may(self):
        for person in (self.viewer, self.source.user_id):
            with self.assertRaises(AccessError):
                self.env["usage.meter.try"].with_user(person).create({"meter_id": self.meter.id, "text": "{}"})

    def test_foreign_company(self):
        company = self.env["res.company"].create({"name": "Other"})
        foreign = self._meter("foreign", company_id=company.id)
        wizard = self.env["usage.meter.try"].with_user(self.operator).create({"meter_id": foreign.id, "text": "{}"})
        with self.assertRaises(AccessError):
            wizard.action_try()
        self.assertNotIn(foreign, self.tried(self.event("a")).meter_id)
