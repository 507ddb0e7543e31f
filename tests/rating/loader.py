"""Imports the rating core by itself, as ``rating``: its addon's package needs a running Odoo."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

RATING = Path(__file__).resolve().parents[2] / "usage_billing" / "rating"


def load():
    """Return the package ``rating``, imported once."""
    if "rating" not in sys.modules:
        spec = spec_from_file_location("rating", RATING / "__init__.py", submodule_search_locations=[str(RATING)])
        module = sys.modules["rating"] = module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["rating"]


load()
