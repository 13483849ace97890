"""From the first load to the last: warm start, refreshes that nobody asks for, forks, and the end."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from subprocess import PIPE
from typing import Any

import pytest

from jwtgate import ApiSettings, AsyncVerifier, AuthError, Issuer, KeysUnavailable, Verifier
from jwtgate.core.events import KeyEvent, KeysLoaded
from jwtgate.core.key_state import BACK_OFF, GRACE, LATE, SOFT_AGE
from jwtgate.verifier import TOTAL_SECONDS, SystemClock
from tests.loopback import (
    DISCOVERY,
    JWKS,
    PATIENCE,
    Clock,
    Drive,
    Origin,
    Tasks,
    Threads,
    both,
    others_ended,
    reached,
    sends,
    threads_ended,
    trouble,
)
from tests.making import API, Issuing

NOBODY = "http://127.0.0.1:9/"  # the port of a service that is not there


def refused(drive: Drive, verifier: Any, token: str) -> str:
    with pytest.raises(AuthError) as error:
        drive.verify(verifier, token)
    return type(error.value).__name__


# --------------------------------------------------------------------------------------------------------- a warm start


@both
def test_warming_up_loads_what_is_missing_and_no_request_waits(origin: Origin, clock: Clock, drive: Drive) -> None:
    verifier = drive.make(origin.settings(), clock=clock)
    assert not verifier.ready()
    status = drive.warm_up(verifier)
    assert (status.ready, verifier.ready(), status == verifier.status()) == (True, True, True)
    assert (status.issuers[0].kids, status.issuers[0].source) == ((origin.issuing.key().kid,), "metadata")
    drive.warm_up(verifier)
    drive.verify(verifier, origin.issuing.token())
    assert origin.asked == {DISCOVERY: 1, JWKS: 1}
    clock.at += SOFT_AGE
    drive.warm_up(verifier)
    assert origin.asked == {DISCOVERY: 2, JWKS: 2}


@both
def test_warming_up_says_which_issuer_cannot_be_reached_and_asks_it_no_more_than_a_request_would(
    origin: Origin, clock: Clock, drive: Drive
) -> None:
    issuers = [Issuer(origin.issuing.url), Issuer(NOBODY)]
    verifier = drive.make(ApiSettings(identifier=API, issuers=issuers), clock=clock)
    for _ in range(3):
        status = drive.warm_up(verifier)
        assert [one.ready for one in status.issuers] == [True, False]
        assert not status.ready
    assert (status.issuers[1].failures, status.issuers[1].trouble) == (1, "request")
    assert drive.verify(verifier, origin.issuing.token()).subject


@both
def test_issuers_are_warmed_up_at_the_same_time(origin: Origin, clock: Clock, drive: Drive) -> None:
    slow = Origin()
    try:
        gates = [origin.gate(DISCOVERY), slow.gate(DISCOVERY)]
        issuers = [Issuer(one.issuing.url) for one in (origin, slow)]
        verifier = drive.make(ApiSettings(identifier=API, issuers=issuers), clock=clock)
        with ThreadPoolExecutor(1) as pool:
            warming = pool.submit(drive.warm_up, verifier)
            assert all(gate.reached.wait(PATIENCE) for gate in gates)
            for gate in gates:
                gate.open()
            assert warming.result(PATIENCE).ready
    finally:
        slow.close()


@both
def test_there_may_be_nothing_to_warm_up(drive: Drive) -> None:
    assert drive.warm_up(drive.make(ApiSettings(identifier=API, resolver=lambda stated, request: None))).ready


# ------------------------------------------------------------------------------------------- keys that nobody asked for


@both
def test_a_key_that_was_withdrawn_while_nobody_asked_is_refused(origin: Origin, clock: Clock, drive: Drive) -> None:
    verifier = drive.make(origin.settings(), clock=clock)
    drive.verify(verifier, origin.issuing.token())
    new = Issuing(url=origin.issuing.url, number=2)
    origin.publish(new)
    clock.at += SOFT_AGE + LATE
    # It waits for the answer, as nobody has asked for so long: the old key is withdrawn.
    assert refused(drive, verifier, origin.issuing.token()) == "UnknownKey"
    assert drive.verify(verifier, new.token()).subject


@pytest.mark.parametrize("drive", [Threads, Tasks])
def test_a_request_waits_no_longer_than_its_grace_and_the_next_ones_not_at_all(
    origin: Origin, clock: Clock, drive: Drive
) -> None:
    verifier, token = drive.make(origin.settings(), clock=clock), origin.issuing.token()
    other = Issuing(url=origin.issuing.url, number=2)  # a key that is known, and was never used
    origin.publish(origin.issuing, other)
    drive.verify(verifier, token)
    gate = origin.gate()
    clock.at += SOFT_AGE + LATE

    async def ask() -> list[float]:
        seconds = []
        for one in (token, token, other.token()):
            began = time.monotonic()
            call = verifier.verify(one)
            assert (await call if drive is Tasks else call).subject
            seconds.append(time.monotonic() - began)
        gate.open()
        await others_ended()
        return seconds

    first, *others = asyncio.run(ask())
    assert GRACE <= first < TOTAL_SECONDS - 1
    assert max(others) < GRACE / 2
    threads_ended()
    assert origin.asked[JWKS] == 2


def hears(origin: Origin, clock: Any) -> tuple[AsyncVerifier, asyncio.Event]:
    """A verifier, and what is set as soon as it has keys."""
    came = asyncio.Event()

    def on_event(event: KeyEvent) -> None:
        if isinstance(event, KeysLoaded):
            came.set()

    return AsyncVerifier(origin.settings(), clock=clock, on_event=on_event), came


def test_keys_come_back_to_an_idle_loop_without_a_request(origin: Origin) -> None:
    good = origin.answers[JWKS]
    origin.answers[JWKS] = sends(b"", 503)

    async def main() -> None:
        verifier, came = hears(origin, SystemClock())
        assert not (await verifier.warm_up()).ready
        origin.answers[JWKS] = good
        await asyncio.wait_for(came.wait(), PATIENCE)
        assert verifier.ready()
        await others_ended()

    asyncio.run(main())
    assert origin.asked[JWKS] == 2


def test_an_alarm_that_rings_too_early_rings_again(origin: Origin, clock: Clock) -> None:
    good = origin.answers[JWKS]
    origin.answers[JWKS] = sends(b"", 503)

    async def main() -> None:
        verifier, came = hears(origin, clock)
        await verifier.warm_up()
        origin.answers[JWKS] = good
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(came.wait(), 1.2)  # it has rung, and by this clock it was too early
        clock.at += BACK_OFF[0]
        await asyncio.wait_for(came.wait(), PATIENCE)
        assert verifier.ready()
        await others_ended()

    asyncio.run(main())
    assert origin.asked[JWKS] == 2


def test_an_alarm_is_for_one_load_of_one_open_verifier(origin: Origin, clock: Clock) -> None:
    async def main() -> None:
        origin.answers[JWKS] = sends(b"", 503)
        overtaken, closed, gone = (AsyncVerifier(origin.settings(), clock=clock) for _ in range(3))
        for verifier in (overtaken, closed, gone):
            await verifier.warm_up()
        origin.publish()
        clock.at += BACK_OFF[0]
        assert (await overtaken.verify(origin.issuing.token())).subject
        await closed.close()
        ended = weakref.ref(gone)
        del gone, verifier
        gc.collect()
        assert ended() is None  # its alarm does not keep it
        await asyncio.sleep(1.2)
        assert not closed.ready()
        await others_ended()
        # The one that was overtaken has not set another: there is one alarm for each set of keys.
        waiting = [handle for handle in asyncio.get_running_loop()._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        assert len(waiting) == 1

    asyncio.run(main())
    assert origin.asked[JWKS] == 4


# -------------------------------------------------------------------------------------------------------------- the end


@both
def test_a_closed_verifier_serves_what_it_knows_and_asks_for_nothing(
    origin: Origin, clock: Clock, drive: Drive
) -> None:
    cold, warm = (drive.make(origin.settings(), clock=clock) for _ in range(2))
    drive.warm_up(warm)
    for verifier in (cold, warm):
        drive.close(verifier)
        drive.close(verifier)
    asked = dict(origin.asked)
    assert trouble(drive, cold, origin.issuing.token()).status == 503
    assert cold.status().issuers[0].trouble == "closed"
    clock.at += SOFT_AGE
    assert drive.verify(warm, origin.issuing.token()).subject
    assert not drive.warm_up(cold).ready
    assert origin.asked == asked
    assert warm.counters().loads == 1


def test_a_verifier_is_closed_at_the_end_of_its_block(origin: Origin, clock: Clock) -> None:
    with Verifier(origin.settings(), clock=clock) as verifier:
        assert verifier.verify(origin.issuing.token()).subject
    clock.at += 10 * SOFT_AGE
    assert verifier.verify(origin.issuing.token()).subject
    assert origin.asked[JWKS] == 1

    async def main() -> None:
        async with AsyncVerifier(origin.settings(), clock=clock) as verifier:
            assert (await verifier.verify(origin.issuing.token())).subject
        clock.at += 10 * SOFT_AGE
        assert (await verifier.verify(origin.issuing.token())).subject

    asyncio.run(main())
    assert origin.asked[JWKS] == 2


@pytest.mark.parametrize("path", [DISCOVERY, JWKS])
def test_closing_breaks_off_what_is_under_way_in_threads(origin: Origin, clock: Clock, path: str) -> None:
    verifier, gate = Verifier(origin.settings(), clock=clock), origin.gate(path)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(verifier.verify, origin.issuing.token())
        assert gate.reached.wait(PATIENCE)
        began = time.monotonic()
        verifier.close()
        with pytest.raises(KeysUnavailable):
            waiting.result(PATIENCE)
        assert time.monotonic() - began < TOTAL_SECONDS / 2
        assert not gate.is_open
    assert verifier.status().issuers[0].trouble == "closed"
    assert verifier.counters().failed_loads == 1


def test_closing_breaks_off_what_is_under_way_in_tasks(origin: Origin, clock: Clock) -> None:
    gate = origin.gate()

    async def main() -> None:
        verifier = AsyncVerifier(origin.settings(), clock=clock)
        waiting = asyncio.create_task(verifier.verify(origin.issuing.token()))
        await reached(gate)
        await verifier.close()
        with pytest.raises(KeysUnavailable):
            await waiting
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not gate.is_open

    asyncio.run(main())


def test_closing_reaches_into_other_event_loops_and_over_those_that_are_closed(origin: Origin, clock: Clock) -> None:
    gate = origin.gate()
    verifier = AsyncVerifier(origin.settings(), clock=clock)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(Tasks.verify, verifier, origin.issuing.token())
        assert gate.reached.wait(PATIENCE)
        asyncio.run(verifier.close())
        with pytest.raises(KeysUnavailable):
            waiting.result(PATIENCE)

    other = AsyncVerifier(origin.settings(), clock=clock)
    loop = asyncio.new_event_loop()
    call = loop.create_task(other.verify(origin.issuing.token()))
    while not (others := asyncio.all_tasks(loop) - {call}):
        loop.run_until_complete(asyncio.sleep(0))
    for task in (call, *others):
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # as it will be: the loop is closed in its midst
    loop.close()
    asyncio.run(other.close())
    del task, call, others
    gate.open()


# ------------------------------------------------------------------------------------------------------------ processes

FORKS = """
import os, sys, time, warnings
from jwtgate import ApiSettings, AuthError, Issuer, Verifier
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads: here it is what is looked at

class Clock:
    at = 1_000.0
    def wall(self): return {now}
    def monotonic(self): return self.at

url, old, new = sys.argv[1:]
clock = Clock()
verifier = Verifier(ApiSettings(identifier="{api}", issuers=[Issuer(url)]), clock=clock)
verifier.warm_up()
clock.at += 600
verifier.verify(old)               # a refresh begins, and stands before a closed gate
sys.stdin.readline()
locks = [verifier._flights._lock, verifier._watch._lock]
for lock in locks:                 # as other threads may hold them at any time
    lock.acquire()
child = os.fork()
if child == 0:
    began = time.monotonic()
    verifier.verify(old)           # what the parent knew is known here
    try:
        verifier.verify(new)       # and a load of the parent's is not waited for
    except AuthError as error:
        sys.exit(3)
    verifier.counters()
    sys.exit(0 if time.monotonic() - began < 5 else 4)
for lock in locks:
    lock.release()
_, status = os.waitpid(child, 0)
sys.stdout.write(str(os.waitstatus_to_exitcode(status)))
"""


def test_a_fork_in_the_middle_of_a_refresh_harms_nobody(origin: Origin) -> None:
    new = Issuing(url=origin.issuing.url, number=2)
    first, asked = origin.answers[JWKS], []
    gate = origin.gate()
    held = origin.answers[JWKS]

    def answer(handler: Any) -> None:
        asked.append(1)
        if len(asked) == 1:
            first(handler)
        elif len(asked) == 2:
            held(handler)
        else:
            sends(origin.key_set(origin.issuing, new))(handler)

    origin.answers[JWKS] = answer
    script = FORKS.format(now=1_800_000_000.0, api=API)
    command = [sys.executable, "-c", script, origin.issuing.url, origin.issuing.token(), new.token()]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert gate.reached.wait(4 * PATIENCE)
        said = process.communicate("\n", timeout=60)
    gate.open()
    assert said == ("0", "")
    assert len(asked) == 3


LEAVES = """
import asyncio, sys, threading
from jwtgate import ApiSettings, AsyncVerifier, Issuer, Verifier

class Clock:
    at = 1_000.0
    def wall(self): return {now}
    def monotonic(self): return self.at

url, token = sys.argv[1:]
clock = Clock()
settings = ApiSettings(identifier="{api}", issuers=[Issuer(url)])
sync, other = Verifier(settings, clock=clock), AsyncVerifier(settings, clock=clock)
sync.verify(token)
asyncio.run(other.verify(token))
clock.at += 600
sync.verify(token)                 # refreshes begin, and never end
asyncio.run(other.verify(token))
threading.stack_size(1 << 46)      # no thread can be had any more
Verifier(settings, clock=clock).warm_up()
"""


def test_a_process_that_ends_in_the_middle_of_a_refresh_says_nothing(origin: Origin) -> None:
    first, asked = origin.answers[JWKS], []
    gate = origin.gate()
    held = origin.answers[JWKS]

    def answer(handler: Any) -> None:
        asked.append(1)
        (first if len(asked) <= 2 else held)(handler)

    origin.answers[JWKS] = answer
    script = LEAVES.format(now=1_800_000_000.0, api=API)
    command = [sys.executable, "-W", "error", "-c", script, origin.issuing.url, origin.issuing.token()]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert [line for line in done.stderr.splitlines() if not line.startswith(("no keys of", "keys of"))] == []
    assert time.monotonic() - began < 15
    gate.open()


def test_where_no_thread_can_be_had_known_keys_serve_and_others_are_our_trouble(origin: Origin, clock: Clock) -> None:
    warm, cold = (Verifier(origin.settings(), clock=clock) for _ in range(2))
    warm.warm_up()
    clock.at += SOFT_AGE
    usual = threading.stack_size(1 << 46)
    try:
        assert warm.verify(origin.issuing.token()).subject
        assert trouble(Threads, cold, origin.issuing.token()).status == 503
    finally:
        threading.stack_size(usual)
    assert [one.status().issuers[0].trouble for one in (warm, cold)] == ["interrupted"] * 2
    clock.at += BACK_OFF[0]
    assert cold.verify(origin.issuing.token()).subject
