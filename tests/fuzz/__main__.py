"""`python -m tests.fuzz TARGET --seconds 10`: what a stranger can send, made up by what sees which code it reaches."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.sessions import SEEDS, Session, fuzz


def main() -> int:
    known = sorted(path.name for path in SEEDS.iterdir())
    asks = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    asks.add_argument("targets", nargs="+", metavar="TARGET", choices=["all", *known], help=f"all, {', '.join(known)}")
    asks.add_argument("--seconds", type=int, default=10, help="of each target (10)")
    asks.add_argument("--jobs", type=int, default=1, help="targets at the same time (1)")
    asks.add_argument("--corpus", type=Path, help="a folder of inputs to go on with, and to add to; by target")
    asks.add_argument("--seed", type=int, default=0, help="another number goes another way; 0, a new way each time")
    asks.add_argument("--replay", type=Path, help="try the input in this file alone, without atheris")
    asked = asks.parse_args()
    targets = known if "all" in asked.targets else asked.targets
    if asked.replay is not None:
        return replay(targets, asked.replay)
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: pip install 'jwtgate[fuzz]', or use --replay FILE", file=sys.stderr)
        return 2

    def session(target: str) -> Session:
        corpus = None if asked.corpus is None else asked.corpus / target
        return fuzz(target, asked.seconds, corpus, asked.seed)

    sessions = []
    with ThreadPoolExecutor(asked.jobs) as pool:  # each target is a process of its own
        for ended in pool.map(session, targets):
            sessions.append(ended)
            tell(ended)
    print(f"{'all':<14} {sum(session.executions for session in sessions):,} executions")
    return 1 if any(session.finding for session in sessions) else 0


def tell(session: Session) -> None:
    print(session.line(), flush=True)
    if session.finding is not None:
        print(session.finding.text)
        found = session.finding
        print(f"The input, {len(found.data)} bytes, is in {found.file}: {found.data!r:.2000}")


def replay(targets: list[str], file: Path) -> int:
    from tests.fuzz.targets import TARGETS

    for target in targets:
        print(f"{target}: {TARGETS[target](file.read_bytes())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
