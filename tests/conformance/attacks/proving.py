"""Senders of bound tokens: a key, proofs that somebody has it, and a certificate of it."""

from __future__ import annotations

import base64
import datetime as dt
import functools
import hashlib
import itertools
import json
from collections.abc import Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.conformance.attacks.cases import Carried
from tests.doors import ISSUING
from tests.making import NOW, SigningKey, base64url, changed, compact, public_members, signing_key

KEY: Final = signing_key("P-256", 5)
OTHER_KEY: Final = signing_key("P-256", 6)
HTU: Final = "https://api.test/private"
_NUMBERS: Final = itertools.count()


def thumbprint_of(jwk: Mapping[str, Any]) -> str:
    """RFC 7638 section 3, worked out here."""
    required = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}[jwk["kty"]]
    text = json.dumps({name: jwk[name] for name in required}, separators=(",", ":"))
    return base64url(hashlib.sha256(text.encode()).digest())


def jkt_of(key: SigningKey = KEY) -> str:
    return thumbprint_of(public_members(key.private))


def hash_of(token: str) -> str:
    """RFC 9449 section 4.2: `ath`."""
    return base64url(hashlib.sha256(token.encode()).digest())


@functools.cache
def bound(key: SigningKey = KEY) -> str:
    """A good token that is bound to this key."""
    return ISSUING.token(cnf={"jkt": jkt_of(key)})


def proof(
    token: str = "",
    *,
    key: SigningKey = KEY,
    algorithm: str = "ES256",
    header: Mapping[str, Any] | None = None,
    payload: str | bytes | None = None,
    signature: str = "",
    **claims: Any,
) -> str:
    """A proof for a GET of HTU with the bound token; each is another one, as to its jti.

    header, claims: what changes in them; payload: in place of all claims; signature: the algorithm that makes it.
    """
    head = {"typ": "dpop+jwt", "alg": algorithm, "jwk": public_members(key.private), **(header or {})}
    said = {
        "jti": f"proof-{next(_NUMBERS)}",
        "htm": "GET",
        "htu": HTU,
        "iat": int(NOW),
        "ath": hash_of(token or bound()),
    }
    body: object = changed(said, claims) if payload is None else payload
    return compact(changed(head, {}), body, key, signature or algorithm)


def claims_text(after: str = "", **claims: Any) -> str:
    """A proof's claims as JSON text, with members behind that no JSON writer would make."""
    said = {"jti": f"proof-{next(_NUMBERS)}", "htm": "GET", "htu": HTU, "iat": int(NOW), "ath": hash_of(bound())}
    return json.dumps(changed(said, claims))[:-1] + (f",{after}" if after else "") + "}"


def sent(*proofs: str | bytes, token: str = "", scheme: str = "DPoP", **changes: Any) -> Carried:
    """A request with a DPoP line for each proof. changes: of Carried; `lines` stand behind."""
    more = changes.pop("lines", ())
    lines = [(b"Authorization", f"{scheme} {token or bound()}".encode())]
    lines += [(b"DPoP", one if isinstance(one, bytes) else one.encode()) for one in proofs]
    return Carried(**{"path": "/private", **changes}, lines=[*lines, *more])


# --- certificates -------------------------------------------------------------------------------------------


@functools.cache
def certificate(number: int = 1, years: tuple[int, int] = (2020, 2049)) -> bytes:
    """In DER. Another number is another certificate; years: from the beginning of one to that of another."""
    key = signing_key("P-256", 5).private
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"client-{number}")])
    since, until = (dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in years)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), number, since, until)
        .sign(key, SHA256())
        .public_bytes(Encoding.DER)
    )


def x5t_of(der: bytes) -> str:
    """RFC 8705 section 3.1."""
    return base64url(hashlib.sha256(der).digest())


def certificate_bound(der: bytes | None = None, **confirmed: Any) -> str:
    """A good token that is bound to this certificate."""
    return ISSUING.token(cnf={"x5t#S256": x5t_of(der or certificate()), **confirmed})


def as_byte_sequence(der: bytes) -> bytes:
    """RFC 9440 section 2.2."""
    return b":" + base64.b64encode(der) + b":"
