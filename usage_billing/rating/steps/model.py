"""The model's own place among the steps."""

from dataclasses import dataclass

from ..models.base import Model
from ..work import Work


@dataclass(frozen=True, slots=True)
class ApplyModel:
    """Turn quantities into lines of money."""

    model: Model

    def apply(self, work: Work):
        """Add the model's lines."""
        work.extend(self.model.price(work))
