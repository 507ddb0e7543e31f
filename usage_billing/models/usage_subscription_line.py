from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools.misc import format_date

from odoo.addons.usage_connector_base.guard import unlocked

from .. import rating
from ..fields import Exact
from ..numbers import exact, exact_text
from ..rating.periods import local_date, local_midnight
from .usage_reading import Terms
from .usage_statement import RATEABLE

# What a line is billed by: once it is, amendments change that, from a day on.
BILLED_BY = {"price_id", "quantity", "included_quantity", "counted_over", "date_from"}


class Billed(NamedTuple):
    """What a line bills in a period: under which version of its price, and on which terms."""

    line: models.BaseModel
    price: models.BaseModel
    terms: Terms

    def is_usage(self):
        """Say whether it is what a meter counts that is billed, not a fee."""
        return self.price._is_usage()

    def begins_anew(self):
        """Say whether tiers, packages or rounded quantities begin anew on every statement of a period.

        Those of prices that look below the total never do: what is late would belong to no statement.
        """
        price = self.price
        rounds_anew = price.quantity_rounding and price.quantity_split == "independent"
        if not (rounds_anew or price.split == "independent") or self.line.counted_over != "period":
            return False
        need = self.terms.need()
        return not (need.pieces or need.dimensions or self.terms.cut())

    def key(self):
        """Return what tells charges of a statement apart: ids of the line and of the version of its price."""
        return self.line.id, self.price.id


class UsageSubscriptionLine(models.Model):
    _name = "usage.subscription.line"
    _description = "Line of a Usage Subscription"
    _order = "subscription_id, id"
    _check_company_auto = True

    subscription_id = fields.Many2one("usage.subscription", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="subscription_id.company_id", store=True, index=True)
    plan_id = fields.Many2one(related="subscription_id.plan_id")
    currency_id = fields.Many2one(related="subscription_id.currency_id")
    commercial_partner_id = fields.Many2one(related="subscription_id.commercial_partner_id")
    price_id = fields.Many2one(
        "usage.price",
        required=True,
        index=True,
        ondelete="restrict",
        check_company=True,
        domain="[('plan_id', '=', plan_id), ('parent_id', '=', False), ('supersedes_id', '=', False), "
        "('currency_id', '=', currency_id), ('partner_id', 'in', [False, commercial_partner_id])]",
        help="The price of the plan that applies, with all versions that supersede it.",
    )
    meter_id = fields.Many2one(related="price_id.meter_id", store=True, index=True)
    product_id = fields.Many2one(related="price_id.product_id", store=True)
    unit_name = fields.Char(related="meter_id.unit_name", string="Unit")
    included_quantity = Exact(
        compute="_compute_included_quantity",
        store=True,
        readonly=False,
        precompute=True,
        help="Units of each period that are not charged: those of the price unless changed here.",
    )
    at_included_end = fields.Selection(
        [("bill", "Bill more"), ("stop", "Allow no more")],
        string="After That",
        required=True,
        default="bill",
        help="What the product is told once the included units are used up. What is used all the same is billed.",
    )
    description = fields.Char(
        string="Price in Words", compute="_compute_description", help="What this customer pays, as a sentence."
    )
    quantity = Exact(
        default=1.0,
        help="Units whose recurring fee is charged, such as seats, where the price has no meter that counts them.",
    )
    active = fields.Boolean(
        default=True, help="Whether the line is billed; one that was replaced on its first day is not."
    )
    date_from = fields.Date(string="From", help="First day whose usage this line bills; empty: from the start.")
    date_to = fields.Date(string="Until", help="Last day whose usage this line bills; empty: to the end.")
    charge_ids = fields.One2many("usage.charge", "subscription_line_id", string="Charges")

    _date_order = models.Constraint(
        "CHECK(date_to IS NULL OR date_from IS NULL OR date_to >= date_from)",
        "Until: a line cannot end before it starts. Choose a later day, or empty it.",
    )

    _quantity = models.Constraint("CHECK(quantity >= 0)", "Quantity: a line has 0 units or more. Enter another number.")
    _included_quantity = models.Constraint(
        "CHECK(included_quantity >= 0)", "Included Quantity: 0 units or more are included. Enter another number."
    )

    @api.depends("price_id")
    def _compute_included_quantity(self):
        for line in self:
            line.included_quantity = line.price_id.included_quantity

    @api.depends("price_id.description", "included_quantity")
    @api.depends_context("lang")
    def _compute_description(self):
        for line in self:
            line.description = line.price_id._describe(line.included_quantity) if line.price_id else False

    @api.depends("meter_id", "price_id", "subscription_id", "date_from", "date_to")
    @api.depends_context("lang")
    def _compute_display_name(self):
        for line in self:
            name = f"{line.subscription_id.name} · {line.price_id._subject()}"
            first, last = (day and format_date(self.env, day) for day in (line.date_from, line.date_to))
            line.display_name = f"{name} ({first or ''} – {last or ''})" if first or last else name

    def write(self, vals):
        """Refuse to change what lines are billed by; another price forgets what was calculated at the one before."""
        for name in BILLED_BY & vals.keys():
            value = self._fields[name].convert_to_cache(vals[name], self)
            changed = self.filtered(lambda line, name=name, value=value: line._cached(name) != value)
            changed._check_not_charged(name)
            if name == "price_id":
                changed._forget_interims()
        return super().write(vals)

    def _cached(self, name):
        """Return what a field holds as the cache has it."""
        return self._fields[name].convert_to_cache(self[name], self)

    def _check_not_charged(self, name):
        """Refuse to change a field of lines that are billed by it: Amend leaves a record, and what was billed alone."""
        fixed = self._fixed_charges()
        if not fixed:
            return
        values = {
            "field": self.fields_get([name], ["string"])[name]["string"],
            "line": fixed[0].subscription_line_id.display_name,
            "statement": fixed[0].statement_id.name,
        }
        if name == "quantity":
            raise UserError(
                self.env._(
                    "%(field)s: %(line)s is billed by it on %(statement)s. Choose 'Amend', 'Change the quantity of a "
                    "line', from a day on that is not billed yet.",
                    **values,
                )
            )
        raise UserError(
            self.env._(
                "%(field)s: %(line)s is billed by it on %(statement)s. Choose 'Amend', 'Change the price of a line', "
                "from a day on that is not billed yet.",
                **values,
            )
        )

    def _fixed_charges(self):
        """Return the charges of lines that stand on statements on their way to the ledger."""
        return self.charge_ids.filtered(lambda charge: charge.statement_state not in RATEABLE)

    def _forget_interims(self):
        """Take away what interim statements still calculate."""
        # sudo: derived figures, which the job calculates again; submitted, they would be billed twice
        unlocked(self.charge_ids.filtered("statement_id.interim_of_id").sudo()).unlink()

    # -- what is billed, and when -----------------------------------------------------------

    def _definition(self, price=None, day=None):
        """Return a version of the price as the rating core reads it, with this line's included quantity.

        :param price: the version; the line's own price when absent
        :param date day: the first one that the price counts over, which says how much is promised
        """
        price = price or self.price_id
        definition = price._definition(self.subscription_id.tz)
        # Of a later version its own counts, unless the line was given another than its price had.
        own = price == self.price_id or self.included_quantity != self.price_id.included_quantity
        if own:
            definition.pop("included_quantity", None)
            if self.included_quantity:
                definition["included_quantity"] = exact_text(self.included_quantity)
        return definition

    def _units(self, counted):
        """Return the units that are priced: those that the meter counted, or the line's own, such as seats."""
        is_entered = not self.meter_id and self.price_id.fee_per_unit
        return exact(self.quantity) if is_entered else counted

    def _dates(self):
        """Return the first and the last billed day as local dates; the last one may be None."""
        validity = self.price_id._validity()
        return self._dates_within(validity[0][1], validity[-1][2])

    def _dates_within(self, valid_from, valid_until):
        """Return the first and the last billed day of a price's validity; the last one may be None."""
        subscription = self.subscription_id
        first = max(filter(None, (subscription.date_start, self.date_from, valid_from)))
        last = min(filter(None, (subscription.date_end, self.date_to, valid_until)), default=None)
        return first, last

    def _window(self, start, end):
        """Return the part of [start, end) that this line bills, naive UTC; None when nothing."""
        return self._window_within(self._dates(), start, end)

    def _window_within(self, dates, start, end):
        return self._clipped(dates, self.subscription_id.tz, start, end)

    @api.model
    def _clipped(self, dates, tz, start, end):
        """Return the part of [start, end) on the local days from first to last; None when nothing."""
        first, last = dates
        if first:
            start = max(start, local_midnight(first, tz))
        if last:
            end = min(end, local_midnight(last + timedelta(days=1), tz))
        return (start, end) if start < end else None

    def _billed(self, start, end):
        """Return what this line bills in the period [start, end): one :class:`Billed` for each
        version of its price that applies in it, in their order."""
        billed = []
        for price, *validity in self.price_id._validity():
            window = self._window_within(self._dates_within(*validity), start, end)
            if window:
                subscription = self.subscription_id
                terms = Terms(price, subscription.tz, *window, (start, end), subscription._start())
                billed.append(Billed(self, price, terms))
        return billed

    def _fee_usage(self, billed, period, usage):
        """Return (label, usage) of the fee for a period that a version of the price is in force in; None without.

        :param billed: the version, in the statement's own period
        :param period: that period, or the next one, whose fee in advance is charged with it
        """
        terms = billed.terms
        if period != terms.period:
            window = self._window(*period)
            if not window or self._billed(*terms.period)[-1].price != billed.price:
                return None
            terms = terms._replace(start=window[0], end=window[1], period=period)
        if terms.start == terms.end:
            return None
        return self._fee_label(period), replace(usage, share=terms.share(), period=(terms.start, terms.end))

    def _fee_label(self, period):
        """Return what marks the fee of a period in an explanation."""
        return {"period": local_date(period[0], self.subscription_id.tz).isoformat()}

    # -- one usage, one bill ----------------------------------------------------------------

    @api.constrains("date_to")
    def _check_date_to(self):
        """Refuse a line that ends before there is a contract."""
        for line in self.filtered("date_to"):
            start = line.subscription_id.date_start
            if line.date_to < start:
                raise ValidationError(
                    self.env._(
                        "Until: the line of %(meter)s ends before the subscription starts, on %(day)s. Choose a later "
                        "day, or remove the line.",
                        meter=line.price_id._subject(),
                        day=format_date(self.env, start),
                    )
                )

    @api.constrains("included_quantity", "price_id")
    def _check_included_quantity(self):
        """Refuse included units where the price counts none."""
        own = self.filtered(lambda line: line.included_quantity not in (0, line.price_id.included_quantity))
        for line in own.filtered(lambda line: line.included_quantity > 0):
            try:
                rating.parse_price(line._definition())
            except rating.PriceError as error:
                raise ValidationError(
                    self.env._(
                        "Included Quantity: the price of %(meter)s (%(price)s) counts no units that could be included. "
                        "Enter 0.",
                        meter=line.price_id._subject(),
                        price=line.price_id.description,
                    )
                ) from error

    @api.constrains("subscription_id", "price_id")
    def _check_plan(self):
        for line in self:
            line._check_for_customer()
            if line.price_id.plan_id != line.subscription_id.plan_id:
                raise ValidationError(
                    self.env._(
                        "The price of %(meter)s belongs to another plan: choose a price of %(plan)s.",
                        meter=line.meter_id.name,
                        plan=line.subscription_id.plan_id.name,
                    )
                )

    def _check_for_customer(self):
        """Refuse the price of another customer, in another currency, or a part or version alone."""
        price, subscription = self.price_id, self.subscription_id
        if price.partner_id not in (self.env["res.partner"], subscription.commercial_partner_id):
            raise ValidationError(
                self.env._(
                    "The price of %(meter)s was agreed on with %(customer)s: choose another price.",
                    meter=price._subject(),
                    customer=price.partner_id.name,
                )
            )
        if price.currency_id != subscription.currency_id:
            raise ValidationError(
                self.env._(
                    "The price of %(meter)s is in %(price)s, the subscription in %(currency)s: choose a price of "
                    "%(plan)s in %(currency)s, or add one to it.",
                    meter=price._subject(),
                    price=price.currency_id.name,
                    currency=subscription.currency_id.name,
                    plan=subscription.plan_id.name,
                )
            )
        if price.parent_id or price.supersedes_id:
            raise ValidationError(
                self.env._(
                    "%s is a part or a version of another price: choose that one.",
                    price.display_name,
                )
            )

    @api.constrains("subscription_id", "price_id", "date_from", "date_to")
    def _check_billed_once(self):
        """Refuse to bill a meter of an account twice for the same days."""
        metered = self.filtered("meter_id")
        rivals = metered._active_on_same_usage().grouped(lambda line: line._usage_key())
        for line in metered.filtered(lambda line: line.subscription_id.state == "active"):
            other = next(filter(line._overlaps, rivals[line._usage_key()] - line), None)
            if other:
                raise ValidationError(
                    self.env._(
                        "%(meter)s of %(customer)s is billed by %(one)s and by %(other)s for the same days: "
                        "end one of the two lines, or restrict them to different accounts.",
                        meter=line.meter_id.name,
                        customer=line.subscription_id.commercial_partner_id.name,
                        one=line.subscription_id.name,
                        other=other.subscription_id.name,
                    )
                )

    def _usage_key(self):
        return self.subscription_id.commercial_partner_id.id, self.meter_id.id, self.company_id.id

    def _active_on_same_usage(self):
        """Return all active lines on the meters and customers of these lines, themselves included."""
        return self.search(
            [
                ("meter_id", "in", self.meter_id.ids),
                ("subscription_id.state", "=", "active"),
                ("subscription_id.commercial_partner_id", "in", self.subscription_id.commercial_partner_id.ids),
            ]
        )

    def _shares(self, other, period):
        """Say whether two lines share time of a period, and an account."""
        window, others = self._window(*period), other._window(*period)
        in_time = window and others and max(window[0], others[0]) < min(window[1], others[1])
        return bool(in_time) and self._overlaps(other)

    def _overlaps(self, other):
        """Say whether two lines share a day and an account."""
        (first, last), (other_first, other_last) = self._dates(), other._dates()
        days_shared = (last is None or other_first <= last) and (other_last is None or first <= other_last)
        accounts = self.subscription_id.account_filter_ids
        other_accounts = other.subscription_id.account_filter_ids
        return days_shared and (not accounts or not other_accounts or bool(accounts & other_accounts))

    @api.ondelete(at_uninstall=False)
    def _unlink_only_uncharged(self):
        charged = self.filtered("charge_ids")
        if charged:
            raise UserError(
                self.env._("%s has been charged: set 'Until' instead of deleting the line.", charged[0].display_name)
            )
