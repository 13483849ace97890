"""The adapter contract: one table of requests, and the same octets in answer through every border post."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http.client import HTTPResponse
from typing import Annotated, Any, Final, NamedTuple

import pytest
import werkzeug.serving
from fastapi import APIRouter, FastAPI
from flask import Blueprint, Flask
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from jwtgate import AccessToken, ApiSettings
from jwtgate import asgi as asgi_post
from jwtgate import fastapi as fastapi_post
from jwtgate import flask as flask_post
from jwtgate import starlette as starlette_post
from jwtgate import wsgi as wsgi_post
from tests.doors import (
    ASGI_DOORS,
    BARE_DOORS,
    DOOR,
    ISSUING,
    JWKS,
    OPTIONAL,
    ORIGIN,
    ORPHAN,
    SECRET_ISSUING,
    WITHOUT_OPTIONAL,
    WSGI_DOORS,
    Answer,
    Clock,
    Closed,
    Sent,
    answer_of,
    ask_asgi,
    ask_wsgi,
    async_verifier,
    bare,
    open_websocket,
    settings_for,
    verifier,
    wsgi_house,
)
from tests.making import ABSENT, API, NOW, segment, signing_key
from tests.serving import started

DOORS: Final = [*BARE_DOORS, *WSGI_DOORS, *ASGI_DOORS]


# --- tokens, by name ----------------------------------------------------------------------------------------


def altered() -> str:
    head, _, signature = ISSUING.token().split(".")
    return f"{head}.{segment(ISSUING.claims(scope='read:messages admin:all'))}.{signature}"


def unsigned() -> str:
    return f"{segment({'alg': 'none', 'typ': 'JWT'})}.{segment(ISSUING.claims())}."


def recent(**changes: Any) -> str:
    claims = {"acr": "urn:example:mfa", "auth_time": int(NOW) - 10, **changes}
    return ISSUING.token(**claims)


TOKENS: Final[Mapping[str, Callable[[], str]]] = {
    "good": ISSUING.token,
    "nobody": functools.partial(ISSUING.token, scope=ABSENT),
    "rbac": functools.partial(ISSUING.token, scope=ABSENT, permissions=["read:messages"]),
    **{f"auth0_{name}": functools.partial(ISSUING.token, algorithm=name) for name in ("PS256", "ES256", "EdDSA")},
    **{
        f"rfc9068_{name}": functools.partial(ISSUING.rfc9068_token, algorithm=name)
        for name in ("RS256", "PS256", "ES256", "EdDSA")
    },
    "auth0_HS256": functools.partial(SECRET_ISSUING.token, algorithm="HS256"),
    "rfc9068_HS256": functools.partial(SECRET_ISSUING.rfc9068_token, algorithm="HS256"),
    "expired": functools.partial(ISSUING.token, exp=int(NOW) - 31),
    "slash": functools.partial(ISSUING.token, aud=API.rstrip("/")),
    "foreign": functools.partial(replace(ISSUING, url="https://other.test/").token),
    "unknown": functools.partial(ISSUING.token, header={"kid": "nobody-has-it"}),
    "id": functools.partial(ISSUING.token, aud="app-1", nonce="n"),
    "large": functools.partial(ISSUING.token, padding="x" * 20_000),
    "altered": altered,
    "none": unsigned,
    "orphan": ORPHAN.token,
    "recent": recent,
    "weak": functools.partial(recent, acr="urn:example:password"),
    "stale": functools.partial(recent, auth_time=int(NOW) - 331),
    "wordy": functools.partial(recent, auth_time="yesterday"),
    "early": functools.partial(recent, auth_time=int(NOW) + 31),
    "unsaid": functools.partial(recent, acr=ABSENT, auth_time=ABSENT),
}


@functools.cache
def token(name: str) -> bytes:
    return TOKENS[name]().encode()


def filled(octets: bytes) -> bytes:
    """With each {name} replaced by that token."""
    return re.sub(rb"\{(\w+)\}", lambda found: token(found[1].decode()), octets)


# --- the table ----------------------------------------------------------------------------------------------


class Wanted(NamedTuple):
    """An answer's status, and its error code as body and challenge say it."""

    status: int
    error: str | None = None


HUNG_UP: Final = 0  # in place of a status: a server that is sent too much need not listen to the end
TOO_MUCH: Final = (400, 431, HUNG_UP)
# The letters are those under which attacks are listed: what is told to whom.
OK: Final = Wanted(200)
N: Final = Wanted(401)
Q: Final = Wanted(400, "invalid_request")
T: Final = Wanted(401, "invalid_token")
S: Final = Wanted(403, "insufficient_scope")
A: Final = Wanted(401, "insufficient_user_authentication")
V: Final = Wanted(503, "temporarily_unavailable")


@dataclass(frozen=True)
class Case:
    """A request and its answer. by_server: statuses with which a server may answer before any gate is asked."""

    sent: Sent
    wanted: Wanted
    by_server: tuple[int, ...] = ()

    @property
    def request(self) -> Sent:
        lines = [(line, filled(value)) for line, value in self.sent.lines]
        return replace(self.sent, lines=lines, query=filled(self.sent.query), body=filled(self.sent.body))


def with_values(*values: bytes, wanted: Wanted, by_server: tuple[int, ...] = (), **changes: Any) -> Case:
    """A request with an Authorization line for each value."""
    return Case(Sent(lines=[(b"Authorization", value) for value in values], **changes), wanted, by_server)


def with_lines(*lines: tuple[bytes, bytes], wanted: Wanted, **changes: Any) -> Case:
    return Case(Sent(lines=lines, **changes), wanted)


FORM: Final = b"application/x-www-form-urlencoded"
PARTS: Final = b'--x\r\nContent-Disposition: form-data; name="access_token"\r\n\r\n{good}\r\n--x--\r\n'
JUNK: Final = b"a" * 65_536  # 64 KiB

GOOD: Final[Mapping[str, Case]] = {
    **{
        name: with_values(b"Bearer {%s}" % name.encode(), wanted=OK, path="/scoped")
        for name in TOKENS
        if name.startswith(("auth0_", "rfc9068_")) or name == "good"
    },
    "any token where no permission is asked for": with_values(b"Bearer {nobody}", wanted=OK),
    "nobody on a public route": with_values(wanted=OK, path="/public"),
    "R03 two spaces": with_values(b"Bearer  {good}", wanted=OK),
    "ten spaces": with_values(b"Bearer          {good}", wanted=OK),
    "a scheme in lower case": with_values(b"bearer {good}", wanted=OK),
    "a scheme in upper case": with_values(b"BEARER {good}", wanted=OK),
    "a name in lower case": with_lines((b"authorization", b"Bearer {good}"), wanted=OK),
    "a name in upper case": with_lines((b"AUTHORIZATION", b"Bearer {good}"), wanted=OK),
    "white space around the value": with_values(b" \t Bearer {good} \t ", wanted=OK),
    "other headers beside it": with_lines(
        (b"Proxy-Authorization", b"Basic eDp5"),
        (b"Authorization", b"Bearer {good}"),
        (b"X-Forwarded-Authorization", b"Bearer x"),
        (b"Cookie", b"access_token=x"),
        (b"X-Odd", b"\xff\xfe"),
        wanted=OK,
    ),
    "Z03 an authentication of the wanted kind": with_values(b"Bearer {recent}", wanted=OK, path="/recent"),
}

HEADERS: Final[Mapping[str, Case]] = {
    "R01 no header": with_values(wanted=N),
    "R04 a tab": with_values(b"Bearer\t{good}", wanted=Q),
    "R04 a no-break space": with_values(b"Bearer\xa0{good}", wanted=Q),
    "R04 a space and a no-break space": with_values(b"Bearer \xa0{good}", wanted=Q),
    # RFC 9112 section 5.2: a server refuses a folded line, or takes the fold for spaces.
    "R04 a fold": with_values(b"Bearer\r\n {good}", wanted=Q, by_server=(200, 400)),
    "a space and a tab": with_values(b"Bearer \t{good}", wanted=Q),
    "a no-break space at the end": with_values(b"Bearer {good}\xa0", wanted=Q),
    "R06 two tokens": with_values(b"Bearer {good} {good}", wanted=Q),
    "R06 two credentials in one line": with_values(b"Bearer {good}, Bearer {good}", wanted=Q),
    "R06 two credentials without a space": with_values(b"Bearer {good},Bearer {good}", wanted=Q),
    "R06 of two schemes": with_values(b"Bearer {good}, Basic eDp5", wanted=Q),
    "R06 of two schemes, ours last": with_values(b"Basic eDp5, Bearer {good}", wanted=Q),
    "R07 two lines": with_values(b"Bearer {good}", b"Bearer {good}", wanted=Q),
    "R07 two lines, one bad": with_values(b"Bearer {good}", b"Bearer {expired}", wanted=Q),
    "R07 two lines of different case": with_lines(
        (b"Authorization", b"Bearer {good}"), (b"authorization", b"Bearer {good}"), wanted=Q
    ),
    "R07 two lines, others between": with_lines(
        (b"Authorization", b"Bearer {good}"), (b"Accept", b"*/*"), (b"Authorization", b"Bearer {good}"), wanted=Q
    ),
    "R07 two lines, the second empty": with_values(b"Bearer {good}", b"", wanted=Q),
    "R07 two lines, the first empty": with_values(b"", b"Bearer {good}", wanted=Q),
    "R07 two lines, Basic last": with_values(b"Bearer {good}", b"Basic eDp5", wanted=Q),
    "R07 two lines, Basic first": with_values(b"Basic eDp5", b"Bearer {good}", wanted=Q),
    "R07 three lines": with_values(b"Bearer {good}", b"Bearer {good}", b"Bearer {good}", wanted=Q),
    "R09 Basic": with_values(b"Basic eDp5", wanted=N),
    "R09 Negotiate": with_values(b"Negotiate YII=", wanted=N),
    "R09 Digest, whose parameters have commas": with_values(b'Digest username="x", realm="y", nc=1', wanted=N),
    "R09 a scheme that nobody knows": with_values(b"Bearerer {good}", wanted=N),
    "R09 DPoP, which is not spoken here": with_values(b"DPoP {good}", wanted=N),
    "R10 a token without a scheme": with_values(b"{good}", wanted=N),
    "R10 a scheme without a token": with_values(b"Bearer", wanted=Q),
    "R10 a scheme and a space": with_values(b"Bearer ", wanted=Q),
    "an empty value": with_values(b"", wanted=N),
    "a token in quotes": with_values(b'Bearer "{good}"', wanted=Q),
    "a parameter": with_values(b"Bearer token={good}", wanted=T),
    "Latin-1": with_values(b"Bearer caf\xe9", wanted=Q),
    "UTF-8": with_values("Bearer café".encode(), wanted=Q),
    "look-alike letters in the scheme": with_values("Вearer {good}".encode(), wanted=N),
    "every high octet": with_values(b"Bearer " + bytes(range(0x80, 0x100)), wanted=Q),
    "a high octet as scheme": with_values(b"\xff {good}", wanted=N),
    "a null octet": with_values(b"Bearer {good}\x00", wanted=Q, by_server=(400,)),
    "R12 a header of 64 KiB": with_values(b"Bearer " + JUNK, wanted=T, by_server=TOO_MUCH),
    "R12 a header of 1 MiB": with_values(b"Bearer " + 16 * JUNK, wanted=T, by_server=TOO_MUCH),
    "R12 another scheme, 64 KiB": with_values(b"Basic " + JUNK, wanted=N, by_server=TOO_MUCH),
    "R13 a token in the query": with_values(wanted=N, query=b"access_token={good}"),
    "R15 a token in the body of a GET": with_lines((b"Content-Type", FORM), wanted=N, body=b"access_token={good}"),
    "R15 a token in a form": with_lines((b"Content-Type", FORM), wanted=N, body=b"access_token={good}", method="POST"),
    "R15 a token in a part": with_lines(
        (b"Content-Type", b"multipart/form-data; boundary=x"), wanted=N, body=PARTS, method="POST"
    ),
    "R16 a token in a cookie": with_lines((b"Cookie", b"access_token={good}; Authorization=Bearer {good}"), wanted=N),
    "R18 a proxy's copy": with_lines((b"X-Forwarded-Authorization", b"Bearer {good}"), wanted=N),
    "R18 credentials for a proxy": with_lines((b"Proxy-Authorization", b"Bearer {good}"), wanted=N),
    "R18 an underscore at the end": with_lines((b"authorization_", b"Bearer {good}"), wanted=N),
    "R18 an underscore within": with_lines((b"Author_ization", b"Bearer {good}"), wanted=N),
    "R18 CGI's own name": with_lines((b"HTTP_AUTHORIZATION", b"Bearer {good}"), wanted=N),
    "R18 a hyphen at the end": with_lines((b"Authorization-", b"Bearer {good}"), wanted=N),
}

BAD_TOKENS: Final[Mapping[str, Case]] = {
    **{
        about: with_values(b"Bearer " + value, wanted=T)
        for about, value in {
            "expired": b"{expired}",
            "another audience: only the slash": b"{slash}",
            "another issuer": b"{foreign}",
            "an altered payload": b"{altered}",
            "no signature": b"{none}",
            "a key that nobody has": b"{unknown}",
            "an ID token": b"{id}",
            "an opaque token": b"0a1B2c3D",
            "dots": b"..",
            "padding": b"{good}==",
        }.items()
    },
    "more than is taken": with_values(b"Bearer {large}", wanted=T, by_server=TOO_MUCH),
}

AUTHORIZATION: Final[Mapping[str, Case]] = {
    "Z01 a scope is missing": with_values(b"Bearer {nobody}", wanted=S, path="/scoped"),
    "Z01 the permissions claim is not read": with_values(b"Bearer {rbac}", wanted=S, path="/scoped"),
    "Z03 no acr, no auth_time": with_values(b"Bearer {unsaid}", wanted=A, path="/recent"),
    "Z03 another acr": with_values(b"Bearer {weak}", wanted=A, path="/recent"),
    "Z04 too long ago": with_values(b"Bearer {stale}", wanted=A, path="/recent"),
    "Z04 no number": with_values(b"Bearer {wordy}", wanted=A, path="/recent"),
    "Z04 in the future": with_values(b"Bearer {early}", wanted=A, path="/recent"),
    "the app itself asks for more": with_values(b"Bearer {nobody}", wanted=S, path="/asked"),
    "the app itself asks for no more": with_values(b"Bearer {good}", wanted=OK, path="/asked"),
    "keys that cannot be had": with_values(b"Bearer {orphan}", wanted=V),
}

METHODS_AND_HOSTS: Final[Mapping[str, Case]] = {
    **{
        f"R22 {method} {about}": with_values(*values, wanted=wanted, method=method)
        for method in ("HEAD", "OPTIONS", "TRACE", "POST", "BREW")
        for about, values, wanted in (
            ("without a token", (), N),
            ("with a bad one", (b"Bearer {expired}",), T),
            ("with two", (b"Bearer {good}", b"Bearer {good}"), Q),
            ("with a good one", (b"Bearer {good}",), OK),
        )
    },
    "R19 half a preflight": with_lines((b"Access-Control-Request-Method", b"GET"), wanted=N, method="OPTIONS"),
    **{
        f"R24 {about} as Host, {who}": with_values(*values, wanted=wanted, by_server=(400,), hosts=hosts)
        for about, hosts in {
            "a path and a query": (b"api.test/evil?x=",),
            "a fragment": (b"api.test#",),
            "a user": (b"user@api.test",),
            "nothing": (b"",),
            "a high octet": (b"\xff",),
            "a bracket": (b"[api.test",),
            "two lines": (b"api.test", b"evil.test"),
            "no line": (),
        }.items()
        for who, values, wanted in (("nobody", (), N), ("a good token", (b"Bearer {good}",), OK))
    },
}

OPTIONALLY: Final[Mapping[str, Case]] = {
    f"optional: {about}": with_values(*values, wanted=wanted, path=OPTIONAL)
    for about, values, wanted in (
        ("none", (), OK),
        ("of another scheme", (b"Basic eDp5",), OK),
        ("an empty value", (b"",), OK),
        ("good", (b"Bearer {good}",), OK),
        ("bad", (b"Bearer {expired}",), T),
        ("malformed", (b"Bearer",), Q),
        ("two", (b"Bearer {good}", b"Bearer {good}"), Q),
        ("keys that cannot be had", (b"Bearer {orphan}",), V),
    )
}

CASES: Final = {**GOOD, **HEADERS, **BAD_TOKENS, **AUTHORIZATION, **METHODS_AND_HOSTS, **OPTIONALLY}

VARIANTS: Final[Mapping[str, dict[str, Any]]] = {
    "a realm": {"realm": "Messages, and more"},
    "resource metadata": {"resource_metadata_url": "https://api.test/.well-known/oauth-protected-resource"},
    "permissions in the token": {"permissions_in_token": True},
}
# One of each kind of answer.
VARIED: Final[Mapping[str, Case]] = {
    **{
        about: CASES[about]
        for about in (
            "R01 no header",
            "R07 two lines",
            "expired",
            "Z03 another acr",
            "keys that cannot be had",
            "R22 HEAD with a bad one",
        )
    },
    "a permission in the scope": with_values(b"Bearer {good}", wanted=S, path="/scoped"),
    "a permission among the permissions": with_values(b"Bearer {rbac}", wanted=OK, path="/scoped"),
    "a permission nowhere": with_values(b"Bearer {nobody}", wanted=S, path="/scoped"),
}


# --- the contract -------------------------------------------------------------------------------------------

Ask = Callable[[Sent], Answer]


@functools.cache
def own_jwks() -> dict[str, Any]:
    return ISSUING.jwks(*(signing_key(kind).jwk() for kind in ("RSA", "P-256", "Ed25519")))


@functools.cache
def own_settings(variant: str = "") -> ApiSettings:
    return settings_for(own_jwks(), **VARIANTS.get(variant, {}))


@functools.cache
def opened(door: str, variant: str = "") -> Ask:
    settings = own_settings(variant)
    if door in BARE_DOORS:
        return BARE_DOORS[door](settings)
    if door in WSGI_DOORS:
        return functools.partial(ask_wsgi, WSGI_DOORS[door](settings))
    return functools.partial(ask_asgi, ASGI_DOORS[door](settings))


@functools.cache
def expected(case: str, variant: str = "") -> Answer:
    """What the bare verifier says: no framework has had a hand in it."""
    return bare(own_settings(variant))((VARIED if variant else CASES)[case].request)


def skip_what_cannot_be(door: str, case: str) -> None:
    if door in WITHOUT_OPTIONAL and case in OPTIONALLY:
        pytest.skip("a middleware's path is public or is not: on a public one no token is looked at")
    if door == "starlette-classes" and case in ("R22 TRACE with a good one", "R22 BREW with a good one"):
        pytest.skip("Starlette's HTTPEndpoint calls no method of that name")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("door", DOORS)
def test_the_same_request_has_the_same_answer_through_every_door(door: str, case: str) -> None:
    skip_what_cannot_be(door, case)
    assert opened(door)(CASES[case].request) == expected(case)


@pytest.mark.parametrize("case", VARIED)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("door", DOORS)
def test_the_settings_show_in_every_answer_alike(door: str, variant: str, case: str) -> None:
    assert opened(door, variant)(VARIED[case].request) == expected(case, variant)


# --- the answers themselves ---------------------------------------------------------------------------------

# RFC 9110 section 11.3, as far as it is used here: a scheme, a space, and quoted parameters.
CHALLENGE: Final = re.compile(r'Bearer (?:[a-z_]+="[^"\\]*"(?:, |\Z))+')
PARAMETER: Final = re.compile(r'([a-z_]+)="([^"\\]*)"')
# RFC 6750 section 3: what may stand in error_description.
DESCRIPTION: Final = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")
FIXED: Final = (("cache-control", "no-store"), ("content-type", "application/json"))


def parameters(answer: Answer) -> dict[str, str]:
    (challenge,) = answer.values("www-authenticate")
    assert CHALLENGE.fullmatch(challenge)
    return dict(PARAMETER.findall(challenge))


@pytest.mark.parametrize("case", CASES)
def test_every_case_has_the_status_and_the_code_that_its_group_calls_for(case: str) -> None:
    wanted, answer = CASES[case].wanted, expected(case)
    assert answer.status == wanted.status
    if wanted.status in (400, 401, 403):
        assert parameters(answer).get("error") == wanted.error
    if wanted.status != 200 and answer.body:
        assert json.loads(answer.body).get("error") == wanted.error


REFUSED: Final = [case for case in CASES if CASES[case].wanted is not OK]


@pytest.mark.parametrize("case", REFUSED)
def test_r25_r27_a_refusal_is_never_stored_and_repeats_nothing(case: str) -> None:
    answer = expected(case)
    assert answer.lines[:2] == FIXED
    if answer.values("www-authenticate"):
        told = parameters(answer)
        assert told.keys() <= {"realm", "error", "error_description", "scope", "acr_values", "max_age"}
        assert DESCRIPTION.fullmatch(told.get("error_description", "."))
    shown = f"{answer.lines} {answer.body!r}"
    sent = b" ".join(value for _, value in CASES[case].request.lines).decode("latin-1")
    assert [word for word in sent.split() if len(word) > 12 and word in shown] == []


def test_z01_the_challenge_names_the_scope_to_ask_for() -> None:
    assert parameters(expected("Z01 a scope is missing"))["scope"] == "read:messages"


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case].wanted is A])
def test_z03_z04_the_challenge_names_the_authentication_to_ask_for(case: str) -> None:
    told = parameters(expected(case))
    assert (told["acr_values"], told["max_age"]) == ("urn:example:mfa", "300")


def test_where_keys_cannot_be_had_the_client_is_told_when_to_come_back() -> None:
    answer = expected("keys that cannot be had")
    assert [(line, value) for line, value in answer.lines if line not in dict(FIXED)] == [("retry-after", "1")]


@pytest.mark.parametrize("case", ["R01 no header", "expired", "Z03 another acr", "a permission nowhere"])
def test_z07_the_metadata_is_named_as_it_was_configured(case: str) -> None:
    told = parameters(expected(case, "resource metadata"))
    assert told["resource_metadata"] == VARIANTS["resource metadata"]["resource_metadata_url"]


@pytest.mark.parametrize("case", ["R01 no header", "R07 two lines", "expired", "a permission nowhere"])
def test_the_realm_is_the_settings_own(case: str) -> None:
    assert parameters(expected(case, "a realm"))["realm"] == "Messages, and more"


@pytest.mark.parametrize(("variant", "statuses"), [("a realm", [200, 403]), ("permissions in the token", [403, 200])])
def test_the_settings_say_where_a_permission_is_looked_for(variant: str, statuses: list[int]) -> None:
    cases = ("a permission in the scope", "a permission among the permissions")
    assert [expected(case, variant).status for case in cases] == statuses


def test_head_is_answered_as_get_is_without_the_body() -> None:
    head, get = (expected(case) for case in ("R22 HEAD with a bad one", "expired"))
    assert head == replace(get, body=b"")


# --- R19: a browser asks before it sends --------------------------------------------------------------------

PREFLIGHT: Final = (
    (b"Origin", ORIGIN.encode()),
    (b"Access-Control-Request-Method", b"GET"),
    (b"Access-Control-Request-Headers", b"authorization"),
)


@pytest.mark.parametrize("door", [*WSGI_DOORS, *ASGI_DOORS])
def test_r19_a_preflight_needs_no_token(door: str) -> None:
    # The route leaves OPTIONS to whoever answers preflights: Flask itself, a CORS middleware, the app behind ours.
    assert opened(door)(Sent("/plain", PREFLIGHT, "OPTIONS")).status == 200


@pytest.mark.parametrize("door", [*WSGI_DOORS, *ASGI_DOORS])
def test_r19_a_refusal_can_be_read_from_another_origin_as_any_answer(door: str) -> None:
    origin = (b"Origin", ORIGIN.encode())
    answer = opened(door)(Sent("/private", [origin]))
    without_cors = tuple(line for line in answer.lines if not line[0].startswith("access-control-"))
    assert replace(answer, lines=without_cors) == expected("R01 no header")


CLOSED_APPS: Final = ("flask-protect", "asgi-middleware", "wsgi-middleware")


@pytest.mark.parametrize("door", CLOSED_APPS)
@pytest.mark.parametrize(
    "line", [(b"Authorization", b"Bearer {expired}"), (b"Authorization", b""), (b"Origin", b"https://other.test")]
)
def test_r19_what_brings_credentials_or_two_origins_is_no_preflight(door: str, line: tuple[bytes, bytes]) -> None:
    sent = Sent("/plain", [*PREFLIGHT, (line[0], filled(line[1]))], "OPTIONS")
    assert opened(door)(sent) == bare(own_settings())(replace(sent, path="/private"))


@pytest.mark.parametrize("door", CLOSED_APPS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "BREW"])
def test_a_closed_app_does_not_tell_which_paths_it_has(door: str, method: str) -> None:
    sent = Sent("/nowhere", method=method)
    assert opened(door)(sent) == bare(own_settings())(replace(sent, path="/private"))


# --- R21: WebSockets ----------------------------------------------------------------------------------------

# A handshake is a GET without a body (RFC 6455 section 4.1).
HANDSHAKES: Final = [case for case in CASES if CASES[case].sent.method == "GET" and not CASES[case].sent.body]


@functools.cache
def socket_app(door: str) -> Any:
    return ASGI_DOORS[door](own_settings())


@pytest.mark.parametrize("case", HANDSHAKES)
@pytest.mark.parametrize("door", ASGI_DOORS)
def test_r21_a_handshake_has_the_same_answer_as_any_request(door: str, case: str) -> None:
    skip_what_cannot_be(door, case)
    answer = expected(case)
    wanted = answer.body.decode() if answer.status == 200 else answer
    assert open_websocket(socket_app(door), CASES[case].request) == wanted


@pytest.mark.parametrize("case", [case for case in HANDSHAKES if case in REFUSED])
@pytest.mark.parametrize("door", ASGI_DOORS)
def test_r21_where_the_server_cannot_answer_a_handshake_it_is_closed(door: str, case: str) -> None:
    skip_what_cannot_be(door, case)
    # RFC 6455 section 7.4.1: a policy violation.
    assert open_websocket(socket_app(door), CASES[case].request, denial=False) == Closed(1008)


@pytest.mark.parametrize("denial", [True, False])
@pytest.mark.parametrize("door", ASGI_DOORS)
def test_r21_a_websocket_that_is_open_can_only_be_closed(door: str, denial: bool) -> None:
    sent = CASES["the app itself asks for more"].request
    app = socket_app(door)
    assert open_websocket(app, replace(sent, path="/late"), denial=denial) == Closed(1008, opened=True)
    good = replace(CASES["good"].request, path="/late")
    assert open_websocket(app, good, denial=denial) == expected("good").body.decode()


# --- real servers: octets on a socket -----------------------------------------------------------------------

Address = tuple[str, int]
# A door of every framework: a server reads a request the same for each.
SERVERS: Final = {
    "uvicorn": ("asgi-middleware", "starlette-functions", "fastapi-requires"),
    "gunicorn": ("flask-requires", "wsgi-middleware"),
    "werkzeug": ("flask-requires",),
}
OVER_SOCKETS: Final = {**GOOD, **HEADERS, **AUTHORIZATION, **METHODS_AND_HOSTS, "expired": CASES["expired"]}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Address]]:
    def process(command: str, name: str) -> Address:
        home, lines = tmp_path_factory.mktemp(name), (b"GET /public HTTP/1.1", DOOR.encode() + b": " + name.encode())
        return "127.0.0.1", stack.enter_context(started(command, home, {JWKS: json.dumps(own_jwks())}, *lines))

    with contextlib.ExitStack() as stack:
        yield {
            "uvicorn": process("uvicorn --factory tests.doors:asgi_house --fd {fd} --lifespan off", "asgi-middleware"),
            "gunicorn": process("gunicorn --bind fd://{fd} --threads 4 'tests.doors:wsgi_house()'", "wsgi-middleware"),
            "werkzeug": stack.enter_context(werkzeug_serving()),
        }


@contextlib.contextmanager
def werkzeug_serving() -> Iterator[Address]:
    """Flask's own server."""

    class Quiet(werkzeug.serving.WSGIRequestHandler):
        def log(self, *arguments: Any) -> None:
            """Every request would be a line."""

    server = werkzeug.serving.make_server("127.0.0.1", 0, wsgi_house(own_settings()), True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield "127.0.0.1", server.server_port
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def ask_socket(address: Address, door: str, sent: Sent, timeout: float = 10, connection: bytes = b"close") -> Answer:
    lines = [*sent.all_lines, (DOOR.encode(), door.encode()), (b"Connection", connection)]
    target = sent.path.encode() + (b"?" + sent.query if sent.query else b"")
    head = [sent.method.encode() + b" " + target + b" HTTP/1.1", *(name + b": " + value for name, value in lines)]
    octets = b"\r\n".join([*head, b"", sent.body])
    with socket.create_connection(address, timeout) as line:
        try:
            line.sendall(octets)
            return read_answer(line, sent.method)
        except ConnectionError:
            return Answer(HUNG_UP, (), b"")


def read_answer(line: socket.socket, method: str) -> Answer:
    with contextlib.closing(HTTPResponse(line, method=method)) as response:
        response.begin()
        return answer_of(response.status, response.getheaders(), response.read(), method)


@pytest.mark.parametrize("case", OVER_SOCKETS)
@pytest.mark.parametrize(("server", "door"), [(server, door) for server, doors in SERVERS.items() for door in doors])
def test_a_real_server_changes_nothing(servers: dict[str, Address], server: str, door: str, case: str) -> None:
    answer = ask_socket(servers[server], door, CASES[case].request)
    if answer != expected(case):
        # Then it is the server's own, and no gate's.
        assert answer.status in CASES[case].by_server
        assert not answer.values("www-authenticate")


UPGRADE: Final = (
    (b"Upgrade", b"websocket"),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Sec-WebSocket-Key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
)
SWITCHING: Final = 101


@pytest.mark.parametrize(
    "case",
    [
        "good",
        "R01 no header",
        "R07 two lines",
        "expired",
        "Z01 a scope is missing",
        "the app itself asks for more",
        "keys that cannot be had",
    ],
)
@pytest.mark.parametrize("door", SERVERS["uvicorn"])
def test_r21_a_real_server_hands_the_same_answer_to_a_handshake(
    servers: dict[str, Address], door: str, case: str
) -> None:
    request = CASES[case].request
    answer = ask_socket(
        servers["uvicorn"], door, replace(request, lines=[*request.lines, *UPGRADE]), connection=b"Upgrade"
    )
    if case == "good":
        assert answer.status == SWITCHING
    else:
        assert answer == expected(case)


# --- one request is authenticated once ----------------------------------------------------------------------

# One gate, several gates of the same settings, and a last one with settings of its own: each builds an app, with the
# clock that its verifiers read. Every verification looks once at the date.
LET_IN: Final = CASES["a scheme in lower case"]


def other_settings() -> ApiSettings:
    return settings_for(own_jwks(), realm="another gate")


def flask_once(clock: Clock) -> Flask:
    app = Flask("once")
    flask_post.Gate(own_settings(), app, verifier=verifier(own_settings(), clock)).protect(app)
    app.add_url_rule("/private", view_func=lambda: "in")
    return app


def flask_often(clock: Clock, *, last: ApiSettings | None = None) -> Any:
    """Middleware, app, blueprint, view, and the view itself; with two Gates."""
    shared = verifier(own_settings(), clock)
    app, blueprint = Flask("often"), Blueprint("inner", "often")
    gate, second = (flask_post.Gate(own_settings(), verifier=shared) for _ in range(2))
    final = second if last is None else flask_post.Gate(last, verifier=verifier(last, clock))

    @blueprint.get("/private")
    @gate.requires()
    @final.requires("read:messages")
    def view() -> str:
        gate.token.require("read:messages")
        return final.token.subject

    gate.protect(app)
    second.protect(blueprint, "read:messages")
    app.register_blueprint(blueprint)
    return wsgi_post.JwtGateMiddleware(app.wsgi_app, own_settings(), verifier=shared)


def fastapi_once(clock: Clock) -> FastAPI:
    gate = fastapi_post.Gate(own_settings(), verifier=async_verifier(own_settings(), clock))
    app = FastAPI(dependencies=[gate.requires()])
    app.add_api_route("/private", lambda: "in")
    return app


def fastapi_often(clock: Clock, *, last: ApiSettings | None = None) -> Any:
    """Middleware, app, router, route and parameter; with two Gates."""
    shared = async_verifier(own_settings(), clock)
    gate, second = (fastapi_post.Gate(own_settings(), verifier=shared) for _ in range(2))
    final = second if last is None else fastapi_post.Gate(last, verifier=async_verifier(last, clock))
    app = FastAPI(dependencies=[gate.requires()])
    router = APIRouter(dependencies=[second.requires("read:messages")])

    async def route(token):  # type: ignore[no-untyped-def]
        return token.subject

    route.__annotations__["token"] = Annotated[AccessToken, final.requires("read:messages")]
    router.add_api_route("/private", route, dependencies=[gate.requires("read:messages", optional=True)])
    app.include_router(router)
    return asgi_post.JwtGateMiddleware(app, own_settings(), verifier=shared)


def starlette_once(clock: Clock) -> Starlette:
    gate = starlette_post.Gate(own_settings(), verifier=async_verifier(own_settings(), clock))

    @gate.requires()
    async def endpoint(request: Any) -> PlainTextResponse:
        return PlainTextResponse("in")

    return Starlette(routes=[Route("/private", endpoint)])


def starlette_often(clock: Clock, *, last: ApiSettings | None = None) -> Any:
    """Middleware, backend, and two decorators on one endpoint; with two Gates."""
    shared = async_verifier(own_settings(), clock)
    backend = starlette_post.JwtGateBackend(own_settings(), verifier=shared)
    gate, second = (starlette_post.Gate(own_settings(), verifier=shared) for _ in range(2))
    final = second if last is None else starlette_post.Gate(last, verifier=async_verifier(last, clock))

    @gate.requires()
    @final.requires("read:messages")
    async def endpoint(request: Any) -> PlainTextResponse:
        gate.token(request).require("read:messages")
        return PlainTextResponse(final.token(request).subject)

    app = Starlette(routes=[Route("/private", endpoint)], middleware=[backend.middleware()])
    return asgi_post.JwtGateMiddleware(app, own_settings(), verifier=shared)


STACKS: Final = {
    "flask": (ask_wsgi, flask_once, flask_often),
    "fastapi": (ask_asgi, fastapi_once, fastapi_often),
    "starlette": (ask_asgi, starlette_once, starlette_often),
}


def looks(ask: Callable[[Any, Sent], Answer], build: Callable[..., Any], **options: Any) -> int:
    clock = Clock()
    answer = ask(build(clock, **options), LET_IN.request)
    assert answer.status == 200
    return clock.looked


@pytest.mark.parametrize("stack", STACKS)
def test_one_request_is_verified_once_however_many_gates_it_passes(stack: str) -> None:
    ask, once, often = STACKS[stack]
    assert looks(ask, once) == looks(ask, often)


@pytest.mark.parametrize("stack", STACKS)
def test_a_gate_with_settings_of_its_own_looks_for_itself(stack: str) -> None:
    ask, _, often = STACKS[stack]
    assert looks(ask, often, last=other_settings()) == 2 * looks(ask, often)


@pytest.mark.parametrize("stack", STACKS)
def test_the_gate_that_refuses_answers_in_its_own_words(stack: str) -> None:
    ask, _, often = STACKS[stack]
    strict = settings_for(own_jwks(), realm="another gate", permissions_in_token=True)
    answer = ask(often(Clock(), last=strict), LET_IN.request)
    assert (answer.status, parameters(answer)["realm"]) == (403, "another gate")


@pytest.mark.parametrize("stack", STACKS)
def test_two_requests_are_verified_twice(stack: str) -> None:
    ask, _, often = STACKS[stack]
    clock = Clock()
    app = often(clock)
    assert ask(app, LET_IN.request).status == 200
    first = clock.looked
    assert ask(app, LET_IN.request).status == 200
    assert clock.looked == first + 1  # the token is remembered: one look at the time
