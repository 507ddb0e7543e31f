import uuid
from http import HTTPStatus

from odoo import http
from odoo.http import request

from ..ingestion.envelope import PLAIN, Refusal, decode, parse
from .common import TAKES_EVENTS, SourceRequests

PROBLEM = "application/problem+json"  # RFC 9457, which OpenMeter answers errors with


class OpenMeter(SourceRequests):
    """Takes events as OpenMeter's clients send them, and answers as OpenMeter does.

    They are CloudEvents, as ours; application/json holds one event or an array of them.
    """

    def receive(self):
        """The response to ``POST /api/v1/events``."""
        return self._answered(lambda sender: self._judged(self._ingest(sender)[1]))

    def _read(self, sender, body, media_type):
        events = _events_of(decode(body)) if media_type == PLAIN else parse(body, media_type)
        return [_without_nulls(event) for event in events]

    def _judged(self, answer):
        """204 without content, unless events were rejected; OpenMeter tells no more of the others."""
        rejected = [event for event in answer["events"] if event["outcome"] == "rejected"]
        if not rejected:
            return request.make_response("", status=204)
        first = rejected[0]
        detail = f"{len(rejected)} rejected, the others are stored. Event {first['index']}: {first['message']}"
        return self._problem(400, "events_rejected", detail, validationErrors=rejected)

    def _refused(self, refusal):
        return self._problem(refusal.status, refusal.code, refusal.message)

    def _problem(self, status, code, detail, **extensions):
        problem = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "instance": f"urn:uuid:{uuid.uuid4()}",
            "extensions": {"code": code, **extensions},
        }
        return request.make_json_response(problem, [("Content-Type", PROBLEM)], status=status)


class UsageOpenMeterController(http.Controller):
    @http.route("/usage/openmeter/api/v1/events", **TAKES_EVENTS)
    def post_openmeter_events(self, **_params):
        """Events of a client whose endpoint is ``/usage/openmeter``."""
        return OpenMeter().receive()


def _events_of(content):
    if isinstance(content, list):
        return content
    if isinstance(content, dict):
        return [content]
    raise Refusal(400, "invalid_body", f"A body of {PLAIN} must be one event or an array of events.")


def _without_nulls(event):
    """CloudEvents allow null for an attribute that is absent, and OpenMeter's clients make use of it."""
    if not isinstance(event, dict):
        return event
    return {name: value for name, value in event.items() if value is not None}
