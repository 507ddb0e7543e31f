from odoo.tests import tagged

from .common import SignalCommon


@tagged("post_install", "-at_install")
class TestPartnerMerge(SignalCommon):
    """When customers are merged their signals go along; what was signalled of both is kept once."""

    def merge(self, partners, into):
        self.env["base.partner.merge.automatic.wizard"]._merge((partners | into).ids, into)
        self.env.invalidate_all()

    def test_signals_go_along(self):
        signal = self.drop_signal()
        twin = signal.partner_id
        self.merge(twin, self.customer)
        self.assertFalse(twin.exists())
        self.assertEqual(signal.partner_id, self.customer)

    def test_signalled_of_both(self):
        for customer in (self.customer, self.new_customer("Twin")):
            self.use_weeks(customer.usage_account_ids[:1] or self.new_account(customer), [100, 100, 100, 100, 10])
        signals = self.detect(self.drop_rule)
        self.assertEqual(len(signals), 2)
        self.merge(signals.partner_id - self.customer, self.customer)
        self.assertEqual(signals.exists().partner_id, self.customer)
        self.assertEqual(len(signals.exists()), 1)

    def test_usage_counts_for_the_customer_of_its_time(self):
        """Usage that an account had before it changed hands says nothing about who has it now."""
        self.use_weeks(self.account, [100, 100, 100, 100, 10])
        buyer = self.new_customer("Buyer")
        earliest = self.env["usage.aggregate"].search([("account_id", "=", self.account.id)], order="hour", limit=1)
        self.account._assign(buyer, earliest.hour.replace(hour=0))
        self.assertEqual(self.detect(self.drop_rule).partner_id, buyer)
        latest = self.env["usage.aggregate"].search([("account_id", "=", self.account.id)], order="hour desc", limit=1)
        self.env["usage.signal"].search([]).unlink()
        self.account.partner_id = self.customer
        self.account._assign(buyer, latest.hour.replace(hour=0))
        self.assertNotIn(buyer, self.detect(self.drop_rule).partner_id)
