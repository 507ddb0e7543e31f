"""An interim statement is rejected and its period submitted at once: real transactions on real connections."""

from psycopg2.errors import SerializationFailure

from odoo import SUPERUSER_ID, api
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.modules.registry import DummyRLock, Registry
from odoo.tests import BaseCase, get_db_name, tagged
from odoo.tools import SQL, mute_logger

from odoo.addons.usage_connector_base.guard import unlocked

NAME = "Concurrent interim statement"
CODE = "concurrent-interim"


@tagged("post_install", "-at_install")
class TestInterimConcurrency(BaseCase):
    def setUp(self):
        super().setUp()
        self.registry = Registry(get_db_name())
        # The server holds this lock while it runs tests: other threads would wait for it for ever.
        self.patch(Registry, "_lock", DummyRLock())
        self.addCleanup(self._clean)
        self._clean()  # of what a run left that was killed
        with self.registry.cursor() as cr:
            self._set_up(api.Environment(cr, SUPERUSER_ID, {}))

    def _set_up(self, env):
        """15.00 on an interim statement that waits for approval, and the rated statement of its period."""
        groups = [env.ref(f"usage_billing.group_billing_{role}").id for role in ("preparer", "approver")]
        user = env["res.users"].create({"name": NAME, "login": NAME, "group_ids": [Command.set(groups)]})
        partner = env["res.partner"].create({"name": NAME})
        product = env["product.product"].create({"name": NAME, "type": "service"})
        plan = env["usage.plan"].create({"name": NAME, "code": CODE})
        price = {"plan_id": plan.id, "product_id": product.id, "model": "recurring", "fee_amount": 15}
        price = env["usage.price"].create(price)
        values = {"partner_id": partner.id, "plan_id": plan.id, "tz": "UTC", "date_start": "2025-01-01"}
        lines = [Command.create({"price_id": price.id})]
        subscription = env["usage.subscription"].create({**values, "line_ids": lines})
        main = self._statement(subscription, "2025-03-31", "2025-04-01", state="rated")
        interim = self._statement(subscription, "2025-03-09", "2025-03-10", state="to_approve", interim_of_id=main.id)
        self.user_id, self.main_id, self.interim_id = user.id, main.id, interim.id

    def _statement(self, subscription, last, end, **values):
        return unlocked(subscription.env["usage.statement"]).create(
            {
                "subscription_id": subscription.id,
                "partner_id": subscription.partner_id.id,
                "company_id": subscription.company_id.id,
                "currency_id": subscription.currency_id.id,
                "tz": "UTC",
                "period_start": "2025-03-01",
                "period_end": end,
                "date_from": "2025-03-01",
                "date_to": last,
                **values,
            }
        )

    def _clean(self):
        with self.registry.cursor() as cr:
            env = api.Environment(cr, SUPERUSER_ID, {})
            partners = env["res.partner"].search([("name", "=", NAME)])
            mine = SQL("partner_id = ANY(%s)", partners.ids)
            statements = SQL("SELECT id FROM usage_statement WHERE %s", mine)
            subscriptions = SQL("SELECT id FROM usage_subscription WHERE %s", mine)
            told = SQL("model = 'usage.statement' AND res_id IN (%s)", statements)
            cr.execute(SQL("DELETE FROM mail_message WHERE %s", told))
            cr.execute(SQL("DELETE FROM usage_statement_approval WHERE statement_id IN (%s)", statements))
            cr.execute(SQL("DELETE FROM usage_statement WHERE %s AND interim_of_id IS NOT NULL", mine))
            cr.execute(SQL("DELETE FROM usage_statement WHERE %s", mine))
            cr.execute(SQL("DELETE FROM usage_subscription_line WHERE subscription_id IN (%s)", subscriptions))
            cr.execute(SQL("DELETE FROM usage_subscription WHERE %s", mine))
            env.invalidate_all()
            env["usage.plan"].search([("code", "=", CODE)]).price_ids.unlink()
            env["usage.plan"].search([("code", "=", CODE)]).unlink()
            env["product.product"].search([("name", "=", NAME)]).unlink()
            env["res.users"].search([("login", "=", NAME)]).unlink()
            partners.unlink()

    def submit(self, cr):
        """Submit the statement of the period."""
        api.Environment(cr, self.user_id, {})["usage.statement"].browse(self.main_id).action_submit()
        cr.flush()

    def reject(self, cr):
        """Reject the interim statement."""
        api.Environment(cr, self.user_id, {})["usage.statement"].browse(self.interim_id).action_reject("Again")
        cr.flush()

    def test_one_of_the_two_starts_over_and_is_refused(self):
        """Whichever comes second began before the first one was done."""
        for first, second in ((self.reject, self.submit), (self.submit, self.reject)):
            with self.subTest(first=first.__name__), self.registry.cursor() as late:
                late.execute("SELECT count(*) FROM usage_statement")  # from now on it sees what was there now
                with self.registry.cursor() as early:
                    first(early)
                with mute_logger("odoo.sql_db"), self.assertRaises(SerializationFailure):
                    second(late)
                late.rollback()
                with self.assertRaisesRegex(UserError, "charges what .* left"):
                    second(late)
                late.rollback()
            self._clean()
            with self.registry.cursor() as cr:
                self._set_up(api.Environment(cr, SUPERUSER_ID, {}))
