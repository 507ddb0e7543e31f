"""Statements: what a period that runs is going to cost, from what it costs so far.

Quantities that add up over time (sums, counts, levels over time) are taken to go on as they did: by the
part of their days that is over. Highest, lowest, average and latest values and numbers of different
values are taken as they are. Each is then priced like any other quantity, so tiers, included quantities,
minimums and commitments apply; fees are due in full. Prices of single hours, events or groups, whose
pieces are still to come, grow with their quantity.
"""

from datetime import timedelta
from decimal import Decimal

from odoo import api, fields, models

from odoo.addons.usage_connector_base.guard import unlocked

from .. import rating
from ..rating.decimals import CONTEXT, quotient
from .usage_statement_rating import Blocked

ADDITIVE = ("sum", "count", "time_weighted")
MICROSECOND = timedelta(microseconds=1)


class UsageStatement(models.Model):
    _inherit = "usage.statement"

    amount_projected = fields.Monetary(
        string="Expected",
        readonly=True,
        copy=False,
        help="What the period is going to cost, before tax, if it goes on as it did so far; calculated together with "
        "the charges while the period runs.",
    )

    amount_so_far = fields.Monetary(
        compute="_compute_live",
        help="What the period costs up to this moment, before tax; of one that is over, in all.",
    )
    amount_expected = fields.Monetary(
        string="Expected for the Period",
        compute="_compute_live",
        help="What the period is going to cost, before tax, by its usage up to this moment: what adds up over time "
        "goes on as it did so far, fees are due in full.",
    )

    @api.depends("state", "amount_untaxed", "amount_projected")
    def _compute_live(self):
        """Calculate running periods anew, without touching their charges."""
        now = fields.Datetime.now()
        for statement in self:
            statement.amount_so_far = statement.amount_untaxed
            statement.amount_expected = statement.amount_projected or statement.amount_untaxed
        running = self.filtered(lambda statement: statement.state == "open" and statement.period_end > now)
        pool = running._unit_pool()
        for statement, items in running._measured().items():
            try:
                vals_list = statement._all_charge_vals(items, pool)
            except (Blocked, rating.RatingError):
                continue  # as it was when it could be told
            statement.amount_so_far = float(sum((statement._whole(vals, {}) for vals in vals_list), Decimal(0)))
            statement.amount_expected = float(statement._project(items, vals_list, pool, {}, now))

    def _project(self, items, vals_list, pool, calculated, at):
        """Return what a period that runs is going to cost, a Decimal; what it costs so far where that cannot be told.

        :param items: as of :meth:`_all_charge_vals`
        :param vals_list: the values of the charges so far, in the same order
        :param pool: ``UnitPool`` of credit in units, of which nothing is taken
        :param datetime at: now, naive UTC
        """
        factors = [_factor(billed, window, at) for billed, window, *_others in items]
        scaled = [
            (billed, window, quantity if records else _times(quantity, factor), records)
            for (billed, window, quantity, records), factor in zip(items, factors, strict=True)
        ]
        so_far = [self._whole(vals, calculated) for vals in vals_list]
        try:
            vals_list = self._all_charge_vals(scaled, pool.trial(), calculated)
            expected = [self._whole(vals, calculated) for vals in vals_list]
        except rating.RatingError:  # such as a quantity above the last tier
            expected = so_far
        grown = [
            _times(amount, factor) if item[3] else amount
            for item, amount, factor in zip(items, expected, factors, strict=True)
        ]
        return sum(grown, Decimal(0))

    def _set_projected(self, amounts):
        """Keep what running periods are going to cost.

        :param dict amounts: Decimals by statement
        """
        for statement, amount in amounts.items():
            if statement.state == "open":
                silent = unlocked(statement).with_context(tracking_disable=True)
                silent.amount_projected = statement.currency_id.round(float(amount))


def _factor(billed, window, at):
    """Return (whole, elapsed) by which a quantity grows until the end of its days; None where it stays."""
    start, end = billed.terms.start, billed.terms.end
    if not window.meter or window.meter.aggregation not in ADDITIVE or not start < at < end:
        return None
    return _length(start, end), _length(start, at)


def _times(number, factor):
    """Return a Decimal multiplied first and divided last."""
    return quotient(CONTEXT.multiply(number, factor[0]), factor[1]) if factor else number


def _length(start, end):
    """Return a length of time in whole microseconds."""
    return Decimal((end - start) // MICROSECOND)
