"""How events become a quantity: one file for each aggregation, and no other place.

To add one: write a class like those beside this file, add it to ``AGGREGATIONS``, and describe its
rule in ``readme/USAGE.md``. The tests in ``tests/test_aggregations.py`` run over all of them.
"""

from .average import Average
from .count import Count
from .latest import Latest
from .max import Max
from .min import Min
from .sum import Sum
from .time_weighted import TimeWeighted
from .unique_count import UniqueCount
from .window import Span, Window

# key, as stored on meters -> the aggregation, in the order in which people choose
AGGREGATIONS = {
    aggregation.key: aggregation
    for aggregation in (Count(), Sum(), Min(), Max(), Average(), Latest(), UniqueCount(), TimeWeighted())
}
