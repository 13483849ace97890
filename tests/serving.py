"""Apps in processes of their own, under real servers on loopback; and examples, with a tenant."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from jwtgate.tenant import Tenant

ROOT: Final = Path(__file__).parents[1]
IDENTIFIER: Final = "https://messages.example/"
START_WITHIN: Final = 30.0  # seconds
FOREIGN: Final = ("API_", "AUTH0_", "FLASK_", "GUNICORN_", "JWTGATE_", "SCRIPT_NAME", "UVICORN_", "WEB_CONCURRENCY")


@dataclass(frozen=True)
class Example:
    """A running example.

    port: on 127.0.0.1; may_read, may_nothing: tokens for it, of a machine with the permission read:messages and of one
    without any; caller: the subject of the former.
    """

    port: int
    may_read: str
    may_nothing: str
    caller: str

    @property
    def tokens(self) -> tuple[str, str]:
        return self.may_read, self.may_nothing


E = TypeVar("E", bound=Example)


@contextlib.contextmanager
def running(kind: type[E], command: str, home: Path, identifier: str = IDENTIFIER) -> Iterator[E]:
    """An example that a shell command starts, with a tenant in this process. Otherwise as `started`."""
    tenant = Tenant()
    with tenant.serve() as served:
        api = tenant.register_api(identifier, permissions=["read:messages"])
        application = tenant.create_application("Reader")
        tenant.authorize(application, api, ["read:messages"])
        settings = {"AUTH0_DOMAIN": served.url.removesuffix("/"), "AUTH0_AUDIENCE": identifier}
        with started(command, home, settings, b"GET /api/public HTTP/1.1") as port:
            yield kind(
                port=port,
                may_read=tenant.client_credentials(application, api).access_token,
                may_nothing=tenant.client_credentials(api.test_application, api).access_token,
                caller=f"{application.client_id}@clients",
            )


@contextlib.contextmanager
def started(command: str, home: Path, settings: dict[str, str], *question: bytes) -> Iterator[int]:
    """The port on 127.0.0.1 at which a shell command serves, once it has answered the question (a request's lines).

    In the command, {fd} is a socket that listens already, so that nobody can come between; {port} is for servers that
    take none. home: a folder of its own; settings: for its environment.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        handed_over = [listening.fileno()] if "{fd}" in command else []
        if not handed_over:
            listening.close()
        log = home / "log"
        with log.open("wb") as output:
            child = subprocess.Popen(
                ["bash", "-c", "exec " + command.format(port=port, fd=listening.fileno())],
                cwd=ROOT,
                env=environment() | settings | {"HOME": str(home)},
                pass_fds=handed_over,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_for(port, child, log, b"\r\n".join([*question, b"Host: localhost", b"Connection: close", b"", b""]))
            yield port
        finally:
            child.terminate()
            child.wait(10)


def environment() -> dict[str, str]:
    """This process's own commands come first; settings of whoever runs the tests are not for the example."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)} | {"PATH": path}


def wait_for(port: int, child: subprocess.Popen[bytes], log: Path, question: bytes) -> None:
    """Until it answers: a socket that listens says nothing of who stands behind it. Raises RuntimeError."""
    deadline = time.monotonic() + START_WITHIN
    while child.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as line:
            line.sendall(question)
            if line.recv(1):
                return
        time.sleep(0.05)
    raise RuntimeError(f"the app must answer within {START_WITHIN:g} s; it said:\n{log.read_text()}")
