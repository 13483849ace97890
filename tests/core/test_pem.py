"""Keys that somebody wrote down: PEM, one JWK, a JWK Set."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from jwtgate import ApiSettings, AuthError, Issuer, SettingsError
from jwtgate.core.effects import Moment
from jwtgate.core.flow import authenticate_token
from jwtgate.core.keys import keys_of
from jwtgate.core.pem import certified, read_pem
from tests.making import API, ISSUER, KINDS, NOW, Issuing, drive, signing_key

ISSUING = Issuing()
ALGORITHM = {"RSA": "RS256", "P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}


def public(private: Any, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, form)  # type: ignore[no-any-return]


def certificate(private: Any) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer.test")])
    began = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, private.public_key(), 1, began, began + dt.timedelta(1))
    return builder.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM)


def accepts(jwks: Any, token: str, algorithm: str = "RS256") -> str:
    settings = ApiSettings(identifier=API, issuers=[Issuer(ISSUER, jwks=jwks)], signing_algorithms=[algorithm])
    try:
        drive(authenticate_token(token, settings, keys_of(settings)), Moment(NOW, 0.0))
    except AuthError as error:
        return type(error).__name__
    return "ok"


@pytest.mark.parametrize("kind", KINDS)
def test_a_public_key_in_pem_verifies(kind: str) -> None:
    pem, algorithm = public(signing_key(kind).private), ALGORITHM[kind]
    for written in (pem, pem.decode(), b"# the tenant's key\n\n" + pem.replace(b"\n", b"\r\n")):
        assert accepts(written, ISSUING.token(algorithm=algorithm), algorithm) == "ok"
    assert accepts(pem, Issuing(number=2).token(algorithm=algorithm), algorithm) == "BadSignature"


def test_the_other_form_of_rsa_keys_and_certificates_are_pem_too() -> None:
    private = signing_key().private
    assert accepts(public(private, PublicFormat.PKCS1), ISSUING.token()) == "ok"
    # Long expired: it is the settings that say for how long a key is good.
    assert accepts(certificate(private), ISSUING.token()) == "ok"


@pytest.mark.parametrize("kid", ["RSA-1", "anything", ""])
def test_a_key_without_a_name_serves_whatever_the_token_calls_it(kid: str) -> None:
    assert accepts(public(signing_key().private), ISSUING.token(header={"kid": kid})) == "ok"


def test_of_several_keys_without_names_none_is_guessed() -> None:
    two = public(signing_key().private) + public(signing_key(number=2).private)
    assert accepts(two, ISSUING.token()) == "AmbiguousKey"
    mixed = public(signing_key().private) + public(signing_key("P-256").private)
    assert accepts(mixed, ISSUING.token()) == "ok"


def test_one_jwk_is_a_set_of_one() -> None:
    jwk = signing_key().jwk()
    for written in (jwk, json.dumps(jwk), json.dumps({"keys": [jwk]}).encode()):
        assert accepts(written, ISSUING.token()) == "ok"
        assert accepts(written, ISSUING.token(header={"kid": "other"})) == "UnknownKey"


def weak() -> Any:
    return rsa.generate_private_key(65_537, 1_024)


PRIVATE = signing_key().private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
BAD = {
    "a private key": PRIVATE,
    "a private key beside a public one": public(signing_key().private) + PRIVATE,
    "an old private key": signing_key().private.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    ),
    "no base64": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    "no certificate": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "no end": public(signing_key().private)[:-30],
    "another end": public(signing_key().private).replace(b"END PUBLIC", b"END RSA PUBLIC"),
    "a key of another algorithm": public(signing_key("P-256").private),
    "a weak key": public(weak()),
    "a curve that is not supported": public(ec.generate_private_key(ec.SECP256K1())),
    "a curve that has no name here": public(ec.generate_private_key(ec.SECP224R1())),
    "a key for no signatures": public(x25519.X25519PrivateKey.generate()),
    "Ed448": public(ed448.Ed448PrivateKey.generate()),
    "DSA": public(dsa.generate_private_key(1_024)),
    "nothing": b"-----BEGIN ",
    "a private JWK": json.dumps(signing_key().jwk(d="AQAB")).encode(),
}


@pytest.mark.parametrize("document", BAD.values(), ids=BAD)
def test_what_can_verify_nothing_is_refused_at_start_up(document: bytes) -> None:
    with pytest.raises(SettingsError) as refused:
        accepts(document, ISSUING.token())
    assert refused.value.setting == "jwks"
    # What it says may name the kind of block, and shows nothing of what is in it.
    assert not [line for line in document.splitlines()[1:-1] if len(line) > 20 and line.decode() in str(refused.value)]


def test_a_text_without_blocks_has_no_keys() -> None:
    assert read_pem(b"") == read_pem(b"nothing of the kind") == []


@pytest.mark.parametrize("kind", ["RSA", "P-256"])
def test_a_certificate_in_a_jwk_is_base64_and_nothing_else(kind: str) -> None:
    pem = certificate(signing_key(kind).private)
    text = "".join(pem.decode().splitlines()[1:-1])
    assert certified(text) == read_pem(pem)[0]
    # RFC 7517 section 4.7: base64, and not base64url; RFC 4648 section 3.3: other characters are not left out of it.
    assert [certified(other) for other in ("", text[:-4], f"{text}!", f"{text[:64]}\n{text[64:]}")] == [None] * 4
