"""What was read before, by its text: clients send the same heads each time."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

T = TypeVar("T")
LONGEST: Final = 2_048  # characters of a text; what a longer one says is read each time


class Recent(Generic[T]):
    """A few texts, character by character, and what each says; half of them at least are those kept last.

    limit: how many. Whoever keeps something here does so for what was good in every way: a stranger fills nothing.

    There are two generations: a full one becomes the older, and what is kept once more comes into the younger. Each
    step is one operation of a dict, so that threads need no lock: at worst a text is read once more.
    """

    __slots__ = ("_limit", "_older", "_younger")

    def __init__(self, limit: int) -> None:
        self._limit = limit // 2  # of each generation
        self._younger: dict[str, T] = {}
        self._older: dict[str, T] = {}

    def __len__(self) -> int:
        return len(self._younger.keys() | self._older.keys())

    def get(self, text: str) -> T | None:
        """Nothing that is kept is falsy."""
        return self._younger.get(text) or self._older.get(text)

    def keep(self, text: str, said: T) -> None:
        if len(text) > LONGEST:
            return
        if text not in self._younger and len(self._younger) >= self._limit:
            self._older, self._younger = self._younger, {}
        self._younger[text] = said
