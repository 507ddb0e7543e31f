from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import UsageHttpCommon

CONTROLLER = "odoo.addons.usage_connector_base.controllers.common"


@tagged("post_install", "-at_install")
class TestKeysOfRequests(UsageHttpCommon):
    """Who may send, and what the others are told."""

    def assertUnauthorized(self, **post):
        """Refused with 401, named in the server's log, and nothing stored."""
        with self.assertLogs(CONTROLLER, "WARNING") as log:
            response = self.post([self.event("refused")], **post)
        self.assertRefused(response, 401, "unauthorized")
        self.assertEqual(len(log.output), 1)
        self.assertIn("127.0.0.1", log.output[0])
        self.assertFalse(self.stored("refused"))
        return log.output[0]

    def test_wrong_or_no_key(self):
        self.assertUnauthorized(key="")
        self.assertUnauthorized(key="x")
        self.assertUnauthorized(key=self.key[:-1])
        for header in (
            "",
            "Bearer",
            "Bearer ",
            f"Basic {self.key}",
            self.key,
            f"Bearer {self.key} x",
            f"Token {self.key}",
        ):
            with self.subTest(header):
                self.assertUnauthorized(key="", headers={"Authorization": header})

    def test_says_how_to_authenticate(self):
        with mute_logger(CONTROLLER):
            response = self.post([], key="x")
        self.assertIn("Bearer", response.headers.get("WWW-Authenticate", ""))

    def test_the_log_holds_no_key(self):
        self.assertNotIn("secret-key", self.assertUnauthorized(key="secret-key"))

    def test_word_bearer_in_any_case(self):
        for word in ("bearer", "BEARER", "Bearer "):
            response = self.post([], key="", headers={"Authorization": f"{word} {self.key}"})
            self.assertEqual(response.status_code, 200)

    def test_key_in_the_address(self):
        """A key belongs into the header: addresses end up in logs."""
        with mute_logger(CONTROLLER):
            response = self.url_open(
                f"{self.URL}?key={self.key}&access_token={self.key}",
                data=b"{}",
                headers={"Content-Type": "application/json"},
            )
        self.assertRefused(response, 401, "unauthorized")

    def test_key_is_asked_before_the_body_is_read(self):
        self.assertUnauthorized(key="x", content_type="text/plain")
        with mute_logger(CONTROLLER):
            self.assertRefused(self.post(b"no json", key="x"), 401, "unauthorized")

    def test_revoked_at_once(self):
        self.assertEqual(self.post([self.event("a")]).status_code, 200)
        self.source.with_user(self.admin).action_revoke_keys()
        self.assertUnauthorized()
        self.assertEqual(self.post([self.event("b")], key=self.new_key()).status_code, 200)

    def test_changed_without_a_gap(self):
        new = self.new_key()
        self.assertEqual(self.post([self.event("a")]).status_code, 200)
        self.assertEqual(self.post([self.event("b")], key=new).status_code, 200)
        self.source._keys()[-1].unlink()
        with mute_logger(CONTROLLER):
            codes = {self.post([], key=key).status_code for key in (self.key, new)}
        self.assertEqual(codes, {200, 401})

    def test_expired(self):
        self.expire_keys()
        self.assertUnauthorized()

    def test_key_of_odoos_own_api(self):
        """A person's key does not send usage, though it opens all that this person may."""
        key = self.env["res.users.apikeys"].with_user(self.admin).sudo()._generate("rpc", "rpc", False)
        self.assertUnauthorized(key=key)

    def test_session_of_a_person(self):
        """Being logged in is no key."""
        self.authenticate(self.admin.login, self.admin.login)
        self.assertUnauthorized(key="")

    def test_key_of_another_source(self):
        other = self._source("other-cloud")
        self._account("acme", self.customer, source=other)
        self.assertEqual(self.post([self.event("a")], key=self.new_key(other)).json()["accepted"], 1)
        self.assertFalse(self.stored("a"))
        self.assertEqual(self.env["usage.batch"].search([], limit=1).source_id, other)

    def test_suspended(self):
        self.source.with_user(self.admin).action_suspend()
        self.assertRefused(self.post([self.event("a")]), 403, "source_not_approved")
        self.assertFalse(self.stored("a"))
        self.assertEqual(self.last_batch().refusal_code, "source_not_approved", "a person finds it")
        self.source.with_user(self.second_admin).action_approve()
        self.assertEqual(self.post([self.event("a")]).status_code, 200)

    def test_environment(self):
        for environment, status in (("production", 200), ("staging", 403), ("Production", 403), ("", 403)):
            with self.subTest(environment):
                response = self.post([self.event(f"in {environment}")], headers={"X-Usage-Environment": environment})
                self.assertEqual(response.status_code, status)
                if status == 403:
                    self.assertRefused(response, 403, "wrong_environment")
                    self.assertFalse(self.stored(f"in {environment}"))
                    self.assertEqual(self.last_batch().refusal_code, "wrong_environment", "a person finds it")

    def test_environment_of_a_test_system(self):
        staging = self._source("staging", environment="staging")
        key = self.new_key(staging)
        self.assertEqual(self.post([], key=key, headers={"X-Usage-Environment": "staging"}).status_code, 200)
        response = self.post([], key=key, headers={"X-Usage-Environment": "production"})
        self.assertRefused(response, 403, "wrong_environment")
        self.assertIn("staging", response.json()["error"]["message"])
