"""An issuer that misbehaves when told to: a real server on loopback, one fault at a time, each request counted."""

from __future__ import annotations

import functools
import json
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from jwtgate.core.effects import Trouble
from jwtgate.verifier import TOTAL_SECONDS
from tests.loopback import DISCOVERY, JWKS, Answer, Origin, drips, raw, resets, sends
from tests.making import SECRET, SigningKey, base64url, octets_of, signing_key

ELSEWHERE: Final = "/elsewhere"  # where the redirect points: a good key set, which nobody may take from there
ENDLESS: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n"
MEGABYTE: Final = bytes(1_000_000)
DELAY: Final = 0.5  # seconds that `slow` takes


class FaultServer(Origin):
    """An issuer with several keys and a mode for each of its two documents.

    published: the keys that its set holds when nothing is wrong. The first signs.
    """

    def __init__(self, *published: SigningKey) -> None:
        self._lock = threading.Lock()
        self.counted: dict[str, int] = {DISCOVERY: 0, JWKS: 0, ELSEWHERE: 0}
        self._since: dict[str, int] = {}  # requests for a document since its mode was set
        self._modes = {DISCOVERY: "ok", JWKS: "ok", ELSEWHERE: "ok"}
        super().__init__()
        self.published = list(published or [self.issuing.key()])
        self.answers = {path: self._answer(path) for path in self._modes}

    def set_mode(self, mode: str, *documents: str) -> None:
        """From now on these documents, or both, are answered so. mode: a name in MODES."""
        for path in documents or (DISCOVERY, JWKS):
            self._modes[path] = FAULTS[mode].name
            self._since[path] = 0

    @property
    def fetches(self) -> int:
        """How often the key set was asked for."""
        return self.counted[JWKS]

    def jwks(self, *more: dict[str, Any]) -> bytes:
        return json.dumps({"keys": [*(key.jwk() for key in self.published), *more]}).encode()

    def good(self, path: str) -> bytes:
        return json.dumps(self.issuing.metadata()).encode() if path == DISCOVERY else self.jwks()

    def _answer(self, path: str) -> Answer:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            with self._lock:
                self.counted[path] += 1
                self._since[path] = self._since.get(path, 0) + 1
                since = self._since[path]
            MODES[self._modes[path]](self, path, since)(handler)

        return answer

    def __enter__(self) -> FaultServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


Mode = Callable[[FaultServer, str, int], Answer]  # of the server, the document's path, and how often it was asked for


def _slow(server: FaultServer, path: str, _: int) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        server.stopping.wait(DELAY)
        sends(server.good(path))(handler)

    return answer


def _hang(server: FaultServer, *_: object) -> Answer:
    return lambda handler: server.stopping.wait() and None


@functools.cache
def _bomb() -> bytes:
    """100 MB in 100 KB."""
    packing = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return b"".join([*(packing.compress(MEGABYTE) for _ in range(100)), packing.flush()])


def _huge(*_: object) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(ENDLESS)
        for _ in range(100):
            handler.wfile.write(MEGABYTE)

    return answer


def _twice(server: FaultServer, path: str, _: int) -> Answer:
    good = server.good(path)
    name = json.dumps(next(iter(json.loads(good)))).encode()
    return sends(b"{" + name + b': "x", ' + good[1:])


def _same_kid(server: FaultServer, *_: object) -> Answer:
    return sends(server.jwks(signing_key("RSA", 9).jwk(kid=server.published[0].kid)))


def _private(server: FaultServer, *_: object) -> Answer:
    key = signing_key("RSA", 9)
    return sends(server.jwks(key.jwk(d=octets_of(key.private.private_numbers().d))))


def _symmetric(server: FaultServer, *_: object) -> Answer:
    return sends(server.jwks({"kty": "oct", "kid": "shared", "alg": "HS256", "k": base64url(SECRET)}))


def _shrinking(server: FaultServer, _: str, since: int) -> Answer:
    left = server.published[: max(1, len(server.published) - since)]
    return sends(json.dumps({"keys": [key.jwk() for key in left]}).encode())


def _rotating(server: FaultServer, _: str, since: int) -> Answer:
    """Each answer brings a new key, and takes the oldest but one away."""
    keys = [signing_key("RSA", 1 + (since + n) % 4) for n in range(2)]
    return sends(json.dumps({"keys": [key.jwk() for key in keys]}).encode())


def _flapping(server: FaultServer, path: str, since: int) -> Answer:
    return sends(b"", 500) if since % 2 else sends(server.good(path))


@dataclass(frozen=True)
class Fault:
    """A mode, and what must come of it.

    trouble: the kind under which a load tells it; None where the answer is one to be taken.
    of_keys: only a key set can be so. serves: the key that signs serves on.
    """

    name: str
    mode: Mode
    trouble: Trouble | None = None
    of_keys: bool = False
    serves: bool = True

    @property
    def documents(self) -> tuple[str, ...]:
        return (JWKS,) if self.of_keys else (DISCOVERY, JWKS)

    def told(self, path: str) -> Trouble | None:
        """The kind of trouble that it is for a verifier without keys."""
        return "metadata" if self.trouble == "key_set" and path == DISCOVERY else self.trouble


FAULTS: Final = {
    fault.name: fault
    for fault in (
        Fault("ok", lambda server, path, _: sends(server.good(path))),
        Fault("slow", _slow),
        Fault("slow drip", lambda *_: drips(ENDLESS, 0.2, TOTAL_SECONDS + 2.0, b""), "deadline"),
        Fault("hang", _hang, "deadline"),
        Fault("404", lambda *_: sends(b"{}", 404), "status"),
        Fault("429", lambda *_: sends(b'{"error": "too_many_requests"}', 429, {"Retry-After": "3600"}), "status"),
        Fault("500", lambda *_: sends(b"", 500), "status"),
        Fault("503", lambda *_: sends(b"{}", 503, {"Retry-After": "1"}), "status"),
        Fault("redirect", lambda *_: sends(b"", 302, {"Location": ELSEWHERE}), "status"),
        Fault("reset", lambda *_: resets, "request"),
        Fault("no HTTP", lambda *_: raw(b"\x16\x03\x01\x02\r\n\r\n"), "request"),
        Fault("truncated", lambda server, path, _: sends(server.good(path)[:-9], length=9_999), "request"),
        Fault("100 MB", _huge, "too_large"),
        Fault("gzip bomb", lambda *_: sends(_bomb(), headers={"Content-Encoding": "gzip"}), "too_large"),
        Fault("brotli", lambda *_: sends(b"\x0b\x02\x80{}\x03", headers={"Content-Encoding": "br"}), "encoding"),
        Fault("non-JSON", lambda *_: sends(b"<html>", headers={"Content-Type": "text/html"}), "key_set"),
        Fault("half a JSON text", lambda server, path, _: sends(server.good(path)[:-9]), "key_set"),
        Fault("UTF-16", lambda server, path, _: sends(server.good(path).decode().encode("utf-16")), "key_set"),
        Fault("no body", lambda *_: sends(b""), "key_set"),
        Fault("a list", lambda server, path, _: sends(b"[" + server.good(path) + b"]"), "key_set"),
        Fault("a member twice", _twice, "key_set"),
        Fault("empty", lambda *_: sends(b'{"keys": []}'), "key_set"),
        Fault("wrong type", lambda server, path, _: sends(server.good(path), headers={"Content-Type": "text/x"})),
        Fault("private key inside", _private, of_keys=True),
        Fault("symmetric key inside", _symmetric, of_keys=True),
        Fault("flapping", _flapping, "status"),
        Fault("shrinking", _shrinking, of_keys=True),
        Fault("duplicate kid", _same_kid, of_keys=True, serves=False),
        Fault("rotating", _rotating, of_keys=True, serves=False),
    )
}
MODES: Final = {name: fault.mode for name, fault in FAULTS.items()}
