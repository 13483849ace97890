"""Users, roles and organizations: what they may be called, and what they come to together."""

from __future__ import annotations

import re

import pytest

from jwtgate.tenant import Rule, Tenant, TenantError

IDENTIFIER = "https://api.example.com/"


@pytest.fixture
def tenant():
    return Tenant()


@pytest.fixture
def api(tenant):
    return tenant.register_api(IDENTIFIER, permissions=["read:a", "write:a", "delete:a"], rbac=True)


@pytest.fixture
def ann(tenant):
    return tenant.create_user("ann@example.com")


def broken(action):
    with pytest.raises(TenantError) as refused:
        action()
    return refused.value.rule, refused.value.value


# Names and ids


def test_ids_have_the_shape_of_real_ones(tenant, ann):
    role, acme = tenant.create_role("Writers"), tenant.create_organization("acme")
    assert re.fullmatch(r"auth0\|[0-9a-f]{24}", ann.user_id)
    assert re.fullmatch(r"rol_[A-Za-z0-9]{16}", role.id)
    assert re.fullmatch(r"org_[A-Za-z0-9]{16}", acme.id)
    assert (tenant.users, tenant.roles, tenant.organizations) == ((ann,), (role,), (acme,))


def test_what_is_not_given_is_made_up(ann, tenant):
    assert (ann.name, len(ann.password), ann.roles, dict(ann.permissions)) == (ann.email, 64, (), {})
    assert ann.password != tenant.create_user("bob@example.com").password
    acme = tenant.create_organization("acme")
    assert (acme.display_name, dict(acme.members)) == ("acme", {})
    assert tenant.create_role("Writers").description == ""


def test_what_is_given_is_taken(tenant):
    ann = tenant.create_user("ann@example.com", name="Ann", password="s3cret", user_id="auth0|ann")
    assert (ann.name, ann.password, ann.user_id) == ("Ann", "s3cret", "auth0|ann")
    role = tenant.create_role("Writers", description="May write", role_id="rol_writers")
    assert (role.description, role.id) == ("May write", "rol_writers")
    acme = tenant.create_organization("acme", display_name="Acme Inc.", organization_id="org_1")
    assert (acme.display_name, acme.id) == ("Acme Inc.", "org_1")


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"email": ""}, Rule.EMAIL),
        ({"email": "ann"}, Rule.EMAIL),
        ({"email": "@example.com"}, Rule.EMAIL),
        ({"email": "ann@"}, Rule.EMAIL),
        ({"email": "a" * 243 + "@example.com"}, Rule.EMAIL),
        ({"email": 1}, Rule.TEXT),
        ({"name": ""}, Rule.NAME_LENGTH),
        ({"name": "<Ann>"}, Rule.NAME_CHARACTERS),
        ({"user_id": ""}, Rule.USER_ID),
        ({"user_id": "u" * 256}, Rule.USER_ID),
        ({"user_id": 1}, Rule.TEXT),
        ({"password": ""}, Rule.PASSWORD),
        ({"password": b"secret"}, Rule.PASSWORD),
        ({"password": "\ud800"}, Rule.PASSWORD),
    ],
)
def test_a_user_who_breaks_a_rule_is_refused(tenant, settings, rule):
    found, _ = broken(lambda: tenant.create_user(**{"email": "ann@example.com", **settings}))
    assert (found, tenant.users) == (rule, ())


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"name": ""}, Rule.NAME_LENGTH),
        ({"name": "<b>"}, Rule.NAME_CHARACTERS),
        ({"role_id": ""}, Rule.NAME_LENGTH),
        ({"description": None}, Rule.TEXT),
    ],
)
def test_a_role_that_breaks_a_rule_is_refused(tenant, settings, rule):
    assert broken(lambda: tenant.create_role(**{"name": "Writers", **settings}))[0] is rule


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"name": ""}, Rule.ORGANIZATION_NAME),
        ({"name": "Acme"}, Rule.ORGANIZATION_NAME),
        ({"name": "-acme"}, Rule.ORGANIZATION_NAME),
        ({"name": "a" * 51}, Rule.ORGANIZATION_NAME),
        ({"name": 1}, Rule.ORGANIZATION_NAME),
        ({"display_name": "<b>"}, Rule.NAME_CHARACTERS),
        ({"organization_id": "acme"}, Rule.ORGANIZATION_ID),
        ({"organization_id": 1}, Rule.ORGANIZATION_ID),
    ],
)
def test_an_organization_that_breaks_a_rule_is_refused(tenant, settings, rule):
    assert broken(lambda: tenant.create_organization(**{"name": "acme", **settings}))[0] is rule


@pytest.mark.parametrize("name", ["a", "4", "a" * 50, "acme-inc_2"])
def test_an_organizations_name_at_its_limit(tenant, name):
    assert tenant.create_organization(name).name == name


def test_nobody_is_there_twice(tenant, ann):
    tenant.create_role("Writers", role_id="rol_1")
    tenant.create_organization("acme", organization_id="org_1")
    assert [
        broken(lambda: tenant.create_user("ANN@example.com")),
        broken(lambda: tenant.create_user("bob@example.com", user_id=ann.user_id)),
        broken(lambda: tenant.create_role("Writers")),
        broken(lambda: tenant.create_role("Readers", role_id="rol_1")),
        broken(lambda: tenant.create_organization("acme")),
        broken(lambda: tenant.create_organization("other", organization_id="org_1")),
    ] == [
        (Rule.EMAIL_TAKEN, "ANN@example.com"),
        (Rule.USER_ID_TAKEN, ann.user_id),
        (Rule.ROLE_TAKEN, "Writers"),
        (Rule.ROLE_TAKEN, "Readers"),
        (Rule.ORGANIZATION_TAKEN, "acme"),
        (Rule.ORGANIZATION_TAKEN, "other"),
    ]


def test_a_password_is_in_no_repr_and_no_error(tenant):
    ann = tenant.create_user("ann@example.com", password="do-not-show-me")
    assert "do-not-show-me" not in repr(ann)
    with pytest.raises(TenantError) as refused:
        tenant.create_user("bob@example.com", password="do-not-show-me\ud800")
    assert "do-not-show-me" not in str(refused.value)


def test_people_can_be_kept_in_a_set(tenant, ann):
    assert len({ann, tenant.create_role("Writers"), tenant.create_organization("acme")}) == 3


# Permissions


def test_permissions_are_those_given_directly_and_those_of_all_roles(tenant, api, ann):
    writers, cleaners = tenant.create_role("Writers"), tenant.create_role("Cleaners")
    assert tenant.permissions_of(ann, api) == ()
    tenant.assign_permissions(ann, api, ["delete:a"])
    assert tenant.permissions_of(ann, api) == ("delete:a",)
    tenant.assign_role(ann, writers)
    tenant.assign_role(ann, cleaners)
    tenant.assign_permissions(writers, api, ["write:a"])
    tenant.assign_permissions(cleaners, IDENTIFIER, ["delete:a", "read:a"])
    assert tenant.permissions_of(ann, api) == ("read:a", "write:a", "delete:a")
    tenant.remove_role(ann, cleaners)
    assert tenant.permissions_of(ann, api) == ("write:a", "delete:a")


def test_a_new_list_takes_the_place_of_the_old_one_and_only_for_that_api(tenant, api, ann):
    other = tenant.register_api("https://other.example.com/", permissions=["read:a"])
    for target in (api, other):
        tenant.assign_permissions(ann, target, ["read:a"])
    ann = tenant.assign_permissions(ann, api, ["write:a", "write:a"])
    assert dict(ann.permissions) == {other.id: ("read:a",), api.id: ("write:a",)}
    ann = tenant.assign_permissions(ann, api, [])
    assert dict(ann.permissions) == {other.id: ("read:a",)}


def test_a_role_is_had_once(tenant, ann):
    role = tenant.create_role("Writers")
    tenant.assign_role(ann, role)
    ann = tenant.assign_role(ann, role)
    assert ann.roles == (role.id,)


def test_what_was_handed_out_stays_as_it_was(tenant, api, ann):
    changed = tenant.assign_permissions(ann, api, ["read:a"])
    assert (dict(ann.permissions), dict(changed.permissions)) == ({}, {api.id: ("read:a",)})
    with pytest.raises(AttributeError):
        ann.name = "Bob"


@pytest.mark.parametrize(("wanted", "rule"), [(["read:b"], Rule.PERMISSION_UNKNOWN), ("read:a", Rule.PERMISSION_LIST)])
def test_what_the_api_does_not_define_can_be_given_to_nobody(tenant, api, ann, wanted, rule):
    role = tenant.create_role("Writers")
    assert broken(lambda: tenant.assign_permissions(ann, api, wanted))[0] is rule
    assert broken(lambda: tenant.assign_permissions(role, api, wanted))[0] is rule
    assert (tenant.users, tenant.roles) == ((ann,), (role,))


# Members


def test_members_come_and_go_with_their_roles(tenant, ann):
    acme, bob = tenant.create_organization("acme"), tenant.create_user("bob@example.com")
    admins = tenant.create_role("Admins")
    tenant.add_member(acme, ann)
    tenant.add_member(acme, bob, roles=[admins, admins])
    acme = tenant.add_member(acme, ann, roles=[admins])
    assert dict(acme.members) == {ann.user_id: (admins.id,), bob.user_id: (admins.id,)}
    acme = tenant.remove_member(acme, ann)
    assert dict(acme.members) == {bob.user_id: (admins.id,)}
    assert tenant.organizations == (acme,)


def test_who_and_what_was_not_there_cannot_be_taken_away(tenant, ann):
    acme, role = tenant.create_organization("acme"), tenant.create_role("Writers")
    assert broken(lambda: tenant.remove_member(acme, ann)) == (Rule.MEMBER_UNKNOWN, ann.email)
    assert broken(lambda: tenant.remove_role(ann, role)) == (Rule.ROLE_NOT_HELD, "Writers")


def test_people_of_another_tenant_are_unknown_here(tenant, api, ann):
    stranger = Tenant()
    acme, role = tenant.create_organization("acme"), tenant.create_role("Writers")
    their_ann = stranger.create_user("ann@example.com")
    their_role, their_acme = stranger.create_role("Writers"), stranger.create_organization("acme")
    assert [
        broken(action)[0]
        for action in (
            lambda: tenant.assign_permissions(their_ann, api, []),
            lambda: tenant.assign_permissions(their_role, api, []),
            lambda: tenant.assign_role(their_ann, role),
            lambda: tenant.assign_role(ann, their_role),
            lambda: tenant.add_member(their_acme, ann),
            lambda: tenant.add_member(acme, their_ann),
            lambda: tenant.add_member(acme, ann, roles=[their_role]),
            lambda: tenant.permissions_of(ann, api, their_acme),
            lambda: tenant.authorize(api.test_application, api, organizations=[their_acme]),
        )
    ] == [
        Rule.USER_UNKNOWN,
        Rule.ROLE_UNKNOWN,
        Rule.USER_UNKNOWN,
        Rule.ROLE_UNKNOWN,
        Rule.ORGANIZATION_UNKNOWN,
        Rule.USER_UNKNOWN,
        Rule.ROLE_UNKNOWN,
        Rule.ORGANIZATION_UNKNOWN,
        Rule.ORGANIZATION_UNKNOWN,
    ]
