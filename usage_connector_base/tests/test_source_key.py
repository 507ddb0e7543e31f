from datetime import timedelta

from odoo import fields
from odoo.exceptions import AccessDenied, AccessError, UserError, ValidationError
from odoo.tests import tagged
from odoo.tools import SQL

from odoo.addons.usage_connector_base.models.usage_source_key import ACTIVITY

from .common import UsageCommon, UsageHttpCommon

TEXTS = "text', 'character varying', 'jsonb', 'json"


class KeyCommon(UsageCommon):
    def setUp(self):
        super().setUp()
        self.as_admin = self.source.with_user(self.admin)

    def works(self, key):
        try:
            return bool(self.env["usage.source"]._authenticate(key))
        except AccessDenied:
            return False

    def soon(self, moment, **delta):
        """Whether a moment is so far from now."""
        return abs(moment - fields.Datetime.now() - timedelta(**delta)) < timedelta(minutes=1)


@tagged("post_install", "-at_install")
class TestListOfKeys(KeyCommon):
    """What can be known of a key: all but the key."""

    def test_what_is_told(self):
        self.as_admin._generate_key("nightly", days=30)
        [key] = self.source.key_ids
        self.assertEqual((key.name, key.state, key.create_uid, key.last_used), ("nightly", "valid", self.admin, False))
        self.assertTrue(self.soon(key.expires, days=30))
        self.assertEqual(key.company_id, self.company)

    def test_stays_when_odoo_forgets_the_key(self):
        """Odoo deletes expired keys; with which one a request was sent is known for ever."""
        self.as_admin._generate_key("old")
        self.expire_keys()
        self.env["res.users.apikeys"]._gc_user_apikeys()
        self.assertEqual(self.source.key_ids.mapped("name"), ["old"])

    def test_revoked_one_of_two(self):
        first, second = self.as_admin._generate_key("first"), self.as_admin._generate_key("second")
        self.source.key_ids.filtered(lambda key: key.name == "first").with_user(self.second_admin).action_revoke()
        self.assertEqual([self.works(first), self.works(second)], [False, True])
        revoked = self.source.key_ids.filtered(lambda key: key.state == "revoked")
        self.assertEqual((revoked.name, revoked.revoked_by_id), ("first", self.second_admin))
        self.assertTrue(self.soon(revoked.revoked_date))
        with self.assertRaisesRegex(UserError, "Only valid"):
            revoked.with_user(self.admin).action_revoke()

    def test_revoked_all(self):
        self.as_admin._generate_key("first")
        self.as_admin.action_revoke_keys()
        self.assertEqual(self.source.key_ids.mapped("state"), ["revoked"])

    def test_removed_by_the_user_administration(self):
        self.as_admin._generate_key("first")
        self.source._keys()._remove()
        self.assertEqual(self.source.key_ids.state, "revoked")

    def test_revoked_by_administrators_alone(self):
        self.as_admin._generate_key("first")
        for person in (self.viewer, self.operator, self.source.user_id):
            with self.assertRaises(UserError):
                self.source.key_ids.with_user(person).sudo().action_revoke()
        self.assertEqual(self.source.key_ids.state, "valid")

    def test_is_never_written(self):
        self.as_admin._generate_key("first")
        keys = self.source.key_ids.sudo()
        with self.assertRaises(AccessError):
            keys.write({"expires": fields.Datetime.now() + timedelta(days=9999)})
        with self.assertRaises(AccessError):
            keys.unlink()
        with self.assertRaises(AccessError):
            keys.create({"name": "x", "source_id": self.source.id})

    def test_states_are_searched(self):
        for name, days in (("valid", 9), ("expired", 9), ("revoked", 9)):
            self.as_admin._generate_key(name, days=days)
        by_name = {key.name: key for key in self.source.key_ids}
        by_name["revoked"].with_user(self.admin).action_revoke()
        self.env.cr.execute(
            SQL("UPDATE usage_source_key SET expires = '2020-01-01' WHERE id = %s", by_name["expired"].id)
        )
        self.env.invalidate_all()
        for state, key in by_name.items():
            self.assertEqual(key.state, state)
            found = self.env["usage.source.key"].search([("state", "=", state), ("source_id", "=", self.source.id)])
            self.assertEqual(found, key)

    def test_no_one_reads_a_key(self):
        """After it was shown it stands nowhere in the database, nor its hash in any record that people read."""
        shown = self.as_admin.action_generate_key()
        wizard = self.env["usage.key.wizard"].with_user(self.admin).with_context(**shown["context"])
        key = wizard.create({"name": "Shown once"}).action_generate()["context"]["default_key"]
        self.assertTrue(self.works(key))
        self.env.flush_all()
        self.env.cr.execute(
            f"SELECT table_name, column_name FROM information_schema.columns JOIN pg_class ON relname = table_name "
            f"WHERE table_schema = 'public' AND relkind = 'r' AND data_type IN ('{TEXTS}') "
            "AND (table_name LIKE 'usage%' OR table_name LIKE 'mail%' OR table_name LIKE 'res_users%' "
            "OR table_name IN ('ir_logging', 'ir_config_parameter'))"
        )
        for table, column in self.env.cr.fetchall():
            query = SQL(
                "SELECT 1 FROM %s WHERE %s::text LIKE %s LIMIT 1",
                SQL.identifier(table),
                SQL.identifier(column),
                f"%{key}%",
            )
            self.assertFalse(self.env.execute_query(query), f"{table}.{column}")
        self.env.cr.execute("SELECT key FROM res_users_apikeys WHERE user_id = %s", [self.source.user_id.id])
        hashes = {row[0] for row in self.env.cr.fetchall()}
        for person in (self.viewer, self.admin, self.env.ref("base.user_admin")):
            read = str(self.source.key_ids.with_user(person).read())
            self.assertFalse([text for text in (key, *hashes) if text in read])


@tagged("post_install", "-at_install")
class TestRotation(KeyCommon):
    """Another key without a gap, in one step."""

    def rotate(self, days=365, overlap_days=7):
        action = self.as_admin.action_rotate_key()
        wizard = self.env[action["res_model"]].with_user(self.admin).with_context(**action["context"])
        shown = wizard.create({"name": "New", "days": days, "overlap_days": overlap_days}).action_generate()
        return shown["context"]["default_key"]

    def test_both_work_for_a_week(self):
        old = self.as_admin._generate_key("old")
        new = self.rotate()
        self.assertEqual([self.works(old), self.works(new)], [True, True])
        by_name = {key.name: key for key in self.source.key_ids}
        self.assertTrue(self.soon(by_name["old"].expires, days=7))
        self.assertTrue(self.soon(by_name["New"].expires, days=365))
        self.assertEqual(by_name["old"].replaced_by_id, by_name["New"])
        self.assertFalse(by_name["New"].replaced_by_id)
        self.env.cr.execute("SELECT expiration_date FROM res_users_apikeys WHERE id = %s", [by_name["old"].apikey_id])
        self.assertEqual(self.env.cr.fetchone()[0], by_name["old"].expires, "Odoo's own record decides")

    def test_never_longer_than_it_was(self):
        self.as_admin._generate_key("old", days=2)
        self.rotate()
        old = self.source.key_ids.filtered(lambda key: key.name == "old")
        self.assertTrue(self.soon(old.expires, days=2))

    def test_at_once(self):
        old = self.as_admin._generate_key("old")
        self.assertTrue(self.works(old))
        new = self.rotate(overlap_days=0)
        self.assertEqual([self.works(old), self.works(new)], [False, True])

    def test_bounds(self):
        self.as_admin._generate_key("old")
        for days, overlap in ((365, -1), (5, 5), (5, 6)):
            with self.assertRaises(ValidationError):
                self.rotate(days, overlap)

    def test_by_administrators_alone(self):
        for person in (self.viewer, self.operator):
            with self.assertRaises(UserError):
                self.source.with_user(person).sudo().action_rotate_key()


@tagged("post_install", "-at_install")
class TestWarning(KeyCommon):
    """The responsible of a source is told before its last key expires."""

    def warnings(self):
        self.env["usage.source"]._cron_watch()
        return self.source.activity_search([ACTIVITY])

    def test_of_the_last_key(self):
        self.as_admin._generate_key(days=10)
        warning = self.warnings()
        self.assertEqual(warning.user_id, self.source.owner_id)
        self.assertEqual(warning.date_deadline, self.source.key_ids.expires.date())
        self.assertEqual(self.warnings(), warning, "told once")

    def test_not_while_another_is_valid_for_longer(self):
        self.as_admin._generate_key(days=3)
        self.as_admin._generate_key(days=100)
        self.assertFalse(self.warnings())

    def test_not_of_sources_that_may_not_send(self):
        self.as_admin._generate_key(days=3)
        self.as_admin.action_suspend()
        self.assertFalse(self.warnings())

    def test_ends_with_a_new_key(self):
        self.as_admin._generate_key(days=3)
        self.assertTrue(self.warnings())
        self.as_admin._rotate_key("new", 365, 1)
        self.assertFalse(self.warnings())

    def test_setting(self):
        self.as_admin._generate_key(days=20)
        self.assertFalse(self.warnings())
        self.env["ir.config_parameter"].set_param("usage.key_warning_days", 30)
        self.assertTrue(self.warnings())


@tagged("post_install", "-at_install")
class TestUse(UsageHttpCommon):
    """Each request says with which key, and from where, it was sent."""

    def test_request_knows_its_key(self):
        other = self.source.with_user(self.admin)._generate_key("other")
        self.post([self.event("a")], key=other)
        batch = self.last_batch()
        self.assertEqual((batch.key_id.name, batch.remote_addr), ("other", "127.0.0.1"))
        self.assertTrue(batch.key_id.last_used)
        self.post([self.event("b")])
        self.assertNotEqual(self.last_batch().key_id, batch.key_id)

    def test_refused_requests_too(self):
        self.post(b"no json")
        self.assertEqual(self.last_batch().key_id, self.source.key_ids)

    def test_unused(self):
        self.assertFalse(self.source.key_ids.last_used)

    def test_quiet_refusals_settle_themselves(self):
        self.source.write({"rate_limit": 1, "rate_unit": "minute", "rate_burst": 1})
        self.post([self.event("a")])
        self.post([self.event("b")])
        found = self.exceptions(reason="rate_limited")
        self.env["usage.source"]._cron_watch()
        self.assertEqual(found.state, "open")
        self.env.cr.execute("UPDATE usage_exception SET last_seen = last_seen - interval '2 hours'")
        self.env.invalidate_all()
        self.env["usage.source"]._cron_watch()
        self.assertEqual(found.state, "resolved")
