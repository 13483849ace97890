"""What every store of seen proofs and revoked tokens does, whatever it keeps them in."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar, Final

from ..core.effects import Memory, RememberProof
from ..core.revocations import Revocation
from ..core.values import each

PAGE: Final = 1_000  # revocations that are read at once


@dataclass(frozen=True, slots=True)
class Changes:
    """What a store has learnt. mark: what to ask `changes` with for the next ones, to nobody else of any meaning;
    revocations: in the order in which they came; unreadable: how many more there were that nobody can read.
    """

    mark: str
    revocations: tuple[Revocation, ...] = ()
    unreadable: int = 0


class Store(ABC):
    """Remembers DPoP proofs until they expire, and revoked tokens. One serves any number of threads and event loops.

    shared: whether other processes see what this one remembers. What is not shared is answered at once.

    Every method raises StoreUnavailable where the store does not answer, and nothing else. A store that was closed
    opens again when it is used, and one that was made before a fork serves in both processes.
    """

    shared: ClassVar[bool] = True

    @abstractmethod
    def remember(self, proof: RememberProof, now: float) -> Memory:
        """Remember the proof until it expires: "new" to exactly one of all who ask, "seen" to the others.

        "full": it was not seen, and as many proofs of its key as `limit` says are remembered already. No proof is
        forgotten before it expires. now: seconds since the epoch.
        """

    @abstractmethod
    def revoke(self, revocation: Revocation, now: float) -> None:
        """Keep the revocation until its tokens have expired, and tell all who ask for changes."""

    @abstractmethod
    def changes(self, since: str) -> Changes:
        """The revocations that came after this mark, "" for all; the oldest 1,000 of them at once."""

    async def remember_async(self, proof: RememberProof, now: float) -> Memory:
        """As `remember`, for tasks."""
        return await asyncio.to_thread(self.remember, proof, now)

    async def revoke_async(self, revocation: Revocation, now: float) -> None:
        """As `revoke`, for tasks."""
        await asyncio.to_thread(self.revoke, revocation, now)

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections. Nothing is forgotten that others see."""

    async def close_async(self) -> None:
        """As `close`, with what belongs to the event loop that runs."""
        self.close()


def namespace_of(identifier: str | Sequence[str]) -> bytes:
    """What keeps APIs apart that share a store: the same 8 bytes for the same identifier, or list of them."""
    return sha256(json.dumps(sorted(each(identifier))).encode("ascii")).digest()[:8]
