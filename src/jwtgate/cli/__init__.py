"""The command `jwtgate`. What it is dressed in belongs to the extra `cli` and is imported only when it runs."""

from __future__ import annotations

import sys

INSTALL = "pip install 'jwtgate[cli]'"


def main() -> None:
    """Run the command with the arguments of this process, and exit.

    Status 0: as hoped; 1: something was found that should not be; 2: the command was not understood, or the extra
    `cli` is not installed; 130: interrupted.
    """
    try:
        from .commands import app  # noqa: PLC0415

        app(prog_name="jwtgate")
    except ModuleNotFoundError as missing:
        # A room of our own that is missing is a fault, and no extra would bring it.
        if missing.name is None or missing.name.partition(".")[0] == "jwtgate":
            raise
        sys.stderr.write(f"jwtgate: the module {missing.name!r} is not installed: {INSTALL}\n")
        sys.exit(2)
