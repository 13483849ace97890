"""`python -m tests.benchmarks`: what a verified request costs, beside its signature and beside other libraries."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks import plain, report
from tests.benchmarks.peers import PEERS
from tests.benchmarks.rows import ROWS, Findings
from tests.benchmarks.section import QUICK, SECTIONS
from tests.serving import ROOT

# Libraries that cryptography, or nobody but Python, verifies for. The Rust-backed ones stand beside us as they are.
AHEAD_OF = frozenset({peer.package for peer in PEERS if not peer.rust} | {"auth0-fastapi-api"})


def main(arguments: list[str] | None = None) -> int:
    """1 where `--check` finds that something is not reached."""
    asks = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    asks.add_argument("--quick", action="store_true", help="a smoke test: seconds, and no figures worth reading")
    asks.add_argument("--check", action="store_true", help="leave with 1 where something is not reached")
    asks.add_argument("--only", choices=SECTIONS, action="append", help="this part; may be given again")
    asks.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    asks.add_argument("--redraw", action="store_true", help="write the page again, from the figures that are kept")
    asked = asks.parse_args(arguments)
    if asked.redraw:
        report.publish(json.loads(report.KEPT.read_text(encoding="utf-8")))
        return 0
    machine = report.machine()
    print(report.described(machine), flush=True)
    found, faster = measure(asked.only or SECTIONS, quick=asked.quick)
    print(report.tables(found, faster))
    whole = {"machine": machine, "plain": found.to_json(), "speed": faster.to_json() if faster else None}
    if asked.json is not None:
        asked.json.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    if not asked.quick and found.figures.keys() == ROWS.keys():  # a part of them is no page
        report.publish(whole)
    missed = [*found.missed(ahead_of=AHEAD_OF), *(faster.missed(speed=True, ahead_of=AHEAD_OF) if faster else ())]
    print("\n".join(["", *missed, f"{len(missed)} not reached, of {len(found.figures)} rows"]))
    return 1 if asked.check and missed else 0


def measure(sections: Any, *, quick: bool) -> tuple[Findings, Findings | None]:
    """Without the extra `speed`; and with it, where it is installed and what it changes."""
    found = Findings()
    for name in sections:
        found.add(run(name, QUICK[name] if quick else {}, speed=False))
    if "verifying" not in sections or not speed_is_installed():
        return found, None
    return found, run("verifying", QUICK["verifying"] if quick else {}, speed=True)


def speed_is_installed() -> bool:
    return all(importlib.util.find_spec(name) for name in ("orjson", "pybase64"))


def run(name: str, scale: dict[str, Any], *, speed: bool) -> Findings:
    """A section in a process of its own."""
    began = time.monotonic()
    own = {key: value for key, value in os.environ.items() if key != plain.PLAIN}
    through = [] if speed else [plain.NAME]
    command = [sys.executable, "-m", *through, "tests.benchmarks.section", name, json.dumps(scale)]
    done = subprocess.run(command, cwd=ROOT, env=own, stdout=subprocess.PIPE, text=True, check=True)
    print(f"{name}{' with speed' if speed else ''}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return Findings.from_json(json.loads(done.stdout))


if __name__ == "__main__":
    sys.exit(main())
