"""Which tokens are taken no more."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jwtgate import SettingsError
from jwtgate.core.errors import RevokedToken
from jwtgate.core.revocations import Revocation, Revocations, read_revocation, write_revocation
from jwtgate.core.values import LATEST, MAX_LEEWAY
from tests.making import ISSUER, NOW

END = NOW + 600
TOKEN = Revocation(ISSUER, jti="id-1", expires=END)
SUBJECT = Revocation(ISSUER, subject="user-1", not_before=NOW, expires=END)


def claims(**changes: Any) -> dict[str, Any]:
    return {"iss": ISSUER, "sub": "user-1", "jti": "id-1", "iat": NOW - 60, **changes}


def verdict(revocations: Revocations, **changes: Any) -> tuple[str, str] | None:
    """By what the token was revoked, and its value."""
    try:
        revocations.check(claims(**changes))
    except RevokedToken as error:
        return error.by, error.value
    return None


def known(*revocations: Revocation, limit: int = 10) -> Revocations:
    found = Revocations(limit)
    for revocation in revocations:
        assert found.add(revocation)
    return found


# ---------------------------------------------------------------------------------------------------------- the tokens


def test_where_nothing_is_revoked_all_is_well() -> None:
    assert verdict(Revocations()) is None


@pytest.mark.parametrize(
    ("changes", "by"),
    [
        ({}, ("jti", "id-1")),
        ({"sub": "somebody else", "iat": NOW + 60}, ("jti", "id-1")),
        ({"jti": "id-2"}, None),
        ({"jti": "ID-1"}, None),
        ({"jti": ""}, None),
        ({"jti": None}, None),
        ({"jti": ["id-1"]}, None),
        ({"jti": {"id-1": 1}}, None),
        ({"iss": "https://other.test/"}, None),
        ({"iss": ISSUER.removesuffix("/")}, None),
    ],
)
def test_one_token_is_known_by_its_issuer_and_its_jti(changes: dict[str, Any], by: tuple[str, str] | None) -> None:
    assert verdict(known(TOKEN), **changes) == by


@pytest.mark.parametrize(
    ("changes", "by"),
    [
        ({}, ("sub", "user-1")),
        ({"jti": None, "iat": 0}, ("sub", "user-1")),
        ({"iat": NOW - 0.001}, ("sub", "user-1")),
        ({"iat": NOW}, None),
        ({"iat": NOW + 60}, None),
        # A token that does not say when it was issued may be one of them.
        ({"iat": None}, ("sub", "user-1")),
        ({"iat": "1"}, ("sub", "user-1")),
        ({"iat": True}, ("sub", "user-1")),
        ({"iat": float("nan")}, ("sub", "user-1")),
        ({"sub": "user-2"}, None),
        ({"sub": ["user-1"]}, None),
        ({"sub": None}, None),
        ({"iss": "https://other.test/"}, None),
    ],
)
def test_all_of_a_subject_are_known_by_when_they_were_issued(
    changes: dict[str, Any], by: tuple[str, str] | None
) -> None:
    assert verdict(known(SUBJECT), **changes) == by


def test_a_token_without_these_claims_is_none_of_them() -> None:
    known(TOKEN, SUBJECT).check({"iss": ISSUER})


def test_a_subject_and_a_jti_of_one_name_are_two_things() -> None:
    revocations = known(Revocation(ISSUER, jti="x", expires=END))
    assert verdict(revocations, sub="x", jti="y") is None
    revocations = known(Revocation(ISSUER, subject="x", not_before=NOW, expires=END))
    assert verdict(revocations, sub="y", jti="x") is None


@pytest.mark.parametrize("order", [(NOW, NOW + 60), (NOW + 60, NOW)])
def test_of_two_for_one_subject_the_later_time_counts_and_the_longer_life(order: tuple[float, float]) -> None:
    ends = [END, END + 500] if order[0] > order[1] else [END + 500, END]
    revocations = known(
        *(Revocation(ISSUER, subject="user-1", not_before=at, expires=end) for at, end in zip(order, ends, strict=True))
    )
    assert len(revocations) == 1
    assert verdict(revocations, iat=NOW + 59) == ("sub", "user-1")
    revocations.prune(END + MAX_LEEWAY)
    assert verdict(revocations, iat=NOW + 59) == ("sub", "user-1")


# ---------------------------------------------------------------------------------------------- how many, how long


@pytest.mark.parametrize("revocation", [TOKEN, SUBJECT])
def test_they_count_as_long_as_any_leeway_lets_a_token_live(revocation: Revocation) -> None:
    revocations = known(revocation)
    assert revocation.kept_until == END + MAX_LEEWAY
    revocations.prune(END + MAX_LEEWAY - 0.001)
    assert verdict(revocations) is not None
    revocations.prune(END + MAX_LEEWAY)
    assert (verdict(revocations), len(revocations)) == (None, 0)


def test_whether_there_are_any_is_known_without_looking() -> None:
    revocations = Revocations()
    said = [revocations.any]
    revocations.add(Revocation(ISSUER, jti="a", expires=END))
    revocations.add(Revocation(ISSUER, subject="s", not_before=NOW, expires=END + 1))
    for moment in (0.0, END + MAX_LEEWAY, END + MAX_LEEWAY + 1):
        said.append(revocations.any)
        revocations.prune(moment)
    assert [*said, revocations.any] == [False, True, True, True, False]


def test_twice_is_once_and_the_longer_one_counts() -> None:
    revocations = known(TOKEN, Revocation(ISSUER, jti="id-1", expires=END + 60), TOKEN)
    assert len(revocations) == 1
    revocations.prune(END + MAX_LEEWAY + 59)
    assert verdict(revocations) == ("jti", "id-1")


@pytest.mark.parametrize("another", [Revocation(ISSUER, jti="id-2", expires=END), SUBJECT])
def test_there_are_no_more_than_the_limit_and_none_gives_way(another: Revocation) -> None:
    revocations = known(Revocation(ISSUER, subject="user-2", not_before=NOW, expires=END), TOKEN, limit=2)
    assert not revocations.add(another)
    assert revocations.add(TOKEN)  # it is there
    assert revocations.add(Revocation(ISSUER, subject="user-2", not_before=NOW, expires=END))
    assert len(revocations) == 2
    assert verdict(revocations, sub="user-2") == ("jti", "id-1")
    revocations.prune(END + MAX_LEEWAY)
    assert revocations.add(another)


# ------------------------------------------------------------------------------------------------------- what is none


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"jti": "a", "subject": "b", "not_before": 1},
        {"jti": "a", "not_before": 1},
        {"subject": "b"},
        {"not_before": 1},
        {"jti": ""},
        {"jti": 7},
        {"jti": "\ud800"},
        {"jti": "a\udfff"},
        {"jti": "a", "issuer": ""},
        {"jti": "a", "issuer": None},
        {"jti": "a", "issuer": b"x"},
        {"subject": "", "not_before": 1},
        {"subject": "b", "not_before": "1"},
        {"subject": "b", "not_before": True},
        {"subject": "b", "not_before": float("nan")},
        {"subject": "b", "not_before": -1},
        {"jti": "a", "expires": None},
        {"jti": "a", "expires": "never"},
        {"jti": "a", "expires": False},
        {"jti": "a", "expires": float("inf")},
        {"jti": "a", "expires": LATEST + 1},
    ],
    ids=repr,
)
def test_what_names_no_token_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as error:
        Revocation(members.pop("issuer", ISSUER), **{"expires": END, **members})
    assert error.value.setting == "revocation"


# -------------------------------------------------------------------------------------------------- as a store keeps it


@pytest.mark.parametrize(
    "revocation",
    [
        TOKEN,
        SUBJECT,
        Revocation("ä", jti="\u2028\x00'\"", expires=0),
        Revocation("i", subject="s", not_before=0, expires=LATEST),
    ],
)
def test_what_is_written_can_be_read(revocation: Revocation) -> None:
    document = write_revocation(revocation)
    assert document.isascii()
    assert read_revocation(document.encode()) == revocation


GOOD = {"issuer": ISSUER, "jti": "id-1", "expires": END}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        *(json.dumps({name: value for name, value in GOOD.items() if name != missing}).encode() for missing in GOOD),
        json.dumps({**GOOD, "another": 1}).encode(),
        json.dumps({**GOOD, "jti": {"a": 1}}).encode(),
        json.dumps({**GOOD, "expires": "soon"}).encode(),
        b'{"issuer": "a", "jti": "b", "jti": "c", "expires": 1}',
        b'{"issuer": "a", "jti": "b", "expires": NaN}',
    ],
)
def test_what_is_no_revocation_cannot_be_read(document: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 SettingsError is one too
        read_revocation(document)
