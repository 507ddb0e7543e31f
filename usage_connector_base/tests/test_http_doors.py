import xmlrpc.client

from odoo.tests import get_db_name, tagged
from odoo.tools import mute_logger

from .common import UsageHttpCommon


@tagged("post_install", "-at_install")
class TestOtherDoors(UsageHttpCommon):
    """The key of a source and its API user open nothing else of Odoo. Each door is tried with a key that fits, too."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.login = cls.source.user_id.login
        cls.fitting = cls.env["res.users.apikeys"].with_user(cls.viewer).sudo()._generate("rpc", "rpc", False)

    def json2(self, key, model="usage.source", method="search_count"):
        self.env.flush_all()
        return self.url_open(
            f"/json/2/{model}/{method}", json={"domain": []}, headers={"Authorization": f"bearer {key}"}
        )

    def test_json_2(self):
        self.assertEqual(self.json2(self.fitting).status_code, 200)
        with mute_logger("odoo.http"):
            for model in ("usage.source", "usage.event", "usage.ingestion", "res.partner", "res.users"):
                with self.subTest(model):
                    self.assertEqual(self.json2(self.key, model).status_code, 401)

    def test_xml_rpc(self):
        self.env.flush_all()
        database = get_db_name()
        with mute_logger("odoo.addons.rpc.controllers.xmlrpc", "odoo.http"):
            common, models = self.xmlrpc_common, self.xmlrpc_object
            self.assertEqual(common.authenticate(database, self.viewer.login, self.fitting, {}), self.viewer.id)
            self.assertFalse(common.authenticate(database, self.login, self.key, {}))
            count = (database, self.viewer.id, self.fitting, "usage.source", "search_count", [[]])
            self.assertTrue(models.execute_kw(*count))
            for uid in (self.source.user_id.id, self.viewer.id):
                with self.assertRaises(xmlrpc.client.Fault) as caught:
                    models.execute_kw(database, uid, self.key, "usage.source", "search_count", [[]])
                self.assertIn("denied", caught.exception.faultString.lower())

    def logged_in(self, login, password):
        """Id of the user that a login gives, None where it is refused."""
        self.env.flush_all()
        params = {"db": get_db_name(), "login": login, "password": password}
        with mute_logger("odoo.http"):
            answer = self.url_open("/web/session/authenticate", json={"params": params}).json()
        return answer.get("result", {}).get("uid")

    def test_web_session(self):
        self.assertEqual(self.logged_in(self.viewer.login, self.viewer.login), self.viewer.id)
        for password in (self.key, self.login, "", False, None):
            with self.subTest(password):
                self.assertFalse(self.logged_in(self.login, password))

    def test_json_rpc(self):
        """The older way in, with the key as a password."""
        self.env.flush_all()
        database = get_db_name()

        def call(uid, key):
            args = [database, uid, key, "usage.source", "search_count", [[]]]
            params = {"service": "object", "method": "execute_kw", "args": args}
            with mute_logger("odoo.http", "odoo.addons.rpc.controllers.jsonrpc"):
                return self.url_open("/jsonrpc", json={"method": "call", "params": params}).json()

        self.assertIn("result", call(self.viewer.id, self.fitting))
        for uid in (self.source.user_id.id, self.viewer.id):
            self.assertIn("AccessDenied", call(uid, self.key)["error"]["data"]["name"])

    def test_every_page_for_people(self):
        """Whatever route there is, in whichever addon: none that asks who one is takes a source's key."""
        self.env.flush_all()
        call = {"model": "usage.source", "method": "search_count", "args": [[]], "kwargs": {}}
        tried = 0
        with mute_logger("odoo.http", "werkzeug"):
            for rule in self.env["ir.http"].routing_map().iter_rules():
                routing = rule.endpoint.routing
                if routing["auth"] not in ("user", "bearer") or rule.arguments or "<" in rule.rule:
                    continue
                method = "GET" if "GET" in (rule.methods or {"GET"}) else "POST"
                response = self.url_open(
                    rule.rule,
                    method=method,
                    json=None if method == "GET" else {"params": call},
                    headers={"Authorization": f"Bearer {self.key}"},
                    allow_redirects=False,
                )
                tried += 1
                with self.subTest(rule.rule):
                    self.assertTrue(self.is_turned_away(response), f"{response.status_code} {response.text[:200]}")
        self.assertGreater(tried, 50)

    def is_turned_away(self, response):
        """Whether an answer says no: as a status, as a way to the login, or as an error in JSON."""
        if response.status_code == 200:
            return "SessionExpired" in response.text or "AccessDenied" in response.text
        return response.status_code in (303, 400, 401, 403, 404, 405, 415)

    def test_every_route_of_ours_asks_for_a_key(self):
        """New ones too: all but the two that tell nothing of anyone."""
        self.env.flush_all()
        open_to_all = {"/usage/v1/health", "/usage/v1/openapi.json"}
        ours = [
            rule
            for rule in self.env["ir.http"].routing_map().iter_rules()
            if rule.rule.startswith(("/usage/", "/api/v1/")) and rule.rule not in open_to_all
        ]
        self.assertGreaterEqual(len(ours), 8)
        person = self.env["res.users.apikeys"].with_user(self.admin).sudo()._generate("usage", "own", False)
        with mute_logger("odoo.addons.usage_connector_base.controllers.common"):
            for rule in ours:
                for method in rule.methods - {"OPTIONS", "HEAD"}:
                    for key in ("", "wrong", person):
                        with self.subTest(rule.rule, method=method, key=key):
                            response = self.url_open(
                                rule.rule.replace("<path:event_id>", "x"),
                                method=method,
                                headers={"Authorization": f"Bearer {key}"} if key else None,
                            )
                            self.assertEqual(response.status_code, 401)
