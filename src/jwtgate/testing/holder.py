"""Somebody who holds a key and a certificate: proofs that they do, good ones and ones that must be refused."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from jwtgate.core.compact import encode_base64url
from jwtgate.core.errors import SettingsError, listed
from jwtgate.core.jwk import KIND_OF, thumbprint
from jwtgate.verifier import SystemClock

from .broken_proofs import BROKEN_PROOFS
from .signing import Members, new_key, public_jwk, signed

NOTHING: Final[Mapping[str, Any]] = {}

# Nobody reads the dates of such a certificate: what counts is the certificate itself.
CERTIFICATE_FROM: Final = datetime(2000, 1, 1, tzinfo=UTC)
CERTIFICATE_UNTIL: Final = datetime(2049, 12, 31, tzinfo=UTC)


class Holder:
    """The sender of requests with sender-constrained tokens: it has a key of its own, and a certificate of that key.

    algorithm: of its DPoP proofs (RFC 9449). clock: the time in seconds since 1970; that which verifiers go by unless
    given.

    jkt: the RFC 7638 thumbprint of its key, to which tokens are bound with DPoP. x5t: the thumbprint of its certificate
    (RFC 8705 section 3.1), to which they are bound with mutual TLS. Both are SHA-256, in base64url.

    Raises SettingsError for an algorithm that no key of its own can sign with.
    """

    def __init__(self, algorithm: str = "ES256", *, clock: Callable[[], float] | None = None) -> None:
        if algorithm not in KIND_OF:
            raise SettingsError("algorithm", f"must be one of {listed(tuple(KIND_OF))}", algorithm)
        self.algorithm: str = algorithm
        self._clock = clock or SystemClock().wall
        self._key = new_key(KIND_OF[algorithm])
        self.jwk: Members = public_jwk(self._key, algorithm)
        self.jkt: str = thumbprint(self.jwk)

    # DPoP

    def proof(
        self,
        method: str,
        url: str,
        token: str | None = None,
        nonce: str | None = None,
        *,
        header: Mapping[str, Any] = NOTHING,
        **changes: Any,
    ) -> str:
        """A DPoP proof for one request, good once: what stands in the header `DPoP`.

        url: as this holder sees it; query and fragment are left out. token: the access token that goes with it; None
            where there is none yet, at a token endpoint. nonce: the last one that the server gave out.
        header, changes: members of its header, and of its claims, that replace or join the others, and may well spoil
            it: `proof("GET", url, token, iat=0)`; None takes one away.
        """
        target = url.partition("#")[0].partition("?")[0]  # RFC 9449 section 4.2
        stated = {"typ": "dpop+jwt", "alg": self.algorithm, "jwk": self.jwk, **header}
        claims = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": target,
            "iat": self.now(),
            "ath": None if token is None else encode_base64url(hashlib.sha256(token.encode()).digest()),
            "nonce": nonce,
            **changes,
        }
        return signed(stated, claims, self._key, self.algorithm)

    def headers(
        self,
        method: str,
        url: str,
        token: str,
        nonce: str | None = None,
        *,
        header: Mapping[str, Any] = NOTHING,
        **changes: Any,
    ) -> dict[str, str]:
        """The headers of one request with this token and a proof (RFC 9449 section 7.1): sent twice, it is a replay.

        The arguments are those of `proof`.
        """
        proof = self.proof(method, url, token, nonce, header=header, **changes)
        return {"Authorization": f"DPoP {token}", "DPoP": proof}

    def broken(self, name: str, method: str, url: str, token: str) -> dict[str, str]:
        """The headers of a request that must be refused with 401: one of `BROKEN_PROOFS`.

        token: bound to this holder's key. Raises SettingsError for another name.
        """
        if name not in BROKEN_PROOFS:
            raise SettingsError("broken", f"must be one of {listed(tuple(BROKEN_PROOFS))}", name)
        return BROKEN_PROOFS[name](self, method, url, token)

    def now(self) -> int:
        """Whole seconds since 1970."""
        return int(self._clock())

    # Mutual TLS

    @cached_property
    def certificate(self) -> bytes:
        """Its certificate, signed by itself, in DER: what stands at the holder's end of a TLS connection."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"holder {self.jkt}")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(CERTIFICATE_FROM)
            .not_valid_after(CERTIFICATE_UNTIL)
        )
        digest = None if isinstance(self._key.private, ed25519.Ed25519PrivateKey) else SHA256()
        return builder.sign(self._key.private, digest).public_bytes(Encoding.DER)

    @cached_property
    def x5t(self) -> str:
        return encode_base64url(hashlib.sha256(self.certificate).digest())

    @property
    def client_cert(self) -> str:
        """What a proxy writes into the header `Client-Cert` after it has ended the TLS connection (RFC 9440)."""
        return f":{base64.b64encode(self.certificate).decode('ascii')}:"

    def pem(self) -> str:
        """Private key (PKCS#8) and certificate, one after the other: a file for whoever makes the connection."""
        key = self._key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        certificate = x509.load_der_x509_certificate(self.certificate).public_bytes(Encoding.PEM)
        return f"{key.decode('ascii')}{certificate.decode('ascii')}"

    def __repr__(self) -> str:
        return f"Holder(jkt={self.jkt!r})"
