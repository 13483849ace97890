"""Wycheproof's JSON Web Signatures: each has the published verdict, by the very functions that a request meets."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable
from types import CodeType
from typing import Any

import pytest
from jwt.algorithms import get_default_algorithms
from jwt.exceptions import InvalidKeyError

from jwtgate import InvalidToken, Issuer, SettingsError, Verifier
from jwtgate.core import compact, heads, jwk, keys, verification
from jwtgate.core.compact import decode_base64url
from jwtgate.core.errors import MalformedToken
from tests.conformance.vectors import (
    ISSUING,
    URL,
    Clock,
    Jws,
    accepts,
    entered,
    grafted,
    jws_vectors,
    read,
    settings_for,
    stated_counts,
    verifier_for,
)
from tests.making import KIND_OF, SECRET, base64url, segment, sign, signing_key

SIGNATURES = "json_web_signature_test.json"
OLDER = "json_web_crypto_test.json"
VECTORS = jws_vectors(SIGNATURES)
OLDER_VECTORS = jws_vectors(OLDER)
ALL = [*VECTORS, *OLDER_VECTORS]

# Where the file contradicts the RFC that it cites, or itself, and what is right.
OVERRIDES: dict[int, tuple[bool, str]] = {
    346: (False, "the JWK says PS256 and the header PS384: RFC 7517 section 4.4"),
    347: (False, "the JWK says ES521, which is no algorithm: RFC 7518 section 3.1 has ES512"),
    350: (False, "as 346"),
    351: (False, "as 347"),
    367: (True, "the bytes of 357, which is valid"),
    370: (True, "the bytes of 357, which is valid"),
    372: (False, "a question mark in the header is not base64url: RFC 7515 section 2"),
    373: (False, "a question mark in the payload is not base64url: RFC 7515 section 2"),
}
# Published as valid, and refused here as a matter of policy.
POLICY: dict[tuple[str, int], str] = {
    (OLDER, 48): "HS256 is signed with the one secret that the settings hold: a set of secrets is nowhere read",
}


def expected(vector: Jws) -> bool:
    if (vector.file, vector.number) in POLICY:
        return False
    return OVERRIDES[vector.number][0] if vector.file == SIGNATURES and vector.number in OVERRIDES else vector.valid


def names(vectors: list[Jws]) -> list[str]:
    return [str(vector) for vector in vectors]


# --- nothing is left out --------------------------------------------------------------------------------------------


def test_every_published_vector_is_there() -> None:
    stated = stated_counts("wycheproof")
    groups = read("wycheproof", SIGNATURES)["testGroups"]
    assert [len(VECTORS), len(groups)] == stated[SIGNATURES] == [401, 23]
    assert len({vector.number for vector in VECTORS}) == len(VECTORS)
    of_jwe = [case for group in read("wycheproof", OLDER)["testGroups"] for case in group["tests"] if "jwe" in case]
    assert len(OLDER_VECTORS) == 49
    assert len(OLDER_VECTORS) + len(of_jwe) == stated[OLDER][0]


def test_each_override_differs_from_what_was_published_and_no_other_does() -> None:
    published = {vector.number: vector.valid for vector in VECTORS}
    assert {number for number in published if number in OVERRIDES} == set(OVERRIDES)
    assert all(published[number] is not right for number, (right, _) in OVERRIDES.items())
    by_number = {vector.number: vector.token for vector in VECTORS}
    assert by_number[367] == by_number[370] == by_number[357]


# --- the verdicts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=names(VECTORS))
def test_a_signature_has_the_published_verdict(vector: Jws) -> None:
    assert accepts(vector) is expected(vector)


@pytest.mark.parametrize("vector", OLDER_VECTORS, ids=names(OLDER_VECTORS))
def test_a_signature_of_the_older_file_has_the_published_verdict(vector: Jws) -> None:
    assert accepts(vector) is expected(vector)


def verifier_or_another(vector: Jws) -> Verifier:
    """Of the vector's keys; of any other where they are refused as settings."""
    try:
        return verifier_for(vector.keys)
    except SettingsError:
        return verifier_for([signing_key().jwk()])


@pytest.mark.parametrize("vector", ALL, ids=names(ALL))
def test_a_whole_verification_refuses_the_token_in_our_own_words(vector: Jws) -> None:
    """Valid ones too: none of their payloads is a set of claims. That is then the only reason."""
    verifier = verifier_or_another(vector)
    with pytest.raises(InvalidToken) as refused:
        verifier.verify(vector.token)
    if expected(vector):
        assert isinstance(refused.value, MalformedToken)
        assert refused.value.part == "payload"


@pytest.mark.parametrize("vector", ALL, ids=names(ALL))
def test_around_good_claims_every_published_signature_is_refused(vector: Jws) -> None:
    """What was wrong with it is then met behind the payload, where most of them would stop.

    Once by a verifier that knows nothing, and once more when it knows the head of the token from a good one.
    """
    verifier = verifier_or_another(vector)
    for _ in range(2):
        with pytest.raises(InvalidToken):
            verifier.verify(grafted(vector.token))
        with contextlib.suppress(InvalidToken, *UNSIGNABLE):
            verifier.verify(signed_again(vector))


def test_most_published_heads_were_known_when_they_were_met_again() -> None:
    known = [vector for vector in ALL if taken(vector)]
    assert len(known) > 350
    assert {vector.comment for vector in known} >= {"rejectsModifiedSignature", "SaltLenChanged", "rIsZero_sIsZero"}


def taken(vector: Jws) -> bool:
    """Is a token with the head of this one accepted, where its key signs good claims?"""
    try:
        verifier_for(vector.keys).verify(signed_again(vector))
    except (InvalidToken, SettingsError, *UNSIGNABLE):
        return False
    return True


# Of what has no header, an algorithm that is none, or a key of another kind.
UNSIGNABLE = (ValueError, KeyError, TypeError, AttributeError, NotImplementedError, InvalidKeyError)


def signed_again(vector: Jws) -> str:
    """The first segment of a token before good claims, rightly signed. Raises one of UNSIGNABLE."""
    first = vector.token.split(".")[0]
    algorithm = json.loads(decode_base64url(first))["alg"]
    signing_input = f"{first}.{segment(ISSUING.claims())}"
    signature = sign(algorithm, private_key(algorithm, json.dumps(vector.private[0])), signing_input.encode())
    return f"{signing_input}.{base64url(signature)}"


GOOD = [vector for vector in ALL if expected(vector)]


@pytest.mark.parametrize("vector", GOOD, ids=names(GOOD))
def test_the_header_and_key_of_a_valid_vector_sign_a_token_that_is_accepted(vector: Jws) -> None:
    """So that the two tests above refuse what they refuse for its own fault."""
    token = verifier_for(vector.keys).verify(signed_again(vector))
    assert token.issuer == URL
    assert vector.token.startswith(token.raw.split(".")[0])


@functools.cache
def private_key(algorithm: str, jwk: str) -> Any:
    return get_default_algorithms()[algorithm].from_jwk(jwk)


# --- the functions ---------------------------------------------------------------------------------------------------

# What `vectors.check_jws` calls.
ASKED: list[Callable[..., Any]] = [
    compact.parse,
    compact.decode_base64url,
    compact.verify,
    verification.check_algorithm,
    keys.keys_of,
    keys.IssuerKeys.find_at_once,
    jwk.VerificationKey.check,
]
AT_START = {keys.keys_of, jwk.read_keys, jwk.read_jwk, jwk.PublicKey.for_algorithm}
OF_A_SECRET = {jwk.read_keys, jwk.read_jwk, jwk.PublicKey.for_algorithm, jwk.KeySet.find}


def codes(functions: Any) -> set[CodeType]:
    return {function.__code__ for function in functions}


@pytest.mark.parametrize("algorithm", [*sorted(KIND_OF), "HS256"])
def test_a_verification_meets_the_functions_that_the_vectors_meet(algorithm: str) -> None:
    token = ISSUING.token(algorithm=algorithm)
    secret = algorithm == "HS256"
    made: list[Verifier] = []

    def build() -> None:
        jwks = [{"kty": "oct", "alg": "HS256", "k": base64url(SECRET)}] if secret else ISSUING.jwks()["keys"]
        made.append(Verifier(settings_for(jwks), clock=Clock()))

    at_start = entered(build)
    in_use = entered(lambda: made[0].verify(token))
    wanted = {*ASKED, jwk.SharedSecret.find if secret else jwk.KeySet.find, compact.parse_json} - {keys.keys_of}
    assert codes(wanted) <= in_use
    assert codes(AT_START - OF_A_SECRET if secret else AT_START) <= at_start
    # The check itself: what `for_algorithm` made of the primitive.
    key = jwk.SharedSecret(SECRET).find(None, algorithm, URL) if secret else of_jwk(algorithm)
    assert key._check.__code__ in in_use  # type: ignore[attr-defined]


@pytest.mark.parametrize("algorithm", [*sorted(KIND_OF), "HS256"])
def test_a_token_of_a_known_head_meets_the_same_check(algorithm: str) -> None:
    jwks = [{"kty": "oct", "alg": "HS256", "k": base64url(SECRET)}] if algorithm == "HS256" else ISSUING.jwks()["keys"]
    verifier = Verifier(settings_for(jwks), clock=Clock())
    verifier.verify(ISSUING.token(algorithm=algorithm))
    in_use = entered(lambda: verifier.verify(ISSUING.token(algorithm=algorithm, sub="another")))
    assert compact.parse.__code__ not in in_use
    assert codes({heads.Heads.recognise, compact.decode_base64url, jwk.VerificationKey.check}) <= in_use


def of_jwk(algorithm: str) -> jwk.VerificationKey:
    return jwk.read_jwk(ISSUING.key(algorithm).jwk()).for_algorithm(algorithm)


@pytest.mark.parametrize("vector", [VECTORS[0], VECTORS[17], VECTORS[32]], ids=str)
def test_a_vector_meets_the_functions_that_a_verification_meets(vector: Jws) -> None:
    in_use = entered(lambda: accepts(vector))
    assert codes(set(ASKED) - {compact.verify}) <= in_use  # their payloads are no claims
    assert (jwk.SharedSecret if vector.keys[0]["kty"] == "oct" else jwk.KeySet).find.__code__ in in_use


def test_a_profile_tells_a_function_that_is_not_met() -> None:
    assert not codes([compact.parse]) & entered(lambda: Issuer(URL))
