"""The steps of a calculation, told to people in their language.

The rating core explains a charge as data: a list of steps with exact numbers as text. Here they
become a table. A step that is not known yet is shown with its figures, never left out.
"""

from datetime import datetime

from markupsafe import Markup

from odoo.tools import format_date, format_datetime

from .numbers import format_amount, format_number

_TABLE = Markup('<table class="table table-sm o_usage_explanation"><tbody>{}</tbody></table>')
_ROW = Markup('<tr><td>{}</td><td>{}</td><td class="text-end text-nowrap">{}</td></tr>')
_PART = Markup('<tr class="table-light"><th colspan="3">{}</th></tr>')


class Explanation:
    """Turns the steps of one charge into HTML.

    :param env: environment with the reader's language
    :param currency: ``res.currency`` of the charge
    :param str unit: what one unit of the meter is called
    :param str tz: the customer's time zone, in which hours are told
    """

    def __init__(self, env, currency, unit, tz="UTC"):
        self.env, self.currency, self.unit, self.tz = env, currency, unit, tz

    def render(self, steps: list[dict]) -> Markup:
        """Return a table with one row a step: what, how, and what it costs.

        Steps of a part (a group, an hour, a row of a matrix) stand under its title.
        """
        rows, part = [], None
        for step in steps:
            if step.get("part") != part:
                part = step.get("part")
                rows.append(_PART.format(self.part_title(part)))
            rows.append(_ROW.format(*self.row(step)))
        return _TABLE.format(Markup().join(rows))

    def row(self, step: dict) -> tuple[str, str, str]:
        """Return title, calculation and amount of one step, as text."""
        return getattr(self, f"_row_{step['step']}", self._row_other)(step)

    def part_title(self, part: dict | None) -> str:
        """Return what a part is: the values of its dimensions, its hours."""
        if not part:
            return self.env._("Altogether")
        titles = {"default": self._part_default, "bucket": self._part_bucket, "period": self._part_period}
        hours = [f"{part['from']}–{part['to']}"] if {"from", "to"} <= part.keys() else []
        others = {name: value for name, value in part.items() if not (hours and name in ("from", "to"))}
        return " · ".join([*hours, *(titles.get(name, self._part_value)(value) for name, value in others.items())])

    def _part_default(self, _value):
        return self.env._("All others")

    def _part_bucket(self, value):
        at = datetime.fromisoformat(value)
        return f"{format_datetime(self.env, at, tz=self.tz, dt_format='short')} ({self.tz})"

    def _part_period(self, value):
        return self.env._("Period from %s", format_date(self.env, value))

    def _part_value(self, value):
        return str(value) or self.env._("(none)")

    # -- numbers ------------------------------------------------------------------------------

    def _number(self, text):
        return format_number(self.env, text)

    def _amount(self, text):
        return format_amount(self.env, text, self.currency)

    def _units(self, text):
        return f"{self._number(text)} {self.unit}".strip()

    def _percent(self, text):
        return f"{self._number(text)}%"

    def _share(self, step):
        """Return ' × 17/31' where only a part of the period is charged."""
        return f" × {step['share']}" if step.get("share") else ""

    def _less_billed(self, step, words):
        """Return a calculation, with what earlier invoices of the period took off it."""
        if step.get("billed_before", "0") == "0":
            return words
        return self.env._(
            "%(calculation)s, less %(billed)s billed before",
            calculation=words,
            billed=self._amount(step["billed_before"]),
        )

    # -- how the quantity became the billable one ---------------------------------------------

    def _row_negative(self, step):
        calculation = self.env._("%s in all: nothing to charge", self._units(step["quantity"]))
        return self.env._("Below Zero"), calculation, ""

    def _row_trial(self, step):
        calculation = self.env._(
            "%(free)s used before %(until)s are free: %(billable)s to charge",
            free=self._units(step["free"]),
            until=format_datetime(self.env, datetime.fromisoformat(step["until"]), tz=self.tz, dt_format="short"),
            billable=self._units(step["billable"]),
        )
        return self.env._("Free Trial"), calculation, ""

    def _row_counters(self, step):
        return self.env._("Tiers"), self.env._("Counting begins at %s", self._units(step["begins_at"])), ""

    def _row_conversion(self, step):
        sign = "÷" if step["operation"] == "divide" else "×"
        calculation = f"{self._units(step['quantity'])} {sign} {self._number(step['factor'])}"
        return self.env._("Converted"), f"{calculation} = {self._number(step['converted'])}", ""

    def _row_quantity_rounding(self, step):
        calculation = self.env._(
            "%(quantity)s rounded to %(increment)s: %(rounded)s",
            quantity=self._number(step["quantity"]),
            increment=self._number(step["increment"]),
            rounded=self._number(step["rounded"]),
        )
        return self.env._("Quantity Rounded"), calculation, ""

    def _row_included(self, step):
        calculation = self.env._(
            "%(quantity)s used, %(used)s of the %(included)s included: %(billable)s to charge",
            quantity=self._units(step["quantity"]),
            used=self._number(step["used"]),
            included=self._number(step["included_quantity"]),
            billable=self._units(step["billable"]),
        )
        return self.env._("Included"), calculation, ""

    def _row_credit(self, step):
        calculation = self.env._(
            "%(used)s of %(quantity)s paid by prepaid units: %(billable)s to charge",
            quantity=self._units(step["quantity"]),
            used=self._number(step["used"]),
            billable=self._units(step["billable"]),
        )
        return self.env._("Prepaid Units"), calculation, ""

    # -- lines --------------------------------------------------------------------------------

    def _row_unit(self, step):
        return self.env._("Usage"), self._multiplication(step), self._amount(step["amount"])

    def _row_tier(self, step):
        calculation = self._less_billed(step, self._multiplication(step))
        return self._tier_title(step), calculation, self._amount(step["amount"])

    def _tier_title(self, step, write=None):
        write = write or self._number
        bounds = {"number": step["tier"], "over": write(step["over"])}
        if step["up_to"] is None:
            return self.env._("Tier %(number)s: above %(over)s", **bounds)
        return self.env._("Tier %(number)s: above %(over)s up to %(up_to)s", up_to=write(step["up_to"]), **bounds)

    def _multiplication(self, step):
        words = f"{self._units(step['quantity'])} × {self._amount(step['unit_amount'])}"
        if step.get("per", "1") != "1":
            words = self.env._("%(calculation)s per %(per)s", calculation=words, per=self._number(step["per"]))
        return self._with_flat(step, words)

    def _with_flat(self, step, words):
        if step.get("flat_amount", "0") != "0":
            words = f"{words} + {self._amount(step['flat_amount'])}"
        return words

    def _row_block_tier(self, step):
        calculation = self.env._(
            "%(quantity)s in blocks of %(size)s: %(blocks)s × %(amount)s",
            quantity=self._units(step["quantity"]),
            size=self._number(step["block_size"]),
            blocks=self._number(step["blocks"]),
            amount=self._amount(step["block_amount"]),
        )
        return self._tier_title(step), self._less_billed(step, calculation), self._amount(step["amount"])

    def _row_percentage_tier(self, step):
        words = f"{self._amount(step['quantity'])} × {self._percent(step['percent'])}"
        return self._tier_title(step, self._amount), self._with_flat(step, words), self._amount(step["amount"])

    def _row_package(self, step):
        calculation = self.env._(
            "%(quantity)s in packages of %(size)s: %(packages)s × %(amount)s",
            quantity=self._units(step["quantity"]),
            size=self._number(step["package_size"]),
            packages=self._number(step["packages"]),
            amount=self._amount(step["package_amount"]),
        )
        return self.env._("Packages"), calculation, self._amount(step["amount"])

    def _row_percentage(self, step):
        notes = [self._events(step)] if step["events"] else []
        if step["free_events"] or step["free_base"] != "0":
            notes.append(
                self.env._(
                    "free: %(events)s (%(base)s)",
                    events=self._number(step["free_events"]),
                    base=self._amount(step["free_base"]),
                )
            )
        for reached, bound, words in (
            ("at_minimum", "minimum_per_event", self.env._("at the minimum of %(amount)s: %(events)s")),
            ("at_maximum", "maximum_per_event", self.env._("at the maximum of %(amount)s: %(events)s")),
        ):
            if step[reached]:
                notes.append(words % {"amount": self._amount(step[bound]), "events": self._number(step[reached])})
        rated = f"{self._amount(step['rated_base'])} × {self._percent(step['percent'])}"
        paying = step["events"] - step["free_events"] - step["at_minimum"] - step["at_maximum"]
        if paying and step["fixed_amount"] != "0":
            rated = f"{rated} + {self._number(paying)} × {self._amount(step['fixed_amount'])}"
        others = self.env._("the others: %s", rated) if paying != step["events"] else rated
        notes += [others] if paying or not step["events"] else []
        return self.env._("Percentage"), "; ".join(notes), self._amount(step["amount"])

    def _events(self, step):
        return self.env._(
            "events: %(events)s (%(base)s)", events=self._number(step["events"]), base=self._amount(step["base"])
        )

    def _row_capacity(self, step):
        peaks = ", ".join(self._peak(unit, peak) for unit, peak in step["peaks"].items())
        limits = ", ".join(self._peak(unit, limit) for unit, limit in step["limits"].items() if limit)
        words = self.env._("Highest: %s", peaks or self._units("0"))
        if limits:
            words = self.env._("%(peaks)s; the tier holds %(limits)s", peaks=words, limits=limits)
        calculation = self._less_billed(step, f"{words}: {self._amount(step['tier_amount'])}")
        return self.env._("Tier %s", step["tier"]), calculation, self._amount(step["amount"])

    def _peak(self, unit, number):
        return self._units(number) if unit == "*" else f"{self._number(number)} {unit}"

    def _row_event_price(self, step):
        words = self.env._(
            "%(quantity)s, priced by the sender: %(amount)s",
            quantity=self._units(step["quantity"]),
            amount=self._amount(step["carried_amount"]),
        )
        if step["amount_divisor"] != "1":
            words = f"{words} ÷ {self._number(step['amount_divisor'])}"
        return self.env._("Usage"), words, self._amount(step["amount"])

    def _row_cost(self, step):
        return self.env._("Cost"), self.env._("What the events say the usage cost"), self._amount(step["amount"])

    def _row_margin(self, step):
        parts = []
        if step["margin_percent"] != "0":
            parts.append(self.env._("%s of the cost", self._percent(step["margin_percent"])))
        if step["margin_per_unit"] != "0":
            parts.append(f"{self._units(step['quantity'])} × {self._amount(step['margin_per_unit'])}")
        return self.env._("Margin"), " + ".join(parts), self._amount(step["amount"])

    def _row_recurring(self, step):
        words = f"{self._number(step['quantity'])} × {self._amount(step['unit_amount'])}{self._share(step)}"
        return self.env._("Fee"), words, self._amount(step["amount"])

    def _row_plan_minimum(self, step):
        words = self.env._(
            "the plan costs at least %(minimum)s%(share)s, its other lines come to %(spent)s",
            minimum=self._amount(step["minimum"]),
            share=self._of_period(step),
            spent=self._amount(step["spent"]),
        )
        return self.env._("Minimum of the Plan"), words, self._amount(step["amount"])

    def _of_period(self, step):
        """Return ' for 17/31 of the period' where only a part of it counts."""
        return self.env._(" for %s of the period", step["share"]) if step.get("share") else ""

    def _row_paid_before(self, step):
        return (
            self.env._("Charged Before"),
            self.env._("in advance, on an earlier invoice"),
            self._amount(step["amount"]),
        )

    def _row_billed(self, step):
        return self.env._("Billed Before"), self.env._("on %s", step["invoice"]), self._amount(step["amount"])

    def _row_flat_fee(self, step):
        words = self.env._("once a period%s", self._share(step))
        return self.env._("Flat Fee"), words, self._amount(step["amount"])

    # -- commitment, discounts, bounds --------------------------------------------------------

    def _row_commitment(self, step):
        calculation = self.env._(
            "%(utilized)s of the %(committed)s committed are used, %(overage)s above it",
            utilized=self._amount(step["utilized"]),
            committed=self._amount(step["committed"]),
            overage=self._amount(step["overage"]),
        )
        return self.env._("Commitment"), calculation, ""

    def _row_overage(self, step):
        words = self.env._(
            "%(overage)s count %(factor)s times",
            overage=self._amount(step["overage"]),
            factor=self._number(step["factor"]),
        )
        return self.env._("Overage"), words, self._amount(step["amount"])

    def _row_true_up(self, step):
        words = self.env._("what lacks to the %s committed", self._amount(step["committed"]))
        return self.env._("True-up"), words, self._amount(step["amount"])

    def _row_discount(self, step):
        words = self._percent(step["percent"]) if "percent" in step else self._amount(step["discount"])
        return self.env._("Discount"), words, self._amount(step["amount"])

    def _row_maximum(self, step):
        words = self.env._("a period costs at most %s", self._amount(step["maximum"]))
        return self.env._("Maximum"), words, self._amount(step["amount"])

    def _row_minimum(self, step):
        words = self.env._("a period costs at least %s", self._amount(step["minimum"]))
        return self.env._("Minimum"), words, self._amount(step["amount"])

    def _row_round(self, step):
        calculation = self.env._(
            "%(unrounded)s rounded once, to %(rounding)s",
            unrounded=self._amount(step["unrounded"]),
            rounding=self._number(step["rounding"]),
        )
        if step.get("of") == "lines":
            calculation = self.env._(
                "%(unrounded)s, each line rounded to %(rounding)s",
                unrounded=self._amount(step["unrounded"]),
                rounding=self._number(step["rounding"]),
            )
        return self.env._("Charge before tax"), calculation, Markup("<b>{}</b>").format(self._amount(step["amount"]))

    def _row_other(self, step):
        figures = ", ".join(
            f"{name}: {value}" for name, value in step.items() if name not in ("step", "amount", "part")
        )
        return step["step"], figures, self._amount(step["amount"]) if "amount" in step else ""
