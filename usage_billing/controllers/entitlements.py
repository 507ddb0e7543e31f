from odoo import http
from odoo.http import request

from odoo.addons.usage_connector_base.controllers.common import SourceRequests
from odoo.addons.usage_connector_base.ingestion.envelope import Refusal

ENTITLEMENTS = "/usage/v1/entitlements"
BALANCES = "/usage/v1/balances"
# Of routes that answer the sending system, which checks its key itself.
ANSWERS_SOURCES = {"type": "http", "auth": "none", "methods": ["GET"], "csrf": False, "save_session": False}


class UsageEntitlementController(SourceRequests, http.Controller):
    """What an account may still use, and what prepaid credit is left: for the product to ask."""

    # An identifier may hold slashes, and begin with one, which the first of the paths does not match.
    @http.route([f"{ENTITLEMENTS}/<path:account>", f"{ENTITLEMENTS}//<path:account>"], **ANSWERS_SOURCES)
    def get_entitlements(self, **_params):
        """Per meter: whether more may be used, used, included, remaining, and when it resets."""
        return self._about_account(ENTITLEMENTS, "_entitlements")

    @http.route([f"{BALANCES}/<path:account>", f"{BALANCES}//<path:account>"], **ANSWERS_SOURCES)
    def get_balances(self, **_params):
        """Prepaid credit by currency: granted, not invoiced yet, left."""
        return self._about_account(BALANCES, "_balances")

    def _about_account(self, path, method):
        external_id = request.httprequest.path.removeprefix(f"{path}/")
        return self._answered(lambda sender: self._tell(self._admitted(sender), method, external_id))

    def _tell(self, sender, method, external_id):
        entitlements = request.env(user=sender.user_id)["usage.entitlement"]
        answer = None if "\0" in external_id else getattr(entitlements, method)(sender, external_id)
        if answer is None:
            raise Refusal(404, "account_unknown", "No account with this identifier is known of this source.")
        return request.make_json_response(answer)
