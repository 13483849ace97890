"""Who sends the demo's requests: somebody with a key and a certificate, and what shows that they are theirs."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from functools import cached_property
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from jwt.algorithms import ECAlgorithm

from jwtgate.core.compact import encode_base64url
from jwtgate.core.jwk import thumbprint
from jwtgate.tenant import SigningKey

ALGORITHM: Final = "ES256"


class Sender:
    """jkt: the thumbprint of its key (RFC 7638), to which a token is bound."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._jwk: dict[str, Any] = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        self.jkt: str = thumbprint(self._jwk)

    def proof(self, method: str, url: str, token: str | None = None) -> str:
        """For one request, what stands in the header `DPoP` (RFC 9449 section 4.2). token: None where there is none."""
        claims = {"jti": secrets.token_urlsafe(16), "htm": method, "htu": url, "iat": int(time.time())}
        if token is not None:
            claims["ath"] = encode_base64url(hashlib.sha256(token.encode()).digest())
        return jwt.encode(claims, self._key, ALGORITHM, headers={"typ": "dpop+jwt", "jwk": self._jwk})

    @cached_property
    def certificate(self) -> bytes:
        """In DER."""
        return SigningKey.generate("sender.example").certificate.public_bytes(Encoding.DER)

    @property
    def client_cert(self) -> str:
        """What a proxy that has ended the TLS connection writes into the header `Client-Cert` (RFC 9440)."""
        return f":{base64.b64encode(self.certificate).decode('ascii')}:"
