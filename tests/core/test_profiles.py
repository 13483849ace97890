"""`typ` decides whose rules a token follows; each profile has its own."""

from __future__ import annotations

from typing import Any

import pytest

from jwtgate import AccessToken, ApiSettings, InvalidToken, Issuer
from jwtgate.core.effects import Moment
from jwtgate.core.errors import ClaimRejected, HeaderRejected
from jwtgate.core.flow import authenticate_token
from jwtgate.core.keys import keys_of
from jwtgate.core.profiles import PROFILES, profile_of
from jwtgate.core.values import Profile
from tests.making import ABSENT, API, ISSUER, NOW, Issuing, drive

ISSUING = Issuing()
JWKS = ISSUING.jwks(ISSUING.key().jwk())


def settings_of(profile: Profile | None = None, accept_typ: tuple[str | None, ...] = ()) -> ApiSettings:
    return ApiSettings(identifier=API, issuers=[Issuer(ISSUER, jwks=JWKS, accept_typ=accept_typ)], profile=profile)


EITHER = settings_of()


def check(token: str, settings: ApiSettings = EITHER) -> AccessToken:
    return drive(authenticate_token(token, settings, keys_of(settings)), Moment(NOW, 0.0))


# ------------------------------------------------------------------------------------------------------------------ typ

AUTH0 = ("JWT", "jwt", "Jwt", "application/jwt", "APPLICATION/JWT")
RFC9068 = ("at+jwt", "AT+JWT", "At+Jwt", "application/at+jwt", "APPLICATION/AT+JWT")
FOREIGN = (
    None,
    "",
    "JOSE",
    "dpop+jwt",
    "logout+jwt",
    "secevent+jwt",
    "token-introspection+jwt",
    "oauth-id-jag+jwt",
    "JWT; charset=x",
    "at+jwt; charset=x",
    " JWT",
    "JWT ",
    "at+jwt\n",
    "application/application/jwt",
    "text/jwt",
    "jwt/at+jwt",
    "jwt+at",
    "ΑT+JWT",  # its first letter is Greek
)


@pytest.mark.parametrize("typ", AUTH0)
def test_jwt_is_of_the_auth0_profile(typ: str) -> None:
    assert profile_of(typ, EITHER.policies[ISSUER]) == "auth0"
    assert check(ISSUING.token(header={"typ": typ})).subject


@pytest.mark.parametrize("typ", RFC9068)
def test_at_jwt_is_of_the_rfc_9068_profile(typ: str) -> None:
    assert profile_of(typ, EITHER.policies[ISSUER]) == "rfc9068"
    assert check(ISSUING.rfc9068_token(header={"typ": typ})).subject


@pytest.mark.parametrize("fixed", [None, "auth0", "rfc9068"])
@pytest.mark.parametrize("typ", FOREIGN)
def test_any_other_typ_and_none_are_refused(typ: str | None, fixed: Profile | None) -> None:
    token = ISSUING.rfc9068_token(header={"typ": ABSENT if typ is None else typ})
    with pytest.raises(HeaderRejected) as refused:
        check(token, settings_of(fixed))
    assert (refused.value.parameter, refused.value.actual) == ("typ", typ)


@pytest.mark.parametrize(("fixed", "typ"), [("auth0", typ) for typ in RFC9068] + [("rfc9068", typ) for typ in AUTH0])
def test_the_typ_of_the_profile_that_this_api_does_not_have_is_refused(fixed: Profile, typ: str) -> None:
    # Good by the rules of either profile, so that nothing but the `typ` can be wrong.
    token = ISSUING.rfc9068_token(header={"typ": typ})
    with pytest.raises(HeaderRejected) as refused:
        check(token, settings_of(fixed))
    expected = {"auth0": "jwt", "rfc9068": "at+jwt"}[fixed]
    assert (refused.value.parameter, refused.value.expected, refused.value.actual) == ("typ", expected, typ)


@pytest.mark.parametrize(
    ("fixed", "accept_typ", "typ", "profile"),
    [
        (None, (None,), None, "auth0"),
        ("rfc9068", (None,), None, "rfc9068"),
        ("auth0", (None,), None, "auth0"),
        (None, ("Access+JWT",), "access+jwt", "auth0"),
        (None, ("application/access+jwt",), "ACCESS+JWT", "auth0"),
        ("rfc9068", ("JWT",), "jwt", "rfc9068"),
        ("auth0", ("at+jwt",), "application/AT+jwt", "auth0"),
        (None, ("at+jwt",), "at+jwt", "rfc9068"),
        (None, ("x", None), "x", "auth0"),
        (None, ("x",), "JWT", "auth0"),
        (None, ("x",), "at+jwt", "rfc9068"),
    ],
)
def test_an_issuer_may_name_more_types(
    fixed: Profile | None, accept_typ: tuple[str | None, ...], typ: str | None, profile: Profile
) -> None:
    settings = settings_of(fixed, accept_typ)
    assert profile_of(typ, settings.policies[ISSUER]) == profile
    header = {"typ": ABSENT if typ is None else typ}
    assert check(ISSUING.rfc9068_token(header=header), settings).subject
    # The rules are those of that profile: only RFC 9068 requires `jti`.
    without_jti = ISSUING.rfc9068_token(header=header, jti=ABSENT)
    if profile == "auth0":
        assert check(without_jti, settings).subject
    else:
        with pytest.raises(ClaimRejected) as refused:
            check(without_jti, settings)
        assert refused.value.claim == "jti"


@pytest.mark.parametrize("typ", ["y", None])
def test_a_type_that_the_issuer_does_not_name_stays_refused(typ: str | None) -> None:
    with pytest.raises(HeaderRejected):
        check(ISSUING.token(header={"typ": ABSENT if typ is None else typ}), settings_of(accept_typ=("x",)))


def test_an_issuer_may_have_its_own_profile() -> None:
    issuers = [Issuer(ISSUER, jwks=JWKS, profile="rfc9068")]
    settings = ApiSettings(identifier=API, issuers=issuers, profile="auth0")
    assert check(ISSUING.rfc9068_token(), settings).subject
    with pytest.raises(HeaderRejected):
        check(ISSUING.token(), settings)


# ---------------------------------------------------------------------------------------------- what each of them wants


@pytest.mark.parametrize(
    ("change", "claim", "auth0", "rfc9068"),
    [
        ({"iss": ABSENT}, "iss", False, False),
        ({"sub": ABSENT}, "sub", False, False),
        ({"aud": ABSENT}, "aud", False, False),
        ({"exp": ABSENT}, "exp", False, False),
        ({"iat": ABSENT}, "iat", False, False),
        ({"nbf": ABSENT}, "nbf", True, True),
        ({"jti": ABSENT}, "jti", True, False),
        ({"client_id": ABSENT}, "client_id", True, False),
        ({"client_id": ABSENT, "azp": "app-1"}, "client_id", True, False),
        ({"scope": ABSENT}, "scope", True, True),
        ({"scope": ["read:messages", "write:messages"]}, "scope", True, False),
        ({"scope": []}, "scope", True, False),
        ({"scope": [""]}, "scope", False, False),
        ({"scope": ["a b"]}, "scope", False, False),
        ({"scope": ["a", "b\tc"]}, "scope", False, False),
        ({"permissions": ABSENT}, "permissions", True, True),
        ({"gty": "client-credentials"}, "gty", True, True),
        ({"azp": "app-1"}, "azp", True, True),
    ],
    ids=repr,
)
def test_what_each_profile_requires(change: dict[str, Any], claim: str, auth0: bool, rfc9068: bool) -> None:
    for typ, accepted in [("JWT", auth0), ("at+jwt", rfc9068)]:
        token = ISSUING.rfc9068_token(header={"typ": typ}, **change)
        if accepted:
            assert check(token).subject
        else:
            with pytest.raises(ClaimRejected) as refused:
                check(token)
            assert refused.value.claim == claim


def test_every_profile_of_the_settings_has_its_checks() -> None:
    assert set(PROFILES) == set(Profile.__args__)


def test_the_typ_is_looked_at_after_the_signature_and_before_the_claims() -> None:
    token = ISSUING.token(header={"typ": "logout+jwt"}, exp=1)
    with pytest.raises(HeaderRejected):
        check(token)
    head, payload, signature = token.split(".")
    with pytest.raises(InvalidToken) as refused:
        check(f"{head}.{payload}.{signature[:-8]}AAAAAAAA"[: len(token)])
    assert not isinstance(refused.value, HeaderRejected)
