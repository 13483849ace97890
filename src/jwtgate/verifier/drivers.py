"""Verifier and AsyncVerifier: two drivers side by side, which differ in `await` and hold no decision."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import wait
from contextlib import nullcontext, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from ..core.access import AccessToken, Requirement
from ..core.effects import (
    Decrypt,
    Document,
    Effect,
    Fetch,
    FetchFailed,
    Flow,
    LoadKeys,
    Memory,
    Now,
    ReadFile,
    RememberProof,
    ResolveIssuer,
)
from ..core.errors import AuthError, SettingsError, StoreUnavailable
from ..core.flow import authenticate, authenticate_token
from ..core.keys import IssuerKeys
from ..core.request import Request
from ..core.status import Status
from .driver import Outcome
from .fetching import TOTAL_SECONDS, Body, Cut, failed, import_client, options, read_file, tls
from .flights import LONGEST_FLIGHT, Flight
from .proving import Proving
from .watching import log_refusal

if TYPE_CHECKING:
    from ..core.examination import Examination

T = TypeVar("T")

CLOSING_SECONDS = 1.0  # that `close` waits for what it has broken off
ASYNC_HERE = "must not be async here: that needs an AsyncVerifier"
FETCHED = ("metadata", "jwks_uri")  # sources of keys
SHORTEST_ALARM = 1.0  # seconds between two looks at whether keys are due


class Verifier(Proving[Cut]):
    """Verifies access tokens, for threads.

    settings: what this API accepts.
    http: an `httpx.Client` (or one like it) to fetch keys with; it stays the caller's. None makes one when needed.
    clock: the time; the machine's unless given.
    store: where seen proofs and revoked tokens are remembered: a `jwtgate.stores.Store`, or a URL as in the settings;
        None takes the settings'.
    snapshot: keys to start with: what `export_keys` gave, or a file of it. A file is brought up to date with each set
        that comes, and any number of processes may share it.
    on_event: called with each event of `jwtgate.core.events`, where it happens.

    Raises SettingsError. One verifier serves any number of threads, and the processes that are forked from its own.
    """

    def verify(self, token: str) -> AccessToken:
        """Who this token speaks for. Raises an AuthError."""
        known = self._verify_at_once(token)
        if known is not None:
            return known
        return self._told(authenticate_token(token, self.settings, self._keys, self._senders, self._moment()))

    def verify_request(self, request: Request) -> AccessToken:
        """Who is calling. Raises an AuthError."""
        return _raised(self.outcome(request))

    def outcome(self, request: Request) -> Outcome:
        """As `verify_request`, but a refusal is returned and not logged: a gate may let the request through."""
        known = self._outcome_at_once(request)
        if known is not None:
            return known
        try:
            return self._accept(
                self._drive(authenticate(request, self.settings, self._keys, self._senders, self._moment()))
            )
        except AuthError as error:
            self._watch.refused(error)
            return error.with_traceback(None)  # its frames hold the request

    def explain(
        self, token: str, requirement: Requirement | str | None = None, *, offline: bool = False
    ) -> Examination:
        """Every check of `verify` and then of the requirement, with what came of it. Nothing is raised or logged.

        offline: keys that would have to be fetched are not. Raises SettingsError for what is no requirement.
        """
        from ..core.examination import examine  # what no request needs is not imported at every start

        return self._drive(examine(token, self.settings, self._keys, requirement, self._senders, offline=offline))

    def explain_request(
        self, request: Request, requirement: Requirement | str | None = None, *, offline: bool = False
    ) -> Examination:
        """As `explain`, with the checks of `verify_request`."""
        from ..core.examination import examine_request

        return self._drive(
            examine_request(request, self.settings, self._keys, requirement, self._senders, offline=offline)
        )

    def revoke(
        self,
        token: AccessToken | None = None,
        *,
        issuer: str | None = None,
        jti: str | None = None,
        subject: str | None = None,
        not_before: datetime | float | None = None,
        expires: datetime | float | None = None,
    ) -> None:
        """Take these tokens no more: here at once, and within `revocation_delay` wherever the store is shared.

        token: this one, which must have a `jti`. Or, of the issuer (to be named where there are several): `jti`, the
            name of one token; or `subject`, all that it had before `not_before`, which is now unless given.
        expires: when the last of them expires by itself; `token_lifetime` from now unless given, or ten years. Times
            are aware datetimes, or seconds since the epoch.

        Raises StoreUnavailable, and the revocation then counts in this process alone; SettingsError.
        """
        named = {"issuer": issuer, "jti": jti, "subject": subject, "not_before": not_before, "expires": expires}
        self._revoking.revoke(self._revocation(token, **named))

    def warm_up(self) -> Status:
        """Load what is missing or due of all issuers in the settings, at once, and say how it went."""
        boarded = [self._flights.board(effect, self._moment()) for effect in self._wanted()]
        own = [flight for flight, mine in boarded if flight is not None and mine and self._departs(flight)]
        for flight in own[1:]:
            self._take_off(flight)
        # The first of them in this thread. One of its own could be about to end when this returns, and a fork at that
        # moment leaves OpenSSL locked in the child, for ever.
        for flight in own[:1]:
            self._fly(flight)
        self._revoking.warm_up()
        wait([flight.landed for flight, _ in boarded if flight is not None], LONGEST_FLIGHT)
        return self.status()

    def close(self) -> None:
        """Break off what is under way, and fetch nothing any more. Keys that are known serve on."""
        self._closed = True
        for cut in list(self._running):
            cut.cut()
        wait([flight.landed for flight in self._flights.under_way()], CLOSING_SECONDS)
        self._revoking.close()
        if self._owns_store:
            self._store.close()

    def __enter__(self) -> Self:
        """Open it, again where it was closed: an app may be started several times in one process."""
        self._reopen()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        super()._begin()
        if inspect.iscoroutinefunction(self.settings.resolver):
            raise SettingsError("resolver", ASYNC_HERE)
        if any(inspect.iscoroutinefunction(key.ask) for key in self.settings.keys_for_decryption):
            raise SettingsError("decryption_keys", ASYNC_HERE)

    def _told(self, flow: Flow[AccessToken]) -> AccessToken:
        try:
            return self._accept(self._drive(flow))
        except AuthError as error:
            self._watch.refused(error)
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
                except (FetchFailed, StoreUnavailable) as failure:
                    step, value = flow.throw, failure
        except StopIteration as end:
            return cast(T, end.value)

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Now():
                return self._moment()
            case LoadKeys():
                return self._load(effect)
            case Fetch():
                return self._fetch(effect)
            case ResolveIssuer():
                return self._resolve(effect)
            case RememberProof():
                return self._remember_at_once(effect)
            case Decrypt():
                return self._decrypt(effect)
            case _:
                return self._at_once(effect)

    def _load(self, effect: LoadKeys) -> None:
        flight, mine = self._board(effect)
        patience = LONGEST_FLIGHT if effect.urgent else effect.grace if mine else 0.0
        if flight is not None and patience > 0:
            wait([flight.landed], patience)

    def _board(self, effect: LoadKeys) -> tuple[Flight | None, bool]:
        flight, mine = self._flights.board(effect, self._moment())
        if flight is not None and mine and self._departs(flight):
            self._take_off(flight)
        return flight, mine

    def _take_off(self, flight: Flight) -> None:
        # A thread of its own: neither a known key nor a deadline waits for what an endpoint, or a name server, may do.
        try:
            threading.Thread(target=self._fly, args=(flight,), name="jwtgate-keys", daemon=True).start()
        except RuntimeError:  # none can be had, perhaps because the interpreter ends
            self._land(flight, reason="no thread could be started")

    def _fly(self, flight: Flight) -> None:
        try:
            self._drive(flight.effect.keys.load(flight.ticket, flight.began, flight.effect.kid))
        finally:
            self._land(flight)
        if self._brought(flight):
            self._save()

    def _fetch(self, effect: Fetch) -> Document:
        self._check_open()
        self._watch.fetches.add()
        try:
            return self._get(effect)
        except Exception as error:
            self._watch.failed_fetches.add()
            raise failed(error) from error

    def _get(self, effect: Fetch) -> Document:
        import httpx

        deadline = time.monotonic() + TOTAL_SECONDS
        with Cut() as cut, nullcontext(self._http) if self._http else httpx.Client(verify=tls()) as client:
            self._running.add(cut)
            try:
                with client.stream("GET", effect.url, extensions={"trace": cut.trace}, **options()) as response:
                    body = Body(response, effect, deadline)
                    for chunk in response.iter_raw() if body.packed else response.iter_bytes():
                        body.add(chunk)
            except Exception:
                self._check_in_time(cut)
                raise
            finally:
                self._running.discard(cut)
        # An answer without a length that is cut looks as if it were whole.
        self._check_in_time(cut)
        return body.document()

    def _check_in_time(self, cut: Cut) -> None:
        if cut.over:
            self._check_open()
            raise FetchFailed(f"not complete after {TOTAL_SECONDS:g} s", "deadline")

    def _resolve(self, effect: ResolveIssuer) -> Any:
        try:
            found = effect.resolver(effect.stated, effect.request)
            if inspect.isawaitable(found):
                getattr(found, "close", bool)()  # nobody will ever await it
                raise SettingsError("resolver", ASYNC_HERE)
        except Exception as error:
            raise self._failed_to_resolve(error) from error
        return found

    def _decrypt(self, effect: Decrypt) -> Any:
        try:
            found = effect.decrypt(effect.encrypted_key, effect.algorithm)
            if inspect.isawaitable(found):
                getattr(found, "close", bool)()  # nobody will ever await it
                raise SettingsError("decryption_keys", ASYNC_HERE)
        except ValueError as error:
            return self._undecrypted(error)
        except Exception as error:
            raise self._failed_to_decrypt(error) from error
        return found


class AsyncVerifier(Proving["asyncio.Task[None]"]):
    """Verifies access tokens, for tasks.

    settings: what this API accepts.
    http: an `httpx.AsyncClient` (or one like it) to fetch keys with; it stays the caller's. None makes one when needed.
    clock: the time; the machine's unless given.
    store: where seen proofs and revoked tokens are remembered: a `jwtgate.stores.Store`, or a URL as in the settings;
        None takes the settings'.
    snapshot: keys to start with: what `export_keys` gave, or a file of it. A file is brought up to date with each set
        that comes, and any number of processes may share it.
    on_event: called with each event of `jwtgate.core.events`, where it happens.

    Raises SettingsError. One verifier serves any number of tasks, in any number of asyncio event loops, and the
    processes that are forked from its own.
    """

    async def verify(self, token: str) -> AccessToken:
        """Who this token speaks for. Raises an AuthError."""
        known = self._verify_at_once(token)
        if known is not None:
            return known
        return await self._told(authenticate_token(token, self.settings, self._keys, self._senders, self._moment()))

    async def verify_request(self, request: Request) -> AccessToken:
        """Who is calling. Raises an AuthError."""
        return _raised(await self.outcome(request))

    async def outcome(self, request: Request) -> Outcome:
        """As `verify_request`, but a refusal is returned and not logged: a gate may let the request through."""
        known = self._outcome_at_once(request)
        if known is not None:
            return known
        try:
            return self._accept(
                await self._drive(authenticate(request, self.settings, self._keys, self._senders, self._moment()))
            )
        except AuthError as error:
            self._watch.refused(error)
            return error.with_traceback(None)  # its frames hold the request

    async def explain(
        self, token: str, requirement: Requirement | str | None = None, *, offline: bool = False
    ) -> Examination:
        """Every check of `verify` and then of the requirement, with what came of it. Nothing is raised or logged.

        offline: keys that would have to be fetched are not. Raises SettingsError for what is no requirement.
        """
        from ..core.examination import examine  # what no request needs is not imported at every start

        return await self._drive(examine(token, self.settings, self._keys, requirement, self._senders, offline=offline))

    async def explain_request(
        self, request: Request, requirement: Requirement | str | None = None, *, offline: bool = False
    ) -> Examination:
        """As `explain`, with the checks of `verify_request`."""
        from ..core.examination import examine_request

        return await self._drive(
            examine_request(request, self.settings, self._keys, requirement, self._senders, offline=offline)
        )

    async def revoke(
        self,
        token: AccessToken | None = None,
        *,
        issuer: str | None = None,
        jti: str | None = None,
        subject: str | None = None,
        not_before: datetime | float | None = None,
        expires: datetime | float | None = None,
    ) -> None:
        """Take these tokens no more: here at once, and within `revocation_delay` wherever the store is shared.

        token: this one, which must have a `jti`. Or, of the issuer (to be named where there are several): `jti`, the
            name of one token; or `subject`, all that it had before `not_before`, which is now unless given.
        expires: when the last of them expires by itself; `token_lifetime` from now unless given, or ten years. Times
            are aware datetimes, or seconds since the epoch.

        Raises StoreUnavailable, and the revocation then counts in this process alone; SettingsError.
        """
        named = {"issuer": issuer, "jti": jti, "subject": subject, "not_before": not_before, "expires": expires}
        await self._revoking.revoke_async(self._revocation(token, **named))

    async def warm_up(self) -> Status:
        """Load what is missing or due of all issuers in the settings, at once, and say how it went."""
        flights = [self._board(effect)[0] for effect in self._wanted()]
        landed = [asyncio.wrap_future(flight.landed) for flight in flights if flight is not None]
        if self._store.shared:
            await asyncio.to_thread(self._revoking.warm_up)
        if landed:
            await asyncio.wait(landed, timeout=LONGEST_FLIGHT)
        return self.status()

    async def close(self) -> None:
        """Break off what is under way, and fetch nothing any more. Keys that are known serve on."""
        self._closed = True
        here = asyncio.get_running_loop()
        own = [task for task in self._running if task.get_loop() is here]
        for task in list(self._running):
            with suppress(RuntimeError):  # its event loop is closed
                task.get_loop().call_soon_threadsafe(task.cancel)
        if own:
            await asyncio.wait(own, timeout=CLOSING_SECONDS)
        await asyncio.to_thread(self._revoking.close)
        if self._owns_store:
            await self._store.close_async()

    async def __aenter__(self) -> Self:
        """Open it, again where it was closed: an app may be started several times in one process."""
        self._reopen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _begin(self) -> None:
        super()._begin()
        if self.settings.resolver is not None or any(keys.source in FETCHED for keys in self._keys.values()):
            import_client()  # here, where nobody waits: with the first fetch, a whole event loop would

    async def _told(self, flow: Flow[AccessToken]) -> AccessToken:
        try:
            return self._accept(await self._drive(flow))
        except AuthError as error:
            self._watch.refused(error)
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
                except (FetchFailed, StoreUnavailable) as failure:
                    step, value = flow.throw, failure
        except StopIteration as end:
            return cast(T, end.value)

    async def _perform(self, effect: Effect) -> Any:
        match effect:
            case Now():
                return self._moment()
            case LoadKeys():
                return await self._load(effect)
            case Fetch():
                return await self._fetch(effect)
            case ReadFile():
                return await asyncio.to_thread(read_file, effect)
            case ResolveIssuer():
                return await self._resolve(effect)
            case RememberProof():
                return await self._remember(effect)
            case Decrypt():
                return await self._decrypt(effect)
            case _:
                return self._at_once(effect)

    async def _load(self, effect: LoadKeys) -> None:
        flight, mine = self._board(effect)
        if flight is None:
            return
        if effect.urgent:
            await flight.wait()
        elif mine and effect.grace > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(effect.grace):
                    await flight.wait()

    def _board(self, effect: LoadKeys) -> tuple[Flight | None, bool]:
        flight, mine = self._flights.board(effect, self._moment())
        if flight is not None and mine and self._departs(flight):
            self._take_off(flight)
        return flight, mine

    def _take_off(self, flight: Flight) -> None:
        # A task of its own: the request that caused it may be cancelled, and others wait for it too.
        task = asyncio.get_running_loop().create_task(self._fly(flight))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _fly(self, flight: Flight) -> None:
        try:
            await self._drive(flight.effect.keys.load(flight.ticket, flight.began, flight.effect.kid))
        finally:
            self._land(flight)
        self._set_alarm(flight.effect.keys)
        if self._brought(flight):
            await asyncio.to_thread(self._save)

    def _set_alarm(self, keys: IssuerKeys) -> None:
        """Look again when these keys are due, whether or not a request comes. It costs no task and no thread."""
        delay = max(SHORTEST_ALARM, keys.state.next_load(self._clock.monotonic()))
        # A verifier that nobody holds, and a loop that is closed, take their alarms with them.
        asyncio.get_running_loop().call_later(delay, _ring, weakref.ref(self), keys, keys.state.settled)

    def _rings(self, keys: IssuerKeys, settled: int) -> None:
        if self._closed or not self._keys.wants(keys) or keys.state.settled != settled:
            return  # whoever has loaded them since has set an alarm of its own
        effect = keys.refresh(self._clock.monotonic())
        if effect is None:
            self._set_alarm(keys)
        else:
            self._board(effect)

    async def _fetch(self, effect: Fetch) -> Document:
        self._check_open()
        self._watch.fetches.add()
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                return await self._get(effect)
        except Exception as error:
            self._watch.failed_fetches.add()
            raise failed(error) from error

    async def _get(self, effect: Fetch) -> Document:
        deadline = time.monotonic() + TOTAL_SECONDS
        own = nullcontext(self._http) if self._http else await _client()
        async with own as client, client.stream("GET", effect.url, **options()) as response:
            body = Body(response, effect, deadline)
            async for chunk in response.aiter_raw() if body.packed else response.aiter_bytes():
                body.add(chunk)
        return body.document()

    async def _resolve(self, effect: ResolveIssuer) -> Any:
        try:
            found = effect.resolver(effect.stated, effect.request)
            return await found if inspect.isawaitable(found) else found
        except Exception as error:
            raise self._failed_to_resolve(error) from error

    async def _remember(self, effect: RememberProof) -> Memory:
        try:
            return await self._store.remember_async(effect, self._clock.wall())
        except Exception as error:
            raise self._store_trouble(error) from error

    async def _decrypt(self, effect: Decrypt) -> Any:
        try:
            found = effect.decrypt(effect.encrypted_key, effect.algorithm)
            return await found if inspect.isawaitable(found) else found
        except ValueError as error:
            return self._undecrypted(error)
        except Exception as error:
            raise self._failed_to_decrypt(error) from error


def _raised(outcome: Outcome) -> AccessToken:
    """The token; a refusal is raised, and is then in the log."""
    if isinstance(outcome, AuthError):
        log_refusal(outcome)
        try:
            raise outcome
        finally:
            # Its traceback holds this frame: in a circle, the request would stay until garbage is collected.
            del outcome
    return outcome


async def _client() -> Any:
    context = await asyncio.to_thread(tls)  # long work, once, and not on the event loop
    import httpx

    return httpx.AsyncClient(verify=context)


def _ring(verifier: weakref.ref[AsyncVerifier], keys: IssuerKeys, settled: int) -> None:
    known = verifier()
    if known is not None:
        known._rings(keys, settled)
