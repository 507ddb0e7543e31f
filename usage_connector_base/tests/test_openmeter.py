import gzip
import uuid

from odoo.tests import tagged
from odoo.tools import mute_logger

from odoo.addons.usage_connector_base.ingestion.envelope import BATCH, PLAIN, SINGLE

from .common import to_json
from .common_query import CONTROLLER, QueryCommon


@tagged("post_install", "-at_install")
class TestOpenMeter(QueryCommon):
    """Events as OpenMeter's clients send them, answered as OpenMeter answers."""

    URL = "/usage/openmeter/api/v1/events"

    def send(self, body, media_type=BATCH, **options):
        return self.post(body if isinstance(body, bytes) else to_json(body), content_type=media_type, **options)

    def assertTaken(self, response):
        self.assertEqual((response.status_code, response.content), (204, b""), response.text[:300])

    def assertProblem(self, response, status, code):
        """The answer is a problem of RFC 9457."""
        self.assertEqual(response.status_code, status, response.text[:300])
        self.assertEqual(response.headers["Content-Type"], "application/problem+json")
        problem = response.json()
        self.assertEqual(set(problem), {"type", "title", "status", "detail", "instance", "extensions"})
        self.assertEqual((problem["status"], problem["extensions"]["code"]), (status, code))
        self.assertTrue(problem["detail"])
        self.assertTrue(uuid.UUID(problem["instance"].removeprefix("urn:uuid:")))
        return problem

    def test_media_types(self):
        event = self.event("e-1")
        for body, media_type in (([event], BATCH), (event, SINGLE), (event, PLAIN), ([event], PLAIN)):
            self.assertTaken(self.send(body, media_type))
        self.assertEqual(len(self.stored("e-1")), 1)
        self.assertEqual(self.last_batch().media_type, PLAIN)

    def test_an_empty_array(self):
        self.assertTaken(self.send([]))

    def test_nulls_are_absent(self):
        event = self.event("e-1")
        self.assertTaken(self.send([{**event, "dataschema": None, "datacontenttype": None, "tenant": None}]))
        self.assertEqual(self.stored("e-1").attributes, {"source": "/test"})
        self.assertEqual(self.outcomes(self.ingest([event])), {"duplicate": 1})

    def test_nulls_in_data_are_kept(self):
        self.assertTaken(self.send([self.event("e-1", data={"tokens": 1, "model": None})]))
        self.assertEqual(self.stored("e-1").data, {"tokens": 1, "model": None})

    def test_without_a_time(self):
        self.assertTaken(self.send([self.event("e-1", time=None)]))
        event = self.stored("e-1")
        self.assertEqual(event.time, event.received_at)

    def test_held_events_are_taken(self):
        self.assertTaken(self.send([self.event("e-1", subject="stranger"), self.event("e-2", type="unknown")]))
        self.assertEqual(len(self.stored("e-1", "e-2")), 2)

    def test_conflicts_are_not_told_but_recorded(self):
        """OpenMeter drops an event whose id it knows; here a person decides."""
        self.assertTaken(self.send([self.event("e-1", tokens=1)]))
        self.assertTaken(self.send([self.event("e-1", tokens=2)]))
        self.assertEqual(self.stored("e-1").data["tokens"], 1)
        self.assertEqual(len(self.exceptions(reason="conflict")), 1)

    def test_rejected_events(self):
        response = self.send([self.event("good"), self.event("bad", tokens="x"), self.event("worse", time="now")])
        problem = self.assertProblem(response, 400, "events_rejected")
        self.assertIn("2 rejected", problem["detail"])
        errors = problem["extensions"]["validationErrors"]
        self.assertEqual(
            [(e["index"], e["id"], e["code"]) for e in errors],
            [
                (1, "bad", "value_not_number"),
                (2, "worse", "time_invalid"),
            ],
        )
        self.assertTrue(self.stored("good"), "one bad event does not cost the others")
        self.assertEqual(len(self.exceptions()), 2)

    def test_what_is_no_event(self):
        self.assertProblem(self.send([7, None]), 400, "events_rejected")

    def test_refused_requests(self):
        for body, media_type, status, code in (
            (b"{", BATCH, 400, "invalid_json"),
            (b"{}", BATCH, 400, "invalid_body"),
            (b"[]", SINGLE, 400, "invalid_body"),
            (b"7", PLAIN, 400, "invalid_body"),
            (b"[]", "text/plain", 415, "unsupported_media_type"),
        ):
            with self.subTest(body=body, media_type=media_type):
                self.assertProblem(self.send(body, media_type), status, code)
                self.assertEqual(self.last_batch().refusal_code, code)

    def test_too_many(self):
        self.assertProblem(self.send([{}] * 10_001), 413, "too_many_events")

    def test_gzip(self):
        body = gzip.compress(to_json([self.event("e-1")]))
        self.assertTaken(self.send(body, headers={"Content-Encoding": "gzip"}))
        self.assertTrue(self.stored("e-1"))

    def test_a_key_is_needed(self):
        with mute_logger(CONTROLLER):
            for key in ("", "wrong"):
                self.assertProblem(self.send([], key=key), 401, "unauthorized")
        self.source.with_user(self.admin).action_suspend()
        self.assertProblem(self.send([]), 403, "source_not_approved")


@tagged("post_install", "-at_install")
class TestOpenMeterAtRoot(TestOpenMeter):
    """The same where a client is given nothing but Odoo's address."""

    URL = "/api/v1/events"
