"""The command as a user meets it: a process of its own, through a pipe or on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

COMMAND = (sys.executable, "-W", "error", "-m", "jwtgate.cli")
TIMEOUT = 60  # seconds; a command that hangs is killed and fails


def environment(**variables: str) -> dict[str, str]:
    """This one, with some variables set, and without those that ask for colours or forbid them."""
    dress = {"NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM", "COLUMNS", "LINES"}
    kept = {name: value for name, value in os.environ.items() if name not in dress}
    return {**kept, "TERM": "xterm", **variables}


def jwtgate(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """In a pipe."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(**(env or {})),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def python(code: str) -> subprocess.CompletedProcess[str]:
    """A program in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
