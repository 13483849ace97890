"""A store for the processes of many hosts: a Redis server."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import redis
import redis.asyncio
import redis.asyncio.retry
import redis.retry
from redis.backoff import NoBackoff

from ..core.effects import Memory, RememberProof
from ..core.errors import SettingsError, StoreUnavailable
from ..core.revocations import Revocation, read_revocation, write_revocation
from .forking import Forking
from .proofs import MOST_PROOFS, SeenProofs
from .store import PAGE, Changes, Store, namespace_of

SECONDS: Final = 1.0  # for a connection; for an answer; for a connection of the pool to be free; unless the URL says
LONGEST_SECONDS: Final = 300.0  # that a URL may say
REST_SECONDS: Final = 1.0  # after it has not answered in time, in which it is not asked
CONNECTIONS: Final = 64  # for threads, and for each event loop
APART: Final = 30.0  # seconds that the clocks of two hosts may differ: a proof is remembered for so much longer
MALFORMED: Final = "must be a URL such as redis://host:6379/0"
TRIMMED: Final = 16  # revocations that go at most with each new one, once they have expired
FIRST: Final = "0-0"  # before every entry of a stream
# What a URL may say beside host, port and database. Others would change what the answers look like.
PARAMETERS: Final = frozenset(
    "db username password client_name health_check_interval max_connections timeout "
    "socket_timeout socket_connect_timeout socket_keepalive "
    "ssl_cert_reqs ssl_ca_certs ssl_ca_path ssl_certfile ssl_keyfile ssl_password ssl_check_hostname".split()
)


class RedisStore(Store, Forking):
    """Remembers in Redis, for all processes of all hosts that name the same one.

    url: `redis://`, `rediss://` (TLS) or `unix://`, with what the client library understands. identifier: of the API;
    APIs that share a server do not see each other's proofs and revocations. most: how many proofs of its own one
    process counts.

    Raises SettingsError. It does not connect before it is asked.
    """

    def __init__(self, url: str, identifier: str | Sequence[str] = "", most: int = MOST_PROOFS) -> None:
        self.place: str = _place(url)
        self._url = url
        self._patience = _patience(_client(redis, url))  # what could never work fails here
        prefix = b"jwtgate:" + namespace_of(identifier).hex().encode()
        # No hash tag in it: in a cluster, proofs are spread over all nodes. Each command names one key.
        self._proofs = prefix + b":proof:"
        self._revocations = prefix + b":revocations"
        # What this process has seen itself: it counts a key's proofs, and replays of its own ask nobody.
        self._own = SeenProofs(most)
        self._begin()
        super().__init__()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._client: Any = None
        # An asyncio client belongs to its event loop. What keeps it closes it when the loop shuts down.
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, AsyncGenerator[None]]]
        self._clients = weakref.WeakKeyDictionary()
        self._rests_until = 0.0

    def __repr__(self) -> str:
        return f"RedisStore({self.place!r})"

    # Proofs

    def remember(self, proof: RememberProof, now: float) -> Memory:
        answer = self._own.remember(proof, now)
        if answer != "new":
            return answer
        with self._forgetting(proof), self._asking():
            return _answer(self._threads().set(*self._entry(proof), nx=True, px=_lifetime(proof, now)))

    async def remember_async(self, proof: RememberProof, now: float) -> Memory:
        answer = self._own.remember(proof, now)
        if answer != "new":
            return answer
        with self._forgetting(proof), self._asking():
            async with asyncio.timeout(self._patience):
                client = await self._tasks()
                return _answer(await client.set(*self._entry(proof), nx=True, px=_lifetime(proof, now)))

    def _entry(self, proof: RememberProof) -> tuple[bytes, bytes]:
        return self._proofs + proof.digest[:16].hex().encode(), b"1"

    @contextmanager
    def _forgetting(self, proof: RememberProof) -> Iterator[None]:
        try:
            yield
        except StoreUnavailable:
            self._own.forget(proof)
            raise

    # Revocations: a stream, whose ids rise

    def revoke(self, revocation: Revocation, now: float) -> None:
        with self._asking():
            client = self._threads()
            oldest = client.xrange(self._revocations, count=TRIMMED)
            client.xadd(self._revocations, _fields(revocation), minid=_first_alive(oldest, now), approximate=False)

    async def revoke_async(self, revocation: Revocation, now: float) -> None:
        with self._asking():
            async with asyncio.timeout(self._patience):
                client = await self._tasks()
                oldest = await client.xrange(self._revocations, count=TRIMMED)
                least = _first_alive(oldest, now)
                await client.xadd(self._revocations, _fields(revocation), minid=least, approximate=False)

    def changes(self, since: str) -> Changes:
        with self._asking():
            found = self._threads().xread({self._revocations: since or FIRST}, count=PAGE)
        entries = found[0][1] if found else []
        known = [revocation for revocation in map(_read, entries) if revocation is not None]
        return Changes(entries[-1][0].decode() if entries else since, tuple(known), len(entries) - len(known))

    # Asking

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Raises StoreUnavailable for all that may go wrong, in our own words: others' may hold a password."""
        if time.monotonic() < self._rests_until:
            # Each request would otherwise wait for it, and soon no worker would be left for those that do not need it.
            raise StoreUnavailable(f"{self.place} did not answer in time, and is asked again in {REST_SECONDS:g} s")
        try:
            yield
        except (TimeoutError, redis.TimeoutError):
            self._rests_until = time.monotonic() + REST_SECONDS
            raise StoreUnavailable(f"{self.place} did not answer in time") from None
        except (redis.RedisError, OSError) as error:
            raise StoreUnavailable(f"{self.place} did not do it: {type(error).__name__}") from None

    def _threads(self) -> Any:
        client = self._client
        if client is None:
            with self._lock:
                client = self._client
                if client is None:
                    client = self._client = _client(redis, self._url)
        return client

    async def _tasks(self) -> Any:
        loop = asyncio.get_running_loop()
        found = self._clients.get(loop)
        if found is None:
            client = _client(redis.asyncio, self._url)
            keeping = _kept_by_loop(weakref.ref(self), client)
            with self._lock:
                for other in [other for other in self._clients if other.is_closed()]:
                    del self._clients[other]
                found = self._clients[loop] = client, keeping
            await anext(keeping)  # from now on the loop knows of it
        return found[0]

    def _leaves(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._clients.pop(loop, None)

    # The end

    def close(self) -> None:
        """Close the connections of threads; those of an event loop are closed by `close_async`, or with their loop."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    async def close_async(self) -> None:
        found = self._clients.get(asyncio.get_running_loop())
        if found is not None:
            await found[1].aclose()
        self.close()

    def forks(self) -> None:
        """A connection is of no use to the child, and none the worse for it."""

    def forked(self) -> None:
        _INHERITED.append((self._client, self._clients))  # neither to be used nor closed: the parent does
        self._own.reset()
        self._begin()


_INHERITED: Final[list[object]] = []


async def _kept_by_loop(store: weakref.ref[RedisStore], client: Any) -> AsyncGenerator[None]:
    """Event loops close the asynchronous generators that are left when they shut down, and this one its client."""
    try:
        yield
    finally:
        known = store()
        if known is not None:
            known._leaves(asyncio.get_running_loop())
        await client.aclose()


def _client(library: Any, url: str) -> Any:
    """Connects to nothing yet. Raises SettingsError, which does not show the URL: it may hold a password."""
    parameters = parse_qsl(urlsplit(url).query)
    unknown = sorted({name for name, _ in parameters} - PARAMETERS)
    if unknown:
        raise SettingsError(
            "store", f"the parameters of a Redis URL are of {', '.join(sorted(PARAMETERS))}", unknown[0]
        )
    # Before the library looks at it: with none, redis 6 fills its queue for ever.
    if any(name == "max_connections" and not value.strip("+-_ 0") for name, value in parameters):
        raise SettingsError("store", "max_connections of a Redis URL must be 1 or more")
    try:
        pool = library.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=SECONDS,
            socket_timeout=SECONDS,
            socket_connect_timeout=SECONDS,
            # None: a proof that Redis has taken, without our hearing of it, would then seem to be a replay.
            retry=library.retry.Retry(NoBackoff(), 0),
            protocol=2,
        )
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError, redis.RedisError):
        raise SettingsError("store", MALFORMED) from None
    for name, seconds in _limits(pool).items():
        if not 0 < seconds <= LONGEST_SECONDS:  # NaN is in no range
            raise SettingsError("store", f"{name} of a Redis URL must be seconds, up to {LONGEST_SECONDS:g}", seconds)
    return library.Redis.from_pool(pool)


def _limits(pool: Any) -> dict[str, float]:
    """Seconds for each part of a question: for a connection to be free, to be made, to answer."""
    names = ("socket_connect_timeout", "socket_timeout")
    return {"timeout": pool.timeout, **{name: pool.connection_kwargs[name] for name in names}}


def _patience(client: Any) -> float:
    """Seconds for all of it, in a task: for the longest of its parts, and as much again for the others."""
    return 2 * max(_limits(client.connection_pool).values())


def _place(url: str) -> str:
    """What may be told of the URL. Raises SettingsError."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise SettingsError("store", MALFORMED) from None
    place = parts.path if parts.scheme == "unix" else host and parts.netloc.rpartition("@")[2]
    if not place:
        raise SettingsError("store", MALFORMED)
    return f"{parts.scheme}://{place}"


def _lifetime(proof: RememberProof, now: float) -> int:
    """Milliseconds. Not the moment itself, as Redis may have another time than the hosts of this API."""
    return max(1, round((proof.expires - now + APART) * 1_000))


def _answer(done: object) -> Memory:
    return "new" if done else "seen"


def _fields(revocation: Revocation) -> dict[str, str]:
    return {"document": write_revocation(revocation)}


def _first_alive(entries: list[Any], now: float) -> str:
    """The id of the oldest entry whose tokens have not all expired; what is before it goes."""
    least = FIRST
    for entry in entries:
        milliseconds, _, number = entry[0].decode().partition("-")
        revocation = _read(entry)
        if revocation is None or revocation.kept_until > now:
            return f"{milliseconds}-{number}"
        least = f"{milliseconds}-{int(number) + 1}"
    return least


def _read(entry: tuple[bytes, dict[bytes, bytes]]) -> Revocation | None:
    try:
        return read_revocation(entry[1].get(b"document", b""))
    except ValueError:
        return None
