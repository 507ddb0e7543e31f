"""What every pricing model provides."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from ..fields import Fields
from ..values import Line
from ..work import Work


class Model(ABC):
    """A way to turn a billable quantity into lines of money.

    A model is parsed once and then priced any number of times; it holds no state of a rating.
    """

    #: The name a price definition uses: ``{"model": name}``.
    name: ClassVar[str]
    #: Whether it prices a quantity, so that units can be converted, rounded and included first.
    #: False for models that look at every event.
    by_quantity: ClassVar[bool] = True
    #: Whether the quantity it prices is money: the records' amounts, where there are records.
    of_amounts: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def parse(cls, fields: Fields) -> "Model":
        """Read the fields of this model; raise ``PriceError`` for what cannot be priced."""

    @abstractmethod
    def price(self, work: Work) -> Iterable[Line]:
        """Return the lines for the quantities between ``work.before`` and ``work.after``.

        A model of nested prices adds its parts to ``work`` itself and returns nothing.
        """
