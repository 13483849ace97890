"""All that every store does, whatever it keeps things in, for threads and for tasks."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import operator
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jwtgate.core.effects import Memory, RememberProof
from jwtgate.core.revocations import Revocation
from jwtgate.core.values import MAX_LEEWAY
from jwtgate.stores import Store, open_store
from tests.making import API, NOW
from tests.stores.servers import proof

LATE = 200.0  # seconds, after which every store has forgotten what has expired
SHARED = ["sqlite", "redis"]


class Threads:
    """Each call as it stands."""

    remember = staticmethod(lambda store, proof, now=NOW: store.remember(proof, now))
    revoke = staticmethod(lambda store, revocation, now=NOW: store.revoke(revocation, now))
    close = staticmethod(lambda store: store.close())


class Tasks:
    """Each call in an event loop of its own, which is closed when it ends."""

    @staticmethod
    def remember(store: Store, proof: RememberProof, now: float = NOW) -> Memory:
        return asyncio.run(_whole(store.remember_async(proof, now)))

    @staticmethod
    def revoke(store: Store, revocation: Revocation, now: float = NOW) -> None:
        asyncio.run(_whole(store.revoke_async(revocation, now)))

    @staticmethod
    def close(store: Store) -> None:
        asyncio.run(store.close_async())


async def _whole(call: Awaitable[Any]) -> Any:
    return await call


both = pytest.mark.parametrize("drive", [Threads, Tasks], ids=["threads", "tasks"])
Drive = Any
Opens = Callable[..., Store]


def url_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    if kind == "redis":
        return str(request.getfixturevalue("redis_server").url)
    return "memory://" if kind == "memory" else f"sqlite://{folder}/store.sqlite3"


@pytest.fixture(params=["memory", *SHARED])
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opens]:
    """Opens the store, each time as another process would."""
    url, opened = url_of(request.param, request, tmp_path), []

    def opens(identifier: str = API) -> Store:
        opened.append(open_store(url, identifier=identifier))
        return opened[-1]

    yield opens
    for store in opened:
        store.close()


@pytest.fixture
def store(opens: Opens) -> Store:
    return opens()


shared = pytest.mark.parametrize("opens", SHARED, indirect=True)


# --------------------------------------------------------------------------------------------------------------- proofs


@both
def test_a_proof_is_new_once(store: Store, drive: Drive) -> None:
    assert [drive.remember(store, proof()) for _ in range(3)] == ["new", "seen", "seen"]


@both
@pytest.mark.parametrize("other", [proof("2"), proof(jkt="other")], ids=["another jti", "another key"])
def test_another_proof_is_new(store: Store, drive: Drive, other: RememberProof) -> None:
    assert [drive.remember(store, each) for each in (proof(), other)] == ["new", "new"]


@both
def test_a_jti_that_comes_again_with_another_time_is_no_other_proof(store: Store, drive: Drive) -> None:
    drive.remember(store, proof())
    assert drive.remember(store, proof(expires=NOW + 120), NOW + 30) == "seen"


@both
@pytest.mark.parametrize("opens", ["memory", "sqlite"], indirect=True)
def test_a_proof_is_remembered_until_it_expires_and_then_forgotten(store: Store, drive: Drive) -> None:
    drive.remember(store, proof())
    assert drive.remember(store, proof(), NOW + 89.9) == "seen"
    assert drive.remember(store, proof(expires=NOW + LATE + 90), NOW + LATE) == "new"
    assert drive.remember(store, proof(expires=NOW + LATE + 90), NOW + LATE) == "seen"


@both
def test_one_key_meets_its_own_limit_and_locks_out_nobody(store: Store, drive: Drive) -> None:
    flood = [drive.remember(store, proof(str(number), limit=5)) for number in range(8)]
    assert flood == ["new"] * 5 + ["full"] * 3
    assert drive.remember(store, proof("0", limit=5)) == "seen"
    assert drive.remember(store, proof("0", "other", limit=5)) == "new"
    assert drive.remember(store, proof("7", limit=5, expires=NOW + LATE + 90), NOW + LATE) == "new"


@both
@shared
def test_what_one_process_remembers_the_others_know(opens: Opens, drive: Drive) -> None:
    one, other = opens(), opens()
    assert drive.remember(one, proof()) == "new"
    assert drive.remember(other, proof()) == "seen"
    assert drive.remember(other, proof("2")) == "new"


@both
@shared
def test_apis_that_share_a_store_do_not_see_each_other(opens: Opens, drive: Drive) -> None:
    one, other = opens(), opens("https://other.test/")
    assert [drive.remember(one, proof()), drive.remember(other, proof())] == ["new", "new"]
    drive.revoke(one, Revocation("iss", jti="1", expires=NOW))
    assert len(one.changes("").revocations) == 1
    assert other.changes("").revocations == ()


def test_of_many_threads_one_has_the_new_proof(store: Store) -> None:
    start = threading.Barrier(8)

    def all_of_them() -> list[Memory]:
        start.wait()
        return [store.remember(proof(str(number)), NOW) for number in range(50)]

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(all_of_them) for _ in range(8)]
        said = list(zip(*(answer.result() for answer in answers), strict=True))
    assert [Counter(each)["new"] for each in said] == [1] * 50
    assert Counter(sum(said, ())) == {"new": 50, "seen": 350}


def test_of_many_tasks_one_has_the_new_proof(store: Store) -> None:
    async def all_of_them() -> list[Memory]:
        return await asyncio.gather(*(store.remember_async(proof(str(n % 20)), NOW) for n in range(200)))

    assert Counter(asyncio.run(all_of_them())) == {"new": 20, "seen": 180}


# -------------------------------------------------------------------------------------------------- several processes


def hammer(url: str, start: Any, answers: Any, times: int) -> None:
    """A process of its own, which sends one proof again and again."""
    store = open_store(url, identifier=API)
    start.wait(60)
    answers.put(Counter(store.remember(proof(), NOW) for _ in range(times)))
    store.close()


def hammer_with_tasks(url: str, start: Any, answers: Any, times: int) -> None:
    store = open_store(url, identifier=API)

    async def all_of_them() -> list[Memory]:
        return await asyncio.gather(*(store.remember_async(proof(), NOW) for _ in range(times)))

    start.wait(60)
    answers.put(Counter(asyncio.run(all_of_them())))
    store.close()


@pytest.mark.parametrize("sends", [hammer, hammer_with_tasks], ids=["threads", "tasks"])
@pytest.mark.parametrize("kind", SHARED)
def test_the_same_proof_sent_200_times_to_each_of_8_processes_is_new_exactly_once(
    kind: str, sends: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = url_of(kind, request, tmp_path)
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(8), context.Queue()
    processes = [context.Process(target=sends, args=(url, start, answers, 200)) for _ in range(8)]
    for process in processes:
        process.start()
    said: Counter[str] = sum((answers.get(timeout=60) for _ in processes), Counter())
    for process in processes:
        process.join(60)
    assert said == {"new": 1, "seen": 1_599}


# ---------------------------------------------------------------------------------------------------------- revocations

ONE = Revocation("https://issuer.test/", jti="token-1", expires=NOW + 600)
ALL_OF_ONE = Revocation("https://issuer.test/", subject="auth0|ä", not_before=NOW + 0.5, expires=NOW + 600)


@both
def test_revocations_come_in_order_and_once(store: Store, drive: Drive) -> None:
    assert store.changes("").revocations == ()
    drive.revoke(store, ONE)
    first = store.changes("")
    assert first.revocations == (ONE,)
    assert store.changes(first.mark) == type(first)(first.mark)
    drive.revoke(store, ALL_OF_ONE)
    second = store.changes(first.mark)
    assert second.revocations == (ALL_OF_ONE,)
    assert store.changes("").revocations == (ONE, ALL_OF_ONE)
    assert store.changes(second.mark).revocations == ()


@both
@shared
def test_what_one_process_revokes_the_others_read(opens: Opens, drive: Drive) -> None:
    one, other = opens(), opens()
    mark = other.changes("").mark
    drive.revoke(one, ONE)
    assert other.changes(mark).revocations == (ONE,)


@both
def test_what_has_expired_with_its_tokens_is_not_kept(store: Store, drive: Drive) -> None:
    for number in range(3):
        drive.revoke(store, Revocation("iss", jti=str(number), expires=NOW))
    drive.revoke(store, ONE, NOW + MAX_LEEWAY)
    assert store.changes("").revocations == (ONE,)


def test_many_are_read_in_pages(store: Store) -> None:
    for number in range(1_500):
        store.revoke(Revocation("iss", jti=str(number), expires=NOW), NOW)
    found, mark = [], ""
    while (changes := store.changes(mark)).revocations:
        found.append([revocation.jti for revocation in changes.revocations])
        mark = changes.mark
    assert functools.reduce(operator.iadd, found, []) == [str(number) for number in range(1_500)]
    assert [len(page) for page in found] == [1_000, 500]


# -------------------------------------------------------------------------------------------------------------- the end


@both
def test_a_closed_store_opens_again_when_it_is_used(store: Store, drive: Drive) -> None:
    drive.close(store)
    drive.remember(store, proof())
    drive.close(store)
    drive.close(store)
    assert drive.remember(store, proof()) == "seen"


def test_a_store_that_only_does_what_it_must_serves_tasks_too() -> None:
    class Kept(Store):
        def __init__(self) -> None:
            self.calls: list[object] = []

        def remember(self, proof: RememberProof, now: float) -> Memory:
            self.calls.append(proof)
            return "new"

        def revoke(self, revocation: Revocation, now: float) -> None:
            self.calls.append(revocation)

        def changes(self, since: str) -> Any: ...

        def close(self) -> None:
            self.calls.append("closed")

    store = Kept()
    assert Tasks.remember(store, proof()) == "new"
    Tasks.revoke(store, ONE)
    Tasks.close(store)
    assert store.calls == [proof(), ONE, "closed"]
