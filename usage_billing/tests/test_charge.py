from decimal import Decimal

from odoo.exceptions import AccessError
from odoo.tests import tagged

from .common import UsageBillingCommon, rpc


@tagged("post_install", "-at_install")
class TestCharge(UsageBillingCommon):
    """A charge is a fact: nobody creates, changes or deletes one past the statement."""

    def setUp(self):
        super().setUp()
        self.use(11)
        self.charge = self.rated().charge_ids

    def everyone(self):
        """The charge in the hands of every group, and of code that lends itself all rights."""
        people = (self.viewer, self.operator, self.preparer, self.approver, self.both, self.admin)
        return [*(self.charge.with_user(person) for person in people), self.charge.sudo()]

    def test_not_changed(self):
        for charge in self.everyone():
            for vals in ({"amount": 1}, {"quantity": 1}, {"move_line_id": False}, {"result": {}}, {"definition": {}}):
                with self.subTest(user=charge.env.user.login, vals=vals), self.assertRaises(AccessError):
                    rpc(charge, "write", vals)
                with self.assertRaises(AccessError):
                    charge.write(vals)

    def test_not_deleted(self):
        for charge in self.everyone():
            with self.subTest(user=charge.env.user.login), self.assertRaises(AccessError):
                charge.unlink()

    def test_not_created(self):
        vals = self.charge.copy_data()[0]
        for charge in self.everyone():
            with self.subTest(user=charge.env.user.login), self.assertRaises(AccessError):
                rpc(charge, "create", [vals])
            with self.assertRaises(AccessError):
                charge.create(vals)
            with self.assertRaises(AccessError):
                charge.copy()

    def test_not_through_the_statement(self):
        for command in ((1, self.charge.id, {"amount": 1}), (2, self.charge.id, 0), (0, 0, {})):
            with self.assertRaises(AccessError):
                self.charge.statement_id.sudo().write({"charge_ids": [command]})

    def test_damage_is_noticed(self):
        self.assertTrue(self.charge._is_intact())
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE usage_charge SET result = jsonb_set(result, '{amount}', '\"0.01\"') WHERE id = %s", [self.charge.id]
        )
        self.charge.invalidate_recordset()
        self.assertFalse(self.charge._is_intact())

    def test_explains_itself(self):
        steps = [(step["step"], step["amount"]) for step in self.charge.explanation]
        self.assertEqual(steps, [("unit", "5.5"), ("round", "5.50")])
        self.assertEqual(self.charge.explanation, self.charge.result["explanation"])
        self.assertIn("11 unit × 0.50 USD", self.charge.explanation_html)

    def test_shows_every_digit(self):
        self.assertEqual((self.charge.exact_quantity, self.charge.exact_amount), ("11 unit", "5.50 USD"))
        statement = self.charge.statement_id
        self.use(Decimal("0.0000001"))
        statement.with_user(self.preparer).action_rate()
        charge = statement.charge_ids
        self.assertEqual((charge.exact_quantity, charge.exact_amount), ("11.0000001 unit", "5.50000005 USD"))

    def test_one_click_to_its_hours_a_second_to_its_events(self):
        action = self.charge.with_user(self.viewer).action_view_usage()
        hours = self.env[action["res_model"]].with_user(self.viewer).search(action["domain"])
        self.assertEqual(hours.mapped("quantity"), [11])
        action = hours.action_view_events()
        events = self.env[action["res_model"]].with_user(self.viewer).search(action["domain"])
        self.assertEqual(events.mapped("data"), [{"tokens": 11}])

    def test_the_hours_are_those_that_were_charged(self):
        """Not those of accounts that became the customer's later."""
        self.use(3, subject="later")
        self.env["usage.account"].search([("external_id", "=", "later")]).partner_id = self.customer
        action = self.charge.action_view_usage()
        self.assertEqual(self.env[action["res_model"]].search(action["domain"]).account_id, self.account)

    def test_name(self):
        self.assertEqual(self.charge.display_name, f"{self.charge.statement_id.name} · Tokens")

    def test_status_follows_the_statement(self):
        self.assertEqual(self.charge.statement_state, "rated")
        self.charge.statement_id.with_user(self.preparer).action_submit()
        self.assertEqual(self.env["usage.charge"].search([("statement_state", "=", "to_approve")]), self.charge)
