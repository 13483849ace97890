"""One document within its limits: what no server on loopback can be made to do at will."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
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
from tests.making import API, ISSUER, Issuing

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


# --------------------------------------------------------------------------------------- what a first fetch still finds

COLD = """
import asyncio, sys, threading
from jwtgate import ApiSettings, AsyncVerifier, Issuer

url, token, named = sys.argv[1:]
known = Issuer(url)
issuers = {{"issuers": [known]}} if named else {{"resolver": lambda stated, request: known}}
verifier = AsyncVerifier(ApiSettings(identifier="{api}", **issuers))
on_the_loop = []

def hear(event, arguments):
    if event == "import" and threading.current_thread() is threading.main_thread():
        on_the_loop.append(arguments[0])

async def main():
    sys.addaudithook(hear)
    await verifier.verify(token)
    found = [name for name in on_the_loop if name in sys.modules]
    print(*(name for name in found if name.partition(".")[0] not in sys.stdlib_module_names))

asyncio.run(main())
"""


@pytest.mark.parametrize("named", ["1", ""], ids=["an issuer of the settings", "one that a resolver names"])
def test_the_first_request_of_a_process_imports_no_library_in_the_event_loop(origin: Origin, named: str) -> None:
    now = int(time.time())
    token = origin.issuing.token(iat=now, exp=now + 60)
    command = [sys.executable, "-c", COLD.format(api=API), origin.issuing.url, token, named]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("\n", "")


def test_what_fetches_nothing_imports_no_client() -> None:
    jwks = json.dumps({"keys": [Issuing().key().jwk()]})
    issuer = f"Issuer({ISSUER!r}, jwks={jwks!r})"
    made = f"AsyncVerifier(ApiSettings(identifier={API!r}, issuers=[{issuer}]))"
    script = f"import sys; from jwtgate import *; {made}; print({{'httpx', 'anyio'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")
