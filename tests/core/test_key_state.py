"""When keys are asked for again: numbers in, a decision out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jwtgate.core.jwk import KeySet, read_jwks
from jwtgate.core.key_state import (
    BACK_OFF,
    COOL_DOWN,
    EARLY,
    HARD_AGE,
    KID_PAUSE,
    KIDS_REMEMBERED,
    LATE,
    LEAST_SOFT_AGE,
    NEVER,
    SOFT_AGE,
    Attempt,
    KeyState,
    Metadata,
    jitter,
    soft_age,
)
from tests.making import signing_key

START = 5_000.0
SEEDS = [0.0, 0.1, 0.25, 0.5, 0.75, 0.999]


def key_set(*numbers: int) -> KeySet:
    jwks = {"keys": [signing_key("RSA", number).jwk() for number in numbers]}
    return read_jwks(json.dumps(jwks).encode(), ["RS256"])


FIRST, SECOND = key_set(1), key_set(2)


def came(ticket: int, at: float, keys: KeySet = FIRST, **more: Any) -> Attempt:
    return Attempt(ticket, at, at, keys=keys, **more)


def failed(ticket: int, at: float, **more: Any) -> Attempt:
    return Attempt(ticket, at, at, trouble="status", reason="status 500", **more)


def after(*attempts: Attempt, seed: float = 0.0) -> KeyState:
    state = KeyState()
    for attempt in attempts:
        state = state.after(attempt, seed)
    return state


# -------------------------------------------------------------------------------------------------- what an issuer says


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("", SOFT_AGE),
        ("public", SOFT_AGE),
        ("max-age=599", 599.0),
        ("public, MAX-AGE = 450, must-revalidate", 450.0),
        ('max-age="450"', 450.0),
        ("s-maxage=10", SOFT_AGE),  # for shared caches alone
        ("max-age=600", SOFT_AGE),
        ("max-age=315360000", SOFT_AGE),
        ("max-age=301", 301.0),
        ("max-age=15", LEAST_SOFT_AGE),
        ("max-age=0", LEAST_SOFT_AGE),
        ("max-age=-1", LEAST_SOFT_AGE),
        ("max-age=", LEAST_SOFT_AGE),
        ("max-age=soon", LEAST_SOFT_AGE),
        ("max-age=1e9", LEAST_SOFT_AGE),
        ("max-age=" + "9" * 5_000, LEAST_SOFT_AGE),
        ("max-age=\u0666\u0666\u0666", LEAST_SOFT_AGE),
        ("no-cache", LEAST_SOFT_AGE),
        ("No-Store, max-age=500", LEAST_SOFT_AGE),
    ],
)
def test_an_issuer_shortens_the_soft_age_within_bounds(said: str, seconds: float) -> None:
    assert soft_age(said) == seconds


# ----------------------------------------------------------------------------------------------------------- the jitter


@pytest.mark.parametrize("seed", SEEDS)
def test_a_refresh_comes_before_the_soft_age_and_not_much_before(seed: float) -> None:
    state = KeyState()
    for n in range(50):
        state = state.after(came(n + 1, START), seed)
        assert (1 - EARLY) * SOFT_AGE < state.refresh_at - START <= SOFT_AGE
        assert state.late_at == START + SOFT_AGE + LATE


def test_processes_spread_over_the_whole_of_the_time_before() -> None:
    refreshes = [after(came(1, 0.0), came(2, 0.0), seed=n / 97).refresh_at for n in range(97)]
    tenths = {int((SOFT_AGE - refresh) / (SOFT_AGE * EARLY / 10)) for refresh in refreshes}
    assert tenths == set(range(10))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_back_off_is_never_longer_than_it_says_nor_shorter_than_half(seed: float) -> None:
    state, (first, most) = KeyState(), BACK_OFF
    for n in range(20):
        state = state.after(failed(n + 1, START), seed)
        longest = min(most, first * 2**n)
        assert longest / 2 <= state.waits(START) <= longest
        assert state.waits(START) == pytest.approx(longest * (1 - jitter(seed, n) / 2))


def test_the_jitter_of_a_seed_has_no_short_round() -> None:
    assert {jitter(0.0, n) for n in range(100)} == {0.0}
    assert len({jitter(0.123456789, n) for n in range(100)}) == 100
    assert all(0 <= jitter(seed, n) < 1 for seed in SEEDS for n in range(100))


# --------------------------------------------------------------------------------------- the order in which loads began


def test_an_older_answer_does_not_replace_a_younger_one() -> None:
    younger = after(came(2, START, SECOND))
    assert younger.after(came(1, START + 1, FIRST), 0.0) == younger


def test_an_answer_is_taken_once() -> None:
    state = after(came(1, START, FIRST))
    assert state.after(came(1, START + 1, SECOND), 0.0) == state


def test_a_good_set_ends_all_trouble() -> None:
    found = Metadata(url="https://a.test/m", jwks_uri="https://a.test/jwks", read_at=START)
    state = after(failed(1, START), came(2, START + 5, jwks_uri=found.jwks_uri, metadata=found))
    assert (state.failures, state.failed_at, state.retry_at) == (0, NEVER, NEVER)
    assert (state.trouble, state.failure) == (None, "")
    assert (state.jwks_uri, state.metadata) == (found.jwks_uri, found)
    moved = state.after(came(3, START + 6), 0.0)
    assert (moved.jwks_uri, moved.metadata) == (None, None)


def test_a_failure_is_told_as_it_was() -> None:
    state = after(Attempt(1, START, START, trouble="network", reason="refused"), failed(2, START + 1))
    assert (state.trouble, state.failure, state.failed_at) == ("status", "status 500", START + 1)


def test_an_older_failure_is_no_news() -> None:
    younger = after(came(2, START, SECOND))
    assert younger.after(failed(1, START + 1), 0.0) == younger


def test_an_older_answer_is_better_than_a_younger_failure() -> None:
    state = after(failed(2, START), came(1, START + 1, FIRST))
    assert (state.keys, state.failures, state.settled, state.set_by) == (FIRST, 0, 2, 1)
    # And a younger one still replaces it.
    assert state.after(came(3, START + 2, SECOND), 0.0).keys is SECOND


def test_a_load_settles_once() -> None:
    good = after(came(1, START))
    assert good.after(Attempt(1, START, START + 1), 0.0) == good
    bad = after(failed(1, START))
    assert bad.after(Attempt(1, START, START + 1), 0.0) == bad


def test_what_has_not_settled_was_interrupted() -> None:
    state = after(Attempt(1, START, START + 1))
    assert (state.failures, state.trouble, state.keys) == (1, "interrupted", None)


# ------------------------------------------------------------------------------------------------------- when it is due


def test_nothing_loaded_is_due_at_once_and_after_each_pause() -> None:
    assert KeyState().due(START)
    assert KeyState().next_load(START) == 0.0
    state = after(failed(1, START))
    assert [state.due(START), state.due(START + 0.9), state.due(START + 1)] == [False, False, True]
    assert state.next_load(START + 0.25) == 0.75


def test_a_fresh_set_is_due_at_its_soft_age() -> None:
    state = after(came(1, START, fresh_for=400.0))
    assert (state.due(START + 399), state.due(START + 400)) == (False, True)
    assert [state.next_load(START + at) for at in (100, 400, 401, HARD_AGE)] == [300.0, 0.0, 0.0, 0.0]


def test_a_fresh_set_is_not_due_because_an_unknown_kid_met_a_failure() -> None:
    state = after(came(1, START), failed(2, START + 5, kid="no"))
    assert not state.due(START + 100)
    assert state.next_load(START + 100) == SOFT_AGE - 100


def test_a_set_that_serves_nobody_is_due() -> None:
    state = after(came(1, START), failed(2, START + HARD_AGE - 10))
    assert state.serving(START + HARD_AGE) is None
    assert state.due(START + HARD_AGE)


def test_a_set_is_late_when_nobody_has_tried_for_so_long() -> None:
    fresh = after(came(1, START))
    late = START + SOFT_AGE + LATE
    assert [fresh.late(late - 1), fresh.late(late)] == [False, True]
    tried = fresh.after(failed(2, late - 10), 0.0)
    assert [tried.late(late), tried.late(late - 10 + LATE)] == [False, True]


# ------------------------------------------------------------------------------------------------ kids that are missing


def test_only_a_kid_that_could_be_looked_for_is_remembered() -> None:
    state = after(came(1, START), failed(2, START, kid="no-1"))
    assert (state.missing, state.missed_at) == ({}, START)
    state = state.after(came(3, START + COOL_DOWN, kid="no-1"), 0.0)
    assert list(state.missing) == ["no-1"]


def test_a_kid_that_came_is_forgotten() -> None:
    state = after(came(1, START), came(2, START, kid="RSA-2"), came(3, START + 30, SECOND, kid="RSA-2"))
    assert state.missing == {}


def test_the_pause_of_a_kid_grows_to_its_end() -> None:
    state, at, pauses = KeyState(), START, []
    for ticket in range(1, 12):
        state = state.after(came(ticket, at, kid="no"), 0.0)
        pauses.append(state.missing["no"].pause())
        at += pauses[-1]
    assert pauses == [30, 60, 120, 240, 480] + [KID_PAUSE] * 6


def test_a_kid_that_nobody_asks_for_is_forgotten() -> None:
    state = after(came(1, START, kid="no-1"), came(2, START + 2 * KID_PAUSE, kid="no-2"))
    assert list(state.missing) == ["no-2"]


def test_the_memory_of_kids_is_bounded() -> None:
    state = KeyState()
    for ticket in range(1, 1_000):
        state = state.after(came(ticket, START + ticket / 100, kid=f"no-{ticket}"), 0.0)
    assert sorted(state.missing) == sorted(f"no-{ticket}" for ticket in range(1_000 - KIDS_REMEMBERED, 1_000))


def test_an_overtaken_load_starts_its_cool_down_but_does_not_turn_it_back() -> None:
    state = after(came(2, START + 20, kid="no-2"), came(1, START, kid="no-1"))
    assert state.missed_at == START + 20


# ----------------------------------------------------------------------------------------------------------- a snapshot


@pytest.mark.parametrize("age", [0.0, 100.0, SOFT_AGE, HARD_AGE - 1])
def test_a_restored_set_has_the_age_it_had(age: float) -> None:
    state = KeyState().restore(FIRST, age, START, 0.0)
    assert (state.keys, state.restored, state.loaded_at) == (FIRST, True, START - age)
    assert state.due(START) == (age >= SOFT_AGE)
    assert state.late(START) == (age >= SOFT_AGE + LATE)
    assert state.serving(START + HARD_AGE - age) is None
    assert state.after(came(1, START), 0.0).restored is False


@pytest.mark.parametrize("seed", SEEDS)
def test_a_restored_set_is_refreshed_as_early_as_one_that_came(seed: float) -> None:
    restored, loaded = KeyState().restore(FIRST, 0.0, START, seed), after(came(1, START), seed=seed)
    assert restored.refresh_at == loaded.refresh_at
    assert restored.generation == loaded.generation == 1
    assert loaded.restore(FIRST, 0.0, START, seed).generation == 2


def test_nothing_is_known_to_begin_with() -> None:
    state = KeyState()
    assert (state.serving(START), state.missed_at, state.settled, state.generation) == (None, NEVER, 0, 0)
    assert state.should_look_for("any", START)
