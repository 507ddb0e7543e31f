from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from odoo.addons.usage_connector_base.guard import is_unlocked, unlocked

from .. import rating
from ..fields import Exact
from ..numbers import exact, exact_text, format_amount, format_number

# What a price says. An approved price says it for good.
TERMS = {
    "plan_id",
    "meter_id",
    "product_id",
    "model",
    "unit_amount",
    "per_quantity",
    "package_size",
    "package_amount",
    "package_rounding",
    "included_quantity",
    "tier_ids",
    "date_start",
}
APPROVAL_FIELDS = {"state", "drafted_by_id", "approved_by_id", "approved_date"}


class UsagePrice(models.Model):
    _name = "usage.price"
    _description = "Usage Price"
    _inherit = ["mail.thread"]
    _order = "plan_id, meter_id, date_start, id"
    _rec_names_search = ["meter_id.name", "product_id.name", "plan_id.name"]
    _check_company_auto = True

    plan_id = fields.Many2one("usage.plan", required=True, index=True, ondelete="cascade", check_company=True)
    company_id = fields.Many2one(related="plan_id.company_id", store=True, index=True)
    currency_id = fields.Many2one(related="plan_id.currency_id", store=True)
    meter_id = fields.Many2one(
        "usage.meter",
        required=True,
        index=True,
        ondelete="restrict",
        check_company=True,
        tracking=True,
        help="Whose quantities are priced.",
    )
    unit_name = fields.Char(related="meter_id.unit_name", string="Unit")
    product_id = fields.Many2one(
        "product.product",
        required=True,
        index=True,
        ondelete="restrict",
        check_company=True,
        tracking=True,
        domain="[('type', '=', 'service'), ('sale_ok', '=', True)]",
        help="What the usage is called on the invoice. Its income account and taxes apply.",
    )
    model = fields.Selection(
        [("per_unit", "Per unit"), ("graduated", "Graduated tiers"), ("package", "Packages")],
        string="Pricing",
        required=True,
        default="per_unit",
        tracking=True,
        help="Per unit: every unit costs the same.\n"
        "Graduated tiers: the units inside each tier cost that tier's price.\n"
        "Packages: units are sold by the package.",
    )
    unit_amount = Exact(
        min_display_digits=2, tracking=True, help="Price of as many units as 'Per' says, in the plan's currency."
    )
    per_quantity = Exact(
        string="Per",
        default=1.0,
        tracking=True,
        help="How many units the amounts are for: 1000000 for a price per million.",
    )
    package_size = Exact(tracking=True, help="Units in one package.")
    package_amount = Exact(min_display_digits=2, tracking=True, help="Price of one package, in the plan's currency.")
    package_rounding = fields.Selection(
        [("up", "Started packages"), ("down", "Full packages"), ("half_up", "Packages from half full on")],
        string="Packages Counted",
        required=True,
        default="up",
        tracking=True,
        help="How a package that is not full counts.",
    )
    tier_ids = fields.One2many("usage.price.tier", "price_id", string="Tiers", copy=True)
    included_quantity = Exact(tracking=True, help="Units of each period that are not charged, taken off first.")
    date_start = fields.Date(
        string="Valid From", tracking=True, help="First day of usage that this price applies to; empty: from ever."
    )
    date_end = fields.Date(
        string="Valid Until", tracking=True, help="Last day of usage that this price applies to; empty: for good."
    )
    state = fields.Selection(
        [("draft", "Draft"), ("approved", "Approved")],
        required=True,
        default="draft",
        readonly=True,
        copy=False,
        tracking=True,
        help="Only approved prices are charged. An approved price is not changed any more: "
        "end it, and approve another one.",
    )
    drafted_by_id = fields.Many2one("res.users", readonly=True, copy=False, default=lambda self: self.env.user)
    approved_by_id = fields.Many2one("res.users", readonly=True, copy=False, tracking=True)
    approved_date = fields.Datetime(
        string="Approved On", readonly=True, copy=False, help="When the price was approved (UTC)."
    )
    description = fields.Char(string="In Words", compute="_compute_description", help="The price as a sentence.")
    line_ids = fields.One2many("usage.subscription.line", "price_id", string="Subscription Lines")

    _validity = models.Constraint(
        "CHECK(date_end IS NULL OR date_start IS NULL OR date_end >= date_start)",
        "A price cannot end before it starts: correct 'Valid Until'.",
    )

    # -- what the price says ----------------------------------------------------------------

    @api.depends("meter_id", "description")
    def _compute_display_name(self):
        for price in self:
            price.display_name = f"{price.meter_id.name}: {price.description}" if price.meter_id else False

    @api.depends(
        *(TERMS - {"plan_id", "date_start"}),
        *(f"tier_ids.{name}" for name in ("up_to", "unit_amount", "flat_amount", "sequence")),
        "currency_id",
        "unit_name",
    )
    @api.depends_context("lang")
    def _compute_description(self):
        for price in self:
            price.description = price._describe(price.included_quantity)

    def _describe(self, included_quantity):
        """Return the price in words, with an included quantity that may be a subscription's own."""
        words = getattr(self, f"_describe_{self.model}", lambda: "")()
        if not included_quantity:
            return words
        included = format_number(self.env, exact(included_quantity))
        return self.env._("First %(quantity)s included, then %(price)s", quantity=included, price=words)

    def _describe_per_unit(self):
        return f"{self._amount_words(self.unit_amount)} {self._per_words()}"

    def _describe_package(self):
        sentences = {
            "up": self.env._("%(amount)s per started package of %(size)s %(unit)s"),
            "down": self.env._("%(amount)s per full package of %(size)s %(unit)s"),
            "half_up": self.env._("%(amount)s per package of %(size)s %(unit)s, from half full on"),
        }
        return sentences[self.package_rounding or "up"] % {
            "amount": self._amount_words(self.package_amount),
            "size": format_number(self.env, exact(self.package_size)),
            "unit": self.unit_name or "",
        }

    def _describe_graduated(self):
        tiers = [tier._describe(first=not index) for index, tier in enumerate(self.tier_ids)]
        return self.env._(", then ").join(tiers)

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

    def _definition(self):
        """Return the price as the rating core reads it: JSON-able, numbers as text."""
        self.ensure_one()
        definition = {"model": self.model, "version": str(self.id), **getattr(self, f"_definition_{self.model}")()}
        if self.included_quantity:
            definition["included_quantity"] = exact_text(self.included_quantity)
        return definition

    def _definition_per_unit(self):
        return {"unit_amount": exact_text(self.unit_amount), "per": exact_text(self.per_quantity)}

    def _definition_graduated(self):
        return {"per": exact_text(self.per_quantity), "tiers": [tier._definition() for tier in self.tier_ids]}

    def _definition_package(self):
        return {
            "package_size": exact_text(self.package_size),
            "package_amount": exact_text(self.package_amount),
            "package_rounding": self.package_rounding,
        }

    @api.constrains(*(TERMS - {"plan_id", "date_start"}))
    def _check_definition(self):
        """Refuse what the rating core could not rate, in its words: the field and the remedy."""
        for price in self:
            try:
                rating.parse_price(price._definition())
            except rating.PriceError as error:
                raise ValidationError(
                    self.env._("Price of %(meter)s: %(problem)s", meter=price.meter_id.name, problem=error)
                ) from error

    # -- approval ---------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        """Create drafts, whatever the values say of approval."""
        return super().create([{k: v for k, v in vals.items() if k not in APPROVAL_FIELDS} for vals in vals_list])

    def write(self, vals):
        """Refuse changes of approved prices, and of the approval itself outside its buttons."""
        if not is_unlocked(self.env):
            if APPROVAL_FIELDS & vals.keys():
                raise UserError(self.env._("Use the buttons of the price to approve it or to take it back."))
            if TERMS & vals.keys():
                self._check_draft()
                vals = {**vals, "drafted_by_id": self.env.uid}
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_only_draft(self):
        self._check_draft()

    def _check_draft(self):
        approved = self.filtered(lambda price: price.state == "approved")
        if approved:
            raise UserError(
                self.env._(
                    "The price of %s is approved and stays as it is: end it with 'Valid Until' "
                    "and add another one, or take its approval back while nothing uses it.",
                    approved[0].meter_id.name,
                )
            )

    def _terms_changed(self):
        """Tiers were changed by the current user: the price is that person's draft."""
        self._check_draft()
        unlocked(self).write({"drafted_by_id": self.env.uid})

    def action_approve(self):
        """Approve prices, by an administrator other than the one who drafted them.

        Raises ``UserError`` when the user is not an administrator or drafted a price.
        """
        self._check_administrator()
        for price in self.filtered(lambda price: price.state == "draft"):
            if price.drafted_by_id == self.env.user:
                raise UserError(
                    self.env._("You drafted the price of %s: a second administrator approves it.", price.meter_id.name)
                )
            price._check_definition()
            unlocked(price).write(
                {"state": "approved", "approved_by_id": self.env.uid, "approved_date": fields.Datetime.now()}
            )

    def action_reset_to_draft(self):
        """Take the approval back; raises ``UserError`` when a subscription uses a price."""
        self._check_administrator()
        used = self.filtered("line_ids")
        if used:
            raise UserError(
                self.env._(
                    "Subscriptions use the price of %s: end it with 'Valid Until' and add another one.",
                    used[0].meter_id.name,
                )
            )
        unlocked(self).write({"state": "draft", "approved_by_id": False, "approved_date": False})

    def _check_administrator(self):
        if not self.env.user.has_group("usage_connector_base.group_usage_admin"):
            raise UserError(self.env._("Only a Usage Administrator approves prices."))
