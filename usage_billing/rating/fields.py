"""Reading a price definition field by field, with errors that name the field and the remedy."""

from collections.abc import Callable
from decimal import Decimal
from difflib import get_close_matches

from .decimals import ZERO, to_decimal
from .errors import PriceError

REQUIRED = object()


class Fields:
    """The fields of one definition (a dict of JSON) and which of them have been read.

    ``path`` is where the definition sits in the whole price, for error messages.

    >>> fields = Fields({"unit_amount": "-1"}, "tiers[0]")
    >>> fields.number("unit_amount")
    Traceback (most recent call last):
    ...
    rating.errors.PriceError: tiers[0].unit_amount: is -1 but cannot be negative. \
Remedy: write 0 or more.
    """

    def __init__(self, definition: dict, path: str = "", parse_price: Callable | None = None):
        if not isinstance(definition, dict):
            raise PriceError(path or "price", "is not an object", "write it as {field: value}")
        self.definition, self.path, self.known = definition, path, set()
        self.proratable: set[str] = set()
        self._parse_price = parse_price

    def name(self, field: str) -> str:
        """Return the full name of a field, such as ``tiers[0].up_to``."""
        return f"{self.path}.{field}" if self.path else field

    def error(self, field: str, problem: str, remedy: str) -> PriceError:
        """Return (not raise) the error of one field."""
        return PriceError(self.name(field), problem, remedy)

    def get(self, field: str, default=None):
        """Return a field as it is, ``default`` where it is absent or null."""
        self.known.add(field)
        value = self.definition.get(field)
        return default if value is None else value

    def has(self, field: str) -> bool:
        """Say whether a field is present and not null."""
        return self.get(field) is not None

    def _present(self, field: str, default, remedy: str):
        value = self.get(field, default)
        if value is REQUIRED:
            raise self.error(field, "is missing", remedy)
        return value

    def number(self, field: str, default=REQUIRED, *, signed: bool = False) -> Decimal | None:
        """Return a field as Decimal of 0 or more (any sign if ``signed``).

        ``default`` may be None. Raises ``PriceError`` for a float, text or missing value.
        """
        value = self._present(field, default, 'write a number as text, such as "0.50"')
        if value is None:
            return None
        try:
            number = to_decimal(value)
        except (TypeError, ValueError) as error:
            raise self.error(field, str(error), 'write it as text, such as "0.50"') from None
        if number < ZERO and not signed:
            raise self.error(field, f"is {number} but cannot be negative", "write 0 or more")
        return number

    def positive(self, field: str, default=REQUIRED) -> Decimal | None:
        """Return a field as Decimal above 0, for sizes and divisors."""
        number = self.number(field, default)
        if number is not None and number <= ZERO:
            raise self.error(field, "is 0 but must be more", "write a number above 0")
        return number

    def choice(self, field: str, options, default=REQUIRED) -> str:
        """Return a field that must be one of ``options``."""
        listed = ", ".join(map(str, options))
        value = self._present(field, default, f"write one of {listed}")
        if not isinstance(value, str) or value not in options:
            raise self.error(field, f"is {value!r}", f"write one of {listed}")
        return value

    def boolean(self, field: str, default: bool) -> bool:
        """Return a field that must be true or false."""
        value = self.get(field, default)
        if not isinstance(value, bool):
            raise self.error(field, f"is {value!r}", "write true or false")
        return value

    def string(self, field: str, default=REQUIRED) -> str:
        """Return a field that must be text."""
        value = self._present(field, default, "write a text")
        if value is not None and not isinstance(value, str):
            raise self.error(field, f"is {value!r}", "write a text")
        return value

    def child(self, field: str, default=REQUIRED) -> "Fields | None":
        """Return an object field as ``Fields`` of its own."""
        value = self._present(field, default, "write an object {field: value}")
        return None if value is None else self._inner(value, self.name(field))

    def price(self, field: str):
        """Return the price that is written in a field: an object as ``parse_price`` takes it."""
        return self._parse_price(self.child(field))

    def _inner(self, definition: dict, path: str) -> "Fields":
        return Fields(definition, path, self._parse_price)

    def items(self, field: str, default=REQUIRED) -> "list[Fields]":
        """Return a list field as ``Fields``, one an item; the list cannot be empty."""
        value = self._present(field, default, "write a list with one item or more")
        if not isinstance(value, (list, tuple)) or (not value and default is REQUIRED):
            raise self.error(field, "is not a list with items", "write a list of objects")
        return [self._inner(item, f"{self.name(field)}[{i}]") for i, item in enumerate(value)]

    def prorates(self, field: str) -> bool:
        """Say whether the list ``prorate`` names a field, to take it for a part of the period."""
        self.proratable.add(field)
        named = self.get("prorate", ())
        if not isinstance(named, (list, tuple)):
            raise self.error("prorate", "is not a list", 'write field names, as ["minimum"]')
        return field in named

    def finish(self):
        """Raise ``PriceError`` for the first field nobody has read: it would be ignored."""
        for field in self.get("prorate", ()):
            if field not in self.proratable:
                names = ", ".join(sorted(self.proratable)) or "none"
                remedy = f"name fields that can be prorated here ({names})"
                raise self.error("prorate", f"names {field!r}", remedy)
        for field in self.definition:
            if field not in self.known:
                raise self._unknown(field)

    def _unknown(self, field: str) -> PriceError:
        close = get_close_matches(str(field), self.known, 1)
        remedy = f"write {close[0]}, or remove it" if close else "remove it"
        known = ", ".join(sorted(self.known))
        return self.error(field, f"is not a field here (there are: {known})", remedy)
