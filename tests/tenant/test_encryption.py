"""Encrypted tokens: what the registered key may be, what it makes of a token, and what another key changes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from jwtgate import ApiSettings, DecryptionKey, InvalidToken, Verifier
from jwtgate.tenant import Api, Rule, Tenant, TenantError, TokenEncryption
from jwtgate.testing import Holder
from tests.tenant.conftest import ISSUER, NOW

ALGORITHMS = {"RSA-OAEP-256": hashes.SHA256(), "RSA-OAEP-384": hashes.SHA384(), "RSA-OAEP-512": hashes.SHA512()}
IDENTIFIER = "https://api.example.test/"

# RFC 7638 section 3.1: a key and its thumbprint.
N = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhM"
    "stn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5"
    "hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)
THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


class Clock:
    def wall(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2_048)


@pytest.fixture(scope="module")
def another_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2_048)


def pem_of(key: Any) -> str:
    public = key if hasattr(key, "public_bytes") else key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem_of(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def encrypted(pem: str, **key: Any) -> dict[str, Any]:
    return {"format": "compact-nested-jwe", "encryption_key": {"alg": "RSA-OAEP-256", "pem": pem, **key}}


def octets(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def opened(token: str, key: rsa.RSAPrivateKey) -> tuple[dict[str, Any], str]:
    """Header and content, by the letter of RFC 7516 section 5.2."""
    protected, *rest = token.split(".")
    wrapped, nonce, text, tag = map(octets, rest)
    header = json.loads(octets(protected))
    digest = ALGORITHMS[header["alg"]]
    content_key = key.decrypt(wrapped, padding.OAEP(padding.MGF1(digest), digest, None))
    assert (len(content_key), len(nonce), len(tag)) == (32, 12, 16)
    return header, AESGCM(content_key).decrypt(nonce, text + tag, protected.encode()).decode()


# --- the tokens ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kid", [None, "key-1"])
@pytest.mark.parametrize("profile", ["auth0", "rfc9068"])
def test_a_token_is_signed_and_then_encrypted(
    tenant: Tenant,
    register: Callable[..., Api],
    judge: Callable[..., dict[str, Any]],
    private_key: rsa.RSAPrivateKey,
    algorithm: str,
    kid: str | None,
    profile: Any,
) -> None:
    named = {} if kid is None else {"kid": kid}
    api = register(token_encryption=encrypted(pem_of(private_key), alg=algorithm, **named), profile=profile)
    answer = tenant.client_credentials(api.test_application, api)
    header, inner = opened(answer.access_token, private_key)
    assert list(header.items()) == list({"alg": algorithm, "enc": "A256GCM", **named, "cty": "JWT"}.items())
    assert judge(inner, api)["sub"] == api.test_application.subject
    assert jwt.get_unverified_header(inner)["typ"] == {"auth0": "JWT", "rfc9068": "at+jwt"}[profile]
    # The answer says nothing of it.
    assert (answer.token_type, answer.expires_in) == ("Bearer", 86_400)


def test_no_two_tokens_have_the_same_key_or_nonce(
    tenant: Tenant, register: Callable[..., Api], private_key: rsa.RSAPrivateKey
) -> None:
    api = register(token_encryption=encrypted(pem_of(private_key)))
    first, second = (tenant.client_credentials(api.test_application, api).access_token.split(".") for _ in range(2))
    assert [a == b for a, b in zip(first, second, strict=True)] == [True, False, False, False, False]


def test_a_token_for_an_hs256_api_is_encrypted_as_well(
    tenant: Tenant, register: Callable[..., Api], judge: Callable[..., Any], private_key: rsa.RSAPrivateKey
) -> None:
    api = register(token_encryption=encrypted(pem_of(private_key)), signing_algorithm="HS256")
    _, inner = opened(tenant.client_credentials(api.test_application, api).access_token, private_key)
    assert judge(inner, api)["aud"] == api.identifier


def test_a_bound_token_is_encrypted_as_well(
    tenant: Tenant, register: Callable[..., Api], private_key: rsa.RSAPrivateKey
) -> None:
    holder = Holder()
    api = register(
        token_encryption=encrypted(pem_of(private_key)),
        proof_of_possession={"mechanism": "dpop", "required": True},
    )
    answer = tenant.client_credentials(api.test_application, api, jkt=holder.jkt)
    _, inner = opened(answer.access_token, private_key)
    assert jwt.decode(inner, options={"verify_signature": False})["cnf"] == {"jkt": holder.jkt}
    assert answer.token_type == "DPoP"


def test_what_goes_to_the_application_is_not_encrypted(private_key: rsa.RSAPrivateKey) -> None:
    tenant = Tenant(ISSUER)
    api = tenant.register_api(IDENTIFIER, token_encryption=encrypted(pem_of(private_key)), rbac=True)
    spa = tenant.create_application("Spa", kind="single_page")
    answer = tenant.authorization_code(spa, api, tenant.create_user("ann@example.test"), "openid")
    assert answer.access_token.count(".") == 4
    assert answer.id_token is not None
    assert answer.id_token.count(".") == 2


def test_an_encrypted_token_is_none_for_userinfo(private_key: rsa.RSAPrivateKey) -> None:
    tenant = Tenant(ISSUER)
    api = tenant.register_api(IDENTIFIER, token_encryption=encrypted(pem_of(private_key)))
    web = tenant.create_application("Web", kind="regular_web")
    token = tenant.authorization_code(web, api, tenant.create_user("ann@example.test"), "openid").access_token
    with httpx.Client(transport=tenant.transport(), base_url=ISSUER) as client:
        answer = client.get("userinfo", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


def test_claims_and_sign_stay_as_they_are_and_encrypt_takes_any_text(
    tenant: Tenant, register: Callable[..., Api], private_key: rsa.RSAPrivateKey
) -> None:
    api = register(token_encryption=encrypted(pem_of(private_key), kid="key-1"))
    claims = tenant.claims(api.test_application, api)
    signed = tenant.sign(claims, api=api)
    assert signed.count(".") == 2
    header = {"kid": None, "zip": "DEF", "alg": "RSA-OAEP-256"}
    assert opened(tenant.encrypt(signed, api, header=header), private_key) == (
        {"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT", "zip": "DEF"},
        signed,
    )
    assert opened(tenant.encrypt("no token", api), private_key)[1] == "no token"


def test_for_an_api_without_a_key_nothing_is_encrypted(tenant: Tenant, register: Callable[..., Api]) -> None:
    api = register()
    with pytest.raises(TenantError) as refused:
        tenant.encrypt("a.b.c", api)
    assert (refused.value.rule, refused.value.value) == (Rule.ENCRYPTION_OFF, api.identifier)


# --- another key --------------------------------------------------------------------------------------------


def test_an_api_with_both_keys_takes_the_tokens_from_before_and_after_a_rotation(
    tenant: Tenant,
    register: Callable[..., Api],
    private_key: rsa.RSAPrivateKey,
    another_key: rsa.RSAPrivateKey,
) -> None:
    api = register(token_encryption=encrypted(pem_of(private_key), kid="key-1"))
    before = tenant.client_credentials(api.test_application, api).access_token
    rotated = tenant.update_api(api, token_encryption=encrypted(pem_of(another_key), kid="key-2", alg="RSA-OAEP-512"))
    after = tenant.client_credentials(api.test_application, api).access_token
    assert opened(after, another_key)[0]["kid"] == "key-2"
    with httpx.Client(transport=tenant.transport()) as http:

        def verifier(*keys: DecryptionKey) -> Verifier:
            object_ = rotated.resource_server()
            settings = ApiSettings.from_resource_server(object_, "tenant.example.test", decryption_keys=keys)
            return Verifier(settings, http=http, clock=Clock())

        old, new = (
            DecryptionKey(private_pem_of(key), kid=kid) for key, kid in ((private_key, "key-1"), (another_key, "key-2"))
        )
        for token in (before, after):
            assert verifier(old, new).verify(token).is_machine
        with pytest.raises(InvalidToken):
            verifier(new).verify(before)


def test_it_can_be_switched_off_and_stays_when_nothing_is_said(private_key: rsa.RSAPrivateKey) -> None:
    tenant = Tenant(ISSUER)
    api = tenant.register_api(IDENTIFIER, token_encryption=encrypted(pem_of(private_key)))
    assert tenant.update_api(api, token_lifetime=60).token_encryption == api.token_encryption
    off = tenant.update_api(api, token_encryption=False)
    assert (off.token_encryption, "token_encryption" in off.resource_server()) == (None, False)
    assert tenant.client_credentials(api.test_application, api).access_token.count(".") == 2


# --- the registered key -------------------------------------------------------------------------------------


def test_the_key_is_told_by_its_thumbprint_alone(private_key: rsa.RSAPrivateKey) -> None:
    key = rsa.RSAPublicNumbers(65_537, int.from_bytes(octets(N))).public_key()
    tenant = Tenant(ISSUER)
    setting = encrypted(pem_of(key), alg="RSA-OAEP-384", kid="key-1", name="Ours")
    api = tenant.register_api(IDENTIFIER, token_encryption=setting)
    told = api.resource_server()["token_encryption"]
    assert told == {
        "encryption_key": {
            "name": "Ours",
            "alg": "RSA-OAEP-384",
            "kid": "key-1",
            "thumbprint_sha256": THUMBPRINT,
        },
        "format": "compact-nested-jwe",
    }
    bare = tenant.update_api(api, token_encryption=encrypted(pem_of(key)))
    assert bare.resource_server()["token_encryption"]["encryption_key"] == {
        "alg": "RSA-OAEP-256",
        "thumbprint_sha256": THUMBPRINT,
    }
    assert TokenEncryption(algorithm="RSA-OAEP-256", pem=pem_of(key)) == bare.token_encryption
    again = tenant.update_api(api, token_encryption=api.token_encryption)
    assert again.token_encryption == api.token_encryption


def test_a_certificate_stands_for_its_key(certificate: str, private_key: rsa.RSAPrivateKey) -> None:
    of_certificate = TokenEncryption(algorithm="RSA-OAEP-256", pem=certificate)
    of_key = TokenEncryption(algorithm="RSA-OAEP-256", pem=pem_of(private_key))
    assert of_certificate.thumbprint == of_key.thumbprint
    assert opened(of_certificate.encrypt("a.b.c"), private_key)[1] == "a.b.c"


@pytest.fixture
def certificate(private_key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "api.example.test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2049, 12, 31, tzinfo=UTC))
        .sign(private_key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


PEM = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"


def good() -> str:
    return pem_of(rsa.RSAPublicNumbers(65_537, int.from_bytes(octets(N))).public_key())


@pytest.mark.parametrize(
    ("setting", "rule", "value"),
    [
        ({"format": "json", "encryption_key": {}}, Rule.ENCRYPTION_FORMAT, "json"),
        ({"encryption_key": {"alg": "RSA1_5", "pem": PEM}}, Rule.ENCRYPTION_ALGORITHM, "RSA1_5"),
        ({"encryption_key": {"alg": "RSA-OAEP", "pem": PEM}}, Rule.ENCRYPTION_ALGORITHM, "RSA-OAEP"),
        ({"encryption_key": {"alg": None, "pem": PEM}}, Rule.ENCRYPTION_ALGORITHM, None),
        (encrypted(PEM, kid=""), Rule.ENCRYPTION_KEY_NAME, ""),
        (encrypted(PEM, kid="k" * 129), Rule.ENCRYPTION_KEY_NAME, "k" * 129),
        (encrypted(PEM, name=7), Rule.ENCRYPTION_KEY_NAME, 7),
        (encrypted(""), Rule.ENCRYPTION_KEY_LENGTH, None),
        (encrypted("p" * 4097), Rule.ENCRYPTION_KEY_LENGTH, None),
        ({"encryption_key": {"alg": "RSA-OAEP-256", "pem": b"bytes"}}, Rule.ENCRYPTION_KEY_LENGTH, None),
        (encrypted(PEM), Rule.ENCRYPTION_KEY, None),
        (encrypted("no PEM"), Rule.ENCRYPTION_KEY, None),
        (encrypted(PEM.replace("PUBLIC KEY", "CERTIFICATE")), Rule.ENCRYPTION_KEY, None),
        (encrypted(pem_of(ec.generate_private_key(ec.SECP256R1()))), Rule.ENCRYPTION_KEY, None),
        (encrypted(pem_of(rsa.generate_private_key(65_537, 1_024))), Rule.ENCRYPTION_KEY, None),
        ({}, Rule.MEMBER_MISSING, None),
        ({"encryption_key": {"pem": PEM}}, Rule.MEMBER_MISSING, None),
        ({"encryption_key": {"alg": "RSA-OAEP-256"}}, Rule.MEMBER_MISSING, None),
        ({"encryption_key": None}, Rule.MEMBERS, "NoneType"),
        (encrypted(PEM, algorithm="RSA-OAEP-256"), Rule.MEMBERS, "algorithm"),
        ({"key": {}}, Rule.MEMBERS, "key"),
        (PEM, Rule.MEMBERS, "str"),
    ],
)
def test_a_setting_that_breaks_its_rule_is_refused(setting: Any, rule: Rule, value: object) -> None:
    tenant = Tenant()
    with pytest.raises(TenantError) as refused:
        tenant.register_api(IDENTIFIER, token_encryption=setting)
    assert (refused.value.rule, refused.value.value) == (rule, value)
    assert len(str(refused.value)) < 400


def test_a_private_key_is_refused_and_not_shown(private_key: rsa.RSAPrivateKey) -> None:
    pem = private_pem_of(private_key)
    with pytest.raises(TenantError) as refused:
        Tenant().register_api(IDENTIFIER, token_encryption=encrypted(pem))
    assert refused.value.rule is Rule.ENCRYPTION_KEY_PRIVATE
    assert pem.splitlines()[1] not in str(refused.value)


@pytest.mark.parametrize("key", [{"kid": "k" * 128, "name": "n" * 128}, {"kid": "k", "name": "n"}])
def test_a_setting_at_its_limit_is_accepted(key: dict[str, str]) -> None:
    pem = good()
    padded = pem + "\n" * (4096 - len(pem))
    api = Tenant().register_api(IDENTIFIER, token_encryption={"encryption_key": {"alg": "RSA-OAEP-256", "pem": padded}})
    assert api.token_encryption is not None
    assert Tenant().register_api(IDENTIFIER, token_encryption=encrypted(pem, **key)).token_encryption
