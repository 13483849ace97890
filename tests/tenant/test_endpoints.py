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
        ("token_endpoint", "https://tenant.example.test/oauth/token"),
        ("jwks_uri", "https://tenant.example.test/.well-known/jwks.json"),
        ("token_endpoint_auth_methods_supported", ["client_secret_basic", "client_secret_post"]),
        ("grant_types_supported", ["client_credentials"]),
    ]
    assert response.json() == tenant.discovery()


def test_every_url_in_discovery_answers(tenant, call):
    document = call("GET", DISCOVERY).json()
    answers = {
        name: call(method, document[name].removeprefix(tenant.issuer)).status_code
        for name, method in {"token_endpoint": "POST", "jwks_uri": "GET"}.items()
    }
    assert answers == {"token_endpoint": 400, "jwks_uri": 200}


def test_the_jwks_is_the_tenants(tenant, call):
    response = call("GET", JWKS)
    assert (response.status_code, response.json()) == (200, tenant.jwks())
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "", 404, "Not Found"),
        ("GET", "authorize", 404, "Not Found"),
        ("GET", f"{JWKS}/", 404, "Not Found"),
        ("GET", "/.well-known//jwks.json", 404, "Not Found"),
        ("GET", ".well-known/jwks%2Ejso", 404, "Not Found"),
        ("GET", "%ff%00", 404, "Not Found"),
        ("GET", "oauth/token", 405, "Method Not Allowed"),
        ("OPTIONS", "oauth/token", 405, "Method Not Allowed"),
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
    assert call("GET", "oauth/token").headers["Allow"] == "POST"


def test_head_has_the_headers_of_get_and_no_body(call):
    whole, head = call("GET", JWKS), call("HEAD", JWKS)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(whole.content))


def test_a_path_is_the_same_written_with_percent_signs(call, tenant):
    assert call("GET", ".well-known/jwks%2Ejson").json() == tenant.jwks()


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
