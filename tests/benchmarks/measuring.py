"""Times by turns: the reference, and what is compared with it, in short blocks whose order is shuffled.

What disturbs a machine lasts longer than a block, and so it disturbs both sides of a ratio. The clock is that of the
processor time of this thread: what other processes do meanwhile does not count.
"""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

Clock = Callable[[], float]
Supply = Callable[[int], Sequence[Any]]  # a round's number → what is called with in it
WARMING: Final = 2  # rounds that do not count


@dataclass(frozen=True, slots=True)
class Figure:
    """A median with its quartiles."""

    median: float
    lower: float
    upper: float


def figure(values: Sequence[float]) -> Figure:
    """Of at least one value."""
    if len(values) < 2:
        return Figure(values[0], values[0], values[0])
    lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(median, lower, upper)


@dataclass(frozen=True, slots=True)
class Entrant:
    """One side of a comparison. call: what is measured; supply: its arguments, by round; awaits: it is async."""

    name: str
    call: Callable[[Any], Any]
    supply: Supply
    awaits: bool = False


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one call, by entrant and round: the same place is the same round."""

    seconds: Mapping[str, Sequence[float]]

    def ratio(self, name: str, *parts: str) -> Figure:
        """One entrant to the sum of others."""
        bases = (sum(round_of) for round_of in zip(*(self.seconds[part] for part in parts), strict=True))
        return figure([own / base for own, base in zip(self.seconds[name], bases, strict=True)])

    def over(self, name: str, base: str) -> Figure:
        """What one entrant takes more than another, in seconds."""
        return figure([own - other for own, other in zip(self.seconds[name], self.seconds[base], strict=True)])

    def of(self, name: str) -> Figure:
        """In seconds."""
        return figure(self.seconds[name])


def compete(entrants: Sequence[Entrant], rounds: int, *, clock: Clock = time.thread_time, seed: int = 1) -> Times:
    """Each entrant has one block in each round."""
    order = random.Random(seed)
    seconds: dict[str, list[float]] = {entrant.name: [] for entrant in entrants}
    with asyncio.Runner() as runner, settled():
        for number in range(rounds + WARMING):
            for entrant in order.sample(entrants, len(entrants)):
                items = entrant.supply(number)
                gc.collect()  # else one pays for what another has left behind
                block = _awaited(entrant.call, items, clock) if entrant.awaits else None
                taken = _called(entrant.call, items, clock) if block is None else runner.run(block)
                seconds[entrant.name].append(taken / len(items))
    return Times({name: found[WARMING:] for name, found in seconds.items()})


def _called(call: Callable[[Any], Any], items: Sequence[Any], clock: Clock) -> float:
    began = clock()
    for item in items:
        call(item)
    return clock() - began


async def _awaited(call: Callable[[Any], Any], items: Sequence[Any], clock: Clock) -> float:
    began = clock()
    for item in items:
        await call(item)
    return clock() - began


@contextmanager
def settled() -> Iterator[None]:
    """What was made before is no work for the garbage collector, which stays on."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def in_turn(items: Sequence[Any], size: int) -> Supply:
    """Other items in each round: for what may be seen once."""

    def supply(number: int) -> Sequence[Any]:
        block = items[number * size : (number + 1) * size]
        if len(block) < size:
            raise ValueError(f"round {number} needs {size} items, {len(items)} were made for all")
        return block

    return supply


def again(item: Any, times: int) -> Supply:
    """The same object again and again."""
    block = [item] * times
    return lambda number: block


def afresh(text: str, times: int) -> Supply:
    """The same text, each time in another object, as a server makes one for each request."""
    octets = text.encode("ascii")
    return lambda number: [octets.decode("ascii") for _ in range(times)]
