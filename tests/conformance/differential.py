"""Mutated tokens by the million: whatever is accepted here, PyJWT and joserfc accept too, and read the same out of it.

    python -m tests.conformance.differential --tokens 1000000 --processes 2 --seed 1

A token is drafted as a good one and then spoilt, or only dressed differently, at any of its layers: its members and
their types, the text of its JSON, its base64url, its segments, its algorithm, its key, its signature, its characters.
What is changed before the signing is rightly signed, so that the signature is not what refuses it. The peers are set as
strictly as they can be; that they accept more than this package is no finding. A verifier that knows the heads of
tokens before, and the tokens themselves, is compared with one that knows nothing: in each word. A seed makes the same
mutations again, of other keys.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from typing import Any, Final, TypeVar

import jwt
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt
from joserfc.jws import JWSRegistry
from joserfc.registry import HeaderParameter

from jwtgate import AccessToken, ApiSettings, AuthError, Issuer, Verifier
from jwtgate.core.binding import Senders
from jwtgate.core.effects import Moment
from jwtgate.core.flow import authenticate_token
from jwtgate.core.keys import keys_of
from tests.making import API, SECRET, Issuing, SigningKey, base64url, compact, drive, sign, signing_key

URL: Final = "https://issuer.test/"
SECRET_URL: Final = "https://secret.test/"
LEEWAY: Final = 30  # seconds; no time in a token is nearer to its bound than a minute
ASYMMETRIC: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
KIND: Final = {"RS256": "RSA", "PS256": "RSA", "ES256": "P-256", "ES384": "P-384", "EdDSA": "Ed25519"}
# RSA signs ten times slower than the others.
ALGORITHMS: Final = ("HS256",) * 5 + ("EdDSA",) * 5 + ("ES256",) * 5 + ("ES384", "RS256", "PS256")
OWN: Final = (1, 2)  # the numbers of the issuer's keys; a third one of each kind is a stranger's
STRANGER: Final = 3

Json = Any
V = TypeVar("V")


# --- the world ------------------------------------------------------------------------------------------------------


def jwks() -> dict[str, Any]:
    """What the issuer publishes: two RSA keys, so that a token without kid is ambiguous, and one of each other kind."""
    kinds = [("RSA", 1), ("RSA", 2), ("P-256", 1), ("P-384", 1), ("Ed25519", 1)]
    return {"keys": [signing_key(kind, number).jwk() for kind, number in kinds]}


def settings() -> ApiSettings:
    issuers = [
        Issuer(URL, jwks=jwks(), signing_algorithms=ASYMMETRIC, accept_typ=["jose", None]),
        Issuer(SECRET_URL, signing_secret=SECRET, signing_algorithms=["HS256"], accept_typ=["jose", None]),
    ]
    return ApiSettings(identifier=API, issuers=issuers, leeway=LEEWAY)


def make_keys() -> None:
    """Each of them, once: what comes out of `fork` has them too."""
    for kind in ("RSA", "P-256", "P-384", "Ed25519"):
        for number in (*OWN, STRANGER):
            signing_key(kind, number)


# --- a draft --------------------------------------------------------------------------------------------------------


@dataclass
class Draft:
    """A token on its way: what stands in it, how that is written, and who signs it."""

    rng: random.Random
    now: int
    algorithm: str
    header: dict[str, Json]
    claims: dict[str, Json]
    key: SigningKey | bytes
    done: list[str] = field(default_factory=list)

    def choice(self, values: Sequence[V]) -> V:
        return self.rng.choice(values)

    def chance(self, share: float) -> bool:
        return self.rng.random() < share


def good_draft(rng: random.Random, now: int) -> Draft:
    """A good token of either profile."""
    algorithm = rng.choice(ALGORITHMS)
    secret = algorithm == "HS256"
    issuing = Issuing(url=SECRET_URL if secret else URL, number=1)
    plain = rng.random() < 0.6
    times = {"iat": now - 600, "exp": now + 7_200}
    claims = issuing.claims(**times) if plain else issuing.rfc9068_claims(**times)
    header = issuing.header(algorithm, typ="JWT" if plain else "at+jwt")
    return Draft(rng, now, algorithm, header, claims, SECRET if secret else issuing.key(algorithm))


# --- members --------------------------------------------------------------------------------------------------------

ODD: Final[tuple[Json, ...]] = (
    None, True, False, 0, 1, -1, 1.5, -0.0, 2**53, 2**63, 10**30, 1e300, "", " ", "a", "1", "null", "é", "\u0000",
    "\r\n", "x" * 300, [], [None], ["a"], ["a", 1], [[]], {}, {"a": 1}, [API], [[API]],
    {"aud": API}, "\U0001f600", "none",
)  # fmt: skip
CLAIMS: Final = (
    "iss sub aud exp nbf iat jti azp client_id scope permissions gty org_id org_name act cnf nonce events acr amr "
    "auth_time at_hash typ alg kid roles https://api.test/claim"
).split()
PARAMETERS: Final = (
    "alg kid typ cty crit b64 enc zip epk iv tag p2c jku x5u x5c x5t x5t#S256 jwk iss aud exp url nonce unknown".split()
)
NAMES: Final = (
    "none", "None", "NONE", "nOnE", "", "HS256", "hs256", "HS384", "HS512", "RS256", "rs256", "RS384", "RS512", "PS256",
    "PS384", "PS512", "ES256", "es256", "ES256K", "ES384", "ES512", "EdDSA", "eddsa", "Ed25519", "Ed448", "RS256 ",
    "dir",
)  # fmt: skip


def odd_claim(draft: Draft) -> None:
    draft.claims[draft.choice(CLAIMS)] = draft.choice(ODD)


def no_claim(draft: Draft) -> None:
    if draft.claims:
        draft.claims.pop(draft.choice(list(draft.claims)))


def fitting_claim(draft: Draft) -> None:
    """One that may well be there."""
    draft.claims.update(
        draft.choice(
            [
                {"permissions": ["a", "b"]},
                {"permissions": []},
                {"scope": ""},
                {"scope": "a b  c"},
                {"jti": "id"},
                {"org_id": "org_1", "org_name": "org"},
                {"act": {"sub": "x", "act": {"sub": "y"}}},
                {"cnf": {"unknown": 1}},
                {"azp": "app-1", "client_id": "app-1"},
                {"https://api.test/roles": ["admin", {"a": [1.5, None]}]},
                {"gty": ["refresh_token", "client-credentials"]},
                {"é": "é\u2028\U0001f600"},
                {"nbf": draft.now - 60},
                {"auth_time": draft.now - 60.5},
            ]
        )
    )


def audience(draft: Draft) -> None:
    others = ["https://other.test/", f"{URL}userinfo", API.upper(), API.rstrip("/"), API, "", 5, None, [API]]
    named = [draft.choice([API, API, draft.choice(others)]) for _ in range(draft.rng.randint(0, 4))]
    draft.claims["aud"] = draft.choice([named, named, API, draft.choice(others)])


def time_claim(draft: Draft) -> None:
    away = draft.choice([60, 90, 600, 86_400, 10**8]) + LEEWAY
    value: Json = draft.now + draft.choice([-away, away])
    value = draft.choice(
        [value, value, float(value), value + 0.5, str(value), True, -value, value * 1_000, 1e20, 0, -0.0]
    )
    draft.claims[draft.choice(["exp", "nbf", "iat"])] = value


def issuer(draft: Draft) -> None:
    near = [
        URL,
        SECRET_URL,
        URL.rstrip("/"),
        URL.upper(),
        f"{URL}/",
        "https://issuer.test",
        [URL],
        None,
        URL + "\u0000",
    ]
    draft.claims["iss"] = draft.choice(near)


def odd_parameter(draft: Draft) -> None:
    draft.header[draft.choice(PARAMETERS)] = draft.choice(ODD)


def no_parameter(draft: Draft) -> None:
    if draft.header:
        draft.header.pop(draft.choice(list(draft.header)))


def fitting_parameter(draft: Draft) -> None:
    """What is nobody's business here."""
    stranger = signing_key("RSA", STRANGER)
    draft.header.update(
        draft.choice(
            [
                {"jku": "https://keys.test/"},
                {"x5u": "https://keys.test/"},
                {"x5t": "AAAA"},
                {"x5c": ["MIIB"]},
                {"jwk": stranger.jwk()},
                {"unknown": {"a": [1]}},
                {"iss": URL},
                {"cty": "json"},
                {
                    "typ": draft.choice(
                        ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt", "jose"]
                    )
                },
            ]
        )
    )


def typ(draft: Draft) -> None:
    draft.header["typ"] = draft.choice(
        ["JWT", "at+jwt", "id+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "JWE", "a" * 300]
    )


def kid(draft: Draft) -> None:
    known = [key["kid"] for key in jwks_of_run()["keys"]]
    draft.header["kid"] = draft.choice(
        [*known, "unknown", "", known[0].lower(), f"{known[0]} ", "RSA-3", "k" * 257, 1, None]
    )


def name_of_algorithm(draft: Draft) -> None:
    draft.header["alg"] = draft.choice(NAMES)


@cache
def jwks_of_run() -> dict[str, Any]:
    return jwks()


# --- who signs ------------------------------------------------------------------------------------------------------


def other_algorithm(draft: Draft) -> None:
    """Rightly signed with another algorithm and its key, and said so, or not."""
    draft.algorithm = draft.choice((*ASYMMETRIC, "HS256"))
    draft.key = SECRET if draft.algorithm == "HS256" else signing_key(KIND[draft.algorithm])
    if draft.chance(0.7):
        draft.header["alg"] = draft.algorithm
    if draft.chance(0.7) and isinstance(draft.key, SigningKey):
        draft.header["kid"] = draft.key.kid


def other_key(draft: Draft) -> None:
    """Another one of the same kind: the issuer's own second, or a stranger's."""
    if isinstance(draft.key, bytes):
        draft.key = draft.choice([b"", SECRET + b"\0", SECRET[:-1], SECRET[::-1], b"secret" * 10])
        return
    draft.key = signing_key(draft.key.kind, draft.choice([*OWN, STRANGER]))
    if draft.chance(0.5):
        draft.header["kid"] = draft.key.kid


def public_key_as_secret(draft: Draft) -> None:
    key = draft.choice([signing_key(kind) for kind in ("RSA", "P-256", "Ed25519")])
    draft.header |= {"alg": draft.choice(["HS256", draft.header.get("alg", "HS256")]), "kid": key.kid}
    draft.algorithm, draft.key = "HS256", draft.choice(spellings(key.kid))


@cache
def spellings(kid: str) -> tuple[bytes, ...]:
    """A public key as the bytes that somebody might take for a secret."""
    key = next(signing_key(kind) for kind in ("RSA", "P-256", "Ed25519") if signing_key(kind).kid == kid)
    public = key.private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    members = key.jwk()
    return (pem, pem.strip(), der, json.dumps(members).encode(), members.get("n", members.get("x", "")).encode())


# --- the text of its JSON -------------------------------------------------------------------------------------------


def as_json(draft: Draft, members: dict[str, Json]) -> bytes:
    """In one of the ways in which JSON may be written, or may not."""
    if not draft.chance(0.3):
        return json.dumps(members, separators=(",", ":")).encode()
    name, write = draft.choice(WRITERS)
    draft.done.append(name)
    return write(draft, members)


def indented(draft: Draft, members: dict[str, Json]) -> bytes:
    text = json.dumps(members, indent=draft.choice([0, 1, "\t"]), separators=draft.choice([(",", ":"), (" , ", " : ")]))
    return draft.choice(["{}", " {}", "\r\n{}\t", "{}\n"]).replace("{}", text).encode()


def reordered(draft: Draft, members: dict[str, Json]) -> bytes:
    return json.dumps(dict(draft.rng.sample(list(members.items()), len(members)))).encode()


def raw_unicode(draft: Draft, members: dict[str, Json]) -> bytes:
    return json.dumps(members, ensure_ascii=False).encode()


def escaped(draft: Draft, members: dict[str, Json]) -> bytes:
    """Letters as the escapes that mean the same."""
    text = json.dumps(members)
    letters = [place for place, letter in enumerate(text) if letter.isalpha() and inside_a_string(text, place)]
    for place in sorted(draft.rng.sample(letters, min(3, len(letters))), reverse=True):
        text = f"{text[:place]}\\u{ord(text[place]):04x}{text[place + 1 :]}"
    return text.encode()


def inside_a_string(text: str, place: int) -> bool:
    return "\\" not in text[max(0, place - 5) : place] and text[:place].count('"') % 2 == 1


def repeated(draft: Draft, members: dict[str, Json]) -> bytes:
    """One name twice, with the same value or another, one of them escaped or not."""
    text = json.dumps(members)
    name = draft.choice(list(members) or ["a"])
    value = draft.choice([members.get(name), *ODD])
    spelt = draft.choice([json.dumps(name), '"' + "".join(f"\\u{ord(letter):04x}" for letter in name) + '"'])
    return f"{{{spelt}:{json.dumps(value)},{text[1:]}".encode()


def numbered(draft: Draft, members: dict[str, Json]) -> bytes:
    """A number in another of its spellings."""
    spelt = draft.choice("{}.0 {}e0 {}E+0 {}0e-1 0{} +{} -{} {}. {}e400 NaN Infinity {}_0".split())
    text = json.dumps(members)
    for name in ("exp", "iat", "nbf"):
        value = members.get(name)
        if type(value) is int and draft.chance(0.6):
            text = text.replace(f'"{name}": {value}', f'"{name}": {spelt.replace("{}", str(value))}')
    return text.encode()


def encoded(draft: Draft, members: dict[str, Json]) -> bytes:
    text = json.dumps(members, ensure_ascii=False)
    return text.encode(draft.choice(["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-8", "cp037"]), "replace")


def spoilt(draft: Draft, members: dict[str, Json]) -> bytes:
    octets = json.dumps(members).encode()
    place, more = draft.rng.randint(0, len(octets)), draft.rng.choice(SPLICES)
    return octets[:place] + more + octets[place + draft.rng.randint(0, 2) :]


SPLICES: Final = (
    b"", b" ", b",", b"}", b"{", b"[", b"]", b'"', b"\\", b"\\u0000", b"\\ud800", b"\0", b"\xff", b"\xc3\xa9", b"//",
    b"1", b"e9", b".", b":", b"null", b"true", b"\n", b"\x0c", b"\xef\xbb\xbf", b"[" * 40, b'{"a":' * 40,
)  # fmt: skip


def followed(draft: Draft, members: dict[str, Json]) -> bytes:
    """By what does not belong to it any more."""
    behind = ["x", "}", ",", "\0", '{"sub":"root"}', "null", "//", "\n", " ", "\x0c", ";", "]"]
    return json.dumps(members, separators=(",", ":")).encode() + draft.choice(behind).encode()


def deep(draft: Draft, members: dict[str, Json]) -> bytes:
    levels = draft.choice([2, 3, 4, 5, 31, 32, 33, 500])
    inner = draft.choice(["[]", "1", "{}"])
    return json.dumps(members)[:-1].encode() + f',"deep":{"[" * levels}{inner}{"]" * levels}}}'.encode()


def wide(draft: Draft, members: dict[str, Json]) -> bytes:
    many = draft.choice([50, 63, 64, 65, 990])
    return json.dumps({**members, **{f"m{number}": number for number in range(many)}}).encode()


def another_type(draft: Draft, members: dict[str, Json]) -> bytes:
    others: list[Json] = [[members], list(members), json.dumps(members), None, 1, True, {"payload": members}]
    return json.dumps(draft.choice(others)).encode()


OF_JSON: Final = (indented, reordered, raw_unicode, escaped)
NOT_OF_JSON: Final = (repeated, numbered, followed, encoded, spoilt, deep, wide, another_type)
WRITERS: Final = [(writer.__name__, writer) for writer in (*OF_JSON, *OF_JSON, *NOT_OF_JSON)]


# --- base64url ------------------------------------------------------------------------------------------------------

ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def as_base64(draft: Draft, octets: bytes) -> str:
    text = base64url(octets)
    if not draft.chance(0.05):
        return text
    draft.done.append("spelling")
    return respelt(draft.rng, text)


def respelt(rng: random.Random, text: str) -> str:
    """The same octets in another spelling, or nearly so."""
    place = rng.randint(0, len(text))
    return rng.choice(
        [
            text + "=" * (-len(text) % 4),
            text + "=",
            text.replace("-", "+").replace("_", "/"),
            text[:-1] + rng.choice(ALPHABET) if text else "",
            text[:place] + rng.choice(["\n", " ", "\r\n", "\t", "%", "\0", "é", "\u200b", "="]) + text[place:],
            text.replace("A", "\uff21", 1),
            text.replace("-", "%2D").replace("_", "%5F"),
        ]
    )


# --- the signature --------------------------------------------------------------------------------------------------

RECENT: Final[list[str]] = [""]  # signatures of tokens before, in this process


def as_signature(draft: Draft, signing_input: bytes) -> str:
    octets = sign(draft.algorithm, draft.key if isinstance(draft.key, bytes) else draft.key.private, signing_input)
    if draft.chance(0.02):
        RECENT[:] = [*RECENT[-50:], base64url(octets)]
    if not draft.chance(0.12):
        return as_base64(draft, octets)
    name, change = draft.choice(SIGNATURES)
    draft.done.append(name)
    return as_base64(draft, change(draft, octets, signing_input))


def flipped_bit(draft: Draft, signature: bytes, signing_input: bytes) -> bytes:
    place = draft.rng.randrange(len(signature))
    return signature[:place] + bytes([signature[place] ^ 1 << draft.rng.randrange(8)]) + signature[place + 1 :]


def shortened(draft: Draft, signature: bytes, signing_input: bytes) -> bytes:
    return signature[draft.choice([1, 2, 16]) :] if draft.chance(0.5) else signature[: -draft.choice([1, 2, 16])]


def lengthened(draft: Draft, signature: bytes, signing_input: bytes) -> bytes:
    more = bytes(draft.choice([1, 2, 16, 1_000]))
    half = len(signature) // 2
    return draft.choice([signature + more, more + signature, signature[:half] + more + signature[half:]])


def constant(draft: Draft, signature: bytes, signing_input: bytes) -> bytes:
    return draft.choice([b"\x00", b"\xff", b"\x01"]) * draft.choice([len(signature), 64, 256, 1, 0])


def second_form(draft: Draft, signature: bytes, signing_input: bytes) -> bytes:
    """Of ECDSA: (r, n - s), as good as (r, s). Of all others, the octets the other way round."""
    order = {64: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551}.get(len(signature), 0)
    if draft.algorithm != "ES256" or not order:
        return signature[::-1]
    return signature[:32] + (order - int.from_bytes(signature[32:])).to_bytes(32)


def other_form(draft: Draft, signature: bytes, signing_input: bytes) -> bytes:
    """Of ECDSA: DER, and the halves swapped."""
    half = len(signature) // 2
    if not draft.algorithm.startswith("ES"):
        return signature[half:] + signature[:half]
    r, s = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
    der = encode_dss_signature(r, s)
    return draft.choice([der, encode_dss_signature(s, r), signature[half:] + signature[:half]])


def of_another(draft: Draft, signature: bytes, signing_input: bytes) -> bytes:
    """Over another input, by the same key."""
    private = draft.key if isinstance(draft.key, bytes) else draft.key.private
    other = draft.choice([b"", signing_input + b".", signing_input[:-1], signing_input.swapcase()])
    return sign(draft.algorithm, private, other)


def out_of_range(draft: Draft, signature: bytes, signing_input: bytes) -> bytes:
    """The number of an RSA signature plus its modulus; else the greatest numbers of the length."""
    if isinstance(draft.key, SigningKey) and draft.key.kind == "RSA":
        modulus = draft.key.private.public_key().public_numbers().n
        number = int.from_bytes(signature) + modulus
        return number.to_bytes((number.bit_length() + 7) // 8)
    return b"\xff" * len(signature)


SIGNATURES: Final = [
    (change.__name__, change)
    for change in (
        flipped_bit, shortened, lengthened, constant, second_form, second_form, other_form, of_another, out_of_range
    )
]  # fmt: skip


# --- segments and characters ----------------------------------------------------------------------------------------


def resegmented(draft: Draft, token: str) -> str:
    parts = token.split(".")
    place = draft.rng.randrange(len(parts))
    return draft.choice(
        [
            ".".join(draft.rng.sample(parts, len(parts))),
            ".".join(parts[:place] + parts[place + 1 :]),
            ".".join([*parts[:place], "", *parts[place + 1 :]]),
            ".".join([*parts, parts[place]]),
            f"{token}.",
            f".{token}",
            ".".join([*parts, "", ""]),
            f"{token}.{token}",
            token.replace(".", "..", 1),
            ".".join([*parts[:2], draft.choice(RECENT)]),
            json.dumps({"protected": parts[0], "payload": parts[1], "signature": parts[-1]}),
        ]
    )


def wrapped_in_words(draft: Draft, token: str) -> str:
    around = draft.choice(["Bearer {}", " {}", "{} ", "{}\n", '"{}"', "{}\0", "{}#", "\ufeff{}", "{}, {}"])
    return around.replace("{}", token)


def changed_character(draft: Draft, token: str) -> str:
    place = draft.rng.randrange(max(1, len(token)))
    more = draft.choice([*ALPHABET, ".", "=", "é", " "])
    swapped = token[:place] + token[place + 1 : place + 2] + token[place : place + 1] + token[place + 2 :]
    return draft.choice([token[:place] + more + token[place + draft.rng.randint(0, 2) :], swapped])


def recased(draft: Draft, token: str) -> str:
    place = draft.rng.randrange(max(1, len(token)))
    return token[:place] + token[place:].swapcase()


TEXTS: Final = (resegmented, wrapped_in_words, changed_character, changed_character, recased)
MEMBERS: Final = (
    odd_claim, odd_claim, no_claim, fitting_claim, fitting_claim, fitting_claim, audience, time_claim, issuer,
    odd_parameter, no_parameter, fitting_parameter, fitting_parameter, typ, kid, name_of_algorithm, other_algorithm,
    other_key, public_key_as_secret,
)  # fmt: skip


def draft_token(rng: random.Random, now: int | None = None) -> str:
    """A good token to which nothing is done."""
    one = good_draft(rng, int(time.time()) if now is None else now)
    return compact(one.header, one.claims, one.key)


def mutated(rng: random.Random, now: int) -> tuple[str, list[str]]:
    """A token, and the names of what was done to it."""
    one = good_draft(rng, now)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3])):
        mutation = rng.choice(MEMBERS)
        one.done.append(mutation.__name__)
        mutation(one)
    header, payload = as_json(one, one.header), as_json(one, one.claims)
    signing_input = f"{as_base64(one, header)}.{as_base64(one, payload)}"
    token = f"{signing_input}.{as_signature(one, signing_input.encode())}"
    if one.chance(0.1):
        change = rng.choice(TEXTS)
        one.done.append(change.__name__)
        token = change(one, token)
    return token, one.done


# --- the peers ------------------------------------------------------------------------------------------------------

REQUIRED: Final = ("iss", "sub", "aud", "exp", "iat")


def by_pyjwt(token: str, issuer: str) -> dict[str, Json]:
    """The claims. Raises jwt.PyJWTError."""
    header = jwt.get_unverified_header(token)
    symmetric = issuer == SECRET_URL
    claims = jwt.decode(
        token,
        SECRET if symmetric else pyjwt_keys()[named(header)].key,
        algorithms=["HS256"] if symmetric else list(ASYMMETRIC),
        audience=API,
        issuer=issuer,
        leeway=LEEWAY,
        options={"require": list(REQUIRED)},
    )
    return dict(claims)


@cache
def pyjwt_keys() -> dict[str, Any]:
    return {str(key.key_id): key for key in jwt.PyJWKSet.from_dict(jwks_of_run()).keys}


def named(header: dict[str, Json]) -> str:
    """The kid; of a token that has none, that of the one key of its kind, which the peers do not look for."""
    if "kid" in header:
        return str(header["kid"])
    (kid,) = (key["kid"] for key in jwks_of_run()["keys"] if key["kid"].rpartition("-")[0] == KIND[header["alg"]])
    return str(kid)


# What nobody here looks at, joserfc checks the form of: it is told not to.
UNREAD: Final = ("jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256")


@cache
def joserfc_registry(algorithms: tuple[str, ...]) -> JWSRegistry:
    lenient = {name: HeaderParameter(name, lambda value: None) for name in UNREAD}
    registry = JWSRegistry(lenient, algorithms, strict_check_header=False)
    registry.max_header_length = registry.max_payload_length = registry.max_signature_length = 1_000_000
    return registry


@cache
def joserfc_keys() -> tuple[Any, Any]:
    published: Any = jwks_of_run()
    return joserfc_jwk.KeySet.import_key_set(published), joserfc_jwk.OctKey.import_key(SECRET)


def by_joserfc(token: str, issuer: str) -> dict[str, Json]:
    """The claims. Raises joserfc.errors.JoseError and ValueError."""
    keys, secret = joserfc_keys()
    symmetric = issuer == SECRET_URL
    algorithms = ("HS256",) if symmetric else ASYMMETRIC

    def key(guest: Any) -> Any:
        return secret if symmetric else keys.get_by_kid(named(guest.headers()))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that EdDSA has a newer name
        found = joserfc_jwt.decode(token, key, algorithms, joserfc_registry(algorithms))
    wanted: dict[str, Any] = {name: {"essential": True} for name in REQUIRED}
    wanted["iss"]["value"], wanted["aud"]["value"] = issuer, API
    joserfc_jwt.JWTClaimsRegistry(leeway=LEEWAY, **wanted).validate(found.claims)
    return dict(found.claims)


PEERS: Final[dict[str, Callable[[str, str], dict[str, Json]]]] = {"PyJWT": by_pyjwt, "joserfc": by_joserfc}


# --- a run ----------------------------------------------------------------------------------------------------------


@dataclass
class Result:
    """What came of some tokens. findings: for each disagreement who disagreed, why, what had been done, the token."""

    tokens: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    mutations: Counter[str] = field(default_factory=Counter)
    harmless: Counter[str] = field(default_factory=Counter)  # mutations of tokens that were accepted all the same
    findings: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(self, other: Result) -> None:
        self.tokens += other.tokens
        self.accepted += other.accepted
        self.refused += other.refused
        self.mutations += other.mutations
        self.harmless += other.harmless
        self.findings += other.findings


class Clock:
    """It stands until it is set, so that both ways see one time."""

    def __init__(self, at: float = 0.0) -> None:
        self.at = at

    def wall(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return 0.0


class Ways:
    """One API, asked in each way that it has: warm knows what came before, cold does not."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.warm = Verifier(settings(), clock=clock)
        self._keys = keys_of(self.warm.settings)
        self._senders = Senders(self.warm.settings)

    def cold(self, token: str) -> AccessToken:
        """Raises an AuthError."""
        self._keys.known = None
        moment = Moment(self.clock.wall(), self.clock.monotonic())
        return drive(authenticate_token(token, self.warm.settings, self._keys, self._senders), moment)


def run(tokens: int, seed: int) -> Result:
    """That many tokens of one seed, in this process."""
    rng = random.Random(seed)
    ways = Ways(Clock())
    result = Result(tokens)
    for _ in range(tokens):
        ways.clock.at = float(int(time.time()))
        token, done = mutated(rng, int(ways.clock.at))
        result.mutations.update(done)
        accepted = judged(ways, token, result, " ".join(done))
        if accepted is not None:
            result.accepted += 1
            result.harmless.update(done)
            compare(accepted, token, result, " ".join(done))
    return result


def judged(ways: Ways, token: str, result: Result, done: str) -> AccessToken | None:
    """The token, where it is accepted; and whether each way says the same."""
    warm, cold = told(ways.warm.verify, token), told(ways.cold, token)
    if isinstance(warm, AccessToken):
        again = told(ways.warm.verify, token)
        if not same(warm, cold) or not same(warm, again):
            result.findings.append(("jwtgate", f"is of two minds: {warm!r}, {cold!r}, {again!r}", done, token))
        return warm
    if not isinstance(warm, AuthError):
        result.findings.append(("jwtgate", f"raised {type(warm).__name__}: {warm}", done, token))
        return None
    result.refused[warm.event] += 1
    if not same(warm, cold):
        result.findings.append(("jwtgate", f"is of two minds: {warm!r}, {cold!r}", done, token))
    return None


def told(verify: Callable[[str], AccessToken], token: str) -> AccessToken | Exception:
    try:
        return verify(token)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return error


def same(one: AccessToken | Exception, other: AccessToken | Exception) -> bool:
    if isinstance(one, AccessToken) and isinstance(other, AccessToken):
        return repr((one.claims, one.header, one.raw)) == repr((other.claims, other.header, other.raw))
    return (type(one), str(one)) == (type(other), str(other))


def compare(accepted: AccessToken, token: str, result: Result, done: str) -> None:
    for peer, decode in PEERS.items():
        try:
            claims = decode(token, accepted.issuer)
        except Exception as error:  # noqa: BLE001 - the peers raise what they like
            result.findings.append((peer, f"refused it: {type(error).__name__}: {error}", done, token))
        else:
            if repr(sorted(claims.items())) != repr(sorted(accepted.claims.items())):
                result.findings.append((peer, "read other claims", done, token))


PORTION: Final = 5_000  # tokens of one seed


def run_all(tokens: int, seed: int, processes: int) -> Result:
    """That many tokens, of the seeds from this one on."""
    make_keys()
    portions = [min(PORTION, tokens - begun) for begun in range(0, tokens, PORTION)]
    seeds = [seed + place for place in range(len(portions))]
    result = Result()
    if processes == 1:
        for portion, own in zip(portions, seeds, strict=True):
            result.add(run(portion, own))
        return result
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:  # with the keys that were made
        for part in pool.map(run, portions, seeds):
            result.add(part)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. 1 where there is a finding."""
    parser = argparse.ArgumentParser(description="Mutated tokens: jwtgate against PyJWT and joserfc.")
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first 5,000 tokens")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    print(f"seed {given.seed}: {given.tokens} tokens in {given.processes} processes", flush=True)
    result = run_all(given.tokens, given.seed, given.processes)
    print(f"{result.tokens} tokens in {time.monotonic() - began:.0f} s: {result.accepted} accepted")
    for title, counts in (("refused", result.refused), ("mutations", result.mutations), ("harmless", result.harmless)):
        print(f"{title}: " + ", ".join(f"{name} {count}" for name, count in counts.most_common()))
    for peer, reason, done, token in result.findings[:50]:
        print(f"FINDING {peer} {reason} [{done}]\n    {token!r}")
    if result.findings:
        print(f"{len(result.findings)} findings, with these keys:\n{json.dumps(jwks_of_run())}")
    return 1 if result.findings else 0


if __name__ == "__main__":
    sys.exit(main())
