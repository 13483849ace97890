"""The benchmarks run, what they compare is the same work, and the page shows what they measured."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from tests.benchmarks import apps, guard, material, report
from tests.benchmarks.measuring import WARMING, Entrant, Figure, again, compete, figure, in_turn
from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.rows import ROWS, Findings, Row

ROOT = Path(__file__).parents[2]
WITH_BENCH = "pip install -e '.[bench]' installs the libraries that are compared"
# What needs those, or is left out of a smoke test for its time.
NOT_IN_QUICK = {
    "cold.auth0",
    *(row for row in ROWS if row.startswith(("http.fastapi", "http.starlette", "http.asgi-plain", "http.auth0"))),
}


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


# --- the whole of it ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Findings]:
    """What a smoke test prints, and what it found without the extra `speed`."""
    if sys.platform != "linux":
        pytest.skip("another process's processor time is read as Linux has it")
    file = tmp_path_factory.mktemp("quick") / "figures.json"
    done = python("tests.benchmarks", "--quick", "--json", str(file))
    assert done.returncode == 0, done.stderr
    return done.stdout, Findings.from_json(json.loads(file.read_text())["plain"])


def test_every_row_is_measured(quick: tuple[str, Findings]) -> None:
    assert quick[1].figures.keys() == ROWS.keys() - NOT_IN_QUICK


def test_every_row_is_in_the_table(quick: tuple[str, Findings]) -> None:
    printed, found = quick
    assert [name for name in found.figures if f"| {ROWS[name].title} |" not in printed] == []


# --- the same work --------------------------------------------------------------------------------------------------


def verdict(peer: Peer, verify: Callable[[str], Any], token: str) -> bool:
    async def verified() -> bool:
        try:
            found = verify(token)
            if inspect.isawaitable(found):
                await found
        except Exception:  # noqa: BLE001 - the peers raise what they like
            return False
        return True

    return asyncio.run(verified())


@pytest.mark.filterwarnings("ignore")  # the peers' own
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.package)
@pytest.mark.parametrize("algorithm", material.ALGORITHMS)
def test_each_library_accepts_and_refuses_the_same(peer: Peer, algorithm: str) -> None:
    if peer.version is None:
        pytest.skip(WITH_BENCH)
    if algorithm not in peer.algorithms:
        pytest.skip(f"{peer.package} does not verify {algorithm}")
    verify = peer.make(algorithm, {} if algorithm == "HS256" else material.jwks(algorithm))
    good = material.tokens(algorithm, 1)[0]
    bad = [
        material.forged(good),
        *material.tokens(algorithm, 1, exp=2),
        *material.tokens(algorithm, 1, aud="https://other.example/"),
        *material.tokens(algorithm, 1, iss="https://other.example/"),
    ]
    assert [verdict(peer, verify, token) for token in (good, *bad)] == [True, False, False, False, False]


def transport(app: str) -> httpx.AsyncBaseTransport:
    return httpx.ASGITransport(getattr(apps, app)())


@pytest.mark.parametrize("app", ["asgi", "starlette", "fastapi"])
def test_the_apps_have_one_open_route_and_one_that_is_not(app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(apps.KEYS, json.dumps(material.jwks("RS256")))

    async def asked() -> list[int]:
        async with httpx.AsyncClient(transport=transport(app), base_url="http://api.example") as client:
            bearer = {"Authorization": f"Bearer {material.tokens('RS256', 1)[0]}"}
            answers = [await client.get("/open"), await client.get("/guarded")]
            return [answer.status_code for answer in (*answers, await client.get("/guarded", headers=bearer))]

    assert asyncio.run(asked()) == [200, 401, 200]


# --- how it is measured ---------------------------------------------------------------------------------------------


class Clock:
    """Each call of an entrant takes as long as its argument says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds

    async def work_of_a_task(self, seconds: float) -> None:
        self.now += seconds


def test_each_ratio_is_taken_within_its_round() -> None:
    clock = Clock()
    # A machine that becomes slower with each round, for both alike; and in one of them ours was disturbed.
    slower = [2.0**number for number in range(5 + WARMING)]
    own = [(8 if number == WARMING + 2 else 3) * each for number, each in enumerate(slower)]
    sides = [
        Entrant("own", clock.work, lambda number: [own[number]] * 4),
        Entrant("task", clock.work_of_a_task, lambda number: [5 * slower[number]] * 2, awaits=True),
        Entrant("bare", clock.work, lambda number: [slower[number]]),
    ]
    times = compete(sides, 5, clock=clock)
    assert times.ratio("own", "bare") == Figure(3.0, 3.0, 3.0)
    assert times.ratio("task", "own", "bare") == Figure(1.25, 1.25, 1.25)
    assert times.over("own", "bare").median == 2 * slower[WARMING + 3]


def test_a_figure_is_a_median_with_its_quartiles() -> None:
    assert figure([5, 1, 2, 4, 3]) == Figure(3, 2, 4)
    assert figure([7]) == Figure(7, 7, 7)


def test_what_may_be_seen_once_is_never_handed_out_twice() -> None:
    supply = in_turn("abcdef", 2)
    assert [supply(number) for number in range(3)] == ["ab", "cd", "ef"]
    with pytest.raises(ValueError, match="round 3 needs 2 items"):
        supply(3)


def test_again_is_the_same_object_again() -> None:
    item = object()
    assert again(item, 3)(0) == [item, item, item]


# --- what must be reached -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "value", "speed", "reached"),
    [
        (Row("", "", bound=1.6, fast=1.2), 1.6, False, True),
        (Row("", "", bound=1.6, fast=1.2), 1.61, False, False),
        (Row("", "", bound=1.6, fast=1.2), 1.3, True, False),
        (Row("", "", bound=1.6), 1.5, True, True),
        (Row("", "", bound=4, least=True), 3.9, False, False),
        (Row("", "", bound=4, least=True), 4.0, False, True),
        (Row("", ""), 1e9, False, True),
    ],
)
def test_a_row_is_reached_or_not(row: Row, value: float, speed: bool, reached: bool) -> None:
    assert row.reached(value, speed=speed) is reached


def found(own: float, **peers: float) -> Findings:
    return Findings({"cold.RS256": alike(own)}, {"cold.RS256": {name: alike(each) for name, each in peers.items()}})


def alike(value: float) -> Figure:
    return Figure(value, value, value)


@pytest.mark.parametrize(
    ("findings", "missed"),
    [
        (found(1.5), 0),
        (found(1.7), 1),
        (found(1.5, python=1.4), 1),
        (found(1.5, rust=1.4), 0),
        (found(1.7, python=1.6, rust=1.2), 2),
    ],
)
def test_what_is_missed_is_told(findings: Findings, missed: int) -> None:
    assert len(list(findings.missed(ahead_of=frozenset({"python"})))) == missed


def test_findings_survive_their_json() -> None:
    findings = found(1.5, python=2.0)
    assert Findings.from_json(json.loads(json.dumps(findings.to_json()))) == findings


# --- the page -------------------------------------------------------------------------------------------------------


def kept() -> tuple[dict[str, Any], Findings, Findings | None]:
    whole = json.loads(report.KEPT.read_text(encoding="utf-8"))
    return whole, *report.of_both(whole)


def test_the_page_shows_the_figures_that_were_measured() -> None:
    whole, plain, fast = kept()
    page = report.PAGE.read_text(encoding="utf-8")
    assert report.on_page(page, f"{report.described(whole['machine'])}\n{report.tables(plain, fast)}") == page


def test_the_picture_shows_the_figures_that_were_measured() -> None:
    _, plain, fast = kept()
    assert report.draw(plain, fast) == report.PICTURE.read_text(encoding="utf-8")


def test_the_picture_has_a_bar_for_each_library() -> None:
    picture = ET.fromstring(report.draw(found(1.5, one=2.0, two=3.0), found(1.2)))
    names = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert [name for name in names if name in ("one", "two", "jwtgate", "jwtgate[speed]")] == [
        "jwtgate[speed]",
        "jwtgate",
        "one",
        "two",
    ]


def test_a_page_without_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="must have"):
        report.on_page("# A page", "figures")


# --- the steps -------------------------------------------------------------------------------------------------------


def test_the_steps_of_a_token_are_told_beside_the_whole() -> None:
    done = python("tests.benchmarks.steps", "--algorithm", "HS256", "--rounds", "2")
    told = {line[:46].strip(): float(line.split()[-2]) for line in done.stdout.splitlines()}
    assert done.returncode == 0, done.stderr
    assert told["the signature, bare"] == 1
    assert told["the whole token"] > told["the whole token, its signature left out"] > told["JSON"] > 0


@pytest.mark.parametrize(
    ("scene", "step"),
    [
        ("seen", "both clocks"),
        ("refused", "the error, with its text"),
        ("proof", "is it new?"),
        ("encrypted", "the token inside, as any other"),
    ],
)
def test_so_are_those_of_others(scene: str, step: str) -> None:
    done = python("tests.benchmarks.steps", scene, "--rounds", "2")
    told = {line[:46].strip(): float(line.split()[-4]) for line in done.stdout.splitlines()}
    assert done.returncode == 0, done.stderr
    assert told["the whole token"] > told[step] > 0


# --- the guard ------------------------------------------------------------------------------------------------------


def test_a_request_takes_no_more_instructions_than_it_did() -> None:
    if guard.kept() is None:
        pytest.skip(f"nothing is kept for Python {guard.VERSION}: python -m tests.benchmarks.guard --write")
    done = python("tests.benchmarks.guard")
    assert done.returncode == 0, done.stdout + done.stderr


def long_way(times: int) -> list[str]:
    return [str.upper("a") for _ in range(times)]


def test_the_guard_counts_the_same_each_time_and_more_for_more() -> None:
    counts = [guard.count(lambda times=times: long_way(times)) for times in (10, 10, 20)]  # type: ignore[misc]
    assert counts[0] == counts[1]
    assert counts[2].instructions > counts[0].instructions
    assert counts[2].into_c - counts[0].into_c == 10


@pytest.mark.parametrize(
    ("now", "grown"),
    [
        ((1_000, 50, 60), []),
        ((1_030, 50, 60), []),
        ((1_031, 50, 60), ["work: 1,031 instructions, were 1,000"]),
        ((900, 52, 62), ["work: 52 calls, were 50", "work: 62 into_c, were 60"]),
    ],
)
def test_what_has_grown_is_told(now: Sequence[int], grown: list[str]) -> None:
    before = {"work": guard.Count(1_000, 50, 60)}
    assert guard.grown({"work": guard.Count(*now)}, before) == grown


def test_work_that_nobody_counted_before_is_told() -> None:
    assert guard.grown({"new": guard.Count(1, 1, 1)}, {}) == ["new: not counted before"]
