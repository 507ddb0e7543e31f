"""Rates a case, and says what is expected of a charge by the name a case gives it."""

import re
from decimal import Decimal

import rating

from .compare import same
from .prices import PriceReader
from .usages import usage_of
from .written import USD, Unsupported, number


class Answers:
    """What is expected of a charge, by the name a case gives it."""

    def __init__(self, case: dict, charge: rating.Charge):
        self.case, self.charge = case, charge

    def __call__(self, name: str):
        """Return one answer; raise ``Unsupported`` for a name that is not known."""
        answer = getattr(self, f"say_{re.sub('_cents$', '', name)}", None)
        if answer is None:
            raise Unsupported(f"expected {name!r}")
        return answer()

    def amounts(self, *steps: str) -> Decimal:
        """Return the sum of the amounts of some steps."""
        return sum((Decimal(step["amount"]) for step in self.charge.steps(*steps)), Decimal(0))

    def say_amount(self):
        """The exact amount, or the amount on the invoice where the source has that."""
        expected = number(self.case["expected"]["amount"])
        exact = self.charge.unrounded == expected
        return self.charge.unrounded if exact else self.charge.amount

    def say_rounded_2dp(self):
        return self.charge.amount

    def say_net(self):
        return self.charge.unrounded

    def say_unit_amount(self):
        return self.charge.unit_amount

    def say_billed_quantity(self):
        for step in reversed(self.charge.steps("included", "quantity_rounding", "conversion")):
            return step.get("billable", step.get("rounded", step.get("converted")))
        return self.charge.quantity

    say_quantity = say_billed_quantity

    def say_amounts(self):
        return list(self.charge.line_amounts)

    say_line_nets = say_amounts

    def say_lines(self):
        """The lines, or flat amounts on lines of their own; lines of zero make no difference."""
        expected = self.case["expected"]["lines"]
        for lines in (self.charge.line_amounts, self.flats_apart()):
            if same([x for x in expected if number(x)], [x for x in lines if x]):
                return expected
        return list(self.charge.line_amounts)

    def flats_apart(self) -> list[Decimal]:
        """Return the amounts of the lines with flat amounts on lines of their own."""
        lines = []
        for step in self.charge.steps("tier", "percentage_tier", "minimum"):
            flat = Decimal(step.get("flat_amount", 0))
            lines += [Decimal(step["amount"]) - flat, flat]
        return lines

    def say_gross(self):
        return self.charge.unrounded - self.amounts("discount", "maximum", "minimum")

    say_usage = say_gross

    def say_discount(self):
        return -self.amounts("discount", "maximum")

    def say_pct_discount(self):
        return -self.amounts("discount")

    def say_cap_discount(self):
        return -self.amounts("maximum")

    def say_trueup(self):
        return self.amounts("minimum", "true_up")

    say_commitment = say_trueup

    def say_allowance_used_now(self):
        return self.charge.steps("included")[-1]["used"]

    def say_free_events(self):
        return sum(step["free_events"] for step in self.charge.steps("percentage"))

    def say_paid_base(self):
        return sum(Decimal(step["paid_base"]) for step in self.charge.steps("percentage"))

    def say_windows(self):
        sums: dict[str, Decimal] = {}
        for step in self.charge.explanation:
            if "part" in step and "amount" in step:
                bucket = step["part"]["bucket"]
                sums[bucket] = sums.get(bucket, Decimal(0)) + Decimal(step["amount"])
        return list(sums.values())

    def say_utilized(self):
        """What was spent within commitments, or where nothing is committed."""
        return self.charge.unrounded - self.say_overage() - self.say_trueup()

    def say_overage(self):
        return sum(Decimal(step["overage_amount"]) for step in self.charge.steps("commitment"))


def rate_case(case: dict, **changes) -> rating.Charge:
    """Return the charge of a case, some fields of its definition changed."""
    case = case | {"definition": case["definition"] | changes}
    return rating.rate(PriceReader(case).price(), usage_of(case), USD)


def answer_rating(case: dict) -> dict:
    """Rate the case and say what is expected of the charge."""
    answers = Answers(case, rate_case(case))
    return {name: answers(name) for name in case["expected"]}
