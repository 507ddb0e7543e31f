from ...numbers import exact, exact_text, format_number
from ...rating import PriceError
from ..base import HOURS, ModelTerm, Need, beyond

#: The name of the one unit of a price that has no dimension of units.
WHOLE = "*"


class Capacity(ModelTerm):
    name = "capacity"
    label = "Capacity"
    about = "one price for the lowest tier that fits the highest hour of the period"

    def definition(self, price, tz):
        return {
            "unit_dimension": price.unit_dimension or WHOLE,
            "tiers": [
                {"amount": exact_text(tier.amount), "limits": self._limits(price, tier, number)}
                for number, tier in enumerate(price.tier_ids)
            ],
            **beyond(price),
        }

    def _limits(self, price, tier, number):
        """Return the limit of every unit, None where it has none."""
        if not price.unit_dimension:
            return {WHOLE: exact_text(tier.up_to) if tier.up_to else None}
        limits = {}
        for item in filter(None, map(str.strip, (tier.limits or "").split(","))):
            unit, _equals, limit = (part.strip() for part in item.partition("="))
            if not unit or not limit.replace(".", "", 1).replace("none", "0").isdecimal():
                raise PriceError(
                    f"tiers[{number}].limits",
                    f"{item!r} is no limit",
                    "write a unit and its limit, as in seats = 5, gb = 100; none for no limit",
                )
            limits[unit] = None if limit == "none" else limit
        return limits

    def need(self, price, tz):
        return Need(HOURS, frozenset([price.unit_dimension or WHOLE]))

    def words(self, price):
        return price.env._("; ").join(self._tier_words(price, tier) for tier in price.tier_ids)

    def _tier_words(self, price, tier):
        limits = tier.limits if price.unit_dimension else ""
        if not price.unit_dimension and tier.up_to:
            limits = f"{format_number(price.env, exact(tier.up_to))} {price.unit_name or ''}".strip()
        amount = price._amount_words(tier.amount)
        if not limits:
            return price.env._("%s above", amount)
        return price.env._("%(amount)s up to a peak of %(limits)s", amount=amount, limits=limits)
