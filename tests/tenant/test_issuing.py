"""The tokens: which claims, in which profile and dialect, signed by whom. PyJWT is the judge."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re

import jwt
import pytest

from jwtgate.tenant import Rule, Tenant, TenantError

AUTHZ = {"rbac": True, "permissions_in_token": True}


@pytest.fixture
def machine(tenant, register):
    """An API with these settings, and an application that was granted some of its permissions."""

    def made(granted=("read:a", "write:a"), **settings):
        api = register(permissions=["read:a", "write:a", "delete:a"], **settings)
        application = tenant.create_application("Reports")
        tenant.authorize(application, api, permissions=granted)
        return api, application

    return made


def header_of(token):
    return list(jwt.get_unverified_header(token).items())


def payload_of(token):
    encoded = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "RS512", "HS256"])
@pytest.mark.parametrize(
    ("settings", "granted", "order"),
    [
        ({}, ["read:a", "write:a"], "iss sub aud iat exp azp scope gty"),
        ({}, [], "iss sub aud iat exp azp gty"),
        ({"rbac": True}, ["read:a"], "iss sub aud iat exp azp scope gty"),
        (AUTHZ, ["read:a", "write:a"], "iss sub aud iat exp azp scope gty permissions"),
        (AUTHZ, [], "iss sub aud iat exp azp gty permissions"),
        ({"profile": "rfc9068"}, ["read:a"], "iss sub aud iat exp scope jti client_id"),
        ({"profile": "rfc9068"}, [], "iss sub aud iat exp jti client_id"),
        ({"profile": "rfc9068", **AUTHZ}, ["read:a"], "iss sub aud iat exp scope jti client_id permissions"),
        ({"profile": "rfc9068", **AUTHZ}, [], "iss sub aud iat exp jti client_id permissions"),
    ],
)
def test_a_machines_token_has_the_claims_of_its_profile_and_dialect(
    tenant, machine, judge, now, algorithm, settings, granted, order
):
    api, application = machine(granted, signing_algorithm=algorithm, token_lifetime=600, **settings)
    response = tenant.client_credentials(application, api)

    claims = judge(response.access_token, api)
    assert list(claims) == order.split()
    if "jti" in claims:
        assert re.fullmatch(r"[A-Za-z0-9]{22}", claims.pop("jti"))
    possible = {
        "iss": tenant.issuer,
        "sub": f"{application.client_id}@clients",
        "aud": api.identifier,
        "iat": now,
        "exp": now + 600,
        "azp": application.client_id,
        "client_id": application.client_id,
        "scope": " ".join(granted),
        "gty": "client-credentials",
        "permissions": granted,
    }
    assert claims == {name: possible[name] for name in claims}
    assert type(claims["iat"]) is type(claims["exp"]) is int


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "RS512"])
@pytest.mark.parametrize(("profile", "typ"), [("auth0", "JWT"), ("rfc9068", "at+jwt")])
def test_the_header_names_algorithm_type_and_current_key(tenant, machine, algorithm, profile, typ):
    api, application = machine(signing_algorithm=algorithm, profile=profile)
    token = tenant.client_credentials(application, api).access_token
    assert header_of(token) == [("alg", algorithm), ("typ", typ), ("kid", tenant.keys.current.kid)]


@pytest.mark.parametrize(("profile", "typ"), [("auth0", "JWT"), ("rfc9068", "at+jwt")])
def test_an_hs256_token_is_signed_with_its_apis_own_secret_and_names_no_key(tenant, machine, profile, typ):
    api, application = machine(signing_algorithm="HS256", profile=profile)
    other, _ = machine(signing_algorithm="HS256")
    token = tenant.client_credentials(application, api).access_token
    assert header_of(token) == [("alg", "HS256"), ("typ", typ)]
    for secret in (other.signing_secret, application.client_secret):
        with pytest.raises(jwt.InvalidSignatureError):
            jwt.decode(token, secret, algorithms=["HS256"])


def test_every_rfc9068_token_has_another_jti(tenant, machine):
    api, application = machine(profile="rfc9068")
    tokens = [tenant.client_credentials(application, api).access_token for _ in range(3)]
    assert len({payload_of(token)["jti"] for token in tokens}) == 3


def test_the_signing_secret_is_text_and_its_utf8_bytes_sign(tenant, machine):
    api, application = machine(signing_algorithm="HS256", signing_secret="пароль-пароль-пароль")
    token = tenant.client_credentials(application, api).access_token
    message, _, signature = token.rpartition(".")
    expected = hmac.digest("пароль-пароль-пароль".encode(), message.encode(), hashlib.sha256)
    assert base64.urlsafe_b64decode(signature + "=") == expected


def test_the_claims_can_be_had_unsigned(tenant, machine, judge):
    api, application = machine()
    signed = judge(tenant.client_credentials(application, api).access_token, api)
    assert tenant.claims(application, api) == signed


def test_a_response_does_not_show_its_token(tenant, machine):
    api, application = machine()
    response = tenant.client_credentials(application, api)
    assert response.access_token not in repr(response)
    assert (response.scope, response.expires_in, response.token_type) == ("read:a write:a", 86400, "Bearer")


# Signing whatever is given


def test_sign_adds_nothing_to_the_claims(tenant):
    assert payload_of(tenant.sign({})) == {}
    assert payload_of(tenant.sign({"exp": "soon", "é": None})) == {"exp": "soon", "é": None}


def test_sign_takes_bytes_as_they_are(tenant):
    token = tenant.sign(b'{"sub": "a", "sub": "b"}')
    assert jwt.PyJWS().decode(token, tenant.keys.current.public_pem(), algorithms=["RS256"]) == (
        b'{"sub": "a", "sub": "b"}'
    )


def test_sign_follows_the_api(tenant, machine, judge):
    api, application = machine(signing_algorithm="PS256", profile="rfc9068")
    token = tenant.sign({**tenant.claims(application, api), "extra": 1}, api=api)
    assert judge(token, api)["extra"] == 1
    assert header_of(token)[1] == ("typ", "at+jwt")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, ["alg", "typ", "kid"]),
        ({"kid": None}, ["alg", "typ"]),
        ({"typ": None, "cty": "JWT"}, ["alg", "kid", "cty"]),
        ({"alg": None, "typ": None, "kid": None}, []),
    ],
)
def test_a_header_override_of_none_takes_a_member_away(tenant, header, expected):
    encoded = tenant.sign({}, header=header).split(".")[0]
    assert list(json.loads(base64.urlsafe_b64decode(encoded + "=="))) == expected


def test_a_header_override_says_another_algorithm_than_the_one_that_signed(tenant):
    token = tenant.sign({}, header={"alg": "none", "kid": "another"})
    assert header_of(token) == [("alg", "none"), ("typ", "JWT"), ("kid", "another")]
    message, _, signature = token.rpartition(".")
    key = tenant.keys.current.private_key.public_key()
    algorithm = jwt.get_algorithm_by_name("RS256")
    assert algorithm.verify(message.encode(), key, base64.urlsafe_b64decode(signature + "=="))


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
@pytest.mark.parametrize("role", ["current", "next"])
def test_each_rsa_algorithm_and_key_signs_what_pyjwt_accepts(tenant, algorithm, role):
    token = tenant.sign({"sub": "a"}, algorithm=algorithm, key=role)
    key = tenant.keys.key(role)
    assert header_of(token) == [("alg", algorithm), ("typ", "JWT"), ("kid", key.kid)]
    assert jwt.decode(token, key.public_pem(), algorithms=[algorithm]) == {"sub": "a"}


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_each_hmac_algorithm_signs_what_pyjwt_accepts(tenant, algorithm):
    secret = b"s" * 64
    token = tenant.sign({"sub": "a"}, algorithm=algorithm, secret=secret)
    assert jwt.decode(token, secret, algorithms=[algorithm]) == {"sub": "a"}


def test_a_public_key_can_be_misused_as_a_secret(tenant):
    pem = tenant.keys.current.public_pem()
    token = tenant.sign({}, algorithm="HS256", secret=pem)
    message, _, signature = token.rpartition(".")
    expected = hmac.digest(pem.encode(), message.encode(), hashlib.sha256)
    assert base64.urlsafe_b64decode(signature + "=") == expected


def test_an_hs256_api_can_be_signed_for_with_a_wrong_secret(tenant, machine):
    api, _ = machine(signing_algorithm="HS256")
    token = tenant.sign({"sub": "a"}, api=api, secret="w" * 32)
    assert jwt.decode(token, "w" * 32, algorithms=["HS256"]) == {"sub": "a"}


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"algorithm": "none"}, Rule.SIGNING_ALGORITHM),
        ({"algorithm": "ES256"}, Rule.SIGNING_ALGORITHM),
        ({"algorithm": "HS256"}, Rule.SIGNING_SECRET_MISSING),
        ({"key": "first"}, Rule.KEY_UNKNOWN),
        ({"key": "previous"}, Rule.KEY_MISSING),
    ],
)
def test_what_is_not_there_cannot_sign(options, rule):
    with pytest.raises(TenantError) as refused:
        Tenant().sign({}, **options)
    assert refused.value.rule is rule


def test_an_rsa_api_has_no_secret_to_lend(machine, tenant):
    api, _ = machine()
    with pytest.raises(TenantError) as refused:
        tenant.sign({}, api=api, algorithm="HS256")
    assert refused.value.rule is Rule.SIGNING_SECRET_MISSING
