"""Sessions of fuzzing: one target each, in a process of its own, for so many seconds."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.changes import LONGEST

ROOT: Final = Path(__file__).parents[2]
SEEDS: Final = Path(__file__).parent / "seeds"
# Octets of an input; of addresses as many as fit in a proof, for the work on them grows with each of them.
LENGTHS: Final = {"htu": 6_000, "forwarding": 10_000}
STARTS_IN: Final = 60  # seconds that a session may take beyond its time


@dataclass(frozen=True)
class Session:
    """What came of one.

    executions: inputs that were tried; kept: those among them that reached code which none before had reached.
    finding: what was found, with the input that shows it; None where nothing was.
    """

    target: str
    seconds: float
    executions: int
    kept: int
    finding: Finding | None = None

    def line(self) -> str:
        pace = f"{self.executions:,} executions in {self.seconds:g} s"
        return f"{self.target:<14} {pace}, {self.kept} inputs kept: {'A FINDING' if self.finding else 'nothing found'}"


@dataclass(frozen=True)
class Finding:
    """text: the traceback, or what libFuzzer says; data: the input; file: where it was left."""

    text: str
    data: bytes
    file: Path


def seeds(target: str) -> list[Path]:
    """The inputs that a session begins with, and that are tried with every run of the tests.

    The part of a file's name before the first dot is what comes out.
    """
    return sorted((SEEDS / target).iterdir())


def fuzz(target: str, seconds: int, corpus: Path | None = None, seed: int = 0) -> Session:
    """One session. corpus: a folder of inputs to go on with, and to add to; seed: another one goes another way."""
    left = Path(tempfile.mkdtemp(prefix=f"jwtgate-fuzz-{target}-"))
    own = corpus or left / "corpus"
    own.mkdir(parents=True, exist_ok=True)
    before = len(list(own.iterdir()))
    flags = [
        f"-max_total_time={seconds}",
        f"-max_len={LENGTHS.get(target, LONGEST)}",
        f"-seed={seed}",
        f"-artifact_prefix={left}/",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
    ]
    command = [sys.executable, "-m", "tests.fuzz.child", target, *flags, str(own), str(SEEDS / target)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=seconds + STARTS_IN, check=False
    )
    return _session(target, seconds, done, len(list(own.iterdir())) - before, left)


def _session(target: str, seconds: int, done: subprocess.CompletedProcess[str], kept: int, left: Path) -> Session:
    counted = re.search(r"number_of_executed_units: +([0-9]+)", done.stderr)
    executions = int(counted[1]) if counted else 0
    if done.returncode == 0 and executions:
        shutil.rmtree(left)
        return Session(target, seconds, executions, kept)
    found = next((path for path in sorted(left.iterdir()) if path.is_file()), None)
    told = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith(("#", "0x", "INFO"))]
    text = "\n".join(told[-60:])
    data = b"" if found is None else found.read_bytes()
    return Session(target, seconds, executions, kept, Finding(text, data, found or left))
