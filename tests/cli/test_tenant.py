"""`jwtgate tenant`: a process that serves, says what is registered, logs each token, and stops when told."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rich.console import Console

from jwtgate.cli.tenant import PORT, Serving, run
from tests.cli.command import COMMAND, TIMEOUT, environment, here, shell

IDENTIFIER = "https://api.example.com/"
SETUP = f"""\
apis:
  - identifier: {IDENTIFIER}
    permissions: [p:1, p:2, p:3, p:4, p:5, p:6, p:7]
  - identifier: https://hs256.example.com/
    signing_algorithm: HS256
    signing_secret: the signing secret
applications:
  - name: Few
    client_id: few
    client_secret: the secret of Few
  - name: Many
    client_id: many
    client_secret: the secret of Many
    token_endpoint_auth: client_secret_basic
  - {{name: "Off", client_id: "off", grant_types: []}}
  - {{name: Website, client_id: website, kind: single_page}}
roles:
  - name: Reader
users:
  - email: ada@example.com
    user_id: auth0|ada
    password: the password
    roles: [Reader]
organizations:
  - {{name: acme, organization_id: org_acme, members: [ada@example.com]}}
grants:
  - {{application: Few, api: {IDENTIFIER}, permissions: ["p:1"]}}
  - {{application: Many, api: {IDENTIFIER}, permissions: all}}
  - {{application: "Off", api: {IDENTIFIER}, permissions: all}}
  - {{application: Website, api: {IDENTIFIER}, permissions: ["p:2"], subject_type: user}}
"""
SECRETS = ["the secret of Few", "the secret of Many", "the password", "the signing secret"]


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("setup") / "tenant.yaml"
    path.write_text(SETUP, encoding="utf-8")
    return path


@contextmanager
def serving(*arguments: object, port: int = 0) -> Iterator[subprocess.Popen[str]]:
    command = [*COMMAND, "tenant", "serve", "--port", str(port), *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(), stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def document(process: subprocess.Popen[str]) -> dict[str, Any]:
    text = ""
    for line in process.stdout or ():
        text += line
        if line == "}\n":
            return json.loads(text)
    raise AssertionError(text + (process.stderr.read() if process.stderr else ""))


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> tuple[int, list[str]]:
    """Exit status, and the lines of the log without their time."""
    process.send_signal(number)
    _, log = process.communicate(timeout=TIMEOUT)
    lines = log.splitlines()
    assert [line for line in lines if not re.match(r"\d\d:\d\d:\d\d [A-Z]+ +", line)] == []
    return process.returncode, [re.sub(r"^\S+ ", "", line) for line in lines]


def ask(issuer: str, **parameters: str) -> httpx.Response:
    form = {"grant_type": "client_credentials", "audience": IDENTIFIER, **parameters}
    return httpx.post(f"{issuer}oauth/token", data=form, trust_env=False)


# What it says


def test_it_says_what_is_registered(setup: Path) -> None:
    with serving(setup, "--json") as process:
        told = document(process)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", told["issuer"])
    assert [(api["identifier"], api["settings"]) for api in told["apis"][1:]] == [
        (IDENTIFIER, "RS256, Auth0 profile, RBAC off, names in scope"),
        ("https://hs256.example.com/", "HS256, Auth0 profile, RBAC off, names in scope"),
    ]
    named = {each["client_id"]: each for each in told["applications"]}
    assert [named[each]["kind"] for each in ("few", "website")] == ["machine_to_machine", "single_page"]
    assert named["few"]["grants"] == [{"api": IDENTIFIER, "subject_type": "client", "permissions": ["p:1"]}]
    assert [grant["subject_type"] for grant in named["website"]["grants"]] == ["user"]
    assert told["users"] == [{"email": "ada@example.com", "user_id": "auth0|ada", "roles": ["Reader"]}]
    assert told["organizations"] == [{"name": "acme", "organization_id": "org_acme", "members": 1}]


def test_no_secret_is_told_unless_asked_for(setup: Path) -> None:
    for shown in ([], ["--show-secrets"]):
        for shape in ([], ["--json"]):
            with serving(setup, *shown, *shape) as process:
                output, found = "", False
                for line in process.stdout or ():
                    output += line
                    found = line == "}\n" or line.startswith("jwtgate token ")
                    if found:
                        break
            assert found
            assert [secret in output for secret in SECRETS] == [bool(shown)] * len(SECRETS)


def things_to_try(process: subprocess.Popen[str]) -> list[str]:
    lines: list[str] = []
    for line in process.stdout or ():
        if lines or line.startswith("Ctrl-C"):
            lines.append(line.rstrip("\n"))
        if line.startswith("jwtgate token "):
            return [each for each in lines if re.match(r"curl|export|read|jwtgate", each)]
    raise AssertionError(lines)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_its_lines_work_in_a_shell(setup: Path) -> None:
    with serving(setup, "--show-secrets") as process:
        discovery, export, token, step_by_step = things_to_try(process)
        assert "many" in token  # the application that may do most
        assert httpx.get(shlex.split(discovery)[-1], trust_env=False).status_code == 200
        answer, raw = shell(f"{export}\n{token}\n{step_by_step} --raw")
        status, log = stop(process)
    assert json.loads(answer)["scope"] == "p:1 p:2 p:3 p:4 p:5 p:6 p:7"
    assert raw.startswith("eyJ")
    assert status == 0
    assert len([line for line in log if line.startswith("INFO    seccft 'Many' ")]) == 2


def test_without_secrets_it_says_where_one_goes(setup: Path) -> None:
    with serving(setup) as process:
        _, read, _, step_by_step = things_to_try(process)
    assert read.startswith("read -rs CLIENT_SECRET")
    assert step_by_step.endswith("--basic")


def test_with_nobody_to_ask_for_a_token_it_shows_no_request(tmp_path: Path) -> None:
    path = tmp_path / "tenant.yaml"
    path.write_text("roles: [{name: Reader}]", encoding="utf-8")
    with serving(path, "--json") as process:
        assert len(document(process)["try"]) == 1
        assert stop(process)[0] == 0


def test_without_a_file_it_serves_the_sample_that_it_prints(tmp_path: Path) -> None:
    printed = here("tenant", "sample")
    path = tmp_path / "tenant.yaml"
    path.write_text(printed.stdout, encoding="utf-8")
    told = []
    for arguments in ([], [path]):
        with serving(*arguments, "--json", "--issuer", "https://tenant.example.test/") as process:
            told.append(document(process))
    for each in told:
        for thing in (*each["applications"], *each["users"]):
            thing.pop("client_id", None)
            thing.pop("user_id", None)
        del each["try"]
    assert told[0] == told[1]
    assert (printed.returncode, printed.stderr) == (0, "")


BOUND = """\
apis:
  - identifier: https://open.example.com/
    permissions: [p:1]
  - identifier: https://dpop.example.com/
    permissions: [p:1, p:2]
    proof_of_possession: {mechanism: dpop, required: true}
  - identifier: https://public.example.com/
    permissions: [p:1, p:2]
    proof_of_possession: {mechanism: dpop, required: true, required_for: public_clients}
  - identifier: https://mtls.example.com/
    proof_of_possession: {mechanism: mtls, required: false}
    token_encryption: {encryption_key: {alg: RSA-OAEP-512, kid: key-1, pem: PEM}}
applications:
  - {name: Machine, client_id: machine}
  - {name: Careful, client_id: careful, require_proof_of_possession: true}
grants:
  - {application: Machine, api: https://open.example.com/, permissions: all}
  - {application: Machine, api: https://dpop.example.com/, permissions: all}
  - {application: Careful, api: https://public.example.com/, permissions: all}
"""


@pytest.fixture
def bound(tmp_path: Path) -> Path:
    """Its only request that a line for a shell can make is for the API that binds nothing."""
    key = rsa.generate_private_key(65_537, 2_048).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    path = tmp_path / "tenant.yaml"
    path.write_text(BOUND.replace("PEM", json.dumps(pem)), encoding="utf-8")
    return path


def test_it_says_who_must_show_a_key_and_with_which_key_tokens_are_encrypted(bound: Path) -> None:
    with serving(bound, "--json") as process:
        told = document(process)
    settings = {api["identifier"].split(".")[0]: api["settings"].split(", ")[4:] for api in told["apis"][1:]}
    assert settings == {
        "https://open": [],
        "https://dpop": ["DPoP required"],
        "https://public": ["DPoP required of public applications"],
        "https://mtls": ["mutual TLS allowed", "encrypted with RSA-OAEP-512"],
    }
    (key,) = [api["encryption_key"] for api in told["apis"] if "encryption_key" in api]
    assert (sorted(key), key["kid"]) == (["alg", "kid", "thumbprint_sha256"], "key-1")
    who = {each["client_id"]: each.get("require_proof_of_possession") for each in told["applications"]}
    assert (who["machine"], who["careful"]) == (None, True)
    assert "https://open.example.com/" in told["try"][2]["line"]


def test_what_is_bound_and_encrypted_is_a_line_each(bound: Path) -> None:
    lines = told_in_this_process(Serving(setup=bound, port=0))
    assert "tokens         always bound to its sender" in lines
    assert [line for line in lines if re.fullmatch(r"encryption key  key-1 [\w-]{43}", line)]


# What it logs


def test_each_token_is_a_line_with_its_code_and_a_refused_one_has_its_reason(setup: Path) -> None:
    few = {"client_id": "few", "client_secret": "the secret of Few"}
    with serving(setup, "--json") as process:
        issuer = document(process)["issuer"]
        asked = [ask(issuer, **few), ask(issuer, **few, scope="p:2"), ask(issuer, **{**few, "client_secret": "wrong"})]
        status, log = stop(process, signal.SIGTERM)
    assert [answer.status_code for answer in asked] == [200, 403, 401]
    assert status == 0
    events = [line.split() for line in log if "ccft" in line]
    assert [(level, code, name) for level, code, name, *_ in events] == [
        ("INFO", "seccft", "'Few'"),
        ("INFO", "feccft", "'Few'"),
        ("INFO", "feccft", "'Few'"),
    ]
    assert not [line for line in log if "secret of" in line or "eyJ" in line]


def test_what_is_open_to_every_user_is_a_warning_in_the_log(setup: Path) -> None:
    with serving(setup, "--json") as process:
        document(process)
        _, log = stop(process)
    assert [line.split()[0] for line in log] == ["WARNING"] * 2  # for each of the two APIs without RBAC


# Where it is


@pytest.fixture
def port() -> int:
    """One that is free, or was a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_it_is_where_it_is_told_to_be(port: int) -> None:
    with serving("--json", port=port) as process:
        assert document(process)["issuer"] == f"http://127.0.0.1:{port}/"
        assert stop(process)[0] == 0


def test_its_port_is_the_same_each_time_unless_told() -> None:
    assert Serving().port == PORT
    assert str(PORT) in here("tenant", "serve", "--help").stdout


def test_beyond_loopback_it_goes_only_when_asked_and_says_so(setup: Path) -> None:
    refused = here("tenant", "serve", str(setup), "--host", "0.0.0.0", "--port", "0")
    assert (refused.returncode, refused.stdout) == (2, "")
    with serving(setup, "--json", "--host", "0.0.0.0", "--allow-beyond-loopback") as process:
        told = document(process)
        _, log = stop(process)
    assert told["issuer"].startswith("http://0.0.0.0:")
    assert "--allow-http" in told["try"][-1]["line"]
    assert [line for line in log if line.startswith("WARNING") and "0.0.0.0" in line]


# What it keeps


def test_with_a_state_the_next_start_knows_everything(tmp_path: Path, setup: Path) -> None:
    state = tmp_path / "tenant.db"
    told, keys = [], []
    for arguments in ([setup], [], [setup]):
        with serving(*arguments, "--json", "--state", state) as process:
            told.append(document(process))
            keys.append(httpx.get(told[-1]["issuer"] + ".well-known/jwks.json", trust_env=False).json())
            assert stop(process)[0] == 0
    assert told[0]["applications"][2:] == told[1]["applications"][2:] == told[2]["applications"][2:]
    assert told[0]["users"] == told[1]["users"] == told[2]["users"]
    assert keys[0] == keys[1] == keys[2]


def test_a_state_is_served_once_at_a_time(tmp_path: Path) -> None:
    state = tmp_path / "tenant.db"
    with serving("--json", "--state", state) as process:
        document(process)
        second = here("tenant", "serve", "--port", "0", "--state", str(state))
    assert (second.returncode, second.stdout) == (2, "")
    (line,) = second.stderr.splitlines()
    assert line.startswith("jwtgate: ")


def test_a_killed_one_leaves_a_state_that_can_be_opened(tmp_path: Path) -> None:
    state = tmp_path / "tenant.db"
    with serving("--json", "--state", state) as process:
        first = document(process)
        process.kill()
    with serving("--json", "--state", state) as process:
        assert document(process)["applications"][1:] == first["applications"][1:]


# What it refuses


@pytest.mark.parametrize(
    ("text", "where"),
    [("apis:\n  - name: x\n", ":2:5: apis[0]: "), ("apis: [", ":1:8: "), ("a: 1", ":1:1: a: ")],
)
def test_a_setup_that_is_wrong_is_one_line_that_says_where(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "tenant.yaml"
    path.write_text(text, encoding="utf-8")
    done = here("tenant", "serve", str(path), "--port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"jwtgate: {path}{where}")


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = here("tenant", "serve", "--port", str(listening.getsockname()[1]))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


@pytest.mark.parametrize("arguments", [["tenant"], ["tenant", "server"], ["tenant", "serve", "--port", "65536"]])
def test_what_is_not_understood_is_status_2(arguments: list[str]) -> None:
    assert here(*arguments).returncode == 2


def told_in_this_process(serving: Serving) -> list[str]:
    """The lines that it prints; whoever reads them tells it to stop."""

    class Reader(io.StringIO):
        def write(self, text: str) -> int:
            if "--client-id" in text:
                signal.raise_signal(signal.SIGINT)
            return super().write(text)

    console = Console(file=Reader(), width=200)
    assert run(console, serving, show_secrets=True) == 0
    return [line.strip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_each_thing_is_a_block_of_lines(setup: Path) -> None:
    lines = told_in_this_process(Serving(setup=setup, port=0))
    at = lines.index("Website")
    assert lines[at : at + 4] == [
        "Website",
        "kind           single_page",
        "client id      website",
        "its users may  p:2 (https://api.example.com/)",
    ]
    assert "permissions  p:1 p:2 p:3 p:4 p:5 and 2 more" in lines
    assert [line for line in lines if line in {"APIs", "Applications", "Users", "Organizations"}] == [
        "APIs",
        "Applications",
        "Users",
        "Organizations",
    ]


def test_of_what_there_is_none_nothing_is_said() -> None:
    assert "Organizations" not in told_in_this_process(Serving(port=0))
