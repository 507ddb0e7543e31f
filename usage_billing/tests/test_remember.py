from datetime import datetime

from odoo.tests import tagged

from ..remember import remembering
from .common import UsageBillingCommon


@tagged("post_install", "-at_install")
class TestRemember(UsageBillingCommon):
    """What a run works out once, and what it leaves aside."""

    def test_answers_are_those_of_the_run(self):
        price = self.price
        before = price._validity()
        with remembering(self.env):
            self.assertIs(price._validity(), price._validity())
        self.assertIsNot(price._validity(), before)
        self.assertEqual(price._validity(), before)

    def test_forgotten_after_an_error(self):
        with self.assertRaises(ValueError), remembering(self.env):
            self.price._validity()
            raise ValueError
        self.assertIsNot(self.price._validity(), self.price._validity())

    def test_records_in_memory_are_not_remembered(self):
        draft = self.price.new({})
        with remembering(self.env):
            self.assertIsNot(draft._validity(), draft._validity())

    def test_answers_are_of_who_asks(self):
        """Records in them have the user, the rights and the context of the caller."""
        price = self.price.with_user(self.preparer)
        with remembering(self.env):
            self.price.sudo().with_context(lang="en_US")._validity()
            for each in (price, price.sudo(), price.with_context(lang="en_US")):
                self.assertEqual({version.env for version, _start, _end in each._validity()}, {each.env})
                self.assertIs(each._validity(), each._validity())

    def test_one_run_inside_another(self):
        with remembering(self.env):
            outer = self.price._validity()
            with remembering(self.env):
                self.assertIsNot(self.price._validity(), outer)
            self.assertIs(self.price._validity(), outer)
        self.assertIsNot(self.price._validity(), self.price._validity())

    def test_a_definition_is_each_ones_own(self):
        with remembering(self.env):
            self.price._definition("UTC")["credit_quantity"] = "1"
            self.assertNotIn("credit_quantity", self.price._definition("UTC"))

    def test_statements_are_made_quietly(self):
        statement = self.subscription._prepare_statements(datetime(2025, 4, 1))[-1]
        self.assertFalse(statement.message_ids)
        self.assertFalse(statement.message_follower_ids)
