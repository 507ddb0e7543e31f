"""Statements: what lacks to the minimum of a plan, charged after all its other lines."""

from dataclasses import replace
from decimal import Decimal

from odoo import api, models
from odoo.exceptions import ValidationError

from .usage_statement_advance import amount_at


def is_minimum(billed):
    """Say whether what is billed is the minimum of a plan."""
    return billed.price.model == "plan_minimum"


class UsageStatement(models.Model):
    _inherit = "usage.statement"

    def _all_charge_vals(self, items, pool, calculated=None):
        """Charge minimums of plans last, of what the others come to; the order of items is kept."""
        if not any(is_minimum(item[0]) for item in items):
            return super()._all_charge_vals(items, pool, calculated)
        others = [item for item in items if not is_minimum(item[0])]
        found = super()._all_charge_vals(others, pool, calculated)
        by_item = dict(zip([item[0] for item in others], found, strict=True))
        for billed, *measured in items:
            if is_minimum(billed):
                known = {**(calculated or {}), self: list(by_item.values())}
                by_item[billed] = self._charge_vals(billed, *measured, calculated=known)
        return [by_item[item[0]] for item in items]

    def _charge(self, billed, price, usage, calculated):
        """Tell the minimum of a plan what its other lines cost."""
        if is_minimum(billed):
            usage = replace(usage, spent=self._spent_on_plan(billed, calculated))
        return super()._charge(billed, price, usage, calculated)

    def _spent_on_plan(self, billed, calculated):
        """Return what the plan's other lines cost in the period (year, contract) that a minimum counts over.

        Of two versions of a minimum in one period the second one counts what the first one left.
        """
        line = billed.line
        before = [vals for vals in calculated[self] if vals["subscription_line_id"] == line.id]
        if before:
            # Without a step what it counts over goes on: what lacks is charged later.
            steps = [step for step in before[-1]["result"]["explanation"] if step["step"] == "plan_minimum"]
            left = [Decimal(step["spent"]) - Decimal(step["minimum"]) for step in steps]
            return max([*left, Decimal(0)])
        statements = self
        if line.counted_over != "period":
            statements |= self._earlier_counted(line)
        costs = [each._cost_on_plan(billed.price.plan_id, calculated) for each in statements]
        return sum(costs, Decimal(0))

    def _cost_on_plan(self, plan, calculated):
        """Return what the lines of a plan cost in this period, on all of its statements, without minimums of it."""
        costs, charges = [], calculated.get(self)
        for charge in self.charge_ids if charges is None else charges:
            line, price = self._line_and_price(charge)
            if price.plan_id == plan and price.model != "plan_minimum":
                costs.append(self._cost_of_charge(line, price, charge, calculated))
        return sum(costs, Decimal(0))

    def _line_and_price(self, charge):
        """Return the line and the version of its price of a charge: of values, or of the record."""
        if isinstance(charge, models.BaseModel):
            return charge.subscription_line_id, charge.price_id
        lines, prices = self.env["usage.subscription.line"], self.env["usage.price"]
        return lines.browse([charge["subscription_line_id"]]), prices.browse([charge["price_id"]])

    def _cost_of_charge(self, line, price, charge, calculated):
        """Return what a line costs in this period; of a fee in advance that of this period, wherever it is charged."""
        if line.counted_over != "period" or not self._is_in_advance(price):
            return self._whole(charge, calculated)
        label = line._fee_label((self.period_start, self.period_end))
        paid = [amount_at(each, label) for each in self._fee_results(line, self._previous(), calculated)]
        fee = sum(paid, amount_at(charge["result"], label))
        return self.currency_id._rating_currency(price.rounding_mode).round(fee)

    def _project(self, items, vals_list, pool, calculated, at):
        """Compare the minimum of a plan with what its other lines are going to cost."""
        pairs = list(zip(items, vals_list, strict=True))
        others = [pair for pair in pairs if not is_minimum(pair[0][0])]
        expected = (
            super()._project(*map(list, zip(*others, strict=True)), pool, calculated, at) if others else Decimal(0)
        )
        for item, vals in pairs:
            if is_minimum(item[0]):
                steps = [step for step in vals["result"]["explanation"] if step["step"] == "plan_minimum"]
                is_own = item[0].line.counted_over == "period"
                lacks = [Decimal(step["minimum"]) - expected for step in steps if is_own]
                expected += max([*lacks, Decimal(0)])
        return expected


class UsageSubscriptionLine(models.Model):
    _inherit = "usage.subscription.line"

    @api.constrains("subscription_id", "price_id", "date_from", "date_to")
    def _check_one_minimum(self):
        """Refuse two minimums of a plan on the same days: what lacks would be charged twice."""
        for line in self.filtered(lambda line: line.price_id.model == "plan_minimum"):
            others = line.subscription_id.line_ids.filtered(lambda other: other.price_id.model == "plan_minimum") - line
            if any(line._overlaps(other) for other in others):
                raise ValidationError(
                    self.env._(
                        "%(line)s: the subscription has a minimum of its plan on these days already. End one of the "
                        "two lines with 'Until', or remove it.",
                        line=line.display_name,
                    )
                )
