from datetime import timedelta

from odoo.tests import tagged

from .common import MARCH, UsageInvoicingCommon


@tagged("post_install", "-at_install")
class TestCorrectedUsage(UsageInvoicingCommon):
    """Statements follow corrections until they are submitted; after that the difference shows."""

    def setUp(self):
        super().setUp()
        self.use(8)
        self.use(3)
        self.first, self.second = f"use-{self._events - 1}", f"use-{self._events}"

    def correct_both(self):
        """11 become 9: the first event counts 9 instead of 8, and the second is void."""
        self.correct(self.amend("m-1", self.first, data={"tokens": 9}), self.void("v-1", self.second))
        self.fold()

    def test_a_rated_statement_follows(self):
        statement = self.rated()
        self.assertEqual(statement.amount_untaxed, 5.5)
        self.correct_both()
        statement.with_user(self.preparer).action_rate()
        self.assertEqual((statement.charge_ids.quantity, statement.amount_untaxed), (9, 4.5))
        self.assertFalse(statement.is_different)

    def test_a_billed_statement_stays_and_shows_the_difference(self):
        statement = self.posted()
        self.correct_both()
        self.assertEqual(
            (statement.state, statement.charge_ids.quantity, statement.amount_untaxed), ("posted", 11, 5.5)
        )
        statement._reconcile()
        row = statement.reconciliation_ids
        self.assertEqual((row.quantity_events, row.quantity_aggregates, row.quantity_charged), (9, 9, 11))
        self.assertEqual((row.difference_quantity, row.difference_amount, row.state), (-2, 0, "different"))
        self.assertTrue(statement.is_different)

    def test_moved_to_another_period(self):
        statement = self.posted()
        at = f"{(MARCH + timedelta(days=31)).isoformat()}Z"
        self.correct(self.amend("m-1", self.first, time=at))
        self.fold()
        statement._reconcile()
        self.assertEqual(statement.reconciliation_ids.difference_quantity, -8)
        april = self.statement(MARCH + timedelta(days=31))
        april.with_user(self.preparer).action_rate()
        self.assertEqual(april.charge_ids.quantity, 8)

    def test_summaries_are_billed_like_events(self):
        start = MARCH + timedelta(hours=1)
        moments = {"start": f"{start.isoformat()}Z", "end": f"{(start + timedelta(hours=1)).isoformat()}Z"}
        self.summarize({**self.summary(7, dimensions={}), **moments})
        self.fold()
        statement = self.rated()
        self.assertEqual(statement.charge_ids.quantity, 18)
        self.summarize({**self.summary(10, dimensions={}, sequence=2), **moments})
        self.fold()
        statement.with_user(self.preparer).action_rate()
        self.assertEqual(statement.charge_ids.quantity, 21)
        statement._reconcile()
        self.assertFalse(statement.is_different)
