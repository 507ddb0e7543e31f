from ...numbers import exact_text
from ..base import StepTerm


class Discounts(StepTerm):
    def definition(self, price, tz):
        discounts = [{discount.type: exact_text(discount.value)} for discount in price.discount_ids]
        return {"discounts": discounts} if discounts else {}

    def words(self, price):
        off = [discount._describe() for discount in price.discount_ids]
        return price.env._("less %s", price.env._(", then ").join(off)) if off else ""
