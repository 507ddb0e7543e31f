from ..base import StepTerm

#: What the core may take for a part of a period, and the field that asks for it.
PRORATED = {
    "included_quantity": ("prorate_included", "included_quantity"),
    "flat_fee": ("prorate_flat_fee", "flat_fee"),
    "commitment": ("prorate_commitment", "commitment_type"),
    "maximum": ("prorate_maximum", "maximum_amount"),
    "minimum": ("prorate_minimum", "minimum_amount"),
}


class Prorate(StepTerm):
    """What is taken for the part of the period in which the price is in force."""

    def definition(self, price, tz):
        named = [core for core, (asked, there) in PRORATED.items() if price[asked] and price[there]]
        if price.model == "recurring" and price.prorate_fee:
            named.append("amount")
        if price.model == "plan_minimum" and price.prorate_minimum:
            named.append("amount")
        return {"prorate": named} if named else {}


class Rounding(StepTerm):
    """Round the sum, or each line; inside another price only the whole is rounded."""

    def definition(self, price, tz):
        return {"rounding": "lines"} if price.rounding == "lines" and not price.parent_id else {}
