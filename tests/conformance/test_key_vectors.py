"""Wycheproof's JSON Web Keys: weak, mixed, ambiguous and mislabelled keys verify nothing, alone or beside others."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from jwtgate import ApiSettings, InvalidToken, Issuer, SettingsError, Verifier
from jwtgate.core.errors import AmbiguousKey, HeaderRejected, UnknownKey
from jwtgate.core.jwk import ASYMMETRIC, SYMMETRIC, UnusableKey, read_jwk, read_keys
from tests.conformance.vectors import (
    ISSUING,
    URL,
    ZEROS,
    Jws,
    accepts,
    grafted,
    jws_vectors,
    key_for,
    read,
    settings_for,
    stated_counts,
    verifier_for,
)
from tests.making import API, KINDS, SECRET, base64url, segment, sign, signing_key

FILE = "json_web_key_test.json"
VECTORS = jws_vectors(FILE)
IDS = [str(vector) for vector in VECTORS]

# Published as valid, and refused here as a matter of policy.
POLICY: dict[int, str] = {
    2: "HS256 is signed with the one secret that the settings hold: a set of secrets is nowhere read",
    14: "HS384 is not spoken: HS256 is the one algorithm with a shared secret",
    15: "HS512 is not spoken",
}
# Why the others are refused: by number, what their keys are in an API's settings.
SECRETS = {1, 2, 3, 4, 10, 11, 12, 13, 14, 15, 16, 17, 18, 25, 26}
UNUSABLE = {6, 7, 8, 9, 19, 20, 21, 22, 23, 24}


def is_secret(vector: Jws) -> bool:
    return all(jwk["kty"] == "oct" for jwk in vector.keys)


def test_every_published_vector_is_there() -> None:
    groups = read("wycheproof", FILE)["testGroups"]
    assert [len(VECTORS), len(groups)] == stated_counts("wycheproof")[FILE] == [26, 25]
    numbers = {vector.number for vector in VECTORS}
    assert numbers == set(range(1, 27)) == SECRETS | UNUSABLE | {5}
    assert {number for number in numbers if number in POLICY} == set(POLICY)


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_a_key_has_the_published_verdict(vector: Jws) -> None:
    assert accepts(vector) is (vector.valid and vector.number not in POLICY)
    assert vector.valid or vector.number not in POLICY


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_a_whole_verification_refuses_the_token_in_our_own_words(vector: Jws) -> None:
    """By the vector's own keys where settings take them; else beside a key that they take."""
    for token in (vector.token, grafted(vector.token)):
        with pytest.raises(InvalidToken):
            verifier_beside(vector).verify(token)


def verifier_beside(vector: Jws) -> Verifier:
    """Of the vector's keys; beside another where they are refused as settings."""
    try:
        return verifier_for(vector.keys)
    except SettingsError:
        return verifier_for([*vector.keys, signing_key().jwk()])


# --- public keys ----------------------------------------------------------------------------------------------------

WEAK = [vector for vector in VECTORS if vector.number in UNUSABLE]


@pytest.mark.parametrize("vector", WEAK, ids=str)
def test_an_unusable_key_is_refused_alone(vector: Jws) -> None:
    """1,024 bits, e = 1, ROCA, another use, a point off its curve, a curve, algorithm or kind that it is not of."""
    (jwk,) = vector.keys
    with pytest.raises(UnusableKey):
        read_jwk(jwk)
    with pytest.raises(ValueError, match=r".+"):
        read_keys(json.dumps({"keys": [jwk]}).encode(), sorted(ASYMMETRIC))
    with pytest.raises(SettingsError):
        settings_for([jwk])


@pytest.mark.parametrize("vector", WEAK, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_an_unusable_key_beside_a_good_one_is_not_there(vector: Jws, kind: str) -> None:
    """RFC 7517 section 5: it is ignored, and the good one serves."""
    good = signing_key(kind)
    for keys in ([*vector.keys, good.jwk()], [good.jwk(), *vector.keys]):
        settings = settings_for(keys)
        algorithm = ALGORITHM[kind]
        assert key_for(settings, algorithm, good.kid).kid == good.kid
        assert key_for(settings, algorithm).kid == good.kid  # and no second one fits
        with pytest.raises((UnknownKey, HeaderRejected)):
            key_for(settings, "RS256", vector.keys[0]["kid"])


ALGORITHM = {"RSA": "RS256", "P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}


def test_the_good_key_of_the_file_is_taken() -> None:
    (vector,) = [vector for vector in VECTORS if vector.number == 5]
    assert read_jwk(vector.keys[0]).algorithms == {"RS256"}


# --- sets -----------------------------------------------------------------------------------------------------------


def with_number(number: int) -> Jws:
    return next(vector for vector in VECTORS if vector.number == number)


def test_of_a_mixed_set_the_secret_is_not_there_and_the_public_key_serves() -> None:
    vector = with_number(1)
    secret, public = vector.keys
    assert (secret["kty"], public["kty"]) == ("oct", "EC")
    settings = settings_for(vector.keys)
    assert key_for(settings, "ES256", public["kid"]).kid == public["kid"]
    for algorithm in ("HS256", "ES256"):
        with pytest.raises((HeaderRejected, UnknownKey)):
            key_for(settings, algorithm, secret["kid"])


def test_a_public_key_beside_a_secret_in_the_settings_is_refused() -> None:
    (_, public) = with_number(1).keys
    both = Issuer(URL, jwks={"keys": [public]}, signing_secret=SECRET, signing_algorithms=["HS256", "ES256"])
    with pytest.raises(SettingsError):
        ApiSettings(identifier=API, issuers=[both])


def test_two_keys_of_one_name_are_ambiguous_whatever_their_kind() -> None:
    """As vector 4, with the keys that a set may hold here."""
    (public,) = with_number(5).keys
    for kind in KINDS:
        settings = settings_for([public, signing_key(kind).jwk(kid=public["kid"])])
        with pytest.raises(AmbiguousKey):
            key_for(settings, "RS256", public["kid"])
        assert not accepts_beside(signing_key(kind).jwk(kid=public["kid"]))
    assert accepts_beside(signing_key().jwk())


def accepts_beside(other: dict[str, Any]) -> bool:
    vector = with_number(5)
    return accepts(replace(vector, keys=(*vector.keys, other)))


# --- secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", [vector for vector in VECTORS if is_secret(vector)], ids=str)
def test_a_document_never_holds_a_secret(vector: Jws) -> None:
    document = json.dumps({"keys": vector.keys}).encode()
    for algorithms in (sorted(ASYMMETRIC), sorted(SYMMETRIC), ["HS256", "RS256"]):
        with pytest.raises(ValueError, match=r".+"):
            read_keys(document, algorithms)
    for jwk in vector.keys:
        with pytest.raises(UnusableKey):
            read_jwk(jwk)


@pytest.mark.parametrize("number", [2, 13])
def test_the_secret_that_a_token_was_made_with_verifies_it_where_the_settings_hold_it(number: int) -> None:
    vector = with_number(number)
    one = replace(vector, keys=vector.keys[:1])
    assert accepts(one)
    assert not accepts(replace(with_number(3), keys=vector.keys[:1]))


@pytest.mark.parametrize("number", [10, 16])
def test_a_short_or_empty_secret_is_refused_as_a_setting(number: int) -> None:
    with pytest.raises(SettingsError):
        settings_for(with_number(number).keys)


def test_a_secret_of_one_byte_over_and_over_is_refused_as_a_setting() -> None:
    issuer = Issuer(URL, signing_secret=ZEROS, signing_algorithms=["HS256"])
    with pytest.raises(SettingsError):
        ApiSettings(identifier=API, issuers=[issuer])


def test_a_token_signed_with_a_public_key_as_secret_is_refused() -> None:
    """What everybody knows is no secret: the key as a JWK, as a set, and its modulus."""
    (public,) = with_number(5).keys
    signing_input = f"{segment({'alg': 'HS256', 'kid': public['kid']})}.{segment(ISSUING.claims())}"
    verifier = verifier_for([public])
    for secret in (json.dumps(public).encode(), public["n"].encode(), json.dumps({"keys": [public]}).encode()):
        token = f"{signing_input}.{base64url(sign('HS256', secret, signing_input.encode()))}"
        with pytest.raises(HeaderRejected):
            verifier.verify(token)
