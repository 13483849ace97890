"""A Redis server: what may happen to it and on the way there, and what must not come of that."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jwtgate import StoreUnavailable
from jwtgate.core.effects import Memory, RememberProof
from jwtgate.core.revocations import Revocation
from tests.making import API, NOW
from tests.stores.servers import Losing, RedisServer, proof

redis = pytest.importorskip("redis", reason="needs the Python package redis: pip install 'jwtgate[redis]'")

from jwtgate.stores.redis import APART, SECONDS, RedisStore  # noqa: E402

ONE = Revocation("https://issuer.test/", jti="token-1", expires=NOW + 600)
AT_ONCE = SECONDS / 2
PATIENCE = 10.0  # seconds


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[RedisStore]:
    store = RedisStore(redis_server.url, API)
    yield store
    store.close()


@pytest.fixture
def raw(redis_server: RedisServer) -> Iterator[Any]:
    """A client of the server, which sees what the store has done."""
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


class Threads:
    remember = staticmethod(lambda store, proof: store.remember(proof, NOW))


class Tasks:
    """All calls in one event loop."""

    @staticmethod
    def remember(store: RedisStore, proof: RememberProof) -> Memory:
        return asyncio.run(_remember(store, proof))


async def _remember(store: RedisStore, proof: RememberProof) -> Memory:
    return await store.remember_async(proof, NOW)


both = pytest.mark.parametrize("drive", [Threads, Tasks], ids=["threads", "tasks"])
Drive = Any


def unavailable(ask: Callable[[], object]) -> tuple[StoreUnavailable, float]:
    """The error, and after how many seconds it came."""
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as error:
        ask()
    return error.value, time.monotonic() - began


def eventually(ask: Callable[[], Memory]) -> Memory:
    """What it says once it says something."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except StoreUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.05)


# ------------------------------------------------------------------------------------------------------------- trouble


@both
def test_stopped_in_the_middle_is_503_and_started_again_it_goes_on(
    store: RedisStore, redis_server: RedisServer, drive: Drive
) -> None:
    assert drive.remember(store, proof()) == "new"
    redis_server.stop()
    for _ in range(3):
        error, seconds = unavailable(lambda: drive.remember(store, proof("2")))
        assert seconds < AT_ONCE
        assert (error.status, str(redis_server.port) in error.reason) == (503, True)
    for ask in (lambda: store.revoke(ONE, NOW), lambda: store.changes("")):
        unavailable(ask)
    redis_server.start()
    # Neither did trouble use up the proof, nor did this process forget what the server has.
    assert drive.remember(store, proof("2")) == "new"
    assert [drive.remember(store, each) for each in (proof(), proof("2"))] == ["seen", "seen"]


@both
def test_a_server_that_hangs_costs_the_first_a_second_and_the_others_nothing(
    store: RedisStore, redis_server: RedisServer, drive: Drive
) -> None:
    assert drive.remember(store, proof()) == "new"
    redis_server.freeze()
    _, first = unavailable(lambda: drive.remember(store, proof("2")))
    assert SECONDS * 0.9 <= first < SECONDS * 3
    for _ in range(5):
        assert unavailable(lambda: drive.remember(store, proof("2")))[1] < AT_ONCE
    redis_server.thaw()
    # It may have been remembered while nobody waited any more: it is not accepted twice, in any case.
    assert eventually(lambda: drive.remember(store, proof("3"))) == "new"


@both
def test_an_answer_is_waited_for_as_long_as_the_url_says(redis_server: RedisServer, drive: Drive) -> None:
    store = RedisStore(f"{redis_server.url}?socket_timeout={PATIENCE}")
    redis_server.freeze()
    thaw = threading.Timer(2 * SECONDS + 0.3, redis_server.thaw)  # not with what holds by default
    thaw.start()
    assert drive.remember(store, proof()) == "new"
    thaw.join()
    store.close()


@both
def test_a_proof_whose_answer_was_lost_is_neither_new_nor_a_replay(redis_server: RedisServer, drive: Drive) -> None:
    losing = Losing(redis_server.port, b"NX")
    store = RedisStore(f"redis://127.0.0.1:{losing.port}", API)
    try:
        unavailable(lambda: drive.remember(store, proof()))
        assert RedisStore(redis_server.url, API).remember(proof(), NOW) == "seen"  # the server has it
        assert drive.remember(store, proof("2")) == "new"
    finally:
        store.close()
        losing.close()


def test_a_server_without_room_is_503_and_with_room_it_goes_on(tmp_path: Path) -> None:
    options = ("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    with RedisServer(tmp_path, *options) as server, redis.Redis.from_url(server.url) as raw:
        store, number = RedisStore(server.url, API), 0

        def fill() -> None:
            nonlocal number
            while number < 100_000:
                assert store.remember(proof(str(number), limit=10**6), NOW) == "new"
                number += 1

        error, _ = unavailable(fill)
        assert "OutOfMemory" in error.reason
        raw.config_set("maxmemory", "0")
        assert store.remember(proof(str(number), limit=10**6), NOW) == "new"
        assert RedisStore(server.url, API).remember(proof("0"), NOW) == "seen"  # nothing was given up for it
        store.close()


def test_what_is_no_redis_is_503(redis_server: RedisServer) -> None:
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            line, _ = listening.accept()
            with line:
                line.recv(1_000)
                line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        store = RedisStore(f"redis://127.0.0.1:{listening.getsockname()[1]}", API)
        unavailable(lambda: store.remember(proof(), NOW))
        store.close()
        thread.join(PATIENCE)


@both
def test_a_password_is_used_and_never_told(tmp_path: Path, drive: Drive, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with RedisServer(tmp_path, "--requirepass", "hunter2") as server:
        right = RedisStore(server.url.replace("//", "//:hunter2@"), API)
        assert drive.remember(right, proof()) == "new"
        wrong = RedisStore(server.url.replace("//", "//:opensesame@"), API)
        none = RedisStore(server.url, API)
        told = [repr(store) for store in (right, wrong)]
        for store in (wrong, none):
            error, _ = unavailable(lambda store=store: drive.remember(store, proof("2")))  # type: ignore[misc]
            told += [str(error), repr(error), "".join(traceback.format_exception(error))]
        server.stop()
        error, _ = unavailable(lambda: drive.remember(right, proof("2")))
        told += [str(error), "".join(traceback.format_exception(error)), caplog.text]
        server.start()
        assert not [text for text in told if "hunter2" in text or "opensesame" in text]
        right.close()


# ------------------------------------------------------------------------------------------------------ what it keeps


def test_a_proof_is_one_key_that_expires_after_it_by_whatever_clock(store: RedisStore, raw: Any) -> None:
    store.remember(proof(expires=NOW + 90), NOW)
    (key,) = raw.keys()
    assert key.startswith(b"jwtgate:")
    assert b"{" not in key  # in a cluster, keys with one hash tag would all be on one node
    assert (90 + APART - 10) * 1_000 < raw.pttl(key) <= (90 + APART) * 1_000


@pytest.mark.parametrize("late", [0.0, 1e6])
def test_a_proof_that_has_expired_by_our_clock_is_still_remembered_for_a_moment(
    store: RedisStore, raw: Any, late: float
) -> None:
    assert store.remember(proof(expires=NOW), NOW + late) == "new"
    assert raw.dbsize() in ({1} if late == 0 else {0, 1})


def test_a_proof_is_forgotten_by_the_server_itself(store: RedisStore, raw: Any) -> None:
    store.remember(proof(expires=NOW - APART + 0.2), NOW)
    deadline = time.monotonic() + PATIENCE
    while raw.exists(*raw.keys() or ["none"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert RedisStore(store._url, API).remember(proof(expires=NOW + 90), NOW) == "new"


@pytest.mark.parametrize(
    "fields", [{"document": ""}, {"document": "{}"}, {"document": b"\xff"}, {"other": "x"}, {"document": "[]"}]
)
def test_a_revocation_that_nobody_can_read_is_counted_and_not_in_the_way(
    store: RedisStore, raw: Any, fields: dict[Any, Any]
) -> None:
    store.revoke(ONE, NOW)
    raw.xadd(raw.keys()[0], fields)
    other = Revocation("https://issuer.test/", jti="token-2", expires=NOW + 600)
    store.revoke(other, NOW)
    found = store.changes("")
    assert (found.revocations, found.unreadable) == ((ONE, other), 1)
    assert store.changes(found.mark).unreadable == 0


def test_only_the_oldest_that_have_expired_go(store: RedisStore) -> None:
    soon, late = (Revocation("iss", jti=name, expires=at) for name, at in (("soon", NOW), ("late", NOW + 9_000)))
    for each in (soon, late, soon, ONE):
        store.revoke(each, NOW)
    store.revoke(ONE, NOW + 1_000)
    assert store.changes("").revocations == (late, soon, ONE, ONE)


# --------------------------------------------------------------------------------------------------------- event loops


def connections(raw: Any) -> int:
    """Those of others, at the server."""
    return int(raw.info("clients")["connected_clients"]) - 1


def settles(raw: Any, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while connections(raw) != count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_every_event_loop_has_a_client_of_its_own_and_takes_it_along(store: RedisStore, raw: Any) -> None:
    async def main(number: int) -> None:
        assert await _remember(store, proof(f"a{number}")) == "new"
        assert len(store._clients) == 1
        assert connections(raw) == 1
        assert await _remember(store, proof(f"b{number}")) == "new"
        assert connections(raw) == 1

    for number in range(3):
        asyncio.run(main(number))
        assert len(store._clients) == 0
        settles(raw, 0)


def test_a_store_is_closed_in_its_loop_and_opens_again(store: RedisStore, raw: Any) -> None:
    async def main() -> None:
        await store.close_async()
        for number in range(2):
            assert await _remember(store, proof(str(number))) == "new"
            await store.close_async()
            assert len(store._clients) == 0

    store.remember(proof("sync"), NOW)
    settles(raw, 1)
    asyncio.run(main())
    settles(raw, 0)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # since Python 3.13, of what nobody has closed
def test_a_store_that_nobody_holds_is_closed_by_its_loop(redis_server: RedisServer, raw: Any) -> None:
    async def main() -> None:
        store = RedisStore(redis_server.url, API)
        assert await _remember(store, proof()) == "new"
        gone = weakref.ref(store)
        del store
        gc.collect()
        assert gone() is None
        deadline = time.monotonic() + PATIENCE
        while connections(raw):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of a loop that is closed in the midst of it all
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_was_closed_without_farewell_is_not_kept(store: RedisStore) -> None:
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(_remember(store, proof())) == "new"
    loop.close()
    gone = weakref.ref(loop)
    del loop

    async def main() -> None:
        assert await _remember(store, proof("2")) == "new"
        assert len(store._clients) == 1

    asyncio.run(main())
    gc.collect()
    assert gone() is None


def test_a_request_that_is_cancelled_spoils_no_later_answer(store: RedisStore, redis_server: RedisServer) -> None:
    async def main() -> None:
        for number in range(20):
            assert await _remember(store, proof(f"before {number}")) == "new"
            redis_server.freeze()
            asking = asyncio.create_task(_remember(store, proof(f"cancelled {number}")))
            await asyncio.sleep(0.005)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            redis_server.thaw()
            # Were the answer to the cancelled question still on the line, this replay would be new.
            other = RedisStore(redis_server.url, API)
            assert await _remember(other, proof(f"after {number}")) == "new"
            assert await _remember(store, proof(f"after {number}")) == "seen"
            await other.close_async()

    asyncio.run(main())


def test_more_requests_than_connections_wait_for_one(store: RedisStore) -> None:
    async def main() -> list[Memory]:
        return await asyncio.gather(*(_remember(store, proof(str(number))) for number in range(300)))

    assert asyncio.run(main()) == ["new"] * 300
