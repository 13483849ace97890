"""A request with a DPoP proof, decided as far as nothing has to be waited for: nearly always that is to the end."""

from __future__ import annotations

from collections.abc import Callable

from .access import AccessToken
from .binding import Senders, check_new
from .challenge import parting
from .effects import Memory, RememberProof
from .errors import AuthError
from .heads import Verified
from .keys import Keyring
from .request import Request, is_token, read_proven
from .settings import ApiSettings
from .verification import verify_at_once


class ShortWayWithProof:
    """The way of nearly every request with a proof, where whatever remembers proofs answers at once.

    Each step is one that the flow takes too, in its order and so in its words; only nothing is yielded.

    closed: it never tells anything, and need not be asked.
    """

    __slots__ = ("_keys", "_senders", "_settings", "closed")

    def __init__(self, settings: ApiSettings, keys: Keyring, senders: Senders) -> None:
        self._settings: ApiSettings = settings
        self._keys: Keyring = keys
        self._senders: Senders = senders
        # What a resolver is to be asked about would be parsed twice.
        self.closed: bool = senders.proofs is None or settings.resolver is not None

    def __call__(
        self, request: Request, wall: float, monotonic: float, remember: Callable[[RememberProof], Memory]
    ) -> AccessToken | None:
        """Who is calling. None says nothing: the flow tells.

        wall, monotonic: the time, as in a `Moment`; remember: is asked last whether the proof is new, and may raise
        StoreUnavailable. Raises an AuthError, which knows what the client is told.
        """
        sent = None if self.closed else read_proven(request, self._settings.max_token_bytes)
        if sent is None:
            return None
        token, values = sent
        senders = self._senders
        try:
            found = verify_at_once(token, self._keys, wall, monotonic)
            if type(found) is not Verified:
                return None
            claims = found.claims
            senders.revocations.check(claims)
            sender, proof = senders.prove(claims, request, wall, scheme="DPoP", token=token, values=values)
            if proof is not None:
                check_new(proof, remember(senders.to_remember(proof)))
            return AccessToken(found, found.own.policy, self._settings, wall, token, sender=sender)
        except AuthError as error:
            # A good token is one by its grammar too. Of any other text the line itself may be what is wrong.
            if not is_token(token):
                return None
            raise parting(error, self._settings, "DPoP") from None
