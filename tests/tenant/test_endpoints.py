"""The well-known documents, and what is answered where there is nothing."""

from __future__ import annotations

import httpx
import pytest

from jwtgate.tenant import Tenant

DISCOVERY = ".well-known/openid-configuration"
ALIAS = ".well-known/oauth-authorization-server"
JWKS = ".well-known/jwks.json"


@pytest.mark.parametrize("path", [DISCOVERY, ALIAS])
def test_discovery_names_what_the_tenant_does_and_nothing_else(tenant, call, path):
    response = call("GET", path)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert list(response.json().items()) == [
        ("issuer", "https://tenant.example.test/"),
        ("authorization_endpoint", "https://tenant.example.test/authorize"),
        ("token_endpoint", "https://tenant.example.test/oauth/token"),
        ("userinfo_endpoint", "https://tenant.example.test/userinfo"),
        ("jwks_uri", "https://tenant.example.test/.well-known/jwks.json"),
        ("scopes_supported", ["openid", "profile", "offline_access", "email"]),
        ("response_types_supported", ["code", "token"]),
        ("code_challenge_methods_supported", ["S256"]),
        ("response_modes_supported", ["query", "fragment"]),
        ("subject_types_supported", ["public"]),
        ("token_endpoint_auth_methods_supported", ["client_secret_basic", "client_secret_post", "none"]),
        (
            "claims_supported",
            ["aud", "email", "email_verified", "exp", "iat", "iss", "name", "nickname", "sub"],
        ),
        ("request_uri_parameter_supported", False),
        ("request_parameter_supported", False),
        ("id_token_signing_alg_values_supported", ["RS256"]),
        (
            "grant_types_supported",
            ["authorization_code", "client_credentials", "implicit", "password", "refresh_token"],
        ),
        ("dpop_signing_alg_values_supported", ["ES256"]),
        ("tls_client_certificate_bound_access_tokens", True),
    ]
    assert response.json() == tenant.discovery()


def test_every_url_in_discovery_answers(tenant, call):
    document = call("GET", DISCOVERY).json()
    answers = {
        name: call(method, document[name].removeprefix(tenant.issuer)).status_code
        for name, method in {
            "authorization_endpoint": "GET",
            "token_endpoint": "POST",
            "userinfo_endpoint": "GET",
            "jwks_uri": "GET",
        }.items()
    }
    assert answers == {
        "authorization_endpoint": 400,
        "token_endpoint": 400,
        "userinfo_endpoint": 401,
        "jwks_uri": 200,
    }


def test_the_jwks_is_the_tenants(tenant, call):
    response = call("GET", JWKS)
    assert (response.status_code, response.json()) == (200, tenant.jwks())
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "", 404, "Not Found"),
        ("GET", "authorize/", 404, "Not Found"),
        ("GET", "api/v2/resource-servers", 404, "Not Found"),
        ("GET", f"{JWKS}/", 404, "Not Found"),
        ("GET", "/.well-known//jwks.json", 404, "Not Found"),
        ("GET", ".well-known/jwks%2Ejso", 404, "Not Found"),
        ("GET", "%ff%00", 404, "Not Found"),
        ("GET", "oauth/token", 405, "Method Not Allowed"),
        ("OPTIONS", "authorize", 405, "Method Not Allowed"),
        ("POST", "authorize", 405, "Method Not Allowed"),
        ("GET", "u/login", 405, "Method Not Allowed"),
        ("POST", JWKS, 405, "Method Not Allowed"),
        ("BREW", DISCOVERY, 405, "Method Not Allowed"),
    ],
)
def test_where_there_is_nothing_the_answer_says_so_in_json(call, method, path, status, name):
    response = call(method, path)
    assert (response.status_code, response.json()) == (
        status,
        {"statusCode": status, "error": name, "message": name},
    )
    assert response.headers["Content-Type"] == "application/json"


def test_a_wrong_method_is_told_the_right_one(call):
    assert set(call("GET", "oauth/token").headers["Allow"].split(", ")) == {"OPTIONS", "POST"}


def test_head_has_the_headers_of_get_and_no_body(call):
    whole, head = call("GET", JWKS), call("HEAD", JWKS)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(whole.content))


def test_a_path_is_the_same_written_with_percent_signs(call, tenant):
    assert call("GET", ".well-known/jwks%2Ejson").json() == tenant.jwks()


# Scripts of other origins

ORIGIN = {"Origin": "http://localhost:8000"}


@pytest.mark.parametrize(
    ("path", "method"),
    [(DISCOVERY, "GET"), (ALIAS, "GET"), (JWKS, "GET"), ("oauth/token", "POST"), ("userinfo", "GET")],
)
def test_scripts_of_any_origin_may_ask_and_read(call, path, method):
    asked = {**ORIGIN, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization"}
    preflight = call("OPTIONS", path, headers=asked)
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert preflight.headers["Access-Control-Allow-Headers"] == "Authorization, *"
    assert method in preflight.headers["Access-Control-Allow-Methods"]
    answer = call(method, path, headers=ORIGIN)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    # Never with it: then the browser's cookies would count.
    for response in (preflight, answer):
        assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize(("method", "path"), [("GET", "authorize"), ("POST", "u/login")])
def test_what_people_look_at_is_closed_to_scripts(call, method, path):
    assert "Access-Control-Allow-Origin" not in call(method, path, headers=ORIGIN).headers


# Without a socket


def test_a_transport_remembers_its_own_requests(tenant):
    first, second = tenant.transport(), tenant.transport()
    with httpx.Client(transport=first, base_url=tenant.issuer) as client:
        client.get(DISCOVERY)
        client.post("oauth/token?client_secret=do-not-log-me")
    assert first.requests == [("GET", f"/{DISCOVERY}"), ("POST", "/oauth/token")]
    assert second.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.test/",
        "http://tenant.example.test/",
        "https://tenant.example.test:8443/",
        "https://tenant.example.test.elsewhere.test/",
    ],
)
def test_through_a_transport_no_other_host_is_reached(tenant, url):
    transport = tenant.transport()
    with httpx.Client(transport=transport) as client, pytest.raises(httpx.ConnectError):
        client.get(url)
    assert transport.requests == []


def test_the_default_port_is_the_same_host(tenant):
    with httpx.Client(transport=tenant.transport()) as client:
        assert client.get(f"https://tenant.example.test:443/{JWKS}").is_success


def test_a_transport_follows_a_tenant_on_plain_http():
    tenant = Tenant("http://localhost:3000")
    with httpx.Client(transport=tenant.transport()) as client:
        assert client.get("http://localhost:3000/" + DISCOVERY).json()["issuer"] == "http://localhost:3000/"
