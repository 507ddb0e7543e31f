"""Prices: what is priced, for whom, from when, and who approved it.

What a price says is told in ``usage_price_terms.py``, how one version follows another in
``usage_price_version.py``.
"""

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from odoo.addons.usage_connector_base.guard import is_unlocked, unlocked

# What an approved price says for good, beside its terms.
IDENTITY = {"plan_id", "meter_id", "product_id", "currency_id", "partner_id", "date_start", "supersedes_id"}
# In the context while the lines of a price are written one by one: the whole is checked at the end.
WHOLE_WRITTEN = "usage_price_whole_written"
# Pricing that needs no meter: what is due whatever was used.
METERLESS = ("recurring", "plan_minimum")
APPROVAL_FIELDS = {"state", "drafted_by_id", "approved_by_id", "approved_date"}


class UsagePrice(models.Model):
    _name = "usage.price"
    _description = "Usage Price"
    _inherit = ["mail.thread"]
    _order = "plan_id, meter_id, sequence, id"
    _rec_names_search = ["meter_id.name", "product_id.name", "plan_id.name"]
    _check_company_auto = True

    plan_id = fields.Many2one(
        "usage.plan",
        required=True,
        index=True,
        ondelete="cascade",
        compute="_compute_of_parent",
        store=True,
        readonly=False,
        precompute=True,
        recursive=True,
    )
    company_id = fields.Many2one(related="plan_id.company_id", store=True, index=True)
    currency_id = fields.Many2one(
        "res.currency",
        required=True,
        compute="_compute_currency_id",
        store=True,
        readonly=False,
        precompute=True,
        recursive=True,
        tracking=True,
        help="Currency of all amounts: the plan's, unless this is the price in another one.",
    )
    partner_id = fields.Many2one(
        "res.partner",
        string="Only For",
        index="btree_not_null",
        ondelete="restrict",
        check_company=True,
        tracking=True,
        domain="[('parent_id', '=', False)]",
        help="The customer that this price was agreed on with; empty: all who subscribe to the plan.",
    )
    meter_id = fields.Many2one(
        "usage.meter",
        index=True,
        ondelete="restrict",
        check_company=True,
        compute="_compute_of_parent",
        store=True,
        readonly=False,
        precompute=True,
        recursive=True,
        tracking=True,
        help="Whose quantities are priced. A recurring fee needs none: its units, such as seats, are entered on the "
        "subscription's line.",
    )
    unit_name = fields.Char(related="meter_id.unit_name", string="Unit")
    product_id = fields.Many2one(
        "product.product",
        required=True,
        index=True,
        ondelete="restrict",
        check_company=True,
        compute="_compute_of_parent",
        store=True,
        readonly=False,
        precompute=True,
        recursive=True,
        tracking=True,
        domain="[('type', '=', 'service'), ('sale_ok', '=', True)]",
        help="What the usage is called on the invoice. Its income account and taxes apply.",
    )
    date_start = fields.Date(
        string="Valid From", tracking=True, help="First day of usage that this price applies to; empty: from ever."
    )
    date_end = fields.Date(
        string="Valid Until", tracking=True, help="Last day of usage that this price applies to; empty: for good."
    )
    state = fields.Selection(
        [("draft", "Draft"), ("approved", "Approved"), ("withdrawn", "Withdrawn")],
        required=True,
        default="draft",
        readonly=True,
        copy=False,
        tracking=True,
        help="Only approved prices are charged. An approved price is not changed any more: "
        "end it, or supersede it with a new version.",
    )
    is_locked = fields.Boolean(
        compute="_compute_is_locked", help="The price is approved: what it says is not changed any more."
    )
    drafted_by_id = fields.Many2one("res.users", readonly=True, copy=False, default=lambda self: self.env.user)
    approved_by_id = fields.Many2one("res.users", readonly=True, copy=False, tracking=True)
    approved_date = fields.Datetime(
        string="Approved On", readonly=True, copy=False, help="When the price was approved (UTC)."
    )
    line_ids = fields.One2many("usage.subscription.line", "price_id", string="Subscription Lines")

    _validity = models.Constraint(
        "CHECK(date_end IS NULL OR date_start IS NULL OR date_end >= date_start)",
        "Valid Until: a price cannot end before it starts. Choose a later day, or empty it.",
    )

    # -- what it is a price of ----------------------------------------------------------------

    @api.depends("parent_id.plan_id", "parent_id.meter_id", "parent_id.product_id")
    def _compute_of_parent(self):
        """A part has the plan, meter and product of its whole."""
        for price in self:
            whole = price.parent_id or price
            price.plan_id = whole.plan_id
            price.meter_id = whole.meter_id
            price.product_id = whole.product_id

    @api.depends("parent_id.currency_id", "plan_id")
    def _compute_currency_id(self):
        """A part has the currency of its whole; other prices have the plan's unless told."""
        for price in self:
            price.currency_id = price.parent_id.currency_id or price.currency_id or price.plan_id.currency_id

    @api.depends("meter_id", "product_id", "description")
    def _compute_display_name(self):
        for price in self:
            price.display_name = f"{price._subject()}: {price.description}" if price._subject() else False

    @api.depends("state", "parent_id.state", "parent_id.parent_id.state")
    def _compute_is_locked(self):
        for price in self:
            price.is_locked = price._root().state != "draft"

    @api.constrains("meter_id", "model", "fee_per_unit")
    def _check_meter(self):
        for price in self:
            if price.meter_id and price.model == "plan_minimum":
                raise ValidationError(
                    self.env._(
                        "Meter: the minimum of a plan is for all its prices together, not for %s. Empty it, or choose "
                        "another pricing: its page of fees has a minimum for one price.",
                        price.meter_id.name,
                    )
                )
            if not price.meter_id and price._root().model not in METERLESS:
                raise ValidationError(
                    self.env._("%s: choose the meter whose quantities are priced.", price.product_id.name)
                )

    @api.constrains("partner_id")
    def _check_partner(self):
        """Refuse a contact: subscriptions are those of its company."""
        for price in self.filtered("partner_id"):
            customer = price.partner_id.commercial_partner_id
            if customer != price.partner_id:
                raise ValidationError(
                    self.env._(
                        "Only For: %(contact)s is a contact of %(customer)s, and prices are agreed on with companies. "
                        "Choose %(customer)s.",
                        contact=price.partner_id.name,
                        customer=customer.name,
                    )
                )

    def copy_data(self, default=None):
        """Copied parts belong to the copy of their whole; prices in their plan's currency stay in that of the plan."""
        vals_list = super().copy_data(default)
        for price, vals in zip(self, vals_list, strict=True):
            if price.currency_id == price.plan_id.currency_id and "currency_id" not in (default or {}):
                vals.pop("currency_id", None)
            if price.parent_id:
                for name in ("plan_id", "meter_id", "product_id", "currency_id"):
                    vals.pop(name, None)
        return vals_list

    # -- changing -----------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        """Create drafts, whatever the values say of approval."""
        wholes = self.browse({vals["parent_id"] for vals in vals_list if vals.get("parent_id")})
        if wholes and not is_unlocked(self.env):
            wholes._terms_changed()
        records = self.with_context(**{WHOLE_WRITTEN: True})
        cleaned = [{k: v for k, v in vals.items() if k not in APPROVAL_FIELDS} for vals in vals_list]
        prices = super(UsagePrice, records).create(cleaned).with_env(self.env)
        prices._check_terms()
        return prices

    def write(self, vals):
        """Refuse changes of approved prices, and of the approval itself outside its buttons."""
        changed = (self._term_fields() | IDENTITY) & vals.keys()
        if not is_unlocked(self.env):
            if APPROVAL_FIELDS & vals.keys():
                raise UserError(self.env._("Use the buttons of the price to approve it or to take it back."))
            if changed:
                self._terms_changed()
        res = super(UsagePrice, self.with_context(**{WHOLE_WRITTEN: True})).write(vals)
        if changed:
            self._check_terms()
        return res

    @api.ondelete(at_uninstall=False)
    def _unlink_only_draft(self):
        self._check_draft()

    def _check_draft(self):
        kept = self._roots().filtered(lambda price: price.state != "draft")
        if kept:
            raise UserError(
                self.env._(
                    "The price of %s is approved and stays as it is: supersede it with a new version, end it with "
                    "'Valid Until', or take its approval back while nothing uses it.",
                    kept[0]._subject(),
                )
            )

    def _terms_changed(self):
        """The current user changes what these prices say: they are that person's drafts."""
        self._check_draft()
        others = self._roots().filtered(lambda price: price.drafted_by_id != self.env.user)
        unlocked(others).write({"drafted_by_id": self.env.uid})

    # -- approval -----------------------------------------------------------------------------

    def action_approve(self):
        """Approve prices, by an administrator other than the one who drafted them.

        Raises ``UserError`` when the user is not an administrator or drafted a price.
        """
        self._check_administrator()
        for price in self._roots().filtered(lambda price: price.state == "draft"):
            if price.drafted_by_id == self.env.user:
                raise UserError(
                    self.env._("You drafted the price of %s: a second administrator approves it.", price._subject())
                )
            price._check_definition()
            price._check_supersedes()
            unlocked(price).write(
                {"state": "approved", "approved_by_id": self.env.uid, "approved_date": fields.Datetime.now()}
            )

    def action_reset_to_draft(self):
        """Take the approval back; raises ``UserError`` when a subscription uses a price."""
        self._check_administrator()
        used = self.filtered(lambda price: price._origin_price().line_ids)
        if used:
            raise UserError(
                self.env._(
                    "Subscriptions use the price of %s: supersede it with a new version, or end it with 'Valid Until'.",
                    used[0]._subject(),
                )
            )
        unlocked(self).write({"state": "draft", "approved_by_id": False, "approved_date": False})

    def _check_administrator(self):
        if not self.env.user.has_group("usage_connector_base.group_usage_admin"):
            raise UserError(self.env._("Only a Usage Administrator approves prices."))
