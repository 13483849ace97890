"""The tenant's keys: which are announced, when they change, and how they look."""

from __future__ import annotations

import base64
import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import jwt
import pytest
from cryptography import x509

from jwtgate.tenant import Rule, Tenant, TenantError


def kids(tenant):
    return [key["kid"] for key in tenant.jwks()["keys"]]


def test_current_and_next_key_are_announced(tenant):
    assert kids(tenant) == [tenant.keys.current.kid, tenant.keys.next.kid]
    assert tenant.keys.previous is None


def test_a_key_is_announced_as_a_real_tenant_does_it(tenant):
    for key in tenant.jwks()["keys"]:
        assert list(key) == ["kty", "use", "n", "e", "kid", "x5t", "x5c", "alg"]
        assert (key["kty"], key["use"], key["alg"], key["e"]) == ("RSA", "sig", "RS256", "AQAB")
        assert re.fullmatch(r"[A-Za-z0-9_-]{21}", key["kid"])
        assert jwt.PyJWK(key).key.key_size == 2048


def test_the_certificate_holds_the_key_and_is_what_the_thumbprint_names(tenant):
    for key in tenant.jwks()["keys"]:
        (encoded,) = key["x5c"]
        certificate = base64.b64decode(encoded, validate=True)
        parsed = x509.load_der_x509_certificate(certificate)
        assert parsed.public_key() == jwt.PyJWK(key).key
        assert base64.urlsafe_b64decode(key["x5t"] + "=") == hashlib.sha1(certificate).digest()
        assert "=" not in key["x5t"]
        assert parsed.subject.rfc4514_string() == "CN=tenant.example.test"
        parsed.verify_directly_issued_by(parsed)


def test_a_long_domain_still_gets_its_certificate():
    tenant = Tenant(f"https://{'a' * 70}.test")
    assert len(tenant.keys.current.jwk()["x5c"]) == 1


def test_private_keys_are_in_no_repr_and_no_document(tenant):
    assert "private" not in repr(tenant.keys.current)
    assert not {"d", "p", "q", "dp", "dq", "qi"} & {member for key in tenant.jwks()["keys"] for member in key}


def test_rotating_and_revoking_move_each_key_one_step():
    tenant = Tenant()
    first, second = tenant.keys.current, tenant.keys.next
    signed = tenant.sign({}, key="current")

    assert tenant.keys.rotate() is second
    assert (tenant.keys.current, tenant.keys.previous) == (second, first)
    third = tenant.keys.next
    assert third.kid not in (first.kid, second.kid)
    assert kids(tenant) == [second.kid, third.kid, first.kid]
    assert jwt.get_unverified_header(tenant.sign({}))["kid"] == second.kid
    assert jwt.get_unverified_header(tenant.sign({}, key="previous"))["kid"] == first.kid
    assert jwt.decode(signed, jwt.PyJWK(tenant.jwks()["keys"][2]), algorithms=["RS256"]) == {}

    assert tenant.keys.revoke() is first
    assert kids(tenant) == [second.kid, third.kid]
    assert tenant.keys.previous is None


def test_a_second_rotation_drops_the_key_that_was_previous():
    tenant = Tenant()
    first, second, third = tenant.keys.current, tenant.keys.rotate(), tenant.keys.rotate()
    assert tenant.keys.previous is second
    assert kids(tenant) == [third.kid, tenant.keys.next.kid, second.kid]
    assert first.kid not in kids(tenant)


def test_without_a_previous_key_there_is_nothing_to_revoke():
    with pytest.raises(TenantError) as refused:
        Tenant().keys.revoke()
    assert refused.value.rule is Rule.KEY_MISSING


def test_each_tenant_has_keys_of_its_own(tenant):
    assert not set(kids(tenant)) & set(kids(Tenant()))


def test_many_threads_that_come_first_see_the_same_keys():
    tenant, threads = Tenant(), 8
    start = Barrier(threads)

    def look(_: int) -> list[str]:
        start.wait()
        return kids(tenant)

    with ThreadPoolExecutor(threads) as pool:
        seen = list(pool.map(look, range(threads)))
    assert seen == [kids(tenant)] * threads
