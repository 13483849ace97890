"""The pages on standards and on security name functions, tests and attacks that exist."""

import ast
import functools
import importlib
import importlib.util
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from jwtgate.core.jwk import SharedSecret
from jwtgate.core.nonces import Nonces

TESTS = Path(__file__).parent
ROOT = TESTS.parent
STANDARDS = (ROOT / "docs" / "standards.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "docs" / "explanation" / "security.md").read_text(encoding="utf-8")
# What is past the core is looked for in the package itself.
ROOMS = ("jwtgate.core", "jwtgate")

CITED = re.compile(r"RFC (\d{4}) (?:section|appendix)")
TEST = re.compile(r"`([\w/]+\.py)(?:::(test_\w+))?`")
CASE = re.compile(r"\b[A-Z]\d\d\b")
ADVISORY = re.compile(r"CVE-\d{4}-\d{4,}|GHSA(?:-[23456789cfghjmpqrvwx]{4}){3}|RUSTSEC-\d{4}-\d{4}")


def rows(text: str) -> list[list[str]]:
    """The cells of every row of every table, its head and the line below that left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {number + step for number, line in enumerate(lines) if set(line) <= set("|- ") for step in (-1, 0)}
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for number, line in enumerate(lines)
        if number not in heads
    ]


def part(title: str) -> str:
    """The text below one heading of the page on security."""
    return SECURITY.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@functools.cache
def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def named(text: str) -> Iterator[str]:
    """The tests that a text names, those of one file alone with an empty name."""
    return (f"{file}::{name}" for file, name in TEST.findall(text))


ROWS = rows(STANDARDS)
ALL_TESTS = sorted({*named(STANDARDS), *named(SECURITY)})


# --- standards ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", sorted({row[1].strip("`") for row in ROWS} - {""}))
def test_the_function_exists(function: str) -> None:
    names = function.split(".")
    room = next(room for room in ROOMS if importlib.util.find_spec(f"{room}.{names[0]}"))
    module = importlib.import_module(f"{room}.{names.pop(0)}")
    while hasattr(module, "__path__") and not hasattr(module, names[0]):
        module = importlib.import_module(f"{module.__name__}.{names.pop(0)}")
    assert callable(reduce(getattr, names, module))


@pytest.mark.parametrize("test", ALL_TESTS)
def test_the_test_exists(test: str) -> None:
    file, _, name = test.partition("::")
    assert (TESTS / file).is_file()
    assert not name or name in functions_of(TESTS / file)


def test_every_row_has_its_three_cells() -> None:
    assert ROWS
    assert {len(row) for row in ROWS} == {3}


def test_every_row_has_a_function_and_a_test_or_says_what_is_not_kept() -> None:
    half = [row[0] for row in ROWS if bool(row[1]) is not bool(row[2])]
    silent = [row[0] for row in ROWS if not row[1] and "*not kept*" not in row[0]]
    unnamed = [row[2] for row in ROWS if row[2] and not TEST.fullmatch(row[2])]
    assert (half, silent, unnamed) == ([], [], [])


def test_every_document_that_the_core_cites_has_its_place() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "src" / "jwtgate" / "core").glob("*.py")]
    cited = {number for text in texts for number in CITED.findall(text)}
    # How a handshake of another protocol is made is asked of the servers in front of an API.
    assert cited - {"6455"} - set(re.findall(r"\d{4}", STANDARDS)) == set()


# --- security -------------------------------------------------------------------------------------------------------


def test_every_group_of_attacks_has_a_row_with_tests() -> None:
    from tests.conformance.attacks import corpus

    table = {row[0].strip("*` "): row[-1] for row in rows(part("What holds it"))}
    assert set(corpus.GROUPS) <= set(table)
    assert [group for group, tests in table.items() if not list(named(tests))] == []


def test_every_advisory_stands_beside_attacks_and_tests_that_exist() -> None:
    from tests.conformance.attacks import corpus

    classes = rows(part("Advisories, by class"))
    assert classes
    known = {attack.id.removesuffix("+") for attack in corpus.CASES}
    cases = {case for row in classes for case in CASE.findall(row[2])}
    assert {case for case in cases if case[0] in corpus.GROUPS} - known == set()
    for row in classes:
        ids = [name.strip() for name in row[1].split(",")]
        assert [name for name in ids if not ADVISORY.fullmatch(name)] == []
        assert list(named(row[3])), row[0]


@pytest.mark.parametrize(("of", "secret"), [(SharedSecret, "signature"), (Nonces.accepts, "nonce")])
def test_what_is_secret_is_compared_in_constant_time(of: Any, secret: str) -> None:
    tree = ast.parse(textwrap.dedent(inspect.getsource(of)))
    called = {node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "attr")}
    compared = {
        name.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for name in ast.walk(node)
        if isinstance(name, ast.Name)
    }
    assert "compare_digest" in called
    assert secret not in compared


def test_no_advisory_is_named_twice() -> None:
    ids = ADVISORY.findall(part("Advisories, by class"))
    assert sorted(ids) == sorted(set(ids))
