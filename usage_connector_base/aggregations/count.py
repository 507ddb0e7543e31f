from .sum import Sum


class Count(Sum):
    """How many events there are; the values of a summary are numbers of events."""

    key = "count"
    needs_value = False
    needs_number = False
