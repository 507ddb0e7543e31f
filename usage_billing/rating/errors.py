"""What the rating core refuses, and how it says so."""


class RatingError(ValueError):
    """A price or a usage that cannot be rated. The message says what to do."""


class PriceError(RatingError):
    """A price definition that is wrong; names the field and the remedy.

    >>> error = PriceError("tiers[1].up_to", "must be above 10", "raise it or remove the tier")
    >>> error.field
    'tiers[1].up_to'
    >>> print(error)
    tiers[1].up_to: must be above 10. Remedy: raise it or remove the tier.
    """

    def __init__(self, field: str, problem: str, remedy: str):
        self.field, self.problem, self.remedy = field, problem, remedy
        super().__init__(f"{field}: {problem}. Remedy: {remedy}.")


class UsageError(RatingError):
    """A usage that does not fit its price, for instance without the records it needs."""
