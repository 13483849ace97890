"""One request is authenticated once: what is kept with it, for whom, and what then decides."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from jwtgate import (
    AccessToken,
    ApiSettings,
    AsyncVerifier,
    AuthError,
    InsufficientAuthentication,
    InsufficientScope,
    InvalidToken,
    Issuer,
    MissingCredentials,
    Request,
    SettingsError,
    Verifier,
    authenticated,
    scope,
)
from jwtgate.admission import NoToken, admit, caller, keep, recall, refuse, tell, verifier_for
from tests import proving
from tests.making import API, ISSUER, NOW, Issuing

ISSUING = Issuing()
JWKS = ISSUING.jwks(ISSUING.key().jwk())


class Clock:
    def wall(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def settings_for(identifier: str = API, **changes: Any) -> ApiSettings:
    return ApiSettings(identifier=identifier, issuers=[Issuer(ISSUER, jwks=JWKS)], **changes)


SETTINGS = settings_for()


def outcome(*authorization: str, settings: ApiSettings = SETTINGS) -> AccessToken | AuthError:
    request = Request("GET", API, [("Authorization", value) for value in authorization])
    return Verifier(settings, clock=Clock()).outcome(request)


GOOD = f"Bearer {ISSUING.token()}"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "jwtgate")
    return caplog


# ----------------------------------------------------------------------------------------------------------- the memory


def test_an_outcome_is_kept_with_its_request() -> None:
    memory: dict[str, Any] = {"path": "/"}
    assert recall(memory, SETTINGS) is None
    found = outcome(GOOD)
    assert keep(memory, SETTINGS, found) is found
    assert recall(memory, SETTINGS) is found
    assert recall({}, SETTINGS) is None
    assert memory["path"] == "/"


def test_equal_settings_share_an_outcome() -> None:
    memory: dict[str, Any] = {}
    found = keep(memory, SETTINGS, outcome(GOOD))
    assert recall(memory, settings_for()) is found


@pytest.mark.parametrize(
    "other",
    [
        settings_for("https://two.test/"),
        settings_for(leeway=0),
        settings_for(permissions_in_token=True),
        settings_for(profile="auth0"),
        settings_for(token_lifetime=60),
        settings_for(permissions=["read:messages"]),
        settings_for(realm="other"),
    ],
    ids=repr,
)
def test_other_settings_never_see_it(other: ApiSettings) -> None:
    memory: dict[str, Any] = {}
    keep(memory, SETTINGS, outcome(GOOD))
    assert recall(memory, other) is None


def test_two_settings_have_an_outcome_each() -> None:
    memory: dict[str, Any] = {}
    two = settings_for("https://two.test/")
    first = keep(memory, SETTINGS, outcome(GOOD))
    second = keep(memory, two, outcome(GOOD, settings=two))
    assert (recall(memory, SETTINGS), recall(memory, two)) == (first, second)
    assert isinstance(first, AccessToken)
    assert isinstance(second, InvalidToken)


def test_a_refusal_is_kept_too() -> None:
    memory: dict[str, Any] = {}
    found = keep(memory, SETTINGS, outcome())
    assert isinstance(found, MissingCredentials)
    assert recall(memory, SETTINGS) is found


# ---------------------------------------------------------------------------------------------------------------- admit


def test_a_good_token_is_admitted_and_nothing_is_said(log: pytest.LogCaptureFixture) -> None:
    found = outcome(GOOD)
    assert admit(found) is found
    assert admit(found, scope("read:messages")) is found
    assert admit(found, scope("read:messages"), optional=True) is found
    assert log.records == []


def test_a_requirement_that_is_not_met_is_refused(log: pytest.LogCaptureFixture) -> None:
    for optional in (False, True):
        with pytest.raises(InsufficientScope) as error:
            admit(outcome(GOOD), scope("write"), optional=optional)
        assert error.value.missing == ("write",)
        assert error.value.refusal is not None
    with pytest.raises(InsufficientAuthentication):
        admit(outcome(GOOD), authenticated(max_age=60))
    assert [record.event for record in log.records] == [  # type: ignore[attr-defined]
        "InsufficientScope",
        "InsufficientScope",
        "InsufficientAuthentication",
    ]


@pytest.mark.parametrize(
    ("authorization", "passes"),
    [
        ([], True),
        (["Basic YTpi"], True),
        (["Bearer"], False),
        (["Bearer x"], False),
        ([f"Bearer {ISSUING.token(exp=1)}"], False),
        ([GOOD, GOOD], False),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_only_no_credentials_at_all_are_optional(
    authorization: list[str], passes: bool, log: pytest.LogCaptureFixture
) -> None:
    found = outcome(*authorization)
    assert isinstance(found, AuthError)
    if passes:
        assert admit(found, optional=True) is None
        assert admit(found, scope("write"), optional=True) is None
        assert log.records == []
    else:
        with pytest.raises(type(found)):
            admit(found, optional=True)
    with pytest.raises(type(found)):
        admit(found)
    assert len(log.records) == 1


def test_a_refusal_is_said_once_however_many_gates_it_meets(log: pytest.LogCaptureFixture) -> None:
    found = outcome("Bearer x")
    for _ in range(3):
        with pytest.raises(AuthError) as error:
            admit(found)
        assert error.value is found
    assert isinstance(found, AuthError)
    refuse(found, SETTINGS)
    assert len(log.records) == 1


# --------------------------------------------------------------------------------------------------------------- caller


def test_who_is_calling_is_what_a_gate_found_out() -> None:
    memory: dict[str, Any] = {}
    found = keep(memory, SETTINGS, outcome(GOOD))
    assert caller(memory, SETTINGS) is found


def test_to_ask_who_is_calling_is_to_insist() -> None:
    memory: dict[str, Any] = {}
    found = keep(memory, SETTINGS, outcome())
    with pytest.raises(MissingCredentials) as error:
        caller(memory, SETTINGS)
    assert error.value is found


@pytest.mark.parametrize("gate", [None, settings_for("https://two.test/")], ids=["no gate", "another gate"])
def test_a_caller_that_no_such_gate_has_looked_at_is_a_fault_of_the_application(gate: ApiSettings | None) -> None:
    memory: dict[str, Any] = {}
    if gate is not None:
        keep(memory, gate, outcome(GOOD, settings=gate))
    with pytest.raises(NoToken) as error:
        caller(memory, SETTINGS)
    assert not isinstance(error.value, AuthError)


# ----------------------------------------------------------------------------------------------------------------- tell

ASKING = proving.settings_for()


def proved(settings: ApiSettings = ASKING, nonce: str | None = proving.NONCE) -> AccessToken | AuthError:
    lines = proving.headers(nonce=nonce).items()
    return proving.verifier(settings).outcome(Request("GET", f"{API}private", list(lines)))


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], [("Cache-Control", "no-store"), ("DPoP-Nonce", proving.NONCE)]),
        (
            [("X", "1"), ("x", "1")],
            [("X", "1"), ("x", "1"), ("Cache-Control", "no-store"), ("DPoP-Nonce", proving.NONCE)],
        ),
        # What the application says of caches is its own affair.
        (
            [("cache-control", "private"), ("CACHE-CONTROL", "max-age=60")],
            [("cache-control", "private"), ("CACHE-CONTROL", "max-age=60"), ("DPoP-Nonce", proving.NONCE)],
        ),
        (
            [("DPOP-NONCE", "old"), ("X", "1"), ("dpop-nonce", "older")],
            [("X", "1"), ("Cache-Control", "no-store"), ("DPoP-Nonce", proving.NONCE)],
        ),
    ],
)
def test_the_answer_to_a_good_proof_has_one_nonce(lines: list[tuple[str, str]], told: list[tuple[str, str]]) -> None:
    memory: dict[str, Any] = {}
    keep(memory, ASKING, proved())
    assert tell(iter(lines), memory, ASKING) == told
    assert tell(told, memory, ASKING) == told


@pytest.mark.parametrize(
    "found",
    [None, outcome(GOOD), outcome("Bearer x"), proved(nonce=None), proved(proving.settings_for(dpop_nonce_key=None))],
    ids=["no gate", "a bearer's token", "a bad token", "a proof without a nonce", "nonces are off"],
)
def test_nobody_else_is_told_a_nonce(found: AccessToken | AuthError | None) -> None:
    memory: dict[str, Any] = {}
    if found is not None:
        keep(memory, ASKING, found)
    lines = [("dpop-nonce", "of the application")]
    assert tell(lines, memory, ASKING) == lines


def test_a_nonce_is_told_for_the_settings_that_gave_it() -> None:
    memory: dict[str, Any] = {}
    keep(memory, proving.settings_for(leeway=0), proved())
    assert tell([], memory, ASKING) == []


# --------------------------------------------------------------------------------------------------------------- refuse


def test_an_answer_that_a_verifier_gave_stays() -> None:
    found = outcome("Bearer x")
    assert isinstance(found, AuthError)
    assert refuse(found, SETTINGS) is found.refusal


def test_an_error_that_the_application_raised_itself_has_an_answer_too(log: pytest.LogCaptureFixture) -> None:
    given = refuse(InsufficientScope(["a"], ["a"]), settings_for(realm="mine"))
    assert given.status == 403
    assert dict(given.headers)["WWW-Authenticate"].startswith('Bearer realm="mine", error="insufficient_scope"')
    assert [record.levelno for record in log.records] == [logging.INFO]


# ---------------------------------------------------------------------------------------------------- a gate's verifier


@pytest.mark.parametrize("kind", [Verifier, AsyncVerifier])
def test_a_gate_has_its_own_verifier_or_the_one_it_is_given(kind: Any) -> None:
    own = verifier_for(kind, SETTINGS, None)
    assert type(own) is kind
    assert own.settings is SETTINGS
    given = kind(settings_for())
    assert verifier_for(kind, SETTINGS, given) is given


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (Verifier, AsyncVerifier(SETTINGS)),
        (AsyncVerifier, Verifier(SETTINGS)),
        (Verifier, object()),
        (Verifier, Verifier(settings_for("https://two.test/"))),
        (AsyncVerifier, AsyncVerifier(settings_for(leeway=0))),
        (Verifier, Verifier),
    ],
)
def test_a_verifier_that_does_not_agree_with_its_gate_is_refused(kind: Any, given: Any) -> None:
    with pytest.raises(SettingsError) as error:
        verifier_for(kind, SETTINGS, given)
    assert error.value.setting == "verifier"


def test_both_kinds_of_verifier_have_the_same_outcome() -> None:
    for value in (GOOD, "Bearer x", "Basic x", "Bearer"):
        request = Request("GET", API, [("Authorization", value)])
        one = Verifier(SETTINGS, clock=Clock()).outcome(request)
        two = asyncio.run(AsyncVerifier(SETTINGS, clock=Clock()).outcome(request))
        assert type(one) is type(two)
        if isinstance(one, AuthError):
            assert one.refusal == two.refusal  # type: ignore[union-attr]
            assert str(one) == str(two)
