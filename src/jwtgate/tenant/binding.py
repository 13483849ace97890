"""Whom a token is bound to: what its sender has shown, and whether it may be issued without."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jwtgate.core.errors import CertificateRejected
from jwtgate.core.mtls import thumbprint

from .apis import Api
from .applications import Application
from .errors import Rule, TenantError
from .possession import Mechanism
from .refusals import api_binds_nothing, possession_required

Confirmation = Mapping[str, str]  # the `cnf` of a token: one member

THUMBPRINT_LENGTH = 43  # characters
THUMBPRINT = re.compile(rf"[A-Za-z0-9_-]{{{THUMBPRINT_LENGTH}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who asks for a token, as far as a token can be bound to them.

    jkt: the RFC 7638 thumbprint of a key whose possession was shown. x5t: the thumbprint of the certificate of their
    TLS connection (RFC 8705 section 3.1). Both SHA-256, in base64url.
    """

    jkt: str | None = None
    x5t: str | None = None


NOBODY = Sender()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a request shows of who sent it, not yet looked into.

    proofs: the values of its DPoP headers; method, url: of the request, as the sender sees it.
    jkt: in place of a proof, the thumbprint of a key whose possession needs none.
    x5t: the thumbprint of the certificate of the sender's TLS connection.
    """

    proofs: tuple[str, ...] = field(default=(), repr=False)
    method: str = ""
    url: str = ""
    jkt: str | None = None
    x5t: str | None = None


NOTHING = Shown()


def check_thumbprint(thumbprint: str | None) -> None:
    """Raises TenantError for what can be no SHA-256 in base64url."""
    if thumbprint is not None and not THUMBPRINT.fullmatch(thumbprint):
        raise TenantError(Rule.THUMBPRINT, thumbprint, THUMBPRINT_LENGTH)


def thumbprint_of(certificate: bytes) -> str:
    """The thumbprint of a certificate in DER (RFC 8705 section 3.1). Raises TenantError for what is none."""
    try:
        return thumbprint(certificate)
    except CertificateRejected as fault:
        raise TenantError(Rule.CERTIFICATE) from fault


def confirmation(application: Application, api: Api | None, sender: Sender) -> Confirmation | None:
    """The `cnf` of a token that this application may have; None for one that is bound to nobody.

    api: None for a token that only /userinfo takes; like an API with "dpop" that requires nothing.
    Raises TokenRefused where the application, or the API, wants it bound, and it cannot be.
    """
    policy = None if api is None else api.proof_of_possession
    mechanism: Mechanism | None = "dpop" if api is None else None if policy is None else policy.mechanism
    if mechanism is None:
        if application.require_proof_of_possession:
            raise api_binds_nothing()
        return None
    confirmed = CONFIRMATIONS[mechanism](application, sender)
    if confirmed is None:
        if application.require_proof_of_possession:
            raise possession_required(mechanism, "the application requires proof of possession")
        if policy is not None and policy.is_required_of(public=application.is_public):
            raise possession_required(mechanism, f"the API requires it for {policy.required_for}")
    return confirmed


def _dpop(_: Application, sender: Sender) -> Confirmation | None:
    return None if sender.jkt is None else {"jkt": sender.jkt}  # RFC 9449 section 6.1


def _mtls(application: Application, sender: Sender) -> Confirmation | None:
    # As a real tenant has it: mutual TLS is for confidential applications alone.
    if sender.x5t is None or application.is_public:
        return None
    return {"x5t#S256": sender.x5t}  # RFC 8705 section 3.1


CONFIRMATIONS: Mapping[Mechanism, Callable[[Application, Sender], Confirmation | None]] = {
    "dpop": _dpop,
    "mtls": _mtls,
}
