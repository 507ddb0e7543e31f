import doctest
import gzip
import tracemalloc
import zlib
from decimal import Decimal

from odoo.tests import BaseCase, tagged

from odoo.addons.usage_connector_base.ingestion import envelope
from odoo.addons.usage_connector_base.ingestion.envelope import (
    BATCH,
    PLAIN,
    SINGLE,
    Refusal,
    check_size,
    decompress,
    parse,
)


class EnvelopeCase(BaseCase):
    def assertRefusal(self, status, code, function, *args):
        with self.assertRaises(Refusal) as caught:
            function(*args)
        self.assertEqual((caught.exception.status, caught.exception.code), (status, code))
        return caught.exception.message

    def value(self, number):
        """What a JSON number becomes."""
        [event] = parse(b'[{"v": %s}]' % number.encode(), BATCH)
        return event["v"]


@tagged("post_install", "-at_install")
class TestShapes(EnvelopeCase):
    """Which body goes with which media type."""

    def test_doctests(self):
        result = doctest.testmod(envelope)
        self.assertEqual(result.failed, 0)
        self.assertGreater(result.attempted, 0)

    def test_three_media_types(self):
        self.assertEqual(parse(b'[{"id": "1"}, {"id": "2"}]', BATCH), [{"id": "1"}, {"id": "2"}])
        self.assertEqual(parse(b'{"id": "1"}', SINGLE), [{"id": "1"}])
        self.assertEqual(parse(b'{"events": [{"id": "1"}], "note": 1}', PLAIN), [{"id": "1"}])

    def test_empty_batches(self):
        self.assertEqual(parse(b"[]", BATCH), [])
        self.assertEqual(parse(b'{"events": []}', PLAIN), [])

    def test_what_is_no_event_is_kept_for_its_rejection(self):
        self.assertEqual(parse(b'[1, "x", null, [], true]', BATCH), [1, "x", None, [], True])

    def test_shape_of_another_media_type(self):
        for body, media_type in (
            (b'{"id": "1"}', BATCH),
            (b"[]", SINGLE),
            (b"[]", PLAIN),
            (b'{"id": "1"}', PLAIN),
            (b'{"events": {}}', PLAIN),
            (b'{"events": null}', PLAIN),
            (b"null", SINGLE),
            (b'"text"', BATCH),
        ):
            with self.subTest(body=body, media_type=media_type):
                message = self.assertRefusal(400, "invalid_body", parse, body, media_type)
                self.assertIn(media_type, message)

    def test_other_media_types(self):
        for media_type in ("", "text/plain", "text/json", "application/xml", "application/x-www-form-urlencoded"):
            with self.subTest(media_type=media_type):
                message = self.assertRefusal(415, "unsupported_media_type", parse, b"[]", media_type)
                self.assertIn(BATCH, message)

    def test_not_json(self):
        for body in (
            b"",
            b" ",
            b"events",
            b"{'events': []}",
            b'{"events": []',
            b'{"events": []} {}',
            b'{"events": [NaN]}',
            b'{"events": [Infinity]}',
            b'{"events": [01]}',
            b'{"events": [1.]}',
            b'{"events": [.5]}',
            b'{"events": [,]}',
            b'{"events": ["\xff"]}',
            b'{"events": ["\\ud800"]}',
            b'\xef\xbb\xbf{"events": []}',
            b"[" * 100_000,
            b"[" * 3000 + b"]" * 3000,
        ):
            with self.subTest(body=body[:40]):
                self.assertRefusal(400, "invalid_json", parse, body, PLAIN)

    def test_sizes(self):
        self.assertIsNone(check_size(10, 10, "Events", "too_many_events"))
        message = self.assertRefusal(413, "too_many_events", check_size, 11, 10, "Events", "too_many_events")
        self.assertIn("10", message)


@tagged("post_install", "-at_install")
class TestNumbers(EnvelopeCase):
    """Numbers arrive with every digit, and none is such that a database could not hold it."""

    def test_exact(self):
        for text in (
            "0.1",
            "123456789.123456789123456789",
            "1e-7",
            "-2.5",
            "0.1000000000000000055511151231257827021181583404541015625",
            "9007199254740993.5",
            "1" * 50 + "." + "1" * 50,
        ):
            with self.subTest(text):
                self.assertEqual(repr(self.value(text)), repr(Decimal(text)))

    def test_one_number_however_it_is_written(self):
        for text, value in (
            ("0.10", Decimal("0.1")),
            ("10e-2", Decimal("0.1")),
            ("1.000", 1),
            ("1e0", 1),
            ("100.0", 100),
            ("1E2", 100),
            ("-0.0", 0),
            ("0e5", 0),
            ("1e30", 10**30),
            ("9007199254740993.0", 9007199254740993),
        ):
            with self.subTest(text):
                self.assertEqual(repr(self.value(text)), repr(value))

    def test_integers_stay_integers(self):
        for text in ("0", "-1", "9007199254740993", "123456789012345678901234567890"):
            with self.subTest(text):
                self.assertIs(type(self.value(text)), int)
                self.assertEqual(self.value(text), int(text))

    def test_too_large_for_a_number(self):
        """One number that no database holds costs its own event only: it becomes text."""
        for text in (
            "1e101",
            "1e-101",
            "1e400",
            "-1e400",
            "0e500",
            "1e999999999999999999999",
            "1e-999999999999999999999",
            "0." + "1" * 20_000,
            "1." + "0" * 20_000,
            "1" * 150 + ".5",
        ):
            with self.subTest(text[:30]):
                self.assertEqual(self.value(text), text)

    def test_as_large_as_may_be(self):
        for text in ("1e100", "1e-100", "0." + "1" * 100, "9" * 100 + ".5"):
            with self.subTest(text[:30]):
                self.assertEqual(self.value(text), Decimal(text))


@tagged("post_install", "-at_install")
class TestDecompress(EnvelopeCase):
    BODY = b'{"events": []}' * 10

    def test_not_compressed(self):
        for encoding in (None, "", "identity"):
            self.assertEqual(decompress(self.BODY, encoding, len(self.BODY)), self.BODY)
            self.assertRefusal(413, "too_many_bytes", decompress, self.BODY, encoding, len(self.BODY) - 1)

    def test_gzip(self):
        self.assertEqual(decompress(gzip.compress(self.BODY), "gzip", 1000), self.BODY)

    def test_name_of_the_encoding_in_any_case(self):
        self.assertEqual(decompress(gzip.compress(self.BODY), "GZIP", 1000), self.BODY)
        self.assertEqual(decompress(gzip.compress(self.BODY), "x-gzip", 1000), self.BODY)

    def test_exactly_at_the_limit(self):
        self.assertEqual(decompress(gzip.compress(self.BODY), "gzip", len(self.BODY)), self.BODY)

    def test_bomb(self):
        """A kilobyte that unpacks to megabytes is never unpacked further than the limit."""
        bomb = gzip.compress(b" " * 50_000_000)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        message = self.assertRefusal(413, "too_many_bytes", decompress, bomb, "gzip", 1_000_000)
        self.assertIn("1000000", message)
        self.assertLess(tracemalloc.get_traced_memory()[1], 5_000_000, "bytes at the peak")

    def test_one_byte_too_many(self):
        packed = gzip.compress(self.BODY)
        self.assertRefusal(413, "too_many_bytes", decompress, packed, "gzip", len(self.BODY) - 1)

    def test_not_gzip(self):
        for body in (self.BODY, zlib.compress(self.BODY), b"\x1f\x8b", gzip.compress(self.BODY)[5:]):
            self.assertRefusal(400, "invalid_gzip", decompress, body, "gzip", 1000)

    def test_incomplete(self):
        packed = gzip.compress(self.BODY)
        for body in (b"", packed[:20], packed[:-1]):
            self.assertRefusal(400, "invalid_gzip", decompress, body, "gzip", 1000)

    def test_wrong_checksum(self):
        packed = bytearray(gzip.compress(self.BODY))
        packed[-6] ^= 0xFF
        self.assertRefusal(400, "invalid_gzip", decompress, bytes(packed), "gzip", 1000)

    def test_more_after_the_end(self):
        """Nothing is dropped in silence, be it a second gzip member or rubbish."""
        packed = gzip.compress(self.BODY)
        for more in (packed, b"more"):
            self.assertRefusal(400, "invalid_gzip", decompress, packed + more, "gzip", 1000)

    def test_other_encodings(self):
        for encoding in ("deflate", "br", "zstd", "gzip, gzip"):
            self.assertRefusal(415, "unsupported_encoding", decompress, self.BODY, encoding, 1000)
