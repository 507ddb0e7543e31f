"""One bad rule, one bad customer: found by a person, and nobody else suffers."""

from unittest.mock import patch

from odoo.tests import tagged
from odoo.tools import mute_logger

from ..models import usage_signal_rule
from .common import NOW, SignalCommon

RULE_LOGGER = usage_signal_rule.__name__


@tagged("post_install", "-at_install")
class TestRuleFailures(SignalCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.use_weeks(cls.account, [100, 100, 100, 100, 10])
        # Checked first, so that its failure could stop the other.
        cls.threshold_rule.sequence = 1
        cls.threshold = cls.env.registry["usage.signal.kind.included_threshold"]
        cls.drop = cls.env.registry["usage.signal.kind.usage_drop"]
        cls.signal = cls.env.registry["usage.signal"]

    def detect_all(self):
        with mute_logger(RULE_LOGGER, "odoo.sql_db"):
            return self.env["usage.signal.rule"]._detect(NOW)

    def fail_for(self, customer, name):
        """Patch a method of signals to fail for one customer."""
        origin = getattr(self.signal, name)

        def method(signals):
            if signals.partner_id == customer:
                raise ValueError("The line is dead")
            return origin(signals)

        return patch.object(self.signal, name, method)

    # -- a bad rule -------------------------------------------------------------------------

    def test_a_bad_rule_does_not_stop_the_others(self):
        with patch.object(self.threshold, "_detect", side_effect=ValueError("No such price")):
            signals = self.detect_all()
        self.assertEqual(signals.rule_id, self.drop_rule)
        self.assertEqual(signals.state, "actioned")

    def test_nor_does_one_that_breaks_the_transaction(self):
        def detect(handler, rule, at):
            handler.env.cr.execute("SELECT 1 / 0")

        with patch.object(self.threshold, "_detect", detect):
            signals = self.detect_all()
        self.assertEqual(signals.rule_id, self.drop_rule)
        self.assertIn("division by zero", self.threshold_rule.last_error)

    def test_what_a_bad_rule_wrote_is_taken_back(self):
        def detect(handler, rule, at):
            handler.env["res.partner"].create({"name": "Half done"})
            raise ValueError("No such price")

        with patch.object(self.threshold, "_detect", detect):
            self.detect_all()
        self.assertFalse(self.env["res.partner"].search([("name", "=", "Half done")]))

    def test_a_bad_rule_says_so_where_it_is_looked_after(self):
        with patch.object(self.threshold, "_detect", side_effect=ValueError("No such price")):
            self.detect_all()
        self.assertIn("No such price", self.threshold_rule.last_error)
        self.assertIn(self.company.name, self.threshold_rule.last_error)
        self.assertFalse(self.drop_rule.last_error)
        message = self.threshold_rule.message_ids[0]
        self.assertIn("No such price", message.body)
        self.assertIn(self.manager.partner_id, message.partner_ids)

    def test_it_is_found_by_filter(self):
        with patch.object(self.threshold, "_detect", side_effect=ValueError("No such price")):
            self.detect_all()
        found = self.env["usage.signal.rule"].search([("last_error", "!=", False)])
        self.assertEqual(found, self.threshold_rule)

    def test_an_error_without_words_is_named(self):
        with patch.object(self.threshold, "_detect", side_effect=KeyError()):
            self.detect_all()
        self.assertIn("KeyError", self.threshold_rule.last_error)

    def test_the_same_problem_is_told_once(self):
        before = len(self.threshold_rule.message_ids)
        with patch.object(self.threshold, "_detect", side_effect=ValueError("No such price")):
            self.detect_all()
            self.detect_all()
        self.assertEqual(len(self.threshold_rule.message_ids), before + 1)

    def test_another_problem_is_told_too(self):
        before = len(self.threshold_rule.message_ids)
        for problem in ("No such price", "No such line"):
            with patch.object(self.threshold, "_detect", side_effect=ValueError(problem)):
                self.detect_all()
        self.assertEqual(len(self.threshold_rule.message_ids), before + 2)

    def test_the_problem_goes_when_it_is_solved(self):
        with patch.object(self.threshold, "_detect", side_effect=ValueError("No such price")):
            self.detect_all()
        self.detect()
        self.assertFalse(self.threshold_rule.last_error)

    def test_a_company_that_fails_does_not_stop_the_others(self):
        other = self.new_company("Other")
        origin = self.drop._detect

        def detect(handler, rule, at):
            if handler.env.company == other:
                raise ValueError("No such clock")
            return origin(handler, rule, at)

        with patch.object(self.drop, "_detect", detect):
            signals = self.detect_all()
        self.assertEqual(signals.company_id, self.company)
        self.assertEqual(self.drop_rule.last_error, "Other: No such clock")

    def test_the_scheduled_action_does_not_fail_with_a_rule(self):
        # It would be switched off after some days, and the good rules with it.
        cron = self.env.ref("usage_crm_signals.cron_detect")
        with (
            patch.object(self.drop, "_detect", side_effect=ValueError("No such table")),
            mute_logger(RULE_LOGGER),
            self.enter_registry_test_mode(),
        ):
            cron.method_direct_trigger()
        self.assertEqual(cron.failure_count, 0)
        self.assertIn("No such table", self.drop_rule.last_error)
        self.assertFalse(self.drop_rule.pending)

    # -- a bad customer ---------------------------------------------------------------------

    def bad_and_good(self):
        """Return a customer for whom something will fail, and one for whom it will not."""
        good = self.new_customer("Zenith")
        self.use_weeks(self.new_account(good), [100, 100, 100, 100, 10])
        return self.customer, good

    def test_a_bad_customer_does_not_stop_the_others(self):
        bad, good = self.bad_and_good()
        with self.fail_for(bad, "_schedule_activity"):
            signals = self.detect_all()
        self.assertEqual(signals.partner_id, good)
        self.assertTrue(signals.activity_id)

    def test_the_customer_is_named_on_the_rule(self):
        bad, _good = self.bad_and_good()
        with self.fail_for(bad, "_schedule_activity"):
            self.detect_all()
        self.assertIn("Northwind", self.drop_rule.last_error)
        self.assertIn("The line is dead", self.drop_rule.last_error)
        self.assertNotIn("Zenith", self.drop_rule.last_error)

    def test_nothing_half_done_is_left(self):
        bad, _good = self.bad_and_good()
        with self.fail_for(bad, "_schedule_activity"):
            self.detect_all()
        self.assertFalse(self.env["usage.signal"].search([("partner_id", "=", bad.id)]))
        self.assertFalse(bad.activity_ids)

    def test_the_next_check_makes_up_for_it(self):
        bad, _good = self.bad_and_good()
        with self.fail_for(bad, "_schedule_activity"):
            self.detect_all()
        signals = self.detect(self.drop_rule)
        self.assertEqual(signals.partner_id, bad)
        self.assertTrue(signals.activity_id)
        self.assertFalse(self.drop_rule.last_error)

    def test_a_price_that_cannot_be_rated_costs_its_signal_only(self):
        customers = [self.new_customer("Bad Price"), self.new_customer("Good Price")]
        price = self.new_price(self.meter)
        for customer in customers:
            self.subscribe(customer, price)
            self.use(self.new_account(customer), NOW.replace(day=3, minute=0), 900)
        origin = self.threshold._overage

        def overage(handler, line, projected):
            if line.subscription_id.partner_id == customers[0]:
                raise ValueError("No such price")
            return origin(handler, line, projected)

        with patch.object(self.threshold, "_overage", overage), mute_logger(RULE_LOGGER):
            signals = self.threshold_rule._detect(NOW)
        self.assertEqual(signals.partner_id, customers[1])
        self.assertIn("Bad Price", self.threshold_rule.last_error)
