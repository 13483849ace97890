"""The house is as its plan says: what stands where, what may import what, what is never written down."""

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import jwtgate

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "jwtgate"
MODULES = sorted(SOURCE.rglob("*.py"))
TOP_LEVEL = {"pyproject.toml", "README.md", "LICENSE", "src", "tests", "examples", "docs"}
BUILT = {"dist", "htmlcov", "site"}  # what tools leave behind and .gitignore names

FRAMEWORKS = {"fastapi", "flask", "httpx", "redis", "rich", "starlette", "typer", "uvicorn", "werkzeug"}
FACE = {
    "AccessToken",
    "ApiSettings",
    "AsyncVerifier",
    "AuthError",
    "InsufficientAuthentication",
    "InsufficientScope",
    "InvalidProof",
    "InvalidRequest",
    "InvalidToken",
    "Issuer",
    "JwtGateError",
    "KeysUnavailable",
    "MissingCredentials",
    "NonceRequired",
    "Request",
    "SettingsError",
    "StoreUnavailable",
    "Unavailable",
    "Verifier",
    "all_of",
    "any_of",
    "authenticated",
    "claim",
    "permission",
    "scope",
}

# Each pattern has a bracket where it would otherwise match itself, as this file is read too.
NEVER_ANYWHERE = {
    "an unfinished mark": r"\b(?:T[O]DO|F[I]XME)\b",
    "a path of one machine": r"(?<![\w.*:/-])/(?:work|root|tmp|home)/\w",
    "a package index": r"[i]ndex-url|[f]ind-links|//[\w.-]+/simple\b",
}
NEVER_OUTSIDE_CI = {"a folder beside the clone": r"\.\./[s]hared\b"}
NEVER_IN_SOURCE = {
    "an unfinished mark": r"\bXXX\b|\bNotImplementedError\b",
    "a line that no test must reach": r"pragma: no (?:cover|branch)",
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def texts(*names: str) -> Iterator[tuple[Path, str]]:
    """Every text file below the named entries of the top level."""
    for name in names:
        top = ROOT / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path, path.read_text(encoding="utf-8", errors="replace")


def lines_with(pattern: str, *names: str) -> list[str]:
    return [
        f"{relative(path)}:{number}"
        for path, text in texts(*names)
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]


def imported_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter holds after the statement."""
    done = python("-c", f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))")
    done.check_returncode()
    return set(json.loads(done.stdout))


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


# --- the face -----------------------------------------------------------------------------------------------


def test_the_face_is_sorted() -> None:
    assert jwtgate.__all__ == sorted(jwtgate.__all__)


def test_the_face_names_all_that_it_shows() -> None:
    seen = {name: getattr(jwtgate, name) for name in dir(jwtgate) if not name.startswith("_")}
    assert {name for name, value in seen.items() if not isinstance(value, ModuleType)} == set(jwtgate.__all__)


def test_the_face_shows_a_type_checker_what_it_shows_python() -> None:
    (told,) = [
        node.body
        for node in ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "typing.TYPE_CHECKING"
    ]
    rooms = {f"jwtgate.{node.module}": node for node in told if isinstance(node, ast.ImportFrom)}
    assert sorted(alias.name for node in rooms.values() for alias in node.names) == jwtgate.__all__
    for room, node in rooms.items():
        for alias in node.names:
            assert getattr(jwtgate, alias.name) is getattr(importlib.import_module(room), alias.name)


def test_the_face_has_no_other_names() -> None:
    with pytest.raises(AttributeError):
        _ = jwtgate.Nothing  # type: ignore[attr-defined]
    with pytest.raises(ImportError):
        from jwtgate import Nothing  # type: ignore[attr-defined]  # noqa: F401


def test_the_face_keeps_its_promised_names() -> None:
    assert set(jwtgate.__all__) >= FACE


def test_the_package_is_typed() -> None:
    assert (SOURCE / "py.typed").is_file()


@pytest.mark.parametrize(
    ("module", "welcome"),
    [
        ("jwtgate", set()),
        ("jwtgate.asgi", set()),
        ("jwtgate.wsgi", set()),
        ("jwtgate.flask", {"flask", "werkzeug"}),
        ("jwtgate.starlette", {"starlette"}),
        ("jwtgate.fastapi", {"fastapi", "starlette"}),
        ("jwtgate.tenant", {"httpx", "werkzeug"}),
    ],
)
def test_an_import_brings_only_its_own_framework(module: str, welcome: set[str]) -> None:
    assert imported_by(f"import {module}") & FRAMEWORKS <= welcome


# --- the plan -----------------------------------------------------------------------------------------------


def test_the_top_level_holds_only_what_belongs_there() -> None:
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert found - BUILT == TOP_LEVEL


def test_imports_go_one_way() -> None:
    done = python("-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_border_post_and_tool_belongs_to_all() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    (everything,) = extras["all"]
    apart = {"all", "bench", "dev", "fuzz", "mutation", "speed", "test"}
    assert set(re.findall(r"\w+", everything)) - {"jwtgate"} == extras.keys() - apart


# --- the rooms ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_a_room_opens_with_its_caption(module: Path) -> None:
    caption = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    assert caption.partition("\n\n")[0].endswith(".")


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_no_check_disappears_under_optimisation(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)] == []


@pytest.mark.parametrize("module", sorted(SOURCE.glob("core/**/*.py")), ids=relative)
def test_the_core_reads_no_clock(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    clocks = {"now", "today", "utcnow"}  # of `datetime`, which core may otherwise use
    reads = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in clocks
    ]
    assert reads == []


@pytest.mark.parametrize("pattern", NEVER_ANYWHERE.values(), ids=NEVER_ANYWHERE)
def test_never_written_down(pattern: str) -> None:
    assert lines_with(pattern, *TOP_LEVEL, ".ci", ".gitignore") == []


@pytest.mark.parametrize("pattern", NEVER_OUTSIDE_CI.values(), ids=NEVER_OUTSIDE_CI)
def test_never_written_outside_ci(pattern: str) -> None:
    assert lines_with(pattern, *TOP_LEVEL, ".gitignore") == []


@pytest.mark.parametrize("pattern", NEVER_IN_SOURCE.values(), ids=NEVER_IN_SOURCE)
def test_never_written_in_source(pattern: str) -> None:
    assert lines_with(pattern, "src") == []
