"""The command itself: what it needs, and what it answers without being asked for anything."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

from tests.cli.command import jwtgate, python

RUN = "import sys; sys.argv[1:] = {arguments}; sys.modules[{missing!r}] = None; from jwtgate.cli import main; main()"


@pytest.mark.parametrize("missing", ["typer", "rich", "uvicorn", "fastapi", "werkzeug"])
def test_without_its_extra_it_names_what_to_install(missing: str) -> None:
    done = python(RUN.format(arguments=["demo"], missing=missing))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert missing in line
    assert "pip install 'jwtgate[cli]'" in line


def test_a_room_of_its_own_that_is_missing_is_no_matter_of_extras() -> None:
    done = python(RUN.format(arguments=["demo"], missing="jwtgate.cli.commands"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: ")


def test_help_loads_no_framework() -> None:
    code = """
import sys
from jwtgate.cli import main
sys.argv[1:] = ["demo", "--help"]
try:
    main()
except SystemExit as end:
    print(end.code, sorted({"fastapi", "uvicorn", "werkzeug", "httpx"} & sys.modules.keys()))
"""
    assert python(code).stdout.splitlines()[-1] == "0 []"


def test_importing_it_loads_neither_typer_nor_rich() -> None:
    code = "import sys, jwtgate.cli; print(sorted({'typer', 'rich'} & sys.modules.keys()))"
    assert python(code).stdout == "[]\n"


@pytest.mark.parametrize("arguments", [[], ["demon"], ["demo", "--sevre"]])
def test_what_is_not_understood_is_status_2(arguments: list[str]) -> None:
    assert jwtgate(*arguments).returncode == 2


def test_it_knows_its_version() -> None:
    try:
        installed = version("jwtgate")
    except PackageNotFoundError:
        pytest.skip("jwtgate is not installed here, only on the path")
    assert jwtgate("--version").stdout == f"jwtgate {installed}\n"
