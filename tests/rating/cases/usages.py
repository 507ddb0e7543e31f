"""Puts the usage of a case into a usage of the core."""

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise

import rating

from .written import T0, instant, number

#: Fields of a usage that hold its pieces, whatever else gives their sum.
RECORDED = {"sum_precise_cents", "running_totals"}


def usage_of(case: dict) -> rating.Usage:
    """Return the usage of a case."""
    usage, definition = case["usage"], case["definition"]
    others = {
        "billed_quantity": number(usage.get("already_billed_quantity", usage.get("already", 0))),
        "billed_amount": number(usage.get("already_billed_amount", 0)),
        "final": usage.get("last_in_period", True),
    }
    if "days_used" in usage:
        others["share"] = rating.Share(usage["days_used"], definition["month_days"])
    if "prorated_quantity" in usage:
        others["prorated_quantity"] = number(usage["prorated_quantity"])
    if isinstance(usage.get("events"), int):
        others["events"] = usage["events"]
    for name in ("full_quantity", "amount_base", "quantity", "base"):
        if name in usage and not usage.keys() & RECORDED:
            return rating.Usage(number(usage[name]), **others)
    return rating.Usage.of(records_of(case), **others)


def records_of(case: dict) -> list[rating.Record]:
    """Return the records of a usage, found by the fields it has."""
    usage = case["usage"]
    readers: dict[str, Callable] = {
        "event_units": prorated_records,
        "event_bases": lambda usage: [rating.Record(1, amount=number(x)) for x in usage["event_bases"]],
        "running_totals": running_records,
        "sum_precise_cents": lambda u: [rating.Record(number(u["quantity"]), amount=number(u["sum_precise_cents"]))],
        "records": lambda usage: [rating.Record(amount_of(x)) for x in usage["records"]],
        "buckets": lambda usage: hourly(usage["buckets"]),
        "bucket_peaks": lambda usage: hourly([peak] for peak in usage["bucket_peaks"]),
        "windows": lambda usage: hourly([quantity] for quantity in usage["windows"]),
        "group_peaks": partial(grouped_records, case["definition"].get("group")),
        "events": filtered_records,
    }
    for name, reader in readers.items():
        if name in usage:
            return reader(usage)
    return named_records(usage)


def amount_of(record) -> Decimal:
    """Return the quantity of a record, written alone or after its date."""
    return number(record[1] if isinstance(record, list) else record)


def prorated_records(usage: dict) -> list[rating.Record]:
    """Return changes of a level with their prorated units."""
    both = zip(usage["event_units"], usage["event_prorated_units"], strict=True)
    return [rating.Record(number(full), prorated=number(prorated)) for full, prorated in both]


def running_records(usage: dict) -> list[rating.Record]:
    """Return events from the running total of their amounts; the base may hold a last one."""
    totals = [number(x) for x in usage["running_totals"]]
    if "base" in usage and len(totals) < usage["events"]:
        totals.append(number(usage["base"]))
    return [rating.Record(1, amount=after - start) for start, after in pairwise([Decimal(0), *totals])]


def hourly(buckets: Iterable[list]) -> list[rating.Record]:
    """Return records of successive hours."""
    return [
        rating.Record(number(quantity), at=T0 + timedelta(hours=hour))
        for hour, quantities in enumerate(buckets)
        for quantity in quantities
    ]


def grouped_records(name: str, usage: dict) -> list[rating.Record]:
    """Return one record for each group."""
    peaks = usage["group_peaks"]
    groups = peaks.items() if isinstance(peaks, dict) else enumerate(peaks)
    return [rating.Record(number(peak), dimensions={name: str(group)}) for group, peak in groups]


def filtered_records(usage: dict) -> list[rating.Record]:
    """Return one record for each value of the filter."""
    return [rating.Record(number(n), dimensions={"filter": value}) for value, n in usage["events"].items()]


def named_records(usage: dict) -> list[rating.Record]:
    """Return a record for each unit, or for each hour, that is named in a usage."""
    clock = re.compile(r"\d\d:\d\d")
    read = []
    for name, quantity in usage.items():
        if clock.fullmatch(name):
            read.append(rating.Record(number(quantity), at=instant(name)))
        elif isinstance(quantity, (int, float)):
            read.append(rating.Record(number(quantity), dimensions={"unit": name}))
    return read
