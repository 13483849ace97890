"""The WSGI post: closed unless opened, the same answer whatever stands behind it, and nothing else in the way."""

from __future__ import annotations

import contextlib
import http.client
import io
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import flask
import httpx
import pytest

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
from jwtgate.core.errors import Refusal
from jwtgate.flask import Gate
from jwtgate.tenant import Api, Tenant
from jwtgate.wsgi import JwtGateMiddleware, request_of, send_refusal, telling
from tests import proving

IDENTIFIER = "https://messages.example/"
BASE = [("Cache-Control", "no-store"), ("Content-Type", "application/json")]
HEAD = [*BASE, ("WWW-Authenticate", 'Bearer realm="api"'), ("Content-Length", "2")]
BARE = ("401 Unauthorized", HEAD, b"{}")
TEXT = [("Content-Type", "text/plain")]


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


@pytest.fixture(scope="session")
def verifier(tenant: Tenant, settings: ApiSettings) -> Iterator[Verifier]:
    with httpx.Client(transport=tenant.transport()) as http:
        yield Verifier(settings, http=http)


@pytest.fixture
def gated(settings: ApiSettings, verifier: Verifier) -> Callable[..., JwtGateMiddleware]:
    """The middleware in front of an app, which is the one below unless given."""

    def build(app: WSGIApplication | None = None, **options: Any) -> JwtGateMiddleware:
        return JwtGateMiddleware(app or hello, settings, verifier=verifier, **options)

    return build


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answers with the caller's name, or "nobody"."""
    token = environ["jwtgate.token"]
    start_response("200 OK", [*TEXT])
    return [token.subject.encode() if token else b"nobody"]


@dataclass
class Call:
    """What a server is given by an app, in order, and the environ as the app left it.

    It keeps PEP 3333 to the letter: headers go out with the first part of the body, and not before; once they are
    out, exc_info is raised; and whoever calls twice without exc_info is told.
    """

    environ: WSGIEnvironment
    head: tuple[str, list[tuple[str, str]]] | None = None
    parts: list[bytes] = field(default_factory=list)
    out: bool = False
    given: Iterable[bytes] = ()
    exc_info: Any = None

    @property
    def answer(self) -> tuple[str, list[tuple[str, str]], bytes]:
        assert self.head is not None
        return *self.head, b"".join(self.parts)

    @property
    def status(self) -> int:
        return int(self.answer[0][:3])

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        if self.out and exc_info:
            raise exc_info[1]
        if self.head and not exc_info:
            raise AssertionError("started twice")
        self.head, self.exc_info = (status, headers), exc_info
        return self.send

    def send(self, part: bytes) -> None:
        assert self.head is not None
        self.out = True
        self.parts.append(part)


def call(app: WSGIApplication, path: str = "/messages", token: str | None = None, **changes: Any) -> Call:
    """Call an app once, as a server does, which then reads the whole answer and closes it."""
    found = Call(environ_of(path, token, **changes))
    found.given = app(found.environ, found.start_response)
    try:
        for part in found.given:
            found.send(part)
    finally:
        if hasattr(found.given, "close"):
            found.given.close()
    return found


def environ_of(path: str = "/messages", token: str | None = None, **changes: Any) -> WSGIEnvironment:
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "RAW_URI": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "api.example",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **({"HTTP_AUTHORIZATION": f"Bearer {token}"} if token else {}),
        **changes,
    }
    return {name: value for name, value in environ.items() if value is not None}


# --- who is let in


def test_a_good_token_reaches_the_app(gated: Any, reader: str) -> None:
    status, _, body = call(gated(), token=reader).answer
    assert (status, body[-8:]) == ("200 OK", b"@clients")


def test_no_token_is_asked_for_one(gated: Any) -> None:
    assert call(gated()).answer == BARE


def test_the_app_never_sees_a_request_that_is_refused(gated: Any) -> None:
    reached: list[WSGIEnvironment] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        reached.append(environ)
        return []

    call(gated(app), token="eyJ.eyJ.x")
    assert reached == []


def test_a_bad_token_is_named_in_the_challenge(gated: Any, reader: str) -> None:
    status, headers, body = call(gated(), token=reader[:-8] + "AAAAAAAA").answer
    sentence = "The signature of the access token is not valid."
    challenge = f'Bearer realm="api", error="invalid_token", error_description="{sentence}"'
    assert (status, headers[2]) == ("401 Unauthorized", ("WWW-Authenticate", challenge))
    assert body == b'{"error":"invalid_token","error_description":"%b"}' % sentence.encode()
    assert headers[3] == ("Content-Length", str(len(body)))


def test_head_is_refused_with_the_same_lines_and_no_body(gated: Any) -> None:
    assert call(gated(), REQUEST_METHOD="HEAD").answer == (*BARE[:2], b"")


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("Bearer {token}", 200),
        (" \tBEARER   {token}\t ", 200),
        ("Bearer {token},Bearer {token}", 400),
        ("Bearer {token}, Bearer {token}", 400),
        ("Bearer\t{token}", 400),
        ("Bearer", 400),
        ("Bearer \xc3\xa9", 400),
        ("\xff\xfe", 401),
        ("", 401),
        ("Basic YTpi", 401),
    ],
)
def test_the_header_reaches_the_core_as_it_is(gated: Any, reader: str, value: str, status: int) -> None:
    assert call(gated(), HTTP_AUTHORIZATION=value.format(token=reader)).status == status


def test_keys_that_cannot_be_had_are_no_fault_of_the_caller(settings: ApiSettings, reader: str) -> None:
    with httpx.Client(transport=Tenant("https://elsewhere.test/").transport()) as http:
        found = call(JwtGateMiddleware(hello, settings, verifier=Verifier(settings, http=http)), token=reader)
    assert (found.status, found.answer[1][2][0]) == (503, "Retry-After")


def test_one_request_is_authenticated_once(settings: ApiSettings, gated: Any, reader: str) -> None:
    with httpx.Client(transport=Tenant("https://elsewhere.test/").transport()) as http:
        inner = JwtGateMiddleware(hello, settings, verifier=Verifier(settings, http=http))
        assert call(inner, token=reader).status == 503
        assert call(gated(inner), token=reader).status == 200


def test_a_flask_gate_behind_it_takes_its_word(settings: ApiSettings, gated: Any, reader: str) -> None:
    app = flask.Flask(__name__)
    with httpx.Client(transport=Tenant("https://elsewhere.test/").transport()) as http:
        gate = Gate(settings, verifier=Verifier(settings, http=http))
        app.add_url_rule("/messages", "messages", gate.requires("read:messages")(lambda: gate.token.subject))
        assert call(app, token=reader).status == 503
        assert call(gated(app), token=reader).status == 200


def test_a_gate_with_other_settings_looks_for_itself(tenant: Tenant, gated: Any, reader: str) -> None:
    other = ApiSettings(identifier="https://other.example/", domain=tenant.domain)
    with httpx.Client(transport=tenant.transport()) as http:
        inner = JwtGateMiddleware(hello, other, verifier=Verifier(other, http=http))
        assert call(gated(inner), token=reader).status == 401


# --- paths


@pytest.mark.parametrize("path", ["/health", "/static/a.css"])
def test_a_public_path_needs_no_token(gated: Any, path: str) -> None:
    assert call(gated(public=["/health", "/static/*"]), path).parts == [b"nobody"]


def test_a_token_on_a_public_path_is_not_looked_at(gated: Any, reader: str) -> None:
    app = gated(public=["/health"])
    assert call(app, "/health", token=reader).parts == [b"nobody"]
    assert call(app, "/health", token="garbage").parts == [b"nobody"]


def test_a_public_path_keeps_what_an_outer_gate_found_out(gated: Any, reader: str) -> None:
    found = call(gated(gated(public=["/health"])), "/health", token=reader)
    assert found.parts[0].endswith(b"@clients")


@pytest.mark.parametrize("path", ["/health/", "//health", "/static/../messages", "/static/..;/messages", "/static"])
def test_what_is_not_quite_public_is_closed(gated: Any, path: str) -> None:
    assert call(gated(public=["/health", "/static/*"]), path).answer == BARE


@pytest.mark.parametrize("name", ["RAW_URI", "REQUEST_URI"])
def test_an_encoded_slash_is_not_public(gated: Any, name: str) -> None:
    app = gated(public=["/static/*"])
    answered = {"/static/a/b": 200, "/static/a%2fb": 401, "/static/a%2fb?x": 401, "/static/a/b?%2f": 200}
    for sent, status in answered.items():
        assert call(app, "/static/a/b", **{"RAW_URI": None, name: sent}).status == status


def test_a_server_need_not_tell_what_was_sent(gated: Any) -> None:
    assert call(gated(public=["/health"]), "/health", RAW_URI=None).status == 200


def test_a_whole_url_may_be_asked_for(gated: Any) -> None:
    app = gated(public=["/health"])
    assert call(app, "/health", RAW_URI="http://api.example/health").status == 200
    assert call(app, "/health", RAW_URI="http://api.example//health").status == 401


def test_paths_are_read_as_utf_8(gated: Any) -> None:
    app = gated(public=["/caf\xe9"])
    assert call(app, "/caf\xc3\xa9", RAW_URI="/caf%C3%A9").status == 200
    assert call(app, "/caf\xe9", RAW_URI="/caf%E9").status == 401


@pytest.mark.parametrize("changes", [{}, {"RAW_URI": "/static/\u2603"}, {"RAW_URI": "/static/\u2603?%2f"}])
def test_what_no_server_may_hand_over_is_closed(gated: Any, changes: dict[str, str]) -> None:
    assert call(gated(public=["/static/*"]), "/static/\u2603", **changes).answer == BARE


def test_paths_are_compared_below_the_script_name(gated: Any) -> None:
    app = gated(public=["/health"])
    assert call(app, "/health", SCRIPT_NAME="/api", RAW_URI="/api/health").status == 200
    assert call(app, "/api/health", RAW_URI="/api/health").status == 401
    # Mounted at /api, and asked for /api/api/health: the app routes on /api/health.
    assert call(app, "/api/health", SCRIPT_NAME="/api", RAW_URI="/api/api/health").status == 401


def test_a_path_may_ask_for_more(gated: Any, reader: str) -> None:
    app = gated(requires={"/admin/*": permission("admin:all"), "/messages": "read:messages"})
    assert call(app, "/messages", token=reader).status == 200
    status, headers, _ = call(app, "/admin/users", token=reader).answer
    assert (status, headers[2][1].rpartition(", ")[2]) == ("403 Forbidden", 'scope="admin:all"')


@pytest.mark.parametrize(
    ("script_name", "path", "sent"),
    [
        ("", "/messages/..;/admin", None),
        ("", "//admin", None),
        ("", "/admin/", None),
        ("", "/x", "/admin%2fx"),
        ("/api", "/admin", "/api/admin"),
        ("/api", "admin", "/apiadmin"),  # gunicorn cuts SCRIPT_NAME off wherever it ends
        ("/api/", "admin", "/api/admin"),
        ("/api", "admin", None),
    ],
)
def test_no_spelling_of_a_path_loses_its_requirement(
    gated: Any, reader: str, script_name: str, path: str, sent: str | None
) -> None:
    app = gated(public=["/apiadmin", "/messages/*"], requires={"/admin/*": permission("admin:all")})
    assert call(app, path, token=reader, SCRIPT_NAME=script_name, RAW_URI=sent).status == 403


def test_a_preflight_passes_and_what_only_looks_like_one_does_not(gated: Any) -> None:
    asked = {"HTTP_ORIGIN": "https://app.example", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "GET"}
    assert call(gated(), REQUEST_METHOD="OPTIONS", **asked).parts == [b"nobody"]
    assert call(gated(), REQUEST_METHOD="OPTIONS", HTTP_ORIGIN="https://app.example").answer == BARE
    assert call(gated(), **asked).answer == BARE


# --- an app that says no itself


def asking(*names: str, later: str | None = None) -> dict[str, Any]:
    """What the apps below require of their token: at the start, and when a part is out."""
    return {"test.wanted": names, "test.later": [later] if later else []}


def lazy(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """A generator: nothing of it runs before its answer is read."""
    environ["jwtgate.token"].require(*environ["test.wanted"])
    start_response("200 OK", [*TEXT])
    yield b"at "
    environ["jwtgate.token"].require(*environ["test.later"])
    yield b"last"


class Opened:
    """An answer that is read by its own `__iter__`, and must be closed."""

    def __init__(self, environ: WSGIEnvironment, start_response: StartResponse) -> None:
        self.environ = environ
        start_response("200 OK", [*TEXT, ("X-Old", "1")])

    def __iter__(self) -> Iterator[bytes]:
        self.environ["jwtgate.token"].require(*self.environ["test.wanted"])
        return iter([b"at ", b"last"])

    def close(self) -> None:
        self.environ["test.closed"] = True


def begun(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [*TEXT, ("X-Old", "1")])
    environ["jwtgate.token"].require(*environ["test.wanted"])
    return [b"at ", b"last"]


@pytest.mark.parametrize("app", [lazy, Opened, begun])
def test_an_app_may_require_more_of_its_token(gated: Any, reader: str, app: Any) -> None:
    more = asking("admin:all")
    status, headers, body = call(gated(app), token=reader, **more).answer
    assert (status, headers[2][1].rpartition(", ")[2]) == ("403 Forbidden", 'scope="admin:all"')
    assert [name for name, _ in headers] == ["Cache-Control", "Content-Type", "WWW-Authenticate", "Content-Length"]
    assert body.startswith(b'{"error":"insufficient_scope"')
    found = call(gated(app), token=reader, **asking())
    assert (found.answer[0], found.parts) == ("200 OK", [b"at ", b"last"])


def test_an_error_that_an_app_makes_itself_has_its_challenge_too(gated: Any, reader: str) -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        raise MissingCredentials

    assert call(gated(app), token=reader).answer == BARE


def test_once_a_part_is_out_it_is_too_late(gated: Any, reader: str) -> None:
    with pytest.raises(InsufficientScope):
        call(gated(lazy), token=reader, **asking(later="admin:all"))


def test_what_is_written_is_out(gated: Any, reader: str) -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [*TEXT])
        write(b"one ")
        write(b"two ")
        environ["jwtgate.token"].require(*environ["test.wanted"])
        return [b"three"]

    assert call(gated(app), token=reader, **asking()).answer == ("200 OK", TEXT, b"one two three")
    with pytest.raises(InsufficientScope):
        call(gated(app), token=reader, **asking("admin:all"))


def test_other_errors_are_not_ours(gated: Any, reader: str) -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(gated(app), token=reader)


def test_each_refusal_is_one_line_in_the_log(gated: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "jwtgate"):
        call(gated())
        call(gated(gated()))
    assert [record.args[0] for record in caplog.records if isinstance(record.args, tuple)] == [401, 401]


# --- nothing else in the way


def test_an_answer_that_is_complete_is_handed_on_as_it_is(gated: Any, reader: str) -> None:
    answers: list[Iterable[bytes]] = [[b"list"], (b"tuple",), FileWrapper(io.BytesIO(b"file"))]
    for answer in answers:
        found = call(gated(giving(answer)), token=reader, **{"wsgi.file_wrapper": FileWrapper})
        assert found.given is answer
        assert found.answer[0] == "200 OK"


@pytest.mark.parametrize("wrapper", [None, FileWrapper.__init__])
def test_a_file_wrapper_need_not_be_a_class(gated: Any, reader: str, wrapper: Any) -> None:
    file = io.BytesIO(b"file")
    found = call(gated(giving(FileWrapper(file))), token=reader, **{"wsgi.file_wrapper": wrapper})
    assert (found.parts, file.closed) == ([b"file"], True)


def giving(answer: Iterable[bytes]) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [*TEXT])
        return answer

    return app


@pytest.mark.parametrize("wanted", [[], ["admin:all"]])
def test_what_an_app_has_open_is_closed(gated: Any, reader: str, wanted: list[str]) -> None:
    assert call(gated(Opened), token=reader, **asking(*wanted)).environ["test.closed"] is True


def test_it_is_closed_even_if_it_was_never_read(gated: Any, reader: str) -> None:
    found = Call(environ_of(token=reader, **asking()))
    gated(Opened)(found.environ, found.start_response).close()
    assert found.environ["test.closed"] is True


def test_each_part_goes_out_before_the_next_is_made(gated: Any, reader: str) -> None:
    found = Call(environ_of(token=reader, **asking(later="admin:all")))
    parts = iter(gated(lazy)(found.environ, found.start_response))
    assert (next(parts), found.head) == (b"at ", ("200 OK", TEXT))


def test_an_answer_without_a_part_still_has_a_head(gated: Any, reader: str) -> None:
    assert call(gated(giving(iter(()))), token=reader).answer == ("200 OK", TEXT, b"")


def test_an_app_may_change_its_mind_until_a_part_is_out(gated: Any, reader: str) -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        yield from environ["test.early"]
        try:
            raise ZeroDivisionError
        except ZeroDivisionError as fault:
            start_response("500 Internal Server Error", [], (ZeroDivisionError, fault, fault.__traceback__))
        yield b"sorry"

    found = call(gated(app), token=reader, **{"test.early": []})
    assert found.answer == ("500 Internal Server Error", [], b"sorry")
    assert found.exc_info[0] is ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        call(gated(app), token=reader, **{"test.early": [b"part"]})


@pytest.mark.parametrize("part", [b"", b"out"])
def test_an_app_that_starts_twice_is_told_by_its_server(gated: Any, reader: str, part: bytes) -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [*TEXT])
        if part:
            write(part)
        start_response("200 OK", [*TEXT])
        return []

    with pytest.raises(AssertionError, match="started twice"):
        call(gated(app), token=reader)


def test_an_app_that_never_starts_is_left_to_its_server(gated: Any, reader: str) -> None:
    found = call(gated(lambda environ, start_response: []), token=reader)
    assert (found.head, found.parts) == (None, [])


@pytest.mark.parametrize("token", ["", "good"])
@pytest.mark.parametrize("app", [hello, lazy, Opened, begun])
def test_the_standard_librarys_checker_has_nothing_to_say(gated: Any, reader: str, token: str, app: Any) -> None:
    checked = validator(gated(validator(app)))
    environ = environ_of(token=reader if token else None, **asking())
    output = io.BytesIO()
    SimpleHandler(environ["wsgi.input"], output, environ["wsgi.errors"], environ).run(checked)
    expected = b"HTTP/1.0 200 OK\r\n" if token else b"HTTP/1.0 401 Unauthorized\r\n"
    assert (output.getvalue()[: len(expected)], environ["wsgi.errors"].getvalue()) == (expected, "")


# --- another answer


def elsewhere(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    try:
        start_response("303 See Other", [("Location", "/login")])
        yield b"elsewhere"
    finally:
        environ["test.elsewhere"] = "closed"


@pytest.mark.parametrize("app", [hello, lazy])
def test_on_refusal_may_answer_instead(gated: Any, reader: str, app: Any) -> None:
    asked: list[tuple[type[AuthError], str]] = []

    def on_refusal(error: AuthError, environ: WSGIEnvironment) -> WSGIApplication:
        asked.append((type(error), environ["PATH_INFO"]))
        return elsewhere

    found = [
        call(gated(app, on_refusal=on_refusal)),
        call(gated(lazy, on_refusal=on_refusal), token=reader, **asking("admin:all")),
    ]
    for one in found:
        assert one.answer == ("303 See Other", [("Location", "/login")], b"elsewhere")
        assert one.environ["test.elsewhere"] == "closed"
    assert asked == [(MissingCredentials, "/messages"), (InsufficientScope, "/messages")]


def test_another_answer_is_closed_too_when_it_was_not_read_to_its_end(gated: Any, reader: str) -> None:
    found = Call(environ_of(token=reader, **asking("admin:all")))
    answer = gated(lazy, on_refusal=lambda error, environ: elsewhere)(found.environ, found.start_response)
    parts = iter(answer)
    assert next(parts) == b"elsewhere"
    answer.close()
    assert found.environ["test.elsewhere"] == "closed"
    assert next(parts, None) is None


def test_on_refusal_may_leave_it_at_the_standard_answer(gated: Any) -> None:
    assert call(gated(on_refusal=lambda error, environ: None)).answer == BARE


# --- what the core is told


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({}, "https://api.example:443/a%20b?x=1&y=%ff"),
        ({"RAW_URI": None, "REQUEST_URI": "/sent?x"}, "https://api.example:443/sent?x"),
        ({"RAW_URI": "http://evil.example/sent"}, "https://api.example:443/sent"),
        ({"RAW_URI": "admin/x"}, "https://api.example:443/admin/x"),
        ({"RAW_URI": "/fetch/https://other.example/x"}, "https://api.example:443/fetch/https://other.example/x"),
        ({"RAW_URI": None}, "https://api.example:443/under/a%20b%E9?x=1&y=%ff"),
        ({"RAW_URI": None, "QUERY_STRING": ""}, "https://api.example:443/under/a%20b%E9"),
        ({"RAW_URI": None, "QUERY_STRING": None}, "https://api.example:443/under/a%20b%E9"),
        ({"HTTP_HOST": "evil.example"}, "https://api.example:443/a%20b?x=1&y=%ff"),
        ({"REMOTE_ADDR": "192.0.2.7"}, "https://api.example:443/a%20b?x=1&y=%ff"),
        ({"SERVER_NAME": "::1", "SERVER_PORT": "8000"}, "https://[::1]:8000/a%20b?x=1&y=%ff"),
        # gunicorn on a Unix socket: what stands there is the Host header's.
        ({"REMOTE_ADDR": "", "SERVER_NAME": "evil.example"}, "https://:443/a%20b?x=1&y=%ff"),
        ({"RAW_URI": None, "PATH_INFO": "/@a:b!~"}, "https://api.example:443/under/@a:b!~?x=1&y=%ff"),
    ],
)
def test_the_url_is_the_one_of_the_server(changes: dict[str, Any], url: str) -> None:
    sent = {"RAW_URI": "/a%20b?x=1&y=%ff", "SCRIPT_NAME": "/under", "QUERY_STRING": "x=1&y=%ff"}
    request = request_of(environ_of("/a b\xe9", REQUEST_METHOD="patch", **sent | changes))
    assert (request.method, request.url) == ("patch", url)


def test_header_lines_are_read_as_they_came() -> None:
    headers = {"HTTP_X_ODD": "caf\xe9", "HTTP_DPOP": "", "CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "0"}
    request = request_of(environ_of(token="a", **headers))
    assert sorted(request.headers) == [
        ("Authorization", "Bearer a"),
        ("Content-Length", "0"),
        ("Content-Type", "text/plain"),
        ("Dpop", ""),
        ("X-Odd", "caf\xe9"),
    ]


def test_a_refusal_has_one_line_for_each_challenge() -> None:
    challenges = (("WWW-Authenticate", "Bearer"), ("WWW-Authenticate", "DPoP"))
    found = call(lambda environ, start_response: send_refusal(Refusal(499, challenges, b""), environ, start_response))
    assert found.answer == ("499 Refused", [*challenges, ("Content-Length", "0")], b"")


CERTIFICATE = proving.HOLDER.certificate


@pytest.mark.parametrize(
    ("pem", "certificate"),
    [
        (None, None),
        ("", None),
        (ssl.DER_cert_to_PEM_cert(CERTIFICATE), CERTIFICATE),
        ("of nobody", b""),  # no certificate can be made of it; where one is needed, that is refused
    ],
)
def test_some_servers_tell_the_certificate_in_pem(pem: str | None, certificate: bytes | None) -> None:
    assert request_of(environ_of(SSL_CLIENT_CERT=pem)).client_certificate == certificate


def test_no_header_can_be_taken_for_a_certificate() -> None:
    headers = {"HTTP_SSL_CLIENT_CERT": ssl.DER_cert_to_PEM_cert(CERTIFICATE), "HTTP_GUNICORN_SOCKET": "x"}
    assert request_of(environ_of(**headers)).client_certificate is None


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """A file of the holder's private key and certificate."""
    path = tmp_path / "holder.pem"
    path.write_text(proving.HOLDER.pem())
    return path


@contextlib.contextmanager
def connected(credentials: Path, *, shown: bool) -> Iterator[ssl.SSLSocket]:
    """The server's end of a TLS connection, whose client has shown a certificate or none."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(credentials)
    server.load_verify_locations(credentials)
    server.verify_mode, client.check_hostname, client.verify_mode = ssl.CERT_OPTIONAL, False, ssl.CERT_NONE
    if shown:
        client.load_cert_chain(credentials)
    ours, theirs = socket.socketpair()
    with ThreadPoolExecutor(1) as pool:
        wrapping = pool.submit(client.wrap_socket, theirs)
        with server.wrap_socket(ours, server_side=True) as connection, wrapping.result(20):
            yield connection


@pytest.mark.parametrize(("shown", "certificate"), [(True, CERTIFICATE), (False, None)])
def test_gunicorn_hands_over_the_connection_which_has_the_certificate(
    credentials: Path, shown: bool, certificate: bytes | None
) -> None:
    with connected(credentials, shown=shown) as connection:
        # What a header may look like is then not looked at.
        environ = environ_of(SSL_CLIENT_CERT="of nobody", **{"gunicorn.socket": connection})
        assert request_of(environ).client_certificate == certificate


def test_a_connection_without_a_certificate_to_ask_for_has_none(credentials: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(credentials)
    ours, theirs = socket.socketpair()
    with theirs, context.wrap_socket(ours, server_side=True, do_handshake_on_connect=False) as connection:
        early = environ_of(**{"gunicorn.socket": connection})
        assert request_of(early).client_certificate is None
    with socket.socket() as plain:
        assert request_of(environ_of(**{"gunicorn.socket": plain})).client_certificate is None
    with context.wrap_socket(socket.socket(), server_side=True, do_handshake_on_connect=False) as gone:
        assert request_of(environ_of(**{"gunicorn.socket": gone})).client_certificate is None


@pytest.mark.parametrize(
    ("changes", "client"),
    [
        ({}, None),
        ({"REMOTE_ADDR": ""}, None),
        ({"REMOTE_ADDR": "192.0.2.7"}, "192.0.2.7"),
        ({"REMOTE_ADDR": "192.0.2.7", "werkzeug.proxy_fix.orig": {"REMOTE_ADDR": "10.0.0.1"}}, "10.0.0.1"),
        ({"REMOTE_ADDR": "192.0.2.7", "werkzeug.proxy_fix.orig": {"REMOTE_ADDR": None}}, None),
    ],
)
def test_the_client_is_the_peer_of_the_connection(changes: dict[str, Any], client: str | None) -> None:
    assert request_of(environ_of(**changes)).client == client


# --- bound tokens

ASKING = proving.settings_for()
TOLD = [("Cache-Control", "no-store"), ("DPoP-Nonce", proving.NONCE)]


def proof_of(**changes: Any) -> dict[str, str]:
    """What stands in the environ of a request with a good proof."""
    lines = proving.headers("/messages", **changes)
    return {"HTTP_AUTHORIZATION": lines["Authorization"], "HTTP_DPOP": lines["DPoP"]}


def guarded(app: Any = hello, settings: ApiSettings = ASKING, store: Any = None, **options: Any) -> JwtGateMiddleware:
    return JwtGateMiddleware(app, settings, verifier=proving.verifier(settings, store), **options)


def test_where_nonces_are_off_nothing_is_wrapped() -> None:
    silent = proving.settings_for(dpop_nonce_key=None)
    start = Call({}).start_response
    assert telling({}, silent, start) == start
    assert telling({}, ASKING, start) != start


@pytest.mark.parametrize("app", [hello, lazy, Opened, begun])
def test_whichever_way_an_app_answers_the_nonce_comes_once(app: Any) -> None:
    found = call(guarded(guarded(app)), **proof_of(), **asking())
    assert found.status == 200
    assert found.answer[1][-2:] == TOLD
    assert [name for name, _ in found.answer[1]].count("DPoP-Nonce") == 1


def test_what_is_written_goes_out_after_the_nonce() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [*TEXT])(b"one ")
        return [b"two"]

    assert call(guarded(app), **proof_of()).answer == ("200 OK", [*TEXT, *TOLD], b"one two")


def test_an_app_that_changes_its_mind_tells_the_nonce_all_the_same() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [*TEXT])
        fault = ZeroDivisionError()
        start_response("500 Sorry", [("dpop-nonce", "old"), ("CACHE-CONTROL", "private")], (type(fault), fault, None))
        return [b"sorry"]

    found = call(guarded(app), **proof_of())
    assert found.answer == ("500 Sorry", [("CACHE-CONTROL", "private"), TOLD[1]], b"sorry")
    assert found.exc_info[0] is ZeroDivisionError


def test_the_headers_of_the_app_stay_its_own() -> None:
    own = [*TEXT]

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", own)
        return [b""]

    assert call(guarded(app), **proof_of()).answer[1] == [*TEXT, *TOLD]
    assert own == TEXT


@pytest.mark.parametrize("app", [lazy, Opened, begun])
def test_an_app_that_says_no_tells_the_nonce_too(app: Any) -> None:
    found = call(guarded(app), **proof_of(), **asking("admin:all"))
    assert (found.status, [line for line in found.answer[1] if line in TOLD]) == (403, TOLD)


def test_an_answer_in_other_words_carries_the_nonce_of_a_good_proof_alone() -> None:
    app = guarded(requires={"/messages": "admin:all"}, on_refusal=lambda error, environ: elsewhere)
    assert call(app, **proof_of()).answer[1] == [("Location", "/login"), *TOLD]
    # Whoever answers a challenge owes it its headers.
    assert call(app, **proof_of(nonce=None)).answer[1] == [("Location", "/login")]


def test_one_request_uses_its_proof_once_however_many_gates_it_passes() -> None:
    store = proving.Recalling()
    app = flask.Flask(__name__)
    gate = Gate(proving.settings_for(), app, verifier=proving.verifier(ASKING, store))
    gate.protect(app)
    app.add_url_rule("/messages", "messages", gate.requires("read:messages")(lambda: gate.token.subject))
    found = call(guarded(guarded(app, store=store), store=store), **proof_of())
    assert (found.status, found.parts) == (200, [b"app-1@clients"])
    assert [line for line in found.answer[1] if line[0] == "DPoP-Nonce"] == TOLD[1:]
    assert len(store.shown) == 1


@pytest.mark.parametrize(("shared", "status"), [(False, 200), (True, 401)], ids=["a store each", "one store"])
def test_gates_of_two_settings_look_twice_and_a_store_that_they_share_takes_the_proof_once(
    shared: bool, status: int
) -> None:
    one, two = proving.Recalling(), proving.Recalling()
    inner = guarded(hello, proving.settings_for(leeway=29), one if shared else two)
    assert call(guarded(inner, store=one), **proof_of()).status == status
    assert len(one.shown + two.shown) == 2


# --- settings that could never be right


def test_the_verifier_must_have_the_same_settings(tenant: Tenant, settings: ApiSettings, verifier: Verifier) -> None:
    other = ApiSettings(identifier="https://other.example/", domain=tenant.domain)
    wrong: list[tuple[ApiSettings, Any]] = [(other, verifier), (settings, AsyncVerifier(settings))]
    for given, its_verifier in wrong:
        with pytest.raises(SettingsError) as refused:
            JwtGateMiddleware(hello, given, verifier=its_verifier)
        assert refused.value.setting == "verifier"


@pytest.mark.parametrize(
    ("options", "setting"), [({"public": "/health"}, "public"), ({"requires": {"admin": scope("a")}}, "requires")]
)
def test_bad_paths_are_refused_at_the_start(gated: Any, options: dict[str, Any], setting: str) -> None:
    with pytest.raises(SettingsError) as refused:
        gated(**options)
    assert refused.value.setting == setting


# --- behind a real server, the standard library's, which tells nothing of what was sent


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Not into the test's own output."""


@contextlib.contextmanager
def served(app: WSGIApplication) -> Iterator[int]:
    """The app behind wsgiref, on loopback; gives its port."""
    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(timeout=20)


def exchange(port: int, target: str, *lines: str, method: str = "GET") -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, header lines and body of an answer, to a request with just these header lines."""
    sent = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: api.example", *lines, "", ""])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(sent.encode("latin-1"))
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        ours = [line for line in answer.getheaders() if line[0] not in ("Date", "Server")]
        return answer.status, ours, answer.read()


@pytest.fixture
def port(gated: Any) -> Iterator[int]:
    with served(gated(hello, public=["/static/*"])) as port:
        yield port


def test_over_the_wire_all_are_answered_alike(port: int, reader: str) -> None:
    assert exchange(port, "/messages", f"authorization: bearer {reader}")[0] == 200
    assert exchange(port, "/messages") == (401, HEAD, b"{}")
    assert exchange(port, "/messages", method="HEAD") == (401, HEAD, b"")
    assert exchange(port, "/messages", "Authorization: Bearer a", "Authorization: Bearer a")[0] == 400
    assert exchange(port, "/messages", "Authorization: Bearer \xff")[0] == 400


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/static/a", 200),
        ("/static/a%20b", 200),
        ("/static/../messages", 401),
        ("/static/%2e%2e/messages", 401),
        ("/static/..%2fmessages", 401),
        ("/static/..;/messages", 401),
        ("/static/..\\messages", 401),
        ("/static/%ff", 200),
    ],
)
def test_over_the_wire_only_a_plain_path_is_public(port: int, target: str, status: int) -> None:
    assert exchange(port, target)[0] == status
