"""Package: units are sold by the package of a size."""

from dataclasses import dataclass
from decimal import Decimal

from ..decimals import ONE, quotient, round_to, text
from ..fields import Fields
from ..values import Line, line
from ..work import Work
from .base import Model

#: How a package that is not full counts, and the rounding rule it stands for.
PACKAGE_ROUNDING = {"up": "ceiling", "down": "floor", "half_up": "half_up"}


@dataclass(frozen=True, slots=True)
class Package(Model):
    """Packages of ``package_size`` units at ``package_amount`` each.

    ``package_rounding`` says whether a started package counts (``up``), only full ones do
    (``down``), or from half full on (``half_up``). Packages are counted over the whole period, so
    a package paid on an earlier invoice is not paid again.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> definition = {"model": "package", "package_size": "10", "package_amount": "15"}
    >>> rate(parse_price(definition), Usage(quantity="11"), Currency("USD")).amount
    Decimal('30.00')
    """

    name = "package"

    package_size: Decimal
    package_amount: Decimal
    rounding: str

    @classmethod
    def parse(cls, fields: Fields) -> "Package":
        """Read ``package_size``, ``package_amount`` and ``package_rounding`` (up)."""
        return cls(
            fields.positive("package_size"),
            fields.number("package_amount"),
            PACKAGE_ROUNDING[fields.choice("package_rounding", PACKAGE_ROUNDING, "up")],
        )

    def price(self, work: Work) -> list[Line]:
        """Return one line: the packages taken beyond those of earlier invoices."""
        taken = packages(work.after, self.package_size, self.rounding)
        billed = packages(work.before, self.package_size, self.rounding)
        detail = {
            "quantity": text(work.quantity),
            "package_size": text(self.package_size),
            "packages": text(taken - billed),
            "billed_units": text((taken - billed) * self.package_size),
            "package_amount": text(self.package_amount),
        }
        return [line((taken - billed) * self.package_amount, "package", **detail)]


def packages(quantity: Decimal, size: Decimal, rounding: str) -> Decimal:
    """Return how many packages a cumulative quantity takes, by a rule of ``ROUNDING_MODES``.

    >>> packages(Decimal(21), Decimal(10), "ceiling")
    Decimal('3')
    """
    return round_to(quotient(quantity, size), ONE, rounding)
