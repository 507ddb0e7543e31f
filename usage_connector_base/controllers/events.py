import logging
import re

from psycopg2.errors import CheckViolation, DeadlockDetected, UniqueViolation

from odoo import http
from odoo.exceptions import AccessDenied
from odoo.http import request

from ..ingestion.envelope import Refusal, check_size, decompress, parse
from ..models.usage_event import MAX_EVENTS
from ..tools import read_committed_cursor

_logger = logging.getLogger(__name__)

BEARER = re.compile(r"^bearer\s+(\S+)$", re.IGNORECASE)
ATTEMPTS = 5  # of storing a batch, should others store the same events at the same moment


class UsageEventsController(http.Controller):
    """The way in for events. Its contract, with all codes, is in ``readme/USAGE.md``."""

    # auth="none": keys of API users are checked here, so that every answer is JSON.
    @http.route(
        "/usage/v1/events", type="http", auth="none", methods=["POST"], csrf=False, save_session=False, readonly=False
    )
    def post_events(self, **_params):
        """Judge and store a request's events; they are committed before the answer."""
        try:
            sender = self._authenticate()
            return self._receive(sender)
        except Refusal as refusal:
            return self._refused(refusal)

    def _authenticate(self):
        """The sender of the request.

        :raises Refusal: 401 for the key
        """
        match = BEARER.match(request.httprequest.headers.get("Authorization", ""))
        try:
            return request.env["usage.source"]._authenticate(match[1] if match else "")
        except AccessDenied as exc:
            _logger.warning("Usage events refused: wrong or no key, from %s", request.httprequest.remote_addr)
            raise Refusal(401, "unauthorized", "Send a valid key as 'Authorization: Bearer KEY'.") from exc

    def _receive(self, sender):
        """Judge and store the events of a sender; a request that is refused leaves its record."""
        described = self._description()
        try:
            self._check_source(sender)
            events = self._events(described)
            answer = self._store(sender, events, described)
        except Refusal as refusal:
            self._in_transaction("_refuse", sender, refusal, **described)
            raise
        return request.make_json_response(answer)

    def _check_source(self, sender):
        if sender.state != "approved":
            raise Refusal(403, "source_not_approved", "An administrator must approve this source in Odoo first.")
        environment = request.httprequest.headers.get("X-Usage-Environment", sender.environment)
        if environment != sender.environment:
            raise Refusal(403, "wrong_environment", f"This key belongs to a {sender.environment} source.")

    def _events(self, described):
        body = self._body()
        described["body_bytes"] = len(body)
        events = parse(body, described["media_type"])
        limit = min(self._parameter("usage.max_events", 10_000), MAX_EVENTS)
        check_size(len(events), limit, "Events", "too_many_events")
        return events

    def _store(self, sender, events, described):
        try:
            return self._in_transaction("_ingest", sender, events, **described)
        except RecursionError as exc:  # read, but a few levels too deep to be written again
            raise Refusal(400, "invalid_json", "The body is nested too deeply.") from exc

    def _description(self):
        """What the batch's record says of the request itself."""
        headers = request.httprequest.headers
        correlation = headers.get("X-Correlation-Id") or headers.get("traceparent")
        return {
            "correlation_id": correlation and correlation[:255],
            "media_type": request.httprequest.mimetype[:255],
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
                with read_committed_cursor(request.env) as cr:
                    env = request.env(cr=cr, user=sender.user_id)
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
        headers = [("WWW-Authenticate", "Bearer")] if refusal.status == 401 else None
        return request.make_json_response({"error": error}, headers=headers, status=refusal.status)
