"""`python -m tests.mutation [MODULE ...]`: would the tests notice if the core were another?

mutmut changes one thing at a time in a copy of the sources, and runs those tests of the core that come by there. What
no test notices must be listed in `survivors.toml`, each with the reason why it does not matter.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path

from tests.mutation.trial import CORE, Trial, known_survivors, try_out

NEEDED = 0.95  # of all mutants


def main() -> int:
    every = sorted(path.stem for path in CORE.glob("*.py") if path.stem != "__init__")
    asks = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    asks.add_argument("modules", nargs="*", metavar="MODULE", help="of jwtgate.core; all unless named")
    asks.add_argument("--jobs", type=int, default=1, help="processes (1)")
    asks.add_argument("--own", action="store_true", help="only each module's own tests: quicker, while one writes them")
    asks.add_argument("--folder", type=Path, help="to work in, and to leave results.json in; a new one unless given")
    asked = asks.parse_args()
    if importlib.util.find_spec("mutmut") is None:
        print("mutmut is not installed: pip install 'jwtgate[mutation]'", file=sys.stderr)
        return 2
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="jwtgate-mutation-"))
    trial = try_out(asked.modules or every, (folder / "copy").resolve(), asked.jobs, say, own=asked.own)
    print()
    trial.write(folder / "results.json")
    tell(trial)
    return 0 if trial.total.killed_part >= NEEDED and not trial.unexplained else 1


def say(line: str) -> None:
    print(line, flush=True)


def tell(trial: Trial) -> None:
    for module, counts in sorted(trial.counts.items()):
        print(f"{module:<18} {counts.line()}")
    print(f"{'all':<18} {trial.total.line()}; at least {NEEDED:.0%} must be killed")
    for survivor in trial.unexplained:
        print(f"\nNobody noticed, and nobody says why: {survivor.name}\n- {survivor.before}\n+ {survivor.after}")
    for stale in trial.stale:
        print(f"\nListed, and noticed all the same: {stale.module}\n- {stale.before}\n+ {stale.after}")
    print(f"\n{len(known_survivors())} survivors are listed with their reasons; {len(trial.unexplained)} are not.")


if __name__ == "__main__":
    sys.exit(main())
