from odoo import http
from odoo.http import request

from ..contract.questions import read_question
from .common import SourceRequests


class UsageQueryController(SourceRequests, http.Controller):
    """What was counted, for the system that sent it."""

    @http.route("/usage/v1/usage", type="http", auth="none", methods=["GET"], csrf=False, save_session=False)
    def get_usage(self, **parameters):
        """Quantities of a meter by account, window and dimensions: see ``contract.questions``."""
        return self._answered(lambda sender: self._usage(self._admitted(sender), parameters))

    def _usage(self, sender, parameters):
        question = read_question(parameters)
        answer = request.env(user=sender.user_id)["usage.query"]._usage(sender, question)
        return request.make_json_response(answer)
