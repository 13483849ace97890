"""`jwtgate doctor`: against a tenant, and against issuers on loopback that answer strangely."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from jwtgate import ApiSettings, Issuer
from jwtgate.cli import doctor, probe
from jwtgate.tenant import Tenant
from tests.cli.command import jwtgate
from tests.loopback import DISCOVERY, JWKS, Answer, Origin, drips, raw, resets, sends

NOBODY = "http://127.0.0.1:9/"  # the port of a service that is not there
HS256 = ApiSettings(
    identifier="https://api.example.com/",
    issuers=[Issuer("https://idp.example/")],
    signing_algorithms=["HS256"],
    signing_secret=b"0123456789abcdef0123456789abcdef",
)


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as http:
        yield http


def found(http: httpx.Client, settings: ApiSettings) -> list[tuple[str, str]]:
    """All but what this machine's environment adds."""
    said = doctor.examine(http, settings.issuers[0], settings)
    return [(finding.check, finding.verdict) for finding in said if finding.check not in ("proxy", "latency")]


HEALTHY = [
    ("metadata", "good"),
    ("issuer", "good"),
    ("jwks", "good"),
    ("keys", "good"),
    ("cache", "good"),
    ("clock", "good"),
]


def test_a_good_issuer_is_asked_for_two_documents(origin: Origin, http: httpx.Client) -> None:
    assert found(http, origin.settings()) == HEALTHY
    assert dict(origin.asked) == {DISCOVERY: 1, JWKS: 1}


def test_keys_at_a_known_address_need_no_metadata(origin: Origin, http: httpx.Client) -> None:
    settings = origin.settings(issuers=[Issuer(origin.issuing.url, jwks_uri=origin.issuing.url + JWKS[1:])])
    assert found(http, settings) == HEALTHY[2:]


def test_metadata_may_be_at_the_other_well_known_address(origin: Origin, http: httpx.Client) -> None:
    origin.answers["/.well-known/oauth-authorization-server"] = origin.answers.pop(DISCOVERY)
    assert found(http, origin.settings()) == HEALTHY


METADATA = [
    (sends(b"{}", 404), [("metadata", "fault"), ("clock", "good")]),
    (sends(b"{}", 429), [("metadata", "fault"), ("clock", "good")]),
    (sends(b"", 302, {"Location": "https://elsewhere.example/"}), [("metadata", "fault"), ("clock", "good")]),
    (sends(b"<html>"), [("metadata", "fault"), ("clock", "good")]),
    (sends(b"{}"), [("metadata", "good"), ("issuer", "fault"), ("jwks_uri", "fault"), ("clock", "good")]),
    (resets, [("metadata", "fault")]),
]


@pytest.mark.parametrize(("answer", "findings"), METADATA)
def test_without_metadata_nothing_more_is_asked(
    origin: Origin, http: httpx.Client, answer: Answer, findings: list[tuple[str, str]]
) -> None:
    origin.answers[DISCOVERY] = answer
    assert found(http, origin.settings()) == findings
    assert origin.asked[JWKS] == 0


KEYS = [
    (sends(b"{}", 500), [("jwks", "fault"), ("clock", "good")]),
    (resets, [("jwks", "fault"), ("clock", "good")]),
    (sends(b"{}"), [("jwks", "good"), ("keys", "fault"), ("cache", "good"), ("clock", "good")]),
]


@pytest.mark.parametrize(("answer", "findings"), KEYS)
def test_without_keys_the_rest_is_told_all_the_same(
    origin: Origin, http: httpx.Client, answer: Answer, findings: list[tuple[str, str]]
) -> None:
    origin.answers[JWKS] = answer
    assert found(http, origin.settings()) == [*HEALTHY[:2], *findings]


def test_a_secret_is_shared_and_nothing_is_asked(http: httpx.Client) -> None:
    assert found(http, HS256) == [("keys", "good")]


def test_keys_in_the_settings_are_looked_at(origin: Origin, http: httpx.Client) -> None:
    settings = origin.settings(issuers=[Issuer(origin.issuing.url, jwks=origin.key_set())])
    assert found(http, settings) == [("keys", "good"), ("keys", "note")]
    assert not origin.asked


def test_keys_in_a_file_are_looked_at(origin: Origin, http: httpx.Client, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    settings = origin.settings(issuers=[Issuer(origin.issuing.url, jwks_file=file)])
    assert found(http, settings) == [("keys", "fault")]
    file.write_bytes(origin.key_set())
    assert found(http, settings) == [("keys", "good")]


# One question


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (sends(b"x" * 101), "too_large"),
        (sends(b"{}", headers={"Content-Encoding": "br"}), "encoding"),
        (resets, "request"),
        (raw(b"no HTTP\r\n\r\n"), "request"),
    ],
)
def test_what_a_verifier_would_not_take_is_no_answer(
    origin: Origin, http: httpx.Client, answer: Answer, cause: str
) -> None:
    origin.answers[JWKS] = answer
    with pytest.raises(probe.NoAnswer) as refused:
        probe.ask(http, origin.issuing.url + JWKS[1:], 100)
    assert refused.value.cause == cause


def test_a_compressed_answer_is_read_as_a_verifier_reads_it(origin: Origin, http: httpx.Client) -> None:
    import gzip

    origin.answers[JWKS] = sends(gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"})
    assert probe.ask(http, origin.issuing.url + JWKS[1:], 100).octets == b"{}"


@pytest.mark.parametrize(("url", "cause"), [(NOBODY, "refused"), ("https://no-such-name.invalid/", "name")])
def test_a_closed_port_is_told_from_an_unknown_name(http: httpx.Client, url: str, cause: str) -> None:
    with pytest.raises(probe.NoAnswer) as refused:
        probe.ask(http, url, 100)
    assert refused.value.cause == cause


def test_who_does_not_answer_in_time_is_given_up(
    origin: Origin, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jwtgate.verifier.fetching.TOTAL_SECONDS", 0.3)
    gate = origin.gate()
    with pytest.raises(probe.NoAnswer) as refused:
        probe.ask(http, origin.issuing.url + JWKS[1:], 100)
    assert (refused.value.cause, gate.is_open) == ("deadline", False)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["headers", "body"])
def test_who_always_answers_a_little_is_given_up_too(
    origin: Origin, http: httpx.Client, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    # No timeout of a socket ends it: between two bytes there is never much time.
    monkeypatch.setattr("jwtgate.verifier.fetching.TOTAL_SECONDS", 0.5)
    origin.answers[JWKS] = drips(head, 0.02, 5.0, b"")
    with pytest.raises(probe.NoAnswer) as refused:
        probe.ask(http, origin.issuing.url + JWKS[1:], 10_000)
    assert refused.value.cause == "deadline"


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "https://idp.example/", None),
        ({"https_proxy": "http://p:1"}, "https://idp.example/", "http://p:1"),
        ({"https_proxy": "http://p:1"}, "http://idp.example/", None),
        ({"all_proxy": "http://p:1"}, "https://idp.example/", "http://p:1"),
        ({"https_proxy": "http://p:1", "no_proxy": "idp.example"}, "https://idp.example/", None),
    ],
)
def test_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, proxy: str | None
) -> None:
    for scheme in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_proxy".upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert doctor.proxy_for(url) == proxy


# The command


@pytest.fixture(scope="module")
def tenant() -> Iterator[Tenant]:
    tenant = Tenant()
    tenant.register_api("https://api.example.com/")
    with tenant.serve():
        yield tenant


def verdicts(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    (issuer,) = json.loads(done.stdout)["issuers"]
    return {finding["check"]: finding["verdict"] for finding in issuer["findings"]}


def test_the_local_tenant_is_healthy(tenant: Tenant) -> None:
    done = jwtgate("doctor", "--issuer", tenant.issuer, "--json")
    assert (done.returncode, done.stderr, json.loads(done.stdout)["healthy"]) == (0, "", True)
    assert set(verdicts(done).values()) <= {"good", "note"}


def test_what_is_wrong_is_told_with_what_to_change(tenant: Tenant) -> None:
    done = jwtgate("doctor", "--issuer", tenant.issuer.removesuffix("/"), "--algorithm", "ES256")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert sum(line.startswith("  fault ") for line in lines) == 2
    assert lines[-1].startswith("2 ")
    assert any(f"Issuer({tenant.issuer!r})" in line for line in lines)
    assert any("RS256" in line for line in lines)


def test_the_settings_of_the_environment_are_the_ones_in_question(tenant: Tenant) -> None:
    named = {"API_IDENTIFIER": "https://api.example.com/", "JWTGATE_ISSUERS": tenant.issuer, "AUTH0_DOMAIN": ""}
    done = jwtgate("doctor", "--json", env=named)
    assert (done.returncode, json.loads(done.stdout)["issuers"][0]["issuer"]) == (0, tenant.issuer)


APP = """
from jwtgate import ApiSettings, Issuer
settings = ApiSettings(identifier="a", issuers=[Issuer({issuer!r})], resolver=lambda issuer, request: None)
nothing = None
"""


def in_folder(folder: Path, *arguments: str) -> tuple[int, str]:
    import sys

    from tests.cli.command import COMMAND, environment

    done = subprocess.run(
        [sys.executable, *COMMAND[1:], "doctor", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


def test_an_applications_own_settings_can_be_named(tenant: Tenant, tmp_path: Path) -> None:
    (tmp_path / "my_api.py").write_text(APP.format(issuer=tenant.issuer), encoding="utf-8")
    status, said = in_folder(tmp_path, "--settings", "my_api:settings")
    assert (status, said.splitlines()[0]) == (0, tenant.issuer)
    assert "--issuer" in said  # of the resolver's issuers


@pytest.mark.parametrize("place", ["my_api:nothing", "my_api:else", "no_module_of_that_name:settings", "my_api", ":x"])
def test_settings_that_are_not_there_are_misuse(tenant: Tenant, tmp_path: Path, place: str) -> None:
    (tmp_path / "my_api.py").write_text(APP.format(issuer=tenant.issuer), encoding="utf-8")
    assert in_folder(tmp_path, "--settings", place) == (2, "")


@pytest.mark.parametrize("arguments", [["--issuer", "ftp://x/"], ["--issuer", "https://x/", "--algorithm", "X"]])
def test_what_could_never_be_right_is_misuse(arguments: list[str]) -> None:
    done = jwtgate("doctor", *arguments)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_domain_is_taken_too() -> None:
    settings = doctor.settings_of(
        named=None, issuer=None, domain="t.eu.auth0.com", algorithms=["PS256"], allow_http=False
    )
    assert [issuer.url for issuer in settings.issuers] == ["https://t.eu.auth0.com/"]
    assert settings.signing_algorithms == ("PS256",)
