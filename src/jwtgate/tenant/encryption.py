"""Encrypted access tokens: an API's registered public key, and the nested JWE that only its private half opens."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from jwtgate.core.compact import encode_base64url
from jwtgate.core.jwk import thumbprint

from .errors import Rule, TenantError
from .names import check_members, is_text

EncryptionAlgorithm = Literal["RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512"]

FORMAT = "compact-nested-jwe"
PEM_LENGTH = (1, 4096)  # characters
NAME_LENGTH = (1, 128)  # characters, of a name and of a kid
KEY_BITS = (2048, 8192)  # RFC 7518 section 4.3: at least 2048

CONTENT_KEY = 32  # bytes: AES with 256 bits
NONCE = 12  # bytes (RFC 7518 section 5.3)
TAG = 16  # bytes

HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "RSA-OAEP-256": hashes.SHA256(),
    "RSA-OAEP-384": hashes.SHA384(),
    "RSA-OAEP-512": hashes.SHA512(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEncryption:
    """An API's "JSON Web Encryption (JWE)": its tokens are signed and then encrypted, for it alone.

    algorithm: RSA-OAEP-256, -384 or -512; the content is encrypted with A256GCM.
    pem: the public key, or a certificate of it, in PEM, up to 4096 characters: RSA, 2048 to 8192 bits.
    name: for people. kid: stands in the header of the tokens; without one, they have none.

    Raises TenantError for the first rule that is broken.
    """

    algorithm: EncryptionAlgorithm
    pem: str
    name: str | None = None
    kid: str | None = None

    def __post_init__(self) -> None:
        if self.algorithm not in get_args(EncryptionAlgorithm):
            raise TenantError(Rule.ENCRYPTION_ALGORITHM, self.algorithm, get_args(EncryptionAlgorithm))
        for text in (self.name, self.kid):
            low, high = NAME_LENGTH
            if text is not None and not (is_text(text) and low <= len(text) <= high):
                raise TenantError(Rule.ENCRYPTION_KEY_NAME, text, NAME_LENGTH)
        low, high = PEM_LENGTH
        if not is_text(self.pem) or not low <= len(self.pem) <= high:
            # Without the value, here and below: somebody may have taken the wrong file, and it is their private key.
            raise TenantError(Rule.ENCRYPTION_KEY_LENGTH, limit=PEM_LENGTH)
        _public_key(self.pem)

    @property
    def thumbprint(self) -> str:
        """Of the key as a JWK (RFC 7638), with SHA-256, in base64url: what the Dashboard shows of it."""
        numbers = _public_key(self.pem).public_numbers()
        return thumbprint(
            {"kty": "RSA", "n": encode_base64url(_octets(numbers.n)), "e": encode_base64url(_octets(numbers.e))}
        )

    def resource_server(self) -> dict[str, Any]:
        """As the Management API's JSON object, which never shows the key itself."""
        named = {} if self.name is None else {"name": self.name}
        identified = {} if self.kid is None else {"kid": self.kid}
        key = {**named, "alg": self.algorithm, **identified, "thumbprint_sha256": self.thumbprint}
        return {"encryption_key": key, "format": FORMAT}

    def encrypt(self, token: str, *, header: Mapping[str, Any] | None = None) -> str:
        """A compact JWE of this token (RFC 7516 section 5.1).

        header: members that replace or join alg, enc, kid and cty; None takes one away. They say what they say and do
        not change how it is encrypted.
        """
        # RFC 7519 section 5.2: a nested token's `cty` is JWT.
        stated = {"alg": self.algorithm, "enc": "A256GCM", "kid": self.kid, "cty": "JWT", **(header or {})}
        present = {name: value for name, value in stated.items() if value is not None}
        protected = encode_base64url(json.dumps(present, separators=(",", ":")).encode())
        content_key, nonce = secrets.token_bytes(CONTENT_KEY), secrets.token_bytes(NONCE)
        wrapped = _public_key(self.pem).encrypt(content_key, _oaep(HASHES[self.algorithm]))
        # The header, as it is sent, is authenticated too.
        sealed = AESGCM(content_key).encrypt(nonce, token.encode(), protected.encode())
        return ".".join([protected, *map(encode_base64url, (wrapped, nonce, sealed[:-TAG], sealed[-TAG:]))])


EncryptionSetting = TokenEncryption | Mapping[str, Any] | Literal[False] | None


def read_encryption(given: EncryptionSetting) -> TokenEncryption | None:
    """The setting from the Management API's JSON object, its members and values as there; None or False: none.

    Raises TenantError.
    """
    if given is None or given is False or isinstance(given, TokenEncryption):
        return given or None
    check_members(given, ("format", "encryption_key"), needs=("encryption_key",))
    if given.get("format", FORMAT) != FORMAT:
        raise TenantError(Rule.ENCRYPTION_FORMAT, given["format"], (FORMAT,))
    key = given["encryption_key"]
    check_members(key, ("name", "alg", "kid", "pem"), needs=("alg", "pem"))
    return TokenEncryption(algorithm=key["alg"], pem=key["pem"], name=key.get("name"), kid=key.get("kid"))


@lru_cache(maxsize=64)
def _public_key(pem: str) -> rsa.RSAPublicKey:
    if "PRIVATE KEY-----" in pem:
        raise TenantError(Rule.ENCRYPTION_KEY_PRIVATE)
    try:
        loaded = _loaded(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as fault:
        raise TenantError(Rule.ENCRYPTION_KEY, limit=KEY_BITS) from fault
    low, high = KEY_BITS
    if not isinstance(loaded, rsa.RSAPublicKey) or not low <= loaded.key_size <= high:
        raise TenantError(Rule.ENCRYPTION_KEY, limit=KEY_BITS)
    return loaded


def _loaded(pem: bytes) -> object:
    if b"-----BEGIN CERTIFICATE-----" in pem:
        return x509.load_pem_x509_certificate(pem).public_key()
    return load_pem_public_key(pem)


def _oaep(digest: hashes.HashAlgorithm) -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None)


def _octets(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)
