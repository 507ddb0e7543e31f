from ...numbers import exact_text
from ..base import StepTerm, number_words


class Conversion(StepTerm):
    def definition(self, price, tz):
        if not price.conversion_operation:
            return {}
        factor = exact_text(price.conversion_factor)
        return {"conversion": {"operation": price.conversion_operation, "factor": factor}}

    def words(self, price):
        factor = number_words(price, "conversion_factor")
        if price.conversion_operation == "divide":
            return price.env._("quantity divided by %s", factor)
        return price.env._("quantity times %s", factor) if price.conversion_operation else ""
