"""An issuer on a loopback socket, a clock that a test turns, and both drivers behind the same calls."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from jwtgate import AccessToken, ApiSettings, AsyncVerifier, AuthError, Issuer, KeysUnavailable, Request, Verifier
from jwtgate.core.status import Status
from tests.making import API, NOW, Issuing

PATIENCE = 10.0  # seconds after which a test that waits for something has failed
DISCOVERY, JWKS = "/.well-known/openid-configuration", "/.well-known/jwks.json"

Answer = Callable[[BaseHTTPRequestHandler], None]


# ------------------------------------------------------------------------------------------------ an issuer on loopback


def sends(
    body: bytes, status: int = 200, headers: dict[str, str] | None = None, *, length: int | None = None
) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def _insist(so: object) -> None:
    # No `assert`: under `python -O`, what stands in it would not be done at all.
    if not so:
        raise AssertionError


class Gate:
    """Holds answers back until it is opened. reached: somebody stands before it."""

    def __init__(self) -> None:
        self.reached, self._open = threading.Event(), threading.Event()

    def holds(self, answer: Answer) -> Answer:
        def held(handler: BaseHTTPRequestHandler) -> None:
            self.reached.set()
            _insist(self._open.wait(4 * PATIENCE))
            answer(handler)

        return held

    def open(self) -> None:
        self._open.set()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()


class Origin:
    """An issuer's web server: what it answers is a table that a test changes; what it was asked is counted."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.gates: list[Gate] = []
        self.stopping = threading.Event()
        origin = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                origin.asked[self.path] += 1
                origin.headers.append({name.lower(): value for name, value in self.headers.items()})
                answer = origin.answers.get(self.path) or sends(b"{}", 404)
                with contextlib.suppress(OSError):  # who asked may have gone
                    answer(self)

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = False
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.issuing = Issuing(url=f"http://127.0.0.1:{self.server.server_port}/")
        self.answers: dict[str, Answer] = {DISCOVERY: sends(json.dumps(self.issuing.metadata()).encode())}
        self.publish()
        self.server.origin_stopping = self.stopping  # type: ignore[attr-defined]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def publish(self, *issuings: Issuing) -> None:
        self.answers[JWKS] = sends(self.key_set(*issuings))

    def key_set(self, *issuings: Issuing) -> bytes:
        return json.dumps({"keys": [one.key().jwk() for one in issuings or (self.issuing,)]}).encode()

    def gate(self, path: str = JWKS) -> Gate:
        gate = Gate()
        self.gates.append(gate)
        self.answers[path] = gate.holds(self.answers[path])
        return gate

    def settings(self, **changes: Any) -> ApiSettings:
        return ApiSettings(**{"identifier": API, "issuers": [Issuer(self.issuing.url)], **changes})

    def close(self) -> None:
        self.stopping.set()
        for gate in self.gates:
            gate.open()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Clock:
    """Stands still until a test turns it."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def wall(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return self.at


class Threads:
    make = Verifier

    @staticmethod
    def verify(verifier: Verifier, token: str) -> AccessToken:
        return verifier.verify(token)

    @staticmethod
    def verify_request(verifier: Verifier, request: Request) -> AccessToken:
        return verifier.verify_request(request)

    @staticmethod
    def outcome(verifier: Verifier, request: Request) -> AccessToken | AuthError:
        return verifier.outcome(request)

    @staticmethod
    def warm_up(verifier: Verifier) -> Status:
        return verifier.warm_up()

    @staticmethod
    def close(verifier: Verifier) -> None:
        verifier.close()


class Tasks:
    """Each call has an event loop of its own, which is closed when it ends."""

    make = AsyncVerifier

    @staticmethod
    def verify(verifier: AsyncVerifier, token: str) -> AccessToken:
        return asyncio.run(settled(verifier.verify(token)))

    @staticmethod
    def verify_request(verifier: AsyncVerifier, request: Request) -> AccessToken:
        return asyncio.run(settled(verifier.verify_request(request)))

    @staticmethod
    def outcome(verifier: AsyncVerifier, request: Request) -> AccessToken | AuthError:
        return asyncio.run(settled(verifier.outcome(request)))

    @staticmethod
    def warm_up(verifier: AsyncVerifier) -> Status:
        return asyncio.run(settled(verifier.warm_up()))  # type: ignore[no-any-return]

    @staticmethod
    def close(verifier: AsyncVerifier) -> None:
        asyncio.run(verifier.close())


async def settled(call: Any) -> Any:
    """The outcome of a call, after every task that it started has ended."""
    try:
        return await call
    finally:
        await others_ended()


async def others_ended() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        _, pending = await asyncio.wait(others, timeout=PATIENCE)
        _insist(not pending)


async def reached(gate: Gate) -> None:
    _insist(await asyncio.to_thread(gate.reached.wait, PATIENCE))


both = pytest.mark.parametrize("drive", [Threads, Tasks], ids=["threads", "tasks"])
Drive = Any


def trouble(drive: Drive, verifier: Any, token: str) -> KeysUnavailable:
    with pytest.raises(KeysUnavailable) as error:
        drive.verify(verifier, token)
    return error.value


def threads_ended() -> None:
    """Waits for the threads of a refresh."""
    for thread in threading.enumerate():
        if thread.name in ("jwtgate-keys", "jwtgate-deadline"):
            thread.join(PATIENCE)


def drips(headers: bytes, step: float, seconds: float, ending: bytes) -> Answer:
    """A white space at a time: for so long, and then an answer that would be good."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(headers)
        for _ in range(int(seconds / step)):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            if handler.server.origin_stopping.wait(step):  # type: ignore[attr-defined]
                return
        handler.wfile.write(ending)

    return answer


def raw(text: bytes) -> Answer:
    return lambda handler: handler.wfile.write(text) and None


def resets(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()
