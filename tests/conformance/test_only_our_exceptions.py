"""Whatever a public function is given, nothing leaves the package but its own errors; whole requests likewise.

What is meant by "its own": a `JwtGateError`. A call that does not fit the signature is a TypeError of Python's own, and
is not made here. An object that the caller brings to be called later (a clock, an HTTP client, `on_event`, a store, a
resolver, a callable key) raises what it likes. All other exceptions to the rule stand in `EXCUSED`, with their reason.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import warnings
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import jwtgate
from jwtgate import (
    AccessToken,
    ApiSettings,
    AsyncVerifier,
    AuthError,
    DecryptionKey,
    Issuer,
    JwtGateError,
    ProofOfPossession,
    Request,
    Verifier,
    all_of,
    any_of,
    authenticated,
    claim,
    permission,
    scope,
)
from jwtgate.core.jwk import thumbprint
from tests.making import API, NOW, SECRET, Issuing, base64url, compact, segment, signing_key

ISSUING = Issuing()
GOOD = ISSUING.token()
TARGET = f"{API}messages"
PEM = signing_key("RSA", 2).private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
OWN = signing_key("P-256", 2)
# The same examples each time; and as they were found, since to make a whole request smaller takes minutes.
STEADY: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "phases": [Phase.explicit, Phase.generate],
    "suppress_health_check": list(HealthCheck),
}
FEW = settings(max_examples=60, **STEADY)
MANY = settings(max_examples=250, **STEADY)


class Clock:
    """It always stands at NOW."""

    def wall(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return 0.0


# --- what is public -------------------------------------------------------------------------------------------------

ERRORS = {
    name for name in jwtgate.__all__ if inspect.isclass(cls := getattr(jwtgate, name)) and issubclass(cls, Exception)
}

# By the name of a function, or by that of a class for its constructor: why it may raise what is not ours.
EXCUSED: dict[str, str] = {
    **dict.fromkeys(ERRORS, "whoever raises an error fills it; what can be read of it is tested below"),
    "AccessToken": "made by a verifier alone, of what it has checked",
    "Actor": "made by an AccessToken alone, of a claim that was checked",
    "Cause": "an enumeration: ValueError, as with any",
    "Examination": "made by a verifier alone",
    "Examination.finding": "KeyError, as with any mapping, for a name that is none",
    "Finding": "made by a verifier alone",
    "Requirement": "takes nothing: a base class",
    "Requirement.report": "called with an AccessToken by the AccessToken itself",
    "ApiSettings.policy_of": "called with an Issuer by the verifier; public for who writes an adapter",
    "ApiSettings.secret_of": "as policy_of",
    "ApiSettings.check_issuer": "as policy_of",
    "Issuer.read_keys": "ValueError is its answer to a document without a usable key",
    "Issuer.given_keys": "called with algorithms by the settings",
    "DecryptionKey.fits": "called with a token's `alg` by the flow",
    "DecryptionKey.unwrap": "called with a token's encrypted key by the flow",
}


def public() -> dict[str, Callable[..., Any]]:
    """Every public function, method and constructor of the package's face."""
    found: dict[str, Callable[..., Any]] = {}
    for name in jwtgate.__all__:
        value = getattr(jwtgate, name)
        found[name] = value
        if not inspect.isclass(value):
            continue
        for member in dir(value):
            method = inspect.getattr_static(value, member)
            function = getattr(method, "__func__", method)
            own = inspect.isfunction(function) and function.__module__.startswith("jwtgate")
            if own and (not member.startswith("_") or member in OPERATORS):
                found[f"{name}.{member}"] = getattr(value, member)
    return found


OPERATORS = ("__and__", "__or__", "__rand__", "__ror__")
CALLED = {name: function for name, function in public().items() if name not in EXCUSED}


def test_each_excuse_is_of_something_public() -> None:
    assert set(EXCUSED) <= set(public())


# --- arguments ------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(categories=None), max_size=20) | st.sampled_from(
    [
        "",
        " ",
        "a",
        "\ud800",
        "\r\n",
        "https://issuer.test/",
        "issuer.test",
        "RS256",
        "none",
        "dpop",
        "read:messages",
        GOOD,
        API,
    ]
)
hashables = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), texts, st.binary(max_size=20), st.just(10**400)
)
objects = st.sampled_from(
    [object(), object, len, lambda *_: None, Clock(), Path(), Ellipsis, NotImplemented, range(3), ISSUING, scope("a")]
)
anything = st.recursive(
    hashables | objects,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(hashables, inner, max_size=3),
        st.frozensets(hashables, max_size=3),
    ),
    max_leaves=5,
)
addresses = st.sampled_from(
    ["https://issuer.test/", "http://localhost:8000/", "https://a.test/x?y", "https://[::1]/", "http://a"]
)
keys = st.sampled_from(
    [
        ISSUING.jwks(),
        json.dumps(ISSUING.jwks()),
        signing_key().jwk(),
        {"keys": []},
        {"keys": [None]},
        b"{",
        PEM,
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
    ]
)
algorithms = st.lists(st.sampled_from(["RS256", "PS256", "ES256", "HS256", "EdDSA", "none"]), max_size=2)
names = st.lists(st.sampled_from(["a", "read:messages", "é", "a b", '"', ""]), max_size=3)
issuers = st.lists(
    st.sampled_from([Issuer(ISSUING.url), Issuer(ISSUING.url, jwks=ISSUING.jwks()), Issuer("https://b.test/")]),
    max_size=2,
)

# By the name of a parameter, what it is meant to be given; anything else is tried as well.
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "accept_typ": st.sampled_from([["jose"], [None], "jose"]),
    "acr": names,
    "algorithms": algorithms,
    "certificate_header": st.sampled_from(["Client-Cert", "X-Forwarded-Client-Cert", "X-Own", "authorization", "a b"]),
    "content_encryption_algorithms": st.sampled_from([["A256GCM"], ["A128CBC-HS256"], []]),
    "decryption_keys": st.sampled_from(
        [PEM, [PEM], [PEM.decode()], [Path("none")], [lambda *_: None], [b"-----BEGIN "]]
    ),
    "domain": st.sampled_from(["tenant.eu.auth0.com", ["tenant.eu.auth0.com"], "http://localhost:8000", "a"]),
    "dpop_algorithms": algorithms,
    "dpop_nonce_key": st.sampled_from([SECRET, b"short", bytes(32)]),
    "dpop_nonce_lifetime": st.integers(-1, 1_000),
    "dpop_window": st.integers(-1, 1_000),
    "encryption_algorithms": st.sampled_from([["RSA-OAEP-256"], ["RSA1_5"], ["dir"]]),
    "environ": st.dictionaries(
        st.sampled_from(
            ["AUTH0_DOMAIN", "AUTH0_AUDIENCE", "JWTGATE_LEEWAY", "JWTGATE_SIGNING_SECRET", "JWTGATE_REALMS"]
        ),
        texts,
    ),
    "expires": st.floats() | st.integers(),
    "identifier": st.sampled_from([API, [API, "b"], []]),
    "issuer": st.sampled_from([ISSUING.url, "https://b.test/"]),
    "issuers": issuers,
    "jti": texts,
    "jwks": keys,
    "jwks_file": st.sampled_from(["none.json", Path("none.json"), "/", "\0"]),
    "jwks_uri": addresses,
    "key": keys | st.sampled_from([PEM, PEM.decode(), Path("none"), Path("/"), lambda *_: None]),
    "kid": texts,
    "leeway": st.integers(-1, 400) | st.floats(),
    "max_age": st.integers(),
    "max_token_bytes": st.integers(0, 10**7),
    "mechanisms": st.sampled_from(["dpop", ("dpop", "mtls"), (), "other"]),
    "metadata_url": addresses,
    "name": names.map("".join) | st.sampled_from(["authorization", "dpop"]),
    "names": names,
    "not_before": st.floats() | st.integers(),
    "offline": st.booleans(),
    "password": texts,
    "permissions": names | st.dictionaries(texts, texts, max_size=2),
    "profile": st.sampled_from(["auth0", "rfc9068", "other"]),
    "proof_of_possession": st.sampled_from(
        ["dpop", ["mtls"], {"mechanism": "dpop", "required": True}, ProofOfPossession("dpop")]
    ),
    "proxy_headers": st.sampled_from(
        [["Forwarded"], ["X-Forwarded-Proto"], ["X-Own"], ["Forwarded", "X-Forwarded-Host"]]
    ),
    "public_url": addresses,
    "realm": texts,
    "request": st.deferred(lambda: requests),
    "requirement": st.deferred(lambda: requirements),
    "required": st.booleans(),
    "requirements": st.deferred(lambda: st.lists(requirements | texts, max_size=3)),
    "resource_metadata_url": addresses,
    "resource_server": st.dictionaries(
        st.sampled_from(
            ["identifier", "signing_alg", "token_dialect", "scopes", "token_lifetime", "proof_of_possession"]
        ),
        texts | st.sampled_from(["RS256", "access_token", [{"value": "a"}], 60, {"mechanism": "dpop"}]),
    ),
    "revocation_delay": st.floats() | st.integers(-1, 100),
    "revocation_outage": st.sampled_from(["serve", "refuse", "x"]),
    "settings": st.deferred(lambda: st.sampled_from([verifier(kind).settings for kind in KINDS])),
    "signing_algorithms": algorithms,
    "signing_secret": st.sampled_from([SECRET, b"short", SECRET.decode(), bytes(32)]),
    "snapshot": st.sampled_from([b"{}", b"\xff", "none/none", Path("/")]),
    "store": st.sampled_from(["memory://", "redis:/", "mysql://"]),
    "subject": texts,
    "token": st.deferred(lambda: near_tokens) | st.sampled_from([GOOD]),
    "token_lifetime": st.integers(),
    "trusted_proxies": st.sampled_from([["10.0.0.0/8"], ["unix"], ["10.0.0.1/8"], ["::/0"], "10.0.0.0/8"]),
    "url": addresses,
    "values": st.lists(hashables, max_size=3),
    "headers": st.deferred(lambda: header_lines),
    "method": st.sampled_from(["GET", "get", "POST"]),
    "client": st.sampled_from(["10.0.0.1", "::1", "", "unix"]),
    "client_certificate": st.binary(max_size=40),
}
# The caller's own objects, which raise what they like.
THEIRS = {"clock": st.sampled_from([None, Clock()]), "http": st.none(), "on_event": st.none()}


def arguments(function: Callable[..., Any]) -> st.SearchStrategy[tuple[list[Any], dict[str, Any]]]:
    """Positional and named arguments that fit the signature: as meant, or anything at all, or left out."""
    positional: list[st.SearchStrategy[list[Any]]] = []
    named: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "self":
            continue
        value = THEIRS[name] if name in THEIRS else LIKELY.get(name, anything) | anything
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            positional.append(LIKELY.get(name, st.lists(anything, max_size=3)) | st.lists(anything, max_size=3))
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            optional |= {key: LIKELY[key] | anything for key in ("jwks_uri", "leeway", "identifier")}  # of `Issuer`
        elif parameter.default is not inspect.Parameter.empty:
            optional[name] = value
        elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            named[name] = value
        else:
            positional.append(value.map(lambda one: [one]))
    before = st.tuples(*positional).map(lambda parts: [one for part in parts for one in part])
    return st.tuples(before, st.fixed_dictionaries(named, optional=optional))


# --- whose methods they are -----------------------------------------------------------------------------------------

KINDS: dict[str, dict[str, Any]] = {
    "bearer": {},
    "senders": {
        "proof_of_possession": ("dpop", "mtls"),
        "dpop_algorithms": ["ES256", "RS256", "EdDSA"],
        "trusted_proxies": ["10.0.0.0/8", "unix"],
        "proxy_headers": ["Forwarded"],
        "certificate_header": "Client-Cert",
        "decryption_keys": [PEM],
    },
    "others": {
        "proof_of_possession": ProofOfPossession(("dpop", "mtls"), required=True),
        "dpop_nonce_key": SECRET,
        "trusted_proxies": ["0.0.0.0/1", "128.0.0.0/1", "unix"],
        "proxy_headers": ["X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix"],
        "certificate_header": "X-Forwarded-Client-Cert",
        "resolver": lambda stated, request: None,
        "permissions_in_token": True,
    },
}


def settings_of(kind: str) -> ApiSettings:
    given = [
        Issuer(ISSUING.url, jwks=ISSUING.jwks(), signing_algorithms=["RS256", "ES256", "EdDSA"], accept_typ=[None])
    ]
    return ApiSettings(identifier=API, issuers=given, **KINDS[kind])


@functools.cache
def verifier(kind: str = "bearer") -> Verifier:
    return Verifier(settings_of(kind), clock=Clock())


@functools.cache
def async_verifier(kind: str = "bearer") -> AsyncVerifier:
    return AsyncVerifier(settings_of(kind), clock=Clock())


def good_token() -> AccessToken:
    return verifier().verify(ISSUING.token(act={"sub": "x", "act": {}}, permissions=["a"], acr="gold", org_id="org"))


requirements = st.sampled_from(
    [
        scope("a"),
        permission("a", "b"),
        claim("a", 1, None),
        authenticated(acr="gold", max_age=5),
        scope("a") & "b",
        all_of("a"),
        any_of(scope("a"), claim("org_id", "org")),
    ]
)
INSTANCES: dict[str, st.SearchStrategy[Any]] = {
    "AccessToken": st.builds(good_token),
    "Actor": st.builds(lambda: good_token().actor),
    "ApiSettings": st.sampled_from([settings_of(kind) for kind in KINDS]),
    "AsyncVerifier": st.builds(async_verifier, st.sampled_from(sorted(KINDS))),
    "DecryptionKey": st.builds(lambda: DecryptionKey(PEM)),
    "Examination": st.deferred(lambda: st.builds(lambda one: verifier().explain(one), near_tokens)),
    "Finding": st.deferred(lambda: st.builds(lambda one: verifier().explain(one).findings[-1], near_tokens)),
    "Issuer": st.builds(lambda: Issuer(ISSUING.url, jwks=ISSUING.jwks())),
    "ProofOfPossession": st.builds(lambda: ProofOfPossession(("dpop",))),
    "Request": st.deferred(lambda: requests),
    "Requirement": requirements,
    "Verifier": st.builds(verifier, st.sampled_from(sorted(KINDS))),
}


@pytest.mark.parametrize("name", CALLED)
@FEW
@given(st.data())
def test_a_public_function_raises_nothing_but_our_errors(name: str, data: st.DataObject) -> None:
    before, named = data.draw(arguments(CALLED[name]))
    owner, _, member = name.partition(".")
    function = CALLED[name]
    if member and not inspect.ismethod(function):
        function = getattr(data.draw(INSTANCES[owner]), member)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a short secret is admitted with a warning
        try:
            found = function(*before, **named)
            if inspect.iscoroutine(found):
                asyncio.run(wait(found))
        except JwtGateError as error:
            said(error)


async def wait(found: Any) -> Any:
    return await found


@pytest.mark.parametrize("name", INSTANCES)
@FEW
@given(st.data())
def test_what_can_be_read_of_a_value_can_be_read(name: str, data: st.DataObject) -> None:
    value = data.draw(INSTANCES[name])
    assert repr(value).isprintable()
    for attribute in dir(type(value)):
        if not attribute.startswith("_"):
            getattr(value, attribute)


def said(error: JwtGateError, answered: bool = False) -> None:
    """All that can be asked of an error, for the log and for the client. answered: a verifier has seen it."""
    assert getattr(error, "refusal", None) is not None or not answered
    assert str(error).isascii()
    assert str(error).isprintable()
    if isinstance(error, AuthError):
        assert all(text.isascii() and text.isprintable() for line in error.headers for text in line)
        assert isinstance(json.loads(error.body), dict)
        assert error.event
        assert 400 <= error.status <= 503


# --- tokens and whole requests --------------------------------------------------------------------------------------

members = st.dictionaries(
    st.sampled_from("alg kid typ cty crit enc iss sub aud exp iat nbf jti htm htu ath nonce cnf jwk act scope".split())
    | texts,
    anything.filter(lambda value: is_json(value)),
    max_size=5,
)


def is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


segments = st.one_of(
    members.map(segment),
    members.map(lambda changes: segment({**ISSUING.header(), **changes})),
    members.map(lambda changes: segment({**ISSUING.claims(), **changes})),
    st.binary(max_size=20).map(segment),
    texts,
    st.sampled_from(GOOD.split(".")),
)
signed_tokens = st.builds(
    lambda header, claims: compact(
        {**ISSUING.header("ES256"), **header}, {**ISSUING.claims(), **claims}, ISSUING.key("ES256"), "ES256"
    ),
    members,
    members,
)
ENCRYPTED = {"alg": "RSA-OAEP-256", "enc": "A256GCM"}
near_encrypted = st.builds(
    lambda header, parts: ".".join([segment({**ENCRYPTED, **header}), *map(segment, parts)]),
    members,
    st.lists(st.sampled_from([b"", bytes(12), bytes(16), bytes(256), b"\xff" * 256]), min_size=4, max_size=4),
)
near_tokens = st.lists(segments, max_size=6).map(".".join) | signed_tokens | near_encrypted
CERTIFICATE = bytes(range(60))
JKT = thumbprint(OWN.jwk())
BOUND = ISSUING.token(cnf={"jkt": JKT, "x5t#S256": base64url(sha256(CERTIFICATE).digest())})
PROOF = {"jti": "a", "htm": "GET", "htu": TARGET, "iat": int(NOW), "ath": base64url(sha256(BOUND.encode()).digest())}
near_proofs = st.builds(
    lambda header, claims: compact(
        {"typ": "dpop+jwt", "alg": "ES256", "jwk": OWN.jwk(), **header}, {**PROOF, **claims}, OWN, "ES256"
    ),
    members,
    members,
)
elements = st.sampled_from(
    [
        *'for proto host = ; , " \\ 10.0.0.1 [::1] https api.test By Hash Subject Cert - _ % %2B : MIIB'.split(),
        " ",
        "for=10.0.0.1;proto=https",
        'Cert="%0A"',
        ":AAAA:",
        "-----BEGIN CERTIFICATE-----",
    ]
)
values = st.one_of(
    near_tokens.map(lambda token: f"Bearer {token}"),
    near_tokens.map(lambda token: f"DPoP {token}"),
    near_proofs,
    st.lists(elements, max_size=8).map("".join),
    texts,
)
lines = st.sampled_from(
    "Authorization authorization DPoP Forwarded X-Forwarded-Proto X-Forwarded-Host X-Forwarded-Prefix "
    "X-Forwarded-Client-Cert Client-Cert Host Cookie".split()
)
header_lines = st.lists(st.tuples(lines | texts, values), max_size=5)
peers = st.sampled_from([None, "10.0.0.1", "192.0.2.1"])
any_requests = st.builds(
    Request,
    st.sampled_from(["GET", "POST"]) | anything,
    st.sampled_from([TARGET, f"{API}?x", "", "http://[", "//"]) | anything,
    header_lines | anything,
    st.none() | st.binary(max_size=60) | anything,
    peers | anything,
)
# A token that is bound, and rightly used or nearly so.
bound_requests = st.builds(
    lambda url, proof, others, certificate, client: Request(
        "GET", url, [("Authorization", f"DPoP {BOUND}"), ("DPoP", proof), *others], certificate, client
    ),
    st.sampled_from([TARGET, TARGET.upper(), f"{TARGET}?a", "http://[", ""]) | texts,
    near_proofs | texts,
    header_lines,
    st.sampled_from([CERTIFICATE, None, b""]),
    peers,
)
requests = any_requests | bound_requests


@pytest.mark.parametrize("kind", KINDS)
@MANY
@given(st.data())
def test_whatever_stands_in_a_request_the_answer_is_ours(kind: str, data: st.DataObject) -> None:
    request = data.draw(requests)
    assert repr(request).isprintable()
    try:
        assert repr(verifier(kind).verify_request(request)).isascii()
    except AuthError as error:
        said(error, answered=True)
    assert isinstance(verifier(kind).outcome(request), AccessToken | AuthError)
    explained = verifier(kind).explain_request(request)
    assert explained.findings
    json.loads(explained.to_json())


@pytest.mark.parametrize(
    ("method", "url"), [("GET", f"{TARGET}\r\nb\u2028é"), ("G\nET", TARGET), ("GET", None), (5, TARGET)]
)
def test_the_method_and_the_url_of_a_request_break_no_log_line(method: Any, url: Any) -> None:
    """A server may hand over a path that it has percent-decoded, and a refusal says for what its proof should be."""
    proof = compact({"typ": "dpop+jwt", "alg": "ES256", "jwk": OWN.jwk()}, {**PROOF, "htu": API}, OWN)
    request = Request(method, url, [("Authorization", f"DPoP {BOUND}"), ("DPoP", proof)])
    refusal = verifier("senders").outcome(request)
    assert isinstance(refusal, AuthError)
    said(refusal, answered=True)


@pytest.mark.parametrize("kind", KINDS)
@MANY
@given(token=near_tokens | anything)
def test_whatever_is_taken_for_a_token_the_answer_is_ours(kind: str, token: Any) -> None:
    try:
        found = verifier(kind).verify(token)
    except AuthError as error:
        said(error, answered=True)
    else:
        for attribute in dir(AccessToken):
            if not attribute.startswith("_"):
                getattr(found, attribute)
    json.loads(verifier(kind).explain(token).to_json())


@MANY
@given(request=requests)
def test_async_and_sync_give_one_answer(request: Any) -> None:
    assert told(verifier().outcome(request)) == told(asyncio.run(wait(async_verifier().outcome(request))))


def told(outcome: Any) -> tuple[str, str]:
    return type(outcome).__name__, str(outcome)
