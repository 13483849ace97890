"""One document within its limits: what no server on loopback can be made to do at will."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest

from jwtgate import ApiSettings, AsyncVerifier, Issuer, Verifier
from jwtgate.core.effects import Fetch, FetchFailed
from jwtgate.verifier.fetching import TOTAL_SECONDS, Body, Cut, failed
from tests.loopback import JWKS, Answer, Clock, Drive, Origin, Tasks, Threads, both, trouble
from tests.making import API, Issuing

FETCH = Fetch("https://issuer.test/keys", 10)


def test_an_answer_that_comes_after_its_time_is_none() -> None:
    body = Body(httpx.Response(200), FETCH, deadline=time.monotonic() - 1)
    with pytest.raises(FetchFailed) as late:
        body.add(b"x")
    assert late.value.trouble == "deadline"


def test_a_connection_that_is_made_after_its_time_is_ended_at_once() -> None:
    class Stream:
        def __init__(self, one: socket.socket) -> None:
            self.one = one

        def get_extra_info(self, name: str) -> Any:
            return self.one

    here, there = socket.socketpair()
    with here, there, Cut() as cut:
        cut.cut()  # there is none yet
        cut.trace("http11.send_request_headers.complete", {"return_value": None})
        cut.trace("connection.connect_tcp.complete", {"return_value": Stream(here)})
        assert there.recv(1) == b""


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (httpx.ConnectTimeout("x"), "deadline"),
        (httpx.ReadTimeout("x"), "deadline"),
        (TimeoutError(), "deadline"),
        (httpx.ConnectError("secret"), "request"),
        (httpx.RemoteProtocolError("secret"), "request"),
        (ValueError("secret"), "request"),
        (FetchFailed("ours", "too_large"), "too_large"),
    ],
)
def test_every_exception_of_a_client_becomes_ours_without_its_text(error: Exception, trouble: str) -> None:
    ours = failed(error)
    assert ours.trouble == trouble
    assert "secret" not in ours.reason


class Drip(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A byte at a time, for ever: of a client that tells nothing of its connections."""

    def __iter__(self) -> Iterator[bytes]:
        while True:
            time.sleep(0.25)
            yield b" "

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.25)
            yield b" "


@both
def test_a_callers_client_that_drips_is_given_up_too(clock: Clock, drive: Drive) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Drip()))
    settings = ApiSettings(identifier=API, issuers=[Issuer("https://issuer.test/")])
    client: Any = httpx.Client(transport=transport) if drive is Threads else httpx.AsyncClient(transport=transport)
    began = time.monotonic()
    verifier = drive.make(settings, http=client, clock=clock)
    trouble(drive, verifier, Issuing().token())
    assert time.monotonic() - began < TOTAL_SECONDS + 1.5
    assert verifier.status().issuers[0].trouble == "deadline"
    client.close() if drive is Threads else asyncio.run(client.aclose())


@both
def test_a_callers_client_keeps_no_connection_that_a_fork_would_share(
    origin: Origin, clock: Clock, drive: Drive
) -> None:
    connections = []

    def seen(answer: Answer) -> Answer:
        def answered(handler: BaseHTTPRequestHandler) -> None:
            connections.append(handler.connection)
            answer(handler)

        return answered

    handler: Any = origin.server.RequestHandlerClass
    handler.protocol_version, handler.timeout = "HTTP/1.1", 1.0  # keeps connections, for a second
    origin.answers = {path: seen(answer) for path, answer in origin.answers.items()}
    client: Any = httpx.Client() if drive is Threads else httpx.AsyncClient()
    drive.verify(drive.make(origin.settings(), http=client, clock=clock), origin.issuing.token())
    assert len(connections) == len({id(one) for one in connections}) == 2
    client.close() if drive is Threads else asyncio.run(client.aclose())


def test_a_proxy_in_the_environment_is_used(origin: Origin, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    # The origin stands for the proxy: it is asked for the whole address of an issuer that nobody else knows.
    issuing = Issuing(url="http://issuer.internal/")
    asked = f"{issuing.url}keys"
    origin.answers[asked] = origin.answers[JWKS]
    monkeypatch.setenv("http_proxy", origin.issuing.url)
    settings = ApiSettings(identifier=API, issuers=[Issuer(issuing.url, jwks_uri=asked, allow_http=True)])
    assert Threads.verify(Verifier(settings, clock=clock), issuing.token()).subject
    assert Tasks.verify(AsyncVerifier(settings, clock=clock), issuing.token()).subject
    assert origin.asked == {asked: 2}
