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
