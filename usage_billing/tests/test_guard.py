from odoo.exceptions import AccessError
from odoo.tests import tagged

from odoo.addons.usage_connector_base.guard import CONTEXT_KEY, is_unlocked, unlocked

from .common import UsageBillingCommon


@tagged("post_install", "-at_install")
class TestGuard(UsageBillingCommon):
    def test_opens_by_identity_alone(self):
        statement = self.statement()
        self.assertFalse(is_unlocked(statement.env))
        for value in (True, object(), "x"):
            self.assertFalse(is_unlocked(statement.with_context(**{CONTEXT_KEY: value}).env))
        self.assertTrue(is_unlocked(unlocked(statement).env))

    def test_guards_the_named_fields_alone(self):
        statement = self.statement()
        with self.assertRaisesRegex(AccessError, "buttons of its screen"):
            statement.state = "posted"
        statement.message_subscribe(self.customer.ids)
        self.assertIn(self.customer, statement.message_partner_ids)

    def test_new_statements_do_not_carry_the_key(self):
        self.assertFalse(is_unlocked(self.statement().env))
        self.assertFalse(is_unlocked(self.subscription._prepare_statements(self.hour).env))

    def test_rights_still_count_when_open(self):
        with self.assertRaises(AccessError):
            unlocked(self.statement().with_user(self.viewer)).write({"state": "posted"})
