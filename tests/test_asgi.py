"""The ASGI post: closed unless opened, the same answer whatever stands behind it, and nothing else in the way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn

from jwtgate import (
    ApiSettings,
    AsyncVerifier,
    AuthError,
    InsufficientScope,
    MissingCredentials,
    SettingsError,
    Verifier,
    permission,
    scope,
)
from jwtgate.asgi import App, JwtGateMiddleware, Message, Receive, Scope, Send, Telling, request_of, telling
from jwtgate.core.errors import Refusal
from jwtgate.tenant import Api, Tenant
from tests import proving

IDENTIFIER = "https://messages.example/"
BASE = [(b"cache-control", b"no-store"), (b"content-type", b"application/json")]
BARE = (401, [*BASE, (b"www-authenticate", b'Bearer realm="api"'), (b"content-length", b"2")], b"{}")
DENIAL = {"websocket.http.response": {}}


@pytest.fixture(scope="session")
def tenant() -> Tenant:
    return Tenant()


@pytest.fixture(scope="session")
def api(tenant: Tenant) -> Api:
    return tenant.register_api(IDENTIFIER, permissions=["read:messages", "admin:all"])


@pytest.fixture(scope="session")
def reader(tenant: Tenant, api: Api) -> str:
    """The token of a machine that may read messages."""
    application = tenant.create_application("Reader")
    tenant.authorize(application, api, ["read:messages"])
    return tenant.client_credentials(application, api).access_token


@pytest.fixture(scope="session")
def settings(tenant: Tenant) -> ApiSettings:
    return ApiSettings(identifier=IDENTIFIER, domain=tenant.domain)


@pytest.fixture
def verifier(tenant: Tenant, settings: ApiSettings) -> AsyncVerifier:
    return AsyncVerifier(settings, http=httpx.AsyncClient(transport=tenant.transport()))


@pytest.fixture
def gated(settings: ApiSettings, verifier: AsyncVerifier) -> Callable[..., JwtGateMiddleware]:
    """The middleware in front of an app, which is the one below unless given."""

    def build(app: App = hello, **options: Any) -> JwtGateMiddleware:
        return JwtGateMiddleware(app, settings, verifier=verifier, **options)

    return build


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the caller's name, or "nobody"."""
    token = scope["jwtgate.token"]
    await respond(send, token.subject if token else "nobody")


async def respond(send: Send, text: str) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})


@dataclass
class Call:
    """What an app sent, and the scope as it left it."""

    messages: list[Message]
    scope: Scope

    @property
    def answer(self) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        start, body = self.messages
        return start["status"], start["headers"], body["body"]


def call(app: App, path: str = "/messages", token: str | None = None, **changes: Any) -> Call:
    """Call an app once, as a server does."""
    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    called: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "scheme": "https",
        "server": ("api.example", 443),
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        **changes,
    }
    outcome = Call([], called)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        outcome.messages.append(message)

    asyncio.run(app(called, receive, send))
    return outcome


def websocket(app: App, token: str | None = None, **changes: Any) -> Call:
    """Open a WebSocket, as a server does that knows the denial response."""
    return call(app, token=token, **{"type": "websocket", "scheme": "wss", "extensions": DENIAL, **changes})


# --- who is let in


def test_a_good_token_reaches_the_app(gated: Any, reader: str) -> None:
    found = call(gated(), token=reader)
    assert found.answer[0] == 200
    assert found.answer[2].endswith(b"@clients")


def test_no_token_is_asked_for_one(gated: Any) -> None:
    assert call(gated()).answer == BARE


def test_the_app_never_sees_a_request_that_is_refused(gated: Any) -> None:
    reached: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope)

    call(gated(app), token="eyJ.eyJ.x")
    assert reached == []


def test_a_bad_token_is_named_in_the_challenge(gated: Any, reader: str) -> None:
    altered = reader[:-8] + "AAAAAAAA"
    status, headers, body = call(gated(), token=altered).answer
    sentence = b"The signature of the access token is not valid."
    assert status == 401
    assert headers[2] == (
        b"www-authenticate",
        b'Bearer realm="api", error="invalid_token", error_description="%b"' % sentence,
    )
    assert body == b'{"error":"invalid_token","error_description":"%b"}' % sentence
    assert headers[3] == (b"content-length", str(len(body)).encode())


def test_a_head_request_has_the_same_answer(gated: Any) -> None:
    assert call(gated(), method="HEAD").answer == BARE


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([b"Bearer a", b"Bearer a"], 400),
        ([b"Bearer a, Bearer b"], 400),
        ([b"Bearer\ta"], 400),
        ([b"Bearer"], 400),
        ([b"Bearer \xc3\xa9"], 400),
        ([b"\xff\xfe"], 401),
        ([b""], 401),
        ([b"Basic YTpi"], 401),
        ([b"bearer a"], 401),
    ],
)
def test_every_header_line_reaches_the_core(gated: Any, lines: list[bytes], status: int) -> None:
    found = call(gated(), headers=[(b"Authorization", line) for line in lines])
    assert found.answer[0] == status


def test_two_good_tokens_are_one_too_many(gated: Any, reader: str) -> None:
    line = (b"authorization", f"Bearer {reader}".encode())
    assert call(gated(), headers=[line, line]).answer[0] == 400


def test_one_request_is_authenticated_once(settings: ApiSettings, gated: Any, reader: str) -> None:
    async def denied(url: Any) -> None:
        raise httpx.ConnectError("the inner gate has no way to get keys")

    lonely = AsyncVerifier(settings, http=httpx.AsyncClient(transport=httpx.MockTransport(denied)))
    inner = JwtGateMiddleware(hello, settings, verifier=lonely)
    assert call(inner, token=reader).answer[0] == 503
    assert call(gated(inner), token=reader).answer[0] == 200


def test_a_gate_with_other_settings_looks_for_itself(tenant: Tenant, gated: Any, reader: str) -> None:
    other = ApiSettings(identifier="https://other.example/", domain=tenant.domain)
    verifier = AsyncVerifier(other, http=httpx.AsyncClient(transport=tenant.transport()))
    assert call(gated(JwtGateMiddleware(hello, other, verifier=verifier)), token=reader).answer[0] == 401


# --- paths


@pytest.mark.parametrize("path", ["/health", "/static/a.css"])
def test_a_public_path_needs_no_token(gated: Any, path: str) -> None:
    assert call(gated(public=["/health", "/static/*"]), path).answer[2] == b"nobody"


def test_a_token_on_a_public_path_is_not_looked_at(gated: Any, reader: str) -> None:
    app = gated(public=["/health"])
    assert call(app, "/health", token=reader).answer[2] == b"nobody"
    assert call(app, "/health", token="garbage").answer[2] == b"nobody"


def test_a_public_path_keeps_what_an_outer_gate_found_out(gated: Any, reader: str) -> None:
    found = call(gated(gated(public=["/health"])), "/health", token=reader)
    assert found.answer[2].endswith(b"@clients")


@pytest.mark.parametrize("path", ["/health/", "//health", "/static/../messages", "/static/..;/messages", "/static"])
def test_what_is_not_quite_public_is_closed(gated: Any, path: str) -> None:
    assert call(gated(public=["/health", "/static/*"]), path).answer == BARE


def test_an_encoded_slash_is_not_public(gated: Any) -> None:
    app = gated(public=["/static/*"])
    assert call(app, "/static/a/b").answer[0] == 200
    assert call(app, "/static/a/b", raw_path=b"/static/a%2fb").answer == BARE


def test_a_server_need_not_tell_the_raw_path(gated: Any) -> None:
    assert call(gated(public=["/health"]), "/health", raw_path=None).answer[0] == 200


def test_paths_are_compared_below_the_root_path(gated: Any) -> None:
    app = gated(public=["/health"])
    assert call(app, "/api/health", root_path="/api").answer[0] == 200
    assert call(app, "/apis/health", root_path="/api").answer[0] == 401


def test_a_path_may_ask_for_more(gated: Any, reader: str) -> None:
    app = gated(requires={"/admin/*": permission("admin:all"), "/messages": "read:messages"})
    assert call(app, "/messages", token=reader).answer[0] == 200
    status, headers, _ = call(app, "/admin/users", token=reader).answer
    assert (status, headers[2][1].rpartition(b", ")[2]) == (403, b'scope="admin:all"')
    assert call(app, "/messages/..;/admin", token=reader).answer[0] == 403


def test_a_preflight_passes_and_what_only_looks_like_one_does_not(gated: Any) -> None:
    asked = [(b"origin", b"https://app.example"), (b"access-control-request-method", b"GET")]
    assert call(gated(), method="OPTIONS", headers=asked).answer[2] == b"nobody"
    assert call(gated(), method="OPTIONS", headers=asked[:1]).answer == BARE
    assert call(gated(), method="GET", headers=asked).answer == BARE


@pytest.mark.parametrize("kind", ["lifespan", "webtransport"])
def test_what_is_no_request_is_passed_on_untouched(gated: Any, kind: str) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    scope = {"type": kind}
    asyncio.run(gated(app)(scope, None, None))
    assert seen == [{"type": kind}]
    assert seen[0] is scope


# --- an app that says no itself


def test_an_app_may_require_more_of_its_token(gated: Any, reader: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["jwtgate.token"].require("admin:all")
        await respond(send, "never")

    status, headers, body = call(gated(app), token=reader).answer
    assert (status, headers[2][1].rpartition(b", ")[2]) == (403, b'scope="admin:all"')
    assert body.startswith(b'{"error":"insufficient_scope"')


def test_an_error_that_an_app_makes_itself_has_its_challenge_too(gated: Any, reader: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise MissingCredentials

    assert call(gated(app), token=reader).answer == BARE


def test_once_an_answer_has_begun_it_is_too_late(gated: Any, reader: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise InsufficientScope(["admin:all"])

    with pytest.raises(InsufficientScope):
        call(gated(app), token=reader)


def test_other_errors_are_not_ours(gated: Any, reader: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(gated(app), token=reader)


def test_each_refusal_is_one_line_in_the_log(gated: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "jwtgate"):
        call(gated())
        call(gated(gated()))
    assert [record.args[0] for record in caplog.records if isinstance(record.args, tuple)] == [401, 401]


# --- another answer


async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
    prefix = "websocket." if scope["type"] == "websocket" else ""
    await send({"type": f"{prefix}http.response.start", "status": 303, "headers": [(b"location", b"/login")]})
    await send({"type": f"{prefix}http.response.body", "body": b""})


def test_on_refusal_may_answer_instead(gated: Any) -> None:
    asked: list[tuple[type[AuthError], str]] = []

    def on_refusal(error: AuthError, scope: Scope) -> App:
        asked.append((type(error), scope["path"]))
        return elsewhere

    app = gated(on_refusal=on_refusal)
    assert call(app).answer == (303, [(b"location", b"/login")], b"")
    assert websocket(app).messages[0]["type"] == "websocket.http.response.start"
    assert asked == [(MissingCredentials, "/messages")] * 2


def test_on_refusal_may_leave_it_at_the_standard_answer(gated: Any) -> None:
    assert call(gated(on_refusal=lambda error, scope: None)).answer == BARE


# --- WebSockets


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.accept"})
    scope["jwtgate.token"].require(*scope.get("wanted", ()))
    await send({"type": "websocket.close", "code": 1000})
    scope["jwtgate.token"].require(*scope.get("wanted late", ()))


def kinds(found: Call) -> list[str]:
    return [message["type"] for message in found.messages]


def test_a_websocket_with_a_good_token_is_opened(gated: Any, reader: str) -> None:
    assert kinds(websocket(gated(echo), token=reader)) == ["websocket.accept", "websocket.close"]


def test_a_websocket_gets_the_same_refusal(gated: Any) -> None:
    found = websocket(gated(echo))
    assert found.answer == BARE
    assert kinds(found) == ["websocket.http.response.start", "websocket.http.response.body"]


@pytest.mark.parametrize("extensions", [{}, None])
def test_where_the_server_cannot_answer_the_handshake_is_closed(gated: Any, extensions: Any) -> None:
    asked: list[AuthError] = []
    app = gated(echo, on_refusal=lambda error, scope: asked.append(error))
    assert websocket(app, extensions=extensions).messages == [{"type": "websocket.close", "code": 1008, "reason": ""}]
    assert asked == []


def test_an_open_websocket_is_closed_when_the_app_says_no(
    gated: Any, reader: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "jwtgate"):
        found = websocket(gated(echo), token=reader, wanted=["admin:all"])
    assert kinds(found) == ["websocket.accept", "websocket.close"]
    assert found.messages[1]["code"] == 1008
    assert [record.args[0] for record in caplog.records if record.name == "jwtgate" and record.args] == [403]


def test_a_websocket_is_closed_once(gated: Any, reader: str) -> None:
    with pytest.raises(InsufficientScope):
        websocket(gated(echo), token=reader, **{"wanted late": ["admin:all"]})


# --- what the core is told


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({}, "https://api.example:443/a%20b"),
        ({"query_string": b"x=1&y=%ff"}, "https://api.example:443/a%20b?x=1&y=%ff"),
        ({"raw_path": None}, "https://api.example:443/a%20b"),
        ({"raw_path": b"", "path": "/é?#|"}, "https://api.example:443/%C3%A9%3F%23%7C"),
        ({"server": None}, "https:///a%20b"),
        ({"server": ("/run/api.sock", None)}, "https:///a%20b"),
        ({"raw_path": b"admin/x"}, "https://api.example:443/admin/x"),
        ({"raw_path": b"*"}, "https://api.example:443/*"),
        ({"server": ("::1", 8000)}, "https://[::1]:8000/a%20b"),
        ({"headers": [(b"host", b"evil.example")]}, "https://api.example:443/a%20b"),
    ],
)
def test_the_url_is_the_one_of_the_server(changes: dict[str, Any], url: str) -> None:
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "https",
        "server": ("api.example", 443),
        "path": "/a b",
        "raw_path": b"/a%20b",
        "headers": [],
        **changes,
    }
    request = request_of(scope)
    assert (request.method, request.url) == ("POST", url)


def test_header_lines_are_read_as_they_came() -> None:
    headers = [(b"X", b"\xe9"), (b"x", b""), (b"authorization", b" Bearer a ")]
    request = request_of({"type": "websocket", "path": "/", "headers": headers})
    assert request.headers == [("X", "é"), ("x", ""), ("authorization", " Bearer a ")]
    assert request.method == "GET"


PEM = ssl.DER_cert_to_PEM_cert(proving.HOLDER.certificate)


@pytest.mark.parametrize(
    ("scope", "certificate"),
    [
        ({}, None),
        ({"extensions": None}, None),
        ({"extensions": DENIAL}, None),
        ({"extensions": {"tls": None}}, None),
        ({"extensions": {"tls": {}}}, None),
        ({"extensions": {"tls": {"client_cert_chain": None}}}, None),
        ({"extensions": {"tls": {"client_cert_chain": []}}}, None),
        ({"extensions": {"tls": {"client_cert_chain": [PEM, "of its authority"]}}}, proving.HOLDER.certificate),
        (
            {"extensions": {"tls": {"client_cert_chain": iter([PEM]), "client_cert_error": ""}}},
            proving.HOLDER.certificate,
        ),
        ({"extensions": {"tls": {"client_cert_chain": [PEM], "client_cert_error": "expired"}}}, None),
        # No certificate can be made of it; where one is needed, that is refused.
        ({"extensions": {"tls": {"client_cert_chain": ["of nobody"]}}}, b""),
    ],
)
def test_the_certificate_is_the_one_of_the_connection(scope: dict[str, Any], certificate: bytes | None) -> None:
    assert request_of({"type": "http", "path": "/", "headers": [], **scope}).client_certificate == certificate


@pytest.mark.parametrize(
    ("scope", "client"),
    [
        ({}, None),
        ({"client": None}, None),
        ({"client": ("192.0.2.7", 50000)}, "192.0.2.7"),
        ({"client": ["::1", 1]}, "::1"),
    ],
)
def test_the_client_is_the_peer_of_the_connection(scope: dict[str, Any], client: str | None) -> None:
    assert request_of({"type": "http", "path": "/", "headers": [], **scope}).client == client


# --- bound tokens

ASKING = proving.settings_for()
TOLD = [(name.encode(), value.encode()) for name, value in proving.TOLD]


def proof_of(path: str = "/messages", **changes: Any) -> list[tuple[bytes, bytes]]:
    """The header lines of a request with a good proof."""
    return [(name.lower().encode(), value.encode()) for name, value in proving.headers(path, **changes).items()]


def asking(app: App = hello, settings: ApiSettings = ASKING, store: Any = None, **options: Any) -> JwtGateMiddleware:
    return JwtGateMiddleware(app, settings, verifier=proving.async_verifier(settings, store), **options)


async def passed(message: Message) -> None:
    """A server's send."""


def test_where_nonces_are_off_nothing_is_wrapped() -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(send)

    silent = proving.settings_for(dpop_nonce_key=None)
    assert telling({}, silent, passed) is passed
    asyncio.run(Telling(app, silent)({}, None, passed))
    assert seen == [passed]
    asyncio.run(Telling(app, ASKING)({}, None, passed))
    assert seen[1] is not passed


def test_only_the_head_of_an_answer_carries_the_nonce() -> None:
    parts: list[Message] = [
        {"type": "http.response.body", "body": b"a", "more_body": True},
        {"type": "http.response.body", "body": b"b"},
        {"type": "http.response.trailers", "headers": [(b"x", b"1")]},
    ]
    start = {"type": "http.response.start", "status": 200, "trailers": True}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in ({"type": "http.response.debug", "info": {}}, start, *parts):
            await send(message)

    first, head, *others = call(asking(app), headers=proof_of()).messages
    assert first == {"type": "http.response.debug", "info": {}}
    assert head == {**start, "headers": TOLD}
    assert others == parts
    assert "headers" not in start  # it is the app's


def test_the_nonce_comes_once_whatever_the_app_says() -> None:
    own = [(b"DPoP-Nonce", b"old"), (b"X-Caf\xe9", b"\xff"), (b"Cache-Control", b"private")]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": own})
        await send({"type": "http.response.body", "body": b""})

    found = call(asking(asking(Telling(app, ASKING))), headers=proof_of())
    assert found.answer[1] == [(b"x-caf\xe9", b"\xff"), (b"cache-control", b"private"), TOLD[1]]


def test_an_answer_that_an_app_gives_to_a_handshake_carries_the_nonce() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b""})

    assert websocket(asking(app), headers=proof_of()).answer == (404, TOLD, b"")


def test_an_answer_in_other_words_carries_the_nonce_of_a_good_proof_alone() -> None:
    app = asking(requires={"/messages": "admin:all"}, on_refusal=lambda error, scope: elsewhere)
    assert call(app, headers=proof_of()).answer == (303, [(b"location", b"/login"), *TOLD], b"")
    # Whoever answers a challenge owes it its headers.
    assert call(app, headers=proof_of(nonce=None)).answer == (303, [(b"location", b"/login")], b"")


def test_a_handshake_that_cannot_be_answered_is_closed_as_ever() -> None:
    app = asking(echo, requires={"/messages": "admin:all"})
    closed = websocket(app, headers=proof_of(), extensions={}).messages
    assert closed == [{"type": "websocket.close", "code": 1008, "reason": ""}]


def test_one_request_uses_its_proof_once_however_many_gates_it_passes() -> None:
    store = proving.Recalling()
    inner = asking(hello, proving.settings_for(), store)  # equal settings
    app = asking(asking(inner, store=store), store=store)
    assert call(app, headers=proof_of()).answer == (200, TOLD, b"app-1@clients")
    assert len(store.shown) == 1


@pytest.mark.parametrize(("shared", "status"), [(False, 200), (True, 401)], ids=["a store each", "one store"])
def test_gates_of_two_settings_look_twice_and_a_store_that_they_share_takes_the_proof_once(
    shared: bool, status: int
) -> None:
    one, two = proving.Recalling(), proving.Recalling()
    inner = asking(hello, proving.settings_for(leeway=29), one if shared else two)
    assert call(asking(inner, store=one), headers=proof_of()).answer[0] == status
    assert len(one.shown + two.shown) == 2


# --- settings that could never be right


def test_the_verifier_must_have_the_same_settings(tenant: Tenant, settings: ApiSettings, verifier: Any) -> None:
    other = ApiSettings(identifier="https://other.example/", domain=tenant.domain)
    for wrong in (other, verifier), (settings, Verifier(settings)):
        with pytest.raises(SettingsError) as refused:
            JwtGateMiddleware(hello, wrong[0], verifier=wrong[1])
        assert refused.value.setting == "verifier"


@pytest.mark.parametrize(
    ("options", "setting"), [({"public": "/health"}, "public"), ({"requires": {"admin": scope("a")}}, "requires")]
)
def test_bad_paths_are_refused_at_the_start(gated: Any, options: dict[str, Any], setting: str) -> None:
    with pytest.raises(SettingsError) as refused:
        gated(**options)
    assert refused.value.setting == setting


# --- behind a real server


@contextlib.contextmanager
def served(app: Any) -> Iterator[tuple[str, int]]:
    """The app behind uvicorn, on loopback; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            until(lambda: server.started)
            yield listening.getsockname()
        finally:
            server.should_exit = True
            thread.join(timeout=20)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


def exchange(
    address: tuple[str, int], target: str, *lines: str, method: str = "GET"
) -> tuple[bytes, list[bytes], bytes]:
    """Status line, header lines and body of an answer, byte for byte."""
    sent = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: api.example", *lines, "", ""])
    with socket.create_connection(address, timeout=20) as connection, connection.makefile("rb") as answer:
        connection.sendall(sent.encode("latin-1"))
        status, *headers = iter(lambda: answer.readline().strip(), b"")
        length = next(int(line.partition(b":")[2]) for line in headers if line.lower().startswith(b"content-length:"))
        ours = [line for line in headers if not line.lower().startswith((b"date:", b"server:", b"connection:"))]
        return status, ours, b"" if method == "HEAD" else answer.read(length)


WIRE = [
    b"cache-control: no-store",
    b"content-type: application/json",
    b'www-authenticate: Bearer realm="api"',
    b"content-length: 2",
]
HANDSHAKE = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
]


@pytest.fixture
def address(gated: Any) -> Iterator[tuple[str, int]]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    with served(gated(app, public=["/static/*"])) as address:
        yield address


def test_over_the_wire_http_and_websockets_are_answered_alike(address: tuple[str, int], reader: str) -> None:
    assert exchange(address, "/messages", f"authorization: bearer {reader}")[0] == b"HTTP/1.1 200 OK"
    assert exchange(address, "/messages") == (b"HTTP/1.1 401 Unauthorized", WIRE, b"{}")
    assert exchange(address, "/messages", method="HEAD") == (b"HTTP/1.1 401 Unauthorized", WIRE, b"")
    assert exchange(address, "/messages", "Authorization: Bearer a", "Authorization: Bearer a")[0][9:12] == b"400"
    assert exchange(address, "/messages", "Authorization: Bearer \xff")[0][9:12] == b"400"
    status, headers, body = exchange(address, "/messages", *HANDSHAKE)
    assert (status[9:12], set(WIRE) - set(headers), body) == (b"401", set(), b"{}")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/static/a", b"200"),
        ("/static/a%20b", b"200"),
        ("/static/../messages", b"401"),
        ("/static/%2e%2e/messages", b"401"),
        ("/static/..%2fmessages", b"401"),
        ("/static/..;/messages", b"401"),
        ("//static/a", b"401"),
        ("/static/..\\messages", b"401"),
    ],
)
def test_over_the_wire_only_a_plain_path_is_public(address: tuple[str, int], target: str, status: bytes) -> None:
    assert exchange(address, target)[0][9:12] == status


def test_a_refusal_has_one_line_for_each_challenge() -> None:
    from jwtgate.asgi import send_refusal

    challenges = (("WWW-Authenticate", "Bearer"), ("WWW-Authenticate", "DPoP"))
    found = call(lambda scope, receive, send: send_refusal(Refusal(401, challenges, b""), scope, receive, send))
    assert found.answer[1][:2] == [(b"www-authenticate", b"Bearer"), (b"www-authenticate", b"DPoP")]
