"""Every input that is kept is tried again, and every opinion can be a contrary one. Needs no atheris."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jwtgate import AccessToken
from jwtgate.core.challenge import answer
from jwtgate.core.dpop import Proof
from jwtgate.core.errors import MalformedToken
from jwtgate.core.jwk import read_jwks
from tests.fuzz import opinions
from tests.fuzz.changes import CHANGES, LONGEST, change
from tests.fuzz.opinions import ISSUING, SHARED, Finding
from tests.fuzz.sessions import SEEDS, seeds
from tests.fuzz.targets import (
    BOUND,
    METHOD,
    SETTINGS,
    TARGET,
    TARGETS,
    check_explained,
    check_refusal,
    in_time,
    verified,
    written_token,
)
from tests.making import ABSENT, NOW, signing_key

EVERY = [(target, seed) for target in sorted(TARGETS) for seed in seeds(target)]
each_seed = pytest.mark.parametrize(
    ("target", "seed"), EVERY, ids=lambda part: part if isinstance(part, str) else part.name
)


def expected(seed: Path) -> str:
    return seed.name.partition(".")[0]


@each_seed
def test_a_seed_comes_out_as_its_name_says(target: str, seed: Path) -> None:
    assert TARGETS[target](seed.read_bytes()) == expected(seed)


@each_seed
def test_changed_seeds_bring_nothing_unforeseen(target: str, seed: Path) -> None:
    data, random = seed.read_bytes(), Random(0)
    for _ in range(20):
        TARGETS[target](change(data, random))


@pytest.mark.parametrize("seed", seeds("token"), ids=lambda seed: seed.name)
def test_a_token_is_explained_as_it_is_verified(seed: Path) -> None:
    raw = written_token(seed.read_bytes())
    check_explained(raw, verified(raw))


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_some_seeds_are_accepted_and_some_refused(target: str) -> None:
    outcomes = {expected(seed) for seed in seeds(target)}
    assert "ok" in outcomes
    assert len(outcomes) > 1


def test_there_are_seeds_for_every_target_and_they_are_small() -> None:
    assert {path.name for path in SEEDS.iterdir()} == TARGETS.keys()
    assert all(seed.stat().st_size <= LONGEST for _, seed in EVERY)


@pytest.mark.parametrize("one", CHANGES, ids=lambda one: one.__name__)
def test_a_change_can_be_made_to_anything(one: Callable[[list[bytes], Random], list[bytes]]) -> None:
    for pieces in ([b""], [b"{"], [b"{", b'"a"', b":", b"1", b"}"]):
        assert any(one(pieces, Random(seed)) != pieces for seed in range(50)) or pieces in ([b""], [b"{"])


def test_what_is_changed_again_and_again_stays_small() -> None:
    """A fuzzer that fills the memory by itself stops with a finding that is none."""
    tracemalloc.start()
    try:
        for seed in range(200):
            assert len(change(b"x" * LONGEST, Random(seed))) <= LONGEST
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


# --- what would be a finding --------------------------------------------------------------------------------


def accepted() -> AccessToken:
    token = verified(ISSUING.token(algorithm="EdDSA"))
    assert isinstance(token, AccessToken)
    return token


@pytest.mark.parametrize(
    "raw",
    [
        ISSUING.token(algorithm="EdDSA", sub="somebody-else"),
        ISSUING.token(algorithm="EdDSA", exp=NOW - 30),
        ISSUING.token(algorithm="EdDSA", exp=True),
        ISSUING.token(algorithm="EdDSA", iat=NOW + 31),
        ISSUING.token(algorithm="EdDSA", nbf=NOW + 31),
        ISSUING.token(algorithm="EdDSA", aud="https://api.test"),
        ISSUING.token(algorithm="EdDSA", iss="https://secret.test/"),
        ISSUING.token(algorithm="EdDSA", nonce="n"),
        ISSUING.token(algorithm="EdDSA", cnf={"jkt": "x"}),
        ISSUING.token(algorithm="EdDSA", header={"typ": ABSENT}),
        ISSUING.token(algorithm="EdDSA", header={"typ": "at+jwt"}),
        ISSUING.token(algorithm="EdDSA", header={"kid": "another"}),
        ISSUING.token(algorithm="EdDSA", header={"b64": False}),
        ISSUING.token(algorithm="HS256"),
        SHARED.token(algorithm="EdDSA"),
        ISSUING.token(algorithm="EdDSA")[:-4] + "AAAA",
    ],
)
def test_an_acceptance_that_is_wrong_is_a_finding(raw: str) -> None:
    with pytest.raises(Finding):
        opinions.token(raw, accepted())


@pytest.mark.parametrize(
    "changes",
    [{"n": "AQAB"}, {"e": "Aw"}, {"kid": "another"}, {"d": "AQAB"}, {"kty": "EC"}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_key_that_the_document_does_not_hold_is_a_finding(changes: dict[str, Any]) -> None:
    good = signing_key("RSA").jwk()
    keys = read_jwks({"keys": [good]}, ["RS256"])
    opinions.key_set(json.dumps({"keys": [good]}).encode(), keys, ("RS256",), alg_binds=True)
    with pytest.raises(Finding):
        opinions.key_set(json.dumps({"keys": [good | changes]}).encode(), keys, ("RS256",), alg_binds=True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"htm":"POST"', b'"htm":"GET"'),
        (b"messages", b"message"),
        (b'"jti":"id-1"', b'"jti":"id-2"'),
        (b"1800000000", b"1799999910"),
        (b'"ath":"P', b'"ath":"Q'),
        (b"dpop+jwt", b"JWT"),
        (b"\nES256", b"\nEdDSA"),
    ],
)
def test_a_proof_that_is_wrong_is_a_finding(before: bytes, after: bytes) -> None:
    key = signing_key("P-256").jwk(use=ABSENT, kid=ABSENT)
    seed = (SEEDS / "proof" / "ok.es256").read_bytes()
    data = seed.replace(b"@P-256", json.dumps(key).encode())
    jkt = opinions._thumbprint(key)
    made_for = {"method": METHOD, "url": TARGET, "token": BOUND}
    opinions.proof([written_token(data)], Proof(jkt, "id-1", int(NOW)), **made_for)
    with pytest.raises(Finding):
        opinions.proof([written_token(data.replace(before, after))], Proof(jkt, "id-1", int(NOW)), **made_for)
    with pytest.raises(Finding):
        opinions.proof([written_token(data)], Proof("another", "id-1", int(NOW)), **made_for)


@pytest.mark.parametrize(
    "seed", [seed for seed in seeds("htu") if expected(seed) == "other"], ids=lambda seed: seed.name
)
def test_two_addresses_that_are_taken_for_one_are_a_finding(seed: Path) -> None:
    with pytest.raises(Finding):
        opinions.same_address(*seed.read_text(encoding="utf-8").split("\n"))


@pytest.mark.parametrize("seed", [seed for seed in seeds("htu") if expected(seed) == "ok"], ids=lambda seed: seed.name)
def test_two_spellings_of_one_address_are_none(seed: Path) -> None:
    opinions.same_address(*seed.read_text(encoding="utf-8").split("\n"))


@pytest.mark.parametrize("header", ["client-cert", "x-forwarded-client-cert", "x-client-cert"])
def test_another_certificate_is_a_finding(header: str) -> None:
    words = opinions.certificate_words()
    value = {"client-cert": f":{words[b'@base64']}:", "x-forwarded-client-cert": f"Hash={words[b'@hash']}"}
    with pytest.raises(Finding):
        opinions.certificate(header, [value.get(header, words[b"@pem"])], "A" * 43)


@pytest.mark.parametrize("target", ["gopher://api.test/", "https://evil.test/", "https://a@api.test/"])
def test_an_address_that_nobody_named_is_a_finding(target: str) -> None:
    with pytest.raises(Finding):
        opinions.forwarded(target, "https://api.test/", [("Forwarded", "host=inner.test")])


def test_a_refusal_that_holds_the_token_is_a_finding() -> None:
    raw = ISSUING.token(algorithm="EdDSA")
    check_refusal(answer(MalformedToken("token", "nothing of it"), SETTINGS), raw)
    with pytest.raises(Finding):
        check_refusal(answer(MalformedToken("token", f"all of it: {raw}"), SETTINGS), raw)
    with pytest.raises(Finding):
        check_refusal(answer(MalformedToken("token", "two\nlines"), SETTINGS), raw)


def test_what_takes_too_long_is_a_finding() -> None:
    assert in_time(lambda: 1) == 1
    with pytest.raises(Finding):
        in_time(lambda: sum(range(10_000_000)))
