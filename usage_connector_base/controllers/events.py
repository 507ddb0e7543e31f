from odoo import http
from odoo.http import request

from ..ingestion import binary, facts
from ..ingestion.envelope import Refusal
from ..ingestion.facts import dump
from .common import TAKES_EVENTS, SourceRequests

PATH = "/usage/v1/events"


class UsageEventsController(SourceRequests, http.Controller):
    """The way in for events, and what became of one. The contract is in ``readme/API.md``."""

    @http.route(PATH, **TAKES_EVENTS)
    def post_events(self, **_params):
        """Judge and store a request's events; they are committed before the answer."""
        return self._answered(lambda sender: self._outcomes(self._ingest(sender)[1]))

    # An identifier may hold slashes, and begin with one, which the first of the paths does not match.
    @http.route(
        [f"{PATH}/<path:event_id>", f"{PATH}//<path:event_id>"],
        type="http",
        auth="none",
        methods=["GET"],
        csrf=False,
        save_session=False,
    )
    def get_event(self, **_params):
        """What became of one event of the sender."""
        event_id = request.httprequest.path.removeprefix(f"{PATH}/")
        return self._answered(lambda sender: self._describe(self._admitted(sender), event_id))

    def _read(self, sender, body, media_type):
        headers = request.httprequest.headers
        if binary.is_binary(headers, media_type):
            return [binary.read_event(headers, body, media_type)]
        return super()._read(sender, body, media_type)

    def _outcomes(self, answer):
        # Faster than make_json_response, which matters where a thousand events are duplicates.
        return request.make_response(dump(answer), [("Content-Type", "application/json; charset=utf-8")])

    def _describe(self, sender, event_id):
        query = request.env(user=sender.user_id)["usage.query"]
        event = None if "\0" in event_id else query._event(sender, event_id)
        if not event:
            raise Refusal(404, "event_unknown", "No event with this id was received from this source.")
        # Not make_json_response, which would write the exact numbers of the event's data as texts.
        return request.make_response(facts.dump(event), [("Content-Type", "application/json; charset=utf-8")])
