from datetime import datetime, timedelta
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from odoo.addons.usage_billing.models import usage_subscription
from odoo.addons.usage_connector_base.guard import unlocked

from .common import MARCH, UsageInvoicingCommon


class JobsCommon(UsageInvoicingCommon):
    def run_job(self, xmlid):
        """Run a scheduled job as the scheduler does, and return how often it committed progress."""
        self.env.flush_all()
        with self.enter_registry_test_mode():
            self.env.ref(xmlid).method_direct_trigger()
        self.env.invalidate_all()


@tagged("post_install", "-at_install")
class TestPrepareJob(JobsCommon):
    def prepare(self):
        self.env["usage.subscription"].search([]).prepared_at = False  # as if an hour had passed
        self.run_job("usage_billing.cron_prepare_statements")

    def test_rates_what_is_over_and_refreshes_what_runs(self):
        self.use(11)
        now = fields.Datetime.now()
        self.use(3, now.replace(day=1, hour=0, minute=0, second=0))
        self.prepare()
        statements = self.subscription.statement_ids.sorted("period_start")
        self.assertEqual(statements[0].period_start, datetime(2025, 1, 1))
        self.assertEqual(set(statements[:-1].mapped("state")), {"rated"})
        self.assertEqual((statements[-1].state, statements[-1].charge_ids.quantity), ("open", 3))
        march = self.statement()
        self.assertEqual((march.amount_untaxed, march.prepared_by_id), (5.5, self.env.ref("base.user_root")))

    def test_waits_for_late_usage(self):
        now = fields.Datetime.now()
        last_month = now.replace(day=1, hour=0, minute=0, second=0) - timedelta(days=1)
        hours = int((now - now.replace(day=1, hour=0, minute=0, second=0)).total_seconds() // 3600)
        self.company.usage_rating_delay = hours + 2
        self.prepare()
        self.assertEqual(self.statement(last_month).state, "open")
        self.company.usage_rating_delay = hours
        self.prepare()
        self.assertEqual(self.statement(last_month).state, "rated")

    def test_leaves_rating_to_people_where_the_company_says_so(self):
        self.company.usage_auto_rate = False
        self.use(11)
        self.prepare()
        march = self.statement()
        self.assertEqual((march.state, march.amount_untaxed), ("open", 5.5))
        march.with_user(self.preparer).action_rate()
        self.prepare()
        self.assertEqual(march.state, "rated")

    def test_keeps_rated_statements_up_to_date_until_submitted(self):
        self.use(11)
        self.prepare()
        self.use(1)
        self.prepare()
        self.assertEqual(self.statement().amount_untaxed, 6)
        self.statement().with_user(self.preparer).action_submit()
        self.use(1)
        self.prepare()
        self.assertEqual((self.statement().amount_untaxed, self.statement().state), (6, "to_approve"))

    def test_again_changes_nothing(self):
        self.use(11)
        self.prepare()
        before = self.subscription.statement_ids.charge_ids.ids
        log = self.subscription.statement_ids.approval_ids.ids
        self.prepare()
        self.assertEqual(self.subscription.statement_ids.charge_ids.ids, before)
        self.assertEqual(self.subscription.statement_ids.approval_ids.ids, log)

    def test_finishes_closed_subscriptions(self):
        self.subscription.date_end = "2025-03-15"
        self.subscription.action_close()
        self.use(11)
        self.prepare()
        self.assertEqual(len(self.subscription.statement_ids), 3)
        self.assertEqual(set(self.subscription.statement_ids.mapped("state")), {"rated"})

    def test_leaves_drafts_alone(self):
        draft = self._subscription(active=False, partner_id=self.partner_a.id)
        self.prepare()
        self.assertFalse(draft.statement_ids)
        self.assertFalse(draft.prepared_at)

    def test_longest_untouched_first_and_once(self):
        _partner, _account, other = self._customer("Globex")
        now = fields.Datetime.now()
        self.subscription.prepared_at = now - timedelta(hours=1)
        other.prepared_at = False
        due = self.env["usage.subscription"]._due(now) & (self.subscription | other)
        self.assertEqual(list(due), [other, self.subscription])
        other.prepared_at = now
        due = self.env["usage.subscription"]._due(now) & (self.subscription | other)
        self.assertEqual(due, self.subscription)

    def test_a_batch_that_fails_does_not_stop_the_others(self):
        _partner, _account, other = self._customer("Globex")
        model = type(self.subscription)
        original = model._prepare_due

        def broken(subscriptions, now):
            if self.subscription in subscriptions:
                raise ZeroDivisionError
            original(subscriptions, now)

        self.env["usage.subscription"].search([]).prepared_at = False
        with (
            mute_logger("odoo.addons.usage_billing.models.usage_subscription"),
            patch.object(usage_subscription, "CRON_BATCH", 1),
            patch.object(model, "_prepare_due", broken),
            patch.object(self.env.cr, "rollback"),
            patch.object(type(self.env["ir.cron"]), "_commit_progress", lambda *args, **kwargs: 10),
            self.assertRaisesRegex(UserError, "1 subscriptions were not prepared"),
        ):
            self.env["usage.subscription"]._cron_prepare_statements()
        self.assertTrue(other.statement_ids)
        self.assertFalse(self.subscription.prepared_at)

    def test_goes_on_where_it_was_cut_off(self):
        _partner, _account, other = self._customer("Globex")
        cron = type(self.env["ir.cron"])
        with (
            patch.object(usage_subscription, "CRON_BATCH", 1),
            patch.object(cron, "_commit_progress", lambda *args, **kwargs: 0),
        ):
            self.env["usage.subscription"]._cron_prepare_statements()
            touched = (self.subscription | other).filtered("prepared_at")
            self.assertEqual(len(touched), 1)
            self.env["usage.subscription"].search([]).filtered("prepared_at").prepared_at = fields.Datetime.now()
            self.env["usage.subscription"]._cron_prepare_statements()
        self.assertTrue(all((self.subscription | other).mapped("prepared_at")))


@tagged("post_install", "-at_install")
class TestReconcileJob(JobsCommon):
    def reconcile(self):
        self.run_job("usage_billing.cron_reconcile")

    def test_compares_what_was_never_compared(self):
        self.use(11)
        statement = self.rated()
        self.assertFalse(statement.reconciliation_ids)
        self.reconcile()
        self.assertEqual(statement.reconciliation_ids.state, "matched")

    def test_compares_again_after_a_change_of_the_invoice(self):
        self.use(11)
        statement = self.posted()
        statement.move_id._reverse_moves(cancel=True)
        self.reconcile()
        self.assertEqual(statement.reconciliation_ids.state, "different")

    def test_looks_again_for_some_months(self):
        self.use(11)
        statement = self.posted()
        self.use(1)
        yesterday = fields.Datetime.now() - timedelta(days=1, minutes=1)
        unlocked(statement).write({"reconciled_date": yesterday})
        self.reconcile()
        self.assertEqual(statement.reconciliation_ids.state, "matched", "March 2025 is long over")
        unlocked(statement).write({"period_end": fields.Datetime.now(), "reconciled_date": yesterday})
        self.reconcile()
        self.assertEqual(statement.reconciliation_ids.state, "different")

    def test_leaves_running_periods_alone(self):
        self.statement(MARCH)
        self.reconcile()
        self.assertFalse(self.statement().reconciled_date)
