"""`python -m tests.benchmarks.guard`: the work of a request, counted and not timed, beside what it was.

What is counted are Python's own instructions and its calls into C. Both are the same on every machine, idle or not, but
another Python compiles to others: each version has its own numbers. What they cannot show is a call into C that has
become slower; that is what the benchmarks are for.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

from tests.benchmarks import plain

KEPT: Final = Path(__file__).with_name("guard.json")
MARGIN: Final = 1.03  # times what is kept: another patch release of Python may count a little differently
TIMES: Final = 3
SUPPLY: Final = 2 * TIMES + 1
VERSION: Final = f"{sys.version_info[0]}.{sys.version_info[1]}"

Work = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Count:
    """instructions: of Python's bytecode; calls: of Python functions; into_c: of functions that are written in C."""

    instructions: int
    calls: int
    into_c: int


def count(work: Work) -> Count:
    """What one call takes. It must do the same each time; what is only now and then to be done does not count."""
    gc.disable()
    try:
        return min((_counted(work) for _ in range(TIMES)), key=astuple)
    finally:
        gc.enable()


def _counted(work: Work) -> Count:
    # sys.settrace tells of few instructions from Python 3.12 on; sys.monitoring is not there before.
    instructions, calls = _monitored(work) if sys.version_info >= (3, 12) else _traced(work)
    return Count(instructions, calls, _calls_into_c(work))


def _traced(work: Work) -> tuple[int, int]:
    instructions = calls = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal instructions, calls
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "call":
            calls += 1
        elif event == "opcode":
            instructions += 1
        return trace

    before = sys.gettrace()  # coverage, perhaps
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return instructions, calls


def _monitored(work: Work) -> tuple[int, int]:
    monitoring: Any = getattr(sys, "monitoring")  # noqa: B009 - the oldest Python has none, and neither have its types
    events, tool = monitoring.events, monitoring.DEBUGGER_ID
    numbers = {events.INSTRUCTION: 0, events.PY_START: 0, events.PY_RESUME: 0}
    monitoring.use_tool_id(tool, __name__)
    try:
        for event in numbers:
            monitoring.register_callback(tool, event, _adds(numbers, event))
        monitoring.set_events(tool, sum(numbers))
        work()
        monitoring.set_events(tool, events.NO_EVENTS)
    finally:
        monitoring.free_tool_id(tool)
    instructions, *calls = numbers.values()
    return instructions, sum(calls)


def _adds(numbers: dict[int, int], event: int) -> Callable[..., None]:
    def add(*_: Any) -> None:
        numbers[event] += 1

    return add


def _calls_into_c(work: Work) -> int:
    calls = -1  # `sys.setprofile` itself is one

    def profile(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal calls
        calls += event == "c_call"

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


# --- what is counted ------------------------------------------------------------------------------------------------


def works() -> dict[str, Work]:
    """By name, each such that a second call does what the first did."""
    from tests.benchmarks import material, verifying

    bearer = verifying.threads_verifier()
    forgetful = verifying.threads_verifier(**material.FORGETFUL)
    proving = verifying.threads_verifier(proof_of_possession="dpop", **material.FORGETFUL)
    good, other = material.tokens("RS256", 2)
    for _ in range(3):  # what is built once is built by now
        bearer.verify(good)
        forgetful.verify(other)
    refused = verifying.refusing(forgetful.verify)
    refusing = {row.removeprefix("refused."): change(good) for row, change in verifying.HOSTILE.items()}
    refusing |= {"unknown kid": material.with_header(good, kid="unknown"), "too long": "A" * 1_000_000}
    senders = [material.client() for _ in range(SUPPLY)]
    bound = [material.tokens("RS256", 1, cnf={"jkt": sender.jkt})[0] for sender in senders]
    first = iter([verifying.request(text, each.proof(text, 1)) for text, each in zip(bound, senders, strict=True)])
    seen = iter([verifying.request(bound[0], senders[0].proof(bound[0], number)) for number in range(2, SUPPLY + 2)])
    proving.verify_request(next(first))
    return {
        "cold": lambda: forgetful.verify(other),
        "warm": lambda: bearer.verify(good),
        **{f"refused: {name}": partial(refused, text) for name, text in refusing.items()},
        "DPoP, first proof of a key": lambda: proving.verify_request(next(first)),
        "DPoP, key seen": lambda: proving.verify_request(next(seen)),
    }


def counted() -> dict[str, Count]:
    return {name: count(work) for name, work in works().items()}


# --- what is kept ---------------------------------------------------------------------------------------------------


def kept() -> dict[str, Count] | None:
    """For this version of Python; None where nobody has counted yet."""
    own = _every().get(VERSION)
    return None if own is None else {name: Count(**each) for name, each in own.items()}


def keep(counts: Mapping[str, Count]) -> None:
    every = _every()
    every[VERSION] = {name: asdict(each) for name, each in counts.items()}
    KEPT.write_text(json.dumps(dict(sorted(every.items())), indent=1) + "\n", encoding="utf-8")


def _every() -> dict[str, dict[str, Any]]:
    """By version of Python."""
    found: dict[str, dict[str, Any]] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    return found


def grown(now: Mapping[str, Count], before: Mapping[str, Count]) -> list[str]:
    """What takes more than it did, in words, and what nobody has counted before."""
    found = []
    for name, each in now.items():
        own = before.get(name)
        if own is None:
            found.append(f"{name}: not counted before")
            continue
        for what, number in asdict(each).items():
            was = getattr(own, what)
            if number > was * MARGIN:
                found.append(f"{name}: {number:,} {what}, were {was:,}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """1 where anything takes more than it did."""
    asks = argparse.ArgumentParser(prog="python -m tests.benchmarks.guard", description=__doc__)
    asks.add_argument("--write", action="store_true", help="keep what is counted now, for this version of Python")
    asked = asks.parse_args(arguments)
    plain.begin()  # the extra `speed` has other numbers, and smaller ones
    now = counted()
    for name, each in now.items():
        print(f"{name:32} {each.instructions:7,} instructions {each.calls:5,} calls {each.into_c:5,} into C")
    if asked.write:
        keep(now)
        return 0
    before = kept()
    if before is None:
        print(f"nothing is kept for Python {VERSION}: --write does it")
        return 1
    found = grown(now, before)
    print("\n".join([*found, f"{len(found)} have grown"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
