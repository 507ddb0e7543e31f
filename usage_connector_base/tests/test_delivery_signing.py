import base64
import json
import time
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

from standardwebhooks import Webhook, WebhookVerificationError

from odoo.tests import BaseCase, tagged

from ..delivery import message, signing

BODY = '{"type":"usage.test","data":{"name":"Zürich ✓"}}'


@tagged("post_install", "-at_install")
class TestSigning(BaseCase):
    """Signatures, judged by the receivers' own library."""

    def verify(self, secret, header, webhook_id="msg_1", timestamp=None, body=BODY):
        headers = {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp or int(time.time())),
            "webhook-signature": header,
        }
        return Webhook(secret).verify(body, headers)

    def sign(self, *secrets, webhook_id="msg_1", timestamp=None):
        return signing.signature_header(secrets, webhook_id, timestamp or int(time.time()), BODY)

    def test_receivers_library_verifies(self):
        secret = signing.new_secret()
        self.assertEqual(self.verify(secret, self.sign(secret)), json.loads(BODY))

    def test_same_as_the_library_signs(self):
        secret, now = signing.new_secret(), datetime.now(timezone.utc).replace(microsecond=0)
        expected = Webhook(secret).sign("msg_1", now, BODY)
        self.assertEqual(signing.signature(secret, "msg_1", int(now.timestamp()), BODY), expected)

    def test_known_signature(self):
        """The example of the specification's test vectors: nobody's library in between."""
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        signature = signing.signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}')
        self.assertEqual(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")

    def test_two_secrets_either_verifies(self):
        old, new = signing.new_secret(), signing.new_secret()
        header = self.sign(new, old)
        self.assertEqual(len(header.split(" ")), 2)
        self.verify(old, header)
        self.verify(new, header)

    def test_other_secret_does_not_verify(self):
        with self.assertRaises(WebhookVerificationError):
            self.verify(signing.new_secret(), self.sign(signing.new_secret()))

    def test_changed_message_does_not_verify(self):
        secret = signing.new_secret()
        header = self.sign(secret)
        for change in ({"body": BODY + " "}, {"webhook_id": "msg_2"}, {"timestamp": int(time.time()) - 60}):
            with self.subTest(change), self.assertRaises(WebhookVerificationError):
                self.verify(secret, header, **change)

    def test_secret_is_long_and_random(self):
        found = {signing.new_secret() for _index in range(100)}
        self.assertEqual(len(found), 100)
        self.assertEqual({len(signing.key_of(secret)) for secret in found}, {32})

    def test_key_of_refuses_what_is_no_secret(self):
        plain = base64.b64encode(b"x" * 32).decode()
        for text in ("", "whsec_", plain, "whsec_not base64", "whsec_äöü"):
            with self.subTest(text), self.assertRaises(ValueError):
                signing.key_of(text)


@tagged("post_install", "-at_install")
class TestMessage(BaseCase):
    def test_shape(self):
        text = message.encode("usage.test", datetime(2026, 3, 1, 12, 30), {"name": "Zürich"})
        self.assertEqual(
            json.loads(text), {"type": "usage.test", "timestamp": "2026-03-01T12:30:00Z", "data": {"name": "Zürich"}}
        )

    def test_decimals_keep_their_digits(self):
        text = message.encode("usage.test", datetime(2026, 1, 1), {"quantity": Decimal("0.10000000000000000000001")})
        self.assertIn('"quantity":0.10000000000000000000001', text)

    def test_times_are_utc(self):
        aware = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
        data = {"naive": datetime(2026, 1, 1), "aware": [aware], "day": date(2026, 1, 2)}
        told = json.loads(message.encode("usage.test", datetime(2026, 1, 1), data))["data"]
        self.assertEqual(told["naive"], "2026-01-01T00:00:00Z")
        self.assertEqual(told["aware"], ["2026-01-01T00:00:00Z"])
        self.assertEqual(told["day"], "2026-01-02")

    def test_floats_are_refused(self):
        for data in ({"a": 0.1}, {"a": [{"b": 2.0}]}, {"a": (1.5,)}):
            with self.subTest(data), self.assertRaises(TypeError):
                message.encode("usage.test", datetime(2026, 1, 1), data)

    def test_what_is_not_json_is_refused(self):
        with self.assertRaises(TypeError):
            message.encode("usage.test", datetime(2026, 1, 1), {"a": object()})

    def test_ids_differ(self):
        self.assertEqual(len({message.new_id() for _index in range(100)}), 100)
        self.assertRegex(message.new_id(), r"^msg_[0-9a-f]{32}$")

    def test_header_text_is_harmless(self):
        self.assertEqual(message.header_text("abc-1"), "abc-1")
        self.assertEqual(message.header_text("a\r\nX-Evil: 1\0ü"), "aX-Evil: 1")
        self.assertEqual(len(message.header_text("x" * 1000)), message.MAX_HEADER)
        for nothing in (None, "", " ", "\r\n", "äöü"):
            self.assertIsNone(message.header_text(nothing))

    def test_traceparent_is_passed_on_when_valid(self):
        valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        self.assertEqual(message.trace_text(valid), valid)
        broken = (
            None,
            "",
            "abc",
            valid.upper(),
            valid + "\n" * 2,
            valid.replace("00-4b", "ff-4b"),
            "00-" + "0" * 32 + valid[35:],
            valid[:36] + "0" * 16 + valid[52:],
        )
        for text in broken:
            with self.subTest(text):
                self.assertIsNone(message.trace_text(text))
