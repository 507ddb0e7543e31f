from datetime import timedelta
from unittest.mock import patch

import psycopg2

from odoo import fields
from odoo.exceptions import AccessDenied, AccessError, UserError, ValidationError
from odoo.service.model import call_kw
from odoo.tests import tagged
from odoo.tools import mute_logger

from odoo.addons.usage_connector_base.models import usage_source

from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestApproval(UsageCommon):
    """No system sends before a second administrator has said so."""

    def draft(self, person=None, **values):
        sources = self.env["usage.source"].with_user(person or self.admin)
        return sources.create({"name": "New", "code": "new", **values})

    def test_by_a_second_administrator(self):
        source = self.draft()
        self.assertEqual((source.state, source.prepared_by_id), ("draft", self.admin))
        self.assertFalse(source.user_id)
        source.with_user(self.second_admin).action_approve()
        self.assertEqual((source.state, source.approved_by_id), ("approved", self.second_admin))
        self.assertLess(abs(source.approved_date - fields.Datetime.now()), timedelta(minutes=1))
        self.assertTrue(source.user_id)

    def test_not_by_who_created_it(self):
        source = self.draft()
        for same in (source, source.sudo(), source.with_user(self.admin).sudo()):
            with self.assertRaisesRegex(UserError, "second administrator"):
                same.action_approve()
        self.assertEqual(source.state, "draft")

    def test_not_by_others(self):
        source = self.draft()
        for person in (self.viewer, self.operator, self.source.user_id):
            with self.assertRaises(UserError):
                source.with_user(person).action_approve()
            with self.assertRaises(UserError):
                source.with_user(person).sudo().action_approve()
            with self.assertRaises(UserError):
                self.source.with_user(person).sudo().action_suspend()
        self.assertEqual((source.state, self.source.state), ("draft", "approved"))

    def test_several_of_which_one_is_own(self):
        own, other = self.draft(), self.draft(self.second_admin, code="other")
        with self.assertRaises(UserError):
            (own | other).with_user(self.second_admin).action_approve()
        self.assertEqual((own.state, other.state), ("draft", "draft"))

    def test_suspended_and_approved_again(self):
        self.source.with_user(self.admin).action_suspend()
        self.assertEqual(self.source.state, "suspended")
        user = self.source.user_id
        with self.assertRaises(UserError):
            self.source.with_user(self.admin).action_approve()
        self.source.with_user(self.second_admin).action_approve()
        self.assertEqual((self.source.state, self.source.user_id), ("approved", user), "the API user stays")

    def test_state_is_not_written(self):
        """Neither by RPC, nor with any flag that can be sent in a context."""
        source = self.draft()
        for context in (
            {},
            {"usage_guard": True},
            {"usage_guard": "_SENTINEL"},
            {"usage_guard": {}},
        ):
            for name, value in (
                ("state", "approved"),
                ("user_id", self.admin.id),
                ("approved_by_id", self.second_admin.id),
                ("prepared_by_id", self.second_admin.id),
                ("approved_date", "2026-01-01 00:00:00"),
            ):
                with self.subTest(context=context, name=name), self.assertRaises(UserError):
                    call_kw(
                        self.env["usage.source"].with_user(self.admin),
                        "write",
                        [source.ids, {name: value}],
                        {"context": context},
                    )
        with self.assertRaises(UserError):
            source.sudo().write({"state": "approved"})
        self.assertEqual((source.state, source.prepared_by_id), ("draft", self.admin))
        self.assertFalse(source.user_id)

    def test_state_is_not_created(self):
        values = {
            "state": "approved",
            "user_id": self.admin.id,
            "approved_by_id": self.second_admin.id,
            "prepared_by_id": self.second_admin.id,
        }
        sources = [
            self.draft(**values),
            self.env["usage.source"]
            .with_user(self.admin)
            .with_context(**{f"default_{name}": value for name, value in values.items()})
            .create({"name": "By context", "code": "by-context"}),
            self.source.with_user(self.admin).copy({"code": "copy"}),
        ]
        for source in sources:
            self.assertEqual((source.state, source.prepared_by_id), ("draft", self.admin))
            self.assertFalse(source.user_id)
            self.assertFalse(source.approved_by_id)
            with self.assertRaises(UserError):
                source.action_approve()

    def test_private_methods_are_not_called_from_outside(self):
        for method in ("_set_state", "_generate_key", "_authenticate", "_ensure_api_user"):
            with self.assertRaises(AccessError):
                call_kw(self.env["usage.source"].with_user(self.admin), method, [self.source.ids], {})

    def test_another_environment_needs_approval_again(self):
        """Else one person alone could have a test system billed."""
        source = self._source("test-system", environment="staging")
        source.with_user(self.second_admin).environment = "production"
        self.assertEqual((source.state, source.prepared_by_id), ("draft", self.second_admin))
        self.assertFalse(source.approved_by_id)
        with self.assertRaises(UserError):
            source.with_user(self.second_admin).action_approve()
        source.with_user(self.admin).action_approve()
        self.assertEqual(source.state, "approved")

    def test_other_changes_need_no_approval(self):
        self.source.with_user(self.admin).write(
            {"name": "Acme", "owner_id": self.operator.id, "environment": "production"}
        )
        self.assertEqual((self.source.state, self.source.approved_by_id), ("approved", self.second_admin))

    def test_company_stays(self):
        company = self.env["res.company"].create({"name": "Other"})
        with self.assertRaisesRegex(UserError, "in use"):
            self.source.company_id = company
        unused = self.draft()
        unused.sudo().company_id = company
        self.assertEqual(unused.sudo().company_id, company)

    def test_deletion(self):
        with self.assertRaisesRegex(UserError, "suspend"):
            self.source.unlink()
        unused = self.draft()
        unused.unlink()
        self.assertFalse(unused.exists())

    @mute_logger("odoo.sql_db")
    def test_code_is_unique_in_its_company(self):
        self.draft()
        with self.assertRaises(psycopg2.errors.UniqueViolation), self.cr.savepoint():
            self.draft()
        company = self.env["res.company"].create({"name": "Other"})
        self.admin.company_ids |= company
        self.assertTrue(self.draft(company_id=company.id))


@tagged("post_install", "-at_install")
class TestApiUser(UsageCommon):
    def test_is_nobody(self):
        """Its only group implies nothing: it is no internal, portal or public user."""
        user = self.source.user_id
        self.assertEqual(user.all_group_ids, self.env.ref("usage_connector_base.group_usage_ingestion"))
        self.assertFalse(user._is_internal())
        self.assertFalse(user._is_portal())
        self.assertFalse(user._is_public())
        self.assertTrue(user.share)
        self.assertEqual((user.company_id, user.company_ids), (self.company, self.company))

    def test_has_no_password(self):
        self.env.cr.execute("SELECT password FROM res_users WHERE id = %s", [self.source.user_id.id])
        self.assertEqual(self.env.cr.fetchall(), [(None,)])
        self.assertFalse(self.source.user_id.email)

    def test_one_for_each_source(self):
        self.assertNotEqual(self._source("other-cloud").user_id, self.source.user_id)

    def test_person_who_approves_needs_no_right_on_users(self):
        self.assertFalse(self.second_admin.has_group("base.group_erp_manager"))
        self.assertTrue(self._source("other-cloud").user_id)


@tagged("post_install", "-at_install")
class TestKeys(UsageCommon):
    def setUp(self):
        super().setUp()
        self.key = self.source.with_user(self.admin)._generate_key()

    def authenticate(self, key):
        return self.env["usage.source"]._authenticate(key)

    def assertDenied(self, key):
        with self.assertRaises(AccessDenied):
            self.authenticate(key)

    def test_sender(self):
        sender = self.authenticate(self.key)
        self.assertEqual((sender.source_id, sender.company_id), (self.source.id, self.company.id))
        self.assertEqual((sender.user_id, sender.state), (self.source.user_id.id, "approved"))
        self.assertEqual(sender.environment, "production")

    def test_wrong(self):
        for key in ("", " ", "x", self.key[:-1], self.key + "0", self.key.upper(), "é" * 40, "x" * 10_000):
            self.assertDenied(key)

    def test_several_are_valid_at_once(self):
        """So a key is changed without a gap."""
        other = self.source.with_user(self.second_admin)._generate_key("second", days=7)
        senders = [self.authenticate(key) for key in (self.key, other)]
        self.assertEqual(*(sender._replace(key_id=None) for sender in senders))
        self.assertNotEqual(*(sender.key_id for sender in senders))
        self.assertEqual(self.source.key_count, 2)

    def test_key_of_another_scope(self):
        """Not one that opens all of Odoo's API, not even of the same user."""
        user = self.source.user_id
        tomorrow = fields.Datetime.now() + timedelta(days=1)
        keys = self.env["res.users.apikeys"].with_user(user).sudo()
        self.assertDenied(keys._generate("rpc", "rpc", tomorrow))
        self.assertDenied(keys._generate("other", "other", tomorrow))

    def test_usage_key_of_a_person(self):
        """A key opens the way for the API user of a source, and for nobody else."""
        tomorrow = fields.Datetime.now() + timedelta(days=1)
        self.assertDenied(
            self.env["res.users.apikeys"].with_user(self.admin).sudo()._generate("usage", "own", tomorrow)
        )

    def test_usage_key_opens_nothing_else(self):
        check = self.env["res.users.apikeys"]._check_credentials
        self.assertFalse(check(scope="rpc", key=self.key))
        self.assertEqual(check(scope="usage", key=self.key), self.source.user_id.id)

    def test_expired(self):
        self.expire_keys()
        self.assertDenied(self.key)
        self.assertEqual(self.source.key_count, 0)

    def test_expires_when_it_says(self):
        self.env.cr.execute(
            "SELECT expiration_date, scope FROM res_users_apikeys WHERE user_id = %s", [self.source.user_id.id]
        )
        [(expiry, scope)] = self.env.cr.fetchall()
        self.assertEqual(scope, "usage")
        self.assertLess(abs(expiry - fields.Datetime.now() - timedelta(days=365)), timedelta(minutes=1))

    def test_revoked(self):
        self.authenticate(self.key)
        self.source.with_user(self.admin).action_revoke_keys()
        self.assertDenied(self.key)
        self.assertEqual(self.source.key_count, 0)

    def test_revoking_leaves_other_sources_alone(self):
        other = self._source("other-cloud")
        key = other.with_user(self.admin)._generate_key()
        self.source.with_user(self.admin).action_revoke_keys()
        self.assertEqual(self.authenticate(key).source_id, other.id)

    def test_removed_by_the_user_administration(self):
        self.authenticate(self.key)
        self.source._keys()._remove()
        self.assertDenied(self.key)

    def test_archived_api_user(self):
        self.authenticate(self.key)
        self.source.user_id.active = False
        self.assertDenied(self.key)

    def test_state_is_seen_at_once(self):
        self.authenticate(self.key)
        self.source.with_user(self.admin).action_suspend()
        self.assertEqual(self.authenticate(self.key).state, "suspended")

    def test_environment_is_seen_at_once(self):
        self.authenticate(self.key)
        self.source.with_user(self.admin).environment = "staging"
        self.assertEqual(self.authenticate(self.key)[3:5], ("draft", "staging"))

    def test_verified_once_while_nothing_changes(self):
        checks = type(self.env["res.users.apikeys"])._check_credentials
        with (
            patch.object(usage_source, "KEY_CACHE_SECONDS", 10**10),
            patch.object(
                type(self.env["res.users.apikeys"]), "_check_credentials", autospec=True, side_effect=checks
            ) as check,
        ):
            for _ in range(3):
                self.authenticate(self.key)
            self.assertEqual(check.call_count, 1)
            for _ in range(2):
                self.assertDenied("wrong")
            self.assertEqual(check.call_count, 3, "a wrong key is never remembered")
            self.source.with_user(self.admin).action_revoke_keys()
            self.assertDenied(self.key)
            self.assertEqual(check.call_count, 4)

    def test_verified_again_after_a_while(self):
        """A key that expires, or is removed past Odoo, is not believed for long."""
        self.authenticate(self.key)
        self.expire_keys()
        later = usage_source.time.time() + usage_source.KEY_CACHE_SECONDS
        with patch.object(usage_source.time, "time", return_value=later):
            self.assertDenied(self.key)

    def test_only_for_approved_sources(self):
        draft = self.env["usage.source"].with_user(self.admin).create({"name": "New", "code": "new"})
        self.source.with_user(self.admin).action_suspend()
        for source in (draft, self.source.with_user(self.admin)):
            with self.assertRaisesRegex(UserError, "not approved"):
                source._generate_key()

    def test_only_by_administrators(self):
        for person in (self.viewer, self.operator, self.source.user_id):
            source = self.source.with_user(person).sudo()
            for method in ("_generate_key", "action_generate_key", "action_revoke_keys"):
                with self.assertRaisesRegex(UserError, "Administrator"):
                    getattr(source, method)()
        self.assertEqual(self.source.key_count, 1)

    def test_dialog(self):
        action = self.source.with_user(self.admin).action_generate_key()
        wizard = self.env[action["res_model"]].with_user(self.admin).with_context(**action["context"])
        shown = wizard.create({"name": "Second", "days": 30}).action_generate()
        self.assertEqual(self.authenticate(shown["context"]["default_key"]).source_id, self.source.id)
        form = self.env[shown["res_model"]].with_user(self.admin).with_context(**shown["context"]).new({})
        self.assertEqual(form.key, shown["context"]["default_key"], "it is shown in the dialog that follows")

    def test_dialog_stores_no_key(self):
        self.env.cr.execute(
            "SELECT 1 FROM information_schema.columns WHERE table_name='usage_key_wizard' AND column_name='key'"
        )
        self.assertFalse(self.env.cr.fetchall())

    def test_dialog_bounds_the_days(self):
        wizards = self.env["usage.key.wizard"].with_user(self.admin)
        for days in (0, -1, 3651, 10**6):
            with self.assertRaises(ValidationError):
                wizards.create({"source_id": self.source.id, "days": days}).action_generate()
        for days in (1, 3650):
            self.assertTrue(wizards.create({"source_id": self.source.id, "days": days}).action_generate())


@tagged("post_install", "-at_install")
class TestFigures(UsageCommon):
    """What the form of a source tells."""

    def test_counts(self):
        self.assertEqual((self.source.account_count, self.source.unmapped_count), (1, 0))
        self.assertEqual((self.source.open_exception_count, self.source.last_received), (0, False))
        self.ingest([self.event("a", subject="new"), self.event("b", tokens="x")])
        self.assertEqual((self.source.account_count, self.source.unmapped_count), (2, 1))
        self.assertEqual(self.source.open_exception_count, 2)
        self.assertLess(abs(self.source.last_received - fields.Datetime.now()), timedelta(minutes=1))

    def test_counts_of_each(self):
        other = self._source("other-cloud")
        self.ingest([self.event("a", subject="new")], source=other)
        both = self.source | other
        self.assertEqual(both.mapped("account_count"), [1, 1])
        self.assertEqual(both.mapped("unmapped_count"), [0, 1])

    def test_buttons(self):
        other = self._source("other-cloud")
        for source in (self.source, other):
            self.ingest([self.event("a", subject=f"new {source.code}")], source=source)
        for method, model in (
            ("action_view_accounts", "usage.account"),
            ("action_view_exceptions", "usage.exception"),
            ("action_view_batches", "usage.batch"),
        ):
            action = getattr(self.source.with_user(self.viewer), method)()
            self.assertEqual(action["res_model"], model)
            records = self.env[model].search(action["domain"])
            self.assertEqual(records.source_id, self.source)


@tagged("post_install", "-at_install")
class TestEnvironments(UsageCommon):
    """Production, staging and development are strictly apart."""

    def test_usage_of_a_test_system_never_becomes_production(self):
        staging = self._source("staging", environment="staging")
        self.ingest([self.event("a")], source=staging)
        for person in (self.admin, self.second_admin):
            with self.assertRaisesRegex(UserError, "create a source for production"):
                staging.with_user(person).environment = "production"
        with self.assertRaises(UserError):
            staging.sudo().write({"environment": "production"})
        self.assertEqual((staging.environment, staging.state), ("staging", "approved"))

    def test_a_source_without_usage_may_become_production(self):
        staging = self._source("staging", environment="staging")
        self.ingest([], source=staging)
        self.ingest([self.event("x", time="never")], source=staging)
        staging.with_user(self.admin).environment = "production"
        self.assertEqual(staging.state, "draft")

    def test_accounts_say_which_environment_they_are_of(self):
        staging = self._source("staging", environment="staging")
        self.ingest([self.event("a", subject="acme")], source=staging)
        account = self.env["usage.account"].search([("source_id", "=", staging.id)])
        self.assertEqual(account.environment, "staging")
        with self.assertRaises(UserError):
            account.source_id = self.source
