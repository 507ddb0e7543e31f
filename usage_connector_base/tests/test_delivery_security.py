import json
from datetime import timedelta

from odoo import fields
from odoo.exceptions import AccessError
from odoo.fields import Command
from odoo.tests import HttpCase, new_test_user, tagged
from odoo.tools import mute_logger

from .common_delivery import DeliveryCase

OPERATIONS = ("read", "write", "create", "unlink")
# Who may do what: r, w, c, u.
RIGHTS = {
    "usage.endpoint": {"outsider": "", "viewer": "r", "operator": "r", "admin": "rwcu"},
    "usage.endpoint.secret": {"outsider": "", "viewer": "", "operator": "", "admin": "r"},
    "usage.endpoint.secret.wizard": {"outsider": "", "viewer": "", "operator": "", "admin": "rwcu"},
    "usage.delivery": {"outsider": "", "viewer": "r", "operator": "r", "admin": "r"},
    "usage.delivery.attempt": {"outsider": "", "viewer": "r", "operator": "r", "admin": "r"},
    "usage.delivery.type": {"outsider": "", "viewer": "r", "operator": "r", "admin": "r"},
}
COMPANY_MODELS = ("usage.endpoint", "usage.endpoint.secret", "usage.delivery", "usage.delivery.attempt")


@tagged("post_install", "-at_install")
class TestRights(DeliveryCase):
    def setUp(self):
        super().setUp()
        self.endpoint = self.make_endpoint()
        self.receiver.answers = [(500, {}, "what the receiver says")]
        self.delivery = self.enqueue()
        self.deliver()
        self.users["outsider"] = self.outsider
        for user in self.users.values():
            user.group_ids += self.env.ref("base.group_allow_export")
        self.env.invalidate_all()

    def tearDown(self):
        self.users.pop("outsider", None)
        super().tearDown()

    def test_groups_and_operations(self):
        for model, rights in RIGHTS.items():
            for name, letters in rights.items():
                records = self.env[model].with_user(self.users[name])
                for operation in OPERATIONS:
                    expected = (operation[0] if operation != "unlink" else "u") in letters
                    with self.subTest(model=model, group=name, operation=operation):
                        self.assertEqual(records.has_access(operation), expected)

    def test_nobody_writes_deliveries(self):
        for name in ("viewer", "operator", "admin"):
            delivery = self.delivery.with_user(self.users[name])
            with self.subTest(name), self.assertRaises(AccessError):
                delivery.write({"state": "delivered"})
            with self.subTest(name), self.assertRaises(AccessError):
                delivery.unlink()
            with self.subTest(name), self.assertRaises(AccessError):
                delivery.create({"endpoint_id": self.endpoint.id, "event_type": "x", "payload": "{}"})
            with self.subTest(name), self.assertRaises(AccessError):
                delivery.attempt_ids.create({"delivery_id": delivery.id, "status_code": 200})

    def test_viewers_see_no_contents(self):
        delivery = self.delivery.with_user(self.users["viewer"])
        self.assertEqual(delivery.last_status, 500)
        self.assertEqual(delivery.attempt_ids.status_code, 500)
        for record, name in (
            (delivery, "payload"),
            (delivery.attempt_ids, "response"),
            (delivery.endpoint_id, "url"),
            (delivery.endpoint_id, "secret_ids"),
        ):
            with self.subTest(name):
                with self.assertRaises(AccessError):
                    record.read([name])
                with self.assertRaises(AccessError):
                    record.search([(name, "!=", False)])
                with self.assertRaises(AccessError):
                    record.export_data([name])

    def test_operators_see_contents(self):
        delivery = self.delivery.with_user(self.users["operator"])
        self.assertIn("number", delivery.payload)
        self.assertEqual(delivery.attempt_ids.response, "what the receiver says")
        self.assertEqual(delivery.endpoint_id.url, self.receiver.url)
        with self.assertRaises(AccessError):
            delivery.endpoint_id.read(["secret_ids"])

    def test_operators_replay_viewers_do_not(self):
        with self.assertRaises(AccessError):
            self.delivery.with_user(self.users["viewer"]).action_replay()
        with self.assertRaises(AccessError):
            self.delivery.with_user(self.outsider).action_replay()
        self.delivery.with_user(self.users["operator"]).action_replay()
        self.assertEqual(self.delivery.replayed_by_id, self.users["operator"])

    def test_administrators_alone_manage_endpoints(self):
        for name in ("viewer", "operator"):
            endpoint = self.endpoint.with_user(self.users[name])
            for action in (
                endpoint.action_start,
                endpoint.action_pause,
                endpoint.action_send_test,
                endpoint.action_revoke_replaced,
                endpoint._rotate_secret,
                lambda endpoint=endpoint: endpoint.write({"url": "https://elsewhere.example.com"}),
            ):
                with self.subTest(name, action=action), self.assertRaises(AccessError):
                    action()
        endpoint = self.endpoint.with_user(self.users["admin"])
        endpoint.action_pause()
        endpoint.action_start()
        endpoint._rotate_secret()
        endpoint.action_revoke_replaced()

    def test_views_open_for_those_who_may(self):
        for name in ("viewer", "operator", "admin"):
            for model in ("usage.endpoint", "usage.delivery"):
                with self.subTest(name, model=model):
                    views = self.env[model].with_user(self.users[name]).get_views([(False, "list"), (False, "form")])
                    shown = views["models"][model]["fields"]
                    self.assertEqual("payload" in shown, model == "usage.delivery" and name != "viewer")
                    self.assertEqual("secret_ids" in shown, model == "usage.endpoint" and name == "admin")

    # -- companies --------------------------------------------------------------------------

    def test_companies_are_kept_apart(self):
        stranger = new_test_user(
            self.env,
            "delivery_stranger",
            groups="usage_connector_base.group_usage_admin",
            company_id=self.other_company.id,
            company_ids=[Command.set(self.other_company.ids)],
        )
        for model in COMPANY_MODELS:
            ours = self.env[model].search([]).filtered(lambda record: record.company_id == self.company)
            with self.subTest(model):
                self.assertTrue(ours)
                self.assertFalse(self.env[model].with_user(stranger).search([("id", "in", ours.ids)]))
                with self.assertRaises(AccessError):
                    ours.with_user(stranger).read(["id", "company_id"])
        for action in (
            self.endpoint.with_user(stranger).action_send_test,
            self.endpoint.with_user(stranger)._rotate_secret,
            self.endpoint.with_user(stranger).action_revoke_replaced,
            self.delivery.with_user(stranger).action_replay,
        ):
            with self.subTest(action=action), self.assertRaises(AccessError):
                action()

    def test_both_companies(self):
        both = new_test_user(
            self.env,
            "delivery_both",
            groups="usage_connector_base.group_usage_viewer",
            company_id=self.other_company.id,
            company_ids=[Command.set((self.company + self.other_company).ids)],
        )
        for companies, seen in ((self.other_company, False), (self.company + self.other_company, True)):
            deliveries = self.env["usage.delivery"].with_user(both).with_context(allowed_company_ids=companies.ids)
            with self.subTest(companies.mapped("name")):
                self.assertEqual(bool(deliveries.search([("id", "=", self.delivery.id)])), seen)

    # -- secrets ----------------------------------------------------------------------------

    def test_secret_is_no_field(self):
        for model in ("usage.endpoint", "usage.endpoint.secret"):
            self.assertFalse({"secret", "key"} & self.env[model]._fields.keys())

    def test_no_reader_finds_the_secret(self):
        """Not even the superuser, by any method that reads."""
        readers = {
            "read": lambda records: records.read(),
            "fields_get": lambda records: records.fields_get(),
            "search_read": lambda records: records.search_read([("id", "in", records.ids)]),
            "web_read": lambda records: records.web_read({name: {} for name in records._fields}),
            "export_data": lambda records: records.export_data(list(records._fields)),
            "copy_data": lambda records: records.copy_data(),
            "formatted_read_group": lambda records: records.formatted_read_group(
                [("id", "in", records.ids)], ["hint"], ["__count"]
            ),
        }
        secrets = self.endpoint.secret_ids
        self.assertEqual(len(secrets), 1)
        for name, reader in readers.items():
            for records in (secrets, secrets.with_user(self.users["admin"])):
                with self.subTest(name, user=records.env.user.login):
                    self.assertNotIn(self.secret[:-4], str(reader(records)))

    def test_no_message_of_the_endpoint_holds_the_secret(self):
        tracked = self.endpoint.message_ids.mapped("body") + self.endpoint.message_ids.tracking_value_ids.mapped(
            "new_value_char"
        )
        self.assertNotIn(self.secret, str(tracked))


@tagged("post_install", "-at_install")
class TestSecretsOverRpc(HttpCase, DeliveryCase):
    """A system administrator with all of Odoo's ways in: none leads to a secret."""

    def setUp(self):
        super().setUp()
        self.endpoint = self.make_endpoint()
        self.admin = new_test_user(
            self.env,
            "delivery_system",
            groups="base.group_system,usage_connector_base.group_usage_admin",
            company_id=self.company.id,
            company_ids=[Command.set(self.company.ids)],
        )
        keys = self.env["res.users.apikeys"].with_user(self.admin)
        self.key = keys._generate("rpc", "test", fields.Datetime.now() + timedelta(days=1))

    def json2(self, model, method, **arguments):
        """Status and text of a call through JSON-2."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        response = self.url_open(f"/json/2/{model}/{method}", data=json.dumps(arguments), headers=headers)
        return response.status_code, response.text

    def call_kw(self, model, method, *args, **kwargs):
        """Text of a call as the web client makes it."""
        self.authenticate("delivery_system", "delivery_system")
        params = {"model": model, "method": method, "args": args, "kwargs": kwargs}
        response = self.url_open(
            f"/web/dataset/call_kw/{model}/{method}",
            data=json.dumps({"jsonrpc": "2.0", "method": "call", "params": params}),
            headers={"Content-Type": "application/json"},
        )
        return response.text

    @mute_logger("odoo.http", "odoo.addons.rpc.controllers.json2")
    def test_secrets(self):
        secrets = self.endpoint.secret_ids
        status, text = self.json2("usage.endpoint.secret", "read", ids=secrets.ids)
        self.assertEqual(status, 200)
        self.assertIn(self.secret[-4:], text, "the hint")
        texts = [text]
        for model, ids in (("usage.endpoint.secret", secrets.ids), ("usage.endpoint", self.endpoint.ids)):
            texts += [
                self.json2(model, "read", ids=ids, fields=["secret"])[1],
                self.json2(model, "search_read", domain=[["secret", "like", "whsec_"]])[1],
                self.json2(model, "export_data", ids=ids, fields_to_export=["secret", "secret_ids/secret"])[1],
                self.call_kw(model, "web_search_read", [], specification={"secret": {}, "secret_ids": {"fields": {}}}),
                self.call_kw(model, "read", ids),
                self.call_kw(model, "formatted_read_group", [], ["secret"], []),
            ]
        for text in texts:
            self.assertNotIn(self.secret[:-4], text)

    @mute_logger("odoo.http", "odoo.addons.rpc.controllers.json2")
    def test_private_methods_are_out_of_reach(self):
        for method in ("_signing", "_rotate", "_end"):
            status, text = self.json2("usage.endpoint.secret", method, endpoint=self.endpoint.id, now="2026-01-01")
            self.assertGreaterEqual(status, 400)
            self.assertNotIn("whsec_", text)
            text = self.call_kw("usage.endpoint.secret", method, self.endpoint.id, "2026-01-01 00:00:00")
            self.assertIn("error", text)
            self.assertNotIn("whsec_", text)
        for method in ("_enqueue", "_send", "_post", "_headers"):
            self.assertIn("error", self.call_kw("usage.delivery", method, self.endpoint.ids))

    @mute_logger("odoo.http", "odoo.addons.rpc.controllers.json2")
    def test_deliveries_are_not_forged(self):
        values = {"endpoint_id": self.endpoint.id, "event_type": "forged", "payload": "{}", "webhook_id": "msg_x"}
        status, _text = self.json2("usage.delivery", "create", vals_list=[values])
        self.assertEqual(status, 403)
        delivery = self.enqueue()
        status, _text = self.json2("usage.delivery", "write", ids=delivery.ids, vals={"state": "delivered"})
        self.assertEqual(status, 403)
        status, _text = self.json2("usage.delivery", "write", ids=delivery.ids, vals={"payload": "{}"})
        self.assertEqual(status, 422, "refused whoever asks")
        status, _text = self.json2("usage.endpoint.secret", "unlink", ids=self.endpoint.secret_ids.ids)
        self.assertEqual(status, 403)
