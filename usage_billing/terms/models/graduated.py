from ...numbers import exact_text
from ..base import EVENTS, ModelTerm, Need, beyond, differing


class Graduated(ModelTerm):
    name = "graduated"
    label = "Graduated tiers"
    about = "the units inside each tier cost that tier's price"

    def definition(self, price, tz):
        return {
            "per": exact_text(price.per_quantity),
            "tiers": [tier._definition() for tier in price.tier_ids],
            **differing(price, flat_on_zero=False, prorated=False),
            **beyond(price),
        }

    def need(self, price, tz):
        return Need(EVENTS) if price.prorated else Need()

    def words(self, price):
        return price.env._(", then ").join(tier_words(price))


def tier_words(price) -> list[str]:
    """Return each tier in words."""
    return [tier._describe(first=not index) for index, tier in enumerate(price.tier_ids)]
