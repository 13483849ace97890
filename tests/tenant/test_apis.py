"""Registering an API: what its settings may be, and how they are told again."""

from __future__ import annotations

import dataclasses
import logging
import re
import warnings

import pytest

from jwtgate import JwtGateError
from jwtgate.tenant import OpenPermissionsWarning, Rule, Tenant, TenantError

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
        ({"web_token_lifetime": 86_401}, Rule.WEB_TOKEN_LIFETIME),
        ({"token_lifetime": 60, "web_token_lifetime": 61}, Rule.WEB_TOKEN_LIFETIME),
        ({"web_token_lifetime": 0}, Rule.WEB_TOKEN_LIFETIME),
        ({"web_token_lifetime": True}, Rule.WEB_TOKEN_LIFETIME),
        ({"user_access": "all"}, Rule.USER_ACCESS),
        ({"client_access": "allow_all"}, Rule.CLIENT_ACCESS),
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
        {"token_lifetime": 2_592_000, "web_token_lifetime": 2_592_000},
        {"name": "n" * 200, "identifier": "<>"},
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


def test_an_api_in_hand_stays_as_it_is():
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
    "token_lifetime_for_web": 86400,
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
        ({"token_lifetime": 90_000}, {"token_lifetime": 90_000}),
        ({"web_token_lifetime": 60}, {"token_lifetime_for_web": 60}),
        ({"offline_access": True}, {"allow_offline_access": True}),
        ({"skip_consent": True}, {"skip_consent_for_verifiable_first_party_clients": True}),
        (
            {"user_access": "require_client_grant", "client_access": "deny_all"},
            {
                "subject_type_authorization": {
                    "client": {"policy": "deny_all"},
                    "user": {"policy": "require_client_grant"},
                }
            },
        ),
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


# Changing what can change


def test_of_the_general_settings_the_name_changes():
    tenant = Tenant()
    api = tenant.register_api(IDENTIFIER, name="Messages")
    renamed = tenant.rename(api, "Post")
    assert renamed == dataclasses.replace(api, name="Post")
    assert api.name == "Messages"
    assert tenant.apis[-1] == renamed


@pytest.mark.parametrize(("name", "rule"), [("a<b", Rule.NAME_CHARACTERS), ("", Rule.NAME_LENGTH), (None, Rule.TEXT)])
def test_a_new_name_keeps_the_rules_of_names(name, rule):
    tenant = Tenant()
    api = tenant.register_api(IDENTIFIER, name="Messages")
    with pytest.raises(TenantError) as refused:
        tenant.rename(api, name)
    assert refused.value.rule is rule
    assert tenant.apis[-1] == api


@pytest.mark.parametrize("setting", ["identifier", "signing_algorithm", "signing_secret", "id", "is_system", "name"])
def test_what_never_changes_cannot_even_be_said(setting):
    tenant = Tenant()
    with pytest.raises(TypeError):
        tenant.update_api(tenant.register_api(IDENTIFIER), **{setting: "RS512"})


@pytest.mark.parametrize(
    "change",
    [
        {"profile": "rfc9068"},
        {"token_lifetime": 90_000},
        {"web_token_lifetime": 60},
        {"rbac": True, "permissions_in_token": True},
        {"skip_consent": True},
        {"offline_access": True},
        {"user_access": "deny_all"},
        {"client_access": "deny_all"},
    ],
)
def test_access_settings_change_and_the_others_stay(change):
    tenant = Tenant()
    api = tenant.register_api(IDENTIFIER, permissions=["a"])
    assert tenant.update_api(api, **change) == dataclasses.replace(api, **change)
    assert tenant.update_api(IDENTIFIER) == dataclasses.replace(api, **change)


@pytest.mark.parametrize(
    ("first", "change", "after"),
    [
        ({}, {"token_lifetime": 60}, {"token_lifetime": 60, "web_token_lifetime": 60}),
        ({"web_token_lifetime": 30}, {"token_lifetime": 60}, {"token_lifetime": 60, "web_token_lifetime": 30}),
        (
            {"rbac": True, "permissions_in_token": True},
            {"rbac": False},
            {"rbac": False, "permissions_in_token": False},
        ),
    ],
)
def test_what_a_change_rules_out_goes_with_it(first, change, after):
    tenant = Tenant()
    updated = tenant.update_api(tenant.register_api(IDENTIFIER, **first), **change)
    assert {name: getattr(updated, name) for name in after} == after


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"token_lifetime": 0}, Rule.TOKEN_LIFETIME),
        ({"token_lifetime": "60"}, Rule.TOKEN_LIFETIME),
        ({"token_lifetime": 60, "web_token_lifetime": 61}, Rule.WEB_TOKEN_LIFETIME),
        ({"profile": "none"}, Rule.PROFILE),
        ({"rbac": False, "permissions_in_token": True}, Rule.PERMISSIONS_NEED_RBAC),
        ({"permissions": ["openid"]}, Rule.PERMISSION_RESERVED),
        ({"user_access": "none"}, Rule.USER_ACCESS),
    ],
)
def test_a_change_that_breaks_a_rule_changes_nothing(change, rule):
    tenant = Tenant()
    api = tenant.register_api(IDENTIFIER)
    with pytest.raises(TenantError) as refused:
        tenant.update_api(api, **change)
    assert refused.value.rule is rule
    assert tenant.apis[-1] == api


def test_an_api_in_hand_stands_for_the_api_as_it_is_now():
    tenant = Tenant()
    api = tenant.register_api(IDENTIFIER, permissions=["a", "b"])
    application = tenant.create_application("Reports")
    tenant.authorize(application, api, permissions=["a", "b"])
    tenant.update_api(api, token_lifetime=60, permissions=["b", "c"])
    response = tenant.client_credentials(application, api)
    assert (response.expires_in, response.scope) == (60, "b")
    assert tenant.authorize(application, api, permissions=["c"]).permissions == ("c",)


# The Management API


def test_a_new_tenant_holds_the_management_api():
    tenant = Tenant("https://tenant.example.test/")
    (api,) = tenant.apis
    assert api == tenant.management_api
    told = api.resource_server()
    assert {name: told[name] for name in ("name", "identifier", "is_system", "signing_alg", "token_lifetime")} == {
        "name": "Auth0 Management API",
        "identifier": "https://tenant.example.test/api/v2/",
        "is_system": True,
        "signing_alg": "RS256",
        "token_lifetime": 86400,
    }
    assert told["token_lifetime_for_web"] == 7200
    assert "is_system" not in tenant.register_api(IDENTIFIER).resource_server()


def test_a_machine_can_be_authorised_for_the_management_api():
    tenant = Tenant()
    application = tenant.create_application("Deploy")
    tenant.authorize(application, tenant.management_api, ["read:resource_servers"])
    assert tenant.client_credentials(application, tenant.management_api).scope == "read:resource_servers"


def test_the_management_api_is_called_after_the_address_where_the_tenant_is_served():
    tenant = Tenant()
    explorer = tenant.management_api.test_application
    tenant.authorize(explorer, tenant.management_api, ["read:users"])
    assert tenant.management_api.identifier == "https://tenant.jwtgate.test/api/v2/"
    with tenant.serve() as server:
        assert tenant.management_api.identifier == f"{server.url}api/v2/"
        assert tenant.claims(explorer, f"{server.url}api/v2/")["scope"] == "read:users"


def test_the_management_apis_identifier_is_taken():
    tenant = Tenant()
    with pytest.raises(TenantError) as refused:
        tenant.register_api("https://tenant.jwtgate.test/api/v2/")
    assert refused.value.rule is Rule.IDENTIFIER_TAKEN


def test_of_the_management_api_lifetime_and_consent_change():
    tenant = Tenant()
    updated = tenant.update_api(tenant.management_api, token_lifetime=60, skip_consent=True)
    assert (updated.token_lifetime, updated.web_token_lifetime, updated.skip_consent) == (60, 60, True)
    assert updated == tenant.management_api


@pytest.mark.parametrize("change", [{"rbac": True}, {"permissions": ["a"]}, {"user_access": "allow_all"}])
def test_nothing_else_of_the_management_api_changes(change):
    tenant = Tenant()
    with pytest.raises(TenantError) as refused:
        tenant.update_api(tenant.management_api, **change)
    assert (refused.value.rule, refused.value.value) == (Rule.SYSTEM_API, next(iter(change)))
    with pytest.raises(TenantError) as refused:
        tenant.rename(tenant.management_api, "Mine")
    assert (refused.value.rule, refused.value.value) == (Rule.SYSTEM_API, "name")


# What is open to every user


def opened(action):
    """How many warnings of ours the action gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    assert all(warning.category is OpenPermissionsWarning for warning in caught)
    assert all(warning.filename == __file__ for warning in caught)
    return len(caught)


@pytest.mark.parametrize(
    ("settings", "kind", "count"),
    [
        ({}, "single_page", 1),
        ({}, "native", 1),
        ({}, "regular_web", 0),
        ({}, "machine_to_machine", 0),
        ({"rbac": True}, "single_page", 0),
        ({"user_access": "require_client_grant"}, "single_page", 0),
        ({"user_access": "deny_all"}, "native", 0),
    ],
)
def test_an_api_without_rbac_beside_an_application_in_the_users_hands_warns(settings, kind, count):
    tenant = Tenant()
    tenant.create_application("Shop", kind=kind)
    assert opened(lambda: tenant.register_api(IDENTIFIER, **settings)) == count

    tenant = Tenant()
    tenant.register_api(IDENTIFIER, **settings)
    assert opened(lambda: tenant.create_application("Shop", kind=kind)) == count


@pytest.mark.parametrize(
    ("change", "count"), [({"rbac": False}, 1), ({"user_access": "allow_all"}, 0), ({"token_lifetime": 60}, 0)]
)
def test_switching_rbac_off_warns_too(change, count):
    tenant = Tenant()
    tenant.create_application("Shop", kind="native")
    api = tenant.register_api(IDENTIFIER, rbac=True)
    assert opened(lambda: tenant.update_api(api, **change)) == count


def test_opening_an_api_to_all_applications_warns_too():
    tenant = Tenant()
    tenant.create_application("Shop", kind="native")
    api = tenant.register_api(IDENTIFIER, user_access="deny_all")
    assert opened(lambda: tenant.update_api(api, user_access="require_client_grant")) == 0
    assert opened(lambda: tenant.update_api(api, user_access="allow_all")) == 1


def test_the_warning_names_api_and_application_and_is_in_the_log(caplog):
    tenant = Tenant()
    for name in ("Shop", "Games"):
        tenant.create_application(name, kind="single_page")
    with pytest.warns(OpenPermissionsWarning) as caught:
        tenant.register_api(IDENTIFIER)
    (record,) = [record for record in caplog.records if record.name == "jwtgate.tenant"]
    assert record.levelno == logging.WARNING
    for text in (record.getMessage(), str(caught[0].message)):
        assert all(named in text for named in (IDENTIFIER, "Shop", "Games"))
