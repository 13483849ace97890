"""The stand-in's tokens are what its API's issuer would sign, and verifiers take them while it stands in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from jwtgate import AccessToken, ApiSettings, AsyncVerifier, InvalidToken, Issuer, SettingsError, Verifier
from jwtgate.core.errors import BadSignature, UnknownKey
from jwtgate.core.keys import IssuerKeys
from jwtgate.core.values import ALGORITHMS, PROFILES
from jwtgate.tenant import Tenant
from jwtgate.testing import StandIn, standing_in
from jwtgate.testing.signing import opened
from tests.loopback import JWKS, Clock, Origin, Tasks, Threads

IDENTIFIER = "https://api.test/"
IDP = "https://idp.example/realms/api"
SECRET = b"0123456789abcdef0123456789abcdef"
NOW = 1_800_000_000  # seconds since the epoch
CLIENT = "app"

Verify = Callable[[ApiSettings, str], AccessToken]


class Offline:
    """In place of an HTTP client: whoever asks it for anything has failed."""

    def stream(self, method: str, url: str, **options: Any) -> Any:
        raise RuntimeError(f"{method} {url} must not be asked")


def sync(settings: ApiSettings, token: str) -> AccessToken:
    return Verifier(settings, http=Offline()).verify(token)


def asynchronous(settings: ApiSettings, token: str) -> AccessToken:
    return asyncio.run(AsyncVerifier(settings, http=Offline()).verify(token))


@pytest.fixture(scope="module")
def tenant() -> Tenant:
    return Tenant()


@pytest.fixture(params=[sync, asynchronous], ids=["sync", "async"])
def verify(request: pytest.FixtureRequest) -> Verify:
    return request.param  # type: ignore[no-any-return]


def api(**settings: Any) -> ApiSettings:
    return ApiSettings(**{"identifier": IDENTIFIER, "issuers": [Issuer(IDP)], **settings})


def claims_of(issuer: StandIn, **wishes: Any) -> dict[str, Any]:
    return opened(issuer.token(client_id=CLIENT, issued_at=NOW, **wishes))[1]


# --- what a token is like -----------------------------------------------------------------------------------

USUAL = {"iss": IDP, "sub": "auth0|ada", "aud": IDENTIFIER, "iat": NOW, "exp": NOW + 3600, "azp": CLIENT}

WISHES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "permissions": ({"permissions": ["a", "b"]}, {"scope": "a b"}),
    "permissions as one text": ({"permissions": "a b"}, {"scope": "a b"}),
    "the same permission twice": ({"permissions": ["a", "a"]}, {"scope": "a"}),
    "a scope": ({"scope": "openid a"}, {"scope": "openid a"}),
    "a scope as names": ({"scope": ["openid", "a"]}, {"scope": "openid a"}),
    "a scope, and permissions that must be in it": (
        {"scope": "openid a", "permissions": "a b"},
        {"scope": "openid a b"},
    ),
    "an organization": ({"organization": "org_1"}, {"org_id": "org_1"}),
    "a claim": ({"claims": {"tier": "gold"}}, {"tier": "gold"}),
    "another value": ({"claims": {"aud": ["x", "y"]}}, {"aud": ["x", "y"]}),
}


@pytest.mark.parametrize(("wishes", "more"), WISHES.values(), ids=WISHES)
def test_a_token_is_usual_but_for_what_was_wished(tenant: Tenant, wishes: dict[str, Any], more: dict[str, Any]) -> None:
    assert claims_of(StandIn(api(), tenant), subject="auth0|ada", **wishes) == {**USUAL, **more}


GRANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "none": ({}, {"permissions": []}),
    "granted": ({"permissions": ["a", "b"]}, {"scope": "a b", "permissions": ["a", "b"]}),
    "asked for, not granted": ({"scope": "a"}, {"scope": "a", "permissions": []}),
    "granted, not asked for": ({"scope": "", "permissions": ["a"]}, {"permissions": ["a"]}),
}


@pytest.mark.parametrize(("wishes", "more"), GRANTS.values(), ids=GRANTS)
def test_permissions_have_their_claim_where_tokens_carry_them(
    tenant: Tenant, wishes: dict[str, Any], more: dict[str, Any]
) -> None:
    issuer = StandIn(api(permissions_in_token=True), tenant)
    assert claims_of(issuer, subject="auth0|ada", **wishes) == {**USUAL, **more}


def test_a_machine_has_the_application_as_its_subject(tenant: Tenant, verify: Verify) -> None:
    with standing_in(api(), tenant) as issuer:
        claims = claims_of(issuer, subject=None)
        assert claims == {**USUAL, "sub": "app@clients", "gty": "client-credentials"}
        for profile in PROFILES:
            assert verify(issuer.settings, issuer.token(subject=None, profile=profile)).is_machine
            assert not verify(issuer.settings, issuer.token(profile=profile)).is_machine


def test_an_rfc_9068_token_has_what_its_profile_requires(tenant: Tenant) -> None:
    issuer = StandIn(api(profile="rfc9068"), tenant)
    first, second = (claims_of(issuer, subject="auth0|ada") for _ in range(2))
    jti = first.pop("jti")
    assert first == {"client_id": CLIENT, **{name: value for name, value in USUAL.items() if name != "azp"}}
    assert jti != second["jti"]
    assert opened(issuer.token())[0]["typ"] == "at+jwt"


@pytest.mark.parametrize(("wish", "setting", "typ"), [
    (None, None, "JWT"),
    (None, "rfc9068", "at+jwt"),
    ("rfc9068", None, "at+jwt"),
    ("auth0", "rfc9068", "JWT"),
])  # fmt: skip
def test_the_profile_is_that_of_the_settings_unless_wished(tenant: Tenant, wish: Any, setting: Any, typ: str) -> None:
    header, _ = opened(StandIn(api(profile=setting), tenant).token(profile=wish))
    assert header == {"alg": "RS256", "typ": typ, "kid": tenant.keys.current.kid}


def test_none_takes_a_member_away(tenant: Tenant) -> None:
    header, claims = opened(StandIn(api(), tenant).token(header={"typ": None, "x": 1}, claims={"exp": None}))
    assert (sorted(header), "exp" in claims) == (["alg", "kid", "x"], False)


@pytest.mark.parametrize("alg", ["HS256", "none", "PS256", None])
def test_the_header_may_lie_about_how_it_is_signed(tenant: Tenant, alg: str | None) -> None:
    with standing_in(api(signing_algorithms=["RS256", "PS256"]), tenant) as issuer:
        token = issuer.token(header={"alg": alg})
        assert opened(token)[0].get("alg") == alg
        with pytest.raises(InvalidToken):
            sync(issuer.settings, token)


def test_a_token_lives_no_longer_than_the_settings_admit(tenant: Tenant, verify: Verify) -> None:
    settings = api(token_lifetime=60)
    with standing_in(settings, tenant) as issuer:
        assert claims_of(issuer)["exp"] == NOW + 60
        verify(settings, issuer.token())


def test_a_token_is_issued_now_by_the_clock_that_was_given(tenant: Tenant) -> None:
    _, claims = opened(StandIn(api(), tenant, clock=lambda: NOW + 0.9).token())
    assert (claims["iat"], claims["exp"]) == (NOW, NOW + 3600)


def test_the_first_of_several_identifiers_is_the_audience(tenant: Tenant) -> None:
    assert claims_of(StandIn(api(identifier=["https://b.test/", IDENTIFIER]), tenant))["aud"] == "https://b.test/"


# --- by which issuer ----------------------------------------------------------------------------------------

SEVERAL = api(
    issuers=[
        Issuer(IDP),
        Issuer("https://elliptic.test/", signing_algorithms=["ES256"], identifier="urn:elliptic", profile="rfc9068"),
        Issuer("https://secret.test/", signing_algorithms=["HS256"], signing_secret=SECRET),
    ]
)


@pytest.mark.parametrize(("url", "algorithm", "audience"), [
    (IDP, "RS256", IDENTIFIER),
    ("https://elliptic.test/", "ES256", "urn:elliptic"),
    ("https://secret.test/", "HS256", IDENTIFIER),
])  # fmt: skip
def test_each_issuer_signs_as_its_own_settings_say(
    tenant: Tenant, verify: Verify, url: str, algorithm: str, audience: str
) -> None:
    with standing_in(SEVERAL, tenant) as issuer:
        token = verify(SEVERAL, issuer.token(issuer=url))
    assert (token.issuer, token.header["alg"], token.audience) == (url, algorithm, (audience,))


FAULTS: dict[str, Callable[[StandIn], str]] = {
    "issuer": lambda issuer: issuer.token(issuer="https://idp.example/"),
    "profile": lambda issuer: issuer.token(profile="opaque"),  # type: ignore[arg-type]
    "broken": lambda issuer: issuer.broken("expird"),
}


@pytest.mark.parametrize("setting", FAULTS)
def test_a_wish_that_cannot_be_met_is_named(tenant: Tenant, setting: str) -> None:
    with pytest.raises(SettingsError) as refused:
        FAULTS[setting](StandIn(api(), tenant))
    assert refused.value.setting == setting


# --- who takes them -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_every_algorithm_is_taken_and_nothing_is_fetched(
    tenant: Tenant, verify: Verify, algorithm: str, profile: str
) -> None:
    secret = SECRET if algorithm == "HS256" else None
    settings = api(signing_algorithms=[algorithm], signing_secret=secret, profile=profile)
    with standing_in(settings, tenant) as issuer:
        token = verify(settings, issuer.token(subject="auth0|ada", permissions="read:messages"))
    assert (token.subject, token.header["alg"], token.allows("read:messages")) == ("auth0|ada", algorithm, True)


def test_other_settings_of_the_same_issuer_take_its_keys(tenant: Tenant, verify: Verify) -> None:
    others = [api(identifier="https://other.test/", signing_algorithms=[name]) for name in ("RS256", "PS256", "ES256")]
    with standing_in(api(), tenant):
        for other in others:
            algorithm = other.signing_algorithms[0]
            token = StandIn(other, tenant).token()
            assert verify(other, token).header["alg"] == algorithm


def test_keys_that_the_settings_hold_are_replaced_too(tenant: Tenant, verify: Verify) -> None:
    settings = api(issuers=[Issuer(IDP, jwks=Tenant().jwks())])
    with standing_in(settings, tenant) as issuer:
        verify(settings, issuer.token())


def test_an_issuer_that_nobody_stands_in_for_keeps_its_keys(tenant: Tenant, verify: Verify) -> None:
    other = Tenant("https://other.test/")
    settings = api(issuers=[Issuer.auth0("other.test", jwks=other.jwks())])
    own = other.sign({**USUAL, "iss": other.issuer, "iat": 0, "exp": 250_000_000_000})
    with standing_in(api(), tenant) as issuer:
        assert verify(settings, own).issuer == other.issuer
        with pytest.raises(UnknownKey):
            verify(settings, issuer.token(claims={"iss": other.issuer}))


@pytest.mark.parametrize("kind", [Threads, Tasks])
def test_the_keys_of_an_issuer_that_nobody_stands_in_for_are_fetched(tenant: Tenant, origin: Origin, kind: Any) -> None:
    with standing_in(api(), tenant):
        verifier = kind.make(origin.settings(), clock=Clock())
        assert kind.verify(verifier, origin.issuing.token()).issuer == origin.issuing.url
    assert origin.asked[JWKS] == 1


def test_a_shared_secret_stays_what_it_is(tenant: Tenant, verify: Verify) -> None:
    theirs = api(signing_algorithms=["HS256"], signing_secret=SECRET)
    ours = api(signing_algorithms=["HS256"], signing_secret=SECRET[::-1])
    with standing_in(ours, tenant) as issuer, pytest.raises(BadSignature):
        verify(theirs, issuer.token())


def test_what_the_tenant_issues_is_taken_too(verify: Verify) -> None:
    tenant = Tenant()
    registered = tenant.register_api("https://registered.test/", permissions=["read:messages"])
    application = tenant.create_application("Reader")
    tenant.authorize(application, registered, ["read:messages"])
    settings = ApiSettings.from_resource_server(registered.resource_server(), tenant.issuer)
    with standing_in(settings, tenant):
        token = verify(settings, tenant.client_credentials(application, registered).access_token)
    assert (token.scopes, token.is_machine) == ({"read:messages"}, True)


def test_the_tenants_keys_may_rotate_meanwhile(verify: Verify) -> None:
    settings = api()
    with standing_in(settings) as issuer:
        before = issuer.token()
        verify(settings, before)
        issuer.tenant.keys.rotate()
        after = issuer.token()
        assert opened(before)[0]["kid"] != opened(after)[0]["kid"]
        for token in (before, after):
            verify(settings, token)
        issuer.tenant.keys.revoke()
        with pytest.raises(UnknownKey):
            verify(settings, before)


# --- from when, and until when ------------------------------------------------------------------------------


def test_a_verifier_knows_its_real_keys_again_afterwards() -> None:
    real, local = Tenant("https://real.test/"), Tenant()
    transport = real.transport()
    settings = ApiSettings(identifier=IDENTIFIER, domain="real.test")
    registered = real.register_api(IDENTIFIER)
    genuine = real.client_credentials(registered.test_application, registered).access_token
    with httpx.Client(transport=transport) as http:
        verifier = Verifier(settings, http=http)
        verifier.verify(genuine)
        asked = transport.requests
        with standing_in(settings, local) as issuer:
            taken = issuer.token()
            verifier.verify(taken)
            with pytest.raises(UnknownKey):
                verifier.verify(genuine)
        assert transport.requests == asked
        verifier.verify(genuine)
        with pytest.raises(InvalidToken):
            verifier.verify(taken)


def test_nothing_is_fetched_when_the_app_warms_up_or_is_asked_whether_it_is_ready() -> None:
    real = Tenant("https://real.test/")
    transport = real.transport()
    settings = ApiSettings(identifier=IDENTIFIER, issuers=[Issuer("https://real.test/"), Issuer("https://other.test/")])
    stood_for = ApiSettings(identifier=IDENTIFIER, issuers=[Issuer("https://real.test/")])
    with httpx.Client(transport=transport) as http, Verifier(stood_for, http=http) as verifier:
        with standing_in(stood_for, Tenant()):
            assert verifier.warm_up().ready
            assert verifier.ready()
            assert not Verifier(settings, http=http).ready()  # nobody stands in for the other issuer
        assert transport.requests == []
        assert not verifier.ready()
        assert verifier.warm_up().ready
        assert transport.requests


def test_the_verifiers_own_code_is_back_afterwards(tenant: Tenant) -> None:
    before = IssuerKeys.find
    with standing_in(api(), tenant):
        assert IssuerKeys.find is not before
    assert IssuerKeys.find is before


def test_it_ends_when_the_test_fails(tenant: Tenant) -> None:
    settings = api(issuers=[Issuer(IDP, jwks=Tenant().jwks())])
    with pytest.raises(ZeroDivisionError), standing_in(settings, tenant) as issuer:
        raise ZeroDivisionError
    with pytest.raises(UnknownKey):
        sync(settings, issuer.token())


@pytest.mark.parametrize("first", [0, 1], ids=["the older ends first", "the younger ends first"])
def test_several_stand_in_and_end_in_any_order(tenant: Tenant, first: int) -> None:
    apis = [api(issuers=[Issuer(f"https://{name}.test/", jwks=Tenant().jwks())]) for name in ("a", "b")]
    standing = [standing_in(settings, tenant) for settings in apis]
    issuers = [each.__enter__() for each in standing]
    for settings, issuer in zip(apis, issuers, strict=True):
        sync(settings, issuer.token())
    standing[first].__exit__(None, None, None)
    with pytest.raises(UnknownKey):
        sync(apis[first], issuers[first].token())
    sync(apis[1 - first], issuers[1 - first].token())
    standing[1 - first].__exit__(None, None, None)
    with pytest.raises(UnknownKey):
        sync(apis[1 - first], issuers[1 - first].token())


def test_of_two_for_one_issuer_the_later_counts(tenant: Tenant) -> None:
    with standing_in(api(), tenant) as outer, standing_in(api()) as inner:
        sync(api(), inner.token())
        with pytest.raises(UnknownKey):
            sync(api(), outer.token())


# --- secrets ------------------------------------------------------------------------------------------------


def test_no_key_shows_itself(tenant: Tenant) -> None:
    issuer = StandIn(api(signing_algorithms=["HS256"], signing_secret=SECRET), tenant)
    shown = repr([issuer, issuer.published_key("HS256"), issuer.published_key("ES256")])
    assert "private" not in shown.lower()
    assert repr(SECRET) not in shown
