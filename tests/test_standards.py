"""The page on standards names functions and tests that exist."""

import ast
import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "standards.md").read_text()
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if re.match(r"\| \S.*\d", line)]


def functions_of(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("function", sorted({row[1].strip("`") for row in ROWS} - {""}))
def test_the_function_exists(function: str) -> None:
    module, *names = function.split(".")
    assert callable(reduce(getattr, names, importlib.import_module(f"jwtgate.core.{module}")))


@pytest.mark.parametrize("test", sorted({row[2].strip("`") for row in ROWS} - {""}))
def test_the_test_exists(test: str) -> None:
    file, _, name = test.partition("::")
    assert not name or name in functions_of(TESTS / file)
    assert (TESTS / file).is_file()


def test_every_row_has_its_three_cells() -> None:
    assert ROWS
    assert {len(row) for row in ROWS} == {3}
