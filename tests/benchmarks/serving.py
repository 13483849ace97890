"""Real servers in processes of their own: what a guarded route costs them beside the same one without a guard."""

from __future__ import annotations

import json
import random
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tests.benchmarks import apps, material, plain
from tests.benchmarks.load import Client, Load, connected, get
from tests.benchmarks.measuring import WARMING, Figure, again, figure, in_turn
from tests.benchmarks.rows import Findings
from tests.serving import ROOT, environment, wait_for

# By port: of a socket that it is handed, uvicorn does not know that it is TCP, and leaves Nagle's algorithm on.
UVICORN: Final = "uvicorn --factory tests.benchmarks.apps:{app} --port {port} --no-access-log --log-level warning"
# One worker that keeps connections, as behind a proxy.
GUNICORN: Final = "gunicorn tests.benchmarks.apps:{app}() -b 127.0.0.1:{port} -k gthread --threads 1 --keep-alive 60"
# `pip install 'uvicorn[standard]'` brings a parser and an event loop in C; of `pip install uvicorn` both are Python's.
PLAIN: Final = f"{UVICORN} --http h11 --loop asyncio"
SERVERS: Final = {
    "fastapi": UVICORN,
    "fastapi-plain": PLAIN,
    "starlette": UVICORN,
    "starlette-plain": PLAIN,
    "asgi": UVICORN,
    "asgi-plain": PLAIN,
    "flask": GUNICORN,
    "auth0": UVICORN,
}
KINDS: Final = ("open", "cold", "warm")


@dataclass(frozen=True, slots=True)
class Scale:
    """rounds: of each comparison; size: requests in a block; others: is auth0-fastapi-api measured too?"""

    rounds: int = 24
    size: int = 320
    others: bool = True
    frameworks: Sequence[str] = tuple(name for name in SERVERS if name != "auth0")


@dataclass(frozen=True, slots=True)
class Served:
    """An app under a server. port: on 127.0.0.1; worker: the process that answers."""

    port: int
    worker: int

    def processor_time(self) -> float:
        """Seconds that the worker has had a processor, in all of its threads."""
        # clock_getcpuclockid(3) of another process; Linux alone.
        return time.clock_gettime((~self.worker << 3) | 2)


@contextmanager
def served(app: str) -> Iterator[Served]:
    with tempfile.TemporaryDirectory() as home:
        port = _free_port()
        log = Path(home) / "log"
        with log.open("wb") as output:
            child = subprocess.Popen(
                plain.command(*SERVERS[app].format(app=app.partition("-")[0], port=port).split()),
                cwd=ROOT,
                env=environment() | {apps.KEYS: json.dumps(material.jwks("RS256"))},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_for(port, child, log, get("/open"))
            yield Served(port, _worker(child.pid))
        finally:
            child.terminate()
            child.wait(20)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _worker(pid: int) -> int:
    """gunicorn's only worker is a child of its master; uvicorn answers itself."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else pid


@dataclass(slots=True)
class Taken:
    """Of one server and one kind of request, by round: seconds of processor time for each request; of the clock, for
    each; and how long each answer took."""

    processor: list[float] = field(default_factory=list)
    clock: list[float] = field(default_factory=list)
    each: list[float] = field(default_factory=list)

    def add(self, processor: float, load: Load) -> None:
        self.processor.append(processor / len(load.each))
        self.clock.append(load.seconds / len(load.each))
        self.each += load.each


Results = dict[tuple[str, str], Taken]


def _compete(servers: dict[str, Served], scale: Scale, seed: int = 1) -> Results:
    """Each server has a block of each kind in each round, in an order that is shuffled."""
    texts = material.tokens("RS256", _count(scale))
    blocks = {
        # With the same lines: that a server reads them is not the guard's doing.
        "open": in_turn([get("/open", text) for text in texts], scale.size),
        "cold": in_turn([get("/guarded", text) for text in texts], scale.size),
        "warm": again(get("/guarded", texts[0]), scale.size),
    }
    results: Results = {(name, kind): Taken() for name in servers for kind in KINDS}
    order = random.Random(seed)
    with connected(*(one.port for one in servers.values())) as clients:
        lines: dict[str, Client] = dict(zip(servers, clients, strict=True))
        for number in range(scale.rounds + WARMING):
            for name, kind in order.sample(list(results), len(results)):
                requests = blocks[kind](number)
                began = servers[name].processor_time()
                load = lines[name].send(requests)
                if number >= WARMING:
                    results[name, kind].add(servers[name].processor_time() - began, load)
    return results


def _count(scale: Scale) -> int:
    return (scale.rounds + WARMING) * scale.size


def run(scale: Scale) -> Findings:
    """Each framework by itself; FastAPI beside the other library's app."""
    findings = Findings()
    for framework in scale.frameworks:
        wanted = [framework]
        if framework == "fastapi" and scale.others and find_spec("fastapi_plugin"):
            wanted.append("auth0")
        with ExitStack() as ending:
            servers = {name: ending.enter_context(served(name)) for name in wanted}
            results = _compete(servers, scale)
        _tell(framework, results, findings)
    return findings


def _tell(framework: str, results: Results, findings: Findings) -> None:
    figures, unguarded = findings.figures, results[framework, "open"]
    for kind in ("cold", "warm"):
        row, guarded = f"http.{framework}.{kind}", results[framework, kind]
        figures[row] = _ratio(guarded.processor, unguarded.processor)
        other = results.get(("auth0", kind))
        if other is not None:
            findings.peers[row] = {"auth0-fastapi-api": _ratio(other.processor, results["auth0", "open"].processor)}
            figures[f"http.auth0.{kind}"] = _ratio(other.clock, guarded.clock)
    if framework in ("fastapi", "flask"):
        figures[f"http.{framework}.open"] = figure([seconds * 1e6 for seconds in unguarded.processor])
    if framework == "fastapi":
        for kind in KINDS:
            figures[f"http.fastapi.p99.{kind}"] = _p99(results[framework, kind].each)


def _ratio(own: Sequence[float], base: Sequence[float]) -> Figure:
    return figure([one / other for one, other in zip(own, base, strict=True)])


def _p99(each: Sequence[float]) -> Figure:
    value = statistics.quantiles(each, n=100)[98] * 1e3
    return Figure(value, value, value)
