"""The token endpoint, row by row: status and body, in process and over loopback."""

from __future__ import annotations

import base64
import json
import logging
from urllib.parse import quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
NOWHERE = "https://nowhere.example.test/"
GRANT_TYPES_PAGE = "https://auth0.com/docs/clients/client-grant-types"
CLIENT_GRANTS_PAGE = "https://auth0.com/docs/api/v2#!/Client_Grants/post_client_grants"


class World:
    """An API, and applications that may have tokens for it in different ways."""

    def __init__(self, tenant, register):
        self.api = register(permissions=["read:a", "write:a", "delete:a"], token_lifetime=600)
        self.closed = register()
        self.machine = tenant.create_application("Machine")
        self.bare = tenant.create_application("Bare")
        self.basic = tenant.create_application("Basic", token_endpoint_auth="client_secret_basic")
        self.idle = tenant.create_application("Idle", grant_types=[])
        tenant.authorize(self.machine, self.api, permissions=["read:a", "write:a"])
        tenant.authorize(self.bare, self.api)
        tenant.authorize(self.basic, self.api, permissions=["read:a"])
        tenant.authorize(self.idle, self.api)

    def request(self, application=None, **change):
        application = application or self.machine
        parameters = {
            "grant_type": "client_credentials",
            "client_id": application.client_id,
            "client_secret": application.client_secret,
            "audience": self.api.identifier,
            **change,
        }
        return {name: value for name, value in parameters.items() if value is not None}


@pytest.fixture
def world(tenant, register):
    return World(tenant, register)


@pytest.fixture(params=[FORM, JSON])
def ask(request, call):
    """A token request as a form or as JSON."""

    def send(parameters, **options):
        body = {"data": parameters} if request.param == FORM else {"json": parameters}
        return call("POST", "oauth/token", **body, **options)

    return send


def compact(members):
    return json.dumps(members, separators=(",", ":"))


def basic(client_id, client_secret):
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def never_stored(response):
    return (response.headers["Cache-Control"], response.headers["Pragma"]) == ("no-store", "no-cache")


# What succeeds


@pytest.mark.parametrize("asked", [None, "", " ", "read:a", "write:a read:a", "read:a  write:a"])
def test_all_granted_scopes_come_back_however_few_were_asked_for(ask, world, judge, asked):
    response = ask(world.request(scope=asked))
    assert response.status_code == 200
    token = response.json()["access_token"]
    assert response.text == compact(
        {"access_token": token, "scope": "read:a write:a", "expires_in": 600, "token_type": "Bearer"}
    )
    assert judge(token, world.api)["scope"] == "read:a write:a"
    assert response.headers["Content-Type"] == JSON
    assert never_stored(response)


def test_without_granted_scopes_the_answer_has_no_scope(ask, world, judge):
    response = ask(world.request(world.bare))
    assert response.status_code == 200
    token = response.json()["access_token"]
    assert response.text == compact({"access_token": token, "expires_in": 600, "token_type": "Bearer"})
    assert "scope" not in judge(token, world.api)


@pytest.mark.parametrize("named", [False, True])
def test_a_secret_in_the_header_is_taken_from_who_is_set_to_it(ask, world, judge, named):
    client_id = world.basic.client_id if named else None
    request = world.request(world.basic, client_secret=None, client_id=client_id)
    response = ask(request, headers=basic(world.basic.client_id, world.basic.client_secret))
    assert response.status_code == 200
    assert judge(response.json()["access_token"], world.api)["azp"] == world.basic.client_id


def test_the_scheme_of_the_header_may_be_written_in_any_case(ask, world):
    headers = basic(world.basic.client_id, world.basic.client_secret)
    request = world.request(world.basic, client_secret=None)
    assert ask(request, headers={"Authorization": headers["Authorization"].replace("Basic", "bASIC")}).is_success


def test_parameters_that_nobody_knows_are_ignored(ask, world):
    assert ask(world.request(resource=NOWHERE, device="unknown")).is_success


def test_the_query_is_not_read(call, world):
    response = call("POST", "oauth/token", params=world.request(), data={"grant_type": "client_credentials"})
    assert response.status_code == 401


def test_in_process_and_at_the_endpoint_the_same_is_said(tenant, ask, world):
    asked = ask(world.request(world.bare)).json()
    told = tenant.client_credentials(world.bare, world.api).body
    assert list(asked) == list(told)
    assert {**asked, "access_token": ""} == {**told, "access_token": ""}


# What is refused


def refused(status, error, description, **more):
    return status, {"error": error, "error_description": description, **more}


UNAUTHORIZED = refused(401, "access_denied", "Unauthorized")

REFUSALS = {
    "unknown client": (lambda w: w.request(client_id="x" * 32), UNAUTHORIZED),
    "wrong secret": (lambda w: w.request(client_secret="wrong"), UNAUTHORIZED),
    "wrong secret, not ASCII": (lambda w: w.request(client_secret="пароль"), UNAUTHORIZED),
    "secret of another": (lambda w: w.request(client_secret=w.bare.client_secret), UNAUTHORIZED),
    "no secret": (lambda w: w.request(client_secret=None), UNAUTHORIZED),
    "empty secret": (lambda w: w.request(client_secret=""), UNAUTHORIZED),
    "no client": (lambda w: w.request(client_id=None), UNAUTHORIZED),
    "an assertion": (lambda w: w.request(client_secret=None, client_assertion="a.b.c"), UNAUTHORIZED),
    "secret in the body, set to Basic": (lambda w: w.request(w.basic), UNAUTHORIZED),
    "secret and assertion": (
        lambda w: w.request(client_assertion="a.b.c"),
        refused(400, "invalid_request", "A client must authenticate in one way only"),
    ),
    "no grant type": (
        lambda w: w.request(grant_type=None),
        refused(400, "invalid_request", "Missing required parameter: grant_type"),
    ),
    "empty grant type": (
        lambda w: w.request(grant_type=""),
        refused(400, "invalid_request", "Missing required parameter: grant_type"),
    ),
    "unheard-of grant type": (
        lambda w: w.request(grant_type="client-credentials"),
        refused(400, "unsupported_grant_type", "Unsupported grant type: client-credentials"),
    ),
    "grant type of other applications": (
        lambda w: w.request(grant_type="password"),
        refused(
            403,
            "unauthorized_client",
            "Grant type 'password' not allowed for the client.",
            error_uri=GRANT_TYPES_PAGE,
        ),
    ),
    "grant type switched off": (
        lambda w: w.request(w.idle),
        refused(
            403,
            "unauthorized_client",
            "Grant type 'client_credentials' not allowed for the client.",
            error_uri=GRANT_TYPES_PAGE,
        ),
    ),
    "no audience": (
        lambda w: w.request(audience=None),
        refused(403, "access_denied", "Non-global clients are not allowed access to APIv1"),
    ),
    "empty audience": (
        lambda w: w.request(audience=""),
        refused(403, "access_denied", "Non-global clients are not allowed access to APIv1"),
    ),
    "unknown audience": (
        lambda w: w.request(audience=NOWHERE),
        refused(403, "access_denied", f"Service not enabled within domain: {NOWHERE}"),
    ),
    "organization": (
        lambda w: w.request(organization="org_9ybsU1dN2dKfDkBi"),
        refused(400, "invalid_request", "parameter organization is not allowed for this client"),
    ),
    "scopes of which two are not granted": (
        lambda w: w.request(scope="openid read:a delete:a"),
        refused(403, "access_denied", "Client has not been granted scopes: openid, delete:a"),
    ),
    "a scope with a tab in it": (
        lambda w: w.request(scope="read:a\twrite:a"),
        refused(403, "access_denied", "Client has not been granted scopes: read:a\twrite:a"),
    ),
}


@pytest.mark.parametrize(("asked", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_has_its_status_and_body(ask, world, asked, expected):
    status, body = expected
    response = ask(asked(world))
    assert (response.status_code, response.text) == (status, compact(body))
    assert response.headers["Content-Type"] == JSON
    assert never_stored(response)
    assert "WWW-Authenticate" not in response.headers


def test_the_slash_makes_another_audience(ask, world):
    audience = world.api.identifier.removesuffix("/")
    response = ask(world.request(audience=audience))
    assert (response.status_code, response.json()) == refused(
        403, "access_denied", f"Service not enabled within domain: {audience}"
    )


def test_an_application_without_a_grant_is_told_to_create_one(ask, world):
    response = ask(world.request(audience=world.closed.identifier))
    assert (response.status_code, response.json()) == refused(
        403,
        "access_denied",
        f'Client is not authorized to access "{world.closed.identifier}". You need to create a "client-grant" '
        f"associated to this API. See: {CLIENT_GRANTS_PAGE}",
    )


def b64(text):
    return base64.b64encode(text.encode("latin-1")).decode()


HEADERS = {
    "wrong secret": lambda w: basic(w.basic.client_id, "wrong"),
    "no secret": lambda w: basic(w.basic.client_id, ""),
    "unknown client": lambda w: basic("x" * 32, w.basic.client_secret),
    "set to the body": lambda w: basic(w.machine.client_id, w.machine.client_secret),
    "another scheme": lambda w: {"Authorization": "Bearer abc"},
    "nothing": lambda w: {"Authorization": ""},
    "the scheme alone": lambda w: {"Authorization": "Basic"},
    "no base64": lambda w: {"Authorization": "Basic ***"},
    "no UTF-8": lambda w: {"Authorization": "Basic " + b64("\xff:\xff")},
    "no colon": lambda w: {"Authorization": "Basic " + b64(w.basic.client_id)},
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_who_fails_in_the_header_is_told_the_scheme(ask, world, header):
    request = world.request(client_id=None, client_secret=None)
    response = ask(request, headers=header(world))
    assert (response.status_code, response.json()) == UNAUTHORIZED
    assert response.headers["WWW-Authenticate"] == 'Basic realm="oauth/token"'


def test_two_authorization_headers_are_one_that_is_wrong(ask, world):
    (value,) = basic(world.basic.client_id, world.basic.client_secret).values()
    request = world.request(client_id=None, client_secret=None)
    response = ask(request, headers=[("Authorization", value), ("Authorization", value)])
    assert (response.status_code, response.json()) == UNAUTHORIZED


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": None},  # the secret is there twice
        {"client_secret": None, "client_id": "another"},
        {"client_secret": None, "client_assertion": "a.b.c"},
    ],
)
def test_a_client_says_once_who_it_is(ask, world, change):
    response = ask(
        world.request(world.basic, **change), headers=basic(world.basic.client_id, world.basic.client_secret)
    )
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


MALFORMED = {
    "no body, no type": (None, b""),
    "no type": (None, b"grant_type=client_credentials"),
    "another type": ("text/plain", b"grant_type=client_credentials"),
    "a multipart form": ("multipart/form-data; boundary=b", b"--b--"),
    "an empty form": (FORM, b""),
    "a parameter twice": (FORM, b"grant_type=client_credentials&grant_type=client_credentials"),
    "an empty one twice": (FORM, b"grant_type=client_credentials&audience=&audience="),
    "a form not in UTF-8": (FORM, b"grant_type=\xff"),
    "a form not in UTF-8 behind percent signs": (FORM, b"grant_type=%ff"),
    "empty JSON": (JSON, b""),
    "broken JSON": (JSON, b'{"grant_type":'),
    "JSON not in UTF-8": (JSON, '{"grant_type":"é"}'.encode("latin-1")),
    "JSON in UTF-16": (JSON, '{"grant_type":"client_credentials"}'.encode("utf-16")),
    "JSON, but a list": (JSON, b'["grant_type", "client_credentials"]'),
    "JSON, but a list of pairs": (JSON, b'[["grant_type", "client_credentials"]]'),
    "JSON, but a string": (JSON, b'"grant_type"'),
    "JSON, but null": (JSON, b"null"),
    "a member twice": (JSON, b'{"grant_type":"client_credentials","grant_type":"client_credentials"}'),
    "a member that is a number": (JSON, b'{"grant_type":1}'),
    "a member that is null": (JSON, b'{"grant_type":"client_credentials","scope":null}'),
    "a member that is a list": (JSON, b'{"grant_type":["client_credentials"]}'),
    "a member that is an object": (JSON, b'{"grant_type":{"a":"b"}}'),
    "half a surrogate pair": (JSON, b'{"grant_type":"client_credentials","client_id":"\\ud800"}'),
    "half a surrogate pair in a name": (JSON, b'{"grant_type":"client_credentials","\\ud800":"a"}'),
    "a number of 5,000 digits": (JSON, b'{"grant_type":' + b"1" * 5000 + b"}"),
    "nested 20,000 deep": (JSON, b"[" * 20_000 + b"]" * 20_000),
}


@pytest.mark.parametrize(("kind", "body"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_body_is_an_invalid_request(call, kind, body):
    headers = {} if kind is None else {"Content-Type": kind}
    response = call("POST", "oauth/token", content=body, headers=headers)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert list(response.json()) == ["error", "error_description"]
    assert never_stored(response)


@pytest.mark.parametrize(("count", "status"), [(100, 200), (101, 400)])
def test_a_form_has_a_hundred_parameters_at_most(call, world, count, status):
    request = world.request()
    padding = {f"p{number}": "1" for number in range(count - len(request))}
    assert call("POST", "oauth/token", data={**request, **padding}).status_code == status


@pytest.mark.parametrize("kind", [f"{FORM}; charset=utf-8", f"{JSON}; charset=utf-8", JSON.upper()])
def test_the_type_of_the_body_may_have_parameters_and_any_case(call, world, kind):
    form = "&".join(f"{name}={quote_plus(value)}" for name, value in world.request().items())
    body = form if kind.startswith(FORM) else json.dumps(world.request())
    assert call("POST", "oauth/token", content=body, headers={"Content-Type": kind}).is_success


@pytest.mark.parametrize("kind", [FORM, JSON, "text/plain"])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("size", [65_537, 200_000])
def test_a_large_body_is_not_read(call, kind, streamed, size):
    body = b"a" * size
    content = [body[:40_000], body[40_000:]] if streamed else body
    response = call("POST", "oauth/token", content=content, headers={"Content-Type": kind})
    assert (response.status_code, response.json()) == refused(
        413, "invalid_request", "The request body is larger than 65536 bytes"
    )


def test_a_body_at_the_limit_is_read(call, world):
    form = "&".join(f"{name}={quote_plus(value)}" for name, value in world.request().items())
    padded = f"{form}&padding=".ljust(65_536, "a")
    assert call("POST", "oauth/token", content=padded, headers={"Content-Type": FORM}).is_success


def test_a_streamed_body_is_read(call, world):
    body = json.dumps(world.request()).encode()
    assert call("POST", "oauth/token", content=[body[:20], body[20:]], headers={"Content-Type": JSON}).is_success


@given(
    kind=st.sampled_from([FORM, JSON]),
    body=st.binary(max_size=200)
    | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner)).map(
        lambda value: json.dumps({"grant_type": value}).encode()
    )
    | st.dictionaries(st.sampled_from(["grant_type", "audience", "scope", "client_id"]), st.text()).map(
        lambda members: json.dumps({"grant_type": "client_credentials", **members}).encode()
    ),
    authorization=st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=126)),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_body_and_no_header_breaks_the_endpoint(tenant, kind, body, authorization):
    import httpx

    headers = {"Content-Type": kind} | ({} if authorization is None else {"Authorization": authorization})
    with httpx.Client(transport=tenant.transport()) as client:
        response = client.post(tenant.issuer + "oauth/token", content=body, headers=headers)
    assert response.status_code in (400, 401)
    assert list(response.json()) == ["error", "error_description"]


def test_the_log_says_why_and_keeps_the_secrets(call, world, caplog):
    caplog.set_level(logging.INFO, logger="jwtgate.tenant")
    call("POST", "oauth/token", data=world.request())
    call("POST", "oauth/token", data=world.request(world.basic))
    issued, refusal = [record.getMessage() for record in caplog.records if record.name == "jwtgate.tenant"]
    assert issued == "'POST /oauth/token' -> 200"
    assert "client_secret_basic" in refusal
    assert world.machine.client_secret not in caplog.text
    assert world.basic.client_secret not in caplog.text
