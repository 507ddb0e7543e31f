"""Prices: what they say, in fields. ``terms/`` turns the fields into the rating core's definition."""

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from odoo.addons.base.models.res_partner import _tz_get

from .. import rating
from ..fields import Exact
from ..numbers import exact, format_amount, format_number
from ..remember import remembered
from ..terms import EVENTS, MODELS, STEPS, WHOLE, Need, check, label_of, say
from .usage_price import METERLESS, WHOLE_WRITTEN
from .usage_price_discount import DISCOUNT_FIELDS
from .usage_price_tier import TIER_FIELDS

ROUNDING = [
    ("half_up", "Half up"),
    ("half_even", "Half to even"),
    ("half_down", "Half down"),
    ("up", "Up"),
    ("down", "Down"),
]
# The core's names of the rules for quantities, which may be below zero, say so.
QUANTITY_ROUNDING = [("ceiling", "Up"), ("floor", "Down"), ("half_up", "Half up"), ("half_even", "Half to even")]
PACKAGES = [("up", "Started ones"), ("down", "Full ones"), ("half_up", "From half full on")]


class UsagePrice(models.Model):
    _inherit = "usage.price"

    model = fields.Selection(
        [(term.name, term.label) for term in MODELS.values()],
        string="Pricing",
        required=True,
        default="per_unit",
        tracking=True,
        help="; ".join(f"{term.label}: {term.about}" for term in MODELS.values()),
    )

    # -- per unit, graduated, volume, package, blocks -----------------------------------------

    unit_amount = Exact(
        min_display_digits=2, tracking=True, help="Price of as many units as 'Per' says, in the price's currency."
    )
    per_quantity = Exact(
        string="Per",
        default=1.0,
        tracking=True,
        help="How many units the amounts are for: 1000000 for a price per million.",
    )
    package_size = Exact(tracking=True, help="Units in one package.")
    package_amount = Exact(min_display_digits=2, tracking=True, help="Price of one package, in the price's currency.")
    package_rounding = fields.Selection(
        PACKAGES,
        string="Packages Counted",
        required=True,
        default="up",
        tracking=True,
        help="How a package (or block) that is not full counts.",
    )
    tier_ids = fields.One2many("usage.price.tier", "price_id", string="Tiers", copy=True)
    flat_on_zero = fields.Boolean(
        string="First Flat Amount Without Usage",
        tracking=True,
        help="Charge the first tier's flat amount in periods without any usage, too.",
    )
    beyond_last_tier = fields.Selection(
        [("last_tier", "At the last tier's price"), ("refuse", "Blocks the statement")],
        string="Above the Last Tier",
        tracking=True,
        help="What happens to usage above a last tier that has an end. Leave empty where the last tier has none.",
    )
    bounds = fields.Selection(
        [("inclusive", "The tier that ends there"), ("exclusive", "The next tier")],
        string="Exactly at a Bound",
        required=True,
        default="inclusive",
        tracking=True,
        help="Which tier prices a total of exactly the number in Up To: 1,000 where a tier goes up to 1,000.",
    )
    policy = fields.Selection(
        [("all_tiers", "Each tier its own units"), ("top_tier", "The tier reached, all units")],
        string="Tiers Apply To",
        required=True,
        default="all_tiers",
        tracking=True,
        help="Whether each tier prices the units inside it, or the highest tier reached prices all of them.",
    )
    interim = fields.Selection(
        [("wait", "With the last one"), ("bill", "With every one")],
        string="Several Invoices a Period: Volume Billed",
        required=True,
        default="wait",
        tracking=True,
        help="Where a period is invoiced in parts: bill a volume price when the total is known, or the price so far.",
    )
    prorated = fields.Boolean(
        string="Units Count From Their Day",
        tracking=True,
        help="Units that are added within the period cost the part of it that remains, as seats do.",
    )

    # -- percentage, capacity, event price, cost plus, recurring ------------------------------

    percent = Exact(string="Percentage", tracking=True, help="Per cent of the money that events move.")
    fixed_amount = Exact(
        string="Fixed Amount per Event", min_display_digits=2, tracking=True, help="Added for every event that pays."
    )
    free_events = Exact(tracking=True, help="So many events of a period pay nothing.")
    free_amount = Exact(
        min_display_digits=2, tracking=True, help="So much of the money moved in a period pays nothing."
    )
    minimum_per_event = Exact(
        string="Minimum per Event", min_display_digits=2, tracking=True, help="Each paying event costs at least this."
    )
    maximum_per_event = Exact(
        string="Maximum per Event",
        min_display_digits=2,
        tracking=True,
        help="Each paying event costs at most this; 0: no maximum.",
    )
    event_at_free_amount = fields.Selection(
        [("free", "Is free"), ("paid", "Pays the fixed amount")],
        string="Event That Uses Up the Free Amount",
        required=True,
        default="free",
        tracking=True,
        help="What becomes of an event that uses up the free amount exactly.",
    )
    fixed_on_zero_base = fields.Boolean(
        string="Fixed Amount Without Money Moved",
        default=True,
        tracking=True,
        help="Charge the fixed amounts even when all events together moved no money.",
    )
    percentage_lines = fields.Selection(
        [("total", "All events together"), ("event", "Each event")],
        string="Calculation Shows",
        required=True,
        default="total",
        tracking=True,
        help="Whether the calculation has one line for all events, or one for each.",
    )
    unit_dimension = fields.Char(
        string="Dimension of Units",
        tracking=True,
        help="The dimension whose values have limits of their own, such as unit with the values seats and gb. "
        "Empty: the meter's quantity has one limit.",
    )
    amount_path = fields.Char(
        string="Amount in the Event",
        tracking=True,
        help="Where in the event's data the money stands: a name, or names joined by points, such as payment.amount. "
        "Empty: the meter's value is the money.",
    )
    amount_divisor = Exact(
        default=1.0, tracking=True, help="The events' amounts are divided by this: 100 where they carry cents."
    )
    margin_percent = Exact(string="Margin (%)", tracking=True, help="Added to the cost, per cent.")
    margin_per_unit = Exact(
        string="Margin per Unit", min_display_digits=2, tracking=True, help="Added for every unit of the meter."
    )
    fee_amount = Exact(string="Fee", min_display_digits=2, tracking=True, help="Charged for the whole period.")
    fee_per_unit = fields.Boolean(
        string="Fee for Each Unit",
        tracking=True,
        help="The fee is charged for each unit, such as a seat: of the meter, or as entered on a subscription.",
    )
    timing = fields.Selection(
        [("arrears", "After the period"), ("advance", "Before the period")],
        string="Fee Charged",
        required=True,
        default="arrears",
        tracking=True,
        help="Before the period: a statement charges the fee of the next period, the first one that of its own, too.",
    )

    # -- minimum of the plan ------------------------------------------------------------------

    plan_minimum = Exact(
        string="Minimum of the Plan",
        min_display_digits=2,
        tracking=True,
        help="What all lines of a subscription that have prices of this plan cost together at least, fees included. "
        "What lacks is charged as this product, on the last statement of the period.",
    )

    # -- prices inside a price ----------------------------------------------------------------

    parent_id = fields.Many2one(
        "usage.price",
        string="Part Of",
        index="btree_not_null",
        ondelete="cascade",
        readonly=True,
        help="The price that this one is a part of: for some dimensions, or some hours of the day.",
    )
    part_ids = fields.One2many("usage.price", "parent_id", string="Prices", copy=True)
    sequence = fields.Integer(default=10, help="Of several prices that fit, the first one applies.")
    dimension_1 = fields.Char(string="First Dimension", tracking=True, help="A dimension of the meter, such as model.")
    dimension_2 = fields.Char(string="Second Dimension", tracking=True, help="Another dimension of the meter.")
    dimension_3 = fields.Char(string="Third Dimension", tracking=True, help="Another dimension of the meter.")
    value_1 = fields.Char(string="First Value", help="The first dimension's value; empty: any.")
    value_2 = fields.Char(string="Second Value", help="The second dimension's value; empty: any.")
    value_3 = fields.Char(string="Third Value", help="The third dimension's value; empty: any.")
    time_from = fields.Float(string="From", help="Time of day from which the price applies.")
    time_to = fields.Float(string="Until", help="Time of day until which it applies; it may be past midnight.")
    tz = fields.Selection(
        _tz_get,
        string="Time Zone of Hours",
        tracking=True,
        help="Whose hours and days are meant. Empty: the customer's, as the subscription says.",
    )

    # -- around the model ---------------------------------------------------------------------

    trial_days = fields.Integer(
        string="Free Trial (Days)", tracking=True, help="Usage of the subscription's first days is free."
    )
    bucket_interval = fields.Selection(
        [("hour", "Every hour"), ("day", "Every day")],
        string="Price by Itself",
        tracking=True,
        help="Every hour or day has a quantity, tiers, packages and rounding of its own. Empty: the whole period.",
    )
    bucket_aggregation = fields.Selection(
        [("max", "Highest"), ("min", "Lowest"), ("sum", "Sum"), ("last", "Last")],
        string="Quantity of It",
        required=True,
        default="max",
        tracking=True,
        help="Which of its pieces is the quantity of an hour or a day.",
    )
    bucket_pieces = fields.Selection(
        [("hour", "Hours"), ("event", "Events")],
        string="Out Of",
        required=True,
        default="hour",
        tracking=True,
        help="What the pieces are: what the meter counted in an hour, or single events.",
    )
    bucket_empty = fields.Selection(
        [("skip", "Costs nothing"), ("zero", "Is priced, as zero")],
        string="Without Usage",
        required=True,
        default="skip",
        tracking=True,
        help="Whether an hour or day without usage owes its flat amounts and its commitment.",
    )
    group_by = fields.Char(
        string="Tiers for Each",
        tracking=True,
        help="Dimensions whose values have tiers, packages and rounding of their own, joined by commas.",
    )
    split = fields.Selection(
        [("cumulative", "Share tiers and packages"), ("independent", "Each begin anew")],
        string="Several Invoices a Period",
        required=True,
        default="cumulative",
        tracking=True,
        help="Where a period is invoiced in parts: whether tiers and packages count on from part to part. Those of "
        "prices that look at single hours, events or groups always do.",
    )
    tiers_at_price_change = fields.Selection(
        [("restart", "Begin anew"), ("continue", "Count on")],
        string="Tiers at a Price Change",
        required=True,
        default="restart",
        tracking=True,
        help="Whether units used earlier in the period, under the version before this one, fill tiers.",
    )
    conversion_operation = fields.Selection(
        [("multiply", "Multiply by"), ("divide", "Divide by")],
        string="Convert Quantity",
        tracking=True,
        help="From the unit that is metered to the one that is sold.",
    )
    conversion_factor = Exact(string="Factor", tracking=True, help="What the metered quantity is converted with.")
    quantity_rounding = fields.Selection(
        QUANTITY_ROUNDING, string="Round Quantity", tracking=True, help="Before the included quantity is taken off."
    )
    quantity_precision = fields.Integer(
        string="Decimals", tracking=True, help="Decimals that are kept; -2 rounds to hundreds."
    )
    quantity_split = fields.Selection(
        [("cumulative", "The quantity so far"), ("independent", "Each invoice's own")],
        string="Several Invoices a Period: Rounded",
        required=True,
        default="cumulative",
        tracking=True,
        help="Where a period is invoiced in parts: what is rounded.",
    )
    included_quantity = Exact(tracking=True, help="Units of each period that are not charged, taken off first.")
    included_per = fields.Selection(
        [("price", "Shared"), ("part", "Each its own")],
        string="Included in Groups, Hours, Days",
        required=True,
        default="price",
        tracking=True,
        help="Whether groups, hours or days that are priced by themselves share the included quantity.",
    )
    flat_fee = Exact(min_display_digits=2, tracking=True, help="Charged once a period beside the usage.")
    flat_fee_when = fields.Selection(
        [("always", "Always"), ("used", "When something was used")],
        string="Flat Fee Due",
        required=True,
        default="always",
        tracking=True,
        help="Whether the flat fee is due in periods without usage.",
    )
    commitment_type = fields.Selection(
        [("amount", "An amount"), ("quantity", "A quantity")],
        string="Committed To",
        tracking=True,
        help="What the customer promised to spend: an amount, or what a quantity costs at this price.",
    )
    commitment_value = Exact(string="Commitment", min_display_digits=2, tracking=True, help="What is promised.")
    commitment_per = fields.Selection(
        [("period", "Period"), ("window", "Hour, day or group")],
        required=True,
        default="period",
        tracking=True,
        help="Whether it is promised for the period, or for each part that is priced by itself.",
    )
    commitment_true_up = fields.Boolean(
        string="Charge What Lacks", default=True, tracking=True, help="Charge what was promised and not spent."
    )
    overage_factor = Exact(
        default=1.0, tracking=True, help="What is spent above the commitment is charged so many times."
    )
    discount_ids = fields.One2many("usage.price.discount", "price_id", string="Discounts", copy=True)
    minimum_amount = Exact(
        string="Minimum", min_display_digits=2, tracking=True, help="A period costs at least this, after discounts."
    )
    maximum_amount = Exact(
        string="Maximum",
        min_display_digits=2,
        tracking=True,
        help="A period costs at most this, after discounts; 0: no maximum.",
    )
    prorate_included = fields.Boolean(string="Included Quantity by Time", tracking=True)
    prorate_flat_fee = fields.Boolean(string="Flat Fee by Time", tracking=True)
    prorate_commitment = fields.Boolean(string="Commitment by Time", tracking=True)
    prorate_minimum = fields.Boolean(string="Minimum by Time", tracking=True)
    prorate_maximum = fields.Boolean(string="Maximum by Time", tracking=True)
    prorate_fee = fields.Boolean(string="Fee by Time", tracking=True)
    prorate_by = fields.Selection(
        [("day", "Days"), ("second", "Seconds")],
        string="Time Counted In",
        required=True,
        default="day",
        tracking=True,
        help="How the part of the period in which the price is in force is counted, "
        "where the subscription or the price begins or ends within it.",
    )
    rounding = fields.Selection(
        [("total", "The sum"), ("lines", "Each line")],
        string="Rounded",
        required=True,
        default="total",
        tracking=True,
        help="Whether the sum is rounded to the currency, or each line of the calculation.",
    )
    rounding_mode = fields.Selection(
        ROUNDING,
        string="Rounding Rule",
        required=True,
        default="half_up",
        tracking=True,
        help="Which way an amount between two steps of the currency goes; half up is away from zero.",
    )
    description = fields.Char(
        string="In Words", compute="_compute_description", recursive=True, help="The price as a sentence."
    )

    @api.model
    def _term_fields(self):
        """Return the names of the fields that decide what usage costs."""
        return TERM_FIELDS

    # -- in words -----------------------------------------------------------------------------

    @api.depends(lambda self: DESCRIBED)
    @api.depends_context("lang")
    def _compute_description(self):
        for price in self:
            price.description = price._describe(price.included_quantity)

    def _describe(self, included_quantity):
        """Return the price in words, with an included quantity that may be a subscription's own."""
        if self.model not in MODELS or not self.currency_id:
            return ""
        words = MODELS[self.model].words(self)
        if included_quantity:
            included = format_number(self.env, exact(included_quantity))
            words = self.env._("First %(quantity)s included, then %(price)s", quantity=included, price=words)
        steps = (step.words(self) for step in STEPS)
        return self.env._("; ").join([words, *filter(None, (self._divisor_words(), *steps))])

    def _divisor_words(self):
        """Return by what the events' amounts are divided; a price in the event has words of its own for it."""
        if not self.amount_path or self.parent_id or self.model == "event_price" or self.amount_divisor in (0, 1):
            return ""
        divisor = format_number(self.env, exact(self.amount_divisor))
        return self.env._("the events' amounts divided by %s", divisor)

    def _amount_words(self, amount):
        return format_amount(self.env, exact(amount), self.currency_id)

    def _per_words(self):
        """Return what the amounts are for: 'per million tokens', 'per token', 'per 250 tokens'."""
        per = exact(self.per_quantity)
        unit = self.unit_name or ""
        words = {
            1_000: self.env._("per thousand %s", unit),
            1_000_000: self.env._("per million %s", unit),
            1_000_000_000: self.env._("per billion %s", unit),
            1: self.env._("per %s", unit),
        }
        return words.get(per) or self.env._("per %(number)s %(unit)s", number=format_number(self.env, per), unit=unit)

    # -- as the rating core reads it ----------------------------------------------------------

    def _definition(self, tz="UTC"):
        """Return the price as the rating core reads it: JSON-able, numbers as text.

        :param str tz: time zone of the customer, for hours and days that name no other
        """
        self.ensure_one()
        return {"version": str(self.id), **self._nested_definition(tz)}

    @remembered
    def _nested_definition(self, tz):
        """Return the definition without what only the whole of a price has."""
        definition = {"model": self.model, **MODELS[self.model].definition(self, tz)}
        for step in STEPS:
            definition.update(step.definition(self, tz))
        return definition

    @remembered
    def _need(self, tz="UTC"):
        """Return the shape (:class:`~..terms.Need`) in which usage must be read for this price."""
        need = MODELS[self.model].need(self, tz)
        for step in STEPS:
            need |= step.need(self, tz)
        if self.amount_path and not self.parent_id:
            need |= Need(EVENTS)
        return need

    def _has_pieces(self):
        """Say whether the price looks at single hours, events or groups, which are priced period by period."""
        need = self._need()
        return bool(need.pieces or need.dimensions or self._counts_from_day())

    @remembered
    def _counts_from_day(self):
        """Say whether units count from the day they were added, in this price or a part of it."""
        return self.prorated or any(part._counts_from_day() for part in self.part_ids)

    def _is_usage(self):
        """Say whether usage is priced, which a period that runs may be billed for; not a fee of the period."""
        return bool(self.meter_id) and self.model not in METERLESS

    def _root(self):
        """Return the price that this one is a part of, at the top; itself when of none."""
        return self.parent_id._root() if self.parent_id else self

    def _priced_dimensions(self):
        """Return the three names of the dimensions that rows have values for, empty ones too."""
        return [self.dimension_1 or "", self.dimension_2 or "", self.dimension_3 or ""]

    def _dimension_pairs(self, part):
        """Return (dimension, value) of a row."""
        return list(zip(self._priced_dimensions(), (part.value_1, part.value_2, part.value_3), strict=True))

    def _has_hours(self):
        """Say whether a row is for some hours of the day, not for all others."""
        return bool(self.time_from or self.time_to)

    def action_open_part(self):
        """Open a row of a matrix, or of hours, with all its terms."""
        return {
            "type": "ir.actions.act_window",
            "name": self._line_text(),
            "res_model": "usage.price",
            "res_id": self.id,
            "view_mode": "form",
            "target": "new",
        }

    # -- errors -------------------------------------------------------------------------------

    def _check_terms(self):
        """Refuse what could not be rated, once all of a price and its lines is written."""
        if not self.env.context.get(WHOLE_WRITTEN):
            self._check_definition()

    def _check_definition(self):
        """Refuse what the rating core could not rate, in its words: the field and the remedy."""
        for price in self._roots():
            try:
                rating.parse_price(price._definition())
                check(price)
            except rating.PriceError as error:
                raise ValidationError(
                    self.env._(
                        "Price of %(meter)s. %(where)s: %(field)s: %(problem)s. Remedy: %(remedy)s.",
                        meter=price._subject(),
                        where=label_of(price, error.field),
                        field=error.field,
                        problem=error.problem,
                        remedy=say(price, error.remedy),
                    )
                ) from error
            price._check_need()

    def _roots(self):
        return self.browse({price._root().id for price in self})

    def _subject(self):
        """Return what the price is for: the meter, or the product of a fee without one."""
        return self.meter_id.name or self.product_id.name

    def _check_need(self):
        """Refuse what the meter does not tell: dimensions it does not keep apart, pieces it does not have."""
        need, known = self._need(), set(self.meter_id._dimension_names()) if self.meter_id else set()
        if (need.pieces or need.dimensions) and self.meter_id.aggregation == "time_weighted":
            raise ValidationError(
                self.env._(
                    "Price of %s: the meter adds up levels over time, which has no events, hours or groups to price. "
                    "Choose a price of the total, or a meter of another aggregation.",
                    self._subject(),
                )
            )
        if need.pieces == EVENTS and self.meter_id.aggregation == "unique_count":
            raise ValidationError(
                self.env._(
                    "Price of %s: the meter counts different values, so that single events have no price. "
                    "Choose a price of the total, or a meter of another aggregation.",
                    self._subject(),
                )
            )
        for name in sorted(need.dimensions - known - {WHOLE}):
            raise ValidationError(
                self.env._(
                    "Price of %(meter)s: its quantities are not kept apart by %(name)s. Add %(name)s to the meter's "
                    "dimensions, or use one of: %(known)s.",
                    meter=self._subject(),
                    name=name,
                    known=", ".join(sorted(known)) or "–",
                )
            )


# What a person enters above: what a price says. Approved, it says so for good.
TERM_FIELDS = {name for name, field in vars(UsagePrice).items() if isinstance(field, fields.Field)} - {
    "description",
    "parent_id",
}
LINES = {
    "tier_ids": TIER_FIELDS,
    "discount_ids": DISCOUNT_FIELDS,
}
DESCRIBED = [
    *sorted(TERM_FIELDS),
    *(f"{lines}.{name}" for lines, names in LINES.items() for name in names),
    "part_ids.description",
    "currency_id",
    "unit_name",
]
