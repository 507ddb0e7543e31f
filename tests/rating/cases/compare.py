"""Compares what is expected with what was found."""

from .written import number


def same(expected, found) -> bool:
    """Say whether two answers are equal, numbers by their value however they are written."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(n in found and same(v, found[n]) for n, v in expected.items())
    if isinstance(expected, (list, tuple)):
        same_length = isinstance(found, (list, tuple)) and len(expected) == len(found)
        return same_length and all(map(same, expected, found))
    try:
        return number(expected) == number(found)
    except ArithmeticError:
        return expected == found
