"""What the two drivers share: everything but the waiting."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from inspect import iscoroutinefunction
from typing import Any, Generic, TypeVar, cast
from urllib.parse import urlsplit

from ..core.access import AccessToken
from ..core.binding import Senders
from ..core.challenge import parting
from ..core.effects import Document, FetchFailed, Flow, LoadKeys, Moment, Now, ReadFile, Settle, Trouble
from ..core.errors import AuthError, SettingsError, StoreUnavailable
from ..core.events import KeysRestored, PlainHttp, SnapshotTrouble
from ..core.jwk import import_cryptography
from ..core.key_state import Attempt
from ..core.keys import IssuerKeys, keys_of
from ..core.request import is_token
from ..core.revocations import Revocation
from ..core.settings import ApiSettings
from ..core.snapshot import write_snapshot
from ..core.status import Counters, Status
from ..core.values import LOOPBACK
from ..core.verification import ShortWay
from ..stores import Store, open_store
from . import snapshots
from .clock import Clock, SystemClock
from .fetching import read_file
from .flights import Flight, Flights
from .revoking import Revoking
from .watching import OnEvent, Watch, log, log_refusal, outcome_of

T = TypeVar("T")
R = TypeVar("R")
Outcome = AccessToken | AuthError
CLOSED = "the verifier is closed"
BEARER = "Bearer "  # as nearly every client writes it; `outcome` takes it in any case
LONGEST_LIFE = 315_360_000  # seconds: without `token_lifetime`, tokens may live for long, and must not come back


class Driver(Generic[R]):
    """Settings, keys and what is known of them; the flights that bring them; the log and the counters."""

    def __init__(
        self,
        settings: ApiSettings,
        *,
        http: Any = None,
        clock: Clock | None = None,
        store: Store | str | None = None,
        snapshot: bytes | snapshots.Path | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        if not isinstance(settings, ApiSettings):
            raise SettingsError("settings", f"must be ApiSettings, got {type(settings).__name__}")
        _check_kind(http, self)
        if iscoroutinefunction(on_event):
            raise SettingsError("on_event", "must be a plain function, got a coroutine function")
        import_cryptography()  # here, where nobody waits: the first request would, and with it a whole event loop
        self.settings = settings
        self._http = http
        self._clock: Clock = clock or SystemClock()
        self._keys = keys_of(settings, _seed())
        self._flights = Flights()
        self._watch = Watch(on_event)
        self._count_accepted = self._watch.accepted.add
        self._store = self._open(store)
        self._owns_store = not isinstance(store, Store)
        self._revoking = Revoking(
            self._store,
            delay=settings.revocation_delay,
            outage=settings.revocation_outage,
            clock=self._clock,
            tell=self._watch.tell,
        )
        self._senders = Senders(settings, self._revoking)
        self._short_way = ShortWay(settings, self._keys, self._senders)
        self._snapshot = _snapshot_source(snapshot)
        self._closed = False
        self._running: set[R] = set()  # what `close` breaks off
        self._begin()
        _DRIVERS.add(self)
        self._warn()
        self._read_files()
        self._restore()

    # Being watched

    def status(self) -> Status:
        """What is known of the keys, now. Asks nobody."""
        return self._keys.status(self._clock.monotonic())

    def ready(self) -> bool:
        """Have all issuers in the settings keys that serve? Asks nobody: `warm_up` makes it so."""
        return self._keys.ready(self._clock.monotonic())

    def counters(self) -> Counters:
        """How often what happened since this verifier was made, in this process."""
        return self._watch.counters()

    def export_keys(self) -> bytes:
        """The key sets in use, for `snapshot=`, `jwks=` or `jwks_file=`: a JSON document of public keys.

        Whoever can change it can forge tokens: keep it as you keep the settings.
        """
        return write_snapshot(self._keys.export(self._moment()))

    # What is decided at once

    def glance(self, authorization: str) -> Outcome | None:
        """Who is calling, if the one Authorization line of a request without a DPoP proof tells at once.

        None says nothing: `outcome` is to be asked.
        """
        longest = self.settings.max_token_bytes + len(BEARER)  # of a longer line not even a part is copied
        if type(authorization) is not str or len(authorization) > longest or authorization[:7] != BEARER:
            return None
        clock, token = self._clock, authorization[7:]
        try:
            found = self._short_way(token, clock.wall(), clock.monotonic())
        except AuthError as error:
            # A good token is one by its grammar too. Of any other text the line itself may be what is wrong.
            if not is_token(token):
                return None
            self._watch.refused(error)
            return parting(error, self.settings, "Bearer")
        if found is not None:
            self._count_accepted()
        return found

    def _verify_at_once(self, token: str) -> AccessToken | None:
        """Who a bare token speaks for, if that can be told at once. Raises an AuthError, as `verify` does."""
        clock = self._clock
        try:
            found = self._short_way(token, clock.wall(), clock.monotonic())
        except AuthError as error:
            self._watch.refused(error)
            log_refusal(error)
            raise parting(error, self.settings) from None
        if found is not None:
            self._count_accepted()
        return found

    # The time, and what needs no waiting

    def _moment(self) -> Moment:
        clock = self._clock
        return Moment(clock.wall(), clock.monotonic())

    def _settle(self, keys: IssuerKeys, attempt: Attempt) -> None:
        before, after = self._flights.settle(keys, attempt)
        event = outcome_of(keys.issuer.url, attempt, before, after, self._clock.monotonic())
        if event is not None and attempt.keys is None:
            self._watch.failed_loads.add()
        self._watch.tell(event)

    def _land(self, flight: Flight, trouble: Trouble = "interrupted", reason: str = "the load was interrupted") -> None:
        """The load has ended. Where it has settled its outcome, this adds nothing to it."""
        now = self._clock.monotonic()
        self._settle(flight.effect.keys, flight.ended(now, trouble=trouble, reason=reason))
        self._flights.land(flight)

    def _departs(self, flight: Flight) -> bool:
        """Count a load that begins. False: this verifier is closed, and the load has ended with that."""
        if self._closed:
            self._land(flight, "closed", CLOSED)
            return False
        self._watch.loads.add()
        if flight.effect.kid is not None:
            self._watch.kid_loads.add()
        return True

    def _reopen(self) -> None:
        self._closed = False
        self._revoking.reopen()

    def _check_open(self) -> None:
        if self._closed:
            raise FetchFailed(CLOSED, "closed")

    def _wanted(self) -> list[LoadKeys]:
        """What to ask for now although no token asks."""
        now = self._clock.monotonic()
        effects = [keys.refresh(now) for keys in self._keys.values()]
        return [effect for effect in effects if effect is not None]

    def _brought(self, flight: Flight) -> bool:
        """Did this load bring the set that is in use?"""
        return flight.effect.keys.state.set_by == flight.ticket

    def _failed_to_resolve(self, error: Exception) -> FetchFailed:
        log.error("the resolver failed", exc_info=error, extra={"event": "resolver.failed"})
        return FetchFailed(f"the resolver failed: {type(error).__name__}", "resolver")

    def _failed_to_decrypt(self, error: Exception) -> FetchFailed:
        log.error("a decryption key's callable failed", exc_info=error, extra={"event": "decryption.failed"})
        return FetchFailed(f"its callable failed: {type(error).__name__}")

    def _undecrypted(self, error: ValueError) -> None:
        """Its key does not open this: a stranger's doing. Other kinds of ValueError, such as JSON's, are trouble."""
        if type(error) is not ValueError:
            raise self._failed_to_decrypt(error) from error

    def _store_trouble(self, error: Exception) -> StoreUnavailable:
        if isinstance(error, StoreUnavailable):
            return error
        log.error("the store failed", exc_info=error, extra={"event": "store.failed"})
        return StoreUnavailable(f"failed: {type(error).__name__}")

    def _accept(self, token: AccessToken) -> AccessToken:
        self._count_accepted()
        return token

    # Revoked tokens

    def _revocation(self, token: AccessToken | None, **named: Any) -> Revocation:
        """What `revoke` was told, and what it was not told worked out. Raises SettingsError."""
        given = {name: value for name, value in named.items() if value is not None}
        if token is not None:
            if not isinstance(token, AccessToken):
                raise SettingsError("revocation", f"must be of an AccessToken, got {type(token).__name__}")
            if given:
                raise SettingsError("revocation", "of a token, nothing else is to be named", min(given))
            given = _told_by(token)
        now = self._clock.wall()
        if "issuer" not in given and len(self.settings.issuers) != 1:
            raise SettingsError("revocation", "must name the issuer: there are several, or a resolver names them")
        about: dict[str, Any] = {
            "issuer": self.settings.issuers[0].url if self.settings.issuers else None,
            "expires": now + (self.settings.token_lifetime or LONGEST_LIFE),
            **({"not_before": now} if "subject" in given else {}),
            **given,
        }
        known = [issuer.url for issuer in self.settings.issuers]
        if self.settings.resolver is None and about["issuer"] not in known:
            # Spelt in another way it would revoke nothing, and nobody would see that.
            raise SettingsError("revocation", f"issuer must be {' or '.join(known)}", about["issuer"])
        for name in ("not_before", "expires"):
            if name in about:
                about[name] = _seconds_of(about[name])
        return Revocation(**about)

    # The beginning

    def _open(self, given: Store | str | None) -> Store:
        if given is not None and not isinstance(given, Store | str):
            raise SettingsError("store", f"must be a Store or a URL, got {type(given).__name__}")
        if isinstance(given, Store):
            return given
        url = self.settings.store if given is None else given
        # A file for several workers is made only where there are proofs to be remembered.
        if url is None and "dpop" not in self.settings.possession.mechanisms:
            url = "memory://"
        return open_store(url, identifier=self.settings.identifier)

    def _begin(self) -> None:
        """What one of the drivers alone insists on. Raises SettingsError."""

    def _warn(self) -> None:
        for issuer in self.settings.issuers:
            for url in (issuer.url, issuer.metadata_url, issuer.jwks_uri):
                if url is not None and _is_plain(url):
                    self._watch.tell(PlainHttp(issuer.url, url))

    def _read_files(self) -> None:
        """A file that is named must be there and be good: to start without is a fault of the settings."""
        for keys in self._keys.values():
            if keys.issuer.jwks_file is None:
                continue
            self._run(keys.load(keys.begin(), self._moment()))
            if keys.state.keys is None:
                raise SettingsError("jwks_file", keys.state.failure, keys.issuer.jwks_file)

    def _run(self, flow: Flow[T]) -> T:
        """A flow that asks for nothing that has to be waited for."""
        step: Callable[[Any], Any] = flow.send
        value: Any = None
        try:
            while True:
                effect = step(value)
                try:
                    step, value = flow.send, self._at_once(effect)
                except FetchFailed as failure:
                    step, value = flow.throw, failure
        except StopIteration as end:
            return cast(T, end.value)

    def _at_once(self, effect: Now | ReadFile | Settle) -> Moment | Document | None:
        match effect:
            case Now():
                return self._moment()
            case ReadFile():
                return read_file(effect)
            case _:
                self._settle(effect.keys, effect.attempt)
                return None

    # Outliving the process

    def _restore(self) -> None:
        if self._snapshot is None:
            return
        try:
            snapshot = snapshots.load(self._snapshot)
        except (ValueError, OSError) as error:
            self._watch.tell(SnapshotTrouble("read", _said(error)))
            return
        moment = self._moment()
        for keys in self._keys.restore(snapshot, moment):
            found = keys.status(moment.monotonic)
            self._watch.tell(KeysRestored(found.issuer, found.kids, found.age or 0.0))

    def _save(self) -> None:
        """Long work, perhaps, on a disk: nobody waits for it."""
        if self._snapshot is None or isinstance(self._snapshot, bytes):
            return
        moment = self._moment()
        try:
            snapshots.save(self._snapshot, self._keys.export(moment), moment.wall)
        except OSError as error:
            self._watch.tell(SnapshotTrouble("write", _said(error)))

    # Another process

    def _forked(self) -> None:
        """What was under way belongs to the parent; the keys there were are good here too."""
        self._flights.reset()
        self._watch.reset()
        self._running.clear()
        self._revoking.forked()
        self._keys.reseed(_seed())


def _check_kind(http: Any, verifier: Driver[Any]) -> None:
    # A client that awaits where the verifier does not, or the other way about: each fetch would fail, and each request.
    # `with` tells them apart without an import of httpx; a stand-in that has neither form is taken.
    ways = ("__enter__", "__aenter__")
    if http is not None and all(hasattr(http, way) != hasattr(verifier, way) for way in ways):
        wanted = "an httpx.Client" if hasattr(verifier, "__enter__") else "an httpx.AsyncClient"
        raise SettingsError("http", f"must be {wanted} for {type(verifier).__name__}, got {type(http).__name__}")


def _told_by(token: AccessToken) -> dict[str, Any]:
    jti = token.claims.get("jti")
    if jti is None:
        raise SettingsError("revocation", "this token has no jti: name its subject, and all its tokens are revoked")
    return {"issuer": token.issuer, "jti": jti, "expires": token.expires_at}


def _seconds_of(time: datetime | float) -> float:
    if not isinstance(time, datetime):
        return time
    if time.utcoffset() is None:
        raise SettingsError("revocation", "a time must be an aware datetime, or seconds since the epoch", time)
    return time.timestamp()


def _seed() -> float:
    """0 to 1, another one in each process: those of one host do not ask the issuer at the same time."""
    return int.from_bytes(os.urandom(4)) / 2**32


def _said(error: Exception) -> str:
    # Our own sentences say why; the operating system's are short.
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


def _snapshot_source(snapshot: Any) -> bytes | snapshots.Path | None:
    if snapshot is None or isinstance(snapshot, bytes | str | os.PathLike):
        return snapshot
    raise SettingsError("snapshot", f"must be bytes or a path, got {type(snapshot).__name__}")


def _is_plain(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in LOOPBACK


_DRIVERS: weakref.WeakSet[Driver[Any]] = weakref.WeakSet()


def _after_fork() -> None:
    for driver in list(_DRIVERS):
        driver._forked()


with suppress(AttributeError):  # where there is no fork, there is nothing to do after it
    os.register_at_fork(after_in_child=_after_fork)
