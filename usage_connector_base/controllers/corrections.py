from odoo import http
from odoo.http import request

from ..ingestion.envelope import parse_list
from .common import TAKES_EVENTS, SourceRequests

KIND = "corrections"


class UsageCorrectionsController(SourceRequests, http.Controller):
    """The way in for corrections of events. The contract is in ``readme/API.md``."""

    pipeline = "_correct"
    kind = KIND

    @http.route("/usage/v1/corrections", **TAKES_EVENTS)
    def post_corrections(self, **_params):
        """Judge and store a request's corrections; they are committed before the answer."""
        return self._answered(lambda sender: request.make_json_response(self._ingest(sender)[1]))

    def _read(self, sender, body, media_type):
        return parse_list(body, media_type, KIND)
