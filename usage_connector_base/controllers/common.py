import ipaddress
import logging
import re

from psycopg2 import DataError, IntegrityError, InternalError, ProgrammingError
from psycopg2.errors import CheckViolation, DeadlockDetected, UniqueViolation

from odoo.exceptions import AccessDenied
from odoo.http import request

from ..ingestion.envelope import Refusal, check_size, decompress, parse
from ..models.usage_event import MAX_EVENTS
from ..tools import read_committed_cursor, read_committed_transaction

_logger = logging.getLogger(__name__)

BEARER = re.compile(r"^bearer\s+(\S+)$", re.IGNORECASE)
# Of every route that takes events. auth="none": keys of API users are checked in SourceRequests, so that
# every answer is JSON.
TAKES_EVENTS = {
    "type": "http",
    "auth": "none",
    "methods": ["POST"],
    "csrf": False,
    "save_session": False,
    "readonly": False,
}
QUEUE_SECONDS = 30  # after which to try again, while too much waits to be counted
ATTEMPTS = 5  # of storing a batch, should others store the same events at the same moment


class NotStored(Exception):
    """What went wrong in the database, without what was sent."""


class SourceRequests:
    """What the routes for sending systems share: who sends, the body, the pipeline, refusals.

    Not an ``http.Controller``: Odoo would merge all controllers that inherit from one.
    """

    pipeline = "_ingest"  # the method of usage.ingestion that takes what is sent
    kind = "events"  # what is sent, as the batch's record says

    def _answered(self, answer):
        """The response of ``answer(sender)``, or that of the refusal it raises."""
        try:
            return answer(self._authenticate())
        except Refusal as refusal:
            response = self._refused(refusal)
            if refusal.status == 401:
                response.headers["WWW-Authenticate"] = "Bearer"
            if refusal.retry_after:
                response.headers["Retry-After"] = str(refusal.retry_after)
            return response
        except (DataError, IntegrityError, InternalError, ProgrammingError) as error:
            # The server's log would quote the rows that PostgreSQL did not take: what customers sent, and more.
            raise NotStored(f"PostgreSQL refused a statement: {type(error).__name__} {error.pgcode}") from None

    def _authenticate(self):
        """Whose key the request holds.

        :return: :class:`~..models.usage_source.Sender`, to be admitted
        :raises Refusal: 401
        """
        try:
            return request.env["usage.source"]._authenticate(self._key())
        except AccessDenied as exc:
            _logger.warning("Usage request refused: wrong or no key, from %s", request.httprequest.remote_addr)
            raise Refusal(401, "unauthorized", "Send a valid key as 'Authorization: Bearer KEY'.") from exc

    def _admitted(self, sender):
        """The sender, if its source may use the API.

        :raises Refusal: 403
        """
        if sender.networks and not self._is_allowed(sender.networks):
            raise Refusal(403, "address_not_allowed", "This source may not send from your address.")
        if sender.state != "approved":
            raise Refusal(403, "source_not_approved", "An administrator must approve this source in Odoo first.")
        environment = request.httprequest.headers.get("X-Usage-Environment", sender.environment)
        if environment != sender.environment:
            raise Refusal(403, "wrong_environment", f"This key belongs to a {sender.environment} source.")
        return sender

    def _is_allowed(self, networks):
        """Whether the request comes out of one of the networks; behind a proxy Odoo's proxy_mode says from where."""
        address = ipaddress.ip_address(request.httprequest.remote_addr)
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in networks)

    def _key(self):
        match = BEARER.match(request.httprequest.headers.get("Authorization", ""))
        return match[1] if match else ""

    def _ingest(self, sender):
        """Judge and store the request's events; they are committed when this returns.

        :return: (events as the pipeline took them, its answer)
        :raises Refusal: for the request as a whole; a record of it is kept
        """
        described = self._description()
        try:
            self._admitted(sender)
            events = self._events(sender, described)
            return events, self._store(sender, events, described)
        except Refusal as refusal:
            self._in_transaction("_refuse", sender, refusal, **described)
            raise

    def _events(self, sender, described):
        self._check_queue()
        body = self._body()
        described["body_bytes"] = len(body)
        events = self._read(sender, body, described["media_type"])
        limit = min(self._parameter("usage.max_events", 10_000), MAX_EVENTS)
        check_size(len(events), limit, "Events", "too_many_events")
        if sender.rate:
            self._check_rate(sender, len(events))
        return events

    def _check_queue(self):
        """Back-pressure: take nothing more while too much waits to be counted."""
        if request.env["usage.monitoring"]._is_full():
            message = "Too many events wait to be counted: send the same again later."
            raise Refusal(503, "queue_full", message, retry_after=QUEUE_SECONDS)

    def _check_rate(self, sender, count):
        """Take the events off what the source may send, in a transaction that ends before they are stored."""
        with read_committed_cursor(request.env) as cr:
            wait = request.env(cr=cr, user=sender.user_id)["usage.source"]._take(sender, count)
        if wait:
            message = f"Over the rate of this source: send the same again in {wait} seconds."
            raise Refusal(429, "rate_limited", message, retry_after=wait)

    def _store(self, sender, events, described):
        try:
            return self._in_transaction(self.pipeline, sender, events, **described)
        except RecursionError as exc:  # read, but a few levels too deep to be written again
            raise Refusal(400, "invalid_json", "The body is nested too deeply.") from exc

    def _read(self, sender, body, media_type):
        """Events of a body; clients with shapes of their own translate them here."""
        return parse(body, media_type)

    def _description(self):
        """What the batch's record says of the request itself."""
        headers = request.httprequest.headers
        correlation = headers.get("X-Correlation-Id") or headers.get("traceparent")
        return {
            "kind": self.kind,
            "correlation_id": correlation and correlation[:255],
            "media_type": request.httprequest.mimetype[:255],
            "remote_addr": request.httprequest.remote_addr,
        }

    def _body(self):
        limit = self._parameter("usage.max_body_bytes", 16 * 1024 * 1024)
        check_size(request.httprequest.content_length or 0, limit, "Bytes of the body", "too_many_bytes")
        body = request.httprequest.get_data()
        return decompress(body, request.httprequest.headers.get("Content-Encoding"), limit)

    def _parameter(self, name, default):
        # sudo: nobody is logged in; these settings bound what a request may hold
        return int(request.env["ir.config_parameter"].sudo().get_param(name, default))

    def _in_transaction(self, method, sender, *args, **kwargs):
        """Call the pipeline in a transaction of its own, and wake the fold job when it stored."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with read_committed_transaction(request.env.cr):
                    env = request.env(user=sender.user_id)
                    result = getattr(env["usage.ingestion"], method)(sender, *args, **kwargs)
                    env["usage.aggregate"]._wake_fold()
                return result
            except (CheckViolation, DeadlockDetected, UniqueViolation) as error:
                if attempt == ATTEMPTS:
                    raise
                if isinstance(error, CheckViolation):
                    self._make_partitions()

    def _make_partitions(self):
        """The job that keeps partitions ready has not run for months: do without it."""
        with read_committed_cursor(request.env) as cr:
            request.env(cr=cr)["usage.event"]._ensure_partitions()

    def _refused(self, refusal):
        error = {"code": refusal.code, "message": refusal.message}
        return request.make_json_response({"error": error}, status=refusal.status)
