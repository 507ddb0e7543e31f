"""What every step around a model provides."""

from abc import ABC, abstractmethod

from ..fields import Fields
from ..work import Work


class Step(ABC):
    """One thing done to quantities or lines before or after the model prices them."""

    @classmethod
    @abstractmethod
    def parse(cls, fields: Fields) -> "Step | None":
        """Read the fields of this step; None where the price does not ask for it."""

    @abstractmethod
    def apply(self, work: Work) -> bool | None:
        """Change the work and explain it; return True to end the rating here."""
