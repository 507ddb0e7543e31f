"""Lines that go on at another price: what was agreed on for the customer alone stays."""

from odoo import api, models

# What a line keeps when another price takes the place of its own.
KEPT = ("quantity", "at_included_end", "counted_over", "active", "date_from", "date_to")


class UsageSubscriptionLine(models.Model):
    _inherit = "usage.subscription.line"

    @api.model
    def _repriced(self, line, price):
        """Return the values of a line with another price: what was agreed on for the line alone stays.

        Commitments stay where both prices promise the same kind of thing, the counting over a year
        or the whole contract where the other price can be counted so.

        :param dict line: the values of the line, as ``copy_data`` has them
        """
        # sudo: who may see a subscription is told what it costs
        old = self.env["usage.price"].sudo().browse(line.get("price_id"))
        values = {name: line[name] for name in KEPT if name in line}
        agreed = line.get("included_quantity", 0)
        is_own = bool(old) and old.model == price.model and agreed != old.included_quantity
        values.update(price_id=price.id, included_quantity=agreed if is_own else price.included_quantity)
        is_promised = price.commitment_type or price.model == "plan_minimum"
        if is_promised and _promise(old) == _promise(price):
            values["commitment_ids"] = line.get("commitment_ids", ())
        if values.get("counted_over", "period") != "period" and price._has_pieces():
            values["counted_over"] = "period"
        return values

    def _taken_over(self, prices):
        """Return {price: the lines of another plan that it takes the place of}, each line once.

        Those of the same meter, and of what has none the fee for the same product, or else the only
        fee for units, or minimum of the plan, that there is in both.
        """
        found, left = {}, self
        for price in prices:
            found[price] = left.filtered(lambda line, price=price: _is_for_same(line.price_id, price))
            left -= found[price]
        without = prices.filtered(lambda price: not found[price] and any(kind_of(price)) and not price.meter_id)
        for kind, rivals in without.grouped(kind_of).items():
            if len(rivals) == 1:
                found[rivals] = left.filtered(
                    lambda line, kind=kind: not line.meter_id and kind_of(line.price_id) == kind
                )
        return found


def _is_for_same(old, price):
    """Say whether a price is for what another one is for: a meter, or a fee for a product."""
    if old.meter_id or price.meter_id:
        return old.meter_id == price.meter_id
    return kind_of(old) == kind_of(price) and old.product_id == price.product_id


def kind_of(price):
    """Return what tells apart prices that have no meter: fees, those for each unit, minimums of a plan."""
    return price.model == "plan_minimum", price.fee_per_unit


def _promise(price):
    """Return what a line's own commitments are in: an amount or a quantity, a plan's minimum, in which currency."""
    return price.commitment_type, price.model == "plan_minimum", price.currency_id
