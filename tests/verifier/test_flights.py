"""One load for many waiters: who flies it, who waits where, and how they go on."""

from __future__ import annotations

import asyncio
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from jwtgate import ApiSettings, AsyncVerifier, Issuer
from jwtgate.core.effects import LoadKeys, Moment
from jwtgate.core.keys import IssuerKeys, keys_of
from jwtgate.verifier.flights import AT_ONCE, LONGEST_FLIGHT, MOST_RESOLVED, Flight, Flights
from tests.loopback import PATIENCE
from tests.making import API, ISSUER, MOMENT, NOW, Issuing, drive

MANY = 4 * AT_ONCE + 3


def cold_keys() -> IssuerKeys:
    return keys_of(ApiSettings(identifier=API, issuers=[Issuer(ISSUER)]))[ISSUER]


def loaded_keys() -> IssuerKeys:
    keys = cold_keys()
    drive(keys.load(keys.begin(), MOMENT), documents=Issuing().documents())
    return keys


def due(keys: IssuerKeys) -> LoadKeys:
    return LoadKeys(keys, keys.state.settled)


@pytest.fixture
def flights() -> Flights:
    return Flights()


@pytest.fixture
def flight(flights: Flights) -> Flight:
    found, mine = flights.board(due(cold_keys()), MOMENT)
    assert found is not None
    assert mine
    return found


def test_who_asks_after_the_answer_has_come_boards_nothing(flights: Flights) -> None:
    keys = cold_keys()
    asked = due(keys)
    drive(keys.load(keys.begin(), MOMENT), documents=Issuing().documents())
    assert flights.board(asked, MOMENT) == (None, False)


def test_those_of_a_resolvers_issuers_are_counted_and_lost_ones_not_for_ever(flights: Flights) -> None:
    def boards(now: Moment = MOMENT, *, resolved: bool = True) -> bool:
        keys = cold_keys()
        keys.used_at = MOMENT.monotonic if resolved else keys.used_at
        return flights.board(due(keys), now)[0] is not None

    assert all(boards() for _ in range(MOST_RESOLVED - 1))
    assert [boards(resolved=False) for _ in range(MOST_RESOLVED)] == [True] * MOST_RESOLVED
    assert [boards(), boards(), boards(resolved=False)] == [True, False, True]
    later = Moment(NOW, MOMENT.monotonic + LONGEST_FLIGHT)
    assert [boards(Moment(NOW, later.monotonic - 0.1)), boards(later)] == [False, True]


def test_while_a_load_is_under_way_nobody_else_needs_to_ask(flights: Flights) -> None:
    keys = loaded_keys()
    later = MOMENT._replace(monotonic=keys.quiet_until)
    flight, mine = flights.board(due(keys), later)
    assert mine
    assert keys.quiet_until > later.monotonic
    assert flights.board(due(keys), later) == (flight, False)


# --------------------------------------------------------------------------------------------------- tasks that wait


async def waiting(flight: Flight, tasks: int) -> list[asyncio.Task[None]]:
    """So many tasks that have begun to wait."""
    begun = [asyncio.create_task(flight.wait()) for _ in range(tasks)]
    await asyncio.sleep(0)
    return begun


async def all_of(tasks: list[asyncio.Task[None]]) -> None:
    assert not (await asyncio.wait(tasks, timeout=PATIENCE))[1]


def alarms(loop: asyncio.AbstractEventLoop) -> int:
    return sum(not handle.cancelled() for handle in loop._scheduled)  # type: ignore[attr-defined]


def test_who_comes_when_it_has_landed_goes_on_at_once(flights: Flights, flight: Flight) -> None:
    flights.land(flight)
    with pytest.raises(StopIteration):
        flight.wait().send(None)  # without an event loop


def test_those_who_wait_go_on_in_their_order_and_a_few_at_a_time(flights: Flights, flight: Flight) -> None:
    gone: list[int] = []

    async def wait_as(number: int) -> None:
        await flight.wait()
        gone.append(number)

    async def main() -> list[int]:
        tasks = [asyncio.create_task(wait_as(number)) for number in range(MANY)]
        await asyncio.sleep(0)
        flights.land(flight)
        seen = [0]
        while seen[-1] < MANY:
            await asyncio.sleep(0)
            seen.append(len(gone))
        await all_of(tasks)
        return [after - before for before, after in itertools.pairwise(seen)]

    in_each_turn = asyncio.run(main())
    assert gone == list(range(MANY))
    assert max(in_each_turn) == AT_ONCE


def test_any_number_of_tasks_costs_one_timer_which_ends_with_the_flight(flights: Flights, flight: Flight) -> None:
    async def main() -> list[int]:
        tasks = await waiting(flight, MANY)
        before = alarms(asyncio.get_running_loop())
        flights.land(flight)
        await all_of(tasks)
        return [before, alarms(asyncio.get_running_loop())]

    assert asyncio.run(main()) == [1, 0]


def test_a_waiter_that_is_cancelled_disturbs_nobody(flights: Flights, flight: Flight) -> None:
    async def main() -> list[bool]:
        tasks = await waiting(flight, MANY)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.sleep(0)
        assert not flight.landed.done()
        flights.land(flight)
        await all_of(tasks)
        return [task.cancelled() for task in tasks]

    assert asyncio.run(main()) == [number % 2 == 0 for number in range(MANY)]


def test_tasks_of_several_event_loops_and_threads_go_on_together(flights: Flights, flight: Flight) -> None:
    sitting = threading.Barrier(4)

    async def in_a_loop() -> None:
        tasks = await waiting(flight, AT_ONCE)
        await asyncio.to_thread(sitting.wait, PATIENCE)
        await all_of(tasks)

    def in_a_thread() -> None:
        sitting.wait(PATIENCE)
        assert not wait([flight.landed], PATIENCE).not_done

    with ThreadPoolExecutor(3) as pool:
        # `debug`: a loop refuses what another thread asks of it in a way that does not wake it.
        others = [pool.submit(asyncio.run, in_a_loop(), debug=True) for _ in range(2)] + [pool.submit(in_a_thread)]
        sitting.wait(PATIENCE)
        flights.land(flight)
        assert [other.result(PATIENCE) for other in others] == [None] * 3


def test_an_event_loop_that_was_closed_meanwhile_keeps_nobody(
    flights: Flights, flight: Flight, caplog: pytest.LogCaptureFixture
) -> None:
    gone = asyncio.new_event_loop()
    left = gone.create_task(flight.wait())
    gone.run_until_complete(asyncio.sleep(0))
    left._log_destroy_pending = False  # type: ignore[attr-defined]  # as it will be: the loop is closed in its midst
    gone.close()

    async def main() -> None:
        tasks = await waiting(flight, MANY)
        flights.land(flight)
        await all_of(tasks)

    asyncio.run(main())
    assert caplog.records == []


# ------------------------------------------------------------------------------------------ a flight that never lands


class Skipping(asyncio.SelectorEventLoop):
    """An event loop whose clock a test can turn."""

    skipped = 0.0

    def time(self) -> float:
        return super().time() + self.skipped


def test_a_flight_that_never_lands_is_waited_for_no_longer_than_the_longest(flight: Flight) -> None:
    async def after(loop: Skipping, seconds: float, tasks: list[asyncio.Task[None]]) -> int:
        """How many have gone on."""
        loop.skipped += seconds
        for _ in range(MANY):
            await asyncio.sleep(0)
        return sum(task.done() for task in tasks)

    async def main(loop: Skipping) -> None:
        tasks = await waiting(flight, MANY)
        assert await after(loop, LONGEST_FLIGHT - 1, tasks) == 0
        tasks += await waiting(flight, MANY)
        assert await after(loop, 0, tasks) == 0
        assert await after(loop, 1, tasks) == 2 * MANY
        # And whoever comes to wait for it later has as long.
        tasks = await waiting(flight, MANY)
        assert await after(loop, LONGEST_FLIGHT - 1, tasks) == 0
        assert await after(loop, 1, tasks) == MANY

    loop = Skipping()
    try:
        loop.run_until_complete(main(loop))
    finally:
        loop.close()
    assert not flight.landed.done()


def test_a_load_under_way_does_not_make_keys_serve_for_longer() -> None:
    for keys in (cold_keys(), loaded_keys()):
        until = keys.serves_until
        Flights().board(LoadKeys(keys, keys.state.settled), Moment(NOW, max(until - 1, 0.0)))
        assert keys.quiet_until == keys.serves_until == until


def test_a_task_whose_question_somebody_else_had_answered_goes_on_at_once() -> None:
    verifier = AsyncVerifier(ApiSettings(identifier=API, issuers=[Issuer(ISSUER)]))
    keys = verifier._keys[ISSUER]
    drive(keys.load(keys.begin(), MOMENT), documents=Issuing().documents())
    asyncio.run(verifier._perform(LoadKeys(keys, keys.state.settled - 1, urgent=True)))
    assert verifier.counters().loads == 0
