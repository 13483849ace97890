"""Applications and their grants: who may have a token for what."""

from __future__ import annotations

import re

import pytest

from jwtgate.tenant import Rule, Tenant, TenantError, TokenRefused

IDENTIFIER = "https://api.example.com/"
PERMISSIONS = ["read:a", "write:a", "delete:a"]


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"name": ""}, Rule.NAME_LENGTH),
        ({"name": "a<b"}, Rule.NAME_CHARACTERS),
        ({"token_endpoint_auth": "none"}, Rule.TOKEN_ENDPOINT_AUTH),
        ({"token_endpoint_auth": "private_key_jwt"}, Rule.TOKEN_ENDPOINT_AUTH),
        ({"token_endpoint_auth": "client_secret_post", "kind": "native"}, Rule.TOKEN_ENDPOINT_AUTH),
        ({"token_endpoint_auth": "none", "kind": "regular_web"}, Rule.TOKEN_ENDPOINT_AUTH),
        ({"kind": "spa"}, Rule.APPLICATION_KIND),
        ({"grant_types": ["device_code"]}, Rule.GRANT_TYPE),
        ({"grant_types": "client_credentials"}, Rule.GRANT_TYPE),
        ({"grant_types": ["client_credentials"], "kind": "single_page"}, Rule.GRANT_TYPE),
        ({"organization_usage": "required"}, Rule.ORGANIZATION_USAGE),
        ({"client_id": ""}, Rule.CLIENT_ID),
        ({"client_id": "c" * 129}, Rule.CLIENT_ID),
        ({"client_id": "with space"}, Rule.CLIENT_ID),
        ({"client_id": 1}, Rule.TEXT),
        ({"client_secret": ""}, Rule.CLIENT_SECRET),
        ({"client_secret": b"secret"}, Rule.CLIENT_SECRET),
        ({"callbacks": "https://app.example.com/"}, Rule.CALLBACK_LIST),
        ({"callbacks": [1]}, Rule.TEXT),
        *(
            ({"callbacks": [url]}, Rule.CALLBACK)
            for url in (
                "",
                "/callback",
                "app.example.com/callback",
                "https:",
                "https://",
                "http:///callback",
                "https://[::1/callback",
                "https://app.example.com/#",
                "https://app.example.com/#fragment",
                "https://app.example.com/a b",
                "https://app.example.com/a\\b",
                "https://app.example.com/\r\nSet-Cookie: a=b",
                'https://app.example.com/"',
                "javascript:alert(1)",
                "JavaScript:alert(1)",
                "data:text/html,hello",
                "vbscript:x",
                "file:///etc/passwd",
                "blob:https://app.example.com/1",
            )
        ),
    ],
)
def test_a_setting_that_breaks_its_rule_is_refused(tenant, settings, rule):
    with pytest.raises(TenantError) as refused:
        tenant.create_application(**{"name": "Reports", **settings})
    assert refused.value.rule is rule


def test_ids_and_secrets_have_the_shape_of_real_ones(tenant):
    application = tenant.create_application("Reports")
    assert re.fullmatch(r"[A-Za-z0-9]{32}", application.client_id)
    assert re.fullmatch(r"[A-Za-z0-9_-]{64}", application.client_secret)
    assert application.subject == f"{application.client_id}@clients"


@pytest.mark.parametrize(
    ("kind", "auth", "grant_types", "rotates"),
    [
        ("machine_to_machine", "client_secret_post", ("client_credentials",), False),
        (
            "regular_web",
            "client_secret_post",
            ("authorization_code", "client_credentials", "refresh_token"),
            False,
        ),
        ("single_page", "none", ("authorization_code", "refresh_token"), True),
        ("native", "none", ("authorization_code", "refresh_token"), True),
    ],
)
def test_each_kind_has_its_own_ways_unless_told_otherwise(kind, auth, grant_types, rotates):
    application = Tenant().create_application("Shop", kind=kind)
    assert (application.kind, application.token_endpoint_auth) == (kind, auth)
    assert (application.grant_types, application.rotate_refresh_tokens) == (grant_types, rotates)
    assert application.is_public == (auth == "none")


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com/callback",
        "http://localhost:3000/callback?from=tenant",
        "http://[::1]:3000/",
        "com.example.app:/callback",
        "myapp://callback",
    ],
)
def test_a_callback_can_be_a_web_page_or_an_app(tenant, url):
    application = tenant.create_application("Shop", kind="regular_web", callbacks=[url, url])
    assert application.callbacks == (url,)


def test_id_and_secret_can_be_given_and_an_id_once():
    tenant = Tenant()
    first = tenant.create_application("Shop", client_id="shop", client_secret="s3cret")
    assert (first.client_id, first.client_secret) == ("shop", "s3cret")
    with pytest.raises(TenantError) as refused:
        tenant.create_application("Another", client_id="shop")
    assert (refused.value.rule, refused.value.value) == (Rule.CLIENT_ID_TAKEN, "shop")
    assert [application.name for application in tenant.applications] == ["API Explorer Application", "Shop"]


def test_a_secret_given_is_in_no_error():
    with pytest.raises(TenantError) as refused:
        Tenant().create_application("", client_secret="do-not-show-me")
    assert "do-not-show-me" not in str(refused.value)


def test_two_applications_of_one_name_are_two(tenant):
    first, second = tenant.create_application("Reports"), tenant.create_application("Reports")
    assert first.client_id != second.client_id
    assert first.client_secret != second.client_secret


def test_a_secret_is_in_no_repr(tenant):
    application = tenant.create_application("Reports")
    assert application.client_secret not in repr(application)


def test_an_application_gets_what_it_was_granted_in_that_order(tenant, register):
    api, application = register(permissions=PERMISSIONS), tenant.create_application("Reports")
    grant = tenant.authorize(application, api, permissions=["write:a", "read:a", "write:a"])
    assert re.fullmatch(r"cgr_[A-Za-z0-9]{16}", grant.id)
    assert grant.permissions == ("write:a", "read:a")
    assert tenant.client_credentials(application, api).scope == "write:a read:a"


def test_a_new_grant_takes_the_place_of_the_old_one(tenant, register):
    api, application = register(permissions=PERMISSIONS), tenant.create_application("Reports")
    tenant.authorize(application, api, permissions=["write:a"])
    tenant.authorize(application, api.identifier, permissions=["read:a"])
    assert tenant.client_credentials(application, api).scope == "read:a"


def test_a_grant_for_users_and_one_for_the_application_stand_beside_each_other(tenant, register):
    api, application = register(permissions=PERMISSIONS), tenant.create_application("Reports")
    own = tenant.authorize(application, api, ["read:a"])
    for_users = tenant.authorize(application, api, ["write:a"], subject_type="user")
    assert (own.subject_type, for_users.subject_type) == ("client", "user")
    assert tenant.grants[-2:] == (own, for_users)
    assert tenant.client_credentials(application, api).scope == "read:a"
    tenant.withdraw(application, api, subject_type="user")
    assert tenant.grants[-1] == own


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"subject_type": "users"}, Rule.SUBJECT_TYPE),
        ({"organization_usage": "required"}, Rule.ORGANIZATION_USAGE),
    ],
)
def test_a_grant_that_breaks_a_rule_is_refused(tenant, register, options, rule):
    with pytest.raises(TenantError) as refused:
        tenant.authorize(tenant.create_application("Reports"), register(), **options)
    assert refused.value.rule is rule


def test_a_grant_for_one_api_is_none_for_another(tenant, register):
    api, other, application = register(), register(), tenant.create_application("Reports")
    tenant.authorize(application, api)
    with pytest.raises(TokenRefused) as refused:
        tenant.client_credentials(application, other)
    assert refused.value.status == 403


@pytest.mark.parametrize("named", [lambda api: api, lambda api: api.identifier])
def test_a_grant_withdrawn_ends_new_tokens(tenant, register, named):
    api, application = register(), tenant.create_application("Reports")
    tenant.authorize(application, api)
    tenant.withdraw(application, named(api))
    with pytest.raises(TokenRefused) as refused:
        tenant.client_credentials(application, api)
    assert (refused.value.status, refused.value.error) == (403, "access_denied")


def test_a_test_application_can_be_withdrawn_and_authorised_like_any_other(tenant, register):
    api = register(permissions=PERMISSIONS)
    tenant.withdraw(api.test_application, api)
    tenant.authorize(api.test_application, api, permissions=api.permissions)
    assert tenant.client_credentials(api.test_application, api).scope == "read:a write:a delete:a"


@pytest.mark.parametrize(
    ("wanted", "rule"),
    [
        (["read:a", "read:b"], Rule.PERMISSION_UNKNOWN),
        (["openid"], Rule.PERMISSION_UNKNOWN),
        ("read:a", Rule.PERMISSION_LIST),
    ],
)
def test_what_the_api_does_not_define_cannot_be_granted(tenant, register, wanted, rule):
    api, application = register(permissions=PERMISSIONS), tenant.create_application("Reports")
    with pytest.raises(TenantError) as refused:
        tenant.authorize(application, api, permissions=wanted)
    assert refused.value.rule is rule
    with pytest.raises(TokenRefused):
        tenant.client_credentials(application, api)


def test_what_was_not_granted_cannot_be_withdrawn(tenant, register):
    with pytest.raises(TenantError) as refused:
        tenant.withdraw(tenant.create_application("Reports"), register())
    assert refused.value.rule is Rule.GRANT_UNKNOWN


def test_apis_and_applications_of_another_tenant_are_unknown_here(tenant, register):
    stranger = Tenant()
    api, application = register(), tenant.create_application("Reports")
    their_api, their_application = stranger.register_api(api.identifier), stranger.create_application("Reports")
    found = {}
    for case, arguments in {
        "application": (their_application, api),
        "api": (application, their_api),
        "identifier": (application, "https://nowhere.test/"),
    }.items():
        for action in (tenant.authorize, tenant.withdraw):
            with pytest.raises(TenantError) as refused:
                action(*arguments)
            found[case, action.__name__] = refused.value.rule
    assert found == {
        ("application", "authorize"): Rule.APPLICATION_UNKNOWN,
        ("application", "withdraw"): Rule.APPLICATION_UNKNOWN,
        ("api", "authorize"): Rule.API_UNKNOWN,
        ("api", "withdraw"): Rule.API_UNKNOWN,
        ("identifier", "authorize"): Rule.API_UNKNOWN,
        ("identifier", "withdraw"): Rule.API_UNKNOWN,
    }


def test_an_application_of_another_tenant_gets_no_token_here(tenant, register):
    with pytest.raises(TokenRefused) as refused:
        tenant.client_credentials(Tenant().create_application("Reports"), register())
    assert (refused.value.status, refused.value.error) == (401, "access_denied")


def test_an_application_in_hand_stands_for_the_application_as_it_is_now():
    tenant = Tenant()
    api = tenant.register_api(IDENTIFIER, permissions=PERMISSIONS, rbac=True)
    application = tenant.create_application("Shop", kind="regular_web")
    ann = tenant.create_user("ann@example.com")
    tenant.authorize(application, api, ["read:a"])
    tenant.update_application(
        application,
        client_secret="another",
        token_endpoint_auth="client_secret_basic",
        grant_types=["client_credentials", "password"],
    )
    tenant.update_user(ann, password="another")
    assert tenant.client_credentials(application, api).scope == "read:a"
    assert tenant.password(application, api, ann).access_token
    with pytest.raises(TokenRefused) as refused:
        tenant.authorization_code(application, api, ann)
    assert refused.value.error == "unauthorized_client"
