"""A real receiver on this machine, and a test case with an endpoint that sends to it.

Other addons build on it to test what they tell::

    class TestMyFact(DeliveryCase):
        def test_fact(self):
            endpoint = self.make_endpoint(types=["my.fact"])
            ...
            [message] = self.delivered(endpoint)
"""

import contextlib
import itertools
import json
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from unittest.mock import patch

from standardwebhooks import Webhook

from odoo.fields import Command
from odoo.tests import TransactionCase, new_test_user


class Received(NamedTuple):
    """One request as it arrived."""

    path: str
    headers: dict  # names in lower case
    body: str

    @property
    def message(self):
        return json.loads(self.body)


class Receiver:
    """An HTTP server on a loopback port, in a thread of its own.

    :param answers: what to answer, one after the other, then 200: a status, a tuple of status, headers
        and body, or a function of the handler that writes the whole answer
    :param context: ``ssl.SSLContext`` for https
    """

    def __init__(self, *answers, context=None):
        self.answers = list(answers)
        self.received = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._scheme = "http"
        if context:
            self._scheme = "https"
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self):
        return self._server.server_address[1]

    @property
    def url(self):
        return f"{self._scheme}://127.0.0.1:{self.port}/hook"

    @property
    def ids(self):
        """The messages' ids, in the order in which they arrived."""
        return [received.headers["webhook-id"] for received in self.received]

    def _handler(receiver):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append(Received(self.path, headers, body.decode()))
                with contextlib.suppress(OSError, ssl.SSLError):
                    self._answer(receiver.answers.pop(0) if receiver.answers else 200)

            def _answer(self, answer):
                if callable(answer):
                    answer(self)
                    return
                status, headers, text = answer if isinstance(answer, tuple) else (answer, {}, "thanks")
                self.send_response(status)
                for name, value in {"Content-Length": str(len(text.encode())), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args):
                pass

        return Handler


def slow(seconds, status=200):
    """An answer that takes its time."""

    def answer(handler):
        time.sleep(seconds)
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@contextlib.contextmanager
def names(**hosts):
    """Have host names (``_`` for ``.``) resolve to lists of addresses; numbers resolve as ever, other names not at all.

    :return: list of the names that were looked up
    """
    real, asked = socket.getaddrinfo, []
    table = {host.replace("_", "."): addresses for host, addresses in hosts.items()}

    def getaddrinfo(host, port, *args, **kwargs):
        if host in table:
            asked.append(host)
            return [row for address in table[host] for row in real(address, port, *args, **kwargs)]
        if host.replace(".", "").replace(":", "").isalnum() and host[:1].isdigit() or ":" in host:
            return real(host, port, *args, **kwargs)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with patch("socket.getaddrinfo", getaddrinfo):
        yield asked


class DeliveryCase(TransactionCase):
    """A company with an endpoint, a local receiver, and the job that sends."""

    numbers = itertools.count()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company = cls.env["res.company"].create({"name": "Teller"})
        cls.other_company = cls.env["res.company"].create({"name": "Stranger"})
        cls.env["ir.config_parameter"].set_param("usage.delivery_allow_private", "True")
        cls.env["usage.endpoint"].search([]).active = False  # whatever the database has
        cls.users = {
            name: new_test_user(
                cls.env,
                f"delivery_{name}",
                groups=f"usage_connector_base.group_usage_{name}",
                company_id=cls.company.id,
                company_ids=[Command.set(cls.company.ids)],
            )
            for name in ("viewer", "operator", "admin")
        }
        cls.outsider = new_test_user(cls.env, "delivery_outsider", groups="base.group_user")
        cls.source = cls.env["usage.source"].create({"name": "Cloud", "code": "cloud", "company_id": cls.company.id})

    def setUp(self):
        super().setUp()
        self.receiver = self.enterContext(Receiver())

    def make_endpoint(self, types=("usage.account.mapped",), receiver=None, **values):
        """An active endpoint of the company, with a secret in ``self.secret``, that sends to the receiver."""
        endpoint = self.env["usage.endpoint"].create(
            {
                "name": f"Receiver {next(self.numbers)}",
                "company_id": self.company.id,
                "owner_id": self.users["admin"].id,
                "url": (receiver or self.receiver).url,
                "type_ids": self.env["usage.delivery.type"].search([("code", "in", list(types))]).ids,
                **values,
            }
        )
        self.secret = endpoint._rotate_secret()
        endpoint.action_start()
        return endpoint

    def enqueue(self, number=1, event_type="usage.account.mapped", **options):
        """Messages to every subscribed endpoint of the company."""
        payloads = [{"number": index} for index in range(number)]
        deliveries = self.env["usage.delivery"]._enqueue_each(event_type, payloads, self.company, **options)
        self.env.flush_all()
        return deliveries

    def deliver(self):
        """Run the job once, as the scheduler does."""
        cron = self.env.ref("usage_connector_base.cron_deliver")
        with self.enter_registry_test_mode():
            self.assertIs(cron.method_direct_trigger(), True)

    def delivered(self, endpoint):
        """The contents of the messages that the receiver took, each with a valid signature."""
        self.deliver()
        verifier = Webhook(self.secret)
        return [verifier.verify(received.body, received.headers) for received in self.receiver.received]
