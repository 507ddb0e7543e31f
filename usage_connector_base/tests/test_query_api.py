from decimal import Decimal
from urllib.parse import quote

from odoo.tests import tagged

from .common import EVENT_TYPE, to_json
from .common_query import QueryCommon

EVENTS = "/usage/v1/events"


@tagged("post_install", "-at_install")
class TestEventStatus(QueryCommon):
    """``GET /usage/v1/events/{id}`` tells what became of an event."""

    def status(self, event_id, **options):
        return self.answer(f"{EVENTS}/{quote(event_id, safe='')}", **options)

    def test_counted(self):
        answer = self.post([self.event("e-1", tokens=7)], headers={"X-Correlation-Id": "c-9"}).json()
        self.fold()
        status = self.status("e-1")
        self.assertEqual((status["id"], status["state"], status["type"]), ("e-1", "counted", EVENT_TYPE))
        self.assertEqual(status["time"], self.time())
        self.assertEqual(status["account"], {"id": "acme", "customer_assigned": True})
        self.assertEqual(status["batch"], {"id": answer["batch"], "correlation_id": "c-9"})
        self.assertEqual(status["exceptions"], [])
        self.assertNotIn("code", status)
        [count] = status["meters"]
        self.assertEqual(
            count,
            {
                "meter": "tokens",
                "quantity": "7",
                "unit": "unit",
                "hour": self.time(),
                "dimensions": {"model": "large"},
                "counted": True,
            },
        )

    def test_counted_in_the_hour_of_its_time(self):
        self.ingest([self.event("e-1", time=self.time(42))])
        self.fold()
        status = self.status("e-1")
        self.assertEqual(status["time"], self.time(42))
        self.assertEqual(status["meters"][0]["hour"], self.time())

    def test_waiting_until_it_is_folded(self):
        self.ingest([self.event("e-1")])
        status = self.status("e-1")
        self.assertEqual(status["state"], "waiting")
        self.assertFalse(status["meters"][0]["counted"])
        self.fold()
        self.assertEqual(self.status("e-1")["state"], "counted")

    def test_waiting_while_a_meter_counts_again(self):
        self.ingest([self.event("e-1")])
        self.fold()
        self.change(self.meter, dimensions="model, region")
        self.assertEqual(self.status("e-1")["state"], "waiting")
        self.fold()
        self.assertEqual(self.status("e-1")["state"], "counted")

    def test_held_for_a_customer(self):
        self.ingest([self.event("e-1", subject="stranger")])
        self.fold()
        status = self.status("e-1")
        self.assertEqual((status["state"], status["code"]), ("held", "account_unmapped"))
        self.assertTrue(status["message"])
        self.assertEqual(status["account"], {"id": "stranger", "customer_assigned": False})
        [exception] = status["exceptions"]
        self.assertEqual((exception["reason"], exception["state"]), ("account_unmapped", "open"))
        account = self.env["usage.account"].search([("external_id", "=", "stranger")])
        account.partner_id = self.customer
        status = self.status("e-1")
        self.assertEqual((status["state"], status["exceptions"]), ("counted", []))

    def test_held_for_a_meter(self):
        self.ingest([self.event("e-1", type="gpu.session")])
        self.fold()
        status = self.status("e-1")
        self.assertEqual((status["state"], status["code"], status["meters"]), ("held", "meter_unknown", []))
        self.assertEqual([exception["reason"] for exception in status["exceptions"]], ["meter_unknown"])
        self._meter("sessions", "gpu.session")
        self.fold()
        status = self.status("e-1")
        self.assertEqual((status["state"], status["meters"][0]["quantity"]), ("counted", "1"))

    def test_rejected(self):
        self.ingest([self.event("e-1", tokens="many")])
        status = self.status("e-1")
        self.assertEqual((status["state"], status["code"]), ("rejected", "value_not_number"))
        self.assertIn("data.tokens", status["message"])
        self.assertEqual(status["exceptions"][0]["occurrences"], 1)
        self.assertNotIn("meters", status)

    def test_rejected_and_sent_again_well(self):
        self.ingest([self.event("e-1", tokens="many")])
        self.ingest([self.event("e-1", tokens=3)])
        self.fold()
        status = self.status("e-1")
        self.assertEqual((status["state"], status["meters"][0]["quantity"]), ("counted", "3"))
        self.assertEqual([exception["reason"] for exception in status["exceptions"]], ["value_not_number"])

    def test_conflict(self):
        self.ingest([self.event("e-1", tokens=1)])
        self.ingest([self.event("e-1", tokens=2)])
        self.ingest([self.event("e-1", tokens=2)])
        self.fold()
        status = self.status("e-1")
        self.assertEqual((status["state"], status["meters"][0]["quantity"]), ("counted", "1"))
        [conflict] = status["exceptions"]
        self.assertEqual((conflict["reason"], conflict["state"], conflict["occurrences"]), ("conflict", "open", 2))
        self.exceptions(reason="conflict").action_keep_stored()
        [conflict] = self.status("e-1")["exceptions"]
        self.assertEqual((conflict["state"], conflict["resolution"]), ("resolved", "The stored event counts"))

    def test_several_meters(self):
        self._meter("calls")
        self.ingest([self.event("e-1", tokens=7)])
        self.fold()
        counts = {count["meter"]: count["quantity"] for count in self.status("e-1")["meters"]}
        self.assertEqual(counts, {"calls": "1", "tokens": "7"})

    def test_a_meter_that_finds_no_number_counts_nothing(self):
        self._meter("calls", "plain")
        self.ingest([self.event("e-1", type="plain", data={})])
        self._meter("bytes", "plain", value_path="bytes")
        self.fold()
        counts = {count["meter"]: (count["quantity"], count["counted"]) for count in self.status("e-1")["meters"]}
        self.assertEqual(counts, {"bytes": (None, False), "calls": ("1", True)})

    def test_quantities_are_exact(self):
        for number, text in enumerate(("0.1", "123456789012345678", "0.000000000000000001", "1.50")):
            self.ingest([self.event(f"q-{number}", tokens=Decimal(text))])
            quantity = self.status(f"q-{number}")["meters"][0]["quantity"]
            self.assertEqual(quantity, text.removesuffix("0") if "." in text else text)

    def test_identifiers_of_any_kind(self):
        names = ["a/b", "/a", "a//b", "a?b", "a#b", "a%2Fb", "ä ö", "a+b", "日本", "a.b", "x" * 255]
        self.ingest([self.event(name) for name in names])
        for name in names:
            with self.subTest(name):
                self.assertEqual(self.status(name)["id"], name)

    def test_unknown(self):
        self.assertRefused(self.get(f"{EVENTS}/nothing"), 404, "event_unknown")
        self.assertRefused(self.get(f"{EVENTS}/%00"), 404, "event_unknown")
        self.assertRefused(self.get(f"{EVENTS}/{'x' * 2000}"), 404, "event_unknown")

    def test_of_another_source(self):
        other = self._source("other-cloud")
        self.ingest([self.event("e-1")], other)
        self.ingest([self.event("e-2", tokens="bad")], other)
        self.assertRefused(self.get(f"{EVENTS}/e-1"), 404, "event_unknown")
        self.assertRefused(self.get(f"{EVENTS}/e-2"), 404, "event_unknown")
        key = self.new_key(other)
        self.assertEqual(self.status("e-1", key=key)["account"], {"id": "acme", "customer_assigned": False})

    def test_the_same_id_of_two_sources(self):
        other = self._source("other-cloud")
        self.ingest([self.event("e-1", tokens=1)])
        self.ingest([self.event("e-1", tokens=2)], other)
        self.assertEqual(self.status("e-1")["meters"][0]["quantity"], "1")
        self.assertEqual(self.status("e-1", key=self.new_key(other))["meters"][0]["quantity"], "2")

    def test_deleted_at_the_end_of_its_retention(self):
        self.ingest([self.event("e-1")])
        self.env.cr.execute("DELETE FROM usage_event WHERE event_id = 'e-1'")
        self.assertEqual(self.status("e-1"), {"id": "e-1", "state": "deleted", "exceptions": []})

    def test_needs_a_key(self):
        self.assertNeedsKey(f"{EVENTS}/e-1")

    def test_an_addon_tells_more(self):
        """What the addon of billing does: it extends ``_event_details``."""
        told = []

        def details(query, stored, meters):
            told.append((stored["account_id"], meters))
            return {"charges": [{"statement": "USG/1"}]}

        self.patch(self.env.registry["usage.query"], "_event_details", details)
        self.ingest([self.event("e-1")])
        self.assertEqual(self.status("e-1")["charges"], [{"statement": "USG/1"}])
        [(account_id, meters)] = told
        self.assertEqual((account_id, meters.ids), (self.account.id, self.meter.ids))


@tagged("post_install", "-at_install")
class TestBinaryMode(QueryCommon):
    """One CloudEvent with its attributes in headers."""

    def send(self, body=b'{"tokens": 5}', content_type="application/json", **headers):
        sent = {"Ce-Id": "b-1", "Ce-Specversion": "1.0", "Ce-Type": EVENT_TYPE, "Ce-Source": "/x", "Ce-Subject": "acme"}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        sent["Ce-Time"] = self.time()
        return self.post(body, content_type=content_type, headers=sent)

    def test_accepted(self):
        self.assertEqual(self.outcomes(self.send().json()), {"accepted": 1})
        event = self.stored("b-1")
        self.assertEqual((event.type, event.data, event.account_id), (EVENT_TYPE, {"tokens": 5}, self.account))

    def test_the_same_event_in_structured_mode_is_a_duplicate(self):
        self.send()
        event = self.event("b-1", source="/x", data={"tokens": 5}, datacontenttype="application/json")
        self.assertEqual(self.outcomes(self.post([event]).json()), {"duplicate": 1})

    def test_values_are_percent_encoded(self):
        self.send(Ce_Subject="f%C3%BCr%20Elsa", Ce_Tenant="a%2Fb")
        event = self.stored("b-1")
        self.assertEqual((event.account_id.external_id, event.tenant_ref), ("für Elsa", "a/b"))

    def test_extensions_are_kept(self):
        self.send(Ce_Region="eu")
        self.assertEqual(self.stored("b-1").attributes, {"source": "/x", "region": "eu"})

    def test_media_types_of_json(self):
        for number, media_type in enumerate(("application/json; charset=utf-8", "application/vnd.acme+json")):
            answer = self.send(content_type=media_type, Ce_Id=f"m-{number}").json()
            self.assertEqual(self.outcomes(answer), {"accepted": 1}, media_type)

    def test_other_media_types(self):
        self.assertRefused(self.send(content_type="text/plain"), 415, "unsupported_media_type")

    def test_broken_data(self):
        self.assertRefused(self.send(b'{"tokens": '), 400, "invalid_json")

    def test_no_data(self):
        answer = self.send(b"").json()
        self.assertEqual(self.codes(answer), {0: "value_missing"})

    def test_rejected_like_any_other(self):
        self.assertEqual(self.codes(self.send(Ce_Specversion="0.3").json()), {0: "specversion_unsupported"})
        self.assertEqual(self.codes(self.send(Ce_Type="").json()), {0: "type_invalid"})

    def test_the_media_type_of_structured_mode_decides(self):
        event = self.event("s-1")
        from_body = self.send(to_json(event), content_type="application/cloudevents+json", Ce_Id="from the header")
        self.assertEqual(self.outcomes(from_body.json()), {"accepted": 1})
        self.assertTrue(self.stored("s-1"))
        self.assertFalse(self.stored("from the header"))
