"""Group Z: good tokens that do not allow what is asked: too little scope, too weak or too old a login."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.conformance.attacks.answers import EXPIRED, OK, A, N, Wanted, insufficient_scope
from tests.conformance.attacks.cases import PLAIN, Attack, World, bearing, carried, world
from tests.conformance.attacks.forging import good
from tests.doors import ISSUING, Answer, Sent
from tests.making import ABSENT, NOW

TIME: Final = int(NOW)
METADATA: Final = "https://api.test/.well-known/oauth-protected-resource"
WITH_METADATA: Final = world("resource metadata", resource_metadata_url=METADATA)
WITH_PERMISSIONS: Final = world("permissions in the token", permissions_in_token=True)
S: Final = insufficient_scope("read:messages")


def _asked(
    name: str, wanted: Wanted, path: str, claims: Mapping[str, dict[str, Any]], world: World = PLAIN
) -> list[Attack]:
    """A request for each change of a good token's claims."""
    requests = {about: lambda new=new: bearing(good(**new), path) for about, new in claims.items()}
    return carried(name, wanted, requests, world)


def _scopes(name: str, wanted: Wanted, scopes: Mapping[str, Any]) -> list[Attack]:
    return _asked(name, wanted, "/scoped", {about: {"scope": scope} for about, scope in scopes.items()})


def _logins(name: str, wanted: Wanted, changes: Mapping[str, dict[str, Any]]) -> list[Attack]:
    login = {"acr": "urn:example:mfa", "auth_time": TIME - 10}
    return _asked(name, wanted, "/recent", {about: {**login, **new} for about, new in changes.items()})


def with_metadata(wanted: Wanted) -> Wanted:
    """The same challenge, which also says where to learn how to get a token (RFC 9728 section 5.1)."""
    lines = [
        (name, f'{value}, resource_metadata="{METADATA}"' if name == "www-authenticate" else value)
        for name, value in wanted.answer.lines
    ]
    return Wanted(wanted.letter, Answer(wanted.answer.status, tuple(lines), wanted.answer.body))


NAMED: Final = {"there is a Host of somebody else's": (b"evil.test",), "there is no Host": ()}

CASES: Final[list[Attack]] = [
    *_scopes("Z01", S, {"none": ABSENT}),
    *_scopes(
        "Z01+",
        S,
        {
            "an empty one": "",
            "another one": "write:messages",
            "its beginning": "read",
            "its beginning, and a colon": "read:",
            "one letter less": "read:message",
            "one letter more": "read:messagess",
            "more behind": "read:messages:all",
            "more in front": "xread:messages",
            "in upper case": "READ:MESSAGES",
            "a pattern": "read:*",
            "everything": "*",
            "admin": "admin",
            "a comma between": "read:messages,write:messages",
            "a semicolon between": "read:messages;write:messages",
            "in other names": "a read:messages2 b",
            "an empty array": [],
            "an array of another": ["read:message"],
        },
    ),
    *_asked(
        "Z01+",
        S,
        "/scoped",
        {
            "in permissions, which nobody reads": {"scope": ABSENT, "permissions": ["read:messages"]},
            "in scp": {"scope": ABSENT, "scp": ["read:messages"]},
            "in scopes": {"scope": ABSENT, "scopes": "read:messages"},
            "in Scope": {"scope": ABSENT, "Scope": "read:messages"},
            "in roles": {"scope": ABSENT, "roles": ["read:messages"]},
            "in act": {"scope": ABSENT, "act": {"sub": "x", "scope": "read:messages"}},
        },
    ),
    *_asked(
        "Z01+",
        S,
        "/scoped",
        {
            "in scope, where permissions are read": {},
            "among permissions, in upper case": {"permissions": ["READ:MESSAGES"]},
            "two permissions in one text": {"permissions": ["read:messages write:messages"]},
        },
        WITH_PERMISSIONS,
    ),
    *_asked("Z01+", OK, "/scoped", {"among permissions": {"permissions": ["a", "read:messages"]}}, WITH_PERMISSIONS),
    *_scopes("Z01+", OK, {"among others": "openid read:messages offline_access", "in an array": ["read:messages"]}),
    *_logins("Z03", A, {"none": {"acr": ABSENT}, "another one": {"acr": "urn:example:password"}}),
    *_logins(
        "Z03+",
        A,
        {
            about: {"acr": acr}
            for about, acr in {
                "in upper case": "URN:EXAMPLE:MFA",
                "its beginning": "urn:example",
                "more behind": "urn:example:mfa2",
                "in an array": ["urn:example:mfa"],
                "with another": "urn:example:password urn:example:mfa",
                "an object": {"urn:example:mfa": True},
                "null": None,
                "true": True,
                "nothing in it": "",
                "a space behind": "urn:example:mfa ",
            }.items()
        },
    ),
    *_logins("Z03+", A, {"in amr": {"acr": ABSENT, "amr": ["urn:example:mfa"]}}),
    *_logins("Z03+", A, {"neither acr nor auth_time": {"acr": ABSENT, "auth_time": ABSENT}}),
    *_logins("Z03+", OK, {"the wanted one": {}}),
    *_logins(
        "Z04",
        A,
        {
            "too long ago": {"auth_time": TIME - 331},
            "none": {"auth_time": ABSENT},
            "a text": {"auth_time": str(TIME - 10)},
            "in the future": {"auth_time": TIME + 31},
        },
    ),
    *_logins(
        "Z04+",
        A,
        {
            about: {"auth_time": at}
            for about, at in {
                "a day ago": TIME - 86_400,
                "at the beginning": 0,
                "negative": -1,
                "null": None,
                "true": True,
                "an array": [TIME],
                "an object": {},
                "in milliseconds": TIME * 1_000,
                "half a second too long ago": TIME - 330.5,
                "far in the future": 253_402_300_799,
                "nothing in it": "",
            }.items()
        },
    ),
    *_logins("Z04+", OK, {"just at the leeway": {"auth_time": TIME - 330}, "a fraction": {"auth_time": TIME - 0.5}}),
    *carried(
        "Z07",
        with_metadata(N),
        {about: lambda hosts=hosts: Sent(hosts=hosts) for about, hosts in NAMED.items()},
        WITH_METADATA,
    ),
    *carried(
        "Z07+",
        with_metadata(EXPIRED),
        {"on a bad token": lambda: bearing(ISSUING.token(exp=1), hosts=(b"evil.test",))},
        WITH_METADATA,
    ),
    *_asked("Z07+", with_metadata(S), "/scoped", {"where scope is missing": {"scope": ABSENT}}, WITH_METADATA),
    *carried(
        "Z07+",
        with_metadata(N),
        {
            "proxies say somebody else's": lambda: Sent(
                lines=[
                    (b"X-Forwarded-Host", b"evil.test"),
                    (b"Forwarded", b"host=evil.test;proto=http"),
                    (b"X-Original-URL", b"https://evil.test/"),
                ]
            )
        },
        WITH_METADATA,
    ),
]
