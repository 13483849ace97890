"""What the table of a bad day says holds, and each fault of an endpoint comes to what it must."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from jwtgate import ApiSettings, Issuer, SettingsError
from jwtgate.core.events import KeyEvent, PlainHttp
from jwtgate.core.key_state import BACK_OFF, COOL_DOWN, SOFT_AGE
from tests.fault_server import DISCOVERY, ELSEWHERE, FAULTS, JWKS, FaultServer
from tests.loopback import Clock, Drive, Origin, both, sends, threads_ended
from tests.making import API, SECRET, Issuing, compact, signing_key
from tests.outage import DRIVES, QUICK, ROOT, Endured, Figure, answered, endure_all, line, of_nobody, scenes, signed_by

OLD, NEW, THIRD = (signing_key("RSA", number) for number in (1, 2, 3))


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    threads_ended()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert set(threading.enumerate()) <= before


# ----------------------------------------------------------------------------------------------------------- the table


@pytest.mark.parametrize("name", [name for name in scenes(QUICK) if name != "faults"])  # those come one by one below
def test_every_figure_holds(name: str) -> None:
    figures = list(scenes(QUICK)[name]())
    assert figures
    assert [line(figure) for figure in figures if not figure.holds] == []


@pytest.mark.parametrize(
    ("measured", "relation", "limit", "holds"),
    [
        (1, "=", 1, True),
        (2, "=", 1, False),
        (2, "≤", 2, True),
        (2.1, "≤", 2, False),
        (1, "≥", 2, False),
        (2, "≥", 2, True),
    ],
)
def test_a_figure_knows_its_limit(measured: float, relation: Any, limit: float, holds: bool) -> None:
    figure = Figure("scene", "what", measured, relation, limit)
    assert figure.holds is holds
    assert line(figure).endswith("NOT HELD") is not holds


# -------------------------------------------------------------------------------------------------- one fault at a time


@pytest.fixture(scope="module")
def endured() -> dict[tuple[str, str, str], Endured]:
    """All of them at once, as some last as long as a fetch may."""
    return {(one.fault.name, one.path, one.name): one for one in endure_all()}


CASES = [
    pytest.param((fault.name, path, name), id=f"{fault.name}-{'metadata' if path == DISCOVERY else 'keys'}-{name}")
    for fault in FAULTS.values()
    if fault.serves
    for path in fault.documents
    for name in DRIVES
]


@pytest.mark.parametrize("case", CASES)
def test_no_fault_harms_the_keys_there_are(
    endured: dict[tuple[str, str, str], Endured], case: tuple[str, str, str]
) -> None:
    one = endured[case]
    accepted = one.fault.trouble is None
    assert (one.cold, one.cold_trouble) == ("ok" if accepted else "503 KeysUnavailable", one.fault.told(one.path))
    assert (one.recovered, set(one.warm), one.asked) == ("ok", {"ok"}, 1)
    assert one.kids == ((OLD.kid,), (OLD.kid,))


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(OLD) as server:
        yield server


def warm(server: FaultServer, drive: Drive, clock: Clock) -> Any:
    verifier = drive.make(server.settings(), clock=clock)
    assert answered(drive, verifier, server.issuing.token()) == "ok"
    return verifier


def refreshed(drive: Drive, verifier: Any, clock: Clock, token: str) -> None:
    """The next request finds the set too old, and does not wait for another."""
    clock.at += SOFT_AGE
    answered(drive, verifier, token)
    threads_ended()


@both
def test_a_redirect_is_not_followed(server: FaultServer, clock: Clock, drive: Drive) -> None:
    verifier = warm(server, drive, clock)
    server.set_mode("redirect")
    refreshed(drive, verifier, clock, server.issuing.token())
    assert (server.fetches, server.counted[ELSEWHERE]) == (2, 0)


@both
def test_two_keys_under_one_kid_refuse_that_kid(server: FaultServer, clock: Clock, drive: Drive) -> None:
    verifier = warm(server, drive, clock)
    server.published = [OLD, NEW]
    server.set_mode("duplicate kid", JWKS)
    refreshed(drive, verifier, clock, server.issuing.token())
    assert answered(drive, verifier, server.issuing.token()) == "401 AmbiguousKey"
    assert answered(drive, verifier, signed_by(server, NEW)) == "ok"
    assert server.fetches == 2


@both
@pytest.mark.parametrize("mode", ["private key inside", "symmetric key inside"])
def test_a_key_that_is_no_secret_any_more_verifies_nothing(
    server: FaultServer, clock: Clock, drive: Drive, mode: str
) -> None:
    server.set_mode(mode, JWKS)
    verifier = warm(server, drive, clock)
    (issuer,) = verifier.status().issuers
    assert (issuer.kids, len(issuer.skipped)) == ((OLD.kid,), 1)
    claims = server.issuing.claims()
    shared = compact({"alg": "HS256", "typ": "JWT", "kid": "shared"}, claims, SECRET)
    assert answered(drive, verifier, signed_by(server, signing_key("RSA", 9))) == "401 UnknownKey"
    assert answered(drive, verifier, shared).startswith("401")


@both
def test_a_set_that_shrinks_takes_its_keys_away_one_by_one(server: FaultServer, clock: Clock, drive: Drive) -> None:
    server.published = [OLD, NEW, THIRD]
    verifier = warm(server, drive, clock)
    server.set_mode("shrinking", JWKS)
    tokens = [signed_by(server, key) for key in server.published]
    answers = []
    for _ in range(4):
        answers.append([answered(drive, verifier, token) for token in tokens])
        refreshed(drive, verifier, clock, tokens[0])
    no = "401 UnknownKey"
    assert answers == [["ok", "ok", "ok"], ["ok", "ok", no], ["ok", no, no], ["ok", no, no]]


@both
def test_keys_that_rotate_with_every_answer_are_followed(server: FaultServer, clock: Clock, drive: Drive) -> None:
    verifier = warm(server, drive, clock)
    server.set_mode("rotating", JWKS)
    kids = []
    for _ in range(4):
        refreshed(drive, verifier, clock, server.issuing.token())
        kids.append(verifier.status().issuers[0].kids)
    assert kids == [("RSA-2", "RSA-3"), ("RSA-3", "RSA-4"), ("RSA-4", "RSA-1"), ("RSA-1", "RSA-2")]


@both
def test_an_endpoint_that_flaps_costs_one_attempt_for_each_back_off(
    server: FaultServer, clock: Clock, drive: Drive
) -> None:
    verifier, good = warm(server, drive, clock), server.issuing.token()
    server.set_mode("flapping", JWKS)
    failures = []
    for _ in range(6):
        clock.at += SOFT_AGE if not failures or failures[-1] == 0 else BACK_OFF[0]
        assert answered(drive, verifier, good) == "ok"
        threads_ended()
        failures.append(verifier.status().issuers[0].failures)
    assert failures == [1, 0, 1, 0, 1, 0]


@both
def test_an_unknown_kid_is_the_clients_fault_only_while_the_endpoint_answers(
    server: FaultServer, clock: Clock, drive: Drive
) -> None:
    verifier, nobody = warm(server, drive, clock), of_nobody(server)
    assert answered(drive, verifier, nobody(1)) == "401 UnknownKey"
    server.set_mode("500")
    clock.at += COOL_DOWN
    assert [answered(drive, verifier, nobody(n)) for n in (2, 3, 4)] == ["503 KeysUnavailable"] * 3
    assert server.fetches == 3
    assert answered(drive, verifier, server.issuing.token()) == "ok"
    server.set_mode("ok")
    clock.at += COOL_DOWN
    assert answered(drive, verifier, nobody(5)) == "401 UnknownKey"


# ------------------------------------------------------------------------------------ plain http, where it is asked for

INSIDE = "http://identity.internal/realms/shop"  # a name that only a container network knows


@both
@pytest.mark.parametrize("moved", [False, True], ids=["where it says", "elsewhere"])
def test_an_issuer_without_tls_works_where_it_is_asked_for_and_is_told_at_the_start(
    origin: Origin, drive: Drive, clock: Clock, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    # As a proxy the server is asked for whole addresses: so it can be every host of that network.
    monkeypatch.setenv("http_proxy", origin.issuing.url)
    monkeypatch.setenv("no_proxy", "")
    inside, metadata_url = Issuing(url=INSIDE), "http://metadata.internal/shop" if moved else None
    metadata = {"issuer": INSIDE, "jwks_uri": "http://keys.internal/jwks"}
    at = metadata_url or f"{INSIDE}/.well-known/openid-configuration"
    origin.answers = {at: sends(json.dumps(metadata).encode()), metadata["jwks_uri"]: sends(origin.key_set())}
    told: list[KeyEvent] = []
    issuer = Issuer(INSIDE, metadata_url=metadata_url, allow_http=True)
    verifier = drive.make(ApiSettings(identifier=API, issuers=[issuer]), clock=clock, on_event=told.append)
    assert told == [PlainHttp(INSIDE, url) for url in (INSIDE, metadata_url) if url]
    assert answered(drive, verifier, inside.token()) == "ok"
    assert origin.asked == {at: 1, metadata["jwks_uri"]: 1}


@pytest.mark.parametrize(
    ("url", "options"),
    [
        (INSIDE, {}),
        ("https://identity.example/", {"metadata_url": f"{INSIDE}/metadata"}),
        ("https://identity.example/", {"jwks_uri": f"{INSIDE}/jwks"}),
    ],
)
def test_an_issuer_without_tls_is_refused_where_it_is_not_asked_for(url: str, options: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        Issuer(url, **options)  # type: ignore[arg-type]


@both
def test_metadata_cannot_lead_to_an_address_without_tls(
    origin: Origin, drive: Drive, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", origin.issuing.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    metadata = origin.issuing.metadata(jwks_uri="http://keys.internal/jwks")
    origin.answers = {DISCOVERY: sends(json.dumps(metadata).encode()), metadata["jwks_uri"]: sends(origin.key_set())}
    verifier = drive.make(origin.settings(), clock=clock)
    assert answered(drive, verifier, origin.issuing.token()) == "503 KeysUnavailable"
    assert origin.asked == {DISCOVERY: 1}


# --------------------------------------------------------------------------------------------------------- one command


def test_the_command_prints_each_figure_and_ends_with_what_it_found() -> None:
    command = [sys.executable, "-m", "tests.outage", "withdrawn"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = [row.split("  ")[0] for row in done.stdout.splitlines() if row and not row.startswith(" ")]
    assert found == ["a withdrawn key, threads", "a withdrawn key, tasks", "All held."]
