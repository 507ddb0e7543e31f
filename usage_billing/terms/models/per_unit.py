from ...numbers import exact_text
from ..base import ModelTerm


class PerUnit(ModelTerm):
    name = "per_unit"
    label = "Per unit"
    about = "every unit costs the same"

    def definition(self, price, tz):
        return {"unit_amount": exact_text(price.unit_amount), "per": exact_text(price.per_quantity)}

    def words(self, price):
        return f"{price._amount_words(price.unit_amount)} {price._per_words()}"
