from odoo import http
from odoo.http import request

from ..ingestion.envelope import Refusal
from .common import SourceRequests

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus' text format


class UsageMonitoringController(SourceRequests, http.Controller):
    """For load balancers and Prometheus."""

    @http.route("/usage/v1/health", type="http", auth="none", methods=["GET"], csrf=False, save_session=False)
    def get_health(self, **_params):
        """Whether the database answers and counting keeps up; for anyone, since it tells no more."""
        return request.make_json_response(request.env["usage.monitoring"]._health())

    @http.route("/usage/v1/metrics", type="http", auth="none", methods=["GET"], csrf=False, save_session=False)
    def get_metrics(self, **_params):
        """Prometheus metrics of the sources that the key may watch."""
        try:
            uid = self._viewer()
        except Refusal as refusal:
            return self._refused(refusal)
        if uid:
            return self._written(request.env(user=uid)["usage.source"].search([]))
        return self._answered(lambda sender: self._written(self._source(self._admitted(sender))))

    def _written(self, sources):
        text = sources.env["usage.monitoring"]._metrics(sources)
        return request.make_response(text, [("Content-Type", METRICS_TYPE)])

    def _source(self, sender):
        # sudo: the API user may not read sources; this is the one whose key was sent
        return request.env(user=sender.user_id)["usage.source"].sudo().browse(sender.source_id)

    def _viewer(self):
        """The user of an Odoo API key with the right to read usage, None for a source's key."""
        # sudo: nobody is logged in yet; the key itself is what is being checked
        keys = request.env["res.users.apikeys"].sudo()
        uid = keys._check_credentials(scope="rpc", key=self._key()) if self._key() else None
        if uid and not request.env["res.users"].sudo().browse(uid).has_group("usage_connector_base.group_usage_viewer"):
            raise Refusal(403, "not_a_viewer", "The key's user needs the group Usage / Viewer.")
        return uid
