"""What every term of a price provides: its definition for the rating core, its words, its need."""

from typing import NamedTuple

from ..numbers import exact, exact_text, format_number

#: How closely usage is looked at: its total, hour by hour, or event by event.
TOTAL, HOURS, EVENTS = range(3)


class Need(NamedTuple):
    """The shape in which a price needs usage.

    ``pieces``: TOTAL, HOURS or EVENTS; ``dimensions``: the names that quantities are kept apart
    by; ``zones``: time zones whose hours must not be cut, so that hours of UTC do where those
    zones are whole hours away from it.
    """

    pieces: int = TOTAL
    dimensions: frozenset = frozenset()
    zones: frozenset = frozenset()

    def __or__(self, other):
        """Return what serves both needs."""
        return Need(max(self.pieces, other.pieces), self.dimensions | other.dimensions, self.zones | other.zones)


class Term:
    """A pricing model, or one thing done around it, as a price of Odoo says it.

    Methods take the ``usage.price`` record; ``tz`` is the time zone of the customer.
    """

    def definition(self, price, tz: str) -> dict:
        """Return the fields of the rating core's definition; only what differs from its defaults."""
        raise NotImplementedError

    def need(self, price, tz: str) -> Need:
        """Return the shape in which the usage must be read."""
        return Need()


class ModelTerm(Term):
    """One pricing model: mirrors the file of the same name in ``rating/models``."""

    #: The name in the rating core, what people choose, and what it means to them.
    name: str
    label: str
    about: str

    def words(self, price) -> str:
        """Return the price in words."""
        raise NotImplementedError


class StepTerm(Term):
    """One thing done around a model: mirrors the file of the same name in ``rating/steps``."""

    def words(self, price) -> str:
        """Return what it does in words, empty where the price does not ask for it."""
        return ""


def numbers(record, **names) -> dict:
    """Return fields of a record that are not zero as the core writes them: ``core=field``."""
    return {core: exact_text(record[field]) for core, field in names.items() if record[field]}


def differing(record, **defaults) -> dict:
    """Return the fields of a record that are not at these defaults (or are False for a choice)."""
    return {name: record[name] for name, default in defaults.items() if record[name] and record[name] != default}


def beyond(price) -> dict:
    """Return what happens above a last tier that has an end."""
    return {"beyond_last_tier": price.beyond_last_tier} if price.beyond_last_tier else {}


def dimension_names(text) -> list[str]:
    """Return the names in a list joined by commas.

    >>> dimension_names("model, region,")
    ['model', 'region']
    """
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def number_words(price, field) -> str:
    """Return a number of a price for people."""
    return format_number(price.env, exact(price[field]))
