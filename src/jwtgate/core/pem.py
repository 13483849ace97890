"""Public keys and certificates in PEM, as JWKs. Imported only where some are read, for the sake of `cryptography`."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate

from .errors import shown
from .signatures import jwk_of

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----\r?\n[A-Za-z0-9+/=\r\n]+-----END \1-----")
_READ_PEM: Final[dict[bytes, Callable[[bytes], Any]]] = {
    b"PUBLIC KEY": load_pem_public_key,
    b"RSA PUBLIC KEY": load_pem_public_key,
    b"CERTIFICATE": lambda pem: load_pem_x509_certificate(pem).public_key(),
}


def read_pem(document: bytes) -> list[dict[str, str]]:
    """The JWKs of the public keys and certificates in a PEM text (RFC 7468). Raises ValueError.

    Of a certificate nothing but its key counts: who it was issued to, and until when, is not looked at.
    """
    return [jwk_of(_key_in(block)) for block in _PEM.finditer(document)]


def _key_in(block: re.Match[bytes]) -> Any:
    read = _READ_PEM.get(block[1])
    if read is None:
        raise ValueError(f"a PEM block must be a public key or a certificate, got {shown(block[1].decode())}")
    try:
        return read(block[0])
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"a PEM block cannot be read: {shown(block[1].decode())}") from None


def certified(certificate: str) -> dict[str, str] | None:
    """The JWK of the key in a certificate: DER in base64, as `x5c` has it. None for one that cannot be read."""
    try:
        return jwk_of(load_der_x509_certificate(base64.b64decode(certificate, validate=True)).public_key())
    except (ValueError, UnsupportedAlgorithm):
        return None
