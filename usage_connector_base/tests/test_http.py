import gzip
import json
from unittest.mock import patch

from odoo import fields
from odoo.tests import tagged
from odoo.tools import SQL, mute_logger

from odoo.addons.usage_connector_base.controllers.events import UsageEventsController
from odoo.addons.usage_connector_base.ingestion.envelope import BATCH, PLAIN, SINGLE
from odoo.addons.usage_connector_base.models.usage_exception import BUSINESS_REASONS, OPERATIONAL_REASONS, SILENT

from .common import OUTCOMES, UsageHttpCommon, to_json

FORM = "application/x-www-form-urlencoded"

# Requests that are refused as a whole: what, body, headers, status, code.
REFUSED = [
    ("nothing", b"", {}, 400, "invalid_json"),
    ("a text", b"usage", {}, 400, "invalid_json"),
    ("half of it", b'{"events": [', {}, 400, "invalid_json"),
    ("Python's own notation", b"{'events': []}", {}, 400, "invalid_json"),
    ("NaN, which is no JSON", b'{"events": [NaN]}', {}, 400, "invalid_json"),
    ("Latin-1", '{"events": ["é"]}'.encode("latin-1"), {}, 400, "invalid_json"),
    ("UTF-16", '{"events": []}'.encode("utf-16"), {}, 400, "invalid_json"),
    ("100,000 open brackets", b"[" * 100_000, {}, 400, "invalid_json"),
    ("a list where an object is due", b"[]", {}, 400, "invalid_body"),
    ("an object without events", b'{"id": "1"}', {}, 400, "invalid_body"),
    ("events that are no list", b'{"events": {"id": "1"}}', {}, 400, "invalid_body"),
    ("an object where a list is due", b'{"events": []}', {"Content-Type": BATCH}, 400, "invalid_body"),
    ("a list where one event is due", b"[]", {"Content-Type": SINGLE}, 400, "invalid_body"),
    ("plain text", b"{}", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    ("XML", b"<event/>", {"Content-Type": "application/xml"}, 415, "unsupported_media_type"),
    ("what curl sends by itself", b'{"events": []}', {"Content-Type": FORM}, 415, "unsupported_media_type"),
    ("no content type", b'{"events": []}', {"Content-Type": ""}, 415, "unsupported_media_type"),
    ("deflate", b"x", {"Content-Encoding": "deflate"}, 415, "unsupported_encoding"),
    ("gzip that is none", b'{"events": []}', {"Content-Encoding": "gzip"}, 400, "invalid_gzip"),
    ("half a gzip", gzip.compress(b'{"events": []}')[:-4], {"Content-Encoding": "gzip"}, 400, "invalid_gzip"),
    ("gzip of no JSON", gzip.compress(b"usage"), {"Content-Encoding": "gzip"}, 400, "invalid_json"),
    ("a gzip bomb", gzip.compress(b" " * 20_000_000), {"Content-Encoding": "gzip"}, 413, "too_many_bytes"),
    ("17 MB", b" " * 17_000_000, {}, 413, "too_many_bytes"),
    ("10,001 events", b'{"events": [%s]}' % b",".join([b"0"] * 10_001), {}, 413, "too_many_events"),
]


@tagged("post_install", "-at_install")
class TestContract(UsageHttpCommon):
    """POST /usage/v1/events, as ``readme/USAGE.md`` promises it."""

    def test_batch(self):
        response = self.post(to_json([self.event("a"), self.event("b")]), content_type=BATCH)
        self.assertEqual(response.status_code, 200)
        self.assertEqual(response.headers["Content-Type"].partition(";")[0], "application/json")
        answer = response.json()
        self.assertEqual(
            answer,
            {
                "batch": self.last_batch().id,
                "accepted": 2,
                "duplicate": 0,
                "conflict": 0,
                "quarantined": 0,
                "rejected": 0,
                "events": [],
            },
        )
        self.assertEqual(len(self.stored("a", "b")), 2)

    def test_single(self):
        response = self.post(to_json(self.event("a")), content_type=SINGLE)
        self.assertEqual(self.outcomes(response.json()), {"accepted": 1})

    def test_events(self):
        self.assertEqual(self.outcomes(self.post([self.event("a")]).json()), {"accepted": 1})

    def test_month_without_its_partition(self):
        """The job that makes them has not run for months: the request makes what it needs."""
        table = SQL.identifier(f"usage_event_{fields.Datetime.now():%Y_%m}")
        self.env.cr.execute(SQL("DROP TABLE %s", table))
        self.assertEqual(self.outcomes(self.post([self.event("a")]).json()), {"accepted": 1})
        self.assertEqual(len(self.stored("a")), 1)

    def test_content_type_with_parameters(self):
        for number, content_type in enumerate((f"{PLAIN}; charset=utf-8", f"{PLAIN};charset=UTF-8", PLAIN.upper())):
            response = self.post([self.event(f"{number}")], content_type=content_type)
            self.assertEqual(response.status_code, 200, content_type)
        response = self.post(to_json(self.event("single")), content_type=f"{SINGLE}; charset=utf-8")
        self.assertEqual(self.outcomes(response.json()), {"accepted": 1})

    def test_nothing_to_send(self):
        answer = self.post([]).json()
        self.assertEqual(self.outcomes(answer), {})
        self.assertEqual(self.last_batch().id, answer["batch"])

    def test_gzip(self):
        body = gzip.compress(to_json({"events": [self.event(f"{n}") for n in range(100)]}))
        answer = self.post(body, headers={"Content-Encoding": "gzip"}).json()
        self.assertEqual(self.outcomes(answer), {"accepted": 100})
        self.assertGreater(self.last_batch().body_bytes, len(body), "the size is that after unpacking")

    def test_gzip_of_each_media_type(self):
        for content_type, body in ((SINGLE, self.event("a")), (BATCH, [self.event("b")])):
            response = self.post(
                gzip.compress(to_json(body)), content_type=content_type, headers={"Content-Encoding": "gzip"}
            )
            self.assertEqual(self.outcomes(response.json()), {"accepted": 1})

    def test_every_outcome(self):
        self.post([self.event("known")])
        answer = self.post(
            [
                self.event("good"),
                self.event("known"),
                self.event("known", tokens=2),
                self.event("held", subject="new"),
                self.event("bad", tokens="x"),
            ]
        ).json()
        self.assertEqual([answer[outcome] for outcome in OUTCOMES], [1, 1, 1, 1, 1])
        self.assertEqual(
            [(event["index"], event["id"], event["outcome"], event["code"]) for event in answer["events"]],
            [
                (1, "known", "duplicate", "id_known"),
                (2, "known", "conflict", "id_conflict"),
                (3, "held", "quarantined", "account_unmapped"),
                (4, "bad", "rejected", "value_not_number"),
            ],
        )
        self.assertTrue(all(event["message"] for event in answer["events"]))

    def test_retry_is_safe(self):
        body = [self.event(f"{n}") for n in range(3)]
        self.assertEqual(self.outcomes(self.post(body).json()), {"accepted": 3})
        retry = self.post(body)
        self.assertEqual(retry.status_code, 200)
        self.assertEqual(self.outcomes(retry.json()), {"duplicate": 3})

    def test_answer_to_strange_ids(self):
        """The answer is JSON, whatever stands where an id should."""
        body = b'{"events": [{"id": 0.10}, {"id": {"a": [1.5]}}, {"id": true}, {"id": "\\ud83d\\ude00"}, 1e5]}'
        answer = self.post(body).json()
        self.assertEqual(answer["rejected"], 5)
        self.assertEqual([event["index"] for event in answer["events"]], [0, 1, 2, 3, 4])
        self.assertEqual(answer["events"][3]["id"], "😀")

    def test_correlation(self):
        self.post([], headers={"X-Correlation-Id": "c-1", "traceparent": "00-t-1"})
        self.assertEqual(self.last_batch().correlation_id, "c-1")
        self.post([], headers={"traceparent": "00-t-1"})
        self.assertEqual(self.last_batch().correlation_id, "00-t-1")
        self.post([], headers={"X-Correlation-Id": "x" * 1000})
        self.assertEqual(len(self.last_batch().correlation_id), 255)
        self.post([])
        self.assertFalse(self.last_batch().correlation_id)

    def test_record_of_the_request(self):
        body = to_json({"events": [self.event("a")]})
        self.post(body)
        batch = self.last_batch()
        self.assertEqual((batch.media_type, batch.body_bytes, batch.event_count), (PLAIN, len(body), 1))
        self.assertEqual(batch.user_id, self.source.user_id)

    def test_parameters_of_the_address_mean_nothing(self):
        response = self.url_open(
            f"{self.URL}?events=1&source_id=99&debug=1",
            data=to_json({"events": [self.event("a")]}),
            headers={"Content-Type": PLAIN, "Authorization": f"Bearer {self.key}"},
        )
        self.assertEqual(self.outcomes(response.json()), {"accepted": 1})

    def test_other_methods(self):
        with mute_logger("odoo.http"):
            for method in ("GET", "PUT", "DELETE", "PATCH"):
                response = self.url_open(self.URL, method=method, headers={"Authorization": f"Bearer {self.key}"})
                self.assertEqual(response.status_code, 405, method)

    def test_starts_no_session(self):
        self.assertNotIn("Set-Cookie", self.post([self.event("a")]).headers)

    def test_wakes_the_count(self):
        with patch.object(type(self.env["usage.aggregate"]), "_wake_fold", autospec=True) as wake:
            self.post([self.event("a")])
        self.assertTrue(wake.called)


@tagged("post_install", "-at_install")
class TestRefused(UsageHttpCommon):
    """Requests that are refused as a whole leave a record, and count nothing."""

    def test_each(self):
        for what, body, headers, status, code in REFUSED:
            with self.subTest(what):
                before = self.last_batch()
                headers = {"X-Correlation-Id": what, **headers}
                response = self.post(body, content_type=headers.pop("Content-Type", PLAIN), headers=headers)
                self.assertRefused(response, status, code)
                batch = self.last_batch()
                self.assertNotEqual(batch, before, "it leaves a record")
                self.assertEqual((batch.refusal_code, batch.correlation_id), (code, what))
                self.assertEqual((batch.event_count, batch.source_id), (0, self.source))
                self.assertTrue(batch.folded_at)

    def test_nothing_of_it_is_counted(self):
        good = to_json(self.event("good"))
        self.assertRefused(self.post(b'{"events": [%s, oops]}' % good), 400, "invalid_json")
        self.assertFalse(self.stored("good"))
        self.assertEqual(self.outcomes(self.post([self.event("good")]).json()), {"accepted": 1})

    def test_a_form_of_a_megabyte(self):
        """What a form parser would refuse in its own words is refused in ours."""
        response = self.post(b"x=" + b"y" * 2**20, content_type=FORM)
        self.assertRefused(response, 415, "unsupported_media_type")

    def test_a_multipart_form(self):
        response = self.post(b"--x\r\n\r\n--x--", content_type="multipart/form-data; boundary=x")
        self.assertRefused(response, 415, "unsupported_media_type")

    def test_chunks_of_unknown_length(self):
        """A request that does not say how long it is gets no further than the others."""

        def post(*chunks):
            headers = {"Content-Type": PLAIN, "Authorization": f"Bearer {self.key}"}
            return self.url_open(self.URL, data=iter(chunks), headers=headers, method="POST")

        self.assertEqual(post(b'{"events"', b": []}").json()["accepted"], 0)
        self.assertRefused(post(b'{"events": []}', *[b" " * 1_000_000] * 17), 413, "too_many_bytes")

    def test_as_deep_as_can_be_read(self):
        """However deep an event is nested, it is either stored or refused, and never an error."""

        def post(depth):
            body = b'{"events": [{"id": "%d", "type": "free", "subject": "acme", "data": {"n": %s}}]}'
            return self.post(body % (depth, b"[" * depth + b"]" * depth))

        refused, readable = 1000, 0
        while refused - readable > 1:
            depth = (refused + readable) // 2
            response = post(depth)
            self.assertIn(response.status_code, (200, 400), depth)
            readable, refused = (depth, refused) if response.status_code == 200 else (readable, depth)
        self.assertGreater(readable, 100)
        for depth in range(readable - 12, readable + 12):
            response = post(depth)
            self.assertIn(response.status_code, (200, 400), depth)
            if response.status_code == 400:
                self.assertRefused(response, 400, "invalid_json")

    def test_longest_description(self):
        self.assertRefused(self.post(b"{}", content_type="application/" + "x" * 1000), 415, "unsupported_media_type")
        self.assertEqual(len(self.last_batch().media_type), 255)

    def test_error_leaves_nothing_and_is_no_success(self):
        """What goes wrong in the middle is rolled back as a whole; the sender knows to send it again."""
        ingestion = type(self.env["usage.ingestion"])
        with (
            patch.object(ingestion, "_answer", autospec=True, side_effect=RuntimeError("power cut")),
            mute_logger("odoo.http"),
        ):
            response = self.post([self.event("a")])
        self.assertEqual(response.status_code, 500)
        self.assertFalse(self.stored("a"))
        self.assertEqual(self.outcomes(self.post([self.event("a")]).json()), {"accepted": 1})


@tagged("post_install", "-at_install")
class TestDocumentation(UsageHttpCommon):
    """What can be answered is written down for those who send."""

    def usage(self):
        path = f"{__file__.rpartition('/tests/')[0]}/readme/USAGE.md"
        with open(path, encoding="utf-8") as text:
            return text.read()

    def test_every_code(self):
        text = self.usage()
        codes = {code for _what, _body, _headers, _status, code in REFUSED}
        codes |= {"unauthorized", "source_not_approved", "wrong_environment"}
        codes |= {"id_known", "id_conflict", "account_unmapped", "meter_unknown"}
        codes |= {*BUSINESS_REASONS, *OPERATIONAL_REASONS} - {"conflict", SILENT}  # these answer no request
        for code in sorted(codes):
            self.assertIn(f"`{code}`", text)

    def test_route(self):
        self.assertIn(self.URL, self.usage())
        self.assertEqual(UsageEventsController.post_events.original_routing["routes"], [self.URL])

    def test_examples_are_valid(self):
        """Every example of a body is JSON."""
        blocks = self.usage().split("```json")[1:]
        self.assertGreaterEqual(len(blocks), 3)
        for block in blocks:
            self.assertTrue(json.loads(block.partition("```")[0]))
