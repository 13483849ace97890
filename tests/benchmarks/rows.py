"""What is measured, in which unit, and what it must reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, Self

from tests.benchmarks.measuring import Figure

# The first stands for times the reference, which the group's title or the row's own names.
Unit = Literal["×", "µs", "ms", "KiB", "fetches", "waits"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    bound: the most that it may be, or the least where `least` is set; fast: the same with the extra `speed`, where that
    is another one. None shows the figure without a bound.
    """

    group: str
    title: str
    unit: Unit = "×"
    bound: float | None = None
    fast: float | None = None
    least: bool = False

    def limit(self, *, speed: bool) -> float | None:
        return self.fast if speed and self.fast is not None else self.bound

    def reached(self, value: float, *, speed: bool = False) -> bool:
        limit = self.limit(speed=speed)
        return limit is None or (value >= limit if self.least else value <= limit)


COLD: Final = "A token that was never seen, to one bare verification of its signature"
REFUSED: Final = "A refused token, to one bare RS256 verification"
WARM: Final = "A token that was seen before, to one bare RS256 verification"
DPOP: Final = "A request with a DPoP proof, to RS256 verification + loading of a P-256 key + ES256 verification"
JWE: Final = "An encrypted token, to RSA decryption + AES-GCM + RS256 verification"
SERVER: Final = "Processor time of a server for one request, to the same route unprotected"
START: Final = "At the start, and with unknown keys"
MEMORY: Final = "Imports and memory"
LOAD: Final = "Under load"

ROWS: Final[dict[str, Row]] = {
    "cold.RS256": Row(COLD, "RS256", bound=1.6, fast=1.25),
    "cold.PS256": Row(COLD, "PS256", bound=1.5, fast=1.25),
    "cold.ES256": Row(COLD, "ES256", bound=1.2, fast=1.12),
    "cold.EdDSA": Row(COLD, "EdDSA", bound=1.2, fast=1.12),
    "cold.HS256": Row(COLD, "HS256, to one bare RS256 verification", bound=0.55, fast=0.30),
    "cold.auth0": Row(COLD, "RS256: auth0-api-python to jwtgate", bound=4, fast=5, least=True),
    "warm.fresh": Row(WARM, "in a fresh string, as servers make one", bound=0.08),
    "warm.same": Row(WARM, "in the same string object", bound=0.03),
    "warm.stream": Row(WARM, "nothing but new tokens: with the memory of tokens to without", bound=1.08),
    "refused.forged": Row(REFUSED, "forged signature", bound=1.2),
    "refused.malformed": Row(REFUSED, "malformed payload", bound=0.25),
    "refused.garbage": Row(REFUSED, "garbage of the same length", bound=0.25),
    "refused.none": Row(REFUSED, "`alg: none`", bound=0.25),
    "refused.algorithm": Row(REFUSED, "another algorithm", bound=0.25),
    "refused.header": Row(REFUSED, "a header parameter that is not understood (`crit`)", bound=0.25),
    "refused.long": Row(REFUSED, "over the length cap by 1 character", unit="µs", bound=1.5),
    "refused.longer": Row(REFUSED, "over the length cap, 1 MB", unit="µs", bound=1.5),
    "refused.expired": Row(REFUSED, "expired"),
    "refused.bare": Row(REFUSED, "for comparison: what cryptography alone takes to refuse a forged signature"),
    "dpop.first": Row(DPOP, "first proof of a key, token never seen", bound=1.30),
    "dpop.key": Row(DPOP, "key seen, token never seen", bound=1.05),
    "dpop.token": Row(DPOP, "key and token seen", bound=0.75),
    "jwe": Row(JWE, "RSA-OAEP-256, A256GCM, RS256 inside", bound=1.15),
    "http.fastapi.cold": Row(SERVER, "FastAPI on uvicorn[standard], token never seen", bound=1.7),
    "http.fastapi-plain.cold": Row(SERVER, "FastAPI on uvicorn alone, token never seen", bound=1.7),
    "http.fastapi.warm": Row(SERVER, "FastAPI on uvicorn[standard], token seen", bound=1.25),
    "http.fastapi-plain.warm": Row(SERVER, "FastAPI on uvicorn alone, token seen", bound=1.25),
    "http.auth0.cold": Row(SERVER, "FastAPI: requests/s to auth0-fastapi-api's, never seen", bound=1.9, least=True),
    "http.auth0.warm": Row(SERVER, "FastAPI: requests/s to auth0-fastapi-api's, seen", bound=2.5, least=True),
    "http.starlette.cold": Row(SERVER, "Starlette on uvicorn[standard], token never seen", bound=2.3),
    "http.starlette-plain.cold": Row(SERVER, "Starlette on uvicorn alone, token never seen", bound=2.3),
    "http.starlette.warm": Row(SERVER, "Starlette on uvicorn[standard], token seen", bound=1.25),
    "http.starlette-plain.warm": Row(SERVER, "Starlette on uvicorn alone, token seen", bound=1.25),
    "http.asgi.cold": Row(SERVER, "plain ASGI on uvicorn[standard], token never seen", bound=2.3),
    "http.asgi-plain.cold": Row(SERVER, "plain ASGI on uvicorn alone, token never seen", bound=2.3),
    "http.asgi.warm": Row(SERVER, "plain ASGI on uvicorn[standard], token seen", bound=1.25),
    "http.asgi-plain.warm": Row(SERVER, "plain ASGI on uvicorn alone, token seen", bound=1.25),
    "http.flask.cold": Row(SERVER, "Flask on gunicorn, token never seen", bound=1.45),
    "http.flask.warm": Row(SERVER, "Flask on gunicorn, token seen", bound=1.08),
    "start.discovery": Row(START, "1,000 requests at once: requests for the metadata", unit="fetches", bound=1),
    "start.jwks": Row(START, "1,000 requests at once: requests for the key set", unit="fetches", bound=1),
    "start.late": Row(START, "1,000 requests at once: lateness of the event loop while keys come", unit="ms", bound=10),
    "start.after": Row(START, "…: lateness after it, to 1,000 bare RS256 verifications", bound=1.3),
    "unknown.fetches": Row(START, "1,000 unknown kids: requests for the key set", unit="fetches", bound=1),
    "unknown.each": Row(START, "1,000 unknown kids: each, to one bare RS256 verification", bound=0.4),
    "unknown.known": Row(START, "a known key, while such are looked for", unit="waits", bound=0),
    "async.cold": Row(LOAD, "AsyncVerifier over Verifier, token never seen", unit="µs", bound=2),
    "async.warm": Row(LOAD, "AsyncVerifier over Verifier, token seen", unit="µs", bound=2),
    "threads": Row(LOAD, "two threads to one: tokens per second", least=True),
    "http.fastapi.open": Row(LOAD, "FastAPI, unprotected: processor time of the server", unit="µs"),
    "http.flask.open": Row(LOAD, "Flask, unprotected: processor time of the server", unit="µs"),
    "http.fastapi.p99.open": Row(LOAD, "FastAPI, 16 connections, unprotected: 99 of 100 answers within", unit="ms"),
    "http.fastapi.p99.cold": Row(LOAD, "FastAPI, 16 connections, never seen: 99 of 100 answers within", unit="ms"),
    "http.fastapi.p99.warm": Row(LOAD, "FastAPI, 16 connections, seen: 99 of 100 answers within", unit="ms"),
    "import.jwtgate": Row(MEMORY, "`import jwtgate` to `import jwt`", bound=1.1),
    "import.names": Row(MEMORY, "…, with all its names: `from jwtgate import *`"),
    "import.ready": Row(MEMORY, "…, and a verifier made"),
    "import.asgi": Row(MEMORY, "`import jwtgate.asgi`", unit="ms"),
    "import.starlette": Row(MEMORY, "`import jwtgate.starlette` over Starlette's own", unit="ms", bound=60),
    "import.fastapi": Row(MEMORY, "`import jwtgate.fastapi` over FastAPI's own", unit="ms", bound=60),
    "import.flask": Row(MEMORY, "`import jwtgate.flask` over Flask's own", unit="ms"),
    "memory.token": Row(MEMORY, "a remembered token of 1 KiB, its text included", unit="KiB", bound=4),
}


@dataclass(slots=True)
class Findings:
    """What came of it. figures: by row; peers: by row and library, to the same reference; notes: on rows, why none."""

    figures: dict[str, Figure] = field(default_factory=dict)
    peers: dict[str, dict[str, Figure]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def add(self, other: Findings) -> None:
        self.figures |= other.figures
        self.peers |= other.peers
        self.notes |= other.notes

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        peers = {row: {peer: Figure(**each) for peer, each in of.items()} for row, of in found["peers"].items()}
        return cls({row: Figure(**each) for row, each in found["figures"].items()}, peers, found["notes"])

    def missed(self, *, speed: bool = False, ahead_of: frozenset[str] = frozenset()) -> Iterator[str]:
        """What was not reached, in words. ahead_of: the libraries that must not be faster in any row."""
        for name, found in self.figures.items():
            row = ROWS[name]
            if not row.reached(found.median, speed=speed):
                yield f"{name}: {found.median:.3g} {row.unit}, must be {row.limit(speed=speed):g}"
        for name, of in self.peers.items():
            own = self.figures[name].median
            faster = [peer for peer, each in of.items() if each.median < own and (peer in ahead_of or "warm" in name)]
            yield from (f"{name}: {peer} is faster, {of[peer].median:.3g} to {own:.3g}" for peer in faster)
