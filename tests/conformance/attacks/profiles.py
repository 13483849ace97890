"""Group P: tokens that are well signed, and meant for something or somebody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.conformance.attacks.answers import (
    AUDIENCE,
    CLAIM,
    ENCRYPTED,
    HEADER,
    ISSUER,
    KIND,
    OK,
    OPAQUE,
    Wanted,
    insufficient_scope,
)
from tests.conformance.attacks.cases import PLAIN, Attack, Forge, World, bearing, carried, everywhere, world
from tests.doors import ISSUING
from tests.making import ABSENT, API, NOW, Issuing, compact, segment

RFC9068: Final = world("RFC 9068 alone", profile="rfc9068")
AUTH0: Final = world("Auth0's own alone", profile="auth0")


def _typ(typ: object) -> Forge:
    return lambda: ISSUING.rfc9068_token(header={"typ": typ})


def _typs(name: str, wanted: Wanted, typs: Mapping[str, object], world: World = PLAIN) -> list[Attack]:
    """A token that both profiles would take, under each `typ`."""
    return everywhere(name, wanted, {about: _typ(typ) for about, typ in typs.items()}, world)


def _said(*typs: str) -> dict[str, object]:
    return {typ: typ for typ in typs}


def _claimed(name: str, wanted: Wanted, changes: Mapping[str, dict[str, Any]]) -> list[Attack]:
    """A token of each profile, with some claims changed."""
    tokens: dict[str, Forge] = {}
    for about, changed in changes.items():
        tokens[f"{about}, JWT"] = lambda changed=changed: ISSUING.token(**changed)
        tokens[f"{about}, at+jwt"] = lambda changed=changed: ISSUING.rfc9068_token(**changed)
    return everywhere(name, wanted, tokens)


EVENTS: Final = {"http://schemas.openid.net/event/backchannel-logout": {}}
ID_TOKEN: Final = {"nonce": "n-0S6_WzA2Mj", "auth_time": int(NOW) - 60, "sid": "s-1", "scope": ABSENT, "gty": ABSENT}
ASSERTION: Final = {"iss": "app-1", "sub": "app-1", "jti": "a-1"}


def _encrypted(header: dict[str, Any], key: str = "") -> str:
    return f"{segment(header)}.{key}.AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA"


OTHER_TENANT: Final = Issuing(url="https://other.issuer.test/")


def _of_other_tenant() -> str:
    return compact(ISSUING.header(), OTHER_TENANT.claims(), ISSUING.key())


TOKENS: Final[list[Attack]] = [
    *_typs("P01", OK, _said("at+jwt", "AT+JWT", "application/at+jwt")),
    *_typs("P01", OK, _said("at+jwt", "AT+JWT", "application/at+jwt"), RFC9068),
    *_typs("P01+", OK, _said("Application/At+Jwt", "APPLICATION/AT+JWT")),
    *everywhere(
        "P01+",
        OK,
        {typ: lambda typ=typ: ISSUING.token(header={"typ": typ}) for typ in ("JWT", "jwt", "application/jwt")},
        AUTH0,
    ),
    *_typs("P01+", HEADER, _said("JWT", "jwt", "application/JWT"), RFC9068),
    *_typs("P01+", HEADER, _said("at+jwt", "application/at+jwt"), AUTH0),
    *_typs("P03", HEADER, {"none": ABSENT}, RFC9068),
    *_typs("P03+", HEADER, {"none": ABSENT}),
    *_typs("P03+", HEADER, {"none": ABSENT}, AUTH0),
    *_typs("P03+", HEADER, {"null": None, "nothing in it": "", "an array": ["at+jwt"], "a number": 1}, RFC9068),
    *_typs(
        "P04",
        HEADER,
        _said("dpop+jwt", "logout+jwt", "secevent+jwt", "token-introspection+jwt", "JWT; charset=x"),
    ),
    *_typs(
        "P04+",
        HEADER,
        _said(
            "id+jwt",
            "client-authentication+jwt",
            "oauth-authz-req+jwt",
            "oauth-id-jag+jwt",
            "oauth-client-attestation+jwt",
            "entity-statement+jwt",
            "jwk-set+jwt",
            "dc+sd-jwt",
            "kb+jwt",
            "statuslist+jwt",
            "refresh+jwt",
            "rt+jwt",
            "at+jwt;charset=utf-8",
            " at+jwt",
            "at+jwt ",
            "at +jwt",
            "at+jwt\0",
            "at+jwt\n",
            "text/at+jwt",
            "application/application/at+jwt",
            "/at+jwt",
            "at%2Bjwt",
            "at jwt",
            "at-jwt",
            "at+jwts",
            "xat+jwt",
            "JOSE",
            "JWE",
            "*",
            "\uff41\uff54+jwt",
            "\u0430t+jwt",
        ),
    ),
    *_claimed("P06", KIND, {"events": {"events": EVENTS}}),
    *everywhere("P06", HEADER, {"a logout token": lambda: ISSUING.token(header={"typ": "logout+jwt"}, events=EVENTS)}),
    *_claimed("P06+", KIND, {"events, whatever they are": {"events": None}, "events, none of them": {"events": {}}}),
    *_claimed(
        "P06+",
        KIND,
        {
            "an ID token for this API": ID_TOKEN,
            "a nonce that is null": {"nonce": None},
            "at_hash": {"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"},
            "c_hash": {"c_hash": "LDktKdoQak3Pk0cnXxCltA"},
            "s_hash": {"s_hash": "76sa5dd"},
        },
    ),
    *_claimed("P06+", AUDIENCE, {"an ID token without a nonce": {**ID_TOKEN, "nonce": ABSENT, "aud": "app-1"}}),
    *_claimed(
        "P07",
        ISSUER,
        {"of a client": {**ASSERTION, "aud": "https://issuer.test/oauth/token"}},
    ),
    *_claimed("P07+", ISSUER, {"of a client, for this API": ASSERTION}),
    *_claimed(
        "P07+",
        AUDIENCE,
        {
            "by the issuer's own name": {**ASSERTION, "iss": ABSENT, "aud": "https://issuer.test/"}
            | {"iss": ISSUING.url}
        },
    ),
    *_claimed("P09", AUDIENCE, {"another API": {"aud": "https://orders.test/"}}),
    *_claimed(
        "P09+",
        AUDIENCE,
        {
            "two others": {"aud": ["https://orders.test/", "https://bills.test/"]},
            "/userinfo": {"aud": "https://issuer.test/userinfo"},
            "the Management API": {"aud": "https://issuer.test/api/v2/"},
        },
    ),
    *everywhere("P10", ISSUER, {"another tenant": _of_other_tenant}),
    *_claimed("P10+", CLAIM, {"an organization that is no text": {"org_id": ["org_1"]}}),
    *everywhere(
        "P12",
        OPAQUE,
        {
            "32 letters": lambda: "Mj4jNfJvDpxVyYJ0Oi7pZq3h0dXbWc1k",
            "a JWE of the issuer's own": lambda: _encrypted({"alg": "dir", "enc": "A256GCM", "iss": ISSUING.url}),
        },
    ),
    *everywhere(
        "P12+",
        OPAQUE,
        {
            "a refresh token": lambda: "v1.MRqW0nTH3ZqGQpBUQ7Ixb8cWpYDkSXlzd1hEN3N0",
            "a UUID": lambda: "2f9c1b9e-9d8b-4f5e-8d9a-7f0c8a1b2c3d",
            "of 64 hexadecimal digits": lambda: "0123456789abcdef" * 4,
        },
    ),
    *everywhere(
        "P12+",
        ENCRYPTED,
        {"a JWE for somebody": lambda: _encrypted({"alg": "RSA-OAEP-256", "enc": "A256GCM"}, "A" * 342)},
    ),
    *_claimed("P13", AUDIENCE, {"an upstream API": {"aud": "https://upstream.test/mcp"}}),
    *_claimed(
        "P13+", AUDIENCE, {"a resource below this one": {"aud": f"{API}mcp"}, "one above": {"aud": "https://api.test"}}
    ),
]

ORGANIZATIONS: Final[Mapping[str, dict[str, Any]]] = {
    "another organization": {"org_id": "org_2"},
    "no organization": {},
}
MORE_ORGANIZATIONS: Final[Mapping[str, dict[str, Any]]] = {
    "an organization in upper case": {"org_id": "ORG_1"},
    "an organization with a space behind": {"org_id": "org_1 "},
    "an organization with more behind": {"org_id": "org_12"},
    "an organization by its name": {"org_name": "org_1"},
    "an organization as a tenant": {"tid": "org_1"},
    "an organization elsewhere": {"x": {"org_id": "org_1"}},
}


def _organized(name: str, wanted: Wanted, claims: Mapping[str, dict[str, Any]]) -> list[Attack]:
    """A request to a route that asks for an organization."""
    requests = {about: lambda new=new: bearing(ISSUING.token(**new), "/organized") for about, new in claims.items()}
    return carried(name, wanted, requests)


TOKENS += [
    *_organized("P10", insufficient_scope(), ORGANIZATIONS),
    *_organized("P10+", insufficient_scope(), MORE_ORGANIZATIONS),
    *_organized("P10+", OK, {"the organization": {"org_id": "org_1"}}),
]

CASES: Final = TOKENS
