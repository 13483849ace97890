"""Public keys and certificates in PEM, as JWKs."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from .errors import shown

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----\r?\n[A-Za-z0-9+/=\r\n]+-----END \1-----")
_READ_PEM: Final[dict[bytes, Callable[[bytes], Any]]] = {
    b"PUBLIC KEY": load_pem_public_key,
    b"RSA PUBLIC KEY": load_pem_public_key,
    b"CERTIFICATE": lambda pem: load_pem_x509_certificate(pem).public_key(),
}
_TO_JWK: Final[tuple[tuple[type, Any], ...]] = (
    (rsa.RSAPublicKey, RSAAlgorithm),
    (ec.EllipticCurvePublicKey, ECAlgorithm),
    (ed25519.Ed25519PublicKey, OKPAlgorithm),
)


def read_pem(document: bytes) -> list[dict[str, Any]]:
    """The JWKs of the public keys and certificates in a PEM text (RFC 7468). Raises ValueError.

    Of a certificate nothing but its key counts: who it was issued to, and until when, is not looked at.
    """
    found = []
    for block in _PEM.finditer(document):
        read = _READ_PEM.get(block[1])
        if read is None:
            raise ValueError(f"a PEM block must be a public key or a certificate, got {shown(block[1].decode())}")
        try:
            key = read(block[0])
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError(f"a PEM block cannot be read: {shown(block[1].decode())}") from None
        found.append(jwk_of(key))
    return found


def certified(certificate: str) -> dict[str, Any] | None:
    """The JWK of the key in a certificate: DER in base64, as `x5c` has it. None for one that cannot be read."""
    try:
        return jwk_of(load_der_x509_certificate(base64.b64decode(certificate, validate=True)).public_key())
    except (ValueError, UnsupportedAlgorithm):
        return None


def jwk_of(key: Any) -> dict[str, Any]:
    """Of a public key, its JWK. Raises ValueError for one that verifies nothing here."""
    try:
        to_jwk = next(algorithm.to_jwk for kind, algorithm in _TO_JWK if isinstance(key, kind))
        return dict(to_jwk(key, as_dict=True))
    except (StopIteration, InvalidKeyError):
        raise ValueError(f"a PEM block holds a key that verifies nothing here: {type(key).__name__}") from None
