"""Revoked tokens in one process: its own at once, those of the others soon, and no request waits for them."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from ..core.errors import StoreUnavailable
from ..core.events import KeyEvent, RevocationsRead, RevocationsUnread
from ..core.revocations import Revocation, Revocations
from ..core.settings import Outage
from ..stores import Changes, Store
from .clock import Clock
from .watching import log

FIRST_SECONDS: Final = 0.25  # that the first request of a process waits for the first reading
CLOSING_SECONDS: Final = 1.0  # that `close` waits for a reading that is under way
NO_ROOM: Final = "more revocations than this process keeps"
UNREADABLE: Final = "{} revocations cannot be read: perhaps a newer version wrote them"


class Revoking:
    """The revocations that count in this process.

    store: where they are kept; delay: seconds within which those of other processes count here; outage: whether a token
    is served, or refused with 503, while the store could not be read for longer; tell: called with each event, perhaps
    by another thread.

    What the store holds is read by one daemon thread, which the first request starts, and waits for a moment; no other
    does. It ends when this is closed, or when nobody holds it any more. A store that is not shared is read when this is
    made, and told between those who use the same one.
    """

    _reader: threading.Thread | None
    _ended: queue.SimpleQueue[None]
    _idle: bool  # whether the next request is to start the thread
    _cold: bool  # or is to wait a moment for the first reading

    def __init__(
        self, store: Store, *, delay: float, outage: Outage, clock: Clock, tell: Callable[[KeyEvent], None]
    ) -> None:
        self.revocations: Revocations = Revocations()
        self._store = store
        self._delay = delay
        self._refuses = outage == "refuse"
        self._clock = clock
        self._tell = tell
        self._mark = ""
        self._read_at = float("-inf")  # monotonic seconds: of the last good reading; of the first bad one in a row
        self._unread_since: float | None = None
        self.forked()
        _USERS.setdefault(store, weakref.WeakSet()).add(self)
        if not store.shared:
            self.read()

    # What a request asks

    def check(self, claims: Mapping[str, Any]) -> None:
        """Is this token, whose other checks are done, taken no more? Raises RevokedToken, StoreUnavailable."""
        if self._cold:
            self._warm()
        if self._refuses and not self.fresh(self._clock.monotonic()):
            raise StoreUnavailable(f"the revocations of other processes were not read for {self._delay:g} s")
        known = self.revocations
        if known.any:
            known.check(claims)

    def fresh(self, now: float) -> bool:
        """Is what is known here no older than `delay`? now: monotonic seconds."""
        return not self._store.shared or now - self._read_at <= self._delay

    def warm_up(self) -> None:
        """Have the store read now, and wait for a moment: then no request has to."""
        if self._cold:
            self._warm()

    def _warm(self) -> None:
        """A process that has read nothing yet must not serve what was revoked before it was first asked."""
        self.begin()
        if not self.fresh(self._clock.monotonic()):
            self._first.wait(FIRST_SECONDS)
        self._cold = self._idle  # who has waited in vain waits no second time

    # What an application says

    def revoke(self, revocation: Revocation) -> None:
        """At once here, and soon in the other processes.

        Raises StoreUnavailable: where the store does not take it, it counts in this process alone; where there is no
        room for it here, in the store and with those who have some.
        """
        trouble = self._learn_all(revocation)
        self._store.revoke(revocation, self._clock.wall())
        if trouble is not None:
            raise trouble

    async def revoke_async(self, revocation: Revocation) -> None:
        """As `revoke`, for tasks."""
        trouble = self._learn_all(revocation)
        await self._store.revoke_async(revocation, self._clock.wall())
        if trouble is not None:
            raise trouble

    def _learn_all(self, revocation: Revocation) -> StoreUnavailable | None:
        """Where one has no room for it, that trouble: the store and the others are to be told all the same."""
        trouble = None
        for each in list(_USERS[self._store]):
            try:
                each.learn(revocation)
            except StoreUnavailable as error:
                trouble = error
        return trouble

    def learn(self, revocation: Revocation) -> None:
        """Raises StoreUnavailable where there is no room for it."""
        with self._lock:
            if self.revocations.add(revocation):
                return
            self.revocations.prune(self._clock.wall())
            if not self.revocations.add(revocation):
                raise StoreUnavailable(NO_ROOM)

    # Reading

    def read(self) -> bool:
        """Take in what the store has learnt. False: it cannot be told whether that is all. Raises nothing."""
        with self._reading:
            event = self._read()
        self._first.set()
        self._say(event)
        return self._unread_since is None

    def _read(self) -> KeyEvent | None:
        began = self._clock.monotonic()
        try:
            self._take_in()
        except StoreUnavailable as error:
            return self._unread(error.reason, began)
        self._read_at, since, self._unread_since = began, self._unread_since, None
        return None if since is None else RevocationsRead(began - since)

    def _take_in(self) -> None:
        with self._lock:
            self.revocations.prune(self._clock.wall())
        unreadable = 0
        while True:
            changes = self._changes()
            for revocation in changes.revocations:
                self.learn(revocation)
            if changes.mark == self._mark:
                break
            self._mark = changes.mark
            unreadable += changes.unreadable
        if unreadable:
            raise StoreUnavailable(UNREADABLE.format(unreadable))

    def _changes(self) -> Changes:
        try:
            return self._store.changes(self._mark)
        except StoreUnavailable:
            raise
        except Exception as error:  # of a caller's own store
            log.error("the store failed", exc_info=error, extra={"event": "store.failed"})
            raise StoreUnavailable(f"failed: {type(error).__name__}") from error

    def _unread(self, reason: str, now: float) -> KeyEvent | None:
        """Once, until it is read again."""
        if self._unread_since is not None:
            return None
        self._unread_since = now
        return RevocationsUnread(reason)

    def _say(self, event: KeyEvent | None) -> None:
        """Without a lock: who listens may ask something of this."""
        if event is not None:
            self._tell(event)

    # The thread

    def begin(self) -> None:
        """Have the store read from now on, unless it is."""
        with self._lock:
            event = self._start() if self._idle else None
        self._say(event)

    def _start(self) -> KeyEvent | None:
        ended: queue.SimpleQueue[None] = queue.SimpleQueue()  # its `put` may come from a garbage collection
        known = weakref.ref(self, lambda _: ended.put(None))
        arguments = known, ended, self._delay / 2
        reader = threading.Thread(target=_read_on, args=arguments, name="jwtgate-revocations", daemon=True)
        self._first.clear()
        try:
            reader.start()
        except RuntimeError:  # none can be had, perhaps because the interpreter ends
            self._first.set()
            return self._unread("no thread could be started", self._clock.monotonic())
        self._reader, self._ended, self._idle = reader, ended, False
        return None

    def close(self) -> None:
        """Read no more. What is known counts on."""
        with self._lock:
            reader, self._reader, self._idle, self._cold = self._reader, None, False, False
            self._ended.put(None)
        if reader is not None and reader is not threading.current_thread():
            reader.join(CLOSING_SECONDS)

    def lose(self, ended: queue.SimpleQueue[None]) -> None:
        """The thread has come to its end. Unless that was wanted, the next request starts another."""
        with self._lock:
            if self._reader is not None and self._ended is ended:
                self._reader, self._idle, self._cold = None, True, True

    def reopen(self) -> None:
        """After `close`: the next request has the store read again."""
        with self._lock:
            if self._store.shared and self._reader is None:
                self._idle, self._cold = True, True

    def forked(self) -> None:
        """After a fork: the thread is the parent's, and the locks may be held by one of its threads."""
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._reader = None
        self._ended = queue.SimpleQueue()
        self._first = threading.Event()
        self._idle = self._cold = self._store.shared


# By store, who uses it in this process: a revocation counts for all of them at once.
_USERS: weakref.WeakKeyDictionary[Store, weakref.WeakSet[Revoking]] = weakref.WeakKeyDictionary()


def _read_on(known: weakref.ref[Revoking], ended: queue.SimpleQueue[None], pause: float) -> None:
    revoking = None
    try:
        while (revoking := known()) is not None:
            revoking.read()
            revoking = None
            with suppress(queue.Empty):
                ended.get(timeout=pause)
                break
    finally:
        if revoking is not None:
            revoking.lose(ended)
