"""The pricing models as prices of Odoo say them: one module each, named as in ``rating/models``.

To offer a model of the core to people: write ``terms/models/<name>.py`` with a subclass of
:class:`~..base.ModelTerm`, list it in :data:`MODELS`, add the fields it needs to
``models/usage_price_terms.py`` and show them in ``views/usage_price_views.xml``.
"""

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

#: Every pricing model by its name in the rating core, in the order in which people are offered them.
MODELS = {
    model.name: model()
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
