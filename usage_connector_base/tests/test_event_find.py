from odoo.exceptions import AccessError
from odoo.tests import Form, tagged

from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestFindEvent(UsageCommon):
    def find(self, event_ref, person=None):
        """The dialog as a person sees it after typing an id."""
        form = Form(self.env["usage.event.find"].with_user(person or self.viewer))
        form.event_ref = event_ref
        return form

    def opened(self, event_ref, method, person=None):
        """The record that a button of the dialog opens."""
        action = getattr(self.find(event_ref, person).save(), method)()
        return self.env[action["res_model"]].browse(action["res_id"])

    def test_counted(self):
        answer = self.ingest([self.event("a", tokens=7)])
        self.assertEqual(self.find("a").state, "waiting")
        self.fold()
        form = self.find(" a ")
        self.assertEqual((form.state, form.source_id, form.needs_customer), ("counted", self.source, False))
        for text in ("Acme-Cloud sent it", f"request {answer['batch']}", "Acme Ltd", "tokens counts 7 unit"):
            self.assertIn(text, form.story)
        self.assertEqual(self.opened("a", "action_open_event"), self.stored("a"))
        self.assertEqual(self.opened("a", "action_open_account"), self.account)
        self.assertEqual(self.opened("a", "action_open_batch").id, answer["batch"])
        hours = self.env["usage.aggregate"].search(form.save().action_view_hours()["domain"])
        self.assertEqual((hours.account_id, hours.hour, hours.quantity), (self.account, self.hour, 7))

    def test_held_for_a_customer(self):
        self.ingest([self.event("a", subject="new")])
        form = self.find("a", self.operator)
        self.assertEqual((form.state, form.needs_customer), ("held", True))
        self.assertIn("account new has no customer", form.story)
        self.assertIn("Next: Assign the account", form.story)
        action = form.save().action_map_account()
        wizard = self.env[action["res_model"]].with_user(self.operator).with_context(**action["context"])
        wizard.create({"partner_id": self.customer.id}).action_map()
        self.fold()
        form = self.find("a", self.operator)
        self.assertEqual(form.state, "counted")
        self.assertIn("Acme Ltd", form.story)

    def test_held_for_a_meter(self):
        self.ingest([self.event("a", type="unheard.of")])
        form = self.find("a")
        self.assertEqual(form.state, "held")
        self.assertIn("no meter counts events of type unheard.of", form.story)
        self.assertEqual(self.opened("a", "action_open_exception").reason, "meter_unknown")

    def test_rejected(self):
        self.ingest([self.event("a", tokens="x")])
        form = self.find("a")
        self.assertEqual((form.state, form.source_id), ("rejected", self.source))
        self.assertIn("must be a JSON number", form.story)
        self.assertIn("Next: Correct it", form.story)
        self.assertEqual(self.opened("a", "action_open_exception"), self.exceptions())

    def test_settled(self):
        self.ingest([self.event("a", tokens="x")])
        self.exceptions().action_ignore()
        self.assertIn("settled (Ignored)", self.find("a").story)

    def test_conflict(self):
        self.ingest([self.event("a"), self.event("a", tokens=2)])
        self.fold()
        form = self.find("a")
        self.assertEqual(form.state, "counted")
        self.assertIn("Next: Compare the two", form.story)

    def test_taken_and_voided(self):
        """A conflict settled for the received one, and what became of the event since."""
        self.ingest([self.event("a"), self.event("a", tokens=2)])
        self.exceptions().with_user(self.operator).action_take_received("The first was a test")
        self.fold()
        form = self.find("a")
        self.assertEqual(form.state, "counted")
        self.assertIn("amended it: The first was a test", form.story)
        self.assertIn("counts 2 unit", form.story)

    def test_never_received(self):
        form = self.find("a")
        self.assertEqual(form.state, "unknown")
        self.assertIn("No source", form.story)
        self.assertFalse(form.known_source_ids)
        self.assertFalse(self.find("").state)

    def test_known_to_two_sources(self):
        other = self._source("other-cloud")
        self.ingest([self.event("a", tokens=1)])
        self.ingest([self.event("a", tokens="x")], source=other)
        form = self.find("a")
        self.assertEqual(set(form.known_source_ids), {self.source, other})
        states = set()
        for source in (self.source, other):
            form.source_id = source
            states.add(form.state)
        self.assertEqual(states, {"waiting", "rejected"})

    def test_of_another_company(self):
        company = self.env["res.company"].create({"name": "Other"})
        self.ingest([self.event("a")], source=self._source("other", company))
        self.assertEqual(self.find("a").state, "unknown")
        source = self.env["usage.source"].search([("company_id", "=", company.id)])
        wizards = self.env["usage.event.find"].with_user(self.viewer)
        with self.assertRaises(AccessError):
            wizards.create({"event_ref": "a", "source_id": source.id}).read(["story"])
