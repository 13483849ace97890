"""Registering an API: what its settings may be, and how they are told again."""

from __future__ import annotations

import dataclasses
import re

import pytest

from jwtgate import JwtGateError
from jwtgate.tenant import Rule, Tenant, TenantError

IDENTIFIER = "https://api.example.com/"
RESERVED = [
    "address",
    "created_at",
    "email",
    "email_verified",
    "family_name",
    "given_name",
    "identities",
    "name",
    "nickname",
    "offline_access",
    "openid",
    "phone",
    "picture",
    "profile",
]


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"identifier": ""}, Rule.IDENTIFIER_LENGTH),
        ({"identifier": "a" * 601}, Rule.IDENTIFIER_LENGTH),
        ({"identifier": "half a pair: \ud800"}, Rule.TEXT),
        ({"identifier": 1}, Rule.TEXT),
        ({"name": ""}, Rule.NAME_LENGTH),
        ({"name": "n" * 201}, Rule.NAME_LENGTH),
        ({"name": "a < b"}, Rule.NAME_CHARACTERS),
        ({"name": "a > b"}, Rule.NAME_CHARACTERS),
        ({"name": 1}, Rule.TEXT),
        ({"profile": "access_token"}, Rule.PROFILE),
        ({"signing_algorithm": "ES256"}, Rule.SIGNING_ALGORITHM),
        ({"signing_algorithm": "none"}, Rule.SIGNING_ALGORITHM),
        ({"signing_algorithm": "HS256", "signing_secret": "s" * 15}, Rule.SIGNING_SECRET_LENGTH),
        ({"signing_algorithm": "HS256", "signing_secret": ""}, Rule.SIGNING_SECRET_LENGTH),
        ({"signing_algorithm": "HS256", "signing_secret": b"s" * 64}, Rule.TEXT),
        ({"signing_secret": "s" * 64}, Rule.SIGNING_SECRET_UNUSED),
        ({"token_lifetime": 0}, Rule.TOKEN_LIFETIME),
        ({"token_lifetime": -1}, Rule.TOKEN_LIFETIME),
        ({"token_lifetime": 2_592_001}, Rule.TOKEN_LIFETIME),
        ({"token_lifetime": 60.0}, Rule.TOKEN_LIFETIME),
        ({"token_lifetime": True}, Rule.TOKEN_LIFETIME),
        ({"permissions_in_token": True}, Rule.PERMISSIONS_NEED_RBAC),
        ({"permissions": "read:messages"}, Rule.PERMISSION_LIST),
        ({"permissions": [""]}, Rule.PERMISSION_LENGTH),
        ({"permissions": ["p" * 281]}, Rule.PERMISSION_LENGTH),
        ({"permissions": [1]}, Rule.TEXT),
        ({"permissions": ["read messages"]}, Rule.PERMISSION_CHARACTERS),
        ({"permissions": ["read:messages\n"]}, Rule.PERMISSION_CHARACTERS),
        ({"permissions": ['read:"messages"']}, Rule.PERMISSION_CHARACTERS),
        ({"permissions": ["read:\\messages"]}, Rule.PERMISSION_CHARACTERS),
        ({"permissions": ["lire:été"]}, Rule.PERMISSION_CHARACTERS),
        ({"permissions": ["a", "a"]}, Rule.PERMISSION_TWICE),
        ({"permissions": {"a": "d" * 501}}, Rule.DESCRIPTION_LENGTH),
        ({"permissions": {"a": None}}, Rule.TEXT),
        ({"permissions": [f"p{number}" for number in range(1001)]}, Rule.PERMISSIONS_COUNT),
        *(({"permissions": [name]}, Rule.PERMISSION_RESERVED) for name in RESERVED),
    ],
)
def test_a_setting_that_breaks_its_rule_is_refused_and_registers_nothing(settings, rule):
    tenant = Tenant()
    with pytest.raises(TenantError) as refused:
        tenant.register_api(**{"identifier": IDENTIFIER, **settings})
    assert refused.value.rule is rule
    assert tenant.register_api(IDENTIFIER).identifier == IDENTIFIER


@pytest.mark.parametrize(
    "settings",
    [
        {"identifier": "a"},
        {"identifier": "é" * 600},
        {"identifier": "<no URL, and no name>"},
        {"name": "n"},
        {"name": "n" * 200},
        {"signing_algorithm": "HS256", "signing_secret": "s" * 16},
        {"token_lifetime": 1},
        {"token_lifetime": 2_592_000},
        {"permissions": ["p" * 280]},
        {"permissions": ["openid2", "profile:read", "!#[]~"]},
        {"permissions": {"a": "d" * 500}},
        {"permissions": [f"p{number}" for number in range(1000)]},
        {"rbac": True, "permissions_in_token": True},
    ],
)
def test_a_setting_at_its_limit_is_accepted(settings):
    assert Tenant().register_api(**{"identifier": IDENTIFIER, **settings}).identifier


def test_an_error_carries_the_value_and_the_limit():
    with pytest.raises(TenantError) as refused:
        Tenant().register_api(IDENTIFIER, token_lifetime=2_592_001)
    assert (refused.value.value, refused.value.limit) == (2_592_001, (1, 2_592_000))
    assert "2592001" in str(refused.value)
    assert "2592000" in str(refused.value)
    assert isinstance(refused.value, JwtGateError)


def test_an_error_shows_no_more_than_a_hundred_characters_of_a_value():
    with pytest.raises(TenantError) as refused:
        Tenant().register_api("a" * 100_000)
    assert len(str(refused.value)) < 200


def test_an_error_over_a_secret_shows_its_length_alone():
    with pytest.raises(TenantError) as refused:
        Tenant().register_api(IDENTIFIER, signing_algorithm="HS256", signing_secret="short-secret")
    assert (refused.value.value, refused.value.limit) == (12, 16)
    assert "short-secret" not in str(refused.value)


def test_an_identifier_is_registered_once():
    tenant = Tenant()
    first = tenant.register_api(IDENTIFIER)
    with pytest.raises(TenantError) as refused:
        tenant.register_api(IDENTIFIER, name="Another")
    assert (refused.value.rule, refused.value.value) == (Rule.IDENTIFIER_TAKEN, IDENTIFIER)
    assert tenant.client_credentials(first.test_application, first).access_token


@pytest.mark.parametrize("other", ["https://api.example.com", "https://API.example.com/"])
def test_identifiers_that_differ_by_a_slash_or_by_case_are_two_apis(other):
    tenant = Tenant()
    first, second = tenant.register_api(IDENTIFIER), tenant.register_api(other)
    assert (first.identifier, second.identifier) == (IDENTIFIER, other)
    assert first.id != second.id


def test_nothing_in_a_registered_api_changes():
    api = Tenant().register_api(IDENTIFIER, permissions={"a": "b"})
    for setting in dataclasses.fields(api):
        with pytest.raises(AttributeError):
            setattr(api, setting.name, None)
    with pytest.raises(TypeError):
        api.permissions["c"] = "d"


def test_permissions_given_are_copied():
    permissions = {"a": "b"}
    api = Tenant().register_api(IDENTIFIER, permissions=permissions)
    permissions["c"] = "d"
    assert dict(api.permissions) == {"a": "b"}


def test_an_api_can_be_kept_in_a_set():
    tenant = Tenant()
    api = tenant.register_api(IDENTIFIER, permissions=["a"])
    assert api in {api, tenant.register_api("another")}


def test_an_hs256_api_makes_its_own_secret_each_time_anew():
    first, second = (Tenant().register_api(IDENTIFIER, signing_algorithm="HS256") for _ in range(2))
    assert len(first.signing_secret) == 64
    assert first.signing_secret != second.signing_secret


def test_an_api_signed_with_the_tenants_keys_has_no_secret():
    assert Tenant().register_api(IDENTIFIER).signing_secret is None


def test_secrets_are_in_no_repr():
    api = Tenant().register_api(IDENTIFIER, signing_algorithm="HS256")
    assert api.signing_secret not in repr(api)
    assert api.test_application.client_secret not in repr(api)


def test_each_api_gets_a_test_application_that_is_authorised_for_none_of_its_permissions():
    tenant = Tenant()
    api = tenant.register_api(IDENTIFIER, name="Messages", permissions=["read:messages"])
    assert api.test_application.name == "Messages (Test Application)"
    assert tenant.client_credentials(api.test_application, api).scope is None


def test_an_api_without_a_name_has_none_and_lends_its_identifier_to_its_test_application():
    api = Tenant().register_api(IDENTIFIER)
    assert "name" not in api.resource_server()
    assert api.test_application.name == f"{IDENTIFIER} (Test Application)"


UNTOUCHED = {
    "identifier": IDENTIFIER,
    "allow_offline_access": False,
    "skip_consent_for_verifiable_first_party_clients": False,
    "subject_type_authorization": {
        "client": {"policy": "require_client_grant"},
        "user": {"policy": "allow_all"},
    },
    "token_lifetime": 86400,
    "token_lifetime_for_web": 7200,
    "signing_alg": "RS256",
}


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        ({}, {}),
        ({"name": "Messages"}, {"name": "Messages"}),
        ({"signing_algorithm": "PS256"}, {"signing_alg": "PS256"}),
        ({"signing_algorithm": "RS512"}, {"signing_alg": "RS512"}),
        ({"signing_algorithm": "HS256"}, {"signing_alg": "HS256"}),
        ({"token_lifetime": 60}, {"token_lifetime": 60, "token_lifetime_for_web": 60}),
        ({"rbac": True}, {"enforce_policies": True}),
        ({"profile": "rfc9068"}, {"token_dialect": "rfc9068_profile"}),
        (
            {"rbac": True, "permissions_in_token": True},
            {"enforce_policies": True, "token_dialect": "access_token_authz"},
        ),
        (
            {"profile": "rfc9068", "rbac": True, "permissions_in_token": True},
            {"enforce_policies": True, "token_dialect": "rfc9068_profile_authz"},
        ),
        (
            {"permissions": {"read:a": "Read a", "write:a": ""}},
            {"scopes": [{"value": "read:a", "description": "Read a"}, {"value": "write:a"}]},
        ),
        (
            {"permissions": ["read:a", "write:a"]},
            {"scopes": [{"value": "read:a"}, {"value": "write:a"}]},
        ),
    ],
)
def test_the_resource_server_is_as_the_management_api_tells_it(settings, change):
    told = Tenant().register_api(IDENTIFIER, **settings).resource_server()
    assert re.fullmatch(r"[0-9a-f]{24}", told.pop("id"))
    assert told == {**UNTOUCHED, **change}


def test_the_resource_server_begins_as_the_management_api_has_it():
    told = Tenant().register_api(IDENTIFIER, name="Messages").resource_server()
    assert list(told)[:3] == ["id", "name", "identifier"]
