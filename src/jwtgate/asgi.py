"""The border post for any ASGI app: closed unless opened, for HTTP and WebSockets, and no framework needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import quote

from .admission import NOT_READY, PATH, READY, admit, keep, recall, refuse, tell, verifier_for
from .core.access import Requirement
from .core.errors import AuthError, Refusal
from .core.mtls import certificate_of_pem
from .core.paths import PUBLIC, PathRules, Verdict, is_preflight
from .core.request import Request
from .core.settings import ApiSettings
from .verifier import AsyncVerifier, Outcome, log_refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Answer = Callable[[AuthError, Scope, Receive, Send], Awaitable[None]]

REQUESTS = ("http", "websocket")
TOKEN = "jwtgate.token"  # where the app finds the AccessToken in its scope
DENIAL = "websocket.http.response"  # the extension by which a WebSocket handshake gets an HTTP answer
CLOSE: Message = {"type": "websocket.close", "code": 1008, "reason": ""}  # RFC 6455 section 7.4.1: a policy violation
BEGUN = frozenset({"http.response.start", "websocket.accept", f"{DENIAL}.start"})
ANSWERED = frozenset({"http.response.start", f"{DENIAL}.start", "websocket.close"})


class JwtGateMiddleware:
    """Lets a request pass to the app when it carries an access token that this API accepts.

    settings: what this API accepts.
    public: paths that need no token; on them none is looked at, and `scope["jwtgate.token"]` is None.
    requires: by path, what the token must also satisfy; see `PathRules` for how both are compared.
    verifier: an AsyncVerifier with the same settings, to share keys with other gates.
    on_refusal: is asked for another answer, an ASGI app; None from it means the standard one.

    The app finds the AccessToken in `scope["jwtgate.token"]`. An AuthError that it raises before it has begun to
    answer (`token.require(…)`) is answered here. A CORS preflight passes, and so does everything that is neither
    HTTP nor a WebSocket. When the server announces the app's start (lifespan), keys are loaded before the app hears of
    it; a verifier that the middleware made itself is closed when the app has ended. Raises SettingsError.
    """

    def __init__(
        self,
        app: App,
        settings: ApiSettings,
        *,
        public: Iterable[str] = (),
        requires: Mapping[str, Requirement | str | Sequence[Requirement | str]] | None = None,
        verifier: AsyncVerifier | None = None,
        on_refusal: Callable[[AuthError, Scope], App | None] | None = None,
    ) -> None:
        self._app = app
        self._settings = settings
        self._rules = PathRules(public, requires)
        self._verifier = verifier_for(AsyncVerifier, settings, verifier)
        self._is_ours = verifier is None
        self._on_refusal = on_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] not in REQUESTS:
            await self._app(scope, receive, send)
        else:
            await answer_errors(self._pass, self._answer, scope, receive, telling(scope, self._settings, send))

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as ending:

            async def heard() -> Message:
                message = await receive()
                if message["type"] == "lifespan.startup":
                    if self._is_ours:
                        await ending.enter_async_context(self._verifier)
                    await self._verifier.warm_up()
                return message

            await self._app(scope, heard, send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        verdict = self._verdict(scope)
        if verdict.public:
            # Not overwritten: another gate, with other settings, may stand before this one.
            scope.setdefault(TOKEN, None)
        else:
            scope[TOKEN] = admit(await outcome_of(scope, self._verifier), verdict.requirement)
        await self._app(scope, receive, send)

    def _verdict(self, scope: Scope) -> Verdict:
        if scope.get("method") == "OPTIONS" and is_preflight(request_of(scope)):
            return PUBLIC
        rules = self._rules
        return rules.everywhere or rules.decide(scope["path"], scope.get("raw_path"), scope.get("root_path", ""))

    async def _answer(self, error: AuthError, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = refuse(error, self._settings)
        other = self._on_refusal(error, scope) if self._on_refusal and can_answer(scope) else None
        if other is None:
            await send_refusal(refusal, scope, receive, send)
        else:
            await other(scope, receive, send)


# -------------------------------------------------------------------------------- what every ASGI post shares


def request_of(scope: Scope) -> Request:
    """What authentication looks at. Every header line is in it, as it came; bytes are read as Latin-1.

    The URL is the one that the server was reached by: nothing of it comes from the Host header.
    """
    # A WebSocket handshake is a GET.
    lines = _text(scope["headers"])
    return Request(scope.get("method", "GET"), _url(scope), lines, _certificate(scope), _peer(scope))


def _certificate(scope: Scope) -> bytes | None:
    """Of the TLS connection itself: the ASGI TLS extension has PEM, the client's own certificate first.

    Where a server that was told to verify it found a fault, there is none.
    """
    tls = (scope.get("extensions") or {}).get("tls")
    if not tls or tls.get("client_cert_error"):
        return None
    pem = next(iter(tls.get("client_cert_chain") or ()), None)
    return None if pem is None else certificate_of_pem(pem)


def _peer(scope: Scope) -> str | None:
    client = scope.get("client")  # none on a Unix socket
    return client[0] if client else None


def _url(scope: Scope) -> str:
    host, port = scope.get("server") or ("", None)
    name = f"[{host}]" if ":" in host else host
    authority = "" if port is None else f"{name}:{port}"  # of a Unix socket it is its path, and no host
    raw: bytes = scope.get("raw_path") or quote(scope["path"], safe=PATH).encode()
    query: bytes = scope.get("query_string", b"")
    target = raw + b"?" + query if query else raw
    # A target without a slash at its beginning must not pass for a part of the authority.
    slash = "" if target.startswith(b"/") else "/"
    return f"{scope.get('scheme', 'http')}://{authority}{slash}{target.decode('latin-1')}"


async def outcome_of(scope: Scope, verifier: AsyncVerifier) -> Outcome:
    """Who is calling, found out once for each request and settings, and kept with the scope."""
    known = recall(scope, verifier.settings)
    if known is not None:
        return known
    line = lone_authorization(scope["headers"])
    outcome = None if line is None else verifier.glance(line)
    if outcome is None:
        outcome = await verifier.outcome(request_of(scope))
    return keep(scope, verifier.settings, outcome)


def lone_authorization(headers: Any) -> str | None:
    """What stands in the only Authorization line, where no DPoP line stands beside it.

    Of nearly every request that is all there is to look at. None says nothing: the whole request does.
    """
    if not isinstance(headers, list):
        return None  # what could be read but once is left to be read as a whole
    found = None
    for name, value in headers:
        length = len(name)  # most names differ in it already
        if length == 13 and name.lower() == b"authorization":
            if found is not None:
                return None
            found = value
        elif length == 4 and name.lower() == b"dpop":
            return None
    return None if found is None else found.decode("latin-1")


@asynccontextmanager
async def lifespan(verifier: AsyncVerifier) -> AsyncIterator[None]:
    """While an app lives: its keys are loaded before the first request, and nothing is fetched after the last.

    It starts also where an issuer cannot be reached: then requests, and a readiness probe, try again.
    """
    async with verifier:
        await verifier.warm_up()
        yield


def readiness(verifier: AsyncVerifier) -> App:
    """An app that answers a readiness probe: 200 where all issuers in the settings have keys that serve, else 503."""

    async def probe(scope: Scope, receive: Receive, send: Send) -> None:
        await send_refusal(await readiness_of(verifier), scope, receive, send)

    return probe


async def readiness_of(verifier: AsyncVerifier) -> Refusal:
    """What a readiness probe is answered. Where keys are missing it loads them.

    An instance that gets no traffic before it is ready must not wait for traffic to become so.
    """
    return READY if verifier.ready() or (await verifier.warm_up()).ready else NOT_READY


def telling(scope: Scope, settings: ApiSettings, send: Send) -> Send:
    """The same, and the answer to a request with a good proof also carries the nonce for its sender's next one."""
    if settings.dpop_nonce_key is None:
        return send

    async def telling_send(message: Message) -> None:
        if message["type"] in BEGUN:
            message = {**message, "headers": tell_raw(message.get("headers", ()), scope, settings)}
        await send(message)

    return telling_send


def tell_raw(lines: Iterable[tuple[bytes, bytes]], scope: Scope, settings: ApiSettings) -> list[tuple[bytes, bytes]]:
    """As `tell`, for header lines as ASGI sends them."""
    return _raw(tell(_text(lines), scope, settings))


class Telling:
    """An app whose answers carry the nonces: for posts that stand inside of it."""

    def __init__(self, app: App, settings: ApiSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, telling(scope, self._settings, send))


def can_answer(scope: Scope) -> bool:
    """Whether the client can be given status, headers and body: a WebSocket needs the server's help for that."""
    return scope["type"] == "http" or DENIAL in (scope.get("extensions") or {})


async def send_refusal(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the client, before anything else was sent.

    A WebSocket gets the same by the denial response; where the server lacks it, the handshake is closed.
    """
    if not can_answer(scope):
        await send(dict(CLOSE))
        return
    prefix = "websocket." if scope["type"] == "websocket" else ""
    headers = raw_headers(refusal)
    await send({"type": f"{prefix}http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": f"{prefix}http.response.body", "body": refusal.body})


def raw_headers(refusal: Refusal) -> list[tuple[bytes, bytes]]:
    """The header lines as ASGI sends them: names in lower case, repeats kept, the body's length at the end."""
    return _raw([*refusal.headers, ("content-length", str(len(refusal.body)))])


def _raw(lines: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines]


def _text(lines: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in lines]


async def answer_errors(app: App, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the app; an AuthError is given to `answer` when nothing was sent yet.

    An accepted WebSocket is closed (1008) instead. Once an HTTP response has begun, the error goes on its way.
    """
    sent: set[str] = set()

    def watched(message: Message) -> Awaitable[None]:
        sent.add(message["type"])
        return send(message)

    try:
        await app(scope, receive, watched)
    except AuthError as error:
        if scope["type"] not in REQUESTS or sent & ANSWERED:
            raise
        if "websocket.accept" not in sent:
            await answer(error, scope, receive, send)
        else:
            log_refusal(error)
            await send(dict(CLOSE))
