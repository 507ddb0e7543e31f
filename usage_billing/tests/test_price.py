from psycopg2 import IntegrityError

from odoo.exceptions import UserError, ValidationError
from odoo.fields import Command
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from odoo.addons.usage_billing import rating

from .common import UsageBillingCommon

GRADUATED = ((1_000_000, 1.5, 0), (0, 1.2, 0))


@tagged("post_install", "-at_install")
class TestPriceInWords(UsageBillingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.meter.unit_name = "tokens"

    def words(self, **values):
        return self._price(approved=False, **values).description

    def test_per_unit(self):
        self.assertEqual(self.words(unit_amount=0.5), "0.50 USD per tokens")

    def test_per_million(self):
        self.assertEqual(self.words(unit_amount=0.5, per_quantity=1e6), "0.50 USD per million tokens")

    def test_per_thousand(self):
        self.assertEqual(self.words(unit_amount=2, per_quantity=1000), "2.00 USD per thousand tokens")

    def test_per_another_number(self):
        self.assertEqual(self.words(unit_amount=2, per_quantity=2500), "2.00 USD per 2,500 tokens")

    def test_small_amounts_keep_every_digit(self):
        self.assertEqual(self.words(unit_amount=0.0000005), "0.0000005 USD per tokens")

    def test_graduated(self):
        self.assertEqual(
            self.words(model="graduated", per_quantity=1e6, tiers=GRADUATED),
            "1.50 USD per million tokens up to 1,000,000, then 1.20 USD",
        )

    def test_flat_amount_of_a_tier(self):
        self.assertEqual(
            self.words(model="graduated", tiers=((10, 0, 5), (0, 1, 0))),
            "0.00 USD per tokens plus 5.00 USD up to 10, then 1.00 USD",
        )

    def test_packages(self):
        self.assertEqual(
            self.words(model="package", package_size=1000, package_amount=5),
            "5.00 USD per started package of 1,000 tokens",
        )
        self.assertEqual(
            self.words(model="package", package_size=1000, package_amount=5, package_rounding="down"),
            "5.00 USD per full package of 1,000 tokens",
        )
        self.assertEqual(
            self.words(model="package", package_size=1000, package_amount=5, package_rounding="half_up"),
            "5.00 USD per package of 1,000 tokens, from half full on",
        )

    def test_included_quantity(self):
        self.assertEqual(
            self.words(unit_amount=1, included_quantity=80_000_000),
            "First 80,000,000 included, then 1.00 USD per tokens",
        )

    def test_display_name_names_the_meter(self):
        price = self._price(unit_amount=1)
        self.assertEqual(price.display_name, "Tokens: 1.00 USD per tokens")


@tagged("post_install", "-at_install")
class TestPriceDefinition(UsageBillingCommon):
    def definition(self, **values):
        definition = self._price(approved=False, **values)._definition()
        self.assertTrue(definition.pop("version"))
        rating.parse_price(definition)  # what we hand over can be read
        return definition

    def test_per_unit(self):
        self.assertEqual(
            self.definition(unit_amount=0.5, per_quantity=1e6),
            {"model": "per_unit", "unit_amount": "0.5", "per": "1000000"},
        )

    def test_floats_are_written_as_they_were_typed(self):
        self.assertEqual(self.definition(unit_amount=0.1)["unit_amount"], "0.1")
        self.assertEqual(self.definition(unit_amount=1e-7)["unit_amount"], "0.0000001")

    def test_graduated(self):
        self.assertEqual(
            self.definition(model="graduated", per_quantity=1e6, tiers=GRADUATED),
            {
                "model": "graduated",
                "per": "1000000",
                "tiers": [
                    {"up_to": "1000000", "unit_amount": "1.5", "flat_amount": "0"},
                    {"up_to": None, "unit_amount": "1.2", "flat_amount": "0"},
                ],
            },
        )

    def test_package(self):
        self.assertEqual(
            self.definition(model="package", package_size=1000, package_amount=5, package_rounding="down"),
            {"model": "package", "package_size": "1000", "package_amount": "5", "package_rounding": "down"},
        )

    def test_included_quantity(self):
        self.assertEqual(self.definition(unit_amount=1, included_quantity=2.5)["included_quantity"], "2.5")


@tagged("post_install", "-at_install")
class TestPriceErrors(UsageBillingCommon):
    """Bad set-ups are refused on save, with the field and the remedy."""

    def refused(self, regex, **values):
        with self.assertRaisesRegex(ValidationError, regex):
            self._price(approved=False, **values)

    def test_negative_amount(self):
        self.refused("unit_amount.*negative", unit_amount=-1)

    def test_per_zero(self):
        self.refused("per: is 0", unit_amount=1, per_quantity=0)

    def test_package_without_size(self):
        self.refused("package_size", model="package", package_amount=1)

    def test_graduated_without_tiers(self):
        self.refused("tiers", model="graduated")

    def test_tiers_that_do_not_rise(self):
        self.refused("up_to", model="graduated", tiers=((10, 1, 0), (5, 1, 0), (0, 1, 0)))

    def test_last_tier_with_an_end(self):
        self.refused("up_to.*ends the last tier", model="graduated", tiers=((10, 1, 0),))

    def test_endless_tier_in_the_middle(self):
        self.refused("up_to.*missing", model="graduated", tiers=((0, 1, 0), (0, 1, 0)))

    def test_negative_included_quantity(self):
        self.refused("included_quantity", unit_amount=1, included_quantity=-5)

    def test_tier_changed_to_something_wrong(self):
        price = self._price(approved=False, model="graduated", tiers=GRADUATED)
        with self.assertRaisesRegex(ValidationError, "up_to"):
            price.tier_ids[0].up_to = 0

    def test_end_before_start(self):
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.env.cr.savepoint():
            self._price(approved=False, unit_amount=1, date_start="2025-02-01", date_end="2025-01-01")

    def test_a_price_in_a_form(self):
        """What the form offers is enough to make a graduated price."""
        form = Form(self.env["usage.price"].with_user(self.admin).with_context(default_plan_id=self.plan.id))
        form.meter_id, form.product_id = self.meter, self.product
        form.model, form.per_quantity = "graduated", 1000
        for up_to, unit_amount in ((100, 2), (0, 1)):
            with form.tier_ids.new() as tier:
                tier.up_to, tier.unit_amount = up_to, unit_amount
        price = form.save()
        self.assertEqual(price.description, "2.00 USD per thousand unit up to 100, then 1.00 USD")


@tagged("post_install", "-at_install")
class TestPriceApproval(UsageBillingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.draft = cls._price(approved=False, unit_amount=2)

    def test_starts_as_draft_whatever_is_said(self):
        price = self._price(approved=False, unit_amount=1, state="approved", approved_by_id=self.admin.id)
        self.assertEqual((price.state, price.approved_by_id.id), ("draft", False))

    def test_second_administrator_approves(self):
        self.draft.with_user(self.second_admin).action_approve()
        self.assertEqual(self.draft.state, "approved")
        self.assertEqual(self.draft.approved_by_id, self.second_admin)
        self.assertTrue(self.draft.approved_date)

    def test_not_the_one_who_drafted(self):
        with self.assertRaisesRegex(UserError, "second administrator"):
            self.draft.with_user(self.admin).action_approve()
        with self.assertRaisesRegex(UserError, "second administrator"):
            self.draft.with_user(self.admin).sudo().action_approve()

    def test_not_without_the_role(self):
        for person in (self.viewer, self.operator, self.preparer, self.approver):
            with self.subTest(person=person.login), self.assertRaisesRegex(UserError, "Administrator"):
                self.draft.with_user(person).sudo().action_approve()

    def test_whoever_changes_the_draft_drafted_it(self):
        self.draft.with_user(self.second_admin).unit_amount = 3
        with self.assertRaisesRegex(UserError, "second administrator"):
            self.draft.with_user(self.second_admin).action_approve()
        self.draft.with_user(self.admin).action_approve()

    def test_whoever_changes_a_tier_drafted_it(self):
        draft = self._price(approved=False, model="graduated", tiers=GRADUATED)
        draft.tier_ids[1].with_user(self.second_admin).unit_amount = 1
        self.assertEqual(draft.drafted_by_id, self.second_admin)

    def test_state_is_not_written_past_the_button(self):
        for vals in ({"state": "approved"}, {"approved_by_id": self.admin.id}, {"drafted_by_id": self.viewer.id}):
            with self.subTest(vals=vals), self.assertRaisesRegex(UserError, "buttons"):
                self.draft.sudo().write(vals)

    def test_an_approved_price_stays_as_it_is(self):
        for vals in (
            {"unit_amount": 9},
            {"included_quantity": 9},
            {"model": "package"},
            {"date_start": "2025-01-01"},
            {"tier_ids": [Command.create({"unit_amount": 1})]},
        ):
            with self.subTest(vals=vals), self.assertRaisesRegex(UserError, "approved and stays"):
                self.price.write(vals)

    def test_tiers_of_an_approved_price_stay(self):
        price = self._price(model="graduated", tiers=GRADUATED)
        tier = price.tier_ids[0]
        for change in (
            lambda: tier.write({"unit_amount": 9}),
            tier.unlink,
            lambda: tier.create({"price_id": price.id, "unit_amount": 1}),
        ):
            with self.assertRaisesRegex(UserError, "approved and stays"):
                change()

    def test_an_approved_price_can_end(self):
        self.price.date_end = "2026-12-31"
        self.assertEqual(self.price.state, "approved")

    def test_an_approved_price_is_not_deleted(self):
        with self.assertRaisesRegex(UserError, "approved and stays"):
            self.price.unlink()
        self.draft.unlink()

    def test_approval_is_taken_back_while_nothing_uses_it(self):
        self.draft.with_user(self.second_admin).action_approve()
        self.draft.with_user(self.admin).action_reset_to_draft()
        self.assertEqual((self.draft.state, self.draft.approved_by_id.id), ("draft", False))
        with self.assertRaisesRegex(UserError, "Subscriptions use"):
            self.price.with_user(self.admin).action_reset_to_draft()

    def test_a_copy_waits_for_approval(self):
        price = self._price(model="graduated", tiers=GRADUATED)
        copy = price.with_user(self.admin).copy()
        self.assertEqual((copy.state, len(copy.tier_ids)), ("draft", 2))
        self.assertEqual(copy.drafted_by_id, self.admin)
