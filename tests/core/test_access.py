"""Who is calling, and what they may do: every requirement, alone and combined, held against tokens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from jwtgate import (
    AccessToken,
    ApiSettings,
    InsufficientAuthentication,
    InsufficientScope,
    Issuer,
    Requirement,
    SettingsError,
    all_of,
    any_of,
    authenticated,
    claim,
    permission,
    scope,
)
from jwtgate.core.access import Report, demand
from jwtgate.core.effects import Moment
from jwtgate.core.flow import authenticate_token
from jwtgate.core.keys import keys_of
from tests.making import ABSENT, API, ISSUER, NOW, Issuing, drive

ISSUING = Issuing()
LEEWAY = 30


def token(*, permissions_in_token: bool = False, rfc9068: bool = False, **changes: Any) -> AccessToken:
    """A verified token with these claims changed."""
    issuers = [Issuer(ISSUER, jwks=ISSUING.jwks(ISSUING.key().jwk()))]
    settings = ApiSettings(identifier=API, issuers=issuers, permissions_in_token=permissions_in_token, leeway=LEEWAY)
    raw = (ISSUING.rfc9068_token if rfc9068 else ISSUING.token)(**changes)
    return drive(authenticate_token(raw, settings, keys_of(settings)), Moment(NOW, 0.0))


def refused(bearer: AccessToken, *requirements: Requirement | str) -> InsufficientScope:
    assert not bearer.allows(*requirements)
    with pytest.raises(InsufficientScope) as error:
        bearer.require(*requirements)
    return error.value


# ----------------------------------------------------------------------------------------------------------- the token


def test_a_token_keeps_the_text_that_it_came_in() -> None:
    bearer = token()
    known = (bearer._signed, bearer._policy, bearer._settings, NOW)
    assert AccessToken(*known).raw == bearer.raw
    assert AccessToken(*known, "a.b.c.d.e").raw == "a.b.c.d.e"  # of the signed token in it, which it was not sent as


def test_a_refusal_tells_all_that_is_unmet_and_every_hint_once() -> None:
    late = token(auth_time=NOW - 3_600)
    with pytest.raises(InsufficientAuthentication) as login:
        late.require(authenticated(acr="gold", max_age=60))
    assert (len(login.value.unmet), str(login.value)) == (2, "; ".join(login.value.unmet))
    bearer = token(scope="a", permissions=["b"])
    both = refused(bearer, scope("b") & permission("a"))
    assert both.hint == "; ".join([refused(bearer, scope("b")).hint, refused(bearer, permission("a")).hint])
    assert refused(bearer, permission("a")).hint.startswith("the token's scope claim")
    assert refused(bearer, scope("b")).hint.startswith("the token's permissions claim")


def test_an_alternative_that_is_met_is_enough_though_another_lacks_no_name() -> None:
    bearer = token(scope="a")
    assert bearer.allows(any_of(claim("org_id", "org_1"), scope("a")))
    assert bearer.allows(any_of(scope("a"), claim("org_id", "org_1")))


def test_a_decorator_that_was_not_called_is_told_from_what_is_no_name() -> None:
    rules = []
    for value in (print, 7):
        with pytest.raises(SettingsError) as refused:
            all_of(value)  # type: ignore[arg-type]
        rules.append(refused.value.rule)
    assert len(set(rules)) == 2


def test_who_logged_in_at_the_very_beginning_has_logged_in() -> None:
    assert token(auth_time=0).allows(authenticated(max_age=int(NOW)))
    assert not token(auth_time=0).allows(authenticated(max_age=int(NOW) - LEEWAY - 1))


def test_a_token_tells_who_is_calling() -> None:
    bearer = token(scope="a b", permissions=["p"], org_id="org_1", exp=NOW + 3_600.5)
    assert bearer.subject == "app-1@clients"
    assert bearer.client_id == "app-1"
    assert bearer.issuer == ISSUER
    assert bearer.audience == (API,)
    assert bearer.scopes == {"a", "b"}
    assert bearer.permissions == {"p"}
    assert bearer.organization == "org_1"
    assert bearer.issued_at == datetime.fromtimestamp(NOW - 60, UTC)
    assert bearer.expires_at == datetime.fromtimestamp(NOW + 3_600.5, UTC)
    assert bearer.header["alg"] == "RS256"
    assert bearer.raw.count(".") == 2
    assert bearer.checked_at == NOW


def test_what_a_token_does_not_say_is_none_or_empty() -> None:
    bearer = token(azp=ABSENT, scope=ABSENT, gty=ABSENT)
    assert (bearer.client_id, bearer.permissions, bearer.organization, bearer.actor) == (None, None, None, None)
    assert bearer.scopes == frozenset()


def test_no_permissions_claim_is_not_the_same_as_no_permissions() -> None:
    assert token().permissions is None
    assert token(permissions=[]).permissions == frozenset()


def test_an_array_of_audiences_keeps_its_order() -> None:
    assert token(aud=["https://a.test/", API]).audience == ("https://a.test/", API)


@pytest.mark.parametrize("last", [253_402_300_799, 253_402_300_798.99999])
def test_the_last_date_there_is_can_be_read(last: float) -> None:
    assert token(exp=last).expires_at.year == 9999


def test_claims_and_header_are_read_only() -> None:
    bearer = token(act={"sub": "a"})
    actor = bearer.actor
    assert actor is not None
    for view in (bearer.claims, bearer.header, actor.claims):
        with pytest.raises(TypeError):
            view["sub"] = "admin"  # type: ignore[index]


def test_what_is_done_to_a_claim_changes_nothing_of_the_token() -> None:
    bearer = token(permissions=["read"], act={"sub": "a", "act": {"sub": "b"}})
    bearer.claims["permissions"].append("admin")
    bearer.claims["act"]["sub"] = "admin"
    assert bearer.actor is not None
    bearer.actor.claims["act"]["sub"] = "admin"
    assert bearer.permissions == {"read"}
    assert [link.subject for link in bearer.actor] == ["a", "b"]


def test_a_token_does_not_show_itself() -> None:
    bearer = token(sub="line\r\n" + "x" * 500)
    text = repr(bearer)
    assert not any(part in text for part in bearer.raw.split("."))
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 300
    assert "app-1" in text


@pytest.mark.parametrize(
    ("changes", "machine"),
    [
        # each sign alone is enough
        ({"gty": "client-credentials", "sub": "s", "azp": "a"}, True),
        ({"gty": ["refresh_token", "client-credentials"], "sub": "s", "azp": "a"}, True),
        ({"gty": ABSENT, "sub": "a@clients", "azp": ABSENT}, True),
        ({"gty": ABSENT, "sub": "a", "azp": "a"}, True),
        ({"gty": ABSENT, "sub": "a", "azp": ABSENT, "client_id": "a"}, True),
        ({"gty": "password", "sub": "auth0|1", "azp": "a"}, False),
        ({"gty": ["refresh_token"], "sub": "auth0|1", "azp": "a"}, False),
        ({"gty": ABSENT, "sub": "auth0|1", "azp": "a"}, False),
        ({"gty": ABSENT, "sub": "auth0|1", "azp": ABSENT}, False),
        ({"gty": "not-client-credentials", "sub": "auth0|1"}, False),
        ({"gty": ABSENT, "sub": "a@clients.example"}, False),
    ],
    ids=repr,
)
def test_a_machine_is_known_by_any_of_its_signs(changes: dict[str, Any], machine: bool) -> None:
    assert token(**changes).is_machine is machine


def test_the_actors_are_a_chain_from_the_present_one_to_the_first() -> None:
    actor = token(act={"sub": "now", "client_id": "c", "act": {"sub": "before", "act": {"iss": "i"}}}).actor
    assert actor is not None
    assert [link.subject for link in actor] == ["now", "before", None]
    assert actor.claims["client_id"] == "c"
    assert actor.actor is not None
    assert actor.actor.subject == "before"
    assert repr(actor) == "<Actor sub='now'>"


# ------------------------------------------------------------------------------------------------------ requirements

READER = {"scope": "read", "permissions": ["perm"], "org_id": "org_1"}


@pytest.mark.parametrize(
    ("requirement", "report"),
    [
        (scope("read"), Report(True, ("read",))),
        (scope("read", "write"), Report(False, ("read", "write"), ("write",))),
        (scope("perm"), Report(False, ("perm",), ("perm",))),
        (scope("READ"), Report(False, ("READ",), ("READ",))),
        (scope("rea"), Report(False, ("rea",), ("rea",))),
        (permission("perm"), Report(True, ("perm",))),
        (permission("read"), Report(False, ("read",), ("read",))),
        (all_of("read"), Report(True, ("read",))),
        (scope("b", "a", "b"), Report(False, ("b", "a"), ("b", "a"))),
        # an all_of names everything, in order of mention, once
        (scope("w", "read") & permission("perm", "w"), Report(False, ("w", "read", "perm"), ("w",))),
        (all_of("b", "a", scope("c", "b")), Report(False, ("b", "a", "c"), ("b", "a", "c"))),
        # an any_of: the one that is met; else the first with the fewest missing names
        (any_of("x", "read"), Report(True, ("read",))),
        (any_of(scope("a", "b"), scope("c"), scope("d")), Report(False, ("c",), ("c",))),
        (any_of(scope("a", "b"), scope("read", "c")), Report(False, ("read", "c"), ("c",))),
        (any_of("a", "b"), Report(False, ("a",), ("a",))),
        (scope("read") & any_of(scope("a", "b"), "c") & "d", Report(False, ("read", "c", "d"), ("c", "d"))),
        (any_of(all_of("a", "b"), all_of("read", "c")), Report(False, ("read", "c"), ("c",))),
        (any_of("a", "b") | scope("read"), Report(True, ("read",))),
        # a claim has no name to ask for
        (claim("org_id", "org_1"), Report(True)),
        (scope("read") & claim("org_id", "org_1", "org_2"), Report(True, ("read",))),
    ],
    ids=lambda value: "" if isinstance(value, Report) else repr(value),
)
def test_a_requirement_reports_what_to_ask_for_and_what_is_missing(requirement: Requirement, report: Report) -> None:
    bearer = token(**READER)
    assert requirement.report(bearer) == report
    assert bearer.allows(requirement) is report.met
    if report.met:
        bearer.require(requirement)
    else:
        error = refused(bearer, requirement)
        assert (error.names, error.missing, error.unmet) == (report.names, report.missing, ())
        challenge = dict(error.headers)["WWW-Authenticate"]
        assert f'scope="{" ".join(report.names)}"' in challenge


def test_a_claim_that_is_not_met_names_nothing_to_ask_for() -> None:
    error = refused(token(), claim("org_id", "org_1"))
    assert (error.names, error.missing, len(error.unmet)) == ((), (), 1)
    assert "scope=" not in dict(error.headers)["WWW-Authenticate"]


def test_what_is_unmet_stands_in_the_log_and_in_no_answer() -> None:
    error = refused(token(tier="free\r\n" + "x" * 500), claim("tier", "gold") & scope("write"))
    assert (error.names, error.missing) == (("write",), ("write",))
    assert str(error).isascii()
    assert str(error).isprintable()
    assert len(str(error)) < 400
    answer = repr(error.headers) + repr(error.body)
    assert not any(word in answer for word in ("gold", "free", "tier"))


@pytest.mark.parametrize(
    ("found", "wanted", "met"),
    [
        ("a", ("a",), True),
        ("a", ("b", "a"), True),
        ("a", ("A",), False),
        ("ab", ("a",), False),
        (["a", "b"], ("b",), True),
        (["a", "b"], ("c", "b"), True),
        (["a", "b"], ("ab",), False),
        ([], ("a",), False),
        (1, (1,), True),
        (1.0, (1,), True),
        # true is no number in JSON
        (True, (1,), False),
        (1, (True,), False),
        (False, (0,), False),
        (0, (False,), False),
        ([1], (True,), False),
        (True, (True,), True),
        (False, (False,), True),
        (False, (True,), False),
        ("true", (True,), False),
        ({"a": 1}, ({"a": 1},), True),
        ("1", (1,), False),
        (None, (None,), True),
        (None, ("None",), False),
        (ABSENT, ("",), False),
        (ABSENT, (False,), False),
        # a setting that was forgotten and came as None must not let everybody in who lacks the claim
        (ABSENT, (None,), False),
        (ABSENT, ([],), False),
    ],
)
def test_a_claim_must_be_or_hold_one_of_the_values(found: Any, wanted: tuple[Any, ...], met: bool) -> None:
    assert token(**{"https://x.test/c": found}).allows(claim("https://x.test/c", *wanted)) is met


@pytest.mark.parametrize(
    ("permissions_in_token", "changes", "met"),
    [
        (False, {"scope": "n"}, True),
        (False, {"scope": ABSENT, "permissions": ["n"]}, False),
        (True, {"scope": ABSENT, "permissions": ["n"]}, True),
        (True, {"scope": "n", "permissions": []}, False),
        (True, {"scope": "n"}, False),
        (True, {"scope": "n", "permissions": ["m"]}, False),
        (False, {"scope": "n", "permissions": []}, True),
    ],
    ids=repr,
)
def test_a_plain_name_is_looked_for_where_the_settings_say(
    permissions_in_token: bool, changes: dict[str, Any], met: bool
) -> None:
    bearer = token(permissions_in_token=permissions_in_token, **changes)
    assert bearer.allows("n") is met
    assert bearer.allows(scope("n")) is ("n" in bearer.scopes)
    assert bearer.allows(permission("n")) is ("n" in (bearer.permissions or ()))


@pytest.mark.parametrize(
    ("permissions_in_token", "changes", "hinted"),
    [
        (False, {"scope": "a", "permissions": ["n"]}, True),
        (False, {"scope": "a", "permissions": ["m"]}, False),
        (False, {"scope": "a", "permissions": []}, False),
        (False, {"scope": "a"}, False),
        (True, {"scope": "n"}, True),
        (True, {"scope": "a"}, False),
        # RBAC is on and granted none: the scope was asked for and not allowed, so there is nothing to change here
        (True, {"scope": "n", "permissions": []}, False),
        (True, {"scope": "n", "permissions": ["m"]}, False),
    ],
    ids=repr,
)
def test_a_name_in_the_place_that_is_not_read_is_told_in_the_log(
    permissions_in_token: bool, changes: dict[str, Any], hinted: bool
) -> None:
    error = refused(token(permissions_in_token=permissions_in_token, **changes), "n")
    assert bool(error.hint) is hinted
    assert error.hint in str(error)
    assert not error.hint or error.hint not in repr(error.headers) + repr(error.body)


def test_the_two_hints_are_different() -> None:
    scoped = refused(token(permissions_in_token=True, scope="n"), "n")
    permitted = refused(token(scope="a", permissions=["n"]), "n")
    assert scoped.hint != permitted.hint


@pytest.mark.parametrize("permissions_in_token", [True, False])
def test_a_place_that_was_named_is_the_only_one_and_the_log_says_where_the_name_is(permissions_in_token: bool) -> None:
    permitted = refused(token(permissions_in_token=permissions_in_token, scope="a", permissions=["n"]), scope("n"))
    scoped = refused(token(permissions_in_token=permissions_in_token, scope="n", permissions=[]), permission("n"))
    assert "permissions_in_token" not in permitted.hint + scoped.hint  # that setting would change nothing here
    assert len({permitted.hint, scoped.hint, ""}) == 3


# -------------------------------------------------------------------------------------------------------- the algebra

A, B, C = scope("a"), permission("b"), claim("c", 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (A & B & C, all_of(A, B, C)),
        (A & (B & C), all_of(A, B, C)),
        (A | B | C, any_of(A, B, C)),
        (A | (B | C), any_of(A, B, C)),
        (A & "x", all_of(A, "x")),
        ("x" & A, all_of("x", A)),
        (A | "x", any_of(A, "x")),
        ("x" | A, any_of("x", A)),
        (all_of(A), A),
        (any_of(A), A),
        (demand([A, "x"]), all_of(A, "x")),
        (scope("a", "a"), A),
    ],
)
def test_requirements_are_values(one: Requirement, other: Requirement) -> None:
    assert one == other
    assert hash(one) == hash(other)


def test_a_mixed_requirement_keeps_its_shape() -> None:
    assert A & (B | C) != (A & B) | C
    assert A & B != B & A
    assert scope("a") != permission("a")


@pytest.mark.parametrize(
    ("requirement", "names"),
    [
        (scope("b", "a", "b"), ("b", "a")),
        (claim("c", 1), ()),
        (authenticated(max_age=1), ()),
        (any_of("b", permission("a", "b")) & "c", ("b", "a", "c")),
    ],
)
def test_a_requirement_lists_every_name_for_documentation(requirement: Requirement, names: tuple[str, ...]) -> None:
    assert requirement.names == names


@pytest.mark.parametrize("scopes", ["", "a", "b", "c", "a b", "a c", "b c", "a b c"])
def test_a_combination_is_met_as_logic_says(scopes: str) -> None:
    bearer = token(scope=scopes)
    a, b, c = (name in scopes.split() for name in "abc")
    assert bearer.allows(scope("a") & (scope("b") | scope("c"))) is (a and (b or c))
    assert bearer.allows((scope("a") & scope("b")) | scope("c")) is ((a and b) or c)
    assert bearer.allows("a", any_of("b", "c")) is (a and (b or c))


@pytest.mark.parametrize(
    "combine",
    [
        lambda: A and B,  # type: ignore[unreachable]
        lambda: A or B,  # type: ignore[unreachable]
        lambda: not A,
        lambda: bool(any_of(A, "x")),
        lambda: bool(authenticated(max_age=1)),
    ],
)
def test_words_that_would_leave_a_requirement_out_are_refused(combine: Callable[[], object]) -> None:
    with pytest.raises(SettingsError) as error:
        combine()
    assert error.value.setting == "requirement"


def test_nothing_required_is_met_by_any_token() -> None:
    bearer = token()
    bearer.require()
    assert bearer.allows()
    assert demand([]) is None


def test_a_requirement_of_ones_own_must_say_how_it_is_met() -> None:
    class Weekday(Requirement):
        pass

    class Even(Requirement):
        def report(self, token: AccessToken) -> Report:
            return Report(token.claims["iat"] % 2 == 0, unmet=("odd",))

    with pytest.raises(TypeError):
        token().allows(Weekday())
    assert Weekday().names == ()
    assert token(iat=2).allows(Even() & "read:messages")
    assert refused(token(iat=1), Even() & "read:messages").unmet == ("odd",)


def test_a_requirement_of_ones_own_that_says_nothing_lets_nobody_in() -> None:
    class Forgetful(Requirement):
        def report(self, token: AccessToken) -> Report:
            return None  # type: ignore[return-value]

    for ask in (token().require, token().allows):
        with pytest.raises(AttributeError):
            ask(Forgetful())


BAD_NAMES = ("", "a b", 'a"b', "a\\b", "é", "a\n", 5, None, b"a", ["a"])


@pytest.mark.parametrize(
    ("make", "setting"),
    [
        *[(lambda name=name: scope(name), "scope") for name in BAD_NAMES],
        *[(lambda name=name: permission("a", name), "permission") for name in BAD_NAMES],
        *[(lambda name=name: all_of(A, name), "requirement") for name in BAD_NAMES],
        *[(lambda name=name: A | name, "requirement") for name in BAD_NAMES],
        *[(lambda name=name: authenticated(acr=[name]), "acr") for name in BAD_NAMES],
        (lambda: authenticated(acr=5), "acr"),  # type: ignore[arg-type]
        (scope, "scope"),
        (permission, "permission"),
        (all_of, "requirement"),
        (any_of, "requirement"),
        (lambda: claim("org_id"), "claim"),
        (lambda: claim("", 1), "claim"),
        (lambda: claim(7, 1), "claim"),  # type: ignore[arg-type]
        (authenticated, "authenticated"),
        (lambda: authenticated(acr="", max_age=None), "authenticated"),
        *[(lambda age=age: authenticated(max_age=age), "max_age") for age in (-1, 1.5, True, "60", float("nan"))],
    ],
)
def test_a_requirement_that_could_never_be_right_is_refused_when_it_is_built(
    make: Callable[[], Requirement], setting: str
) -> None:
    with pytest.raises(SettingsError) as error:
        make()
    assert error.value.setting == setting


def test_a_name_of_any_length_may_be_asked_for() -> None:
    long = "read:" + "x" * 300
    assert [token(scope=f"a {long} b").allows(name) for name in (long, long + "x", long[:-1])] == [True, False, False]


def test_a_bad_name_is_refused_also_where_a_token_is_asked() -> None:
    for ask in (token().require, token().allows):
        with pytest.raises(SettingsError):
            ask("two names")


# ----------------------------------------------------------------------------------------------------------- step-up


@pytest.mark.parametrize(
    ("found", "wanted", "met"),
    [
        ("gold", "gold", True),
        ("gold", ("silver", "gold"), True),
        ("gold", "Gold", False),
        ("gold", "gol", False),
        (ABSENT, "gold", False),
        (None, "gold", False),
        (["gold"], "gold", False),
        (7, "7", False),
        ("", "gold", False),
    ],
)
def test_the_authentication_class_must_be_one_of_the_wanted(found: Any, wanted: Any, met: bool) -> None:
    bearer = token(acr=found)
    assert bearer.allows(authenticated(acr=wanted)) is met
    if not met:
        with pytest.raises(InsufficientAuthentication) as error:
            bearer.require(authenticated(acr=wanted))
        expected = (wanted,) if isinstance(wanted, str) else wanted
        assert (error.value.acr_values, error.value.max_age) == (expected, None)
        assert (error.value.status, error.value.code) == (401, "insufficient_user_authentication")


@pytest.mark.parametrize(
    ("auth_time", "met"),
    [
        (NOW, True),
        (NOW - 60, True),
        (NOW - 60 - LEEWAY, True),
        (NOW - 60 - LEEWAY - 1, False),
        (NOW + LEEWAY, True),
        (NOW + LEEWAY + 1, False),
        (NOW + 3_600, False),
        (0, False),
        (ABSENT, False),
        (None, False),
        (str(NOW), False),
        (True, False),
        ([NOW], False),
        (-1, False),
        (10**400, False),
        (-(10**400), False),
        (1e308, False),
    ],
)
def test_the_last_login_must_not_be_too_long_ago_nor_ahead(auth_time: Any, met: bool) -> None:
    bearer = token(auth_time=auth_time)
    assert bearer.allows(authenticated(max_age=60)) is met
    if not met:
        with pytest.raises(InsufficientAuthentication) as error:
            bearer.require(authenticated(max_age=60))
        assert (error.value.acr_values, error.value.max_age) == ((), 60)
        assert len(str(error.value)) < 200


def test_a_login_of_this_second_can_be_demanded() -> None:
    assert token(auth_time=NOW).allows(authenticated(max_age=0))
    assert not token(auth_time=NOW - LEEWAY - 1).allows(authenticated(max_age=0))


@pytest.mark.parametrize(
    ("changes", "count"),
    [({"acr": "gold", "auth_time": NOW}, 0), ({"acr": "gold"}, 1), ({"auth_time": NOW}, 1), ({}, 2)],
    ids=repr,
)
def test_class_and_age_can_be_demanded_together(changes: dict[str, Any], count: int) -> None:
    report = authenticated(acr=["gold", "silver"], max_age=60).report(token(**changes))
    assert (report.met, len(report.unmet)) == (count == 0, count)
    # Asked for together, whichever of them is wrong: the new login must satisfy both.
    assert (report.acr_values, report.max_age) == ((), None) if count == 0 else (("gold", "silver"), 60)


def test_a_step_up_comes_before_a_missing_scope() -> None:
    with pytest.raises(InsufficientAuthentication) as error:
        token().require(scope("write"), authenticated(acr="gold"))
    assert error.value.acr_values == ("gold",)


def test_of_two_ages_the_shorter_is_asked_for_and_of_two_classes_the_first() -> None:
    both = authenticated(acr="gold", max_age=60) & authenticated(acr="silver", max_age=30) & authenticated(max_age=90)
    with pytest.raises(InsufficientAuthentication) as error:
        token(auth_time=NOW - 3_600).require(both)
    assert (error.value.acr_values, error.value.max_age) == (("gold",), 30)


def test_only_what_is_not_met_is_asked_for() -> None:
    both = authenticated(acr="gold", max_age=3_600) & authenticated(max_age=60)
    with pytest.raises(InsufficientAuthentication) as error:
        token(acr="gold", auth_time=NOW - 600).require(both)
    assert (error.value.acr_values, error.value.max_age) == ((), 60)


def test_an_alternative_without_a_step_up_is_enough() -> None:
    assert token(scope="read").allows(scope("read") | authenticated(max_age=60))


def test_the_leeway_is_that_of_the_tokens_issuer() -> None:
    jwks = ISSUING.jwks(ISSUING.key().jwk())
    settings = ApiSettings(identifier=API, issuers=[Issuer(ISSUER, jwks=jwks, leeway=0)], leeway=300)
    raw = ISSUING.token(auth_time=NOW - 61)
    bearer = drive(authenticate_token(raw, settings, keys_of(settings)), Moment(NOW, 0.0))
    assert not bearer.allows(authenticated(max_age=60))
    assert bearer.allows(authenticated(max_age=61))
