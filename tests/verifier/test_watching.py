"""What is seen of a verifier: events as typed values, the log, and counters."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import pytest

from jwtgate import ApiSettings, AsyncVerifier, AuthError, Issuer, KeysUnavailable, Request, SettingsError, Verifier
from jwtgate.core.events import (
    KeyEvent,
    KeysKept,
    KeysLoaded,
    KeysMissing,
    KeysRestored,
    PlainHttp,
    RevocationsRead,
    RevocationsUnread,
    SnapshotTrouble,
)
from jwtgate.core.key_state import BACK_OFF, COOL_DOWN, HARD_AGE, SOFT_AGE
from jwtgate.core.status import Counters
from jwtgate.verifier.flights import MOST_RESOLVED
from jwtgate.verifier.watching import Tally, Watch
from tests.loopback import DISCOVERY, JWKS, PATIENCE, Clock, Drive, Origin, both, sends, threads_ended, trouble
from tests.making import API, Issuing

# --------------------------------------------------------------------------------------------------------------- events


@both
def test_the_story_of_an_issuer_is_told_in_events(
    origin: Origin, clock: Clock, drive: Drive, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "jwtgate")
    events: list[KeyEvent] = []
    verifier = drive.make(origin.settings(), clock=clock, on_event=events.append)
    url, token, new = origin.issuing.url, origin.issuing.token(), Issuing(url=origin.issuing.url, number=2)

    def next_event() -> KeyEvent:
        threads_ended()
        (event,) = events
        events.clear()
        return event

    good = origin.answers[JWKS]
    origin.answers[JWKS] = sends(b"secret", 429)
    trouble(drive, verifier, token)
    missing = next_event()
    assert isinstance(missing, KeysMissing)
    assert (missing.issuer, missing.trouble, missing.failures) == (url, "status", 1)
    assert BACK_OFF[0] / 2 <= missing.retry_in <= BACK_OFF[0]

    origin.answers[JWKS] = good
    clock.at += BACK_OFF[0]
    drive.verify(verifier, token)
    assert next_event() == KeysLoaded(url, ("RSA-1",), ("RSA-1",), (), (), 1, 0.0)

    origin.publish(new)
    clock.at += SOFT_AGE
    drive.verify(verifier, token)
    assert next_event() == KeysLoaded(url, ("RSA-2",), ("RSA-2",), ("RSA-1",), (), 2, 0.0)

    origin.answers[DISCOVERY] = origin.answers[JWKS] = sends(b"<html>", 200)
    clock.at += SOFT_AGE
    drive.verify(verifier, new.token())
    kept = next_event()
    assert isinstance(kept, KeysKept)
    assert (kept.issuer, kept.trouble, kept.failures, kept.age) == (url, "key_set", 1, SOFT_AGE)

    clock.at += HARD_AGE
    trouble(drive, verifier, token)
    assert isinstance(next_event(), KeysMissing)

    records = [record for record in caplog.records if record.name == "jwtgate" and hasattr(record, "detail")]
    names = ["keys.missing", "keys.loaded", "keys.loaded", "keys.kept", "keys.missing"]
    levels = [logging.ERROR, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR]
    assert [record.event for record in records] == names  # type: ignore[attr-defined]
    assert [record.levelno for record in records] == levels
    assert [type(record.detail) for record in records] == [  # type: ignore[attr-defined]
        KeysMissing, KeysLoaded, KeysLoaded, KeysKept, KeysMissing,
    ]  # fmt: skip
    assert not [record for record in records if "secret" in repr(vars(record)) or "html" in record.getMessage()]


EVENTS: list[KeyEvent] = [
    KeysLoaded("i", ("1",), ("1",), (), (), 1, 0.5),
    KeysKept("i", "status", "r", 1, 600.0, 5.0),
    KeysMissing("i", "status", "r", 1, 5.0),
    KeysRestored("i", ("1",), 60.0),
    PlainHttp("i", "http://i"),
    SnapshotTrouble("read", "r"),
    RevocationsUnread("r"),
    RevocationsRead(12.0),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_every_event_is_one_line_and_one_call(event: KeyEvent, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "jwtgate")
    told: list[KeyEvent] = []
    Watch(told.append).tell(event)
    assert told == [event]
    (record,) = caplog.records
    assert record.getMessage().isprintable()
    assert (vars(record)["event"], vars(record)["detail"]) == (event.name, event)


def test_these_are_all_the_events_there_are() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(KeyEvent))


@both
def test_a_listener_that_fails_harms_nobody(
    origin: Origin, clock: Clock, drive: Drive, caplog: pytest.LogCaptureFixture
) -> None:
    def on_event(event: KeyEvent) -> None:
        raise RuntimeError("listener")

    verifier = drive.make(origin.settings(), clock=clock, on_event=on_event)
    assert drive.verify(verifier, origin.issuing.token()).subject
    assert [record.exc_info is not None for record in caplog.records] == [True]


@both
def test_an_address_without_tls_must_be_asked_for_and_is_told_at_start(drive: Drive) -> None:
    plain = {"metadata_url": "http://idp.internal:8080/metadata", "allow_http": True}
    events: list[KeyEvent] = []
    issuers = [
        Issuer("https://public.test/", **plain),  # type: ignore[arg-type]
        Issuer("http://idp.internal/realms/x", jwks_uri="http://idp.internal/keys", allow_http=True),
        Issuer("http://127.0.0.1:8080/"),
        Issuer("https://careful.test/", allow_http=True),
    ]
    drive.make(ApiSettings(identifier=API, issuers=issuers), on_event=events.append)
    assert events == [
        PlainHttp("https://public.test/", "http://idp.internal:8080/metadata"),
        PlainHttp("http://idp.internal/realms/x", "http://idp.internal/realms/x"),
        PlainHttp("http://idp.internal/realms/x", "http://idp.internal/keys"),
    ]
    for bad in ({**plain, "allow_http": False}, {"jwks_uri": "http://idp.internal/keys"}):
        with pytest.raises(SettingsError):
            Issuer("https://public.test/", **bad)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------- counters


@both
def test_what_happens_is_counted(origin: Origin, clock: Clock, drive: Drive) -> None:
    verifier = drive.make(origin.settings(), clock=clock)
    nothing = Counters(accepted=0, refused={}, loads=0, failed_loads=0, kid_loads=0, fetches=0, failed_fetches=0)
    assert verifier.counters() == nothing
    good = origin.answers[JWKS]
    origin.answers[JWKS] = sends(b"", 500)
    trouble(drive, verifier, origin.issuing.token())
    origin.answers[JWKS] = good
    clock.at += BACK_OFF[0]
    for token in [origin.issuing.token()] * 3 + [origin.issuing.token(exp=1)] * 2 + ["x"]:
        request = Request("GET", API, [("Authorization", f"Bearer {token}")])
        drive.outcome(verifier, request)
    with pytest.raises(AuthError):
        drive.verify_request(verifier, Request("GET", API, []))
    drive.verify(verifier, origin.issuing.token())
    clock.at += COOL_DOWN
    with pytest.raises(AuthError):
        drive.verify(verifier, origin.issuing.token(header={"kid": "no"}))
    expected = Counters(
        accepted=4,
        refused={
            "KeysUnavailable": 1, "TokenExpired": 2, "OpaqueToken": 1, "MissingCredentials": 1, "UnknownKey": 1,
        },
        loads=3,
        failed_loads=1,
        kid_loads=1,
        fetches=5,
        failed_fetches=1,
    )  # fmt: skip
    assert verifier.counters() == verifier.counters() == expected
    assert Counter(origin.asked).total() == expected.fetches


def test_nothing_is_lost_between_threads() -> None:
    tally, looks = Tally(), list[int]()

    def count() -> None:
        for _ in range(10_000):
            tally.add()

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        looks.append(tally.value())
    for thread in threads:
        thread.join()
    assert (tally.value(), tally.value()) == (80_000, 80_000)
    assert looks == sorted(looks)


# ------------------------------------------------------------------------------------------------------------ resolvers


@both
def test_a_resolver_is_asked_by_both_drivers(origin: Origin, clock: Clock, drive: Drive) -> None:
    asked: list[str] = []

    def resolver(stated: str, request: Request | None) -> Issuer | None:
        asked.append(stated)
        return Issuer(stated) if stated == origin.issuing.url else None

    verifier = drive.make(ApiSettings(identifier=API, resolver=resolver), clock=clock)
    assert drive.verify(verifier, origin.issuing.token()).issuer == origin.issuing.url
    with pytest.raises(AuthError) as refused:
        drive.verify(verifier, origin.issuing.token(iss="https://other.test/"))
    assert (refused.value.status, asked) == (401, [origin.issuing.url, "https://other.test/"])
    assert [one.issuer for one in verifier.status().issuers] == [origin.issuing.url]


@both
def test_issuers_that_a_resolver_trusts_by_their_name_cause_a_few_loads_at_once(
    origin: Origin, clock: Clock, drive: Drive
) -> None:
    def resolver(stated: str, request: Request | None) -> Issuer:
        return Issuer(stated, jwks_uri=f"{origin.issuing.url}{stated.rpartition('-')[2]}")

    def verify(number: int) -> type[AuthError] | None:
        try:
            drive.verify(verifier, origin.issuing.token(iss=f"https://made-up-{number}"))
        except AuthError as error:
            return type(error)
        return None

    verifier = drive.make(origin.settings(resolver=resolver), clock=clock)
    drive.warm_up(verifier)
    numbers, beyond = range(MOST_RESOLVED + 20), MOST_RESOLVED + 20
    for number in (*numbers, beyond):
        origin.answers[f"/{number}"] = origin.answers[JWKS]
    gates = [origin.gate(f"/{number}") for number in numbers]
    with ThreadPoolExecutor(len(numbers)) as pool:
        calls = [pool.submit(verify, number) for number in numbers]
        deadline = time.monotonic() + PATIENCE
        while sum(call.done() for call in calls) < 20 or sum(gate.reached.is_set() for gate in gates) < MOST_RESOLVED:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # There is no room for others, and they do not wait. An issuer of the settings is not in their line.
        assert [call.result() for call in calls if call.done()] == [KeysUnavailable] * 20
        assert drive.verify(verifier, origin.issuing.token())
        assert verify(beyond) is KeysUnavailable
        for gate in gates:
            gate.open()
        assert Counter(call.result() for call in calls) == {None: MOST_RESOLVED, KeysUnavailable: 20}
    assert sum(origin.asked[f"/{number}"] for number in numbers) == MOST_RESOLVED
    assert (verify(beyond), origin.asked[f"/{beyond}"]) == (None, 1)
    drive.close(verifier)


def test_a_resolver_may_be_a_coroutine_function_for_tasks_alone(origin: Origin, clock: Clock) -> None:
    async def resolver(stated: str, request: Request | None) -> Issuer | None:
        await asyncio.sleep(0)
        return Issuer(stated)

    settings = ApiSettings(identifier=API, resolver=resolver)
    verifier = AsyncVerifier(settings, clock=clock)
    assert asyncio.run(verifier.verify(origin.issuing.token())).subject
    with pytest.raises(SettingsError) as refused:
        Verifier(settings)
    assert refused.value.setting == "resolver"


def test_a_resolver_that_turns_out_to_be_async_is_our_trouble(origin: Origin, clock: Clock) -> None:
    async def later(stated: str) -> Issuer:
        raise AssertionError(stated)

    class Awaitable:
        def __await__(self) -> Any:
            raise AssertionError

    for resolver in (lambda stated, request: later(stated), lambda stated, request: Awaitable()):
        verifier = Verifier(ApiSettings(identifier=API, resolver=resolver), clock=clock)
        with pytest.raises(AuthError) as refused:
            verifier.verify(origin.issuing.token())
        assert refused.value.status == 503


@both
def test_a_resolver_that_raises_is_our_trouble_and_its_exception_is_in_the_log(
    origin: Origin, clock: Clock, drive: Drive, caplog: pytest.LogCaptureFixture
) -> None:
    def resolver(stated: str, request: Request | None) -> Issuer | None:
        raise ConnectionError("database")

    verifier = drive.make(ApiSettings(identifier=API, resolver=resolver), clock=clock)
    with pytest.raises(AuthError) as refused:
        drive.verify(verifier, origin.issuing.token())
    assert refused.value.status == 503
    assert b"database" not in refused.value.body
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert record.exc_info[0] is ConnectionError
    assert origin.asked == {}
