"""/userinfo: which tokens it takes, what it tells, and what it says to the others."""

from __future__ import annotations

import base64
import json

import httpx
import pytest

from jwtgate.tenant import Tenant

IDENTIFIER = "https://api.example.com/"
HOUR = 3600


class World:
    def __init__(self):
        self.time = [1_800_000_000.0]
        self.tenant = Tenant("https://tenant.example.test/", clock=lambda: self.time[0])
        self.shop = self.tenant.create_application("Shop", kind="regular_web")
        self.ann = self.tenant.create_user("ann@example.com", name="Ann")

    def api(self, **settings):
        return self.tenant.register_api(IDENTIFIER, **settings)

    def token(self, scope, api=None):
        return self.tenant.authorization_code(self.shop, api, self.ann, scope).access_token

    def ask(self, token, *, method="GET", scheme="Bearer"):
        headers = {} if token is None else {"Authorization": f"{scheme} {token}"}
        with httpx.Client(transport=self.tenant.transport(), base_url=self.tenant.issuer) as client:
            return client.request(method, "userinfo", headers=headers)


@pytest.fixture
def world():
    return World()


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        (None, ["sub"]),
        ("openid", ["sub"]),
        ("openid profile", ["sub", "nickname", "name"]),
        ("openid email", ["sub", "email", "email_verified"]),
        ("openid profile email", ["sub", "nickname", "name", "email", "email_verified"]),
    ],
)
def test_it_tells_what_was_asked_for(world, scope, names):
    response = world.ask(world.token(scope))
    assert response.status_code == 200
    assert list(response.json()) == names
    possible = {
        "sub": world.ann.user_id,
        "nickname": "ann",
        "name": "Ann",
        "email": "ann@example.com",
        "email_verified": True,
    }
    assert response.json() == {name: possible[name] for name in names}
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "RS512"])
def test_a_token_for_an_api_and_userinfo_will_do(world, algorithm):
    token = world.token("openid email", world.api(signing_algorithm=algorithm))
    assert world.ask(token).json()["email"] == "ann@example.com"
    assert world.ask(token, method="POST", scheme="bearer").status_code == 200


def test_a_token_of_the_previous_key_will_do_until_it_is_revoked(world):
    token = world.token("openid", world.api())
    world.tenant.keys.rotate()
    assert world.ask(token).status_code == 200
    world.tenant.keys.revoke()
    assert world.ask(token).status_code == 401


@pytest.mark.parametrize(("passed", "status"), [(24 * HOUR - 1, 200), (24 * HOUR, 401)])
@pytest.mark.parametrize("opaque", [True, False])
def test_a_token_serves_until_it_expires(world, opaque, passed, status):
    token = world.token("openid", None if opaque else world.api())
    world.time[0] += passed
    assert world.ask(token).status_code == status


def altered(token):
    """The same token with one bit of its tag turned over."""
    head, _, tag = token.rpartition(".")
    content = bytearray(base64.urlsafe_b64decode(tag + "=="))
    content[0] ^= 1
    return f"{head}.{base64.urlsafe_b64encode(content).rstrip(b'=').decode()}"


def with_other_header(token):
    _, _, rest = token.partition(".")
    header = {"alg": "dir", "enc": "A256GCM", "iss": "https://evil.example.test/"}
    return base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode() + "." + rest


def of_a_stranger(scope):
    stranger = World()
    return stranger.token(scope, stranger.api())


def signed(world, **change):
    """A token that this tenant signed and could have issued, but for this."""
    claims = {
        "iss": world.tenant.issuer,
        "sub": world.ann.user_id,
        "aud": f"{world.tenant.issuer}userinfo",
        "exp": 2**31,
        "scope": "openid",
        **change,
    }
    return world.tenant.sign({name: value for name, value in claims.items() if value is not None})


STRANGE = {
    "none": lambda w: None,
    "empty": lambda w: "",
    "no token at all": lambda w: "abc",
    "five empty segments": lambda w: "....",
    "five segments of garbage": lambda w: "a..b.c.d",
    "opaque, altered": lambda w: altered(w.token("openid")),
    "opaque, under another header": lambda w: with_other_header(w.token("openid")),
    "opaque, of another tenant": lambda w: World().token("openid"),
    "of another tenant with the same name": lambda w: of_a_stranger("openid"),
    "for an API alone": lambda w: w.token("email", w.api()),
    "signed with a shared secret": lambda w: w.token("openid", w.api(signing_algorithm="HS256")),
    "an ID token": lambda w: w.tenant.authorization_code(w.shop, None, w.ann, "openid").id_token,
    "an algorithm of HMAC with our own kid": lambda w: w.tenant.sign(
        {}, algorithm="HS256", secret="s" * 32, header={"kid": w.tenant.keys.current.kid}
    ),
    "alg none": lambda w: w.tenant.sign({}, header={"alg": "none"}),
    "another issuer": lambda w: signed(w, iss="https://evil.example.test/"),
    "no expiry": lambda w: signed(w, exp=None),
    "no algorithm": lambda w: w.tenant.sign({}, header={"alg": None}),
    "an expiry that is no date": lambda w: signed(w, exp="soon"),
    "a scope that is a list": lambda w: signed(w, scope=["openid"]),
    "a subject that is a list": lambda w: signed(w, sub=[w.ann.user_id]),
    "nobody here": lambda w: signed(w, sub="auth0|nobody"),
}


def test_a_token_that_was_signed_by_hand_and_could_have_been_issued_will_do(world):
    assert world.ask(signed(world)).json() == {"sub": world.ann.user_id}


@pytest.mark.parametrize("token", STRANGE.values(), ids=STRANGE)
def test_every_other_token_is_refused_in_one_way(token):
    world = World()
    response = world.ask(token(world))
    assert (response.status_code, response.json()) == (
        401,
        {"error": "invalid_token", "error_description": "The access token is not one for /userinfo"},
    )
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_another_scheme_is_refused(world):
    assert world.ask(world.token("openid"), scheme="Basic").status_code == 401
