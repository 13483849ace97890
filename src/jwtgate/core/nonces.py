"""Nonces for DPoP proofs that nobody has to remember: they are worked out again from a key and the time."""

from __future__ import annotations

import base64
import hmac
from typing import Final

# Seconds. A server whose clock is a little ahead gives out the next nonce while it is not yet time for it here.
CLOCK_DIFFERENCE: Final = 5.0
NONCE_BYTES: Final = 18  # 144 bits, 24 characters: RFC 9449 section 8 wants them unpredictable


class Nonces:
    """What an API gives out as `DPoP-Nonce` (RFC 9449 section 9), the same in all processes that share the key.

    Time is cut into slots of `lifetime` seconds, and each slot has one nonce. It is taken in its own slot and in the
    next, so that a client always has `lifetime` seconds at least to use it.

    key: secret, at least 32 bytes; lifetime: seconds; audience: for whom the nonces are good: those of another API with
    the same key are not taken.
    """

    __slots__ = ("_about", "_key", "_known", "_lifetime")

    def __init__(self, key: bytes, lifetime: float, audience: str) -> None:
        self._key = key
        self._lifetime = lifetime
        # The lifetime too: where it was another, the same slot was at another time.
        self._about = f"jwtgate DPoP-Nonce\0{audience}\0{float(lifetime)!r}\0".encode()
        # Replaced as a whole, and never changed: threads need no lock.
        self._known: tuple[int, tuple[str, str, str]] | None = None

    def current(self, now: float) -> str:
        """The nonce to give out. now: seconds since the epoch."""
        return self._around(self._slot(now))[1]

    def accepts(self, nonce: object, now: float) -> bool:
        """Whether a proof's `nonce` is one that this API supplied, not longer ago than two slots."""
        if not isinstance(nonce, str) or not nonce.isascii():
            return False
        slot = self._slot(now)
        before, current, after = self._around(slot)
        taken = hmac.compare_digest(nonce, current) | hmac.compare_digest(nonce, before)
        if self._slot(now + CLOCK_DIFFERENCE) != slot:
            taken |= hmac.compare_digest(nonce, after)
        return taken

    def _slot(self, now: float) -> int:
        return int(now // self._lifetime)

    def _around(self, slot: int) -> tuple[str, str, str]:
        """The nonces of the slot before, of this slot, and of the next."""
        known = self._known
        if known is None or known[0] != slot:
            before, current, after = (self._make(number) for number in (slot - 1, slot, slot + 1))
            self._known = known = (slot, (before, current, after))
        return known[1]

    def _make(self, slot: int) -> str:
        digest = hmac.digest(self._key, self._about + b"%d" % slot, "sha256")
        # RFC 9449 section 8.1: base64url has none but the characters of a nonce.
        return base64.urlsafe_b64encode(digest[:NONCE_BYTES]).decode("ascii")
