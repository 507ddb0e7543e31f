"""Sets a story up in Odoo, each thing by the person whose duty it is, over their own session."""

from __future__ import annotations

from datetime import datetime

from .people import Staff
from .story import Customer, Meter, Plan, Price, Story, Tier

CHUNK = 200  # records created in one call, so that none takes long


class Stage:
    """Odoo before the first event arrives.

    :param staff: the people, hired already
    """

    def __init__(self, staff: Staff):
        self.staff = staff
        self.source_id = 0
        self.meter_ids: dict[str, int] = {}
        self.partner_ids: dict[str, int] = {}
        self.product_ids: dict[str, int] = {}
        self.plan_ids: dict[str, int] = {}
        self.subscription_ids: list[int] = []

    def set_up(self, story: Story) -> None:
        """Everything the story needs to be billed."""
        self.create_meters(story.meters)
        self.create_plans(story.plans, story.meters)
        self.create_customers(story.customers)
        self.subscribe(story.customers, story.start)

    # --- the connector ---------------------------------------------------------------

    def open_source(self, name: str, code: str) -> str:
        """A source created by one administrator, approved by another.

        :return: its key, shown this once
        """
        [self.source_id] = self.staff["ada"].create("usage.source", [{"name": name, "code": code}])
        self.staff["ben"].call("usage.source", "action_approve", [self.source_id])
        return self.new_key()

    def new_key(self) -> str:
        """Another key of the source, through the dialog that shows it once."""
        ada = self.staff["ada"]
        action = ada.call("usage.source", "action_generate_key", [self.source_id])
        [wizard] = ada.create(action["res_model"], [{}], **action["context"])
        shown = ada.call(action["res_model"], "action_generate", [wizard])
        return shown["context"]["default_key"]

    def create_meters(self, meters: tuple[Meter, ...]) -> None:
        values = [
            {
                "name": meter.name,
                "code": meter.code,
                "event_type": meter.event_type,
                "aggregation": meter.aggregation,
                "value_path": meter.value_path,
                "dimensions": meter.dimensions,
                "unit_name": meter.unit,
            }
            for meter in meters
        ]
        ids = self.staff["ada"].create("usage.meter", values)
        self.meter_ids.update({meter.code: id_ for meter, id_ in zip(meters, ids, strict=True)})

    def create_customers(self, customers: tuple[Customer, ...]) -> None:
        """Companies, and the platform's accounts mapped to them; the operator's work."""
        operator, salesperson = self.staff["olga"], self.staff["sam"].uid
        for some in _chunks(customers):
            values = [{"name": c.name, "email": c.email, "is_company": True, "user_id": salesperson} for c in some]
            ids = operator.create("res.partner", values)
            self.partner_ids.update({c.name: id_ for c, id_ in zip(some, ids, strict=True)})
            operator.create("usage.account", [a for c in some for a in self._accounts(c)])

    def _accounts(self, customer: Customer) -> list[dict]:
        partner = self.partner_ids[customer.name]
        return [
            {"source_id": self.source_id, "external_id": account, "partner_id": partner}
            for account in customer.accounts
        ]

    # --- billing ---------------------------------------------------------------------

    def create_plans(self, plans: tuple[Plan, ...], meters: tuple[Meter, ...]) -> None:
        """Services and plans drafted by one administrator, their prices approved by another."""
        ada, ben = self.staff["ada"], self.staff["ben"]
        products = ada.create("product.product", [_product(meter) for meter in meters])
        self.product_ids.update({meter.code: id_ for meter, id_ in zip(meters, products, strict=True)})
        values = [
            {
                "name": plan.name,
                "code": plan.code,
                "price_ids": [[0, 0, self._price(price)] for price in plan.prices],
            }
            for plan in plans
        ]
        ids = ada.create("usage.plan", values)
        self.plan_ids.update({plan.code: id_ for plan, id_ in zip(plans, ids, strict=True)})
        prices = ben.search("usage.price", [["plan_id", "in", ids]])
        ben.call("usage.price", "action_approve", prices)

    def _price(self, price: Price) -> dict:
        return {
            "meter_id": self.meter_ids[price.meter],
            "product_id": self.product_ids[price.meter],
            "model": price.model,
            "unit_amount": float(price.unit_amount),
            "per_quantity": float(price.per),
            "package_size": float(price.package_size),
            "package_amount": float(price.package_amount),
            "included_quantity": float(price.included),
            "tier_ids": [[0, 0, _tier(tier, number)] for number, tier in enumerate(price.tiers)],
        }

    def subscribe(self, customers: tuple[Customer, ...], start: datetime) -> None:
        """A monthly subscription of every customer to their plan, anchored at the day of `start`."""
        paula = self.staff["paula"]
        for some in _chunks(customers):
            values = [
                {
                    "partner_id": self.partner_ids[customer.name],
                    "plan_id": self.plan_ids[customer.plan],
                    "date_start": start.date().isoformat(),
                    "anchor_day": start.day,
                    "tz": "UTC",
                }
                for customer in some
            ]
            ids = paula.create("usage.subscription", values)
            paula.call("usage.subscription", "action_activate", ids)
            self.subscription_ids += ids


def _product(meter: Meter) -> dict:
    return {"name": meter.name, "type": "service", "sale_ok": True, "purchase_ok": False, "list_price": 0}


def _tier(tier: Tier, number: int) -> dict:
    return {
        "sequence": number,
        "up_to": float(tier.up_to),
        "unit_amount": float(tier.unit_amount),
        "flat_amount": float(tier.flat_amount),
    }


def _chunks(items: tuple) -> list[tuple]:
    return [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
