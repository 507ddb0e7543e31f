from odoo import api, models

from odoo.addons.usage_connector_base.contract import openapi


class UsageQuery(models.AbstractModel):
    _inherit = "usage.query"

    @api.model
    def _openapi(self, url):
        """Describe what billing answers, too."""
        document = super()._openapi(url)
        openapi.add(document, _PATHS, _SCHEMAS, ["account_unknown"])
        return document


_TEXT = {"type": "string"}
_SCHEMAS = {
    "Entitlements": openapi.object_of({"account": _TEXT, "entitlements": openapi.list_of("Entitlement")}),
    "Entitlement": openapi.object_of(
        {
            "meter": {**_TEXT, "description": "The meter's code."},
            "unit": _TEXT,
            "allowed": {"type": "boolean", "description": "Whether more may be used now."},
            "used": openapi.DECIMAL,
            "included": openapi.DECIMAL,
            "remaining": {**openapi.DECIMAL, "description": "Of what is included."},
            "credit": {**openapi.DECIMAL, "description": "Prepaid units that are left, usage so far taken off."},
            "reason": {
                "enum": ["included_used_up", "credit_used_up", None],
                "description": "Why no more may be used; null when it may.",
            },
            "overage": {"enum": ["billed", "stopped"], "description": "What is done beyond what is included."},
            "resets_at": {**openapi.MOMENT, "description": "When the period ends."},
        }
    ),
    "Balances": openapi.object_of(
        {"account": _TEXT, "balances": openapi.list_of("Balance"), "units": openapi.list_of("UnitBalance")}
    ),
    "UnitBalance": openapi.object_of(
        {
            "meter": {**_TEXT, "description": "The meter's code."},
            "unit": _TEXT,
            "balance": {**openapi.DECIMAL, "description": "Units granted, less what statements used."},
            "live_balance": {**openapi.DECIMAL, "description": "The same less usage that is not billed yet."},
            "grants": openapi.list_of("Grant"),
        }
    ),
    "Balance": openapi.object_of(
        {
            "currency": _TEXT,
            "balance": {**openapi.DECIMAL, "description": "Granted, less what invoices used."},
            "live_balance": {**openapi.DECIMAL, "description": "The same less usage that is not invoiced yet."},
            "grants": openapi.list_of("Grant"),
        }
    ),
    "Grant": openapi.object_of(
        {
            "id": _TEXT,
            "granted": openapi.DECIMAL,
            "balance": openapi.DECIMAL,
            "live_balance": openapi.DECIMAL,
            "effective_at": openapi.MOMENT,
            "expires_at": {**openapi.MOMENT, "type": ["string", "null"]},
        }
    ),
}
_PATHS = {
    "/usage/v1/entitlements/{account}": openapi.about_account(
        "getEntitlements", "What an account may still use", "Entitlements"
    ),
    "/usage/v1/balances/{account}": openapi.about_account("getBalances", "Prepaid credit of an account", "Balances"),
}
