import base64
import itertools
from datetime import timedelta

from psycopg2 import IntegrityError
from standardwebhooks import Webhook, WebhookVerificationError

from odoo import fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Command
from odoo.tests import Form, freeze_time, tagged
from odoo.tools import file_open, mute_logger

from .common_delivery import DeliveryCase


@tagged("post_install", "-at_install")
class TestEndpoint(DeliveryCase):
    numbers = itertools.count()

    def make_draft(self, **values):
        name = f"Draft {next(self.numbers)}"
        values = {"name": name, "company_id": self.company.id, "url": "https://hooks.example.com/a", **values}
        return self.env["usage.endpoint"].create(values)

    def forbid_private(self):
        self.env["ir.config_parameter"].set_param("usage.delivery_allow_private", "False")

    # -- what may be entered ----------------------------------------------------------------

    def test_starts_paused_and_told_of_all_types(self):
        endpoint = self.make_draft()
        self.assertEqual(endpoint.state, "paused")
        codes = set(endpoint.type_ids.mapped("code"))
        self.assertLessEqual({"usage.exception.opened", "usage.exception.settled", "usage.account.mapped"}, codes)
        self.assertNotIn("usage.endpoint.test", codes)

    def test_private_addresses_are_refused(self):
        self.forbid_private()
        for host in (
            "127.0.0.1",
            "[::1]",
            "10.1.2.3",
            "192.168.1.1",
            "localhost",
            "intranet.local",
            "[::ffff:10.0.0.1]",
        ):
            with self.subTest(host), self.assertRaisesRegex(ValidationError, "private network"):
                self.make_draft(url=f"https://{host}/hook")

    def test_metadata_addresses_are_refused_always(self):
        with self.assertRaisesRegex(ValidationError, "never sent"):
            self.make_draft(url="http://169.254.169.254/latest/meta-data")

    def test_other_bad_urls(self):
        self.forbid_private()
        for url, text in {
            "http://hooks.example.com/": "https://",
            "https://": "whole URL",
            "https://user:pw@hooks.example.com/": "user and password",
        }.items():
            with self.subTest(url), self.assertRaisesRegex(ValidationError, text):
                self.make_draft(url=url)

    def test_url_is_checked_when_it_changes(self):
        self.forbid_private()
        endpoint = self.make_draft()
        with self.assertRaises(ValidationError):
            endpoint.url = "https://10.0.0.1/"

    def test_bounds(self):
        for values in ({"timeout": 0}, {"timeout": 31}, {"failure_limit": 0}, {"type_ids": [Command.clear()]}):
            with self.subTest(values), self.assertRaises(ValidationError):
                self.make_draft(**values)

    @mute_logger("odoo.sql_db")
    def test_name_is_unique_in_the_company(self):
        self.make_draft(name="Finance")
        self.make_draft(name="Finance", company_id=self.other_company.id)
        with self.assertRaises(IntegrityError), self.env.cr.savepoint():
            self.make_draft(name="Finance")

    def test_stays_with_its_company(self):
        endpoint = self.make_draft()
        endpoint.company_id = self.company
        with self.assertRaisesRegex(UserError, "another one for the other company"):
            endpoint.company_id = self.other_company

    def test_with_deliveries_it_is_archived_not_deleted(self):
        endpoint = self.make_endpoint()
        [delivery] = self.enqueue()
        with self.assertRaisesRegex(UserError, "archive"):
            endpoint.unlink()
        self.make_draft().unlink()
        endpoint.active = False
        self.assertFalse(self.enqueue())
        self.deliver()
        self.assertFalse(self.receiver.received, "archived endpoints are told nothing")
        with self.assertRaisesRegex(UserError, "unarchive"):
            delivery.action_replay()

    # -- secrets ----------------------------------------------------------------------------

    def test_without_a_secret_it_does_not_start(self):
        endpoint = self.make_draft()
        self.assertFalse(endpoint.has_secret)
        with self.assertRaisesRegex(ValidationError, "no secret"):
            endpoint.action_start()
        with self.assertRaisesRegex(ValidationError, "no secret"):
            self.make_draft(name="Other", state="active")

    def test_wizard_shows_the_secret_once(self):
        endpoint = self.make_draft().with_user(self.users["admin"])
        action = endpoint.action_new_secret()
        wizard = (
            self.env[action["res_model"]].with_user(self.users["admin"]).with_context(**action["context"]).create({})
        )
        shown = wizard.action_generate()
        secret = shown["context"]["default_secret"]
        self.assertTrue(secret.startswith("whsec_"))
        form = Form(self.env[shown["res_model"]].with_user(self.users["admin"]).with_context(**shown["context"]))
        self.assertEqual(form.secret, secret)
        self.assertTrue(endpoint.has_secret)
        self.assertEqual(endpoint.secret_ids.hint, secret[-4:])
        wizard.invalidate_recordset()
        self.assertFalse(wizard.secret)

    def test_wizard_bounds_the_overlap(self):
        endpoint = self.make_draft()
        for hours in (-1, 169):
            wizard = self.env["usage.endpoint.secret.wizard"].create(
                {"endpoint_id": endpoint.id, "overlap_hours": hours}
            )
            with self.subTest(hours), self.assertRaises(ValidationError):
                wizard.action_generate()
        self.assertFalse(endpoint.has_secret)

    def verifies(self, secret, received):
        try:
            Webhook(secret).verify(received.body, received.headers)
        except WebhookVerificationError:
            return False
        return True

    def test_rotation_signs_with_both_for_a_while(self):
        endpoint = self.make_endpoint()
        old, new = self.secret, endpoint._rotate_secret(overlap_hours=2)
        self.enqueue()
        self.deliver()
        [received] = self.receiver.received
        self.assertEqual(len(received.headers["webhook-signature"].split()), 2)
        self.assertTrue(self.verifies(old, received))
        self.assertTrue(self.verifies(new, received))
        with freeze_time(fields.Datetime.now() + timedelta(hours=2, minutes=1)):
            self.enqueue()
            self.deliver()
            received = self.receiver.received[-1]
            self.assertFalse(self.verifies(old, received))
            self.assertTrue(self.verifies(new, received))

    def test_rotation_without_overlap(self):
        endpoint = self.make_endpoint()
        old, new = self.secret, endpoint._rotate_secret(overlap_hours=0)
        self.enqueue()
        self.deliver()
        [received] = self.receiver.received
        self.assertFalse(self.verifies(old, received))
        self.assertTrue(self.verifies(new, received))

    def test_two_secrets_sign_never_more(self):
        endpoint = self.make_endpoint()
        secrets = [self.secret, *(endpoint._rotate_secret() for _rotation in range(3))]
        self.enqueue()
        self.deliver()
        [received] = self.receiver.received
        self.assertEqual([self.verifies(secret, received) for secret in secrets], [False, False, True, True])

    def test_replaced_secrets_can_be_revoked(self):
        endpoint = self.make_endpoint()
        old, new = self.secret, endpoint._rotate_secret()
        endpoint.action_revoke_replaced()
        self.enqueue()
        self.deliver()
        [received] = self.receiver.received
        self.assertFalse(self.verifies(old, received))
        self.assertTrue(self.verifies(new, received))

    def test_rotation_is_on_record_without_the_secret(self):
        endpoint = self.make_endpoint()
        new = endpoint.with_user(self.users["admin"])._rotate_secret()
        text = " ".join(endpoint.message_ids.mapped("body"))
        self.assertIn(new[-4:], text)
        self.assertNotIn(new[:-4], text)
        self.assertEqual(endpoint.secret_ids[0].create_uid, self.users["admin"])

    def test_secrets_of_one_endpoint_are_not_anothers(self):
        first, second = self.make_endpoint(), self.make_endpoint()
        now = fields.Datetime.now()
        secrets = self.env["usage.endpoint.secret"]
        self.assertFalse(set(secrets._signing(first, now)) & set(secrets._signing(second, now)))

    def test_expired_secrets_are_removed(self):
        endpoint = self.make_endpoint()
        endpoint._rotate_secret(overlap_hours=1)
        secrets = self.env["usage.endpoint.secret"]
        self.assertEqual(secrets._gc_expired(), (0, False))
        with freeze_time(fields.Datetime.now() + timedelta(days=8)):
            self.assertEqual(secrets._gc_expired(), (1, False))
        self.assertEqual(len(endpoint.secret_ids), 1)

    def test_column_holds_what_signs(self):
        """Kept in the database, in no field."""
        endpoint = self.make_endpoint()
        self.env.cr.execute("SELECT secret FROM usage_endpoint_secret WHERE endpoint_id = %s", [endpoint.id])
        self.assertEqual(self.env.cr.fetchall(), [(self.secret,)])
        self.assertEqual(len(base64.b64decode(self.secret.removeprefix("whsec_"))), 32)

    # -- test messages ----------------------------------------------------------------------

    def send_test(self, endpoint):
        self.env.flush_all()
        with self.enter_registry_test_mode():
            action = endpoint.with_user(self.users["admin"]).action_send_test()
        return self.env[action["res_model"]].browse(action["res_id"])

    def test_message_is_sent_at_once_even_when_paused(self):
        endpoint = self.make_endpoint(types=["usage.exception.opened"])
        endpoint.action_pause()
        delivery = self.send_test(endpoint)
        self.assertEqual(delivery.state, "delivered")
        self.assertEqual(delivery.attempt_ids.response, "thanks")
        [received] = self.receiver.received
        message = Webhook(self.secret).verify(received.body, received.headers)
        self.assertEqual(message["type"], "usage.endpoint.test")
        self.assertEqual(message["data"]["endpoint"], endpoint.name)
        self.assertEqual(endpoint.state, "paused")

    def test_message_is_tried_once(self):
        endpoint = self.make_endpoint()
        self.receiver.answers = [500]
        delivery = self.send_test(endpoint)
        self.assertEqual((delivery.state, delivery.last_status), ("dead", 500))
        self.assertEqual(delivery.last_error, "The receiver answered 500.")
        self.assertFalse(endpoint.activity_ids, "whoever sent it sees it")

    def test_message_that_is_taken_closes_the_circuit(self):
        endpoint = self.make_endpoint(failure_limit=1)
        self.receiver.answers = [500]
        self.enqueue()
        self.deliver()
        self.assertEqual(endpoint.state, "broken")
        self.send_test(endpoint)
        self.assertEqual(endpoint.state, "active")

    def test_message_without_a_secret_is_not_sent(self):
        delivery = self.send_test(self.make_draft(url=self.receiver.url))
        self.assertEqual(delivery.state, "dead")
        self.assertIn("no secret", delivery.last_error)
        self.assertFalse(self.receiver.received)

    def test_message_is_for_administrators(self):
        endpoint = self.make_endpoint()
        for name in ("viewer", "operator"):
            with self.assertRaises(AccessError):
                endpoint.with_user(self.users[name]).action_send_test()

    # -- figures and buttons ----------------------------------------------------------------

    def test_counts_and_links(self):
        endpoint = self.make_endpoint()
        self.make_endpoint()
        deliveries = self.enqueue(3).filtered(lambda x: x.endpoint_id == endpoint)
        deliveries[0].state = "dead"
        endpoint.invalidate_recordset()
        self.assertEqual((endpoint.pending_count, endpoint.dead_count), (2, 1))
        action = endpoint.action_view_deliveries()
        self.assertEqual(self.env["usage.delivery"].search(action["domain"]), deliveries.sorted("id", reverse=True))
        self.assertIn("search_default_dead", endpoint.action_view_dead()["context"])

    def test_last_delivery(self):
        endpoint = self.make_endpoint()
        self.assertFalse(endpoint.last_delivered_at)
        with freeze_time("2026-05-01 10:00:00"):
            self.enqueue()
            self.deliver()
        self.assertEqual(endpoint.last_delivered_at, fields.Datetime.to_datetime("2026-05-01 10:00:00"))

    def test_copy(self):
        endpoint = self.make_endpoint()
        copy = endpoint.copy()
        self.assertEqual((copy.name, copy.state), (f"{endpoint.name} (copy)", "paused"))
        self.assertEqual((copy.url, copy.type_ids), (endpoint.url, endpoint.type_ids))
        self.assertFalse(copy.has_secret)

    def test_form(self):
        with Form(self.env["usage.endpoint"].with_user(self.users["admin"])) as form:
            form.name = "Finance"
            form.url = "https://hooks.example.com/usage"
        endpoint = form.record
        self.assertEqual((endpoint.company_id, endpoint.owner_id), (self.company, self.users["admin"]))

    def test_neutralized_copies_tell_nobody(self):
        endpoint = self.make_endpoint()
        with file_open("usage_connector_base/data/neutralize.sql") as file:
            self.env.flush_all()
            self.env.cr.execute(file.read())
        self.env.invalidate_all()
        self.assertEqual(endpoint.state, "paused")


@tagged("post_install", "-at_install")
class TestSettings(DeliveryCase):
    def test_allow_private_networks(self):
        settings = self.env["res.config.settings"]
        settings.create({"usage_delivery_allow_private": False}).execute()
        self.assertFalse(self.env["usage.endpoint"]._private_allowed())
        settings.create({"usage_delivery_allow_private": True}).execute()
        self.assertTrue(self.env["usage.endpoint"]._private_allowed())

    def test_allowed_by_nobody_means_refused(self):
        self.env["ir.config_parameter"].search([("key", "=", "usage.delivery_allow_private")]).unlink()
        self.assertFalse(self.env["usage.endpoint"]._private_allowed())

    def test_forbidden_later_holds_for_what_was_entered_before(self):
        self.make_endpoint()
        [delivery] = self.enqueue()
        self.env["ir.config_parameter"].set_param("usage.delivery_allow_private", "False")
        self.deliver()
        self.assertFalse(self.receiver.received)
        self.assertEqual(delivery.last_error, "The URL must begin with https://.")

    def test_retention_has_a_least(self):
        with self.assertRaises(ValidationError):
            self.env["res.config.settings"].create({"usage_delivery_keep_days": 3})
