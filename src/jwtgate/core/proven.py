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

    remember: is asked whether a proof is new, and may raise StoreUnavailable.
    """

    __slots__ = ("_closed", "_keys", "_remember", "_senders", "_settings")

    def __init__(
        self, settings: ApiSettings, keys: Keyring, senders: Senders, remember: Callable[[RememberProof], Memory]
    ) -> None:
        self._settings: ApiSettings = settings
        self._keys: Keyring = keys
        self._senders: Senders = senders
        self._remember: Callable[[RememberProof], Memory] = remember
        # What a resolver is to be asked about would be parsed twice.
        self._closed: bool = senders.proofs is None or settings.resolver is not None

    def __call__(self, request: Request, wall: float, monotonic: float) -> AccessToken | None:
        """Who is calling. None says nothing: the flow tells.

        wall, monotonic: the time, as in a `Moment`. Raises an AuthError, which knows what the client is told.
        """
        sent = None if self._closed else read_proven(request, self._settings.max_token_bytes)
        if sent is None:
            return None
        token, values = sent
        try:
            found = verify_at_once(token, self._keys, wall, monotonic)
            return self._proven(found, token, values, request, wall) if type(found) is Verified else None
        except AuthError as error:
            # A good token is one by its grammar too. Of any other text the line itself may be what is wrong.
            if not is_token(token):
                return None
            raise parting(error, self._settings, "DPoP") from None

    def _proven(
        self, found: Verified, token: str, values: tuple[str, ...], request: Request, now: float
    ) -> AccessToken:
        senders, claims = self._senders, found.claims
        senders.revocations.check(claims)
        sender, proof = senders.prove(claims, request, now, scheme="DPoP", token=token, values=values)
        if proof is not None:
            check_new(proof, self._remember(senders.to_remember(proof)))
        return AccessToken(found, found.own.policy, self._settings, now, token, sender=sender)
