from ..base import ModelTerm, Need, beyond, differing
from .graduated import tier_words


class GraduatedPercentage(ModelTerm):
    name = "graduated_percentage"
    label = "Graduated percentage"
    about = "the money inside each tier pays that tier's percentage"

    def definition(self, price, tz):
        return {
            "tiers": [tier._definition(rate="percent") for tier in price.tier_ids],
            **differing(price, flat_on_zero=False),
            **beyond(price),
        }

    def need(self, price, tz):
        return Need()

    def words(self, price):
        return price.env._(", then ").join(tier_words(price))
