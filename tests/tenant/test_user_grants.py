"""The token endpoint for users: codes, passwords and refresh tokens, row by row: status and body."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from urllib.parse import quote_plus

import httpx
import pytest

from jwtgate.tenant import Tenant, TokenRefused

from .test_authorize import CALLBACK, CHALLENGE, World

# All tests share the tenant: what others registered is open to the applications that these create.
pytestmark = pytest.mark.filterwarnings("ignore::jwtgate.tenant.OpenPermissionsWarning")

SECRET = "correct horse battery staple"


@pytest.fixture
def make(tenant, register, somebody):
    def made(*, kind="single_page", settings=None, **options):
        settings = {"offline_access": True, **(settings or {})}
        return World(
            tenant, register, lambda **who: somebody(password=SECRET, **who), kind=kind, settings=settings, **options
        )

    return made


@pytest.fixture
def world(make):
    return make()


@pytest.fixture
def ask(browser):
    return lambda parameters: browser.client.post("oauth/token", json=parameters)


def code_for(world, browser, **change):
    return browser.log_in(world.ann.user_id, **world.query(**change))["code"]


def refused(status, error, description):
    return status, {"error": error, "error_description": description}


def answer(response):
    return response.status_code, response.json()


WRONG_CODE = refused(403, "invalid_grant", "Invalid authorization code")
WRONG_TOKEN = refused(403, "invalid_grant", "Unknown or invalid refresh token.")
WRONG_VERIFIER = refused(403, "invalid_grant", "Failed to verify code verifier")
WRONG_CALLBACK = refused(403, "invalid_grant", "The redirect URI is wrong.")
UNAUTHORIZED = refused(401, "access_denied", "Unauthorized")

# Codes

CODES = {
    "no code": ({"code": None}, refused(400, "invalid_request", "Missing required parameter: code")),
    "another code": ({"code": "x" * 48}, WRONG_CODE),
    "no callback": ({"redirect_uri": None}, WRONG_CALLBACK),
    "another callback": ({"redirect_uri": CALLBACK + "/"}, WRONG_CALLBACK),
    "no verifier": ({"code_verifier": None}, WRONG_VERIFIER),
    "another verifier": ({"code_verifier": "w" * 43}, WRONG_VERIFIER),
    "the challenge as verifier": ({"code_verifier": CHALLENGE}, WRONG_VERIFIER),
    "a verifier that is not ASCII": ({"code_verifier": "é" * 43}, WRONG_VERIFIER),
    "a secret from one that has none": ({"client_secret": "guessed"}, UNAUTHORIZED),
    "an assertion from one that has none": ({"client_assertion": "a.b.c"}, UNAUTHORIZED),
    "no application": ({"client_id": None}, UNAUTHORIZED),
}


@pytest.mark.parametrize(("change", "expected"), CODES.values(), ids=CODES)
def test_a_wrong_exchange_is_refused(world, browser, ask, change, expected):
    request = world.exchange(**{"code": code_for(world, browser), **change})
    assert answer(ask(request)) == expected


def test_even_its_own_secret_is_not_taken_from_a_public_application(world, browser, ask):
    request = world.exchange(code_for(world, browser), client_secret=world.shop.client_secret)
    assert answer(ask(request)) == UNAUTHORIZED


def test_a_code_is_for_the_application_that_asked(make, browser, ask):
    world, other = make(), make()
    request = other.exchange(code_for(world, browser))
    assert answer(ask(request)) == WRONG_CODE


def test_a_wrong_exchange_uses_the_code_up(world, browser, ask):
    code = code_for(world, browser)
    assert answer(ask(world.exchange(code, code_verifier="w" * 43))) == WRONG_VERIFIER
    assert answer(ask(world.exchange(code))) == WRONG_CODE


def test_a_code_serves_once_and_the_second_time_ends_what_came_of_it(world, browser, ask):
    code = code_for(world, browser, scope="read:a offline_access")
    first = ask(world.exchange(code)).json()
    assert answer(ask(world.exchange(code))) == WRONG_CODE
    with pytest.raises(TokenRefused):
        world.tenant.refresh(world.shop, first["refresh_token"])


def test_a_verifier_that_nobody_announced_is_refused(make, browser, ask):
    world = make(kind="regular_web")
    code = code_for(world, browser, code_challenge=None, code_challenge_method=None)
    request = world.exchange(code, client_secret=world.shop.client_secret)
    assert answer(ask(request)) == WRONG_VERIFIER


@pytest.mark.parametrize(("passed", "status"), [(599, 200), (600, 403)])
def test_a_code_lives_ten_minutes(passed, status):
    time = [0.0]
    tenant = Tenant(clock=lambda: time[0])
    shop = tenant.create_application("Shop", kind="regular_web", callbacks=[CALLBACK])
    ann = tenant.create_user("ann@example.test")
    with httpx.Client(transport=tenant.transport(), base_url=tenant.issuer) as client:
        from .conftest import Browser

        query = {"response_type": "code", "client_id": shop.client_id, "redirect_uri": CALLBACK}
        code = Browser(client).log_in(ann.user_id, **query)["code"]
        time[0] += passed
        request = {
            "grant_type": "authorization_code",
            "client_id": shop.client_id,
            "client_secret": shop.client_secret,
            "code": code,
            "redirect_uri": CALLBACK,
        }
        assert client.post("oauth/token", data=request).status_code == status


def test_what_the_user_may_is_decided_when_the_code_is_redeemed(make, browser, ask):
    world = make(settings={"rbac": True, "permissions_in_token": True})
    code = code_for(world, browser)
    world.tenant.assign_permissions(world.ann, world.api, ["read:a"])
    assert ask(world.exchange(code)).json()["scope"] == "openid read:a"


def test_an_api_that_was_closed_meanwhile_gives_no_token(world, browser, ask):
    code = code_for(world, browser)
    world.tenant.update_api(world.api, user_access="deny_all")
    status, body = answer(ask(world.exchange(code)))
    assert (status, body["error"]) == (403, "unauthorized_client")


def test_a_code_of_an_application_that_never_had_the_grant(tenant, ask):
    machine = tenant.create_application("Machine")
    parameters = {
        "grant_type": "authorization_code",
        "client_id": machine.client_id,
        "client_secret": machine.client_secret,
        "code": "x",
    }
    status, body = answer(ask(parameters))
    assert (status, body["error"]) == (403, "unauthorized_client")
    assert body["error_description"] == "Grant type 'authorization_code' not allowed for the client."


def test_without_code_no_token_comes_in_process_either(tenant, world):
    with pytest.raises(TokenRefused) as fault:
        tenant.authorization_code(tenant.create_application("Machine"), world.api, world.ann)
    assert (fault.value.status, fault.value.error) == (403, "unauthorized_client")


# Passwords


@pytest.fixture
def trusted(make):
    return make(kind="regular_web", grant_types=["password", "refresh_token"])


def by_password(world, **change):
    parameters = {
        "grant_type": "password",
        "client_id": world.shop.client_id,
        "client_secret": world.shop.client_secret,
        "username": world.ann.email,
        "password": SECRET,
        "audience": world.api.identifier,
        "scope": "openid read:a offline_access",
        **change,
    }
    return {name: value for name, value in parameters.items() if value is not None}


WRONG_PASSWORD = refused(403, "invalid_grant", "Wrong email or password.")

PASSWORDS = {
    "no username": ({"username": None}, refused(400, "invalid_request", "Missing required parameter: username")),
    "no password": ({"password": None}, refused(400, "invalid_request", "Missing required parameter: password")),
    "an unknown user": ({"username": "nobody@example.test"}, WRONG_PASSWORD),
    "a wrong password": ({"password": "guessed"}, WRONG_PASSWORD),
    "a wrong password, not ASCII": ({"password": "пароль"}, WRONG_PASSWORD),
    "an unknown audience": (
        {"audience": "https://nowhere.test/"},
        refused(403, "access_denied", "Service not enabled within domain: https://nowhere.test/"),
    ),
    "a wrong secret": ({"client_secret": "guessed"}, UNAUTHORIZED),
    "an organization": (
        {"organization": "org_1"},
        refused(400, "invalid_request", "parameter organization is not allowed for this client"),
    ),
}


def test_a_password_is_answered_with_a_token(trusted, ask, judge):
    response = ask(by_password(trusted))
    assert response.status_code == 200
    body = response.json()
    assert list(body) == ["access_token", "refresh_token", "id_token", "scope", "expires_in", "token_type"]
    assert judge(body["access_token"], trusted.api)["gty"] == "password"
    told = trusted.tenant.password(trusted.shop, trusted.api, trusted.ann, "openid read:a offline_access")
    assert list(told.body) == list(body)


def test_a_script_of_another_origin_may_read_the_token(trusted, ask):
    assert ask(by_password(trusted)).headers["Access-Control-Allow-Origin"] == "*"


def test_the_address_may_be_written_in_any_case(trusted, ask):
    assert ask(by_password(trusted, username=trusted.ann.email.upper())).status_code == 200


def test_without_an_audience_a_password_gives_an_opaque_token(trusted, ask):
    body = ask(by_password(trusted, audience=None, scope=None)).json()
    assert (body["access_token"].count("."), "scope" in body) == (4, False)


@pytest.mark.parametrize(("change", "expected"), PASSWORDS.values(), ids=PASSWORDS)
def test_a_wrong_password_request_is_refused(trusted, ask, change, expected):
    assert answer(ask(by_password(trusted, **change))) == expected


def test_passwords_are_for_applications_that_were_given_them(make, ask):
    world = make(kind="regular_web")
    status, body = answer(ask(by_password(world)))
    assert (status, body["error_description"]) == (403, "Grant type 'password' not allowed for the client.")


# Refresh tokens


def refresh(world, token, **change):
    parameters = {
        "grant_type": "refresh_token",
        "client_id": world.shop.client_id,
        "client_secret": None if world.shop.is_public else world.shop.client_secret,
        "refresh_token": token,
        **change,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def logged_in(world, scope="openid read:a write:a offline_access"):
    return world.tenant.authorization_code(world.shop, world.api, world.ann, scope).refresh_token


@pytest.mark.parametrize(
    ("settings", "options", "scope", "given"),
    [
        ({}, {}, "read:a offline_access", True),
        ({}, {}, "read:a", False),
        ({"offline_access": False}, {}, "read:a offline_access", False),
        ({}, {"grant_types": ["authorization_code"]}, "read:a offline_access", False),
    ],
)
def test_a_refresh_token_is_given_where_all_three_want_it(make, settings, options, scope, given):
    assert (logged_in(make(settings=settings, **options), scope) is not None) is given


def test_without_rotation_a_refresh_token_serves_again_and_again(make, ask, judge):
    world = make(kind="regular_web")
    token = logged_in(world)
    for _ in range(3):
        status, body = answer(ask(refresh(world, token)))
        assert (status, "refresh_token" in body) == (200, False)
        claims = judge(body["access_token"], world.api)
        assert (claims["sub"], claims["scope"], claims["gty"]) == (
            world.ann.user_id,
            "openid read:a write:a offline_access",
            "refresh_token",
        )


def test_with_rotation_each_serves_once_and_brings_the_next(world, ask):
    tokens = [logged_in(world)]
    for _ in range(3):
        tokens.append(ask(refresh(world, tokens[-1])).json()["refresh_token"])
    assert len(set(tokens)) == 4


@pytest.mark.parametrize("stolen", [0, 1])
def test_a_rotated_token_that_comes_again_ends_the_whole_line(world, ask, stolen):
    tokens = [logged_in(world)]
    for _ in range(2):
        tokens.append(ask(refresh(world, tokens[-1])).json()["refresh_token"])
    other = logged_in(world)
    assert answer(ask(refresh(world, tokens[stolen]))) == WRONG_TOKEN
    assert [answer(ask(refresh(world, token))) for token in tokens] == [WRONG_TOKEN] * 3
    assert ask(refresh(world, other)).status_code == 200


def test_of_many_at_once_one_gets_the_next_token(world):
    token, threads = logged_in(world), 8
    start = Barrier(threads)

    def spend(_):
        start.wait()
        try:
            return world.tenant.refresh(world.shop, token).refresh_token
        except TokenRefused:
            return None

    with ThreadPoolExecutor(threads) as pool:
        won = [new for new in pool.map(spend, range(threads)) if new is not None]
    assert len(won) == 1


REFRESHES = {
    "no token": ({"refresh_token": None}, refused(400, "invalid_request", "Missing required parameter: refresh_token")),
    "another token": ({"refresh_token": "v1." + "x" * 64}, WRONG_TOKEN),
    "more than was granted": (
        {"scope": "read:a delete:a admin:a"},
        refused(400, "invalid_scope", "Not granted at the login: delete:a admin:a"),
    ),
}


@pytest.mark.parametrize(("change", "expected"), REFRESHES.values(), ids=REFRESHES)
def test_a_wrong_refresh_is_refused_and_uses_nothing_up(world, ask, change, expected):
    token = logged_in(world)
    assert answer(ask(refresh(world, token, **change))) == expected
    assert ask(refresh(world, token)).status_code == 200


def test_a_refresh_token_is_for_the_application_that_asked(make, ask):
    world, other = make(), make()
    assert answer(ask(refresh(other, logged_in(world)))) == WRONG_TOKEN


def test_fewer_scopes_can_be_asked_for_and_more_again_later(make, ask):
    world = make(kind="regular_web")
    token = logged_in(world)
    assert ask(refresh(world, token, scope="write:a")).json()["scope"] == "write:a"
    assert ask(refresh(world, token)).json()["scope"] == "openid read:a write:a offline_access"


def test_a_permission_that_was_taken_away_is_not_refreshed(make, ask):
    world = make(settings={"rbac": True, "permissions_in_token": True})
    world.tenant.assign_permissions(world.ann, world.api, ["read:a", "write:a"])
    token = logged_in(world)
    world.tenant.assign_permissions(world.ann, world.api, ["write:a"])
    assert ask(refresh(world, token)).json()["scope"] == "openid write:a offline_access"


def test_offline_access_that_was_switched_off_ends_refreshing(world, ask):
    token = logged_in(world)
    world.tenant.update_api(world.api, offline_access=False)
    assert answer(ask(refresh(world, token))) == WRONG_TOKEN


def test_a_member_who_left_the_organization_is_refreshed_no_more(make, ask, tenant, company):
    world = make(organization_usage="require")
    acme = company()
    tenant.add_member(acme, world.ann)
    token = tenant.authorization_code(
        world.shop, world.api, world.ann, "read:a offline_access", organization=acme
    ).refresh_token
    second = ask(refresh(world, token)).json()["refresh_token"]
    tenant.remove_member(acme, world.ann)
    status, body = answer(ask(refresh(world, second)))
    assert (status, body["error"]) == (403, "access_denied")


def test_a_form_does_as_well_as_json(world, browser):
    parameters = refresh(world, logged_in(world))
    form = "&".join(f"{name}={quote_plus(value)}" for name, value in parameters.items())
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert json.loads(browser.client.post("oauth/token", content=form, headers=headers).text)["refresh_token"]


@pytest.mark.parametrize(
    "grant_type",
    [
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "http://auth0.com/oauth/grant-type/password-realm",
        "implicit",
    ],
)
def test_a_grant_that_this_tenant_does_not_do_is_named(world, ask, grant_type):
    assert answer(ask({"grant_type": grant_type, "client_id": world.shop.client_id})) == refused(
        400, "unsupported_grant_type", f"Unsupported grant type: {grant_type}"
    )
