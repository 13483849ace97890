"""What an import takes, each time in a fresh interpreter; and what a remembered token keeps of the memory."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.benchmarks import material, plain
from tests.benchmarks.measuring import Figure, figure
from tests.benchmarks.rows import Findings
from tests.benchmarks.verifying import threads_verifier
from tests.serving import ROOT, environment

# What is imported before, and does not count; and what does. An adapter's framework is one that the app uses itself.
STARLETTE: Final = (
    "import starlette.applications, starlette.authentication, starlette.middleware.authentication, "
    "starlette.responses, starlette.routing, starlette.websockets"
)
IMPORTS: Final = {
    "jwt": ("pass", "import jwt"),
    "jwtgate": ("pass", "import jwtgate"),
    # The names are imported when they are asked for; and what a verification needs, when a verifier is made.
    "names": ("pass", "from jwtgate import *"),
    "ready": ("pass", "from jwtgate import *; Verifier(ApiSettings(identifier='a', domain='a.test.example'))"),
    "asgi": ("pass", "import jwtgate.asgi"),
    "starlette": (STARLETTE, "import jwtgate.starlette"),
    "fastapi": ("import fastapi", "import jwtgate.fastapi"),
    "flask": ("import flask", "import jwtgate.flask"),
}
# Processor time of the process: what others do meanwhile does not count.
TIMED: Final = "{before}\nimport time; began = time.process_time()\n{statement}\nprint(time.process_time() - began)"


@dataclass(frozen=True, slots=True)
class Scale:
    """rounds: of all imports; tokens: that are remembered."""

    rounds: int = 15
    tokens: int = 1_000


def _taken(name: str, bytecode: str) -> float:
    before, statement = IMPORTS[name]
    program = TIMED.format(before=f"{plain.HIDDEN if plain.on() else ''}{before}", statement=statement)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=_environment(bytecode),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def _environment(bytecode: str) -> dict[str, str]:
    """Installed packages are compiled, and a clone's source is too, where nobody forbids it: here all of them are."""
    told = environment() | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONPYCACHEPREFIX": bytecode}
    return {name: value for name, value in told.items() if name != "PYTHONDONTWRITEBYTECODE"}


def imports(scale: Scale) -> Findings:
    order = random.Random(1)
    taken: dict[str, list[float]] = {name: [] for name in IMPORTS}
    with tempfile.TemporaryDirectory() as bytecode:
        for _ in range(scale.rounds + 1):
            for name in order.sample(list(IMPORTS), len(IMPORTS)):
                taken[name].append(_taken(name, bytecode))
    # The first round writes the bytecode.
    counted = {name: each[1:] for name, each in taken.items()}
    ratios = {f"import.{name}": _to_jwt(counted, name) for name in ("jwtgate", "names", "ready")}
    figures = {f"import.{name}": _milliseconds(counted[name]) for name in ("asgi", "starlette", "fastapi", "flask")}
    return Findings(ratios | figures)


def _to_jwt(taken: Mapping[str, Sequence[float]], name: str) -> Figure:
    return figure([own / base for own, base in zip(taken[name], taken["jwt"], strict=True)])


def _milliseconds(seconds: Sequence[float]) -> Figure:
    return figure([each * 1e3 for each in seconds])


def memory(scale: Scale) -> Findings:
    """The texts are made anew for the verifier alone, as a server's are."""
    octets = [text.encode() for text in material.tokens("RS256", scale.tokens)]
    verifier = threads_verifier()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for each in [*octets, *octets]:  # perhaps a token is remembered when it comes again
            verifier.verify(each.decode())
        kept = (tracemalloc.get_traced_memory()[0] - before) / len(octets)
    finally:
        tracemalloc.stop()
    return Findings({"memory.token": Figure(kept / 1024, kept / 1024, kept / 1024)})


def run(scale: Scale) -> Findings:
    findings = imports(scale)
    findings.add(memory(scale))
    return findings
