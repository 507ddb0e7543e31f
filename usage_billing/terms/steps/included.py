from ..base import StepTerm, differing, numbers


class Included(StepTerm):
    """Its words come first in the sentence: see ``usage.price._describe``."""

    def definition(self, price, tz):
        definition = numbers(price, included_quantity="included_quantity")
        return {**definition, **differing(price, included_per="price")} if definition else {}
