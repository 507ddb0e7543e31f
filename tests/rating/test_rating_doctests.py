"""Runs the examples in the docstrings of the core."""

import doctest
import pkgutil
from importlib import import_module

import pytest
import rating

MODULES = ["rating"] + [each.name for each in pkgutil.walk_packages(rating.__path__, "rating.")]


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    assert doctest.testmod(import_module(name)).failed == 0


def test_every_model_and_step_has_an_example():
    examined = [name for name in MODULES if name.startswith(("rating.models.", "rating.steps."))]
    without = {"rating.models.base", "rating.steps.base", "rating.steps.model"}
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in set(examined) - without:
        examples = [each for test in finder.find(import_module(name)) for each in test.examples]
        assert examples, f"{name} has no example"
