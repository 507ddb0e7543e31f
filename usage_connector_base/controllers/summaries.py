from odoo import http
from odoo.http import request

from ..ingestion.envelope import parse_list
from .common import TAKES_EVENTS, SourceRequests

KIND = "summaries"


class UsageSummariesController(SourceRequests, http.Controller):
    """The way in for quantities that a data platform added up. The contract is in ``readme/API.md``."""

    pipeline = "_summarize"
    kind = KIND

    @http.route("/usage/v1/summaries", **TAKES_EVENTS)
    def post_summaries(self, **_params):
        """Judge and store a request's summaries; they are committed before the answer."""
        return self._answered(lambda sender: request.make_json_response(self._ingest(sender)[1]))

    def _read(self, sender, body, media_type):
        return parse_list(body, media_type, KIND)
