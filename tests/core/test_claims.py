"""Every claim, one change at a time: all tokens here are rightly signed, so that the claim alone decides."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from jwtgate import AccessToken, ApiSettings, Issuer
from jwtgate.core.claims import (
    LATEST,
    audiences,
    client_of,
    confirmation,
    issuer,
    mistaken_audience,
    nearness,
    scopes_of,
)
from jwtgate.core.effects import Moment
from jwtgate.core.errors import (
    ClaimRejected,
    InvalidToken,
    MalformedToken,
    TokenExpired,
    UntrustedIssuer,
    WrongAudience,
    WrongTokenKind,
)
from jwtgate.core.flow import authenticate_token
from jwtgate.core.keys import keys_of
from tests.making import ABSENT, API, ISSUER, NOW, Issuing, compact, drive

HOUR = 3_600
LEEWAY = 30
ISSUING = Issuing()
JWKS = ISSUING.jwks(ISSUING.key().jwk())
SETTINGS = ApiSettings(identifier=API, issuers=[Issuer(ISSUER, jwks=JWKS)], leeway=LEEWAY)

Make = Callable[..., str]
profiles = pytest.mark.parametrize("make", [ISSUING.token, ISSUING.rfc9068_token], ids=["auth0", "rfc9068"])


def check(token: str, settings: ApiSettings = SETTINGS, now: float = NOW) -> AccessToken:
    return drive(authenticate_token(token, settings, keys_of(settings)), Moment(now, 0.0))


def refusal(token: str, settings: ApiSettings = SETTINGS, now: float = NOW) -> InvalidToken:
    with pytest.raises(InvalidToken) as refused:
        check(token, settings, now)
    return refused.value


@profiles
def test_a_good_token_is_accepted(make: Make) -> None:
    token = check(make())
    assert (token.subject, token.client_id, token.audience) == ("app-1@clients", "app-1", (API,))
    assert token.checked_at == NOW


# ------------------------------------------------------------------------------------------------- one wrong claim

NO_DATES = (
    None,
    True,
    False,
    "",
    "1800003600",
    " 1800003600 ",
    "1_800_003_600",
    "１８００００３６００",
    [],
    {},
    [NOW],
    -1,
)
NOT_TEXT = (None, "", 7, 1.5, True, ["app-1"], {"name": "app-1"})

WRONG: dict[str, tuple[Any, ...]] = {
    # the year 9999 is the last that a date may have: `exp` in milliseconds is beyond it
    "exp": (ABSENT, *NO_DATES, (NOW + HOUR) * 1_000, LATEST + 1, -0.5, -(10**400), 10**400),
    "iat": (ABSENT, *NO_DATES, NOW * 1_000, NOW + LEEWAY + 1, NOW + HOUR, LATEST + 1),
    "nbf": (*NO_DATES, NOW * 1_000, NOW + LEEWAY + 1, NOW + HOUR, LATEST + 1),
    "iss": (
        ABSENT,
        *NOT_TEXT,
        [ISSUER],
        {ISSUER: True},
        ISSUER.removesuffix("/"),
        ISSUER + "/",
        ISSUER.upper(),
        "https://issuer.test:443/",
        "https://%69ssuer.test/",
        "https://іssuer.test/",  # its first letter is Cyrillic
        "https://issuer.test/ ",
        "http://issuer.test/",
        "https://other.test/",
    ),
    "aud": (
        ABSENT,
        None,
        "",
        7,
        True,
        [],
        [""],
        {},
        {API: True},
        [[API]],
        [API, None],
        [API, ""],
        [API, 7],
        API.removesuffix("/"),
        API + "/",
        API + "evil",
        API.upper(),
        f" {API}",
        f"{API} ",
        f"{API} https://other.test/",
        "https://api.test.evil/",
        "https://other.test/",
        ["https://other.test/", "https://issuer.test/userinfo"],
        "app-1",
    ),
    "sub": (ABSENT, *NOT_TEXT),
    "client_id": NOT_TEXT,
    "azp": (*NOT_TEXT[:3], *NOT_TEXT[4:]),
    "jti": NOT_TEXT,
    "scope": (
        None,
        7,
        True,
        {},
        {"read:messages": 1},
        ["a", 7],
        ["a", None],
        ["a", ["b"]],
        "a\tb",
        "a\nb",
        'a"b',
        "a\\b",
        "é",
    ),
    "permissions": (None, "read:messages", {}, 7, True, [7], ["a", None], [["a"]], [True]),
    "gty": (None, 7, True, {}, [], [7], ["a", None]),
    "org_id": NOT_TEXT,
    "org_name": NOT_TEXT,
    "act": (
        None,
        "admin",
        7,
        True,
        [],
        [{"sub": "a"}],
        {"sub": ""},
        {"sub": 7},
        {"sub": None},
        {"act": None},
        {"sub": "a", "act": "b"},
        {"sub": "a", "act": {"sub": "b", "act": []}},
        {"sub": "a", "act": {"sub": ["b"]}},
    ),
    "cnf": (
        None,
        "key",
        [],
        7,
        {"jwk": {}},
        {"jwe": "x"},
        {"kid": "k"},
        {"jku": "https://x.test/"},
        {"jkt": "x"},
        {"jkt": None},
        {"x5t#S256": "x"},
        {"unknown": 1, "jkt": "x"},
    ),
}


@profiles
@pytest.mark.parametrize(("claim", "value"), [(claim, value) for claim, values in WRONG.items() for value in values])
def test_one_wrong_claim_is_named(make: Make, claim: str, value: Any) -> None:
    refused = refusal(make(**{claim: value}))
    assert isinstance(refused, ClaimRejected)
    # Two names of the application that differ may be blamed on either.
    assert refused.claim == claim or {refused.claim, claim} == {"azp", "client_id"}
    assert (refused.status, refused.code) == (401, "invalid_token")


@profiles
@pytest.mark.parametrize(
    "change",
    [
        {"aud": [API]},
        {"aud": [API, "https://issuer.test/userinfo"]},
        {"aud": ["https://other.test/", API]},
        {"nbf": NOW},
        {"nbf": NOW - HOUR},
        {"iat": 0},
        {"iat": 0.0},
        {"exp": LATEST},
        {"exp": NOW + 0.5},
        {"azp": "app-1", "client_id": "app-1"},
        {"scope": ABSENT},
        {"scope": ""},
        {"scope": "a  b "},
        {"scope": "!#[]~"},
        {"permissions": []},
        {"permissions": ["read:messages", "with a space", ""]},
        {"gty": "password"},
        {"gty": ["refresh_token", "client-credentials"]},
        {"org_id": "org_1", "org_name": "one"},
        {"act": {}},
        {"act": {"sub": "a", "act": {"sub": "b"}}},
        {"cnf": {}},
        {"cnf": {"unknown": "x"}},
        {"jti": "id-2"},
        {"sub": "auth0|1"},
        {"sub": "nul \0 line\r\nSet-Cookie: a=b"},
        {"https://names.test/any": {"a": [None, True, 1.5]}},
    ],
    ids=repr,
)
def test_what_a_profile_leaves_open_is_accepted(make: Make, change: dict[str, Any]) -> None:
    assert check(make(**change)).claims.items() >= {k: v for k, v in change.items() if v is not ABSENT}.items()


# ------------------------------------------------------------------------------------------------------- the times


@profiles
@pytest.mark.parametrize("leeway", [0, 30, 300])
@pytest.mark.parametrize(
    ("claim", "beyond", "accepted"),
    [
        # RFC 7519 section 4.1.4: the current time must be *before* `exp`.
        ("exp", lambda leeway: -leeway, False),
        ("exp", lambda leeway: -leeway + 1, True),
        ("exp", lambda leeway: -leeway - 1, False),
        ("exp", lambda leeway: -leeway + 0.001, True),
        # section 4.1.5: after *or equal to* `nbf`.
        ("nbf", lambda leeway: leeway, True),
        ("nbf", lambda leeway: leeway + 1, False),
        ("nbf", lambda leeway: leeway + 0.001, False),
        ("iat", lambda leeway: leeway, True),
        ("iat", lambda leeway: leeway + 1, False),
    ],
)
def test_a_time_is_exact_to_the_leeway(
    make: Make, leeway: int, claim: str, beyond: Callable[[int], float], accepted: bool
) -> None:
    settings = ApiSettings(identifier=API, issuers=[Issuer(ISSUER, jwks=JWKS)], leeway=leeway)
    token = make(**{"iat": NOW - HOUR, claim: NOW + beyond(leeway)})
    if accepted:
        assert check(token, settings).subject
    else:
        refused = refusal(token, settings)
        assert isinstance(refused, ClaimRejected)
        assert refused.claim == claim


def test_the_last_second_of_the_year_9999_is_a_time() -> None:
    assert check(ISSUING.token(exp=LATEST)).claims["exp"] == LATEST


def test_an_expired_token_says_by_how_much() -> None:
    refused = refusal(ISSUING.token(exp=NOW - 100))
    assert isinstance(refused, TokenExpired)
    assert (refused.claim, refused.actual, refused.now, refused.leeway) == ("exp", NOW - 100, NOW, LEEWAY)


@pytest.mark.parametrize(("step", "accepted"), [(-2 * HOUR, False), (HOUR / 2, True), (HOUR + LEEWAY, False)])
def test_the_wall_clock_alone_decides_about_times(step: float, accepted: bool) -> None:
    token = ISSUING.token(iat=NOW - 60, exp=NOW + HOUR)
    if accepted:
        assert check(token, now=NOW + step).subject
    else:
        refusal(token, now=NOW + step)


def test_an_issuer_may_have_its_own_leeway() -> None:
    settings = ApiSettings(identifier=API, issuers=[Issuer(ISSUER, jwks=JWKS, leeway=0)], leeway=300)
    refused = refusal(ISSUING.token(exp=NOW), settings)
    assert isinstance(refused, TokenExpired)
    assert refused.leeway == 0


@profiles
@pytest.mark.parametrize(
    ("life", "most", "accepted"),
    [
        (7_200, 7_200, True),
        (7_201, 7_200, False),
        (7_200.5, 7_200, False),
        (30 * 86_400, None, True),
        (60, 7_200, True),
    ],
)
def test_a_longer_life_than_this_apis_tokens_have_is_refused(
    make: Make, life: float, most: int | None, accepted: bool
) -> None:
    settings = ApiSettings(identifier=API, issuers=[Issuer(ISSUER, jwks=JWKS)], token_lifetime=most)
    token = make(iat=NOW, exp=NOW + life)
    if accepted:
        assert check(token, settings).subject
    else:
        refused = refusal(token, settings)
        assert isinstance(refused, ClaimRejected)
        assert (refused.claim, refused.actual) == ("exp", life)


# ------------------------------------------------------------------------------------------------------ the payload


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b'"text"',
        b"7",
        b"null",
        b"true",
        b"",
        b"{",
        b'{"sub": "\xff"}',
        '{"sub": "a"}'.encode("utf-16"),
        '{"sub": "a"}'.encode("utf-32"),
        b'\xef\xbb\xbf{"sub": "a"}',
        b'{"exp": 1, "exp": 1800003600}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"exp": NaN}',
        b'{"exp": Infinity}',
        b'{"exp": -Infinity}',
        b'{"exp": 1e400}',
        b'{"other": [NaN]}',
        b'{"n": ' + b"9" * 5_000 + b"}",
        rb'{"sub": "\ud800"}',
        b'{"a": ' + b"[" * 33 + b"]" * 33 + b"}",
        b'{"a": [' + b"0," * 1_000 + b"0]}",
    ],
    ids=lambda payload: repr(payload[:24]),
)
def test_a_payload_that_is_no_strict_json_object_is_malformed(payload: bytes) -> None:
    refused = refusal(compact(ISSUING.header(), payload, ISSUING.key()))
    assert isinstance(refused, MalformedToken)
    assert refused.part == "payload"


def test_the_last_of_two_members_does_not_count_nor_does_the_first() -> None:
    for first, second in [(1, NOW + HOUR), (NOW + HOUR, 1)]:
        good = ISSUING.token(exp=ABSENT)
        assert isinstance(refusal(good), ClaimRejected)
        payload = f'{{"iss": "{ISSUER}", "exp": {first:.0f}, "exp": {second:.0f}}}'
        assert isinstance(refusal(compact(ISSUING.header(), payload, ISSUING.key())), MalformedToken)


# -------------------------------------------------------------------------------------------- what kind of token it is


@profiles
@pytest.mark.parametrize("claim", ["nonce", "at_hash", "c_hash", "s_hash", "events"])
@pytest.mark.parametrize("value", ["x", None, {"http://schemas.openid.net/event/backchannel-logout": {}}], ids=repr)
def test_a_token_of_another_kind_is_refused_whatever_its_audience(make: Make, claim: str, value: Any) -> None:
    refused = refusal(make(**{claim: value}))
    assert isinstance(refused, WrongTokenKind)
    assert refused.claim == claim


def test_the_other_kinds_are_told_apart() -> None:
    kinds = {claim: refusal(ISSUING.token(**{claim: "x"})) for claim in ("nonce", "at_hash", "events")}
    told = {claim: (type(error), getattr(error, "kind", None)) for claim, error in kinds.items()}
    assert told["nonce"] == told["at_hash"] != told["events"]
    assert all(kind is WrongTokenKind and isinstance(text, str) for kind, text in told.values())


def test_what_the_token_is_is_told_before_when_and_for_whom() -> None:
    assert isinstance(refusal(ISSUING.token(nonce="n", exp=1, aud="app-1")), WrongTokenKind)
    assert isinstance(refusal(ISSUING.token(exp=1, aud="app-1")), TokenExpired)


def test_a_client_assertion_is_no_access_token() -> None:
    assertion = ISSUING.token(iss="app-1", sub="app-1", aud=ISSUER + "oauth/token", azp=ABSENT)
    assert isinstance(refusal(assertion), UntrustedIssuer)
    assert isinstance(refusal(ISSUING.token(aud=ISSUER + "oauth/token")), WrongAudience)


def test_a_name_of_the_application_that_differs_from_its_other_name_is_refused() -> None:
    refused = refusal(ISSUING.token(client_id="app-2", azp="app-1"))
    assert isinstance(refused, ClaimRejected)
    assert (refused.claim, refused.actual) == ("azp", "app-1")


# --------------------------------------------------------------------------------------------------------- near misses

PLAIN = {"scope": ABSENT, "gty": ABSENT, "azp": ABSENT}  # what an ID token looks like, when it has no nonce


def aud_hint(aud: Any, **changes: Any) -> str:
    refused = refusal(ISSUING.token(aud=aud, **changes))
    assert isinstance(refused, WrongAudience)
    assert (refused.expected, refused.actual) == (API, aud)
    return refused.hint


def test_near_misses_of_the_audience_are_told_apart_in_the_log() -> None:
    slash = {aud_hint("https://api.test"), aud_hint("https://api.test//"), aud_hint(["x", "https://api.test"])}
    case = {aud_hint("https://API.test/"), aud_hint("HTTPS://API.TEST")}
    userinfo = {aud_hint("https://issuer.test/userinfo"), aud_hint(["https://issuer.test/userinfo"])}
    id_token = {aud_hint("app-1", **PLAIN), aud_hint(["app-1"], **PLAIN)}
    far = {
        aud_hint("https://other.test/"),
        aud_hint("app-1"),
        aud_hint(["https://issuer.test/userinfo", "https://x.test"]),
    }
    assert [len(group) for group in (slash, case, userinfo, id_token, far)] == [1, 1, 1, 1, 1]
    assert len(slash | case | userinfo | id_token | far) == 5
    assert far == {""}


@pytest.mark.parametrize(
    ("aud", "named"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), ("", None), ([], None), ([""], None), (["a", 1], None), (1, None)],
)
def test_the_audience_is_a_text_or_several(aud: object, named: list[str] | None) -> None:
    assert audiences({"aud": aud}) == named
    assert audiences({}) is None


@pytest.mark.parametrize(
    ("claims", "mistake"),
    [
        ({"aud": "app-1"}, "id_token"),
        ({}, "id_token"),
        ({"aud": "XX://XX"}, None),
        ({"aud": "https://two.test/userinfo"}, "userinfo"),
        ({"aud": ["https://two.test/userinfo", "x"]}, None),
        *(({"aud": "app-1", name: "x"}, None) for name in ("scope", "permissions", "gty", "jti")),
        ({"aud": API.removesuffix("/") if API.endswith("/") else API + "/"}, "slash"),
    ],
)
def test_what_was_probably_done_wrong_is_told_by_other_claims(claims: dict[str, Any], mistake: str | None) -> None:
    assert mistaken_audience(claims, SETTINGS.policies[ISSUER]) == mistake


@pytest.mark.parametrize(
    ("wanted", "found", "near"),
    [
        ("https://a.test/", "https://a.test", "slash"),
        ("https://a.test", "https://a.test//", "slash"),
        ("https://a.test", "https://a.testX", None),
        ("https://a.testX", "https://a.test", None),
        ("https://a.test/", "https://A.test/", "case"),
        ("https://A.test", "https://a.test/", "case"),
        ("https://a.test/", "https://b.test/", None),
        ("https://a.test/", "https://a.test/", None),
        ("https://a.test/", ["https://a.test"], None),
    ],
)
def test_near_is_what_differs_by_nothing_but_what_people_overlook(wanted: str, found: object, near: str | None) -> None:
    assert nearness(wanted, found) == near


def test_a_near_miss_of_any_identifier_is_told() -> None:
    settings = ApiSettings(identifier=["https://one.test/", API], issuers=[Issuer(ISSUER, jwks=JWKS)])
    refused = refusal(ISSUING.token(aud="https://api.test"), settings)
    assert isinstance(refused, WrongAudience)
    assert refused.hint == aud_hint("https://api.test")


@pytest.mark.parametrize("aud", ["https://one.test/", "https://two.test", ["x", "https://two.test"]])
def test_each_identifier_of_an_explicit_list_is_accepted(aud: Any) -> None:
    settings = ApiSettings(identifier=["https://one.test/", "https://two.test"], issuers=[Issuer(ISSUER, jwks=JWKS)])
    assert check(ISSUING.token(aud=aud), settings).subject


def test_near_misses_of_the_issuer_are_told_apart_in_the_log() -> None:
    def hint(iss: Any) -> str:
        refused = refusal(ISSUING.token(iss=iss))
        assert isinstance(refused, UntrustedIssuer)
        assert (refused.claim, refused.expected, refused.actual) == ("iss", ISSUER, iss)
        return refused.hint

    hints = [hint("https://issuer.test"), hint("https://ISSUER.test/"), hint("https://other.test/"), hint([ISSUER])]
    assert hints[2:] == ["", ""]
    assert len(set(hints)) == 3


THUMBPRINT = "A" * 43


@pytest.mark.parametrize(
    ("cnf", "good"),
    [
        ({"jkt": THUMBPRINT}, True),
        ({"x5t#S256": THUMBPRINT}, True),
        ({"jkt": THUMBPRINT, "x5t#S256": THUMBPRINT, "other": 1}, True),
        ({}, True),
        ({"jkt": THUMBPRINT[1:]}, False),
        ({"jkt": THUMBPRINT + "A"}, False),
        ({"jkt": THUMBPRINT[1:] + "B"}, False),  # its last bits are none of the digest's
        ({"jkt": "+" + THUMBPRINT[1:]}, False),
        ({"jkt": ""}, False),
        ({"jkt": None}, False),
        ({"jkt": 7}, False),
        ({"jkt": [THUMBPRINT]}, False),
        ({"jkt": THUMBPRINT, "x5t#S256": "x"}, False),
        ({"x5t": THUMBPRINT}, False),
        ({"kid": "a"}, False),
        ([], False),
        (None, False),
    ],
    ids=repr,
)
def test_a_binding_that_can_be_checked_is_a_thumbprint(cnf: object, good: bool) -> None:
    policy = dataclasses.replace(SETTINGS.policies[ISSUER], confirmations=frozenset({"jkt", "x5t#S256"}))
    if good:
        confirmation({"cnf": cnf}, policy, NOW)
    else:
        with pytest.raises(ClaimRejected) as refused:
            confirmation({"cnf": cnf}, policy, NOW)
        assert refused.value.claim == "cnf"


def test_the_issuer_is_compared_again_after_the_signature() -> None:
    policy = SETTINGS.policies[ISSUER]
    issuer({"iss": ISSUER}, policy, NOW)
    with pytest.raises(UntrustedIssuer) as refused:
        issuer({"iss": "https://other.test/"}, policy, NOW)
    assert refused.value.actual == "https://other.test/"


# ------------------------------------------------------------------------------------------------------- reading claims


@pytest.mark.parametrize(
    ("claims", "names"),
    [
        ({}, set()),
        ({"scope": ""}, set()),
        ({"scope": "a b  a "}, {"a", "b"}),
        ({"scope": ["a", "b"]}, {"a", "b"}),
        ({"scope": []}, set()),
    ],
    ids=repr,
)
def test_scope_names_are_read_from_text_and_from_an_array(claims: dict[str, Any], names: set[str]) -> None:
    assert scopes_of(claims) == names


@pytest.mark.parametrize(
    ("claims", "name"),
    [({}, None), ({"azp": "a"}, "a"), ({"client_id": "a"}, "a"), ({"azp": "a", "client_id": "a"}, "a")],
    ids=repr,
)
def test_the_application_has_two_names(claims: dict[str, Any], name: str | None) -> None:
    assert client_of(claims) == name
