"""Recurring fees: which period's fee stands on which invoice."""

TIMING = ("arrears", "advance")


def periods_due(timing: str, n: int, first: int, last: int | None = None) -> list[int]:
    """Return the periods whose fee the invoice at the end of period ``n`` bears.

    ``first`` and ``last`` are the periods in which the subscription starts and ends (None: it
    goes on). In ``arrears`` that is period ``n`` itself, in ``advance`` the one after it; the
    first period's fee in advance is due on the opening invoice, ``n = first - 1``.

    >>> periods_due("arrears", 4, first=0), periods_due("advance", 4, first=0)
    ([4], [5])
    >>> periods_due("advance", 4, first=0, last=4), periods_due("advance", -1, first=0)
    ([], [0])
    """
    if timing not in TIMING:
        raise ValueError(f"timing {timing!r}: use one of {', '.join(TIMING)}")
    period = n if timing == "arrears" else n + 1
    due = first <= period and (last is None or period <= last)
    return [period] if due else []
