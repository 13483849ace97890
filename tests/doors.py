"""Doors for the adapter contract: the same routes behind every border post, and requests that nobody has tidied.

Each door mounts the routes of `ROUTES` in its framework's own way, behind a gate of the given settings. A request's
header lines then reach it as octets: for ASGI as uvicorn hands them over (names in lower case, every line by itself),
for WSGI as gunicorn does (Latin-1, repeated lines joined with a comma). No test client stands between, as those merge,
encode or refuse what a stranger may well send. Like any server, nothing here lets a body out to a HEAD.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import httpx
from fastapi import APIRouter, FastAPI, Security
from fastapi.responses import PlainTextResponse as FastResponse
from flask import Blueprint, Flask
from flask import request as flask_request
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from jwtgate import (
    AccessToken,
    ApiSettings,
    AsyncVerifier,
    AuthError,
    Issuer,
    MissingCredentials,
    Request,
    Requirement,
    Verifier,
    authenticated,
    claim,
)
from jwtgate import asgi as asgi_post
from jwtgate import fastapi as fastapi_post
from jwtgate import flask as flask_post
from jwtgate import starlette as starlette_post
from jwtgate import wsgi as wsgi_post
from jwtgate.core.errors import Refusal
from tests.making import API, NOW, SECRET, Issuing

METHODS: Final = ["GET", "HEAD", "POST", "OPTIONS", "TRACE", "BREW"]  # the last one is nobody's (RFC 2324)
RECENT: Final = authenticated(acr=["urn:example:mfa"], max_age=300)
# By path, what a route asks for; /plain knows GET alone, so that OPTIONS is left to the framework.
ROUTES: Final[Mapping[str, tuple[Requirement | str, ...] | None]] = {
    "/public": None,
    "/private": (),
    "/scoped": ("read:messages",),
    "/organized": (claim("org_id", "org_1"),),
    "/recent": (RECENT,),
    "/plain": (),
    "/asked": (),
    "/late": (),
}
# What the application itself asks of the token, and by raising an AuthError: before its answer has begun, and after.
ASKED: Final[Mapping[str, tuple[Requirement | str, ...]]] = {"/asked": ("read:messages",)}
ASKED_LATE: Final[Mapping[str, tuple[Requirement | str, ...]]] = {"/late": ("read:messages",)}
OPTIONAL: Final = "/optional"  # where the door has such a thing
ORIGIN: Final = "https://app.test"
DENIAL: Final = "websocket.http.response"

ISSUING: Final = Issuing()
SECRET_ISSUING: Final = Issuing(url="https://secret.test/")
ORPHAN: Final = Issuing(url="https://down.test/", number=2)  # nobody can have its keys
ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")


# --- what every door is built with --------------------------------------------------------------------------


class Clock:
    """It always stands at NOW. looked: how often anybody asked for the date, once in each verification."""

    def __init__(self) -> None:
        self.looked = 0

    def wall(self) -> float:
        self.looked += 1
        return NOW

    def monotonic(self) -> float:
        return 0.0


def settings_for(jwks: Mapping[str, Any], **changes: Any) -> ApiSettings:
    """Three issuers: one whose keys are given, one with a shared secret, one whose keys cannot be had."""
    issuers = [
        Issuer(ISSUING.url, jwks=jwks, signing_algorithms=ALGORITHMS),
        Issuer(SECRET_ISSUING.url, signing_secret=SECRET, signing_algorithms=["HS256"]),
        Issuer(ORPHAN.url, jwks_uri=ORPHAN.jwks_uri),
    ]
    return ApiSettings(**{"identifier": API, "issuers": issuers, **changes})


UNREACHABLE: Final = httpx.MockTransport(lambda request: httpx.Response(500))


def verifier(settings: ApiSettings, clock: Clock | None = None) -> Verifier:
    return Verifier(settings, http=httpx.Client(transport=UNREACHABLE), clock=clock or Clock())


def async_verifier(settings: ApiSettings, clock: Clock | None = None) -> AsyncVerifier:
    return AsyncVerifier(settings, http=httpx.AsyncClient(transport=UNREACHABLE), clock=clock or Clock())


def greeting(path: str, token: AccessToken | None) -> str:
    """What the application does for each request, and answers."""
    if token is None:
        return "nobody"
    token.require(*ASKED.get(path, ()))
    return token.subject


# --- requests and answers -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """A request, as the octets of its parts. hosts: of its Host lines, which stand before all others."""

    path: str = "/private"
    lines: Sequence[tuple[bytes, bytes]] = ()
    method: str = "GET"
    query: bytes = b""
    body: bytes = b""
    hosts: Sequence[bytes] = (b"api.test",)

    @property
    def all_lines(self) -> list[tuple[bytes, bytes]]:
        length = [(b"Content-Length", str(len(self.body)).encode())] if self.body else []
        return [*((b"Host", host) for host in self.hosts), *length, *self.lines]


@dataclass(frozen=True)
class Answer:
    """What the client gets. lines: names in lower case, in order, without those that only servers add."""

    status: int
    lines: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, wanted: str) -> list[str]:
        return [value for line, value in self.lines if line == wanted]


OF_SERVERS: Final = ("date", "server", "connection", "content-length", "vary")


def answer_of(status: int, lines: Sequence[tuple[str, str]], body: bytes, method: str) -> Answer:
    """What a client sees of it. Raises ValueError where the length that was promised is not that of the body."""
    lower = [(line.lower(), value) for line, value in lines]
    lengths = [value for line, value in lower if line == "content-length"]
    if lengths not in ([], [str(len(body))]) and method != "HEAD":
        raise ValueError(f"content-length must be that of the body, {len(body)}, got {lengths}")
    kept = tuple(line for line in lower if line[0] not in OF_SERVERS)
    return Answer(status, kept, b"" if method == "HEAD" else body)


def refused(refusal: Refusal, method: str = "GET") -> Answer:
    return answer_of(refusal.status, refusal.headers, refusal.body, method)


@dataclass(frozen=True)
class Closed:
    """A WebSocket that was closed without a message, or that never opened."""

    code: int
    opened: bool = False


# --- what authentication without any framework says ---------------------------------------------------------


def request_of(sent: Sent) -> Request:
    lines = [(line.decode("latin-1"), value.decode("latin-1")) for line, value in sent.all_lines]
    return Request(sent.method, f"{API.rstrip('/')}{sent.path}", lines)


def bare(settings: ApiSettings) -> Callable[[Sent], Answer]:
    gatekeeper = verifier(settings)
    return lambda sent: _bare(lambda: gatekeeper.verify_request(request_of(sent)), sent)


def async_bare(settings: ApiSettings) -> Callable[[Sent], Answer]:
    gatekeeper = async_verifier(settings)
    return lambda sent: _bare(lambda: run(gatekeeper.verify_request(request_of(sent))), sent)


def _bare(verify: Callable[[], AccessToken], sent: Sent) -> Answer:
    wanted = () if sent.path == OPTIONAL else ROUTES[sent.path]
    if wanted is None:
        return hello(sent, None)
    try:
        token = verify()
        token.require(*wanted)
        return hello(sent, token)
    except MissingCredentials as error:
        return hello(sent, None) if sent.path == OPTIONAL else _refused(error, sent)
    except AuthError as error:
        return _refused(error, sent)


def _refused(error: AuthError, sent: Sent) -> Answer:
    return answer_of(error.status, error.headers, error.body, sent.method)


def hello(sent: Sent, token: AccessToken | None) -> Answer:
    body = greeting(sent.path, token).encode()
    return answer_of(200, [("Content-Type", "text/plain; charset=utf-8")], body, sent.method)


# --- the doors ----------------------------------------------------------------------------------------------


def flask_requires(settings: ApiSettings) -> Flask:
    """A decorator for each view; the gate is not installed."""
    app = Flask("door")
    gate = flask_post.Gate(settings, verifier=verifier(settings))
    for path, wanted in ROUTES.items():
        view = _flask_view(gate)
        app.add_url_rule(path, path, view if wanted is None else gate.requires(*wanted)(view), methods=_methods(path))
    optional = gate.requires(optional=True)(_flask_view(gate))
    app.add_url_rule(OPTIONAL, OPTIONAL, optional, methods=METHODS)
    return app


def flask_protect(settings: ApiSettings) -> Flask:
    """A closed app; a view asks its token for more."""
    app = Flask("door")
    gate = flask_post.Gate(settings, verifier=verifier(settings))
    gate.protect(app, public=["/public"[1:], OPTIONAL[1:]])
    for path, wanted in ROUTES.items():
        app.add_url_rule(path, path[1:], _flask_asking(gate, wanted), methods=_methods(path))
    optional = gate.requires(optional=True)(_flask_view(gate))
    app.add_url_rule(OPTIONAL, OPTIONAL[1:], optional, methods=METHODS)
    return app


def flask_blueprints(settings: ApiSettings) -> Flask:
    """A blueprint for each demand, closed as a whole."""
    app = Flask("door")
    gate = flask_post.Gate(settings, app, verifier=verifier(settings))
    for path, wanted in [*ROUTES.items(), (OPTIONAL, ())]:
        blueprint = Blueprint(path[1:], "door")
        if wanted is not None:
            gate.protect(blueprint, *wanted, optional=path == OPTIONAL)
        blueprint.add_url_rule(path, "view", _flask_view(gate), methods=_methods(path))
        app.register_blueprint(blueprint)
    return app


def _flask_view(gate: flask_post.Gate) -> Callable[[], Any]:
    return lambda: (greeting(flask_request.path, gate.optional_token), {"Content-Type": "text/plain; charset=utf-8"})


def _flask_asking(gate: flask_post.Gate, wanted: tuple[Requirement | str, ...] | None) -> Callable[[], Any]:
    def view() -> Any:
        if wanted is not None:
            gate.token.require(*wanted)
        return _flask_view(gate)()

    return view


def wsgi_middleware(settings: ApiSettings) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        body = greeting(environ["PATH_INFO"], environ["jwtgate.token"]).encode()
        lines = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response("200 OK", lines)
        return [body]

    return wsgi_post.JwtGateMiddleware(app, settings, verifier=verifier(settings), **_path_rules())


def asgi_middleware(settings: ApiSettings) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        token = scope["jwtgate.token"]
        if scope["type"] == "websocket":
            await _greet(WebSocket(scope, receive, send), token)
        else:
            await PlainTextResponse(greeting(scope["path"], token))(scope, receive, send)

    return asgi_post.JwtGateMiddleware(app, settings, verifier=async_verifier(settings), **_path_rules())


def _path_rules() -> dict[str, Any]:
    return {
        "public": [path for path, wanted in ROUTES.items() if wanted is None],
        "requires": {path: wanted for path, wanted in ROUTES.items() if wanted},
    }


def starlette_functions(settings: ApiSettings) -> Any:
    gate = starlette_post.Gate(settings, verifier=async_verifier(settings))

    async def endpoint(request: StarletteRequest) -> Response:
        return PlainTextResponse(greeting(request.scope["path"], gate.optional_token(request)))

    async def socket(websocket: WebSocket) -> None:
        await _greet(websocket, gate.optional_token(websocket))

    return _starlette(lambda wanted, optional: _gated(gate, wanted, optional, endpoint, socket))


def starlette_classes(settings: ApiSettings) -> Any:
    gate = starlette_post.Gate(settings, verifier=async_verifier(settings))

    class Endpoint(HTTPEndpoint):
        async def get(self, request: StarletteRequest) -> Response:
            return PlainTextResponse(greeting(request.scope["path"], gate.optional_token(request)))

        head = post = options = trace = brew = get

    class Socket(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await _greet(websocket, gate.optional_token(websocket))

    return _starlette(lambda wanted, optional: _gated(gate, wanted, optional, Endpoint, Socket))


def starlette_backend(settings: ApiSettings) -> Any:
    """The backend looks at every request; the endpoints ask for the token, and nothing decorates them."""
    shared = async_verifier(settings)
    backend = starlette_post.JwtGateBackend(settings, verifier=shared)
    gate = starlette_post.Gate(settings, verifier=shared)

    def ask(connection: HTTPConnection, wanted: tuple[Requirement | str, ...] | None, optional: bool) -> None:
        if wanted is not None and not optional:
            gate.token(connection).require(*wanted)

    def endpoints(wanted: tuple[Requirement | str, ...] | None, optional: bool) -> tuple[Any, Any]:
        async def endpoint(request: StarletteRequest) -> Response:
            ask(request, wanted, optional)
            return PlainTextResponse(greeting(request.scope["path"], gate.optional_token(request)))

        async def socket(websocket: WebSocket) -> None:
            ask(websocket, wanted, optional)
            await _greet(websocket, gate.optional_token(websocket))

        return endpoint, socket

    return _starlette(endpoints, backend.middleware())


def _gated(
    gate: starlette_post.Gate, wanted: tuple[Requirement | str, ...] | None, optional: bool, *endpoints: Any
) -> tuple[Any, ...]:
    if wanted is None:
        return endpoints
    return tuple(gate.requires(*wanted, optional=optional)(endpoint) for endpoint in endpoints)


def _starlette(endpoints: Callable[..., tuple[Any, ...]], *middleware: Middleware) -> Starlette:
    routes: list[Any] = []
    for path, wanted in [*ROUTES.items(), (OPTIONAL, ())]:
        endpoint, socket = endpoints(wanted, path == OPTIONAL)
        # Starlette itself minds the methods of functions only; of a class, whatever it has a method for.
        methods = None if isinstance(endpoint, type) else _methods(path)
        routes += [Route(path, endpoint, methods=methods), WebSocketRoute(path, socket)]
    return Starlette(routes=routes, middleware=[CORS, *middleware])


def fastapi_requires(settings: ApiSettings) -> Any:
    app = FastAPI(middleware=[CORS])
    gate = fastapi_post.Gate(settings, verifier=async_verifier(settings))
    for path, wanted in ROUTES.items():
        token = None if wanted is None else gate.requires(*wanted)
        _fastapi_route(app, path, token)
    _fastapi_route(app, OPTIONAL, gate.requires(optional=True))
    return app


def fastapi_security(settings: ApiSettings) -> Any:
    """FastAPI's own way to name permissions; a route asks its token for what is no name."""
    app = FastAPI(middleware=[CORS])
    gate = fastapi_post.Gate(settings, verifier=async_verifier(settings))
    for path, wanted in ROUTES.items():
        names = [one for one in wanted or () if isinstance(one, str)]
        others = [one for one in wanted or () if isinstance(one, Requirement)]
        token = None if wanted is None else Security(gate.authenticate, scopes=names)
        _fastapi_route(app, path, token, others)
    _fastapi_route(app, OPTIONAL, gate.requires(optional=True))
    return app


def fastapi_routers(settings: ApiSettings) -> Any:
    """Every demand stands at the router, and the route itself only says whose request it is."""
    app = FastAPI(middleware=[CORS])
    gate = fastapi_post.Gate(settings, verifier=async_verifier(settings))
    for path, wanted in [*ROUTES.items(), (OPTIONAL, ())]:
        optional = path == OPTIONAL
        above = [] if wanted is None else [gate.requires(*wanted, optional=optional)]
        router = APIRouter(dependencies=above)
        _fastapi_route(router, path, None if wanted is None else gate.requires(optional=optional))
        app.include_router(router)
    return app


def _fastapi_route(app: FastAPI | APIRouter, path: str, gated: Any, inside: Sequence[Requirement] = ()) -> None:
    if gated is None:

        async def route() -> Any:
            return FastResponse(greeting(path, None))

        async def socket(websocket: WebSocket) -> None:
            await _greet(websocket, None)

    else:
        # Not as a string: FastAPI could not find what stands around this function.
        async def route(token):  # type: ignore[no-untyped-def,misc]
            if token:
                token.require(*inside)
            return FastResponse(greeting(path, token))

        async def socket(websocket, token):  # type: ignore[no-untyped-def,misc]
            if token:
                token.require(*inside)
            await _greet(websocket, token)

        route.__annotations__["token"] = Annotated[AccessToken | None, gated]
        socket.__annotations__.update(websocket=WebSocket, token=Annotated[AccessToken | None, gated])

    app.add_api_route(path, route, methods=_methods(path), response_model=None)
    app.add_api_websocket_route(path, socket)


CORS: Final = Middleware(CORSMiddleware, allow_origins=[ORIGIN], allow_headers=["Authorization"])


def _methods(path: str) -> list[str]:
    return ["GET"] if path == "/plain" else METHODS


async def _greet(websocket: WebSocket, token: AccessToken | None) -> None:
    path = websocket.scope["path"]
    text = greeting(path, token)
    await websocket.accept()
    if token is not None:
        token.require(*ASKED_LATE.get(path, ()))
    await websocket.send_text(text)
    await websocket.close()


WSGI_DOORS: Final[Mapping[str, Callable[[ApiSettings], Any]]] = {
    "flask-requires": flask_requires,
    "flask-protect": flask_protect,
    "flask-blueprints": flask_blueprints,
    "wsgi-middleware": wsgi_middleware,
}
ASGI_DOORS: Final[Mapping[str, Callable[[ApiSettings], Any]]] = {
    "asgi-middleware": asgi_middleware,
    "starlette-functions": starlette_functions,
    "starlette-classes": starlette_classes,
    "starlette-backend": starlette_backend,
    "fastapi-requires": fastapi_requires,
    "fastapi-security": fastapi_security,
    "fastapi-routers": fastapi_routers,
}
BARE_DOORS: Final[Mapping[str, Callable[[ApiSettings], Callable[[Sent], Answer]]]] = {
    "verifier": bare,
    "async-verifier": async_bare,
}
# A path of theirs is public or is not: no token is looked at on one that is.
WITHOUT_OPTIONAL: Final = ("asgi-middleware", "wsgi-middleware")


# --- knocking at them ---------------------------------------------------------------------------------------


def run(waiting: Awaitable[Any]) -> Any:
    async def wait() -> Any:
        return await waiting

    return asyncio.run(wait())


def asgi_scope(sent: Sent, **changes: Any) -> dict[str, Any]:
    """As uvicorn makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": sent.method,
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "path": sent.path,
        "raw_path": sent.path.encode(),
        "query_string": sent.query,
        "root_path": "",
        "headers": [(line.lower(), value) for line, value in sent.all_lines],
        "state": {},
        **changes,
    }


def ask_asgi(app: Any, sent: Sent) -> Answer:
    messages = _converse(app, asgi_scope(sent), [{"type": "http.request", "body": sent.body, "more_body": False}])
    return _answer_in(messages, "http.response", sent.method)


def ask_wsgi(app: Any, sent: Sent) -> Answer:
    head: list[Any] = []
    body = app(environ_of(sent), lambda status, lines, exc_info=None: head.__setitem__(slice(None), [status, lines]))
    try:
        octets = b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    status, lines = head
    return answer_of(int(status[:3]), lines, octets, sent.method)


def environ_of(sent: Sent) -> dict[str, Any]:
    """As gunicorn makes it, but that names with an underscore are kept, as in wsgiref: gunicorn drops them."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": sent.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": sent.path,
        "RAW_URI": sent.path,
        "QUERY_STRING": sent.query.decode("latin-1"),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(sent.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for line, octets in sent.all_lines:
        value = octets.decode("latin-1").strip(" \t")
        upper = line.decode("latin-1").upper().replace("-", "_")
        key = upper if upper in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{upper}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def open_websocket(app: Any, sent: Sent, *, denial: bool = True) -> str | Answer | Closed:
    """The first message of a WebSocket that opens; else what its handshake is answered with."""
    scope = asgi_scope(sent, type="websocket", scheme="ws", extensions={DENIAL: {}} if denial else {})
    del scope["method"]
    scope["headers"] += [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
    messages = _converse(app, scope, [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1005}])
    opened = messages[0]["type"] == "websocket.accept"
    first = messages[1] if opened else messages[0]
    if first["type"] == "websocket.close":
        return Closed(first["code"], opened)
    if opened:
        return str(first["text"])
    return _answer_in(messages, DENIAL, "GET")


def _converse(app: Any, scope: dict[str, Any], incoming: list[dict[str, Any]]) -> list[Any]:
    messages: list[Any] = []

    async def receive() -> Any:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)

    run(app(scope, receive, send))
    return messages


def _answer_in(messages: list[Any], kind: str, method: str) -> Answer:
    start, *parts = messages
    if {part["type"] for part in parts} != {f"{kind}.body"} or start["type"] != f"{kind}.start":
        raise ValueError(f"must be one {kind}, got {[message['type'] for message in messages]}")
    lines = [(line.decode("latin-1"), value.decode("latin-1")) for line, value in start["headers"]]
    return answer_of(start["status"], lines, b"".join(part.get("body", b"") for part in parts), method)


# --- all doors of a kind in one app, for a real server ------------------------------------------------------

DOOR: Final = "X-Door"  # the header that says through which door a request goes
JWKS: Final = "DOORS_JWKS"  # the environment variable that tells another process the issuer's keys


def asgi_house() -> Any:
    """Its settings are those of `told_settings`."""
    settings = told_settings()
    doors = {door: build(settings) for door, build in ASGI_DOORS.items()}

    async def house(scope: Any, receive: Any, send: Any) -> None:
        lines = dict(scope["headers"])
        await doors[lines[DOOR.lower().encode()].decode()](scope, receive, send)

    return house


def wsgi_house(settings: ApiSettings | None = None) -> Any:
    """settings: those of `told_settings` unless given."""
    own = settings or told_settings()
    doors = {door: build(own) for door, build in WSGI_DOORS.items()}
    return lambda environ, start_response: doors[environ["HTTP_X_DOOR"]](environ, start_response)


def told_settings() -> ApiSettings:
    """Of the keys that the environment variable tells."""
    return settings_for(json.loads(os.environ[JWKS]))
