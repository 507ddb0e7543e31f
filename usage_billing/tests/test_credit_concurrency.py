"""Two transactions take the same credit at once, on real connections with real commits."""

import threading
from concurrent.futures import ThreadPoolExecutor

from psycopg2.errors import SerializationFailure

from odoo import SUPERUSER_ID, api
from odoo.modules.registry import DummyRLock, Registry
from odoo.tests import BaseCase, get_db_name, tagged
from odoo.tools import SQL, mute_logger

from odoo.addons.usage_connector_base.guard import unlocked

TAKERS = 4


@tagged("post_install", "-at_install")
class TestCreditConcurrency(BaseCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.registry = Registry(get_db_name())
        # The server holds this lock while it runs tests: other threads would wait for it for ever.
        cls.classPatch(Registry, "_lock", DummyRLock())
        cls.addClassCleanup(cls._clean)
        cls._clean()  # of what a run left that was killed
        with cls.registry.cursor() as cr:
            env = api.Environment(cr, SUPERUSER_ID, {})
            partner = env["res.partner"].create({"name": "Concurrent credit"})
            product = env["product.product"].create({"name": "Concurrent credit", "type": "service"})
            grant = env["usage.credit.grant"].create(
                {"partner_id": partner.id, "product_id": product.id, "amount": 100}
            )
            grant._activate()
            cls.grant_id = grant.id

    @classmethod
    def _clean(cls):
        with cls.registry.cursor() as cr:
            env = api.Environment(cr, SUPERUSER_ID, {})
            partners = env["res.partner"].search([("name", "=", "Concurrent credit")])
            grants = env["usage.credit.grant"].search([("partner_id", "in", partners.ids)])
            unlocked(grants.entry_ids).unlink()
            cr.execute(SQL("DELETE FROM usage_credit_grant WHERE id = ANY(%s)", grants.ids))
            env.invalidate_all()
            partners.unlink()
            env["product.product"].search([("name", "=", "Concurrent credit")]).unlink()

    def take(self, barrier, amount):
        """Take credit in a transaction that has read the balance before any other took; True if it did."""
        with self.registry.cursor() as cr:
            grant = api.Environment(cr, SUPERUSER_ID, {})["usage.credit.grant"].browse(self.grant_id)
            self.assertGreaterEqual(grant.balance, 0)
            barrier.wait(10)
            try:
                grant._enter("used", -amount)
            except SerializationFailure:
                cr.rollback()
                return False
            return True

    def test_the_balance_is_taken_once(self):
        """All see 100 and take 60: one does, and the others find it changed and begin again."""
        barrier = threading.Barrier(TAKERS)
        with mute_logger("odoo.sql_db"), ThreadPoolExecutor(TAKERS) as pool:
            taken = list(pool.map(lambda _n: self.take(barrier, 60), range(TAKERS)))
        self.assertEqual(sum(taken), 1)
        with self.registry.cursor() as cr:
            grant = api.Environment(cr, SUPERUSER_ID, {})["usage.credit.grant"].browse(self.grant_id)
            self.assertEqual((grant.balance, sum(grant.entry_ids.mapped("amount"))), (40, 40))
