"""A tenant at a loopback address: its name, its log, and how it ends."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import jwt
import pytest

from jwtgate.tenant import BeyondLoopbackWarning, Rule, Tenant, TenantError

DEFAULT = "https://tenant.jwtgate.test/"
DISCOVERY = ".well-known/openid-configuration"


def get(url):
    return httpx.get(url, trust_env=False)


def raw(url, sent):
    """The first line that the server answers to these bytes."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            return answer.read().partition(b"\r\n")[0]


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


# What a tenant is called


@pytest.mark.parametrize(
    ("given", "issuer", "domain"),
    [
        (None, DEFAULT, "tenant.jwtgate.test"),
        ("https://idp.example.com", "https://idp.example.com/", "idp.example.com"),
        ("https://idp.example.com/", "https://idp.example.com/", "idp.example.com"),
        ("http://localhost:3000", "http://localhost:3000/", "localhost:3000"),
        ("http://[::1]:3000/", "http://[::1]:3000/", "[::1]:3000"),
    ],
)
def test_an_issuer_ends_with_a_slash_and_a_domain_does_not(given, issuer, domain):
    tenant = Tenant(given)
    assert (tenant.issuer, tenant.domain) == (issuer, domain)


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        "idp.example.com",
        "ftp://idp.example.com",
        "https://",
        "https://idp.example.com/realms/x",
        "https://idp.example.com//",
        "https://idp.example.com?x=1",
        "https://idp.example.com#x",
        "https://user@idp.example.com",
        "https://idp example.com",
        "https://idp.example.com:port",
        "HTTPS://IDP.example.com",
        "https://idp.example.com/\n",
    ],
)
def test_what_cannot_be_an_issuer_is_refused(issuer):
    with pytest.raises(TenantError) as refused:
        Tenant(issuer)
    assert (refused.value.rule, refused.value.value) == (Rule.ISSUER, issuer)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.2",
        "localhost",
        pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")),
    ],
)
def test_a_tenant_without_an_issuer_is_called_by_its_address_while_it_is_served(host):
    tenant = Tenant()
    with tenant.serve(host) as server:
        shown = f"[{host}]" if ":" in host else host
        assert server.url == f"http://{shown}:{urlsplit(server.url).port}/"
        assert tenant.issuer == server.url
        assert get(server.url + DISCOVERY).json() == tenant.discovery()
        api = tenant.register_api("https://api.example.com/")
        token = tenant.client_credentials(api.test_application, api).access_token
        assert jwt.decode(token, options={"verify_signature": False})["iss"] == server.url
    assert tenant.issuer == DEFAULT


def test_a_tenant_with_an_issuer_keeps_it_wherever_it_is_served():
    tenant = Tenant("https://idp.example.com/")
    with tenant.serve() as first, tenant.serve() as second:
        assert first.url != second.url
        for server in (first, second):
            assert get(server.url + DISCOVERY).json()["issuer"] == "https://idp.example.com/"


def test_a_tenant_without_an_issuer_is_served_once_at_a_time():
    tenant = Tenant()
    with tenant.serve() as server:
        with pytest.raises(TenantError) as refused:
            tenant.serve()
        assert (refused.value.rule, refused.value.value) == (Rule.SERVED_ONCE, server.url)
    with tenant.serve() as server:
        assert tenant.issuer == server.url


# Where it may be served


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "idp.example.com", ""])
def test_an_address_beyond_loopback_is_refused(host):
    with pytest.raises(TenantError) as refused:
        Tenant().serve(host)
    assert (refused.value.rule, refused.value.value) == (Rule.LOOPBACK, host)


def test_an_address_beyond_loopback_is_allowed_with_a_warning():
    # 192.0.2.1 belongs to nobody (RFC 5737): what is allowed here then fails at the address, and nothing is opened.
    with pytest.warns(BeyondLoopbackWarning) as warned, pytest.raises(TenantError) as refused:
        Tenant().serve("192.0.2.1", allow_beyond_loopback=True)
    assert (refused.value.rule, refused.value.value) == (Rule.ADDRESS, ("192.0.2.1", 0))
    assert warned[0].filename == __file__


def test_loopback_needs_no_warning_even_when_more_is_allowed():
    with warnings.catch_warnings(action="error"), Tenant().serve(allow_beyond_loopback=True) as server:
        assert get(server.url + DISCOVERY).is_success


def test_a_taken_port_is_an_error_and_not_the_end_of_the_process():
    with Tenant().serve() as server:
        port = urlsplit(server.url).port
        with pytest.raises(TenantError) as refused:
            Tenant().serve(port=port)
    assert (refused.value.rule, refused.value.value) == (Rule.ADDRESS, ("127.0.0.1", port))


@pytest.mark.parametrize("port", [-1, 65_536])
def test_what_is_no_port_is_an_error(port):
    with pytest.raises(TenantError) as refused:
        Tenant().serve(port=port)
    assert (refused.value.rule, refused.value.value) == (Rule.ADDRESS, ("127.0.0.1", port))


# For whom it answers


def asked(url, host):
    head = b"GET /.well-known/openid-configuration HTTP/1.1\r\n"
    line = b"" if host is None else b"Host: " + host.encode("latin-1") + b"\r\n"
    return int(raw(url, head + line + b"\r\n").split()[1])


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST:{port}", 200),
        ("127.1.2.3:{port}", 200),
        ("[::1]:{port}", 200),
        ("idp.example.com", 200),
        ("IDP.example.com", 200),
        ("idp.example.com:443", 200),
        ("idp.example.com:{port}", 421),
        ("idp.example.com:80", 421),
        ("localhost", 421),
        ("localhost:1", 421),
        ("localhost.:{port}", 421),
        ("localhost:{port}, localhost:{port}", 421),
        ("localhost:{port}@evil.example", 421),
        ("rebound.example:{port}", 421),
        ("localhost.evil.example:{port}", 421),
        ("127.0.0.1.evil.example:{port}", 421),
        ("192.0.2.1:{port}", 421),
        ("0.0.0.0:{port}", 421),
        ("[::1:{port}", 421),
        ("[::g]:{port}", 421),
        ("", 421),
        (None, 421),
    ],
)
def test_it_answers_only_who_calls_it_by_a_name_of_its_own(host, status):
    with Tenant("https://idp.example.com/").serve() as server:
        called = host and host.format(port=urlsplit(server.url).port)
        assert asked(server.url, called) == status


def test_a_target_with_another_host_counts_like_one(capfd):
    with Tenant().serve() as server:
        port = urlsplit(server.url).port
        target = b"GET http://evil.example/.well-known/jwks.json HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % port
        assert raw(server.url, target).split()[1] == b"421"


def test_who_calls_it_by_another_name_is_told_in_json_and_the_log_says_why(caplog):
    caplog.set_level(logging.INFO, logger="jwtgate.tenant")
    with Tenant().serve() as server:
        answer = httpx.get(server.url + DISCOVERY, headers={"Host": "evil.example"}, trust_env=False)
    assert (answer.status_code, answer.json()) == (
        421,
        {"statusCode": 421, "error": "Misdirected Request", "message": "Misdirected Request"},
    )
    assert "Access-Control-Allow-Origin" not in answer.headers
    (line,) = [record.getMessage() for record in caplog.records if record.name == "jwtgate.tenant"]
    assert "Host" in line


def test_without_a_port_a_name_is_that_of_port_80():
    # Nobody may listen there in a test: the environment says so.
    from werkzeug.test import Client

    from jwtgate.tenant.endpoints import Endpoints

    client = Client(Endpoints(Tenant("https://idp.example.com/")))
    assert client.get("/.well-known/jwks.json", base_url="http://localhost/").status_code == 200


# How it lives and ends


def test_the_server_remembers_each_request_it_answered(caplog):
    with Tenant().serve() as server:
        get(server.url + DISCOVERY)
        get(server.url + "nothing-here?secret=x")
        assert server.requests == [("GET", f"/{DISCOVERY}"), ("GET", "/nothing-here")]


def test_a_closed_server_frees_its_address():
    with Tenant().serve() as server:
        assert not server.closed
    assert server.closed
    server.close()
    with pytest.raises(httpx.ConnectError):
        get(server.url)
    with Tenant().serve(port=urlsplit(server.url).port) as again:
        assert again.url == server.url


def test_a_server_is_closed_when_its_block_fails():
    tenant = Tenant()
    with pytest.raises(ZeroDivisionError), tenant.serve() as server:
        1 / 0  # noqa: B018
    assert server.closed


def test_many_clients_at_once_are_all_answered(tenant):
    with tenant.serve() as server, httpx.Client(trust_env=False) as client, ThreadPoolExecutor(50) as pool:
        answers = [answer.json() for answer in pool.map(client.get, [server.url + ".well-known/jwks.json"] * 100)]
        assert answers == [tenant.jwks()] * 100
        assert len(server.requests) == 100


def test_what_is_no_http_is_answered_without_a_word_on_stderr(capfd, caplog):
    caplog.set_level(logging.INFO, logger="jwtgate.tenant")
    with Tenant().serve() as server:
        assert raw(server.url, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n").split()[1] == b"431"
        assert raw(server.url, b"no % request at all\r\n\r\n")
        for target in (b"http://[::1/", b"http://::1]/"):
            request = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % target
            assert raw(server.url, request).split()[1] == b"400"
        assert get(server.url + DISCOVERY).is_success
        assert server.requests == [("GET", f"/{DISCOVERY}")]
    assert capfd.readouterr().err == ""
    assert [record.name for record in caplog.records if record.name != "httpx"] == ["jwtgate.tenant"] * 5


@pytest.mark.parametrize(
    "body",
    [
        b"Transfer-Encoding: chunked\r\n\r\nnot-hex\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"Content-Length: 50\r\n\r\ngrant_type=client_cred",
        b"Content-Length: many\r\n\r\n",
        b"\r\n",
    ],
)
def test_a_body_that_breaks_off_is_a_bad_request(body, capfd):
    with Tenant().serve() as server:
        head = (
            b"POST /oauth/token HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        )
        head %= urlsplit(server.url).port
        assert raw(server.url, head + body).split()[1] == b"400"
    assert capfd.readouterr().err == ""


def test_a_tenant_that_only_signs_needs_neither_werkzeug_nor_httpx():
    script = """if True:
        import sys
        from jwtgate.tenant import Tenant
        tenant = Tenant()
        api = tenant.register_api("https://api.example.com/", signing_algorithm="HS256")
        tenant.client_credentials(api.test_application, api)
        print(sorted({"werkzeug", "httpx", "flask", "starlette", "fastapi"} & set(sys.modules)))
    """
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
