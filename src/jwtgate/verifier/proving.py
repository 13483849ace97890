"""A driver that decides requests with a DPoP proof at once, where this process alone remembers proofs."""

from __future__ import annotations

from ..core.effects import Memory, RememberProof
from ..core.errors import AuthError
from ..core.proven import ShortWayWithProof
from ..core.request import Request
from ..stores import MemoryStore
from .driver import Driver, Outcome, R


class Proving(Driver[R]):
    """What both drivers do with such requests before they ask the flow."""

    def _begin(self) -> None:
        # A store that others share is waited for.
        here = type(self._store) is MemoryStore  # one of a class of its own may ask elsewhere, too
        way = ShortWayWithProof(self.settings, self._keys, self._senders)
        self._with_proof: ShortWayWithProof | None = way if here and not way.closed else None

    def _outcome_at_once(self, request: Request) -> Outcome | None:
        """As `outcome`, if that can be told at once. None says nothing."""
        if self._with_proof is None:
            return None
        clock = self._clock
        try:
            found = self._with_proof(request, clock.wall(), clock.monotonic(), self._remember_at_once)
        except AuthError as error:
            self._watch.refused(error)
            return error.with_traceback(None)  # its frames hold the request
        if found is not None:
            self._count_accepted()
        return found

    def _remember_at_once(self, effect: RememberProof) -> Memory:
        try:
            return self._store.remember(effect, self._clock.wall())
        except Exception as error:
            raise self._store_trouble(error) from error
