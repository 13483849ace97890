"""Every row of the table of refusals, byte for byte."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest

from jwtgate import (
    ApiSettings,
    AuthError,
    InsufficientAuthentication,
    InsufficientScope,
    InvalidProof,
    InvalidRequest,
    InvalidToken,
    Issuer,
    KeysUnavailable,
    MissingCredentials,
    NonceRequired,
    ProofOfPossession,
    Request,
    StoreUnavailable,
)
from jwtgate.core import errors
from jwtgate.core.challenge import answer
from jwtgate.core.effects import Moment
from jwtgate.core.flow import authenticate
from jwtgate.core.keys import keys_of
from tests.making import API, ISSUER, NOW, Issuing, drive

ISSUING = Issuing()
JWKS = ISSUING.jwks(ISSUING.key().jwk())
METADATA = "https://api.test/.well-known/oauth-protected-resource"
PLAIN = ApiSettings(identifier=API, issuers=[Issuer(ISSUER, jwks=JWKS)])


def api(**changes: Any) -> ApiSettings:
    return ApiSettings(identifier=API, issuers=[Issuer(ISSUER, jwks=JWKS)], **changes)


DRESSED = ApiSettings(
    identifier=API, issuers=[Issuer(ISSUER, jwks=JWKS)], realm="my api", resource_metadata_url=METADATA
)
FIRST = (("Cache-Control", "no-store"), ("Content-Type", "application/json"))

KEYS = KeysUnavailable(ISSUER, "status 500", 7.2)
NOTHING = "no credentials"

# error → status, challenge in plain settings, challenge with realm and metadata, body
TABLE: list[tuple[AuthError, int, str, str, str]] = [
    (MissingCredentials(), 401, 'Bearer realm="api"', f'Bearer realm="my api", resource_metadata="{METADATA}"', "{}"),
    (
        InvalidRequest("two headers"),
        400,
        'Bearer realm="api", error="invalid_request", '
        'error_description="The request must carry one Authorization header with one access token."',
        'Bearer realm="my api", error="invalid_request", '
        'error_description="The request must carry one Authorization header with one access token."',
        '{"error":"invalid_request",'
        '"error_description":"The request must carry one Authorization header with one access token."}',
    ),
    (
        InvalidToken("anything"),
        401,
        'Bearer realm="api", error="invalid_token", error_description="The access token is not valid for this API."',
        'Bearer realm="my api", error="invalid_token", '
        f'error_description="The access token is not valid for this API.", resource_metadata="{METADATA}"',
        '{"error":"invalid_token","error_description":"The access token is not valid for this API."}',
    ),
    (
        InsufficientScope(("a", "b"), ("b",)),
        403,
        'Bearer realm="api", error="insufficient_scope", '
        'error_description="The access token does not allow this request.", scope="a b"',
        'Bearer realm="my api", error="insufficient_scope", '
        'error_description="The access token does not allow this request.", scope="a b", '
        f'resource_metadata="{METADATA}"',
        '{"error":"insufficient_scope","error_description":"The access token does not allow this request."}',
    ),
    (
        InsufficientScope(unmet=("claim 'org_id'",)),
        403,
        'Bearer realm="api", error="insufficient_scope", '
        'error_description="The access token does not allow this request."',
        'Bearer realm="my api", error="insufficient_scope", '
        f'error_description="The access token does not allow this request.", resource_metadata="{METADATA}"',
        '{"error":"insufficient_scope","error_description":"The access token does not allow this request."}',
    ),
    (
        InsufficientAuthentication(("gold", "silver"), 60),
        401,
        'Bearer realm="api", error="insufficient_user_authentication", '
        'error_description="The user must authenticate again, as the challenge says.", '
        'acr_values="gold silver", max_age="60"',
        'Bearer realm="my api", error="insufficient_user_authentication", '
        'error_description="The user must authenticate again, as the challenge says.", '
        f'acr_values="gold silver", max_age="60", resource_metadata="{METADATA}"',
        '{"error":"insufficient_user_authentication",'
        '"error_description":"The user must authenticate again, as the challenge says."}',
    ),
]


@pytest.mark.parametrize(("error", "status", "plain", "dressed", "body"), TABLE, ids=lambda value: type(value).__name__)
def test_every_row_of_the_table(error: AuthError, status: int, plain: str, dressed: str, body: str) -> None:
    for settings, challenge in ((PLAIN, plain), (DRESSED, dressed)):
        error.refusal = None
        assert answer(error, settings) is error
        assert error.status == status
        assert error.headers == (*FIRST, ("WWW-Authenticate", challenge))
        assert error.body == body.encode()


@pytest.mark.parametrize(
    ("acr_values", "max_age", "parameters"),
    [(("gold",), None, ', acr_values="gold"'), ((), 0, ', max_age="0"'), ((), 3_600, ', max_age="3600"')],
)
def test_a_step_up_names_only_what_is_wanted(acr_values: tuple[str, ...], max_age: int | None, parameters: str) -> None:
    error = answer(InsufficientAuthentication(acr_values, max_age), PLAIN)
    assert error.headers[-1][1].endswith(f'challenge says."{parameters}')


@pytest.mark.parametrize("text", ['a"', "a\r\nSet-Cookie: b=c", "a b", "\u00e9", ""])
@pytest.mark.parametrize(
    ("kind", "parameter"), [(InsufficientScope, "scope"), (InsufficientAuthentication, "acr_values")]
)
def test_an_application_cannot_put_a_strangers_text_into_a_challenge(
    kind: type[InsufficientScope | InsufficientAuthentication], parameter: str, text: str
) -> None:
    assert answer(kind([text]), PLAIN).headers == answer(kind(), PLAIN).headers
    assert answer(kind(["a", text, "b"]), PLAIN).headers[-1][1].endswith(f', {parameter}="a b"')


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (KEYS, "8"),
        (KeysUnavailable(ISSUER, "refused", 0.0), "1"),
        (KeysUnavailable(ISSUER, "refused", 0.001), "1"),
        (KeysUnavailable(ISSUER, "refused", 1.0), "1"),
        (KeysUnavailable(ISSUER, "refused", 60.0), "60"),
        (StoreUnavailable("no answer"), "1"),
    ],
)
def test_what_cannot_be_decided_is_no_challenge(error: AuthError, seconds: str) -> None:
    for settings in (PLAIN, DRESSED):
        error.refusal = None
        answer(error, settings)
        assert error.status == 503
        assert error.headers == (*FIRST, ("Retry-After", seconds))
        assert json.loads(error.body) == {"error": "temporarily_unavailable", "error_description": error.sentence}


def test_a_wanted_nonce_is_supplied() -> None:
    error = answer(NonceRequired("n-1"), PLAIN)
    assert error.headers[-1] == ("DPoP-Nonce", "n-1")
    assert json.loads(error.body)["error"] == "use_dpop_nonce"
    assert answer(InvalidProof("DPoP", "one proof"), PLAIN).headers[-1][0] == "WWW-Authenticate"


ALLOWED = api(proof_of_possession="dpop", dpop_algorithms=["ES256", "EdDSA"])
REQUIRED = api(proof_of_possession=ProofOfPossession(("dpop",), required=True))
CERTIFICATES = api(proof_of_possession="mtls")
BEARER, DPOP = 'Bearer realm="api"', 'DPoP realm="api"'
FAULT = ', error="invalid_token", error_description="The access token is not valid for this API."'


@pytest.mark.parametrize(
    ("settings", "scheme", "challenges"),
    [
        (PLAIN, None, [BEARER + FAULT]),
        (PLAIN, "Bearer", [BEARER + FAULT]),
        (ALLOWED, None, [BEARER + FAULT, f'{DPOP}, algs="ES256 EdDSA"']),
        (ALLOWED, "Bearer", [BEARER + FAULT, f'{DPOP}, algs="ES256 EdDSA"']),
        (ALLOWED, "DPoP", [BEARER, f'{DPOP}{FAULT}, algs="ES256 EdDSA"']),
        (REQUIRED, None, [f'{DPOP}{FAULT}, algs="ES256"']),
        (CERTIFICATES, "Bearer", [BEARER + FAULT]),
        (CERTIFICATES, "DPoP", [BEARER, DPOP + FAULT]),
    ],
)
def test_the_error_stands_only_on_the_scheme_that_was_used(
    settings: ApiSettings, scheme: str | None, challenges: list[str]
) -> None:
    """RFC 9449 section 7.2: one challenge for each scheme; here each has a line of its own."""
    error = answer(InvalidToken("x"), settings, scheme)
    assert error.headers == (*FIRST, *(("WWW-Authenticate", challenge) for challenge in challenges))


def test_an_answer_that_is_always_the_same_is_written_once_and_of_no_other() -> None:
    settings = api()
    first, second = (answer(InvalidToken(text), settings).refusal for text in ("a", "b"))
    assert first is second
    own = InvalidToken("c")
    own.sentence = "Something else."  # type: ignore[misc]
    assert b"Something else" in answer(own, settings).body
    assert answer(InvalidToken("d"), settings).refusal is first
    asked = [answer(InsufficientScope((name,), (name,)), settings) for name in "ab"]
    assert asked[0].headers != asked[1].headers


@pytest.mark.parametrize("error", [InvalidToken("x"), InvalidRequest("x"), InsufficientScope(["a"]), KEYS])
def test_the_answer_has_the_status_of_its_error(error: AuthError) -> None:
    refusal = answer(copy.copy(error), PLAIN).refusal
    assert refusal is not None
    assert (refusal.status, refusal.headers[:2]) == (error.status, FIRST)


def test_an_answer_that_was_given_stays() -> None:
    error = answer(MissingCredentials(), PLAIN)
    before = error.refusal
    assert answer(error, DRESSED).refusal is before


def test_an_error_that_no_verifier_has_seen_has_no_challenge_yet() -> None:
    error = InvalidToken("x")
    assert (error.headers, error.body, error.refusal) == ((), b"{}", None)


# --------------------------------------------------------------------------------------------------- no foreign text

EVIL = 'evil"\r\nSet-Cookie: a=b \u2028<script>'
QUOTABLE = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6750 section 3


def every_error(base: type[AuthError] = AuthError) -> list[type[AuthError]]:
    return [base, *(below for kind in base.__subclasses__() for below in every_error(kind))]


# How each is made when all that it is told comes from a stranger.
FROM_A_STRANGER: dict[type[AuthError], AuthError] = {
    MissingCredentials: MissingCredentials(EVIL),
    InvalidRequest: InvalidRequest(EVIL),
    errors.ProofBesideBearer: errors.ProofBesideBearer(),
    errors.InvalidForwarding: errors.InvalidForwarding("Forwarded", EVIL),
    errors.UndecryptableToken: errors.UndecryptableToken(),
    errors.BindingRejected: errors.BindingRejected(EVIL, EVIL, EVIL),
    errors.CertificateRejected: errors.CertificateRejected(EVIL, EVIL),
    errors.RevokedToken: errors.RevokedToken("jti", EVIL),
    errors.ProofReplayed: errors.ProofReplayed(EVIL),
    errors.TooManyProofs: errors.TooManyProofs(EVIL, 7),
    InvalidToken: InvalidToken(EVIL),
    errors.MalformedToken: errors.MalformedToken("payload", EVIL),
    errors.TokenTooLarge: errors.TokenTooLarge(7, 1),
    errors.OpaqueToken: errors.OpaqueToken(EVIL),
    errors.EncryptedToken: errors.EncryptedToken(EVIL),
    errors.HeaderRejected: errors.HeaderRejected("typ", "JWT", EVIL),
    errors.UnknownKey: errors.UnknownKey(EVIL, ISSUER, [EVIL]),
    errors.AmbiguousKey: errors.AmbiguousKey(EVIL, ISSUER),
    errors.BadSignature: errors.BadSignature(EVIL, "RS256"),
    errors.WrongTokenKind: errors.WrongTokenKind(EVIL, "nonce"),
    errors.ClaimRejected: errors.ClaimRejected("sub", "text", EVIL),
    errors.TokenExpired: errors.TokenExpired(1, 2, 0),
    errors.UntrustedIssuer: errors.UntrustedIssuer("iss", ISSUER, EVIL),
    errors.WrongAudience: errors.WrongAudience("aud", API, EVIL),
    InvalidProof: InvalidProof(EVIL, EVIL, EVIL),
    NonceRequired: NonceRequired("n", EVIL),
    InsufficientScope: InsufficientScope((), (), (EVIL,), EVIL),
    InsufficientAuthentication: InsufficientAuthentication((), None, (EVIL,)),
    errors.Unavailable: errors.Unavailable(EVIL),
    KeysUnavailable: KeysUnavailable(ISSUER, EVIL),
    StoreUnavailable: StoreUnavailable(EVIL),
}


def test_every_kind_of_error_is_looked_at_here() -> None:
    known = {kind for kind in every_error() if kind.__module__ == errors.__name__}
    assert known - {AuthError} == set(FROM_A_STRANGER)


@pytest.mark.parametrize("error", FROM_A_STRANGER.values(), ids=lambda error: type(error).__name__)
def test_no_text_of_a_stranger_reaches_the_client(error: AuthError) -> None:
    answer(error, DRESSED)
    text = repr(error.headers) + error.body.decode("ascii")
    assert not any(word in text for word in ("evil", "Cookie", "<", "u2028"))
    for name, value in error.headers:
        assert value.isascii()
        assert value.isprintable(), name
    assert dict(error.headers)["Cache-Control"] == "no-store"
    document = json.loads(error.body)
    if document:
        assert QUOTABLE.fullmatch(document["error_description"])
        assert document == {"error": error.code, "error_description": type(error).sentence}


@pytest.mark.parametrize("error", FROM_A_STRANGER.values(), ids=lambda error: type(error).__name__)
def test_a_sentence_can_stand_in_a_quoted_string(error: AuthError) -> None:
    assert (error.code is None) == (error.sentence == "")
    assert error.code is None or QUOTABLE.fullmatch(error.sentence)


# ---------------------------------------------------------------------------------------------------- a whole request


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ([], 'Bearer realm="api"'),
        ([("Authorization", "Basic YTpi")], 'Bearer realm="api"'),
        (
            [("Authorization", "Bearer")],
            'Bearer realm="api", error="invalid_request", '
            'error_description="The request must carry one Authorization header with one access token."',
        ),
        (
            [("Authorization", "bEARER abc")],
            'Bearer realm="api", error="invalid_token", error_description="The token is not an access token for this '
            'API: request one with the audience of this API."',
        ),
    ],
)
def test_a_request_is_answered_with_its_challenge(headers: list[tuple[str, str]], challenge: str) -> None:
    with pytest.raises(AuthError) as refused:
        drive(authenticate(Request("GET", API, headers), PLAIN, keys_of(PLAIN)), Moment(NOW, 0.0))
    assert refused.value.headers == (*FIRST, ("WWW-Authenticate", challenge))
