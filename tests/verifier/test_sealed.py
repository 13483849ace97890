"""Encrypted tokens whose keys are kept elsewhere: what the callable may do, and what comes of it in both drivers."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from jwtgate import (
    ApiSettings,
    AsyncVerifier,
    AuthError,
    DecryptionKey,
    Issuer,
    MissingCredentials,
    Request,
    SettingsError,
    Unavailable,
    Verifier,
)
from jwtgate.core.errors import UndecryptableToken
from tests.loopback import Clock, Drive, Tasks, Threads, both
from tests.making import API, ISSUER, Issuing
from tests.sealing import oaep, private_key, seal

ISSUING = Issuing()
TOKEN = seal(ISSUING.token())
Ask = Callable[[bytes, str], Any]


def settings(*asks: Any, **changes: Any) -> ApiSettings:
    issuer = Issuer(ISSUER, jwks=ISSUING.jwks(ISSUING.key().jwk()))
    return ApiSettings(identifier=API, issuers=[issuer], decryption_keys=list(asks), **changes)


def opens(encrypted_key: bytes, algorithm: str) -> bytes:
    """As a KMS does."""
    return private_key().decrypt(encrypted_key, oaep(algorithm))


async def opens_later(encrypted_key: bytes, algorithm: str) -> bytes:
    await asyncio.sleep(0)
    return opens(encrypted_key, algorithm)


class Later:
    """An object that is called, and gives something to wait for."""

    def __call__(self, encrypted_key: bytes, algorithm: str) -> Awaitable[bytes]:
        return opens_later(encrypted_key, algorithm)


class Waiting:
    """To be awaited, but no coroutine."""

    def __init__(self, content_key: bytes) -> None:
        self._content_key = content_key

    def __await__(self) -> Any:
        yield from asyncio.sleep(0).__await__()
        return self._content_key


def raising(error: BaseException) -> Ask:
    def ask(encrypted_key: bytes, algorithm: str) -> bytes:
        raise error

    return ask


def raising_later(error: BaseException) -> Ask:
    async def ask(encrypted_key: bytes, algorithm: str) -> bytes:
        raise error

    return ask


def refused(drive: Drive, ask: Any, *others: Any) -> AuthError:
    with pytest.raises(AuthError) as error:
        drive.verify(drive.make(settings(ask, *others), clock=Clock()), TOKEN)
    return error.value


# ----------------------------------------------------------------------------------------------------------- it answers


@both
def test_a_key_that_is_kept_elsewhere_opens_a_token(drive: Drive) -> None:
    asked: list[tuple[int, str]] = []

    def ask(encrypted_key: bytes, algorithm: str) -> bytes:
        asked.append((len(encrypted_key), algorithm))
        return opens(encrypted_key, algorithm)

    token = drive.verify(
        drive.make(settings(DecryptionKey(ask, kid="1")), clock=Clock()), seal(ISSUING.token(), kid="1")
    )
    assert (token.subject, asked) == ("app-1@clients", [(256, "RSA-OAEP-256")])


@pytest.mark.parametrize("ask", [opens_later, Later(), lambda key, algorithm: Waiting(opens(key, algorithm))])
def test_it_may_be_waited_for_in_tasks(ask: Ask) -> None:
    verifier = AsyncVerifier(settings(ask), clock=Clock())
    assert Tasks.verify(verifier, TOKEN).subject == "app-1@clients"


def test_a_request_that_waits_for_it_holds_up_no_other() -> None:
    async def main() -> None:
        opened, reached = asyncio.Event(), asyncio.Event()

        async def ask(encrypted_key: bytes, algorithm: str) -> bytes:
            reached.set()
            await opened.wait()
            return opens(encrypted_key, algorithm)

        verifier = AsyncVerifier(settings(ask), clock=Clock())
        sealed = asyncio.create_task(verifier.verify(TOKEN))
        await reached.wait()
        assert (await verifier.verify(ISSUING.token())).subject
        opened.set()
        assert (await sealed).subject

    asyncio.run(main())


# ------------------------------------------------------------------------------------------------ its key does not open


def nothing(encrypted_key: bytes, algorithm: str) -> None:
    """Gives None."""


@both
@pytest.mark.parametrize(
    "ask",
    [
        nothing,
        raising(ValueError("Decryption failed")),
        lambda key, algorithm: b"",
        lambda key, algorithm: bytes(32),
        lambda key, algorithm: bytes(16),
        lambda key, algorithm: bytes(1_000_000),
    ],
    ids=["None", "ValueError", "no bytes", "another key", "too short", "too long"],
)
def test_a_key_that_does_not_open_a_token_is_the_tokens_fault(
    drive: Drive, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    error = refused(drive, ask)
    assert (type(error), error.status) == (UndecryptableToken, 401)
    assert [record.levelno for record in caplog.records if record.levelno > logging.INFO] == []
    # And the next key is asked.
    verifier = drive.make(settings(ask, opens), clock=Clock())
    assert drive.verify(verifier, TOKEN).subject


def test_that_may_be_found_out_later(caplog: pytest.LogCaptureFixture) -> None:
    assert type(refused(Tasks, raising_later(ValueError("Decryption failed")))) is UndecryptableToken
    assert [record.levelno for record in caplog.records if record.levelno > logging.INFO] == []


# ------------------------------------------------------------------------------------------------------------- trouble


class Strange(ValueError):
    """A ValueError of somebody's own."""


@both
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("secret"),
        OSError(111, "secret"),
        TimeoutError("secret"),
        KeyError("secret"),
        json.JSONDecodeError("secret", "", 0),
        UnicodeDecodeError("ascii", b"", 0, 1, "secret"),
        Strange("secret"),
        SettingsError("secret", "secret"),
        MissingCredentials("secret"),
        StopIteration("secret"),
        StopAsyncIteration("secret"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_callable_that_fails_is_our_trouble(
    drive: Drive, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    found = refused(drive, raising(error), opens)
    assert (type(found), found.status) == (Unavailable, 503)
    assert dict(found.headers)["Retry-After"] == "1"
    assert b"secret" not in found.body
    assert "secret" not in str(found)
    assert type(error).__name__ in str(found)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert vars(record)["event"] == "decryption.failed"
    assert record.exc_info is not None


def test_trouble_may_come_later(caplog: pytest.LogCaptureFixture) -> None:
    found = refused(Tasks, raising_later(RuntimeError("secret")), opens)
    assert (type(found), "secret" in str(found)) == (Unavailable, False)
    assert [vars(record)["event"] for record in caplog.records if record.levelno == logging.ERROR] == [
        "decryption.failed"
    ]


@both
@pytest.mark.parametrize("answer", ["text", bytearray(32), memoryview(bytes(32)), 7, True, [0]], ids=range(6))
def test_what_is_neither_bytes_nor_none_is_our_trouble(drive: Drive, answer: Any) -> None:
    found = refused(drive, lambda key, algorithm: answer, opens)
    assert type(found) is Unavailable
    assert type(answer).__name__ in str(found)


@both
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_is_not_ours(drive: Drive, interruption: type[BaseException]) -> None:
    verifier = drive.make(settings(raising(interruption())), clock=Clock())
    with pytest.raises(interruption):
        drive.verify(verifier, TOKEN)


def test_a_request_that_is_cancelled_while_it_waits_is_cancelled() -> None:
    async def main() -> None:
        reached = asyncio.Event()

        async def ask(encrypted_key: bytes, algorithm: str) -> bytes:
            reached.set()
            await asyncio.Event().wait()
            return b""

        waiting = asyncio.create_task(AsyncVerifier(settings(ask), clock=Clock()).verify(TOKEN))
        await reached.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())


# ------------------------------------------------------------------------------------------------- threads cannot await


def test_a_coroutine_function_needs_tasks_and_that_is_said_at_the_start() -> None:
    for asks in ((opens_later,), (opens, DecryptionKey(opens_later, kid="2"))):
        with pytest.raises(SettingsError) as error:
            Verifier(settings(*asks))
        assert error.value.setting == "decryption_keys"
    Verifier(settings(opens))


@pytest.mark.parametrize("ask", [Later(), lambda key, algorithm: Waiting(b"")], ids=["a coroutine", "no coroutine"])
def test_what_only_turns_out_to_be_one_is_our_trouble_and_leaves_nothing_behind(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    # A coroutine that nobody awaits would warn, and a warning is an error.
    assert type(refused(Threads, ask, opens)) is Unavailable
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "AsyncVerifier" in str(record.exc_info[1])  # type: ignore[index]


# ------------------------------------------------------------------------------------------------------ a whole request


@both
def test_a_whole_request_may_carry_a_sealed_token(drive: Drive) -> None:
    verifier = drive.make(settings(opens), clock=Clock())
    sent = Request("GET", API, [("Authorization", f"Bearer {TOKEN}")])
    assert drive.verify_request(verifier, sent).raw == TOKEN
    assert drive.outcome(verifier, sent).subject == "app-1@clients"


@both
def test_a_callable_is_not_asked_for_what_no_key_of_ours_can_open(drive: Drive) -> None:
    asked: list[bytes] = []

    def ask(encrypted_key: bytes, algorithm: str) -> None:
        asked.append(encrypted_key)

    verifier = drive.make(settings(ask), clock=Clock())
    for token in (
        seal("a.b.c", encrypted_key=b"x" * 9),
        seal("a.b.c", alg="RSA1_5"),
        seal("a.b.c", enc="A128GCM"),
        "a.b.c.d.e",
    ):
        with pytest.raises(AuthError):
            drive.verify(verifier, token)
    assert asked == []
