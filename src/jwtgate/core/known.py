"""What is known from tokens before: their heads, and themselves."""

from __future__ import annotations

from .heads import Heads
from .keys import Keyring
from .remembered import Remembered


class Known:
    """The heads and the tokens that were good. It lives as long as the keys that they were verified with."""

    __slots__ = ("heads", "tokens")

    def __init__(self, token_memory_bytes: int) -> None:
        self.heads: Heads = Heads()
        self.tokens: Remembered = Remembered(token_memory_bytes)


def known_to(keys: Keyring) -> Known:
    """What is known from tokens that these keys have verified."""
    if keys.known is None:
        keys.known = Known(keys.settings.token_memory_bytes)
    return keys.known
