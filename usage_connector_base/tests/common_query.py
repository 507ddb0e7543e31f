from odoo.tools import mute_logger

from .common import UsageHttpCommon

CONTROLLER = "odoo.addons.usage_connector_base.controllers.common"


class QueryCommon(UsageHttpCommon):
    """``get(path)`` with the source's key."""

    def get(self, path, key=None, **headers):
        if key != "":
            headers.setdefault("Authorization", f"Bearer {key or self.key}")
        self.env.flush_all()
        return self.url_open(path, headers=headers)

    def answer(self, path, **options):
        """JSON of a request that must succeed."""
        response = self.get(path, **options)
        self.assertEqual(response.status_code, 200, response.text[:500])
        return response.json()

    def assertNeedsKey(self, path):
        """Refused without a key, with a wrong one, for another environment and while the source is suspended."""
        with mute_logger(CONTROLLER):
            for key in ("", "wrong"):
                response = self.get(path, key=key)
                self.assertRefused(response, 401, "unauthorized")
                self.assertEqual(response.headers["WWW-Authenticate"], "Bearer")
        environment = {"X-Usage-Environment": "staging"}
        self.assertRefused(self.get(path, **environment), 403, "wrong_environment")
        batches = self.env["usage.batch"].search_count([])
        self.source.with_user(self.admin).action_suspend()
        self.assertRefused(self.get(path), 403, "source_not_approved")
        self.assertEqual(self.env["usage.batch"].search_count([]), batches, "a question is no request to count")
