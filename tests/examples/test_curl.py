"""Each example, started by the commands of its own page, answers the page's own curl lines as the page says."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.serving import ROOT, Example, environment, running

# On a page: the commands follow what they need in the environment; an answer is a comment below its curl line.
START = re.compile(r"^    export (?P<settings>AUTH0_.*)\n(?P<commands>(?:    .+\n)+)", re.MULTILINE)
CURL = re.compile(r"^    (?P<line>curl .*)\n    # (?P<answer>.*)$", re.MULTILINE)
ANSWER = re.compile(r"(?P<status>\d{3})(?P<about>[^;]*)(?:; (?P<other>\d{3}) without(?P<other_about>.*))?")
CHALLENGE = re.compile(r", WWW-Authenticate: (.+)")
PORT = re.compile(r"http://127\.0\.0\.1:(\d+)")
WORDS = ("", ", for anybody", ", and who is calling", " with the permission read:messages")


@dataclass(frozen=True)
class Promise:
    """An answer. challenge: its WWW-Authenticate line, `…` for anything; caller: whether the body names the caller."""

    status: int
    challenge: str | None = None
    caller: bool = False


@dataclass(frozen=True)
class Turn:
    """A curl line, what it is answered with a token that may read messages, and with one that may not."""

    curl: str
    answer: Promise
    otherwise: Promise | None


@dataclass(frozen=True)
class Page:
    settings: dict[str, str]
    commands: list[str]
    turns: list[Turn]


def read(text: str) -> Page:
    """Raises ValueError where the page says something that is not understood here, and so not checked."""
    start = START.search(text)
    if start is None or len(CURL.findall(text)) != text.count("curl -"):
        raise ValueError("a page needs its commands below an export, and an answer below each curl line")
    commands = [line.partition("   #")[0].strip() for line in start["commands"].splitlines()]
    settings = dict(setting.split("=", 1) for setting in start["settings"].split())
    return Page(settings, commands, [_turn(found["line"], found["answer"]) for found in CURL.finditer(text)])


def _turn(curl: str, answer: str) -> Turn:
    found = ANSWER.fullmatch(answer)
    if found is None:
        raise ValueError(f"an answer begins with its status, got {answer!r}")
    other = None if found["other"] is None else _promise(found["other"], found["other_about"])
    return Turn(curl, _promise(found["status"], found["about"]), other)


def _promise(status: str, about: str) -> Promise:
    challenge = CHALLENGE.search(about)
    words = CHALLENGE.sub("", about)
    if words not in WORDS:
        raise ValueError(f"must be one of {WORDS}, got {words!r}")
    return Promise(int(status), challenge[1] if challenge else None, "who is calling" in words)


def broken(promise: Promise, shown: str, caller: str) -> list[str]:
    """What of a promise is not so, in what `curl -i` has shown."""
    head, _, body = shown.partition("\n\n")
    start, *lines = head.splitlines()
    wrong = [] if start.split()[1] == str(promise.status) else [start]
    if promise.challenge is not None:
        pattern = "(?i)WWW-Authenticate: " + re.escape(promise.challenge).replace("…", ".*")
        wrong += [] if any(re.fullmatch(pattern, line) for line in lines) else [promise.challenge]
    if promise.caller and caller not in body:
        wrong.append(body)
    return wrong


PAGES = {
    path.name: read(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")), clean=False) or "")
    for path in sorted((ROOT / "examples").glob("*_api.py"))
}


# --- the examples -------------------------------------------------------------------------------------------


class Running(Example):
    def curl(self, line: str, token: str) -> str:
        done = subprocess.run(
            ["bash", "-c", on_port(line, self.port)],
            env=environment() | {"TOKEN": token, "NO_PROXY": "*"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return done.stdout.replace("\r\n", "\n")


def on_port(line: str, port: int) -> str:
    return PORT.sub(f"http://127.0.0.1:{port}", line)


def elsewhere(command: str, curl: str) -> str:
    """The page's command, but for its port, which may be taken on this machine."""
    (written,) = PORT.findall(curl)
    changed = re.sub(rf"\b{written}\b", "{port}", command)
    return changed if changed != command else f"{command} --port {{port}}"


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
@pytest.mark.parametrize(
    ("name", "command"), [(name, command) for name, page in PAGES.items() for command in page.commands]
)
def test_the_example_answers_curl_as_its_page_says(name: str, command: str, tmp_path: Path) -> None:
    page = PAGES[name]
    started = elsewhere(command, page.turns[0].curl)
    with running(Running, started, tmp_path, page.settings["AUTH0_AUDIENCE"]) as example:
        for turn in page.turns:
            assert broken(turn.answer, example.curl(turn.curl, example.may_read), example.caller) == []
            if turn.otherwise is not None:
                assert broken(turn.otherwise, example.curl(turn.curl, example.may_nothing), example.caller) == []


def test_every_page_shows_all_four_answers() -> None:
    assert {
        name: [(turn.answer.status, turn.otherwise and turn.otherwise.status) for turn in page.turns]
        for name, page in PAGES.items()
    } == {name: [(200, None), (401, None), (200, None), (200, 403)] for name in PAGES}


# --- a page that lies is found out --------------------------------------------------------------------------

SHOWN = 'HTTP/1.1 403 Forbidden\nwww-authenticate: Bearer realm="api", scope="read:messages"\n\n{"caller": "me"}\n'


@pytest.mark.parametrize(
    ("promise", "honest"),
    [
        (Promise(403, 'Bearer …, scope="read:messages"', caller=True), True),
        (Promise(200), False),
        (Promise(403, 'Bearer realm="api"'), False),
        (Promise(403, 'Bearer …, scope="write:messages"'), False),
    ],
)
def test_a_promise_is_compared_with_what_curl_shows(promise: Promise, honest: bool) -> None:
    assert (broken(promise, SHOWN, "me") == []) is honest
    assert broken(Promise(403, caller=True), SHOWN, "somebody else") != []


EXPORT = "    export AUTH0_AUDIENCE=https://api.test/\n    serve\n\n"


@pytest.mark.parametrize(
    "text",
    [
        "no command",
        EXPORT + "    curl -i http://127.0.0.1:1/\n",
        EXPORT + "    curl -i http://127.0.0.1:1/\n    # fine\n",
        EXPORT + "    curl -i http://127.0.0.1:1/\n    # 200, on some days\n",
    ],
)
def test_a_page_that_is_not_understood_is_not_passed_over(text: str) -> None:
    with pytest.raises(ValueError, match=r"must|needs|begins"):
        read(text)
