"""One HTTP request to a receiver: to checked addresses only, bounded in time and size.

Nothing here raises for what the network or the receiver does: that is an :class:`Answer`.
"""

import contextlib
import os
import socket
import threading
import time
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.util.connection import create_connection

from . import addresses

MAX_ANSWER = 4096  # bytes kept of what a receiver answers


class Answer(NamedTuple):
    """What came of one attempt."""

    status: int | None = None  # HTTP status; None: there was no answer
    text: str = ""  # beginning of the answer's body
    error: str = ""  # why the attempt failed; empty when it did not
    address: str = ""  # that was connected to
    seconds: float = 0.0
    retry_after: float | None = None  # seconds that the receiver asks us to wait

    @property
    def ok(self):
        """Whether the receiver has taken the message."""
        return not self.error


def post(url, body, headers, timeout, allow_private=False):
    """Send a message once.

    :param str body: sent as UTF-8
    :param float timeout: seconds from the first connection to the last byte of the answer
    :param bool allow_private: whether private addresses and http may be used
    :return: :class:`Answer`
    """
    started = time.monotonic()
    with _Guard(timeout, allow_private) as guard:
        answer = _post(url, body, headers, guard)
    return answer._replace(address=guard.address, seconds=time.monotonic() - started)


def _post(url, body, headers, guard):
    try:
        addresses.check_url(url, guard.allow_private)
        with _session(guard) as session:
            response = session.post(
                url,
                data=body.encode(),
                headers={**headers, "Accept-Encoding": "identity"},
                timeout=guard.timeout,
                allow_redirects=False,
                stream=True,
            )
            return _read(response)
    except addresses.AddressRefused as refused:
        return Answer(error=str(refused))
    except (requests.RequestException, HTTPError, OSError, ValueError) as exc:
        if guard.expired:
            return Answer(error=f"No complete answer within {guard.timeout:g} seconds.")
        return Answer(error=_describe(exc))


def _session(guard):
    session = requests.Session()
    # No proxies and passwords from the environment: a proxy would connect to what we have not checked.
    session.trust_env = False
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(guard))
    return session


def _read(response):
    """The answer, with as much of its body as came: the status alone decides."""
    text = b""
    with contextlib.suppress(HTTPError, OSError):
        text = response.raw.read(MAX_ANSWER, decode_content=False)
    status = response.status_code
    return Answer(
        status=status,
        text=text.decode("utf-8", "replace").replace("\0", "\ufffd"),
        error=_error_of(status),
        retry_after=_seconds(response.headers.get("Retry-After")),
    )


def _error_of(status):
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"The receiver answered {status}; redirects are not followed: enter the address it moved to."
    return f"The receiver answered {status}."


def _seconds(retry_after):
    """Seconds of a ``Retry-After`` header, a number or a date; None when it is neither."""
    if not retry_after:
        return None
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        if retry_after.strip().isascii() and retry_after.strip().isdigit():
            return float(retry_after)
        return max(parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0)
    return None


def _describe(exc):
    """Why there was no answer, without the URL, which may contain a token."""
    if isinstance(exc, requests.exceptions.Timeout):
        return "No answer in time."
    innermost = exc
    while innermost.__cause__ or innermost.__context__:
        innermost = innermost.__cause__ or innermost.__context__
    kind = "No secure connection" if isinstance(exc, requests.exceptions.SSLError) else "No connection"
    detail = innermost.strerror if isinstance(innermost, OSError) and innermost.strerror else type(innermost).__name__
    return f"{kind}: {detail}."


class _Guard:
    """Chooses the addresses of one request and cuts it off when its time is up.

    A socket's own timeout begins anew with every byte; a receiver that sends one now and then could
    hold us for hours.
    """

    def __init__(self, timeout, allow_private):
        self.timeout = timeout
        self.allow_private = allow_private
        self.address = ""
        self.expired = False
        self._lock = threading.Lock()
        self._watched = None
        self._timer = threading.Timer(timeout, self._expire)
        self._timer.daemon = True

    def __enter__(self):
        self._timer.start()
        return self

    def __exit__(self, *error):
        self._timer.cancel()
        with self._lock:
            if self._watched:
                self._watched.close()

    def connect(self, connection):
        """A socket for urllib3's connection, to an address that was checked a moment ago."""
        failure = None
        for address in addresses.resolve(connection.host, connection.port, self.allow_private):
            if self.expired:
                break
            try:
                return self._connect(address, connection)
            except OSError as exc:
                failure = exc
        raise failure or TimeoutError("timed out")

    def _connect(self, address, connection):
        sock = create_connection(
            (address, connection.port), connection.timeout, socket_options=connection.socket_options
        )
        self.address = address
        with self._lock:
            # A copy, because TLS takes the socket's file away from it; shutting down either shuts down both.
            self._watched = sock.dup()
        if self.expired:
            self._shut_down()
        return sock

    def _expire(self):
        self.expired = True
        self._shut_down()

    def _shut_down(self):
        with self._lock, contextlib.suppress(OSError):
            if self._watched:
                self._watched.shutdown(socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Connects through a guard, whatever host the request, or anything after it, names."""

    def __init__(self, guard):
        self._guard = guard
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args, **kwargs):
        res = super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _guarded(HTTPConnectionPool, HTTPConnection, self._guard),
            "https": _guarded(HTTPSConnectionPool, HTTPSConnection, self._guard),
        }
        return res


def _guarded(pool_class, connection_class, guard):
    """A pool class of urllib3 whose connections are made by the guard."""

    class Connection(connection_class):
        def _new_conn(self):
            try:
                return guard.connect(self)
            except OSError as exc:
                raise NewConnectionError(self, "no connection") from exc

    class Pool(pool_class):
        ConnectionCls = Connection

    return Pool
