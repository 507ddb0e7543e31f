"""Puts the definition of a case into a price definition of the core, field by field."""

import re
from dataclasses import dataclass, field

import rating

from .written import words


@dataclass(frozen=True)
class Engine:
    """What an engine does by itself, where the definition of a case does not say."""

    graduated_flat_on_zero: bool = False
    percentage: dict = field(default_factory=dict)


#: Engines by the word that the source of a case contains.
ENGINES = {
    "getlago": Engine(True, {"event_at_free_amount": "paid", "fixed_on_zero_base": False}),
}


def engine_of(case: dict) -> Engine:
    """Return the habits of the engine a case comes from."""
    return next((engine for word, engine in ENGINES.items() if word in case["source"]), Engine())


class PriceReader:
    """Puts the definition of a case into a price definition of the core, field by field."""

    def __init__(self, case: dict):
        self.model, self.definition, self.engine = case["model"], case["definition"], engine_of(case)

    def price(self) -> rating.Price:
        """Return the price."""
        return rating.parse_price(self.definition_of(self.definition))

    def definition_of(self, definition: dict) -> dict:
        """Return the price definition of the core."""
        return self.priced(definition) | self.around(definition)

    def priced(self, definition: dict) -> dict:
        """Return the model with its own fields, found by the fields the definition has."""
        readers = {
            "tiers": self.tiered,
            "package_size": self.package,
            "block": self.package,
            "unit": self.per_unit,
            "tier_rate": self.per_unit,
            "unit_cents": self.per_unit,
            "rate_pct": self.percentage,
            "price_source": self.event_price,
            "units": self.by_unit,
            "filters": self.by_filter,
            "outside": self.by_hours,
        }
        for name, reader in readers.items():
            if name in definition:
                return reader(definition)
        if any(is_blocks(value) for value in definition.values()):
            return self.by_unit(definition)
        return {"model": "per_unit", "unit_amount": "1"}

    def per_unit(self, definition: dict) -> dict:
        """Return a price per unit, in the currency or in cents."""
        amounts = (definition.get(name) for name in ("unit", "tier_rate", "unit_cents"))
        return {"model": "per_unit", "unit_amount": next(words(x) for x in amounts if x is not None)}

    def package(self, definition: dict) -> dict:
        """Return a price per package (or block)."""
        size = definition.get("package_size", definition.get("block"))
        price = definition.get("package_price", definition.get("price", "1"))
        rounding = definition.get("rounding", "up")
        return {
            "model": "package",
            "package_size": words(size),
            "package_amount": words(price),
            "package_rounding": {"ceiling": "up", "floor": "down"}.get(rounding, rounding),
        }

    def tiered(self, definition: dict) -> dict:
        """Return a price with tiers: blocks, capacity, percentages, volume or graduated."""
        tiers = definition["tiers"]
        if is_blocks(tiers):
            return self.blocks(tiers, definition.get("policy", "ALL_TIERS"))
        if "rate_pct" in tiers[0]:
            return self.with_tiers("graduated_percentage", tiers, "percent", "rate_pct")
        if "price" in tiers[0] and "up_to" not in tiers[0]:
            return self.capacity(tiers)
        model = "volume" if "volume" in self.model else "graduated"
        price = self.with_tiers(model, tiers, "unit_amount", "unit")
        if "prorated" in self.model or definition.get("prorated"):
            price["prorated"] = True
        return price

    def with_tiers(self, model: str, tiers: list[dict], rate: str, written: str) -> dict:
        """Return a price whose tiers are bounds with a rate and a flat amount."""
        on_zero = self.engine.graduated_flat_on_zero or model == "volume"
        read = []
        for tier in tiers:
            cap = {"maximum_amount": words(tier["cap"])} if "cap" in tier else {}
            bounds = {"up_to": words(tier["up_to"]), "flat_amount": words(tier.get("flat", 0))}
            read.append({rate: words(tier.get(written, 0))} | bounds | cap)
        price = {"model": model, "tiers": read}
        price["flat_on_zero"] = self.definition.get("first_tier_flat_on_zero", on_zero)
        return price | beyond(read, "up_to")

    def blocks(self, tiers: list[dict], policy: str) -> dict:
        """Return a price with tiers as wide as a number of blocks."""
        read = [
            {
                "block_size": words(tier["block"]),
                "blocks": words(tier.get("max_blocks")),
                "block_amount": words(tier["price"]),
            }
            for tier in tiers
        ]
        return {"model": "blocks", "policy": policy.lower(), "tiers": read} | beyond(read, "blocks")

    def capacity(self, tiers: list[dict]) -> dict:
        """Return a price for the lowest tier that fits every peak."""
        read = [
            {
                "amount": words(tier["price"]),
                "limits": {unit: words(limit) for unit, limit in tier.items() if unit != "price"},
            }
            for tier in tiers
        ]
        return {"model": "capacity", "tiers": read, "beyond_last_tier": "last_tier"}

    def percentage(self, definition: dict) -> dict:
        """Return a percentage of each event's amount."""
        names = {
            "percent": ("rate_pct",),
            "fixed_amount": ("fixed_per_event",),
            "free_events": ("free_events",),
            "free_amount": ("free_amount",),
            "minimum_per_event": ("min_per_event", "floor_per_event"),
            "maximum_per_event": ("max_per_event", "cap_per_event"),
        }
        price = {"model": "percentage", "lines": "event"} | self.engine.percentage
        for name, written in names.items():
            price.update((name, words(definition[each])) for each in written if each in definition)
        return price

    def event_price(self, definition: dict) -> dict:
        """Return a price that the event carries."""
        cents = "cents" in definition["price_source"]
        return {"model": "event_price", "amount_divisor": "100" if cents else "1"}

    def by_unit(self, definition: dict) -> dict:
        """Return a price for each of several units, each a package or block tiers."""
        policy = definition.get("policy", "ALL_TIERS")
        units = definition.get("units") or {k: v for k, v in definition.items() if is_blocks(v)}
        prices = {
            unit: self.blocks(written, policy) if isinstance(written, list) else self.definition_of(written)
            for unit, written in units.items()
        }
        return by_dimension("unit", prices)

    def by_filter(self, definition: dict) -> dict:
        """Return a price per unit for each value of one dimension, and one for all others."""
        prices = {
            value: {"model": "per_unit", "unit_amount": words(amount)}
            for value, amount in definition["filters"].items()
        }
        default = {"model": "per_unit", "unit_amount": words(definition.get("default_unit_cents", 0))}
        return by_dimension("filter", prices) | {"default": default}

    def by_hours(self, definition: dict) -> dict:
        """Return a price by time of day, committed by the hour."""
        start, end = definition["bucket"]["hours"].split("-")
        window = {"from": f"{start[:2]}:00", "to": f"{end[:2]}:00", "price": self.window(definition["bucket"])}
        return {"model": "time_of_day", "windows": [window], "default": self.window(definition["outside"])}

    def window(self, definition: dict) -> dict:
        """Return the price of an hour, with its commitment."""
        price = self.per_unit(definition) | {"bucket": {"interval": "hour", "aggregation": "sum"}}
        return price | commitment(definition)

    def around(self, definition: dict) -> dict:
        """Return the fields around the model."""
        if "outside" in definition:
            return {}
        found = {}
        included = definition.get("free_units", definition.get("free_quantity"))
        if included is not None:
            found["included_quantity"] = words(included)
        for name in ("minimum", "maximum"):
            if name in definition:
                found[name] = words(definition[name])
        if "minimum_cents" in definition:
            found |= {"minimum": words(definition["minimum_cents"]), "prorate": ["minimum"]}
        if "discount_pct" in definition:
            found["discounts"] = [{"percent": words(definition["discount_pct"])}]
        return found | conversion(definition) | parts(self.model, definition) | commitment(definition)


def is_blocks(value) -> bool:
    """Say whether a value is a list of tiers made of blocks."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "block" in value[0]


def beyond(tiers: list[dict], bound: str) -> dict:
    """Return what is above a last tier that has an end: its price goes on."""
    return {} if tiers[-1][bound] is None else {"beyond_last_tier": "last_tier"}


def by_dimension(name: str, prices: dict[str, dict]) -> dict:
    """Return a price for each value of a dimension."""
    listed = [{"match": {name: value}, "price": price} for value, price in prices.items()]
    return {"model": "dimensional", "prices": listed}


def conversion(definition: dict) -> dict:
    """Return how units are converted and rounded."""
    found, mode = {}, definition.get("rounding", definition.get("function"))
    for operation in ("multiply", "divide"):
        if operation in definition or definition.get("operation") == operation:
            factor = definition.get(operation, definition.get("factor"))
            found["conversion"] = {"operation": operation, "factor": words(factor)}
    if mode not in (None, "none") and (found or "function" in definition):
        modes = {"round": "half_up", "ceil": "ceiling", "up": "ceiling", "down": "floor"}
        rounding = {"mode": modes.get(mode, mode), "precision": words(definition.get("precision", 0))}
        found["quantity_rounding"] = rounding | {"split": definition.get("split", "cumulative")}
    return found


def parts(model: str, definition: dict) -> dict:
    """Return by what usage is parted before it is priced."""
    if "bucket" in model or commitment(definition):
        bucket = {"interval": definition.get("bucket", "hour")}
        aggregation = "sum" if commitment(definition) else "max"
        return {"bucket": bucket | {"aggregation": definition.get("aggregation", aggregation)}}
    return {"group_by": [definition["group"]]} if "group" in definition else {}


def commitment(definition: dict) -> dict:
    """Return what is committed per window: an amount, or units."""
    committed = {
        "quantity" if re.search("unit|quant|qty", name) else "amount": words(value)
        for name, value in definition.items()
        if name.startswith("commit")
    }
    if not committed:
        return {}
    terms = committed | {"per": "window", "true_up": definition.get("trueup", False)}
    return {"commitment": terms | {"overage_factor": words(definition.get("overage_factor", 1))}}
