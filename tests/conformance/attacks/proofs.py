"""Group D: DPoP: requests with tokens that are bound to a key, and proofs that must not be taken."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from jwtgate import Issuer, Request
from jwtgate.core.binding import PROOFS_PER_KEY
from jwtgate.core.effects import RememberProof
from jwtgate.core.nonces import Nonces
from jwtgate.stores import MemoryStore
from tests.conformance.attacks import weak
from tests.conformance.attacks.answers import (
    AUDIENCE,
    BESIDE_BEARER,
    BINDING,
    CERTIFICATE,
    EXPIRED,
    FORWARDING,
    HEADER,
    MALFORMED,
    NEVER_STORED,
    NONCE,
    OK,
    OPAQUE,
    PROOF,
    REPLAYED,
    TOO_MANY,
    Answer,
    N,
    P,
    Q,
    U,
    V,
    Wanted,
    sender_refusal,
    under_dpop,
)
from tests.conformance.attacks.cases import (
    PLAIN,
    Attack,
    Carried,
    Scenarios,
    Sent,
    World,
    carried,
    everywhere,
    mistakes,
    own_jwks,
    world,
)
from tests.conformance.attacks.forging import good
from tests.conformance.attacks.proving import (
    HTU,
    KEY,
    OTHER_KEY,
    bound,
    certificate,
    certificate_bound,
    claims_text,
    hash_of,
    jkt_of,
    proof,
    sent,
)
from tests.conformance.attacks.stage import Stage, outcome, without_chance
from tests.conformance.attacks.state import with_settings
from tests.doors import ASGI_DOORS, ISSUING
from tests.loopback import Threads
from tests.making import ABSENT, API, NOW, SECRET, SigningKey, base64url, compact, public_members, segment, signing_key

TIME: Final = int(NOW)
ANY_KEY: Final = ("ES256", "ES384", "RS256", "PS256", "EdDSA")
NONCE_KEY: Final = b"0123456789abcdef0123456789abcdef"
SPOKEN: Final = {"proof_of_possession": "dpop", "public_url": "https://api.test"}

DPOP: Final = world("DPoP", **SPOKEN)
REQUIRED: Final = world(
    "DPoP, and nothing else", **SPOKEN | {"proof_of_possession": {"mechanism": "dpop", "required": True}}
)
ANY_ALGORITHM: Final = world("DPoP of any algorithm", **SPOKEN, dpop_algorithms=ANY_KEY)
WITH_NONCES: Final = world("DPoP with nonces", **SPOKEN, dpop_nonce_key=NONCE_KEY)
WITH_CERTIFICATES: Final = world("DPoP and mutual TLS", **SPOKEN | {"proof_of_possession": ("dpop", "mtls")})
UNDER_A_PATH: Final = world("DPoP under a path", **SPOKEN | {"public_url": "https://api.test/v1"})
BEHIND_FORWARDED: Final = world(
    "DPoP behind a proxy that writes Forwarded",
    proof_of_possession="dpop",
    trusted_proxies=("127.0.0.1/32", "10.0.0.0/8"),
    proxy_headers=("Forwarded",),
)
BEHIND_X: Final = world(
    "DPoP behind a proxy that writes X-Forwarded",
    proof_of_possession="dpop",
    trusted_proxies=("127.0.0.1/32",),
    proxy_headers=("X-Forwarded-Proto", "X-Forwarded-Host"),
)
OF_ANY: Final = sender_refusal("P", 401, "invalid_dpop_proof", PROOF, algs=" ".join(ANY_KEY))

KEY_ID: Final = jkt_of()


def _proofs(
    name: str, wanted: Wanted, proofs: Mapping[str, Callable[[], str | bytes]], world: World = DPOP
) -> list[Attack]:
    """A request with a good token for each proof."""
    return carried(name, wanted, {about: lambda make=make: sent(make()) for about, make in proofs.items()}, world)


def _claims(name: str, wanted: Wanted, claims: Mapping[str, dict[str, Any]], world: World = DPOP) -> list[Attack]:
    """A proof for each change of good claims."""
    return _proofs(name, wanted, {about: lambda new=new: proof(**new) for about, new in claims.items()}, world)


def _each(name: str, wanted: Wanted, claim: str, values: Mapping[str, Any], world: World = DPOP) -> list[Attack]:
    return _claims(name, wanted, {f"{claim}: {about}": {claim: value} for about, value in values.items()}, world)


def _headers(name: str, wanted: Wanted, headers: Mapping[str, dict[str, Any]], world: World = DPOP) -> list[Attack]:
    """A proof for each change of a good header."""
    return _proofs(name, wanted, {about: lambda new=new: proof(header=new) for about, new in headers.items()}, world)


def _written(name: str, claim: str, values: Mapping[str, str]) -> list[Attack]:
    """A proof whose claim is written just so."""
    return _proofs(
        name,
        P,
        {
            f"{claim}: {about}": lambda text=text: proof(payload=claims_text(f'"{claim}":{text}', **{claim: ABSENT}))
            for about, text in values.items()
        },
    )


NO_TEXT: Final = {
    "missing": ABSENT,
    "null": None,
    "a number": 7,
    "true": True,
    "an array": ["x"],
    "an object": {},
    "empty": "",
}
OWN_JWK: Final = public_members(KEY.private)


def _private_jwk() -> dict[str, str]:
    return {**OWN_JWK, "d": base64url(KEY.private.private_numbers().private_value.to_bytes(32))}


# --- what a proof looks like --------------------------------------------------------------------------------

FORM: Final[list[Attack]] = [
    *carried("D01", P, {"none": lambda: sent()}, DPOP),
    *carried("D01+", P, {"none, and the token is bound to nothing": lambda: sent(token=good())}, DPOP),
    *carried(
        "D01+", P, {"none, and another header has one": lambda: sent(lines=[(b"X-DPoP", proof().encode())])}, DPOP
    ),
    *carried("D01+", P, {"none, and the query has one": lambda: sent(query=b"DPoP=" + proof().encode())}, DPOP),
    *carried(
        "D01+", P, {"none, and a cookie is one": lambda: sent(lines=[(b"Cookie", b"DPoP=" + proof().encode())])}, DPOP
    ),
    *carried(
        "D01+",
        P,
        {
            "two": lambda: sent(proof(), proof()),
            "the same twice": lambda: sent(*[proof()] * 2),
            "a good and an empty one": lambda: sent(proof(), ""),
            "an empty and a good one": lambda: sent("", proof()),
            "two in one line": lambda: sent(f"{proof()}, {proof()}"),
            "two in one line, without a space": lambda: sent(f"{proof()},{proof()}"),
            "names of different case": lambda: sent(proof(), lines=[(b"dpop", proof().encode())]),
        },
        DPOP,
    ),
    *_proofs(
        "D03",
        P,
        {
            "empty": lambda: "",
            "not a JWT": lambda: "proof",
            "a JWE": lambda: ".".join([segment({"alg": "dir", "enc": "A256GCM"}), "", "AAAA", "AAAA", "AAAA"]),
            "longer than 8 KiB": lambda: proof(pad="x" * 6_200),
        },
    ),
    *_proofs(
        "D03+",
        P,
        {
            "white space": lambda: "  ",
            "two segments": lambda: proof().rpartition(".")[0],
            "four segments": lambda: proof() + ".x",
            "no signature": lambda: proof().rpartition(".")[0] + ".",
            "no payload": lambda: ".".join([proof().split(".")[0], "", "AAAA"]),
            "padding": lambda: proof() + "==",
            "a space inside": lambda: proof().replace(".", ". ", 1),
            "in quotes": lambda: f'"{proof()}"',
            "a scheme before it": lambda: f"DPoP {proof()}",
            "a high octet": lambda: proof().encode() + b"\xff",
            "1,000 dots": lambda: "." * 1_000,
            "the token": bound,
            "its flattened serialisation": lambda: json.dumps({"protected": proof().split(".")[0]}),
            "a payload that is an array": lambda: proof(payload="[]"),
            "a payload that is no JSON": lambda: proof(payload="htm=GET"),
            "a payload in UTF-16": lambda: proof(payload=claims_text().encode("utf-16")),
            "a payload nested too deep": lambda: proof(payload=claims_text('"x":' + "[" * 1_000)),
            "a member twice": lambda: proof(payload=claims_text('"htm":"GET"')),
            "NaN": lambda: proof(payload=claims_text('"x":NaN')),
        },
    ),
    *_proofs("D03+", OK, {"just 8 KiB, or nearly": lambda: proof(pad="x" * 5_500)}),
    *_each("D04", P, "jti", {"missing": ABSENT, "empty": "", "a number": 7, "100 KB": "x" * 100_000}),
    *_each("D04+", P, "jti", {"257 octets": "x" * 257, "129 letters of two octets": "\xe9" * 129, **NO_TEXT}),
    *_each(
        "D04+",
        OK,
        "jti",
        {"256 octets": "x" * 256, "a new line": "a\r\nb", "a null": "\0", "odd letters": "\u202e\xe9"},
    ),
    *_each(
        "D06",
        P,
        "htu",
        {"missing": ABSENT, "a number": 7, "relative": "/private", "not http": "ftp://api.test/private"},
    ),
    *_each(
        "D06+",
        P,
        "htu",
        {
            **NO_TEXT,
            "no scheme": "api.test/private",
            "two slashes": "//api.test/private",
            "a file": "file:///private",
            "no host": "https:///private",
            "a word": "private",
            "any": "*",
            "an array of it": [HTU],
            "a user": "https://user@api.test/private",
            "a port that is none": "https://api.test:x/private",
            "a port too high": "https://api.test:99999/private",
            "a space in front": f" {HTU}",
            "a new line behind": f"{HTU}\n",
            "a null behind": f"{HTU}\0",
            "a bracket": "https://[api.test/private",
            "letters that look alike": "https://\u0430pi.test/private",
            "7,000 characters": f"https://api.test/{'x' * 5_000}",
            "nothing but percent signs": "https://api.test/" + "%41" * 1_000,
        },
    ),
    *_each("D07", P, "iat", {"missing": ABSENT, "a text": str(TIME), "true": True, "a fraction": TIME + 0.5}),
    *_written("D07", "iat", {"NaN": "NaN"}),
    *_each(
        "D07+",
        P,
        "iat",
        {"null": None, "false": False, "an array": [TIME], "negative": -1, "in milliseconds": TIME * 1_000},
    ),
    *_written(
        "D07+", "iat", {"Infinity": "Infinity", "1e400": "1e400", "with an exponent": "1.8e9", "400 digits": "9" * 400}
    ),
    *_headers("D09", P, {typ or "missing": {"typ": typ or ABSENT} for typ in ("", "JWT", "at+jwt")}),
    *_headers(
        "D09+",
        P,
        {
            **{
                typ: {"typ": typ}
                for typ in ("dpop", "dpop+jwt;x", "dpop jwt", "dpop+jwt ", "jwt+dpop", "application/jwt")
            },
            **{f"typ: {about}": {"typ": value} for about, value in NO_TEXT.items()},
        },
    ),
    *_headers("D10", OK, {typ: {"typ": typ} for typ in ("DPoP+JWT", "application/dpop+jwt")}),
    *_headers("D10+", OK, {typ: {"typ": typ} for typ in ("DPOP+JWT", "Application/DPoP+jwt")}),
    *_headers(
        "D10+",
        P,
        {
            **{
                f"alg: {alg}": {"alg": alg}
                for alg in ("none", "None", "HS256", "es256", "ES256K", "RS256", "ES384", "EdDSA")
            },
            **{f"alg: {about}": {"alg": value} for about, value in NO_TEXT.items()},
            "crit": {"crit": ["exp"]},
            "b64": {"b64": True},
            "zip": {"zip": "DEF"},
            "enc": {"enc": "A256GCM"},
        },
    ),
]

# --- the key that it brings ---------------------------------------------------------------------------------


def _by(key: SigningKey | weak.RawRsa, jwk: dict[str, Any], algorithm: str) -> Callable[[], str]:
    """A proof by a key of its own, rightly signed."""

    def make() -> str:
        head = {"typ": "dpop+jwt", "alg": algorithm, "jwk": jwk}
        text = f"{segment(head)}.{segment(claims_text())}"
        return f"{text}.{base64url(key.sign(algorithm, text.encode()))}"

    return make


def _rsa(make: Callable[[], weak.RawRsa]) -> Callable[[], str]:
    return lambda: _by(make(), {name: make().jwk()[name] for name in ("kty", "n", "e")}, "RS256")()


def _by_secret() -> str:
    head = {"typ": "dpop+jwt", "alg": "HS256", "jwk": {"kty": "oct", "k": base64url(SECRET)}}
    return compact(head, claims_text(), SECRET, "HS256")


def _jwks(name: str, jwks: Mapping[str, Any], wanted: Wanted = P, world: World = DPOP) -> list[Attack]:
    return _headers(name, wanted, {about: {"jwk": jwk} for about, jwk in jwks.items()}, world)


KEYS: Final[list[Attack]] = [
    *_jwks("D12", {"missing": ABSENT, "a text": "x", "null": None}),
    *_headers("D12", P, {"a kid in its place": {"jwk": ABSENT, "kid": KEY.kid}}),
    *_jwks(
        "D12+",
        {"an array": [OWN_JWK], "an empty object": {}, "a number": 7, "true": True, "as a text": json.dumps(OWN_JWK)},
    ),
    *_headers(
        "D12+",
        P,
        {
            "an address in its place": {"jwk": ABSENT, "jku": "https://evil.test/jwks"},
            "a certificate in its place": {"jwk": ABSENT, "x5c": ["MIIB"]},
            "the thumbprint in its place": {"jwk": ABSENT, "jkt": jkt_of()},
        },
    ),
    *_proofs("D13", P, {"signed with it": _by_secret}),
    *_jwks("D13+", {"beside a good signature": {"kty": "oct", "k": base64url(SECRET)}}),
    *_jwks("D13+", {"the private key": _private_jwk(), "a private member that is null": {**OWN_JWK, "d": None}}),
    *_proofs("D15", OF_ANY, {"RSA of 1,024 bits": _rsa(lambda: weak.rsa_of(1_024))}, ANY_ALGORITHM),
    *_proofs("D15", OF_ANY, {"RSA of 16,384 bits": lambda: _too_large_to_sign(weak.largest())}, ANY_ALGORITHM),
    *_proofs(
        "D15", OF_ANY, {"e of 2,047 bits": _rsa(lambda: weak.exponent("RSA-e-huge", 2**2_046 + 981))}, ANY_ALGORITHM
    ),
    *_jwks(
        "D15",
        {
            "a point that is not on the curve": {**OWN_JWK, "y": OWN_JWK["x"]},
            "x of 31 octets": {**OWN_JWK, "x": base64url(b"\1" * 31)},
        },
    ),
    *_proofs(
        "D15+",
        OF_ANY,
        {
            "RSA of 4,098 bits": lambda: _too_large_to_sign(_of_bits(4_098)),
            "RSA of 512 bits": _rsa(lambda: weak.rsa_of(512)),
            "e is 1": _rsa(weak.exponent_one),
            "e is 3": _rsa(weak.exponent_three),
            "n is even": _rsa(weak.even_modulus),
            "the generator of CVE-2017-15361": _rsa(weak.roca),
            **{
                f"an Edwards key of {about}": lambda point=point: proof(
                    header={"jwk": {"kty": "OKP", "crv": "Ed25519", "x": base64url(point)}, "alg": "EdDSA"},
                    signature="ES256",
                )
                for about, point in weak.SMALL_ORDER.items()
            },
        },
        ANY_ALGORITHM,
    ),
    *_jwks(
        "D15+",
        {
            "the point at infinity": {**OWN_JWK, "x": base64url(bytes(32)), "y": base64url(bytes(32))},
            "x of 33 octets": {**OWN_JWK, "x": base64url(bytes(33))},
            "x that is padded": {**OWN_JWK, "x": OWN_JWK["x"] + "="},
            "no y": {name: value for name, value in OWN_JWK.items() if name != "y"},
            "a curve that nobody knows": {**OWN_JWK, "crv": "P-999"},
            "a curve in lower case": {**OWN_JWK, "crv": "p-256"},
            "a kind that nobody knows": {**OWN_JWK, "kty": "XYZ"},
            "a member twice removed": {"jwk": OWN_JWK},
            "for encryption": {**OWN_JWK, "use": "enc"},
            "for signing alone": {**OWN_JWK, "key_ops": ["sign"]},
            "marked for another algorithm": {**OWN_JWK, "alg": "ES384"},
            "secp256k1": {name: weak.koblitz_jwk()[name] for name in ("kty", "crv", "x", "y")},
        },
    ),
    *_proofs(
        "D16",
        OF_ANY,
        {
            "ES256 said, P-384 in the key": lambda: _on_other_curve("ES256", signing_key("P-384"), 48),
            "ES384 said, P-256 in the key": lambda: _on_other_curve("ES384", KEY, 32),
            "RS256 said, an elliptic key": lambda: proof(header={"alg": "RS256"}, signature="ES256"),
            "ES256 said, an RSA key": lambda: proof(header={"jwk": public_members(signing_key("RSA").private)}),
            "EdDSA said, an elliptic key": lambda: proof(header={"alg": "EdDSA"}, signature="ES256"),
        },
        ANY_ALGORITHM,
    ),
    *_proofs(
        "D16+",
        P,
        {
            "another key has signed": lambda: proof(key=OTHER_KEY, header={"jwk": OWN_JWK}),
            "signed, and then changed": lambda: _with_claims_of(proof(), proof()),
            "the signature in DER": lambda: _der_signed(),
            "all zeros (CVE-2022-21449)": lambda: proof().rpartition(".")[0] + "." + base64url(bytes(64)),
            "an octet more": lambda: proof() + "AA",
            "one letter changed": lambda: proof()[:-5] + "AAAAA",
        },
    ),
    *_headers(
        "D16+", OK, {"a kid beside": {"kid": "../../dev/null"}, "an address beside": {"jku": "https://evil.test/"}}
    ),
    *_headers("D46", OK, {"extra members": {"jwk": {**OWN_JWK, "kid": "x", "x5c": ["MIIB"], "alg": "ES256"}}}),
    *_headers(
        "D46+", OK, {"members that nobody knows": {"jwk": {**OWN_JWK, "x": OWN_JWK["x"], "extra": 1, "use": "sig"}}}
    ),
]


def _too_large_to_sign(key: weak.RawRsa) -> str:
    """It is the key that must be refused, before anything is worked out with it."""
    head = {"typ": "dpop+jwt", "alg": "RS256", "jwk": {name: key.jwk()[name] for name in ("kty", "n", "e")}}
    return f"{segment(head)}.{segment(claims_text())}.{'A' * 684}"


def _of_bits(bits: int) -> weak.RawRsa:
    """Of a modulus that nobody has the factors of."""
    return weak.RawRsa("odd", (1 << bits - 1) + 0x10001 * 2 + 1, 65_537, 1)


def _on_other_curve(algorithm: str, key: SigningKey, size: int) -> str:
    head = {"typ": "dpop+jwt", "alg": algorithm, "jwk": public_members(key.private)}
    text = f"{segment(head)}.{segment(claims_text())}"
    return f"{text}.{base64url(weak.raw_signature(key, text.encode(), size=size))}"


def _with_claims_of(one: str, other: str) -> str:
    head, _, signature = one.split(".")
    return f"{head}.{other.split('.')[1]}.{signature}"


def _der_signed() -> str:
    text = proof().rpartition(".")[0]
    return f"{text}.{base64url(KEY.private.sign(text.encode(), ec.ECDSA(SHA256())))}"


# --- what it was made for -----------------------------------------------------------------------------------

SAME_TARGET: Final = {
    "the host in upper case": "https://API.TEST/private",
    "the default port": "https://api.test:443/private",
    "a letter in percent": "https://api.test/%70rivate",
    "dot segments": "https://api.test/x/../private",
}
SAME_TOO: Final = {
    "the scheme in upper case": "HTTPS://api.test/private",
    "an empty port": "https://api.test:/private",
    "a dot segment of one": "https://api.test/./private",
    "too many dot segments": "https://api.test/../../private",
    "a letter of the host in percent": "https://%61pi.test/private",
    "dots in percent": "https://api.test/x/%2E%2e/private",
}
OTHER_TARGETS: Final = {
    "another host": "https://evil.test/private",
    "a host that begins as ours does": "https://api.test.evil.test/private",
    "a host below ours": "https://x.api.test/private",
    "http": "http://api.test/private",
    "another port": "https://api.test:8443/private",
    "the port of http": "https://api.test:80/private",
    "another path": "https://api.test/public",
    "a slash behind": "https://api.test/private/",
    "two slashes": "https://api.test//private",
    "the path in upper case": "https://api.test/PRIVATE",
    "a slash in percent": "https://api.test%2Fprivate",
    "a slash in percent in the path": "https://api.test/x%2F..%2Fprivate",
    "a backslash": "https://api.test\\private",
    "a semicolon": "https://api.test/private;x",
    "more behind": "https://api.test/private2",
    "its beginning": "https://api.test/priv",
    "no path": "https://api.test",
    "a null in percent": "https://api.test/private%00",
    "the path in the query": "https://api.test/?/private",
    "the server's own address": "http://127.0.0.1:8000/private",
    "a dot behind the host": "https://api.test./private",
}


def _methods(name: str, wanted: Wanted, methods: Mapping[str, Any]) -> list[Attack]:
    return _each(name, wanted, "htm", methods)


PURPOSE: Final[list[Attack]] = [
    *_methods("D18", P, {"another method": "POST", "in lower case": "get"}),
    *_methods(
        "D18+",
        P,
        {**NO_TEXT, "in mixed case": "Get", "a space behind": "GET ", "two": "GET,POST", "any": "*", "HEAD": "HEAD"},
    ),
    *carried("D18+", P, {"a POST with the proof of a GET": lambda: sent(proof(), method="POST")}, DPOP),
    *carried("D18+", P, {"a HEAD with the proof of a GET": lambda: sent(proof(), method="HEAD")}, DPOP),
    *carried("D18+", OK, {"a POST with its own": lambda: sent(proof(htm="POST"), method="POST")}, DPOP),
    *carried(
        "D19",
        P,
        {
            "said to be a GET": lambda: sent(proof(), method="POST", lines=[(b"X-HTTP-Method-Override", b"GET")]),
            "said to be a POST": lambda: sent(proof(htm="POST"), lines=[(b"X-HTTP-Method-Override", b"POST")]),
        },
        DPOP,
    ),
    *_each("D21", OK, "htu", {"a query": f"{HTU}?x=1", "a fragment": f"{HTU}#x", "both": f"{HTU}?x=1#y"}),
    *carried("D21+", OK, {"the request has a query": lambda: sent(proof(), query=b"x=1")}, DPOP),
    *carried("D21+", P, {"a question mark in percent": lambda: sent(proof(htu=f"{HTU}%3Fx"))}, DPOP),
    *_each("D22", OK, "htu", SAME_TARGET),
    *_each("D22+", OK, "htu", SAME_TOO),
    *_each("D22+", P, "htu", OTHER_TARGETS),
    *carried("D22+", P, {"without the path before the app's own": lambda: sent(proof())}, UNDER_A_PATH),
    *carried("D22+", OK, {"with it": lambda: sent(proof(htu="https://api.test/v1/private"))}, UNDER_A_PATH),
    *_each("D25", P, "iat", {"a second too old": TIME - 91, "a second too new": TIME + 31}),
    *_each(
        "D25+",
        P,
        "iat",
        {"just at the end": TIME - 90, "a year old": TIME - 31_536_000, "a year new": TIME + 31_536_000},
    ),
    *_each("D25+", P, "iat", {"at the beginning": 0, "in the year 9999": 253_402_300_799}),
    *_each("D25+", OK, "iat", {"just before the end": TIME - 89, "just at the leeway": TIME + 30}),
    *_claims("D25+", OK, {"other times are not looked at": {"exp": TIME - 3_600, "nbf": TIME + 3_600}}),
]

# --- proxies ------------------------------------------------------------------------------------------------

EVIL: Final = "https://evil.test/private"
TOLD: Final[Mapping[str, tuple[tuple[bytes, bytes], ...]]] = {
    "X-Forwarded-Host": ((b"X-Forwarded-Host", b"evil.test"), (b"X-Forwarded-Proto", b"https")),
    "Forwarded": ((b"Forwarded", b"host=evil.test;proto=https"),),
    "X-Original-URL": ((b"X-Original-URL", EVIL.encode()),),
    "X-Host": ((b"X-Host", b"evil.test"), (b"X-Forwarded-Server", b"evil.test")),
}


def _forwarded(*values: bytes, peer: str = "127.0.0.1", htu: str = "https://front.test/private") -> Carried:
    return sent(proof(htu=htu), peer=peer, lines=[(b"Forwarded", value) for value in values])


def _x_forwarded(*lines: tuple[bytes, bytes], peer: str = "127.0.0.1") -> Carried:
    return sent(proof(htu="https://front.test/private"), peer=peer, lines=lines)


X_PROTO, X_HOST = b"X-Forwarded-Proto", b"X-Forwarded-Host"
MISUNDERSTOOD: Final = sender_refusal("Q", 400, "invalid_request", FORWARDING)

PROXIES: Final[list[Attack]] = [
    *carried(
        "D24",
        P,
        {
            f"a Host of the sender's choice, {about}": lambda lines=lines: sent(
                proof(htu=EVIL), hosts=(b"evil.test",), lines=lines
            )
            for about, lines in {"and nothing else": (), **TOLD}.items()
        },
        DPOP,
    ),
    *carried(
        "D24+",
        OK,
        {
            f"what we know counts, and not {about}": lambda lines=lines: sent(
                proof(), hosts=(b"evil.test",), lines=lines
            )
            for about, lines in TOLD.items()
        },
        DPOP,
    ),
    *carried(
        "D24+",
        P,
        {
            "a Host that is a path": lambda: sent(proof(htu="https://api.test/evil"), hosts=(b"api.test/evil?x=",)),
            "a Host with a fragment": lambda: sent(proof(htu="https://api.test/"), hosts=(b"api.test/#",)),
            "a Host with a user": lambda: sent(proof(htu="https://user@api.test/private"), hosts=(b"user@api.test",)),
        },
        DPOP,
    ),
    *carried(
        "D24+",
        P,
        {"Forwarded, by whom nobody trusts": lambda: _forwarded(b"host=front.test;proto=https", peer="203.0.113.9")},
        BEHIND_FORWARDED,
    ),
    *carried(
        "D24+",
        P,
        {
            "X-Forwarded, by whom nobody trusts": lambda: _x_forwarded(
                (X_PROTO, b"https"), (X_HOST, b"front.test"), peer="203.0.113.9"
            )
        },
        BEHIND_X,
    ),
    *carried(
        "D24+",
        P,
        {"X-Forwarded, where Forwarded is read": lambda: _x_forwarded((X_PROTO, b"https"), (X_HOST, b"front.test"))},
        BEHIND_FORWARDED,
    ),
    *carried(
        "D24+",
        P,
        {"Forwarded, where X-Forwarded is read": lambda: _forwarded(b"host=front.test;proto=https")},
        BEHIND_X,
    ),
    *carried(
        "D24+",
        OK,
        {"Forwarded, by a trusted proxy": lambda: _forwarded(b"host=front.test;proto=https")},
        BEHIND_FORWARDED,
    ),
    *carried(
        "D24+",
        OK,
        {"X-Forwarded, by a trusted proxy": lambda: _x_forwarded((X_PROTO, b"https"), (X_HOST, b"front.test"))},
        BEHIND_X,
    ),
    *carried(
        "D24+",
        P,
        {
            "what the sender wrote, in front of what the proxy wrote": lambda: _forwarded(
                b"host=front.test;proto=https", b"for=203.0.113.9;host=real.test;proto=https"
            ),
            "the same in one line": lambda: _forwarded(
                b"host=front.test;proto=https, for=203.0.113.9;host=real.test;proto=https"
            ),
        },
        BEHIND_FORWARDED,
    ),
    *carried(
        "D24+",
        OK,
        {
            "two trusted proxies, the first one's word": lambda: _forwarded(
                b"for=203.0.113.9;host=front.test;proto=https, for=10.0.0.7;host=inner.test;proto=http"
            )
        },
        BEHIND_FORWARDED,
    ),
    *carried(
        "D24+",
        MISUNDERSTOOD,
        {
            about: lambda value=value: _forwarded(value)
            for about, value in {
                "Forwarded without its end": b'host="front.test',
                "Forwarded with a name twice": b"host=front.test;host=evil.test",
                "Forwarded with a host that is a path": b'host="front.test/x?";proto=https',
                "Forwarded with a user": b'host="x@front.test";proto=https',
                "Forwarded with a protocol that is none": b'host=front.test;proto="java script"',
                "Forwarded without a name": b"=front.test",
                "Forwarded of 5 KB": b"for=" + b"x" * 5_000,
            }.items()
        },
        BEHIND_FORWARDED,
    ),
    *carried(
        "D24+",
        MISUNDERSTOOD,
        {
            "two hosts that differ": lambda: _x_forwarded(
                (X_PROTO, b"https"), (X_HOST, b"front.test"), (X_HOST, b"evil.test")
            ),
            "two in one line": lambda: _x_forwarded((X_PROTO, b"https"), (X_HOST, b"front.test, evil.test")),
            "a host that is a path": lambda: _x_forwarded((X_PROTO, b"https"), (X_HOST, b"front.test/x")),
            "a protocol that is none": lambda: _x_forwarded((X_PROTO, b"gopher"), (X_HOST, b"front.test")),
        },
        BEHIND_X,
    ),
]

# --- the nonce, the token, and the key ----------------------------------------------------------------------


def _nonce(*, key: bytes = NONCE_KEY, at: float = NOW, audience: str = API, lifetime: float = 300) -> str:
    return Nonces(key, lifetime, audience).current(at)


WITH_NONCE: Final = Wanted(
    "OK", Answer(200, (*OK.answer.lines, NEVER_STORED[0], ("dpop-nonce", NONCE)), OK.answer.body)
)
OWN_RESPONSES: Final = dict.fromkeys(
    (door for door in ASGI_DOORS if door.startswith("fastapi")),
    "a route's own Response carries no nonce, unless the gate is installed in the app",
)
NO_NONCES: Final = {
    "wrong": "x" * 24,
    "expired": _nonce(at=NOW - 900),
    "of another server": _nonce(audience="https://other.test/"),
    "a number": 7,
}
NOR_THESE: Final = {
    "of another key": _nonce(key=b"another key, of thirty-two octets"),
    "of the future": _nonce(at=NOW + 600),
    "of another lifetime": _nonce(lifetime=60),
    "null": None,
    "empty": "",
    "an array of the right one": [_nonce()],
    "the right one and more": _nonce() + "A",
    "the right one, cut": _nonce()[:-1],
    "the right one in upper case": _nonce().upper(),
    "the right one, padded": _nonce() + "=",
    "letters that are not ASCII": "\xe9" * 24,
    "6,000 letters": "x" * 5_000,
}


def _ath(token: str, spell: Callable[[bytes], str]) -> str:
    return spell(hashlib.sha256(token.encode()).digest())


BOUND_TO: Final[Mapping[str, Any]] = {
    "a number": 7,
    "an array": [jkt_of()],
    "empty": "",
    "padded": jkt_of() + "=",
    "as long as SHA-1": base64url(hashlib.sha1(b"x").digest()),
}
BOUND_TO_MORE: Final[Mapping[str, Any]] = {
    "null": None,
    "true": True,
    "an object": {"jkt": jkt_of()},
    "in hexadecimal": hashlib.sha256(b"x").hexdigest(),
    "as long as SHA-512": base64url(hashlib.sha512(b"x").digest()),
    "in another spelling": jkt_of()[:-1] + "B",
    "a space behind": jkt_of() + " ",
    "with a prefix": f"urn:ietf:params:oauth:jwk-thumbprint:sha-256:{jkt_of()}",
}


def _with(token: str, **changes: Any) -> Carried:
    """A good proof of our key with this token."""
    return sent(proof(token), token=token, **changes)


def _of_both(**confirmed: Any) -> str:
    return certificate_bound(certificate(), jkt=jkt_of(), **confirmed)


REST: Final[list[Attack]] = [
    *_claims("D33", U, {"none": {}}, WITH_NONCES),
    *_claims("D34", U, {about: {"nonce": nonce} for about, nonce in NO_NONCES.items()}, WITH_NONCES),
    *_claims("D34+", U, {about: {"nonce": nonce} for about, nonce in NOR_THESE.items()}, WITH_NONCES),
    *carried(
        "D34+",
        WITH_NONCE,
        {
            "the right one": lambda: sent(proof(nonce=_nonce())),
            "the one before": lambda: sent(proof(nonce=_nonce(at=NOW - 300))),
        },
        WITH_NONCES,
        not_at=OWN_RESPONSES,
    ),
    *_claims("D34+", P, {"the right one, but for another method": {"nonce": _nonce(), "htm": "POST"}}, WITH_NONCES),
    *_claims("D34+", P, {"the right one, too old": {"nonce": _nonce(), "iat": TIME - 91}}, WITH_NONCES),
    *_claims("D34+", OK, {"one that nobody asked for": {"nonce": "x"}}),
    *_claims(
        "D36",
        P,
        {
            "of another token": {"ath": hash_of(good())},
            "padded": {"ath": hash_of(bound()) + "="},
            "in hexadecimal": {"ath": _ath(bound(), bytes.hex)},
        },
    ),
    *_claims(
        "D36+",
        P,
        {
            **{about: {"ath": value} for about, value in NO_TEXT.items()},
            "in base64": {"ath": _ath(bound(), lambda octets: base64.b64encode(octets).decode().rstrip("=")) + "/"},
            "in another spelling": {"ath": hash_of(bound())[:-1] + "_"},
            "of SHA-1": {"ath": base64url(hashlib.sha1(bound().encode()).digest())},
            "of SHA-512": {"ath": base64url(hashlib.sha512(bound().encode()).digest())},
            "of the scheme too": {"ath": hash_of(f"DPoP {bound()}")},
            "of the payload alone": {"ath": hash_of(bound().split(".")[1])},
            "of nothing": {"ath": hash_of("")},
            "the token itself": {"ath": bound()},
            "in an array": {"ath": [hash_of(bound())]},
        },
    ),
    *carried("D37", under_dpop(BINDING), {"another key": lambda: sent(proof(key=OTHER_KEY))}, DPOP),
    *carried(
        "D37+",
        under_dpop(BINDING),
        {"bound to another key": lambda: _with(bound(OTHER_KEY)), "bound to none": lambda: _with(good())},
        DPOP,
    ),
    *carried(
        "D37+",
        under_dpop(BINDING),
        {
            f"bound to a key by {name}": lambda name=name, value=value: _with(ISSUING.token(cnf={name: value}))
            for name, value in {
                "jwk": OWN_JWK,
                "kid": KEY.kid,
                "jku": "https://evil.test/",
                "x5t#S256": jkt_of(),
            }.items()
        },
        DPOP,
    ),
    *carried(
        "D39",
        under_dpop(BINDING),
        {about: lambda value=value: _with(ISSUING.token(cnf={"jkt": value})) for about, value in BOUND_TO.items()},
        DPOP,
    ),
    *carried(
        "D39+",
        under_dpop(BINDING),
        {about: lambda value=value: _with(ISSUING.token(cnf={"jkt": value})) for about, value in BOUND_TO_MORE.items()},
        DPOP,
    ),
    *carried("D40", under_dpop(BINDING, "Bearer"), {"without a proof": lambda: sent(scheme="Bearer")}, DPOP),
    *carried("D40+", BESIDE_BEARER, {"with a proof": lambda: sent(proof(), scheme="Bearer")}, DPOP),
    *carried(
        "D40+",
        BESIDE_BEARER,
        {"with a proof, and bound to nothing": lambda: sent(proof(good()), token=good(), scheme="Bearer")},
        DPOP,
    ),
    *carried("D40+", BESIDE_BEARER, {"with an empty proof": lambda: sent("", token=good(), scheme="Bearer")}, DPOP),
    *carried("D40+", OK, {"a token that is bound to nothing": lambda: sent(token=good(), scheme="Bearer")}, DPOP),
    *carried(
        "D42",
        sender_refusal("N", 401, spoken=("DPoP",)),
        {
            "a token that is bound to nothing": lambda: sent(token=good(), scheme="Bearer"),
            "a token that is bound": lambda: sent(scheme="Bearer"),
        },
        REQUIRED,
    ),
    *carried("D42+", sender_refusal("N", 401, spoken=("DPoP",)), {"nobody": lambda: Carried()}, REQUIRED),
    *carried(
        "D42+", under_dpop(BINDING, spoken=("DPoP",)), {"under DPoP, bound to nothing": lambda: _with(good())}, REQUIRED
    ),
    *carried("D42+", OK, {"as it must be": lambda: sent(proof())}, REQUIRED),
    *everywhere("D43", BINDING, {"bound to a key": bound}),
    *carried("D43+", N, {"bound to a key, under DPoP": lambda: sent(proof())}, PLAIN),
    *carried(
        "D43+",
        OK,
        {"a proof beside a token that is bound to nothing": lambda: sent(proof(good()), token=good(), scheme="Bearer")},
        PLAIN,
    ),
    *carried(
        "D45",
        under_dpop(CERTIFICATE),
        {
            "no certificate": lambda: _with(_of_both()),
            "another certificate": lambda: _with(_of_both(), certificate=certificate(2)),
        },
        WITH_CERTIFICATES,
    ),
    *carried(
        "D45",
        under_dpop(BINDING),
        {"another key": lambda: sent(proof(_of_both(), key=OTHER_KEY), token=_of_both(), certificate=certificate())},
        WITH_CERTIFICATES,
    ),
    *carried("D45+", P, {"no proof": lambda: sent(token=_of_both(), certificate=certificate())}, WITH_CERTIFICATES),
    *carried(
        "D45+",
        under_dpop(BINDING, "Bearer"),
        {"no proof, under Bearer": lambda: sent(token=_of_both(), scheme="Bearer", certificate=certificate())},
        WITH_CERTIFICATES,
    ),
    *carried("D45+", OK, {"both": lambda: _with(_of_both(), certificate=certificate())}, WITH_CERTIFICATES),
    *carried(
        "D45+",
        OK,
        {
            "bound to a certificate alone, under DPoP": lambda: sent(
                token=certificate_bound(), certificate=certificate()
            )
        },
        WITH_CERTIFICATES,
    ),
    *carried(
        "D45+",
        P,
        {
            "bound to a certificate alone, with a bad proof": lambda: sent(
                "x", token=certificate_bound(), certificate=certificate()
            )
        },
        WITH_CERTIFICATES,
    ),
    # The token's own faults come first, and are told on the scheme that was used.
    *carried(
        "D46+",
        under_dpop(EXPIRED),
        {"an expired token": lambda: _with(ISSUING.token(exp=1, cnf={"jkt": jkt_of()}))},
        DPOP,
    ),
    *carried("D46+", under_dpop(AUDIENCE), {"a token for another API": lambda: _with(ISSUING.token(aud="x"))}, DPOP),
    *carried("D46+", under_dpop(OPAQUE), {"an opaque token": lambda: _with("0a1B2c3D")}, DPOP),
    *carried("D46+", under_dpop(MALFORMED), {"a token of 20 KB": lambda: _with("x" * 20_000)}, DPOP),
    *carried(
        "D46+",
        under_dpop(HEADER),
        {"an unsigned token": lambda: _with(f"{segment({'alg': 'none'})}.{segment({})}.")},
        DPOP,
    ),
    *carried("D46+", under_dpop(Q), {"two tokens": lambda: sent(proof(), token=f"{bound()} {bound()}")}, DPOP),
    *carried(
        "D46+", under_dpop(Q), {"no token": lambda: Carried(lines=[(b"Authorization", b"DPoP"), (b"DPoP", b"x")])}, DPOP
    ),
    *carried("D46+", under_dpop(Q), {"a tab": lambda: sent(proof(), token="\t" + bound())}, DPOP),
    *carried("D46+", sender_refusal("N", 401), {"nobody": lambda: Carried()}, DPOP),
    *carried(
        "D46+", sender_refusal("N", 401), {"a proof alone": lambda: Carried(lines=[(b"DPoP", proof().encode())])}, DPOP
    ),
    *carried(
        "D46+",
        OK,
        {
            "the scheme in lower case": lambda: sent(proof(), scheme="dpop"),
            "in upper case": lambda: sent(proof(), scheme="DPOP"),
        },
        DPOP,
    ),
]

# --- once, and never again ----------------------------------------------------------------------------------

SCENES: Final = Scenarios()


def _settings(stage: Stage, **changes: Any) -> dict[str, Any]:
    return {"issuers": [Issuer(ISSUING.url, jwks=own_jwks())], **SPOKEN, **changes}


def _request(carries: Sent) -> Request:
    lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in carries.lines]
    return Request(carries.method, HTU, lines)


def _ask(stage: Stage, verifier: Any, carries: Sent) -> object:
    found = outcome(lambda: stage.drive.verify_request(verifier, _request(carries)))
    return without_chance(found) if isinstance(found, Answer) else "let in"


@SCENES.scenario("D27", "P OK")
def the_same_proof_twice(stage: Stage) -> None:
    verifier, once = stage.verifier(**_settings(stage)), sent(proof())
    assert [_ask(stage, verifier, once) for _ in range(4)] == ["let in", *[REPLAYED.answer] * 3]
    stage.clock.date += 89
    assert _ask(stage, verifier, once) == REPLAYED.answer
    stage.clock.date += 2
    assert _ask(stage, verifier, once) == P.answer  # too old by now


@SCENES.scenario("D27+", "P OK")
def a_proof_that_was_refused_is_not_used_up(stage: Stage) -> None:
    verifier, made = stage.verifier(**_settings(stage)), proof()
    early = ISSUING.token(cnf={"jkt": jkt_of(OTHER_KEY)})
    assert _ask(stage, verifier, sent(made, token=early)) == P.answer
    assert _ask(stage, verifier, sent(made, method="POST")) == P.answer
    assert [_ask(stage, verifier, sent(made)) for _ in range(2)] == ["let in", REPLAYED.answer]


@SCENES.scenario("D27+", "P OK")
def the_same_proof_in_another_spelling_is_the_same(stage: Stage) -> None:
    verifier, name = stage.verifier(**_settings(stage)), "one-name"
    assert _ask(stage, verifier, sent(proof(jti=name))) == "let in"
    # Signed once more: ECDSA's signatures differ each time, and so does the claim beside.
    assert _ask(stage, verifier, sent(proof(jti=name))) == REPLAYED.answer
    assert _ask(stage, verifier, sent(proof(jti=name, x=1, iat=TIME - 5))) == REPLAYED.answer
    assert _ask(stage, verifier, sent(proof(jti=f"{name} "))) == "let in"
    assert _ask(stage, verifier, sent(proof(jti=name.upper()))) == "let in"


# Eight processes that share a file stand before the same gate, each with the same proof.
RACE: Final = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from jwtgate import ApiSettings, AuthError, Issuer, Request, Verifier

class Clock:
    def wall(self): return {now}
    def monotonic(self): return 1_000.0

store, jwks, token, proof = sys.argv[1:]
settings = ApiSettings(
    identifier="{api}", issuers=[Issuer("{issuer}", jwks=jwks)], proof_of_possession="dpop", store=store
)
verifier = Verifier(settings, clock=Clock())
request = Request("GET", "{htu}", [("Authorization", f"DPoP {{token}}"), ("DPoP", proof)])
gate, opener = os.pipe()
children = []
for _ in range(8):
    child = os.fork()
    if child == 0:
        os.close(opener)
        os.read(gate, 1)
        try:
            verifier.verify_request(request)
        except AuthError as error:
            os._exit(1 if error.event == "ProofReplayed" else 2)
        os._exit(0)
    children.append(child)
os.close(opener)
print(sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


@SCENES.scenario("D28", "P OK", drives=(Threads,))
def the_same_proof_in_eight_processes_at_once(stage: Stage) -> None:
    script = RACE.format(now=NOW, api=API, issuer=ISSUING.url, htu=HTU)
    with TemporaryDirectory() as folder:
        store = f"sqlite:///{Path(folder) / 'proofs.sqlite3'}"
        command = [sys.executable, "-c", script, store, json.dumps(own_jwks()), bound(), proof()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[0, 1, 1, 1, 1, 1, 1, 1]", "")


@SCENES.scenario("D30", "OK P")
def the_same_name_by_another_key(stage: Stage) -> None:
    verifier = stage.verifier(**_settings(stage))
    for key in (KEY, OTHER_KEY):
        token = bound(key)
        assert _ask(stage, verifier, sent(proof(token, key=key, jti="shared"), token=token)) == "let in"
        assert _ask(stage, verifier, sent(proof(token, key=key, jti="shared"), token=token)) == REPLAYED.answer


@SCENES.scenario("D31", "P")
def a_flood_of_one_key_fills_its_own_part_alone(stage: Stage) -> None:
    store, expires = MemoryStore(), NOW + 95
    for number in range(PROOFS_PER_KEY):
        store.remember(RememberProof(KEY_ID, hashlib.sha256(b"%d" % number).digest(), expires, PROOFS_PER_KEY), NOW)
    verifier = stage.drive.make(stage.settings(**_settings(stage)), clock=stage.clock, store=store)
    assert _ask(stage, verifier, sent(proof())) == TOO_MANY.answer
    token = bound(OTHER_KEY)
    other = sent(proof(token, key=OTHER_KEY), token=token)
    assert [_ask(stage, verifier, other) for _ in range(2)] == ["let in", REPLAYED.answer]


@SCENES.scenario("D31", "V P")
def a_flood_of_many_keys_forgets_nothing_that_is_alive(stage: Stage) -> None:
    store = MemoryStore(most=50)
    verifier = stage.drive.make(stage.settings(**_settings(stage)), clock=stage.clock, store=store)
    first = sent(proof())
    assert _ask(stage, verifier, first) == "let in"
    for number in range(49):
        store.remember(RememberProof(f"key-{number}", hashlib.sha256(b"%d" % number).digest(), NOW + 95, 10), NOW)
    for _ in range(5):
        answer = _ask(stage, verifier, sent(proof()))
        assert isinstance(answer, Answer)
        assert (answer.status, answer.body) == (V.answer.status, V.answer.body)
    assert _ask(stage, verifier, first) == REPLAYED.answer
    stage.clock.date += 100
    assert _ask(stage, verifier, sent(proof(iat=TIME + 100))) == "let in"  # there is room again


@SCENES.scenario("D33+", "U OK")
def the_nonce_that_is_given_out_is_taken(stage: Stage) -> None:
    verifier = stage.verifier(**_settings(stage, dpop_nonce_key=NONCE_KEY))
    found = stage.drive.outcome(verifier, _request(sent(proof())))
    assert without_chance(outcome(lambda: _raised(found))) == U.answer  # type: ignore[arg-type]
    nonce = dict(found.headers)["DPoP-Nonce"]
    assert _ask(stage, verifier, sent(proof(nonce=nonce))) == "let in"
    stage.clock.date += 600
    assert _ask(stage, verifier, sent(proof(nonce=nonce, iat=TIME + 600))) == U.answer


def _raised(error: Any) -> Any:
    raise error


@SCENES.scenario("D40+", "T")
def a_bound_token_without_its_request_is_good_for_nothing(stage: Stage) -> None:
    verifier = stage.verifier(**_settings(stage))
    assert stage.ask(verifier, bound()) == under_dpop(BINDING, "Bearer").answer
    assert stage.lets_in(verifier, good())


SETTINGS: Final[list[Attack]] = [
    *mistakes(
        "D46+",
        "proof_of_possession",
        {
            "a mechanism that nobody knows": with_settings(proof_of_possession="dpopp"),
            "in capitals": with_settings(proof_of_possession="DPoP"),
            "twice": with_settings(proof_of_possession=("dpop", "dpop")),
            "required, and none": with_settings(proof_of_possession={"required": True}),
            "required that is a text": with_settings(proof_of_possession={"mechanism": "dpop", "required": "false"}),
            "a member that nobody knows": with_settings(proof_of_possession={"mechanism": "dpop", "requird": True}),
        },
    ),
    *mistakes(
        "D46+",
        "dpop_algorithms",
        {
            "none": with_settings(**SPOKEN, dpop_algorithms=["none"]),
            "HS256": with_settings(**SPOKEN, dpop_algorithms=["HS256"]),
            "an empty list": with_settings(**SPOKEN, dpop_algorithms=[]),
            "in lower case": with_settings(**SPOKEN, dpop_algorithms=["es256"]),
        },
    ),
    *mistakes(
        "D46+",
        "dpop_window",
        {
            "zero": with_settings(**SPOKEN, dpop_window=0),
            "a day": with_settings(**SPOKEN, dpop_window=86_400),
            "a text": with_settings(**SPOKEN, dpop_window="60"),
        },
    ),
    *mistakes(
        "D46+",
        "dpop_nonce_key",
        {
            "short": with_settings(**SPOKEN, dpop_nonce_key=b"short"),
            "text": with_settings(**SPOKEN, dpop_nonce_key="0123456789abcdef0123456789abcdef"),
            "one octet over and over": with_settings(**SPOKEN, dpop_nonce_key=bytes(32)),
            "without DPoP": with_settings(dpop_nonce_key=NONCE_KEY),
        },
    ),
    *mistakes(
        "D46+",
        "public_url",
        {
            about: with_settings(proof_of_possession="dpop", public_url=url)
            for about, url in {
                "no scheme": "api.test",
                "a file": "file:///x",
                "a user": "https://x@api.test",
                "a fragment": "https://api.test/#",
                "a query": "https://api.test/?x",
                "empty": "",
                "a new line": "https://api.test\r\n",
            }.items()
        },
    ),
    *mistakes(
        "D46+",
        "proxy_headers",
        {
            "believed from nobody": with_settings(proof_of_possession="dpop", proxy_headers=("Forwarded",)),
            "one that nobody knows": with_settings(trusted_proxies=("10.0.0.0/8",), proxy_headers=("X-Real-Host",)),
            "two kinds": with_settings(
                trusted_proxies=("10.0.0.0/8",), proxy_headers=("Forwarded", "X-Forwarded-Host")
            ),
        },
    ),
    *mistakes(
        "D46+",
        "trusted_proxies",
        {
            "a name": with_settings(trusted_proxies=("localhost",)),
            "bits beyond the mask": with_settings(trusted_proxies=("10.1.0.0/8",)),
            "a bare text": with_settings(trusted_proxies="10.0.0.0/8"),
            "any": with_settings(trusted_proxies=("*",)),
        },
    ),
]

CASES: Final = [*FORM, *KEYS, *PURPOSE, *PROXIES, *REST, *SCENES, *SETTINGS]
