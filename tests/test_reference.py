"""The reference pages say what the code says."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.main import get_command

from jwtgate import AccessToken, ApiSettings, AuthError, Issuer
from jwtgate.cli.commands import app
from jwtgate.core.effects import Trouble
from jwtgate.core.environment import ENVIRONMENT
from jwtgate.core.events import KeyEvent
from jwtgate.core.status import Counters, IssuerStatus
from jwtgate.tenant.setup import SECTIONS, TENANT

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


@pytest.mark.parametrize(("settings", "section"), [(ApiSettings, "ApiSettings"), (Issuer, "Issuer")])
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


@pytest.mark.parametrize(("value", "section"), [(IssuerStatus, "IssuerStatus"), (Counters, "Counters")])
def test_all_that_a_verifier_knows_of_itself_has_a_row(value: type, section: str) -> None:
    assert names("keys.md", section) == [field.name for field in fields(value)]


def test_every_event_and_every_trouble_has_a_row() -> None:
    written = [(name.strip("`"), kind.strip("`")) for name, kind, _, _ in rows("keys.md", "Events")]
    assert written == [(kind.name, kind.__name__) for kind in get_args(KeyEvent)]
    assert names("keys.md", "Trouble") == list(get_args(Trouble))


def test_every_attribute_of_a_token_has_a_row() -> None:
    methods = {"require", "allows"}
    public = {name for name in dir(AccessToken) if not name.startswith("_")} - methods
    assert set(names("requirements.md", "AccessToken")) == public


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_of_a_setup_has_a_row_with_whether_it_is_needed(section: str) -> None:
    table = rows("tenant.md", section)
    assert {row[0].strip("`") for row in table} == set(SECTIONS[section].knows)
    assert {row[0].strip("`") for row in table if row[1] == "required"} == set(SECTIONS[section].needs)


def test_all_that_a_setup_says_of_its_tenant_has_a_row() -> None:
    assert set(names("tenant.md", "The tenant")) == {*TENANT, *SECTIONS}


def commands(command: Any, *path: str) -> dict[str, Any]:
    if not hasattr(command, "commands"):
        return {" ".join(path): command}
    return {
        name: found for word, each in command.commands.items() for name, found in commands(each, *path, word).items()
    }


COMMANDS = commands(get_command(app), "jwtgate")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_has_a_row(name: str) -> None:
    options = [parameter for parameter in COMMANDS[name].params if parameter.name != "help"]
    assert names("cli.md", name) == [word for each in options for word in (*each.opts, *each.secondary_opts)]


def test_every_variable_of_a_command_stands_beside_its_option() -> None:
    written = {row[0].strip("`"): re.findall(r"`([^`]+)`", row[1]) for row in rows("cli.md", "jwtgate token")}
    read = {each.opts[0]: each.envvar or [] for each in COMMANDS["jwtgate token"].params}
    assert written == {name: [of] if isinstance(of, str) else [*of] for name, of in read.items()}


def test_every_command_has_a_section() -> None:
    sections = re.findall(r"^## (jwtgate .+)$", (PAGES / "cli.md").read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(COMMANDS)
