import datetime
import os
import socket
import ssl
import tempfile
import time
from unittest.mock import patch

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from odoo.tests import BaseCase, tagged
from odoo.tests.common import _super_send

from ..delivery import transport
from .common_delivery import Receiver, names, slow

PUBLIC = "93.184.216.34"


def drip(handler):
    """Headers without an end, a byte now and then: no socket ever times out."""
    for _index in range(200):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def endless_body(handler):
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 10_000)


def bomb(handler):
    """Says that it is gzip: nothing is ever unpacked."""
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.send_header("Content-Length", "4")
    handler.end_headers()
    handler.wfile.write(b"abcd")


def hang_up(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)


class TransportCase(BaseCase):
    @classmethod
    def _request_handler(cls, s, r, /, **kw):
        """Names under .example are played by ``names``: nothing leaves this machine."""
        if r.url.partition("//")[2].partition("/")[0].partition(":")[0].endswith(".example"):
            return _super_send(s, r, **kw)
        return super()._request_handler(s, r, **kw)

    def post(self, url, allow_private=True, timeout=5, headers=None):
        return transport.post(url, '{"ü":1}', headers or {}, timeout, allow_private)


@tagged("post_install", "-at_install")
class TestTransport(TransportCase):
    def setUp(self):
        super().setUp()
        self.receiver = self.enterContext(Receiver())

    def test_message_arrives(self):
        answer = self.post(self.receiver.url, headers={"webhook-id": "msg_1"})
        self.assertTrue(answer.ok)
        self.assertEqual((answer.status, answer.text, answer.error), (200, "thanks", ""))
        self.assertEqual(answer.address, "127.0.0.1")
        self.assertTrue(0 < answer.seconds < 5)
        [received] = self.receiver.received
        self.assertEqual((received.path, received.body), ("/hook", '{"ü":1}'))
        self.assertEqual(received.headers["webhook-id"], "msg_1")
        self.assertEqual(received.headers["host"], f"127.0.0.1:{self.receiver.port}")

    def test_any_success_counts(self):
        for status in (200, 201, 202, 204, 299):
            self.receiver.answers = [status]
            self.assertTrue(self.post(self.receiver.url).ok, status)

    def test_anything_else_is_a_failure(self):
        for status in (400, 401, 404, 410, 422, 429, 500, 503):
            self.receiver.answers = [status]
            answer = self.post(self.receiver.url)
            self.assertFalse(answer.ok)
            self.assertEqual(answer.error, f"The receiver answered {status}.")

    def test_redirects_are_not_followed(self):
        for status in (301, 302, 303, 307, 308):
            with self.subTest(status), Receiver() as target:
                self.receiver.answers = [(status, {"Location": target.url}, "")]
                answer = self.post(self.receiver.url)
                self.assertEqual(answer.status, status)
                self.assertIn("redirects are not followed", answer.error)
                self.assertFalse(target.received)

    def test_answer_is_bounded(self):
        self.receiver.answers = [(200, {}, "é" * 100_000), endless_body]
        self.assertEqual(len(self.post(self.receiver.url).text.encode()), transport.MAX_ANSWER)
        self.assertEqual(len(self.post(self.receiver.url).text), transport.MAX_ANSWER)

    def test_answer_is_text_that_can_be_stored(self):
        self.receiver.answers = [(500, {}, "a\0b"), bomb]
        self.assertEqual(self.post(self.receiver.url).text, "a\ufffdb")
        self.assertEqual(self.post(self.receiver.url).text, "abcd")

    def test_slow_receiver(self):
        self.receiver.answers = [slow(3), drip]
        for _slow in range(2):
            answer = self.post(self.receiver.url, timeout=0.4)
            self.assertEqual((answer.status, answer.error), (None, "No complete answer within 0.4 seconds."))
            self.assertLess(answer.seconds, 2)

    def test_slow_end_of_a_success(self):
        """The status has come: the message was taken, however slow the rest."""

        def answer(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "10")
            handler.end_headers()
            handler.wfile.write(b"ab")
            time.sleep(3)

        self.receiver.answers = [answer]
        result = self.post(self.receiver.url, timeout=0.4)
        self.assertTrue(result.ok)
        self.assertLess(result.seconds, 2)

    def test_no_connection(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            answer = self.post(f"http://127.0.0.1:{closed.getsockname()[1]}/?token=secret")
        self.assertIsNone(answer.status)
        self.assertEqual(answer.error, "No connection: Connection refused.")

    def test_connection_lost(self):
        self.receiver.answers = [hang_up]
        answer = self.post(self.receiver.url + "?token=secret")
        self.assertIsNone(answer.status)
        self.assertTrue(answer.error.startswith("No connection: "))
        self.assertNotIn("secret", answer.error)

    def test_not_http(self):
        self.receiver.answers = [lambda handler: handler.wfile.write(b"what?\r\n\r\n")]
        self.assertTrue(self.post(self.receiver.url).error)

    def test_retry_after(self):
        at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=10)
        cases = {
            "120": (120, 120),
            f"{at:%a, %d %b %Y %H:%M:%S GMT}": (590, 601),
            "Thu, 01 Jan 1970 00:00:00 GMT": (0, 0),
        }
        for text, (least, most) in cases.items():
            self.receiver.answers = [(503, {"Retry-After": text}, "")]
            with self.subTest(text):
                self.assertTrue(least <= self.post(self.receiver.url).retry_after <= most)
        for text in ("soon", "-5", "1e9", "٣"):
            self.receiver.answers = [(503, {"Retry-After": text.encode().decode("latin-1")}, "")]
            with self.subTest(text):
                self.assertIsNone(self.post(self.receiver.url).retry_after)

    def test_environment_is_ignored(self):
        """A proxy would connect to addresses that were never checked; .netrc would send passwords."""
        with patch.dict(os.environ, {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}):
            self.assertTrue(self.post(self.receiver.url).ok)

    def test_headers_cannot_be_smuggled(self):
        answer = self.post(self.receiver.url, headers={"X-Correlation-Id": "a\r\nX-Evil: 1"})
        self.assertFalse(answer.ok)
        self.assertFalse(self.receiver.received)

    # -- addresses --------------------------------------------------------------------------

    def test_private_addresses_are_refused(self):
        for url in (
            f"https://127.0.0.1:{self.receiver.port}/",
            f"https://[::1]:{self.receiver.port}/",
            f"https://[::ffff:127.0.0.1]:{self.receiver.port}/",
            "https://10.0.0.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://localhost/",
        ):
            with self.subTest(url):
                answer = self.post(url, allow_private=False)
                self.assertIsNone(answer.status)
                self.assertRegex(answer.error, "private network|never sent to")
        self.assertFalse(self.receiver.received)

    def test_http_needs_the_setting(self):
        self.assertEqual(self.post(self.receiver.url, allow_private=False).error, "The URL must begin with https://.")

    def test_name_of_a_private_address(self):
        for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1"):
            with self.subTest(address), names(hooks_example=[address]):
                answer = self.post(f"https://hooks.example:{self.receiver.port}/", allow_private=False)
                self.assertRegex(answer.error, "private network|never sent to")
        self.assertFalse(self.receiver.received)

    def test_name_of_a_private_address_where_allowed(self):
        with names(hooks_example=["127.0.0.1"]):
            answer = self.post(f"http://hooks.example:{self.receiver.port}/a")
        self.assertTrue(answer.ok, answer.error)
        self.assertEqual(self.receiver.received[0].headers["host"], f"hooks.example:{self.receiver.port}")

    def test_unknown_name(self):
        with names():
            answer = self.post("https://nowhere.example/")
        self.assertIn("Name or service not known", answer.error)

    def test_name_that_changes_its_address(self):
        """DNS rebinding: public when it is checked, private when it is connected to. It is asked once."""
        answers = iter([[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]])
        tried = []

        def create_connection(address, *args, **kwargs):
            tried.append(address)
            raise ConnectionRefusedError(111, "Connection refused")

        real = socket.getaddrinfo

        def getaddrinfo(host, port, *args, **kwargs):
            return real(next(answers)[0] if host == "hooks.example" else host, port, *args, **kwargs)

        with patch("socket.getaddrinfo", getaddrinfo), patch.object(transport, "create_connection", create_connection):
            answer = self.post("https://hooks.example/", allow_private=False)
        self.assertEqual(tried, [(PUBLIC, 443)])
        self.assertEqual(answer.error, "No connection: Connection refused.")
        self.assertEqual(next(answers), ["127.0.0.1"], "the name was looked up once only")

    def test_next_address_when_the_first_does_not_answer(self):
        with names(hooks_example=["127.0.0.2", "127.0.0.1"]):
            answer = self.post(f"http://hooks.example:{self.receiver.port}/")
        self.assertTrue(answer.ok, answer.error)
        self.assertEqual(answer.address, "127.0.0.1")

    def test_the_parsers_agree(self):
        """Whatever host the request is for, it is the connection's own that is checked."""
        session = transport._session(transport._Guard(5, False))
        request = requests.Request("POST", f"http://127.0.0.1:{self.receiver.port}/").prepare()
        with self.assertRaises(transport.addresses.AddressRefused):
            session.send(request)
        self.assertFalse(self.receiver.received)


@tagged("post_install", "-at_install")
class TestTls(TransportCase):
    """Connections go to checked addresses; certificates are those of the name all the same."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.certificate = cls.make_certificate(folder, "hooks.example")
        cls.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cls.context.load_cert_chain(cls.certificate)

    @classmethod
    def make_certificate(cls, folder, host):
        """A self-signed certificate and its key, in one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        path = f"{folder}/{host}.pem"
        plain = serialization.NoEncryption()
        with open(path, "wb") as file:
            file.write(certificate.public_bytes(serialization.Encoding.PEM))
            file.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
        return path

    def setUp(self):
        super().setUp()
        self.receiver = self.enterContext(Receiver(context=self.context))

    def post_to(self, host, trusted=True):
        environment = {"REQUESTS_CA_BUNDLE": self.certificate} if trusted else {}
        with names(hooks_example=["127.0.0.1"], other_example=["127.0.0.1"]), patch.dict(os.environ, environment):
            return self.post(f"https://{host}:{self.receiver.port}/hook")

    def test_certificate_of_the_name(self):
        answer = self.post_to("hooks.example")
        self.assertTrue(answer.ok, answer.error)
        self.assertEqual(answer.address, "127.0.0.1")

    def test_certificate_of_another_name(self):
        answer = self.post_to("other.example")
        self.assertTrue(answer.error.startswith("No secure connection"), answer.error)
        self.assertFalse(self.receiver.received)

    def test_certificate_that_nobody_trusts(self):
        answer = self.post_to("hooks.example", trusted=False)
        self.assertTrue(answer.error.startswith("No secure connection"), answer.error)
        self.assertFalse(self.receiver.received)

    def test_deadline_holds_for_tls(self):
        self.receiver.answers = [drip]
        with names(hooks_example=["127.0.0.1"]), patch.dict(os.environ, {"REQUESTS_CA_BUNDLE": self.certificate}):
            answer = self.post(f"https://hooks.example:{self.receiver.port}/hook", timeout=0.5)
        self.assertEqual(answer.error, "No complete answer within 0.5 seconds.")
        self.assertLess(answer.seconds, 2)
