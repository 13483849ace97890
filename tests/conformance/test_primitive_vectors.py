"""Wycheproof's signatures over octets: each has the published verdict by the key that the flow finds, and in a JWT."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from jwtgate import ApiSettings, InvalidToken, SettingsError, Verifier
from jwtgate.core.errors import BadSignature, MalformedToken
from jwtgate.core.jwk import ASYMMETRIC, VerificationKey, read_jwk, read_keys
from tests.conformance.vectors import (
    ISSUING,
    Clock,
    holds,
    key_for,
    read,
    secret_settings,
    settings_for,
    stated_counts,
    wrapped,
)
from tests.making import base64url, segment, sign


@dataclass(frozen=True, slots=True)
class Case:
    """One signature. group: its place in the file; key: a JWK, PEM text, or the bytes of a secret."""

    number: int
    comment: str
    group: int
    key: dict[str, Any] | bytes | str
    message: bytes
    signature: bytes
    result: str


@dataclass(frozen=True, slots=True)
class File:
    """algorithm: the one in whose tokens such signatures stand; key: of a group."""

    algorithm: str
    key: Callable[[dict[str, Any]], Any]
    cases: int


def _jwk_or_pem(group: dict[str, Any]) -> dict[str, Any] | str:
    return group["publicKeyJwk"] if "publicKeyJwk" in group else group["publicKeyPem"]


FILES: dict[str, File] = {
    "ecdsa_secp256r1_sha256_p1363_test.json": File("ES256", _jwk_or_pem, 262),
    "ecdsa_secp384r1_sha384_p1363_test.json": File("ES384", _jwk_or_pem, 280),
    "ecdsa_secp521r1_sha512_p1363_test.json": File("ES512", _jwk_or_pem, 318),
    "ed25519_test.json": File("EdDSA", _jwk_or_pem, 151),
    "rsa_signature_2048_sha256_test.json": File("RS256", lambda group: group["keyJwk"], 259),
    "rsa_pss_2048_sha256_mgf1_32_test.json": File("PS256", _jwk_or_pem, 108),
    "hmac_sha256_test.json": File("HS256", lambda group: b"", 174),
}
# Whole groups whose key no API may have here, and why: their verdict is that the key is refused.
REFUSED_KEYS: dict[tuple[str, int], str] = {
    ("rsa_signature_2048_sha256_test.json", 1): "e = 3: an exponent of 5 or more is asked for",
    ("rsa_signature_2048_sha256_test.json", 2): "e = 3: an exponent of 5 or more is asked for",
    ("hmac_sha256_test.json", 2): "a secret of 16 bytes: RFC 7518 section 3.2 asks for 32",
    ("hmac_sha256_test.json", 3): "a secret of 16 bytes: RFC 7518 section 3.2 asks for 32",
}
# Whole groups whose signatures are none of that algorithm, whatever they were published as.
OTHER_FORMS: dict[tuple[str, int], str] = {
    ("hmac_sha256_test.json", 1): "a tag of 128 bits: HS256 has 256 (RFC 7518 section 3.2)",
    ("hmac_sha256_test.json", 5): "a tag of 128 bits: HS256 has 256 (RFC 7518 section 3.2)",
}
# Neither valid nor invalid as published; refused here.
ACCEPTABLE: dict[tuple[str, int], str] = {
    (
        "rsa_signature_2048_sha256_test.json",
        8,
    ): "the NULL beside the hash's name is left out, and one encoding counts",
}
# Why no valid case can be accepted within a JWT: what was signed is no signing input (RFC 7515 section 5.1), and
# nobody can sign another message with its key but for HMAC, whose keys are published. Such a case is asked of the key
# alone. A test holds that this is so of every message.
NOT_AS_A_JWT = "the message is not two base64url texts with a dot between them"
SIGNING_INPUT = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


def _secret_or_key(name: str, group: dict[str, Any], case: dict[str, Any]) -> Any:
    return bytes.fromhex(case["key"]) if "key" in case else FILES[name].key(group)


@cache
def cases(name: str) -> tuple[Case, ...]:
    return tuple(
        Case(
            case["tcId"],
            case["comment"],
            place,
            _secret_or_key(name, group, case),
            bytes.fromhex(case["msg"]),
            bytes.fromhex(case.get("sig", case.get("tag"))),
            case["result"],
        )
        for place, group in enumerate(read("wycheproof", name)["testGroups"])
        for case in group["tests"]
    )


def expected(name: str, case: Case) -> bool:
    excused = (name, case.group) in OTHER_FORMS or (name, case.group) in REFUSED_KEYS
    return case.result == "valid" and not excused


def settings_of(name: str, case: Case) -> ApiSettings:
    """Raises SettingsError."""
    if isinstance(case.key, bytes):
        return secret_settings(case.key)
    return _pem_settings(name, case.key) if isinstance(case.key, str) else settings_for([{**case.key, "kid": "a"}])


def _pem_settings(name: str, pem: str) -> ApiSettings:
    keys = read_keys(pem.encode(), [FILES[name].algorithm])
    return settings_for(list(keys.published))


def flow_key(name: str, case: Case) -> VerificationKey:
    return key_for(settings_of(name, case), FILES[name].algorithm)


def usable(name: str) -> list[Case]:
    return [case for case in cases(name) if (name, case.group) not in REFUSED_KEYS]


@pytest.fixture(scope="module")
def known() -> dict[Any, Any]:
    """What was made of a key, so that it is made once."""
    return {}


def once(known: dict[Any, Any], kind: str, name: str, case: Case, make: Callable[[], Any]) -> Any:
    place = (kind, name, case.group, case.key if isinstance(case.key, bytes) else "")
    if place not in known:
        known[place] = make()
    return known[place]


# --- nothing is left out --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_every_published_case_is_there(name: str) -> None:
    stated = stated_counts("wycheproof")
    rows = [numbers for row, numbers in stated.items() if row == name]
    # One row stands for the three files of ECDSA.
    ecdsa = next(numbers for row, numbers in stated.items() if row.startswith("ecdsa_"))
    found = cases(name)
    assert len({case.number for case in found}) == len(found) == FILES[name].cases
    assert FILES[name].cases in (ecdsa if name.startswith("ecdsa_") else rows[0])


def test_the_exceptions_are_groups_and_cases_that_exist() -> None:
    places = {(name, case.group) for name in FILES for case in cases(name)}
    assert set(REFUSED_KEYS) | set(OTHER_FORMS) <= places
    acceptable = {(name, case.number) for name in FILES for case in cases(name) if case.result not in VERDICTS}
    assert acceptable == set(ACCEPTABLE)


VERDICTS = ("valid", "invalid")


# --- the verdicts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_signature_has_the_published_verdict(name: str, known: dict[Any, Any]) -> None:
    wrong = []
    for case in usable(name):
        key = once(known, "key", name, case, lambda case=case: flow_key(name, case))  # type: ignore[misc]
        if holds(key, case.message, case.signature) is not expected(name, case):
            wrong.append((case.number, case.comment))
    assert wrong == []


@pytest.mark.parametrize(("name", "group"), REFUSED_KEYS)
def test_a_key_that_no_api_may_have_is_refused(name: str, group: int) -> None:
    of_group = [case for case in cases(name) if case.group == group]
    assert of_group
    for case in of_group:
        with pytest.raises(SettingsError):
            settings_of(name, case)


@pytest.mark.parametrize("name", [name for name in FILES if FILES[name].algorithm != "HS256"])
def test_a_key_is_the_same_from_a_jwk_and_from_pem(name: str) -> None:
    algorithms = [FILES[name].algorithm]
    for place, group in enumerate(read("wycheproof", name)["testGroups"]):
        jwk = group.get("publicKeyJwk", group.get("keyJwk"))
        if jwk is None or (name, place) in REFUSED_KEYS:
            continue
        (published,) = read_keys(group["publicKeyPem"].encode(), algorithms).published
        assert read_jwk(published).thumbprint == read_jwk(jwk).thumbprint


# --- within a JWT ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_no_published_message_is_what_a_jwt_signs(name: str) -> None:
    """The reason of NOT_AS_A_JWT."""
    assert [case.number for case in cases(name) if SIGNING_INPUT.fullmatch(case.message)] == []


@pytest.mark.parametrize("name", FILES)
def test_no_published_signature_makes_a_jwt_of_other_claims(name: str, known: dict[Any, Any]) -> None:
    """Zeros, ends of ranges, wrong lengths, other forms and signatures of others: `BadSignature`, and nothing else."""
    algorithm = FILES[name].algorithm
    answers = []
    for case in usable(name):
        verifier = once(known, "verifier", name, case, lambda case=case: verifier_of(name, case))  # type: ignore[misc]
        with pytest.raises(InvalidToken) as refused:
            verifier.verify(wrapped(algorithm, case.signature))
        if type(refused.value) is not (BadSignature if case.signature else MalformedToken):
            answers.append((case.number, refused.value))
    assert answers == []


def verifier_of(name: str, case: Case) -> Verifier:
    return Verifier(settings_of(name, case), clock=Clock())


def test_each_published_secret_signs_a_jwt_that_is_accepted() -> None:
    """The one algorithm whose keys are published whole."""
    name = "hmac_sha256_test.json"
    secrets = {case.key: case for case in usable(name)}
    assert len(secrets) > 50
    signing_input = f"{segment({'alg': 'HS256'})}.{segment(ISSUING.claims())}"
    for secret, case in secrets.items():
        assert isinstance(secret, bytes)
        tag = sign("HS256", secret, signing_input.encode())
        verifier = verifier_of(name, case)
        assert verifier.verify(f"{signing_input}.{base64url(tag)}").issuer == ISSUING.url
        with pytest.raises(BadSignature):
            verifier.verify(f"{signing_input}.{base64url(tag[:16])}")


def test_the_same_wrapping_with_a_right_signature_is_accepted() -> None:
    """Or the tests above would refuse for any reason at all."""
    for algorithm in sorted(ASYMMETRIC):
        first, second, _ = wrapped(algorithm, b"").split(".")
        key = ISSUING.key(algorithm)
        signature = base64url(key.sign(algorithm, f"{first}.{second}".encode()))
        verifier = Verifier(settings_for([key.jwk()]), clock=Clock())
        assert verifier.verify(f"{first}.{second}.{signature}").header == {"alg": algorithm}
