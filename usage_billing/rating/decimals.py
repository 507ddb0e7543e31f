"""Decimal arithmetic of the rating core: one context, one way to write a number, one way to round.

Every entry point of the core computes inside :data:`CONTEXT`, so the result does not depend on
the decimal context of the caller.
"""

from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)

#: 50 digits: sums and products of any real bill are exact; only division is ever inexact.
CONTEXT = Context(
    prec=50,
    rounding=ROUND_HALF_EVEN,
    Emin=-999999,
    Emax=999999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[InvalidOperation, DivisionByZero, Overflow],
)

ZERO = Decimal(0)
ONE = Decimal(1)
HUNDRED = Decimal(100)

#: Rounding rules a price or a currency may name. ``half_up`` is half away from zero.
ROUNDING_MODES = {
    "half_up": ROUND_HALF_UP,
    "half_even": ROUND_HALF_EVEN,
    "half_down": ROUND_HALF_DOWN,
    "up": ROUND_UP,
    "down": ROUND_DOWN,
    "ceiling": ROUND_CEILING,
    "floor": ROUND_FLOOR,
}


def to_decimal(value) -> Decimal:
    """Return ``value`` (text, integer or Decimal) as a finite Decimal.

    Raises ``TypeError`` for a binary float, which has already lost digits, and ``ValueError``
    for what is not a finite number.

    >>> to_decimal("0.10"), to_decimal(3)
    (Decimal('0.10'), Decimal('3'))
    >>> to_decimal(0.1)
    Traceback (most recent call last):
    ...
    TypeError: a binary float loses digits: write the number as text
    """
    if isinstance(value, (float, bool)):
        raise TypeError("a binary float loses digits: write the number as text")
    try:
        number = Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        raise ValueError(f"{value!r} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{value!r} is not a finite number")
    return number


def set_decimals(value, *names: str):
    """Turn the named attributes of a frozen value into Decimals; None stays None."""
    for name in names:
        number = getattr(value, name)
        if number is not None and type(number) is not Decimal:
            object.__setattr__(value, name, to_decimal(number))


#: Quotients keep this many decimals, and a total is read to fewer before it is rounded: thirds
#: that add up to a whole give the whole, and a half cent made of thirds rounds as a half cent.
QUOTIENT = Decimal("1e-30")
TOTAL = Decimal("1e-20")


def quotient(dividend: Decimal, divisor: Decimal) -> Decimal:
    """Divide, keeping at most 30 decimals.

    >>> text(quotient(Decimal(5), Decimal(2))), text(quotient(Decimal(1), Decimal(3)))
    ('2.5', '0.333333333333333333333333333333')
    """
    result = CONTEXT.divide(dividend, divisor)
    return result.quantize(QUOTIENT, ROUND_HALF_EVEN, CONTEXT) if has_tail(result) else result


def has_tail(number: Decimal) -> bool:
    """Say whether a number has more decimals than a quotient may keep."""
    return number.as_tuple().exponent < -30


def text(number: Decimal) -> str:
    """Write a number in its one canonical form: no exponent, no trailing zeros, no minus zero.

    >>> text(Decimal("1.50")), text(Decimal("1E+3")), text(Decimal("-0.0"))
    ('1.5', '1000', '0')
    """
    written = format(number, "f")
    if "." in written:
        written = written.rstrip("0").rstrip(".")
    return "0" if written == "-0" else written


def round_to(number: Decimal, increment: Decimal, mode: str = "half_up") -> Decimal:
    """Round to a multiple of ``increment`` (any positive size) by the named rule.

    >>> round_to(Decimal("1.005"), Decimal("0.01"))
    Decimal('1.01')
    >>> round_to(Decimal("1.03"), Decimal("0.05"))
    Decimal('1.05')
    >>> round_to(Decimal("123.456"), Decimal("100"), "ceiling")
    Decimal('200')
    """
    rule = ROUNDING_MODES[mode]
    number = _settled(number)
    if increment.as_tuple().digits == (1,) and increment <= ONE:
        return number.quantize(increment, rule, CONTEXT)
    count = _settled(CONTEXT.divide(number, increment)).quantize(ONE, rule, CONTEXT)
    return CONTEXT.multiply(count, increment)


def _settled(number: Decimal) -> Decimal:
    """Return a number without the last digits that divisions leave."""
    if number.as_tuple().exponent >= -20:
        return number
    return number.quantize(TOTAL, ROUND_HALF_EVEN, CONTEXT)
