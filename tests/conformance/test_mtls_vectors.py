"""RFC 8705's certificate has the thumbprint that the RFC prints, by way of the connection and of every header."""

from __future__ import annotations

import base64
import hashlib
import ssl
from typing import Any
from urllib.parse import quote

import pytest

from jwtgate import AccessToken, ApiSettings, InvalidToken, Issuer, Request, Verifier
from jwtgate.core import mtls
from jwtgate.core.errors import BindingRejected, CertificateRejected
from jwtgate.core.jwk import thumbprint as jwk_thumbprint
from jwtgate.core.pem import read_pem
from tests.conformance.vectors import ISSUING, URL, Clock, read
from tests.making import API, KINDS, signing_key

PRINTED = read("rfc", "rfc8705.json")
PEM: str = PRINTED["certificate_pem"]
DER = base64.b64decode(PRINTED["certificate_der_b64"])
THUMBPRINT: str = PRINTED["x5t#S256"]
PROXY = "10.0.0.1"

HEADERS = {
    "Client-Cert": f":{PRINTED['certificate_der_b64']}:",
    "X-Forwarded-Client-Cert": f'Hash={hashlib.sha256(DER).hexdigest()};Cert="{quote(PEM, safe="")}";Subject="CN=mtls"',
    "X-Amzn-Mtls-Clientcert-Leaf": quote(PEM, safe="+=/"),
    "X-Amzn-Mtls-Clientcert": quote(PEM, safe="+=/"),
    "X-SSL-Client-Cert": quote(PEM, safe=""),
}


def verified(request: Request, **settings: Any) -> AccessToken:
    issuer = Issuer(URL, jwks={"keys": [signing_key(kind).jwk() for kind in KINDS]})
    api = ApiSettings(identifier=API, issuers=[issuer], proof_of_possession="mtls", **settings)
    with Verifier(api, clock=Clock()) as verifier:
        return verifier.verify_request(request)


def asking(*lines: tuple[str, str], scheme: str = "Bearer", **connection: Any) -> Request:
    token = ISSUING.token(cnf={"x5t#S256": THUMBPRINT})
    return Request("GET", "https://api.test/", [("Authorization", f"{scheme} {token}"), *lines], **connection)


def test_the_thumbprint_is_the_printed_one() -> None:
    assert mtls.thumbprint(DER) == THUMBPRINT
    assert mtls.certificate_of_pem(PEM) == DER == ssl.PEM_cert_to_DER_cert(PEM)


def test_the_certificate_holds_the_printed_key() -> None:
    assert jwk_thumbprint(read_pem(PEM.encode())[0]) == jwk_thumbprint(PRINTED["jwk"])


@pytest.mark.parametrize("header", HEADERS)
def test_every_form_of_header_names_it(header: str) -> None:
    assert mtls.forwarded_thumbprint(header, [HEADERS[header]]) == THUMBPRINT


# M10: it expired in 2022. Validity belongs to those who end the TLS connection.
@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
def test_a_bound_token_is_accepted_with_the_certificate_and_with_no_other(scheme: str) -> None:
    assert verified(asking(scheme=scheme, client_certificate=DER)).certificate_thumbprint == THUMBPRINT
    with pytest.raises(CertificateRejected):
        verified(asking(scheme=scheme, client_certificate=DER[:-1] + b"\0"))
    with pytest.raises(InvalidToken):
        verified(asking(scheme=scheme))


@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
@pytest.mark.parametrize("header", HEADERS)
def test_a_trusted_proxy_names_it_and_nobody_else_can(header: str, scheme: str) -> None:
    settings: dict[str, Any] = {"trusted_proxies": [PROXY], "certificate_header": header}
    request = asking((header, HEADERS[header]), scheme=scheme, client=PROXY)
    assert verified(request, **settings).certificate_thumbprint == THUMBPRINT
    for client in ("192.0.2.1", None):
        with pytest.raises(CertificateRejected):
            verified(asking((header, HEADERS[header]), scheme=scheme, client=client), **settings)


def test_the_printed_claims_are_bound_to_another_certificate() -> None:
    cnf = PRINTED["example_claims_s3_1"]["cnf"]
    assert cnf["x5t#S256"] != THUMBPRINT
    token = ISSUING.token(cnf=cnf)
    with pytest.raises(BindingRejected):
        verified(Request("GET", "https://api.test/", [("Authorization", f"Bearer {token}")], client_certificate=DER))
