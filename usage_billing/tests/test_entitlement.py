import json
from datetime import datetime, timedelta
from pathlib import Path

import jsonschema
from freezegun import freeze_time

from odoo import fields
from odoo.exceptions import ValidationError
from odoo.tests import tagged

from odoo.addons.usage_connector_base.tests.common_query import QueryCommon

from .common import UsageBillingCommon

ENTITLEMENTS = "/usage/v1/entitlements/"
BALANCES = "/usage/v1/balances/"


@tagged("post_install", "-at_install")
class TestEntitlements(QueryCommon, UsageBillingCommon):
    """What a product is told before it serves a request. A token costs 0.50; 100 are included."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.line = cls.subscription.line_ids
        cls.line.included_quantity = 100

    def setUp(self):
        super().setUp()
        self.registry.clear_cache()  # another test may have asked within the same half minute

    def entitlement(self, account="acme"):
        return self.answer(f"{ENTITLEMENTS}{account}")["entitlements"]

    def use_now(self, tokens):
        self.use(tokens, fields.Datetime.now() - timedelta(minutes=1))

    def test_what_is_used_included_and_left(self):
        self.use_now(30)
        [told] = self.entitlement()
        _start, end = self.subscription._period(self.subscription._period_index(fields.Datetime.now()))
        self.assertEqual(told["resets_at"], f"{end.isoformat()}Z")
        told.pop("resets_at")
        self.assertEqual(
            told,
            {
                "meter": self.meter.code,
                "unit": self.meter.unit_name,
                "allowed": True,
                "used": "30",
                "included": "100",
                "remaining": "70",
                "credit": "0",
                "reason": None,
                "overage": "billed",
            },
        )

    def test_usage_is_read_anew_each_time(self):
        self.assertEqual(self.entitlement()[0]["used"], "0")
        self.use_now(7)
        self.assertEqual(self.entitlement()[0]["used"], "7")

    def test_beyond_what_is_included(self):
        self.use_now(130)
        self.assertEqual([self.entitlement()[0][name] for name in ("remaining", "allowed")], ["0", True])
        self.line.at_included_end = "stop"
        self.registry.clear_cache()
        told = self.entitlement()[0]
        names = ("remaining", "allowed", "overage", "reason")
        self.assertEqual([told[name] for name in names], ["0", False, "stopped", "included_used_up"])

    def test_a_stop_when_credit_has_ended(self):
        """3.00 are left after 104 tokens of which 100 are included, nothing after 110."""
        self.subscription.at_credit_end = "stop"
        self.use_now(101)
        self.subscription._ensure_statements(fields.Datetime.now())
        self.assertEqual(self.entitlement()[0]["reason"], "credit_used_up", "there is no credit at all")
        self.credit(5)
        self.use_now(3)
        self.assertEqual(self.entitlement()[0]["allowed"], True)
        self.use_now(6)
        told = self.entitlement()[0]
        self.assertEqual((told["allowed"], told["reason"], told["overage"]), (False, "credit_used_up", "stopped"))
        self.credit(5)
        self.assertEqual(self.entitlement()[0]["allowed"], True)

    def test_expired_and_future_credit_allow_nothing(self):
        self.subscription.at_credit_end = "stop"
        self.use_now(101)
        self.subscription._ensure_statements(fields.Datetime.now())
        self.credit(5, expires_at=fields.Datetime.now() - timedelta(minutes=5))
        self.credit(5, effective_at=fields.Datetime.now() + timedelta(days=1))
        self.assertEqual(self.entitlement()[0]["reason"], "credit_used_up")

    def test_prepaid_units(self):
        self.line.at_included_end = "stop"
        grant = self.credit(0, kind="units", meter_id=self.meter.id, quantity=20)
        self.use_now(105)
        self.subscription._ensure_statements(fields.Datetime.now())
        told = self.entitlement()[0]
        self.assertEqual((told["remaining"], told["credit"], told["allowed"]), ("0", "15", True))
        [units] = self.answer(f"{BALANCES}acme")["units"]
        self.assertEqual((units["meter"], units["balance"], units["live_balance"]), (self.meter.code, "20", "15"))
        self.assertEqual((units["grants"][0]["id"], units["grants"][0]["granted"]), (grant.name, "20"))
        self.use_now(15)
        self.assertEqual(self.entitlement()[0]["reason"], "included_used_up")

    def test_one_query_an_answer(self):
        """The set-up is remembered: of each request the quantities alone are read."""
        entitlements, sender = self.env["usage.entitlement"], self.source._as_sender()
        with freeze_time(fields.Datetime.now()):
            entitlements._entitlements(sender, "acme")
            self.env.flush_all()
            self.env.invalidate_all()
            with self.assertQueryCount(1):
                entitlements._entitlements(sender, "acme")

    def told_at(self, moment, subject):
        with freeze_time(moment):
            return self.env["usage.entitlement"]._entitlements(self.source._as_sender(), subject)["entitlements"][0]

    def test_included_in_a_part_of_a_period(self):
        """310 a month from May 22nd on: 10 of 31 days include 100, as the statement says."""
        price = self._price(unit_amount=1, included_quantity=310, prorate_included=True)
        partner = self.env["res.partner"].create({"name": "Late"})
        self._account("late", partner)
        lines = [(0, 0, {"price_id": price.id})]
        subscription = self._subscription(partner_id=partner.id, date_start="2025-05-22", line_ids=lines)
        self.use(130, datetime(2025, 5, 24), subject="late")
        told = self.told_at("2025-05-25 00:00:00", "late")
        self.assertEqual((told["included"], told["used"], told["remaining"]), ("100", "130", "0"))
        charge = self.rated(datetime(2025, 5, 25), subscription).charge_ids
        self.assertEqual((charge.amount, charge.explanation[0]["included_quantity"]), (30, "100"))
        self.assertEqual(self.told_at("2025-06-25 00:00:00", "late")["included"], "310")

    def test_included_in_a_part_of_a_contract_year(self):
        """365 a year; the line is added on July 1st: 184 days are left of it."""
        price = self._price(unit_amount=1, included_quantity=365, prorate_included=True)
        line = self.subscription.line_ids
        line.write({"price_id": price.id, "included_quantity": 365, "counted_over": "year", "date_from": "2025-07-01"})
        self.assertEqual(self.told_at("2025-08-01 00:00:00", "acme")["included"], "184")

    def test_included_in_the_unit_that_is_sold(self):
        """2 thousands are included: 2,000 as the meter counts."""
        price = self._price(unit_amount=1, included_quantity=2, conversion_operation="divide", conversion_factor=1000)
        self.line.write({"price_id": price.id, "included_quantity": 2})
        self.use(1500, datetime(2025, 5, 24))
        told = self.told_at("2025-05-25 00:00:00", "acme")
        self.assertEqual((told["included"], told["remaining"]), ("2000", "500"))

    def test_a_trial_is_free(self):
        """Free until June 5th, whatever is used; what is used from then on takes of the 100 of June."""
        price = self._price(unit_amount=1, included_quantity=100, trial_days=14)
        partner = self.env["res.partner"].create({"name": "Late"})
        self._account("late", partner)
        lines = [(0, 0, {"price_id": price.id, "at_included_end": "stop"})]
        values = {"partner_id": partner.id, "date_start": "2025-05-22", "line_ids": lines}
        subscription = self._subscription(at_credit_end="stop", **values)
        self.use(500, datetime(2025, 6, 2), subject="late")
        told = self.told_at("2025-06-03 00:00:00", "late")
        self.assertEqual((told["allowed"], told["reason"], told["used"]), (True, None, "500"))
        self.use(99, datetime(2025, 6, 5), subject="late")
        told = self.told_at("2025-06-06 00:00:00", "late")
        self.assertEqual((told["allowed"], told["used"], told["remaining"]), (True, "99", "1"))
        self.assertEqual(self.rated(datetime(2025, 6, 5), subscription).charge_ids.amount, 0)
        self.use(1, datetime(2025, 6, 5, 12), subject="late")
        told = self.told_at("2025-06-07 00:00:00", "late")
        self.assertEqual((told["reason"], told["remaining"]), ("included_used_up", "0"))

    def test_a_stop_needs_a_total(self):
        """Where each group or day has included units of its own, another one has them left: there is no stop."""
        self.meter.write({"dimensions": "region"})
        self._recount()
        for apart in ({"group_by": "region"}, {"bucket_interval": "day"}):
            price = self._price(unit_amount=1, included_quantity=100, included_per="part", **apart)
            self.line.write({"at_included_end": "bill", "price_id": price.id})
            with self.assertRaisesRegex(ValidationError, "After That: .*Choose 'Bill more'"):
                self.line.at_included_end = "stop"
        shared = self._price(unit_amount=1, included_quantity=100, group_by="region")
        self.line.write({"price_id": shared.id, "at_included_end": "stop"})
        self.assertTrue(self.entitlement()[0]["allowed"])
        version = self.env["usage.price"].browse(shared.with_user(self.admin).action_new_version()["res_id"])
        with self.assertRaisesRegex(ValidationError, "After That: .*or 'Shared'"):
            version.with_user(self.admin).included_per = "part"

    def test_accounts_of_a_customer_share(self):
        self._account("acme-eu", self.customer)
        self.use_now(30)
        self.use(20, fields.Datetime.now() - timedelta(minutes=1), subject="acme-eu")
        self.assertEqual(self.entitlement("acme-eu")[0]["used"], "50")

    def test_an_account_that_was_handed_on_is_promised_nothing(self):
        now = fields.Datetime.now().replace(minute=0, second=0)
        assignment = self.account.assignment_ids
        assignment.with_user(self.admin).date_to = now - timedelta(hours=1)
        self.assertEqual(self.entitlement(), [])

    def test_an_alias_is_the_account(self):
        self.env["usage.account.alias"].create({"account_id": self.account.id, "external_id": "acme-old"})
        self.use_now(3)
        self.assertEqual(self.entitlement("acme-old")[0]["used"], "3")

    def test_fees_are_no_entitlement(self):
        self.subscription.action_close()
        plan = self._plan("seats")
        self._price(plan_id=plan.id, meter_id=False, model="recurring", fee_amount=5)
        self._customer("Seats", plan_id=plan.id)
        self.assertEqual(self.entitlement("seats"), [])

    def test_without_a_subscription_nothing_is_promised(self):
        self._account("stranger", self.env["res.partner"].create({"name": "Stranger"}))
        self._account("nobody", self.env["res.partner"])
        self.assertEqual((self.entitlement("stranger"), self.entitlement("nobody")), ([], []))

    def test_unknown_accounts_and_other_sources(self):
        stranger = self.new_key(self._source("other-cloud"))
        for path in (ENTITLEMENTS, BALANCES):
            with self.subTest(path):
                self.assertRefused(self.get(f"{path}unheard-of"), 404, "account_unknown")
                self.assertRefused(self.get(f"{path}acme", key=stranger), 404, "account_unknown")

    def test_a_key_is_needed(self):
        self.assertNeedsKey(f"{ENTITLEMENTS}acme")

    def test_balances(self):
        grant = self.credit(10)
        self.use_now(106)
        self.subscription._ensure_statements(fields.Datetime.now())
        told = self.answer(f"{BALANCES}acme")
        self.assertEqual(
            told,
            {
                "account": "acme",
                "balances": [
                    {
                        "currency": self.company.currency_id.name,
                        "balance": "10.00",
                        "live_balance": "7.00",
                        "grants": [
                            {
                                "id": grant.name,
                                "granted": "10.00",
                                "balance": "10.00",
                                "live_balance": "7.00",
                                "effective_at": "2025-01-01T00:00:00Z",
                                "expires_at": None,
                            }
                        ],
                    }
                ],
                "units": [],
            },
        )

    def test_answers_are_as_described(self):
        document = self.env["usage.query"]._openapi("https://odoo.example.com")
        self.credit(10, expires_at="2099-01-01 00:00:00")
        self.credit(0, kind="units", meter_id=self.meter.id, quantity=20)
        self.use_now(6)
        for path, name in ((ENTITLEMENTS, "Entitlements"), (BALANCES, "Balances")):
            schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
            jsonschema.Draft202012Validator(schema).validate(self.answer(f"{path}acme"))
            self.assertIn(f"{path}{{account}}", document["paths"])
        refused = json.loads(self.get(f"{BALANCES}unheard-of").text)
        schema = {"$ref": "#/components/schemas/Error", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(refused)

    def test_the_readme_tells_of_both(self):
        readme = (Path(__file__).parents[1] / "readme/USAGE.md").read_text()
        for path in (ENTITLEMENTS, BALANCES):
            self.assertIn(f"GET {path}{{account}}", readme)

    def test_the_period_is_the_subscriptions(self):
        """In a period that has begun an hour ago, usage of the one before does not count."""
        self.use(5, datetime(2025, 4, 30, 23))
        self.use(3, datetime(2025, 5, 1, 0, 30))
        with freeze_time("2025-05-01 01:00:00"):
            sender = self.source._as_sender()
            told = self.env["usage.entitlement"]._entitlements(sender, "acme")["entitlements"][0]
        self.assertEqual((told["used"], told["resets_at"]), ("3", "2025-06-01T00:00:00Z"))
