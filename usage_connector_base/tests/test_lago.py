import gzip
import json
from datetime import datetime
from decimal import Decimal

from odoo.tests import BaseCase, tagged
from odoo.tools import mute_logger

from odoo.addons.usage_connector_base.controllers import lago
from odoo.addons.usage_connector_base.ingestion.envelope import decode
from odoo.addons.usage_connector_base.ingestion.facts import REJECTIONS, MeterSpec

from .common import EVENT_TYPE, to_json
from .common_query import CONTROLLER, QueryCommon


class LagoCommon(QueryCommon):
    def lago_event(self, event_id, **values):
        """An event as Lago's client writes it: attributes that are not given are null."""
        return {
            "transaction_id": event_id,
            "external_subscription_id": "acme",
            "code": EVENT_TYPE,
            "timestamp": int((self.hour - datetime(1970, 1, 1)).total_seconds()),
            "precise_total_amount_cents": None,
            "properties": {"tokens": 3, "model": "large"},
            **values,
        }

    def send(self, body, media_type="application/json", **options):
        return self.post(body if isinstance(body, bytes) else to_json(body), content_type=media_type, **options)

    def assertLagoError(self, response, status, code, details=None):
        self.assertEqual(response.status_code, status, response.text[:300])
        error = response.json()
        self.assertEqual((error["status"], error["code"]), (status, code))
        self.assertTrue(error["error"])
        self.assertEqual(error.get("error_details"), details)


@tagged("post_install", "-at_install")
class TestLagoEvent(LagoCommon):
    """One event as Lago's clients send it, answered as Lago answers."""

    URL = "/usage/lago/api/v1/events"

    def push(self, event, **options):
        return self.send({"event": event}, **options)

    def created(self, event):
        response = self.push(event)
        self.assertEqual(response.status_code, 200, response.text[:300])
        self.assertEqual(response.headers["Content-Type"], "application/json")
        return decode(response.content)["event"]

    def test_stored(self):
        answer = self.created(self.lago_event("t-1"))
        event = self.stored("t-1")
        self.assertEqual((event.type, event.account_id, event.time), (EVENT_TYPE, self.account, self.hour))
        self.assertEqual((event.data, event.attributes), ({"tokens": 3, "model": "large"}, False))
        self.assertEqual(answer["timestamp"], f"{self.hour.isoformat()}.000Z")
        self.assertEqual(
            {name: answer[name] for name in ("transaction_id", "external_subscription_id", "code", "properties")},
            {
                "transaction_id": "t-1",
                "external_subscription_id": "acme",
                "code": EVENT_TYPE,
                "properties": {"tokens": 3, "model": "large"},
            },
        )
        self.assertTrue(datetime.fromisoformat(answer["created_at"].removesuffix("Z")))
        self.assertLess({"lago_id", "lago_customer_id", "lago_subscription_id"}, set(answer))

    def test_counted(self):
        self.created(self.lago_event("t-1"))
        self.fold()
        self.assertEqual([figure[0] for figure in self.figures().values()], ["3"])

    def test_the_same_as_a_cloudevent(self):
        """Events of one source have one space of identifiers, whichever client sends them."""
        self.created(self.lago_event("t-1"))
        event = self.event("t-1", source=None, data={"tokens": 3, "model": "large"})
        self.assertEqual(self.outcomes(self.ingest([event])), {"duplicate": 1})

    def test_sent_again(self):
        first = self.created(self.lago_event("t-1"))
        again = self.created(self.lago_event("t-1"))
        self.assertEqual(first["lago_id"], again["lago_id"])
        self.assertNotEqual(first["lago_id"], self.created(self.lago_event("t-2"))["lago_id"])
        self.assertEqual(len(self.stored("t-1")), 1)

    def test_sent_again_with_other_content(self):
        self.created(self.lago_event("t-1"))
        response = self.push(self.lago_event("t-1", properties={"tokens": 4}))
        self.assertLagoError(response, 422, "validation_errors", {"transaction_id": ["value_already_exist"]})
        self.assertEqual(len(self.exceptions(reason="conflict")), 1)

    def test_held_events_are_taken(self):
        self.created(self.lago_event("t-1", external_subscription_id="stranger"))
        self.created(self.lago_event("t-2", code="unknown"))
        self.assertEqual(len(self.stored("t-1", "t-2")), 2)

    def test_without_a_timestamp(self):
        answer = self.created(self.lago_event("t-1", timestamp=None))
        event = self.stored("t-1")
        self.assertEqual(event.time, event.received_at)
        self.assertLess(abs((datetime.fromisoformat(answer["timestamp"][:-1]) - event.time).total_seconds()), 5)

    def test_timestamps(self):
        seconds = int((self.hour - datetime(1970, 1, 1)).total_seconds())
        for number, (timestamp, fraction) in enumerate(
            [
                (seconds, "000000"),
                (str(seconds), "000000"),
                (Decimal(f"{seconds}.5"), "500000"),
                (f"{seconds}.123456", "123456"),
                (Decimal(f"{seconds}.000001"), "000001"),
                (f"{self.hour.isoformat()}Z", "000000"),
            ]
        ):
            with self.subTest(timestamp):
                self.created(self.lago_event(f"t-{number}", timestamp=timestamp))
                stored = self.stored(f"t-{number}").time
                self.env.cr.execute("SELECT to_char(time, 'US') FROM usage_event WHERE event_id = %s", [f"t-{number}"])
                self.assertEqual((stored.replace(microsecond=0), self.env.cr.fetchone()[0]), (self.hour, fraction))

    def test_wrong_timestamps(self):
        for timestamp in ("yesterday", "", True, [], 10**30, "1e9", 4102444800, 0, -1, 1_700_000_000_000):
            with self.subTest(timestamp):
                response = self.push(self.lago_event("t-1", timestamp=timestamp))
                self.assertLagoError(response, 422, "validation_errors", {"timestamp": ["invalid_format"]})
        self.assertFalse(self.stored("t-1"))

    def test_values_are_exact(self):
        for number, text in enumerate(("0.1", "0.000000000000000001", "999999999999999999")):
            event = self.lago_event(f"t-{number}", properties={"tokens": Decimal(text)})
            answer = self.created(event)
            self.assertEqual(str(answer["properties"]["tokens"]), str(Decimal(text)))
            self.fold()
            counts = self.answer(f"/usage/v1/events/t-{number}")["meters"]
            self.assertEqual(Decimal(counts[0]["quantity"]), Decimal(text))

    def test_a_number_may_be_a_text(self):
        self.created(self.lago_event("t-1", properties={"tokens": "2.50", "model": "4"}))
        self.assertEqual(
            self.stored("t-1").data, {"tokens": 2.5, "model": "4"}, "a dimension stays the text that it is"
        )
        self.created(self.lago_event("t-1", properties={"tokens": Decimal("2.50"), "model": "4"}))
        self.fold()
        self.assertEqual([Decimal(figure[0]) for figure in self.figures().values()], [Decimal("2.5")])

    def test_a_number_deep_in_the_properties_may_be_a_text(self):
        self._meter("deep", "deep", value_path="usage.bytes.in")
        self.created(self.lago_event("t-1", code="deep", properties={"usage": {"bytes": {"in": "12"}}}))
        for number, properties in enumerate(({}, {"usage": "x"}, {"usage": {"bytes": []}}, None)):
            response = self.push(self.lago_event(f"b-{number}", code="deep", properties=properties))
            self.assertLagoError(response, 422, "validation_errors", {"properties": ["value_is_not_valid_number"]})

    def test_other_attributes_are_kept(self):
        answer = self.created(self.lago_event("t-1", precise_total_amount_cents="12.5", id="mine", data={"a": 1}))
        self.assertEqual(answer["precise_total_amount_cents"], "12.5")
        kept = {"lago": {"precise_total_amount_cents": "12.5", "id": "mine", "data": {"a": 1}}}
        self.assertEqual(self.stored("t-1").attributes, kept)

    def test_missing_attributes(self):
        for name, ours in (("transaction_id", "id"), ("external_subscription_id", "subject"), ("code", "type")):
            for value in (None, "", 7, "x" * 256):
                with self.subTest(name=name, value=value):
                    event = self.lago_event("t-1", **{name: value, ours: "not taken instead"})
                    response = self.push(event)
                    self.assertLagoError(response, 422, "validation_errors", {name: ["value_is_mandatory"]})

    def test_wrong_properties(self):
        for properties, code in (
            ({"tokens": "many"}, "value_is_not_valid_number"),
            ({"tokens": "1e3"}, "value_is_not_valid_number"),
            ({}, "value_is_not_valid_number"),
            (None, "value_is_not_valid_number"),
            ({"tokens": -1}, "value_negative"),
            ({"tokens": "-1"}, "value_negative"),
            ({"tokens": 1, "model": []}, "dimension_invalid"),
            ([], "data_invalid"),
            ({"tokens": 1, "x": "y" * 40_000}, "data_too_large"),
        ):
            with self.subTest(str(properties)[:40]):
                response = self.push(self.lago_event("t-1", properties=properties))
                self.assertLagoError(response, 422, "validation_errors", {"properties": [code]})

    def test_the_nul_character(self):
        for name in ("transaction_id", "external_subscription_id", "code"):
            response = self.push(self.lago_event("t-1", **{name: "a\0b"}))
            self.assertLagoError(response, 422, "validation_errors", {"properties": ["character_invalid"]})

    def test_refused_requests(self):
        for body, status, code in (
            (b'{"event": {', 400, "invalid_json"),
            (b'{"event": []}', 400, "invalid_body"),
            (b'{"event": null}', 400, "invalid_body"),
        ):
            with self.subTest(body):
                self.assertLagoError(self.send(body), status, code)
                self.assertEqual(self.last_batch().refusal_code, code)

    def test_a_key_is_needed(self):
        with mute_logger(CONTROLLER):
            for key in ("", "wrong"):
                response = self.push(self.lago_event("t-1"), key=key)
                self.assertLagoError(response, 401, "unauthorized")
        self.source.with_user(self.admin).action_suspend()
        self.assertLagoError(self.push(self.lago_event("t-1")), 403, "source_not_approved")
        self.assertFalse(self.stored("t-1"))


@tagged("post_install", "-at_install")
class TestLagoEventAtRoot(TestLagoEvent):
    """The same where a client is given nothing but Odoo's address, which OpenMeter's clients share."""

    URL = "/api/v1/events"

    def test_spaces_do_not_matter(self):
        body = b'\n { \t"event"\r\n : ' + to_json(self.lago_event("t-1")) + b"}"
        self.assertEqual(self.send(body).json()["event"]["transaction_id"], "t-1")

    def test_whatever_is_not_of_lago(self):
        """Answered as OpenMeter does: it is one of its clients, or nobody's."""
        for body in (b"", b"{}", b"[]", b'{"events": []}', b'{"other": 1, "event": {}}'):
            response = self.send(body)
            self.assertNotIn("error", response.text and response.json())

    def test_large_bodies_are_not_looked_into(self):
        event = self.lago_event("t-1", properties={"tokens": 1, "x": "y" * 1_100_000})
        self.assertEqual(self.push(event).headers["Content-Type"], "application/problem+json")


@tagged("post_install", "-at_install")
class TestLagoBatch(LagoCommon):
    """Several events; what is sound is stored, though Lago would store none."""

    URL = "/usage/lago/api/v1/events/batch"

    def push(self, *events, **options):
        return self.send({"events": list(events)}, **options)

    def test_stored(self):
        response = self.push(self.lago_event("t-1"), self.lago_event("t-2"))
        self.assertEqual(response.status_code, 200, response.text[:300])
        self.assertEqual([event["transaction_id"] for event in response.json()["events"]], ["t-1", "t-2"])
        self.assertEqual(len(self.stored("t-1", "t-2")), 2)
        self.assertEqual(self.last_batch().accepted_count, 2)

    def test_sent_again(self):
        self.push(self.lago_event("t-1"))
        response = self.push(self.lago_event("t-1"), self.lago_event("t-2"), self.lago_event("t-2"))
        self.assertEqual(len(response.json()["events"]), 3)
        self.assertEqual(len(self.stored("t-1", "t-2")), 2)

    def test_errors_by_their_number(self):
        self.push(self.lago_event("known"))
        response = self.push(
            self.lago_event("good"),
            self.lago_event("bad", timestamp="x"),
            self.lago_event("known", properties={"tokens": 9}),
            "text",
        )
        details = {
            "1": {"timestamp": ["invalid_format"]},
            "2": {"transaction_id": ["value_already_exist"]},
            "3": {"properties": ["not_an_object"]},
        }
        self.assertLagoError(response, 422, "validation_errors", details)
        self.assertTrue(self.stored("good"))
        again = self.push(self.lago_event("good"), self.lago_event("bad"))
        self.assertEqual(again.status_code, 200, "mended and sent again, all are there")
        self.assertEqual(len(self.stored("good", "bad")), 2)

    def test_none(self):
        self.assertEqual(self.push().json(), {"events": []})

    def test_a_thousand(self):
        events = [self.lago_event(f"t-{number}") for number in range(1000)]
        self.assertEqual(len(self.push(*events).json()["events"]), 1000)

    def test_refused_requests(self):
        for body, media_type, status, code in (
            (b"[]", "application/json", 400, "invalid_body"),
            (b'{"events": {}}', "application/json", 400, "invalid_body"),
            (b'{"event": {}}', "application/json", 400, "invalid_body"),
            (b"{", "application/json", 400, "invalid_json"),
            (b"{}", "text/plain", 415, "unsupported_media_type"),
            (b"{}", "application/cloudevents+json", 415, "unsupported_media_type"),
        ):
            with self.subTest(body=body, media_type=media_type):
                self.assertLagoError(self.send(body, media_type), status, code)

    def test_too_many(self):
        self.assertLagoError(self.push(*[{}] * 10_001), 413, "too_many_events")

    def test_gzip(self):
        body = gzip.compress(json.dumps({"events": [self.lago_event("t-1")]}).encode())
        self.assertEqual(self.send(body, headers={"Content-Encoding": "gzip"}).status_code, 200)


@tagged("post_install", "-at_install")
class TestLagoBatchAtRoot(TestLagoBatch):
    URL = "/api/v1/events/batch"


@tagged("post_install", "-at_install")
class TestLagoTranslation(BaseCase):
    """The translation by itself."""

    class Meters:
        def _specs(self, company_id, event_type):
            return {"sum": (MeterSpec("m", ("n",), ()),), "count": (MeterSpec("m", (), ()),)}.get(event_type, ())

    class Sender:
        company_id = 1

    def translated(self, event):
        return lago._translated(event, self.Sender, self.Meters())

    def test_names(self):
        event = {
            "transaction_id": "t",
            "external_subscription_id": "s",
            "code": "count",
            "timestamp": 86400,
            "properties": {"a": 1},
        }
        self.assertEqual(
            self.translated(event),
            {"id": "t", "subject": "s", "type": "count", "time": "1970-01-02T00:00:00+00:00", "data": {"a": 1}},
        )

    def test_what_is_no_event(self):
        for event in (None, 7, "text", []):
            self.assertEqual(self.translated(event), event)
        self.assertEqual(self.translated({}), {})

    def test_numbers(self):
        for value, number in (("1", 1), ("-1.5", Decimal("-1.5")), ("-0", 0), ("0.10", Decimal("0.1"))):
            self.assertEqual(self.translated({"code": "sum", "properties": {"n": value}})["data"], {"n": number})
        for value in (
            "",
            " 1",
            "1 ",
            "1,5",
            "1e5",
            "0x10",
            "+1",
            ".5",
            "5.",
            "NaN",
            "Infinity",
            "٣",
            "9" * 41,
            None,
            True,
        ):
            self.assertEqual(self.translated({"code": "sum", "properties": {"n": value}})["data"], {"n": value})

    def test_only_the_value_that_a_meter_sums(self):
        properties = {"n": "1", "other": "2"}
        self.assertEqual(self.translated({"code": "count", "properties": dict(properties)})["data"], properties)
        self.assertEqual(self.translated({"code": "unknown", "properties": dict(properties)})["data"], properties)
        self.assertEqual(
            self.translated({"code": "sum", "properties": dict(properties)})["data"], {"n": 1, "other": "2"}
        )

    def test_times(self):
        for timestamp, time in (
            (0, "1970-01-01T00:00:00+00:00"),
            ("1778000000", "2026-05-05T16:53:20+00:00"),
            (Decimal("1778000000.25"), "2026-05-05T16:53:20.250000+00:00"),
            ("1778000000.123456789", "2026-05-05T16:53:20.123456+00:00"),
            (-1, "1969-12-31T23:59:59+00:00"),
        ):
            self.assertEqual(lago._time(timestamp), time)
        for timestamp in (True, None, "x", "2026-05-05T16:53:20Z", 10**20, "1" * 40):
            left = Decimal(timestamp) if timestamp == "1" * 40 else timestamp
            self.assertEqual(lago._time(timestamp), left)

    def test_errors_are_of_codes_that_there_are(self):
        self.assertEqual(set(lago.ERRORS) - set(REJECTIONS), {"id_conflict"})
