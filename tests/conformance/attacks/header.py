"""Group H: the header, which anybody may write: read strictly, and believed in nothing."""

from __future__ import annotations

import json
from typing import Any, Final

from jwtgate import Issuer
from tests.conformance.attacks.answers import (
    HEADER,
    ISSUER,
    MALFORMED,
    OK,
    SIGNATURE,
    UNKNOWN_KEY,
    Wanted,
)
from tests.conformance.attacks.cases import LARGE, Attack, Scenarios, forged, own_jwks
from tests.conformance.attacks.forging import by_another, good, header_text, parts, with_header, with_parameters
from tests.conformance.attacks.stage import Stage
from tests.doors import ISSUING
from tests.loopback import sends
from tests.making import ABSENT, base64url, segment, signing_key


def _text() -> str:
    return json.dumps(ISSUING.header())


def _headers(name: str, wanted: Wanted, headers: dict[str, Any]) -> list[Attack]:
    """A token of each header: octets, text, or what has a JSON form; or what makes one when asked."""
    return forged(
        name,
        wanted,
        {about: lambda made=made: with_header(made() if callable(made) else made) for about, made in headers.items()},
    )


def _parameters(name: str, wanted: Wanted, changes: dict[str, dict[str, Any]]) -> list[Attack]:
    """A token for each change of a good header."""
    return forged(name, wanted, {about: lambda new=new: with_parameters(**new) for about, new in changes.items()})


def _each(name: str, wanted: Wanted, parameter: str, values: dict[str, Any]) -> list[Attack]:
    """A token for each value of one parameter."""
    return _parameters(name, wanted, {f"{parameter}: {about}": {parameter: value} for about, value in values.items()})


OTHER_TYPES: Final = {
    "null": None,
    "true": True,
    "a number": 256,
    "an array": ["RS256"],
    "an object": {"RS256": "RS256"},
}


def _unsigned(alg: str) -> str:
    return f"{segment(ISSUING.header(alg=alg))}.{parts()[1]}."


NONES: Final = {
    "in upper case": "NONE",
    "with a capital": "None",
    "in mixed case": "nOnE",
    "a space behind": "none ",
    "a space in front": " none",
    "a null behind": "none\0",
    "a tab behind": "none\t",
    "of full width": "\uff4e\uff4f\uff4e\uff45",
    "with a letter that looks alike": "n\u043ene",
    "with a combining mark": "none\u0301",
    "nothing at all": "",
    "null as text": "null",
}

SPELT: Final = ("in upper case", "with a capital", "in mixed case")  # these are `none`, as far as anybody can tell

JWE_ONLY: Final = {
    "zip": "DEF",
    "enc": "A256GCM",
    "epk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    "apu": "QWxpY2U",
    "apv": "Qm9i",
    "iv": "AAAAAAAAAAAAAAAA",
    "tag": "AAAAAAAAAAAAAAAAAAAAAA",
    "p2s": "2WCTcJZ1Rvd_CJuJripQ1w",
    "p2c": 2_147_483_647,
}

NASTY_KIDS: Final = {
    "a path upwards": "../../dev/null",
    "a path upwards, many times": "../" * 20 + "etc/passwd",
    "a path of the other kind": "..\\..\\windows\\win.ini",
    "an address of a file": "file:///etc/passwd",
    "an address": "https://evil.test/key.pem",
    "SQL": "' UNION SELECT 'secret' -- ",
    "more SQL": "1'; DROP TABLE keys; --",
    "LDAP": "*)(uid=*))(|(uid=*",
    "a null": "RSA-1\0",
    "a null alone": "\0",
    "a new line": "RSA-1\r\nrefused: 200 OK",
    "a header of its own": "x\r\nSet-Cookie: admin=1",
    "a command": "$(touch x)`touch x`|touch x;touch x",
    "a template": "{{7*7}}${7*7}%s%n%(kid)s{kid}",
    "markup": "<script>alert(1)</script>",
    "quotes": "\"'\\",
    "a terminal's command": "\x1b[2J\x1b]0;x\x07",
    "text from right to left": "\u202e1-ASR",
    "a lookup": "${jndi:ldap://evil.test/x}",
    "nothing": "",
    "256 octets": "k" * 256,
}


TOKENS: Final[list[Attack]] = [
    *_headers(
        "H01",
        MALFORMED,
        {
            "an array": b'["RS256"]',
            "a header in an array": lambda: [ISSUING.header()],
            "a text": b'"RS256"',
            "a header as a text": lambda: json.dumps(_text()),
            "a number": b"256",
            "null": b"null",
            "true": b"true",
        },
    ),
    *_headers("H01+", HEADER, {"an empty object": b"{}", "an object in white space": b" \r\n\t{ } \n"}),
    *_headers(
        "H01+",
        MALFORMED,
        {
            "nothing but white space": b"  ",
            "no JSON": b"alg=RS256",
            "single quotes": lambda: _text().replace('"', "'"),
            "names without quotes": b"{alg:RS256}",
            "a comma too many": lambda: _text().replace("}", ",}"),
            "a comma too few": lambda: _text().replace(",", " ", 1),
            "no end": lambda: _text()[:-1],
            "an end too many": lambda: _text() + "}",
            "two objects": lambda: _text() * 2,
            "something behind": lambda: _text() + "x",
            "a null behind": lambda: _text() + "\0",
            "a comment": lambda: _text().replace("{", "{/* x */", 1),
            "a line comment": lambda: _text().replace("{", "{// x\n", 1),
            "a line break in a text": lambda: _text().replace("JWT", "JW\nT"),
            "a null in a text": lambda: _text().replace("JWT", "JWT\0"),
            "an unknown escape": lambda: _text().replace("JWT", "J\\WT"),
            "half an escape": lambda: _text().replace("JWT", "JWT\\u00"),
            "white space of another script": lambda: _text().replace(" ", "\xa0"),
            "a form feed": lambda: _text().replace(" ", "\f"),
            "quotes of another kind": lambda: _text().replace('"', "\u201c"),
            "hexadecimal": lambda: header_text(after='"x":0x10'),
            "a leading zero": lambda: header_text(after='"x":007'),
            "a plus sign": lambda: header_text(after='"x":+7'),
            "a fraction without digits": lambda: header_text(after='"x":7.'),
            "a fraction without its zero": lambda: header_text(after='"x":.7'),
            "an underscore in a number": lambda: header_text(after='"x":1_0'),
            "digits of another script": lambda: header_text(after='"x":\uff11'),
            "Python's True": lambda: header_text(after='"x":True'),
            "undefined": lambda: header_text(after='"x":undefined'),
        },
    ),
    *_headers("H03", MALFORMED, {"a letter of Latin-1": lambda: header_text(after='"x":"\xe9"').encode("latin-1")}),
    *_headers(
        "H03+",
        MALFORMED,
        {
            "an overlong letter": lambda: _text().encode().replace(b"JWT", b"\xc1\x8aWT"),
            "an overlong null": lambda: _text().encode().replace(b"JWT", b"JWT\xc0\x80"),
            "half a surrogate pair in UTF-8": lambda: _text().encode().replace(b"JWT", b"JWT\xed\xa0\x80"),
            "a code point too high": lambda: _text().encode().replace(b"JWT", b"JWT\xf4\x90\x80\x80"),
            "a letter that is cut off": lambda: _text().encode().replace(b"JWT", b"JWT\xe2\x82"),
            "a continuation alone": lambda: _text().encode().replace(b"JWT", b"JWT\x80"),
        },
    ),
    *_headers(
        "H04",
        MALFORMED,
        {
            coding: lambda coding=coding: _text().encode(coding)
            for coding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
        },
    ),
    *_headers(
        "H04+",
        MALFORMED,
        {"a byte order mark": lambda: b"\xef\xbb\xbf" + _text().encode(), "EBCDIC": lambda: _text().encode("cp500")},
    ),
    *_headers(
        "H06",
        MALFORMED,
        {
            "none, and then the real one": lambda: header_text(before='"alg":"none"'),
            "the real one, and then none": lambda: header_text(after='"alg":"none"'),
        },
    ),
    *_headers(
        "H06+",
        MALFORMED,
        {
            "the same twice": lambda: header_text(after='"alg":"RS256"'),
            "one of them escaped": lambda: header_text(before='"\\u0061lg":"none"'),
            "three times": lambda: header_text(before='"alg":"none"', after='"alg":"HS256"'),
        },
    ),
    *_headers("H07", MALFORMED, {"kid": lambda: header_text(before='"kid":"other"')}),
    *_headers(
        "H07+",
        MALFORMED,
        {
            "typ": lambda: header_text(after='"typ":"at+jwt"'),
            "what nobody knows": lambda: header_text(after='"x":1,"x":1'),
            "an empty name": lambda: header_text(after='"":1,"":2'),
            "in an object inside": lambda: header_text(after='"x":{"y":1,"y":2}'),
            "in an array inside": lambda: header_text(after='"x":[{"y":1,"y":2}]'),
            "the same letters in two escapes": lambda: header_text(after='"\\u006Bid":"a","\\u006bid":"b"'),
        },
    ),
    *_headers(
        "H09",
        MALFORMED,
        {number: lambda number=number: header_text(after=f'"x":{number}') for number in ("NaN", "Infinity", "1e400")},
    ),
    *_headers(
        "H09+",
        MALFORMED,
        {number: lambda number=number: header_text(after=f'"x":{number}') for number in ("-Infinity", "-1e400")},
    ),
    *_headers("H10", MALFORMED, {"5,000 digits": lambda: header_text(after=f'"x":{"9" * 5_000}')}),
    *_headers("H10+", MALFORMED, {"5,000 digits, negative": lambda: header_text(after=f'"x":-{"9" * 5_000}')}),
    *_headers("H10+", OK, {"a number of 19 digits": lambda: header_text(after=f'"x":{"9" * 19}')}),
    *_headers(
        "H10+",
        MALFORMED,
        {
            "five levels": lambda: header_text(after='"x":[[[[1]]]]'),
            "5,000 levels": lambda: header_text(after=f'"x":{"[" * 5_000}{"]" * 5_000}'),
            "5,000 levels without an end": lambda: '{"x":' * 2_000,
            "65 members": lambda: dict.fromkeys([*ISSUING.header(), *map(str, range(62))], "RS256"),
            "3,000 items": lambda: {**ISSUING.header(), "x": [1] * 3_000},
        },
    ),
    *_headers("H10+", OK, {"four levels": lambda: header_text(after='"x":[[[1]]]')}),
    *_headers("H10+", OK, {"64 members": lambda: {**ISSUING.header(), **{str(n): n for n in range(61)}}}),
    *_headers("H12", MALFORMED, {"200 KB in one text": lambda: {**ISSUING.header(), "x": "y" * 200_000}}),
    *_headers(
        "H12+", MALFORMED, {"200 KB of members": lambda: {**ISSUING.header(), **{str(n): n for n in range(20_000)}}}
    ),
    *forged(
        "H12+",
        MALFORMED,
        {
            "200 KB of members, where large ones are taken": lambda: with_header(
                {**ISSUING.header(), **{str(n): n for n in range(20_000)}}
            ),
            "200 KB of brackets, where large ones are taken": lambda: with_header("[" * 200_000),
            "200 KB of backslashes and quotes, where large ones are taken": lambda: with_header('\\"' * 100_000),
        },
        LARGE,
        0.02,
    ),
    *_parameters("H13", HEADER, {"there is none": {"alg": ABSENT}}),
    *_each("H13+", HEADER, "alg", OTHER_TYPES),
    *forged("H15", HEADER, {"and no signature": lambda: _unsigned("none")}),
    *forged("H16", HEADER, {f"{about}, and no signature": lambda alg=NONES[about]: _unsigned(alg) for about in SPELT}),
    *forged(
        "H16",
        MALFORMED,
        {
            f"{about}, and no signature": lambda alg=alg: _unsigned(alg)
            for about, alg in NONES.items()
            if about not in SPELT
        },
    ),
    *forged(
        "H16",
        HEADER,
        {f"{about}, and a good signature": lambda alg=alg: with_parameters(alg=alg) for about, alg in NONES.items()},
    ),
    *_each(
        "H16+",
        HEADER,
        "alg",
        {
            "in lower case": "rs256",
            "a space behind": "RS256 ",
            "a null behind": "RS256\0",
            "of full width": "\uff32\uff33256",
            "two of them": "RS256,HS256",
            "by its name elsewhere": "SHA256withRSA",
            "by its object identifier": "1.2.840.113549.1.1.11",
            "RFC 9864's way of another": "ESP256",
            "of an encrypted token": "RSA-OAEP-256",
            "direct": "dir",
            "one that nobody knows": "XS256",
            "SHA-1": "RS1",
            "one of a larger hash": "RS1024",
            "10,000 letters": "R" * 10_000,
        },
    ),
    *_parameters(
        "H18",
        HEADER,
        {
            "ALG alone": {"alg": ABSENT, "ALG": "RS256"},
            "Alg alone": {"alg": ABSENT, "Alg": "RS256"},
            "a space behind the name": {"alg": ABSENT, "alg ": "RS256"},
        },
    ),
    *_parameters("H18+", OK, {"ALG beside alg is nobody's": {"ALG": "none"}, "CRIT is nobody's": {"CRIT": ["x"]}}),
    *_each("H19", HEADER, "crit", {"an unknown name": ["x-policy"]}),
    *_parameters(
        "H19+",
        HEADER,
        {
            "an unknown name that is there": {"crit": ["x-policy"], "x-policy": 1},
            "what is known anyway": {"crit": ["exp"], "exp": 1},
            "what must not be named": {"crit": ["alg"]},
            "itself": {"crit": ["crit"]},
            "an empty array": {"crit": []},
            "an empty name": {"crit": [""], "": 1},
            "http": {"crit": ["http://evil.test/x"], "http://evil.test/x": 1},
            "1,000 names": {"crit": [f"{number}" for number in range(60)]},
        },
    ),
    *_each("H21", HEADER, "crit", {"a text": "exp", "an object": {"exp": 1}, "null": None, "a number": 1}),
    *_each("H21+", HEADER, "crit", {"true": True, "false": False, "an empty text": "", "zero": 0}),
    *_each("H22", HEADER, "crit", {"a number in it": [1], "a name twice": ["b64", "b64"]}),
    *_each("H22+", HEADER, "crit", {"null in it": [None], "an array in it": [["b64"]], "an object in it": [{}]}),
    *_parameters("H24", HEADER, {"b64 is not there": {"crit": ["b64"]}}),
    *_parameters("H25", HEADER, {"attached": {"b64": False, "crit": ["b64"]}}),
]


def _unencoded(*, attached: bool) -> str:
    """RFC 7797: the signature is made over the payload as it is."""
    head = segment(ISSUING.header(b64=False, crit=["b64"]))
    payload = json.dumps({"sub": "app-1"})
    signature = ISSUING.key().sign("RS256", f"{head}.{payload}".encode())
    return f"{head}.{payload if attached else ''}.{base64url(signature)}"


TOKENS += [
    *forged("H25", HEADER, {"detached": lambda: _unencoded(attached=False)}),
    *forged("H25+", HEADER, {"a payload that is no base64url": lambda: _unencoded(attached=True)}),
    *_each("H27", HEADER, "b64", {"false as a text": "false", "zero": 0, "null": None}),
    *_each("H27+", HEADER, "b64", {"true": True, "false": False, "one": 1, "an empty array": [], "an empty text": ""}),
    *_parameters("H27+", HEADER, {"true, and critical": {"b64": True, "crit": ["b64"]}}),
    *_parameters("H28", HEADER, {name: {name: value} for name, value in JWE_ONLY.items()}),
    *_parameters("H28+", HEADER, {f"{name}: null": {name: None} for name in JWE_ONLY}),
    *forged(
        "H31",
        UNKNOWN_KEY,
        {
            "with the intruder's kid": lambda: by_another(
                signing_key("RSA", 7), kid="RSA-7", x5c=["MIIB", "MIIC"], x5t="AAAA"
            )
        },
    ),
    *forged(
        "H31",
        SIGNATURE,
        {"with the issuer's kid": lambda: by_another(signing_key("RSA", 7), x5c=["MIIB"], **{"x5t#S256": "AAAA"})},
    ),
    *forged(
        "H31+",
        UNKNOWN_KEY,
        {
            "a key in the header (CVE-2018-0114)": lambda: by_another(
                signing_key("RSA", 7), kid="RSA-7", jwk=signing_key("RSA", 7).jwk()
            )
        },
    ),
    *forged(
        "H31+",
        SIGNATURE,
        {
            "a key in the header, and the issuer's kid": lambda: by_another(
                signing_key("RSA", 7), jwk=signing_key("RSA", 7).jwk()
            ),
            "a key in the header, and no kid": lambda: by_another(
                signing_key("RSA", 7), kid=ABSENT, jwk=signing_key("RSA", 7).jwk()
            ),
        },
    ),
    *_parameters(
        "H31+", OK, {"a good signature, whatever key the header brings": {"jwk": {"kty": "oct", "k": "AAAA"}}}
    ),
    *_each("H33", MALFORMED, "kid", {"100 KB": "k" * 100_000}),
    *forged("H33", HEADER, {"100 KB, where large ones are taken": lambda: with_parameters(kid="k" * 100_000)}, LARGE),
    *_each("H33+", HEADER, "kid", {"257 octets": "k" * 257, "129 letters of two octets": "\xe9" * 129}),
    *_each("H33+", HEADER, "typ", {"257 octets": "t" * 257}),
    *_each("H34", UNKNOWN_KEY, "kid", NASTY_KIDS),
    *_each("H34+", HEADER, "kid", OTHER_TYPES),
    *_each("H34+", MALFORMED, "kid", {"half a surrogate pair": "\ud800"}),
    *_each("H34+", HEADER, "typ", OTHER_TYPES),
    *_parameters(
        "H36",
        HEADER,
        {f"cty {value!r}": {"cty": value} for value in ("JWT", "jwt", "application/jwt", "Application/JWT")},
    ),
    *forged(
        "H36",
        HEADER,
        {"a token in a token": lambda: with_header_and_payload({"cty": "JWT"}, good())},
    ),
    *forged(
        "H36+",
        MALFORMED,
        {
            "a token in a token, unsaid": lambda: with_header_and_payload({}, good()),
            "a token in a token, as a text": lambda: with_header_and_payload({}, json.dumps(good())),
        },
    ),
    *_each("H36+", HEADER, "cty", OTHER_TYPES),
    *_parameters("H36+", OK, {"cty of JSON": {"cty": "json"}}),
    *_parameters("H36+", OK, {"members that nobody knows": {"x": [1, {"y": None}], "iss": "https://evil.test/"}}),
]


def with_header_and_payload(changes: dict[str, Any], payload: str) -> str:
    head = segment(ISSUING.header(**changes))
    text = f"{head}.{segment(payload)}"
    return f"{text}.{base64url(ISSUING.key().sign('RS256', text.encode()))}"


# --- no request leaves --------------------------------------------------------------------------------------

SCENES: Final = Scenarios()


def _lure(stage: Stage, parameter: str, address: str) -> list[str]:
    """Tokens that name the intruder's keys, signed with one of them; and one with the issuer's own."""
    intruder = signing_key("RSA", 7)
    said = {parameter: address}
    return [
        by_another(intruder, stage.issuing, kid=intruder.kid, **said),
        by_another(intruder, stage.issuing, **said),
        by_another(intruder, stage.issuing, kid=ABSENT, **said),
    ]


@SCENES.scenario("H30", "T")
def nobody_fetches_what_a_token_points_to(stage: Stage) -> None:
    intruder = signing_key("RSA", 7)
    stage.origin.answers["/evil"] = sends(json.dumps({"keys": [intruder.jwk()]}).encode())
    evil = f"{stage.issuing.url}evil"
    given = Issuer(stage.issuing.url, jwks={"keys": [stage.issuing.key().jwk()]})
    verifier = stage.verifier(issuers=[given])
    addresses = [evil, "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "//evil.test/", "data:,{}"]
    for parameter in ("jku", "x5u"):
        for address in addresses:
            answers = [stage.ask(verifier, token) for token in _lure(stage, parameter, address)]
            assert answers == [UNKNOWN_KEY.answer, SIGNATURE.answer, SIGNATURE.answer]
            assert stage.lets_in(verifier, stage.issuing.token(header={parameter: address}))
    assert not stage.origin.asked
    assert verifier.counters().fetches == 0


@SCENES.scenario("H30+", "T")
def keys_come_from_the_issuers_own_address_alone(stage: Stage) -> None:
    intruder = signing_key("RSA", 7)
    stage.origin.answers["/evil"] = sends(json.dumps({"keys": [intruder.jwk()]}).encode())
    verifier = stage.verifier()
    evil = f"{stage.issuing.url}evil"
    assert stage.ask(verifier, by_another(intruder, stage.issuing, kid="RSA-7", jku=evil)) == UNKNOWN_KEY.answer
    assert stage.ask(verifier, by_another(intruder, stage.issuing, kid=evil, jku=evil)) == UNKNOWN_KEY.answer
    assert stage.origin.asked["/evil"] == 0


@SCENES.scenario("H30+", "T")
def a_stated_issuer_that_is_not_ours_is_asked_nothing(stage: Stage) -> None:
    verifier = stage.verifier(issuers=[Issuer("https://issuer.test/", jwks=own_jwks())])
    assert stage.ask(verifier, stage.issuing.token()) == ISSUER.answer
    assert not stage.origin.asked


@SCENES.scenario("H34", "T")
def a_kid_reaches_no_file_and_no_address(stage: Stage) -> None:
    verifier = stage.verifier()
    for kid in NASTY_KIDS.values():
        assert stage.ask(verifier, stage.issuing.token(header={"kid": kid})) == UNKNOWN_KEY.answer
    assert set(stage.origin.asked) == {"/.well-known/openid-configuration", "/.well-known/jwks.json"}


CASES: Final = [*TOKENS, *SCENES]
