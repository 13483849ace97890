"""Verifier and AsyncVerifier: two drivers side by side; the only room that waits, locks and knows the time."""

from __future__ import annotations

import asyncio
import functools
import logging
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from .core.access import AccessToken
from .core.effects import Effect, Fetch, FetchFailed, Flow, LoadKeys, Moment, Now
from .core.errors import AuthError, SettingsError, listed, shown
from .core.flow import authenticate, authenticate_token
from .core.keys import IssuerKeys, keys_of
from .core.request import Request
from .core.settings import ApiSettings

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
Outcome = AccessToken | AuthError
log: logging.Logger = logging.getLogger("jwtgate")

CONNECT_SECONDS, TOTAL_SECONDS = 3.0, 5.0  # of one document
LONGEST_FLIGHT = 15.0  # seconds: the metadata, the keys, and some


class Clock(Protocol):
    """wall: seconds since the epoch; monotonic: seconds that never step back."""

    def wall(self) -> float: ...

    def monotonic(self) -> float: ...


class SystemClock:
    """The time of this machine."""

    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class _Flights:
    """One load of an issuer's keys for any number of waiters: threads, tasks and event loops mixed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[IssuerKeys, tuple[Future[None], float]] = {}

    def board(self, effect: LoadKeys, now: float) -> tuple[Future[None] | None, bool]:
        """The flight to wait for, and whether the caller is the one who flies it; None when it has landed already."""
        with self._lock:
            flight, since = self._under_way.get(effect.keys, (None, now))
            # A flight whose event loop was torn down never lands: nobody must wait for it for ever.
            if flight is not None and now - since < LONGEST_FLIGHT:
                return flight, False
            if effect.keys.state.attempts != effect.attempts:
                return None, False
            flight = Future()
            flight.set_running_or_notify_cancel()  # a waiter that is cancelled must not cancel it for the others
            self._under_way[effect.keys] = flight, now
            return flight, True

    def land(self, flight: Future[None], effect: LoadKeys, now: float) -> None:
        """The load has ended, and its outcome is in the keys' state."""
        keys = effect.keys
        with self._lock:
            if keys.state.attempts == effect.attempts:
                keys.state = keys.state.failed("the load was interrupted", now)
            if self._under_way.get(keys, (None, 0.0))[0] is flight:
                del self._under_way[keys]
        flight.set_result(None)
        _log_keys(keys, now)


class _Body:
    """The bytes of one document, within its limits."""

    def __init__(self, limit: int, deadline: float) -> None:
        self._chunks = bytearray()
        self._limit = limit
        self._deadline = deadline  # of time.monotonic

    def begin(self, response: httpx.Response) -> None:
        if response.status_code != 200:
            raise FetchFailed(f"status {response.status_code}")
        # `identity` was asked for. What a compressed body unpacks to, its sender decides.
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise FetchFailed("a compressed answer to a request for identity")

    def add(self, chunk: bytes) -> None:
        self._chunks += chunk
        if len(self._chunks) > self._limit:
            raise FetchFailed(f"more than {self._limit} bytes")
        if time.monotonic() > self._deadline:
            raise FetchFailed(f"not complete after {TOTAL_SECONDS:g} s")

    def bytes(self) -> bytes:
        return bytes(self._chunks)


_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


@functools.cache
def _tls() -> ssl.SSLContext:
    """Built once: reading the system's certificates takes as long as a few dozen verifications."""
    import httpx  # only now: most of what this costs is paid by nobody who never fetches

    return httpx.create_ssl_context()


def _options() -> dict[str, Any]:
    import httpx

    timeout = httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS)
    return {"headers": _HEADERS, "follow_redirects": False, "timeout": timeout}


def _failed(error: Exception) -> FetchFailed:
    # The text may quote the network: its type is enough.
    return error if isinstance(error, FetchFailed) else FetchFailed(f"the request failed: {type(error).__name__}")


class _Driver:
    """What the two drivers share: everything but the waiting."""

    def __init__(self, settings: ApiSettings, *, http: Any = None, clock: Clock | None = None) -> None:
        if not isinstance(settings, ApiSettings):
            raise SettingsError("settings", f"must be ApiSettings, got {type(settings).__name__}")
        self.settings = settings
        self._http = http
        self._clock: Clock = clock or SystemClock()
        self._keys = keys_of(settings)
        self._flights = _Flights()

    def _moment(self) -> Moment:
        return Moment(self._clock.wall(), self._clock.monotonic())


class Verifier(_Driver):
    """Verifies access tokens, for threads.

    settings: what this API accepts.
    http: an `httpx.Client` (or one like it) to fetch keys with; it stays the caller's. None makes one when needed.
    clock: the time; the machine's unless given.

    Raises SettingsError. One verifier serves any number of threads.
    """

    def verify(self, token: str) -> AccessToken:
        """Who this token speaks for. Raises an AuthError."""
        return self._told(authenticate_token(token, self.settings, self._keys))

    def verify_request(self, request: Request) -> AccessToken:
        """Who is calling. Raises an AuthError."""
        return self._told(authenticate(request, self.settings, self._keys))

    def outcome(self, request: Request) -> Outcome:
        """As `verify_request`, but a refusal is returned and not logged: a gate may let the request through."""
        try:
            return self._drive(authenticate(request, self.settings, self._keys))
        except AuthError as error:
            return error

    def _told(self, flow: Flow[AccessToken]) -> AccessToken:
        try:
            return self._drive(flow)
        except AuthError as error:
            log_refusal(error)
            raise

    def _drive(self, flow: Flow[T]) -> T:
        step: Callable[[Any], Effect] = flow.send
        value: Any = None
        try:
            while True:
                effect = step(value)
                try:
                    step, value = flow.send, self._perform(effect)
                except FetchFailed as failure:
                    step, value = flow.throw, failure
        except StopIteration as end:
            return cast(T, end.value)

    def _perform(self, effect: Effect) -> Moment | bytes | None:
        match effect:
            case Now():
                return self._moment()
            case Fetch():
                return self._fetch(effect)
            case _:
                self._load(effect)
                return None

    def _load(self, effect: LoadKeys) -> None:
        flight, mine = self._flights.board(effect, self._clock.monotonic())
        if flight is None:
            return
        if mine and effect.urgent:
            self._fly(flight, effect)
        elif mine:
            # A thread of its own: a request whose key is known does not wait for younger ones.
            threading.Thread(target=self._fly, args=(flight, effect), name="jwtgate-keys", daemon=True).start()
        elif effect.urgent:
            wait([flight], LONGEST_FLIGHT)

    def _fly(self, flight: Future[None], effect: LoadKeys) -> None:
        try:
            self._drive(effect.keys.load(self._moment(), because_of_kid=effect.because_of_kid))
        finally:
            self._flights.land(flight, effect, self._clock.monotonic())

    def _fetch(self, effect: Fetch) -> bytes:
        try:
            return self._get(effect)
        except Exception as error:
            raise _failed(error) from error

    def _get(self, effect: Fetch) -> bytes:
        import httpx

        body = _Body(effect.limit, time.monotonic() + TOTAL_SECONDS)
        own = nullcontext(self._http) if self._http else httpx.Client(verify=_tls())
        with own as client, client.stream("GET", effect.url, **_options()) as response:
            body.begin(response)
            for chunk in response.iter_bytes():
                body.add(chunk)
        return body.bytes()


class AsyncVerifier(_Driver):
    """Verifies access tokens, for tasks.

    settings: what this API accepts.
    http: an `httpx.AsyncClient` (or one like it) to fetch keys with; it stays the caller's. None makes one when needed.
    clock: the time; the machine's unless given.

    Raises SettingsError. One verifier serves any number of tasks, in any number of asyncio event loops.
    """

    def __init__(self, settings: ApiSettings, *, http: Any = None, clock: Clock | None = None) -> None:
        super().__init__(settings, http=http, clock=clock)
        self._tasks: set[asyncio.Task[None]] = set()

    async def verify(self, token: str) -> AccessToken:
        """Who this token speaks for. Raises an AuthError."""
        return await self._told(authenticate_token(token, self.settings, self._keys))

    async def verify_request(self, request: Request) -> AccessToken:
        """Who is calling. Raises an AuthError."""
        return await self._told(authenticate(request, self.settings, self._keys))

    async def outcome(self, request: Request) -> Outcome:
        """As `verify_request`, but a refusal is returned and not logged: a gate may let the request through."""
        try:
            return await self._drive(authenticate(request, self.settings, self._keys))
        except AuthError as error:
            return error

    async def _told(self, flow: Flow[AccessToken]) -> AccessToken:
        try:
            return await self._drive(flow)
        except AuthError as error:
            log_refusal(error)
            raise

    async def _drive(self, flow: Flow[T]) -> T:
        step: Callable[[Any], Effect] = flow.send
        value: Any = None
        try:
            while True:
                effect = step(value)
                try:
                    step, value = flow.send, await self._perform(effect)
                except FetchFailed as failure:
                    step, value = flow.throw, failure
        except StopIteration as end:
            return cast(T, end.value)

    async def _perform(self, effect: Effect) -> Moment | bytes | None:
        match effect:
            case Now():
                return self._moment()
            case Fetch():
                return await self._fetch(effect)
            case _:
                await self._load(effect)
                return None

    async def _load(self, effect: LoadKeys) -> None:
        flight, mine = self._flights.board(effect, self._clock.monotonic())
        if flight is None:
            return
        if mine:
            # A task of its own: the request that caused it may be cancelled, and others wait for it too.
            task = asyncio.get_running_loop().create_task(self._fly(flight, effect))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if effect.urgent:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.wrap_future(flight), LONGEST_FLIGHT)

    async def _fly(self, flight: Future[None], effect: LoadKeys) -> None:
        try:
            await self._drive(effect.keys.load(self._moment(), because_of_kid=effect.because_of_kid))
        finally:
            self._flights.land(flight, effect, self._clock.monotonic())

    async def _fetch(self, effect: Fetch) -> bytes:
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                return await self._get(effect)
        except Exception as error:
            raise _failed(error) from error

    async def _get(self, effect: Fetch) -> bytes:
        tls = await asyncio.to_thread(_tls)  # long work, once, and not on the event loop
        import httpx

        body = _Body(effect.limit, time.monotonic() + TOTAL_SECONDS)
        own = nullcontext(self._http) if self._http else httpx.AsyncClient(verify=tls)
        async with own as client, client.stream("GET", effect.url, **_options()) as response:
            body.begin(response)
            async for chunk in response.aiter_bytes():
                body.add(chunk)
        return body.bytes()


# ------------------------------------------------------------------------------------------------------------ the log


def log_refusal(error: AuthError) -> None:
    """One line for each refusal, however many hands it passes through."""
    if not error.logged:
        error.logged = True
        log.info("refused: %d %s: %s", error.status, error.event, error, extra={"event": error.event})


def _log_keys(keys: IssuerKeys, now: float) -> None:
    state, issuer = keys.state, shown(keys.issuer.url)
    serving = state.serving(now)
    if serving is None:
        log.error("no keys of %s: %s", issuer, state.failure)
    elif state.failures:
        log.warning("keys of %s not refreshed, the last good ones serve: %s", issuer, state.failure)
    else:
        level = logging.WARNING if serving.skipped else logging.DEBUG
        log.log(level, "keys of %s loaded: %d; skipped: %s", issuer, len(serving.kids), listed(serving.skipped))
