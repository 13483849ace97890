"""Whole requests: a proof is accepted once, and a revoked token nowhere, whatever number of processes there is."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jwtgate import ApiSettings, AsyncVerifier, AuthError, Issuer, Request, StoreUnavailable, Verifier
from jwtgate.core.events import KeyEvent, RevocationsRead, RevocationsUnread
from jwtgate.testing import Holder
from tests.loopback import PATIENCE, Drive, both
from tests.making import API, ISSUER, NOW, Issuing
from tests.serving import started
from tests.stores.servers import RedisServer, running_redis

URL = f"{API}messages"
ISSUING = Issuing()
HOLDER = Holder(clock=lambda: NOW)
PROCESSES, TIMES = 8, 200
STORES = ["sqlite", "redis"]


class StandsStill:
    """A clock on which nothing expires, and by which a thread's seconds are still seconds."""

    def wall(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return time.monotonic()


def settings(store: str | None, jwks: Any = None, **changes: Any) -> ApiSettings:
    issuer = Issuer(ISSUER, jwks=jwks or ISSUING.jwks(ISSUING.key().jwk()))
    return ApiSettings(identifier=API, issuers=[issuer], proof_of_possession="dpop", store=store, **changes)


def bound(holder: Holder = HOLDER, **changes: Any) -> str:
    return ISSUING.rfc9068_token(cnf={"jkt": holder.jkt}, **changes)


def request(token: str, holder: Holder = HOLDER) -> Request:
    """With a proof of its own: sent twice, it is a replay."""
    return Request("GET", URL, list(holder.headers("GET", URL, token).items()))


def outcome(ask: Callable[[], Any]) -> str:
    try:
        ask()
    except AuthError as error:
        return error.event
    return "accepted"


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        return str(request.getfixturevalue("redis_server").url)
    (tmp_path / "folder").mkdir()
    return f"sqlite://{tmp_path}/folder/store.sqlite3"


# ------------------------------------------------------------------------------------------------- a proof, many times


def send_from_threads(url: str, jwks: Any, sent: Request, start: Any, said: Any) -> None:
    """One of the processes."""
    with Verifier(settings(url, jwks), clock=StandsStill()) as verifier, ThreadPoolExecutor(4) as pool:
        start.wait(60)
        calls = [pool.submit(outcome, lambda: verifier.verify_request(sent)) for _ in range(TIMES)]
        said.put(Counter(call.result(60) for call in calls))


def send_from_tasks(url: str, jwks: Any, sent: Request, start: Any, said: Any) -> None:
    async def main() -> Counter[str]:
        async with AsyncVerifier(settings(url, jwks), clock=StandsStill()) as verifier:
            outcomes = await asyncio.gather(*(verifier.outcome(sent) for _ in range(TIMES)))
        return Counter(one.event if isinstance(one, AuthError) else "accepted" for one in outcomes)

    start.wait(60)
    said.put(asyncio.run(main()))


@pytest.mark.parametrize("send", [send_from_threads, send_from_tasks], ids=["threads", "tasks"])
def test_the_same_proof_sent_200_times_to_each_of_8_processes_is_accepted_once(url: str, send: Any) -> None:
    if url.startswith("redis"):  # so many processes at once may wait for longer than a request should
        url += "?timeout=30&socket_timeout=30&socket_connect_timeout=30"
    context = multiprocessing.get_context("spawn")
    start, said = context.Barrier(PROCESSES), context.Queue()
    arguments = url, ISSUING.jwks(ISSUING.key().jwk()), request(bound()), start, said
    processes = [context.Process(target=send, args=arguments) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    outcomes: Counter[str] = sum((said.get(timeout=90) for _ in processes), Counter())
    for process in processes:
        process.join(60)
    assert outcomes == {"accepted": 1, "ProofReplayed": PROCESSES * TIMES - 1}


@both
def test_a_good_proof_is_accepted_and_each_needs_its_own(url: str, drive: Drive) -> None:
    verifier = drive.make(settings(url), clock=StandsStill())
    token = bound()
    for _ in range(3):
        sent = request(token)
        assert drive.verify_request(verifier, sent).jkt == HOLDER.jkt
        assert outcome(lambda sent=sent: drive.verify_request(verifier, sent)) == "ProofReplayed"  # type: ignore[misc]
    drive.close(verifier)


@both
def test_a_proof_that_fails_another_check_is_not_used_up(url: str, drive: Drive) -> None:
    verifier = drive.make(settings(url), clock=StandsStill())
    sent = request(bound())
    elsewhere = Request("POST", sent.url, sent.headers)
    assert outcome(lambda: drive.verify_request(verifier, elsewhere)) == "InvalidProof"
    assert outcome(lambda: drive.verify_request(verifier, sent)) == "accepted"
    drive.close(verifier)


# ------------------------------------------------------------------------------------------- a store that is stopped


class Stopping:
    """A store that a test stops and starts."""

    def __init__(self, url: str, redis_server: RedisServer | None) -> None:
        self._server = redis_server
        self._folder = Path(url.removeprefix("sqlite://")).parent
        self.away = self._folder.with_name("away")

    def stop(self) -> None:
        self._server.stop() if self._server else self._folder.rename(self.away)

    def start(self) -> None:
        self._server.start() if self._server else self.away.rename(self._folder)


@pytest.fixture
def stopping(request: pytest.FixtureRequest, url: str) -> Stopping:
    return Stopping(url, request.getfixturevalue("redis_server") if url.startswith("redis") else None)


@both
def test_while_the_store_is_stopped_nothing_is_accepted_and_then_all_is_well(
    url: str, stopping: Stopping, drive: Drive
) -> None:
    verifier = drive.make(settings(url), clock=StandsStill())
    token, bearer = bound(), ISSUING.token()
    before, during = request(token), request(token)
    assert outcome(lambda: drive.verify_request(verifier, before)) == "accepted"
    stopping.stop()
    for sent in (during, request(token), during):
        with pytest.raises(StoreUnavailable) as error:
            drive.verify_request(verifier, sent)
        assert error.value.status == 503
        assert "retry-after" in {name.lower() for name, _ in error.value.headers}
        assert b"sqlite" not in error.value.body.lower()
    assert outcome(lambda: drive.verify_request(verifier, before)) == "ProofReplayed"
    # A bearer token asks the store nothing.
    assert outcome(lambda: drive.verify(verifier, bearer)) == "accepted"
    stopping.start()
    assert outcome(lambda: drive.verify_request(verifier, during)) == "accepted"
    for sent in (before, during):
        assert outcome(lambda sent=sent: drive.verify_request(verifier, sent)) == "ProofReplayed"  # type: ignore[misc]
    assert outcome(lambda: drive.verify_request(verifier, request(token))) == "accepted"
    drive.close(verifier)


# ------------------------------------------------------------------------------------------------------ revoked tokens


def until(holds: Callable[[], object]) -> float:
    """Waits until it holds. After how many seconds it did."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.01)
    return time.monotonic() - began


def revoke(drive: Drive, verifier: Any, *token: Any, **named: Any) -> None:
    told = verifier.revoke(*token, **named)
    if told is not None:
        asyncio.run(told)


@both
def test_a_revoked_token_is_refused_here_at_once_and_by_the_others_within_the_delay(url: str, drive: Drive) -> None:
    delay = 1.0
    here, there = (drive.make(settings(url, revocation_delay=delay), clock=StandsStill()) for _ in range(2))
    one, other = (bound(jti=name, sub="user-1") for name in ("one", "other"))
    newer = bound(jti="newer", sub="user-1", iat=int(NOW) + 5)

    def takes(verifier: Any, token: str) -> bool:
        said = outcome(lambda: drive.verify_request(verifier, request(token)))
        assert said in ("accepted", "RevokedToken")
        return said == "accepted"

    assert all(takes(verifier, token) for verifier in (here, there) for token in (one, other, newer))
    revoke(drive, here, drive.verify_request(here, request(one)))
    assert [takes(here, token) for token in (one, other)] == [False, True]
    assert until(lambda: not takes(there, one)) <= delay
    revoke(drive, there, subject="user-1")
    assert not takes(there, other)
    assert until(lambda: not takes(here, other)) <= delay
    assert takes(here, newer)
    assert takes(there, newer)
    for verifier in (here, there):
        drive.close(verifier)


@both
def test_a_store_that_cannot_be_read_for_longer_means_serve_or_refuse(
    url: str, stopping: Stopping, drive: Drive
) -> None:
    token, events = ISSUING.token(), list[KeyEvent]()
    strict, lenient = (
        drive.make(
            settings(url, revocation_delay=0.6, revocation_outage=outage), clock=StandsStill(), on_event=events.append
        )
        for outage in ("refuse", "serve")
    )
    for verifier in (strict, lenient):
        assert outcome(lambda verifier=verifier: drive.verify(verifier, token)) == "accepted"  # type: ignore[misc]
    stopping.stop()
    assert until(lambda: outcome(lambda: drive.verify(strict, token)) == "StoreUnavailable") <= 1.2
    assert outcome(lambda: drive.verify(lenient, token)) == "accepted"
    stopping.start()
    until(lambda: outcome(lambda: drive.verify(strict, token)) == "accepted")
    until(lambda: len(events) == 4)
    assert Counter(type(event) for event in events) == {RevocationsUnread: 2, RevocationsRead: 2}
    for verifier in (strict, lenient):
        drive.close(verifier)


# ---------------------------------------------------------------------------------- real servers of several processes

WORKERS = 4
GUNICORN = f"gunicorn -w {WORKERS} --bind fd://{{fd}} --log-level warning tests.replay_app:app"
UVICORN = f"uvicorn --workers {WORKERS} --fd {{fd}} --log-level warning tests.replay_app:asgi_app"


@pytest.fixture
def serve(tmp_path: Path) -> Callable[[str], contextlib.AbstractContextManager[int]]:
    """Starts a server by its command; gives the port."""
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(ISSUING.jwks(ISSUING.key().jwk())))

    def start(command: str) -> contextlib.AbstractContextManager[int]:
        environment = {
            "TMPDIR": str(tmp_path),
            "REPLAY_APP_KEYS": str(keys),
            "REPLAY_APP_SETTINGS": json.dumps({"public_url": API.rstrip("/"), "revocation_delay": 0.5}),
        }
        return started(command, tmp_path, environment, b"GET / HTTP/1.1")

    return start


def ask(port: int, headers: dict[str, str], path: str = "/messages") -> tuple[int, str]:
    """Status, and the process that answered 200."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        line.request("GET", path, headers=headers)
        answer = line.getresponse()
        return answer.status, answer.read().decode() if answer.status == 200 else ""
    finally:
        line.close()


@pytest.mark.parametrize(
    "command",
    [
        GUNICORN,
        f"{GUNICORN} --preload",
        f"{GUNICORN} --worker-class gthread --threads 4",
        UVICORN,
    ],
    ids=["gunicorn", "preload", "gthread", "uvicorn"],
)
def test_four_workers_accept_a_proof_once_and_no_revoked_token(serve: Any, command: str) -> None:
    now = int(time.time())
    holder = Holder()
    token = bound(holder, iat=now - 60, exp=now + 600, jti="one")
    other = bound(holder, iat=now - 60, exp=now + 600, jti="other")

    def headers(of: str = token, path: str = "messages") -> dict[str, str]:
        return holder.headers("GET", f"{API}{path}", of)

    # Nothing is set: that there are several workers is enough.
    with serve(command) as port, ThreadPoolExecutor(16) as pool:
        for _ in range(3):
            sent = headers()
            statuses = Counter(status for status, _ in pool.map(lambda _: ask(port, sent), range(64)))  # noqa: B023
            assert statuses == {200: 1, 401: 63}
        answers = list(pool.map(lambda _: ask(port, headers()), range(64)))
        assert {status for status, _ in answers} == {200}
        pids = {pid for _, pid in answers}
        assert 1 < len(pids) <= WORKERS

        assert ask(port, headers(path="revoke"), "/revoke")[0] == 200
        time.sleep(0.7)  # the delay, and a little
        assert {ask(port, headers())[0] for _ in range(32)} == {401}
        assert {ask(port, headers(other))[0] for _ in range(8)} == {200}
