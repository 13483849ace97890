"""The shape of every kind of token: which claims are there, in which order, and that the verifier takes it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import jwt
import pytest

from jwtgate import ApiSettings, Verifier
from jwtgate.tenant import Tenant

IDENTIFIER = "https://api.example"
ISSUER = "https://tenant.example.test/"
USERINFO = f"{ISSUER}userinfo"
NOW = 1_800_000_000

AUTHZ = {"rbac": True, "permissions_in_token": True}
RFC9068 = {"profile": "rfc9068", "rbac": True}


class Clock:
    def wall(self):
        return float(NOW)

    def monotonic(self):
        return 0.0


class World:
    """An API with these settings, a machine and an application for users, Ann in an organization."""

    def __init__(self, **settings):
        self.tenant = tenant = Tenant(ISSUER, clock=lambda: NOW + 0.5, organization_names=True)
        self.api = tenant.register_api(
            IDENTIFIER, permissions=["read:a", "write:a"], offline_access=True, **{"rbac": True, **settings}
        )
        self.shop = tenant.create_application(
            "Shop",
            kind="regular_web",
            organization_usage="allow",
            grant_types=["authorization_code", "client_credentials", "password", "refresh_token"],
        )
        self.ann = tenant.assign_permissions(tenant.create_user("ann@example.com"), self.api, ["read:a"])
        self.acme = tenant.create_organization("acme")
        tenant.add_member(self.acme, self.ann)
        self.grant("read:a", "write:a")

    def grant(self, *permissions):
        self.tenant.authorize(self.shop, self.api, permissions, organization_usage="allow", organizations=[self.acme])

    def machine(self, **options):
        return self.tenant.client_credentials(self.shop, self.api, **options)

    def nothing_granted(self):
        self.grant()
        return self.machine()

    def code(self, scope, **options):
        return self.tenant.authorization_code(self.shop, self.api, self.ann, scope, **options)

    def password(self, scope):
        return self.tenant.password(self.shop, self.api, self.ann, scope)

    def refreshed(self, flow):
        first = flow("openid read:a offline_access")
        return self.tenant.refresh(self.shop, first.refresh_token)

    def settings(self):
        domain = "tenant.example.test"
        return ApiSettings.from_resource_server(
            self.api.resource_server(), domain, signing_secret=self.api.signing_secret
        )

    def verify(self, token):
        """As an API does that was set up from this tenant's own description of it."""
        import httpx

        with httpx.Client(transport=self.tenant.transport()) as http:
            return Verifier(self.settings(), http=http, clock=Clock()).verify(token)


M2M = "iss sub aud iat exp azp scope gty"
USER = "iss sub aud iat exp azp scope"
SHORT = "iss sub aud iat exp scope jti client_id"  # of RFC 9068

BOTH = [IDENTIFIER, USERINFO]
OFFLINE = {"aud": BOTH, "scope": "openid read:a offline_access"}

MACHINES = {
    # name: API settings, flow, claims in order, what they say that the others do not
    "Auth0": ({}, World.machine, M2M, {}),
    "Auth0, permissions": (AUTHZ, World.machine, f"{M2M} permissions", {"permissions": ["read:a", "write:a"]}),
    "Auth0, permissions, nothing granted": (
        AUTHZ,
        World.nothing_granted,
        "iss sub aud iat exp azp gty permissions",
        {"permissions": []},
    ),
    "Auth0, organization": (
        {},
        lambda world: world.machine(organization=world.acme),
        "iss sub aud iat exp azp scope org_id org_name gty",
        {},
    ),
    "RFC 9068": (RFC9068, World.machine, SHORT, {}),
    "RFC 9068, nothing granted": (RFC9068, World.nothing_granted, "iss sub aud iat exp jti client_id", {}),
}
USERS = {
    "Auth0": (
        {},
        lambda world: world.code("openid profile read:a write:a"),
        USER,
        {"scope": "openid profile read:a", "aud": BOTH},
    ),
    "Auth0, without openid": ({}, lambda world: world.code("read:a"), USER, {}),
    "Auth0, permissions": (
        AUTHZ,
        lambda world: world.code("openid profile email read:a"),
        f"{USER} permissions",
        {"scope": "openid profile email read:a", "aud": BOTH},
    ),
    "Auth0, organization, permissions that were not asked for": (
        AUTHZ,
        lambda world: world.code("openid profile email", organization=world.acme),
        f"{USER} org_id org_name permissions",
        {"scope": "openid profile email", "aud": BOTH},
    ),
    "Auth0, nothing": ({}, lambda world: world.code(None), "iss sub aud iat exp azp", {}),
    "Auth0, password": ({}, lambda world: world.password("read:a"), f"{USER} gty", {"gty": "password"}),
    "Auth0, refreshed": (
        {},
        lambda world: world.refreshed(world.code),
        f"{USER} gty",
        {**OFFLINE, "gty": "refresh_token"},
    ),
    "Auth0, refreshed after a password": (
        {},
        lambda world: world.refreshed(world.password),
        f"{USER} gty",
        {**OFFLINE, "gty": ["refresh_token", "password"]},
    ),
    "RFC 9068": (
        RFC9068,
        lambda world: world.code("openid read:a"),
        SHORT,
        {"scope": "openid read:a", "aud": BOTH},
    ),
    "RFC 9068, organization, permissions": (
        {**RFC9068, **AUTHZ},
        lambda world: world.code("read:a", organization=world.acme),
        "iss sub aud iat exp scope org_id org_name jti client_id permissions",
        {},
    ),
    "RFC 9068, password": (RFC9068, lambda world: world.password("read:a"), SHORT, {}),
    "RFC 9068, refreshed": (RFC9068, lambda world: world.refreshed(world.code), SHORT, OFFLINE),
    "HS256: a shared secret has one audience": (
        {"signing_algorithm": "HS256"},
        lambda world: world.code("openid read:a"),
        USER,
        {"scope": "openid read:a"},
    ),
    "PS256": (
        {"signing_algorithm": "PS256"},
        lambda world: world.code("openid read:a"),
        USER,
        {"scope": "openid read:a", "aud": BOTH},
    ),
}


def said_by_any(world):
    return {
        "iss": ISSUER,
        "aud": IDENTIFIER,
        "iat": NOW,
        "exp": NOW + 86_400,
        "azp": world.shop.client_id,
        "client_id": world.shop.client_id,
        "org_id": world.acme.id,
        "org_name": "acme",
    }


def examine(world, token, order, expected):
    claims = jwt.decode(token, options={"verify_signature": False})
    assert list(claims) == order.split()
    if "jti" in claims:
        assert re.fullmatch(r"[A-Za-z0-9]{22}", claims.pop("jti"))
    assert claims == {name: expected[name] for name in claims}
    return world.verify(token)


@pytest.mark.parametrize(("settings", "flow", "order", "said"), MACHINES.values(), ids=MACHINES)
def test_a_machines_token_has_the_claims_of_its_kind_and_the_verifier_takes_it(settings, flow, order, said):
    world = World(**settings)
    expected = {
        **said_by_any(world),
        "sub": f"{world.shop.client_id}@clients",
        "scope": "read:a write:a",
        "gty": "client-credentials",
        **said,
    }
    token = examine(world, flow(world).access_token, order, expected)
    assert (token.is_machine, token.client_id) == (True, world.shop.client_id)


@pytest.mark.parametrize(("settings", "flow", "order", "said"), USERS.values(), ids=USERS)
def test_a_users_token_has_the_claims_of_its_kind_and_the_verifier_takes_it(settings, flow, order, said):
    world = World(**settings)
    expected = {
        **said_by_any(world),
        "sub": world.ann.user_id,
        "scope": "read:a",
        "permissions": ["read:a"],
        **said,
    }
    token = examine(world, flow(world).access_token, order, expected)
    assert (token.is_machine, token.subject) == (False, world.ann.user_id)
    assert token.expires_at == datetime.fromtimestamp(NOW + 86_400, UTC)


def test_the_response_has_its_members_in_the_real_order():
    response = World().code("openid read:a offline_access")
    assert list(response.body) == [
        "access_token",
        "refresh_token",
        "id_token",
        "scope",
        "expires_in",
        "token_type",
    ]
    assert re.fullmatch(r"v1\.[A-Za-z0-9_-]{64}", response.refresh_token)
    for secret in (response.refresh_token, response.id_token):
        assert secret not in repr(response)


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("openid", "iss aud sub iat exp"),
        ("openid profile", "nickname name iss aud sub iat exp"),
        ("openid email", "email email_verified iss aud sub iat exp"),
    ],
)
def test_an_id_token_is_for_the_application_and_tells_what_was_asked_for(scope, names):
    world = World()
    told = world.code(scope).id_token
    claims = jwt.decode(
        told,
        jwt.PyJWK(world.tenant.jwks()["keys"][0]),
        algorithms=["RS256"],
        audience=world.shop.client_id,
        issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert list(claims) == names.split()
    assert jwt.get_unverified_header(told)["typ"] == "JWT"
    possible = {
        "nickname": "ann",
        "name": "ann@example.com",
        "email": "ann@example.com",
        "email_verified": True,
        "iss": ISSUER,
        "aud": world.shop.client_id,
        "sub": world.ann.user_id,
        "iat": NOW,
        "exp": NOW + 36_000,
    }
    assert claims == {name: possible[name] for name in claims}


def test_an_id_token_names_the_organization():
    world = World()
    claims = jwt.decode(world.code("openid", organization="acme").id_token, options={"verify_signature": False})
    assert (claims["org_id"], claims["org_name"]) == (world.acme.id, "acme")


def test_without_openid_there_is_no_id_token():
    assert World().code("profile read:a").id_token is None


def test_an_id_token_is_no_access_token():
    from jwtgate import InvalidToken

    world = World()
    with pytest.raises(InvalidToken):
        world.verify(world.code("openid read:a").id_token)


# Tokens without an audience


def test_without_an_audience_the_token_is_opaque_and_the_verifier_says_so():
    from jwtgate.core.errors import OpaqueToken

    world = World()
    response = world.tenant.authorization_code(world.shop, None, world.ann, "openid profile")
    header, key, *rest = response.access_token.split(".")
    assert (jwt.utils.base64url_decode(header), key, len(rest)) == (
        f'{{"alg":"dir","enc":"A256GCM","iss":"{ISSUER}"}}'.encode(),
        "",
        3,
    )
    assert (response.scope, response.expires_in) == ("openid profile", 86_400)
    with pytest.raises(OpaqueToken):
        world.verify(response.access_token)


@pytest.mark.parametrize("audience", [None, USERINFO])
def test_the_audience_of_userinfo_is_no_api(audience):
    world = World()
    response = world.tenant.authorization_code(world.shop, audience, world.ann, "read:a openid offline_access")
    assert (response.access_token.count("."), response.scope) == (4, "openid offline_access")
    again = world.tenant.refresh(world.shop, response.refresh_token)
    assert (again.access_token.count("."), again.scope) == (4, "openid offline_access")


def test_two_opaque_tokens_differ():
    world = World()
    first, second = (world.tenant.authorization_code(world.shop, None, world.ann).access_token for _ in range(2))
    assert first.split(".")[2:] != second.split(".")[2:]
