"""What a caller's type checker sees of keys: mypy and pyright read this file too, and it must run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Literal, assert_never, assert_type

from jwtgate import ApiSettings, AsyncVerifier, Issuer, Verifier
from jwtgate.core.effects import Trouble
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
from jwtgate.core.status import Counters, Source, Status

SETTINGS = ApiSettings(identifier="https://api.test/", issuers=[Issuer("http://keys.internal/", allow_http=True)])


def label(event: KeyEvent) -> tuple[str, str | None]:
    """A metric's two labels: no event can be forgotten."""
    match event:
        case KeysLoaded():
            assert_type(event.generation, int)
            assert_type(event.withdrawn, tuple[str, ...])
            return event.name, None
        case KeysKept() | KeysMissing():
            assert_type(event.trouble, Trouble)
            assert_type(event.retry_in, float)
            return event.name, event.trouble
        case KeysRestored():
            assert_type(event.age, float)
            return event.name, None
        case PlainHttp():
            assert_type(event.url, str)
            return event.name, None
        case SnapshotTrouble():
            assert_type(event.action, Literal["read", "write"])
            return event.name, event.action
        case RevocationsUnread():
            assert_type(event.reason, str)
            return event.name, None
        case RevocationsRead():
            assert_type(event.seconds, float)
            return event.name, None
        case _:
            assert_never(event)


def test_events_are_typed() -> None:
    told: list[tuple[str, str | None]] = []
    with Verifier(SETTINGS, on_event=lambda event: told.append(label(event))):
        assert told == [("issuer.plain_http", None)]


def test_a_status_is_typed() -> None:
    with Verifier(SETTINGS) as verifier:
        status, counters = verifier.status(), verifier.counters()
        assert_type(status, Status)
        (issuer,) = status.issuers
        assert_type(issuer.source, Source)
        assert_type(issuer.age, float | None)
        assert_type(issuer.trouble, Trouble | None)
        assert_type(issuer.kids, tuple[str, ...])
        assert_type(counters, Counters)
        assert_type(counters.refused, Mapping[str, int])
        assert_type(verifier.ready(), bool)
        assert_type(verifier.export_keys(), bytes)
        assert (issuer.source, issuer.ready, counters.fetches) == ("metadata", False, 0)


def test_a_status_of_tasks_is_typed_alike() -> None:
    async def main() -> Status:
        async with AsyncVerifier(SETTINGS) as verifier:
            verifier_status = verifier.status()
        assert_type(await verifier.warm_up(), Status)  # closed: it asks nobody
        return verifier_status

    assert asyncio.run(main()).ready is False
