"""Terms: what prices of Odoo say, translated for the rating core and told in words.

A price is one pricing model (``models``) and what is done around it (``steps``), as in the core.
Each is a small class that turns the fields of a ``usage.price`` into its part of the core's
definition, says it in words, and names the shape in which it needs usage.
"""

from .base import EVENTS, HOURS, TOTAL, Need
from .labels import label_of, say
from .mistakes import check
from .models import MODELS
from .models.capacity import WHOLE
from .steps import STEPS

__all__ = ["EVENTS", "HOURS", "MODELS", "STEPS", "TOTAL", "WHOLE", "Need", "check", "label_of", "say"]
