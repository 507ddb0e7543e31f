"""Free trial: usage of the first days of a subscription costs nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..decimals import ZERO, text
from ..errors import UsageError
from ..fields import Fields
from ..values import Record, total
from ..work import Work
from .base import Step


@dataclass(frozen=True, slots=True)
class Trial(Step):
    """Leave out what was used before ``trial_days`` days of 24 hours had passed.

    A period that lies in the trial altogether has no charge at all, minimum and fees included.
    Needs ``Usage.subscribed_at``, and ``period`` or the time of every record.

    >>> from rating import Currency, Usage, parse_price, rate
    >>> price = parse_price({"model": "per_unit", "unit_amount": "1", "trial_days": "14"})
    >>> records = [Record(5, at=datetime(2026, 1, 10)), Record(7, at=datetime(2026, 1, 15))]
    >>> usage = Usage.of(records, subscribed_at=datetime(2026, 1, 1))
    >>> rate(price, usage, Currency("USD")).amount
    Decimal('7.00')
    """

    days: int

    @classmethod
    def parse(cls, fields: Fields) -> "Trial | None":
        """Read ``trial_days``, a whole number."""
        days = fields.number("trial_days", ZERO)
        if days % 1:
            raise fields.error("trial_days", f"is {days}", "write a whole number of days")
        return cls(int(days)) if days else None

    def apply(self, work: Work) -> bool:
        """Take the free usage out; end the rating if the whole period is free."""
        usage = work.usage
        if usage.subscribed_at is None:
            raise UsageError("a price with a trial needs to know when the subscription started")
        end = usage.subscribed_at + timedelta(days=self.days)
        if usage.period and usage.period[1] <= end:
            work.note("trial", until=end.isoformat(), free=text(work.quantity), billable="0")
            return True
        if not usage.period or usage.period[0] < end:
            self._leave_out(work, end)
        return False

    def _leave_out(self, work: Work, end: datetime):
        usage = work.usage
        if usage.quantity and not usage.records:
            raise UsageError("the trial ends within the period: records with their time are needed")
        records = tuple(_since(end, usage.records))
        billed = tuple(_since(end, usage.billed_records))
        free = text(usage.quantity - total(records))
        work.restart(
            replace(
                usage,
                records=records,
                quantity=total(records),
                billed_records=billed,
                billed_quantity=total(billed) if usage.billed_records else usage.billed_quantity,
            )
        )
        work.note("trial", until=end.isoformat(), free=free, billable=text(work.quantity))


def _since(end: datetime, records: Iterable[Record]) -> list[Record]:
    """Return the records from the end of the trial on."""
    if any(record.at is None for record in records):
        raise UsageError("a price with a trial needs the time of every record")
    return [record for record in records if record.at >= end]
