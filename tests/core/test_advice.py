"""From an error to its cause: by its type and what it carries."""

from __future__ import annotations

import string

import pytest

from jwtgate import AuthError, Cause, InvalidToken, StoreUnavailable
from jwtgate.core.advice import ADVICE, Circumstances, advise, cause_of, duration
from jwtgate.core.errors import ClaimRejected, HeaderRejected, InsufficientScope, WrongAudience
from jwtgate.core.rules import ALGORITHM, REQUIREMENT, RULES, SIGNATURE
from tests.making import NOW


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
