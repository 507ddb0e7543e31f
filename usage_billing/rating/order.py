"""The order of operations: which steps a price takes, in which order, and why in that order.

1.  **Trial.** What was used for free takes part in nothing that follows.
2.  **Parts** (``bucket``, ``group_by``). The quantity must first exist: a peak per hour is found
    in what was metered, before its unit is converted. Steps 3–9 are taken for each part by itself.
3.  **Counters** (``split``, ``tiers_at_price_change``). They say where counting begins, in the
    unit that is metered, which all versions of a price have in common.
4.  **Conversion.** Everything after it is written in the unit the customer is sold.
5.  **Quantity rounding.** It rounds what the customer is sold, so after the conversion, and
    before the included quantity: the customer sees 2 units less 0.5 included, not 1.4 less 0.5
    rounded up again.
6.  **Included quantity.** It is free, so it fills no tier: tiers count billable units.
7.  **Credit in units.** Paid for already, so it fills no tier either; after the included quantity,
    which is lost at the end of the period where credit is not.
8.  **Model.** Quantities become lines of money.
9.  **Commitment per window.** It compares what the window costs, before anything that belongs to
    the period as a whole.
10. **Flat fee.** Part of what the period costs, so discounts and bounds apply to it too.
11. **Commitment per period.** On list price: what was promised is spend before discounts.
12. **Discounts.** Before the bounds: the maximum is what the customer pays at most, the minimum
    at least, whatever was discounted.
13. **Maximum**, then 14. **minimum.** A minimum above the maximum is refused, so their order
    changes nothing; both count earlier invoices of the period.
15. **Rounding**, once, by the currency: of the total, or of each line (``rounding``).
"""

from dataclasses import replace

from .fields import Fields
from .models import Model
from .steps.base import Step
from .steps.bounds import Maximum, Minimum
from .steps.commitment import Commitment
from .steps.conversion import Conversion
from .steps.counters import Counters
from .steps.credit import Credit
from .steps.discounts import Discounts
from .steps.flat_fee import FlatFee
from .steps.included import IncludedQuantity
from .steps.model import ApplyModel
from .steps.parts import Parts
from .steps.quantity_rounding import QuantityRounding
from .steps.trial import Trial

BEFORE_MODEL = (Counters, Conversion, QuantityRounding, IncludedQuantity, Credit)
AFTER_MODEL = (FlatFee, Commitment, Discounts, Maximum, Minimum)


def parse_steps(fields: Fields, model: Model) -> tuple[Step, ...]:
    """Return the steps that a definition asks for, in the documented order."""
    trial, parts = Trial.parse(fields), Parts.parse(fields)
    before = _asked_for(fields, BEFORE_MODEL)
    after = tuple(_with_model(step, model) for step in _asked_for(fields, AFTER_MODEL))
    _check(fields, model, before, parts)
    inner = (*before, ApplyModel(model))
    _check_windows(fields, model, after, parts)
    windows = tuple(s for s in after if isinstance(s, Commitment) and s.per_window)
    outer = tuple(step for step in after if step not in windows)
    if parts:
        inner = (Parts(parts.bucket, parts.group_by, (*inner, *windows)),)
    return (*([trial] if trial else ()), *inner, *outer)


def _asked_for(fields: Fields, steps: tuple[type[Step], ...]) -> tuple[Step, ...]:
    parsed = [step.parse(fields) for step in steps]
    return tuple(step for step in parsed if step)


def _with_model(step: Step, model: Model) -> Step:
    """Return a step, a commitment in units with the model that says what they cost."""
    in_units = isinstance(step, Commitment) and step.in_units
    return replace(step, model=model) if in_units else step


def _check(fields: Fields, model: Model, before: tuple[Step, ...], parts: Parts | None):
    """Raise ``PriceError`` for steps that the model cannot take."""
    prorated = getattr(model, "prorated", False)
    changing = [step for step in before if not isinstance(step, Counters)]
    if (prorated or not model.by_quantity) and changing:
        names = {Conversion: "conversion", QuantityRounding: "quantity_rounding", Credit: "credit_quantity"}
        name = names.get(type(changing[0]), "included_quantity")
        why = "a prorated price" if prorated else f"the model {model.name}"
        raise fields.error(name, f"cannot be combined with {why}", "remove it")
    if parts and parts.bucket and (prorated or not model.by_quantity):
        raise fields.error("bucket", f"cannot be combined with {model.name} here", "remove it")


def _check_windows(fields: Fields, model: Model, steps: tuple[Step, ...], parts: Parts | None):
    """Raise ``PriceError`` for a commitment per window without windows, or that has no price."""
    for step in steps:
        if isinstance(step, Commitment) and step.per_window and parts is None:
            remedy = "add bucket or group_by, or write period"
            raise fields.error("commitment.per", "is window, but there are none", remedy)
        if isinstance(step, Commitment) and step.in_units and not model.by_quantity:
            problem = f"has no price of its own in the model {model.name}"
            raise fields.error("commitment.quantity", problem, "write amount instead")
