"""The decision table: RBAC, dialect, flow and requested scopes decide what `scope` and `permissions` say."""

from __future__ import annotations

import jwt
import pytest

from jwtgate.tenant import Tenant, TokenRefused

IDENTIFIER = "https://api.example.com/"
DEFINED = ["read:a", "write:a", "delete:a", "admin:a"]

OFF = {}
ON = {"rbac": True}
AUTHZ = {"rbac": True, "permissions_in_token": True}
ABSENT = None


class World:
    """An API that defines four permissions; Ann holds one directly, one through a role, one through both.

    The applications: one in its own name, granted two; one that acts for its users.
    """

    def __init__(self, **settings):
        self.tenant = tenant = Tenant()
        self.api = tenant.register_api(IDENTIFIER, permissions=DEFINED, **settings)
        self.machine = tenant.create_application("Reports")
        tenant.authorize(self.machine, self.api, ["write:a", "admin:a"])
        self.shop = tenant.create_application(
            "Shop", kind="regular_web", grant_types=["authorization_code", "password", "refresh_token"]
        )
        self.writers, self.readers = tenant.create_role("Writers"), tenant.create_role("Readers")
        tenant.assign_permissions(self.writers, self.api, ["write:a"])
        tenant.assign_permissions(self.readers, self.api, ["read:a"])
        self.ann = tenant.create_user("ann@example.com")
        self.ann = tenant.assign_permissions(self.ann, self.api, ["delete:a", "read:a"])
        for role in (self.writers, self.readers):
            self.ann = tenant.assign_role(self.ann, role)

    def claims(self, flow, scope, **options):
        return jwt.decode(self.ask(flow, scope, **options).access_token, options={"verify_signature": False})

    def ask(self, flow, scope, **options):
        if flow == "machine":
            return self.tenant.client_credentials(self.machine, self.api, scope, **options)
        return getattr(self.tenant, flow)(self.shop, self.api, self.ann, scope, **options)


HELD = ["read:a", "write:a", "delete:a"]  # Ann's, in the order in which the API defines them
GRANTED = ["write:a", "admin:a"]  # the machine's

# RBAC and dialect; flow; requested; what `scope` says; what `permissions` says
TABLE = [
    # RBAC off: whatever the API defines, whoever the user is.
    (OFF, "authorization_code", "read:a admin:a", "read:a admin:a", ABSENT),
    (OFF, "authorization_code", "admin:a read:a", "admin:a read:a", ABSENT),
    (OFF, "authorization_code", "read:a unknown:a", "read:a", ABSENT),
    (OFF, "authorization_code", "unknown:a", ABSENT, ABSENT),
    (OFF, "authorization_code", None, ABSENT, ABSENT),
    (OFF, "authorization_code", "openid profile read:a", "openid profile read:a", ABSENT),
    (OFF, "password", "read:a admin:a", "read:a admin:a", ABSENT),
    (OFF, "password", None, "read:a write:a delete:a admin:a", ABSENT),
    # RBAC on: of what was asked for, what the user holds, directly or through roles.
    (ON, "authorization_code", "read:a admin:a", "read:a", ABSENT),
    (ON, "authorization_code", "write:a delete:a read:a", "write:a delete:a read:a", ABSENT),
    (ON, "authorization_code", "admin:a", ABSENT, ABSENT),
    (ON, "authorization_code", None, ABSENT, ABSENT),
    (ON, "authorization_code", "openid admin:a", "openid", ABSENT),
    (ON, "password", "read:a admin:a", "read:a", ABSENT),
    (ON, "password", None, "read:a write:a delete:a", ABSENT),
    # RBAC on, permissions in the token: all that the user holds, also what was not asked for.
    (AUTHZ, "authorization_code", "read:a admin:a", "read:a", HELD),
    (AUTHZ, "authorization_code", "admin:a", ABSENT, HELD),
    (AUTHZ, "authorization_code", None, ABSENT, HELD),
    (AUTHZ, "authorization_code", "openid", "openid", HELD),
    (AUTHZ, "password", "read:a", "read:a", HELD),
    # Machines: the client grant alone counts, and all of it comes, however little was asked for.
    (OFF, "machine", None, "write:a admin:a", ABSENT),
    (OFF, "machine", "write:a", "write:a admin:a", ABSENT),
    (ON, "machine", None, "write:a admin:a", ABSENT),
    (AUTHZ, "machine", None, "write:a admin:a", GRANTED),
    (AUTHZ, "machine", "admin:a", "write:a admin:a", GRANTED),
]


@pytest.mark.parametrize("profile", ["auth0", "rfc9068"])
@pytest.mark.parametrize(("settings", "flow", "asked", "scope", "permissions"), TABLE)
def test_scope_and_permissions_are_as_the_table_says(profile, settings, flow, asked, scope, permissions):
    world = World(profile=profile, **settings)
    claims = world.claims(flow, asked)
    assert (claims.get("scope"), claims.get("permissions")) == (scope, permissions)
    assert world.ask(flow, asked).scope == scope


@pytest.mark.parametrize(
    ("settings", "flow", "asked", "scope", "permissions"), [row for row in TABLE if row[1] != "machine"]
)
def test_a_refreshed_token_says_what_the_first_one_said(settings, flow, asked, scope, permissions):
    world = World(offline_access=True, **settings)
    first = world.ask(flow, f"{asked or 'unknown:a'} offline_access")
    claims = jwt.decode(
        world.tenant.refresh(world.shop, first.refresh_token).access_token, options={"verify_signature": False}
    )
    kept = claims["scope"].removesuffix("offline_access").strip() or ABSENT
    # The password grant's "all, when nothing is asked for" does not apply: offline_access was.
    expected = ABSENT if flow == "password" and asked is None else scope
    assert (kept, claims.get("permissions")) == (expected, permissions)


@pytest.mark.parametrize("settings", [OFF, ON, AUTHZ])
@pytest.mark.parametrize("asked", ["read:a", "delete:a admin:a write:a", "openid", "read:a unknown:a"])
def test_what_was_not_granted_to_a_machine_is_refused_and_not_passed_over(settings, asked):
    world = World(**settings)
    with pytest.raises(TokenRefused) as refused:
        world.ask("machine", asked)
    assert (refused.value.status, refused.value.error) == (403, "access_denied")


def test_a_machine_that_was_granted_nothing_has_an_empty_list_and_no_scope():
    world = World(**AUTHZ)
    world.tenant.authorize(world.machine, world.api)
    claims = world.claims("machine", None)
    assert (claims["permissions"], "scope" in claims) == ([], False)


def test_a_user_without_permissions_has_an_empty_list_and_no_scope():
    world = World(**AUTHZ)
    world.ann = world.tenant.create_user("bob@example.com")
    claims = world.claims("authorization_code", "read:a")
    assert (claims["permissions"], "scope" in claims) == ([], False)


@pytest.mark.parametrize(
    ("asked", "scope"),
    [("read:a offline_access", "read:a"), ("offline_access", ABSENT), ("email phone", "email phone")],
)
def test_offline_access_needs_the_apis_leave_and_openid_connects_scopes_do_not(asked, scope):
    world = World(**ON)
    response = world.ask("authorization_code", asked)
    assert (response.scope, response.refresh_token) == (scope, None)


def test_permissions_for_one_api_are_none_for_another():
    world = World(**AUTHZ)
    world.api = world.tenant.register_api("https://other.example.com/", permissions=DEFINED, **AUTHZ)
    claims = world.claims("authorization_code", "read:a")
    assert (claims["permissions"], "scope" in claims) == ([], False)


def test_a_permission_that_the_api_defines_no_longer_is_held_by_nobody():
    world = World(**AUTHZ)
    world.tenant.update_api(world.api, permissions=["delete:a", "new:a"])
    assert world.claims("authorization_code", "read:a delete:a new:a")["permissions"] == ["delete:a"]
    assert world.claims("machine", None)["permissions"] == []


# Access policies

POLICIES = [
    # policy; granted to the application for its users; asked for; scope, or the refusal
    ("allow_all", None, "read:a admin:a", "read:a"),
    ("allow_all", ["write:a"], "read:a admin:a", "read:a"),
    ("require_client_grant", ["read:a", "admin:a"], "read:a write:a admin:a", "read:a"),
    ("require_client_grant", [], "read:a", ABSENT),
    ("require_client_grant", ["read:a"], "openid read:a", "openid read:a"),
    ("require_client_grant", ["read:a"], None, ABSENT),
    ("require_client_grant", None, "read:a", TokenRefused),
    ("deny_all", None, "read:a", TokenRefused),
    ("deny_all", ["read:a"], "read:a", TokenRefused),
]


@pytest.mark.parametrize("flow", ["authorization_code", "password"])
@pytest.mark.parametrize(("policy", "granted", "asked", "scope"), POLICIES)
def test_the_access_policy_for_users(flow, policy, granted, asked, scope):
    world = World(user_access=policy, **ON)
    if granted is not None:
        world.tenant.authorize(world.shop, world.api, granted, subject_type="user")
    if scope is TokenRefused:
        with pytest.raises(TokenRefused) as refused:
            world.ask(flow, asked)
        assert (refused.value.status, refused.value.body) == (
            403,
            {
                "error": "unauthorized_client",
                "error_description": f'Client "{world.shop.client_id}" is not authorized to access resource server '
                f'"{IDENTIFIER}".',
            },
        )
    else:
        assert world.ask(flow, asked).scope == scope


def test_a_grant_for_the_application_itself_is_none_for_its_users():
    world = World(user_access="require_client_grant")
    world.tenant.authorize(world.shop, world.api, ["read:a"])
    with pytest.raises(TokenRefused):
        world.ask("authorization_code", "read:a")


def test_to_deny_all_clients_beats_every_grant():
    world = World(client_access="deny_all")
    with pytest.raises(TokenRefused) as refused:
        world.ask("machine", None)
    assert (refused.value.status, refused.value.body) == (
        403,
        {
            "error": "access_denied",
            "error_description": f'Client "{world.machine.client_id}" is not authorized to access resource server '
            f'"{IDENTIFIER}".',
        },
    )
    assert world.ask("authorization_code", "read:a").scope == "read:a"


# Organizations


def test_inside_an_organization_its_roles_count_too():
    world = World(**AUTHZ)
    tenant = world.tenant
    world.shop = tenant.create_application("Shop", kind="regular_web", organization_usage="allow")
    admins = tenant.create_role("Admins")
    tenant.assign_permissions(admins, world.api, ["admin:a"])
    acme, plain = tenant.create_organization("acme"), tenant.create_organization("plain")
    tenant.add_member(acme, world.ann, roles=[admins])
    tenant.add_member(plain, world.ann)
    found = {
        name: world.claims("authorization_code", "admin:a", organization=organization)
        for name, organization in {"none": None, "acme": acme, "plain": plain}.items()
    }
    assert {name: (claims.get("org_id"), claims.get("scope")) for name, claims in found.items()} == {
        "none": (None, None),
        "acme": (acme.id, "admin:a"),
        "plain": (plain.id, None),
    }
    assert found["acme"]["permissions"] == DEFINED
    assert tenant.permissions_of(world.ann, world.api, acme) == tuple(DEFINED)
    assert tenant.permissions_of(world.ann, IDENTIFIER, plain) == tuple(HELD)
    assert tenant.permissions_of(world.ann, world.api) == tuple(HELD)


ORGANIZATIONS = [
    # usage; sent; refusal or None
    ("deny", None, None),
    ("deny", "acme", "parameter organization is not allowed for this client"),
    ("allow", None, None),
    ("allow", "acme", None),
    ("allow", "org_unknown", "parameter organization is unknown: org_unknown"),
    ("require", None, "parameter organization is required for this client"),
    ("require", "acme", None),
]


@pytest.mark.parametrize("flow", ["machine", "authorization_code", "password"])
@pytest.mark.parametrize(("usage", "sent", "refusal"), ORGANIZATIONS)
def test_an_organization_is_denied_allowed_or_required(flow, usage, sent, refusal):
    world = World(**ON)
    tenant = world.tenant
    acme = tenant.create_organization("acme")
    tenant.add_member(acme, world.ann)
    tenant.authorize(world.machine, world.api, organization_usage=usage, organizations=None)
    world.shop = tenant.create_application(
        "Shop", kind="regular_web", organization_usage=usage, grant_types=["authorization_code", "password"]
    )
    organization = acme if sent == "acme" else sent
    if refusal is None:
        claims = world.claims(flow, None, organization=organization)
        assert claims.get("org_id") == (acme.id if sent else None)
        assert "org_name" not in claims
    else:
        with pytest.raises(TokenRefused) as refused:
            world.ask(flow, None, organization=organization)
        assert (refused.value.status, refused.value.error, refused.value.description) == (
            400,
            "invalid_request",
            refusal,
        )


@pytest.mark.parametrize("flow", ["machine", "authorization_code"])
@pytest.mark.parametrize("names", [False, True])
def test_an_organization_has_a_name_where_the_tenant_says_so(flow, names):
    tenant = Tenant(organization_names=names)
    api = tenant.register_api(IDENTIFIER, rbac=True)
    shop = tenant.create_application("Shop", kind="regular_web", organization_usage="allow")
    tenant.authorize(shop, api, organization_usage="allow", organizations=None)
    acme = tenant.create_organization("acme")
    ann = tenant.create_user("ann@example.com")
    tenant.add_member(acme, ann)
    user = None if flow == "machine" else ann
    assert tenant.claims(shop, api, user=user, organization=acme).get("org_name") == ("acme" if names else None)
    if names:
        assert tenant.claims(shop, api, user=user, organization="acme")["org_id"] == acme.id
    else:
        with pytest.raises(TokenRefused):
            tenant.claims(shop, api, user=user, organization="acme")


@pytest.mark.parametrize("flow", ["authorization_code", "password"])
def test_who_is_no_member_has_no_token_of_the_organization(flow):
    world = World(**ON)
    acme = world.tenant.create_organization("acme")
    world.shop = world.tenant.create_application(
        "Shop", kind="regular_web", organization_usage="allow", grant_types=["authorization_code", "password"]
    )
    with pytest.raises(TokenRefused) as refused:
        world.ask(flow, None, organization=acme)
    assert (refused.value.status, refused.value.body) == (
        403,
        {
            "error": "access_denied",
            "error_description": f"user {world.ann.user_id} is not part of the {acme.id} organization",
        },
    )


def test_a_machines_grant_names_its_organizations():
    world = World()
    tenant = world.tenant
    acme, other = tenant.create_organization("acme"), tenant.create_organization("other")
    tenant.authorize(world.machine, world.api, organization_usage="allow", organizations=[acme])
    assert world.claims("machine", None, organization=acme)["org_id"] == acme.id
    with pytest.raises(TokenRefused) as refused:
        world.ask("machine", None, organization=other)
    assert (refused.value.status, refused.value.error) == (403, "access_denied")
    assert other.id in refused.value.description
