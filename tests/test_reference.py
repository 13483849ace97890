"""The reference pages say what the code says."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from jwtgate import AccessToken, ApiSettings, AuthError, Issuer
from jwtgate.core.settings import ENVIRONMENT

PAGES = Path(__file__).parents[1] / "docs" / "reference"


def rows(page: str, section: str) -> list[list[str]]:
    """The cells of the first table under that heading, without its head."""
    text = (PAGES / page).read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def names(page: str, section: str) -> list[str]:
    """The code words of each row's first cell."""
    return [name for row in rows(page, section) for name in re.findall(r"`([^`]+)`", row[0])]


def every_error(kind: type[AuthError] = AuthError) -> list[type[AuthError]]:
    return [found for child in kind.__subclasses__() for found in (child, *every_error(child))]


@pytest.mark.parametrize("settings, section", [(ApiSettings, "ApiSettings"), (Issuer, "Issuer")])
def test_every_setting_has_a_row(settings: type, section: str) -> None:
    assert names("settings.md", section) == [field.name for field in fields(settings)]


def test_every_variable_has_a_row() -> None:
    written = {row[0].strip("`"): row[1].strip("`") for row in rows("settings.md", "From the environment")}
    assert written == {variable: setting for variable, (setting, _) in ENVIRONMENT.items()}


def test_every_refusal_has_a_row_with_its_status_code_and_sentence() -> None:
    table = rows("refusals.md", "The errors")
    written = [(name.strip("`"), status, code.strip("`"), text) for name, status, code, text in table]
    ours = [error for error in every_error() if error.__module__.startswith("jwtgate")]
    assert written == [(error.__name__, str(error.status), error.code or "", error.sentence) for error in ours]


def test_every_attribute_of_a_token_has_a_row() -> None:
    methods = {"require", "allows"}
    public = {name for name in dir(AccessToken) if not name.startswith("_")} - methods
    assert set(names("requirements.md", "AccessToken")) == public
