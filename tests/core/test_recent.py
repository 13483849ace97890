"""A small memory of texts that were read before."""

from __future__ import annotations

import threading

import pytest

from jwtgate.core.recent import LONGEST, Recent


def kept(recent: Recent[str], names: str = "abcde") -> str:
    return "".join(name for name in names if recent.get(name) == name.upper())


def keep(recent: Recent[str], names: str) -> None:
    for name in names:
        recent.keep(name, name.upper())


@pytest.mark.parametrize("limit", [4, 5])
def test_what_is_kept_is_forgotten_by_halves(limit: int) -> None:
    recent = Recent[str](limit)
    keep(recent, "abcd")
    assert (kept(recent), len(recent)) == ("abcd", 4)
    keep(recent, "e")
    assert (kept(recent), len(recent)) == ("cde", 3)


def test_what_is_kept_once_more_stays_and_takes_no_more_room() -> None:
    recent = Recent[str](4)
    keep(recent, "aaaab")
    assert (kept(recent), len(recent)) == ("ab", 2)
    keep(recent, "cad")  # a comes into the younger half, and with d that is full
    assert (kept(recent), len(recent)) == ("acd", 3)


def test_what_is_used_all_the_time_is_never_forgotten() -> None:
    recent = Recent[int](8)
    for number in range(1_000):
        recent.keep("mine", -1)
        recent.keep(f"stranger-{number}", number + 1)
        assert recent.get("mine") == -1
        assert len(recent) <= 8
    assert (recent.get("stranger-999"), recent.get("stranger-1")) == (1_000, None)


def test_the_last_that_was_said_counts() -> None:
    recent = Recent[str](4)
    for said in ("one", "two"):
        recent.keep("a", said)
        assert recent.get("a") == said
    keep(recent, "bcd")
    recent.keep("a", "three")
    assert recent.get("a") == "three"


def test_a_long_text_is_never_kept() -> None:
    recent = Recent[str](4)
    for excess in (0, 1):
        recent.keep("x" * (LONGEST + excess), "said")
    assert [recent.get("x" * (LONGEST + excess)) for excess in (0, 1)] == ["said", None]


def test_threads_may_share_it() -> None:
    recent, wrong = Recent[str](2), list[str]()

    def run() -> None:
        for _ in range(500):
            for name in "abcd":
                recent.keep(name, name.upper())
                if recent.get(name) not in (name.upper(), None):
                    wrong.append(name)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
