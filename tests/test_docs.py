"""Every fenced block of the README and of the docs is run, or at least is what it claims to be.

What a fence promises:

    python    runs; the blocks of a page share one namespace, one event loop and one folder; may `await`
    pycon     runs as a doctest in that namespace; `...` stands for any text
    console   each `$ command` runs in that folder and exits with 0; where output follows, it is compared; a command
              that ends in `&` stays until the page ends, and the next one waits until its output has come
    sh        is valid shell; for commands that wait, install or need another terminal
    http      has a start line and header lines
    json toml yaml  parses
    text      promises nothing

A block with a title, such as `python title="app.py"`, also stands in the folder under that name, where it can be
imported. A port of 127.0.0.1 that a page names is another one while it runs: any that is free.
"""

import ast
import asyncio
import contextlib
import doctest
import functools
import inspect
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
import yaml
from sybil import Document, Example, Region
from sybil.evaluators.doctest import DocTestEvaluator
from sybil.evaluators.python import pad
from sybil.example import SybilFailure
from sybil.parsers.abstract.doctest import DocTestStringParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]

FENCES = RawFencedCodeBlockLexer(
    re.compile(r'[ \t]*(?P<language>[^\s`]*)(?:[ \t]+title="(?P<title>[^"\n]+)")?[^\n]*\n')
)
PORT = re.compile(r"(?<=127\.0\.0\.1:)[0-9]+")
WITHIN = 30.0  # seconds, for what a command in the background has to say
COMMAND = re.compile(r"<!-- command: (\w+) -->\n```sh\n([^\n]+)\n```\n")
LINK = re.compile(r"\]\(([^)#\s]+)")
HTTP_START = re.compile(r"HTTP/1\.1 [1-5]\d\d( [A-Za-z ]+)?|[A-Z]+ /\S* HTTP/1\.1")
HTTP_HEADER = re.compile(r"[A-Za-z0-9-]+: \S.*")


def run_python(runner: asyncio.Runner, example: Example) -> None:
    source = pad(example.parsed, example.line + example.parsed.line_offset)
    code = compile(source, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    outcome = eval(code, example.namespace)
    if inspect.iscoroutine(outcome):
        runner.run(outcome)


def run_console(folder: Path, background: contextlib.ExitStack, example: Example) -> str | None:
    for command, expected in transcript(example.parsed):
        if command.endswith("&"):
            said = stay(folder, background, command.removesuffix("&"), expected)
            if expected and not same(expected, said):
                return f"$ {command}\nexpected within {WITHIN:g} s:\n{expected}\nprinted:\n{said}"
            continue
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            return f"$ {command}\nleft with {done.returncode}, must leave with 0:\n{done.stdout}"
        if expected and not same(expected, done.stdout):
            return f"$ {command}\nexpected:\n{expected}\nprinted:\n{done.stdout}"
    return None


def same(expected: str, printed: str) -> bool:
    ended = printed if printed.endswith("\n") else f"{printed}\n"
    return doctest.OutputChecker().check_output(expected, ended, doctest.ELLIPSIS)


def stay(folder: Path, background: contextlib.ExitStack, command: str, expected: str) -> str:
    """Start the command; gives what it has said when that is what was expected, or when time is over."""
    log = folder / f".{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            env=environment() | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    background.callback(stop, child)
    deadline = time.monotonic() + WITHIN
    while expected and not same(expected, log.read_text()) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return log.read_text()


def stop(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    child.wait(20)


def with_free_ports(text: str) -> str:
    """The same page, with as many lines."""
    with contextlib.ExitStack() as taken:
        for port in set(PORT.findall(text)):
            free = taken.enter_context(socket.create_server(("127.0.0.1", 0)))
            text = re.sub(rf"\b{port}\b", str(free.getsockname()[1]), text)
    return text


def environment() -> dict[str, str]:
    """This process's own commands come first; nothing is coloured or wrapped to a terminal."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "110"}


def transcript(text: str) -> Iterator[tuple[str, str]]:
    """Each command with the output that is printed below it."""
    before, *turns = re.split(r"^\$ ", text, flags=re.MULTILINE)
    if before.strip() or not turns:
        raise ValueError(f"a console block begins with '$ command', got {text[:40]!r}")
    for turn in turns:
        command, _, expected = re.sub(r"\\\n\s*", "", turn).partition("\n")
        yield command, expected if expected.strip() else ""


def check_shell(example: Example) -> str | None:
    read = subprocess.run(["bash", "-n"], input=example.parsed, capture_output=True, text=True, timeout=60, check=False)
    return read.stderr or None


def check_http(example: Example) -> str | None:
    start, *headers = example.parsed.split("\n\n")[0].splitlines()
    wrong = [line for line in headers if not HTTP_HEADER.fullmatch(line)]
    if not HTTP_START.fullmatch(start):
        wrong.insert(0, start)
    return f"neither a start line nor a header: {wrong}" if wrong else None


def check_json(example: Example) -> None:
    json.loads(example.parsed)


def check_toml(example: Example) -> None:
    tomllib.loads(example.parsed)


def check_yaml(example: Example) -> str | None:
    try:
        yaml.safe_load(example.parsed)
    except yaml.YAMLError as fault:
        return str(fault)
    return None


def promise_nothing(example: Example) -> None:
    pass


def refuse(language: str, known: list[str], example: Example) -> str:
    return f"a fence is pycon or one of {', '.join(known)}; got {language!r}"


class Page:
    """One Markdown page: its blocks in order, in one namespace and one folder."""

    def __init__(self, path: Path, folder: Path, runner: asyncio.Runner, background: contextlib.ExitStack) -> None:
        self.folder = folder
        self.doctests = DocTestStringParser(DocTestEvaluator(doctest.ELLIPSIS))
        self.evaluators: dict[str, Callable[[Example], str | None]] = {
            "python": functools.partial(run_python, runner),
            "console": functools.partial(run_console, folder, background),
            "sh": check_shell,
            "http": check_http,
            "json": check_json,
            "toml": check_toml,
            "yaml": check_yaml,
            "text": promise_nothing,
        }
        self.document = Document(with_free_ports(path.read_text(encoding="utf-8")), str(path))
        for region in self.parse(self.document):
            self.document.add(region)
        self.document.namespace["__name__"] = "page"  # and so not "__main__": a page starts no server

    def parse(self, document: Document) -> Iterator[Region]:
        for region in FENCES(document):
            region.parsed = region.lexemes["source"]
            language = region.lexemes["language"]
            if language == "pycon":
                yield from self.parse_doctests(document, region)
            else:
                unknown = functools.partial(refuse, language, list(self.evaluators))
                evaluate = self.evaluators.get(language, unknown)
                region.evaluator = functools.partial(self.save, region.lexemes["title"], evaluate)
                yield region

    def save(self, title: str | None, evaluate: Callable[[Example], str | None], example: Example) -> str | None:
        if title:
            (self.folder / title).write_text(example.parsed, encoding="utf-8")
        return evaluate(example)

    def parse_doctests(self, document: Document, block: Region) -> Iterator[Region]:
        examples = list(self.doctests(block.parsed, document.path))
        if not examples:
            raise ValueError(f"a pycon block has '>>>' lines, got {block.parsed[:40]!r}")
        for region in examples:
            region.adjust(block, block.parsed)
            yield region

    def run(self) -> None:
        for example in self.document.examples():
            example.evaluate()


@contextlib.contextmanager
def forgetting_modules_of(folder: Path) -> Iterator[None]:
    """Another page may have modules of the same names."""
    try:
        yield
    finally:
        for name, module in list(sys.modules.items()):
            if Path(getattr(module, "__file__", None) or "/").is_relative_to(folder):
                del sys.modules[name]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Runs a page in a folder that holds nothing but the examples, with an environment of its own."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with (
        mock.patch.dict(os.environ),
        forgetting_modules_of(tmp_path),
        asyncio.Runner() as runner,
        contextlib.ExitStack() as background,
    ):
        yield lambda path: Page(path, tmp_path, runner, background).run()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_of_the_page_keeps_its_promise(run: Callable[[Path], None], page: Path) -> None:
    run(page)


HONEST = {
    "python shares its names": "```python\nx = 1\n```\n\n```python\nx + 1\n```\n",
    "python may wait": "```python\nimport asyncio\nawait asyncio.sleep(0)\n```\n",
    "one loop for the page": (
        "```python\nimport asyncio\nloop = asyncio.get_running_loop()\nevent = asyncio.Event()\n"
        "loop.call_soon(event.set)\nawait event.wait()\n```\n\n"
        "```python\nevent.clear()\nloop.call_soon(event.set)\nawait event.wait()\n```\n"
    ),
    "pycon sees python's names": "```python\nx = 20\n```\n\n```pycon\n>>> x + 1\n21\n```\n",
    "pycon leaves something out": "```pycon\n>>> object()\n<object ... at ...>\n```\n",
    "console prints what it says": "```console\n$ echo one \\\n    two\none two\n$ true\n```\n",
    "a title after the language": '```python title="app.py"\nx = 1\n```\n',
    "a block inside a tab": '=== "Flask"\n\n    ```python\n    x = 1\n    ```\n',
    "a title is a file": '```python title="app.py"\nx = 1\n```\n\n```console\n$ grep x app.py\nx = 1\n```\n',
    "a file is a module": '```python title="of_a_page.py"\nx = 1\n```\n\n```pycon\n>>> import of_a_page\n```\n',
    "a command stays": (
        "```console\n$ python -m http.server --bind 127.0.0.1 8000 &\nServing HTTP on 127.0.0.1 port 8000 ...\n"
        "$ curl -s -o /dev/null -w '%{http_code}\\n' http://127.0.0.1:8000/\n200\n```\n"
    ),
    "an answer": '```http\nHTTP/1.1 401 Unauthorized\nWWW-Authenticate: Bearer realm="api"\n\n{}\n```\n',
    "a request": "```http\nGET /api/private HTTP/1.1\nAuthorization: Bearer eyJ…\n```\n",
    "text": "```text\n$ anything = {\n```\n",
}

LYING = {
    "python raises": "```python\n1 / 0\n```\n",
    "python raises inside a tab": '=== "Flask"\n\n    ```python\n    1 / 0\n    ```\n',
    "python raises after waiting": "```python\nimport asyncio\nawait asyncio.sleep(0)\n1 / 0\n```\n",
    "the second block raises": "```python\nx = 1\n```\n\n```python\nx / 0\n```\n",
    "pycon answers otherwise": "```pycon\n>>> 1 + 1\n3\n```\n",
    "pycon without a prompt": "```pycon\n1 + 1\n```\n",
    "console prints otherwise": "```console\n$ echo one\ntwo\n```\n",
    "console fails": "```console\n$ false\n```\n",
    "the second command fails": "```console\n$ true\n$ false\n```\n",
    "console without a command": "```console\necho one\n```\n",
    "a command stays silent": "```console\n$ true &\nReady\n```\n",
    "shell with an open quote": "```sh\necho 'one\n```\n",
    "http without a start line": "```http\nWWW-Authenticate: Bearer\n```\n",
    "http with a broken header": "```http\nHTTP/1.1 200 OK\nno header\n```\n",
    "json with a comment": '```json\n{"a": 1} // one\n```\n',
    "yaml with a tab": "```yaml\na:\n\t- b\n```\n",
    "toml without a value": "```toml\na =\n```\n",
    "no language": "```\nx = 1\n```\n",
    "a language nobody checks": "```ruby\nx = 1\n```\n",
}


@pytest.mark.parametrize("text", HONEST.values(), ids=HONEST)
def test_an_honest_page_passes(run: Callable[[Path], None], tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    run(page)


@pytest.mark.parametrize("text", LYING.values(), ids=LYING)
def test_a_page_that_lies_is_found_out(run: Callable[[Path], None], tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises((SybilFailure, ZeroDivisionError, ValueError)):
        run(page)


def test_the_readme_has_one_line_to_see_it_and_one_to_test_it() -> None:
    assert [name for name, _ in COMMAND.findall(README.read_text(encoding="utf-8"))] == ["demo", "test"]


def test_the_readme_installs_extras_that_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    commands = dict(COMMAND.findall(README.read_text(encoding="utf-8")))
    installed = {name for command in commands.values() for name in re.findall(r"\.\[(\w+)\]", command)}
    assert installed == {"cli", "test"} <= project["optional-dependencies"].keys()


def test_the_readme_links_to_files_that_exist() -> None:
    targets = LINK.findall(README.read_text(encoding="utf-8"))
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (ROOT / target).exists()] == []
