"""Volume: all units cost the price of the tier that the period's total reaches."""

from dataclasses import dataclass
from decimal import Decimal

from ..decimals import ONE, ZERO, text
from ..errors import UsageError
from ..fields import Fields
from ..tiers import Tier, TierFields, parse_tiers, tier_of
from ..values import Line, Usage
from ..work import Work
from .base import Model

#: In which tier a bound itself is: the one that it ends, or the next one.
BOUNDS = ("inclusive", "exclusive")
#: What an invoice before the period's last one bills: nothing yet, or the price so far.
INTERIM = ("wait", "bill")


@dataclass(frozen=True, slots=True)
class Volume(Model):
    """The tier of the whole quantity prices every unit: ``quantity × unit_amount / per + flat``.

    The total can fall when a tier is reached, so by default nothing is billed before the last
    invoice of the period (``interim``: ``wait``); with ``bill`` every invoice bills the price so
    far less the price of what earlier invoices took. ``flat_on_zero`` says whether the first
    tier's flat amount is due without usage. With ``prorated`` the full quantity chooses the tier
    and the prorated quantity is what is priced. ``bounds`` says in which tier a total is that is a
    bound itself: ``inclusive`` the one that it ends, ``exclusive`` the next one.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> tiers = [{"up_to": "10", "unit_amount": "2"}, {"up_to": None, "unit_amount": "1"}]
    >>> price = parse_price({"model": "volume", "tiers": tiers})
    >>> [str(rate(price, Usage(quantity=n), Currency("USD")).amount) for n in (10, 11)]
    ['20.00', '11.00']
    """

    name = "volume"

    tiers: tuple[Tier, ...]
    waits: bool
    prorated: bool
    exclusive: bool

    @classmethod
    def parse(cls, fields: Fields) -> "Volume":
        """Read ``tiers``, ``per`` (1), ``flat_on_zero`` (false), ``interim``, ``prorated`` and ``bounds``."""
        per, on_zero = fields.positive("per", ONE), fields.boolean("flat_on_zero", False)
        tiers = parse_tiers(fields, TierFields(per=per, flat_on_zero=on_zero))
        waits = fields.choice("interim", INTERIM, "wait") == "wait"
        exclusive = fields.choice("bounds", BOUNDS, "inclusive") == "exclusive"
        return cls(tiers, waits, fields.boolean("prorated", False), exclusive)

    def price(self, work: Work) -> list[Line]:
        """Return one line, or none while the period is not over and the price waits."""
        if self.waits and not work.usage.final:
            return []
        billed = not self.waits and (work.before or not work.usage.first)
        line = self._line(work, bool(billed))
        return [line]

    def _line(self, work: Work, billed: bool) -> Line:
        tier, flat = self._reached(work.after)
        units = prorated_quantity(work.usage) if self.prorated else work.after
        so_far = self._billed(work) if billed else ZERO
        amount = tier.cost(units) + flat - so_far
        detail = {**tier.detail, "quantity": text(units), "flat_amount": text(flat)}
        if self.exclusive:
            detail["bounds"] = "exclusive"
        if billed:
            detail["billed_before"] = text(so_far)
        return Line(amount, {**detail, "amount": text(amount)})

    def _reached(self, quantity: Decimal, zero: bool = True) -> tuple[Tier, Decimal]:
        """Return the tier of a total, and the flat amount that is due with it; ``zero`` as for ``Tier.flat``."""
        tier = tier_of(self.tiers, quantity, self.exclusive)
        return tier, tier.flat_amount if quantity > ZERO or (zero and tier.flat_on_zero) else ZERO

    def _billed(self, work: Work) -> Decimal:
        """Return the price of what earlier invoices of the period took."""
        tier, flat = self._reached(work.before, not work.usage.first)
        return tier.cost(work.before) + flat


def prorated_quantity(usage: Usage) -> Decimal:
    """Return the quantity weighted by time: as given, or the sum of the records'.

    Raises ``UsageError`` where neither is there.

    >>> prorated_quantity(Usage(quantity=3, prorated_quantity="1.5"))
    Decimal('1.5')
    """
    if usage.prorated_quantity is not None:
        return usage.prorated_quantity
    if not usage.records or any(record.prorated is None for record in usage.records):
        raise UsageError("a prorated price needs prorated_quantity, or records with prorated")
    return sum([record.prorated for record in usage.records], ZERO)
