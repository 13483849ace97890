"""From an error to its cause: by its type and what it carries."""

from __future__ import annotations

import string

import pytest

from jwtgate import AuthError, Cause, InvalidToken, StoreUnavailable
from jwtgate.core.advice import ADVICE, Circumstances, advise, cause_of, duration, said_time
from jwtgate.core.errors import ClaimRejected, HeaderRejected, InsufficientScope, TokenExpired, WrongAudience
from jwtgate.core.rules import ALGORITHM, REQUIREMENT, RULES, SIGNATURE, TYP, time_of
from jwtgate.core.settings import Policy
from jwtgate.core.values import ALGORITHMS, LATEST
from tests.making import API, ISSUER, NOW

SYMMETRIC = frozenset({"HS256"})
ASYMMETRIC = ALGORITHMS - SYMMETRIC


def circumstances(**changes: object) -> Circumstances:
    known = {"rule": SIGNATURE, "sent": "a.b.c", "found": None, "claims": {}, "now": NOW}
    return Circumstances(**{**known, **changes})  # type: ignore[arg-type]


def every_error(kind: type[AuthError] = AuthError) -> list[type[AuthError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in every_error(child))]


def test_every_cause_has_its_sentence_and_its_advice() -> None:
    assert ADVICE.keys() == set(Cause)


@pytest.mark.parametrize("cause", Cause)
def test_a_sentence_is_one_sentence(cause: Cause) -> None:
    why, change = ADVICE[cause]
    assert why.endswith(".")
    assert ". " not in why
    assert change.endswith(".")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (StoreUnavailable("it does not answer"), Cause.UNAVAILABLE),
        (InvalidToken("nor for this one"), Cause.OTHER),
    ],
)
def test_an_error_without_a_line_of_its_own_is_told_in_the_words_of_the_log(error: AuthError, cause: Cause) -> None:
    here = circumstances()
    assert cause_of(error, here) is cause
    assert str(error) in advise(cause, error, here)[0]


def test_what_is_not_known_is_not_guessed() -> None:
    assert cause_of(HeaderRejected("alg", "RS256", "HS256"), circumstances(rule=ALGORITHM)) is Cause.HEADER
    assert cause_of(InsufficientScope(["a"], ["a"]), circumstances(rule=REQUIREMENT)) is Cause.REQUIREMENT
    strange = circumstances(claims={"aud": "https://two.test/"})
    assert cause_of(WrongAudience("aud", "https://one.test/", "https://two.test/"), strange) is Cause.CLAIM


@pytest.mark.parametrize("cause", Cause)
def test_no_sentence_takes_its_placeholders_from_foreign_text(cause: Cause) -> None:
    """A claim that looks like a format is told as it stands."""
    fields = {name for text in ADVICE[cause] for _, name, _, _ in string.Formatter().parse(text) if name}
    error = ClaimRejected("sub", "a string", "{now.__class__}")
    for name in fields - {"expected", "actual", "claim", "found", "detail", "at", "ago", "ahead"}:
        setattr(error, name, "x")
    why, _ = advise(cause, error, circumstances(rule=next(iter(RULES.values())), found="{found}"))
    assert "{now.__class__}" in why or not fields & {"actual", "detail"}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 seconds"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7_199, "120 minutes"),
        (7_200, "2 hours"),
        (172_800, "2 days"),
    ],
)
def test_a_duration_is_told_roughly(seconds: float, told: str) -> None:
    assert duration(seconds) == told


# ------------------------------------------------------------------------------------------- what a sentence tells


def told(cause: Cause, error: AuthError, **here: object) -> str:
    return advise(cause, error, circumstances(**here))[0]


def test_of_a_claim_that_is_a_time_it_is_told_when_that_is() -> None:
    expired = told(Cause.EXPIRED, TokenExpired(NOW - 600, NOW, 30))
    assert [fact in expired for fact in ("10 minutes", time_of(NOW - 600))] == [True, True]
    ahead = told(Cause.CLOCK, ClaimRejected("nbf", "A", NOW + 600))
    assert [fact in ahead for fact in ("'nbf'", "10 minutes", time_of(NOW + 600))] == [True, True, True]


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ("x", "'x'"),
        (None, "nothing"),
        ([], "nothing"),
        ((), "()"),
        ("", "''"),
        (["a", "b"], "'a', 'b'"),
        (("a",), "'a'"),
        ([*"abcde"], "'a', 'b', 'c', 'd'"),
        ({"a": 1}, "{'a': 1}"),
    ],
)
def test_what_was_found_is_told_quoted_and_what_we_expect_in_our_own_words(found: object, shown: str) -> None:
    sentence = told(Cause.AUDIENCE, WrongAudience("aud", "an 'A'", found), found=found)
    assert sentence == f"The token is for {shown}, and this API is an 'A'."


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(0, 0.0), (0.5, 0.5), (NOW, NOW), (LATEST, LATEST), (LATEST + 1, 0.0), (-1, 0.0), (True, 0.0), ("5", 0.0),
     (None, 0.0), (float("nan"), 0.0)],
)  # fmt: skip
def test_what_is_no_time_is_told_as_none(value: object, seconds: float) -> None:
    assert said_time(value) == seconds


# -------------------------------------------------------------------------------------------------- which cause it is


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
def test_a_time_beyond_all_years_looks_like_milliseconds(claim: str) -> None:
    causes = [cause_of(ClaimRejected(claim, "A", LATEST + more), circumstances()) for more in (1, 0)]
    assert causes == [Cause.MILLISECONDS, Cause.CLAIM]
    assert cause_of(ClaimRejected("auth_time", "A", LATEST + 1), circumstances()) is Cause.CLAIM


@pytest.mark.parametrize(
    ("typ", "cause"),
    [
        ("at+jwt", Cause.OTHER_PROFILE),
        ("application/AT+JWT", Cause.OTHER_PROFILE),
        ("JWT", Cause.OTHER_PROFILE),
        ("at+jwtapplication/", Cause.TYP),
        ("dpop+jwt", Cause.TYP),
        (None, Cause.TYP),
        (7, Cause.TYP),
    ],
)
def test_a_type_of_the_other_profile_is_told_from_any_other(typ: object, cause: Cause) -> None:
    assert cause_of(HeaderRejected("typ", "A", typ), circumstances(rule=TYP)) is cause


def test_a_shared_secret_and_a_key_pair_are_told_apart_though_every_algorithm_is_taken() -> None:
    for ours, other, cause in (
        (ASYMMETRIC, SYMMETRIC, Cause.SYMMETRIC_ALGORITHM),
        (SYMMETRIC, ASYMMETRIC, Cause.ASYMMETRIC_ALGORITHM),
    ):
        policy = Policy(ISSUER, (API,), frozenset(ours), profile=None, accept_typ=(), leeway=0, token_lifetime=None)
        for algorithm in other:
            error = HeaderRejected("alg", "A", algorithm)
            assert cause_of(error, circumstances(rule=ALGORITHM, policy=policy)) is cause
