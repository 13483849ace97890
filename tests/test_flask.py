"""The Flask post: who is let in to a view, what is answered otherwise, and what stays as Flask's users know it."""

from __future__ import annotations

import functools
import inspect
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import flask
import httpx
import pytest
from flask import Blueprint, Flask
from flask.views import MethodView, View
from werkzeug.test import TestResponse

from jwtgate import (
    AccessToken,
    ApiSettings,
    AsyncVerifier,
    AuthError,
    InsufficientScope,
    MissingCredentials,
    Request,
    SettingsError,
    Verifier,
    any_of,
    claim,
    scope,
)
from jwtgate.core.errors import Refusal
from jwtgate.flask import Gate, NoToken
from jwtgate.tenant import Api, Tenant
from tests import proving

IDENTIFIER = "https://messages.example/"
BARE = [
    ("Cache-Control", "no-store"),
    ("Content-Type", "application/json"),
    ("WWW-Authenticate", 'Bearer realm="api"'),
]


@pytest.fixture(scope="session")
def tenant() -> Tenant:
    return Tenant()


@pytest.fixture(scope="session")
def api(tenant: Tenant) -> Api:
    return tenant.register_api(IDENTIFIER, permissions=["read:messages", "write:messages"])


@pytest.fixture(scope="session")
def reader(tenant: Tenant, api: Api) -> dict[str, str]:
    """The header of a machine that may read messages."""
    application = tenant.create_application("Reader")
    tenant.authorize(application, api, ["read:messages"])
    return bearer(tenant.client_credentials(application, api).access_token)


@pytest.fixture(scope="session")
def nobody(tenant: Tenant, api: Api) -> dict[str, str]:
    """The header of a machine with a valid token and no permission."""
    return bearer(tenant.client_credentials(api.test_application, api).access_token)


@pytest.fixture(scope="session")
def settings(tenant: Tenant, api: Api) -> ApiSettings:
    return ApiSettings(identifier=IDENTIFIER, domain=tenant.domain)


@pytest.fixture(scope="session")
def verifier(tenant: Tenant, settings: ApiSettings) -> Iterator[Verifier]:
    with httpx.Client(transport=tenant.transport()) as http:
        yield Verifier(settings, http=http)


@pytest.fixture
def gate(settings: ApiSettings, verifier: Verifier) -> Gate:
    return Gate(settings, verifier=verifier)


@pytest.fixture
def app() -> Flask:
    return Flask(__name__)


@pytest.fixture
def get(app: Flask) -> Callable[..., TestResponse]:
    return app.test_client().get


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def lines(response: TestResponse) -> list[tuple[str, str]]:
    """The header lines of an answer, without those that any answer has."""
    return [(name, value) for name, value in response.headers if name != "Content-Length"]


def answer(response: TestResponse) -> tuple[int, list[tuple[str, str]], bytes]:
    return response.status_code, lines(response), response.data


# --- one view -----------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(app: Flask, gate: Gate) -> Flask:
    """The gate is not installed into this app: the decorator alone answers."""

    @app.get("/messages/<name>")
    @gate.requires("read:messages")
    def messages(name: str) -> dict[str, str]:
        return {"name": name, "caller": gate.token.subject}

    return app


def test_a_token_with_the_permission_reaches_the_view(guarded: Flask, get: Any, reader: dict[str, str]) -> None:
    response = get("/messages/first", headers=reader)
    assert response.status_code == 200
    assert response.json["name"] == "first"
    assert response.json["caller"].endswith("@clients")


def test_no_token_is_asked_for_one(guarded: Flask, get: Any) -> None:
    assert answer(get("/messages/first")) == (401, BARE, b"{}")


def test_a_token_without_the_permission_is_told_which(guarded: Flask, get: Any, nobody: dict[str, str]) -> None:
    sentence = "The access token does not allow this request."
    challenge = f'Bearer realm="api", error="insufficient_scope", error_description="{sentence}", scope="read:messages"'
    body = b'{"error":"insufficient_scope","error_description":"%b"}' % sentence.encode()
    expected = (403, [*BARE[:2], ("WWW-Authenticate", challenge)], body)
    assert answer(get("/messages/first", headers=nobody)) == expected


HEADERS = {
    "no scheme": ("x", 401),
    "another scheme": ("Basic dXNlcjpwYXNz", 401),
    "an empty value": ("", 401),
    "an empty token": ("Bearer ", 400),
    "the scheme alone": ("Bearer", 400),
    "a tab after the scheme": ("Bearer\t{token}", 400),
    "two tokens": ("Bearer {token} {token}", 400),
    "two lines, joined": ("Bearer {token},Bearer {token}", 400),
    "two lines, joined with a space": ("Bearer {token}, Bearer {token}", 400),
    "non-ASCII text": ("Bearer caf\xe9", 400),
    "a line break": ("Bearer\n {token}", 400),
    "an opaque token": ("Bearer opaque", 401),
    "no signature": ("Bearer {token}.", 401),
    "a changed token": ("Bearer A{token}", 401),
    "lower case": ("bearer {token}", 200),
    "white space around": (" \tBEARER   {token}\t ", 200),
}


@pytest.mark.parametrize(("value", "status"), HEADERS.values(), ids=HEADERS)
def test_every_header_is_answered_as_the_bare_verifier_says(
    guarded: Flask, get: Any, verifier: Verifier, reader: dict[str, str], value: str, status: int
) -> None:
    value = value.format(token=reader["Authorization"].removeprefix("Bearer "))
    response = get("/messages/x", environ_overrides={"HTTP_AUTHORIZATION": value})
    assert response.status_code == status
    outcome = verifier.outcome(Request("GET", "http://localhost/messages/x", [("authorization", value)]))
    if isinstance(outcome, AuthError):
        assert outcome.refusal is not None
        assert answer(response) == (outcome.status, list(outcome.refusal.headers), outcome.refusal.body)


def test_two_lines_reach_the_core_whichever_way_they_come(guarded: Flask, get: Any, reader: dict[str, str]) -> None:
    line = ("Authorization", reader["Authorization"])
    assert get("/messages/x", headers=[line, line]).status_code == 400


def test_head_is_refused_with_the_same_lines_and_no_body(guarded: Flask) -> None:
    response = guarded.test_client().head("/messages/x")
    assert answer(response) == (401, BARE, b"")
    assert response.headers["Content-Length"] == "2"


def test_keys_that_cannot_be_had_are_no_fault_of_the_caller(
    app: Flask, get: Any, settings: ApiSettings, reader: dict[str, str]
) -> None:
    with httpx.Client(transport=Tenant("https://elsewhere.test/").transport()) as http:
        gate = Gate(settings, verifier=Verifier(settings, http=http))
        app.add_url_rule("/", "view", gate.requires()(lambda: "in"))
        response = get("/", headers=reader)
    assert response.status_code == 503
    assert response.headers["Retry-After"].isdigit()
    assert "WWW-Authenticate" not in response.headers


def test_several_requirements_must_all_hold(app: Flask, get: Any, gate: Gate, reader: dict[str, str]) -> None:
    machine = claim("gty", "client-credentials")
    app.add_url_rule("/both", "both", gate.requires("read:messages", machine)(lambda: "in"))
    app.add_url_rule("/more", "more", gate.requires(scope("read:messages"), "write:messages")(lambda: "in"))
    app.add_url_rule("/one", "one", gate.requires(any_of("read:messages", "write:messages"))(lambda: "in"))
    assert [get(path, headers=reader).status_code for path in ("/both", "/more", "/one")] == [200, 403, 200]


def test_a_decorated_view_keeps_its_name_and_signature(gate: Gate) -> None:
    def messages(name: str) -> str:
        """What it says."""
        return name

    async def news(name: str) -> str:
        """What is new."""
        return name

    for view in (messages, news):
        decorated = gate.requires()(view)
        assert (decorated.__name__, decorated.__doc__) == (view.__name__, view.__doc__)
        assert inspect.signature(decorated) == inspect.signature(view)


def test_the_core_is_told_the_request_as_it_was_sent(app: Flask, get: Any, settings: ApiSettings) -> None:
    class Recording(Verifier):
        asked: list[Request] = []  # noqa: RUF012

        def outcome(self, request: Request) -> AccessToken | AuthError:
            self.asked.append(request)
            return super().outcome(request)

    verifier = Recording(settings)
    app.add_url_rule("/a b", "view", Gate(settings, verifier=verifier).requires()(lambda: "in"), methods=["PATCH"])
    environ = {"REQUEST_METHOD": "patch", "SCRIPT_NAME": "/under", "HTTP_X_ODD": "caf\xe9"}
    get("/a%20b?x=%2F&y", base_url="https://api.example/", environ_overrides=environ)
    (asked,) = verifier.asked
    assert (asked.method, asked.url) == ("patch", "https://api.example:443/a%20b?x=%2F&y")
    assert (asked.values("host"), asked.values("x-odd")) == (["api.example"], ["caf\xe9"])


def test_what_else_a_view_raises_stays_as_it_is(app: Flask, get: Any, gate: Gate, reader: dict[str, str]) -> None:
    app.add_url_rule("/", "view", gate.requires()(lambda: flask.abort(418)))
    assert get("/", headers=reader).status_code == 418


def test_the_request_body_is_left_to_the_view(app: Flask, gate: Gate, reader: dict[str, str]) -> None:
    app.add_url_rule("/", "view", gate.requires()(lambda: flask.request.stream.read()), methods=["POST"])
    assert app.test_client().post("/", headers=reader, data=b"octets").data == b"octets"


# --- other kinds of view ------------------------------------------------------------------------------------


@pytest.fixture
def asynchronous(app: Flask, gate: Gate) -> Flask:
    @app.get("/<name>")
    @gate.requires("read:messages")
    async def read(name: str) -> dict[str, str]:
        gate.token.require(name)
        return {"caller": gate.token.subject}

    assert inspect.iscoroutinefunction(read)
    return app


def test_an_async_view_is_reached(asynchronous: Flask, get: Any, reader: dict[str, str]) -> None:
    assert get("/read:messages", headers=reader).json["caller"].endswith("@clients")


def test_an_async_view_is_closed(asynchronous: Flask, get: Any) -> None:
    assert answer(get("/read:messages")) == (401, BARE, b"{}")


def test_an_async_view_may_refuse_by_itself(asynchronous: Flask, get: Any, reader: dict[str, str]) -> None:
    response = get("/write:messages", headers=reader)
    assert response.status_code == 403
    assert response.www_authenticate["scope"] == "write:messages"


def test_methods_of_a_class_have_their_own_requirements(
    app: Flask, gate: Gate, reader: dict[str, str], nobody: dict[str, str]
) -> None:
    class Messages(MethodView):
        decorators = [gate.requires()]  # noqa: RUF012

        def get(self, name: str) -> str:
            return name

        @gate.requires("read:messages")
        def post(self, name: str) -> str:
            return name

        @gate.requires("read:messages")
        async def put(self, name: str) -> str:
            return name

    app.add_url_rule("/<name>", view_func=Messages.as_view("messages"))
    client = app.test_client()
    calls = [(method, headers) for method in ("GET", "POST", "PUT") for headers in ({}, nobody, reader)]
    statuses = [client.open("/x", method=method, headers=headers).status_code for method, headers in calls]
    assert statuses == [401, 200, 200, 401, 403, 200, 401, 403, 200]


def test_a_class_without_methods_is_closed_by_its_decorators(
    app: Flask, get: Any, gate: Gate, reader: dict[str, str]
) -> None:
    class Messages(View):
        decorators = [gate.requires("read:messages")]  # noqa: RUF012

        async def dispatch_request(self) -> str:
            return "in"

    app.add_url_rule("/", view_func=Messages.as_view("messages"))
    assert (get("/").status_code, get("/", headers=reader).data) == (401, b"in")


# --- refusals that the application raises -------------------------------------------------------------------


@pytest.fixture(params=[{}, {"TESTING": True}, {"PROPAGATE_EXCEPTIONS": True}, {"DEBUG": True}], ids=str)
def strict(request: pytest.FixtureRequest, app: Flask) -> Flask:
    """An app with each of Flask's ways to let exceptions through."""
    app.config.update(request.param)
    return app


def test_a_refusal_deep_inside_a_guarded_view_is_answered(
    strict: Flask, get: Any, gate: Gate, reader: dict[str, str]
) -> None:
    def change_message() -> str:
        gate.token.require("write:messages")
        return "changed"

    strict.add_url_rule("/", "view", gate.requires()(change_message))
    response = get("/", headers=reader)
    assert (response.status_code, response.www_authenticate["scope"]) == (403, "write:messages")


def test_a_refusal_in_a_view_that_is_not_guarded_is_answered_once_the_gate_is_installed(
    strict: Flask, get: Any, gate: Gate
) -> None:
    @strict.get("/")
    def view() -> str:
        raise MissingCredentials

    gate.init_app(strict)
    assert answer(get("/")) == (401, BARE, b"{}")


def test_a_refusal_in_a_hook_is_answered(strict: Flask, get: Any, settings: ApiSettings, verifier: Verifier) -> None:
    Gate(settings, strict, verifier=verifier)

    @strict.before_request
    def hook() -> None:
        raise InsufficientScope(["read:messages"], ["read:messages"])

    response = get("/anywhere")
    assert (response.status_code, response.www_authenticate["scope"]) == (403, "read:messages")


def test_every_line_of_a_refusal_is_a_line_of_the_answer(app: Flask, get: Any, gate: Gate) -> None:
    challenges = [("WWW-Authenticate", 'Bearer realm="api"'), ("WWW-Authenticate", 'DPoP algs="ES256"')]
    refusal = Refusal(401, (("Content-Type", "application/json"), *challenges, ("DPoP-Nonce", "n")), b'{"error":"x"}')

    @app.get("/")
    @gate.requires(optional=True)
    def view() -> str:
        error = MissingCredentials()
        error.refusal = refusal
        raise error

    assert answer(get("/")) == (refusal.status, list(refusal.headers), refusal.body)


def test_it_is_answered_although_the_app_has_a_handler_for_everything(app: Flask, get: Any, gate: Gate) -> None:
    app.register_error_handler(Exception, lambda error: ("broken", 500))
    gate.protect(app)
    app.add_url_rule("/", "view", gate.requires()(lambda: "in"))
    assert [get(path).status_code for path in ("/", "/nowhere")] == [401, 401]


def test_one_gate_serves_several_apps(gate: Gate) -> None:
    def create_app() -> Flask:
        app = Flask(__name__)
        gate.init_app(app)
        app.add_url_rule("/", "view", lambda: gate.token.subject)
        app.add_url_rule("/guarded", "guarded", gate.requires()(lambda: gate.token.subject))
        return app

    assert [create_app().test_client().get("/guarded").status_code for _ in range(2)] == [401, 401]


def test_a_refusal_is_logged_once(
    app: Flask, get: Any, gate: Gate, caplog: pytest.LogCaptureFixture, nobody: dict[str, str]
) -> None:
    def view() -> None:
        gate.token.require("read:messages")

    gate.protect(app)
    app.add_url_rule("/", "view", gate.requires()(gate.requires()(view)))
    with caplog.at_level(logging.INFO, "jwtgate"):
        get("/")
        get("/", headers=nobody)
    refused = [vars(record)["event"] for record in caplog.records if "event" in vars(record)]
    assert refused == ["MissingCredentials", "InsufficientScope"]


# --- the token ----------------------------------------------------------------------------------------------


def test_reading_the_token_where_no_gate_looked_is_a_fault_of_the_application(app: Flask, gate: Gate) -> None:
    with pytest.raises(NoToken):
        _ = gate.token
    with app.test_request_context(), pytest.raises(NoToken):
        _ = gate.token


def test_such_a_fault_is_no_refusal(app: Flask, get: Any, gate: Gate, reader: dict[str, str]) -> None:
    gate.init_app(app)
    app.add_url_rule("/", "view", lambda: gate.token.subject)
    assert [get("/", headers=headers).status_code for headers in ({}, reader)] == [500, 500]


def test_the_optional_token_is_none_where_there_is_none(app: Flask, gate: Gate) -> None:
    assert gate.optional_token is None
    with app.test_request_context():
        assert gate.optional_token is None


@pytest.fixture(params=["requires", "protect"])
def optional(request: pytest.FixtureRequest, app: Flask, gate: Gate) -> Flask:
    def view() -> dict[str, bool]:
        return {"known": gate.optional_token is not None}

    def insisting() -> str:
        return gate.token.subject

    if request.param == "requires":
        requires = gate.requires("read:messages", optional=True)
    else:
        gate.protect(app, "read:messages", optional=True)
        requires = lambda view: view
    app.add_url_rule("/", "view", requires(view))
    app.add_url_rule("/insisting", "insisting", requires(insisting))
    return app


def test_where_it_is_optional_a_caller_may_be_unknown(optional: Flask, get: Any, reader: dict[str, str]) -> None:
    assert [get("/", headers=headers).json["known"] for headers in ({}, reader)] == [False, True]


def test_where_it_is_optional_a_bad_token_is_refused(optional: Flask, get: Any, nobody: dict[str, str]) -> None:
    statuses = [get("/", headers=headers).status_code for headers in (bearer("x"), bearer(""), nobody)]
    assert statuses == [401, 400, 403]


def test_where_it_is_optional_a_view_may_still_insist(optional: Flask, get: Any, reader: dict[str, str]) -> None:
    assert answer(get("/insisting")) == (401, BARE, b"{}")
    assert get("/insisting", headers=reader).status_code == 200


# --- a whole app --------------------------------------------------------------------------------------------


@pytest.fixture
def closed(app: Flask, gate: Gate) -> Flask:
    gate.protect(app, public=["health", "static"])
    app.add_url_rule("/health", "health", lambda: "healthy")
    app.add_url_rule("/messages", "messages", lambda: gate.token.subject, methods=["GET", "POST"])

    @gate.public
    @app.get("/marked")
    def marked() -> str:
        return "marked"

    @app.get("/marked-below")
    @gate.public
    def marked_below() -> str:
        return "marked below"

    @app.get("/marked-and-guarded")
    @gate.requires("read:messages")
    @gate.public
    def marked_and_guarded() -> str:
        return "guarded"

    class Marked(MethodView):
        decorators = [gate.public]  # noqa: RUF012

        def get(self) -> str:
            return "a class"

    app.add_url_rule("/class", view_func=Marked.as_view("class"))
    return app


@pytest.mark.parametrize("path", ["/health", "/health?x=%2f", "/marked", "/marked-below", "/class"])
def test_what_was_opened_is_open_to_anybody(closed: Flask, get: Any, path: str) -> None:
    assert [get(path, headers=headers).status_code for headers in ({}, bearer("bad"))] == [200, 200]


def test_static_files_are_open_if_they_are_named(closed: Flask, get: Any) -> None:
    assert get("/static/none.css").status_code == 404


SPELLINGS = ["/health/", "/health;x", "//health", "/x/../health", "/marked%2f", "/\xff"]
CLOSED = ["/messages", "/", "/nowhere", *SPELLINGS]


@pytest.mark.parametrize("path", CLOSED)
def test_all_else_is_closed(closed: Flask, get: Any, path: str) -> None:
    assert answer(get(path)) == (401, BARE, b"{}")


def test_only_who_is_let_in_learns_which_paths_exist(closed: Flask, get: Any, reader: dict[str, str]) -> None:
    client = closed.test_client()
    assert (client.delete("/messages").status_code, client.delete("/messages", headers=reader).status_code) == (
        401,
        405,
    )
    assert get("/nowhere", headers=reader).status_code == 404


def test_a_public_view_may_have_requirements_of_its_own(closed: Flask, get: Any, reader: dict[str, str]) -> None:
    statuses = [get("/marked-and-guarded", headers=headers).status_code for headers in ({}, reader)]
    assert statuses == [401, 200]


def test_a_host_that_is_not_trusted_opens_nothing(closed: Flask, get: Any) -> None:
    if "TRUSTED_HOSTS" not in closed.config:
        pytest.skip("Flask looks at hosts from 3.1 on")
    closed.config["TRUSTED_HOSTS"] = ["api.example"]
    assert get("/health", headers={"Host": "evil.example"}).status_code == 401


def test_the_whole_app_may_ask_for_a_permission(
    app: Flask, get: Any, gate: Gate, reader: dict[str, str], nobody: dict[str, str]
) -> None:
    gate.protect(app, "read:messages")
    app.add_url_rule("/", "view", gate.requires("write:messages")(lambda: "in"))
    app.add_url_rule("/read", "read", lambda: "in")
    assert [get("/read", headers=headers).status_code for headers in (nobody, reader)] == [403, 200]
    response = get("/", headers=reader)
    assert (response.status_code, response.www_authenticate["scope"]) == (403, "write:messages")


def test_a_request_is_verified_once_however_many_gates_it_passes(
    app: Flask, get: Any, tenant: Tenant, settings: ApiSettings, reader: dict[str, str]
) -> None:
    class Counting:
        """Each verification asks once what time it is on the wall."""

        looked = 0
        monotonic = staticmethod(time.monotonic)

        def wall(self) -> float:
            self.looked += 1
            return time.time()

    clock = Counting()
    with httpx.Client(transport=tenant.transport()) as http:
        gate = Gate(settings, verifier=Verifier(settings, http=http, clock=clock))
        other = Gate(settings, verifier=gate.verifier)
        gate.protect(app)
        app.add_url_rule("/", "view", other.requires()(gate.requires("read:messages")(lambda: other.token.subject)))
        get("/", headers=reader)  # fetches the keys
        before = clock.looked
        gate.verifier.verify_request(Request("GET", "http://localhost/", list(reader.items())))
        once = clock.looked - before
        assert get("/", headers=reader).status_code == 200
    assert clock.looked - before == 2 * once


PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/messages", PREFLIGHT, 200),
        ("/messages", {"Origin": "https://app.example"}, 401),
        ("/messages", {"Access-Control-Request-Method": "POST"}, 401),
        ("/messages", {}, 401),
        ("/own-options", PREFLIGHT, 401),
        ("/nowhere", PREFLIGHT, 401),
        ("/health", {}, 200),
    ],
)
def test_a_preflight_passes_where_flask_answers_it(
    closed: Flask, gate: Gate, path: str, headers: dict[str, str], status: int
) -> None:
    closed.add_url_rule("/own-options", "own", lambda: gate.token.subject, methods=["GET", "OPTIONS"])
    response = closed.test_client().options(path, headers=headers)
    assert (response.status_code, response.data if status == 200 else b"") == (status, b"")


def test_only_the_question_passes_and_not_the_request_itself(closed: Flask) -> None:
    assert closed.test_client().post("/messages", headers=PREFLIGHT).status_code == 401


# --- a blueprint --------------------------------------------------------------------------------------------


@pytest.fixture
def partly_closed(app: Flask, gate: Gate) -> Flask:
    blueprint = Blueprint("messages", __name__, url_prefix="/messages")
    inner = Blueprint("drafts", __name__, url_prefix="/drafts")
    gate.protect(blueprint, "read:messages", public=["messages.about", "messages.drafts.about"])
    for part in (blueprint, inner):
        part.add_url_rule("/", "all", lambda: gate.token.subject)
        part.add_url_rule("/about", "about", lambda: "about")
    blueprint.add_url_rule("/write", "write", lambda: gate.token.require("write:messages"))
    blueprint.register_blueprint(inner)
    app.register_blueprint(blueprint)
    app.add_url_rule("/", "home", lambda: "home")
    return app


def test_a_blueprint_is_closed_and_those_within_it(
    partly_closed: Flask, get: Any, reader: dict[str, str], nobody: dict[str, str]
) -> None:
    for path in ("/messages/", "/messages/drafts/"):
        assert [get(path, headers=headers).status_code for headers in ({}, nobody, reader)] == [401, 403, 200]


def test_what_a_blueprint_opens_is_open(partly_closed: Flask, get: Any) -> None:
    assert [get(path).data for path in ("/messages/about", "/messages/drafts/about")] == [b"about", b"about"]


def test_the_rest_of_the_app_is_as_it_was(partly_closed: Flask, get: Any) -> None:
    assert (get("/").status_code, get("/nowhere").status_code) == (200, 404)


def test_a_refusal_within_a_closed_blueprint_is_answered(
    partly_closed: Flask, get: Any, reader: dict[str, str]
) -> None:
    assert get("/messages/write", headers=reader).status_code == 403


# --- two gates on one app -----------------------------------------------------------------------------------


@pytest.fixture
def admin(tenant: Tenant) -> Iterator[Gate]:
    settings = ApiSettings(identifier="https://admin.example/", domain=tenant.domain, realm="admin")
    with httpx.Client(transport=tenant.transport()) as http:
        yield Gate(settings, verifier=Verifier(settings, http=http))


@pytest.fixture(scope="session")
def administrator(tenant: Tenant) -> dict[str, str]:
    api = tenant.register_api("https://admin.example/")
    return bearer(tenant.client_credentials(api.test_application, api).access_token)


def test_each_gate_answers_by_its_own_settings(
    app: Flask, get: Any, gate: Gate, admin: Gate, reader: dict[str, str], administrator: dict[str, str]
) -> None:
    gate.init_app(app)
    admin.init_app(app)
    app.add_url_rule("/", "view", gate.requires()(lambda: gate.token.audience[0]))
    app.add_url_rule("/admin", "admin", admin.requires()(lambda: admin.token.audience[0]))
    assert get("/").www_authenticate.realm == "api"
    assert get("/admin").www_authenticate.realm == "admin"
    assert get("/", headers=reader).text == "https://messages.example/"
    assert get("/admin", headers=administrator).text == "https://admin.example/"
    assert [get("/admin", headers=reader).status_code, get("/", headers=administrator).status_code] == [401, 401]


def test_a_gate_does_not_hand_out_what_another_one_let_in(
    app: Flask, get: Any, gate: Gate, admin: Gate, administrator: dict[str, str]
) -> None:
    def view() -> str:
        with pytest.raises(NoToken):
            _ = gate.token
        return admin.token.audience[0]

    app.add_url_rule("/", "view", admin.requires()(view))
    assert get("/", headers=administrator).text == "https://admin.example/"


def test_one_gate_does_not_open_what_another_one_closes(
    app: Flask, get: Any, gate: Gate, admin: Gate, administrator: dict[str, str]
) -> None:
    gate.protect(app)
    admin.protect(app)
    app.add_url_rule("/one", "one", gate.public(lambda: "one"))
    app.add_url_rule("/both", "both", admin.public(gate.public(lambda: "both")))
    assert [get(path).status_code for path in ("/one", "/both")] == [401, 200]
    assert get("/one").www_authenticate.realm == "admin"
    assert get("/one", headers=administrator).text == "one"


# --- an answer of one's own ---------------------------------------------------------------------------------


@pytest.fixture
def outspoken(settings: ApiSettings, verifier: Verifier) -> Gate:
    def on_refusal(error: AuthError, request: flask.Request) -> Any:
        if error.status == 403:
            return None
        return {"path": request.path, "kind": type(error).__name__}, error.status, {"X-Own": "yes"}

    return Gate(settings, verifier=verifier, on_refusal=on_refusal)


@pytest.mark.parametrize("post", ["requires", "requires async", "protect", "installed"])
def test_an_own_answer_takes_the_place_of_the_standard_one(
    app: Flask, get: Any, outspoken: Gate, nobody: dict[str, str], post: str
) -> None:
    async def asynchronous() -> str:
        return "in"

    def raising() -> str:
        if "Authorization" not in flask.request.headers:
            raise MissingCredentials
        raise InsufficientScope

    outspoken.init_app(app)
    view: Any = {
        "requires": outspoken.requires("read:messages")(lambda: "in"),
        "requires async": outspoken.requires("read:messages")(asynchronous),
        "protect": lambda: "in",
        "installed": raising,
    }[post]
    if post == "protect":
        outspoken.protect(app, "read:messages")
    app.add_url_rule("/", "view", view)
    own = get("/")
    assert (own.status_code, own.headers["X-Own"]) == (401, "yes")
    assert own.json == {"path": "/", "kind": "MissingCredentials"}
    standard = get("/", headers=nobody)
    assert (standard.status_code, standard.json["error"]) == (403, "insufficient_scope")
    assert "WWW-Authenticate" in standard.headers


# --- as Flask's users know it -------------------------------------------------------------------------------


def test_hooks_run_for_a_refusal_too(app: Flask, get: Any, gate: Gate) -> None:
    seen: list[Any] = []
    app.before_request(lambda: seen.append("before"))
    gate.protect(app)
    app.before_request(lambda: seen.append("never"))

    @app.after_request
    def after(response: flask.Response) -> flask.Response:
        seen.append(response.status_code)
        response.headers["X-Trace"] = "1"
        return response

    app.teardown_request(seen.append)
    assert get("/").headers["X-Trace"] == "1"
    assert seen == ["before", 401, None]


def test_a_decorator_around_it_gets_a_response(app: Flask, get: Any, gate: Gate, outspoken: Gate) -> None:
    def traced(view: Callable[[], flask.Response]) -> Callable[[], flask.Response]:
        @functools.wraps(view)
        def wrapper() -> flask.Response:
            response = view()
            response.headers["X-Trace"] = "1"
            return response

        return wrapper

    def view() -> flask.Response:
        return flask.make_response("in")

    app.add_url_rule("/", "view", traced(gate.requires()(view)))
    app.add_url_rule("/own", "own", traced(outspoken.requires()(view)))
    for path in ("/", "/own"):
        response = get(path)
        assert (response.status_code, response.headers["X-Trace"]) == (401, "1")


def test_a_refused_caller_can_be_named_in_a_hook(app: Flask, get: Any, gate: Gate, nobody: dict[str, str]) -> None:
    seen: list[bool] = []
    app.add_url_rule("/", "view", gate.requires("read:messages")(lambda: "in"))

    @app.after_request
    def after(response: flask.Response) -> flask.Response:
        seen.append(gate.optional_token is not None)
        return response

    assert [get("/", headers=headers).status_code for headers in ({}, nobody)] == [401, 403]
    assert seen == [False, True]


# --- what could never be right ------------------------------------------------------------------------------


async def _on_refusal(error: AuthError, request: flask.Request) -> None: ...


@pytest.mark.parametrize(
    ("setting", "make"),
    [
        ("on_refusal", lambda settings: Gate(settings, on_refusal=_on_refusal)),
        ("verifier", lambda settings: Gate(settings, verifier=AsyncVerifier(settings))),
        ("verifier", lambda settings: Gate(ApiSettings(identifier="x", domain="a.test"), verifier=Verifier(settings))),
        ("settings", lambda settings: Gate("https://api.example")),
        ("requirement", lambda settings: Gate(settings).requires(lambda: "no parentheses")),
        ("requirement", lambda settings: Gate(settings).requires("read messages")),
        ("requires", lambda settings: Gate(settings).requires()(MethodView)),
        ("public", lambda settings: Gate(settings).public(MethodView)),
        ("public", lambda settings: Gate(settings).protect(Flask("app"), public="health")),
        ("public", lambda settings: Gate(settings).protect(Flask("app"), public=["/health"])),
        ("public", lambda settings: Gate(settings).protect(Flask("app"), public=["health", ""])),
        ("public", lambda settings: Gate(settings).protect(Flask("app"), public=["health", 1])),
        ("requirement", lambda settings: Gate(settings).protect(Flask("app"), "")),
    ],
)
def test_a_mistake_shows_at_start_up(settings: ApiSettings, setting: str, make: Callable[[ApiSettings], Any]) -> None:
    with pytest.raises(SettingsError) as fault:
        make(settings)
    assert fault.value.setting == setting


def test_a_requirement_above_the_route_is_refused_because_it_would_guard_nothing(verifier: Verifier) -> None:
    app = Flask(__name__)
    gate = Gate(verifier.settings, app, verifier=verifier)

    @app.get("/messages")
    def messages() -> str:
        return "open"

    with pytest.raises(SettingsError) as fault:
        gate.requires()(messages)
    assert (fault.value.setting, fault.value.actual) == ("requires", "messages")
    gate.requires()(lambda: "another view")  # it is registered nowhere yet


def _blueprint_of_a_known_app(app: Flask, gate: Gate, blueprint: Blueprint) -> None:
    gate.init_app(app)
    app.register_blueprint(blueprint)


def _app_made_known_last(app: Flask, gate: Gate, blueprint: Blueprint) -> None:
    app.register_blueprint(blueprint)
    gate.init_app(app)


def _closed_app(app: Flask, gate: Gate, blueprint: Blueprint) -> None:
    gate.protect(app, optional=True)
    app.register_blueprint(blueprint)


@pytest.mark.parametrize("install", [_blueprint_of_a_known_app, _app_made_known_last, _closed_app])
def test_a_requirement_above_the_route_of_a_blueprint_is_refused_with_the_first_request(
    verifier: Verifier, install: Callable[[Flask, Gate, Blueprint], None]
) -> None:
    app, blueprint = Flask(__name__), Blueprint("api", __name__)
    app.testing = True  # faults are raised, not answered with 500
    gate = Gate(verifier.settings, verifier=verifier)

    @gate.requires()
    @blueprint.get("/messages")
    def messages() -> str:
        return "open"

    install(app, gate, blueprint)
    for _ in range(2):
        with pytest.raises(SettingsError) as fault:
            app.test_client().get("/messages")
        assert (fault.value.setting, fault.value.actual) == ("requires", "api.messages")


def test_a_gate_that_knows_no_app_finds_an_open_view_when_it_guards_another(verifier: Verifier) -> None:
    app = Flask(__name__)
    app.testing = True
    gate = Gate(verifier.settings, verifier=verifier)
    app.add_url_rule("/guarded", view_func=gate.requires()(lambda: "guarded"), endpoint="guarded")

    @gate.requires()
    @app.get("/messages")
    def messages() -> str:
        return "open"

    with pytest.raises(SettingsError) as fault:
        app.test_client().get("/guarded")
    assert fault.value.actual == "messages"


class _Slotted:
    """A view without weak references."""

    __slots__ = ()

    def __call__(self) -> str:
        return "in"


def test_a_view_may_be_any_callable(verifier: Verifier) -> None:
    app = Flask(__name__)
    gate = Gate(verifier.settings, app, verifier=verifier)
    app.add_url_rule("/messages", "messages", gate.requires(optional=True)(_Slotted()))
    assert app.test_client().get("/messages").text == "in"


# --- bound tokens -------------------------------------------------------------------------------------------

ASKING = proving.settings_for()
TOLD = [("Cache-Control", "no-store"), ("DPoP-Nonce", proving.NONCE)]


def asking(app: Flask | None = None, store: Any = None, settings: ApiSettings = ASKING, **options: Any) -> Gate:
    return Gate(settings, app, verifier=proving.verifier(settings, store), **options)


def told(response: TestResponse) -> list[tuple[str, str]]:
    """Of the header lines, what a gate adds to an answer."""
    return [line for line in response.headers if line[0] in ("Cache-Control", "DPoP-Nonce")]


def test_a_view_of_any_kind_tells_the_nonce(app: Flask, get: Any) -> None:
    gate = asking()
    once_made = flask.Response("in")

    def plain() -> str:
        return "in"

    async def asynchronous() -> str:
        return gate.token.jkt or "nobody"

    def streamed() -> flask.Response:
        return flask.Response(iter(["i", "n"]), headers=[("X-Trace", "1")])

    def shared() -> flask.Response:
        return once_made

    class Method(MethodView):
        decorators = [gate.requires()]  # noqa: RUF012

        @gate.requires("read:messages")
        def get(self) -> str:
            return "in"

    for view in (plain, asynchronous, streamed, shared):
        app.add_url_rule(f"/{view.__name__}", view.__name__, gate.requires()(view))
    app.add_url_rule("/method", "method", Method.as_view("method"))
    for path in ("/plain", "/asynchronous", "/streamed", "/shared", "/shared", "/method"):
        response = get(path, headers=proving.headers(path))
        assert (response.status_code, told(response)) == (200, TOLD)
    assert get("/asynchronous", headers=proving.headers("/asynchronous")).text == proving.HOLDER.jkt
    assert get("/streamed", headers=proving.headers("/streamed")).headers["X-Trace"] == "1"


@pytest.mark.parametrize("whole", ["app", "blueprint"])
def test_what_is_closed_as_a_whole_tells_the_nonce(app: Flask, get: Any, whole: str) -> None:
    gate, blueprint = asking(), Blueprint("part", __name__)
    gate.protect(app if whole == "app" else blueprint, public=["part.open"])
    blueprint.add_url_rule("/in", "in", lambda: "in")
    blueprint.add_url_rule("/open", "open", lambda: "open")
    app.register_blueprint(blueprint)
    assert told(get("/in", headers=proving.headers("/in"))) == TOLD
    once = proving.headers("/open")
    assert [told(get("/open", headers=once)) for _ in range(2)] == [[], []]
    response = get("/nowhere", headers=proving.headers("/nowhere"))
    assert (response.status_code, told(response)) == (404, TOLD if whole == "app" else [])


def test_an_app_that_fails_has_told_the_nonce(app: Flask, get: Any) -> None:
    @asking().requires()
    def broken() -> str:
        raise ZeroDivisionError

    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.add_url_rule("/", "broken", broken)
    response = get("/", headers=proving.headers("/"))
    assert (response.status_code, told(response)) == (500, TOLD)


def test_whoever_may_not_do_this_is_told_the_nonce_by_every_way_of_saying_no(app: Flask, get: Any) -> None:
    gate = asking(app)

    def picky() -> str:
        gate.token.require("admin:all")
        return "never"

    app.add_url_rule("/first", "first", gate.requires("admin:all")(lambda: "never"))
    app.add_url_rule("/later", "later", gate.requires()(picky))
    app.add_url_rule("/own", "own", asking(on_refusal=lambda error, request: ("no", 403)).requires("admin:all")(picky))
    for path in ("/first", "/later", "/own"):
        response = get(path, headers=proving.headers(path))
        assert (response.status_code, told(response)) == (403, TOLD)
    challenged = get("/first", headers=proving.headers("/first", nonce=None))
    assert (challenged.status_code, told(challenged)) == (401, TOLD)


def test_what_the_app_says_of_caches_is_its_own_affair(app: Flask, get: Any) -> None:
    @asking().requires()
    def view() -> flask.Response:
        return flask.Response("in", headers={"Cache-Control": "private, max-age=60"})

    app.add_url_rule("/", "view", view)
    assert told(get("/", headers=proving.headers("/"))) == [("Cache-Control", "private, max-age=60"), TOLD[1]]


@pytest.mark.parametrize(
    "caller", ["a bearer", "nobody"], ids=["a bearer's token", "optional, and no credentials at all"]
)
def test_nobody_else_is_told_a_nonce(app: Flask, get: Any, caller: str) -> None:
    app.add_url_rule("/", "view", asking().requires(optional=True)(lambda: "in"))
    response = get("/", headers=bearer(proving.BEARER) if caller == "a bearer" else {})
    assert (response.status_code, told(response)) == (200, [])


def test_where_nonces_are_off_an_answer_is_left_alone(app: Flask, get: Any) -> None:
    gate = asking(settings=proving.settings_for(dpop_nonce_key=None))
    made = flask.Response("in", headers={"DPoP-Nonce": "of the app"})
    lines = made.headers
    app.add_url_rule("/", "view", gate.requires()(lambda: made))
    assert told(get("/", headers=proving.headers("/", nonce=None))) == [("DPoP-Nonce", "of the app")]
    assert made.headers is lines


def test_one_request_uses_its_proof_once_however_many_gates_it_passes(app: Flask, get: Any) -> None:
    store, blueprint = proving.Recalling(), Blueprint("part", __name__)
    gate, other = asking(store=store), asking(store=store, settings=proving.settings_for())
    gate.protect(app)
    other.protect(blueprint, "read:messages")
    blueprint.add_url_rule("/", "view", gate.requires()(other.requires("read:messages")(lambda: other.token.subject)))
    app.register_blueprint(blueprint)
    response = get("/", headers=proving.headers("/"))
    assert (response.status_code, response.text, told(response)) == (200, "app-1@clients", TOLD)
    assert len(store.shown) == 1


@pytest.mark.parametrize(("shared", "status"), [(False, 200), (True, 401)], ids=["a store each", "one store"])
def test_gates_of_two_settings_look_twice_and_a_store_that_they_share_takes_the_proof_once(
    app: Flask, get: Any, shared: bool, status: int
) -> None:
    one, two = proving.Recalling(), proving.Recalling()
    asking(store=one).protect(app)
    inner = asking(store=one if shared else two, settings=proving.settings_for(leeway=29))
    app.add_url_rule("/", "view", inner.requires()(lambda: "in"))
    assert get("/", headers=proving.headers("/")).status_code == status
    assert len(one.shown + two.shown) == 2
