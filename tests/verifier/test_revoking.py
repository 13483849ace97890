"""Revocations in one process and from the others: at once, soon, and never in a request's way."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import queue
import sqlite3
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jwtgate import ApiSettings, AsyncVerifier, Issuer, StoreUnavailable, Verifier
from jwtgate.core.effects import Memory, RememberProof
from jwtgate.core.errors import RevokedToken
from jwtgate.core.events import KeyEvent, RevocationsRead, RevocationsUnread
from jwtgate.core.revocations import MOST, Revocation, Revocations
from jwtgate.core.values import MAX_LEEWAY
from jwtgate.stores import Changes, MemoryStore, Store
from jwtgate.stores.sqlite import SqliteStore
from jwtgate.verifier import SystemClock
from jwtgate.verifier.revoking import FIRST_SECONDS, Revoking, _read_on
from tests.loopback import PATIENCE, Clock
from tests.making import API, ISSUER, NOW, Issuing

DELAY = 5.0
NAME = "jwtgate-revocations"


def token(jti: str = "1") -> dict[str, Any]:
    return {"iss": ISSUER, "sub": "user-1", "jti": jti, "iat": NOW}


def one(jti: str = "1", expires: float = NOW + 600) -> Revocation:
    return Revocation(ISSUER, jti=jti, expires=expires)


class Owned(Store):
    """A store of a caller's own, which does what a test tells it."""

    def __init__(self, *answers: Changes | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def changes(self, since: str) -> Changes:
        self.asked.append(since)
        answer = self.answers.pop(0) if self.answers else Changes(since)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def revoke(self, revocation: Revocation, now: float) -> None:
        raise StoreUnavailable("down")

    def remember(self, proof: RememberProof, now: float) -> Memory:
        return "full"

    def close(self) -> None:
        """Nothing is open."""


Make = Callable[..., Revoking]


@pytest.fixture
def make(clock: Clock) -> Iterator[Make]:
    made: list[weakref.ref[Revoking]] = []

    def make(store: Store, tell: Callable[[KeyEvent], None] = lambda event: None, **changes: Any) -> Revoking:
        settings = {"delay": DELAY, "outage": "serve", "clock": clock, **changes}
        revoking = Revoking(store, tell=tell, **settings)
        made.append(weakref.ref(revoking))
        return revoking

    yield make
    for known in made:
        revoking = known()
        if revoking is not None:
            revoking.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder" / "store.sqlite3"


def is_revoked(revoking: Revoking, jti: str = "1") -> bool:
    try:
        revoking.check(token(jti))
    except RevokedToken:
        return True
    return False


BEFORE: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def others() -> None:
    """What other tests have left behind is not looked at."""
    BEFORE.clear()
    BEFORE.update(threading.enumerate())


def readers() -> list[threading.Thread]:
    return [thread for thread in set(threading.enumerate()) - BEFORE if thread.name == NAME]


def until(holds: Callable[[], object], seconds: float = PATIENCE) -> float:
    """Waits until it holds. After how many seconds it did."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds
        time.sleep(0.005)
    return time.monotonic() - began


# ------------------------------------------------------------------------------------------------------- in one process


@pytest.mark.parametrize("how", ["threads", "tasks"])
def test_what_is_revoked_here_counts_at_once_for_all_who_use_the_store(make: Make, how: str) -> None:
    store = MemoryStore()
    mine, other, stranger = make(store), make(store), make(MemoryStore())
    assert not is_revoked(mine)
    if how == "threads":
        mine.revoke(one())
    else:
        asyncio.run(mine.revoke_async(one()))
    later = make(store)
    assert [is_revoked(each) for each in (mine, other, later, stranger)] == [True, True, True, False]
    assert not is_revoked(mine, "2")
    assert readers() == []  # what no other process sees, nobody has to look for
    assert mine.fresh(1e9)


@pytest.mark.parametrize("how", ["threads", "tasks"])
def test_what_the_store_does_not_take_counts_here_all_the_same(make: Make, how: str) -> None:
    revoking = make(Owned())
    with pytest.raises(StoreUnavailable):
        revoking.revoke(one()) if how == "threads" else asyncio.run(revoking.revoke_async(one()))
    assert is_revoked(revoking)


def test_there_is_room_for_so_many_and_those_that_expired_make_some(make: Make, clock: Clock) -> None:
    revoking = make(MemoryStore())
    revoking.revocations = Revocations(limit=2)
    revoking.learn(one("1", expires=NOW - MAX_LEEWAY))
    revoking.learn(one("2"))
    revoking.learn(one("3"))
    with pytest.raises(StoreUnavailable):
        revoking.revoke(one("4"))
    with pytest.raises(StoreUnavailable):
        asyncio.run(revoking.revoke_async(one("5")))
    assert [is_revoked(revoking, jti) for jti in "12345"] == [False, True, True, False, False]
    # The store is told all the same, and with it whoever has room.
    assert [each.jti for each in revoking._store.changes("").revocations] == ["4", "5"]
    assert MOST >= 10_000


# ------------------------------------------------------------------------------------------------ from other processes


def test_what_another_process_revokes_counts_within_the_delay(make: Make, path: Path) -> None:
    delay = 0.8
    here, there = (make(SqliteStore(str(path), API), delay=delay, clock=SystemClock()) for _ in range(2))
    there.revoke(one("before"))
    assert readers() == []
    assert is_revoked(here, "before")  # the first request has it looked for
    for number in range(4):
        time.sleep(0.07)  # at whatever moment between two readings
        there.revoke(one(str(number)))
        assert until(lambda number=number: is_revoked(here, str(number))) <= delay  # type: ignore[misc]
    assert len(readers()) == 1


def test_all_that_is_there_is_read_and_then_only_what_is_new(make: Make) -> None:
    pages = [Changes("a", (one("1"), one("2"))), Changes("b", (one("3"),)), Changes("b"), Changes("c", (one("4"),))]
    store = Owned(*pages)
    revoking = make(store)
    assert revoking.read()
    assert store.asked == ["", "a", "b"]
    assert [revoking.revocations.add(one(jti)) for jti in "123"] == [True] * 3
    assert len(revoking.revocations) == 3
    assert revoking.read()
    assert store.asked[3:] == ["b", "c"]
    assert len(revoking.revocations) == 4


class Gated(Owned):
    """Answers when it is told to."""

    def __init__(self, *answers: Changes | Exception) -> None:
        super().__init__(*answers)
        self.gate, self.reached = threading.Event(), threading.Event()

    def changes(self, since: str) -> Changes:
        self.reached.set()
        assert self.gate.wait(4 * PATIENCE)
        return super().changes(since)


def test_the_first_request_waits_a_moment_for_a_store_that_hangs_and_no_other_at_all(make: Make) -> None:
    store = Gated(Changes("1", (one(),)))
    revoking = make(store, clock=SystemClock())
    began = time.monotonic()
    assert not is_revoked(revoking)
    assert FIRST_SECONDS <= time.monotonic() - began < PATIENCE
    began = time.monotonic()
    for _ in range(1_000):
        assert not is_revoked(revoking)
    assert time.monotonic() - began < FIRST_SECONDS * 3
    store.gate.set()
    until(lambda: is_revoked(revoking))


@pytest.mark.parametrize("asynchronous", [False, True])
def test_after_a_warm_up_no_request_waits(path: Path, asynchronous: bool) -> None:
    settings = ApiSettings(
        identifier=API, issuers=[Issuer(ISSUER, jwks=Issuing().jwks())], store=f"sqlite:///{path}", revocation_delay=60
    )
    with Verifier(settings) as other:
        other.revoke(jti="1", expires=time.time() + 600)

    async def warm() -> dict[str, Any]:
        async with AsyncVerifier(settings) as verifier:
            await verifier.warm_up()
            return {"cold": verifier._revoking._cold, "known": len(verifier._revoking.revocations)}

    def warm_up() -> dict[str, Any]:
        with Verifier(settings) as verifier:
            verifier.warm_up()
            return {"cold": verifier._revoking._cold, "known": len(verifier._revoking.revocations)}

    assert (asyncio.run(warm()) if asynchronous else warm_up()) == {"cold": False, "known": 1}


def test_all_who_come_before_the_first_reading_wait_for_it(make: Make) -> None:
    store = Gated(Changes("1", (one(),)))
    revoking = make(store, clock=SystemClock())
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(is_revoked, revoking) for _ in range(4)]
        assert store.reached.wait(PATIENCE)
        store.gate.set()
        assert [each.result(PATIENCE) for each in asked] == [True] * 4


def test_what_has_expired_is_forgotten_with_the_next_reading(make: Make, clock: Clock) -> None:
    revoking = make(Owned(Changes("1", (one("1", expires=NOW - MAX_LEEWAY), one("2")))))
    revoking.read()
    revoking.read()
    assert len(revoking.revocations) == 1


# ------------------------------------------------------------------------------------------------------------- trouble


def test_an_outage_is_told_once_and_its_end_too(make: Make, path: Path, clock: Clock) -> None:
    events: list[KeyEvent] = []
    store = SqliteStore(str(path), API)
    revoking = make(store, events.append)
    assert revoking.read()
    away = path.parent.rename(path.parent.with_name("away"))
    for _ in range(3):
        assert not revoking.read()
        clock.at += 10
    (event,) = events
    assert isinstance(event, RevocationsUnread)
    assert str(path) in event.reason
    away.rename(path.parent)
    for _ in range(2):
        assert revoking.read()
    assert events[1:] == [RevocationsRead(30.0)]
    store.close()


def test_where_others_must_count_an_outage_is_503_after_the_delay(make: Make, clock: Clock) -> None:
    down = [StoreUnavailable("down")] * 1_000
    strict, lenient = (make(Owned(*down), outage=outage) for outage in ("refuse", "serve"))
    for revoking in (strict, lenient):
        revoking._store.answers.insert(0, Changes("1"))  # type: ignore[attr-defined]
        revoking._store.answers.insert(1, Changes("1"))  # type: ignore[attr-defined]
        assert revoking.read()
        assert not is_revoked(revoking)
        assert revoking.fresh(clock.at + DELAY)
        assert not revoking.fresh(clock.at + DELAY + 0.001)
    clock.at += DELAY + 0.001
    assert not is_revoked(lenient)
    with pytest.raises(StoreUnavailable) as error:
        strict.check(token())
    assert "5 s" in error.value.reason


@pytest.mark.parametrize(("outage", "serves"), [("refuse", False), ("serve", True)])
def test_a_process_that_has_never_read_the_store_serves_or_refuses_too(make: Make, outage: str, serves: bool) -> None:
    revoking = make(Owned(*[StoreUnavailable("down")] * 1_000), outage=outage)
    try:
        revoking.check(token())
    except StoreUnavailable:
        assert not serves
    else:
        assert serves


def test_what_is_read_is_as_old_as_the_beginning_of_its_reading(make: Make, clock: Clock) -> None:
    class Slow(Owned):
        def changes(self, since: str) -> Changes:
            clock.at += 3
            return super().changes(since)

    revoking = make(Slow())
    began = clock.at
    assert revoking.read()
    assert revoking.fresh(began + DELAY)
    assert not revoking.fresh(began + DELAY + 0.001)


def test_a_store_that_breaks_its_promise_is_an_outage_and_in_the_log(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[KeyEvent] = []
    revoking = make(Owned(RuntimeError("of its own"), Changes("1", (one(),))), events.append)
    assert not revoking.read()
    assert [type(event) for event in events] == [RevocationsUnread]
    (record,) = caplog.records
    assert (record.levelno, record.event, record.exc_info is not None) == (logging.ERROR, "store.failed", True)  # type: ignore[attr-defined]
    assert revoking.read()
    assert is_revoked(revoking)


def test_a_revocation_that_cannot_be_read_does_not_hide_the_others(make: Make) -> None:
    events: list[KeyEvent] = []
    revoking = make(Owned(Changes("1", (one("1"),), 2), Changes("2", (one("2"),), 1), Changes("2")), events.append)
    assert not revoking.read()
    (event,) = events
    assert isinstance(event, RevocationsUnread)
    assert "3 revocations" in event.reason
    assert [is_revoked(revoking, jti) for jti in "12"] == [True, True]
    assert revoking.read()  # they are told once, and read no more
    assert isinstance(events[-1], RevocationsRead)


def test_what_there_is_no_room_for_is_asked_for_again(make: Make) -> None:
    page = Changes("1", (one("1"), one("2")))
    store = Owned(page, page)
    revoking = make(store)
    revoking.revocations = Revocations(limit=1)
    assert not revoking.read()
    assert len(revoking.revocations) == 1
    revoking.revocations = Revocations()
    assert revoking.read()
    assert store.asked == ["", "", "1"]
    assert len(revoking.revocations) == 2


def test_who_is_told_may_ask_and_revoke(make: Make) -> None:
    heard: list[bool] = []

    def tell(event: KeyEvent) -> None:
        heard.append(is_revoked(revoking))
        revoking.learn(one())
        revoking.begin()
        heard.append(revoking.read())

    revoking = make(Owned(StoreUnavailable("down"), StoreUnavailable("down")), tell)
    revoking.close()
    assert not revoking.read()
    assert heard == [False, False]


def test_where_no_thread_can_be_had_it_is_an_outage_and_tried_again(make: Make, clock: Clock) -> None:
    events: list[KeyEvent] = []
    strict = make(Owned(Changes("1", (one(),))), events.append, outage="refuse")
    before = threading.stack_size(1 << 46)
    try:
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                strict.check(token("2"))
    finally:
        threading.stack_size(before)
    assert [type(event) for event in events] == [RevocationsUnread]
    strict.check(token("2"))
    assert is_revoked(strict)
    assert isinstance(events[-1], RevocationsRead)


# ---------------------------------------------------------------------------------------------------------- the thread


def test_one_thread_begins_with_the_first_request_and_ends_when_it_is_closed(make: Make, clock: Clock) -> None:
    store = Owned()
    revoking = make(store)
    assert readers() == []
    for _ in range(3):
        assert not is_revoked(revoking)
        revoking.begin()
    (reader,) = readers()
    assert reader.daemon
    until(lambda: store.asked)
    for _ in range(2):
        revoking.close()
        assert readers() == []
    store.answers.append(Changes("1", (one(),)))
    assert not is_revoked(revoking)
    assert readers() == []  # what is closed reads no more
    clock.at += 2 * DELAY
    revoking.reopen()
    assert readers() == []
    assert is_revoked(revoking)
    revoking.reopen()
    assert not is_revoked(revoking, "2")
    assert len(readers()) == 1


def test_what_nobody_holds_any_more_ends_its_thread(make: Make) -> None:
    store = Owned()
    revoking = make(store, delay=3_600)
    is_revoked(revoking)
    until(lambda: store.asked)
    (reader,) = readers()
    gone = weakref.ref(revoking)
    del revoking
    gc.collect()
    assert gone() is None
    reader.join(PATIENCE)
    assert readers() == []


def test_it_may_go_while_it_is_read(make: Make) -> None:
    store = Gated()
    revoking = make(store)
    revoking.begin()
    assert store.reached.wait(PATIENCE)
    (reader,) = readers()
    gone = weakref.ref(revoking)
    del revoking
    store.gate.set()
    reader.join(PATIENCE)
    gc.collect()
    assert (gone(), readers()) == (None, [])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_was_lost_is_replaced_by_the_next_request(make: Make) -> None:
    def tell(event: KeyEvent) -> None:
        raise MemoryError

    revoking = make(Owned(StoreUnavailable("down"), Changes("1", (one(),))), tell)
    revoking.begin()
    until(lambda: not readers())
    revoking._tell = lambda event: None
    until(lambda: is_revoked(revoking))
    assert len(readers()) == 1


def test_what_went_before_its_thread_began_is_not_read() -> None:
    class Gone:
        pass

    ended: queue.SimpleQueue[None] = queue.SimpleQueue()
    _read_on(weakref.ref(Gone()), ended, 3_600)  # type: ignore[arg-type]  # it does not come back before it ends


def test_closing_waits_a_moment_and_no_longer_for_a_store_that_hangs(make: Make) -> None:
    store = Gated()
    revoking = make(store)
    revoking.begin()
    assert store.reached.wait(PATIENCE)
    began = time.monotonic()
    revoking.close()
    assert time.monotonic() - began < PATIENCE / 2
    store.gate.set()
    until(lambda: not readers())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("fails", [False, True])
def test_who_is_told_may_close_it_from_the_thread_itself(make: Make, fails: bool) -> None:
    closed = threading.Event()

    def tell(event: KeyEvent) -> None:
        revoking.close()
        closed.set()
        if fails:
            raise MemoryError

    revoking = make(Owned(StoreUnavailable("down")), tell)
    is_revoked(revoking)
    assert closed.wait(PATIENCE)
    until(lambda: not readers())
    is_revoked(revoking)
    assert readers() == []


FORKS = """
import os, sys, threading, time, warnings
from jwtgate.core.errors import RevokedToken
from jwtgate.core.revocations import Revocation
from jwtgate.stores.sqlite import SqliteStore
from jwtgate.verifier import SystemClock
from jwtgate.verifier.revoking import FIRST_SECONDS, Revoking, _read_on
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads: here it is what is looked at

def make():
    return Revoking(SqliteStore(sys.argv[1]), delay=0.2, outage="serve", clock=SystemClock(), tell=print)

def waits(revoking, jti):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            revoking.check({"iss": "i", "jti": jti})
        except RevokedToken:
            return True
        time.sleep(0.01)

def one(jti):
    return Revocation("i", jti=jti, expires=time.time() + 600)

revoking, other = make(), make()
other.revoke(one("1"))
waits(revoking, "1") or sys.exit("not read")
with revoking._lock, revoking._reading:   # as another thread may hold them at any time
    child = os.fork()
    if child == 0:
        revoking.forked()                 # as its verifier does
        ok = [thread.name for thread in threading.enumerate()] == ["MainThread"]
        ok = ok and waits(revoking, "1") and waits(revoking, "2")
        os._exit(0 if ok else 3)
other.revoke(one("2"))
sys.stdout.write(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
def test_a_fork_reads_for_itself(path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", FORKS, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0", "")
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
