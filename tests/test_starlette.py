"""The Starlette post: Starlette's own words where there are some, and our refusals wherever a request is refused."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.authentication import AuthenticationError, requires
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from jwtgate import (
    ApiSettings,
    AsyncVerifier,
    AuthError,
    InsufficientScope,
    MissingCredentials,
    SettingsError,
    any_of,
    claim,
)
from jwtgate.asgi import JwtGateMiddleware
from jwtgate.starlette import Gate, JwtGateBackend, NoToken, RefusedCredentials
from jwtgate.tenant import Api, Tenant
from tests import proving

IDENTIFIER = "https://messages.example/"
BASE = [("cache-control", "no-store"), ("content-type", "application/json")]
BARE = (401, [*BASE, ("www-authenticate", 'Bearer realm="api"'), ("content-length", "2")], b"{}")

Headers = dict[str, str]


@pytest.fixture(scope="session")
def tenant() -> Tenant:
    return Tenant()


@pytest.fixture(scope="session")
def api(tenant: Tenant) -> Api:
    return tenant.register_api(IDENTIFIER, permissions=["read:messages", "write:messages"])


@pytest.fixture(scope="session")
def rbac_api(tenant: Tenant) -> Api:
    return tenant.register_api(f"{IDENTIFIER}rbac", permissions=["read:messages"], rbac=True, permissions_in_token=True)


def headers_of(tenant: Tenant, api: Api, *permissions: str) -> Headers:
    application = tenant.create_application("Some machine")
    tenant.authorize(application, api, permissions)
    return {"Authorization": f"Bearer {tenant.client_credentials(application, api).access_token}"}


@pytest.fixture(scope="session")
def reader(tenant: Tenant, api: Api) -> Headers:
    """The header of a machine that may read messages."""
    return headers_of(tenant, api, "read:messages")


@pytest.fixture(scope="session")
def nobody(tenant: Tenant, api: Api) -> Headers:
    """The header of a machine with a valid token and no permission."""
    return headers_of(tenant, api)


BAD = {"Authorization": "Bearer eyJ.eyJ.x"}


@pytest.fixture(scope="session")
def settings(tenant: Tenant) -> ApiSettings:
    return ApiSettings(identifier=IDENTIFIER, domain=tenant.domain)


@pytest.fixture
def verifier(tenant: Tenant, settings: ApiSettings) -> AsyncVerifier:
    return AsyncVerifier(settings, http=httpx.AsyncClient(transport=tenant.transport()))


@pytest.fixture
def gate(settings: ApiSettings, verifier: AsyncVerifier) -> Gate:
    return Gate(settings, verifier=verifier)


@pytest.fixture
def backend(settings: ApiSettings, verifier: AsyncVerifier) -> JwtGateBackend:
    return JwtGateBackend(settings, verifier=verifier)


def client(*endpoints: Any, **options: Any) -> TestClient:
    """An app with these endpoints at /0, /1 and so on, and one WebSocket for each that is a _Socket."""
    routes = [
        WebSocketRoute(f"/{n}", endpoint.endpoint) if isinstance(endpoint, Socket) else Route(f"/{n}", endpoint)
        for n, endpoint in enumerate(endpoints)
    ]
    return TestClient(Starlette(routes=routes, **options), follow_redirects=False)


class Socket:
    """Marks an endpoint that is for WebSockets."""

    def __init__(self, endpoint: Any) -> None:
        self.endpoint = endpoint


def answer(response: Any) -> tuple[int, list[tuple[str, str]], bytes]:
    return response.status_code, response.headers.multi_items(), response.content


def denial(client: TestClient, headers: Headers | None = None, path: str = "/0") -> Any:
    """How a handshake was answered."""
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(path, headers=headers or {}):
        pass
    return answer(denied.value)


def challenge(answered: tuple[int, list[tuple[str, str]], bytes]) -> tuple[int, str]:
    """Status, and the last parameter of the challenge."""
    status, headers, _ = answered
    return status, dict(headers)["www-authenticate"].rpartition(", ")[2]


def log_of(caplog: pytest.LogCaptureFixture) -> list[object]:
    """The statuses in our log."""
    return [record.args[0] for record in caplog.records if record.name == "jwtgate" and record.args]  # type: ignore[index]


# --- endpoints of every kind


def every_kind(gate: Gate, *requirements: Any, **options: Any) -> list[Any]:
    demand = gate.requires(*requirements, **options)

    @demand
    async def asynchronous(request: Request) -> Response:
        return JSONResponse("in")

    @demand
    def synchronous(request: Request) -> Response:
        return JSONResponse("in")

    def fixed(word: str, request: Request) -> Response:
        return JSONResponse(word)

    async def by_keyword(*, request: Request) -> Response:
        return JSONResponse("in")

    class Methods(HTTPEndpoint):
        @demand
        async def get(self, request: Request) -> Response:
            return JSONResponse("in")

        @demand
        def post(self, request: Request) -> Response:
            return JSONResponse("in")

    @demand
    class Whole(HTTPEndpoint):
        async def get(self, request: Request) -> Response:
            return JSONResponse("in")

    async def called_by_keyword(request: Request) -> Response:
        return await demand(by_keyword)(request=request)  # type: ignore[no-any-return]

    return [asynchronous, synchronous, demand(functools.partial(fixed, "in")), Methods, Whole, called_by_keyword]


KINDS = range(6)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_endpoint_is_gated(gate: Gate, reader: Headers, nobody: Headers, kind: int) -> None:
    browser = client(*every_kind(gate, "read:messages"))
    assert answer(browser.get(f"/{kind}")) == BARE
    assert browser.get(f"/{kind}", headers=reader).json() == "in"
    assert browser.get(f"/{kind}", headers=BAD).status_code == 401
    assert challenge(answer(browser.get(f"/{kind}", headers=nobody))) == (403, 'scope="read:messages"')


def test_every_method_of_a_class_may_have_its_own_gate(gate: Gate, reader: Headers) -> None:
    browser = client(every_kind(gate)[3])
    assert browser.post("/0").status_code == 401
    assert browser.post("/0", headers=reader).json() == "in"
    assert browser.delete("/0").status_code == 405


def test_a_head_request_is_refused_alike(gate: Gate) -> None:
    status, headers, _ = answer(client(*every_kind(gate)).head("/0"))
    assert (status, headers) == BARE[:2]


def test_a_gated_class_is_a_class_of_its_own(gate: Gate) -> None:
    class Messages(HTTPEndpoint):
        """Messages."""

        async def get(self, request: Request) -> Response:
            return JSONResponse("in")

    gated = gate.requires()(Messages)
    assert issubclass(gated, Messages)
    assert (gated.__name__, gated.__doc__, gated.__module__) == ("Messages", "Messages.", __name__)
    assert client(Messages).get("/0").status_code == 200
    assert client(gated).get("/0").status_code == 401


def test_any_of_several_requirements_may_be_demanded(gate: Gate, reader: Headers) -> None:
    demands = [any_of("write:messages", "read:messages"), claim("gty", "client-credentials")]
    browser = client(*every_kind(gate, *demands))
    assert browser.get("/0", headers=reader).status_code == 200


@pytest.mark.parametrize("kind", KINDS)
def test_optional_lets_those_in_who_have_no_credentials(gate: Gate, reader: Headers, kind: int) -> None:
    browser = client(*every_kind(gate, "write:messages", optional=True))
    assert browser.get(f"/{kind}").json() == "in"
    assert browser.get(f"/{kind}", headers=BAD).status_code == 401
    assert browser.get(f"/{kind}", headers=reader).status_code == 403


@pytest.mark.parametrize("endpoint", ["read:messages", None, object, Starlette()])
def test_what_is_no_endpoint_is_refused_at_once(gate: Gate, endpoint: Any) -> None:
    with pytest.raises(SettingsError) as refused:
        gate.requires()(endpoint)
    assert refused.value.setting == "requires"


def test_a_bad_requirement_is_refused_at_once(gate: Gate) -> None:
    with pytest.raises(SettingsError):
        gate.requires("two words")


def test_an_endpoint_without_a_request_lets_nobody_in(gate: Gate) -> None:
    @gate.requires()
    async def endpoint(*args: Any) -> Response:
        return JSONResponse("in")

    async def careless(request: Request) -> Response:
        return await endpoint()  # type: ignore[no-any-return]

    with pytest.raises(SettingsError):
        client(careless).get("/0")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([b"Bearer a", b"Bearer a"], 400),
        ([b"Bearer a, Bearer b"], 400),
        ([b"Bearer\ta"], 400),
        ([b"Bearer "], 400),
        ([b"Bearer \xe9"], 400),
        ([b""], 401),
        ([b"Basic YTpi"], 401),
    ],
)
def test_every_header_line_reaches_the_core(gate: Gate, lines: Sequence[bytes], status: int) -> None:
    headers = [(b"authorization", line) for line in lines]
    assert client(*every_kind(gate)).get("/0", headers=headers).status_code == status  # type: ignore[arg-type]


# --- who is calling


def test_an_endpoint_learns_who_is_calling(gate: Gate, reader: Headers) -> None:
    @gate.requires()
    def whoami(request: Request) -> Response:
        optional = gate.optional_token(request)
        return JSONResponse([gate.token(request).subject, optional and optional.subject])

    first, second = client(whoami).get("/0", headers=reader).json()
    assert first == second
    assert first.endswith("@clients")


def test_to_ask_for_the_token_is_to_demand_it(gate: Gate) -> None:
    @gate.requires(optional=True)
    async def whoami(request: Request) -> Response:
        return JSONResponse(gate.token(request).subject)

    @gate.requires(optional=True)
    async def perhaps(request: Request) -> Response:
        return JSONResponse(gate.optional_token(request))

    browser = client(whoami, perhaps)
    assert answer(browser.get("/0")) == BARE
    assert browser.get("/1").json() is None


def test_where_no_gate_stands_there_is_nobody(gate: Gate, reader: Headers) -> None:
    async def perhaps(request: Request) -> Response:
        with pytest.raises(NoToken):
            gate.token(request)
        return JSONResponse(gate.optional_token(request))

    assert client(perhaps).get("/0", headers=reader).json() is None


def test_an_endpoint_may_say_no_itself(gate: Gate, reader: Headers) -> None:
    @gate.requires()
    def picky(request: Request) -> Response:
        gate.token(request).require("write:messages")
        return JSONResponse("in")

    @gate.requires()
    class Picky(HTTPEndpoint):
        async def get(self, request: Request) -> None:
            raise InsufficientScope(["write:messages"])

    browser = client(picky, Picky)
    for path in ("/0", "/1"):
        assert challenge(answer(browser.get(path, headers=reader))) == (403, 'scope="write:messages"')


def test_a_gate_in_the_app_answers_wherever_it_is_raised(
    settings: ApiSettings, verifier: AsyncVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    async def picky(request: Request) -> Response:
        raise MissingCredentials

    class Grim:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope.get("path") == "/grim":
                raise MissingCredentials
            await self.app(scope, receive, send)

    async def late(websocket: WebSocket) -> None:
        await websocket.accept()
        raise MissingCredentials

    routes = [Route("/0", picky), Mount("/sub", routes=[Route("/0", picky)]), WebSocketRoute("/late", late)]
    app = Starlette(routes=routes, middleware=[Middleware(Grim)])
    Gate(settings, app, verifier=verifier)
    with caplog.at_level(logging.INFO, "jwtgate"), TestClient(app) as browser:
        for path in ("/0", "/sub/0", "/grim"):
            assert answer(browser.get(path)) == BARE
        assert denial(browser, path="/grim") == BARE
        with browser.websocket_connect("/late") as session, pytest.raises(WebSocketDisconnect) as closed:
            session.receive_text()
        assert closed.value.code == 1008
    assert log_of(caplog) == [401] * 5


def test_an_error_before_any_request_is_nobodys_refusal(settings: ApiSettings, verifier: AsyncVerifier) -> None:
    def lifespan(app: Starlette) -> Any:
        raise MissingCredentials("no request at all")

    app = Starlette(lifespan=lifespan)
    Gate(settings, app, verifier=verifier)
    with pytest.raises(MissingCredentials), TestClient(app):
        pass


# --- another answer


def test_on_refusal_may_answer_instead(settings: ApiSettings, verifier: AsyncVerifier, reader: Headers) -> None:
    asked: list[tuple[type[AuthError], type[HTTPConnection]]] = []

    def on_refusal(error: AuthError, connection: HTTPConnection) -> Response | None:
        asked.append((type(error), type(connection)))
        return RedirectResponse("/login") if isinstance(error, MissingCredentials) else None

    gate = Gate(settings, verifier=verifier, on_refusal=on_refusal)

    @gate.requires()
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()

    browser = client(Socket(socket), *every_kind(gate, "write:messages"))
    assert browser.get("/1").headers["location"] == "/login"
    assert browser.get("/5").headers["location"] == "/login"
    assert browser.get("/1", headers=reader).status_code == 403
    assert denial(browser)[0] == 307
    assert asked == [
        (MissingCredentials, Request),
        (MissingCredentials, Request),
        (InsufficientScope, Request),
        (MissingCredentials, WebSocket),
    ]


def test_on_refusal_may_take_its_time(settings: ApiSettings, verifier: AsyncVerifier) -> None:
    async def on_refusal(error: AuthError, connection: HTTPConnection) -> Response | None:
        return RedirectResponse("/login") if connection.url.path == "/0" else None

    gate = Gate(settings, verifier=verifier, on_refusal=on_refusal)
    browser = client(*every_kind(gate))
    assert browser.get("/0").headers["location"] == "/login"
    assert answer(browser.get("/1")) == BARE


# --- WebSockets


def sockets(gate: Gate) -> list[Socket]:
    @gate.requires("read:messages")
    async def function(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(gate.token(websocket).subject)
        await websocket.close()

    @gate.requires("read:messages")
    class Whole(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.send_text(gate.token(websocket).subject)

    class Method(WebSocketEndpoint):
        @gate.requires("read:messages")
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.send_text(gate.token(websocket).subject)

    return [Socket(function), Socket(Whole), Socket(Method)]


@pytest.mark.parametrize("path", ["/0", "/1", "/2"])
def test_every_kind_of_websocket_is_gated(gate: Gate, reader: Headers, nobody: Headers, path: str) -> None:
    browser = client(*sockets(gate))
    assert denial(browser, path=path) == BARE
    assert challenge(denial(browser, nobody, path)) == (403, 'scope="read:messages"')
    with browser.websocket_connect(path, headers=reader) as session:
        assert session.receive_text().endswith("@clients")


@pytest.mark.parametrize("path", ["/0", "/1"])
def test_where_the_server_cannot_answer_the_handshake_is_closed(gate: Gate, path: str) -> None:
    inner = client(*sockets(gate)).app

    async def without_denial(scope: Scope, receive: Receive, send: Send) -> None:
        await inner({**scope, "extensions": {}}, receive, send)

    with (
        pytest.raises(WebSocketDisconnect) as closed,
        TestClient(without_denial).websocket_connect(path),
    ):
        pass
    assert closed.value.code == 1008


def late_sockets(gate: Gate, *, close: bool) -> list[Socket]:
    @gate.requires()
    async def function(websocket: WebSocket) -> None:
        await websocket.accept()
        if close:
            await websocket.close()
        gate.token(websocket).require("write:messages")

    @gate.requires()
    class Whole(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            if close:
                await websocket.close()
            gate.token(websocket).require("write:messages")

    return [Socket(function), Socket(Whole)]


@pytest.mark.parametrize("path", ["/0", "/1"])
def test_an_open_websocket_is_closed_when_the_endpoint_says_no(
    gate: Gate, reader: Headers, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.INFO, "jwtgate"),
        client(*late_sockets(gate, close=False)).websocket_connect(path, headers=reader) as session,
        pytest.raises(WebSocketDisconnect) as closed,
    ):
        session.receive_text()
    assert closed.value.code == 1008
    assert log_of(caplog) == [403]


@pytest.mark.parametrize("path", ["/0", "/1"])
def test_a_websocket_is_closed_once(gate: Gate, reader: Headers, path: str) -> None:
    browser = client(*late_sockets(gate, close=True))
    with pytest.raises(InsufficientScope), browser.websocket_connect(path, headers=reader) as session:
        session.receive()


# --- the backend


@requires("read:messages")
async def messages(request: Request) -> Response:
    return JSONResponse("in")


@requires("authenticated", status_code=404)
def hidden(request: Request) -> Response:
    return JSONResponse("in")


async def whoami(request: Request) -> Response:
    user = request.user
    identity = user.identity if user.is_authenticated else ""  # before Starlette 1, its own nobody has none
    return JSONResponse([user.is_authenticated, user.display_name, identity, request.auth.scopes])


@requires("read:messages")
async def subscribe(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(websocket.user.token.subject)
    await websocket.close()


def wirings(backend: JwtGateBackend) -> list[Middleware]:
    """Ours, and Starlette's own with our `on_error`."""
    starlettes = Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)
    return [backend.middleware(), starlettes]


@pytest.mark.parametrize("wiring", [0, 1])
def test_starlettes_requires_decides_by_the_token(
    backend: JwtGateBackend, reader: Headers, nobody: Headers, wiring: int
) -> None:
    browser = client(messages, hidden, whoami, middleware=[wirings(backend)[wiring]])
    assert browser.get("/0", headers=reader).json() == "in"
    assert browser.get("/0", headers=nobody).status_code == 403
    assert browser.get("/1", headers=nobody).json() == "in"
    assert browser.get("/1").status_code == 404


@pytest.mark.parametrize("wiring", [0, 1])
def test_a_bad_token_is_refused_even_where_none_is_needed(
    backend: JwtGateBackend, wiring: int, caplog: pytest.LogCaptureFixture
) -> None:
    browser = client(whoami, middleware=[wirings(backend)[wiring]])
    with caplog.at_level(logging.INFO, "jwtgate"):
        status, headers, body = answer(browser.get("/0", headers=BAD))
    assert (status, headers[:2]) == (401, BASE)
    assert body == b'{"error":"invalid_token","error_description":"The access token is malformed."}'
    assert log_of(caplog) == [401]


def test_the_request_has_a_user(backend: JwtGateBackend, reader: Headers) -> None:
    browser = client(whoami, middleware=[backend.middleware()])
    known, name, identity, scopes = browser.get("/0", headers=reader).json()
    assert (known, name, scopes) == (True, identity, ["authenticated", "read:messages"])
    assert name.endswith("@clients")
    assert browser.get("/0").json() == [False, "", "", []]


def test_names_come_from_permissions_when_the_settings_say_so(tenant: Tenant, rbac_api: Api) -> None:
    header = headers_of(tenant, rbac_api, "read:messages")
    plain = ApiSettings(identifier=rbac_api.identifier, domain=tenant.domain)
    rbac = ApiSettings(identifier=rbac_api.identifier, domain=tenant.domain, permissions_in_token=True)
    claims = {**tenant.claims(rbac_api.test_application, rbac_api), "scope": "write:messages"}
    without = {"Authorization": f"Bearer {tenant.sign({**claims, 'permissions': ['read:messages']}, api=rbac_api)}"}
    absent = {name: value for name, value in claims.items() if name != "permissions"}
    neither = {"Authorization": f"Bearer {tenant.sign(absent, api=rbac_api)}"}

    def scopes(settings: ApiSettings, headers: Headers) -> Any:
        verifier = AsyncVerifier(settings, http=httpx.AsyncClient(transport=tenant.transport()))
        backend = JwtGateBackend(settings, verifier=verifier)
        return client(whoami, middleware=[backend.middleware()]).get("/0", headers=headers).json()[3]

    assert scopes(rbac, header) == ["authenticated", "read:messages"]
    assert scopes(rbac, without) == ["authenticated", "read:messages"]
    assert scopes(plain, without) == ["authenticated", "write:messages"]
    assert scopes(rbac, neither) == ["authenticated"]


def test_websockets_have_a_user_and_our_refusal(backend: JwtGateBackend, reader: Headers) -> None:
    browser = client(Socket(subscribe), middleware=[backend.middleware()])
    with browser.websocket_connect("/0", headers=reader) as session:
        assert session.receive_text().endswith("@clients")
    assert denial(browser, BAD)[0] == 401


def test_the_backend_passes_lifespan_on(backend: JwtGateBackend) -> None:
    with client(whoami, middleware=[backend.middleware()]) as browser:
        assert browser.get("/0").status_code == 200


def test_without_on_error_nothing_but_the_public_sentence_is_told(backend: JwtGateBackend) -> None:
    browser = client(whoami, middleware=[Middleware(AuthenticationMiddleware, backend=backend)])
    response = browser.get("/0", headers=BAD)
    assert (response.status_code, response.text) == (400, "The access token is malformed.")


def test_a_backend_may_be_derived_and_say_no_in_starlettes_words(
    settings: ApiSettings, verifier: AsyncVerifier, reader: Headers
) -> None:
    class Strict(JwtGateBackend):
        async def authenticate(self, conn: HTTPConnection) -> Any:
            raise AuthenticationError(f"not on a Sunday, {conn.client}")

    for wiring in wirings(Strict(settings, verifier=verifier)):
        status, _, body = answer(client(whoami, middleware=[wiring]).get("/0", headers=reader))
        sentence = "The access token is not valid for this API."
        assert (status, body) == (401, b'{"error":"invalid_token","error_description":"%b"}' % sentence.encode())


def test_a_refusal_carries_the_error(backend: JwtGateBackend) -> None:
    caught: list[AuthenticationError] = []

    def on_error(conn: HTTPConnection, error: AuthenticationError) -> Response:
        caught.append(error)
        return backend.on_error(conn, error)

    wiring = Middleware(AuthenticationMiddleware, backend=backend, on_error=on_error)
    client(whoami, middleware=[wiring]).get("/0", headers=BAD)
    (error,) = caught
    assert isinstance(error, RefusedCredentials)
    assert error.error.status == 401


def test_the_backend_may_have_another_answer(settings: ApiSettings, verifier: AsyncVerifier) -> None:
    backend = JwtGateBackend(settings, verifier=verifier, on_refusal=lambda error, conn: RedirectResponse("/login"))
    for wiring in wirings(backend):
        assert client(whoami, middleware=[wiring]).get("/0", headers=BAD).headers["location"] == "/login"


# --- backend, gate and middleware together


def cold(settings: ApiSettings) -> AsyncVerifier:
    """A verifier that cannot get any keys: it answers 503 when it has to look for itself."""

    def unreachable(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no network")

    return AsyncVerifier(settings, http=httpx.AsyncClient(transport=httpx.MockTransport(unreachable)))


def test_one_request_is_authenticated_once(
    settings: ApiSettings, verifier: AsyncVerifier, backend: JwtGateBackend, reader: Headers, nobody: Headers
) -> None:
    gate = Gate(settings, verifier=cold(settings))
    lonely = client(*every_kind(gate))
    assert lonely.get("/0", headers=reader).status_code == 503

    outer: Callable[..., list[Middleware]] = lambda: [
        Middleware(JwtGateMiddleware, settings=settings, verifier=verifier),
        backend.middleware(),
    ]
    for stack in (outer()[:1], outer()[1:], outer()):
        behind = client(*every_kind(gate, "read:messages"), middleware=stack)
        assert behind.get("/0", headers=reader).json() == "in"
        assert challenge(answer(behind.get("/4", headers=nobody))) == (403, 'scope="read:messages"')


def test_behind_the_middleware_the_gate_knows_who_is_calling(
    settings: ApiSettings, gate: Gate, verifier: AsyncVerifier, reader: Headers
) -> None:
    async def endpoint(request: Request) -> Response:
        return JSONResponse(gate.token(request).subject == request.scope["jwtgate.token"].subject)

    stack = [Middleware(JwtGateMiddleware, settings=settings, verifier=verifier)]
    assert client(endpoint, middleware=stack).get("/0", headers=reader).json() is True


@pytest.mark.parametrize("post", [Gate, JwtGateBackend])
def test_the_verifier_must_have_the_same_settings(tenant: Tenant, verifier: AsyncVerifier, post: Any) -> None:
    other = ApiSettings(identifier="https://other.example/", domain=tenant.domain)
    with pytest.raises(SettingsError) as refused:
        post(other, verifier=verifier)
    assert refused.value.setting == "verifier"


def test_each_post_makes_its_own_verifier(settings: ApiSettings) -> None:
    assert answer(client(*every_kind(Gate(settings))).get("/0")) == BARE
    assert answer(client(messages, middleware=[JwtGateBackend(settings).middleware()]).get("/0"))[0] == 403


# --- bound tokens

ASKING = proving.settings_for()


def asking(app: Starlette | None = None, store: Any = None, settings: ApiSettings = ASKING, **options: Any) -> Gate:
    return Gate(settings, app, verifier=proving.async_verifier(settings, store), **options)


def told(headers: Any) -> list[tuple[str, str]]:
    """Of an answer's header lines, what a gate adds."""
    return [line for line in headers.multi_items() if line[0] in ("cache-control", "dpop-nonce")]


def opened(browser: TestClient, path: str = "/0") -> list[tuple[str, str]]:
    """What is added to the answer to a good handshake."""
    with browser.websocket_connect(path, headers=proving.headers(path)) as session:
        session.receive()
        lines = session.extra_headers or []
    return [(name.decode(), value.decode()) for name, value in lines]


@pytest.mark.parametrize("kind", KINDS)
def test_an_endpoint_of_any_kind_tells_the_nonce(kind: int) -> None:
    browser = client(*every_kind(asking(), "read:messages"))
    for _ in range(2):
        response = browser.get(f"/{kind}", headers=proving.headers(f"/{kind}"))
        assert (response.status_code, told(response.headers)) == (200, proving.TOLD)
    refused = browser.get(f"/{kind}", headers=proving.headers(f"/{kind}", proving.NAMELESS))
    assert (refused.status_code, told(refused.headers)) == (403, proving.TOLD)


def test_an_answer_that_was_looked_at_keeps_all_that_was_said_in_it() -> None:
    gate, once_made = asking(), JSONResponse("in")

    def traced(endpoint: Any) -> Any:
        async def around(request: Request) -> Response:
            response: Response = await endpoint(request)
            response.headers["x-around"] = "1"
            return response

        return around

    @traced
    @gate.requires()
    async def endpoint(request: Request) -> Response:
        response = JSONResponse("in")
        response.headers["x-inside"] = "1"
        response.headers["cache-control"] = "private"
        return response

    @gate.requires()
    async def shared(request: Request) -> Response:
        return once_made

    @gate.requires()
    async def streamed(request: Request) -> Response:
        return StreamingResponse(iter(["i", "n"]))

    browser = client(endpoint, shared, streamed)
    first = browser.get("/0", headers=proving.headers("/0"))
    assert (first.headers["x-inside"], first.headers["x-around"]) == ("1", "1")
    assert told(first.headers) == [("cache-control", "private"), proving.TOLD[1]]
    for path in ("/1", "/1", "/2"):
        assert told(browser.get(path, headers=proving.headers(path)).headers) == proving.TOLD


@pytest.mark.parametrize("path", ["/0", "/1", "/2"])
def test_every_kind_of_websocket_is_opened_with_the_nonce(path: str) -> None:
    assert opened(client(*sockets(asking())), path) == proving.TOLD
    silent = asking(settings=proving.settings_for(dpop_nonce_key=None))
    browser = client(*sockets(silent))
    with browser.websocket_connect(path, headers=proving.headers(path, nonce=None)) as session:
        assert not session.extra_headers


def test_a_websocket_that_passes_several_gates_is_opened_with_one_nonce() -> None:
    gate, other = asking(), asking()

    @gate.requires()
    @other.requires()
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept(headers=[(b"x-own", b"1")])
        await websocket.send_text("in")

    assert opened(client(Socket(socket))) == [("x-own", "1"), *proving.TOLD]


def looking(settings: ApiSettings = ASKING, store: Any = None, **options: Any) -> JwtGateBackend:
    return JwtGateBackend(settings, verifier=proving.async_verifier(settings, store), **options)


def test_the_backends_middleware_tells_the_nonce_with_every_answer() -> None:
    browser = client(messages, Socket(subscribe), middleware=[looking().middleware()])
    assert told(browser.get("/0", headers=proving.headers("/0")).headers) == proving.TOLD
    assert told(browser.get("/nowhere", headers=proving.headers("/nowhere")).headers) == proving.TOLD
    assert told(browser.get("/0", headers=proving.headers("/0", proving.NAMELESS)).headers) == proving.TOLD
    assert told(browser.get("/0").headers) == []
    assert opened(browser, "/1") == proving.TOLD


def test_starlettes_own_middleware_has_the_nonces_told_by_a_gate_in_the_app() -> None:
    backend = looking()
    wiring = Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)
    alone, together = (Starlette(routes=[Route("/0", messages)], middleware=[wiring]) for _ in range(2))
    asking(together)
    for app, expected in ((alone, []), (together, proving.TOLD)):
        assert told(TestClient(app).get("/0", headers=proving.headers("/0")).headers) == expected
        challenged = TestClient(app).get("/0", headers=proving.headers("/0", nonce=None))
        assert (challenged.status_code, told(challenged.headers)) == (401, proving.TOLD)


def test_a_gate_in_the_app_tells_the_nonce_wherever_a_gate_has_looked() -> None:
    gate = asking()

    class Plain:
        """No Response of Starlette's."""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await JSONResponse("in")(scope, receive, send)

    @gate.requires()
    async def endpoint(request: Request) -> Any:
        return Plain()

    async def picky(request: Request) -> Response:
        await gate.requires("admin:all")(endpoint)(request)
        gate.token(request).require("admin:all")
        return JSONResponse("never")

    routes = [Mount("/sub", routes=[Route("/in", endpoint), Route("/picky", picky)])]
    alone, together = Starlette(routes=routes), Starlette(routes=routes)
    asking(together)
    assert told(TestClient(alone).get("/sub/in", headers=proving.headers("/sub/in")).headers) == []
    for path, status in (("/sub/in", 200), ("/sub/picky", 403)):
        response = TestClient(together).get(path, headers=proving.headers(path))
        assert (response.status_code, told(response.headers)) == (status, proving.TOLD)


def test_an_answer_in_other_words_carries_the_nonce_of_a_good_proof_alone() -> None:
    gate = asking(on_refusal=lambda error, connection: RedirectResponse("/login"))
    browser = client(*every_kind(gate, "admin:all"))
    assert told(browser.get("/0", headers=proving.headers("/0")).headers) == proving.TOLD
    # Whoever answers a challenge owes it its headers.
    assert told(browser.get("/0", headers=proving.headers("/0", nonce=None)).headers) == []


@pytest.mark.parametrize("kind", KINDS)
def test_one_request_uses_its_proof_once_however_many_gates_it_passes(kind: int) -> None:
    store, equal = proving.Recalling(), proving.settings_for()
    stack = [
        Middleware(JwtGateMiddleware, settings=ASKING, verifier=proving.async_verifier(ASKING, store)),
        looking(equal, store).middleware(),
    ]
    gate = asking(store=store, settings=equal)
    browser = client(
        *(gate.requires()(one) for one in every_kind(asking(store=store), "read:messages")), middleware=stack
    )
    response = browser.get(f"/{kind}", headers=proving.headers(f"/{kind}"))
    assert (response.status_code, told(response.headers)) == (200, proving.TOLD)
    assert len(store.shown) == 1


@pytest.mark.parametrize(("shared", "status"), [(False, 200), (True, 401)], ids=["a store each", "one store"])
def test_gates_of_two_settings_look_twice_and_a_store_that_they_share_takes_the_proof_once(
    shared: bool, status: int
) -> None:
    one, two = proving.Recalling(), proving.Recalling()
    inner = asking(store=one if shared else two, settings=proving.settings_for(leeway=29))
    browser = client(*every_kind(inner), middleware=[looking(store=one).middleware()])
    assert browser.get("/0", headers=proving.headers("/0")).status_code == status
    assert len(one.shown + two.shown) == 2
