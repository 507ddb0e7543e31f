import gzip
from unittest.mock import patch

from odoo.tests import tagged
from odoo.tools import mute_logger

from odoo.addons.usage_connector_base.ingestion.envelope import BATCH, PLAIN, SINGLE

from .common import OUTCOMES, to_json
from .common_query import CONTROLLER, QueryCommon

# Requests that are refused as a whole: what, body, headers, status, code.
REFUSED = [
    ("nothing", b"", {}, 400, "invalid_json"),
    ("half of it", b'{"%s": [', {}, 400, "invalid_json"),
    ("a list", b"[]", {}, 400, "invalid_body"),
    ("no list", b'{"%s": 1}', {}, 400, "invalid_body"),
    ("a CloudEvent", b"{}", {"Content-Type": SINGLE}, 415, "unsupported_media_type"),
    ("CloudEvents", b"[]", {"Content-Type": BATCH}, 415, "unsupported_media_type"),
    ("plain text", b"{}", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    ("deflate", b"x", {"Content-Encoding": "deflate"}, 415, "unsupported_encoding"),
    ("gzip that is none", b"{}", {"Content-Encoding": "gzip"}, 400, "invalid_gzip"),
    ("17 MB", b" " * 17_000_000, {}, 413, "too_many_bytes"),
    ("10,001 of them", b'{"%%s": [%s]}' % b",".join([b"0"] * 10_001), {}, 413, "too_many_events"),
]


class DoorCommon(QueryCommon):
    """What both routes do as that of events does."""

    NAME = ""

    def good(self, number):
        """A body's item that is accepted."""
        raise NotImplementedError

    def send(self, *items, **options):
        return self.post(to_json({self.NAME: items}), **options)


class Door:
    def test_a_list(self):
        response = self.send(self.good(1), self.good(2))
        self.assertEqual(response.status_code, 200, response.text)
        self.assertEqual(list(response.json()), ["batch", *OUTCOMES, self.NAME])
        self.assertEqual(self.outcomes(response.json()), {"accepted": 2})
        self.assertEqual(self.last_batch().kind, self.NAME)

    def test_one(self):
        self.assertEqual(self.outcomes(self.post(to_json(self.good(1))).json()), {"accepted": 1})

    def test_none(self):
        self.assertEqual(self.outcomes(self.send().json()), {})

    def test_gzip(self):
        body = gzip.compress(to_json({self.NAME: [self.good(1)]}))
        answer = self.post(body, headers={"Content-Encoding": "gzip"}).json()
        self.assertEqual(self.outcomes(answer), {"accepted": 1})

    def test_retry_is_safe(self):
        self.send(self.good(1))
        self.assertEqual(self.outcomes(self.send(self.good(1)).json()), {"duplicate": 1})

    def test_refused(self):
        for what, body, headers, status, code in REFUSED:
            with self.subTest(what):
                headers = {"X-Correlation-Id": what, **headers}
                content_type = headers.pop("Content-Type", PLAIN)
                body = body.replace(b"%s", self.NAME.encode(), 1)
                self.assertRefused(self.post(body, content_type=content_type, headers=headers), status, code)
                batch = self.last_batch()
                self.assertEqual((batch.refusal_code, batch.correlation_id, batch.kind), (code, what, self.NAME))

    def test_keys(self):
        with mute_logger(CONTROLLER):
            for key in ("", "wrong"):
                self.assertRefused(self.send(self.good(1), key=key), 401, "unauthorized")
        response = self.send(self.good(1), headers={"X-Usage-Environment": "staging"})
        self.assertRefused(response, 403, "wrong_environment")
        self.source.with_user(self.admin).action_suspend()
        self.assertRefused(self.send(self.good(1)), 403, "source_not_approved")

    def test_other_methods(self):
        with mute_logger("odoo.http"):
            for method in ("GET", "PUT", "DELETE", "PATCH"):
                self.assertEqual(self.url_open(self.URL, method=method).status_code, 405, method)

    def test_wakes_the_count(self):
        with patch.object(type(self.env["usage.aggregate"]), "_wake_fold", autospec=True) as wake:
            self.send(self.good(1))
        self.assertTrue(wake.called)

    def test_no_error_whatever_is_sent(self):
        strange = [None, 1, "text", [], {}, {"id": 1}, {"id": {}}, {"id": "x\0"}, {"account": [], "start": {}}]
        answer = self.send(*strange).json()
        self.assertEqual(self.outcomes(answer), {"rejected": len(strange)})
        self.assertEqual(len(self.exceptions(kind=self.NAME)), len(strange))


@tagged("post_install", "-at_install")
class TestCorrectionsDoor(DoorCommon, Door):
    URL = "/usage/v1/corrections"
    NAME = "corrections"

    def setUp(self):
        super().setUp()
        self.ingest([self.event("e-1"), self.event("e-2"), self.event("e-3")])

    def good(self, number):
        return self.void(f"v-{number}", f"e-{number}")

    def test_every_outcome(self):
        self.send(self.void("v-1", "e-1"))
        answer = self.send(
            self.void("v-2", "e-2"),
            self.void("v-1", "e-1"),
            self.void("v-1", "e-3"),
            self.amend("m-1", "e-3", subject="new"),
            self.void("v-4", "nothing"),
        ).json()
        self.assertEqual([answer[outcome] for outcome in OUTCOMES], [1, 1, 1, 1, 1])
        self.assertEqual(
            [(one["index"], one["id"], one["outcome"], one["code"]) for one in answer["corrections"]],
            [
                (1, "v-1", "duplicate", "id_known"),
                (2, "v-1", "conflict", "id_conflict"),
                (3, "m-1", "quarantined", "account_unmapped"),
                (4, "v-4", "rejected", "event_unknown"),
            ],
        )

    def test_what_became_of_a_corrected_event(self):
        self.fold()
        self.send(self.amend("m-1", "e-1", data={"tokens": 2, "model": "small"}, subject="acme"))
        waiting = self.answer("/usage/v1/events/e-1")
        self.assertEqual(waiting["state"], "waiting")
        self.fold()
        status = self.answer("/usage/v1/events/e-1")
        self.assertEqual(status["state"], "counted")
        self.assertEqual(status["meters"][0]["quantity"], "2")
        [correction] = status["corrections"]
        self.assertEqual((correction["id"], correction["action"]), ("m-1", "amend"))
        self.assertEqual(correction["reason"], "Measured wrong")
        self.assertEqual(correction["batch"], status["batch"]["id"])
        self.assertEqual(
            correction["superseded"],
            {"type": "llm.completion", "time": self.time(), "account": "acme", "data": {"tokens": 1, "model": "large"}},
        )
        self.send(self.void("v-1", "e-1"))
        status = self.answer("/usage/v1/events/e-1")
        self.assertEqual((status["state"], status["meters"]), ("voided", []))
        self.assertEqual([one["action"] for one in status["corrections"]], ["amend", "void"])
        self.assertEqual(status["corrections"][1]["superseded"]["data"], {"tokens": 2, "model": "small"})

    def test_rejected_correction_shows_at_its_event(self):
        self.send(self.amend("m-1", "e-1", data={"tokens": "x"}))
        status = self.answer("/usage/v1/events/e-1")
        self.assertEqual([exception["reason"] for exception in status["exceptions"]], ["value_not_number"])
        self.assertNotIn("corrections", status)

    def test_deleted_after_its_correction(self):
        self.send(self.void("v-1", "e-1"))
        self.env.cr.execute("DELETE FROM usage_event WHERE event_id = 'e-1'")
        status = self.answer("/usage/v1/events/e-1")
        self.assertEqual((status["state"], status["corrections"][0]["superseded"]), ("deleted", None))


@tagged("post_install", "-at_install")
class TestSummariesDoor(DoorCommon, Door):
    URL = "/usage/v1/summaries"
    NAME = "summaries"

    def good(self, number):
        return self.summary(number, start=number)

    def test_every_outcome(self):
        self.send(self.good(1))
        answer = self.send(
            self.good(2),
            self.good(1),
            self.summary(9, start=1),
            self.summary(account="new"),
            self.summary(sequence="first"),
        ).json()
        self.assertEqual([answer[outcome] for outcome in OUTCOMES], [1, 1, 1, 1, 1])
        self.assertEqual(
            [(one["outcome"], one.get("code")) for one in answer["summaries"]],
            [
                ("accepted", None),
                ("duplicate", "sequence_known"),
                ("conflict", "sequence_conflict"),
                ("quarantined", "account_unmapped"),
                ("rejected", "sequence_invalid"),
            ],
        )
        self.assertIsNone(answer["summaries"][4]["id"])

    def test_what_became_of_a_summary(self):
        window = self.send(self.summary(7)).json()["summaries"][0]["id"]
        self.send(self.summary(8, sequence=2))
        status = self.answer(f"/usage/v1/events/{window}")
        self.assertEqual((status["id"], status["state"], status["type"]), (window, "waiting", "usage.summary"))
        self.assertEqual(
            status["summary"],
            {
                "meter": "tokens",
                "start": self.time(),
                "end": self.time(60),
                "quantity": 8,
                "dimensions": {"model": "large"},
                "sequence": 2,
            },
        )
        [correction] = status["corrections"]
        self.assertEqual((correction["action"], correction["id"]), ("replace", None))
        self.assertEqual(correction["superseded"]["data"]["quantity"], 7)

    def test_held_for_a_meter(self):
        window = self.send(self.summary(meter="gb")).json()["summaries"][0]["id"]
        status = self.answer(f"/usage/v1/events/{window}")
        self.assertEqual((status["state"], status["code"]), ("held", "meter_unknown"))
        self.assertEqual([exception["reason"] for exception in status["exceptions"]], ["meter_unknown"])

    def test_of_another_source(self):
        window = self.send(self.summary()).json()["summaries"][0]["id"]
        key = self.new_key(self._source("other-cloud"))
        self.assertRefused(self.get(f"/usage/v1/events/{window}", key=key), 404, "event_unknown")

    def test_exact_numbers(self):
        body = to_json(self.summary()).replace(b'"quantity":1', b'"quantity":123456789012345678.123456789012345678')
        window = self.post(body).json()["summaries"][0]["id"]
        self.assertIn('"quantity":123456789012345678.123456789012345678', self.get(f"/usage/v1/events/{window}").text)
