"""Prices that the rating core could rate and that nobody means: refused on save."""

import re

from ..numbers import exact_text
from ..rating import PriceError

PATH = re.compile(r"[^\s.$]+(\.[^\s.$]+)*")
MOST_PERCENT = 100


def check(price, path=""):
    """Raise ``PriceError`` for the first mistake in a price or one of its parts.

    :param price: ``usage.price``
    :param str path: where it stands in the whole price, ending with a point
    """
    checks = (_percentages, _free_events, _amount_path, _amount_divisor, _dimensions, _times)
    for field, problem, remedy in (mistake for find in checks for mistake in find(price)):
        raise PriceError(f"{path}{field}", problem, remedy)
    for number, part in enumerate(price.part_ids):
        check(part, f"{path}part_ids[{number}].")


def _percentages(price):
    percents = {"percent": price.percent} if price.model == "percentage" else {}
    if price.model == "graduated_percentage":
        percents = {f"tier_ids[{number}].percent": tier.percent for number, tier in enumerate(price.tier_ids)}
    for field, percent in percents.items():
        if percent > MOST_PERCENT:
            problem = price.env._("is %s, more than all of the money", exact_text(percent))
            yield field, problem, price.env._("write at most 100")


def _free_events(price):
    if price.model == "percentage" and price.free_events % 1:
        yield "free_events", price.env._("is %s", exact_text(price.free_events)), price.env._("write a whole number")


def _amount_path(price):
    if price.amount_path and not PATH.fullmatch(price.amount_path):
        remedy = price.env._("write a name, or names joined by points, as payment.amount")
        yield "amount_path", price.env._("is '%s'", price.amount_path), remedy


def _amount_divisor(price):
    if price.amount_path and not price.parent_id and not price.amount_divisor:
        remedy = price.env._("write a number above 0: 1 for amounts as they are, 100 for cents")
        yield "amount_divisor", price.env._("is %s", 0), remedy


def _dimensions(price):
    names = [name for name in price._priced_dimensions() if name] if price.model == "dimensional" else []
    for number, name in enumerate(price._priced_dimensions(), 1):
        if names.count(name) > 1 and number > 1:
            remedy = price.env._("choose another dimension, or empty it")
            yield f"dimension_{number}", price.env._("is '%s' again", name), remedy


def _times(price):
    if price.parent_id.model == "time_of_day" and price._has_hours() and price.time_from == price.time_to:
        remedy = price.env._("write another time, or 24:00 to have it end at midnight")
        yield "time_to", price.env._("is when it begins"), remedy
