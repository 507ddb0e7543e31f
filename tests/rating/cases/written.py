"""How cases write numbers, times and currencies."""

import re
from datetime import date, datetime, timedelta
from decimal import Decimal

import rating

#: Decimals of currencies that do not have two.
DECIMALS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "XAF": 0, "XOF": 0, "ISK": 0}
DECIMALS |= {"BHD": 3, "KWD": 3, "OMR": 3, "JOD": 3, "TND": 3, "IQD": 3, "LYD": 3}

#: Any time will do where a case has none.
T0 = datetime(2026, 1, 1)


class Unsupported(Exception):
    """The case asks for something this reader does not know how to ask the core."""


def number(value) -> Decimal:
    """Return a number of the case file, which may be written as text or as a JSON number."""
    return Decimal(str(value))


def words(value) -> str | None:
    """Return a number as the core reads it; None stays None."""
    return None if value is None else str(value)


def currency(code: str = "USD", decimals: int | None = None) -> rating.Currency:
    """Return a currency by its code; its decimals unless told by the code."""
    places = DECIMALS.get(code.upper(), 2) if decimals is None else decimals
    return rating.Currency(code.upper(), Decimal(1).scaleb(-places))


USD, CENTS = currency(), rating.Currency("CENT", Decimal(1))


def share(written: str) -> rating.Share:
    """Return the share in a text such as ``17/31``, ``5/7 days`` or ``0.5``."""
    match = re.match(r"([\d.]+)(?:/([\d.]+))?", str(written))
    if not match:
        raise Unsupported(f"share {written!r}")
    return rating.Share(match[1], match[2] or 1)


def instant(written: str, day: str = "") -> datetime:
    """Return the time in a text: ISO, or a clock time of the given day, or ``t0+25h``."""
    if match := re.fullmatch(r"t0(?:([+-]\d+)([a-z]+))?", written):
        return later(match[1], match[2]) if match[1] else T0
    if re.fullmatch(r"\d\d:\d\d(:\d\d)?(\.\d+)?", written):
        written = f"{day or T0.date()}T{written}"
    return datetime.fromisoformat(written.replace("Z", ""))


def later(count: str, unit: str) -> datetime:
    """Return the time so many days, hours, minutes, weeks, months or years after t0."""
    if unit in ("mo", "y"):
        return rating.moment(T0, {"mo": "month", "y": "year"}[unit], int(count))
    units = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "w": "weeks"}
    return T0 + timedelta(**{units[unit]: int(count)})


def span(written: str) -> tuple[date, date]:
    """Return the dates in ``2025-01-01..2025-02-01``; the second may leave out its year."""
    start, end = written.split("..")
    return date.fromisoformat(start), date.fromisoformat(start[: 10 - len(end)] + end)


def month_of(day: date) -> tuple[datetime, datetime]:
    """Return [start, end) of the calendar month of a day."""
    return rating.period_bounds(day, 1, "month", "UTC", 0)


def midnight(written: str) -> datetime:
    """Return the start of a date; what follows the date in the text is a remark."""
    return datetime.fromisoformat(written[:10])


def label(start: datetime, end: datetime) -> str:
    """Return a period as the cases write it."""
    return f"{start:%Y-%m-%d}..{end:%Y-%m-%d}"
