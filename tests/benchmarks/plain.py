"""`python -m tests.benchmarks.plain MODULE …` runs a module where jwtgate finds nothing of its extra `speed`.

Other libraries find it: some of the peers need the same ones.
"""

from __future__ import annotations

import os
import runpy
import sys
from typing import Any, Final

FASTER: Final = ("msgspec", "orjson", "pybase64")
HIDDEN: Final = f"import sys; sys.modules.update(dict.fromkeys({FASTER}))\n"  # a program's first line
PLAIN: Final = "BENCHMARK_PLAIN"  # in the environment
NAME: Final = "tests.benchmarks.plain"


def on() -> bool:
    """Is this process, or one that began it, run in this way?"""
    return PLAIN in os.environ


def command(module: str, *arguments: str) -> list[str]:
    """What runs a module as this process is run."""
    return [sys.executable, "-m", *([NAME] if on() else []), module, *arguments]


def begin() -> None:
    """Import jwtgate, from now on and in all processes that this one begins, as if nothing of the extra were there."""
    os.environ[PLAIN] = "1"
    hidden: dict[str, Any] = dict.fromkeys(FASTER)
    sys.modules.update(hidden)  # None: to import it fails
    import jwtgate.asgi  # noqa: F401

    for name in FASTER:
        del sys.modules[name]


def main() -> None:
    begin()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
