"""Every way in which a request can be refused: the tree is as drawn, and the client hears fixed sentences only."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest

from jwtgate.core import errors
from jwtgate.core.errors import (
    AmbiguousKey,
    AuthError,
    BadSignature,
    BindingRejected,
    CertificateRejected,
    ClaimRejected,
    EncryptedToken,
    HeaderRejected,
    InsufficientAuthentication,
    InsufficientScope,
    InvalidForwarding,
    InvalidProof,
    InvalidRequest,
    InvalidToken,
    JwtGateError,
    KeysUnavailable,
    MalformedToken,
    MissingCredentials,
    NonceRequired,
    OpaqueToken,
    ProofBesideBearer,
    ProofReplayed,
    Refusal,
    RevokedToken,
    SettingsError,
    StoreUnavailable,
    TokenExpired,
    TokenTooLarge,
    TooManyProofs,
    Unavailable,
    UndecryptableToken,
    UnknownKey,
    UntrustedIssuer,
    WrongAudience,
    WrongTokenKind,
    listed,
    shown,
)

HOSTILE = 'eyJ\r\nSet-Cookie: a="b" \x1b[31m\u2028 \ud800' + "A" * 5_000

# One of each class, with hostile text wherever text can come from a token or a request.
EXAMPLES = [
    MissingCredentials(),
    InvalidRequest("two credentials"),
    ProofBesideBearer(),
    InvalidForwarding("Forwarded", "two of them"),
    InvalidToken("the base"),
    MalformedToken("payload", "empty"),
    TokenTooLarge(20_000, 16_384),
    OpaqueToken("an opaque token"),
    EncryptedToken(HOSTILE),
    UndecryptableToken(),
    HeaderRejected("alg", "RS256", HOSTILE),
    UnknownKey(HOSTILE, "https://issuer.test/", [HOSTILE] * 9),
    AmbiguousKey(HOSTILE, "https://issuer.test/"),
    BadSignature(HOSTILE, "RS256"),
    WrongTokenKind("an ID token", "nonce"),
    ClaimRejected("sub", "a string", {"sub": HOSTILE}),
    TokenExpired(1_000, 2_000.0, 30),
    UntrustedIssuer("iss", "https://issuer.test/", HOSTILE),
    WrongAudience("aud", "https://api.test/", [HOSTILE] * 9),
    BindingRejected("a thumbprint", HOSTILE, "another key"),
    CertificateRejected("a thumbprint", HOSTILE),
    RevokedToken("jti", HOSTILE),
    InvalidProof("htu", "https://api.test/", HOSTILE),
    NonceRequired("nonce-1", HOSTILE),
    ProofReplayed(HOSTILE),
    TooManyProofs("thumbprint", 7),
    InsufficientScope(("read:messages",), ("read:messages",)),
    InsufficientAuthentication(("gold",), 300, ("acr is missing",)),
    Unavailable("the base"),
    KeysUnavailable("https://issuer.test/", "status 500", 4.0),
    StoreUnavailable("no answer"),
]


def name_of(error: object) -> str:
    return type(error).__name__


def drawn() -> dict[str, tuple[str, int | None]]:
    """From the module's docstring: by class, its parent and its status."""
    lines = re.findall(r"^([│├└─ ]*)(\w+)(?: +(\d{3}))?(?: {2,}|$)", errors.__doc__ or "", re.MULTILINE)
    tree: dict[str, tuple[str, int | None]] = {}
    above: list[str] = []
    for rails, name, status in lines:
        if not rails and name != "JwtGateError":
            continue
        depth = len(rails) // 4
        above = [*above[:depth], name]
        parent = above[depth - 1] if depth else "Exception"
        inherited = tree[parent][1] if depth else None
        tree[name] = parent, int(status) if status else inherited
    return tree


def classes() -> dict[str, type[JwtGateError]]:
    members = inspect.getmembers(errors, inspect.isclass)
    return {name: of for name, of in members if issubclass(of, JwtGateError)}


def test_the_tree_is_as_drawn() -> None:
    found = {
        name: (of.__mro__[1].__name__, of.status if issubclass(of, AuthError) and of is not AuthError else None)
        for name, of in classes().items()
    }
    assert found == drawn()


def test_there_is_an_example_of_every_refusal() -> None:
    refusals = {name for name, of in classes().items() if issubclass(of, AuthError) and of is not AuthError}
    assert {name_of(error) for error in EXAMPLES} == refusals


@pytest.mark.parametrize("error", EXAMPLES, ids=name_of)
def test_the_client_hears_a_fixed_sentence(error: AuthError) -> None:
    # RFC 6750 section 3: what an error_description may hold. MissingCredentials has no code, so nothing to describe.
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", error.sentence) or error.code is None
    assert "sentence" not in vars(error)
    assert "code" not in vars(error)
    assert "status" not in vars(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=name_of)
def test_the_log_gets_one_line_of_printable_ascii(error: AuthError) -> None:
    assert re.fullmatch(r"[\x20-\x7e]+", str(error))
    assert len(str(error)) < 700
    assert "A" * 100 not in str(error)


@pytest.mark.parametrize("error", [*EXAMPLES, SettingsError("leeway", "must be 0 to 300 seconds", 301)], ids=name_of)
@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_an_error_is_the_same_in_another_process(error: JwtGateError, again: Callable[[Any], JwtGateError]) -> None:
    other = again(error)
    assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))
    assert other is not error


def test_one_name_is_no_list_of_letters() -> None:
    scopes = InsufficientScope("read:messages", "read:messages", "it is Sunday")
    assert vars(scopes) == vars(InsufficientScope(["read:messages"], ["read:messages"], ["it is Sunday"]))
    assert str(scopes) == "missing 'read:messages'; it is Sunday"
    login = InsufficientAuthentication("gold", None, "acr is missing")
    assert vars(login) == vars(InsufficientAuthentication(["gold"], None, ["acr is missing"]))
    assert str(login) == "acr is missing"


@pytest.mark.parametrize("error", EXAMPLES, ids=name_of)
def test_an_error_that_no_verifier_has_seen_answers_nothing_yet(error: AuthError) -> None:
    assert (error.refusal, error.headers, error.body, error.logged) == (None, (), b"{}", False)


@pytest.mark.parametrize("error", EXAMPLES, ids=name_of)
def test_its_event_is_its_name(error: AuthError) -> None:
    assert error.event == name_of(error)


def test_an_error_tells_its_refusal() -> None:
    error = InvalidToken("spoilt")
    error.refusal = Refusal(401, (("WWW-Authenticate", "Bearer"),), b'{"error":"invalid_token"}')
    assert error.headers == (("WWW-Authenticate", "Bearer"),)
    assert error.body == b'{"error":"invalid_token"}'


def test_a_refusal_of_settings_is_a_value_error_and_no_refusal_of_a_request() -> None:
    assert issubclass(SettingsError, ValueError)
    assert not issubclass(SettingsError, AuthError)


def hinted(claim: str, expected: str, actual: object, hint: str = "") -> dict[str, object]:
    return {"claim": claim, "expected": expected, "actual": actual, "hint": hint}


def proof(part: str, actual: object, **more: object) -> dict[str, object]:
    return {"part": part, "actual": actual, **more}


@pytest.mark.parametrize(
    ("kind", "given", "data", "told"),
    [
        (
            SettingsError,
            ("a", "must be 1", 301),
            {"setting": "a", "rule": "must be 1", "actual": 301},
            "a: must be 1 301",
        ),
        (SettingsError, ("a", "be 1"), {"setting": "a", "rule": "be 1", "actual": None}, "a: be 1"),
        (MissingCredentials, ("nothing",), {"reason": "nothing"}, "nothing"),
        (InvalidRequest, ("two",), {"reason": "two"}, "two"),
        (InvalidForwarding, ("Via", "two"), {"field": "Via"}, "Via: two"),
        (MalformedToken, ("header", "empty"), {"part": "header", "reason": "empty"}, "header: empty"),
        (TokenTooLarge, (9, 8), {"part": "token", "size": 9, "limit": 8}, "9 8"),
        (OpaqueToken, ("opaque",), {"kind": "opaque"}, "opaque"),
        (EncryptedToken, ("dir",), {"algorithm": "dir"}, "'dir'"),
        (HeaderRejected, ("alg", "A", "B"), {"parameter": "alg", "expected": "A", "actual": "B"}, "'alg' A 'B'"),
        (UnknownKey, ("k", "https://a/"), {"kid": "k", "issuer": "https://a/"}, "'k' 'https://a/' none"),
        (UnknownKey, (None, "https://a/"), {"kid": None, "issuer": "https://a/"}, "'https://a/' none"),
        (AmbiguousKey, ("k", "https://a/"), {"kid": "k", "issuer": "https://a/"}, "'k' 'https://a/'"),
        (AmbiguousKey, (None, "https://a/"), {"kid": None, "issuer": "https://a/"}, "'https://a/'"),
        (BadSignature, ("k", "RS256"), {"kid": "k", "algorithm": "RS256"}, "RS256 'k'"),
        (WrongTokenKind, ("an ID token", "nonce"), {"kind": "an ID token", "claim": "nonce"}, "an ID token 'nonce'"),
        (ClaimRejected, ("sub", "A", 5, "why"), hinted("sub", "A", 5, "why"), "'sub' A 5 (why)"),
        (ClaimRejected, ("sub", "A", 5), hinted("sub", "A", 5), "'sub' A 5"),
        (TokenExpired, (10, 50.0, 30), {"claim": "exp", "actual": 10, "now": 50.0, "leeway": 30}, "'exp' 50 10 40 30"),
        (BindingRejected, ("A", "B", "why"), hinted("cnf", "A", "B", "why"), "'cnf' A 'B' (why)"),
        (BindingRejected, ("A", "B"), hinted("cnf", "A", "B"), "'cnf' A 'B'"),
        (RevokedToken, ("jti", "1"), {"by": "jti", "value": "1"}, "jti '1'"),
        (InvalidProof, ("htu", "A", "B"), proof("htu", "B", expected="A"), "htu: A 'B'"),
        (InvalidProof, ("htu", "A"), proof("htu", None, expected="A"), "htu: A"),
        (NonceRequired, ("n-1", "B"), proof("nonce", "B", nonce="n-1"), "nonce: 'B'"),
        (ProofReplayed, ("id",), proof("jti", "id"), "jti: 'id'"),
        (TooManyProofs, ("thumb", 7), proof("jwk", "thumb", limit=7), "jwk: 7 'thumb'"),
        (
            InsufficientScope,
            (["a", "b"], ["b"], ["org_id must be 1"], "why"),
            {"names": ("a", "b"), "missing": ("b",), "unmet": ("org_id must be 1",), "hint": "why"},
            "'b'; org_id must be 1 (why)",
        ),
        (InsufficientScope, (), {"names": (), "missing": (), "unmet": (), "hint": ""}, ""),
        (
            InsufficientAuthentication,
            (["gold"], 60, ["too old", "too weak"]),
            {"acr_values": ("gold",), "max_age": 60, "unmet": ("too old", "too weak")},
            "too old; too weak",
        ),
        (InsufficientAuthentication, (), {"acr_values": (), "max_age": None, "unmet": ()}, ""),
        (Unavailable, ("status 500",), {"reason": "status 500", "retry_after": 1.0}, "status 500"),
        (KeysUnavailable, ("https://a/", "why", 7.0), {"issuer": "https://a/", "retry_after": 7.0}, "'https://a/' why"),
        (KeysUnavailable, ("https://a/", "why"), {"issuer": "https://a/", "retry_after": 1.0}, "'https://a/' why"),
        (StoreUnavailable, ("silence", 7.0), {"retry_after": 7.0}, "silence"),
        (StoreUnavailable, ("silence",), {"retry_after": 1.0}, "silence"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_an_error_carries_its_data_and_its_text_tells_them(
    kind: type[JwtGateError], given: tuple[Any, ...], data: dict[str, object], told: str
) -> None:
    error = kind(*given)
    assert {name: getattr(error, name) for name in data} == data
    told_in_order = ".*".join(rf"(?<![\w']){re.escape(fact)}(?!\w)" for fact in told.split())
    assert re.search(told_in_order, str(error))
    assert ("None" in str(error), "()" in str(error)) == (False, False)
    if not told:
        assert str(error) == ""


def test_of_the_keys_that_there_are_four_are_told() -> None:
    assert str(UnknownKey("k", "i", [*"abcde"])).endswith(listed([*"abcd"]))


@pytest.mark.parametrize(
    "value", ["", "plain", "a\r\nb", "\ud800", "é" * 500, "'" * 500, b"\xff" * 500, ["x" * 500], 10**200, None]
)
def test_foreign_text_is_shown_short_and_in_ascii(value: object) -> None:
    assert re.fullmatch(r"[\x20-\x7e]{1,100}", shown(value))


def test_what_is_short_is_shown_whole() -> None:
    assert shown("x" * 98) == "'" + "x" * 98 + "'"
    assert shown("x" * 99) == "'" + "x" * 98 + "~"


def test_several_values_are_listed() -> None:
    assert listed(["a", 1, None]) == "'a', 1, None"
