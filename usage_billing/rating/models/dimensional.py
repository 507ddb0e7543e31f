"""Dimensional: a matrix of prices by region, model, plan or any other dimension."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import UsageError
from ..fields import Fields
from ..nested import NestedPrice, lots_of, rate_parts
from ..values import Line, Record
from ..work import Work
from .base import Model


@dataclass(frozen=True, slots=True)
class Dimensional(Model):
    """Records are sorted by what they match, and each lot is priced by a price of its own.

    ``prices`` is a list of ``{"match": {dimension: value}, "price": {…}}``: the first whose
    dimensions all agree with the record's wins, so write the special before the general. What
    matches none goes to ``default``, or is refused where there is no default. A nested price may
    be of any model, with its own included quantity, minimum and so on.

    >>> from rating import Currency, Record, Usage, parse_price, rate
    >>> def per_unit(amount): return {"model": "per_unit", "unit_amount": amount}
    >>> price = parse_price({"model": "dimensional", "default": per_unit("1"), "prices": [
    ...     {"match": {"region": "eu"}, "price": per_unit("2")}]})
    >>> usage = Usage.of([Record(3, dimensions={"region": "eu"}), Record(4)])
    >>> rate(price, usage, Currency("USD")).amount
    Decimal('10.00')
    """

    name = "dimensional"
    by_quantity = False

    prices: tuple[tuple[dict[str, str], NestedPrice], ...]
    default: NestedPrice | None

    @classmethod
    def parse(cls, fields: Fields) -> "Dimensional":
        """Read ``prices`` and ``default``."""
        prices = []
        for item in fields.items("prices"):
            match = _match(item)
            if match in [each for each, _ in prices]:
                raise item.error("match", "is there twice", "remove one of the two prices")
            prices.append((match, item.price("price")))
            item.finish()
        default = fields.price("default") if fields.has("default") else None
        return cls(tuple(prices), default)

    def price(self, work: Work) -> list[Line]:
        """Add the lines of every nested price that has records, marked with their match."""
        rate_parts(work, lots_of(work.usage, self._choose), self._all())
        return []

    def _all(self) -> list[tuple[dict, NestedPrice]]:
        default = [({"default": "true"}, self.default)] if self.default else []
        return [*self.prices, *default]

    def _choose(self, record: Record) -> int:
        """Return the number of the price of a record; ``UsageError`` where there is none."""
        for number, (match, _) in enumerate(self.prices):
            if _agrees(match.items(), record.dimensions):
                return number
        if self.default is None:
            raise UsageError(f"no price matches {record.dimensions}: add one, or a default")
        return len(self.prices)


def _agrees(match: Iterable[tuple[str, str]], dimensions: dict[str, str]) -> bool:
    return all(dimensions.get(name) == value for name, value in match)


def _match(item: Fields) -> dict[str, str]:
    """Read what a record must agree with: at least one dimension."""
    match = item.child("match")
    read = {name: match.string(name) for name in match.definition}
    if not read:
        raise item.error("match", "is empty", "write a dimension, or use default for all the rest")
    return read
