"""The core stays what it promises to be: plain Python, short functions, documented, found in a minute."""

import ast
import sys
from pathlib import Path
from statistics import median, quantiles

import pytest
import rating
from loader import RATING
from rating.models.base import Model

FILES = sorted(RATING.rglob("*.py"))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def functions(path: Path):
    """Yield the functions of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, FUNCTIONS):
            yield node


def length(node) -> int:
    """Return the lines of a function without its docstring."""
    lines = node.end_lineno - node.lineno + 1
    if ast.get_docstring(node):
        lines -= node.body[0].end_lineno - node.body[0].lineno + 1
    return lines


def imported(path: Path):
    """Yield the first names of the modules a file imports from outside the core."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(RATING)))
def test_only_the_standard_library_is_imported(path):
    assert set(imported(path)) <= sys.stdlib_module_names


def test_functions_are_short():
    lengths = [length(node) for path in FILES for node in functions(path)]
    assert median(lengths) <= 8
    assert quantiles(lengths, n=10)[-1] <= 25


def test_what_is_public_is_documented():
    without = [
        f"{path.relative_to(RATING)}:{node.name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and not node.name.startswith("_")
        if not ast.get_docstring(node)
    ]
    assert without == []


def test_no_binary_floats_in_the_core():
    for path in FILES:
        tree = ast.parse(path.read_text())
        floats = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, float)]
        assert not floats, f"{path} writes a binary float in line {floats[0].lineno}"


@pytest.mark.parametrize("name", rating.MODELS)
def test_a_model_is_found_in_the_module_of_its_name(name):
    model = rating.MODELS[name]
    assert issubclass(model, Model)
    assert model.name == name
    assert model.__module__ == f"rating.models.{name}"


def test_the_readme_names_every_model_step_and_module():
    readme = (RATING / "README.md").read_text()
    for path in FILES:
        if path.stem not in ("__init__", "base"):
            assert f"`{path.relative_to(RATING)}`" in readme, f"README.md does not mention {path}"


def test_everything_that_is_offered_exists():
    assert sorted(rating.__all__) == rating.__all__ or set(rating.__all__) <= set(dir(rating))
