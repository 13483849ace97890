"""The plugin in other people's test runs: the sample project, the page about it, and what it brings along."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from jwtgate import ApiSettings, AuthError, Verifier
from jwtgate.tenant import Tenant
from jwtgate.testing import BROKEN, BROKEN_PROOFS, StandIn, bearer

pytest_plugins = ["jwtgate.testing"]

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "tested_api"
PAGE = ROOT / "docs" / "how-to" / "test-your-api.md"
GUARD = '@gate.requires("read:messages")\n'

# A plugin that takes the network away. Event loops go on: they connect no socket to wake themselves.
NO_NETWORK = """
import socket

def refuse(*_):
    raise RuntimeError("a test asked for the network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


@dataclass(frozen=True)
class Outcome:
    """How a run of pytest ended. passed, failed: names of tests, with their parameters."""

    code: int
    passed: tuple[str, ...]
    failed: tuple[str, ...]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A copy of the sample project, without anything that was left in it by a run."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "sample", ignore=shutil.ignore_patterns(".*", "__pycache__")))


def run_pytest(folder: Path, *arguments: str) -> Outcome:
    """In a process of its own, as its owner would; warnings are errors, and there is no network."""
    (folder / "no_network.py").write_text(NO_NETWORK)
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no_network", f"--junitxml={report}"]
    # What old versions of Starlette use of today's anyio.
    command += ["-W", "ignore:The anyio.abc.BlockingPortal alias is deprecated:DeprecationWarning"]
    # What is set for this run is not for that one; and -O, of which pytest warns, leaves it without assertions.
    ours = ("PYTEST_", "AUTH0_", "JWTGATE_", "PYTHONOPTIMIZE")
    own = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env=own | {"PYTHONPATH": os.pathsep.join([str(folder), own.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if not report.is_file():
        raise RuntimeError(done.stdout + done.stderr)
    cases = list(ET.parse(report).iter("testcase"))
    failed = [case for case in cases if len(case)]
    return Outcome(done.returncode, names(case for case in cases if case not in failed), names(failed))


def names(cases: Iterable[ET.Element]) -> tuple[str, ...]:
    return tuple(case.attrib["name"] for case in cases)


def spoil(sample: Path, old: str, new: str) -> None:
    """Change every route of the sample in the same way."""
    module = sample / "messages_api.py"
    text = module.read_text()
    assert old in text
    module.write_text(text.replace(old, new))


# --- a user's project ---------------------------------------------------------------------------------------


def test_the_sample_passes_and_meets_every_broken_token_on_every_route(sample: Path) -> None:
    outcome = run_pytest(sample)
    assert (outcome.code, outcome.failed) == (0, ())
    met = [re.findall(r"\[(\w+)-", name)[0] for name in outcome.passed if "broken" in name]
    assert {name: met.count(name) for name in met} == dict.fromkeys(BROKEN, 3)


def test_the_sample_fails_where_its_routes_forget_their_permission(sample: Path) -> None:
    spoil(sample, GUARD, "@gate.requires()\n")
    outcome = run_pytest(sample)
    assert outcome.code == 1
    assert {name.partition("[")[0] for name in outcome.failed} == {
        "test_any_other_permission_is_not_enough",
        "test_the_scope_that_was_asked_for_does_not_count",
    }


def test_the_sample_fails_where_its_routes_forget_their_gate(sample: Path) -> None:
    spoil(sample, GUARD, "")
    outcome = run_pytest(sample)
    assert outcome.code == 1
    assert {name.partition("[")[0] for name in outcome.failed} >= {
        "test_a_caller_without_a_token_is_asked_for_one",
        "test_a_broken_token_is_refused",
        "test_any_other_permission_is_not_enough",
    }


def test_the_sample_fails_where_its_routes_let_organizations_mix(sample: Path) -> None:
    spoil(sample, '    gate.token.require(claim("org_id", organization))\n', "")
    assert run_pytest(sample).failed == ("test_an_organization_does_not_see_another_ones_messages",)


# --- the page about it --------------------------------------------------------------------------------------


def test_the_blocks_of_the_page_are_tests_that_pass(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python[^\n]*\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "test_page.py").write_text("\n\n".join(blocks))
    outcome = run_pytest(tmp_path)
    written = [name for block in blocks for name in re.findall(r"def (test_\w+)", block)]
    assert (outcome.code, outcome.failed) == (0, ())
    assert {name.partition("[")[0] for name in outcome.passed} == set(written)


def test_the_page_names_every_broken_token() -> None:
    assert first_cells("## Broken tokens") == list(BROKEN)


def test_the_page_names_every_broken_proof() -> None:
    assert first_cells("### Broken proofs") == list(BROKEN_PROOFS)


def test_the_page_names_every_argument_of_a_token() -> None:
    assert set(first_cells("## Which token")) == set(inspect.signature(StandIn.token).parameters) - {"self"}


def first_cells(heading: str) -> list[str]:
    """The code words in the first column of the table below that heading."""
    section = PAGE.read_text().partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for cell in rows for name in re.findall(r"`(\w+)`", cell)]


# --- the fixtures as they are -------------------------------------------------------------------------------


def test_a_sample_api_is_there_to_build_an_app_from(
    jwtgate_settings: ApiSettings, jwtgate_token: Callable[..., str]
) -> None:
    token = Verifier(jwtgate_settings).verify(jwtgate_token(permissions=["read:messages"]))
    assert (token.permissions, token.scopes) == ({"read:messages"}, {"read:messages"})


def test_the_sample_api_needs_no_stand_in(jwtgate_settings: ApiSettings, jwtgate_tenant: Tenant) -> None:
    # Its keys are given, so it may be handed to another process too.
    issuer = StandIn(jwtgate_settings, jwtgate_tenant)
    assert Verifier(jwtgate_settings).verify(issuer.token()).issuer == jwtgate_tenant.issuer


@pytest.fixture(scope="session")
def kept(jwtgate_tenant: Tenant) -> Tenant:
    return jwtgate_tenant


def test_there_is_one_tenant_for_the_whole_run(kept: Tenant, jwtgate_tenant: Tenant, jwtgate_issuer: StandIn) -> None:
    assert kept is jwtgate_tenant is jwtgate_issuer.tenant


def test_a_broken_token_is_made_by_the_same_issuer(
    jwtgate_issuer: StandIn, jwtgate_broken_token: str, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(AuthError) as refused:
        Verifier(jwtgate_issuer.settings).verify(jwtgate_broken_token)
    assert (refused.value.status, request.node.callspec.id in BROKEN) == (401, True)


def test_the_headers_carry_the_token() -> None:
    assert bearer("a.b.c") == {"Authorization": "Bearer a.b.c"}


# --- what it brings along -----------------------------------------------------------------------------------


def test_it_imports_nothing_but_pytest_and_what_jwtgate_has_anyway() -> None:
    code = (
        "import json, sys, pytest, jwt; from jwtgate import *; before = sorted(sys.modules);"
        "import jwtgate.testing; print(json.dumps([before, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    before, after = json.loads(done.stdout)
    brought = {name.partition(".")[0] for name in after} - {name.partition(".")[0] for name in before}
    assert brought - sys.stdlib_module_names == set()
    assert "jwtgate.tenant" not in after


def test_a_run_that_does_not_ask_for_it_does_not_have_it() -> None:
    assert [point.value for point in distribution("jwtgate").entry_points if point.group == "pytest11"] == []


def test_it_may_be_imported_before_it_is_loaded(tmp_path: Path) -> None:
    lines = ["from jwtgate.testing import BROKEN", "pytest_plugins = ['jwtgate.testing']", ""]
    (tmp_path / "conftest.py").write_text("\n".join(lines))
    (tmp_path / "test_it.py").write_text("def test_it(jwtgate_token):\n    assert jwtgate_token()\n")
    assert run_pytest(tmp_path) == Outcome(0, ("test_it",), ())
