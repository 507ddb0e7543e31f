from datetime import date, datetime

from odoo.tests import tagged

from .common import MARCH, UsageBillingCommon, rpc


@tagged("post_install", "-at_install")
class TestContractConflict(UsageBillingCommon):
    """Usage that no contract covers, that two claim, or of an archived customer: told, held, settled by itself."""

    def conflicts(self, state="open"):
        domain = [("reason", "=", "contract_conflict"), ("state", "=", state), ("account_id", "=", self.account.id)]
        return self.env["usage.exception"].search(domain)

    def check(self):
        self.env["usage.subscription"]._cron_check_contracts()

    def test_usage_in_the_contract_is_none(self):
        self.use(1)
        self.check()
        self.assertFalse(self.conflicts())

    def test_usage_before_and_after_the_contract(self):
        self.subscription.date_end = "2025-03-15"
        for at in (datetime(2024, 12, 31, 23), datetime(2025, 3, 16)):
            self.use(1, at)
            self.check()
        conflict = self.conflicts()
        self.assertEqual((conflict.category, conflict.occurrence_count), ("business", 1))
        self.assertRegex(conflict.message, "Tokens was used outside of the contract of Acme")
        self.subscription.write({"date_start": "2024-12-01", "date_end": False})
        self.check()
        self.assertEqual((conflict.state, conflict.resolution), ("resolved", "The contract covers the usage"))

    def test_how_many_events_are_held(self):
        """Two before the contract, one after it, three in it; the list shows the three that are held."""
        self.subscription.date_end = "2025-03-15"
        for at in (datetime(2024, 12, 1), datetime(2024, 12, 31, 23, 59), datetime(2025, 3, 16)):
            self.use(1, at)
        for day in (1, 2, 3):
            self.use(1, datetime(2025, 2, day))
        self.check()
        conflict = self.conflicts()
        self.assertEqual(conflict.held_event_count, 3)
        held = self.env["usage.event"].search(conflict.action_view_events()["domain"])
        self.assertEqual(sorted(held.mapped("time"))[::2], [datetime(2024, 12, 1), datetime(2025, 3, 16)])
        self.assertEqual(len(held), 3)
        self.subscription.write({"date_start": "2024-12-01", "date_end": False})
        conflict.invalidate_recordset()
        self.assertEqual(conflict.held_event_count, 0)

    def test_parts_of_an_hour(self):
        """In Kathmandu the contract begins at 18:15 UTC: of two events in that hour one is before it."""
        self.subscription.tz = "Asia/Kathmandu"
        self.use(1, datetime(2024, 12, 31, 18, 14, 59))
        self.use(1, datetime(2024, 12, 31, 18, 15))
        self.check()
        conflict = self.conflicts()
        self.assertEqual(conflict.held_event_count, 1)
        self.assertIn("first at 2024-12-31 18:14:59 UTC", conflict.message)
        self.subscription.date_start = "2024-12-31"
        self.check()
        self.assertFalse(self.conflicts())

    def test_usage_in_a_pause(self):
        self.use(1, datetime(2025, 3, 10, 5))
        pause = self.subscription._amend("pause", date(2025, 3, 10), until=date(2025, 3, 12))
        self.assertEqual(len(self.conflicts()), 1)
        self.assertFalse(self.rated().charge_ids.filtered("quantity"))
        pause.action_undo()
        self.assertFalse(self.conflicts())
        self.assertEqual(self.rated().charge_ids.quantity, 1)

    def test_a_meter_without_a_contract_is_no_conflict(self):
        self._meter("calls")
        self.use(1)
        self.check()
        self.assertFalse(self.conflicts())

    def test_ignored_stays_ignored(self):
        self.use(1, datetime(2024, 12, 1))
        self.check()
        self.conflicts().action_ignore()
        self.check()
        self.assertFalse(self.conflicts())

    def test_an_account_left_out(self):
        other = self._account("acme-eu", self.customer)
        self.subscription.account_filter_ids = other
        self.use(1)
        rpc(self.subscription.with_user(self.preparer), "action_check_contracts")
        self.assertEqual(self.conflicts().account_id, self.account)

    def test_claimed_twice(self):
        """Two customers become one company: their contracts claim the same accounts."""
        partner, _account, other = self._customer("Twin")
        self.use(1)
        partner.write({"is_company": False, "parent_id": self.customer.id})
        self.assertEqual(other.commercial_partner_id, self.customer)
        self.check()
        self.assertRegex(self.conflicts().message, "claimed by several subscriptions")
        statement = self.statement()
        statement.with_user(self.preparer).action_rate()
        self.assertEqual(statement.state, "blocked")
        self.assertRegex(statement.blocked_reason, f"billed by {other.name}, too")
        other.account_filter_ids = _account
        self.subscription.account_filter_ids = self.account
        self.check()
        self.assertFalse(self.conflicts())
        self.assertEqual(self.rated().charge_ids.quantity, 1)

    def test_an_archived_customer(self):
        self.use(1)
        self.customer.active = False
        self.check()
        self.assertRegex(self.conflicts().message, "is archived")
        statement = self.statement(MARCH)
        statement.with_user(self.preparer).action_rate()
        self.assertRegex(statement.blocked_reason, "archived: restore")
        self.customer.active = True
        self.check()
        self.assertFalse(self.conflicts())
        self.assertEqual(self.rated().charge_ids.quantity, 1)
