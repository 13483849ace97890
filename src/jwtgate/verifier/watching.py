"""What is seen of a verifier from outside: the log, a caller's `on_event`, and counters."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from types import MappingProxyType

from ..core.errors import AuthError, listed, shown
from ..core.events import (
    KeyEvent,
    KeysKept,
    KeysLoaded,
    KeysMissing,
    KeysRestored,
    PlainHttp,
    RevocationsUnread,
    SnapshotTrouble,
)
from ..core.key_state import Attempt, KeyState
from ..core.status import Counters

log: logging.Logger = logging.getLogger("jwtgate")

OnEvent = Callable[[KeyEvent], None]


def log_refusal(error: AuthError) -> None:
    """One line for each refusal, however many hands it passes through."""
    if not error.logged and log.isEnabledFor(logging.INFO):
        error.logged = True
        log.info("refused: %d %s: %s", error.status, error.event, error, extra={"event": error.event})


class Tally:
    """Counts without a lock, as each step of `itertools.count` is one that no other thread can be in the middle of."""

    def __init__(self) -> None:
        self._count = itertools.count()
        self.add: Callable[[], int] = self._count.__next__
        self._looked = 0

    def value(self) -> int:
        """To look is to count: what the looks have added is taken away. For one thread at a time."""
        self._looked += 1
        return self.add() - self._looked + 1


class Watch:
    """Tells and counts what one verifier does."""

    def __init__(self, on_event: OnEvent | None) -> None:
        self._on_event = on_event
        self.accepted: Tally = Tally()
        self.loads: Tally = Tally()
        self.failed_loads: Tally = Tally()
        self.kid_loads: Tally = Tally()
        self.fetches: Tally = Tally()
        self.failed_fetches: Tally = Tally()
        self.reset()
        self._refused: dict[str, Tally] = {}

    def reset(self) -> None:
        """After a fork: the lock may be held by a thread of the parent."""
        self._lock = threading.Lock()

    def refused(self, error: AuthError) -> None:
        tally = self._refused.get(error.event)
        if tally is None:
            tally = self._refused.setdefault(error.event, Tally())
        tally.add()

    def counters(self) -> Counters:
        with self._lock:
            return Counters(
                accepted=self.accepted.value(),
                refused=MappingProxyType({name: tally.value() for name, tally in self._refused.copy().items()}),
                loads=self.loads.value(),
                failed_loads=self.failed_loads.value(),
                kid_loads=self.kid_loads.value(),
                fetches=self.fetches.value(),
                failed_fetches=self.failed_fetches.value(),
            )

    def tell(self, event: KeyEvent | None) -> None:
        """One line in the log, and one call."""
        if event is None:
            return
        level, text, values = _line(event)
        log.log(level, text, *values, extra={"event": event.name, "detail": event})
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                log.exception("on_event failed for %s", event.name)


def outcome_of(issuer: str, attempt: Attempt, before: KeyState, after: KeyState, now: float) -> KeyEvent | None:
    """What a load has changed; None where somebody else's had come to the same end before."""
    if attempt.keys is not None and after.set_by == attempt.ticket != before.set_by:
        kids, old = attempt.keys.kids, before.keys.kids if before.keys is not None else ()
        return KeysLoaded(
            issuer=issuer,
            kids=kids,
            added=tuple(kid for kid in kids if kid not in old),
            withdrawn=tuple(kid for kid in old if kid not in kids),
            skipped=attempt.keys.skipped,
            generation=after.generation,
            seconds=attempt.ended - attempt.began,
        )
    if after.failures == before.failures or attempt.keys is not None:
        return None
    retry_in = after.waits(now)
    if after.serving(now) is None:
        return KeysMissing(issuer, attempt.trouble, attempt.reason, after.failures, retry_in)
    age = now - after.loaded_at
    return KeysKept(issuer, attempt.trouble, attempt.reason, after.failures, age, retry_in)


def _line(event: KeyEvent) -> tuple[int, str, tuple[object, ...]]:
    """An event's level, text and the values in it. Foreign text is quoted, ASCII, and cut."""
    match event:
        case KeysLoaded():
            rotated = event.generation > 1 and (event.added or event.withdrawn)
            level = logging.WARNING if event.skipped else logging.INFO if rotated else logging.DEBUG
            text = "keys of %s loaded: %d; added: %s; withdrawn: %s; skipped: %s"
            changes = [listed(changed[:8]) for changed in (event.added, event.withdrawn, event.skipped)]
            return level, text, (shown(event.issuer), len(event.kids), *changes)
        case KeysKept():
            text = "keys of %s not refreshed, those of %.0f s ago serve: %s"
            return logging.WARNING, text, (shown(event.issuer), event.age, event.reason)
        case KeysMissing():
            return logging.ERROR, "no keys of %s: %s", (shown(event.issuer), event.reason)
        case KeysRestored():
            text = "keys of %s restored: %d, of %.0f s ago"
            return logging.INFO, text, (shown(event.issuer), len(event.kids), event.age)
        case PlainHttp():
            text = "keys of %s come over http, without TLS: %s"
            return logging.WARNING, text, (shown(event.issuer), shown(event.url))
        case SnapshotTrouble():
            return logging.WARNING, "the snapshot of keys: %s failed: %s", (event.action, event.reason)
        case RevocationsUnread():
            return logging.WARNING, "what other processes have revoked is not known: %s", (event.reason,)
        case _:
            return logging.INFO, "what other processes have revoked is known again, after %.0f s", (event.seconds,)
