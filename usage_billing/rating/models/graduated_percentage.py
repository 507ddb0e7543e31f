"""Graduated percentage: the money inside each tier pays that tier's percentage."""

from dataclasses import dataclass

from ..decimals import HUNDRED
from ..fields import Fields
from ..tiers import Tier, TierFields, parse_tiers
from ..values import Line
from ..work import Work
from .base import Model
from .graduated import tier_lines


@dataclass(frozen=True, slots=True)
class GraduatedPercentage(Model):
    """``percent`` of the money inside each tier, plus its ``flat_amount`` on entering.

    The money is the sum of the records' amounts, or the usage's quantity without records.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> tiers = [{"up_to": "1000", "percent": "1", "flat_amount": "200"},
    ...          {"up_to": None, "percent": "2", "flat_amount": "300"}]
    >>> price = parse_price({"model": "graduated_percentage", "tiers": tiers})
    >>> rate(price, Usage(quantity=500), Currency("USD")).amount
    Decimal('205.00')
    >>> rate(price, Usage(billed_quantity=500, quantity=550), Currency("USD")).amount
    Decimal('306.00')
    """

    name = "graduated_percentage"
    of_amounts = True

    tiers: tuple[Tier, ...]

    @classmethod
    def parse(cls, fields: Fields) -> "GraduatedPercentage":
        """Read ``tiers`` and ``flat_on_zero`` (false)."""
        on_zero = fields.boolean("flat_on_zero", False)
        return cls(parse_tiers(fields, TierFields("percent", HUNDRED, on_zero, "percentage_tier")))

    def price(self, work: Work) -> list[Line]:
        """Return one line for each tier that this invoice's money reaches."""
        return tier_lines(self.tiers, work)
