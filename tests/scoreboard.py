"""`python -m tests.scoreboard`: what holds against hostile input, in figures; it fails where one falls short.

The attacks and the vectors are run, each fuzzer goes for some seconds, refusals are timed, and mutants are counted:
anew (`--mutants all`, which takes hours), or as a run before left them (`--mutants FOLDER`). `--write` puts the figures
into docs/explanation/security.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.conformance import cost
from tests.conformance.attacks import corpus

HERE: Final = Path(__file__).parent
PAGE: Final = HERE.parent / "docs" / "explanation" / "security.md"
BEGIN: Final = "<!-- scoreboard -->"
END: Final = "<!-- /scoreboard -->"
KILLED: Final = 0.95  # of the core's mutants


@dataclass(frozen=True, slots=True)
class Score:
    """One line. good: None where nothing was tried."""

    name: str
    figure: str
    good: bool | None

    def line(self) -> str:
        mark = {True: "holds", False: "FALLS SHORT", None: "not tried"}[self.good]
        return f"| {self.name} | {self.figure} | {mark} |"


def command(*arguments: str) -> tuple[bool, str]:
    """Whether it ended well, and what it printed."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=HERE.parent, check=False)
    return done.returncode == 0, done.stdout


def tests_in(*paths: str) -> tuple[bool, int, int]:
    """Whether all of them hold; how many passed, and how many were skipped."""
    good, said = command("-m", "pytest", "-q", "-p", "no:cacheprovider", *paths)
    counts = {name: int(number) for number, name in re.findall(r"(\d+) (passed|skipped|failed|error)", said)}
    return good, counts.get("passed", 0), counts.get("skipped", 0)


def attacks() -> Score:
    counted = corpus.counted()
    good, passed, skipped = tests_in("tests/conformance/attacks")
    figure = f"{counted['ids']} published ids, {counted['cases']} cases, {passed:,} runs of them, {skipped} skipped"
    return Score("attacks", figure, good)


def vectors() -> Score:
    if not os.environ.get("JWTGATE_VECTORS"):
        return Score("published vectors", "$JWTGATE_VECTORS is not set", None)
    files = sorted((HERE / "conformance").glob("test_*_vectors.py"))
    good, passed, skipped = tests_in(*(str(file.relative_to(HERE.parent)) for file in files))
    return Score("published vectors", f"{passed:,} tests of them, {skipped} skipped", good and not skipped)


def fuzzing(seconds: int) -> Score:
    good, said = command("-m", "tests.fuzz", "all", "--seconds", str(seconds))
    found = re.search(r"^all +([\d,]+) executions", said, re.MULTILINE)
    if found is None:
        return Score("fuzzing", "atheris is not installed", None)
    return Score("fuzzing", f"{found[1]} executions, {seconds} s for each target", good)


def refusals(slack: float) -> Score:
    costs = cost.measure_all()
    slowest = max(costs, key=lambda each: each.seconds)
    over = [each for each in costs if each.kept > slack]
    longest = f"the slowest {slowest.seconds * 1e3:.2f} ms ({slowest.probe.group})"
    return Score("what a refusal costs", f"{len(costs)} inputs, {longest}, {len(over)} too slow", not over)


def mutants(where: str | None) -> Score:
    if where is None:
        return Score("mutants of the core", "not counted", None)
    folder = Path(where)
    if where == "all":
        command("-m", "tests.mutation", "--jobs", str(os.cpu_count() or 1), "--folder", "build/mutation")
        folder = HERE.parent / "build" / "mutation"
    # One run may have left one file, or several runs one for each module.
    found = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    counts = {module: counted for each in found for module, counted in each["counts"].items()}
    survivors = sum(counted["survived"] for counted in counts.values())
    tried = sum(sum(counted.values()) for counted in counts.values())
    figure = f"{tried:,} in {len(counts)} modules, {1 - survivors / tried:.1%} noticed; {survivors} survivors"
    return Score("mutants of the core", figure, 1 - survivors / tried >= KILLED)


def write(lines: Sequence[str]) -> None:
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text("\n".join([f"{before}{BEGIN}", *lines, f"{END}{after}"]))


def main(arguments: Sequence[str] | None = None) -> int:
    asks = argparse.ArgumentParser(prog="python -m tests.scoreboard", description=__doc__)
    asks.add_argument("--seconds", type=int, default=10, help="of each fuzzer (10)")
    asks.add_argument(
        "--mutants", metavar="FOLDER", help="with the results of a run or of several, or `all` for a new run"
    )
    asks.add_argument("--slack", type=float, default=1, help="times what refusals may cost, on a busy machine (1)")
    asks.add_argument("--write", action="store_true", help="the figures into the page on security")
    asked = asks.parse_args(arguments)
    scores = [attacks(), vectors(), mutants(asked.mutants), fuzzing(asked.seconds), refusals(asked.slack)]
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}"
    lines = ["| | figure | |", "|---|---|---|", *(score.line() for score in scores), "", f"Measured on {machine}."]
    print("\n".join(lines))
    if asked.write:
        write(lines)
    return 0 if all(score.good is not False for score in scores) else 1


if __name__ == "__main__":
    sys.exit(main())
