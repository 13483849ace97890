"""The command as a user meets it: a process of its own, through a pipe or on a terminal."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping

from typer.testing import CliRunner

from jwtgate.cli.commands import app

COMMAND = (sys.executable, "-W", "error", "-m", "jwtgate.cli")
DRESS = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM", "COLUMNS", "LINES")
TIMEOUT = 60  # seconds; a command that hangs is killed and fails


def environment(**variables: str) -> dict[str, str]:
    """This one, with some variables set, and without those that ask for colours or forbid them."""
    kept = {name: value for name, value in os.environ.items() if name not in DRESS}
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


def shell(script: str, **variables: str) -> list[str]:
    """What bash prints when it runs these lines, in which `jwtgate` is this command and `curl` asks no proxy."""
    mine = f"jwtgate() {{ {shlex.join(COMMAND)} \"$@\"; }}; curl() {{ command curl -s --noproxy '*' -w '\\n' \"$@\"; }}"
    done = subprocess.run(
        ["bash", "-c", f"{mine}\n{script}"],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    return done.stdout.splitlines()


def here(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """In this process, which takes a tenth of the time: the same command, with its output and input replaced."""
    done = CliRunner().invoke(app, [*arguments], env={**dict.fromkeys(DRESS), **(env or {})}, prog_name="jwtgate")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)
