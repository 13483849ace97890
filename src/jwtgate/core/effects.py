"""All that the core may ask of the outside world: a document, an issuer's keys, who an issuer is, and the time.

The core yields one of these values; a driver performs it and sends the answer back in, or throws `FetchFailed`. They
are named tuples, which are made, and whose classes are imported, several times as fast as frozen dataclasses. What kind
of effect one is, its class alone says: tuples compare by their fields, and `NOW`, which has none, is as false as `()`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

if TYPE_CHECKING:
    from .key_state import Attempt
    from .keys import IssuerKeys
    from .request import Request
    from .settings import Issuer

T = TypeVar("T")

# Why something could not be had: few, fixed names, fit for a metric's label.
Trouble = Literal[
    "request",  # no answer: no address, no connection, a broken one
    "deadline",  # not complete in time
    "status",  # an answer that is no 200
    "too_large",
    "encoding",  # a compression that was not asked for and is not undone
    "metadata",  # no strict JSON object, or not of this issuer, or without a fit address
    "key_set",  # no JWK Set with a usable key
    "file",  # a file that cannot be read
    "resolver",  # the caller's resolver raised
    "interrupted",  # it was broken off
    "closed",  # the verifier is closed
]


class Moment(NamedTuple):
    """wall: seconds since the epoch, for claims; monotonic: seconds that never step back, for the age of keys."""

    wall: float
    monotonic: float


class Now(NamedTuple):
    """What time is it? Answered with a `Moment`."""


class Document(NamedTuple):
    """octets: a document, decoded; cache_control: that header's value, empty where there is none."""

    octets: bytes
    cache_control: str = ""


class Fetch(NamedTuple):
    """A JSON document, please. Answered with a `Document` of at most `limit` bytes after decoding."""

    url: str
    limit: int


class ReadFile(NamedTuple):
    """A file, please. Answered with a `Document` of at most `limit` bytes."""

    path: str
    limit: int


class LoadKeys(NamedTuple):
    """Load these keys, or wait for the load that is under way: one for any number of askers. No answer.

    settled: the state's `settled` when the question arose. Where it is another one now, somebody else has had the
        answer already, and nothing is loaded.
    kid: the unknown kid that is the only cause; None where there is another.
    urgent: the asker cannot go on without; else a load that is under way is not waited for.
    grace: seconds that an asker who is not urgent waits all the same, if it is the one whose question began the load.
    """

    keys: IssuerKeys
    settled: int
    kid: str | None = None
    urgent: bool = False
    grace: float = 0.0


class Settle(NamedTuple):
    """Call `keys.settle(attempt)` while nobody else does. No answer."""

    keys: IssuerKeys
    attempt: Attempt


class RememberProof(NamedTuple):
    """Remember this DPoP proof until it is accepted no more. Answered with a `Memory`.

    jkt: the thumbprint of its key; digest: SHA-256 over jkt and `jti`; expires: seconds since the epoch; limit: how
    many are remembered of one key. A driver may raise StoreUnavailable.
    """

    jkt: str
    digest: bytes
    expires: float
    limit: int


Memory = Literal["new", "seen", "full"]


Resolver = Callable[[str, "Request | None"], "Issuer | Awaitable[Issuer | None] | None"]


class ResolveIssuer(NamedTuple):
    """Who is this issuer? Answered with what the resolver returns."""

    resolver: Resolver
    stated: str
    request: Request | None


class Decrypt(NamedTuple):
    """The content encryption key, please, from whoever keeps the private key.

    Answered with what `decrypt` returns, or with None where it raises ValueError: its key does not open this.
    """

    decrypt: Callable[[bytes, str], bytes | Awaitable[bytes | None] | None]
    encrypted_key: bytes
    algorithm: str


Effect = Now | Fetch | ReadFile | LoadKeys | Settle | ResolveIssuer | RememberProof | Decrypt
Flow = Generator[Effect, Any, T]


class FetchFailed(Exception):
    """Something could not be had: a driver throws it into the flow, and it never leaves the package.

    reason: our own words, fit for a log line; trouble: which of the few kinds it is; status: of the answer, if any.
    """

    def __init__(self, reason: str, trouble: Trouble = "request", status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.trouble: Trouble = trouble
        self.status = status


NOW = Now()
