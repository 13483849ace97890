"""One run of mutmut over a copy of the sources, and what came of it."""

from __future__ import annotations

import bisect
import io
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
CORE: Final = ROOT / "src" / "jwtgate" / "core"
HERE: Final = Path(__file__).parent
MEMORY: Final = 4_000_000  # kilobytes, of each process
LEFT_ALONE: Final = "# pragma: no mutate"

# What the exit code of a mutant's tests means; mutmut's own codes are 33 and those below 0 (signals).
KILLED: Final = frozenset({1, 2, 3})
SURVIVED: Final = 0
NO_TESTS: Final = 33
TIMED_OUT: Final = frozenset({24, 36, 152, -24, -9})
UNTRIED: Final = frozenset({4, 255})  # the tests could not be run: to count that as killed would be a lie


@dataclass
class Counts:
    """Mutants, by what came of them. timed_out: their tests took many times as long as ever; they count as killed."""

    killed: int = 0
    timed_out: int = 0
    survived: int = 0

    @property
    def all(self) -> int:
        return self.killed + self.timed_out + self.survived

    @property
    def killed_part(self) -> float:
        return 1 - self.survived / self.all if self.all else 1.0

    def add(self, code: int) -> None:
        if code in KILLED:
            self.killed += 1
        elif code in TIMED_OUT:
            self.timed_out += 1
        else:
            self.survived += 1

    def line(self) -> str:
        clock = f" ({self.timed_out} by the clock)" if self.timed_out else ""
        return f"{self.all:>5} mutants, {self.survived:>3} survived, {self.killed_part:>6.1%} killed{clock}"


@dataclass(frozen=True)
class Survivor:
    """A change that no test notices. before, after: the one line that differs, without white space around it."""

    name: str
    module: str
    before: str
    after: str


@dataclass(frozen=True)
class Known:
    """A survivor that is listed. reason: why it does not matter.

    module: empty for every one; before and after are then what is replaced, wherever it stands.
    """

    before: str
    after: str
    reason: str
    module: str = ""

    def explains(self, survivor: Survivor) -> bool:
        if self.module:
            return (self.module, self.before, self.after) == (survivor.module, survivor.before, survivor.after)
        return self.before in survivor.before and survivor.before.replace(self.before, self.after) == survivor.after


@dataclass(frozen=True)
class Trial:
    """What came of all mutants of some modules."""

    counts: Mapping[str, Counts]
    survivors: Sequence[Survivor]

    @property
    def total(self) -> Counts:
        each = self.counts.values()
        return Counts(*(sum(getattr(one, what.name) for one in each) for what in fields(Counts)))

    @property
    def unexplained(self) -> list[Survivor]:
        listed = known_survivors()
        return [survivor for survivor in self.survivors if not any(known.explains(survivor) for known in listed)]

    @property
    def stale(self) -> list[Known]:
        """Those that are listed, of these modules, and did not survive."""
        listed = [known for known in known_survivors() if known.module in self.counts]
        return [known for known in listed if not any(map(known.explains, self.survivors))]

    def write(self, file: Path) -> None:
        told = {
            "killed": self.total.killed_part,
            "counts": {module: asdict(counts) for module, counts in self.counts.items()},
            "survivors": [asdict(survivor) for survivor in self.survivors],
        }
        file.write_text(json.dumps(told, indent=1), encoding="utf-8")


def known_survivors() -> list[Known]:
    listed = tomllib.loads((HERE / "survivors.toml").read_text(encoding="utf-8"))
    return [Known(**entry) for entry in listed.get("survivor", [])]


# ---------------------------------------------------------------------------------------------------- the working copy


# Each run of pytest in one process would write the ids that a function has made once more, with more backslashes.
_SAME_IDS: Final = """

def pytest_generate_tests(metafunc):
    for mark in metafunc.definition.iter_markers("parametrize"):
        object.__setattr__(mark._param_ids_from or mark, "_param_ids_generated", None)
"""


def prepare(folder: Path, modules: Sequence[str], tests: Sequence[str], *, anew: bool) -> None:
    """A new copy of what mutmut needs, with its settings."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    settings = (HERE / "mutmut.toml").read_text(encoding="utf-8")
    chosen = {
        "only_mutate": [f"src/jwtgate/core/{module}.py" for module in modules],
        "pytest_add_cli_args_test_selection": [*tests],
        "process_isolation": "forkserver" if anew else "fork",
        "forkserver_warmup": "none",
    }
    # What is written in JSON here is the same in TOML.
    lines = [f"{name} = {json.dumps(values)}" for name, values in chosen.items()]
    (folder / "pyproject.toml").write_text("\n".join([project, settings, *lines, ""]), encoding="utf-8")
    with (folder / "tests" / "conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(_SAME_IDS)
    for module in modules:
        path = folder / "src" / "jwtgate" / "core" / f"{module}.py"
        path.write_text(without_prose(path.read_text(encoding="utf-8")), encoding="utf-8")


def without_prose(source: str) -> str:
    """The same, in which mutmut leaves the sentences alone: tests compare data, and not the words of a message.

    A sentence is a text with a space in it that is no pattern: whatever stands on its line is left alone with it.
    """
    lines = source.splitlines()
    for number in sorted(_prose_lines(source)):
        lines[number - 1] += f"  {LEFT_ALONE}"
    return "\n".join(lines) + "\n"


_SENTENCE: Final = re.compile(r"\w[,;:.]? (?:\w|$)|^ ?\w+ ")


def _prose_lines(source: str) -> Iterator[int]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        one_line = token.start[0] == token.end[0]
        if token.type in _TEXTS and one_line and _is_sentence(token.string) and LEFT_ALONE not in token.line:
            yield token.start[0]


# From Python 3.12 on, an f-string comes in parts.
_TEXTS: Final = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


def _is_sentence(text: str) -> bool:
    is_pattern = text[:1] in "rR" or text[:2].lower() in ("rb", "br")
    return not is_pattern and _SENTENCE.search(text.strip("fF\"'")) is not None


# ------------------------------------------------------------------------------------------------------------- the run


# What is tried out by the tests of another module.
_TRIED_WITH: Final = {
    "decryption_keys": "jwe",
    "environment": "settings",
    "possession": "settings",
    "remembered": "heads",
    "resource_server": "settings",
    "values": "settings",
}
TESTED_FOR: Final = 4.0  # seconds: tests are chosen for a mutant until they would take so long
TESTED_BY: Final = 60  # tests at least


def own_tests(module: str) -> list[str]:
    named = [f"tests/core/test_{name}.py" for name in (module, _TRIED_WITH.get(module, module))]
    return [test for test in dict.fromkeys(named) if (ROOT / test).exists()]


def try_out(modules: Sequence[str], folder: Path, jobs: int, tell: Callable[[str], None]) -> Trial:
    """All mutants of these modules. folder: to work in; tell: takes a line when something has come to its end.

    First each module's own tests are run, which are few and to the point. What survives them meets, of all tests of the
    core that come by, the quickest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    codes: dict[str, int] = {}
    left: list[str] = []
    for module in modules:
        tests = own_tests(module)
        found = _Round(folder / "own", [module], tests, jobs, anew=False).run(["*"]) if tests else {}
        survived = [name for name, code in found.items() if code not in KILLED | TIMED_OUT]
        left += survived if tests else [f"jwtgate.core.{module}.*"]
        codes |= found
        tell(f"{module:<18} {len(found):>5} mutants, {len(survived)} survived the module's own tests")
    if left:
        codes |= _Round(folder / "all", modules, ["tests/core"], jobs, anew=True).run(left)
    return _trial(modules, codes, folder)


@dataclass(frozen=True)
class _Round:
    """Runs of mutmut in one working copy.

    anew: whether each mutant is imported in a process of its own. It takes five times as long, and reaches what is
    called while modules are imported.
    """

    folder: Path
    modules: Sequence[str]
    tests: Sequence[str]
    jobs: int
    anew: bool

    def run(self, names: Sequence[str]) -> dict[str, int]:
        """By mutant, the exit code of its tests. names: of mutants, or patterns of them."""
        prepare(self.folder, self.modules, self.tests, anew=self.anew)
        if self.anew:
            self._mutmut(names[:1])  # to see which tests come by where
            self._choose_tests(names)
        self._mutmut(names)
        codes = self._codes()
        untried = [name for name, code in codes.items() if code in UNTRIED]
        if untried:
            raise RuntimeError(f"tests could not be run, perhaps for their names: {untried}")
        return codes

    def _mutmut(self, names: Sequence[str]) -> None:
        done = mutmut(self.folder, "run", "--max-children", str(self.jobs), *names)
        told = done.stdout + done.stderr
        (self.folder / "mutmut.log").write_text(told, encoding="utf-8")
        if done.returncode != 0:
            raise RuntimeError(f"mutmut ended with {done.returncode}: {told[-4_000:]}")

    def _codes(self) -> dict[str, int]:
        codes: dict[str, int | None] = {}
        for module in self.modules:
            file = self.folder / "mutants" / "src" / "jwtgate" / "core" / f"{module}.py.meta"
            if file.exists():
                codes |= json.loads(file.read_text(encoding="utf-8"))["exit_code_by_key"]
        return {name: code for name, code in codes.items() if code is not None}

    def _choose_tests(self, names: Sequence[str]) -> None:
        """By function, the tests that are to be run: of those that came by there, the quickest, of other modules first.

        What is called while modules are imported, no single test has called: it gets its module's own tests.
        """
        file = self.folder / "mutants" / "mutmut-stats.json"
        stats = json.loads(file.read_text(encoding="utf-8"))
        seconds: Mapping[str, float] = stats["duration_by_test"]
        called: dict[str, list[str]] = stats["tests_by_mangled_function_name"]
        for function in {name.rpartition("__mutmut_")[0] for name in names} | called.keys():
            own = tuple(f"{test}::" for test in own_tests(function.split(".")[2])) if function.count(".") > 2 else ()
            came = called.get(function) or [test for test in seconds if test.startswith(own)]
            order = sorted(came, key=lambda test: (test.startswith(own), seconds[test]))
            till = [*itertools.accumulate(seconds[test] for test in order)]
            enough = max(TESTED_BY, bisect.bisect(till, TESTED_FOR))
            called[function] = order[:enough]
        file.write_text(json.dumps(stats), encoding="utf-8")


def mutmut(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A path to the sources would hide the copy of them; a plugin would be loaded for each mutant; and a test whose name
    # has a set in it would have another name in each process.
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
    environment = {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "mutmut", *arguments]
    # A mutant may ask for all the memory that there is.
    limit = f"ulimit -v {MEMORY}; exec {shlex.join(command)}"
    return subprocess.run(
        ["bash", "-c", limit], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def _trial(modules: Sequence[str], codes: Mapping[str, int], folder: Path) -> Trial:
    counts = {module: Counts() for module in modules}
    survivors = []
    for name, code in sorted(codes.items()):
        module = name.split(".")[2]
        counts[module].add(code)
        if code not in KILLED | TIMED_OUT:
            survivors.append(Survivor(name, module, *_difference(folder / "all", name)))
    return Trial(counts, survivors)


def _difference(folder: Path, name: str) -> tuple[str, str]:
    """What a mutant changes, before and after; several lines are written as one."""
    lines = mutmut(folder, "show", name).stdout.splitlines()
    before, after = (
        " ".join(
            line[1:].removesuffix(LEFT_ALONE).strip()
            for line in lines
            if line.startswith(sign) and not line.startswith(sign * 3)
        )
        for sign in "-+"
    )
    return before, after
