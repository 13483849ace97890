"""The FastAPI post: who is let in to a route, what is answered otherwise, and what OpenAPI says about it."""

# No `from __future__ import annotations` here: FastAPI reads the annotations of routes inside tests.

import asyncio
import inspect
import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Response, Security, WebSocket
from fastapi.openapi.models import OpenAPI
from fastapi.requests import HTTPConnection, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

import jwtgate
from jwtgate import (
    AccessToken,
    ApiSettings,
    AsyncVerifier,
    AuthError,
    InsufficientScope,
    Issuer,
    JwtGateError,
    MissingCredentials,
    Requirement,
    SettingsError,
    Verifier,
    any_of,
    claim,
    scope,
)
from jwtgate.asgi import JwtGateMiddleware
from jwtgate.fastapi import Gate
from jwtgate.tenant import Api, Tenant
from tests import proving

IDENTIFIER = "https://messages.example/"
PERMISSIONS = {"read:messages": "Read messages", "write:messages": "Write messages"}
Headers = dict[str, str]
Lines = list[tuple[bytes, bytes]]
Answer = tuple[int, Lines, bytes]

BARE: Answer = (
    401,
    [
        (b"cache-control", b"no-store"),
        (b"content-type", b"application/json"),
        (b"www-authenticate", b'Bearer realm="api"'),
    ],
    b"{}",
)


class Clock:
    """Counts how often the time was asked for, and remembers by which threads."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def wall(self) -> float:
        self.threads.append(threading.get_ident())
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.fixture(scope="session")
def tenant() -> Tenant:
    return Tenant()


@pytest.fixture(scope="session")
def api(tenant: Tenant) -> Api:
    return tenant.register_api(IDENTIFIER, permissions=PERMISSIONS)


@pytest.fixture(scope="session")
def reader(tenant: Tenant, api: Api) -> Headers:
    """The header of a machine that may read messages."""
    application = tenant.create_application("Reader")
    tenant.authorize(application, api, ["read:messages"])
    return bearer(tenant.client_credentials(application, api).access_token)


@pytest.fixture(scope="session")
def nobody(tenant: Tenant, api: Api) -> Headers:
    """The header of a machine with a valid token and no permission."""
    return bearer(tenant.client_credentials(api.test_application, api).access_token)


@pytest.fixture(scope="session")
def settings(tenant: Tenant, api: Api) -> ApiSettings:
    return ApiSettings(identifier=IDENTIFIER, domain=tenant.domain, permissions=PERMISSIONS)


@pytest.fixture(scope="session")
def http(tenant: Tenant) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=tenant.transport())


@pytest.fixture(scope="session")
def verifier(settings: ApiSettings, http: httpx.AsyncClient) -> AsyncVerifier:
    return AsyncVerifier(settings, http=http)


@pytest.fixture
def gate(settings: ApiSettings, verifier: AsyncVerifier) -> Gate:
    return Gate(settings, verifier=verifier)


@pytest.fixture
def app() -> FastAPI:
    return FastAPI()


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app)


@pytest.fixture
def get(client: TestClient) -> Callable[..., Any]:
    return client.get


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def statuses(get: Callable[..., Any], path: str, *callers: Headers) -> list[int]:
    return [get(path, headers=headers).status_code for headers in callers]


def expected(error: AuthError) -> Answer:
    """What the core says that the client is told."""
    return error.status, [(name.lower().encode(), value.encode()) for name, value in error.headers], error.body


def talk(app: FastAPI, kind: str, path: str, lines: Lines, *received: str, denial: bool = True) -> list[Any]:
    """Every message that an ASGI server is given by the app."""
    sent: list[Any] = []
    waiting = [{"type": name} for name in received]

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    connection: dict[str, Any] = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": lines,
        "server": ("127.0.0.1", 80),
        "extensions": {"websocket.http.response": {}} if denial else {},
        **({"method": "GET"} if kind == "http" else {"subprotocols": []}),
    }
    asyncio.run(app(connection, receive, send))
    return sent


def answered(sent: list[Any], prefix: str = "") -> Answer:
    """Status, header lines and body, without the length that every answer has."""
    start, body = sent
    assert (start["type"], body["type"]) == (f"{prefix}http.response.start", f"{prefix}http.response.body")
    lines = [(name, value) for name, value in start["headers"] if name != b"content-length"]
    return start["status"], lines, body["body"]


def lines_of(headers: Headers) -> Lines:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


# --- one route ----------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(app: FastAPI, gate: Gate) -> FastAPI:
    @app.get("/messages/{name}")
    async def messages(name: int, token: Annotated[AccessToken, gate.requires("read:messages")]) -> dict[str, Any]:
        return {"name": name, "caller": token.subject}

    @app.websocket("/live")
    async def live(websocket: WebSocket, token: Annotated[AccessToken, gate.requires("read:messages")]) -> None:
        await websocket.accept()
        await websocket.send_text(token.subject)
        await websocket.close()

    return app


def test_a_token_with_the_permission_reaches_the_route(guarded: FastAPI, get: Any, reader: Headers) -> None:
    response = get("/messages/1", headers=reader)
    assert (response.status_code, response.json()["name"]) == (200, 1)
    assert response.json()["caller"].endswith("@clients")


def test_no_token_is_asked_for_one(guarded: FastAPI) -> None:
    assert answered(talk(guarded, "http", "/messages/1", [])) == BARE


def test_a_token_without_the_permission_is_told_which(guarded: FastAPI, nobody: Headers) -> None:
    sentence = "The access token does not allow this request."
    challenge = f'Bearer realm="api", error="insufficient_scope", error_description="{sentence}", scope="read:messages"'
    body = b'{"error":"insufficient_scope","error_description":"%b"}' % sentence.encode()
    wanted = (403, [*BARE[1][:2], (b"www-authenticate", challenge.encode())], body)
    assert answered(talk(guarded, "http", "/messages/1", lines_of(nobody))) == wanted


HEADERS = {
    "no scheme": ([b"x"], 401),
    "another scheme": ([b"Basic dXNlcjpwYXNz"], 401),
    "an empty value": ([b""], 401),
    "an empty token": ([b"Bearer "], 400),
    "the scheme alone": ([b"Bearer"], 400),
    "a tab after the scheme": ([b"Bearer\t{token}"], 400),
    "two tokens": ([b"Bearer {token} {token}"], 400),
    "two lines": ([b"Bearer {token}", b"Bearer {token}"], 400),
    "two lines of two schemes": ([b"Basic dXNlcjpwYXNz", b"Bearer {token}"], 400),
    "two lines, joined": ([b"Bearer {token}, Bearer {token}"], 400),
    "latin-1": ([b"Bearer caf\xe9"], 400),
    "utf-8": ([b"Bearer caf\xc3\xa9"], 400),
    "every high octet": ([bytes(range(128, 256))], 401),
    "an opaque token": ([b"Bearer opaque"], 401),
    "no signature": ([b"Bearer {token}."], 401),
    "a changed token": ([b"Bearer A{token}"], 401),
    "lower case": ([b"bearer {token}"], 200),
    "white space around": ([b" \tBEARER   {token}\t "], 200),
}


@pytest.mark.parametrize(("values", "status"), HEADERS.values(), ids=HEADERS)
def test_every_header_is_answered_as_the_bare_verifier_says(
    guarded: FastAPI, verifier: AsyncVerifier, reader: Headers, values: list[bytes], status: int
) -> None:
    token = reader["Authorization"].removeprefix("Bearer ").encode()
    lines = [(b"authorization", value.replace(b"{token}", token)) for value in values]
    texts = [(name.decode(), value.decode("latin-1")) for name, value in lines]
    outcome = asyncio.run(verifier.outcome(jwtgate.Request("GET", "http://127.0.0.1/", texts)))
    sent = talk(guarded, "http", "/messages/1", lines)
    handshake = talk(guarded, "websocket", "/live", lines, "websocket.connect")
    if isinstance(outcome, AuthError):
        assert outcome.status == status
        assert answered(sent) == answered(handshake, "websocket.") == expected(outcome)
    else:
        assert (sent[0]["status"], handshake[0]["type"]) == (status, "websocket.accept")


def test_keys_that_cannot_be_had_are_no_fault_of_the_caller(
    app: FastAPI, get: Any, settings: ApiSettings, reader: Headers
) -> None:
    elsewhere = httpx.AsyncClient(transport=Tenant("https://elsewhere.test/").transport())
    gate = Gate(settings, verifier=AsyncVerifier(settings, http=elsewhere))
    app.get("/", dependencies=[gate.requires()])(lambda: "in")
    response = get("/", headers=reader)
    assert (response.status_code, "WWW-Authenticate" in response.headers) == (503, False)
    assert response.headers["Retry-After"].isdigit()


def test_the_gate_speaks_before_the_parameters_are_looked_at(guarded: FastAPI, get: Any, reader: Headers) -> None:
    assert statuses(get, "/messages/x", {}, reader) == [401, 422]


def test_head_is_refused_as_get_is(app: FastAPI, client: TestClient, gate: Gate) -> None:
    app.api_route("/", methods=["HEAD"], dependencies=[gate.requires()])(lambda: None)
    response = client.head("/")
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')


def test_the_request_body_is_left_to_the_route(app: FastAPI, client: TestClient, gate: Gate, reader: Headers) -> None:
    @app.post("/", dependencies=[gate.requires()])
    async def post(request: Request) -> str:
        return (await request.body()).decode()

    assert client.post("/", headers=reader, content=b"octets").json() == "octets"


def test_sync_routes_and_default_values_do_as_well(app: FastAPI, get: Any, gate: Gate, reader: Headers) -> None:
    @app.get("/")
    def read(token: AccessToken = gate.requires("read:messages")) -> str:  # noqa: B008
        return token.subject

    assert statuses(get, "/", {}, reader) == [401, 200]


def test_several_requirements_must_all_hold(app: FastAPI, get: Any, gate: Gate, reader: Headers) -> None:
    machine = claim("gty", "client-credentials")
    app.get("/both", dependencies=[gate.requires("read:messages", machine)])(lambda: "in")
    app.get("/more", dependencies=[gate.requires(scope("read:messages"), "write:messages")])(lambda: "in")
    app.get("/one", dependencies=[gate.requires(any_of("read:messages", "write:messages"))])(lambda: "in")
    assert [get(path, headers=reader).status_code for path in ("/both", "/more", "/one")] == [200, 403, 200]


def test_a_requirement_that_could_never_be_met_fails_where_it_is_written(gate: Gate) -> None:
    with pytest.raises(SettingsError):
        gate.requires("read messages")


def test_the_verifier_must_be_of_the_same_settings_and_kind(settings: ApiSettings, verifier: AsyncVerifier) -> None:
    other = ApiSettings(identifier="https://other.example/", domain="tenant.example")
    with pytest.raises(SettingsError):
        Gate(other, verifier=verifier)
    with pytest.raises(SettingsError):
        Gate(settings, verifier=Verifier(settings))  # type: ignore[arg-type]


def test_tokens_are_verified_where_the_event_loop_runs(
    app: FastAPI, get: Any, settings: ApiSettings, http: httpx.AsyncClient, reader: Headers
) -> None:
    clock = Clock()
    gate = Gate(settings, verifier=AsyncVerifier(settings, http=http, clock=clock))
    clock.threads.clear()  # to make it, too, one looks at the time

    @app.get("/", dependencies=[gate.requires("read:messages")])
    async def read() -> int:
        return threading.get_ident()

    assert {get("/", headers=reader).json()} == set(clock.threads)


def test_a_refusal_is_one_line_in_the_log(
    guarded: FastAPI, get: Any, nobody: Headers, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "jwtgate"):
        get("/messages/1", headers=nobody)
    assert [(record.levelname, vars(record)["event"]) for record in caplog.records] == [("INFO", "InsufficientScope")]


# --- many routes --------------------------------------------------------------------------------------------


def on_a_route(gate: Gate) -> FastAPI:
    app = FastAPI()
    app.get("/in", dependencies=[gate.requires("read:messages")])(lambda: "in")
    return app


def on_a_router(gate: Gate) -> FastAPI:
    app, router = FastAPI(), APIRouter(dependencies=[gate.requires("read:messages")])
    router.get("/in")(lambda: "in")
    app.include_router(router)
    return app


def where_a_router_is_included(gate: Gate) -> FastAPI:
    app, router = FastAPI(), APIRouter()
    router.get("/in")(lambda: "in")
    app.include_router(router, dependencies=[gate.requires("read:messages")])
    return app


def on_an_app(gate: Gate) -> FastAPI:
    app = FastAPI(dependencies=[gate.requires("read:messages")])
    app.get("/in")(lambda: "in")
    return app


def in_a_mounted_app(gate: Gate) -> FastAPI:
    app = FastAPI()
    app.mount("", on_an_app(gate))
    return app


def below_a_dependency(gate: Gate) -> FastAPI:
    async def caller(token: Annotated[AccessToken, gate.requires("read:messages")]) -> str:
        return token.subject

    app = FastAPI()

    @app.get("/in")
    async def read(caller: Annotated[str, Depends(caller)]) -> str:
        return caller

    return app


def in_the_words_of_fastapi(gate: Gate) -> FastAPI:
    app = FastAPI()

    @app.get("/in")
    async def read(token: Annotated[AccessToken, Security(gate.authenticate, scopes=["read:messages"])]) -> str:
        return token.subject

    return app


PLACES = [
    on_a_route,
    on_a_router,
    where_a_router_is_included,
    on_an_app,
    in_a_mounted_app,
    below_a_dependency,
    in_the_words_of_fastapi,
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_wherever_it_stands_the_gate_guards_the_route(
    place: Callable[[Gate], FastAPI], gate: Gate, reader: Headers, nobody: Headers
) -> None:
    app = place(gate)
    assert answered(talk(app, "http", "/in", [])) == BARE
    assert statuses(TestClient(app).get, "/in", nobody, reader) == [403, 200]


def levels(gate: Gate, *requirements: Requirement | str) -> FastAPI:
    """An app with a route behind three requirements: of the app, of a router and of the route."""
    at_app, at_router, at_route = [[gate.requires(requirement)] for requirement in requirements]
    app, router = FastAPI(dependencies=at_app), APIRouter(dependencies=at_router)

    @router.get("/in", dependencies=at_route)
    async def read(token: Annotated[AccessToken, gate.requires()]) -> str:
        return token.subject

    app.include_router(router)
    return app


def behind_every_kind_of_gate(gate: Gate) -> FastAPI:
    """As `levels`, and behind a middleware, another gate and FastAPI's own words, which its cache keeps apart."""
    app = levels(gate, "read:messages", any_of("read:messages", "x"), claim("gty", "client-credentials"))
    kinds = [
        Security(gate.authenticate, scopes=["read:messages"]),
        Security(Gate(gate.settings, verifier=gate.verifier).authenticate),
        gate.requires(optional=True),
    ]
    app.get("/all", dependencies=kinds)(lambda: "in")
    app.add_middleware(JwtGateMiddleware, settings=gate.settings, verifier=gate.verifier)
    return app


def test_a_request_is_verified_once_however_many_gates_it_passes(
    settings: ApiSettings, http: httpx.AsyncClient, reader: Headers
) -> None:
    clock = Clock()
    gate = Gate(settings, verifier=AsyncVerifier(settings, http=http, clock=clock))
    one, many = TestClient(on_a_route(gate)), TestClient(behind_every_kind_of_gate(gate))
    asked = []
    for client, path in ((one, "/in"), (one, "/in"), (many, "/in"), (many, "/all")):
        clock.threads.clear()
        assert client.get(path, headers=reader).status_code == 200
        asked.append(len(clock.threads))
    cold, warm, *others = asked
    assert cold > warm > 0
    assert others == [warm, warm]


def test_requirements_of_all_levels_add_up(gate: Gate, reader: Headers) -> None:
    for at in range(3):
        names = ["read:messages"] * 3
        names[at] = "write:messages"
        response = TestClient(levels(gate, *names)).get("/in", headers=reader)
        assert (response.status_code, 'scope="write:messages"' in response.headers["WWW-Authenticate"]) == (403, True)


# --- scopes that FastAPI hands down ---------------------------------------------------------------------------


def test_alternatives_stay_alternatives_beside_a_requirement_of_both(
    app: FastAPI, get: Any, gate: Gate, reader: Headers
) -> None:
    both = ["read:messages", "write:messages"]
    one_of_them = gate.requires(any_of(*both))
    app.get("/any", dependencies=[one_of_them])(lambda: "in")
    app.get("/all", dependencies=[one_of_them, Security(gate.authenticate, scopes=both)])(lambda: "in")
    assert [get(path, headers=reader).status_code for path in ("/any", "/all")] == [200, 403]


@pytest.mark.parametrize(("name", "status"), [("read:messages", 200), ("write:messages", 403)])
def test_the_scopes_of_dependencies_above_are_asked_for_too(
    app: FastAPI, get: Any, gate: Gate, reader: Headers, name: str, status: int
) -> None:
    async def caller(token: Annotated[AccessToken, gate.requires(any_of("read:messages", "delete:all"))]) -> str:
        return token.subject

    @app.get("/")
    async def read(caller: Annotated[str, Security(caller, scopes=[name])]) -> str:
        return caller

    assert get("/", headers=reader).status_code == status


def test_the_names_of_one_route_are_not_those_of_another(app: FastAPI, get: Any, gate: Gate, reader: Headers) -> None:
    app.get("/write", dependencies=[gate.requires("write:messages")])(lambda: "in")
    app.get("/read", dependencies=[gate.requires("read:messages")])(lambda: "in")
    app.get("/any", dependencies=[gate.requires()])(lambda: "in")
    assert [get(path, headers=reader).status_code for path in ("/write", "/read", "/any")] == [403, 200, 200]


# --- optional -----------------------------------------------------------------------------------------------


@pytest.fixture
def half_open(gate: Gate) -> FastAPI:
    app = FastAPI(dependencies=[gate.requires(optional=True)])

    @app.get("/")
    async def read(token: Annotated[AccessToken | None, gate.requires("read:messages", optional=True)]) -> str | None:
        return token.subject if token else None

    app.get("/closed", dependencies=[gate.requires()])(lambda: "in")
    app.get("/closed-too", dependencies=[Security(gate.authenticate)])(lambda: "in")
    return app


def test_optional_lets_in_who_shows_nothing(half_open: FastAPI, reader: Headers) -> None:
    client = TestClient(half_open)
    assert client.get("/").json() is None
    assert client.get("/", headers=reader).json().endswith("@clients")


def test_optional_refuses_what_is_bad(half_open: FastAPI, nobody: Headers) -> None:
    bad = [{"Authorization": "Bearer x"}, {"Authorization": "Bearer"}, nobody]
    assert statuses(TestClient(half_open).get, "/", *bad) == [401, 400, 403]


@pytest.mark.parametrize("path", ["/closed", "/closed-too"])
def test_optional_above_does_not_open_what_is_below(half_open: FastAPI, reader: Headers, path: str) -> None:
    assert answered(talk(half_open, "http", path, [])) == BARE
    assert TestClient(half_open).get(path, headers=reader).status_code == 200


# --- overrides ----------------------------------------------------------------------------------------------


@pytest.fixture
def token(verifier: AsyncVerifier, reader: Headers) -> AccessToken:
    return asyncio.run(verifier.verify(reader["Authorization"].removeprefix("Bearer ")))


@pytest.fixture
def overridden(app: FastAPI, gate: Gate) -> FastAPI:
    @app.get("/read")
    async def read(token: Annotated[AccessToken, gate.requires("read:messages")]) -> str:
        return token.subject

    @app.get("/optional")
    async def optional(token: Annotated[AccessToken | None, gate.requires(optional=True)]) -> str:
        return token.subject if token else "nobody"

    app.get("/write", dependencies=[gate.requires("write:messages")])(lambda: "in")
    app.get("/words", dependencies=[Security(gate.authenticate, scopes=["write:messages"])])(lambda: "in")
    app.get("/any", dependencies=[gate.requires()])(lambda: "in")
    return app


def test_a_token_put_in_by_a_test_is_asked_for_what_the_route_requires(
    overridden: FastAPI, get: Any, gate: Gate, token: AccessToken
) -> None:
    overridden.dependency_overrides[gate.authenticate] = lambda: token
    found = [get(path).status_code for path in ("/read", "/optional", "/write", "/words")]
    assert (found, get("/optional").json()) == ([200, 200, 403, 200], token.subject)


def test_an_override_that_gives_no_token_opens_nothing(overridden: FastAPI, get: Any, gate: Gate) -> None:
    overridden.dependency_overrides[gate.authenticate] = lambda: None
    assert [answered(talk(overridden, "http", path, [])) for path in ("/read", "/any")] == [BARE, BARE]
    assert get("/optional").json() == "nobody"


def test_an_override_that_gives_an_error_refuses(overridden: FastAPI, get: Any, gate: Gate) -> None:
    overridden.dependency_overrides[gate.authenticate] = lambda: InsufficientScope(("x",))
    assert [get(path).status_code for path in ("/read", "/any", "/optional")] == [403, 403, 403]


def test_a_gate_is_one_dependency_until_it_may_be_overridden(gate: Gate) -> None:
    admitted = gate.requires("read:messages").dependency
    assert list(inspect.signature(admitted).parameters) == ["connection", "names", "response"]
    assert gate.authenticate is gate.authenticate
    assert list(inspect.signature(admitted).parameters) == ["connection", "token"]


@pytest.fixture
def counted(app: FastAPI, gate: Gate) -> list[str]:
    """What is opened and closed while a route is asked, behind several gates, that shares with an override."""
    events: list[str] = []

    async def session(events_: Annotated[list[str], Depends(lambda: events)]) -> AsyncIterator[list[str]]:
        events_.append("opened")
        yield events_
        events_.append("closed")

    @app.get("/in/{name}", dependencies=[gate.requires(), gate.requires("read:messages")])
    async def read(
        session: Annotated[list[str], Depends(session)], token: Annotated[AccessToken, gate.requires("read:messages")]
    ) -> str:
        session.append("answered")
        return token.subject

    app.state.session = session
    return events


@pytest.mark.parametrize("asked_before", [False, True])
def test_an_override_has_dependencies_of_its_own_and_shares_those_of_the_route(
    app: FastAPI, get: Any, gate: Gate, token: AccessToken, reader: Headers, counted: list[str], asked_before: bool
) -> None:
    if asked_before:
        assert [get("/in/x", headers=headers).status_code for headers in (reader, {})] == [200, 401]
        counted.clear()

    async def someone(
        name: str, x_user: Annotated[str, Header()], session: Annotated[list[str], Depends(app.state.session)]
    ) -> AccessToken:
        session.append(f"{x_user} of {name}")
        return token

    app.dependency_overrides[gate.authenticate] = someone
    assert get("/in/x").status_code == 422
    counted.clear()
    assert get("/in/x", headers={"X-User": "me"}).json() == token.subject
    assert counted.count("opened") == 1
    assert list(dict.fromkeys(counted)) == ["opened", "me of x", "answered", "closed"]


def test_without_its_override_a_route_is_closed_again(
    overridden: FastAPI, get: Any, gate: Gate, token: AccessToken, reader: Headers
) -> None:
    overridden.dependency_overrides[gate.authenticate] = lambda: token
    assert get("/read").status_code == 200
    overridden.dependency_overrides.clear()
    assert answered(talk(overridden, "http", "/read", [])) == BARE
    assert get("/read", headers=reader).status_code == 200


def test_an_override_of_something_else_changes_nothing(
    overridden: FastAPI, get: Any, gate: Gate, reader: Headers, nobody: Headers
) -> None:
    overridden.dependency_overrides[Gate(gate.settings, verifier=gate.verifier).authenticate] = lambda: None
    assert statuses(get, "/read", {}, nobody, reader) == [401, 403, 200]


# --- refusals that the application raises -------------------------------------------------------------------


def test_a_route_may_refuse_by_itself(app: FastAPI, get: Any, gate: Gate, reader: Headers) -> None:
    @app.get("/async")
    async def asynchronous(token: Annotated[AccessToken, gate.requires()]) -> None:
        token.require("write:messages")

    @app.get("/sync")
    def synchronous(token: Annotated[AccessToken, gate.requires()]) -> None:
        token.require("write:messages")

    def strict(token: Annotated[AccessToken, gate.requires()]) -> None:
        token.require("write:messages")

    app.get("/dependency", dependencies=[Depends(strict)])(lambda: "in")
    app.get("/gate", dependencies=[gate.requires("write:messages")])(lambda: "in")
    answers = [get(path, headers=reader) for path in ("/async", "/sync", "/dependency", "/gate")]
    heads = {(answer.status_code, tuple(answer.headers.multi_items()), answer.content) for answer in answers}
    assert [status for status, _, _ in heads] == [403]


def test_an_error_that_was_never_answered_gets_its_challenge(app: FastAPI, gate: Gate, reader: Headers) -> None:
    @app.get("/", dependencies=[gate.requires()])
    async def read() -> None:
        raise MissingCredentials

    assert answered(talk(app, "http", "/", lines_of(reader))) == BARE


def raising(app: FastAPI) -> FastAPI:
    @app.get("/")
    async def read() -> None:
        raise MissingCredentials

    return app


def test_an_error_that_no_gate_has_seen_is_answered_where_the_gate_knows_the_app(
    app: FastAPI, settings: ApiSettings, verifier: AsyncVerifier
) -> None:
    Gate(settings, app, verifier=verifier)
    assert answered(talk(raising(app), "http", "/", [])) == BARE


def test_an_error_that_no_gate_has_seen_is_otherwise_the_apps_own(app: FastAPI, get: Any) -> None:
    raising(app)
    with pytest.raises(MissingCredentials):
        get("/")


@pytest.mark.parametrize(
    ("kind", "found"), [(AuthError, [418, 418]), (JwtGateError, [418, 418]), (InsufficientScope, [401, 418])]
)
@pytest.mark.parametrize("installed", [False, True])
def test_an_exception_handler_of_the_app_goes_before(
    settings: ApiSettings,
    verifier: AsyncVerifier,
    nobody: Headers,
    kind: type[Exception],
    found: list[int],
    installed: bool,
) -> None:
    app = FastAPI()
    app.add_exception_handler(kind, lambda request, error: Response(status_code=418))
    gate = Gate(settings, app if installed else None, verifier=verifier)
    app.get("/", dependencies=[gate.requires("read:messages")])(lambda: "in")
    assert statuses(TestClient(app).get, "/", {}, nobody) == found


# --- on_refusal -----------------------------------------------------------------------------------------------


def own_words(error: AuthError, connection: HTTPConnection) -> Response | None:
    if error.status == 403:
        return PlainTextResponse(connection.url.path, 403, headers=dict(error.headers))
    return None


async def own_words_later(error: AuthError, connection: HTTPConnection) -> Response | None:
    await asyncio.sleep(0)
    return own_words(error, connection)


@pytest.mark.parametrize("on_refusal", [own_words, own_words_later])
def test_on_refusal_may_answer_otherwise(
    app: FastAPI, settings: ApiSettings, verifier: AsyncVerifier, nobody: Headers, on_refusal: Any
) -> None:
    gate = Gate(settings, verifier=verifier, on_refusal=on_refusal)
    app.get("/read", dependencies=[gate.requires("read:messages")])(lambda: "in")
    assert answered(talk(app, "http", "/read", [])) == BARE
    status, lines, body = answered(talk(app, "http", "/read", lines_of(nobody)))
    assert (status, body) == (403, b"/read")
    assert (b"cache-control", b"no-store") in lines


def test_each_gate_of_an_app_answers_for_itself(
    app: FastAPI, get: Any, settings: ApiSettings, verifier: AsyncVerifier
) -> None:
    def answering(status: int) -> Gate:
        return Gate(settings, verifier=verifier, on_refusal=lambda error, connection: Response(status_code=status))

    for status in (418, 420):
        app.get(f"/{status}", dependencies=[answering(status).requires()])(lambda: "in")
    assert [get(path).status_code for path in ("/418", "/420", "/418")] == [418, 420, 418]


def test_on_refusal_answers_a_handshake_where_it_can(
    app: FastAPI, settings: ApiSettings, verifier: AsyncVerifier, nobody: Headers
) -> None:
    gate = Gate(settings, verifier=verifier, on_refusal=own_words)

    @app.websocket("/live")
    async def live(websocket: WebSocket, token: Annotated[AccessToken, gate.requires("read:messages")]) -> None:
        raise AssertionError(token)

    sent = talk(app, "websocket", "/live", lines_of(nobody), "websocket.connect")
    assert answered(sent, "websocket.")[::2] == (403, b"/live")
    closed = talk(app, "websocket", "/live", lines_of(nobody), "websocket.connect", denial=False)
    assert [(message["type"], message["code"]) for message in closed] == [("websocket.close", 1008)]


# --- WebSockets -----------------------------------------------------------------------------------------------


def test_a_websocket_is_let_in_with_a_token(guarded: FastAPI, client: TestClient, reader: Headers) -> None:
    with client.websocket_connect("/live", headers=reader) as websocket:
        assert websocket.receive_text().endswith("@clients")


def test_a_websocket_handshake_is_refused_in_http(guarded: FastAPI, client: TestClient, nobody: Headers) -> None:
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/live", headers=nobody):
        pass
    assert (refused.value.status_code, refused.value.json()["error"]) == (403, "insufficient_scope")


def test_a_websocket_is_closed_where_the_server_cannot_refuse_it_in_http(guarded: FastAPI) -> None:
    sent = talk(guarded, "websocket", "/live", [], "websocket.connect", denial=False)
    assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1008)]


@pytest.fixture
def strict(app: FastAPI, gate: Gate) -> FastAPI:
    """Routes that refuse by themselves, before and after they have accepted the WebSocket, and when it is over."""

    @app.websocket("/before")
    async def before(token: Annotated[AccessToken, gate.requires()]) -> None:
        token.require("write:messages")

    @app.websocket("/after")
    async def after(websocket: WebSocket, token: Annotated[AccessToken, gate.requires()]) -> None:
        await websocket.accept()
        token.require("write:messages")

    @app.websocket("/closed")
    async def closed(websocket: WebSocket, token: Annotated[AccessToken, gate.requires()]) -> None:
        await websocket.accept()
        await websocket.close(1000)
        token.require("write:messages")

    @app.websocket("/left")
    async def left(websocket: WebSocket, token: Annotated[AccessToken, gate.requires()]) -> None:
        await websocket.accept()
        await websocket.receive()
        token.require("write:messages")

    return app


def test_a_websocket_route_may_refuse_the_handshake(strict: FastAPI, reader: Headers) -> None:
    sent = talk(strict, "websocket", "/before", lines_of(reader), "websocket.connect")
    assert answered(sent, "websocket.")[0] == 403


def test_a_websocket_route_may_refuse_what_it_has_accepted(
    strict: FastAPI, client: TestClient, reader: Headers, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.INFO, "jwtgate"),
        client.websocket_connect("/after", headers=reader) as websocket,
        pytest.raises(WebSocketDisconnect) as closed,
    ):
        websocket.receive_text()
    assert closed.value.code == 1008
    assert [vars(record)["event"] for record in caplog.records] == ["InsufficientScope"]


@pytest.mark.parametrize("path", ["/closed", "/left"])
def test_a_websocket_that_is_over_is_closed_once(
    strict: FastAPI, reader: Headers, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "jwtgate"):
        sent = talk(strict, "websocket", path, lines_of(reader), "websocket.connect", "websocket.disconnect")
    codes = [message["code"] for message in sent if message["type"] == "websocket.close"]
    assert codes == ([1000] if path == "/closed" else [])
    assert [vars(record)["event"] for record in caplog.records] == ["InsufficientScope"]


# --- bound tokens -------------------------------------------------------------------------------------------

ASKING = proving.settings_for()
TOLD = [(name.encode(), value.encode()) for name, value in proving.TOLD]


def asking(app: FastAPI | None = None, store: Any = None, settings: ApiSettings = ASKING, **options: Any) -> Gate:
    return Gate(settings, app, verifier=proving.async_verifier(settings, store), **options)


def told(headers: Any) -> list[tuple[str, str]]:
    """Of an answer's header lines, what a gate adds."""
    return [line for line in headers.multi_items() if line[0] in ("cache-control", "dpop-nonce")]


def fetched(app: FastAPI, path: str, **changes: Any) -> tuple[int, list[tuple[str, str]]]:
    """Status of the answer to a good proof, and what was added."""
    response = TestClient(app, follow_redirects=False).get(path, headers=proving.headers(path, **changes))
    return response.status_code, told(response.headers)


def routed(app: FastAPI, gate: Gate) -> FastAPI:
    """Routes that give values, which FastAPI makes a Response of, and such that give a Response of their own."""
    token = Annotated[AccessToken, gate.requires("read:messages")]

    async def value(token: token) -> str:  # type: ignore[valid-type]
        return "in"

    def threaded(token: token) -> dict[str, str]:  # type: ignore[valid-type]
        return {}

    async def private(token: token, response: Response) -> str:  # type: ignore[valid-type]
        response.headers["X-Own"] = "1"
        response.headers["Cache-Control"] = "private"
        return "in"

    async def own(token: token) -> Response:  # type: ignore[valid-type]
        return PlainTextResponse("in", headers={"X-Own": "1"})

    async def streamed(token: token) -> Response:  # type: ignore[valid-type]
        return StreamingResponse(iter(["i", "n"]))

    for route in (value, threaded, private, own, streamed):
        app.add_api_route(f"/{route.__name__}", route, response_model=None)

    @app.websocket("/live")
    async def live(websocket: WebSocket, token: token) -> None:  # type: ignore[valid-type]
        await websocket.accept(headers=[(b"x-own", b"1")])
        token.require(*websocket.query_params.getlist("wanted"))  # type: ignore[attr-defined]
        await websocket.send_text("in")

    return app


def test_a_route_that_gives_a_value_tells_the_nonce(app: FastAPI) -> None:
    routed(app, asking())
    assert [fetched(app, path) for path in ("/value", "/threaded")] == [(200, proving.TOLD)] * 2
    status, lines = fetched(app, "/private")
    assert (status, sorted(lines)) == (200, [("cache-control", "private"), proving.TOLD[1]])
    assert fetched(app, "/value", token=proving.NAMELESS) == (403, proving.TOLD)
    assert fetched(app, "/value", nonce=None) == (401, proving.TOLD)


def test_a_response_of_a_routes_own_tells_the_nonce_where_the_gate_knows_the_app(app: FastAPI) -> None:
    together = FastAPI()
    routed(app, asking())
    routed(together, asking(together))
    for path in ("/own", "/streamed"):
        assert fetched(app, path) == (200, [])
        assert fetched(together, path) == (200, proving.TOLD)
    assert fetched(together, "/value") == (200, proving.TOLD)
    assert fetched(together, "/private") == (200, [("cache-control", "private"), proving.TOLD[1]])
    assert fetched(together, "/value", token=proving.NAMELESS) == (403, proving.TOLD)
    assert fetched(together, "/value", nonce=None) == (401, proving.TOLD)


@pytest.mark.parametrize("knows", [True, False], ids=["knows the app", "knows no app"])
def test_a_websocket_is_opened_with_the_nonce(knows: bool) -> None:
    app = FastAPI()
    routed(app, asking(app if knows else None))
    opened, *others = talk(app, "websocket", "/live", lines_of(proving.headers("/live")), "websocket.connect")
    assert (opened["type"], opened["headers"]) == ("websocket.accept", [(b"x-own", b"1"), *TOLD])
    assert [message for message in others if "headers" in message] == []
    for changes, status in (({"nonce": None}, 401), ({"token": proving.NAMELESS}, 403)):
        lines = lines_of(proving.headers("/live", **changes))  # type: ignore[arg-type]
        refused = answered(talk(app, "websocket", "/live", lines, "websocket.connect"), "websocket.")
        assert (refused[0], [line for line in refused[1] if line in TOLD]) == (status, TOLD)


def test_where_nonces_are_off_nothing_is_wrapped() -> None:
    app, settings = FastAPI(), proving.settings_for(dpop_nonce_key=None)
    gate = asking(app, settings=settings)
    assert app.user_middleware == []
    routed(app, gate)
    for path in ("/value", "/own"):
        assert fetched(app, path, nonce=None) == (200, [])
    lines = lines_of(proving.headers("/live", nonce=None))
    assert talk(app, "websocket", "/live", lines, "websocket.connect")[0]["headers"] == [(b"x-own", b"1")]


def test_an_answer_in_other_words_carries_the_nonce_of_a_good_proof_alone(app: FastAPI) -> None:
    routed(app, asking(on_refusal=lambda error, connection: RedirectResponse("/login")))
    assert fetched(app, "/value", token=proving.NAMELESS) == (307, proving.TOLD)
    # Whoever answers a challenge owes it its headers.
    assert fetched(app, "/value", nonce=None) == (307, [])


def test_a_token_that_a_test_puts_in_has_no_nonce_to_tell(app: FastAPI) -> None:
    gate = asking(app)
    routed(app, gate)
    found = asyncio.run(
        gate.verifier.outcome(jwtgate.Request("GET", f"{proving.BASE}/value", list(proving.headers("/value").items())))
    )
    app.dependency_overrides[gate.authenticate] = lambda: found
    response = TestClient(app).get("/value")
    assert (response.status_code, told(response.headers)) == (200, [])


def test_one_request_uses_its_proof_once_however_many_gates_it_passes() -> None:
    store, equal = proving.Recalling(), proving.settings_for()
    gate, other = asking(store=store), asking(store=store, settings=equal)
    app = FastAPI(dependencies=[gate.requires()])
    app.add_middleware(JwtGateMiddleware, settings=equal, verifier=proving.async_verifier(equal, store))
    router = APIRouter(dependencies=[other.requires(), Security(gate.authenticate, scopes=["read:messages"])])

    @router.get("/messages", dependencies=[gate.requires("read:messages")])
    async def messages(token: Annotated[AccessToken, other.requires("read:messages")]) -> str:
        return token.subject

    app.include_router(router)
    assert fetched(app, "/messages") == (200, proving.TOLD)
    assert len(store.shown) == 1


def test_routes_at_every_level_use_one_proof_once_without_a_middleware_too() -> None:
    store = proving.Recalling()
    gate = asking(store=store)
    app, router = FastAPI(dependencies=[gate.requires()]), APIRouter(dependencies=[gate.requires("read:messages")])
    router.get("/messages", dependencies=[gate.requires()])(lambda: "in")
    app.include_router(router)
    assert fetched(app, "/messages") == (200, proving.TOLD)
    assert len(store.shown) == 1


@pytest.mark.parametrize(("shared", "status"), [(False, 200), (True, 401)], ids=["a store each", "one store"])
def test_gates_of_two_settings_look_twice_and_a_store_that_they_share_takes_the_proof_once(
    shared: bool, status: int
) -> None:
    one, two = proving.Recalling(), proving.Recalling()
    inner = asking(store=one if shared else two, settings=proving.settings_for(leeway=29))
    app = FastAPI(dependencies=[asking(store=one).requires()])
    app.get("/", dependencies=[inner.requires()])(lambda: "in")
    assert fetched(app, "/")[0] == status
    assert len(one.shown + two.shown) == 2


# --- OpenAPI --------------------------------------------------------------------------------------------------


def described(*, overridable: bool = False, **settings: Any) -> dict[str, Any]:
    """The document of an app with an open route and several behind a gate that knows nothing of the app."""
    gate = Gate(ApiSettings(**{"identifier": IDENTIFIER, "permissions": PERMISSIONS, **settings}))
    if overridable:
        assert gate.authenticate.scheme_name
    app = FastAPI()
    own: dict[int | str, dict[str, Any]] = {403: {"description": "Ask the team"}}
    app.get("/open")(lambda: "in")
    app.get("/any", dependencies=[gate.requires()])(lambda: "in")
    app.get("/read", dependencies=[gate.requires("read:messages", claim("org_id", "o"))], responses=own)(lambda: "in")
    app.get("/one-of", dependencies=[gate.requires(any_of("write:messages", "extra"))])(lambda: "in")
    app.get("/optional", dependencies=[gate.requires("read:messages", optional=True)])(lambda: "in")
    app.get("/both", dependencies=[gate.requires(optional=True), gate.requires("read:messages")])(lambda: "in")
    app.get("/words", dependencies=[Security(gate.authenticate, scopes=["other"])])(lambda: "in")
    router = APIRouter(dependencies=[gate.requires("read:messages")])
    router.get("/levels", dependencies=[gate.requires("write:messages", "read:messages")])(lambda: "in")
    app.include_router(router)
    document = app.openapi()
    assert app.openapi() == document
    return document


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return described(domain=["login.example.com", "tenant.eu.auth0.com"])


NAME = "https_messages.example_"


def test_each_route_names_what_it_requires(document: dict[str, Any]) -> None:
    required = {path: item["get"].get("security") for path, item in document["paths"].items()}
    assert required == {
        "/open": None,
        "/any": [{NAME: []}],
        "/read": [{NAME: ["read:messages"]}],
        "/one-of": [{NAME: ["write:messages", "extra"]}],
        "/optional": [{NAME: ["read:messages"]}, {}],
        "/both": [{NAME: ["read:messages"]}],
        "/words": [{NAME: ["other"]}],
        "/levels": [{NAME: ["read:messages", "write:messages"]}],
    }


def test_the_document_is_the_same_where_the_gate_may_be_overridden(document: dict[str, Any]) -> None:
    assert described(overridable=True, domain=["login.example.com", "tenant.eu.auth0.com"]) == document


def test_each_route_behind_a_gate_lists_its_refusals(document: dict[str, Any]) -> None:
    found = {path: sorted(item["get"]["responses"]) for path, item in document["paths"].items()}
    assert found.pop("/open") == ["200"]
    assert {tuple(statuses) for statuses in found.values()} == {("200", "400", "401", "403", "503")}


def test_a_refusal_is_described(document: dict[str, Any]) -> None:
    refusal = document["paths"]["/any"]["get"]["responses"]["401"]
    assert list(refusal["headers"]) == ["WWW-Authenticate"]
    reference = refusal["content"]["application/json"]["schema"]["$ref"].removeprefix("#/components/schemas/")
    assert document["components"]["schemas"][reference]["properties"].keys() == {"error", "error_description"}


def test_what_the_app_says_about_a_status_stays(document: dict[str, Any]) -> None:
    assert document["paths"]["/read"]["get"]["responses"]["403"]["description"] == "Ask the team"


def test_the_scheme_leads_to_the_tenant_and_names_every_permission(document: dict[str, Any]) -> None:
    (scheme,) = document["components"]["securitySchemes"].values()
    token_url = "https://login.example.com/oauth/token"
    scopes = PERMISSIONS | {"extra": "", "other": ""}
    assert (scheme["type"], scheme["flows"]) == (
        "oauth2",
        {
            "clientCredentials": {"tokenUrl": token_url, "scopes": scopes},
            "authorizationCode": {
                "authorizationUrl": "https://login.example.com/authorize?audience=https%3A%2F%2Fmessages.example%2F",
                "tokenUrl": token_url,
                "scopes": scopes,
            },
        },
    )


def test_the_flow_that_works_in_a_page_comes_first(document: dict[str, Any]) -> None:
    (scheme,) = document["components"]["securitySchemes"].values()
    assert list(scheme["flows"]) == ["authorizationCode", "clientCredentials"]


def test_nothing_of_ours_is_left_in_the_document(document: dict[str, Any]) -> None:
    assert "jwtgate" not in json.dumps(document)
    assert "optional" not in json.dumps(document["paths"]["/any"])


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    OpenAPI.model_validate(document)
    text = json.dumps(document)
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert references == document["components"]["schemas"].keys()
    names = [name for group in document["components"].values() for name in group]
    assert [name for name in names if not re.fullmatch(r"[a-zA-Z0-9._-]+", name)] == []


SAME = """
import json, sys
sys.path.insert(0, "tests")
from test_fastapi import described
print(json.dumps(described(domain=["login.example.com", "tenant.eu.auth0.com"])))
"""


def test_the_document_is_the_same_in_every_process(
    document: dict[str, Any], pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        printed = subprocess.check_output([sys.executable, "-c", SAME], cwd=pytestconfig.rootpath, text=True)
        assert printed.strip() == json.dumps(document)


SCHEMES = {
    "discovered": ({"issuers": [Issuer("https://idp.example/")]}, "openIdConnect"),
    "its keys have an address": (
        {"issuers": [Issuer("https://idp.example/", jwks_uri="https://idp.example/k")]},
        "http",
    ),
    "a shared secret": (
        {
            "issuers": [Issuer("https://idp.example/")],
            "signing_algorithms": ["HS256"],
            "signing_secret": b"0123456789abcdef0123456789abcdef",
        },
        "http",
    ),
}


@pytest.mark.parametrize(("settings", "kind"), SCHEMES.values(), ids=SCHEMES)
def test_other_issuers_are_described_as_far_as_they_are_known(settings: dict[str, Any], kind: str) -> None:
    document = described(**settings)
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["type"] == kind
    assert scheme.get("openIdConnectUrl") in (None, "https://idp.example/.well-known/openid-configuration")
    assert document["paths"]["/read"]["get"]["security"] == [{NAME: ["read:messages"]}]


def test_two_apis_in_one_document_are_two_schemes(app: FastAPI) -> None:
    apis = [["https://a.example/", "urn:a"], "https://a.example"]
    for number, identifier in enumerate(apis):
        gate = Gate(ApiSettings(identifier=identifier, domain="tenant.example"))
        app.get(f"/{number}", dependencies=[gate.requires("x")])(lambda: "in")
    assert list(app.openapi()["components"]["securitySchemes"]) == ["https_a.example_", "https_a.example"]


def test_a_document_without_a_gate_is_left_alone(app: FastAPI) -> None:
    async def key() -> None: ...

    app.get("/", dependencies=[Depends(key)])(lambda: "in")
    document = app.openapi()
    assert "components" not in document
    assert list(document["paths"]["/"]["get"]["responses"]) == ["200"]


def test_other_schemes_are_left_alone(app: FastAPI, gate: Gate) -> None:
    from fastapi.security import HTTPBasic

    app.get("/basic", dependencies=[Security(HTTPBasic())])(lambda: "in")
    app.get("/both", dependencies=[gate.requires(), Security(HTTPBasic())])(lambda: "in")
    paths = app.openapi()["paths"]
    assert list(paths["/basic"]["get"]["responses"]) == ["200"]
    assert [list(security) for security in paths["/both"]["get"]["security"]] == [[NAME], ["HTTPBasic"]]


def test_the_document_and_its_pages_stay_open(gate: Gate) -> None:
    client = TestClient(FastAPI(dependencies=[gate.requires()]))
    assert [client.get(path).status_code for path in ("/openapi.json", "/docs", "/redoc")] == [200, 200, 200]


def test_a_document_that_is_made_anew_is_complete_again(app: FastAPI, gate: Gate) -> None:
    app.get("/first", dependencies=[gate.requires()])(lambda: "in")
    app.openapi()
    app.get("/second", dependencies=[gate.requires("late")])(lambda: "in")
    app.openapi_schema = None
    document = app.openapi()
    assert "401" in document["paths"]["/second"]["get"]["responses"]
    assert "late" in document["components"]["securitySchemes"][NAME]["flows"]["clientCredentials"]["scopes"]


# --- OpenAPI, of bound tokens

PROVEN = f"{NAME}_DPoP"
WAYS = {
    "dpop": ("dpop", [NAME, PROVEN]),
    "dpop, required": ({"mechanism": "dpop", "required": True}, [PROVEN]),
    "mtls": ("mtls", [NAME]),
    "both": (("dpop", "mtls"), [NAME, PROVEN]),
}


@pytest.mark.parametrize(("possession", "ways"), WAYS.values(), ids=WAYS)
def test_a_route_names_each_way_of_sending_its_token(possession: Any, ways: list[str]) -> None:
    document = described(domain="tenant.example", proof_of_possession=possession)
    required = {path: item["get"].get("security") for path, item in document["paths"].items()}
    assert required["/open"] is None
    assert required["/read"] == [{way: ["read:messages"]} for way in ways]
    assert required["/optional"] == [*({way: ["read:messages"]} for way in ways), {}]
    assert required["/levels"] == [{way: ["read:messages", "write:messages"]} for way in ways]
    # Where tokens come from stays in the document, whichever way they are sent.
    schemes = document["components"]["securitySchemes"]
    assert list(schemes) == [NAME, PROVEN] if PROVEN in ways else [NAME]
    assert schemes[NAME]["type"] == "oauth2"
    assert [(schemes[way]["type"], schemes[way]["scheme"]) for way in ways if way != NAME] == (
        [("http", "DPoP")] if PROVEN in ways else []
    )
    OpenAPI.model_validate(document)
    assert "jwtgate" not in json.dumps(document)


def test_a_challenge_with_a_nonce_is_described() -> None:
    for key, headers in ((None, ["WWW-Authenticate"]), (proving.NONCE_KEY, ["WWW-Authenticate", "DPoP-Nonce"])):
        document = described(domain="tenant.example", proof_of_possession="dpop", dpop_nonce_key=key)
        responses = document["paths"]["/any"]["get"]["responses"]
        assert list(responses["401"]["headers"]) == headers
        assert list(responses["403"]["headers"]) == ["WWW-Authenticate"]
        assert list(responses["503"]["headers"]) == ["Retry-After"]


def test_every_gate_of_a_route_has_its_own_ways(app: FastAPI) -> None:
    from fastapi.security import HTTPBasic

    proven = Gate(ApiSettings(identifier="proven", domain="a.example", proof_of_possession="dpop"))
    plain = Gate(ApiSettings(identifier="plain", domain="a.example"))
    app.get("/", dependencies=[plain.requires("x"), proven.requires("y"), Security(HTTPBasic())])(lambda: "in")
    document = app.openapi()
    assert document["paths"]["/"]["get"]["security"] == [
        {"plain": ["x"]},
        {"proven": ["y"]},
        {"proven_DPoP": ["y"]},
        {"HTTPBasic": []},
    ]
    assert sorted(document["components"]["securitySchemes"]) == ["HTTPBasic", "plain", "proven", "proven_DPoP"]


def test_who_may_come_without_a_token_must_still_show_what_else_is_asked_for(app: FastAPI, gate: Gate) -> None:
    from fastapi.security import HTTPBasic

    app.get("/", dependencies=[gate.requires(optional=True), Security(HTTPBasic())])(lambda: "in")
    assert {} not in app.openapi()["paths"]["/"]["get"]["security"]


def test_what_is_wanted_together_stays_together(app: FastAPI) -> None:
    """An app that adds to the document by itself may say that two tokens are wanted at once."""
    required = {"mechanism": "dpop", "required": True}
    for name, possession in (("proven", required), ("either", "dpop"), ("plain", None)):
        gate = Gate(ApiSettings(identifier=name, domain="a.example", proof_of_possession=possession))
        app.get(f"/{name}", dependencies=[gate.requires()])(lambda: "in")
    both = [{"proven": ["y"], "plain": ["x"]}, {"either": [], "plain": []}, {}]
    app.get("/", openapi_extra={"security": both})(lambda: "in")
    assert app.openapi()["paths"]["/"]["get"]["security"] == [
        {"proven_DPoP": ["y"], "plain": ["x"]},
        {"either": [], "plain": []},
        {"either_DPoP": [], "plain": []},
        {},
    ]
