"""The two drivers, over real sockets: what is fetched, how often, who waits for it, and what is said in the log."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from jwtgate import (
    AccessToken,
    ApiSettings,
    AsyncVerifier,
    AuthError,
    InvalidToken,
    Issuer,
    JwtGateError,
    KeysUnavailable,
    Request,
    SettingsError,
    Verifier,
)
from jwtgate.core.key_state import BACK_OFF, COOL_DOWN, HARD_AGE, SOFT_AGE
from jwtgate.core.keys import JWKS_BYTES
from jwtgate.verifier import LONGEST_FLIGHT, TOTAL_SECONDS
from tests.loopback import (
    DISCOVERY,
    JWKS,
    PATIENCE,
    Answer,
    Clock,
    Drive,
    Origin,
    Tasks,
    Threads,
    both,
    drips,
    others_ended,
    raw,
    reached,
    resets,
    sends,
    threads_ended,
    trouble,
)
from tests.making import API, SECRET, Issuing

# ------------------------------------------------------------------------------------------------------- the first load


@both
def test_a_cold_verifier_asks_once_and_a_warm_one_never(origin: Origin, clock: Clock, drive: Drive) -> None:
    verifier = drive.make(origin.settings(), clock=clock)
    for _ in range(3):
        assert drive.verify(verifier, origin.issuing.token()).subject == "app-1@clients"
    assert origin.asked == {DISCOVERY: 1, JWKS: 1}
    assert {headers["accept-encoding"] for headers in origin.headers} == {"identity"}


def test_a_thousand_tasks_on_a_cold_verifier_cost_one_request_each(origin: Origin, clock: Clock) -> None:
    async def main() -> None:
        verifier = AsyncVerifier(origin.settings(), clock=clock)
        tokens = await asyncio.gather(*(verifier.verify(origin.issuing.token()) for _ in range(1_000)))
        assert {token.subject for token in tokens} == {"app-1@clients"}

    asyncio.run(main())
    assert origin.asked == {DISCOVERY: 1, JWKS: 1}


def test_fifty_threads_on_a_cold_verifier_cost_one_request_each(origin: Origin, clock: Clock) -> None:
    verifier, token = Verifier(origin.settings(), clock=clock), origin.issuing.token()
    gate, start = origin.gate(), threading.Barrier(51)

    def ask() -> str:
        start.wait(PATIENCE)
        return verifier.verify(token).subject

    with ThreadPoolExecutor(50) as pool:
        asked = [pool.submit(ask) for _ in range(50)]
        start.wait(PATIENCE)
        assert gate.reached.wait(PATIENCE)
        gate.open()
        assert {one.result(PATIENCE) for one in asked} == {"app-1@clients"}
    assert origin.asked == {DISCOVERY: 1, JWKS: 1}


def test_a_load_that_fails_fails_for_everybody_who_waits_and_is_tried_again_later(origin: Origin, clock: Clock) -> None:
    verifier, token = Verifier(origin.settings(), clock=clock), origin.issuing.token()
    origin.answers[JWKS] = sends(b"{}", 500)
    gate, start = origin.gate(), threading.Barrier(21)

    def ask() -> type[Exception] | None:
        start.wait(PATIENCE)
        try:
            verifier.verify(token)
        except AuthError as error:
            return type(error)
        return None

    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(ask) for _ in range(20)]
        start.wait(PATIENCE)
        assert gate.reached.wait(PATIENCE)
        gate.open()
        assert {one.result(PATIENCE) for one in asked} == {KeysUnavailable}
    assert origin.asked[JWKS] == 1
    origin.publish()
    assert isinstance(trouble(Threads, verifier, token), KeysUnavailable)
    assert origin.asked[JWKS] == 1
    clock.at += BACK_OFF[0]
    assert verifier.verify(token).subject
    assert origin.asked[JWKS] == 2


def test_a_thousand_tasks_that_wait_for_a_load_that_fails_all_end(origin: Origin, clock: Clock) -> None:
    origin.answers[JWKS] = sends(b"{}", 503, {"Retry-After": "3600"})

    async def main() -> None:
        verifier = AsyncVerifier(origin.settings(), clock=clock)
        calls = (verifier.verify(origin.issuing.token()) for _ in range(1_000))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {KeysUnavailable}
        origin.publish()
        clock.at += BACK_OFF[0]
        assert (await verifier.verify(origin.issuing.token())).subject

    asyncio.run(main())
    assert origin.asked[JWKS] == 2


@both
def test_who_comes_late_to_a_load_that_has_landed_asks_for_nothing(origin: Origin, drive: Drive) -> None:
    class Turnstile(Clock):
        """Lets another request pass, from beginning to end, between a request's question and its load."""

        asked = 0

        def monotonic(self) -> float:
            self.asked += 1
            if self.asked == 2:
                other = threading.Thread(target=drive.verify, args=(verifier, token))
                other.start()
                other.join(PATIENCE)
            return self.at

    token = origin.issuing.token()
    verifier = drive.make(origin.settings(), clock=Turnstile())
    assert drive.verify(verifier, token).subject
    assert origin.asked == {DISCOVERY: 1, JWKS: 1}


@both
def test_the_machines_clock_serves_unless_another_is_given(origin: Origin, drive: Drive) -> None:
    now = time.time()
    verifier = drive.make(origin.settings())
    token = drive.verify(verifier, origin.issuing.token(iat=int(now), exp=int(now) + 60))
    assert abs(token.checked_at - now) < PATIENCE
    with pytest.raises(InvalidToken):
        drive.verify(verifier, origin.issuing.token())  # issued in a year to come


# --------------------------------------------------------------------------------------------- what the endpoint may do


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BIG = b" " * (JWKS_BYTES + 1)
BOMB = gzip.compress(bytes(50_000_000))


def chunked(body: bytes) -> bytes:
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def bad_answers(good: bytes) -> dict[str, Answer]:
    return {
        "400": sends(good, 400),
        "401": sends(good, 401),
        "404": sends(good, 404),
        "429": sends(good, 429, {"Retry-After": "3600"}),
        "500": sends(good, 500),
        "503": sends(good, 503),
        "201": sends(good, 201),
        "204": raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
        "redirect": sends(b"", 302, {"Location": "/elsewhere"}),
        "redirect that keeps the method": sends(b"", 307, {"Location": "/elsewhere"}),
        "redirect to a file": sends(b"", 301, {"Location": "file:///etc/passwd"}),
        "not modified": raw(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        "gzip bomb": sends(BOMB, 200, {"Content-Encoding": "gzip"}),
        "gzip that is none": sends(good, 200, {"Content-Encoding": "gzip"}),
        "gzip that is cut off": sends(gzip.compress(good)[:-9], 200, {"Content-Encoding": "gzip"}),
        "gzip and more": sends(gzip.compress(good) + b"\0" * 9, 200, {"Content-Encoding": "gzip"}),
        "gzip that is too big": sends(gzip.compress(good + BIG), 200, {"Content-Encoding": "gzip"}),
        "gzip twice": sends(gzip.compress(gzip.compress(good)), 200, {"Content-Encoding": "gzip"}),
        "brotli": sends(good, 200, {"Content-Encoding": "br"}),
        "deflate that is none": sends(good, 200, {"Content-Encoding": "deflate"}),
        "two encodings": sends(good, 200, {"Content-Encoding": "identity, gzip"}),
        "too big": sends(good + BIG),
        "too big by what it says": sends(good, length=10**12),
        "too big in chunks": raw(chunked(good + BIG)),
        "too big without an end": raw(HEAD + b"\r\n" + good + BIG),
        "cut off": sends(good[:-9], length=len(good)),
        "cut off in a chunk": raw(chunked(good)[:-30]),
        "cut off headers": raw(HEAD),
        "nothing at all": raw(b""),
        "no HTTP": raw(b"\x16\x03\x01 hello\r\n\r\n" + good),
        "a hundred thousand headers": raw(HEAD + b"X: y\r\n" * 100_000 + b"\r\n" + good),
        "a header of 1 MB": raw(HEAD + b"X: " + b"y" * 10**6 + b"\r\n\r\n" + good),
        "a reset": resets,
        "HTML": sends(b"<html>", 200, {"Content-Type": "text/html"}),
        "UTF-16": sends(good.decode().encode("utf-16")),
        "nothing in it": sends(b'{"keys": []}'),
    }


BAD = list(bad_answers(b""))


@both
@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("path", [DISCOVERY, JWKS], ids=["metadata", "keys"])
def test_no_bad_answer_harms_the_keys_there_are(
    origin: Origin, clock: Clock, drive: Drive, name: str, path: str
) -> None:
    good = json.dumps(origin.issuing.metadata()).encode() if path == DISCOVERY else origin.key_set()
    kept = origin.answers[path]
    origin.answers["/elsewhere"] = sends(good)
    bad = bad_answers(good)[name]
    verifier, token = drive.make(origin.settings(), clock=clock), origin.issuing.token()

    origin.answers[path] = bad
    error = trouble(drive, verifier, token)
    assert (error.status, error.issuer, "WWW-Authenticate" in dict(error.headers)) == (503, origin.issuing.url, False)
    assert str(error).isascii()
    assert str(error).isprintable()
    assert origin.asked["/elsewhere"] == 0

    origin.answers[path] = kept
    clock.at += BACK_OFF[0]
    assert drive.verify(verifier, token).subject

    origin.answers[path] = bad
    clock.at += SOFT_AGE
    assert drive.verify(verifier, token).subject
    threads_ended()
    assert drive.verify(verifier, token).subject
    assert origin.asked[path] == 3


@both
@pytest.mark.parametrize(
    "answer",
    [
        {"headers": {"Content-Type": "text/plain"}},
        {"headers": {"Content-Type": "application/jwk-set+json; charset=x"}},
        {"headers": {"Content-Encoding": "identity"}},
        {"headers": {"Content-Encoding": "IDENTITY"}},
        {"headers": {"Cache-Control": "no-store, max-age=-1", "Set-Cookie": "a=b", "ETag": '"' + "x" * 9_000 + '"'}},
        {"headers": {"Strict-Transport-Security": "max-age=1", "Retry-After": "3600"}},
    ],
    ids=lambda answer: repr(answer)[:60],
)
def test_what_does_not_matter_in_an_answer_is_ignored(
    origin: Origin, clock: Clock, drive: Drive, answer: dict[str, Any]
) -> None:
    origin.answers[JWKS] = sends(origin.key_set(), **answer)
    verifier = drive.make(origin.settings(), clock=clock)
    for _ in range(2):
        assert drive.verify(verifier, origin.issuing.token()).subject
    assert origin.asked[JWKS] == 1
    assert not any("cookie" in headers for headers in origin.headers)


@both
@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_an_answer_that_is_compressed_all_the_same_is_unpacked(
    origin: Origin, clock: Clock, drive: Drive, encoding: str
) -> None:
    good = origin.key_set()
    full = good + b" " * (JWKS_BYTES - len(good))
    origin.answers[JWKS] = sends(gzip.compress(full), headers={"Content-Encoding": encoding})
    assert drive.verify(drive.make(origin.settings(), clock=clock), origin.issuing.token()).subject


@both
def test_a_key_set_of_just_the_limit_is_taken(origin: Origin, clock: Clock, drive: Drive) -> None:
    good = origin.key_set()
    origin.answers[JWKS] = raw(chunked(good + b" " * (JWKS_BYTES - len(good))))
    assert drive.verify(drive.make(origin.settings(), clock=clock), origin.issuing.token()).subject


@both
def test_an_issuer_that_nobody_answers_for_is_unavailable(clock: Clock, drive: Drive) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        settings = ApiSettings(identifier=API, issuers=[Issuer(url)])
        trouble(drive, drive.make(settings, clock=clock), Issuing(url=url).token())


@both
def test_a_host_that_has_no_address_is_unavailable(clock: Clock, drive: Drive) -> None:
    settings = ApiSettings(identifier=API, issuers=[Issuer("https://no-such-host.invalid/")])
    trouble(drive, drive.make(settings, clock=clock), Issuing(url="https://no-such-host.invalid/").token())


def slowly(origin: Origin, answer: Answer) -> dict[str, tuple[str | None, float]]:
    """By driver, the trouble of a first request with a slow endpoint, and its seconds. Both at the same time."""
    origin.answers[JWKS] = answer

    def ask(drive: Drive) -> tuple[str | None, float]:
        verifier, began = drive.make(origin.settings(), clock=Clock()), time.monotonic()
        try:
            drive.verify(verifier, origin.issuing.token())
        except KeysUnavailable:
            return verifier.status().issuers[0].trouble, time.monotonic() - began
        return "none", time.monotonic() - began

    with ThreadPoolExecutor(2) as pool:
        outcomes = pool.map(ask, [Threads, Tasks])
        return dict(zip(["threads", "tasks"], outcomes, strict=True))


@pytest.mark.parametrize(
    ("headers", "ending"),
    [(HEAD + b"\r\n", b""), (HEAD + b"X-Slow:", b"\r\n\r\n")],
    ids=["body", "headers"],
)
def test_an_answer_that_drips_is_given_up_after_its_seconds(origin: Origin, headers: bytes, ending: bytes) -> None:
    slow = drips(headers, 0.25, TOTAL_SECONDS + 2.0, ending + origin.key_set())
    outcomes = slowly(origin, slow)
    assert {name: outcome for name, (outcome, _) in outcomes.items()} == dict.fromkeys(outcomes, "deadline")
    late = {name for name, (_, seconds) in outcomes.items() if seconds > TOTAL_SECONDS + 1.5}
    assert late == set()


# ------------------------------------------------------------------------------------------ who waits, and who does not


def test_a_waiter_that_is_cancelled_does_not_end_the_load_for_the_others(origin: Origin, clock: Clock) -> None:
    gate = origin.gate()

    async def main() -> None:
        verifier = AsyncVerifier(origin.settings(), clock=clock)
        leader, waiter, other = (asyncio.create_task(verifier.verify(origin.issuing.token())) for _ in range(3))
        await reached(gate)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        gate.open()
        assert (await leader).subject == (await other).subject

    asyncio.run(main())
    assert origin.asked == {DISCOVERY: 1, JWKS: 1}


def test_a_leader_that_is_cancelled_does_not_end_the_load_for_the_others(origin: Origin, clock: Clock) -> None:
    gate = origin.gate()

    async def main() -> None:
        verifier = AsyncVerifier(origin.settings(), clock=clock)
        leader = asyncio.create_task(verifier.verify(origin.issuing.token()))
        await reached(gate)
        waiter = asyncio.create_task(verifier.verify(origin.issuing.token()))
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        gate.open()
        assert (await waiter).subject
        await others_ended()

    asyncio.run(main())
    assert origin.asked == {DISCOVERY: 1, JWKS: 1}


def test_a_load_that_everybody_left_lands_all_the_same(origin: Origin, clock: Clock) -> None:
    gate = origin.gate()

    async def main() -> None:
        verifier = AsyncVerifier(origin.settings(), clock=clock)
        leader = asyncio.create_task(verifier.verify(origin.issuing.token()))
        await reached(gate)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        gate.open()
        await others_ended()
        assert (await verifier.verify(origin.issuing.token())).subject

    asyncio.run(main())
    assert origin.asked == {DISCOVERY: 1, JWKS: 1}


def test_two_event_loops_share_one_load(origin: Origin, clock: Clock) -> None:
    gate = origin.gate()
    verifier = AsyncVerifier(origin.settings(), clock=clock)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(Tasks.verify, verifier, origin.issuing.token())
        assert gate.reached.wait(PATIENCE)
        second = pool.submit(Tasks.verify, verifier, origin.issuing.token())
        gate.open()
        assert first.result(PATIENCE).subject == second.result(PATIENCE).subject
    assert Tasks.verify(verifier, origin.issuing.token()).subject  # and a third, later
    assert origin.asked == {DISCOVERY: 1, JWKS: 1}


def test_an_event_loop_that_ends_during_its_load_leaves_nobody_waiting(origin: Origin, clock: Clock) -> None:
    gate = origin.gate()
    verifier, token = AsyncVerifier(origin.settings(), clock=clock), origin.issuing.token()
    waiting = threading.Event()

    async def leave() -> None:
        leader = asyncio.create_task(verifier.verify(token))
        await reached(gate)
        assert await asyncio.to_thread(waiting.wait, PATIENCE)
        leader.cancel()

    async def wait() -> KeysUnavailable:
        call = asyncio.create_task(verifier.verify(token))
        await asyncio.sleep(0)  # it has begun, and waits for the other loop's load
        waiting.set()
        with pytest.raises(KeysUnavailable) as error:
            await call
        return error.value

    with ThreadPoolExecutor(2) as pool:
        leaving = pool.submit(asyncio.run, leave())
        assert gate.reached.wait(PATIENCE)
        error = pool.submit(asyncio.run, wait()).result(PATIENCE)
        leaving.result(PATIENCE)
    assert error.status == 503
    gate.open()
    # It counts as a load that failed: the issuer is not asked again at once.
    trouble(Tasks, verifier, token)
    assert origin.asked[JWKS] == 1
    clock.at += BACK_OFF[0]
    assert Tasks.verify(verifier, token).subject


def test_a_load_that_never_ends_is_given_up_and_another_one_begun(origin: Origin, clock: Clock) -> None:
    verifier, token = Verifier(origin.settings(), clock=clock), origin.issuing.token()
    good = origin.answers[JWKS]
    gate = origin.gate()
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(verifier.verify, token)
        assert gate.reached.wait(PATIENCE)
        origin.answers[JWKS] = good
        clock.at += LONGEST_FLIGHT
        assert verifier.verify(token).subject
        assert not gate.is_open
        gate.open()
        assert stuck.result(PATIENCE).subject
    assert origin.asked[JWKS] == 2
    assert verifier.verify(token).subject


def test_a_load_that_was_given_up_does_not_end_the_one_after_it(origin: Origin, clock: Clock) -> None:
    verifier, token = Verifier(origin.settings(), clock=clock), origin.issuing.token()
    good = origin.answers[JWKS]
    origin.answers[JWKS] = sends(b"", 500)
    slow = origin.gate()
    with ThreadPoolExecutor(3) as pool:
        stuck = pool.submit(verifier.verify, token)
        assert slow.reached.wait(PATIENCE)
        origin.answers[JWKS] = good
        second = origin.gate()
        clock.at += LONGEST_FLIGHT
        after = pool.submit(verifier.verify, token)
        assert second.reached.wait(PATIENCE)
        slow.open()
        with pytest.raises(KeysUnavailable):
            stuck.result(PATIENCE)
        clock.at += BACK_OFF[0]
        asking = threading.Event()
        late = pool.submit(lambda: (asking.set(), verifier.verify(token))[1])
        assert asking.wait(PATIENCE)
        second.open()
        assert after.result(PATIENCE).subject == late.result(PATIENCE).subject
    assert origin.asked[JWKS] == 2


def test_a_known_key_does_not_wait_for_a_refresh_in_threads(origin: Origin, clock: Clock) -> None:
    verifier, token = Verifier(origin.settings(), clock=clock), origin.issuing.token()
    verifier.verify(token)
    gate = origin.gate()
    clock.at += SOFT_AGE
    # The first of them causes the refresh, and does not wait for it either.
    began = time.monotonic()
    assert [verifier.verify(token).subject for _ in range(5)] == ["app-1@clients"] * 5
    assert time.monotonic() - began < TOTAL_SECONDS / 2
    assert gate.reached.wait(PATIENCE)
    assert verifier.verify(token).subject
    assert not gate.is_open
    gate.open()
    threads_ended()
    assert verifier.verify(token).subject
    assert origin.asked[JWKS] == 2


def test_a_known_key_does_not_wait_for_a_refresh_in_tasks(origin: Origin, clock: Clock) -> None:
    async def main() -> None:
        verifier, token = AsyncVerifier(origin.settings(), clock=clock), origin.issuing.token()
        await verifier.verify(token)
        gate = origin.gate()
        clock.at += SOFT_AGE
        began = time.monotonic()
        assert [(await verifier.verify(token)).subject for _ in range(5)] == ["app-1@clients"] * 5
        assert time.monotonic() - began < TOTAL_SECONDS / 2
        await reached(gate)
        assert (await verifier.verify(token)).subject
        assert not gate.is_open
        gate.open()
        await others_ended()
        assert (await verifier.verify(token)).subject

    asyncio.run(main())
    assert origin.asked[JWKS] == 2


def test_a_known_key_does_not_wait_for_an_unknown_one(origin: Origin, clock: Clock) -> None:
    verifier, token = Verifier(origin.settings(), clock=clock), origin.issuing.token()
    verifier.verify(token)
    new = Issuing(url=origin.issuing.url, number=2)
    origin.publish(origin.issuing, new)
    gate = origin.gate()
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(verifier.verify, new.token())
        assert gate.reached.wait(PATIENCE)
        also = pool.submit(verifier.verify, new.token())
        assert verifier.verify(token).subject
        assert not gate.is_open
        gate.open()
        assert waiting.result(PATIENCE).subject == also.result(PATIENCE).subject
    assert origin.asked[JWKS] == 2


@both
def test_unknown_kids_cost_one_fetch_in_each_cool_down(origin: Origin, clock: Clock, drive: Drive) -> None:
    verifier = drive.make(origin.settings(), clock=clock)
    drive.verify(verifier, origin.issuing.token())
    for span in range(3):
        for n in range(20):
            with pytest.raises(InvalidToken):
                drive.verify(verifier, origin.issuing.token(header={"kid": f"no-{n}"}))
        assert origin.asked[JWKS] == 2 + span
        clock.at += COOL_DOWN


@both
def test_an_issuer_that_goes_down_is_served_for_a_day_and_comes_back(
    origin: Origin, clock: Clock, drive: Drive
) -> None:
    verifier, token = drive.make(origin.settings(), clock=clock), origin.issuing.token()
    drive.verify(verifier, token)
    began, good = clock.at, origin.answers[JWKS]
    origin.answers[JWKS] = sends(b"", 502)
    for hour in range(1, 24, 5):
        clock.at = began + hour * 3_600
        assert drive.verify(verifier, token).subject
        threads_ended()
    clock.at = began + HARD_AGE
    trouble(drive, verifier, token)
    origin.answers[JWKS] = good
    clock.at += 60
    assert drive.verify(verifier, token).subject


# ------------------------------------------------------------------------------------------------------ the HTTP client


def test_a_callers_own_client_is_used_and_stays_open(origin: Origin, clock: Clock) -> None:
    with httpx.Client(headers={"X-Mine": "1"}, follow_redirects=True) as client:
        verifier = Verifier(origin.settings(), http=client, clock=clock)
        assert verifier.verify(origin.issuing.token()).subject
        assert not client.is_closed
        clock.at += SOFT_AGE
        verifier.verify(origin.issuing.token())
        threads_ended()
    assert [headers["x-mine"] for headers in origin.headers] == ["1"] * 4


def test_a_callers_own_async_client_is_used_and_stays_open(origin: Origin, clock: Clock) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(headers={"X-Mine": "1"}, follow_redirects=True) as client:
            verifier = AsyncVerifier(origin.settings(), http=client, clock=clock)
            assert (await verifier.verify(origin.issuing.token())).subject
            assert not client.is_closed

    asyncio.run(main())
    assert [headers["x-mine"] for headers in origin.headers] == ["1"] * 2


@both
def test_a_callers_client_that_follows_redirects_does_not_here(origin: Origin, clock: Clock, drive: Drive) -> None:
    origin.answers["/elsewhere"] = origin.answers[JWKS]
    origin.answers[JWKS] = sends(b"", 302, {"Location": "/elsewhere"})
    kind = httpx.Client if drive is Threads else httpx.AsyncClient
    client = kind(follow_redirects=True)
    trouble(drive, drive.make(origin.settings(), http=client, clock=clock), origin.issuing.token())
    assert origin.asked["/elsewhere"] == 0
    client.close() if isinstance(client, httpx.Client) else asyncio.run(client.aclose())


@both
@pytest.mark.parametrize("client", ["closed", "no client at all"])
def test_a_client_that_cannot_fetch_is_our_trouble_and_no_foreign_exception(
    origin: Origin, clock: Clock, drive: Drive, client: Any
) -> None:
    if client == "closed":
        client = httpx.Client() if drive is Threads else httpx.AsyncClient()
        client.close() if isinstance(client, httpx.Client) else asyncio.run(client.aclose())
    trouble(drive, drive.make(origin.settings(), http=client, clock=clock), origin.issuing.token())


# ------------------------------------------------------------------------------------------------ requests and settings


@both
def test_a_whole_request_is_verified(origin: Origin, clock: Clock, drive: Drive) -> None:
    verifier = drive.make(origin.settings(), clock=clock)
    good = Request("GET", API, [("Authorization", f"Bearer {origin.issuing.token()}")])
    assert drive.verify_request(verifier, good).subject == "app-1@clients"
    found = drive.outcome(verifier, good)
    assert isinstance(found, AccessToken)
    assert found.raw == drive.verify_request(verifier, good).raw


@both
def test_an_outcome_is_a_value_and_not_in_the_log(
    origin: Origin, clock: Clock, drive: Drive, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jwtgate")
    verifier = drive.make(origin.settings(), clock=clock)
    nobody = Request("GET", API, [])
    found = drive.outcome(verifier, nobody)
    assert isinstance(found, AuthError)
    assert (found.status, found.refusal is not None, found.logged) == (401, True, False)
    assert caplog.records == []
    with pytest.raises(AuthError):
        drive.verify_request(verifier, nobody)
    assert len(caplog.records) == 1


@both
@pytest.mark.parametrize("token", [None, 7, b"eyJ", ["x"], "\ud800", "x" * 10**6, "." * 10**6, "a.b\0.c", "", "é.é.é"])
def test_whatever_is_handed_in_only_our_own_exceptions_come_out(clock: Clock, drive: Drive, token: Any) -> None:
    settings = ApiSettings(identifier=API, domain="tenant.eu.auth0.com")
    with pytest.raises(InvalidToken) as error:
        drive.verify(drive.make(settings, clock=clock), token)
    assert len(str(error.value)) < 400


@both
@pytest.mark.parametrize("settings", [None, {}, "https://api.test/"])
def test_a_verifier_takes_settings_and_nothing_else(drive: Drive, settings: Any) -> None:
    with pytest.raises(SettingsError) as error:
        drive.make(settings)
    assert error.value.setting == "settings"


def test_a_client_of_the_other_kind_shows_at_start_up() -> None:
    settings = ApiSettings(identifier=API, domain="tenant.eu.auth0.com")
    with httpx.Client() as waits:
        with pytest.raises(SettingsError) as error:
            AsyncVerifier(settings, http=waits)
        assert error.value.setting == "http"
    with pytest.raises(SettingsError) as error:
        Verifier(settings, http=httpx.AsyncClient())  # opens nothing, and needs no closing
    assert error.value.setting == "http"


@both
def test_what_is_told_of_events_cannot_be_awaited(drive: Drive) -> None:
    async def told(event: object) -> None: ...

    with pytest.raises(SettingsError) as error:
        drive.make(ApiSettings(identifier=API, domain="tenant.eu.auth0.com"), on_event=told)
    assert error.value.setting == "on_event"


@both
def test_two_verifiers_know_nothing_of_each_other(origin: Origin, clock: Clock, drive: Drive) -> None:
    one = drive.make(origin.settings(), clock=clock)
    two = drive.make(origin.settings(identifier="https://two.test/"), clock=clock)
    for verifier, good, bad in ((one, API, "https://two.test/"), (two, "https://two.test/", API)):
        assert drive.verify(verifier, origin.issuing.token(aud=good)).audience == (good,)
        with pytest.raises(InvalidToken):
            drive.verify(verifier, origin.issuing.token(aud=bad))
    assert origin.asked == {DISCOVERY: 2, JWKS: 2}


# -------------------------------------------------------------------------------------------------------------- the log


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records if record.name == "jwtgate"]


@both
def test_a_refusal_is_one_line_at_info_with_the_name_of_its_kind(
    origin: Origin, clock: Clock, drive: Drive, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jwtgate")
    verifier = drive.make(origin.settings(), clock=clock)
    evil = "x\r\nrefused: 200 \u202e" + "y" * 1_000
    tokens = {
        "TokenExpired": origin.issuing.token(exp=1),
        "WrongAudience": origin.issuing.token(aud=evil),
        "UntrustedIssuer": origin.issuing.token(iss=evil),
        "ClaimRejected": origin.issuing.token(sub=[evil]),
        "UnknownKey": origin.issuing.token(header={"kid": evil[:200]}),
        "HeaderRejected": origin.issuing.token(header={"alg": evil}),
        "OpaqueToken": evil,
    }
    for token in tokens.values():
        with pytest.raises(InvalidToken):
            drive.verify(verifier, token)
    assert [record.event for record in caplog.records] == list(tokens)  # type: ignore[attr-defined]
    for level, line in lines(caplog):
        assert level == logging.INFO
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 500


@both
def test_trouble_with_keys_is_a_warning_and_no_keys_at_all_is_an_error(
    origin: Origin, clock: Clock, drive: Drive, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "jwtgate")
    verifier, token = drive.make(origin.settings(), clock=clock), origin.issuing.token()

    def levels() -> list[int]:
        threads_ended()
        found = [level for level, line in lines(caplog) if line.isascii() and line.isprintable()]
        caplog.clear()
        return found

    good = origin.answers[JWKS]
    origin.answers[JWKS] = sends(b"", 500)
    trouble(drive, verifier, token)
    assert levels() == [logging.ERROR]
    origin.answers[JWKS] = good
    clock.at += 1
    drive.verify(verifier, token)
    assert levels() == []
    origin.answers[JWKS] = sends(b"", 500)
    clock.at += SOFT_AGE
    drive.verify(verifier, token)
    assert levels() == [logging.WARNING]
    # The last good keys are too old to serve: again there are none.
    clock.at += HARD_AGE
    trouble(drive, verifier, token)
    assert levels() == [logging.ERROR]
    odd = {"keys": [origin.issuing.key().jwk(), {"kty": "\r\nodd"}]}
    origin.answers[JWKS] = sends(json.dumps(odd).encode())
    clock.at += 60
    drive.verify(verifier, token)
    assert levels() == [logging.WARNING]


@both
def test_a_load_that_goes_well_is_said_to_who_listens_closely(
    origin: Origin, clock: Clock, drive: Drive, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "jwtgate")
    drive.verify(drive.make(origin.settings(), clock=clock), origin.issuing.token())
    assert [level for level, _ in lines(caplog)] == [logging.DEBUG]


@both
def test_no_part_of_a_token_or_secret_is_in_a_log_an_exception_or_a_repr(
    origin: Origin, clock: Clock, drive: Drive, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    issuing = origin.issuing
    shared = drive.make(origin.settings(signing_algorithms=["HS256"], signing_secret=SECRET), clock=clock)
    public = drive.make(origin.settings(), clock=clock)
    bad = [
        issuing.token(exp=1),
        issuing.token(aud="x"),
        issuing.token(iss="x"),
        issuing.token(header={"alg": "none"}),
        issuing.token(header={"kid": "other"}),
        issuing.token()[:-9],
        issuing.token() + "=",
        issuing.token() + ".x",
        issuing.token() + ".x.y",
        issuing.token().replace(".", "!"),
        issuing.token().replace(".", ","),
    ]
    said = [repr(shared), repr(public), repr(shared.settings)]
    for verifier in (public, shared):
        for token in bad:
            for header in (f"Bearer {token}", f"Bearer  {token} x", f"Bearer {token}, Bearer {token}", token):
                request = Request("GET", API, [("Authorization", header)])
                with pytest.raises(JwtGateError) as error:
                    drive.verify_request(verifier, request)
                said += [str(error.value), repr(error.value), "".join(traceback.format_exception(error.value))]
                said += [repr(vars(error.value))]
    said += [repr(vars(record)) for record in caplog.records if record.name == "jwtgate"]
    secrets = {
        part[8:40] for token in bad for part in token.replace("!", ".").replace(",", ".").split(".") if len(part) > 40
    }
    secrets |= {SECRET.decode(), repr(SECRET)}
    assert not [(secret, text) for text in said for secret in secrets if secret in text]
