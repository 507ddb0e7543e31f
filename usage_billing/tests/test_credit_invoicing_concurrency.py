"""Two statements of one customer are invoiced at once: real transactions on real connections share the credit."""

import threading
from concurrent.futures import ThreadPoolExecutor

from psycopg2.errors import SerializationFailure

from odoo import SUPERUSER_ID, api
from odoo.fields import Command
from odoo.modules.registry import DummyRLock, Registry
from odoo.tests import BaseCase, get_db_name, tagged
from odoo.tools import SQL, mute_logger

from odoo.addons.usage_connector_base.guard import unlocked

NAME = "Concurrent invoices"
PERIODS = (("2025-03-01", "2025-03-31", "2025-04-01"), ("2025-04-01", "2025-04-30", "2025-05-01"))


@tagged("post_install", "-at_install")
class TestInvoicingConcurrency(BaseCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.registry = Registry(get_db_name())
        # The server holds this lock while it runs tests: other threads would wait for it for ever.
        cls.classPatch(Registry, "_lock", DummyRLock())
        cls.addClassCleanup(cls._clean)
        cls._clean()  # of what a run left that was killed
        with cls.registry.cursor() as cr:
            cls._set_up(api.Environment(cr, SUPERUSER_ID, {}))

    @classmethod
    def _set_up(cls, env):
        """Credit of 100.00, and two approved statements of 60.00 each."""
        groups = [env.ref("usage_billing.group_billing_preparer"), env.ref("account.group_account_invoice")]
        user = env["res.users"].create(
            {"name": NAME, "login": NAME, "group_ids": [Command.link(group.id) for group in groups]}
        )
        partner = env["res.partner"].create({"name": NAME})
        product = env["product.product"].create({"name": NAME, "type": "service"})
        plan = env["usage.plan"].create({"name": NAME, "code": "concurrent-invoices"})
        price = {"plan_id": plan.id, "product_id": product.id, "model": "recurring", "fee_amount": 60}
        price = env["usage.price"].create(price)
        values = {"partner_id": partner.id, "plan_id": plan.id, "tz": "UTC", "date_start": "2025-01-01"}
        subscription = env["usage.subscription"].create(
            {**values, "line_ids": [Command.create({"price_id": price.id})]}
        )
        statements = env["usage.statement"].concat(*(cls._statement(subscription, *period) for period in PERIODS))
        grant = env["usage.credit.grant"].create(
            {"partner_id": partner.id, "product_id": product.id, "amount": 100, "effective_at": "2025-01-01 00:00:00"}
        )
        grant._activate()
        cls.user_id, cls.grant_id, cls.statement_ids = user.id, grant.id, statements.ids

    @classmethod
    def _statement(cls, subscription, first, last, end):
        line = subscription.line_ids
        common = {
            "partner_id": subscription.partner_id.id,
            "company_id": subscription.company_id.id,
            "currency_id": subscription.currency_id.id,
        }
        charge = {
            **common,
            "subscription_line_id": line.id,
            "price_id": line.price_id.id,
            "product_id": line.product_id.id,
            "usage_start": first,
            "usage_end": end,
            "amount": 60,
            "definition": {},
            "result": {"quantity": "0", "unrounded": "60", "explanation": []},
        }
        return unlocked(subscription.env["usage.statement"]).create(
            {
                **common,
                "subscription_id": subscription.id,
                "tz": "UTC",
                "period_start": first,
                "period_end": end,
                "date_from": first,
                "date_to": last,
                "state": "approved",
                "charge_ids": [Command.create(charge)],
            }
        )

    @classmethod
    def _clean(cls):
        with cls.registry.cursor() as cr:
            env = api.Environment(cr, SUPERUSER_ID, {})
            partners = env["res.partner"].search([("name", "=", NAME)])
            env["account.move"].search([("partner_id", "in", partners.ids)]).unlink()
            env.flush_all()
            mine = SQL("partner_id = ANY(%s)", partners.ids)
            for table in ("usage_credit_entry", "usage_credit_grant", "usage_charge", "usage_statement"):
                cr.execute(SQL("DELETE FROM %s WHERE %s", SQL.identifier(table), mine))
            subscriptions = SQL("SELECT id FROM usage_subscription WHERE %s", mine)
            cr.execute(SQL("DELETE FROM usage_subscription_line WHERE subscription_id IN (%s)", subscriptions))
            cr.execute(SQL("DELETE FROM usage_subscription WHERE %s", mine))
            env.invalidate_all()
            env["usage.plan"].search([("code", "=", "concurrent-invoices")]).price_ids.unlink()
            env["usage.plan"].search([("code", "=", "concurrent-invoices")]).unlink()
            env["product.product"].search([("name", "=", NAME)]).unlink()
            users = env["res.users"].search([("login", "=", NAME)])
            users.unlink()
            partners.unlink()

    def invoice(self, barrier, statement_id):
        """Invoice one statement, in a transaction that began before the other took credit; how often it was tried."""
        for attempt in range(1, 6):
            with self.registry.cursor() as cr:
                statement = api.Environment(cr, self.user_id, {})["usage.statement"].browse(statement_id)
                self.assertEqual(statement.state, "approved")
                if attempt == 1:
                    barrier.wait(10)
                try:
                    statement.action_invoice()
                    return attempt
                except SerializationFailure:  # the request is run again, as Odoo does
                    cr.rollback()
        return None

    def test_two_invoices_share_the_credit(self):
        """100.00 pay 120.00: all that there is, once, and 20.00 are left to pay."""
        barrier = threading.Barrier(2)
        with mute_logger("odoo.sql_db"), ThreadPoolExecutor(2) as pool:
            attempts = list(pool.map(lambda statement_id: self.invoice(barrier, statement_id), self.statement_ids))
        self.assertGreater(sum(attempts), 2, "one found the credit changed and began again")
        with self.registry.cursor() as cr:
            env = api.Environment(cr, SUPERUSER_ID, {})
            statements = env["usage.statement"].browse(self.statement_ids)
            grant = env["usage.credit.grant"].browse(self.grant_id)
            self.assertEqual((grant.balance, sum(grant.entry_ids.mapped("amount"))), (0, 0))
            self.assertEqual(sorted(statements.move_id.mapped("amount_untaxed")), [0, 20])
