"""Tokens that were verified, by their full text, until something about them changes."""

from __future__ import annotations

from typing import Final

from .heads import Verified

MOST_OF_ONE: Final = 64  # tokens of one subject in a generation: nobody can push out all the others'
LONGEST: Final = 3_600.0  # seconds of a generation: whoever has new tokens all the time is remembered again then
OVERHEAD: Final = 1_500  # bytes that a token takes beside its text and its claims


class Remembered:
    """A memory of verified tokens, bound to the settings of the one verifier that has it.

    limit: bytes, about; 0 remembers nothing.

    There are two generations: a full one becomes the older, and what is used of the older comes into the younger. Each
    step is one operation of a dict, so that threads need no lock: at worst a token is verified once more.
    """

    __slots__ = ("_callers", "_ends", "_limit", "_older", "_share", "_size", "_younger")

    def __init__(self, limit: int) -> None:
        self._limit = limit // 2  # of each generation
        self._share = self._limit // 4  # of it, for one subject
        self._younger: dict[str, Verified] = {}
        self._older: dict[str, Verified] = {}
        self._callers: dict[tuple[str, str], tuple[int, int]] = {}  # how many in the younger, and their bytes
        self._size = 0
        self._ends = float("-inf")  # monotonic seconds: then the younger generation becomes the older

    def __len__(self) -> int:
        return len(self._younger.keys() | self._older.keys())

    def get(self, token: str, wall: float, monotonic: float) -> Verified | None:
        """What was verified, if it would be again: neither its times nor its issuer's keys say otherwise."""
        found = self._younger.get(token)
        if found is None:
            found = self._older.get(token)
            if found is None:
                return None
            self._put(token, found, monotonic)
        own = found.own
        good = own.in_use is found.set and monotonic < own.serves_until and found.begins <= wall < found.ends
        return found if good else None

    def keep(self, token: str, verified: Verified, monotonic: float) -> None:
        """token: as it was sent."""
        if self._limit and verified.set is not None:
            self._put(token, verified, monotonic)

    def _put(self, token: str, verified: Verified, now: float) -> None:
        if token in self._younger:
            self._younger[token] = verified
            return
        size = 3 * len(token) + OVERHEAD
        full = self._size + size > self._limit and size <= self._share
        if full or now >= self._ends:
            self._older, self._younger, self._callers, self._size = self._younger, {}, {}, 0
            self._ends = now + LONGEST
        claims = verified.claims
        caller = claims["iss"], claims["sub"]
        count, taken = self._callers.get(caller, (0, 0))
        if count < MOST_OF_ONE and taken + size <= self._share:
            self._callers[caller] = count + 1, taken + size
            self._size += size
            self._younger[token] = verified
