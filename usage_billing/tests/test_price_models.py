"""Every pricing model and every step around it, from events to the charge, calculated by hand."""

from datetime import datetime, timedelta
from decimal import Decimal

from odoo.exceptions import ValidationError
from odoo.fields import Command
from odoo.tests import tagged

from odoo.addons.usage_billing.explanation import Explanation
from odoo.addons.usage_billing.rating import MODELS
from odoo.addons.usage_billing.terms import MODELS as TERMS

from .common import END, MARCH, START, UsageBillingCommon

NOON, EVENING = datetime(2025, 3, 10, 12, 20), datetime(2025, 3, 10, 22, 40)


class PriceModelCommon(UsageBillingCommon):
    """``bill(usage, **price)`` rates usage of March by a price; ``usage`` is a list of (tokens, more)."""

    bills = 0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.meter.write({"dimensions": "model, region, unit"})
        cls._recount()

    def bill(self, usage, zone="UTC", start="2025-01-01", **values):
        """The charge of a customer of its own for usage in March, the explanation told to the end."""
        self.bills += 1
        price = self._price(plan_id=self._plan(f"plan{self.bills}").id, **values)
        name = f"customer{self.bills}"
        partner = self.env["res.partner"].create({"name": name, "is_company": True})
        self._account(name, partner)
        self.billed = self._subscription(partner_id=partner.id, plan_id=price.plan_id.id, tz=zone, date_start=start)
        for tokens, more in usage:
            self.use(tokens, subject=name, **{"at": MARCH, **more})
        statement = self.rated(END - timedelta(seconds=1), self.billed)
        self.charge = statement.charge_ids
        self.assertEqual(len(self.charge), 1)
        self.told()
        return self.charge.result["amount"]

    def told(self):
        """Every step is told in words, and the same facts give the same charge."""
        for step in self.charge.explanation:
            self.assertTrue(hasattr(Explanation, f"_row_{step['step']}"), step)
        self.assertIn("<table", self.charge.explanation_html)
        self.assertTrue(self.charge.price_description)
        before = (self.charge.id, self.charge.fingerprint)
        self.charge.statement_id.with_user(self.preparer).action_rate()
        after = self.charge.statement_id.charge_ids
        self.assertEqual((after.id, after.fingerprint), before)

    def part(self, values=(), **terms):
        """A row of a matrix: the command that creates it."""
        named = {f"value_{number}": value for number, value in enumerate(values, 1)}
        return Command.create({**named, **terms})

    def tier(self, **values):
        return Command.create(values)

    def steps(self, name):
        return [step for step in self.charge.explanation if step["step"] == name]


@tagged("post_install", "-at_install")
class TestPriceModels(PriceModelCommon):
    def test_every_model_of_the_core_is_offered(self):
        self.assertEqual(set(TERMS), set(MODELS))
        offered = dict(self.env["usage.price"]._fields["model"].selection)
        self.assertEqual(set(offered), set(MODELS))

    def test_volume(self):
        """1,200 units reach the second tier: all cost 0.80, plus its 5.00."""
        tiers = ((1000, 1, 0), (0, 0.8, 5))
        self.assertEqual(self.bill([(1200, {})], model="volume", tiers=tiers), "965.00")

    def test_volume_above_a_last_tier_with_an_end(self):
        """The price of the last tier goes on: 30 × 2."""
        values = {"model": "volume", "tiers": ((10, 3, 0), (20, 2, 0)), "beyond_last_tier": "last_tier"}
        self.assertEqual(self.bill([(30, {})], **values), "60.00")

    def test_usage_above_the_last_tier_blocks(self):
        price = self._price(model="volume", tiers=((10, 3, 0),), beyond_last_tier="refuse")
        self.subscription.line_ids.price_id = price
        self.use(11)
        statement = self.statement()
        statement.with_user(self.preparer).action_rate()
        self.assertRegex(statement.blocked_reason, "above the last tier")

    def test_in_which_tier_a_bound_itself_is(self):
        """10 units where a tier goes up to 10: 10 × 3.00 in it, 10 × 2.00 in the next one."""
        values = {"model": "volume", "tiers": ((10, 3, 0), (0, 2, 0))}
        self.assertEqual(self.bill([(10, {})], **values), "30.00")
        self.assertEqual(self.bill([(10, {})], bounds="exclusive", **values), "20.00")
        self.assertIn("a bound itself at the next one's", self.charge.price_id.description)

    def test_a_tier_with_a_maximum(self):
        """First tier 100 × 1 but at most 60, then 50 × 0.5."""
        tiers = [
            self.tier(sequence=1, up_to=100, unit_amount=1, maximum_amount=60),
            self.tier(sequence=2, unit_amount=0.5),
        ]
        self.assertEqual(self.bill([(150, {})], model="graduated", tier_ids=tiers), "85.00")

    def test_flat_on_zero(self):
        values = {"model": "graduated", "tiers": ((10, 1, 7), (0, 1, 0))}
        self.assertEqual(self.bill([], flat_on_zero=True, **values), "7.00")
        self.assertEqual(self.bill([], **values), "0.00")

    def test_units_count_from_their_day(self):
        """In March's 31 days: 10 from the 1st cost 10, 31 from the 17th the 15 days that remain: 15."""
        usage = [(10, {"at": START}), (31, {"at": datetime(2025, 3, 17, 9)})]
        values = {"model": "graduated", "tiers": ((0, 1, 0),), "prorated": True}
        self.assertEqual(self.bill(usage, **values), "25.00")

    def test_blocks(self):
        """1,001 units: 10 blocks of 100 at 1.00 fill the first tier, one block of 1,000 at 5.00 is started."""
        tiers = [
            self.tier(sequence=1, block_size=100, blocks=10, amount=1),
            self.tier(sequence=2, block_size=1000, amount=5),
        ]
        self.assertEqual(self.bill([(1001, {})], model="blocks", tier_ids=tiers), "15.00")
        # All units in blocks of 1,000 where the tier reached prices all: 2 × 5.00; full ones only: 1 × 5.00.
        self.assertEqual(self.bill([(1001, {})], model="blocks", tier_ids=tiers, policy="top_tier"), "10.00")
        again = {"policy": "top_tier", "package_rounding": "down"}
        self.assertEqual(self.bill([(1001, {})], model="blocks", tier_ids=tiers, **again), "5.00")

    def test_percentage_of_the_sum(self):
        """2.5% of 400.40 is 10.01; no event is looked at."""
        usage = [(Decimal("100.10"), {}), (Decimal("300.30"), {})]
        self.assertEqual(self.bill(usage, model="percentage", percent=2.5), "10.01")

    def test_percentage_of_every_event(self):
        """2% + 0.30 an event, at least 1.00 and at most 5.00: 1.00 + 2.30 + 5.00."""
        usage = [(10, {}), (100, {}), (900, {})]
        values = {"percent": 2, "fixed_amount": 0.3, "minimum_per_event": 1, "maximum_per_event": 5}
        self.assertEqual(self.bill(usage, model="percentage", **values), "8.30")
        [step] = self.steps("percentage")
        self.assertEqual((step["events"], step["at_minimum"], step["at_maximum"]), (3, 1, 1))

    def test_free_events_and_amounts(self):
        """The first event is free, of 100 the 50 that remain free are taken off: 10% of 50 and of 40."""
        usage = [(50, {"at": MARCH}), (100, {"at": NOON}), (40, {"at": EVENING})]
        self.assertEqual(self.bill(usage, model="percentage", percent=10, free_amount=100, fixed_amount=0.5), "10.00")
        self.assertEqual(self.bill(usage, model="percentage", percent=10, free_events=2), "4.00")

    def test_percentage_of_money_beside_the_value(self):
        """The meter counts units; the money stands in payment.amount, also as text: 1% of 250.50 + 49.50."""
        usage = [(1, {"payment": {"amount": Decimal("250.50")}}), (1, {"payment": {"amount": "49.50"}})]
        values = {"model": "percentage", "percent": 1, "amount_path": "payment.amount"}
        self.assertEqual(self.bill(usage, **values), "3.00")
        self.assertEqual((self.charge.metered, self.charge.exact_quantity), ("2", "2 unit"))

    def test_events_without_money_block(self):
        price = self._price(model="percentage", percent=1, amount_path="payment.amount")
        self.subscription.line_ids.price_id = price
        self.use(1)
        statement = self.statement()
        statement.with_user(self.preparer).action_rate()
        self.assertRegex(statement.blocked_reason, "1 events have no number at data.payment.amount")

    def test_graduated_percentage(self):
        """1% of 1,000 + 200, then 2% of 500 + 300: 10 + 200 + 10 + 300."""
        tiers = [
            self.tier(sequence=1, up_to=1000, percent=1, flat_amount=200),
            self.tier(sequence=2, percent=2, flat_amount=300),
        ]
        self.assertEqual(self.bill([(1500, {})], model="graduated_percentage", tier_ids=tiers), "520.00")

    def test_capacity_of_the_highest_hour(self):
        """Hours of 60 and 90: 90 does not fit 80, the second tier costs 30."""
        tiers = [self.tier(sequence=1, up_to=80, amount=10), self.tier(sequence=2, amount=30)]
        usage = [(60, {"at": NOON}), (50, {"at": EVENING}), (40, {"at": EVENING})]
        self.assertEqual(self.bill(usage, model="capacity", tier_ids=tiers), "30.00")
        self.assertEqual(self.charge.metered, "150")

    def test_capacity_of_several_units(self):
        """4 seats fit 5, 101 GB do not fit 100: the second tier."""
        tiers = [
            self.tier(sequence=1, amount=10, limits="seats = 5, gb = 100"),
            self.tier(sequence=2, amount=30, limits="seats = none, gb = none"),
        ]
        usage = [(4, {"unit": "seats"}), (101, {"unit": "gb"})]
        values = {"model": "capacity", "unit_dimension": "unit", "tier_ids": tiers}
        self.assertEqual(self.bill(usage, **values), "30.00")

    def test_matrix_with_a_fallback(self):
        """Large in eu 10 × 3, large elsewhere 10 × 2, all others 5 × 1."""
        parts = [
            self.part(("large", "eu"), sequence=1, unit_amount=3),
            self.part(("large",), sequence=2, unit_amount=2),
            self.part(sequence=3, unit_amount=1),
        ]
        usage = [
            (10, {"model": "large", "region": "eu"}),
            (10, {"model": "large", "region": "us"}),
            (5, {"model": "small", "region": "eu"}),
        ]
        values = {"model": "dimensional", "dimension_1": "model", "dimension_2": "region", "part_ids": parts}
        self.assertEqual(self.bill(usage, **values), "55.00")
        self.assertIn("large · eu", self.charge.explanation_html)
        self.assertIn("All others", self.charge.explanation_html)

    def test_matrix_of_tiers(self):
        """A row may be a price of any model: large graduated 10 × 2 + 5 × 1, small by the package 2 × 4."""
        parts = [
            self.part(
                ("large",),
                sequence=1,
                model="graduated",
                tier_ids=[self.tier(sequence=1, up_to=10, unit_amount=2), self.tier(sequence=2, unit_amount=1)],
            ),
            self.part(("small",), sequence=2, model="package", package_size=10, package_amount=4),
        ]
        usage = [(15, {"model": "large"}), (11, {"model": "small"})]
        values = {"model": "dimensional", "dimension_1": "model", "part_ids": parts, "minimum_amount": 50}
        self.assertEqual(self.bill(usage, **values), "50.00")
        self.assertEqual([step["amount"] for step in self.steps("minimum")], ["17"])

    def test_without_a_fallback_other_usage_blocks(self):
        values = {"model": "dimensional", "dimension_1": "model"}
        self.subscription.line_ids.price_id = self._price(part_ids=[self.part(("large",), unit_amount=1)], **values)
        self.use(1, model="small")
        statement = self.statement()
        statement.with_user(self.preparer).action_rate()
        self.assertRegex(statement.blocked_reason, "no price matches")

    def test_time_of_day(self):
        """Nights (22 to 6) 0.50, else 1.00: 10 × 1 + 10 × 0.5."""
        parts = [
            self.part(sequence=1, time_from=22, time_to=6, unit_amount=0.5),
            self.part(sequence=2, unit_amount=1),
        ]
        usage = [(10, {"at": NOON}), (10, {"at": EVENING})]
        self.assertEqual(self.bill(usage, model="time_of_day", part_ids=parts), "15.00")
        # In New York 22:40 UTC is afternoon: both at day's price.
        self.assertEqual(self.bill(usage, zone="America/New_York", model="time_of_day", part_ids=parts), "20.00")
        # Windows that begin within the hour are read from the events: 12:20 is inside 12:15–12:30.
        parts = [self.part(time_from=12.25, time_to=12.5, unit_amount=3), self.part(sequence=20, unit_amount=1)]
        self.assertEqual(self.bill(usage, model="time_of_day", part_ids=parts), "40.00")

    def test_price_in_the_event(self):
        """40.2 + 10 cents."""
        usage = [(1, {"price": Decimal("40.2")}), (1, {"price": 10})]
        values = {"model": "event_price", "amount_path": "price", "amount_divisor": 100}
        self.assertEqual(self.bill(usage, **values), "0.50")
        self.assertEqual(self.charge.result["unrounded"], "0.502")

    def test_cost_plus(self):
        """Cost 1.50 + 2.50, 20% of it, and 0.10 for each of 10 units."""
        usage = [(5, {"cost": Decimal("1.50")}), (5, {"cost": Decimal("2.50")})]
        values = {"model": "cost_plus", "amount_path": "cost", "margin_percent": 20, "margin_per_unit": 0.1}
        self.assertEqual(self.bill(usage, **values), "5.80")

    def test_amounts_in_cents(self):
        """Payments of 200.00 and 300.00 in cents, by every price of money that stands in the events."""
        usage = [(1, {"cents": 20000, "at": NOON}), (1, {"cents": 30000, "at": EVENING})]
        tiers = [self.tier(sequence=1, up_to=400, percent=1), self.tier(sequence=2, percent=10)]
        cases = [
            # 2% of 500, and 0.30 for each payment.
            ("10.60", {"model": "percentage", "percent": 2, "fixed_amount": 0.3}),
            ("6.00", {"model": "percentage", "percent": 2, "free_amount": 200}),
            # 1% of the first 400, and 10% of 100.
            ("14.00", {"model": "graduated_percentage", "tier_ids": tiers}),
            # 500, 20% of it, and 0.10 for each payment.
            ("600.20", {"model": "cost_plus", "margin_percent": 20, "margin_per_unit": 0.1}),
            ("500.00", {"model": "event_price"}),
        ]
        for amount, values in cases:
            with self.subTest(values["model"]):
                values.update(amount_path="cents", amount_divisor=100)
                self.assertEqual(self.bill(usage, **values), amount)
                self.assertIn("divided by 100", self.charge.price_id.description)

    def test_amounts_in_cents_in_a_matrix(self):
        """The whole price says how money is written: 500.00 as it is, 10% of 50.00, 20.00 and a half of it."""
        parts = [
            self.part(("own",), sequence=1, model="event_price"),
            self.part(("card",), sequence=2, model="percentage", percent=10),
            self.part(sequence=3, model="cost_plus", margin_percent=50),
        ]
        usage = [
            (1, {"model": model, "cents": cents}) for model, cents in (("own", 50000), ("card", 5000), ("x", 2000))
        ]
        values = {"model": "dimensional", "dimension_1": "model", "part_ids": parts}
        self.assertEqual(self.bill(usage, amount_path="cents", amount_divisor=100, **values), "535.00")

    def test_recurring(self):
        self.assertEqual(self.bill([(7, {})], model="recurring", fee_amount=50), "50.00")
        self.assertEqual(self.bill([(7, {})], model="recurring", fee_amount=5, fee_per_unit=True), "35.00")

    def test_recurring_for_a_part_of_the_period(self):
        """From the 8th: 24 of 31 days of 50."""
        values = {"model": "recurring", "fee_amount": 50, "prorate_fee": True}
        self.assertEqual(self.bill([], start="2025-03-08", **values), "38.71")
        self.assertEqual(self.bill([], start="2025-03-08", prorate_by="second", **values), "38.71")

    def test_a_fee_without_a_meter(self):
        self.assertEqual(self.bill([], model="recurring", fee_amount=9, meter_id=False), "9.00")
        self.assertFalse(self.charge.meter_id)
        self.charge.statement_id._reconcile()
        self.assertEqual(self.charge.statement_id.reconciliation_ids.state, "matched")

    def test_a_fee_in_advance(self):
        """The first statement has the fee of its own period (24 of 31 days) and of the next, later ones the next's."""
        values = {"model": "recurring", "fee_amount": 31, "prorate_fee": True, "timing": "advance"}
        self.assertEqual(self.bill([], start="2025-03-08", **values), "55.00")
        april = self.rated(datetime(2025, 4, 10), self.billed)
        self.assertEqual(april.charge_ids.result["amount"], "31.00")
        self.billed.date_end = "2025-05-31"
        self.assertEqual(self.rated(datetime(2025, 5, 10), self.billed).charge_ids.amount, 0)


@tagged("post_install", "-at_install")
class TestPriceSteps(PriceModelCommon):
    def test_trial(self):
        """The subscription starts on March 5th, 7 days are free: 10 on the 10th are, 5 on the 12th are not."""
        usage = [(10, {"at": MARCH}), (5, {"at": datetime(2025, 3, 12, 0, 30)})]
        self.assertEqual(self.bill(usage, start="2025-03-05", unit_amount=1, trial_days=7), "5.00")
        self.assertEqual((self.charge.metered, self.charge.result["quantity"]), ("15", "5"))
        self.charge.statement_id._reconcile()
        self.assertEqual(self.charge.statement_id.reconciliation_ids.state, "matched")

    def test_trial_of_what_does_not_add_up(self):
        """What follows the trial is aggregated by itself, as if it began on March 12th: 10, 6, 10 and 8 seats."""
        noons = [datetime(2025, 3, day, 12) for day in (10, 12, 13, 14, 15)]
        levels = list(zip((4, 10, 6, 10, 8), noons, strict=True))
        cases = {
            "max": ("10", "4", "10.00"),
            "min": ("4", "4", "6.00"),
            "average": ("7.6", "4", "8.50"),
            "latest": ("8", "4", "8.00"),
            "unique_count": ("4", "1", "3.00"),  # different numbers: 10, 6 and 8
        }
        for aggregation, (metered, free, amount) in cases.items():
            with self.subTest(aggregation):
                kind = f"level.{aggregation}"
                meter = self._meter(aggregation, aggregation=aggregation, value_path="tokens", event_type=kind)
                usage = [(tokens, {"at": at, "event_type": kind}) for tokens, at in levels]
                values = {"start": "2025-03-05", "meter_id": meter.id, "unit_amount": 1, "trial_days": 7}
                self.assertEqual(self.bill(usage, **values), amount)
                [step] = self.steps("trial")
                self.assertEqual((self.charge.metered, step["free"]), (metered, free))
                self.charge.statement_id._reconcile()
                self.assertEqual(self.charge.statement_id.reconciliation_ids.state, "matched")

    def test_trial_of_levels_over_time(self):
        """4 GB from the 10th at noon, 10 from the 12th, none from the 13th: of the 12th 12 hours × 4 and 24 × 10."""
        meter = self._meter("gb", aggregation="time_weighted", value_path="tokens", event_type="gb")
        usage = [
            (level, {"at": datetime(2025, 3, day, 12), "event_type": "gb"})
            for level, day in ((4, 10), (10, 12), (0, 13))
        ]
        values = {"start": "2025-03-05", "meter_id": meter.id, "unit_amount": 1, "trial_days": 7}
        self.assertEqual(self.bill(usage, **values), "288.00")
        self.assertEqual((self.charge.metered, self.steps("trial")[0]["free"]), ("432", "144"))

    def test_trial_of_groups(self):
        """Each region has a peak of its own after the trial: 10 and 3, at 2.00 for the first 5 and 1.00 above."""
        peak = self._meter(
            "peak", aggregation="max", value_path="tokens", event_type="peak", dimensions="model, region, unit"
        )
        of = {"event_type": "peak"}
        usage = [
            (40, {"at": MARCH, "region": "eu", **of}),
            (10, {"at": datetime(2025, 3, 12, 12), "region": "eu", **of}),
            (6, {"at": datetime(2025, 3, 13, 12), "region": "eu", **of}),
            (3, {"at": datetime(2025, 3, 13, 12), "region": "us", **of}),
        ]
        values = {"model": "graduated", "tiers": ((5, 2, 0), (0, 1, 0)), "group_by": "region", "trial_days": 7}
        self.assertEqual(self.bill(usage, start="2025-03-05", meter_id=peak.id, **values), "21.00")

    def test_trial_that_ends_within_an_hour(self):
        """In St. John's the trial ends on March 12th at 3:30 UTC: 7 at 3:20 are free, 5 at 3:40 are not."""
        usage = [(7, {"at": datetime(2025, 3, 12, 3, 20)}), (5, {"at": datetime(2025, 3, 12, 3, 40)})]
        values = {"zone": "America/St_Johns", "start": "2025-03-05", "unit_amount": 1, "trial_days": 7}
        self.assertEqual(self.bill(usage, **values), "5.00")
        # The highest hour of each day in UTC, of which 3:30 to 4:00 is what follows the trial.
        self.assertEqual(self.bill(usage, bucket_interval="day", tz="UTC", **values), "5.00")

    def test_a_period_in_the_trial(self):
        values = {"unit_amount": 1, "minimum_amount": 50, "trial_days": 40}
        self.assertEqual(self.bill([(10, {})], start="2025-03-05", **values), "0.00")

    def test_peak_of_every_day(self):
        """The 10th has hours of 60 and 90, the 11th one of 20: 90 + 20 at 0.10."""
        usage = [
            (60, {"at": NOON}),
            (50, {"at": EVENING}),
            (40, {"at": EVENING}),
            (20, {"at": NOON + timedelta(days=1)}),
        ]
        bucket = {"unit_amount": 0.1, "bucket_interval": "day"}
        self.assertEqual(self.bill(usage, **bucket), "11.00")
        # Of single events the highest are 60 and 20.
        self.assertEqual(self.bill(usage, bucket_pieces="event", **bucket), "8.00")

    def test_hours_of_kathmandu(self):
        """Local hours begin at :15 UTC: 12:20 and 13:10 are one hour there, so its sum of 30 is the peak."""
        usage = [(10, {"at": NOON}), (20, {"at": NOON + timedelta(minutes=50)})]
        values = {"unit_amount": 1, "bucket_interval": "day", "tz": "Asia/Kathmandu"}
        self.assertEqual(self.bill(usage, **values), "30.00")
        self.assertEqual(self.bill(usage, **{**values, "tz": "UTC"}), "20.00")

    def test_empty_days_owe_their_commitment(self):
        """31 days of at least 1.00; one day of 5.00: 30 + 5."""
        values = {
            "unit_amount": 1,
            "bucket_interval": "day",
            "bucket_empty": "zero",
            "commitment_type": "amount",
            "commitment_value": 1,
            "commitment_per": "window",
        }
        self.assertEqual(self.bill([(5, {})], **values), "35.00")

    def test_tiers_for_each_region(self):
        """Each region has its own first 10 at 2.00: (10 × 2 + 2 × 1) + 8 × 2."""
        usage = [(12, {"region": "eu"}), (8, {"region": "us"})]
        values = {"model": "graduated", "tiers": ((10, 2, 0), (0, 1, 0)), "group_by": "region"}
        self.assertEqual(self.bill(usage, **values), "38.00")

    def test_conversion_and_rounding_before_the_included_quantity(self):
        """1,400 MB are 1.4 GB, 2 when rounded up, less 0.5 included: 1.5 × 10."""
        values = {
            "unit_amount": 10,
            "conversion_operation": "divide",
            "conversion_factor": 1000,
            "quantity_rounding": "ceiling",
            "included_quantity": 0.5,
        }
        self.assertEqual(self.bill([(1400, {})], **values), "15.00")

    def test_fees_discounts_and_bounds(self):
        """100 × 1 + 20 fee, less 10% is 108, less 8 is 100, at most 90."""
        discounts = [
            Command.create({"sequence": 1, "type": "percent", "value": 10}),
            Command.create({"sequence": 2, "type": "amount", "value": 8}),
        ]
        values = {"unit_amount": 1, "flat_fee": 20, "discount_ids": discounts}
        self.assertEqual(self.bill([(100, {})], **values), "100.00")
        self.assertEqual(self.bill([(100, {})], maximum_amount=90, **values), "90.00")
        self.assertEqual(self.bill([(100, {})], minimum_amount=130, **values), "130.00")

    def test_a_flat_fee_when_used(self):
        self.assertEqual(self.bill([], unit_amount=1, flat_fee=20, flat_fee_when="used"), "0.00")

    def test_commitment_with_overage(self):
        """Committed to 10: 2 × 2 is trued up to 10; 8 × 2 = 16 is 6 above, which count twice: 22."""
        values = {"unit_amount": 2, "commitment_type": "amount", "commitment_value": 10, "overage_factor": 2}
        self.assertEqual(self.bill([(2, {})], **values), "10.00")
        self.assertEqual(self.bill([(8, {})], **values), "22.00")
        values.update(commitment_type="quantity", commitment_value=5, commitment_true_up=False)
        self.assertEqual(self.bill([(2, {})], **values), "4.00")

    def test_minimum_for_a_part_of_the_period(self):
        """From the 17th: 15 of 31 days of 62."""
        values = {"unit_amount": 1, "minimum_amount": 62, "prorate_minimum": True}
        self.assertEqual(self.bill([], start="2025-03-17", **values), "30.00")

    def test_options_of_prices(self):
        """Each option of a price with every choice it has, on the same usage: (choice, amount, ...)."""
        regions = [(12, {"region": "eu"}), (3, {"region": "us"})]
        payments = [(50, {"at": MARCH}), (50, {"at": NOON}), (40, {"at": EVENING})]
        cents = [(Decimal("0.1"), {"at": at}) for at in (MARCH, NOON, EVENING)]
        late = [(100, {"at": datetime(2025, 3, 20)})]
        percentage = {"model": "percentage", "percent": 10, "fixed_amount": 0.5}
        from_the_17th = {"start": "2025-03-17", "unit_amount": 1}  # 15 of 31 days
        cases = [
            # Of 12 + 3 units 5 are included, or 5 of the 12 and all of the 3.
            (
                "included_per",
                "price",
                "10.00",
                regions,
                {"unit_amount": 1, "included_quantity": 5, "group_by": "region"},
            ),
            ("included_per", "part", "7.00", regions, {"unit_amount": 1, "included_quantity": 5, "group_by": "region"}),
            # The first two payments are the free 100; 10% of 40 and 0.50, and 0.50 for the second one or not.
            ("event_at_free_amount", "free", "4.50", payments, {"free_amount": 100, **percentage}),
            ("event_at_free_amount", "paid", "5.00", payments, {"free_amount": 100, **percentage}),
            # Two events that move no money.
            ("fixed_on_zero_base", True, "1.00", [(0, {}), (0, {})], percentage),
            ("fixed_on_zero_base", False, "0.00", [(0, {}), (0, {})], percentage),
            # 5% of three times 0.10, where lines are rounded: 0.015 is 0.02, three times 0.005 is 0.03.
            ("percentage_lines", "total", "0.02", cents, {"model": "percentage", "percent": 5, "rounding": "lines"}),
            ("percentage_lines", "event", "0.03", cents, {"model": "percentage", "percent": 5, "rounding": "lines"}),
            ("prorate_maximum", False, "62.00", late, {"maximum_amount": 62, **from_the_17th}),
            ("prorate_maximum", True, "30.00", late, {"maximum_amount": 62, **from_the_17th}),
            ("prorate_flat_fee", False, "131.00", late, {"flat_fee": 31, **from_the_17th}),
            ("prorate_flat_fee", True, "115.00", late, {"flat_fee": 31, **from_the_17th}),
        ]
        for option, choice, amount, usage, values in cases:
            with self.subTest(option=option, choice=choice):
                self.assertEqual(self.bill(usage, **{option: choice}, **values), amount)

    def test_rounding_of_lines_and_its_rule(self):
        """Two lines of 0.005: together 0.01, each rounded half up 0.02, half to even 0.00."""
        tiers = ((1, 0.005, 0), (0, 0.005, 0))
        values = {"model": "graduated", "tiers": tiers}
        self.assertEqual(self.bill([(2, {})], **values), "0.01")
        self.assertEqual(self.bill([(2, {})], rounding="lines", **values), "0.02")
        self.assertEqual(self.bill([(2, {})], rounding="lines", rounding_mode="half_even", **values), "0.00")


@tagged("post_install", "-at_install")
class TestPriceSetUpErrors(PriceModelCommon):
    """Bad set-ups are refused on save; the message names the field as it is on the screen, and the remedy."""

    def refused(self, regex, **values):
        with self.assertRaisesRegex(ValidationError, regex):
            self._price(approved=False, **values)

    def test_tiers(self):
        tiers = ((10, 1, 0), (5, 1, 0), (0, 1, 0))
        self.refused("Tiers, line 2, Up To: .*Remedy", model="graduated", tiers=tiers)

    def test_a_negative_commitment(self):
        self.refused("Commitment.*negative", unit_amount=1, commitment_type="amount", commitment_value=-5)

    def test_a_minimum_above_the_maximum(self):
        self.refused("Minimum: .*above the maximum", unit_amount=1, minimum_amount=5, maximum_amount=4)

    def test_a_discount_of_more_than_everything(self):
        discounts = [Command.create({"type": "percent", "value": 120})]
        self.refused("Discounts, line 1", unit_amount=1, discount_ids=discounts)

    def test_a_dimension_that_the_meter_does_not_have(self):
        values = {"model": "dimensional", "dimension_1": "planet", "part_ids": [self.part(("earth",), unit_amount=1)]}
        self.refused("planet to the meter's", **values)
        self.refused("planet to the meter's", unit_amount=1, group_by="planet")

    def test_a_value_of_no_dimension(self):
        values = {"dimension_1": "model", "part_ids": [self.part(("large", "eu"), unit_amount=1)]}
        self.refused("Prices, line 1.*name the dimension", model="dimensional", **values)

    def test_two_fallbacks(self):
        parts = [self.part(sequence=1, unit_amount=1), self.part(sequence=2, unit_amount=2)]
        self.refused("Prices, line 1", model="dimensional", dimension_1="model", part_ids=parts)

    def test_windows_that_overlap(self):
        parts = [
            self.part(sequence=1, time_from=8, time_to=12, unit_amount=1),
            self.part(sequence=2, time_from=11, time_to=14, unit_amount=1),
            self.part(sequence=3, unit_amount=1),
        ]
        self.refused("Prices, line 2, From", model="time_of_day", part_ids=parts)
        self.refused("row without hours", model="time_of_day", part_ids=parts[:1])

    def test_an_error_in_a_row(self):
        self.refused(
            "Prices, line 1, Prices?.*Unit Amount|Prices, line 1, Unit Amount",
            model="dimensional",
            dimension_1="model",
            part_ids=[self.part(("large",), unit_amount=-1)],
        )

    def test_money_that_stands_nowhere(self):
        self.refused("Amount in the Event", model="event_price")
        self.refused("Amount in the Event", model="cost_plus")

    def test_limits_that_are_no_limits(self):
        values = {"model": "capacity", "unit_dimension": "unit"}
        self.refused("Tiers, line 1, Limits", tier_ids=[self.tier(amount=1, limits="seats 5")], **values)

    def test_usage_without_a_meter(self):
        self.refused("choose the meter", unit_amount=1, meter_id=False)

    def test_tiers_are_checked_when_all_lines_are_written(self):
        """Moving all bounds up passes through states that would be refused by themselves."""
        price = self._price(approved=False, model="graduated", tiers=((10, 2, 0), (20, 1, 0), (0, 1, 0)))
        first, second, _last = price.tier_ids
        price.tier_ids = [Command.update(first.id, {"up_to": 20}), Command.update(second.id, {"up_to": 30})]
        self.assertEqual(price.tier_ids.mapped("up_to"), [20, 30, 0])

    def test_parts_of_an_approved_price_stay(self):
        price = self._price(
            model="dimensional", dimension_1="model", part_ids=[self.part(("large",), unit_amount=1), self.part()]
        )
        for change in (
            lambda: price.part_ids[0].write({"unit_amount": 9}),
            price.part_ids[0].unlink,
            lambda: price.create({"parent_id": price.id, "value_1": "x"}),
        ):
            with self.assertRaisesRegex(Exception, "approved and stays"):
                change()

    def test_a_copy_has_parts_of_its_own(self):
        price = self._price(
            model="dimensional", dimension_1="model", part_ids=[self.part(("large",), unit_amount=1), self.part()]
        )
        plan = self.plan.copy()
        copy = plan.price_ids.filtered(lambda copied: copied.model == "dimensional")
        self.assertEqual((copy.part_ids.plan_id, len(copy.part_ids)), (plan, 2))
        self.assertEqual(copy.description, price.description)

    def test_periods_end(self):
        """What is outside of the period is not read, in whatever shape."""
        usage = [(1, {"at": START}), (2, {"at": END - timedelta(seconds=1)}), (4, {"at": END})]
        values = {"model": "dimensional", "dimension_1": "model", "part_ids": [self.part(unit_amount=1)]}
        self.refused("prices", **values)
        values["part_ids"] += [self.part(("large",), unit_amount=1)]
        self.assertEqual(self.bill(usage, **values), "3.00")
