"""Numbers between Odoo's floats, the rating core's texts and people's eyes."""

from decimal import Decimal

from odoo.tools.misc import get_lang

from .rating.decimals import text


def exact(value: float) -> Decimal:
    """Return the decimal number that was typed where Odoo holds a float: its shortest form.

    >>> exact(0.1), exact(22361870.0)
    (Decimal('0.1'), Decimal('22361870.0'))
    """
    return Decimal(repr(value or 0.0))


def exact_text(value: float) -> str:
    """Return :func:`exact` as the rating core writes numbers.

    >>> exact_text(1000000.0), exact_text(1e-07)
    ('1000000', '0.0000001')
    """
    return text(exact(value))


def format_number(env, value, decimals: int = 0) -> str:
    """Write a number (Decimal or text) for people in their language, with every digit it has.

    :param decimals: at least so many digits after the point
    """
    lang = get_lang(env)
    written = text(Decimal(value))
    whole, _point, fraction = written.partition(".")
    grouped = f"{int(whole.lstrip('-')):,}".replace(",", lang.thousands_sep or "")
    sign = "-" if written.startswith("-") else ""
    fraction = fraction.ljust(decimals, "0")
    return f"{sign}{grouped}{lang.decimal_point}{fraction}" if fraction else f"{sign}{grouped}"


def format_amount(env, value, currency) -> str:
    """Write an amount (Decimal or text) with its currency's code, rounded no further than it is."""
    return f"{format_number(env, value, currency.decimal_places)} {currency.name}"
