"""One document, over the network or from a disk, within its limits of time and size."""

from __future__ import annotations

import functools
import importlib
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..core.effects import Document, Fetch, FetchFailed, ReadFile

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS, TOTAL_SECONDS = 3.0, 5.0  # of one document

# Each document on a connection of its own, also where the client is the caller's: one that is kept would be shared with
# the processes forked meanwhile, where one could read another's answer and so another issuer's keys; and no `Cut` could
# end it, since only a new one is told of.
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"}


# The last two are what httpx imports itself when an asynchronous client is made, and when it is used first.
_CLIENT = ("httpx", "httpcore", "anyio._backends._asyncio")


def import_client() -> None:
    """Import now what the first fetch of a task would import. It would keep its event loop for 0.1 s; and a thread
    beside it would keep it too, for 5 ms again and again.
    """
    for name in _CLIENT:
        with suppress(ImportError):  # another version may have it elsewhere: then it comes late, and nothing is worse
            importlib.import_module(name)


@functools.cache
def tls() -> ssl.SSLContext:
    """Built once: reading the system's certificates takes as long as a few dozen verifications."""
    import httpx  # only now: most of what this costs is paid by nobody who never fetches

    return httpx.create_ssl_context()


def options() -> dict[str, Any]:
    """How a document is asked for, whoever's client it is."""
    import httpx

    timeout = httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS)
    return {"headers": _HEADERS, "follow_redirects": False, "timeout": timeout}


def failed(error: Exception) -> FetchFailed:
    """Any exception of any client, in our words. Its text may quote the network: its type is enough."""
    if isinstance(error, FetchFailed):
        return error
    name = type(error).__name__
    return FetchFailed(f"the request failed: {name}", "deadline" if "Timeout" in name else "request")


class Body:
    """The bytes of one answer, within their limits. deadline: of time.monotonic."""

    def __init__(self, response: httpx.Response, fetch: Fetch, deadline: float) -> None:
        if response.status_code != 200:
            raise FetchFailed(f"status {response.status_code}", "status", response.status_code)
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", "x-gzip"):
            raise FetchFailed("a compression that was not asked for", "encoding")
        self.packed: bool = encoding != "identity"
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)  # the gzip form (RFC 1952)
        self._cache_control = response.headers.get("cache-control", "")
        self._octets = bytearray()
        self._limit = fetch.limit
        self._deadline = deadline

    def add(self, chunk: bytes) -> None:
        self._octets += self._unpack(chunk) if self.packed else chunk
        if len(self._octets) > self._limit:
            raise FetchFailed(f"more than {self._limit} bytes", "too_large")
        if time.monotonic() > self._deadline:
            raise FetchFailed(f"not complete after {TOTAL_SECONDS:g} s", "deadline")

    def _unpack(self, chunk: bytes) -> bytes:
        # `identity` was asked for; some servers compress all the same. No more is unpacked than is taken.
        try:
            octets = self._inflater.decompress(chunk, self._limit - len(self._octets) + 1)
        except zlib.error:
            raise FetchFailed("a compressed answer that cannot be unpacked", "encoding") from None
        if self._inflater.unused_data:
            raise FetchFailed("something after the end of a compressed answer", "encoding")
        return octets

    def document(self) -> Document:
        if self.packed and not self._inflater.eof:
            raise FetchFailed("a compressed answer without its end", "encoding")
        return Document(bytes(self._octets), self._cache_control)


class Cut:
    """Ends a connection from outside when its time is up: no timeout of a socket holds against an answer that drips.

    For threads; a task can be cancelled.
    """

    def __init__(self) -> None:
        self._timer = threading.Timer(TOTAL_SECONDS, self.cut)
        self._timer.name = "jwtgate-deadline"
        self._timer.daemon = True
        self._socket: Any = None
        self.over: bool = False

    def __enter__(self) -> Cut:
        with suppress(RuntimeError):  # no thread can be had: the timeouts of the socket must do
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._socket = None

    def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """What an httpx client tells of its connection (the request extension `trace`)."""
        if name.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")
            if self.over:
                self.cut()

    def cut(self) -> None:
        self.over = True
        # Not `SSLSocket.shutdown`: that would let the reader go on without TLS.
        with suppress(OSError, TypeError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def read_file(effect: ReadFile) -> Document:
    """Raises FetchFailed."""
    try:
        with open(effect.path, "rb") as file:
            octets = file.read(effect.limit + 1)
    except OSError as error:
        raise FetchFailed(f"the file cannot be read: {error.strerror}", "file") from None
    if len(octets) > effect.limit:
        raise FetchFailed(f"the file has more than {effect.limit} bytes", "too_large")
    return Document(octets)
