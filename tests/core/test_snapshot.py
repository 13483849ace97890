"""A document of key sets: what it may be, and what is taken out of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jwtgate.core.snapshot import (
    ISSUERS_KEPT,
    MARK,
    SNAPSHOT_BYTES,
    VERSION,
    Kept,
    merged,
    own_part,
    read_snapshot,
    write_snapshot,
)
from tests.making import ISSUER, NOW, signing_key

JWKS = {"keys": [signing_key().jwk()]}
GOOD = {ISSUER: Kept(JWKS, NOW)}


def test_what_is_written_is_read_again() -> None:
    assert read_snapshot(write_snapshot(GOOD)) == GOOD
    assert read_snapshot(write_snapshot({})) == {}
    assert write_snapshot(GOOD).isascii()


def test_it_is_written_in_lines_so_that_two_can_be_compared() -> None:
    assert write_snapshot(GOOD).splitlines()[1] == b' "jwtgate_keys": 1,'


def test_one_of_just_the_greatest_size_is_read() -> None:
    written = write_snapshot(GOOD)
    assert read_snapshot(written + b" " * (SNAPSHOT_BYTES - len(written))) == GOOD


def test_each_entry_is_a_jwk_set_that_anything_else_can_read_too() -> None:
    entry = json.loads(write_snapshot(GOOD))["issuers"][ISSUER]
    assert entry["keys"] == JWKS["keys"]


def document(**changes: Any) -> bytes:
    return json.dumps({MARK: VERSION, "issuers": {}, **changes}).encode()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"keys": []}',
        document(**{MARK: VERSION + 1}),
        document(**{MARK: None}),
        document(issuers=[]),
        document(issuers={ISSUER: []}),
        document(issuers={ISSUER: {}}),
        document(issuers={ISSUER: {"keys": []}}),
        document(issuers={ISSUER: {"keys": {}, "loaded_at": NOW}}),
        document(issuers={ISSUER: {"keys": [], "loaded_at": "now"}}),
        document(issuers={ISSUER: {"keys": [], "loaded_at": True}}),
        b" " * (SNAPSHOT_BYTES + 1),
    ],
    ids=lambda octets: repr(octets[:60]),
)
def test_anything_else_is_no_snapshot(octets: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        read_snapshot(octets)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("entry", [[], {}, {"keys": []}])
def test_whose_keys_are_no_good_is_told(entry: Any) -> None:
    with pytest.raises(ValueError, match=ISSUER):
        read_snapshot(document(issuers={ISSUER: entry}))


def test_of_each_issuer_the_youngest_keys_are_kept() -> None:
    old, young = Kept({"keys": []}, 1.0), Kept(JWKS, 2.0)
    assert merged([{"a": old, "b": young}, {"a": young, "b": old, "c": old}]) == {"a": young, "b": young, "c": old}


def test_of_two_that_are_equally_young_the_first_is_kept() -> None:
    first, second = Kept({"keys": []}, 1.0), Kept(JWKS, 1.0)
    assert merged([{"a": first}, {"a": second}]) == {"a": first}


def test_of_too_many_issuers_those_with_the_youngest_keys_are_kept() -> None:
    many = {f"issuer-{n}": Kept(JWKS, float(n)) for n in range(ISSUERS_KEPT + 5)}
    kept = merged([many])
    assert len(kept) == ISSUERS_KEPT
    assert min(one.loaded_at for one in kept.values()) == 5.0


def test_an_issuers_part_is_its_own_jwk_set() -> None:
    both = {ISSUER: Kept(JWKS, NOW), "https://other.test/": Kept({"keys": []}, NOW)}
    assert json.loads(own_part(write_snapshot(both), ISSUER)) == JWKS
    with pytest.raises(ValueError, match=r"other\.test"):
        own_part(write_snapshot(GOOD), "https://other.test/")


def test_what_is_no_snapshot_stands_as_it_is() -> None:
    for octets in (json.dumps(JWKS).encode(), b"-----BEGIN PUBLIC KEY-----", b"", b"\xff"):
        assert own_part(octets, ISSUER) == octets
