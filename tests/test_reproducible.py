"""The wheel depends on its sources and on nothing else."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.reproducible import HERE, NEEDED, ROOT, THERE, build, can_build, differences, epoch, lay_out, main

pytestmark = pytest.mark.skipif(not can_build(), reason=NEEDED)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("here")
    lay_out(folder, HERE)
    return build(folder, epoch(), HERE)


def test_two_builds_under_different_circumstances_are_the_same(wheel: Path, tmp_path: Path) -> None:
    lay_out(tmp_path, THERE)
    assert differences(wheel, build(tmp_path, epoch(), THERE)) == []


def test_a_change_of_a_source_is_a_difference_and_is_named(wheel: Path, tmp_path: Path) -> None:
    lay_out(tmp_path, HERE)
    (tmp_path / "src" / "jwtgate" / "py.typed").write_text("partial\n")
    assert {name.rpartition("/")[2] for name in differences(wheel, build(tmp_path, epoch(), HERE))} == {
        "py.typed",
        "RECORD",
    }


def test_another_time_is_a_difference_and_is_named(wheel: Path, tmp_path: Path) -> None:
    lay_out(tmp_path, HERE)
    found = differences(wheel, build(tmp_path, epoch() + 86_400, HERE))
    assert found
    assert all(what.endswith(": its date") for what in found)


def test_the_wheel_holds_the_package_and_no_more(wheel: Path) -> None:
    package = ROOT / "src"
    kept = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as members:
        held = {name for name in members.namelist() if ".dist-info/" not in name}
    assert held == kept


def test_the_command_says_that_they_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0
    first, second, verdict = capsys.readouterr().out.splitlines()
    assert first == second
    assert verdict
