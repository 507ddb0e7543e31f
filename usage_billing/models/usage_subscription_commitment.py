"""Lines that count over a year or the whole contract, and commitments that rise (or fall) over time."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools.misc import format_date

from .. import rating
from ..fields import Exact
from ..numbers import exact_text
from ..rating.periods import local_date, local_midnight

PERIOD = "period"


class UsageSubscriptionCommitment(models.Model):
    _name = "usage.subscription.commitment"
    _description = "Commitment of a Usage Subscription"
    _order = "line_id, date_from"

    line_id = fields.Many2one(
        "usage.subscription.line",
        required=True,
        index=True,
        ondelete="cascade",
        domain="[('subscription_id', '=', subscription_id)]",
        help="The line whose price has a commitment.",
    )
    subscription_id = fields.Many2one(
        "usage.subscription",
        compute="_compute_subscription_id",
        store=True,
        readonly=False,
        precompute=True,
        required=True,
        index=True,
        ondelete="cascade",
    )
    company_id = fields.Many2one(related="line_id.company_id", store=True, index=True)
    date_from = fields.Date(
        string="From",
        required=True,
        help="First day from which it is promised: it counts for periods (or contract years) that begin then or later.",
    )
    value = Exact(
        string="Commitment",
        min_display_digits=2,
        required=True,
        help="What is promised instead of the price's own commitment: an amount, or a quantity, as the price says.",
    )

    _value = models.Constraint("CHECK(value >= 0)", "Commitment: a customer promises 0 or more. Enter another amount.")
    _date_uniq = models.Constraint(
        "UNIQUE(line_id, date_from)", "From: the line has a commitment from this day on. Change that one."
    )

    @api.depends("line_id")
    def _compute_subscription_id(self):
        for commitment in self:
            commitment.subscription_id = commitment.line_id.subscription_id

    @api.constrains("line_id")
    def _check_line(self):
        for commitment in self:
            price = commitment.line_id.price_id
            if not price.commitment_type and price.model != "plan_minimum":
                raise ValidationError(
                    self.env._(
                        "Line: the price of %s has no commitment. Choose another line, or a price with one.",
                        price._subject(),
                    )
                )

    @api.model_create_multi
    def create(self, vals_list):
        """Refuse commitments to what is billed."""
        commitments = super().create(vals_list)
        commitments._check_not_billed()
        return commitments

    def write(self, vals):
        """Refuse to change what is billed, and to commit to it afterwards."""
        changed = self.filtered(lambda commitment: commitment._is_changed_by(vals))
        changed._check_not_billed()
        result = super().write(vals)
        changed._check_not_billed()
        return result

    def _is_changed_by(self, vals):
        values = {name: self._fields[name].convert_to_cache(value, self) for name, value in vals.items()}
        return any(value != self._fields[name].convert_to_cache(self[name], self) for name, value in values.items())

    @api.ondelete(at_uninstall=False)
    def _unlink_only_not_billed(self):
        self._check_not_billed()

    def _check_not_billed(self):
        """Raise ``UserError`` where a statement that is submitted reaches to the day or beyond."""
        for commitment in self:
            fixed = commitment.line_id._fixed_charges().statement_id
            last = max(fixed, key=lambda statement: statement.period_end, default=None)
            if last and local_midnight(commitment.date_from, last.tz) < last.period_end:
                raise UserError(
                    self.env._(
                        "From: %(line)s is billed until %(day)s by %(statement)s. Leave what was promised for "
                        "that, and enter a commitment from a later day on.",
                        line=commitment.line_id.display_name,
                        day=format_date(self.env, last.date_to),
                        statement=last.name,
                    )
                )


class UsageSubscription(models.Model):
    _inherit = "usage.subscription"

    commitment_ids = fields.One2many("usage.subscription.commitment", "subscription_id", string="Commitments")


class UsageSubscriptionLine(models.Model):
    _inherit = "usage.subscription.line"

    counted_over = fields.Selection(
        [(PERIOD, "Each billing period"), ("year", "Each contract year"), ("term", "The whole contract")],
        required=True,
        default=PERIOD,
        help="What included quantity, tiers, commitment, minimum and fee of the price are for. Over a contract year or "
        "the whole contract, each statement charges what is new: the included quantity is used up month by month, a "
        "fee in advance stands on the first statement, what lacks to a commitment on the last one.",
    )
    commitment_ids = fields.One2many("usage.subscription.commitment", "line_id", string="Commitments", copy=True)

    @api.constrains("counted_over", "price_id")
    def _check_counted_over(self):
        for line in self.filtered(lambda line: line.counted_over != PERIOD):
            price = line.price_id
            if price._has_pieces():
                raise ValidationError(
                    self.env._(
                        "Counted Over: the price of %s looks at single hours, events or groups, which are priced "
                        "period by period. Choose each billing period, or a price of the total.",
                        price._subject(),
                    )
                )

    def _definition(self, price=None, day=None):
        """Also promise what the line's commitment says on a day, the first one that the price counts over."""
        definition = super()._definition(price, day)
        promised = self.commitment_ids.filtered(lambda x: day and x.date_from <= day).sorted("date_from")[-1:]
        if promised and "commitment" in definition:
            [kind] = {"amount", "quantity"} & definition["commitment"].keys()
            definition["commitment"] = {**definition["commitment"], kind: exact_text(promised.value)}
        if promised and definition["model"] == "plan_minimum":
            definition["amount"] = exact_text(promised.value)
        return definition

    def _counting_period(self, at):
        """Return [start, end), naive UTC, that the line counts over and that contains an instant.

        Contract and contract years begin with the billing period that contains their first day.
        """
        subscription = self.subscription_id
        if self.counted_over == PERIOD:
            return subscription._period(subscription._period_index(at))
        if self.counted_over == "term":
            return self._contract_year(0), subscription._end() or datetime.max
        year = max(local_date(at, subscription.tz).year - subscription.date_start.year, 0)
        while at >= self._contract_year(year + 1):
            year += 1
        while year and at < self._contract_year(year):
            year -= 1
        return self._contract_year(year), self._contract_year(year + 1)

    def _share_counted(self, billed, whole):
        """Return the part of what the line counts over in which it is in force; None for all of it.

        :param whole: as of :meth:`_counting_period`
        """
        if self.counted_over == PERIOD:
            return billed.terms.share()
        if self.counted_over == "term":
            whole = max(whole[0], self.subscription_id._start()), whole[1]
        if whole[1] == datetime.max:
            return None
        start, end = self._window(*whole) or (whole[0], whole[0])
        return billed.terms._replace(start=start, end=end, period=whole).share()

    def _included(self, billed, whole):
        """Return how many units, as the meter counts them, are included in what the line counts over.

        :param whole: as of :meth:`_counting_period`
        """
        price = rating.parse_price(self._definition(billed.price))
        return price.included(self._share_counted(billed, whole))

    def _contract_year(self, n):
        """Return the instant at which contract year ``n`` begins for statements, naive UTC."""
        subscription = self.subscription_id
        day = subscription.date_start + relativedelta(years=n)
        return subscription._period(subscription._period_index(local_midnight(day, subscription.tz)))[0]


class UsageStatement(models.Model):
    _inherit = "usage.statement"

    def _counting(self, billed, usage, calculated):
        """Return (usage, what was charged): the statement's part of a year or contract that a line counts over.

        :return: the ``rating.Usage`` with what earlier statements took, and the Decimal sum of their charges
        """
        line, whole = billed.line, billed.line._counting_period(self.period_start)
        window = line._window(*whole) or (self.period_start, self.period_start)
        results = self._earlier_results(line, calculated)
        charged = sum((rating.whole_amount(result, "unrounded") for result in results), Decimal(0))
        counted = replace(
            usage,
            billed_quantity=sum((Decimal(result["quantity"]) for result in results), Decimal(0)),
            billed_amount=charged,
            billed_discount=sum(map(discount_of, results), Decimal(0)),
            billed_credit=sum(map(covered_by, results), Decimal(0)),
            first=not results,
            final=usage.final and window[1] <= self.period_end,
            share=line._share_counted(billed, whole),
        )
        return counted, charged

    def _earlier_counted(self, line):
        """Return the earlier statements of the year or contract that a line counts over."""
        begin = line._counting_period(self.period_start)[0]
        return self.subscription_id.statement_ids.filtered(
            lambda other: begin <= other.period_start < self.period_start and not other.interim_of_id
        )

    def _earlier_results(self, line, calculated):
        """Return the results of a line on earlier statements of what it counts over."""
        earlier = self._earlier_counted(line)
        return [result for other in earlier for result in self._fee_results(line, other, calculated)]

    def _has_covered(self, billed, calculated):
        """Say whether credit in units covered what earlier statements of a contract year or contract counted."""
        if billed.line.counted_over == PERIOD:
            return False
        return any(map(covered_by, self._earlier_results(billed.line, calculated)))

    def _charge_counted(self, billed, price, usage, calculated, currency):
        """Return the charge of a line that counts over more than the statement's period."""
        counted, charged = self._counting(billed, usage, calculated)
        if not self._is_in_advance(billed.price):
            return rating.rate(price, counted, currency)
        label = {"period": local_date(billed.line._counting_period(self.period_start)[0], self.tz).isoformat()}
        fee = replace(counted, billed_quantity=Decimal(0), billed_amount=Decimal(0), first=True)
        if rating.rate(price, fee, currency).unrounded == charged:
            return rating.rate_together(price, (), currency)
        return rating.rate_together(price, [(label, fee)], currency, [(label, charged)] if charged else [])


def discount_of(result):
    """Return the discounts in money that a charge gave."""
    steps = [step for step in result["explanation"] if step["step"] == "discount" and "discount" in step]
    return -sum((Decimal(step["amount"]) for step in steps), Decimal(0))


def covered_by(result):
    """Return the units of a charge that credit covered."""
    return sum((Decimal(step["used"]) for step in result["explanation"] if step["step"] == "credit"), Decimal(0))
