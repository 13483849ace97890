"""Keys of every kind, and the compact tokens that they sign."""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from jwtgate.core.compact import decode_base64url, encode_base64url
from jwtgate.core.jwk import Kind

Members = dict[str, Any]


_MAKE: Final[Mapping[Kind, Callable[[], Any]]] = {
    "RSA": lambda: rsa.generate_private_key(65_537, 2_048),
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}
# RFC 7518 sections 4.3 and 5.3: `alg` → the hash of OAEP, `enc` → the size of the content's key.
OAEP: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "RSA-OAEP": hashes.SHA1(),  # noqa: S303 - by an API's own setting
    "RSA-OAEP-256": hashes.SHA256(),
    "RSA-OAEP-384": hashes.SHA384(),
    "RSA-OAEP-512": hashes.SHA512(),
}
CONTENT_KEY_BITS: Final[Mapping[str, int]] = {"A128GCM": 128, "A192GCM": 192, "A256GCM": 256}
NONCE, TAG = 12, 16  # bytes

# RFC 9864: two names of one algorithm, and PyJWT may know the older one only.
_SIGN: Final = {"Ed25519": get_default_algorithms()["EdDSA"], **get_default_algorithms()}


@dataclass(frozen=True, slots=True)
class Key:
    """One key that signs. kid: None where no name is published. private: of `cryptography`, or bytes for HMAC."""

    kid: str | None
    private: Any = field(repr=False)

    def public_pem(self) -> bytes:
        """Its public half as PEM (SubjectPublicKeyInfo)."""
        encoded: bytes = self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return encoded

    def jwk(self, algorithm: str) -> Members:
        """Its public half for every algorithm of the same kind: without `alg` (RFC 7517 section 4)."""
        jwk: Members = _SIGN[algorithm].to_jwk(self.private.public_key(), as_dict=True)
        return {**jwk, "kid": self.kid, "use": "sig"}


def new_key(kind: Kind) -> Key:
    """A random key without a name."""
    return Key(None, _MAKE[kind]())


def public_jwk(key: Key, algorithm: str) -> Members:
    """Its public half, and no member that says more: as a DPoP proof brings it along (RFC 9449 section 4.2)."""
    jwk = key.jwk(algorithm)
    return {name: jwk[name] for name in ("kty", "crv", "x", "y", "e", "n") if name in jwk}


@functools.cache
def made_once(kind: Kind, owner: str) -> Key:
    """A random key: the same one for the same kind and owner as long as the process lives."""
    return Key(f"{owner}-{kind}", _MAKE[kind]())


def signed(header: Mapping[str, Any], claims: Mapping[str, Any], key: Key, algorithm: str | None = None) -> str:
    """A compact JWS (RFC 7515 section 7.1). Members that are None are left out.

    algorithm: that which signs, whatever the header says; as its `alg` says unless given.
    """
    signing_input = f"{segment(header)}.{segment(claims)}"
    signature = _SIGN[algorithm or header["alg"]].sign(signing_input.encode("ascii"), key.private)
    return f"{signing_input}.{encode_base64url(signature)}"


def seal(token: str, header: Mapping[str, Any], key: rsa.RSAPublicKey) -> str:
    """A compact JWE of this token (RFC 7516 section 7.1), by the `alg` and the `enc` of its header."""
    protected = segment(header)
    content_key, nonce = AESGCM.generate_key(CONTENT_KEY_BITS[header["enc"]]), secrets.token_bytes(NONCE)
    digest = OAEP[header["alg"]]
    wrapped = key.encrypt(content_key, padding.OAEP(padding.MGF1(digest), digest, None))
    sealed = AESGCM(content_key).encrypt(nonce, token.encode("ascii"), protected.encode("ascii"))
    return ".".join([protected, *map(encode_base64url, (wrapped, nonce, sealed[:-TAG], sealed[-TAG:]))])


def opened(token: str) -> tuple[Members, Members]:
    """The header and the claims of a compact token of our own."""
    header, claims, _ = token.split(".")
    return json.loads(decode_base64url(header)), json.loads(decode_base64url(claims))


def segment(members: Mapping[str, Any]) -> str:
    """A JSON object as a part of a compact token. Members that are None are left out."""
    present = {name: value for name, value in members.items() if value is not None}
    return encode_base64url(json.dumps(present, separators=(",", ":")).encode("ascii"))
