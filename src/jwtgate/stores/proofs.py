"""Seen proofs in the memory of one process: exact, bounded, and small."""

from __future__ import annotations

import threading
from typing import Final

from ..core.effects import Memory, RememberProof
from ..core.errors import StoreUnavailable

MOST_PROOFS: Final = 1_000_000
WIDTH: Final = 16.0  # seconds of expiry in one slice, which is dropped as a whole
# A `bytes` object of 15 takes 48 bytes of memory, one of 16 takes 64; 120 bits of a hash do not meet by chance.
DIGEST: Final = 15
PACKED: Final = 32 * DIGEST  # bytes: so far a key's digests stand in a row, beyond it in a set
_KEY_BITS: Final = (1 << 60) - 1  # a number of up to 60 bits takes 32 bytes of memory


class Slice:
    """The proofs that expire within the same few seconds.

    keys: by a key's number, its digests, in a row or in a set; count: of them all.
    """

    __slots__ = ("count", "keys")

    def __init__(self) -> None:
        self.keys: dict[int, bytes | set[bytes]] = {}
        self.count: int = 0

    def add(self, key: int, digest: bytes) -> None:
        kept = self.keys.get(key, b"")
        self.count += 1
        if isinstance(kept, set):
            kept.add(digest)
        elif len(kept) < PACKED:
            self.keys[key] = kept + digest
        else:
            self.keys[key] = {digest, *_apart(kept)}

    def remove(self, key: int, digest: bytes) -> None:
        kept = self.keys[key]
        self.count -= 1
        if isinstance(kept, set):
            kept.discard(digest)
        else:
            self.keys[key] = b"".join(each for each in _apart(kept) if each != digest)


def _apart(row: bytes) -> list[bytes]:
    return [row[start : start + DIGEST] for start in range(0, len(row), DIGEST)]


class SeenProofs:
    """For any number of threads. A proof is kept until it expires, and up to 16 seconds more.

    most: how many are kept of all keys together; then StoreUnavailable, as none may be forgotten early.
    """

    __slots__ = ("_count", "_lock", "_most", "_next_end", "_slices")

    def __init__(self, most: int = MOST_PROOFS) -> None:
        self._most = most
        self._slices: dict[int, Slice] = {}
        self._count = 0
        self._next_end = float("inf")  # seconds since the epoch: the first slice to be dropped ends
        self.reset()

    def __len__(self) -> int:
        return self._count

    def reset(self) -> None:
        """After a fork: the lock may be held by a thread of the parent."""
        self._lock = threading.Lock()

    def remember(self, proof: RememberProof, now: float) -> Memory:
        """As a store's. Raises StoreUnavailable when it is full."""
        # Hashes of text differ from process to process: nobody can choose keys that share a number.
        key, digest, number = hash(proof.jkt) & _KEY_BITS, proof.digest[:DIGEST], int(proof.expires // WIDTH)
        with self._lock:
            if now >= self._next_end:
                self._drop(now)
            live = 0
            for slice_ in self._slices.values():
                kept = slice_.keys.get(key)
                if kept is not None:
                    if digest in kept:
                        return "seen"
                    live += len(kept) if isinstance(kept, set) else len(kept) // DIGEST
            if live >= proof.limit:
                return "full"
            if self._count >= self._most:
                reason = f"{self._most} proofs are remembered, and there is no room for more"
                raise StoreUnavailable(reason, max(1.0, self._next_end - now))
            (self._slices.get(number) or self._begin(number)).add(key, digest)
            self._count += 1
            return "new"

    def forget(self, proof: RememberProof) -> None:
        """It was not taken after all: whoever sent it may send it again."""
        key, digest = hash(proof.jkt) & _KEY_BITS, proof.digest[:DIGEST]
        with self._lock:
            for slice_ in self._slices.values():
                if digest in slice_.keys.get(key, b""):
                    slice_.remove(key, digest)
                    self._count -= 1

    def _begin(self, number: int) -> Slice:
        begun = self._slices[number] = Slice()
        self._next_end = min(self._next_end, (number + 1) * WIDTH)
        return begun

    def _drop(self, now: float) -> None:
        for number in [number for number in self._slices if (number + 1) * WIDTH <= now]:
            self._count -= self._slices.pop(number).count
        self._next_end = min(((number + 1) * WIDTH for number in self._slices), default=float("inf"))
