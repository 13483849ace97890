"""A client that keeps a server busy: a few connections, and on each the next request as soon as it has its answer."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

PATIENCE: Final = 30.0  # seconds without any answer


@dataclass(frozen=True, slots=True)
class Load:
    """What a number of requests took: seconds of them all, and of each one."""

    seconds: float
    each: Sequence[float]


class Line:
    """One connection, kept alive."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._came = b""
        self._began = 0.0

    def ask(self, request: bytes) -> None:
        self._began = time.perf_counter()
        self.socket.sendall(request)

    def read(self) -> float | None:
        """Seconds until the whole answer had come; None as long as it has not. Raises ConnectionError."""
        octets = self.socket.recv(65_536)
        self._came += octets
        head, ended, body = self._came.partition(b"\r\n\r\n")
        if not octets or (ended and not head.startswith(b"HTTP/1.1 200 ")):
            raise ConnectionError(f"instead of an answer: {self._came[:400]!r}")
        if not ended or len(body) < length_of(head):
            return None
        self._came = b""
        return time.perf_counter() - self._began


def length_of(head: bytes) -> int:
    """The Content-Length in an answer's head."""
    return int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])


class Client:
    """Some connections to one server."""

    def __init__(self, port: int, connections: int) -> None:
        self._lines = [Line(port) for _ in range(connections)]
        self._selector = selectors.DefaultSelector()
        for line in self._lines:
            self._selector.register(line.socket, selectors.EVENT_READ, line)

    def send(self, requests: Sequence[bytes]) -> Load:
        """Until all are answered. At least as many requests as connections. Raises ConnectionError, TimeoutError."""
        waiting = iter(requests)
        each: list[float] = []
        began = time.perf_counter()
        for line in self._lines:
            line.ask(next(waiting))
        while len(each) < len(requests):
            each += self._answered(waiting)
        return Load(time.perf_counter() - began, each)

    def _answered(self, waiting: Iterator[bytes]) -> Iterator[float]:
        ready = self._selector.select(PATIENCE)
        if not ready:
            raise TimeoutError(f"no answer within {PATIENCE:g} s")
        for key, _ in ready:
            taken = key.data.read()
            if taken is None:
                continue
            request = next(waiting, None)
            if request is not None:
                key.data.ask(request)
            yield taken

    def close(self) -> None:
        self._selector.close()
        for line in self._lines:
            line.socket.close()


@contextmanager
def connected(*ports: int, connections: int = 16) -> Iterator[tuple[Client, ...]]:
    """To each of these ports on 127.0.0.1."""
    with ExitStack() as ending:
        clients = []
        for port in ports:
            client = Client(port, connections)
            ending.callback(client.close)
            clients.append(client)
        yield tuple(clients)


def get(path: str, token: str | None = None) -> bytes:
    """A request as clients send them."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: api.example",
        "User-Agent: python-httpx/0.28.1",
        "Accept: */*",
        "Accept-Encoding: gzip, deflate",
        "Connection: keep-alive",
    ]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")
