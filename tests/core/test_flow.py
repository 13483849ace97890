"""The whole story of a request: what is looked at in which order, and that nothing but our own errors comes out."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwtgate import (
    AccessToken,
    ApiSettings,
    AuthError,
    Issuer,
    KeysUnavailable,
    Request,
    authenticated,
    claim,
    permission,
    scope,
)
from jwtgate.core.effects import FetchFailed, LoadKeys, Moment
from jwtgate.core.errors import TokenExpired
from jwtgate.core.flow import authenticate, authenticate_token
from jwtgate.core.keys import keys_of
from tests.making import ABSENT, API, ISSUER, MOMENT, NOW, SECRET, Issuing, base64url, drive, segment, signing_key
from tests.sealing import private_jwk, seal

ISSUING = Issuing()
API_SETTINGS = ApiSettings(identifier=API, issuers=[Issuer(ISSUER)], signing_algorithms=["RS256"])
DOCUMENTS = ISSUING.documents(ISSUING.key().jwk())


def ask(token: str, documents: Any = DOCUMENTS, fetched: list[str] | None = None) -> AccessToken:
    keys = keys_of(API_SETTINGS)
    return drive(authenticate_token(token, API_SETTINGS, keys), Moment(NOW, 0.0), documents, fetched)


def refused(token: str, documents: Any = DOCUMENTS) -> str:
    with pytest.raises(AuthError) as error:
        ask(token, documents)
    assert error.value.refusal is not None
    return type(error.value).__name__


# -------------------------------------------------------------------------------------------------- the order of checks


def spoilt(token: str) -> str:
    """The same token with another signature."""
    head, payload, _ = token.split(".")
    return f"{head}.{payload}.{base64url(bytes(256))}"


# Each token has all the faults of those below it, and one more.
ORDER = [
    ("TokenTooLarge", "x" * 20_000),
    ("MalformedToken", spoilt(ISSUING.token(iss="x", exp=1, header={"alg": "none", "typ": "x"})) + "="),
    ("UntrustedIssuer", spoilt(ISSUING.token(iss="x", exp=1, aud="x", header={"alg": "none", "typ": "x", "kid": "x"}))),
    ("HeaderRejected", spoilt(ISSUING.token(exp=1, aud="x", header={"alg": "none", "typ": "x", "kid": "x"}))),
    ("UnknownKey", spoilt(ISSUING.token(exp=1, aud="x", header={"typ": "x", "kid": "x"}))),
    ("BadSignature", spoilt(ISSUING.token(exp=1, aud="x", header={"typ": "x"}))),
    ("HeaderRejected", ISSUING.token(exp=1, aud="x", nonce="n", header={"typ": "x"})),
    ("WrongTokenKind", ISSUING.token(exp=1, aud="x", nonce="n")),
    ("TokenExpired", ISSUING.token(exp=1, aud="x", cnf={"jkt": "x"})),
    ("WrongAudience", ISSUING.token(aud="x", sub=7, cnf={"jkt": "x"})),
    ("ClaimRejected", ISSUING.token(sub=7, cnf={"jkt": "x"})),
    ("BindingRejected", ISSUING.token(cnf={"jkt": "x"})),
]


@pytest.mark.parametrize(("name", "token"), ORDER, ids=[f"{n}-{name}" for n, (name, _) in enumerate(ORDER)])
def test_of_many_faults_the_first_in_order_is_told(name: str, token: str) -> None:
    assert refused(token) == name


@pytest.mark.parametrize(("name", "token"), ORDER[:4], ids=[name for name, _ in ORDER[:4]])
def test_nothing_is_fetched_for_what_no_key_could_make_good(name: str, token: str) -> None:
    fetched: list[str] = []
    with pytest.raises(AuthError):
        ask(token, fetched=fetched)
    assert fetched == []


def test_a_claim_is_not_told_to_somebody_who_cannot_sign() -> None:
    for change in ({"exp": 1}, {"aud": "x"}, {"sub": 7}, {"nonce": "n"}, {"cnf": {"jkt": "x"}}):
        assert refused(spoilt(ISSUING.token(**change))) == "BadSignature"


# ------------------------------------------------------------------------------------------------ a token and a request


def test_a_bare_token_and_a_request_have_the_same_outcome() -> None:
    for token in (ISSUING.token(), ISSUING.token(exp=1), ISSUING.token(aud="x"), "x", spoilt(ISSUING.token())):
        request = Request("GET", API, [("authorization", f"Bearer {token}")])
        flows = [
            authenticate(request, API_SETTINGS, keys_of(API_SETTINGS)),
            authenticate_token(token, API_SETTINGS, keys_of(API_SETTINGS)),
        ]
        outcomes = []
        for flow in flows:
            try:
                outcomes.append(drive(flow, Moment(NOW, 0.0), DOCUMENTS).raw)
            except AuthError as error:
                outcomes.append((type(error), error.refusal, str(error)))
        assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "TRACE", "OPTIONS", "get", "", "WHATEVER"])
def test_no_method_is_let_through(method: str) -> None:
    for headers in ([], [("Authorization", "Bearer x")]):
        with pytest.raises(AuthError):
            drive(authenticate(Request(method, API, headers), API_SETTINGS, keys_of(API_SETTINGS)))


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", f"{API}?access_token={ISSUING.token()}", []),
        Request("POST", API, [("Content-Type", "application/x-www-form-urlencoded")]),
        Request("GET", API, [("Cookie", f"access_token={ISSUING.token()}")]),
        Request("GET", API, [("X-Forwarded-Authorization", f"Bearer {ISSUING.token()}")]),
        Request("GET", API, [("Authorization_", f"Bearer {ISSUING.token()}")]),
        Request("GET", API, [("Proxy-Authorization", f"Bearer {ISSUING.token()}")]),
    ],
)
def test_a_token_anywhere_else_is_no_credential(request_: Request) -> None:
    with pytest.raises(AuthError) as error:
        drive(authenticate(request_, API_SETTINGS, keys_of(API_SETTINGS)), documents=DOCUMENTS)
    assert (error.value.status, error.value.code) == (401, None)


# ----------------------------------------------------------------------------------------------------- algorithm tricks


def pem() -> bytes:
    key = ISSUING.key().private.public_key()
    return bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def tricks() -> Iterator[tuple[str, str]]:
    claims = ISSUING.claims()
    head = {"typ": "JWT", "kid": ISSUING.key().kid}
    for algorithm in ("none", "NONE", "None", "nOnE", "none ", "none\0", "rs256", "RS256 ", "RS384", "PS256", "ES256"):
        unsigned = f"{segment({**head, 'alg': algorithm})}.{segment(claims)}"
        yield f"{algorithm} without a signature", f"{unsigned}."
        yield f"{algorithm} with one", f"{unsigned}.{base64url(ISSUING.key().sign('RS256', unsigned.encode()))}"
    for name, secret in [
        ("the PEM", pem()),
        ("the PEM without its last line break", pem().rstrip()),
        ("the PEM with CRLF", pem().replace(b"\n", b"\r\n")),
        ("the PEM after a space", b" " + pem()),
        ("the JWK", json.dumps(ISSUING.key().jwk()).encode()),
        ("nothing", b""),
        ("a NUL", b"\0" * 32),
    ]:
        unsigned = f"{segment({**head, 'alg': 'HS256'})}.{segment(claims)}"
        mac = hmac.new(secret, unsigned.encode(), hashlib.sha256).digest()
        yield f"HS256 with {name}", f"{unsigned}.{base64url(mac)}"
    good, other = ISSUING.token(), ISSUING.token(sub="other")
    yield "another token's signature", ".".join([*good.split(".")[:2], other.split(".")[2]])
    yield "another token's payload", ".".join([good.split(".")[0], other.split(".")[1], good.split(".")[2]])
    yield "another key", Issuing(number=2).token(header={"kid": ISSUING.key().kid})


TRICKS = dict(tricks())


@pytest.mark.parametrize("name", TRICKS)
def test_no_trick_with_the_algorithm_opens(name: str) -> None:
    assert refused(TRICKS[name]) in ("HeaderRejected", "BadSignature", "MalformedToken")


def test_the_published_key_cannot_sign_for_an_hs256_api() -> None:
    shared = ApiSettings(identifier=API, issuers=[Issuer(ISSUER)], signing_algorithms=["HS256"], signing_secret=SECRET)
    assert drive(authenticate_token(ISSUING.token(algorithm="HS256"), shared, keys_of(shared))).subject
    forged = [
        ISSUING.token(),
        TRICKS["HS256 with the PEM"],
        TRICKS["HS256 with nothing"],
    ]
    for token in forged:
        with pytest.raises(AuthError) as error:
            drive(authenticate_token(token, shared, keys_of(shared)))
        assert error.value.code == "invalid_token"


# --------------------------------------------------------------------------------------- each character of a good token


def test_no_token_with_a_character_less_or_more_is_accepted() -> None:
    good = ISSUING.token()
    keys = keys_of(API_SETTINGS)
    changes = [good[:n] + good[n + 1 :] for n in range(len(good))]
    changes += [good[: n + 1] + good[n:] for n in range(len(good))]
    for token in changes:
        with pytest.raises(AuthError) as error:
            drive(authenticate_token(token, API_SETTINGS, keys), Moment(NOW, 0.0), DOCUMENTS)
        assert (error.value.status, error.value.code) == (401, "invalid_token")


def test_no_other_last_character_means_the_same_signature() -> None:
    good = ISSUING.token()
    keys = keys_of(API_SETTINGS)
    for character in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=":
        if character != good[-1]:
            with pytest.raises(AuthError):
                drive(authenticate_token(good[:-1] + character, API_SETTINGS, keys), Moment(NOW, 0.0), DOCUMENTS)


# ---------------------------------------------------------------------------------------------- nothing foreign escapes

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.sampled_from([ISSUER, API, int(NOW), "a b", "gold"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("absub", max_size=3), inner, max_size=3),
    max_leaves=6,
)
CLAIMS = st.dictionaries(
    st.sampled_from(
        "iss sub aud exp nbf iat jti azp client_id scope permissions gty org_id org_name act cnf nonce events acr "
        "auth_time".split()
    ),
    JSON,
    max_size=4,
)
AT_HAND = keys_of(API_SETTINGS)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CLAIMS, st.booleans())
def test_a_rightly_signed_token_with_any_claims_has_an_answer_of_ours(claims: dict[str, Any], rfc9068: bool) -> None:
    token = (ISSUING.rfc9068_token if rfc9068 else ISSUING.token)(**claims)
    error = None
    try:
        bearer = drive(authenticate_token(token, API_SETTINGS, AT_HAND), Moment(NOW, 0.0), DOCUMENTS)
        # Everything that can be read of it can be read, whatever it says.
        assert [repr(bearer), bearer.expires_at, bearer.issued_at, bearer.is_machine, bearer.audience, bearer.client_id]
        assert bearer.actor is None or [repr(link) for link in bearer.actor]
        bearer.require(scope("a") | permission("b") | claim("acr", True, 1) | authenticated(acr="gold", max_age=60))
    except AuthError as refusal:
        error = refusal
    if error is not None:
        assert error.refusal is not None
        assert str(error).isprintable()
        assert str(error).isascii()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_metadata_and_any_key_set_have_an_answer_of_ours(document: bytes) -> None:
    for url in (ISSUING.discovery_url, ISSUING.jwks_uri):
        with pytest.raises(KeysUnavailable):
            ask(ISSUING.token(), {**DOCUMENTS, url: document})


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from("kty crv n e x y kid use alg key_ops d k".split()), JSON, max_size=8), st.booleans()
)
def test_any_key_beside_a_good_one_harms_nobody(jwk: dict[str, Any], based: bool) -> None:
    odd = {**ISSUING.key().jwk(kid="odd"), **jwk} if based else jwk
    documents = {**DOCUMENTS, ISSUING.jwks_uri: json.dumps({"keys": [odd, signing_key("RSA", 2).jwk()]}).encode()}
    assert ask(Issuing(number=2).token(), documents).subject


def test_what_a_failed_fetch_says_is_in_the_log_and_in_no_answer() -> None:
    documents = {**DOCUMENTS, ISSUING.jwks_uri: FetchFailed("status 500")}
    with pytest.raises(KeysUnavailable) as error:
        ask(ISSUING.token(), documents)
    assert "status 500" in str(error.value)
    assert "500" not in repr(error.value.headers) + repr(error.value.body)
    assert refused(ISSUING.token(), {}) == "KeysUnavailable"
    assert refused(ISSUING.token(header={"kid": ABSENT}), {}) == "KeysUnavailable"


# ------------------------------------------------------------------------------------------------- what is asked for


GIVEN = ApiSettings(identifier=API, issuers=[Issuer(ISSUER, jwks=ISSUING.jwks(ISSUING.key().jwk()))])


def test_with_given_keys_and_a_time_nothing_is_asked_for() -> None:
    request = Request("GET", "https://api.test/", [("Authorization", f"Bearer {ISSUING.token()}")])
    moment = Moment(NOW, 0.0)
    for flow in (
        authenticate_token(ISSUING.token(), GIVEN, keys_of(GIVEN), moment=moment),
        authenticate(request, GIVEN, keys_of(GIVEN), moment=moment),
    ):
        with pytest.raises(StopIteration) as end:
            next(flow)
        assert (end.value.value.checked_at, end.value.value.raw) == (NOW, ISSUING.token())


def test_a_resolver_sees_the_request_of_an_encrypted_token_too() -> None:
    seen: list[object] = []

    def resolve(stated: str, request: Request | None) -> Issuer:
        seen.append(request)
        return GIVEN.issuers[0]

    to = ApiSettings(identifier=API, resolver=resolve, decryption_keys=private_jwk())
    request = Request("GET", "https://api.test/", [("Authorization", f"Bearer {seal(ISSUING.token())}")])
    token = drive(authenticate(request, to, keys_of(to)), Moment(NOW, 0.0))
    assert (token.issuer, seen) == (ISSUER, [request])
    assert request.headers == [("Authorization", f"Bearer {token.raw}")]


def test_of_encrypted_tokens_too_the_first_makes_the_next_no_easier() -> None:
    to = ApiSettings(identifier=API, issuers=GIVEN.issuers, decryption_keys=private_jwk(), token_memory_bytes=0)
    keys = keys_of(to)
    outcomes = []
    for changes in ({"sub": "a"}, {"sub": "b"}, {"exp": 1}, {"aud": "x"}):
        try:
            flow = authenticate_token(seal(ISSUING.token(**changes)), to, keys)
            outcomes.append(drive(flow, Moment(NOW, 0.0)).subject)
        except AuthError as error:
            outcomes.append(type(error).__name__)
    assert outcomes == ["a", "b", "TokenExpired", "WrongAudience"]


def test_what_a_request_brought_can_be_asked_for_more() -> None:
    raw = ISSUING.token(auth_time=int(NOW) - 80)
    request = Request("GET", "https://api.test/", [("Authorization", f"Bearer {raw}")])
    for flow in (authenticate(request, GIVEN, keys_of(GIVEN)), authenticate_token(raw, GIVEN, keys_of(GIVEN))):
        token = drive(flow, Moment(NOW, 0.0))
        assert (token.allows(authenticated(max_age=60)), token.allows(authenticated(max_age=40))) == (True, False)
        with pytest.raises(AuthError) as refused:
            token.require("b")
        assert refused.value.refusal is not None


def test_an_encrypted_token_is_opened_up_to_the_limit() -> None:
    sealed = seal(ISSUING.token())
    for limit, outcome in ((len(sealed), "ok"), (len(sealed) - 1, "TokenTooLarge")):
        to = ApiSettings(identifier=API, issuers=GIVEN.issuers, decryption_keys=private_jwk(), max_token_bytes=limit)
        try:
            found = drive(authenticate_token(sealed, to, keys_of(to)), Moment(NOW, 0.0)).issuer and "ok"
        except AuthError as error:
            found = type(error).__name__
        assert found == outcome


def test_an_encrypted_token_that_expires_while_keys_are_waited_for_is_refused() -> None:
    to = ApiSettings(identifier=API, issuers=[Issuer(ISSUER)], decryption_keys=private_jwk())
    keys, documents, end = keys_of(to), ISSUING.documents(), int(NOW) + 2_000
    sealed, another = seal(ISSUING.token(exp=end)), ISSUING.token(exp=end + 9_000)
    for token in (sealed, another):
        drive(authenticate_token(token, to, keys), MOMENT, documents)
    before = Moment(end + to.leeway - 1, MOMENT.monotonic + 1_500)  # the keys are late: this request waits for new ones
    after = Moment(before.wall + 2, before.monotonic + 2)
    flow = authenticate_token(sealed, to, keys, moment=before)
    effect = next(flow)
    assert isinstance(effect, LoadKeys)
    drive(effect.keys.load(effect.keys.begin(), before), before, documents)
    drive(authenticate_token(another, to, keys), before, documents)  # its head is known, with the new keys
    with pytest.raises(TokenExpired):
        drive(flow, after, documents)
