"""The pricing models: one module each, registered here by name.

To add a model: write ``models/<name>.py`` with a subclass of :class:`~.base.Model` that has a
``name``, ``parse`` and ``price``, and list it in :data:`MODELS`. Nothing else needs to know.
"""

from .base import Model
from .blocks import Blocks
from .capacity import Capacity
from .cost_plus import CostPlus
from .dimensional import Dimensional
from .event_price import EventPrice
from .graduated import Graduated
from .graduated_percentage import GraduatedPercentage
from .package import Package
from .per_unit import PerUnit
from .percentage import Percentage
from .plan_minimum import PlanMinimum
from .recurring import Recurring
from .time_of_day import TimeOfDay
from .volume import Volume

#: Every pricing model by the name that a price definition uses.
MODELS: dict[str, type[Model]] = {
    model.name: model
    for model in (
        PerUnit,
        Graduated,
        Volume,
        Package,
        Blocks,
        Percentage,
        GraduatedPercentage,
        Capacity,
        Dimensional,
        TimeOfDay,
        EventPrice,
        CostPlus,
        Recurring,
        PlanMinimum,
    )
}
