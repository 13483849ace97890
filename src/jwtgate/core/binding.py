"""Which sender constraint does `cnf` name, and does this request prove it? One line for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, Protocol

from .dpop import DpopRules, Proof, check_proof
from .effects import Flow, Memory, RememberProof
from .errors import BindingRejected, CertificateRejected, ProofBesideBearer, ProofReplayed, TooManyProofs
from .nonces import Nonces
from .possession import ANYBODY, Sender
from .proxies import ProxyRules, certificate_of, target_of
from .request import Credentials, Request
from .revocations import Revocations
from .settings import ApiSettings
from .values import each

CLOCKS = 5.0  # seconds that the clocks of those who share a store may differ: the slowest takes a proof the longest
PROOFS_PER_KEY = 100_000  # within the time in which one is accepted: more than a thousand each second

Bound = tuple[str | None, str | None]  # the thumbprints of a key and of a certificate, None where there is none
FREE: Final[Bound] = (None, None)


class Revoked(Protocol):
    """Whoever knows which tokens are taken no more."""

    def check(self, claims: Mapping[str, Any], /) -> None:
        """Raises RevokedToken, StoreUnavailable."""


class Senders:
    """How senders prove that a token is theirs, and whose tokens were revoked. Built once of the settings."""

    def __init__(self, settings: ApiSettings, revocations: Revoked | None = None) -> None:
        possession = settings.possession
        self.required: bool = possession.required
        self.proxies: ProxyRules = ProxyRules(
            settings.public_url, settings.trusted_proxies, settings.proxy_headers, settings.certificate_header
        )
        self.nonces: Nonces | None = _nonces(settings)
        self.proofs: DpopRules | None = (
            DpopRules(frozenset(settings.dpop_algorithms), settings.dpop_window, settings.leeway, self.nonces)
            if "dpop" in possession.mechanisms
            else None
        )
        # Seconds for which a proof is remembered from its `iat` on.
        self._life: float = settings.dpop_window + settings.leeway + CLOCKS
        self.revocations: Revoked = Revocations() if revocations is None else revocations

    def check_credentials(self, credentials: Credentials, request: Request) -> None:
        """A proof comes with the scheme that is made for it, or it is not clear what was meant.

        Raises ProofBesideBearer.
        """
        if self.proofs is not None and credentials.scheme != "DPoP" and request.values("dpop"):
            raise ProofBesideBearer

    def check_bare(self, claims: Mapping[str, Any]) -> None:
        """Of a token without its request nobody can say who sent it. Raises BindingRejected."""
        if _bound(claims) != FREE or self.required:
            raise BindingRejected(
                "a request to go with it: verify_request", claims.get("cnf"), "a token alone proves none"
            )

    def check(self, claims: Mapping[str, Any], credentials: Credentials, request: Request, now: float) -> Flow[Sender]:
        """Whether this request proves all that the token is bound to.

        claims: checked, so that the members of `cnf` which are known have their form. Last of all the proof is
        remembered: one that fails anything else must not use up its `jti`.

        Raises InvalidProof, NonceRequired, BindingRejected, CertificateRejected, InvalidForwarding, StoreUnavailable.
        """
        if _bound(claims) == FREE and not self.required and credentials.scheme == "Bearer":
            return ANYBODY
        values = request.values("dpop") if self.proofs is not None and credentials.scheme == "DPoP" else None
        scheme, token = credentials.scheme, credentials.token
        sender, proof = self.prove(claims, request, now, scheme=scheme, token=token, values=values)
        if proof is not None:
            check_new(proof, (yield self.to_remember(proof)))
        return sender

    def prove(
        self,
        claims: Mapping[str, Any],
        request: Request,
        now: float,
        *,
        scheme: str,
        token: str,
        values: Sequence[str] | None,
    ) -> tuple[Sender, Proof | None]:
        """All that `check` looks at before it asks whether the proof is new: where there is one, that is left to do.

        scheme, token: the credentials; values: of every `DPoP` header line; None where none is looked at.
        Raises as `check` does.
        """
        bound = jkt, certificate = _bound(claims)
        rules, proof = self.proofs, None
        # Auth0 says DPoP for tokens that are bound to a certificate too, and no proof is then needed.
        if rules is not None and values is not None and (values or jkt is not None or bound == FREE):
            url = target_of(request, self.proxies)
            proof = check_proof(values, method=request.method, url=url, token=token, now=now, rules=rules)
        if bound == FREE:
            raise BindingRejected("a token that is bound to its sender", claims.get("cnf"))
        if certificate is not None:
            self._check_certificate(certificate, request)
        if jkt is not None:
            _check_key(jkt, proof, scheme)
        if rules is None or proof is None:
            return Sender(scheme, None, certificate), None
        nonce = None if self.nonces is None else self.nonces.current(now)
        # A proof may come with a token that is bound to a certificate alone: of its key nothing is known then.
        return Sender(scheme, jkt, certificate, nonce), proof

    def to_remember(self, proof: Proof) -> RememberProof:
        """What the memory of proofs is asked."""
        jkt, jti, issued = proof
        digest = sha256(f"{jkt}\0{jti}".encode()).digest()
        return RememberProof(jkt, digest, issued + self._life, PROOFS_PER_KEY)

    def _check_certificate(self, bound_to: str, request: Request) -> None:
        """RFC 8705 section 3: the certificate of the connection must be the one that the token is bound to."""
        found = certificate_of(request, self.proxies)
        if found != bound_to:
            raise CertificateRejected(bound_to, found, "" if found else "the connection has no client certificate")


def check_new(proof: Proof, answer: Memory) -> None:
    """RFC 9449 section 11.1: a proof is accepted once, among all that its key makes.

    Raises ProofReplayed, TooManyProofs.
    """
    if answer == "seen":
        raise ProofReplayed(proof.jti)
    if answer == "full":
        raise TooManyProofs(proof.jkt, PROOFS_PER_KEY)


def _nonces(settings: ApiSettings) -> Nonces | None:
    key = settings.dpop_nonce_key
    if key is None:
        return None
    # Of another API with the same key, a nonce is no good here; one API may write its identifiers in any order.
    audience = "\0".join(sorted(each(settings.identifier)))
    return Nonces(key, settings.dpop_nonce_lifetime, audience)


def _bound(claims: Mapping[str, Any]) -> Bound:
    """What the token is bound to, of all that can be checked here: the others were refused with the claims."""
    cnf = claims.get("cnf")
    return FREE if cnf is None else (cnf.get("jkt"), cnf.get("x5t#S256"))


def _check_key(bound_to: str, proof: Proof | None, scheme: str) -> None:
    """RFC 9449 section 7.1: the key of the proof must be the one that the token is bound to."""
    if proof is None:
        raise BindingRejected("the DPoP scheme and a proof, for a token that is bound to a key", scheme)
    if proof.jkt != bound_to:
        raise BindingRejected(bound_to, proof.jkt, "the proof is of another key than the token")
