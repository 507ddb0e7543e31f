from ..base import differing
from .graduated import Graduated, tier_words


class Volume(Graduated):
    name = "volume"
    label = "Volume tiers"
    about = "all units cost the price of the tier that the period's total reaches"

    def definition(self, price, tz):
        return {**super().definition(price, tz), **differing(price, interim="wait", bounds="inclusive")}

    def words(self, price):
        tiers = price.env._("; ").join(tier_words(price))
        if price.bounds == "exclusive":
            return price.env._(
                "All units at the price of the tier reached, a bound itself at the next one's: %s", tiers
            )
        return price.env._("All units at the price of the tier reached: %s", tiers)
