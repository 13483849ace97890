"""A pytest plugin that lets mutants meet their tests, each in a fork of the one process that has collected them all.

To start pytest anew for each mutant takes a second or more, and most mutants fall at the first test, within
milliseconds. So tests are collected once and run once without a mutant, which tells by which functions each of them
comes and how long it takes. Each mutant then gets a fork of the process that has collected them, and in it the tests
that come by: those that noticed another mutant of the same function first, then those of its own module, then the
quickest.

A fork cannot show what another function would have done while modules were imported: such functions are named, so that
what survives there can be tried in a process of its own.

It is loaded by `-p tests.mutation.forked`; the environment says where it reads and writes.
"""

from __future__ import annotations

import bisect
import gc
import itertools
import json
import mmap
import os
import resource
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import hypothesis
import pytest
from hypothesis import Phase
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

from tests.mutation.trial import ASKED, NO_TESTS, TOLD, function_of

TESTED_FOR: Final = 4.0  # seconds: tests are chosen until they would take so long, of the mutant's module and of others
TESTED_BY: Final = 60  # of each, at least
PATIENCE: Final = 5.0, 10.0  # seconds, and times as long as ever, that tests may take; six times that on the wall
MEMORY: Final = 4_000_000_000  # bytes: a mutant may ask for all that there is


@dataclass
class Seen:
    """What one run of all tests without a mutant shows.

    by, of functions: the numbers of the tests that come by; failing: tests that notice what is not there, and so are
    left out. Some look at the frames of a call, and mutmut puts one of its own between any two.
    """

    failing: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    by: dict[str, list[int]] = field(default_factory=dict)

    def time(self, tests: Sequence[int]) -> float:
        return sum(self.seconds[number] for number in tests)


@dataclass
class Fork:
    """A mutant among its tests. noticed: where the fork leaves the number of the test that failed."""

    mutant: str
    noticed: mmap.mmap

    def failed(self) -> int:
        return int.from_bytes(self.noticed[:4])


class Forked:
    def __init__(self, asked: Path, told: Path) -> None:
        self._asked = json.loads(asked.read_text(encoding="utf-8"))
        self._told = told
        self._failed: list[str] = []
        self._running: dict[int, Fork] = {}
        self._noticing: dict[str, Counter[int]] = defaultdict(Counter)  # by function, tests that noticed its mutants

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.append(f"{report.nodeid}: {report.longreprtext}")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:  # as pytest's own loop does: without these tests, mutants would survive
            raise session.Interrupted(f"{session.testsfailed} errors during collection")
        imported = sorted(state()._stats)
        seen = self._look(session.items)
        set_mutant_under_test("")
        gc.freeze()  # else each fork would look through, and thereby copy, all that is here
        with self._told.open("w", encoding="utf-8") as told:
            print(json.dumps([imported, seen.failing]), file=told)
            for name, code in self._try_all(session.items, seen):
                print(json.dumps([name, code]), file=told, flush=True)
        return True

    def _look(self, items: Sequence[pytest.Item]) -> Seen:
        """In a fork of its own: the core remembers much, and a mutant would not be asked again."""
        noted = self._told.with_suffix(".seen")
        child = os.fork()
        if child == 0:
            try:
                noted.write_text(json.dumps(asdict(self._run_all(items))), encoding="utf-8")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        return Seen(**json.loads(noted.read_text(encoding="utf-8")))

    def _run_all(self, items: Sequence[pytest.Item]) -> Seen:
        seen = Seen()
        for number, (item, following) in enumerate(itertools.zip_longest(items, items[1:])):
            state()._stats.clear()
            began = time.process_time()
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            seen.seconds.append(time.process_time() - began)
            if self._failed:
                seen.failing.append(item.nodeid)
                self._failed.clear()
                continue
            for function in state()._stats:
                seen.by.setdefault(function, []).append(number)
        return seen

    def _try_all(self, items: Sequence[pytest.Item], seen: Seen) -> Iterator[tuple[str, int]]:
        """By mutant, the exit code of its tests."""
        for name in self._asked["names"]:
            chosen = self._choose(name, items, seen)
            if not chosen:
                yield name, NO_TESTS
                continue
            if len(self._running) == self._asked["jobs"]:
                yield self._next_end()
            self._fork(name, chosen, items, seen.time(chosen))
        while self._running:
            yield self._next_end()

    def _choose(self, name: str, items: Sequence[pytest.Item], seen: Seen) -> list[int]:
        """The numbers of the tests to be run, of those that come by: of its own module and of the others, the quickest.

        Whoever noticed another mutant of the same function goes first.
        """
        own = tuple(f"{file}::" for file in self._asked["own"].get(name.split(".")[2], []))
        by_time = sorted(seen.by.get(function_of(name), ()), key=seen.seconds.__getitem__)
        is_own = {number: bool(own) and items[number].nodeid.startswith(own) for number in by_time}
        chosen = [
            *_quickest([number for number in by_time if is_own[number]], seen),
            *_quickest([number for number in by_time if not is_own[number]], seen),
        ]
        noticing = self._noticing[function_of(name)]
        return sorted(chosen, key=lambda number: -noticing[number])

    def _fork(self, name: str, chosen: Sequence[int], items: Sequence[pytest.Item], seconds: float) -> None:
        fork = Fork(name, mmap.mmap(-1, 4))
        child = os.fork()
        if child:
            self._running[child] = fork
            return
        code = 1  # whatever a mutant brings down, it has been noticed
        try:
            _limit(seconds)
            set_mutant_under_test(name)
            for number, following in itertools.zip_longest(chosen, chosen[1:]):
                fork.noticed[:4] = number.to_bytes(4)
                after = None if following is None else items[following]
                items[number].ihook.pytest_runtest_protocol(item=items[number], nextitem=after)
                if self._failed:
                    break
            code = 1 if self._failed else 0
        finally:
            os._exit(code)

    def _next_end(self) -> tuple[str, int]:
        child, status = os.wait()
        fork, code = self._running.pop(child), os.waitstatus_to_exitcode(status)
        if code:
            self._noticing[function_of(fork.mutant)][fork.failed()] += 1
        return fork.mutant, code


def _quickest(by_time: Sequence[int], seen: Seen) -> Sequence[int]:
    till = [*itertools.accumulate(seen.seconds[number] for number in by_time)]
    return by_time[: max(TESTED_BY, bisect.bisect(till, TESTED_FOR))]


def _limit(seconds: float) -> None:
    least, times = PATIENCE
    allowed = int(least + times * seconds)
    # The processor's time is what counts on a busy machine; the clock on the wall ends what waits for ever.
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, allowed + 5))
    signal.alarm(6 * allowed)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


# One example is enough to notice a mutant: to look for the simplest would take most of the time.
hypothesis.settings.register_profile(
    "mutants", phases=(Phase.explicit, Phase.generate), derandomize=True, database=None, deadline=None
)


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("mutants")
    if ASKED in os.environ:
        config.pluginmanager.register(Forked(Path(os.environ[ASKED]), Path(os.environ[TOLD])))
