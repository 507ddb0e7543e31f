from datetime import datetime

from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import SQL

from .common import MARCH, UsageInvoicingCommon

MONTH = datetime(2025, 3, 1)


@tagged("post_install", "-at_install")
class TestRetention(UsageInvoicingCommon):
    """Usage in production goes when it is billed, posted and reconciled, and not before."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.retention = cls.env["usage.retention"]

    def use_in_march(self, tokens=10, **values):
        self.use(tokens, **values)
        self.receive()

    def receive(self):
        """Let all usage have been received in March 2025, and be old enough to go."""
        self.env["usage.event"]._ensure_partitions(MONTH)
        self.env.flush_all()
        self.env.cr.execute(SQL("UPDATE usage_event SET received_at = %s", MARCH))
        self.env.cr.execute(SQL("UPDATE usage_batch SET received_at = %s", MARCH))
        self.env.invalidate_all()

    def month(self):
        return next(month for month in self.retention._months() if month.start == MONTH)

    def blockers(self):
        self.env.flush_all()
        return "\n".join(self.retention._retention_blockers(self.month()))

    def test_posted_and_reconciled(self):
        self.use_in_march()
        statement = self.statement()
        self.assertIn(statement.name, self.blockers())
        for state in ("rated", "to_approve", "approved", "invoiced"):
            with self.subTest(state), self.env.cr.savepoint() as savepoint:
                self.advance(statement, state)
                self.assertIn(statement.name, self.blockers())
                savepoint.rollback()
                self.env.invalidate_all()
        self.advance(statement, "posted")
        statement._reconcile_later()
        self.assertIn(statement.name, self.blockers(), "posted, but to be compared again")
        statement._reconcile()
        self.assertEqual(self.blockers(), "")

    def test_late_usage(self):
        """What came after billing is a difference, which somebody has to settle first."""
        self.use_in_march()
        statement = self.posted()
        self.use_in_march(5)
        statement._reconcile()
        self.assertTrue(statement.is_different)
        self.assertIn(statement.name, self.blockers())

    def test_a_part_of_a_period_that_is_billed(self):
        """Events of an interim statement are needed until the whole period is settled."""
        self.plan.threshold_ids = [Command.create({"amount": 1})]
        self.use_in_march()
        self.use_in_march(5, at=datetime(2025, 3, 25))
        self.subscription._prepare_statements(datetime(2025, 3, 20))
        march = self.statement()
        for method, person in (
            ("action_submit", self.preparer),
            ("action_approve", self.approver),
            ("action_invoice", self.approver),
            ("action_post", self.approver),
        ):
            getattr(march.interim_ids.with_user(person), method)()
        self.assertIn(march.name, self.blockers())
        self.advance(march, "posted")
        (march | march.interim_ids)._reconcile()
        self.assertEqual(self.blockers(), "")

    def test_period_without_a_statement(self):
        self.use_in_march()
        self.assertIn("1 events are billed by no subscription: of Acme Ltd", self.blockers())

    def test_usage_that_nobody_bills(self):
        partner = self.env["res.partner"].create({"name": "Free Rider"})
        self._account("free", partner)
        self.use_in_march(subject="free")
        self.assertIn("Free Rider", self.blockers())
        self.env["res.config.settings"].create({"usage_retention_unbilled": True}).execute()
        self.assertEqual(self.blockers(), "")

    def test_test_systems(self):
        staging = self._source("staging", environment="staging")
        self._account("acme", self.customer, source=staging)
        self.ingest([self.event("s", time=f"{MARCH.isoformat()}Z")], source=staging)
        self.fold()
        self.receive()
        self.assertEqual(self.blockers(), "", "their usage is billed to nobody")

    def test_after_the_end(self):
        """Statement, charge and reconciliation stay as they were, and the quantity stays explained by hours."""
        self.use_in_march()
        statement = self.posted()
        statement._reconcile()
        rows = statement.reconciliation_ids
        before = [(row.quantity_events, row.quantity_aggregates, row.state) for row in rows]
        self.assertTrue(self.retention._end_month(self.month()))
        self.assertFalse(self.env["usage.event"].search([("account_id", "=", self.account.id)]))
        statement._reconcile()
        rows = statement.reconciliation_ids
        self.assertEqual([(row.quantity_events, row.quantity_aggregates, row.state) for row in rows], before)
        self.assertFalse(statement.is_different)


@tagged("post_install", "-at_install")
class TestWalk(UsageInvoicingCommon):
    """From an event to the money, in the UI."""

    def test_from_event_to_invoice(self):
        self.use(10)
        statement = self.posted()
        event = self.env["usage.event"].search([("account_id", "=", self.account.id)]).with_user(self.viewer)
        self.assertEqual(event.charge_count, 1)
        charge = self.env["usage.charge"].with_user(self.viewer).search(event.action_view_charges()["domain"])
        self.assertEqual(charge, statement.charge_ids)
        self.assertTrue(charge.sudo().move_line_id.move_id)

    def test_not_of_other_times_accounts_and_meters(self):
        self.use(10)
        self.posted()
        self._account("other", self.env["res.partner"].create({"name": "Other"}))
        self.use(10, subject="other")
        self.use(10, at=datetime(2025, 4, 2))
        self.use(10, event_type="free")
        events = self.env["usage.event"].search([("source_id", "=", self.source.id)])
        self.assertEqual(sorted(events.mapped("charge_count")), [0, 0, 0, 1])


@tagged("post_install", "-at_install")
class TestEnvironments(UsageInvoicingCommon):
    """Usage of staging and development is never billed."""

    def test_never_on_a_statement(self):
        for environment in ("staging", "development"):
            source = self._source(environment, environment=environment)
            self._account(f"acme-{environment}", self.customer, source=source)
            event = self.event(environment, tokens=1000, subject=f"acme-{environment}", time=f"{MARCH.isoformat()}Z")
            self.ingest([event], source=source)
        self.use(3)
        statement = self.posted()
        self.assertEqual(statement.charge_ids.quantity, 3)
        self.assertEqual(statement.amount_untaxed, 1.5)
        self.assertNotIn("staging", self.subscription.account_ids.mapped("environment"))
        statement._reconcile()
        self.assertFalse(statement.is_different)
