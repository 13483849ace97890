"""Servers and proofs for the tests of stores."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

import pytest

from jwtgate.core.effects import RememberProof
from tests.making import NOW

STARTS_WITHIN: Final = 20.0  # seconds


def proof(jti: str = "1", jkt: str = "key", *, expires: float = NOW + 90, limit: int = 1_000) -> RememberProof:
    return RememberProof(jkt, sha256(f"{jkt}\0{jti}".encode()).digest(), expires, limit)


class RedisServer:
    """Keeps nothing on a disk: what it knew is gone when it was stopped."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options = folder, options
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        command += ["--save", "", "--appendonly", "no", "--daemonize", "no", *self.options]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + STARTS_WITHIN
        while self._says(b"PING\r\n")[:1] not in (b"+", b"-"):  # it answers, perhaps that it wants a password
            assert self.process.poll() is None, (self.folder / "redis.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(10)

    def freeze(self) -> None:
        """It takes connections, and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def _says(self, command: bytes) -> bytes:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as line:
            line.sendall(command)
            return line.recv(64)
        return b""


@contextlib.contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """A real server on a free loopback port; where there is none, the test says how to get one."""
    pytest.importorskip("redis", reason="needs the Python package redis: pip install 'jwtgate[redis]'")
    if shutil.which("redis-server") is None:
        pytest.skip("needs a Redis server: apt-get install redis-server")
    with RedisServer(folder) as server:
        yield server


class Losing:
    """Stands between a client and a server, and loses the answer to the first question in which this is."""

    def __init__(self, port: int, question: bytes) -> None:
        self._question, self._to = question, port
        self._asked, self._lost = threading.Event(), threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._lines: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for line in self._lines:
            line.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                self._lines += [client, server]
                for source, sink, passes in ((client, server, self._ask), (server, client, self._answer)):
                    thread = threading.Thread(target=self._carry, args=(source, sink, passes), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _ask(self, octets: bytes) -> bool:
        if self._question in octets:
            self._asked.set()
        return True

    def _answer(self, octets: bytes) -> bool:
        if not self._asked.is_set() or self._lost.is_set():
            return True
        self._lost.set()
        return False

    def _carry(self, source: socket.socket, sink: socket.socket, passes: Callable[[bytes], bool]) -> None:
        with contextlib.suppress(OSError):
            while (octets := source.recv(65_536)) and passes(octets):
                sink.sendall(octets)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
