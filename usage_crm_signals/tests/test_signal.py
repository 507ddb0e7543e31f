"""What people do with signals, and what they cannot undo."""

from datetime import datetime

from psycopg2 import IntegrityError

from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from ..models.usage_signal import FACTS
from .common import NOW, SignalCommon


@tagged("post_install", "-at_install")
class TestSignal(SignalCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.operator = cls.new_user("oscar", "usage_connector_base.group_usage_operator")
        cls.viewer = cls.new_user("vera", "usage_connector_base.group_usage_viewer")
        # Signals that wait for a person.
        for name in ("automation_included_threshold", "automation_usage_drop"):
            cls.env.ref(f"usage_crm_signals.{name}").active = False

    # -- acting -----------------------------------------------------------------------------

    def test_an_operator_creates_the_opportunity(self):
        signal = self.threshold_signal()
        action = signal.with_user(self.operator).action_create_opportunity()
        self.assertEqual(signal.state, "actioned")
        self.assertEqual(signal.lead_id.user_id, self.salesperson)
        self.assertEqual((action["res_model"], action["res_id"]), ("crm.lead", signal.lead_id.id))

    def test_twice_creates_one(self):
        signal = self.threshold_signal().with_user(self.operator)
        signal.action_create_opportunity()
        lead = signal.lead_id
        signal.action_create_opportunity()
        self.assertEqual(signal.lead_id, lead)

    def test_an_operator_schedules_the_activity(self):
        signal = self.drop_signal()
        signal.with_user(self.operator).action_schedule_activity()
        self.assertEqual(signal.state, "actioned")
        self.assertEqual(signal.activity_id.user_id, self.salesperson)
        self.assertEqual(signal.activity_user_id, self.salesperson)
        self.assertEqual(signal.activity_date_deadline, signal.activity_id.date_deadline)

    def test_twice_schedules_one(self):
        signal = self.drop_signal().with_user(self.operator)
        signal.action_schedule_activity()
        signal.action_schedule_activity()
        self.assertEqual(len(signal.sudo().partner_id.activity_ids), 1)

    def test_any_signal_can_lead_to_either(self):
        signal = self.drop_signal().with_user(self.operator)
        signal.action_create_opportunity()
        signal.action_schedule_activity()
        self.assertTrue(signal.lead_id)
        self.assertTrue(signal.activity_id)

    def test_several_at_once(self):
        signals = self.drop_signal() | self.threshold_signal()
        action = signals.with_user(self.operator).action_create_opportunity()
        self.assertEqual(len(signals.lead_id), 2)
        self.assertEqual(self.env["crm.lead"].search(action["domain"]), signals.lead_id)

    def test_an_operator_dismisses_and_reopens(self):
        signal = self.drop_signal().with_user(self.operator)
        signal.action_dismiss()
        self.assertEqual(signal.state, "dismissed")
        signal.action_reopen()
        self.assertEqual(signal.state, "new")

    def test_reopened_with_an_activity_it_is_actioned(self):
        signal = self.drop_signal().with_user(self.operator)
        signal.action_schedule_activity()
        signal.action_dismiss()
        signal.action_reopen()
        self.assertEqual(signal.state, "actioned")

    def test_reopening_changes_nothing_else(self):
        signal = self.drop_signal().with_user(self.operator)
        signal.action_schedule_activity()
        signal.action_reopen()
        self.assertEqual(signal.state, "actioned")

    def test_who_dismissed_is_on_record(self):
        signal = self.drop_signal()
        signal.with_user(self.operator).action_dismiss()
        self.flush_tracking()
        message = signal.message_ids.filtered("tracking_value_ids")[:1]
        self.assertEqual(message.author_id, self.operator.partner_id)

    def flush_tracking(self):
        self.env.flush_all()
        self.cr.precommit.run()

    def test_readers_cannot_act(self):
        signal = self.drop_signal()
        for user in (self.viewer, self.salesperson):
            mine = signal.with_user(user)
            for method in (
                mine.action_create_opportunity,
                mine.action_schedule_activity,
                mine.action_dismiss,
            ):
                with self.assertRaises(AccessError):
                    method()

    # -- facts stay -------------------------------------------------------------------------

    def test_what_was_found_is_never_changed(self):
        signal = self.threshold_signal()
        values = {
            "rule_id": self.drop_rule.id,
            "partner_id": self.customer.id,
            "subscription_id": False,
            "subscription_line_id": False,
            "meter_id": False,
            "company_id": self.company.id,
            "period_start": NOW,
            "period_end": NOW,
            "date": NOW,
            "value": 1.0,
            "reference_value": 1.0,
            "expected_revenue": 1.0,
            "evidence": {},
            "summary": "Nothing to see",
        }
        self.assertEqual(set(values), FACTS)
        for user in (self.operator, self.admins[0], self.env.ref("base.user_root")):
            for name, value in values.items():
                with self.subTest(user=user.login, field=name), self.assertRaises(UserError):
                    signal.with_user(user).write({name: value})

    def test_a_copy_would_be_the_same_fact(self):
        signal = self.drop_signal()
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.cr.savepoint():
            signal.copy()

    def raise_again(self, signal, **vals):
        """Create a signal with the facts of another one, but for ``vals``."""
        names = ("rule_id", "company_id", "partner_id", "meter_id", "subscription_line_id")
        values = {name: signal[name].id for name in names}
        return signal.create(
            {
                **values,
                "summary": "Again",
                "date": NOW,
                "period_start": signal.period_start,
                "period_end": signal.period_end,
                **vals,
            }
        )

    def test_the_database_knows_a_fact_by_all_that_tells_it_apart(self):
        signal = self.threshold_signal()
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.cr.savepoint():
            self.raise_again(signal)
        self.raise_again(signal, period_start=datetime(2025, 8, 1))
        self.raise_again(signal, partner_id=self.customer.id)
        self.raise_again(signal, rule_id=self.drop_rule.id)
        self.raise_again(signal, subscription_line_id=False)

    def test_missing_parts_do_not_make_facts_differ(self):
        signal = self.drop_signal()
        self.assertFalse(signal.subscription_line_id)
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.cr.savepoint():
            self.raise_again(signal)

    def test_the_unique_index_exists(self):
        self.cr.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'usage_signal'")
        definitions = [row[0] for row in self.cr.fetchall() if "COALESCE" in row[0]]
        self.assertEqual(len(definitions), 1)
        self.assertIn("UNIQUE", definitions[0])

    def test_a_customer_with_signals_is_not_deleted(self):
        signal = self.drop_signal()
        self.env["usage.account"].search([("partner_id", "=", signal.partner_id.id)]).partner_id = self.customer
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.cr.savepoint():
            signal.partner_id.unlink()

    # -- what it shows ----------------------------------------------------------------------

    def test_it_is_called_what_happened(self):
        signal = self.drop_signal()
        self.assertEqual(signal.display_name, "Requests: usage fell by 90 % against the previous 4 weeks")

    def test_the_evidence_is_told_in_the_language_of_the_reader(self):
        self.env["res.lang"]._activate_lang("de_DE")
        customer = self.new_customer("Contoso")
        self.use_weeks(self.new_account(customer), [10000, 10000, 10000, 10000, "1000.5"])
        signal = self.detect(self.drop_rule)
        self.assertIn("1,000.5", signal.evidence_html)
        self.assertIn("1.000,5", signal.with_context(lang="de_DE").evidence_html)

    def test_names_in_the_evidence_are_text_and_no_markup(self):
        meter = self.new_meter(self.company, "<b>Bold</b>", code="bold")
        self.use_weeks(self.account, [100, 100, 100, 100, 10], meter)
        html = self.detect(self.drop_rule).evidence_html
        self.assertNotIn("<b>Bold", html)
        self.assertIn("&lt;b&gt;Bold", html)

    def test_exact_quantities_are_stored(self):
        self.use_weeks(self.account, ["1"] * 4 + ["0.123456789012345678901"])
        signal = self.detect(self.drop_rule)
        self.env.flush_all()
        self.cr.execute("SELECT value::text FROM usage_signal WHERE id = %s", [signal.id])
        self.assertEqual(self.cr.fetchone()[0], "0.123456789012345678901")

    def test_no_reference_no_percentage(self):
        signal = self.raise_again(self.drop_signal(), period_start=datetime(2025, 1, 1))
        self.assertEqual(signal.percentage, 0.0)
        self.assertFalse(signal.evidence_html)

    # -- where it leads ---------------------------------------------------------------------

    def test_it_leads_to_its_customer_and_subscription(self):
        signal = self.threshold_signal()
        action = signal.action_view_partner()
        self.assertEqual((action["res_model"], action["res_id"]), ("res.partner", signal.partner_id.id))
        action = signal.action_view_subscription()
        self.assertEqual((action["res_model"], action["res_id"]), ("usage.subscription", signal.subscription_id.id))

    def test_it_leads_to_the_usage_that_was_looked_at(self):
        signal = self.drop_signal()
        action = signal.with_user(self.viewer).action_view_usage()
        usage = self.env[action["res_model"]].search(action["domain"])
        self.assertEqual(usage.mapped("quantity"), [10.0])
        self.assertEqual(usage.account_id.partner_id, signal.partner_id)

    def test_customer_and_contacts_lead_to_their_signals(self):
        signal = self.drop_signal()
        contact = self.env["res.partner"].create({"name": "Cora", "parent_id": signal.partner_id.id})
        for partner in (signal.partner_id, contact):
            partner = partner.with_user(self.salesperson)
            self.assertEqual(partner.usage_signal_count, 1)
            action = partner.action_view_usage_signals()
            self.assertEqual(self.env["usage.signal"].search(action["domain"]), signal)
        self.assertEqual(self.customer.usage_signal_count, 0)

    def test_an_opportunity_leads_to_its_signals(self):
        signal = self.threshold_signal()
        signal.action_create_opportunity()
        lead = signal.lead_id.with_user(self.salesperson)
        self.assertEqual(lead.usage_signal_count, 1)
        action = lead.action_view_usage_signals()
        self.assertEqual(self.env["usage.signal"].search(action["domain"]), signal)

    def test_deleting_the_opportunity_keeps_the_signal(self):
        signal = self.threshold_signal()
        signal.action_create_opportunity()
        signal.lead_id.unlink()
        self.assertTrue(signal.exists())
        self.assertFalse(signal.lead_id)
