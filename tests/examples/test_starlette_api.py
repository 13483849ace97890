"""The Starlette example under uvicorn answers as its page says, over HTTP and over a WebSocket."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from jwtgate.tenant import Tenant

ROOT = Path(__file__).parents[2]
IDENTIFIER = "https://messages.example/"
START_WITHIN = 30.0  # seconds
EXAMPLE = "examples.starlette_api:app"
BARE = [
    ("cache-control", "no-store"),
    ("content-type", "application/json"),
    ("www-authenticate", 'Bearer realm="api"'),
    ("content-length", "2"),
]

Headers = dict[str, str]


@dataclass(frozen=True)
class Running:
    """The example, and headers for it: of a machine that may read messages, and of one that may nothing."""

    address: str
    reader: Headers
    nobody: Headers

    def get(self, path: str, headers: Headers | None = None, method: str = "GET") -> httpx.Response:
        return httpx.request(method, f"http://{self.address}{path}", headers=headers, trust_env=False)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    tenant = Tenant()
    log = tmp_path_factory.mktemp("uvicorn") / "log"
    with tenant.serve() as served, socket.create_server(("127.0.0.1", 0)) as listening, log.open("wb") as output:
        api = tenant.register_api(IDENTIFIER, permissions=["read:messages"])
        application = tenant.create_application("Reader")
        tenant.authorize(application, api, ["read:messages"])
        running = Running(
            address=f"127.0.0.1:{listening.getsockname()[1]}",
            reader=bearer(tenant.client_credentials(application, api).access_token),
            nobody=bearer(tenant.client_credentials(api.test_application, api).access_token),
        )
        settings = {"AUTH0_DOMAIN": served.url.removesuffix("/"), "AUTH0_AUDIENCE": IDENTIFIER}
        child = subprocess.Popen(
            # The port is taken already, and is handed over: nobody can come between.
            [sys.executable, "-m", "uvicorn", EXAMPLE, "--fd", str(listening.fileno())],
            cwd=ROOT,
            env=environment() | settings,
            pass_fds=[listening.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(running, child, log)
            yield running
        finally:
            child.terminate()
            child.wait(10)


def environment() -> dict[str, str]:
    """Settings of whoever runs this test are not for the example."""
    foreign = ("API_", "AUTH0_", "JWTGATE_", "UVICORN_", "WEB_CONCURRENCY")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def wait_for(running: Running, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    while child.poll() is None and time.monotonic() < deadline:
        try:
            running.get("/api/public")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the example must answer within {START_WITHIN:g} s; it said:\n{log.read_text()}")


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
