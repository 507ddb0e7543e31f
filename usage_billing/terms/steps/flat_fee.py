from ...numbers import exact_text
from ..base import StepTerm


class FlatFee(StepTerm):
    def definition(self, price, tz):
        if not price.flat_fee:
            return {}
        used = {"when": "used"} if price.flat_fee_when == "used" else {}
        return {"flat_fee": {"amount": exact_text(price.flat_fee), **used}}

    def words(self, price):
        if not price.flat_fee:
            return ""
        amount = price._amount_words(price.flat_fee)
        if price.flat_fee_when == "used":
            return price.env._("plus %s a period with usage", amount)
        return price.env._("plus %s a period", amount)
