"""The steps of a calculation, told to people in their language.

The rating core explains a charge as data: a list of steps with exact numbers as text. Here they
become a table. A step that is not known yet is shown with its figures, never left out.
"""

from markupsafe import Markup

from .numbers import format_amount, format_number

_TABLE = Markup('<table class="table table-sm o_usage_explanation"><tbody>{}</tbody></table>')
_ROW = Markup('<tr><td>{}</td><td>{}</td><td class="text-end text-nowrap">{}</td></tr>')


class Explanation:
    """Turns the steps of one charge into HTML.

    :param env: environment with the reader's language
    :param currency: ``res.currency`` of the charge
    :param str unit: what one unit of the meter is called
    """

    def __init__(self, env, currency, unit):
        self.env, self.currency, self.unit = env, currency, unit

    def render(self, steps: list[dict]) -> Markup:
        """Return a table with one row a step: what, how, and what it costs."""
        rows = Markup().join(_ROW.format(*self.row(step)) for step in steps)
        return _TABLE.format(rows)

    def row(self, step: dict) -> tuple[str, str, str]:
        """Return title, calculation and amount of one step, as text."""
        return getattr(self, f"_row_{step['step']}", self._row_other)(step)

    def _number(self, text):
        return format_number(self.env, text)

    def _amount(self, text):
        return format_amount(self.env, text, self.currency)

    def _units(self, text):
        return f"{self._number(text)} {self.unit}".strip()

    def _row_included(self, step):
        calculation = self.env._(
            "%(quantity)s used, %(used)s of the %(included)s included: %(billable)s to charge",
            quantity=self._units(step["quantity"]),
            used=self._number(step["used"]),
            included=self._number(step["included_quantity"]),
            billable=self._units(step["billable"]),
        )
        return self.env._("Included"), calculation, ""

    def _row_unit(self, step):
        return self.env._("Usage"), self._multiplication(step), self._amount(step["amount"])

    def _row_tier(self, step):
        return self._tier_title(step), self._multiplication(step), self._amount(step["amount"])

    def _tier_title(self, step):
        bounds = {"number": step["tier"], "over": self._number(step["over"])}
        if step["up_to"] is None:
            return self.env._("Tier %(number)s: above %(over)s", **bounds)
        return self.env._(
            "Tier %(number)s: above %(over)s up to %(up_to)s", up_to=self._number(step["up_to"]), **bounds
        )

    def _multiplication(self, step):
        words = f"{self._units(step['quantity'])} × {self._amount(step['unit_amount'])}"
        if step.get("per", "1") != "1":
            words = self.env._("%(calculation)s per %(per)s", calculation=words, per=self._number(step["per"]))
        if step.get("flat_amount", "0") != "0":
            words = f"{words} + {self._amount(step['flat_amount'])}"
        return words

    def _row_package(self, step):
        calculation = self.env._(
            "%(quantity)s in packages of %(size)s: %(packages)s × %(amount)s",
            quantity=self._units(step["quantity"]),
            size=self._number(step["package_size"]),
            packages=self._number(step["packages"]),
            amount=self._amount(step["package_amount"]),
        )
        return self.env._("Packages"), calculation, self._amount(step["amount"])

    def _row_round(self, step):
        calculation = self.env._(
            "%(unrounded)s rounded once, to %(rounding)s",
            unrounded=self._amount(step["unrounded"]),
            rounding=self._number(step["rounding"]),
        )
        return self.env._("Charge before tax"), calculation, Markup("<b>{}</b>").format(self._amount(step["amount"]))

    def _row_other(self, step):
        figures = ", ".join(f"{name}: {value}" for name, value in step.items() if name not in ("step", "amount"))
        return step["step"], figures, self._amount(step["amount"]) if "amount" in step else ""
