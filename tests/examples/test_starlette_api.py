"""The Starlette example under uvicorn answers as its page says, over HTTP and over a WebSocket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.serving import Example, running

COMMAND = "uvicorn examples.starlette_api:app --fd {fd}"
BARE = [
    ("cache-control", "no-store"),
    ("content-type", "application/json"),
    ("www-authenticate", 'Bearer realm="api"'),
    ("content-length", "2"),
]

Headers = dict[str, str]


@dataclass(frozen=True)
class Running(Example):
    """With headers: of a machine that may read messages, and of one that may nothing."""

    @property
    def reader(self) -> Headers:
        return bearer(self.may_read)

    @property
    def nobody(self) -> Headers:
        return bearer(self.may_nothing)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def get(self, path: str, headers: Headers | None = None, method: str = "GET") -> httpx.Response:
        return httpx.request(method, f"http://{self.address}{path}", headers=headers, trust_env=False)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(Running, COMMAND, tmp_path_factory.mktemp("example")) as example:
        yield example


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def answer(response: httpx.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, header lines and body, without the lines that a server adds to every answer."""
    lines = [line for line in response.headers.multi_items() if line[0] not in ("date", "server")]
    return response.status_code, lines, response.content


def test_the_public_route_is_open(example: Running) -> None:
    response = example.get("/api/public")
    assert response.status_code == 200
    assert response.json() == {
        "message": "Hello from a public endpoint! You don't need to be authenticated to see this."
    }


def test_the_private_route_asks_for_a_token(example: Running) -> None:
    assert answer(example.get("/api/private")) == (401, BARE, b"{}")
    assert answer(example.get("/api/private", method="HEAD")) == (401, BARE, b"")


def test_the_private_route_takes_any_token_for_this_api(example: Running) -> None:
    for headers in (example.reader, example.nobody):
        response = example.get("/api/private", headers)
        assert response.status_code == 200
        assert response.json()["caller"].endswith("@clients")


def test_the_scoped_route_takes_only_one_that_may_read(example: Running) -> None:
    assert example.get("/api/private-scoped", example.reader).status_code == 200
    refused = example.get("/api/private-scoped", example.nobody)
    assert refused.status_code == 403
    assert refused.headers["www-authenticate"].endswith(
        'error="insufficient_scope", error_description="The access'
        ' token does not allow this request.", scope="read:messages"'
    )


def test_the_websocket_takes_only_one_that_may_read(example: Running) -> None:
    address = f"ws://{example.address}/api/messages"
    with connect(address, additional_headers=example.reader, proxy=None) as session:
        assert json.loads(session.recv())["caller"].endswith("@clients")
    for headers, status in (({}, 401), (example.nobody, 403)):
        with pytest.raises(InvalidStatus) as refused, connect(address, additional_headers=headers, proxy=None):
            pass
        response = refused.value.response
        assert response.status_code == status
        http = example.get("/api/private-scoped", headers)
        assert response.headers["WWW-Authenticate"] == http.headers["WWW-Authenticate"]
        assert response.body == http.content
