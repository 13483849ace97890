"""Second opinions: what is accepted here must be right by somebody else's reading too."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
import ssl
import string
import unicodedata
from collections.abc import Mapping
from functools import cache
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from jwtgate import AccessToken, AuthError
from jwtgate.core.dpop import Proof
from jwtgate.core.jwk import KeySet
from tests.making import API, KIND_OF, NOW, SECRET, Issuing, octets_of, public_members, signing_key

ISSUING: Final = Issuing()
SHARED: Final = Issuing(url="https://secret.test/")  # whose key is SECRET
ALGORITHMS: Final = {ISSUING.url: ("RS256", "PS256", "ES256", "EdDSA"), SHARED.url: ("HS256",)}
LEEWAY: Final = 30.0  # seconds


class Finding(Exception):
    """Something that must never happen, has."""


def insist(holds: object, what: str) -> None:
    """Raises Finding. Not an `assert`: it must hold under `python -O` too."""
    if not holds:
        raise Finding(what)


# ----------------------------------------------------------------------------------------------------------- tokens

# Of the time PyJWT would ask the machine.
_TIMELESS: Final = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
_PYJWT: Final[Any] = {**_TIMELESS, "require": ["exp", "iat", "iss", "sub"]}
# What else a proof may say (RFC 9449 section 4.2), nobody looks at.
_UNREAD: Final = {"verify_aud": False, "verify_iss": False, "verify_sub": False}
_PYJWT_OF_PROOFS: Final[Any] = {**_TIMELESS, **_UNREAD, "require": ["iat", "jti"]}
_NEVER_IN_A_HEADER: Final = ("crit", "b64", "enc", "zip", "epk", "p2c")
_NEVER_CLAIMED: Final = ("nonce", "at_hash", "c_hash", "s_hash", "events")


def token(raw: str, accepted: AccessToken) -> None:
    """Of a token that was accepted as a bearer's. Raises Finding."""
    header, payload = unverified(raw)
    issuer, algorithm = payload["iss"], header["alg"]
    insist(algorithm in ALGORITHMS.get(issuer, ()), f"accepted an algorithm that {issuer!r} does not use")
    _by_pyjwt(raw, issuer, header)
    _by_eye(header, payload)
    insist(accepted.claims == payload and accepted.header == header, "the token that was accepted says something else")
    insist(accepted.subject == payload["sub"] and accepted.issuer == issuer, "it speaks for somebody else")


def unverified(raw: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and payload, as PyJWT reads them."""
    try:
        return jwt.get_unverified_header(raw), jwt.decode(raw, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise Finding(f"PyJWT cannot read what was accepted: {error!r}") from error


def _by_pyjwt(raw: str, issuer: str, header: Mapping[str, Any]) -> None:
    key = signing_key(KIND_OF[header["alg"]]) if issuer == ISSUING.url else None
    insist(key is None or header.get("kid", key.kid) == key.kid, "accepted the name of another key")
    material = SECRET if key is None else key.private.public_key()
    try:
        jwt.decode(raw, material, algorithms=[header["alg"]], audience=API, issuer=issuer, options=_PYJWT)
    except jwt.InvalidTokenError as error:
        raise Finding(f"PyJWT refuses what was accepted: {error!r}") from error


def _by_eye(header: Mapping[str, Any], payload: Mapping[str, Any]) -> None:
    typ = str(header.get("typ")).lower().removeprefix("application/")
    aud = payload["aud"]
    confirmed = payload.get("cnf", {})
    rules = {
        "typ": typ in ("jwt", "at+jwt"),
        "header": not any(name in header for name in _NEVER_IN_A_HEADER),
        "exp": _is_date(payload["exp"]) and payload["exp"] + LEEWAY > NOW,
        "iat": _is_date(payload["iat"]) and payload["iat"] - LEEWAY <= NOW,
        "nbf": _is_date(payload.get("nbf", 0)) and payload.get("nbf", 0) - LEEWAY <= NOW,
        "aud": aud == API or (isinstance(aud, list) and API in aud),
        "sub": isinstance(payload["sub"], str) and payload["sub"],
        "kind": not any(name in payload for name in _NEVER_CLAIMED),
        "cnf": isinstance(confirmed, dict) and not {"jkt", "jwk", "jwe", "kid", "jku", "x5t#S256"} & confirmed.keys(),
        "rfc9068": typ != "at+jwt" or (payload.get("jti") and payload.get("client_id")),
        "scope": isinstance(payload.get("scope", ""), str | list),
        "permissions": isinstance(payload.get("permissions", []), list),
    }
    broken = [name for name, holds in rules.items() if not holds]
    insist(not broken, f"accepted although these do not hold: {broken}")


def _is_date(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 253_402_300_800


def encrypted(raw: str, inner: str) -> None:
    """Of an encrypted token that was opened, and what is known to be inside. Raises Finding."""
    head, *rest = raw.split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    claims = unverified(inner)[1]
    parameters = {"alg", "enc", "kid", "typ", "cty", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256"}
    replicated = {name: header[name] for name in header if name in ("iss", "sub", "aud", *claims)}
    replicated = {name: value for name, value in replicated.items() if name not in parameters}
    rules = {
        "form": len(rest) == 4,
        "alg": header["alg"] in ("RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512"),
        "enc": header["enc"] == "A256GCM",
        "kid": header.get("kid", "enc-1") == "enc-1",
        "cty": str(header.get("cty", "JWT")).lower() in ("jwt", "application/jwt"),
        "header": not {"zip", "crit", "epk", "p2c", "b64"} & header.keys(),
        "replicated": all(claims.get(name) == value for name, value in replicated.items()),
    }
    broken = [name for name, holds in rules.items() if not holds]
    insist(not broken, f"opened although these do not hold: {broken}")


# ------------------------------------------------------------------------------------------------------------- keys


def key_set(document: bytes, keys: KeySet, algorithms: tuple[str, ...], *, alg_binds: bool) -> None:
    """Of a set that was accepted. Raises Finding."""
    entries = json.loads(document)["keys"]
    insist(len(entries) <= 100, "accepted more than 100 keys")
    for jwk in keys.published:
        insist(any(_holds(entry, jwk) for entry in entries), "a key is published that the document does not hold")
        material = _loaded(jwk)
        insist(public_members(_Held(material)) == {name: jwk[name] for name in public_members(_Held(material))},
               "a key is not written as one would write it")  # fmt: skip
        _check_strength(material)
    for kid in keys.kids:
        named = [jwk for jwk in keys.published if jwk.get("kid") == kid]
        insist(len({json.dumps(_bare(jwk)) for jwk in named}) == 1, "two keys of one name, and both are used")
        for algorithm in algorithms:
            _check_found(keys, kid, algorithm, named, alg_binds=alg_binds)


def _holds(entry: object, jwk: Mapping[str, str]) -> bool:
    private = {"d", "p", "q", "k"}
    return isinstance(entry, dict) and not private & entry.keys() and all(entry.get(name) == jwk[name] for name in jwk)


def _bare(jwk: Mapping[str, str]) -> dict[str, str]:
    return {name: jwk[name] for name in sorted(jwk) if name in ("kty", "crv", "x", "y", "n", "e")}


class _Held:
    """What `public_members` takes for a private key."""

    def __init__(self, public: Any) -> None:
        self.public_key = lambda: public


def _loaded(jwk: Mapping[str, str]) -> Any:
    # The algorithm decides nothing but the class, and PyJWT wants one where the curve tells none.
    try:
        return jwt.PyJWK({"kty": jwk["kty"], **_bare(jwk)}, "RS256" if jwk["kty"] == "RSA" else None).key
    except jwt.PyJWTError as error:
        raise Finding(f"PyJWT cannot read a key that was accepted: {error!r}") from error


def _check_strength(material: Any) -> None:
    if isinstance(material, rsa.RSAPublicKey):
        numbers = material.public_numbers()
        insist(2_048 <= numbers.n.bit_length() <= 8_192 and numbers.n % 2, "accepted a weak RSA key")
        insist(3 < numbers.e < 2**32 and numbers.e % 2, f"accepted an RSA exponent: {octets_of(numbers.e)}")
    elif isinstance(material, ed25519.Ed25519PublicKey):
        insist(material.public_bytes_raw() not in _SMALL_ORDER, "accepted a point of small order")
    else:
        insist(isinstance(material, ec.EllipticCurvePublicKey), f"accepted {type(material).__name__}")


# RFC 7748 section 7 warns of these; every one of them, as libsodium lists them.
_SMALL_ORDER: Final = frozenset(
    bytes.fromhex(point)
    for point in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "00" * 31 + "80",
        "01" + "00" * 30 + "80",
    )
)


def _check_found(keys: KeySet, kid: str, algorithm: str, named: list[Mapping[str, str]], *, alg_binds: bool) -> None:
    try:
        found = keys.find(kid, algorithm, ISSUING.url)
    except AuthError:
        return
    kinds = {jwk.get("crv", "RSA") for jwk in named}
    insist(found.algorithm == algorithm and found.kid == kid, "another key was found than the one that was asked for")
    insist(KIND_OF[algorithm] in kinds, "a key of another kind was found")
    marked = {jwk.get("alg") for jwk in named}
    bound = alg_binds and "Ed25519" not in kinds
    insist(not bound or None in marked or algorithm in marked, "a key that is marked otherwise was found")


# ------------------------------------------------------------------------------------------------------------ proofs


def proof(values: list[str], accepted: Proof, *, method: str, url: str, token: str) -> None:
    """Of a DPoP proof that was accepted. Raises Finding."""
    insist(len(values) == 1, "accepted several proofs")
    raw = values[0]
    header, payload = unverified(raw)
    jwk = header["jwk"]
    insist(not {"d", "p", "q", "k"} & jwk.keys(), "accepted a private key")
    material = _loaded(jwk)
    _check_strength(material)
    try:
        jwt.decode(raw, material, algorithms=[header["alg"]], options=_PYJWT_OF_PROOFS)
    except jwt.InvalidTokenError as error:
        raise Finding(f"PyJWT refuses a proof that was accepted: {error!r}") from error
    ath = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
    rules = {
        "typ": header["typ"].lower() in ("dpop+jwt", "application/dpop+jwt"),
        "htm": payload["htm"] == method,
        "iat": _is_date(payload["iat"]) and NOW - 60 - LEEWAY < payload["iat"] <= NOW + LEEWAY,
        "jti": isinstance(payload["jti"], str) and 0 < len(payload["jti"].encode()) <= 256,
        "ath": payload["ath"] == ath,
        "result": (accepted.jti, accepted.issued_at) == (payload["jti"], payload["iat"]),
        "jkt": accepted.jkt == _thumbprint(jwk),
    }
    broken = [name for name, holds in rules.items() if not holds]
    insist(not broken, f"accepted a proof although these do not hold: {broken}")
    same_address(payload["htu"], url)


def _thumbprint(jwk: Mapping[str, Any]) -> str:
    """RFC 7638, of a key that was read and written again."""
    members = public_members(_Held(_loaded(jwk)))
    text = json.dumps(dict(sorted(members.items())), separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


# --------------------------------------------------------------------------------------------------------- addresses


def same_address(one: str, other: str) -> None:
    """Of two addresses that are taken for one. Raises Finding."""
    insist(_address(one) == _address(other), f"taken for one: {_address(one)} and {_address(other)}")


def _address(url: str) -> tuple[str, str, int, str]:
    parts = urlsplit(url.partition("#")[0].partition("?")[0])
    insist("@" not in parts.netloc, "an address with a user in it")
    host = unquote(parts.hostname or "")
    scheme = parts.scheme.lower()
    return scheme, _host(host), parts.port or {"http": 80, "https": 443}[scheme], _path(parts.path)


_JOINERS: Final = "\u200c\u200d"  # RFC 5892 appendix A.1, A.2: of these alone it depends


def _host(name: str) -> str:
    try:
        return ip_address(name).compressed
    except ValueError:
        # As httpx would ask for it: by the same library, but in its own way. What is seen of no name counts in none.
        seen = "".join(letter for letter in name if unicodedata.category(letter) != "Cf" or letter in _JOINERS)
        return seen.lower() if seen.isascii() else httpx.URL(f"https://{seen}/").raw_host.decode()


_PLAIN: Final = frozenset(string.ascii_letters + string.digits + "-._~")


def _path(path: str) -> str:
    """RFC 3986 sections 6.2.2 and 5.2.4, step by step as they stand there."""
    spelt = ""
    while path:
        if path[0] == "%":
            meant = chr(int(path[1:3], 16))
            spelt, path = spelt + (meant if meant in _PLAIN else path[:3].upper()), path[3:]
        else:
            plain = path[0] if path[0] in _PLAIN or path[0] in "/!$&'()*+,;=:@" else f"%{ord(path[0]):02X}"
            spelt, path = spelt + plain, path[1:]
    output: list[str] = []
    rest = spelt or "/"
    while rest:
        if rest.startswith("/./") or rest == "/.":
            rest = "/" + rest[3:]
        elif rest.startswith("/../") or rest == "/..":
            rest = "/" + rest[4:]
            del output[-1:]
        else:
            end = (rest + "/").index("/", 1)
            output.append(rest[:end])
            rest = rest[end:]
    return "".join(output)


# -------------------------------------------------------------------------------------------------- what proxies say


@cache
def certificate_words() -> dict[bytes, str]:
    """What stands for a certificate in the forms of the headers."""
    key = signing_key("P-256")
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "client.test")])
    began = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.private.public_key(), 1, began, began + dt.timedelta(1))
    made = builder.sign(key.private, hashes.SHA256())
    der = made.public_bytes(Encoding.DER)
    return {
        b"@pem": quote(made.public_bytes(Encoding.PEM).decode()),
        b"@base64": base64.b64encode(der).decode(),
        b"@hash": hashlib.sha256(der).hexdigest(),
    }


def certificate(header: str, values: list[str], thumbprint: str) -> None:
    """Of a thumbprint that was read in a proxy's header. Raises Finding."""
    insist(len(values) == 1, "one certificate out of several values")
    digest = base64.urlsafe_b64decode(thumbprint + "=")
    value = values[0]
    if header == "client-cert":
        insist(hashlib.sha256(base64.b64decode(value[1:-1], validate=True)).digest() == digest, "another certificate")
    elif header == "x-forwarded-client-cert":
        pem = re.findall(r"(?i)\bcert=\"?(-----BEGIN[^\",;]*)", value)
        said = [hexed.lower() for hexed in re.findall(r"(?i)\bhash=\"?([0-9a-f]{64})", value)]
        insist(digest.hex() in [*said, *(_first(text).hex() for text in pem)], "another certificate")
    else:
        insist(_first(value) == digest, "another certificate")


def _first(escaped: str) -> bytes:
    """SHA-256 of the first certificate in a PEM text, percent-encoded."""
    block, end, _ = unquote(escaped).partition("-----END CERTIFICATE-----")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(block + end)).digest()


def forwarded(target: str, url: str, lines: list[tuple[str, str]]) -> None:
    """Of a URL that a proxy is believed to have been asked for. Raises Finding."""
    scheme, _, rest = target.partition("://")
    host = rest.partition("/")[0]
    said = "\n".join(value.replace("\\", "") for _, value in lines)
    insist(scheme.lower() in (url.partition("://")[0].lower(), "http", "https"), f"a scheme of nobody: {scheme!r}")
    insist(host in said or host in url, f"a host of nobody: {host!r}")
    insist("@" not in host or host in url, f"a user in the host: {host!r}")
