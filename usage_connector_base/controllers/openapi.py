from odoo import http
from odoo.http import request


class UsageOpenapiController(http.Controller):
    @http.route("/usage/v1/openapi.json", type="http", auth="none", methods=["GET"], csrf=False, save_session=False)
    def get_openapi(self, **_params):
        """The OpenAPI 3.1 description of all these routes; for anyone, since it holds no data."""
        return request.make_json_response(request.env["usage.query"]._openapi(request.httprequest.host_url.rstrip("/")))
