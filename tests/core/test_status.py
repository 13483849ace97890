"""What a verifier knows of its keys: one value for each issuer, whatever its keys come from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jwtgate import ApiSettings, Issuer
from jwtgate.core.effects import Document, FetchFailed, Moment
from jwtgate.core.key_state import HARD_AGE, SOFT_AGE
from jwtgate.core.keys import IssuerKeys, Keyring, keys_of
from jwtgate.core.snapshot import AHEAD, Kept
from jwtgate.core.status import IssuerStatus, Source
from tests.making import API, ISSUER, NOW, SECRET, Issuing, drive, signing_key

START = 5_000.0
ISSUING = Issuing()
JWKS = ISSUING.jwks(ISSUING.key().jwk(), {"kty": "odd"})
MOMENT = Moment(NOW, START)


def ring(**issuer: Any) -> Keyring:
    return keys_of(ApiSettings(identifier=API, issuers=[Issuer(ISSUER, **issuer)]))


def load(keys: IssuerKeys, documents: Any, at: float = START) -> IssuerKeys:
    drive(keys.load(keys.begin(), Moment(NOW, at)), Moment(NOW, at), documents)
    return keys


def status(keys: IssuerKeys, at: float = START) -> IssuerStatus:
    return keys.status(at)


FROM: list[tuple[Source, dict[str, Any], dict[str, Any], str | None]] = [
    ("metadata", {}, ISSUING.documents(*JWKS["keys"]), ISSUING.jwks_uri),
    (
        "jwks_uri",
        {"jwks_uri": "https://k.test/"},
        {"https://k.test/": json.dumps(JWKS).encode()},
        "https://k.test/",
    ),
    ("jwks_file", {"jwks_file": "keys.json"}, {"keys.json": json.dumps(JWKS).encode()}, None),
]


@pytest.mark.parametrize(("source", "issuer", "documents", "address"), FROM, ids=[one[0] for one in FROM])
def test_keys_that_are_loaded(source: Source, issuer: Any, documents: Any, address: str | None) -> None:
    keys = ring(**issuer)[ISSUER]
    assert status(keys) == IssuerStatus(
        issuer=ISSUER,
        source=source,
        jwks_uri=None if source == "metadata" else address,
        ready=False,
        restored=False,
        kids=(),
        skipped=(),
        generation=0,
        age=None,
        next_load_in=0.0,
        serves_for=None,
        failures=0,
        trouble=None,
        last_error=None,
    )
    found = status(load(keys, documents), START + 60)
    assert found == IssuerStatus(
        issuer=ISSUER,
        source=source,
        jwks_uri=address,
        ready=True,
        restored=False,
        kids=("RSA-1",),
        skipped=found.skipped,
        generation=1,
        age=60.0,
        next_load_in=SOFT_AGE - 60,
        serves_for=HARD_AGE - 60,
        failures=0,
        trouble=None,
        last_error=None,
    )
    assert len(found.skipped) == 1


def test_keys_that_cannot_be_refreshed_and_then_serve_nobody() -> None:
    keys = load(ring(jwks_uri=ISSUING.jwks_uri)[ISSUER], ISSUING.documents(ISSUING.key().jwk()))
    load(keys, {ISSUING.jwks_uri: FetchFailed("status 500", "status")}, START + SOFT_AGE)
    found = status(keys, START + SOFT_AGE)
    assert (found.ready, found.failures, found.trouble, found.last_error) == (True, 1, "status", "status 500")
    assert found.next_load_in == 1.0
    late = status(keys, START + HARD_AGE)
    assert (late.ready, late.kids, late.age, late.serves_for, late.next_load_in) == (False, (), HARD_AGE, 0.0, 0.0)


def test_keys_in_the_settings_have_no_age() -> None:
    found = status(ring(jwks=JWKS)[ISSUER])
    assert (found.source, found.ready, found.kids, len(found.skipped)) == ("jwks", True, ("RSA-1",), 1)
    assert (found.age, found.next_load_in, found.serves_for, found.generation) == (None, None, None, 0)


def test_a_secret_shows_nothing() -> None:
    settings = ApiSettings(
        identifier=API, issuers=[Issuer(ISSUER)], signing_algorithms=["HS256"], signing_secret=SECRET
    )
    found = status(keys_of(settings)[ISSUER])
    assert (found.source, found.ready, found.kids, found.jwks_uri) == ("signing_secret", True, (), None)
    assert SECRET.decode() not in repr(found)


# -------------------------------------------------------------------------------------------------- a file that is read


def test_a_file_may_hold_what_was_exported() -> None:
    keys = ring()
    load(keys[ISSUER], ISSUING.documents(ISSUING.key().jwk()))
    exported = {url: kept.jwks for url, kept in keys.export(MOMENT).items()}
    assert exported == {ISSUER: {"keys": [ISSUING.key().jwk()]}}
    file = ring(jwks_file="keys.json")[ISSUER]
    assert status(load(file, {"keys.json": json.dumps(exported[ISSUER]).encode()})).kids == ("RSA-1",)


def test_a_file_is_read_again_and_an_issuers_cache_control_is_not_a_files() -> None:
    keys = load(ring(jwks_file="f")[ISSUER], {"f": Document(json.dumps(JWKS).encode(), "no-store")})
    assert keys.state.refresh_at == START + SOFT_AGE
    load(keys, {"f": json.dumps({"keys": [signing_key(number=2).jwk()]}).encode()}, START + SOFT_AGE)
    assert status(keys, START + SOFT_AGE).kids == ("RSA-2",)
    load(keys, {"f": b""}, START + 2 * SOFT_AGE)
    found = status(keys, START + 2 * SOFT_AGE)
    assert (found.kids, found.trouble) == (("RSA-2",), "key_set")


# -------------------------------------------------------------------------------------------- out of a snapshot, and in


@pytest.mark.parametrize(
    ("age", "restored"),
    [(0.0, True), (HARD_AGE - 1, True), (HARD_AGE, False), (-AHEAD, True), (-AHEAD - 1, False)],
)
def test_a_snapshot_serves_for_a_day_from_when_it_came(age: float, restored: bool) -> None:
    keys = ring()
    assert bool(keys.restore({ISSUER: Kept(JWKS, NOW - age)}, MOMENT)) == restored
    found = status(keys[ISSUER])
    assert (found.ready, found.restored, found.age) == (restored, restored, max(0.0, age) if restored else None)


def test_a_snapshot_does_not_replace_what_the_settings_or_the_issuer_say() -> None:
    other = Kept({"keys": [signing_key(number=2).jwk()]}, NOW)
    given, file, loaded = ring(jwks=JWKS), ring(jwks_file="f"), ring()
    load(loaded[ISSUER], ISSUING.documents(ISSUING.key().jwk()))
    for keys in (given, file, loaded):
        assert keys.restore({ISSUER: other}, MOMENT) == []
    assert given.export(MOMENT) == file.export(MOMENT) == {}


@pytest.mark.parametrize(
    "jwks",
    [{"keys": []}, {"keys": [signing_key("P-256").jwk()]}, {"keys": [7]}],
    ids=["empty", "of another algorithm", "a number"],
)
def test_a_snapshot_is_looked_at_as_strictly_as_an_answer(jwks: Any) -> None:
    keys = ring()
    assert keys.restore({ISSUER: Kept(jwks, NOW)}, MOMENT) == []
    assert not keys.ready(START)


def test_no_private_member_is_exported() -> None:
    jwk = ISSUING.key().jwk(x5c=["AAAA"], note="x", alg="RS256")
    keys = ring()
    private = {**signing_key(number=2).jwk(), "d": "AQAB", "p": "AQAB"}
    load(keys[ISSUER], {**ISSUING.documents(), ISSUING.jwks_uri: json.dumps({"keys": [jwk, private]}).encode()})
    (exported,) = keys.export(MOMENT)[ISSUER].jwks["keys"]
    assert exported.keys() == {"kty", "n", "e", "kid", "alg", "use"}
