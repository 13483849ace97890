"""What is known from tokens before: their heads, and themselves."""

from __future__ import annotations

from .heads import Heads
from .jwe import HEADS, SealedHead
from .keys import Keyring
from .recent import Recent
from .remembered import Remembered


class Known:
    """Tokens that were good, their heads, and those of encrypted ones; for as long as the keys that verified them."""

    __slots__ = ("heads", "sealed", "tokens")

    def __init__(self, token_memory_bytes: int) -> None:
        self.heads: Heads = Heads()
        self.sealed: Recent[SealedHead] = Recent(HEADS)
        self.tokens: Remembered = Remembered(token_memory_bytes)


def known_to(keys: Keyring) -> Known:
    """What is known from tokens that these keys have verified."""
    if keys.known is None:
        keys.known = Known(keys.settings.token_memory_bytes)
    return keys.known
