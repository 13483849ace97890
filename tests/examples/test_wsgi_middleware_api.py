"""The example without a framework, under gunicorn, answers as its page says."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse

import pytest

from tests.serving import Example, running

COMMAND = "gunicorn --bind fd://{fd} --threads 4 examples.wsgi_middleware_api:app"
BARE = [
    ("Cache-Control", "no-store"),
    ("Content-Type", "application/json"),
    ("WWW-Authenticate", 'Bearer realm="api"'),
    ("Content-Length", "2"),
]

Answer = tuple[int, list[tuple[str, str]], bytes]


@dataclass(frozen=True)
class Running(Example):
    """With header lines: of a machine that may read messages, and of one that may nothing."""

    @property
    def reader(self) -> str:
        return bearer(self.may_read)

    @property
    def nobody(self) -> str:
        return bearer(self.may_nothing)

    def ask(self, target: str, *lines: str, method: str = "GET") -> Answer:
        """Status, header lines and body, without the lines that the server adds to every answer."""
        sent = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *lines, "", ""])
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(sent.encode("latin-1"))
            response = HTTPResponse(connection, method=method)
            response.begin()
            ours = [line for line in response.getheaders() if line[0] not in ("Server", "Date", "Connection")]
            return response.status, ours, response.read()


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(Running, COMMAND, tmp_path_factory.mktemp("example")) as example:
        yield example


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


def test_the_public_route_is_open(example: Running) -> None:
    status, _, body = example.ask("/api/public")
    assert status == 200
    assert body == b'{"message": "Hello from a public endpoint! You don\'t need to be authenticated to see this."}'


def test_the_private_route_asks_for_a_token(example: Running) -> None:
    assert example.ask("/api/private") == (401, BARE, b"{}")
    assert example.ask("/api/private", method="HEAD") == (401, BARE, b"")


def test_the_private_route_takes_any_token_for_this_api(example: Running) -> None:
    answers = [example.ask("/api/private", line) for line in (example.reader, example.nobody)]
    assert [(status, b'@clients"' in body) for status, _, body in answers] == [(200, True), (200, True)]


def test_the_scoped_route_takes_only_one_that_may_read(example: Running) -> None:
    assert example.ask("/api/private-scoped", example.reader)[0] == 200
    status, headers, _ = example.ask("/api/private-scoped", example.nobody)
    assert (status, headers[2][0]) == (403, "WWW-Authenticate")
    assert headers[2][1].endswith(
        'error="insufficient_scope", error_description="The access token does not allow this request."'
        ', scope="read:messages"'
    )


def test_what_is_not_named_is_closed(example: Running) -> None:
    assert example.ask("/api/elsewhere") == (401, BARE, b"{}")
    assert example.ask("/api/public/") == (401, BARE, b"{}")
    assert example.ask("/api/elsewhere", example.reader)[0] == 404


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["{reader}", "{reader}"], 400),
        (["{reader}", "authorization:"], 400),
        (["Authorization: Bearer caf\xe9"], 400),
        (["Authorization: \xff\xfe"], 401),
        (["Authorization:"], 401),
    ],
)
def test_odd_headers_are_no_fault_of_the_server(example: Running, lines: list[str], status: int) -> None:
    assert example.ask("/api/private", *[line.format(reader=example.reader) for line in lines])[0] == status


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://localhost/api/public", 200),
        ("//api/public", 401),
        ("/api/%70ublic", 200),
        ("/api%2fpublic", 401),
        ("/api/private/../public", 401),
        ("/api/public;x", 401),
        ("/api/public%00", 401),
        ("/api/public%ff", 401),
    ],
)
def test_only_a_plain_path_is_public(example: Running, target: str, status: int) -> None:
    assert example.ask(target)[0] == status


def test_no_spelling_loses_its_requirement(example: Running) -> None:
    targets = ["/api/private-scoped/", "/api//private-scoped", "/x/..;/api/private-scoped", "/api%2fprivate-scoped"]
    assert [example.ask(target, example.nobody)[0] for target in targets] == [403] * 4


def test_a_browsers_preflight_reaches_the_api(example: Running) -> None:
    asked = ["Origin: https://app.example", "Access-Control-Request-Method: GET"]
    assert example.ask("/api/private", *asked, method="OPTIONS")[0] == 200
    assert example.ask("/api/private", method="OPTIONS")[0] == 401
