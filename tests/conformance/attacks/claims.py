"""Group C: the claims, each well signed, in the shapes and with the values that other libraries have let in."""

from __future__ import annotations

import json
import pickle
import zlib
from collections.abc import Mapping
from typing import Any, Final

from jwtgate import ApiSettings, Issuer
from tests.conformance.attacks.answers import (
    AUDIENCE,
    BINDING,
    CLAIM,
    EXPIRED,
    ISSUER,
    MALFORMED,
    OK,
    Wanted,
)
from tests.conformance.attacks.cases import (
    LARGE,
    PLAIN,
    Attack,
    Forge,
    Scenarios,
    World,
    forged,
    mistakes,
    world,
)
from tests.conformance.attacks.forging import claims_text, with_payload
from tests.conformance.attacks.stage import Stage
from tests.doors import ISSUING
from tests.making import ABSENT, API, NOW
from tests.making import ISSUER as OWN_ISSUER

TIME: Final = int(NOW)
EXACT: Final = world("no leeway", leeway=0)
SHORT_LIVED: Final = world("tokens live an hour", token_lifetime=3_600)
OF_ANY_SHAPE: Final[Mapping[str, Any]] = {
    "null": None,
    "true": True,
    "false": False,
    "a number": 7,
    "a fraction": 0.5,
    "an array": ["x"],
    "an empty array": [],
    "an object": {"x": 1},
    "an empty object": {},
}


def _claims(name: str, wanted: Wanted, changes: Mapping[str, dict[str, Any]], world: World = PLAIN) -> list[Attack]:
    """A token of either profile for each change of good claims."""
    tokens: dict[str, Forge] = {}
    for about, changed in changes.items():
        tokens[f"{about}, Auth0"] = lambda changed=changed: ISSUING.token(**changed)
        tokens[f"{about}, RFC 9068"] = lambda changed=changed: ISSUING.rfc9068_token(**changed)
    return forged(name, wanted, tokens, world)


def _each(name: str, wanted: Wanted, claim: str, values: Mapping[str, Any], world: World = PLAIN) -> list[Attack]:
    """A token of either profile for each value of one claim."""
    return _claims(name, wanted, {f"{claim}: {about}": {claim: value} for about, value in values.items()}, world)


def _auth0(name: str, wanted: Wanted, claim: str, values: Mapping[str, Any]) -> list[Attack]:
    tokens: dict[str, Forge] = {
        f"{claim}: {about}, Auth0": lambda value=value: ISSUING.token(**{claim: value})
        for about, value in values.items()
    }
    return forged(name, wanted, tokens)


def _rfc9068(name: str, wanted: Wanted, claim: str, values: Mapping[str, Any]) -> list[Attack]:
    tokens: dict[str, Forge] = {
        f"{claim}: {about}, RFC 9068": lambda value=value: ISSUING.rfc9068_token(**{claim: value})
        for about, value in values.items()
    }
    return forged(name, wanted, tokens)


def _payloads(name: str, wanted: Wanted, payloads: Mapping[str, Any], world: World = PLAIN) -> list[Attack]:
    """A token of each payload: octets or text, or what makes them when asked."""
    tokens: dict[str, Forge] = {
        about: lambda made=made: with_payload(made() if callable(made) else made) for about, made in payloads.items()
    }
    return forged(name, wanted, tokens, world)


def _written(name: str, wanted: Wanted, claim: str, numbers: Mapping[str, str], world: World = PLAIN) -> list[Attack]:
    """A token whose claim is written just so."""
    return _payloads(
        name,
        wanted,
        {
            f"{claim}: {about}": lambda text=text: claims_text(after=f'"{claim}":{text}', **{claim: ABSENT})
            for about, text in numbers.items()
        },
        world,
    )


def _nested(levels: int) -> dict[str, Any]:
    """Claims of which one nests so deep that all in all there are so many levels."""
    inner: Any = 1
    for _ in range(levels - 1):
        inner = [inner]
    return {"x": inner}


def _acting(levels: int) -> dict[str, Any]:
    act: dict[str, Any] = {"sub": "last"}
    for number in range(levels - 1):
        act = {"sub": f"actor-{number}", "act": act}
    return {"act": act}


def _acting_for_ever(levels: int, name: str = "") -> str:
    """As JSON text, since no writer goes so deep."""
    return '"act":' + (f'{{{name}"act":' * levels) + "{}" + "}" * levels


def _acted_by_names() -> str:
    return claims_text(after=_acting_for_ever(1_000, '"sub":"a",'))


SHAPES: Final[list[Attack]] = [
    *_payloads(
        "C01",
        MALFORMED,
        {
            "an array": lambda: json.dumps([ISSUING.claims()]),
            "a text": lambda: json.dumps(json.dumps(ISSUING.claims())),
            "a number": b"7",
            "null": b"null",
            "true": b"true",
        },
    ),
    *_payloads("C01+", ISSUER, {"an empty object": b"{}"}),
    *_payloads(
        "C01+",
        MALFORMED,
        {
            "nothing but white space": b" ",
            "false": b"false",
            "two objects": lambda: claims_text() * 2,
            "something behind": lambda: claims_text() + "x",
            "a null behind": lambda: claims_text() + "\0",
            "an end too few": lambda: claims_text()[:-1],
            "a comma too many": lambda: claims_text()[:-1] + ",}",
            "single quotes": lambda: claims_text().replace('"', "'"),
            "a comment": lambda: claims_text().replace("{", "{/**/", 1),
            "a form post": b"iss=https%3A%2F%2Fissuer.test%2F&sub=x",
            "deflated": lambda: zlib.compress(claims_text().encode()),
            "markup": b"<claims/>",
            "pickled": lambda: pickle.dumps(ISSUING.claims()),
        },
    ),
    *_payloads(
        "C03", MALFORMED, {"a letter of Latin-1": lambda: claims_text(after='"name":"Zo\xeb"').encode("latin-1")}
    ),
    *_payloads(
        "C03+",
        MALFORMED,
        {
            "an overlong letter": lambda: claims_text().encode().replace(b"app-1", b"\xc1\xa1pp-1"),
            "an overlong null": lambda: claims_text().encode().replace(b"app-1", b"app-1\xc0\x80"),
            "half a pair in UTF-8": lambda: claims_text().encode().replace(b"app-1", b"app\xed\xa0\x80"),
            "a whole pair in UTF-8": lambda: claims_text().encode().replace(b"app-1", b"\xed\xa0\xbd\xed\xb8\x80"),
            "a code point too high": lambda: claims_text().encode().replace(b"app-1", b"\xf5\x80\x80\x80"),
            "a letter that is cut off": lambda: claims_text().encode().replace(b"app-1", b"app\xf0\x9f"),
        },
    ),
    *_payloads(
        "C04",
        MALFORMED,
        {
            **{
                coding: lambda coding=coding: claims_text().encode(coding)
                for coding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
            },
            "a byte order mark": lambda: b"\xef\xbb\xbf" + claims_text().encode(),
        },
    ),
    *_payloads(
        "C06",
        MALFORMED,
        {"the first one expired": lambda: claims_text(before='"exp":1')},
    ),
    *_payloads(
        "C06+",
        MALFORMED,
        {
            "the last one expired": lambda: claims_text(after='"exp":1'),
            "the same twice": lambda: claims_text(after=f'"exp":{TIME + 3_600}'),
            "iss twice": lambda: claims_text(before='"iss":"https://evil.test/"'),
            "aud twice": lambda: claims_text(after=f'"aud":"{API}"'),
            "sub twice, one of them escaped": lambda: claims_text(before='"\\u0073ub":"admin"'),
            "scope twice": lambda: claims_text(after='"scope":"admin:all"'),
            "permissions twice": lambda: claims_text(before='"permissions":[]', after='"permissions":["admin:all"]'),
            "inside an object": lambda: claims_text(after='"x":{"y":1,"y":2}'),
            "inside act": lambda: claims_text(after='"act":{"sub":"a","sub":"b"}'),
            "inside cnf": lambda: claims_text(after='"cnf":{"x":1,"x":2}'),
        },
    ),
    *_payloads(
        "C07",
        MALFORMED,
        {
            **{number: lambda number=number: claims_text(after=f'"x":{number}') for number in ("NaN", "Infinity")},
            "NaN in an array": lambda: claims_text(after='"x":[NaN]'),
        },
    ),
    *_payloads(
        "C07+",
        MALFORMED,
        {
            number: lambda number=number: claims_text(after=f'"x":{number}')
            for number in (
                "-Infinity",
                "1e400",
                "-1e400",
                "1e99999999",
                "nan",
                "+1",
                "01",
                "1.",
                ".5",
                "0x1",
                "1_0",
                "\u0661",
            )
        },
    ),
    *_payloads("C07+", MALFORMED, {"5,000 digits": lambda: claims_text(after=f'"x":{"9" * 5_000}')}),
    *_payloads(
        "C07+", OK, {"1e300": lambda: claims_text(after='"x":1e300'), "-0": lambda: claims_text(after='"x":-0')}
    ),
    *_payloads(
        "C09",
        MALFORMED,
        {
            "100,000 arrays": lambda: claims_text(after=f'"x":{"[" * 100_000}'),
            "50,000 objects": lambda: claims_text(after=f'"x":{chr(123) + chr(34) + "a" + chr(34) + ":"}' * 50_000),
        },
    ),
    *forged(
        "C09",
        MALFORMED,
        {
            "100,000 arrays, where large tokens are taken": lambda: with_payload("[" * 100_000),
            "50,000 objects, where large tokens are taken": lambda: with_payload('{"a":' * 50_000),
        },
        LARGE,
        0.005,
    ),
    *forged(
        "C09+",
        MALFORMED,
        {
            "5,000 arrays in turn with objects": lambda: with_payload('[{"a":' * 2_000),
            "10,000 arrays": lambda: with_payload("[" * 10_000),
            "10,000 arrays with their ends": lambda: with_payload("[" * 5_000 + "]" * 5_000),
            "arrays behind a text of brackets": lambda: with_payload('["' + "[" * 5_000 + '",' + "[" * 5_000),
            "10,000 members": lambda: with_payload('{"":1,' * 2_000),
            "10,000 items": lambda: with_payload("[1" + ",1" * 5_000 + "]"),
            "quotes without an end": lambda: with_payload('\\"' * 6_000),
            "digits without an end": lambda: with_payload('{"x":' + "1" * 11_000),
            "an exponent without an end": lambda: with_payload('{"x":1e' + "1" * 11_000),
            "escapes without an end": lambda: with_payload('"' + "\\u0041" * 1_900),
        },
        within=0.005,
    ),
    *_payloads("C10", MALFORMED, {"33 levels": lambda: json.dumps({**ISSUING.claims(), **_nested(33)})}),
    *_payloads("C10+", OK, {"32 levels": lambda: json.dumps({**ISSUING.claims(), **_nested(32)})}),
    *_payloads("C10+", OK, {"brackets in a text": lambda: json.dumps({**ISSUING.claims(), "x": "[{" * 2_000})}),
    *_payloads(
        "C10+",
        MALFORMED,
        {"1,001 members": lambda: json.dumps({**ISSUING.claims(), **{str(n): n for n in range(993)}})},
    ),
    *_payloads(
        "C10+", OK, {"1,000 members": lambda: json.dumps({**ISSUING.claims(), **{str(n): n for n in range(992)}})}
    ),
    *_payloads("C12", MALFORMED, {"in sub": lambda: claims_text(after='"sub":"\\ud800"', sub=ABSENT)}),
    *_payloads(
        "C12+",
        MALFORMED,
        {
            "the lower half": lambda: claims_text(after='"x":"\\udc00"'),
            "the halves in the wrong order": lambda: claims_text(after='"x":"\\ude00\\ud83d"'),
            "in a name": lambda: claims_text(after='"\\ud800":1'),
            "in scope": lambda: claims_text(after='"scope":"a\\ud800"', scope=ABSENT),
            "deep inside": lambda: claims_text(after='"x":[{"y":["\\uDBFF"]}]'),
        },
    ),
    *_payloads("C12+", OK, {"a whole pair": lambda: claims_text(after='"x":"\\ud83d\\ude00"')}),
    *_each(
        "C13",
        OK,
        "sub",
        {
            "a null": "auth0|\0x",
            "a new line": "auth0|x\r\nSet-Cookie: admin=1",
            "a terminal's command": "\x1b[2J\x1b]0;x\x07",
            "text from right to left": "\u202exyz",
            "quotes": "\"\\'",
            "10,000 letters": "x" * 10_000,
        },
    ),
    *_auth0("C13", OK, "azp", {"a new line": "app\r\nrefused: 200"}),
    *_claims("C13", OK, {"client_id: a new line": {"client_id": "app\r\nrefused: 200", "azp": ABSENT}}),
    *_claims("C13+", OK, {"a name with a new line": {"x\r\ny": 1}, "an empty name": {"": 1}}),
]

# --- when ---------------------------------------------------------------------------------------------------

NO_NUMBER: Final = {
    "a text": str(TIME + 3_600),
    "null": None,
    "true": True,
    "false": False,
    "an array": [TIME + 3_600],
    "an object": {"at": TIME + 3_600},
}

TIMES: Final[list[Attack]] = [
    *_each("C15", CLAIM, "exp", {"none": ABSENT}),
    *_each("C16", CLAIM, "exp", {"null": None}),
    *_each("C16+", CLAIM, "exp", {"an array": [TIME + 60], "an object": {"exp": TIME + 60}, "an empty text": ""}),
    *_each(
        "C18",
        CLAIM,
        "exp",
        {
            "a text": str(TIME + 60),
            "a text with spaces": f" {TIME + 60} ",
            "a text with underscores": "1_900_000_000",
            "digits of full width": "\uff11\uff19\uff10\uff10\uff10\uff10\uff10\uff10\uff10\uff10",
        },
    ),
    *_each(
        "C18+",
        CLAIM,
        "exp",
        {
            "a text that is a date": "2099-01-01T00:00:00Z",
            "a text that is no number": "NaN",
            "a text that is infinite": "Infinity",
            "a text in hexadecimal": "0xffffffff",
            "a text that says never": "never",
        },
    ),
    *_each("C19", CLAIM, "exp", {"true": True, "false": False}),
    *_each("C19+", OK, "exp", {"a fraction": TIME + 0.5, "with an exponent": 1.8e9 + 60}),
    *_written("C21", MALFORMED, "exp", {"NaN": "NaN"}),
    *_written("C22", MALFORMED, "exp", {"Infinity": "Infinity", "1e400": "1e400"}),
    *_written(
        "C22+",
        CLAIM,
        "exp",
        {
            "1e300": "1e300",
            "30 digits": "9" * 30,
            "400 digits, more than a float can hold": "9" * 400,
            "a year too far": "253402300800",
            "a little less than a year too far": "253402300799.5",
            "two to the 63rd": str(2**63),
            "two to the 64th": str(2**64),
        },
    ),
    *_written("C22+", OK, "exp", {"the last second that is a date": "253402300799"}),
    *_each("C24", CLAIM, "exp", {"in milliseconds": (TIME + 3_600) * 1_000}),
    *_each("C24+", CLAIM, "exp", {"in microseconds": (TIME + 3_600) * 10**6, "in nanoseconds": TIME * 10**9}),
    *_each("C24+", CLAIM, "exp", {"a year ahead": TIME + 31_536_000}, SHORT_LIVED),
    *_each("C25", CLAIM, "exp", {"negative": -1}),
    *_each("C25", EXPIRED, "exp", {"zero": 0}),
    *_written("C25", EXPIRED, "exp", {"-0.0": "-0.0"}),
    *_written("C25", MALFORMED, "exp", {"-Infinity": "-Infinity"}),
    *_each("C25+", CLAIM, "exp", {"negative, as far as it is ahead": -TIME - 3_600}),
    *_written("C25+", EXPIRED, "exp", {"a very small fraction": "1e-300", "nothing, by its exponent": "1e-400"}),
    *_each("C27", EXPIRED, "exp", {"now": TIME, "a second ago": TIME - 1}, EXACT),
    *_each("C27+", EXPIRED, "exp", {"half a second ago": TIME - 0.5}, EXACT),
    *_each("C27+", OK, "exp", {"in a second": TIME + 1, "in half a second": TIME + 0.5}, EXACT),
    *_each("C28", EXPIRED, "exp", {"a second beyond the leeway": TIME - 31}),
    *_each("C28", OK, "exp", {"a second within the leeway": TIME - 29}),
    *_each("C28+", EXPIRED, "exp", {"just at the leeway": TIME - 30, "long ago": 1_000_000_000}),
    *_each("C30", CLAIM, "nbf", {"ahead": TIME + 31, "far ahead": TIME + 86_400}),
    *_each("C30+", OK, "nbf", {"just at the leeway": TIME + 30, "long ago": 0, "a fraction": TIME - 0.5}),
    *_each("C30+", CLAIM, "nbf", {"half a second beyond": TIME + 30.5, "in milliseconds": TIME * 1_000}),
    *_each("C31", CLAIM, "nbf", {about: NO_NUMBER[about] for about in ("a text", "null", "true", "an array")}),
    *_each("C31+", CLAIM, "nbf", {"false": False, "an object": {}, "negative": -1, "an empty text": ""}),
    *_written("C31+", MALFORMED, "nbf", {"NaN": "NaN", "-Infinity": "-Infinity", "-1e400": "-1e400"}),
    *_each("C33", CLAIM, "iat", {"far ahead": TIME + 86_400}),
    *_each("C33+", CLAIM, "iat", {"a second beyond the leeway": TIME + 31, "in milliseconds": TIME * 1_000}),
    *_each("C33+", OK, "iat", {"just at the leeway": TIME + 30, "a fraction": TIME - 0.5}),
    *_each("C34", CLAIM, "iat", {about: NO_NUMBER[about] for about in ("a text", "null", "true", "an array")}),
    *_each("C34+", CLAIM, "iat", {"none": ABSENT, "false": False, "an object": {}, "negative": -1}),
    *_written("C34+", MALFORMED, "iat", {"NaN": "NaN", "Infinity": "Infinity", "1e400": "1e400"}),
    *_each("C36", CLAIM, "exp", {"an hour and a second after iat": TIME - 60 + 3_601}, SHORT_LIVED),
    *_each("C36+", OK, "exp", {"just an hour after iat": TIME - 60 + 3_600}, SHORT_LIVED),
    *_claims("C36+", CLAIM, {"issued a day ago": {"iat": TIME - 86_400}}, SHORT_LIVED),
    *_claims("C36+", CLAIM, {"issued at the beginning": {"iat": 0}}, SHORT_LIVED),
    *_claims("C36+", EXPIRED, {"expired before it was issued": {"iat": TIME - 60, "exp": TIME - 120}}),
]

# --- by whom, for whom --------------------------------------------------------------------------------------

LOOKALIKE: Final = "https://\u0456ssuer.test/"

WHO: Final[list[Attack]] = [
    *_each("C39", ISSUER, "iss", {"an array with the right one": [OWN_ISSUER]}),
    *_each("C39+", ISSUER, "iss", {"an array of two": ["https://evil.test/", OWN_ISSUER], "an empty array": []}),
    *_each("C40", ISSUER, "iss", {"an object": {OWN_ISSUER: 1}, "a number": 7}),
    *_each("C40+", ISSUER, "iss", {"none": ABSENT, "null": None, "true": True, "an empty text": "", "a fraction": 0.5}),
    *_each(
        "C42",
        ISSUER,
        "iss",
        {
            "without its slash": OWN_ISSUER.rstrip("/"),
            "with two slashes": f"{OWN_ISSUER}/",
            "the host in upper case": "https://ISSUER.TEST/",
            "the scheme in upper case": "HTTPS://issuer.test/",
            "with its port": "https://issuer.test:443/",
            "a letter in percent": "https://%69ssuer.test/",
            "a letter that looks alike": LOOKALIKE,
            "the same letters, decomposed": "https://i\u0307ssuer.test/",
            "of full width": "https://\uff49ssuer.test/",
        },
    ),
    *_each(
        "C42+",
        ISSUER,
        "iss",
        {
            "a space behind": f"{OWN_ISSUER} ",
            "a space in front": f" {OWN_ISSUER}",
            "a null behind": f"{OWN_ISSUER}\0",
            "a new line behind": f"{OWN_ISSUER}\n",
            "a path behind": f"{OWN_ISSUER}x",
            "a dot segment behind": f"{OWN_ISSUER}./",
            "a query behind": f"{OWN_ISSUER}?x",
            "a fragment behind": f"{OWN_ISSUER}#",
            "over http": "http://issuer.test/",
            "a user in front": "https://issuer.test@evil.test/",
            "a longer host": "https://issuer.test.evil.test/",
            "a longer host in front": "https://evil-issuer.test/",
            "its beginning": "https://",
            "its host alone": "issuer.test",
            "the host with a dot": "https://issuer.test./",
            "a soft hyphen inside": "https://is\u00adsuer.test/",
            "a bidirectional mark": f"{OWN_ISSUER}\u200e",
            "two of them": f"{OWN_ISSUER} https://evil.test/",
            "this API": API,
            "15,000 letters": "https://" + "x" * 9_000,
        },
    ),
    *_each(
        "C45",
        AUDIENCE,
        "aud",
        {"none": ABSENT, "null": None, "an empty text": "", "an empty array": []},
    ),
    *_each(
        "C45+", AUDIENCE, "aud", {"an array of an empty text": [""], "true": True, "zero": 0, "an empty object": {}}
    ),
    *_each("C46", OK, "aud", {"among others": ["https://a.test/", API, "https://b.test/"]}),
    *_each("C46+", OK, "aud", {"an array of it alone": [API], "twice": [API, API]}),
    *_each("C48", AUDIENCE, "aud", {"null beside it": [None, API]}),
    *_each(
        "C48+",
        AUDIENCE,
        "aud",
        {
            "null behind it": [API, None],
            "a number beside it": [API, 7],
            "an empty text beside it": [API, ""],
            "true beside it": [True, API],
            "an array beside it": [API, [API]],
            "an object beside it": [API, {}],
        },
    ),
    *_each("C49", AUDIENCE, "aud", {"an array in an array": [[API]], "an object of that name": {API: True}}),
    *_each("C49+", AUDIENCE, "aud", {"an object that has it": {"aud": API}, "an object in an array": [{API: 1}]}),
    *_each(
        "C51",
        AUDIENCE,
        "aud",
        {
            "a longer host": "https://api.test.evil.test/",
            "in upper case": API.upper(),
            "without its slash": API.rstrip("/"),
            "a space behind": f"{API} ",
            "a space in front": f" {API}",
        },
    ),
    *_each(
        "C51+",
        AUDIENCE,
        "aud",
        {
            "more behind": f"{API}x",
            "its beginning": API[:9],
            "its host": "api.test",
            "two in one text": f"{API} https://other.test/",
            "two with a comma": f"{API},https://other.test/",
            "an array as a text": json.dumps([API]),
            "with its port": "https://api.test:443/",
            "over http": "http://api.test/",
            "a null behind": f"{API}\0",
            "a new line behind": f"{API}\n",
            "a letter in percent": "https://%61pi.test/",
            "a letter that looks alike": "https://\u0430pi.test/",
            "a pattern": "https://*.test/",
            "anything": "*",
            "in an array, in upper case": [API.upper()],
        },
    ),
    *_each("C52", AUDIENCE, "aud", {"the client": "app-1"}),
    *_each("C52+", AUDIENCE, "aud", {"the client in an array": ["app-1"], "the issuer": OWN_ISSUER}),
    *_each("C54", CLAIM, "sub", {"none": ABSENT, "null": None, "an empty text": ""}),
    *_each("C55", CLAIM, "sub", {"a number": 7, "an array": ["x"], "an object": {"id": 1}}),
    *_each("C55+", CLAIM, "sub", {"true": True, "false": False, "zero": 0, "a fraction": 0.5, "an empty array": []}),
    *_auth0("C57", CLAIM, "azp", {"an array": ["app-1"], "a number": 7}),
    *_rfc9068("C57", CLAIM, "client_id", {"an array": ["app-1"], "a number": 7}),
    *_claims("C57", CLAIM, {"both, and they differ": {"azp": "app-1", "client_id": "app-2"}}),
    *_claims("C57+", OK, {"both, and they agree": {"azp": "app-1", "client_id": "app-1"}}),
    *_claims("C57+", CLAIM, {"they differ by case": {"azp": "app-1", "client_id": "APP-1"}}),
    *_auth0("C57+", CLAIM, "azp", {"null": None, "true": True, "an empty text": "", "an object": {}}),
    *_rfc9068("C57+", CLAIM, "client_id", {"none": ABSENT, "null": None, "true": True, "an empty text": ""}),
    *_rfc9068(
        "C57+", CLAIM, "jti", {"none": ABSENT, "null": None, "a number": 7, "an empty text": "", "an array": ["x"]}
    ),
    *_auth0("C57+", CLAIM, "jti", {"null": None, "a number": 7, "an empty text": "", "an array": ["x"]}),
]

# --- allowed what, bound to what ----------------------------------------------------------------------------

SCOPE_FAULTS: Final = {
    "a number": 7,
    "an object": {"read:messages": True},
    "a mixed array": ["read:messages", 7],
    "a tab inside": "read:messages\tadmin:all",
    "a new line inside": "read:messages\nadmin:all",
    "a quote inside": 'read:messages "admin:all"',
}

WHAT: Final[list[Attack]] = [
    *_auth0("C58", OK, "scope", {"an array": ["read:messages", "write:messages"], "none": ABSENT}),
    *_rfc9068("C58", CLAIM, "scope", {"an array": ["read:messages"]}),
    *_rfc9068("C58", OK, "scope", {"none": ABSENT}),
    *_each("C58", CLAIM, "scope", SCOPE_FAULTS),
    *_each(
        "C58+",
        CLAIM,
        "scope",
        {
            "null": None,
            "true": True,
            "false": False,
            "a carriage return": "read:messages\r\nSet-Cookie: x",
            "a null inside": "read:messages\0",
            "a backslash inside": "read\\messages",
            "a letter that is not ASCII": "lire:m\u00e9ssages",
            "a no-break space": "read:messages\xa0admin:all",
            "a terminal's command": "\x1b[2J",
            "a nested array": [["read:messages"]],
            "an array with null": [None],
            "an array with an empty name": [""],
            "an array with a space in a name": ["read:messages admin:all"],
            "an array with a quote in a name": ['"'],
        },
    ),
    *_each(
        "C58+", OK, "scope", {"an empty text": "", "spaces alone": "  ", "two spaces between": "a  b", "commas": "a,b"}
    ),
    *_auth0("C58+", OK, "scope", {"an empty array": []}),
    *_each("C60", CLAIM, "permissions", {"a text": "read:messages", "a number in it": ["read:messages", 7]}),
    *_each(
        "C60+",
        CLAIM,
        "permissions",
        {
            "null": None,
            "true": True,
            "an object": {"read:messages": True},
            "null in it": [None],
            "an array in it": [["read:messages"]],
            "a text of names": "read:messages admin:all",
            "objects in it": [{"permission_name": "read:messages"}],
        },
    ),
    *_each("C60+", OK, "permissions", {"none of them": [], "odd names": ["", "a b", '"', "\u00e9"]}),
    *_each("C61", CLAIM, "act", {"a text": "admin", "null": None, "an array": [{"sub": "x"}]}),
    *_payloads("C61", MALFORMED, {"1,000 deep": lambda: claims_text(after=_acting_for_ever(1_000))}),
    *_payloads("C61", MALFORMED, {"1,000 deep, where large ones are taken": _acted_by_names}, LARGE),
    *_claims("C61+", MALFORMED, {"32 deep": _acting(32)}),
    *_claims("C61+", OK, {"itself within itself, as it seems": {"act": {"sub": "a", "act": {"sub": "a", "act": {}}}}}),
    *_claims("C61+", OK, {"31 deep": _acting(31)}),
    *_claims("C61+", CLAIM, {"a text deep inside": {"act": {"sub": "a", "act": {"sub": "b", "act": "admin"}}}}),
    *_claims(
        "C61+", CLAIM, {f"sub: {k}": {"act": {"sub": v}} for k, v in {**OF_ANY_SHAPE, "an empty text": ""}.items()}
    ),
    *_each("C63", OK, "cnf", {"what nobody knows": {"x5t#S512": "x"}, "nothing in it": {}}),
    *_each(
        "C63",
        BINDING,
        "cnf",
        {
            "jwk": {"jwk": {"kty": "EC"}},
            "jwe": {"jwe": "eyJ"},
            "kid": {"kid": "RSA-1"},
            "jku": {"jku": "https://evil.test/"},
            "jkt": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
            "x5t#S256": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"},
        },
    ),
    *_each(
        "C63+", CLAIM, "cnf", {about: value for about, value in OF_ANY_SHAPE.items() if not isinstance(value, dict)}
    ),
    *_each("C63+", CLAIM, "cnf", {"a text": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", "an empty text": ""}),
    *_each(
        "C63+",
        BINDING,
        "cnf",
        {
            "jkt that is null": {"jkt": None},
            "jkt that is empty": {"jkt": ""},
            "jkt beside what nobody knows": {"x": 1, "jkt": "x"},
            "two of them": {"jkt": "x", "x5t#S256": "y"},
        },
    ),
    *_each("C63+", OK, "cnf", {"names in another case are nobody's": {"JKT": "x", "X5T#S256": "y", "Kid": "z"}}),
    *_auth0(
        "C63+", CLAIM, "gty", {"a number": 7, "null": None, "an empty array": [], "a number in it": ["password", 7]}
    ),
    *_each("C63+", CLAIM, "org_id", {"a number": 7, "null": None, "an empty text": "", "an array": ["org_1"]}),
    *_each("C63+", CLAIM, "org_name", {"a number": 7, "null": None, "an empty text": "", "an object": {}}),
]

# --- the settings' part -------------------------------------------------------------------------------------

SETTINGS: Final[list[Attack]] = [
    *mistakes(
        "C43",
        "issuers",
        {
            "a bare text": lambda: ApiSettings(identifier=API, issuers="https://issuer.test/"),  # type: ignore[arg-type]
            "a text in a list": lambda: ApiSettings(identifier=API, issuers=["https://issuer.test/"]),  # type: ignore[list-item]
        },
    ),
    *mistakes(
        "C43+",
        "issuers",
        {
            "an issuer that is in no list": lambda: ApiSettings(identifier=API, issuers=Issuer("https://issuer.test/")),  # type: ignore[arg-type]
            "octets": lambda: ApiSettings(identifier=API, issuers=b"https://issuer.test/"),  # type: ignore[arg-type]
            "no issuer at all": lambda: ApiSettings(identifier=API),
            "an issuer twice": lambda: ApiSettings(identifier=API, issuers=[Issuer("https://a.test/")] * 2),
        },
    ),
]

# --- with a clock -------------------------------------------------------------------------------------------

SCENES: Final = Scenarios()


@SCENES.scenario("C37", "T OK")
def a_wall_clock_that_steps_decides_by_what_it_shows(stage: Stage) -> None:
    verifier, token = stage.verifier(), stage.issuing.token()
    assert stage.lets_in(verifier, token)
    stage.clock.date -= 3_600
    assert stage.ask(verifier, token) == CLAIM.answer  # issued ahead of time
    stage.clock.date = NOW + 3_600 + 29
    assert stage.lets_in(verifier, token)
    stage.clock.date += 1
    assert stage.ask(verifier, token) == EXPIRED.answer
    stage.clock.date = NOW
    assert stage.lets_in(verifier, token)
    assert stage.fetches == 1


@SCENES.scenario("C37+", "OK")
def a_wall_clock_that_steps_by_years_makes_no_key_old_or_young(stage: Stage) -> None:
    verifier = stage.verifier()
    assert stage.lets_in(verifier, stage.issuing.token())
    for years in (-10, 10, 100):
        stage.clock.date = NOW + years * 31_536_000
        issued = int(stage.clock.date)
        assert stage.lets_in(verifier, stage.issuing.token(iat=issued, exp=issued + 60))
    assert stage.fetches == 1


CASES: Final = [*SHAPES, *TIMES, *WHO, *WHAT, *SETTINGS, *SCENES]
