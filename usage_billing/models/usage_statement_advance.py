"""Statements: fees that are charged in advance, and put right where the period came out differently."""

from decimal import Decimal, localcontext

from odoo import models

from .. import rating
from ..rating.decimals import CONTEXT
from .usage_reading import Terms
from .usage_statement import RATEABLE
from .usage_subscription_line import Billed


class UsageStatement(models.Model):
    _inherit = "usage.statement"

    def _billed(self, line):
        """Also bill a line that ended just before the period, whose fee was charged in advance by then."""
        billed = super()._billed(line)
        if billed or not self._is_in_advance(line.price_id):
            return billed
        previous = self._previous()
        if not previous or previous.state in RATEABLE or not self._fee_results(line, previous, {}):
            return billed
        start, subscription = self.period_start, self.subscription_id
        terms = Terms(line.price_id, subscription.tz, start, start, (start, self.period_end), subscription._start())
        return [Billed(line, line.price_id, terms)]

    def _is_in_advance(self, price):
        return price.model == "recurring" and price.timing == "advance" and not price.meter_id

    def _previous(self):
        """Return the statement of the period before; empty for the first one."""
        return self.subscription_id.statement_ids.filtered(lambda other: other.period_end == self.period_start)

    def _advance_fees(self, billed, price, usage, calculated):
        """Return what a statement charges for a fee in advance: fees of periods, and what was paid of them.

        The fee of the next period; and of its own what the statement before could not know: all of
        it where the line is new, what is more or less than was charged where the line was changed.

        :param rating.Price price: the price, parsed
        :param dict calculated: values of the charges by statement, of earlier periods in this run
        :return: [(label, usage)], [(label, amount)]
        """
        line, period = billed.line, (self.period_start, self.period_end)
        subscription = line.subscription_id
        index = subscription._period_index(period[0])
        fees, paid = self._own_fee(billed, price, usage, index, calculated)
        following = line._fee_usage(billed, subscription._period(index + 1), usage)
        return [*fees, *([following] if following else [])], paid

    def _own_fee(self, billed, price, usage, index, calculated):
        line, period = billed.line, (self.period_start, self.period_end)
        own = line._fee_usage(billed, period, usage)
        charged = self._charged_in_advance(line, index, calculated) if billed.terms.start == period[0] else Decimal(0)
        due = self._amount_of(billed, price, own) if own else Decimal(0)
        if charged is None or charged == due:
            return [], []
        return [own] if own else [], [(line._fee_label(period), charged)] if charged else []

    def _amount_of(self, billed, price, fee):
        currency = self.currency_id._rating_currency(billed.price.rounding_mode)
        return rating.rate(price, fee[1], currency).unrounded

    def _charged_in_advance(self, line, index, calculated):
        """Return what the statement before charged for this period; None where that is not to be put right.

        Units that a meter counts are charged as they were when the fee was due.
        """
        previous = self._previous()
        known = self._fee_results(line, previous, calculated)
        if known and not line.meter_id:
            label = line._fee_label((self.period_start, self.period_end))
            with localcontext(CONTEXT):
                return sum((amount_at(result, label) for result in known), Decimal(0))
        # Without figures the statement before is still to charge the fee, as it is by now.
        before = line._window(*line.subscription_id._period(index - 1)) if index else None
        return None if before else Decimal(0)

    def _fee_results(self, line, previous, calculated):
        """Return the results of the charges of a line on the statement before, of this run or stored."""
        if previous in calculated:
            return [vals["result"] for vals in calculated[previous] if vals["subscription_line_id"] == line.id]
        return previous.charge_ids.filtered(lambda charge: charge.subscription_line_id == line).mapped("result")


def amount_at(result, label):
    """Return what the steps of one part of a result add up to."""
    return sum((Decimal(step["amount"]) for step in result["explanation"] if step.get("part") == label), Decimal(0))
