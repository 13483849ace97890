"""One trial of the core's mutants in a copy of the sources, and what came of it.

mutmut makes the mutants, and puts all of them into one text of each module, where a name in the environment says which
of them is in force. How they meet their tests is told in `forked.py`.
"""

from __future__ import annotations

import ast
import difflib
import io
import json
import os
import re
import shutil
import signal
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
MUTANT: Final = "MUTANT_UNDER_TEST"  # mutmut's
ORIGINAL: Final = "__mutmut_orig"
ASKED: Final = "JWTGATE_MUTANTS_ASKED"  # a file: {"names": [mutant, …], "own": {module: [test file, …]}, "jobs": 1}
TOLD: Final = "JWTGATE_MUTANTS_TOLD"  # a file of lines: [[function called at import, …], [failing test, …]], then
# for each mutant [its name, the exit code of its tests]
STATS: Final = "stats"  # for mutmut, the name of the mutant that is none, and counts who is called
LEFT_ALONE: Final = "# pragma: no mutate"

# What the exit code of a mutant's tests means; those below 0 are signals.
KILLED: Final = frozenset({1, 2, 3})
SURVIVED: Final = 0
NO_TESTS: Final = 33
TIMED_OUT: Final = frozenset({-signal.SIGXCPU, -signal.SIGALRM, -signal.SIGKILL})
UNTRIED: Final = frozenset({4, 5})  # the tests could not be run: to count that as killed would be a lie


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


def prepare(folder: Path, modules: Sequence[str]) -> dict[str, str]:
    """A new copy of sources and tests, in which these modules have all their mutants. By module, its text there."""
    from mutmut.mutation.file_mutation import mutate_file_contents  # an extra, which not all of this module needs

    shutil.rmtree(folder, ignore_errors=True)
    for name in ("src", "tests", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    settings = [(ROOT / "pyproject.toml").read_text(encoding="utf-8"), (HERE / "mutmut.toml").read_text("utf-8")]
    (folder / "pyproject.toml").write_text("\n".join(settings), encoding="utf-8")
    texts = {}
    for module in modules:
        path = folder / "src" / "jwtgate" / "core" / f"{module}.py"
        texts[module] = mutate_file_contents(path.name, without_prose(path.read_text(encoding="utf-8"))).code
        path.write_text(texts[module], encoding="utf-8")
    return texts


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


def function_of(mutant: str) -> str:
    return mutant.partition("__mutmut_")[0]


@dataclass(frozen=True)
class Mutants:
    """All mutants of one module, as its text with them has them."""

    module: str
    functions: Mapping[str, str]

    @classmethod
    def of(cls, module: str, text: str) -> Mutants:
        defined = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
        lines = text.splitlines()
        functions = {node.name: "\n".join(lines[node.lineno - 1 : node.end_lineno]) for node in defined}
        return cls(module, {name: source for name, source in functions.items() if "__mutmut_" in name})

    @property
    def names(self) -> list[str]:
        kept = [name for name in self.functions if not name.endswith(ORIGINAL)]
        return [f"jwtgate.core.{self.module}.{name}" for name in kept]

    def survivor(self, mutant: str) -> Survivor:
        name = mutant.rpartition(".")[2]
        original = function_of(name) + ORIGINAL
        plain = function_of(name).removeprefix("x_").rpartition("ǁ")[2]
        texts = [self.functions[one].replace(one, plain) for one in (original, name)]
        return Survivor(mutant, self.module, *_difference(*(text.splitlines() for text in texts)))


def _difference(before: Sequence[str], after: Sequence[str]) -> tuple[str, str]:
    """What a mutant changes, before and after; several lines are written as one."""
    lines = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
    left, right = (
        " ".join(line[1:].removesuffix(LEFT_ALONE).strip() for line in lines if line.startswith(sign)) for sign in "-+"
    )
    return left, right


# ------------------------------------------------------------------------------------------------------------- the run


# What is tried out by the tests of another module, too.
_TRIED_WITH: Final[Mapping[str, Sequence[str]]] = {
    "decryption_keys": ["jwe"],
    "environment": ["settings"],
    "flow": ["binding", "challenge", "jwe", "verification"],
    "heads": ["verification"],
    "jwk": ["dpop"],
    "keys": ["resolver", "snapshot", "status", "verification"],
    "known": ["verification"],
    "possession": ["binding"],
    "remembered": ["heads", "verification"],
    "resource_server": ["settings"],
    "signatures": ["jwk"],
    "values": ["settings"],
}


def own_tests(module: str) -> list[str]:
    named = [f"tests/core/test_{name}.py" for name in (module, *_TRIED_WITH.get(module, ()))]
    return [test for test in named if (ROOT / test).exists()]


def try_out(
    modules: Sequence[str], folder: Path, jobs: int, tell: Callable[[str], None], *, own: bool = False
) -> Trial:
    """All mutants of these modules. folder: to work in; own: only the modules' own tests are run.

    tell: takes a line when something has come to its end.
    """
    texts = prepare(folder, modules)
    mutants = {module: Mutants.of(module, text) for module, text in texts.items()}
    names = [name for module in modules for name in mutants[module].names]
    tests = sorted({test for module in modules for test in own_tests(module)}) if own else ["tests/core"]
    met = _in_forks(folder, names, tests, jobs)
    left = [name for name in names if met.codes[name] in (SURVIVED, NO_TESTS)]
    again = [name for name in left if function_of(name) in met.imported]
    tell(f"{len(names)} mutants, {len(left)} survived in a fork; {len(again)} of them are tried alone")
    tell(f"left out, as they fail without a mutant: {', '.join(met.failing) or 'no tests'}")
    codes = met.codes | {name: _alone(folder, name, met.failing) for name in again}
    untried = [name for name, code in codes.items() if code in UNTRIED]
    if untried:
        raise RuntimeError(f"tests could not be run: {untried}")
    return _trial(mutants, codes)


@dataclass(frozen=True)
class Met:
    """How mutants have met their tests in forks.

    codes: by mutant; imported: functions that were called while modules were imported; failing: tests that fail
    without a mutant.
    """

    codes: dict[str, int]
    imported: Sequence[str]
    failing: Sequence[str]


def _in_forks(folder: Path, names: Sequence[str], tests: Sequence[str], jobs: int) -> Met:
    asked, told = folder / "asked.json", folder / "told.json"
    own = {module: own_tests(module) for module in {name.split(".")[2] for name in names}}
    asked.write_text(json.dumps({"names": names, "own": own, "jobs": jobs}), encoding="utf-8")
    where = {ASKED: str(asked), TOLD: str(told), MUTANT: STATS}
    done = _pytest(folder, where, "-p", "tests.mutation.forked", *tests)
    if not told.exists():
        raise RuntimeError(f"the run ended with {done.returncode}: {(done.stdout + done.stderr)[-4_000:]}")
    (imported, failing), *codes = map(json.loads, told.read_text(encoding="utf-8").splitlines())
    return Met(dict(codes), imported, failing)


def _alone(folder: Path, name: str, failing: Sequence[str]) -> int:
    """The exit code of a mutant's own tests in a new process: what is called while modules are imported shows there."""
    tests = own_tests(name.split(".")[2]) or ["tests/core"]
    return _pytest(folder, {MUTANT: name}, "-x", *(f"--deselect={test}" for test in failing), *tests).returncode


def _pytest(folder: Path, environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    # A test whose name has a set in it would have another name in each process.
    own = {"PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}", "PYTHONHASHSEED": "0", **environment}
    # Whatever this process was told of assertions: there they are what notices.
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "PYTHONOPTIMIZE")}
    command = [sys.executable, "-m", "pytest", "-q", "--tb=native", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=folder, env=kept | own, capture_output=True, text=True, check=False)


def _trial(mutants: Mapping[str, Mutants], codes: Mapping[str, int]) -> Trial:
    counts = {module: Counts() for module in mutants}
    survivors = []
    for name, code in sorted(codes.items()):
        module = name.split(".")[2]
        counts[module].add(code)
        if code not in KILLED | TIMED_OUT:
            survivors.append(mutants[module].survivor(name))
    return Trial(counts, survivors)
