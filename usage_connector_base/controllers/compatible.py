import re

from odoo import http
from odoo.http import request

from ..ingestion.envelope import PLAIN
from .common import TAKES_EVENTS
from .lago import LagoEvent
from .openmeter import OpenMeter

LAGO = re.compile(rb'\s*\{\s*"event"\s*:')
PEEKED_BYTES = 1024 * 1024  # Lago's one event is smaller


class UsageCompatibleController(http.Controller):
    # Both OpenMeter and Lago have this path: their clients are given nothing but Odoo's address.
    @http.route("/api/v1/events", **TAKES_EVENTS)
    def post_compatible_events(self, **_params):
        """Events of an OpenMeter or a Lago client."""
        return (LagoEvent() if _is_lago() else OpenMeter()).receive()


def _is_lago():
    """Whether the body is Lago's ``{"event": ...}``; OpenMeter's clients send a CloudEvent or several."""
    sent = request.httprequest
    small = (sent.content_length or 0) <= PEEKED_BYTES
    return sent.mimetype == PLAIN and small and bool(LAGO.match(sent.get_data()))
