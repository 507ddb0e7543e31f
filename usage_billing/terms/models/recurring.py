from ...numbers import exact_text
from ..base import ModelTerm, differing


class Recurring(ModelTerm):
    name = "recurring"
    label = "Recurring fee"
    about = "a fee of the period, whatever was used, or for each unit of it"

    def definition(self, price, tz):
        return {
            "amount": exact_text(price.fee_amount),
            **({"per_unit": True} if price.fee_per_unit else {}),
            **differing(price, timing="arrears"),
        }

    def words(self, price):
        words = price.env._("%s a period", price._amount_words(price.fee_amount))
        if price.fee_per_unit:
            words = price.env._("%(words)s for each %(unit)s", words=words, unit=price.unit_name or price.env._("unit"))
        return price.env._("%s, in advance", words) if price.timing == "advance" else words
