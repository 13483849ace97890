"""A nonce is good for two slots of time, for one API, in all processes that share its key."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwtgate.core.nonces import CLOCK_DIFFERENCE, Nonces
from tests.making import base64url

KEY = b"0123456789abcdef0123456789abcdef"
LIFETIME = 300
START = 1_800_000_000.0  # where a slot begins
NONCES = Nonces(KEY, LIFETIME, "https://api.test/")


def other_process(**changes: Any) -> Nonces:
    return Nonces(**{"key": KEY, "lifetime": LIFETIME, "audience": "https://api.test/", **changes})


def test_the_slots_of_these_tests_begin_where_they_say() -> None:
    assert START % LIFETIME == 0


@given(st.floats(0, 4e9), st.floats(0, LIFETIME))
def test_a_nonce_is_good_for_its_lifetime_at_least(now: float, later: float) -> None:
    assert NONCES.accepts(NONCES.current(now), now + later)


@given(st.floats(0, 4e9), st.floats(2 * LIFETIME + 0.001, 1e6))
def test_a_nonce_is_good_for_no_longer_than_two_lifetimes(now: float, later: float) -> None:
    assert not NONCES.accepts(NONCES.current(now), now + later)


def test_a_nonce_is_good_in_its_slot_and_in_the_next() -> None:
    nonce = NONCES.current(START)
    assert NONCES.current(START + LIFETIME - 0.01) == nonce
    assert NONCES.current(START + LIFETIME) != nonce
    times = [START, START + LIFETIME - 0.01, START + LIFETIME, START + 2 * LIFETIME - 0.01, START + 2 * LIFETIME]
    assert [NONCES.accepts(nonce, at) for at in times] == [True, True, True, True, False]


def test_a_nonce_of_a_server_whose_clock_is_ahead_is_good_a_little_early() -> None:
    nonce = NONCES.current(START)
    early = [START - 0.01, START - CLOCK_DIFFERENCE, START - CLOCK_DIFFERENCE - 0.01, START - LIFETIME]
    assert [NONCES.accepts(nonce, at) for at in early] == [True, True, False, False]


def test_processes_with_the_same_key_agree() -> None:
    for lifetime in (LIFETIME, float(LIFETIME)):
        other = other_process(lifetime=lifetime)
        assert other.current(START) == NONCES.current(START)
        assert other.accepts(NONCES.current(START), START + LIFETIME)


def test_a_nonce_is_the_same_in_every_version_of_this_package() -> None:
    """Else the clients of an API that is being replaced, process by process, would be sent back and forth."""
    slot = int(START / LIFETIME)
    said = f"jwtgate DPoP-Nonce\0https://api.test/\0{float(LIFETIME)}\0{slot}".encode()
    digest = hmac.digest(KEY, said, hashlib.sha256)
    assert NONCES.current(START) == base64url(digest[:18])


@pytest.mark.parametrize(
    "change",
    [{"key": KEY[::-1]}, {"audience": "https://api.test"}, {"audience": ""}, {"lifetime": 299}, {"lifetime": 300.5}],
)
def test_with_another_key_api_or_lifetime_they_do_not(change: dict[str, Any]) -> None:
    other = other_process(**change)
    known = {other.current(START + slot * LIFETIME) for slot in range(-20_000, 20_000, 100)}
    assert not any(NONCES.accepts(nonce, START) for nonce in known)
    assert not other.accepts(NONCES.current(START), START)


@pytest.mark.parametrize("nonce", [None, "", 0, 1, True, b"", [], {}, "é", "\ud800", "a" * 8_000, NONCES])
def test_anything_else_is_no_nonce(nonce: object) -> None:
    assert not NONCES.accepts(nonce, START)


def test_a_changed_nonce_is_none() -> None:
    nonce = NONCES.current(START)
    changed = [nonce[:-1], nonce + "A", nonce + "=", nonce.swapcase(), nonce[::-1], f" {nonce}", nonce.encode()]
    assert not any(NONCES.accepts(other, START) for other in changed)


def test_nonces_are_different_and_have_only_characters_that_a_nonce_may_have() -> None:
    nonces = [NONCES.current(START + slot * LIFETIME) for slot in range(1_000)]
    assert len(set(nonces)) == 1_000
    # RFC 9449 section 8.1, and RFC 6749 appendix A for NQCHAR.
    assert all(re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", nonce) for nonce in nonces)


def test_time_may_step_back() -> None:
    shared = other_process()
    later = shared.current(START + 10 * LIFETIME)
    assert shared.accepts(NONCES.current(START), START)
    assert shared.accepts(later, START + 10 * LIFETIME)
    assert not shared.accepts(later, START)


def test_the_key_is_not_shown() -> None:
    assert "0123" not in repr(NONCES)
