"""/authorize, as a browser meets it: the page, the way back, and what never leaves the page."""

from __future__ import annotations

import base64
import hashlib

import httpx
import jwt
import pytest

from jwtgate.tenant import Tenant

from .conftest import Form, came_back

# All tests share the tenant: what others registered is open to the applications that these create.
pytestmark = pytest.mark.filterwarnings("ignore::jwtgate.tenant.OpenPermissionsWarning")

CALLBACK = "https://shop.example.test/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


class World:
    """An API, a single-page application that sends users to the tenant, and somebody who can log in."""

    def __init__(self, tenant, register, somebody, *, kind="single_page", settings=None, **options):
        self.tenant = tenant
        self.api = register(
            name="Messages",
            permissions={"read:a": "Read all", "write:a": ""},
            user_access="require_client_grant",
            **(settings or {}),
        )
        self.shop = tenant.create_application("Shop", kind=kind, callbacks=[CALLBACK], **options)
        tenant.authorize(self.shop, self.api, ["read:a", "write:a"], subject_type="user")
        self.ann = somebody(name="Ann")

    def query(self, **change):
        parameters = {
            "response_type": "code",
            "client_id": self.shop.client_id,
            "redirect_uri": CALLBACK,
            "audience": self.api.identifier,
            "scope": "openid read:a",
            "state": "s t&a=te",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **change,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    def exchange(self, code, **change):
        """What the application sends to the token endpoint."""
        parameters = {
            "grant_type": "authorization_code",
            "client_id": self.shop.client_id,
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
            **change,
        }
        return {name: value for name, value in parameters.items() if value is not None}


@pytest.fixture
def world(tenant, register, somebody):
    return World(tenant, register, somebody)


@pytest.fixture
def make(tenant, register, somebody):
    return lambda **options: World(tenant, register, somebody, **options)


# The way there and back


def test_a_user_logs_in_agrees_and_the_application_gets_a_token(world, browser, judge):
    page = browser.visit(**world.query(nonce="n-0S6"))
    assert page.status_code == 200
    answer = browser.submit(page, user=world.ann.user_id, action="accept")
    assert answer.status_code == 303
    back = came_back(answer, f"{CALLBACK}?")
    assert back.keys() == {"code", "state"}
    assert back["state"] == "s t&a=te"

    response = browser.client.post("oauth/token", data=world.exchange(back["code"]))
    assert response.status_code == 200
    assert list(response.json()) == ["access_token", "id_token", "scope", "expires_in", "token_type"]
    claims = judge(response.json()["access_token"], world.api)
    assert (claims["sub"], claims["scope"], claims["azp"]) == (
        world.ann.user_id,
        "openid read:a",
        world.shop.client_id,
    )
    told = jwt.decode(response.json()["id_token"], options={"verify_signature": False})
    assert (told["nonce"], told["aud"]) == ("n-0S6", world.shop.client_id)


def test_the_token_without_a_page_is_the_same(world, browser, judge):
    code = browser.log_in(world.ann.user_id, **world.query())["code"]
    asked = browser.client.post("oauth/token", json=world.exchange(code)).json()
    told = world.tenant.authorization_code(world.shop, world.api, world.ann, "openid read:a").body
    assert list(asked) == list(told)
    assert judge(asked["access_token"], world.api) == judge(told["access_token"], world.api)
    assert world.tenant.claims(world.shop, world.api, "openid read:a", user=world.ann) == judge(
        told["access_token"], world.api
    )


def test_without_a_state_none_comes_back(world, browser):
    assert browser.log_in(world.ann.user_id, **world.query(state=None)).keys() == {"code"}


@pytest.mark.parametrize(
    ("callback", "begins"),
    [
        ("https://shop.example.test/?from=tenant", "https://shop.example.test/?from=tenant&code="),
        ("http://[::1]:3000/", "http://[::1]:3000/?code="),
        ("com.example.shop:/callback", "com.example.shop:/callback?code="),
        ("https://shop.example.test/%7Euser/%E2%82%AC", "https://shop.example.test/%7Euser/%E2%82%AC?code="),
    ],
)
def test_the_callback_is_used_as_it_is(world, browser, callback, begins):
    shop = world.tenant.create_application("Shop", kind="native", callbacks=[callback])
    world.tenant.authorize(shop, world.api, subject_type="user")
    page = browser.visit(**world.query(client_id=shop.client_id, redirect_uri=callback))
    answer = browser.submit(page, user=world.ann.user_id, action="accept")
    assert answer.headers["Location"].startswith(begins)


def test_a_regular_web_application_needs_no_pkce_but_its_secret(make, browser):
    world = make(kind="regular_web")
    code = browser.log_in(world.ann.user_id, **world.query(code_challenge=None, code_challenge_method=None))["code"]
    request = world.exchange(code, code_verifier=None)
    assert browser.client.post("oauth/token", data=request).status_code == 401
    request["client_secret"] = world.shop.client_secret
    assert browser.client.post("oauth/token", data=request).status_code == 200


# The page


def test_the_page_shows_who_can_log_in_and_what_is_asked_for(world, browser):
    page = browser.visit(**world.query(scope="openid read:a write:a unknown:a offline_access"))
    form = Form(page.text)
    assert form.users == [user.user_id for user in world.tenant.users]
    assert form.chosen == [world.tenant.users[0].user_id]
    assert form.buttons == ["accept", "deny"]
    for shown in ("Shop", "Messages", "Ann", "openid", "read:a", "Read all", "write:a"):
        assert shown in form.text
    for never in ("unknown:a", "offline_access"):
        assert never not in form.text


def test_the_page_asks_for_what_the_application_could_get(make, browser):
    world = make(settings={"offline_access": True})
    world.tenant.authorize(world.shop, world.api, ["write:a"], subject_type="user")
    text = Form(browser.visit(**world.query(scope="read:a write:a offline_access")).text).text
    assert [name in text for name in ("read:a", "write:a", "offline_access")] == [False, True, True]


@pytest.mark.parametrize("hint", [lambda user: user.email, lambda user: user.user_id])
def test_a_hint_chooses_a_user(world, browser, hint):
    form = Form(browser.visit(**world.query(login_hint=hint(world.ann))).text)
    assert form.chosen == [world.ann.user_id]


def test_a_hint_at_nobody_chooses_nobody(world, browser):
    assert Form(browser.visit(**world.query(login_hint="nobody@example.test")).text).chosen == []


CONSENT = [
    # the API's skip_consent; `prompt`; audience or not; asked?
    (False, None, True, True),
    (True, None, True, False),
    (True, "consent", True, True),
    (True, "login consent", True, True),
    (True, "login", True, False),
    (False, None, False, False),
    (False, "consent", False, True),
]


@pytest.mark.parametrize(("skip", "prompt", "with_api", "asked"), CONSENT)
def test_consent_is_asked_for_unless_it_is_skipped(make, browser, skip, prompt, with_api, asked):
    world = make(settings={"skip_consent": skip})
    audience = world.api.identifier if with_api else None
    page = browser.visit(**world.query(scope="openid email", prompt=prompt, audience=audience))
    assert ("email" in Form(page.text).text.replace("@example.test", "")) is asked
    assert browser.submit(page, user=world.ann.user_id, action="accept").status_code == 303


def test_an_api_without_a_name_is_shown_by_its_identifier(tenant, register, browser, world):
    api = register(permissions=["read:a"], rbac=True)
    assert api.identifier in Form(browser.visit(**world.query(audience=api.identifier)).text).text


def test_names_are_text_and_not_markup(browser, tenant, make, identifiers):
    world = make()
    shop = tenant.create_application("\"Shop\" & 'Co'", kind="single_page", callbacks=[CALLBACK])
    api = tenant.register_api(
        f"<script>alert(1)</script>{next(identifiers)}",
        permissions={"read:<b>": "<img src=x onerror=alert(1)>"},
        rbac=True,
    )
    query = world.query(client_id=shop.client_id, audience=api.identifier, scope="read:<b>")
    page = browser.visit(**query)
    form = Form(page.text)
    assert not {"script", "img", "b"} & form.tags
    for shown in ("\"Shop\" & 'Co'", "<script>alert(1)</script>", "read:<b>", "<img src=x onerror=alert(1)>"):
        assert shown in form.text
    assert browser.submit(page, user=world.ann.user_id, action="accept").status_code == 303


def test_the_page_runs_no_script_stands_in_no_frame_and_is_not_kept(world, browser):
    for page in (browser.visit(**world.query()), browser.visit()):
        policy = page.headers["Content-Security-Policy"]
        nonce = policy.partition("'nonce-")[2].partition("'")[0]
        assert policy == (f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'")
        assert f'<style nonce="{nonce}">' in page.text
        assert "&#" not in page.text.partition("<style")[2].partition("</style")[0]
        assert (page.headers["X-Frame-Options"], page.headers["Cache-Control"]) == ("DENY", "no-store")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.headers["Referrer-Policy"] == "no-referrer"


def test_a_tenant_without_users_says_so():
    tenant = Tenant()
    shop = tenant.create_application("Shop", kind="regular_web", callbacks=[CALLBACK])
    query = {"response_type": "code", "client_id": shop.client_id, "redirect_uri": CALLBACK}
    with httpx.Client(transport=tenant.transport(), base_url=tenant.issuer) as client:
        form = Form(client.get("authorize", params=query).text)
    assert (form.users, form.buttons) == ([], ["deny"])


def test_only_members_can_log_in_to_an_organization(tenant, make, browser, somebody, company):
    world = make(organization_usage="require")
    acme = company(display_name="Acme Inc.")
    tenant.add_member(acme, world.ann)
    page = browser.visit(**world.query(organization=acme.id))
    form = Form(page.text)
    assert (form.users, "Acme Inc." in form.text) == ([world.ann.user_id], True)
    back = came_back(browser.submit(page, user=somebody().user_id, action="accept"), f"{CALLBACK}?")
    assert (back["error"], "is not part of" in back["error_description"]) == ("access_denied", True)
    code = browser.log_in(world.ann.user_id, **world.query(organization=acme.id))["code"]
    token = browser.client.post("oauth/token", data=world.exchange(code)).json()["access_token"]
    assert jwt.decode(token, options={"verify_signature": False})["org_id"] == acme.id


def test_an_organization_without_members_says_so(make, browser, company):
    world = make(organization_usage="allow")
    assert Form(browser.visit(**world.query(organization=company().id)).text).users == []


# What the application is told


def told(error, description):
    return {"error": error, "error_description": description, "state": "s t&a=te"}


REFUSALS = {
    "no response_type": (
        {"response_type": None},
        told("invalid_request", "Missing required parameter: response_type"),
    ),
    "an unknown response_type": (
        {"response_type": "id_token"},
        told("unsupported_response_type", "Unsupported response type: id_token"),
    ),
    "a hybrid response_type": (
        {"response_type": "code token"},
        told("unsupported_response_type", "Unsupported response type: code token"),
    ),
    "a request object": (
        {"request": "e30.e30."},
        told("request_not_supported", "Parameter request is not supported"),
    ),
    "a request object elsewhere": (
        {"request_uri": "urn:x"},
        told("request_uri_not_supported", "Parameter request_uri is not supported"),
    ),
    "another response_mode": (
        {"response_mode": "form_post"},
        told("invalid_request", "response_mode must be query for response_type code"),
    ),
    "no PKCE": (
        {"code_challenge": None, "code_challenge_method": None},
        told("invalid_request", "Missing required parameter: code_challenge"),
    ),
    "plain PKCE": (
        {"code_challenge_method": "plain"},
        told("invalid_request", "code_challenge_method must be S256"),
    ),
    "plain PKCE, by leaving the method out": (
        {"code_challenge_method": None},
        told("invalid_request", "code_challenge_method must be S256"),
    ),
    "a challenge that is no SHA-256": (
        {"code_challenge": CHALLENGE + "="},
        told("invalid_request", "code_challenge must be the base64url of a SHA-256, 43 characters"),
    ),
    "nobody to be asked": ({"prompt": "none"}, told("login_required", "Login required")),
    "an unknown audience": (
        {"audience": "https://nowhere.example.test/"},
        told("access_denied", "Service not found: https://nowhere.example.test/"),
    ),
    "an organization": (
        {"organization": "org_1"},
        told("invalid_request", "parameter organization is not allowed for this client"),
    ),
}


@pytest.mark.parametrize(("change", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_goes_back_to_the_application(world, browser, change, expected):
    answer = browser.visit(**world.query(**change))
    assert (answer.status_code, came_back(answer, f"{CALLBACK}?")) == (302, expected)


def test_the_slash_makes_another_audience(world, browser):
    audience = world.api.identifier.removesuffix("/")
    back = came_back(browser.visit(**world.query(audience=audience)), CALLBACK)
    assert back["error_description"] == f"Service not found: {audience}"


def test_a_grant_that_the_application_was_not_given(make, browser):
    world = make(kind="machine_to_machine")
    back = came_back(browser.visit(**world.query()), f"{CALLBACK}?")
    assert back == {
        "error": "unauthorized_client",
        "error_description": "Grant type 'authorization_code' not allowed for the client.",
        "error_uri": "https://auth0.com/docs/clients/client-grant-types",
        "state": "s t&a=te",
    }


def test_an_api_that_is_closed_to_the_applications_users(world, browser):
    world.tenant.withdraw(world.shop, world.api, subject_type="user")
    assert came_back(browser.visit(**world.query()), f"{CALLBACK}?") == told(
        "unauthorized_client",
        f'Client "{world.shop.client_id}" is not authorized to access resource server "{world.api.identifier}".',
    )


def test_a_user_who_declines(world, browser):
    for fields in ({"action": "deny"}, {"action": "deny", "user": world.ann.user_id}, {"user": world.ann.user_id}):
        answer = browser.submit(browser.visit(**world.query()), **fields)
        assert came_back(answer, f"{CALLBACK}?") == told("access_denied", "User did not authorize the request")


@pytest.mark.parametrize("user", [{}, {"user": "auth0|nobody"}])
def test_nobody_who_is_known_agrees(world, browser, user):
    answer = browser.submit(browser.visit(**world.query()), action="accept", **user)
    assert came_back(answer, f"{CALLBACK}?") == told("invalid_request", "Missing required parameter: user")


# What stays on the page, since nobody knows where the application is


STAYS = {
    "no application": ({"client_id": None}, 400, "Missing required parameter: client_id"),
    "an unknown application": ({"client_id": "nobody"}, 400, "Unknown client: nobody"),
    "no callback": ({"redirect_uri": None}, 400, "Missing required parameter: redirect_uri"),
    "another callback": ({"redirect_uri": "https://evil.example.test/"}, 403, "Callback URL mismatch."),
    "a callback with a slash more": ({"redirect_uri": CALLBACK + "/"}, 403, "Callback URL mismatch."),
    "a callback with a query": ({"redirect_uri": CALLBACK + "?a=b"}, 403, "Callback URL mismatch."),
    "a callback below": ({"redirect_uri": CALLBACK + "/../other"}, 403, "Callback URL mismatch."),
    "a callback in another case": ({"redirect_uri": CALLBACK.upper()}, 403, "Callback URL mismatch."),
}


@pytest.mark.parametrize(("change", "status", "description"), STAYS.values(), ids=STAYS)
def test_without_a_known_callback_nobody_is_sent_anywhere(world, browser, change, status, description):
    answer = browser.visit(**world.query(**change))
    assert (answer.status_code, "Location" in answer.headers) == (status, False)
    assert description in Form(answer.text).text


@pytest.mark.parametrize("query", ["client_id=a&client_id=b", "client_id=%ff", "&".join(f"p{n}=1" for n in range(101))])
def test_a_malformed_query_stays_on_the_page(browser, query):
    answer = browser.client.get("authorize?" + query)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "text/html; charset=utf-8")


def test_what_the_query_says_is_text_on_the_page(browser):
    answer = browser.visit(client_id="<script>alert(1)</script>", redirect_uri="x")
    assert "script" not in Form(answer.text).tags
    assert "<script>alert(1)</script>" in Form(answer.text).text


# One login, one browser, one use


def is_over(answer):
    assert (answer.status_code, "Location" in answer.headers) == (400, False)
    return "This login is over" in answer.text


def test_a_login_ends_once(world, browser):
    page = browser.visit(**world.query())
    assert browser.submit(page, user=world.ann.user_id, action="accept").status_code == 303
    assert is_over(browser.submit(page, user=world.ann.user_id, action="accept"))


def test_two_logins_in_one_browser_do_not_disturb_each_other(world, browser):
    pages = [browser.visit(**world.query(state=state)) for state in ("first", "second")]
    answers = [browser.submit(page, user=world.ann.user_id, action="accept") for page in pages]
    assert [came_back(answer, CALLBACK)["state"] for answer in answers] == ["first", "second"]


@pytest.mark.parametrize("cookie", [None, "", "guessed"])
def test_a_login_that_another_browser_began_does_not_end_here(world, browser, cookie):
    page = browser.visit(**world.query())
    own = dict(browser.client.cookies)
    browser.client.cookies.clear()
    headers = {} if cookie is None else {"Cookie": f"{next(iter(own))}={cookie}"}
    form = Form(page.text)
    fields = {**form.hidden, "user": world.ann.user_id, "action": "accept"}
    assert is_over(browser.client.post(form.action, data=fields, headers=headers))
    # And the one in which it began is not hindered.
    browser.client.cookies.update(own)
    assert browser.client.post(form.action, data=fields).status_code == 303


def test_a_form_that_no_page_made_ends_nothing(browser, world):
    browser.visit(**world.query())
    for fields in ({}, {"login": "x", "user": world.ann.user_id, "action": "accept"}):
        assert is_over(browser.client.post("u/login", data=fields))


def test_the_cookie_is_closed_to_scripts_and_to_other_sites(world, browser):
    cookie = browser.visit(**world.query()).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


@pytest.mark.parametrize("passed", [599, 600])
def test_a_login_waits_ten_minutes(passed):
    time = [0.0]
    tenant = Tenant(clock=lambda: time[0])
    shop = tenant.create_application("Shop", kind="regular_web", callbacks=[CALLBACK])
    ann = tenant.create_user("ann@example.test")
    query = {"response_type": "code", "client_id": shop.client_id, "redirect_uri": CALLBACK}
    with httpx.Client(transport=tenant.transport(), base_url=tenant.issuer) as client:
        form = Form(client.get("authorize", params=query).text)
        time[0] += passed
        fields = {**form.hidden, "user": ann.user_id, "action": "accept"}
        assert client.post(form.action, data=fields).status_code == (303 if passed < 600 else 400)


# The implicit flow, where an application was given it


@pytest.fixture
def implicit(make):
    return make(
        grant_types=["implicit"],
        settings={"token_lifetime": 600, "web_token_lifetime": 60, "offline_access": True},
    )


def test_an_implicit_token_comes_in_the_fragment_and_lives_shorter(implicit, browser, judge):
    query = implicit.query(response_type="token", scope="openid read:a offline_access")
    answer = browser.submit(browser.visit(**query), user=implicit.ann.user_id, action="accept")
    back = came_back(answer, f"{CALLBACK}#")
    token = back.pop("access_token")
    assert back == {
        "scope": "openid read:a offline_access",
        "expires_in": "60",
        "token_type": "Bearer",
        "state": "s t&a=te",
    }
    claims = judge(token, implicit.api)
    assert (claims["exp"] - claims["iat"], claims["sub"], "gty" in claims) == (60, implicit.ann.user_id, False)


def test_an_implicit_token_without_an_audience_is_opaque(implicit, browser):
    back = browser.log_in(implicit.ann.user_id, **implicit.query(response_type="token", audience=None))
    assert (back["access_token"].count("."), back["expires_in"]) == (4, "7200")


def test_an_implicit_refusal_comes_in_the_fragment(implicit, browser, world):
    query = implicit.query(response_type="token", audience="nowhere")
    assert came_back(browser.visit(**query), f"{CALLBACK}#") == told("access_denied", "Service not found: nowhere")
    query = implicit.query(response_type="token", response_mode="query")
    assert came_back(browser.visit(**query), f"{CALLBACK}#")["error"] == "invalid_request"
    answer = browser.visit(**world.query(response_type="token"))
    assert came_back(answer, f"{CALLBACK}#")["error_description"] == (
        "Grant type 'implicit' not allowed for the client."
    )


def test_who_is_no_member_gets_no_implicit_token(make, browser, company):
    world = make(grant_types=["implicit"], organization_usage="allow")
    page = browser.visit(**world.query(response_type="token", organization=company().id))
    answer = browser.submit(page, user=world.ann.user_id, action="accept")
    assert came_back(answer, f"{CALLBACK}#")["error"] == "access_denied"
