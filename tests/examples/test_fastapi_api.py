"""The FastAPI example under uvicorn: real sockets, and every octet that goes over them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse

import pytest

from tests.serving import Example, running

COMMAND = "uvicorn examples.fastapi_api:app --fd {fd}"


@dataclass(frozen=True)
class Running(Example):
    """{token} in a header line is the token of a machine that may read messages."""

    def ask(self, *lines: bytes, path: str = "/api/private", method: str = "GET") -> tuple[int, HTTPResponse, bytes]:
        """Status, answer and body for a request with just these header lines after Host."""
        head = [f"{method} {path} HTTP/1.1".encode("latin-1"), b"Host: localhost", b"Connection: close"]
        octets = b"\r\n".join([*head, *lines, b"", b""]).replace(b"{token}", self.may_read.encode())
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(octets)
            response = HTTPResponse(connection, method=method)
            response.begin()
            return response.status, response, response.read()


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(Running, COMMAND, tmp_path_factory.mktemp("example")) as example:
        yield example


def bearer(token: str) -> bytes:
    return f"Authorization: Bearer {token}".encode()


# --- what its page says -------------------------------------------------------------------------------------


def test_the_public_route_is_open(example: Running) -> None:
    status, _, body = example.ask(path="/api/public")
    assert (status, b"You don't need to be authenticated" in body) == (200, True)


def test_the_private_route_asks_for_a_token(example: Running) -> None:
    status, response, body = example.ask()
    assert (status, body) == (401, b"{}")
    assert response.headers.get_all("WWW-Authenticate") == ['Bearer realm="api"']
    assert response.headers.get_all("Content-Type") == ["application/json"]


def test_the_private_route_takes_any_token_for_this_api(example: Running) -> None:
    assert [example.ask(bearer(token))[0] for token in example.tokens] == [200, 200]


def test_the_scoped_route_takes_only_one_that_may_read(example: Running) -> None:
    answers = [example.ask(bearer(token), path="/api/private-scoped") for token in example.tokens]
    assert [status for status, _, _ in answers] == [200, 403]
    (challenge,) = answers[1][1].headers.get_all("WWW-Authenticate") or []
    assert challenge == (
        'Bearer realm="api", error="insufficient_scope", '
        'error_description="The access token does not allow this request.", scope="read:messages"'
    )


def test_its_page_shows_what_each_route_requires(example: Running) -> None:
    assert example.ask(path="/docs")[0] == 200
    paths = json.loads(example.ask(path="/openapi.json")[2])["paths"]
    required = {path: [*item["get"].get("security", [{}])[0].values()] for path, item in paths.items()}
    assert required == {"/api/public": [], "/api/private": [[]], "/api/private-scoped": [["read:messages"]]}


# --- octets -------------------------------------------------------------------------------------------------

LINES = {
    "as it should be": ([b"Authorization: Bearer {token}"], 200),
    "an upper-case name and scheme": ([b"AUTHORIZATION: BEARER {token}"], 200),
    "no space after the colon": ([b"Authorization:Bearer {token}"], 200),
    "tabs around the value": ([b"Authorization:\t Bearer {token} \t"], 200),
    "a tab within": ([b"Authorization: Bearer\t{token}"], 400),
    "two lines": ([b"Authorization: Bearer {token}", b"Authorization: Bearer {token}"], 400),
    "two lines in different case": ([b"Authorization: Bearer {token}", b"authorization: Bearer {token}"], 400),
    "two lines, the second empty": ([b"Authorization: Bearer {token}", b"Authorization:"], 400),
    "two lines of two schemes": ([b"Authorization: Basic eDp5", b"Authorization: Bearer {token}"], 400),
    "one line, joined by a comma": ([b"Authorization: Bearer {token}, Bearer {token}"], 400),
    "an empty value": ([b"Authorization:"], 401),
    "an empty token": ([b"Authorization: Bearer "], 400),
    "Latin-1": ([b"Authorization: Bearer caf\xe9"], 400),
    "UTF-8": ([b"Authorization: Bearer caf\xc3\xa9"], 400),
    "every high octet": ([b"Authorization: Bearer " + bytes(range(0x80, 0x100))], 400),
    "a high octet as scheme": ([b"Authorization: \xff {token}"], 401),
    "an underscore within": ([b"Author_ization: Bearer {token}"], 401),
    "a proxy's header": ([b"Proxy-Authorization: Bearer {token}"], 401),
}


@pytest.mark.parametrize(("lines", "status"), LINES.values(), ids=LINES)
def test_the_server_hands_over_what_was_sent(example: Running, lines: list[bytes], status: int) -> None:
    answered, response, body = example.ask(*lines)
    assert answered == status
    # The gate's own answer, and not the server's.
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers.get("Cache-Control") == (None if status == 200 else "no-store")
    assert body.startswith(b"{")


@pytest.mark.parametrize("path", ["/api/private?x=\xff", "/api/private%ff", "/api/%00", "//api/private"])
def test_an_odd_path_is_no_fault_of_the_server(example: Running, path: str) -> None:
    assert example.ask(path=path)[0] in (400, 401, 404)
