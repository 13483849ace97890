"""The demo, played for real: a tenant and an API on loopback, and processes that stay until they are told to stop."""

from __future__ import annotations

import io
import json
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from jwtgate.cli.cases import CASES, Case, Expected, nothing
from jwtgate.cli.demo import run
from tests.cli.command import COMMAND, TIMEOUT, environment, jwtgate

# What each request must be answered, written down once more: status, error code, what to ask for, name of the refusal.
ANSWERS = {
    "no token, where none is needed": (200, None, None, None),
    "no token": (401, None, None, "MissingCredentials"),
    "a good token: RS256, Auth0 profile": (200, None, None, None),
    "a good token: RFC 9068 profile": (200, None, None, None),
    "a good token: PS256": (200, None, None, None),
    "a good token: HS256": (200, None, None, None),
    "a good token: the tenant's next key": (200, None, None, None),
    "the token of the API without the slash": (200, None, None, None),
    "the same token, at the API with the slash": (401, "invalid_token", None, "WrongAudience"),
    "expired an hour ago": (401, "invalid_token", None, "TokenExpired"),
    "of another issuer": (401, "invalid_token", None, "UntrustedIssuer"),
    "an ID token": (401, "invalid_token", None, "WrongTokenKind"),
    "an opaque token": (401, "invalid_token", None, "OpaqueToken"),
    "RS256, at a PS256 API": (401, "invalid_token", None, "HeaderRejected"),
    "Auth0 profile, at an RFC 9068 API": (401, "invalid_token", None, "HeaderRejected"),
    "payload altered: one more permission": (401, "invalid_token", None, "BadSignature"),
    "alg: none, without a signature": (401, "invalid_token", None, "HeaderRejected"),
    "alg: none, with the old signature": (401, "invalid_token", None, "HeaderRejected"),
    "HS256, signed with the public key": (401, "invalid_token", None, "HeaderRejected"),
    "signed with an unknown key": (401, "invalid_token", None, "UnknownKey"),
    "two tokens in one request": (400, "invalid_request", None, "InvalidRequest"),
    "a good token with no permissions": (403, "insufficient_scope", "read:messages", "InsufficientScope"),
    "a machine that may only read, reads": (200, None, None, None),
    "the same machine writes": (403, "insufficient_scope", "write:messages", "InsufficientScope"),
    "a machine that may do both, writes": (200, None, None, None),
    "RBAC on: a user whose role grants it": (200, None, None, None),
    "RBAC on: the scope, and no role for it": (403, "insufficient_scope", "read:messages", "InsufficientScope"),
    "RBAC on: a token from before it was": (403, "insufficient_scope", "read:messages", "InsufficientScope"),
    "RBAC off: the scope holds it": (200, None, None, None),
    "RBAC off: the scope does not hold it": (403, "insufficient_scope", "write:messages", "InsufficientScope"),
    "DPoP: a token with a proof of its key": (200, None, None, None),
    "DPoP: the same proof once more": (401, "invalid_dpop_proof", None, "ProofReplayed"),
    "DPoP: a proof for another URL": (401, "invalid_dpop_proof", None, "InvalidProof"),
    "DPoP: a proof of another key": (401, "invalid_token", None, "BindingRejected"),
    "DPoP: no proof": (401, "invalid_dpop_proof", None, "InvalidProof"),
    "DPoP: as a bearer token": (401, "invalid_token", None, "BindingRejected"),
    "mutual TLS: with the certificate": (200, None, None, None),
    "mutual TLS: with another": (401, "invalid_token", None, "CertificateRejected"),
    "mutual TLS: with none": (401, "invalid_token", None, "CertificateRejected"),
    "encrypted for this API": (200, None, None, None),
    "encrypted for another key": (401, "invalid_token", None, "UndecryptableToken"),
}
CALLERS = {
    "no token, where none is needed": "open to everybody",
    "a good token: RFC 9068 profile": "machine 'Backend' may read:messages, write:messages",
    "a machine that may only read, reads": "machine 'Reader' may read:messages",
    "RBAC on: a user whose role grants it": "user of 'Backend' may read:messages",
}
WORTH_TRYING = 1 + sum(case.worth_trying for case in CASES)  # and the request for a token


def parameter(challenge: str | None, name: str) -> str | None:
    found = re.search(rf'\b{name}="([^"]*)"', challenge or "")
    return None if found is None else found[1]


def in_process(*cases: Case, **options: Any) -> tuple[int, str]:
    """Exit status and output."""
    console = Console(file=io.StringIO(), width=200)
    status = run(console, cases=cases, **options)
    return status, console.file.getvalue()  # type: ignore[attr-defined]


# --- what it says -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def played() -> tuple[dict[str, Any], subprocess.CompletedProcess[str], float]:
    """`jwtgate demo --json`: its document, the process, and the seconds that it took."""
    began = time.monotonic()
    done = jwtgate("demo", "--json")
    return json.loads(done.stdout), done, time.monotonic() - began


def test_it_ends_well_and_says_nothing_else(played: Any) -> None:
    document, done, seconds = played
    assert (done.returncode, done.stderr) == (0, "")
    assert (document["requests"], document["answered_as_expected"], document["as_expected"]) == (41, 41, True)
    assert seconds < 15


def test_every_request_is_answered_as_the_standards_say(played: Any) -> None:
    document, _, _ = played
    told = {
        row["sends"]: (
            row["answer"]["status"],
            parameter(row["answer"]["challenge"], "error"),
            parameter(row["answer"]["challenge"], "scope"),
            row["answer"]["refusal"],
        )
        for row in document["rows"]
    }
    assert told == ANSWERS


def test_every_refusal_has_a_challenge_and_a_reason_and_no_welcome_has_one(played: Any) -> None:
    document, _, _ = played
    for row in document["rows"]:
        answer = row["answer"]
        challenge = answer["challenge"] or ""
        assert challenge.startswith('Bearer realm="api"') == (answer["status"] != 200)
        assert answer["why"]


def test_the_error_stands_on_the_scheme_that_was_used(played: Any) -> None:
    document, _, _ = played
    challenges = {row["sends"]: row["answer"]["challenge"] for row in document["rows"]}
    under_dpop, under_bearer = challenges["DPoP: no proof"], challenges["DPoP: as a bearer token"]
    assert re.findall(r"(Bearer|DPoP) realm|error=", under_dpop) == ["Bearer", "DPoP", ""]
    assert re.findall(r"(Bearer|DPoP) realm|error=", under_bearer) == ["Bearer", "", "DPoP"]


def test_several_workers_that_the_environment_announces_leave_no_file(tmp_path: Path) -> None:
    done = jwtgate("demo", "--json", env={"WEB_CONCURRENCY": "4", "TMPDIR": str(tmp_path)})
    assert (done.returncode, list(tmp_path.iterdir())) == (0, [])


def test_who_was_let_in_is_named(played: Any) -> None:
    document, _, _ = played
    why = {row["sends"]: row["answer"]["why"] for row in document["rows"]}
    assert {sends: why[sends] for sends in CALLERS} == CALLERS


def test_the_apis_stand_as_they_are_registered(played: Any) -> None:
    document, _, _ = played
    assert {api["path"]: api["identifier"] for api in document["apis"]} == {
        "/auth0/messages": "https://api.example/",
        "/no-slash/messages": "https://api.example",
        "/rbac-off/messages": "https://rbac-off.example/",
        "/rfc9068/messages": "https://rfc9068.example/",
        "/ps256/messages": "https://ps256.example/",
        "/hs256/messages": "https://hs256.example/",
        "/dpop/messages": "https://dpop.example/",
        "/mtls/messages": "https://mtls.example/",
        "/encrypted/messages": "https://encrypted.example/",
    }
    settings = {api["path"].split("/")[1]: api["settings"] for api in document["apis"]}
    assert [settings[name].rpartition(", ")[2] for name in ("dpop", "mtls", "encrypted")] == [
        "DPoP allowed",
        "mutual TLS required",
        "encrypted with RSA-OAEP-256",
    ]


def test_no_token_and_nothing_to_try_is_printed_when_nothing_stays(played: Any) -> None:
    document, done, _ = played
    assert "try" not in document
    assert "eyJ" not in done.stdout


def test_in_a_pipe_each_request_is_one_whole_line() -> None:
    done = jwtgate("demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert done.stdout.isascii()
    lines = [re.split(r"  +", line) for line in done.stdout.splitlines()]
    start = lines.index(["request", "what is sent", "status", "challenge", "why", "verdict"])
    rows = lines[start + 1 : start + 1 + len(CASES)]
    assert [(sends, int(status)) for _, sends, status, *_ in rows] == [
        (sends, status) for sends, (status, *_) in ANSWERS.items()
    ]
    assert [row[3] for row in rows] == [case.expected.challenge or "-" for case in CASES]
    assert {row[5] for row in rows} == {"as expected"}


def test_a_proxy_in_the_environment_is_not_asked() -> None:
    nobody = "http://127.0.0.1:1"
    done = jwtgate("demo", env={"HTTP_PROXY": nobody, "http_proxy": nobody, "ALL_PROXY": nobody, "NO_PROXY": ""})
    assert done.returncode == 0


# --- when something is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        Expected(401, 'Bearer realm="api"', "MissingCredentials"),
        Expected(200, 'Bearer realm="api"'),
        Expected(200, None, "MissingCredentials"),
    ],
)
def test_one_wrong_answer_is_told_and_ends_with_1(wrong: Expected) -> None:
    case = replace(CASES[0], expected=wrong)
    status, output = in_process(case, CASES[1], as_json=True)
    document = json.loads(output)
    assert status == 1
    assert [row["as_expected"] for row in document["rows"]] == [False, True]
    assert (document["as_expected"], document["answered_as_expected"]) == (False, 1)


def test_no_refusal_is_counted_for_the_next_request() -> None:
    refused, open_to_all = CASES[1], CASES[0]
    assert in_process(refused, open_to_all, refused)[0] == 0


def test_what_fails_without_being_refused_says_how() -> None:
    case = Case("a path that is not there", "GET /nowhere", nothing, Expected(200))
    status, output = in_process(case, as_json=True)
    assert status == 1
    assert json.loads(output)["rows"][0]["answer"] == {
        "status": 404,
        "challenge": None,
        "refusal": None,
        "why": "Not Found",
    }


# --- when it stays ------------------------------------------------------------------------------------------


@contextmanager
def staying(*arguments: str, shell: str = "") -> Iterator[subprocess.Popen[str]]:
    """`jwtgate demo --serve`. shell: what a shell does before it becomes the command."""
    command = [*COMMAND, "demo", "--serve", *arguments]
    if shell:
        command = ["sh", "-c", f"{shell}; exec {shlex.join(command)}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(), stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def things_to_try(process: subprocess.Popen[str]) -> list[tuple[int, str]]:
    """Status and curl line of each, as they are printed."""
    found: list[tuple[int, str]] = []
    status = 0
    for line in process.stdout or ():
        if told := re.match(r"# (\d{3}): ", line):
            status = int(told[1])
        elif line.startswith("curl "):
            found.append((status, line))
        if len(found) == WORTH_TRYING:
            return found
    raise AssertionError(found)


def ask(curl: str) -> httpx.Response:
    """What curl would do with this line."""
    name, *words = shlex.split(curl)
    assert name == "curl"
    method, url, body = None, "", None
    headers: list[tuple[str, str]] = []
    while words:
        word = words.pop(0)
        if word == "-H":
            field, _, value = words.pop(0).partition(": ")
            headers.append((field, value))
        elif word == "-X":
            method = words.pop(0)
        elif word == "-d":
            body = words.pop(0)
        elif word != "-i":
            url = word
    method = method or ("GET" if body is None else "POST")
    return httpx.request(method, url, headers=headers, content=body, trust_env=False)


@pytest.mark.parametrize(
    ("number", "shell"),
    [
        pytest.param(signal.SIGINT, "", id="Ctrl-C"),
        pytest.param(signal.SIGINT, "trap '' INT", id="SIGINT, which a script had switched off"),
        pytest.param(signal.SIGTERM, "", id="SIGTERM"),
    ],
)
def test_it_stays_answers_its_own_curl_lines_and_stops_when_told(number: signal.Signals, shell: str) -> None:
    with staying(shell=shell) as process:
        tries = things_to_try(process)
        answers = [(status, ask(curl)) for status, curl in tries]
        assert [answer.status_code for _, answer in answers] == [status for status, _ in answers]

        process.send_signal(number)
        output, log = process.communicate(timeout=TIMEOUT)

    assert (process.returncode, output.strip()) == (0, "")
    loggers = [line.partition(": ")[0] for line in log.splitlines()]
    assert loggers == ["jwtgate.tenant.events", "jwtgate.tenant", *["jwtgate"] * 5]
    for _, answer in answers:
        with pytest.raises(httpx.ConnectError):
            httpx.get(answer.url, trust_env=False)


def test_the_token_that_a_curl_line_gets_is_good() -> None:
    with staying() as process:
        tries = [curl for _, curl in things_to_try(process)]
        issued = ask(tries[0]).json()
        (good,) = [curl for curl in tries if "Bearer" in curl and "POST" not in curl and ask(curl).is_success]
        theirs = shlex.split(good)[-1]
        mine = f"Authorization: {issued['token_type']} {issued['access_token']}"
        assert ask(good.replace(theirs, mine)).json()["may"] == ["read:messages"]


def test_one_document_says_what_to_try_and_both_stay() -> None:
    with staying("--json") as process:
        text = ""
        for line in process.stdout or ():
            text += line
            if line == "}\n":
                break
        tries = json.loads(text)["try"]
        assert [ask(one["curl"]).status_code for one in tries] == [one["status"] for one in tries]
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == 0


def test_a_wrong_answer_is_not_forgotten_by_staying() -> None:
    """In this process, so that the expectation can be a wrong one; the reader of the output tells it to stop."""

    class Reader(io.StringIO):
        def write(self, text: str) -> int:
            if "curl" in text:
                signal.raise_signal(signal.SIGINT)
            return super().write(text)

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    case = replace(CASES[0], expected=Expected(418))
    assert run(Console(file=Reader(), width=200), cases=[case], serve=True) == 1
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
