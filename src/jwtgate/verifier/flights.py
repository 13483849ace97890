"""One load of an issuer's keys for any number of waiters: threads, tasks and event loops mixed."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

from ..core.effects import LoadKeys, Moment
from ..core.key_state import Attempt, KeyState
from ..core.keys import IssuerKeys

LONGEST_FLIGHT = 15.0  # seconds: the metadata at two addresses, and the keys
AT_ONCE = 16  # tasks that go on in one turn of their event loop
MOST_RESOLVED = 64  # under way at once for issuers that a resolver named: who it trusts, a stranger may have a say in


class Lounge:
    """Where the tasks of one event loop wait for one flight: a future for each of them, and one timer for all."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def seat(self) -> asyncio.Future[None]:
        """Done when the flight has landed, or is taken for lost. To be called in this event loop."""
        if self._timer is None:
            self._timer = self._loop.call_later(LONGEST_FLIGHT, self._let_go)
        waiter = self._loop.create_future()
        self._waiting.append(waiter)
        return waiter

    def call(self, landed: Future[None]) -> None:
        """The flight has landed. To be called in any thread."""
        with suppress(RuntimeError):  # the event loop is closed
            self._loop.call_soon_threadsafe(self._let_go)

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # A few in each turn: while all of them verify their tokens, the event loop has others to look after.
        for _ in range(min(AT_ONCE, len(self._waiting))):
            waiter = self._waiting.popleft()
            if not waiter.done():  # its task may have been cancelled
                waiter.set_result(None)
        if self._waiting:
            self._loop.call_soon(self._let_go)


def _running() -> Future[None]:
    landed: Future[None] = Future()
    landed.set_running_or_notify_cancel()  # a waiter that is cancelled must not cancel it for the others
    return landed


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """A load under way. ticket: its place in the order of beginnings; began: when; landed: done when it has ended."""

    effect: LoadKeys
    ticket: int
    began: Moment
    landed: Future[None] = field(default_factory=_running)
    _lounges: dict[asyncio.AbstractEventLoop, Lounge] = field(default_factory=dict)

    async def wait(self) -> None:
        """For a task: until it has landed, or is taken for lost, LONGEST_FLIGHT after somebody began to wait here."""
        if not self.landed.done():
            await self._lounge().seat()

    def _lounge(self) -> Lounge:
        loop = asyncio.get_running_loop()
        lounge = self._lounges.get(loop)
        if lounge is None:  # and no other thread makes one meanwhile: it would have to run this loop
            lounge = self._lounges[loop] = Lounge(loop)
            self.landed.add_done_callback(lounge.call)
        return lounge

    def ended(self, now: float, **how: object) -> Attempt:
        """It ended without an outcome of its own."""
        return Attempt(self.ticket, self.began.monotonic, now, self.effect.kid, **how)  # type: ignore[arg-type]


class Flights:
    """At most one for each issuer, and their outcomes taken one at a time.

    Those of issuers that a resolver named are at most MOST_RESOLVED together: a load takes threads and connections.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget them all: after a fork they belong to the parent, and the lock may be held by a thread of it."""
        self._lock = threading.Lock()
        self._under_way: dict[IssuerKeys, Flight] = {}

    def board(self, effect: LoadKeys, now: Moment) -> tuple[Flight | None, bool]:
        """The flight to wait for, and whether the caller is the one who flies it.

        None when it has landed already, or when there is no room for it: the keys that are known must do.
        """
        keys = effect.keys
        with self._lock:
            flight = self._under_way.get(keys)
            # A flight whose event loop was torn down never lands: nobody must wait for it for ever.
            if flight is not None and now.monotonic - flight.began.monotonic < LONGEST_FLIGHT:
                return flight, False
            if keys.state.settled != effect.settled or (keys.resolved and self._is_crowded(now.monotonic)):
                return None, False
            flight = self._under_way[keys] = Flight(effect, keys.begin(), now)
            keys.expect(now.monotonic + LONGEST_FLIGHT)
            return flight, True

    def _is_crowded(self, now: float) -> bool:
        flying = [flight for flight in self._under_way.values() if flight.effect.keys.resolved]
        return sum(now - flight.began.monotonic < LONGEST_FLIGHT for flight in flying) >= MOST_RESOLVED

    def settle(self, keys: IssuerKeys, attempt: Attempt) -> tuple[KeyState, KeyState]:
        """Take an outcome into the keys' state. The state before, and after."""
        with self._lock:
            before = keys.state
            keys.settle(attempt)
            return before, keys.state

    def land(self, flight: Flight) -> None:
        """The load has ended, and its outcome is in the keys' state."""
        keys = flight.effect.keys
        with self._lock:
            if self._under_way.get(keys) is flight:
                del self._under_way[keys]
        flight.landed.set_result(None)

    def under_way(self) -> list[Flight]:
        with self._lock:
            return list(self._under_way.values())
