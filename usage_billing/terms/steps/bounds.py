from ..base import StepTerm, numbers


class Bounds(StepTerm):
    """The least and the most that a period costs."""

    def definition(self, price, tz):
        return numbers(price, maximum="maximum_amount", minimum="minimum_amount")

    def words(self, price):
        words = []
        if price.minimum_amount:
            words.append(price.env._("at least %s a period", price._amount_words(price.minimum_amount)))
        if price.maximum_amount:
            words.append(price.env._("at most %s a period", price._amount_words(price.maximum_amount)))
        return price.env._(", ").join(words)
