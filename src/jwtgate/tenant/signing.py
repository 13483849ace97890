"""The tenant's keys (current, next, previous) and how they and shared secrets sign."""

from __future__ import annotations

import base64
import hmac
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, Protocol, get_args

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from jwtgate.core.compact import encode_base64url

from .errors import Rule, TenantError
from .identifiers import new_kid

KEY_BITS = 2048
COMMON_NAME = 64  # characters that X.509 allows

# The certificate only carries the key into x5c; nobody reads its dates, so the tenant's clock is not asked.
CERTIFICATE_FROM = datetime(2000, 1, 1, tzinfo=UTC)
CERTIFICATE_UNTIL = datetime(2049, 12, 31, tzinfo=UTC)

KeyRole = Literal["current", "next", "previous"]
Signer = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """One RSA key of the tenant. kid: 21 URL-safe characters."""

    kid: str
    private_key: rsa.RSAPrivateKey = field(repr=False)
    certificate: x509.Certificate = field(repr=False)

    @classmethod
    def generate(cls, domain: str) -> SigningKey:
        """A new key with a self-signed certificate for this domain; takes tens of milliseconds."""
        private_key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        return cls(new_kid(), private_key, _self_signed(private_key, domain))

    def jwk(self) -> dict[str, Any]:
        """The public half as it stands in the JWKS; like Auth0's, marked RS256 though it signs PS256 too."""
        numbers = self.private_key.public_key().public_numbers()
        certificate = self.certificate.public_bytes(Encoding.DER)
        # RFC 7517 section 4.8: a SHA-1 thumbprint by definition; nothing rests on its strength.
        thumbprint = self.certificate.fingerprint(hashes.SHA1())  # noqa: S303
        return {
            "kty": "RSA",
            "use": "sig",
            "n": encode_base64url(_big_endian(numbers.n)),
            "e": encode_base64url(_big_endian(numbers.e)),
            "kid": self.kid,
            "x5t": encode_base64url(thumbprint),
            "x5c": [base64.b64encode(certificate).decode()],
            "alg": "RS256",
        }

    def public_pem(self) -> str:
        """The public half as PEM (SubjectPublicKeyInfo)."""
        encoded = self.private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return encoded.decode()


class KeyKeeper(Protocol):
    """Keeps a tenant's keys longer than the process does."""

    def load_keys(self) -> Mapping[KeyRole, SigningKey]:
        """The keys that were kept last."""
        ...

    def keep_keys(self, keys: Mapping[KeyRole, SigningKey]) -> None:
        """These and no others; with an exception, those from before."""
        ...


class SigningKeys:
    """The keys of a tenant. One signs (current), one is announced (next), one is still valid (previous).

    Each is made when it is first wanted. May be used by several threads.
    """

    def __init__(self, domain: Callable[[], str], keeper: KeyKeeper | None = None) -> None:
        """domain: asked for the name in the certificate when a key is made. keeper: told of every change first."""
        self._domain = domain
        self._keeper = keeper
        self._lock = threading.RLock()
        self._keys: Mapping[KeyRole, SigningKey] = {} if keeper is None else keeper.load_keys()

    @property
    def current(self) -> SigningKey:
        return self.key("current")

    @property
    def next(self) -> SigningKey:
        return self.key("next")

    @property
    def previous(self) -> SigningKey | None:
        with self._lock:
            return self._keys.get("previous")

    def key(self, role: KeyRole) -> SigningKey:
        """Raises TenantError for an unknown role, and when there is no previous key."""
        if role not in get_args(KeyRole):
            raise TenantError(Rule.KEY_UNKNOWN, role, get_args(KeyRole))
        with self._lock:
            if role == "previous" and role not in self._keys:
                raise TenantError(Rule.KEY_MISSING)
            if role not in self._keys:
                self._put({**self._keys, role: SigningKey.generate(self._domain())})
            return self._keys[role]

    def rotate(self) -> SigningKey:
        """Next becomes current, current becomes previous, a new next is announced. Returns the current key.

        Tokens of the previous key stay valid until `revoke`. A key that was previous before leaves the JWKS.
        """
        with self._lock:
            self._put({"previous": self.current, "current": self.next})
            return self._keys["current"]

    def revoke(self) -> SigningKey:
        """The previous key leaves the JWKS for good; returned is the key that left.

        Raises TenantError when there is none: the current and the next key cannot be revoked.
        """
        with self._lock:
            revoked = self.key("previous")
            self._put({role: key for role, key in self._keys.items() if role != "previous"})
            return revoked

    def jwks(self) -> dict[str, Any]:
        """The JWK Set: current, next, and the previous key while there is one."""
        with self._lock:
            keys = [self.current, self.next, self.previous]
            return {"keys": [key.jwk() for key in keys if key is not None]}

    def _put(self, keys: Mapping[KeyRole, SigningKey]) -> None:
        if self._keeper is not None:
            self._keeper.keep_keys(keys)
        self._keys = keys


HASHES: Mapping[str, type[hashes.HashAlgorithm]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}
FAMILIES = ("RS", "PS", "HS")
ALGORITHMS = tuple(family + bits for family in FAMILIES for bits in HASHES)


def is_symmetric(algorithm: str) -> bool:
    """Raises TenantError for an algorithm that nothing here can sign with."""
    if algorithm not in ALGORITHMS:
        raise TenantError(Rule.SIGNING_ALGORITHM, algorithm, ALGORITHMS)
    return algorithm.startswith("HS")


def hmac_signer(algorithm: str, secret: bytes) -> Signer:
    """RFC 7518 section 3.2. Any secret will do, also one that is too short or is somebody's public key."""
    return lambda message: hmac.digest(secret, message, f"sha{algorithm[2:]}")


def rsa_signer(algorithm: str, key: SigningKey) -> Signer:
    """RFC 7518 sections 3.3 and 3.5: the salt of PSS is as long as the hash."""
    digest = HASHES[algorithm[2:]]()
    if algorithm.startswith("PS"):
        pss = padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)
        return partial(key.private_key.sign, padding=pss, algorithm=digest)
    return partial(key.private_key.sign, padding=padding.PKCS1v15(), algorithm=digest)


def compact(header: Mapping[str, Any], claims: Mapping[str, Any] | bytes, sign: Signer) -> str:
    """The compact serialisation of RFC 7515 section 7.1; claims given as bytes are signed as they are."""
    payload = claims if isinstance(claims, bytes) else _json(claims)
    message = f"{encode_base64url(_json(header))}.{encode_base64url(payload)}"
    return f"{message}.{encode_base64url(sign(message.encode()))}"


def _json(members: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(members), separators=(",", ":"), ensure_ascii=False).encode()


def _big_endian(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


def _self_signed(private_key: rsa.RSAPrivateKey, domain: str) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain[:COMMON_NAME])])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(CERTIFICATE_FROM)
        .not_valid_after(CERTIFICATE_UNTIL)
        .sign(private_key, hashes.SHA256())
    )
