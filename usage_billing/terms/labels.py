"""From the field that the rating core names in an error to what people see on the screen."""

import re

#: Fields whose name in the core is not their name in Odoo.
NAMES = {
    "per": "per_quantity",
    "prices": "part_ids",
    "windows": "part_ids",
    "default": "part_ids",
    "match": "value_1",
    "from": "time_from",
    "to": "time_to",
    "tiers": "tier_ids",
    "discounts": "discount_ids",
    "block_amount": "amount",
    "block_rounding": "package_rounding",
    "lines": "percentage_lines",
    "factor": "conversion_factor",
    "operation": "conversion_operation",
    "flat_fee": "flat_fee",
    "commitment": "commitment_value",
    "quantity": "commitment_value",
    "maximum": "maximum_amount",
    "minimum": "minimum_amount",
    "bucket": "bucket_interval",
    "interval": "bucket_interval",
    "aggregation": "bucket_aggregation",
    "precision": "quantity_precision",
    "mode": "quantity_rounding",
    "percent": "percent",
}
OF_THE_ONE_BEFORE = ("amount", "quantity")
#: A name of the core inside a sentence.
NAME = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")
NULL = re.compile(r"\bnull\b")
STEP = re.compile(r"(\w+)(?:\[(\d+)\])?")


def label_of(price, path: str) -> str:
    """Return where on the form of a price the core's field ``path`` is: 'Tiers, line 2, Up To'."""
    record, words = price, []
    for name, number in STEP.findall(path):
        field = record._fields.get(_field_name(record, name))
        # Of 'flat_fee.amount' the first word says it all.
        if field is None or (words and record._name == "usage.price" and name in OF_THE_ONE_BEFORE):
            continue
        words.append(field._description_string(price.env))
        if number:
            words.append(price.env._("line %s", int(number) + 1))
        record = price.env[field.comodel_name] if field.comodel_name else record
    return price.env._(", ").join(words)


def say(price, sentence: str) -> str:
    """Return a remedy of the core in the words of the screen: "say in 'Above the Last Tier' what …"."""
    records = price, price.env["usage.price.tier"]

    def label(found):
        names = ((record, NAMES.get(found[0], found[0])) for record in records)
        fields = [record._fields[name] for record, name in names if name in record._fields]
        return f"'{fields[0]._description_string(price.env)}'" if fields else found[0]

    return NULL.sub("0", NAME.sub(label, sentence))


def _field_name(record, name):
    if record._name == "usage.price.discount":
        return "value"
    if name == "amount" and record._name == "usage.price":
        return "plan_minimum" if record.model == "plan_minimum" else "fee_amount"
    return NAMES.get(name, name)
