"""How a trial of mutants is prepared, and what is made of it; that of all modules takes too long for every change."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.mutation.trial import (
    CORE,
    KILLED,
    LEFT_ALONE,
    NO_TESTS,
    SURVIVED,
    TIMED_OUT,
    UNTRIED,
    Counts,
    Known,
    Mutants,
    Survivor,
    Trial,
    _in_forks,
    known_survivors,
    prepare,
    try_out,
    without_prose,
)

SOURCE = '''
def check(name: str) -> None:
    """A sentence of the docstring."""
    if name not in ("alg", "kid"):
        raise ValueError(f"no such name: {name}")
    pattern(r"a b", "enc", "two words")
    raise HeaderRejected(
        name,
        "a string that is not empty",
        name[1:],
    )
'''
LEFT = [
    'raise ValueError(f"no such name: {name}")',
    'pattern(r"a b", "enc", "two words")',
    '"a string that is not empty",',
]


def plain(text: str) -> str:
    return " ".join(text.split())


def test_sentences_are_left_alone_and_names_are_not() -> None:
    marked = [line.strip() for line in without_prose(SOURCE).splitlines() if line.endswith(LEFT_ALONE)]
    assert [line.removesuffix(LEFT_ALONE).strip() for line in marked][-3:] == LEFT
    assert without_prose('read(r"a b")\nsay("name", "none", "RSA")\n') == 'read(r"a b")\nsay("name", "none", "RSA")\n'


@pytest.mark.parametrize("module", sorted(CORE.glob("*.py")), ids=lambda path: path.stem)
def test_what_is_left_alone_changes_nothing_else(module: Path) -> None:
    source = module.read_text(encoding="utf-8")
    prepared = without_prose(source)
    compile(prepared, module.name, "exec")
    assert prepared.replace(f"  {LEFT_ALONE}", "") == source


def test_a_mutant_is_named_and_told_by_the_line_that_differs() -> None:
    text = """
def x_cut__mutmut_orig(text: str, most: int = 5) -> str:
    return text[:most]


class Cutter:
    def xǁCutterǁcut__mutmut_orig(self) -> str:
        return (
            cut(self.text)
        )

    def xǁCutterǁcut__mutmut_1(self) -> str:
        return (
            cut(None)
        )


def x_cut__mutmut_12(text: str, most: int = 6) -> str:
    return text[:most]
"""
    mutants = Mutants.of("pem", text)
    assert mutants.names == ["jwtgate.core.pem.x_cut__mutmut_12", "jwtgate.core.pem.xǁCutterǁcut__mutmut_1"]
    found = [mutants.survivor(name) for name in mutants.names]
    assert [(one.module, one.before, one.after) for one in found] == [
        ("pem", "def cut(text: str, most: int = 5) -> str:", "def cut(text: str, most: int = 6) -> str:"),
        ("pem", "cut(self.text)", "cut(None)"),
    ]


def test_one_module_is_tried_from_end_to_end(tmp_path: Path) -> None:
    pytest.importorskip("mutmut")
    said: list[str] = []
    trial = try_out(["pem"], tmp_path / "copy", 1, said.append, own=True)
    assert trial.total.all > 10
    assert (trial.unexplained, trial.total.killed_part, len(said)) == ([], 1.0, 2)
    trial.write(tmp_path / "results.json")
    written = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert (written["killed"], written["counts"].keys(), written["survivors"]) == (1.0, {"pem"}, [])


def test_a_test_file_that_cannot_be_read_ends_the_trial(tmp_path: Path) -> None:
    pytest.importorskip("mutmut")
    prepare(tmp_path, ["known"])
    tests = ["tests/core/test_pem.py", "tests/core/test_rules.py"]
    (tmp_path / tests[0]).write_text("no_such_name\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match="no_such_name"):
        _in_forks(tmp_path, [], tests, 1)


@pytest.mark.parametrize("known", known_survivors(), ids=lambda known: known.before)
def test_a_survivor_that_is_listed_is_one_of_the_source_of_today(known: Known) -> None:
    modules = [CORE / f"{known.module}.py"] if known.module else [*CORE.glob("*.py")]
    assert any(plain(known.before) in plain(module.read_text(encoding="utf-8")) for module in modules)
    assert known.before != known.after
    assert known.reason


def test_the_list_says_nothing_twice() -> None:
    listed = [(known.module, known.before, known.after) for known in known_survivors()]
    assert len(set(listed)) == len(listed)


def test_what_cannot_be_tried_is_neither_killed_nor_timed_out() -> None:
    assert not UNTRIED & (KILLED | TIMED_OUT)
    assert SURVIVED not in KILLED | TIMED_OUT
    assert NO_TESTS not in KILLED | TIMED_OUT


@pytest.mark.parametrize(("codes", "part"), [([1, 1, -signal.SIGXCPU, 0], 0.75), ([33], 0.0), ([1], 1.0), ([], 1.0)])
def test_what_no_test_comes_by_has_survived(codes: list[int], part: float) -> None:
    counts = Counts()
    for code in codes:
        counts.add(code)
    assert (counts.all, counts.killed_part) == (len(codes), part)


def survivor(before: str, after: str, module: str = "compact") -> Survivor:
    return Survivor(f"jwtgate.core.{module}.x_f__mutmut_1", module, before, after)


def test_a_survivor_is_explained_by_its_own_line_alone() -> None:
    known = Known("a = 1", "a = 2", "why", "compact")
    assert known.explains(survivor("a = 1", "a = 2"))
    assert not known.explains(survivor("a = 1", "a = 3"))
    assert not known.explains(survivor("a = 1", "a = 2", "claims"))


def test_what_holds_everywhere_explains_any_line_of_which_nothing_else_differs() -> None:
    known = Known('"ascii"', '"ASCII"', "why")
    assert known.explains(survivor('text.encode("ascii")', 'text.encode("ASCII")'))
    assert not known.explains(survivor('text.encode("ascii")', 'text.decode("ASCII")'))
    assert not known.explains(survivor("text.encode()", "text.decode()"))


def test_a_trial_tells_what_is_not_explained_and_what_is_listed_in_vain() -> None:
    first, *others = [known for known in known_survivors() if known.module == "paths"]
    surprising = survivor("return True", "return False", "paths")
    trial = Trial({"paths": Counts(killed=8, survived=2)}, [survivor(first.before, first.after, "paths"), surprising])
    assert trial.unexplained == [surprising]
    assert trial.stale == others
    assert trial.total == Counts(killed=8, survived=2)
