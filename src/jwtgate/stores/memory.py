"""A store for one process: its own memory."""

from __future__ import annotations

import threading
from typing import ClassVar

from ..core.effects import Memory, RememberProof
from ..core.errors import StoreUnavailable
from ..core.revocations import MOST, Revocation
from .forking import Forking
from .proofs import MOST_PROOFS, SeenProofs
from .store import PAGE, Changes, Store


class MemoryStore(Store, Forking):
    """Remembers in this process alone: another one takes the same proof again.

    A fork copies what is remembered; from then on each process has its own. most: how many proofs, of all keys
    together, and most_revocations; then StoreUnavailable.
    """

    shared: ClassVar[bool] = False

    def __init__(self, most: int = MOST_PROOFS, most_revocations: int = MOST) -> None:
        self._proofs = SeenProofs(most)
        self._most_revocations = most_revocations
        self._revocations: dict[int, Revocation] = {}  # by their numbers, which only rise
        self._last = 0
        self._lock = threading.Lock()
        super().__init__()

    def remember(self, proof: RememberProof, now: float) -> Memory:
        return self._proofs.remember(proof, now)

    def revoke(self, revocation: Revocation, now: float) -> None:
        with self._lock:
            for number in [number for number, kept in self._revocations.items() if kept.kept_until <= now]:
                del self._revocations[number]
            if len(self._revocations) >= self._most_revocations:
                raise StoreUnavailable(f"{self._most_revocations} revocations are kept, and there is no room for more")
            self._last += 1
            self._revocations[self._last] = revocation

    def changes(self, since: str) -> Changes:
        after = int(since or 0)
        with self._lock:
            numbers = [number for number in self._revocations if number > after][:PAGE]
            found = tuple(self._revocations[number] for number in numbers)
        return Changes(str(numbers[-1]) if numbers else since, found)

    async def remember_async(self, proof: RememberProof, now: float) -> Memory:
        return self._proofs.remember(proof, now)

    async def revoke_async(self, revocation: Revocation, now: float) -> None:
        self.revoke(revocation, now)

    def close(self) -> None:
        """Nothing is open."""

    def forks(self) -> None:
        """Nothing is open."""

    def forked(self) -> None:
        self._proofs.reset()
        self._lock = threading.Lock()
