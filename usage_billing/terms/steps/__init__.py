"""What is done around any model, as prices of Odoo say it, in the order of ``rating/order.py``.

To offer a step of the core to people: write ``terms/steps/<name>.py`` with a subclass of
:class:`~..base.StepTerm`, list it in :data:`STEPS`, add the fields it needs to
``models/usage_price_terms.py`` and show them in ``views/usage_price_views.xml``.
"""

from .bounds import Bounds
from .commitment import Commitment
from .conversion import Conversion
from .discounts import Discounts
from .flat_fee import FlatFee
from .included import Included
from .parts import Counters, Parts
from .prorate import Prorate, Rounding
from .quantity_rounding import QuantityRounding
from .trial import Trial

STEPS = (
    Trial(),
    Parts(),
    Counters(),
    Conversion(),
    QuantityRounding(),
    Included(),
    FlatFee(),
    Commitment(),
    Discounts(),
    Bounds(),
    Prorate(),
    Rounding(),
)
