"""Makes ``rating`` importable without Odoo, and sets how many examples property tests try.

``pytest tests/rating`` is quick; ``pytest tests/rating --hypothesis-profile nightly``, which is what
``./setup/test --nightly`` runs, tries at least 10,000 examples of every property.
"""

import loader  # noqa: F401 - imports the rating core as ``rating``
from hypothesis import HealthCheck, settings

PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("default", max_examples=60, derandomize=True, database=None, **PATIENT)
settings.register_profile("thorough", max_examples=1_000, database=None, **PATIENT)
settings.register_profile("nightly", max_examples=10_000, database=None, **PATIENT)
settings.load_profile("default")
