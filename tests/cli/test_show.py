"""How a report looks: exactly, for one small report, wherever it is shown."""

from __future__ import annotations

import io
import os
import pty
import struct
import subprocess
import termios
from fcntl import ioctl

import pytest
from rich.console import Console

from jwtgate.cli import show
from jwtgate.cli.cases import Expected
from jwtgate.cli.report import Answer, Report, Row, Sample, Try
from tests.cli.command import COMMAND, environment

FORBIDDEN = 'Bearer realm="api", error="insufficient_scope", error_description="No.", scope="write:messages"'
REPORT = Report(
    tenant="http://127.0.0.1:1/",
    api="http://127.0.0.1:2",
    samples=(
        Sample("/a/messages", "https://a.example/", "RS256"),
        Sample("/bb/messages", "https://b.example", "HS256"),
    ),
    rows=(
        Row("a [good] token", "GET /a/messages", Expected(200), Answer(200, None, None, "machine 'A' may read")),
        Row("no token", "GET /a/messages", Expected(401, "Bearer"), Answer(401, "Bearer", None, "none there")),
        Row(
            "another",
            "POST /bb/messages",
            Expected(401, 'Bearer realm="api"', "MissingCredentials"),
            Answer(403, FORBIDDEN, "InsufficientScope", "missing 'write:messages', which is a long name for a thing"),
        ),
        Row("last", "GET /b", Expected(200), Answer(500, None, None, "Internal Server Error")),
    ),
    tries=(Try("a token", 200, "curl -i http://127.0.0.1:1/ " + "x" * 100),),
)
HEAD = """\
Tenant http://127.0.0.1:1/  Sample API http://127.0.0.1:2

/a/messages   https://a.example/  RS256
/bb/messages  https://b.example   HS256

"""
TAIL = f"""\

2 of 4 requests were answered as expected.

Both keep running. Ctrl-C stops them. Try, in another terminal:

# 200: a token
curl -i http://127.0.0.1:1/ {"x" * 100}
"""
BLOCKS = """\
200 a [good] token
GET /a/messages
    machine 'A' may read

401 no token
GET /a/messages
    Bearer
    none there

403 another
POST /bb/messages
    insufficient_scope
    write:messages
    WRONG, expected 401, Bearer
    realm="api" (MissingCredentials)
    missing 'write:messages', which is a
    long name for a thing

500 last
GET /b
    WRONG, expected 200
    Internal Server Error

"""
NOTE = "Of each challenge, what a client acts on: --json has it whole.\n"


def shown(console: Console) -> str:
    show.as_text(console, REPORT)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def terminal(width: int, **options: object) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, **{"color_system": None, **options})  # type: ignore[arg-type]


def trimmed(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def test_a_pipe_gets_whole_lines() -> None:
    table = [
        ("request", "what is sent", "status", "challenge", "why", "verdict"),
        ("GET /a/messages", "a [good] token", "200", "-", "machine 'A' may read", "as expected"),
        ("GET /a/messages", "no token", "401", "Bearer", "none there", "as expected"),
        (
            "POST /bb/messages",
            "another",
            "403",
            FORBIDDEN,
            "missing 'write:messages', which is a long name for a thing",
            'WRONG, expected 401, Bearer realm="api" (MissingCredentials)',
        ),
        ("GET /b", "last", "500", "-", "Internal Server Error", "WRONG, expected 200"),
    ]
    widths = (17, 14, 6, len(FORBIDDEN), 58, 0)
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in table]
    assert shown(Console(file=io.StringIO())) == HEAD + "".join(f"{line.rstrip()}\n" for line in lines) + TAIL


def cells(table: str) -> list[list[str]]:
    """What stands in the rows of a drawn table, each cell on one line."""
    head, _, *lines = table.strip().splitlines()
    head = f" {head}"  # its margin, stripped with the blank line above it
    starts = [head.index(name) for name in ("request", "status", "challenge", "why")]
    rows = "\n".join(line.rstrip() for line in lines).split("\n\n")
    return [
        [
            " ".join(" ".join(line[start:end] for line in row.splitlines()).split())
            for start, end in zip(starts, [*starts[1:], None], strict=True)
        ]
        for row in rows
    ]


@pytest.mark.parametrize("width", [72, 80, 130])
def test_a_terminal_gets_a_table_as_wide_as_itself(width: int) -> None:
    text = shown(terminal(width))
    assert text.startswith(HEAD)
    assert text.endswith(NOTE + TAIL)
    table = text.removeprefix(HEAD).removesuffix(NOTE + TAIL)
    assert {len(line) for line in table.splitlines()} == {width}
    assert cells(table) == [
        ["a [good] token GET /a/messages", "200", "", "machine 'A' may read"],
        ["no token GET /a/messages", "401", "Bearer", "none there"],
        [
            "another POST /bb/messages",
            "403",
            "insufficient_scope write:messages",
            'WRONG, expected 401, Bearer realm="api" (MissingCredentials)'
            " missing 'write:messages', which is a long name for a thing",
        ],
        ["last GET /b", "500", "", "WRONG, expected 200 Internal Server Error"],
    ]


def test_a_narrow_terminal_gets_one_block_for_each_request() -> None:
    assert trimmed(shown(terminal(40))) == HEAD + BLOCKS + NOTE + TAIL


def test_colours_tell_what_was_expected_from_what_was_not() -> None:
    text = shown(terminal(200, color_system="standard"))
    assert [code in text for code in ("\x1b[32m200", "\x1b[32m401", "\x1b[1;31m403", "\x1b[1;31m500")] == [True] * 4


def test_where_only_ascii_can_be_shown_nothing_else_is() -> None:
    octets = io.BytesIO()
    file = io.TextIOWrapper(octets, encoding="ascii")
    show.as_text(Console(file=file, force_terminal=True, width=80, color_system=None), REPORT)
    file.flush()
    assert octets.getvalue().isascii()


# --- a real terminal ----------------------------------------------------------------------------------------


def on_a_terminal(columns: int, **variables: str) -> str:
    """What `jwtgate demo` writes to a terminal of that width."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    with subprocess.Popen(
        [*COMMAND, "demo"], stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**variables)
    ) as process:
        os.close(theirs)
        written = b"".join(iter(lambda: read(ours), b""))
    os.close(ours)
    assert process.returncode == 0
    return written.decode()


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux: the other side is closed
        return b""


def test_a_real_terminal_is_coloured() -> None:
    assert "\x1b[32m200" in on_a_terminal(100)


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_that_wants_no_escapes_gets_none(variables: dict[str, str]) -> None:
    text = on_a_terminal(60, **variables)
    assert "\x1b" not in text
    assert NOTE.strip() in text
