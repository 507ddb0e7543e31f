"""Simulations: what subscriptions cost now, and would cost, by the very code that rates statements.

Each subscription is copied in memory twice: as it is, and with the prices in question in place of
those of its lines. So are the statements of its periods, back to where a line that counts over a
contract year began to count. Nothing of that is ever written.
"""

from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import NamedTuple

from odoo import models
from odoo.fields import Command

from ..numbers import exact
from ..rating.periods import local_date, local_midnight
from .usage_price_version import ALONE
from .usage_subscription_repricing import kind_of

DAY = timedelta(days=1)
CURRENT, SIMULATED = "current", "simulated"
# What a line of another plan has where the subscription has none like it.
DEFAULTS = {"quantity": 1.0, "at_included_end": "bill", "counted_over": "period", "active": True}


class Sheet(NamedTuple):
    """A statement in memory: of which real subscription, for the period from which day."""

    statement: models.BaseModel
    subscription: models.BaseModel
    first: object  # date
    #: Whether it is in the range that is asked for; others only count for a contract year.
    asked: bool


class UsageSimulation(models.Model):
    _inherit = "usage.simulation"

    def _result_vals(self, subscriptions):
        """Return the values of one result for each subscription and period."""
        # sudo: who may see a subscription is told what it costs; prices and usage are read to find out
        subscriptions = subscriptions.sudo()
        references, found = count(1), {}
        for which in (CURRENT, SIMULATED):
            sheets = [sheet for each in subscriptions for sheet in self._sheets(each, which, references)]
            found[which] = self._rated(sheets) if sheets else {}
        return [self._row_vals(*key, current, found[SIMULATED][key]) for key, current in found[CURRENT].items()]

    # -- copies in memory ---------------------------------------------------------------------

    def _sheets(self, subscription, which, references):
        """Return the :class:`Sheet` of every period of a copy of a subscription, in their order.

        :param references: iterator of the numbers by which records in memory are told apart
        """
        copied = self._copied(subscription, which, references)
        asked = self._asked_periods(subscription)
        if not asked:
            return []
        starts = [line._counting_period(subscription._period(asked[0])[0])[0] for line in copied.line_ids]
        first = min([asked[0], *(max(subscription._period_index(start), 0) for start in starts)])
        sheets = []
        for index in range(first, asked[-1] + 1):
            vals = copied._statement_vals(index)
            statement = copied.statement_ids.new({**vals, "state": "open"}, ref=next(references))
            sheets.append(Sheet(statement, subscription, vals["date_from"], index in asked))
        return sheets

    def _asked_periods(self, subscription):
        """Return the numbers of the periods of a subscription that begin in the range."""
        start = local_midnight(max(self.date_from, subscription.date_start), subscription.tz)
        index, end = subscription._period_index(start), subscription._end()
        periods = []
        while True:
            begin = subscription._period(index)[0]
            first = local_date(begin, subscription.tz)
            if first > self.date_to or (end and begin >= end):
                return periods
            if first >= self.date_from or index == 0:
                periods.append(index)
            index += 1

    def _copied(self, subscription, which, references):
        """Return a subscription in memory: as it is, or with the prices that are simulated."""
        [vals] = subscription.copy_data({"date_end": subscription.date_end, "state": subscription.state})
        lines = [line for _command, _id, line in vals.pop("line_ids", ())]
        if which == SIMULATED:
            prices = self.price_id or self._plan_prices(subscription)
            lines = self._simulated_lines(subscription, lines, prices)
            if not self.price_id:
                vals.update(plan_id=self.plan_id.id, currency_id=(prices.currency_id or subscription.currency_id).id)
        env = subscription.with_context(**{ALONE: self.price_id.id if which == SIMULATED else False})
        commands = [(Command.CREATE, next(references), self._numbered(line, references)) for line in lines]
        return env.new({**vals, "line_ids": commands, "statement_ids": []}, ref=next(references))

    def _numbered(self, line, references):
        """Return the values of a line whose commitments can be told apart in memory, too."""
        commitments = [
            (Command.CREATE, next(references), vals) for _command, _id, vals in line.get("commitment_ids", ())
        ]
        return {**line, "commitment_ids": commitments}

    def _simulated_lines(self, subscription, lines, prices):
        """Return the values of lines with the prices that are simulated in place of those of a subscription.

        :param lines: the values of its lines
        """
        repriced = self.env["usage.subscription.line"]._repriced
        if self.price_id:
            origin = self.price_id._origin_price()
            return [repriced(line, self.price_id) if line["price_id"] == origin.id else line for line in lines]
        found = []
        for price in prices:
            # Lines of the plan's other prices are for those.
            like = self._lines_like(price, [line for line in lines if line["price_id"] not in (prices - price).ids])
            # What the customers of the plan may leave out, this one does.
            if like or self.plan_id != subscription.plan_id or price.state == "draft":
                found += like or [repriced(DEFAULTS, price)]
        return found

    def _lines_like(self, price, lines):
        """Return the values of lines with a price in place of what they have for the same: meter, or fee.

        Units that were entered, such as seats, are those of the fee for the same product, or else
        of the only fees there are.
        """
        priced = {line["price_id"]: self.env["usage.price"].sudo().browse(line["price_id"]) for line in lines}
        same = [line for line in lines if priced[line["price_id"]].meter_id == price.meter_id]
        if not price.meter_id:
            same = [line for line in same if kind_of(priced[line["price_id"]]) == kind_of(price)]
            product = [line for line in same if priced[line["price_id"]].product_id == price.product_id]
            same = product or (same if price.fee_per_unit or price.model == "plan_minimum" else [])
        if price.meter_id or not price.fee_per_unit:
            same = _joined(same, price)
        return [self.env["usage.subscription.line"]._repriced(line, price) for line in same]

    def _plan_prices(self, subscription):
        """Return the plan's prices for a customer, in another currency than theirs where it has none in it."""
        customer, plan = subscription.commercial_partner_id, self.plan_id.sudo()  # sudo: as in _result_vals
        prices = plan._prices_for(customer, subscription.currency_id)
        return prices or plan._prices_for(customer, plan.currency_id)

    # -- rating -------------------------------------------------------------------------------

    def _rated(self, sheets):
        """Return {(subscription, first day): (amount, currency, problems)} of the periods that are asked for."""
        statements = sheets[0].statement.browse([sheet.statement.id for sheet in sheets])
        measured, pool = statements._measured(), self._pool(sheets, statements)
        calculated, found = {}, {}
        for sheet in sorted(sheets, key=lambda sheet: (sheet.statement.period_start, sheet.subscription.id)):
            statement, problems = sheet.statement, []
            with statement._telling(problems.append):
                calculated[statement] = statement._all_charge_vals(measured[statement], pool, calculated)
            if sheet.asked:
                amounts = [exact(vals["amount"]) for vals in calculated.get(statement, ())]
                result = sum(amounts, Decimal(0)), statement.currency_id, problems
                found[sheet.subscription, sheet.first] = result
        return found

    def _pool(self, sheets, statements):
        """Return the ``UnitPool`` of the customers, with what the real statements of these periods took of it."""
        keys = {(sheet.subscription.id, sheet.statement.period_start) for sheet in sheets}
        # sudo: as in _result_vals
        real = statements.sudo().search(
            [
                ("subscription_id", "in", list({subscription_id for subscription_id, _start in keys})),
                ("period_start", "in", list({start for _subscription_id, start in keys})),
            ]
        )
        return statements._unit_pool_anew(
            real.filtered(lambda statement: (statement.subscription_id.id, statement.period_start) in keys)
        )

    def _row_vals(self, subscription, first, current, simulated):
        """Return the values of a result; where one side cannot be calculated there is no difference."""
        notes = [*current[2], *simulated[2]]
        now, then = (self._in_currency(*each[:2], subscription, first) for each in (current, simulated))
        return {
            "simulation_id": self.id,
            "subscription_id": subscription.id,
            "partner_id": subscription.commercial_partner_id.id,
            "company_id": self.company_id.id,
            "currency_id": subscription.currency_id.id,
            "month": first,
            "amount_current": float(now),
            "amount_simulated": float(then),
            "difference": 0 if notes else float(then - now),
            "note": "\n".join(dict.fromkeys(notes)),
        }

    def _in_currency(self, amount, currency, subscription, day):
        """Return an amount (Decimal) in the subscription's currency, at the rate of the day."""
        if currency == subscription.currency_id:
            return amount
        return exact(currency._convert(float(amount), subscription.currency_id, self.company_id, day))


def _joined(lines, price):
    """Return the values of lines; what was another price's is one with the line that follows without a gap."""
    joined = []
    for line in sorted(lines, key=lambda line: str(line.get("date_from") or "")):
        before = joined[-1] if joined else {}
        follows = before.get("date_to") and line.get("date_from") == before["date_to"] + DAY
        if follows and not before["price_id"] == line["price_id"] == price.id:
            joined[-1] = {**line, "date_from": before.get("date_from")}
        else:
            joined.append(line)
    return joined
