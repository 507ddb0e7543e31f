"""What signals set in motion by themselves: opportunities and activities, for real."""

from datetime import datetime, timedelta

from odoo import fields
from odoo.fields import Command
from odoo.tests import tagged

from .common import NOW, SignalCommon


@tagged("post_install", "-at_install")
class TestOpportunity(SignalCommon):
    def test_80_percent_opens_an_opportunity(self):
        signal = self.threshold_signal()
        lead = signal.lead_id
        self.assertEqual(len(lead), 1)
        self.assertEqual(signal.state, "actioned")
        self.assertEqual(lead.type, "opportunity")
        self.assertEqual(lead.partner_id, signal.partner_id)
        self.assertEqual(lead.company_id, self.company)
        self.assertEqual(lead.name, "Requests: 90 % of the included quantity used")

    def test_no_activity_is_scheduled_for_it(self):
        signal = self.threshold_signal()
        self.assertFalse(signal.activity_id)

    def test_the_expected_revenue_is_carried_over(self):
        signal = self.threshold_signal()
        self.assertGreater(signal.expected_revenue, 0)
        self.assertEqual(signal.lead_id.expected_revenue, signal.expected_revenue)

    def test_the_salesperson_of_the_customer_gets_it(self):
        self.assertEqual(self.threshold_signal().lead_id.user_id, self.salesperson)

    def test_else_the_responsible_of_the_rule(self):
        self.assertEqual(self.threshold_signal(user_id=False).lead_id.user_id, self.manager)

    def test_a_salesperson_who_left_is_passed_over(self):
        self.salesperson.active = False
        self.assertEqual(self.threshold_signal().lead_id.user_id, self.manager)

    def test_a_salesperson_of_another_company_is_passed_over(self):
        other = self.new_company("Other")
        foreigner = self.new_user("fay", "sales_team.group_sale_salesman", other)
        self.assertEqual(self.threshold_signal(user_id=foreigner.id).lead_id.user_id, self.manager)

    def test_nobody_responsible_nobody_assigned(self):
        self.threshold_rule.user_id = False
        self.assertFalse(self.threshold_signal(user_id=False).lead_id.user_id)

    def test_the_team_of_the_rule(self):
        team = self.env["crm.team"].create({"name": "Expansion", "company_id": False})
        self.threshold_rule.team_id = team
        self.assertEqual(self.threshold_signal().lead_id.team_id, team)

    def test_else_the_team_of_the_salesperson(self):
        team = self.env["crm.team"].create(
            {
                "name": "Sally's Team",
                "sequence": -10,
                "crm_team_member_ids": [Command.create({"user_id": self.salesperson.id})],
            }
        )
        self.assertEqual(self.threshold_signal().lead_id.team_id, team)

    def test_the_description_shows_the_evidence_and_leads_back(self):
        signal = self.threshold_signal()
        description = signal.lead_id.description
        self.assertIn("900 request", description)
        self.assertIn(f"/odoo/usage.signal/{signal.id}", description)

    def test_its_chatter_says_where_it_comes_from(self):
        signal = self.threshold_signal()
        body = signal.lead_id.message_ids[0].body
        self.assertIn(signal.summary, body)
        self.assertIn(f'data-oe-id="{signal.id}"', body)

    def test_the_description_leads_to_the_statement(self):
        customer = self.new_customer("Fabrikam")
        subscription = self.subscribe(customer, self.new_price(self.meter))
        self.use(self.new_account(customer), datetime(2025, 7, 3, 12), 900)
        statement = subscription._ensure_statement(NOW)
        lead = self.detect(self.threshold_rule).lead_id
        self.assertIn(f"/odoo/usage.statement/{statement.id}", lead.description)

    def test_the_opportunity_leads_to_its_signals(self):
        signal = self.threshold_signal()
        self.assertEqual(signal.lead_id.usage_signal_ids, signal)
        self.assertEqual(signal.lead_id.usage_signal_count, 1)

    def test_a_second_check_opens_no_second_one(self):
        signal = self.threshold_signal()
        self.detect()
        leads = self.env["crm.lead"].search([("partner_id", "=", signal.partner_id.id)])
        self.assertEqual(leads, signal.lead_id)

    def test_next_month_joins_the_open_opportunity(self):
        first = self.threshold_signal()
        account = self.env["usage.account"].search([("partner_id", "=", first.partner_id.id)])
        self.use(account, datetime(2025, 8, 2), 950)
        second = self.detect(self.threshold_rule, datetime(2025, 8, 4))
        self.assertEqual(len(second), 1)
        self.assertEqual(second.lead_id, first.lead_id)
        self.assertEqual(second.state, "actioned")
        self.assertIn("950 request", first.lead_id.message_ids[0].body)

    def test_next_month_opens_a_new_one_when_the_first_was_won(self):
        first = self.threshold_signal()
        first.lead_id.action_set_won()
        account = self.env["usage.account"].search([("partner_id", "=", first.partner_id.id)])
        self.use(account, datetime(2025, 8, 2), 950)
        second = self.detect(self.threshold_rule, datetime(2025, 8, 4))
        self.assertNotEqual(second.lead_id, first.lead_id)

    def test_or_lost(self):
        first = self.threshold_signal()
        first.lead_id.action_set_lost()
        account = self.env["usage.account"].search([("partner_id", "=", first.partner_id.id)])
        self.use(account, datetime(2025, 8, 2), 950)
        second = self.detect(self.threshold_rule, datetime(2025, 8, 4))
        self.assertTrue(second.lead_id)
        self.assertNotEqual(second.lead_id, first.lead_id)

    def test_without_the_automation_the_signal_waits_for_a_person(self):
        self.env.ref("usage_crm_signals.automation_included_threshold").active = False
        signal = self.threshold_signal()
        self.assertEqual(signal.state, "new")
        self.assertFalse(signal.lead_id)

    def test_other_companies_get_their_own(self):
        other = self.new_company("Other")
        seller = self.new_user("olga", "sales_team.group_sale_salesman", other)
        customer = self.new_customer("Fabrikam", user_id=seller.id)
        self.subscribe(customer, self.new_price(self.new_meter(other)))
        account = self.new_account(customer, self.new_source(other))
        meter = self.env["usage.meter"].search([("company_id", "=", other.id)])
        self.use(account, datetime(2025, 7, 3, 12), 900, meter)
        signal = self.detect(self.threshold_rule)
        self.assertEqual(signal.company_id, other)
        self.assertEqual(signal.lead_id.company_id, other)
        self.assertEqual(signal.lead_id.user_id, seller)


@tagged("post_install", "-at_install")
class TestActivity(SignalCommon):
    def test_a_fall_by_half_schedules_an_activity_on_the_customer(self):
        signal = self.drop_signal()
        activity = signal.activity_id
        self.assertEqual(len(activity), 1)
        self.assertEqual(signal.state, "actioned")
        self.assertEqual((activity.res_model, activity.res_id), ("res.partner", signal.partner_id.id))
        self.assertEqual(signal.partner_id.activity_ids, activity)
        self.assertEqual(activity.summary, "Requests: usage fell by 90 % against the previous 4 weeks")

    def test_no_opportunity_is_opened_for_it(self):
        signal = self.drop_signal()
        self.assertFalse(signal.lead_id)
        self.assertFalse(self.env["crm.lead"].search([("partner_id", "=", signal.partner_id.id)]))

    def test_the_salesperson_of_the_customer_gets_it(self):
        self.assertEqual(self.drop_signal().activity_id.user_id, self.salesperson)

    def test_else_the_responsible_of_the_rule(self):
        self.assertEqual(self.drop_signal(user_id=False).activity_id.user_id, self.manager)

    def test_nobody_responsible_nobody_assigned(self):
        self.drop_rule.user_id = False
        activity = self.drop_signal(user_id=False).activity_id
        self.assertTrue(activity)
        self.assertFalse(activity.user_id)

    def test_it_is_due_as_its_type_says(self):
        activity = self.drop_signal().activity_id
        kind = self.env.ref("usage_crm_signals.mail_activity_type_usage_drop")
        self.assertEqual(activity.activity_type_id, kind)
        self.assertEqual(activity.date_deadline, fields.Date.today() + timedelta(days=2))

    def test_without_its_type_it_is_a_to_do(self):
        self.env.ref("usage_crm_signals.mail_activity_type_usage_drop").unlink()
        todo = self.env.ref("mail.mail_activity_data_todo")
        self.assertEqual(self.drop_signal().activity_id.activity_type_id, todo)

    def test_the_note_shows_the_evidence_and_leads_back(self):
        signal = self.drop_signal()
        note = signal.activity_id.note
        self.assertIn("10 request", note)
        self.assertIn(f"/odoo/usage.signal/{signal.id}", note)

    def test_it_can_be_done_by_its_salesperson(self):
        signal = self.drop_signal()
        signal.activity_id.with_user(self.salesperson).action_feedback("Called: they moved to another tool.")
        self.assertFalse(signal.partner_id.activity_ids)
        self.assertEqual(signal.state, "actioned")

    def test_a_second_check_schedules_no_second_one(self):
        signal = self.drop_signal()
        self.detect()
        self.detect(at=NOW + timedelta(days=1))
        self.assertEqual(len(signal.partner_id.activity_ids), 1)

    def test_where_automated_activities_are_off_the_signal_waits(self):
        customer = self.new_customer("Contoso")
        self.use_weeks(self.new_account(customer), [100, 100, 100, 100, 10])
        rule = self.drop_rule.with_context(mail_activity_automation_skip=True)
        signal = rule._detect(NOW)
        self.assertEqual(signal.state, "new")
        self.assertFalse(signal.activity_id)

    def test_without_the_automation_the_signal_waits_for_a_person(self):
        self.env.ref("usage_crm_signals.automation_usage_drop").active = False
        signal = self.drop_signal()
        self.assertEqual(signal.state, "new")
        self.assertFalse(signal.activity_id)

    def test_people_may_add_automations_of_their_own(self):
        model = self.env["ir.model"]._get("usage.signal")
        automation = self.env["base.automation"].create(
            {"name": "Drops open opportunities too", "model_id": model.id, "trigger": "on_create"}
        )
        self.env["ir.actions.server"].create(
            {
                "name": "Open one",
                "model_id": model.id,
                "usage": "base_automation",
                "base_automation_id": automation.id,
                "state": "code",
                "code": "records._open_opportunity()",
            }
        )
        signal = self.drop_signal()
        self.assertTrue(signal.lead_id)
        self.assertTrue(signal.activity_id)

    def test_texts_are_in_the_language_of_the_salesperson(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        self.salesperson.lang = "fr_FR"
        customer = self.new_customer("Contoso")
        self.use_weeks(self.new_account(customer), [100000, 100000, 100000, 100000, 1000.5])
        note = self.detect(self.drop_rule).activity_id.note
        self.assertIn("1 000,5", note.replace("\u202f", " ").replace("\xa0", " ").replace("&nbsp;", " "))
