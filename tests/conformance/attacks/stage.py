"""Where attacks take place: verifiers and apps that are built once, an issuer's server, a clock, and the log."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from jwtgate import AccessToken, ApiSettings, AsyncVerifier, AuthError, Issuer, Request, Verifier
from tests.conformance.attacks.answers import NEVER_STORED, NONCE
from tests.conformance.attacks.cases import Carried, World
from tests.doors import (
    ASGI_DOORS,
    BARE_DOORS,
    ROUTES,
    WSGI_DOORS,
    Answer,
    Sent,
    answer_of,
    ask_asgi,
    ask_wsgi,
    async_verifier,
    hello,
    request_of,
    verifier,
)
from tests.fault_server import FaultServer
from tests.loopback import DISCOVERY, JWKS, Clock, Drive, Tasks, Threads, sends, settled, threads_ended
from tests.making import API, NOW, Issuing

DOORS: Final = (*BARE_DOORS, *WSGI_DOORS, *ASGI_DOORS)

# How a verifier works, not what it accepts: the whole corpus holds under each. By name, what a mode changes in the
# settings.
MODES: Final[Mapping[str, Mapping[str, Any]]] = {"remembered": {}, "forgotten": {"token_memory_bytes": 0}}
VARIABLE: Final = "ATTACK_MODES"  # names the modes of a run, with commas between; "all" is all of them


def chosen_modes() -> list[str]:
    """The modes of this run: that of the settings as they are, unless the variable names others."""
    named = os.environ.get(VARIABLE) or next(iter(MODES))
    return list(MODES) if named == "all" else [name for name in MODES if name in named.split(",")]


Outcome = AccessToken | Answer


def told(error: AuthError) -> Answer:
    """What the client gets."""
    return answer_of(error.status, error.headers, error.body, "GET")


def outcome(call: Callable[[], AccessToken]) -> Outcome:
    """The token, or what the client gets in its place. Any exception that is not ours goes on its way."""
    try:
        return call()
    except AuthError as error:
        return told(error)


# --- built once ---------------------------------------------------------------------------------------------


class Houses:
    """Settings, verifiers and apps, each made once for a world. mode: what it changes in the settings of all."""

    def __init__(self, mode: Mapping[str, Any]) -> None:
        self.mode = mode
        self.settings = functools.cache(self._settings)
        self.verifier = functools.cache(self._verifier)
        self.door = functools.cache(self._door)
        self.app = functools.cache(self._app)

    def _settings(self, world: World) -> ApiSettings:
        return world.build(**self.mode)

    def _verifier(self, drive: Drive, world: World) -> Verifier | AsyncVerifier:
        make = verifier if drive is Threads else async_verifier
        return make(self.settings(world))

    def _app(self, door: str, world: World) -> Any:
        return {**WSGI_DOORS, **ASGI_DOORS}[door](self.settings(world))

    def _door(self, door: str, world: World) -> Callable[[Sent], Answer]:
        if door in BARE_DOORS:
            drive = Threads if door == "verifier" else Tasks
            return functools.partial(ask_bare, drive, self.verifier(drive, world))
        app = self.app(door, world)
        if door in WSGI_DOORS:
            return lambda sent: without_chance(ask_wsgi(over_wsgi(app, sent), sent))
        return lambda sent: without_chance(ask_asgi(over_asgi(app, sent), sent))


# --- what a connection tells --------------------------------------------------------------------------------


def over_asgi(app: Any, sent: Sent) -> Any:
    """The app, behind a server that tells who is at the other end."""
    if not isinstance(sent, Carried):
        return app
    tls = {} if sent.certificate is None else {"client_cert_chain": [pem_of(sent.certificate)]}

    async def served(scope: Any, receive: Any, send: Any) -> None:
        extensions = {**(scope.get("extensions") or {}), "tls": tls}
        await app({**scope, "client": (sent.peer, 50_000), "extensions": extensions}, receive, send)

    return served


def over_wsgi(app: Any, sent: Sent) -> Any:
    if not isinstance(sent, Carried):
        return app
    told = {"REMOTE_ADDR": sent.peer}
    if sent.certificate is not None:
        told["SSL_CLIENT_CERT"] = pem_of(sent.certificate)
    return lambda environ, start_response: app({**environ, **told}, start_response)


def pem_of(der: bytes) -> str:
    return ssl.DER_cert_to_PEM_cert(der)


def ask_bare(drive: Drive, verifier: Any, sent: Sent) -> Answer:
    """What authentication alone says, and then what the route asks for."""
    request = request_of(sent)
    if isinstance(sent, Carried):
        request = replace(request, client_certificate=sent.certificate, client=sent.peer)
    try:
        token = drive.verify_request(verifier, request)
        token.require(*(ROUTES[sent.path] or ()))
    except AuthError as error:
        return without_chance(answer_of(error.status, error.headers, error.body, sent.method))
    answer = hello(sent, token)
    # RFC 9449 section 8.2: who sends a nonce says that the answer is not to be stored.
    nonces = () if token.dpop_nonce is None else (NEVER_STORED[0], ("dpop-nonce", token.dpop_nonce))
    return without_chance(replace(answer, lines=(*answer.lines, *nonces)))


_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{24}")


def without_chance(answer: Answer) -> Answer:
    """The answer, with a word in place of a nonce."""
    lines = [
        (line, NONCE if line == "dpop-nonce" and _NONCE.fullmatch(value) else value) for line, value in answer.lines
    ]
    return replace(answer, lines=tuple(lines))


# --- one token at a time ------------------------------------------------------------------------------------

# RFC 6750 section 2.1: what can stand in a header at all. `=` may be anywhere, as it is the token that is bad then.
FIT_FOR_A_HEADER: Final = re.compile(r"[A-Za-z0-9\-._~+/=]{1,15000}")


def bearing(token: str) -> Request:
    return Request("GET", API, [("Authorization", f"Bearer {token}")])


def all_refused(drive: Drive, made: Any, tokens: Iterator[str]) -> list[tuple[str, Outcome]]:
    """Each token with its outcome."""

    async def each() -> list[tuple[str, Outcome]]:
        found: list[tuple[str, Outcome]] = []
        for token in tokens:
            try:
                found.append((token, await made.verify(token)))
            except AuthError as error:
                found.append((token, told(error)))
        return found

    if drive is Tasks:
        return asyncio.run(each())
    return [(token, outcome(lambda token=token: made.verify(token))) for token in tokens]


# --- the log ------------------------------------------------------------------------------------------------

LONGEST_LINE: Final = 500  # characters


class Listener(logging.Handler):
    """Hears all that the package says."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def heard(self) -> list[str]:
        """What was said since the last time."""
        lines, self.lines = self.lines, []
        return lines


def listening() -> Iterator[Listener]:
    """For a fixture: while it is held, the listener hears."""
    log, listener = logging.getLogger("jwtgate"), Listener()
    level = log.level
    log.addHandler(listener)
    log.setLevel(logging.DEBUG)
    try:
        yield listener
    finally:
        log.removeHandler(listener)
        log.setLevel(level)


def unfit(lines: list[str]) -> list[str]:
    """Lines that would be two, or that a terminal would obey, or that fill a disk."""
    return [line for line in lines if not line.isascii() or not line.isprintable() or len(line) > LONGEST_LINE]


def repeated(token: object, text: str) -> list[str]:
    """What of a token's segments can be read in a text."""
    segments = token.split(".") if isinstance(token, str) else []
    return [segment[8:40] for segment in segments if len(segment) > 40 and segment[8:40] in text]


# --- several moves ------------------------------------------------------------------------------------------


class MovingClock(Clock):
    """Both of its hands stand still until a scenario turns them: `at` the monotonic one, `date` that of the wall."""

    def __init__(self) -> None:
        super().__init__()
        self.date = NOW

    def wall(self) -> float:
        return self.date


class Stage:
    """What a scenario is played with: a driver, an issuer's server on loopback, a clock.

    issuing: the issuer whose server it is; other: the same issuer with another key, which nobody published.
    """

    def __init__(self, drive: Drive, origin: FaultServer, mode: Mapping[str, Any]) -> None:
        self.drive = drive
        self.origin = origin
        self.mode = mode
        self.clock = MovingClock()
        self.issuing = origin.issuing
        self.other = Issuing(url=self.issuing.url, number=2)
        origin.published = [self.issuing.key()]
        origin.set_mode("ok")
        origin.answers = {DISCOVERY: sends(origin.good(DISCOVERY)), JWKS: sends(origin.good(JWKS))}
        origin.asked.clear()
        origin.headers.clear()

    def settings(self, **changes: Any) -> ApiSettings:
        return ApiSettings(
            **{"identifier": API, "issuers": [Issuer(self.issuing.url)], **changes, **self.mode},
        )

    def verifier(self, http: Any = None, **changes: Any) -> Any:
        return self.drive.make(self.settings(**changes), clock=self.clock, http=http)

    def ask(self, verifier: Any, token: str) -> Outcome:
        """What comes of a token, once all that it has set off has ended."""
        found = outcome(lambda: self.drive.verify(verifier, token))
        threads_ended()
        return found

    def done(self, call: Any) -> Any:
        """What comes of a call of either driver."""
        return asyncio.run(settled(call)) if self.drive is Tasks else call

    def lets_in(self, verifier: Any, token: str) -> bool:
        return isinstance(self.ask(verifier, token), AccessToken)

    def serve(self, *keys: Mapping[str, Any]) -> None:
        """From now on the issuer publishes these JWKs."""
        self.origin.answers[JWKS] = sends(_document(keys))

    @property
    def fetches(self) -> int:
        """How often the key set was asked for."""
        return self.origin.asked[JWKS]


def _document(keys: tuple[Mapping[str, Any], ...]) -> bytes:
    return json.dumps({"keys": keys}).encode()
