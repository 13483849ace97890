"""What a request shows of its sender, checked as this tenant's endpoints do it: DPoP proofs and certificates."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from jwtgate.core.dpop import DpopRules, check_proof
from jwtgate.core.errors import InvalidProof, NonceRequired
from jwtgate.core.nonces import Nonces

from .binding import Sender, Shown
from .possession import PROOF_ALGORITHMS
from .refusals import nonce_required, wrong_access_token, wrong_proof, wrong_proof_for_userinfo

WINDOW = 60  # seconds that a proof may be old
LEEWAY = 30  # seconds of clock difference forgiven beside
NONCE_LIFETIME = 300  # seconds


class Proofs:
    """May be used by several threads. clock: in seconds since 1970."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._nonces = Nonces(secrets.token_bytes(32), NONCE_LIFETIME, "the token endpoint")
        self._rules = DpopRules(frozenset(PROOF_ALGORITHMS), WINDOW, LEEWAY)
        self._rules_with_nonce = DpopRules(frozenset(PROOF_ALGORITHMS), WINDOW, LEEWAY, self._nonces)

    # At the token endpoint

    def sender_of(self, shown: Shown, *, public: bool) -> Sender:
        """Who sent a token request, as far as it shows that. public: from an application that can keep no secret.

        Raises TokenRefused for a proof that does not hold and, as a real tenant does with public applications alone,
        for one without a nonce from here.
        """
        if not shown.proofs:
            return Sender(jkt=shown.jkt, x5t=shown.x5t)
        rules = self._rules_with_nonce if public else self._rules
        try:
            # There is no token yet that the proof could name.
            return Sender(jkt=self._proved(shown, None, rules), x5t=shown.x5t)
        except NonceRequired as wanted:
            raise nonce_required(wanted.nonce) from wanted
        except InvalidProof as fault:
            raise wrong_proof(str(fault)) from fault

    def next_nonce(self, shown: Shown, *, public: bool) -> str | None:
        """For the next proof of whoever must have one (RFC 9449 section 8.2)."""
        return self._nonces.current(self._clock()) if shown.proofs and public else None

    # At /userinfo

    def check_binding(self, token: str, claims: Mapping[str, Any], scheme: str, shown: Shown) -> None:
        """RFC 9449 section 7, RFC 8705 section 3. scheme: under which the token was sent; "Bearer" or "DPoP".

        Raises TokenRefused for a token that is bound to somebody else than who has sent it, for one that is bound to a
        key and comes under Bearer, and for one that is bound to nobody and comes under DPoP.
        """
        confirmed = claims.get("cnf")
        if confirmed is None:
            if scheme != "Bearer":
                raise wrong_access_token("it is bound to nobody, and came under DPoP", scheme)
        elif not isinstance(confirmed, Mapping) or not confirmed.keys() <= {"jkt", "x5t#S256"}:
            raise wrong_access_token("nobody knows to whom it is bound", scheme)
        else:
            self._check_confirmed(token, confirmed, scheme, shown)

    def _check_confirmed(self, token: str, confirmed: Mapping[str, Any], scheme: str, shown: Shown) -> None:
        # As a real tenant has it, a token that is bound to a certificate may come under either scheme.
        if confirmed.get("x5t#S256", shown.x5t) != shown.x5t:
            raise wrong_access_token("it is bound to another certificate", scheme)
        if "jkt" not in confirmed:
            return
        if scheme != "DPoP":
            raise wrong_access_token("it is bound to a key, and came under Bearer", scheme)
        try:
            jkt = self._proved(shown, token, self._rules)
        except InvalidProof as fault:
            raise wrong_proof_for_userinfo(str(fault)) from fault
        if jkt != confirmed["jkt"]:
            raise wrong_access_token("it is bound to another key", scheme)

    def _proved(self, shown: Shown, token: str | None, rules: DpopRules) -> str:
        """The thumbprint of the key that made the proof for this request. Raises InvalidProof."""
        method, url, now = shown.method, shown.url, self._clock()
        return check_proof(shown.proofs, method=method, url=url, token=token, now=now, rules=rules).jkt
