"""A holder of a key and a certificate: what it shows holds, and what must be refused is, for what it is named after."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from jwtgate import ApiSettings, AuthError, DecryptionKey, Issuer, Request, SettingsError, Verifier
from jwtgate.core.errors import BindingRejected, CertificateRejected, InvalidProof, NonceRequired, ProofReplayed
from jwtgate.core.jwk import KIND_OF
from jwtgate.tenant import Tenant
from jwtgate.testing import BROKEN_PROOFS, Holder, StandIn, standing_in
from jwtgate.testing.signing import opened

pytest_plugins = ["jwtgate.testing"]

URL = "https://api.test/messages"
NOW = 1_800_000_000
ISSUER = "https://idp.example/"

# name → the refusal and, of a proof, the part that it names
REASONS: dict[str, tuple[type[AuthError], str | None]] = {
    "missing": (InvalidProof, "DPoP"),
    "as_bearer": (BindingRejected, None),
    "two": (InvalidProof, "DPoP"),
    "no_jwt": (InvalidProof, "proof"),
    "altered": (InvalidProof, "signature"),
    "forged": (InvalidProof, "signature"),
    "another_key": (BindingRejected, None),
    "alg_none": (InvalidProof, "alg"),
    "symmetric": (InvalidProof, "alg"),
    "private_key": (InvalidProof, "jwk"),
    "wrong_type": (InvalidProof, "typ"),
    "another_method": (InvalidProof, "htm"),
    "another_url": (InvalidProof, "htu"),
    "another_token": (InvalidProof, "ath"),
    "stale": (InvalidProof, "iat"),
    "from_the_future": (InvalidProof, "iat"),
    "without_jti": (InvalidProof, "jti"),
    "without_htm": (InvalidProof, "htm"),
    "without_htu": (InvalidProof, "htu"),
    "without_iat": (InvalidProof, "iat"),
    "without_ath": (InvalidProof, "ath"),
}


@pytest.fixture(scope="module")
def tenant() -> Tenant:
    return Tenant()


@pytest.fixture(params=[("ES256",), tuple(sorted(KIND_OF))], ids=["ES256 alone", "every algorithm"])
def settings(request: pytest.FixtureRequest) -> ApiSettings:
    return api(dpop_algorithms=request.param)


def api(**given: Any) -> ApiSettings:
    proof = {"proof_of_possession": "dpop", **given}
    return ApiSettings(identifier="https://api.test/", issuers=[Issuer(ISSUER)], **proof)


@pytest.fixture
def issuer(settings: ApiSettings, tenant: Tenant) -> Iterator[StandIn]:
    with standing_in(settings, tenant) as standing:
        yield standing


def request_of(headers: dict[str, str], method: str = "GET", url: str = URL, **more: Any) -> Request:
    return Request(method, url, list(headers.items()), **more)


def refusal(verifier: Verifier, request: Request) -> AuthError:
    with pytest.raises(AuthError) as refused:
        verifier.verify_request(request)
    return refused.value


# --- proofs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", KIND_OF)
def test_a_proof_holds_once(tenant: Tenant, algorithm: str) -> None:
    settings = api(dpop_algorithms=[algorithm])
    holder, verifier = Holder(algorithm), Verifier(settings)
    with standing_in(settings, tenant) as issuer:
        token = issuer.token(holder=holder)
        first = request_of(holder.headers("GET", URL, token))
        assert verifier.verify_request(first).jkt == holder.jkt
        assert isinstance(refusal(verifier, first), ProofReplayed)
        assert verifier.verify_request(request_of(holder.headers("GET", URL, token))).jkt == holder.jkt


def test_a_proof_says_what_rfc_9449_asks_for() -> None:
    holder = Holder(clock=lambda: NOW + 0.7)
    header, claims = opened(holder.proof("POST", f"{URL}?x=1#y", "a.b.c", "n-1"))
    assert header == {"typ": "dpop+jwt", "alg": "ES256", "jwk": holder.jwk}
    assert sorted(holder.jwk) == ["crv", "kty", "x", "y"]
    jti = claims.pop("jti")
    ath = base64.urlsafe_b64encode(hashlib.sha256(b"a.b.c").digest()).rstrip(b"=").decode()
    assert claims == {"htm": "POST", "htu": URL, "iat": NOW, "ath": ath, "nonce": "n-1"}
    again = opened(holder.proof("POST", URL))[1]
    assert (again["jti"] != jti, sorted(again)) == (True, ["htm", "htu", "iat", "jti"])


def test_a_change_replaces_or_takes_away_what_it_names() -> None:
    holder = Holder()
    proof = holder.proof("GET", URL, header={"typ": None, "kid": "k"}, htm=None, iat="now", more=[1])
    header, claims = opened(proof)
    assert (sorted(header), sorted(claims)) == (["alg", "jwk", "kid"], ["htu", "iat", "jti", "more"])
    assert (claims["iat"], claims["more"]) == ("now", [1])


def test_two_holders_are_two() -> None:
    first, second = Holder(), Holder()
    assert (first.jkt == second.jkt, first.x5t == second.x5t) == (False, False)
    assert repr(first) == f"Holder(jkt={first.jkt!r})"


def test_an_algorithm_without_a_key_of_its_own_is_refused() -> None:
    with pytest.raises(SettingsError) as refused:
        Holder("HS256")
    assert (refused.value.setting, refused.value.actual) == ("algorithm", "HS256")


def test_the_nonce_that_is_asked_for_is_put_in(tenant: Tenant) -> None:
    settings = api(dpop_nonce_key=b"0123456789abcdef0123456789abcdef")
    holder, verifier = Holder(), Verifier(settings)
    with standing_in(settings, tenant) as issuer:
        token = issuer.token(holder=holder)
        asked = refusal(verifier, request_of(holder.headers("GET", URL, token)))
        assert isinstance(asked, NonceRequired)
        assert verifier.verify_request(request_of(holder.headers("GET", URL, token, asked.nonce))).jkt == holder.jkt


# --- what must be refused ---------------------------------------------------------------------------------------


def test_each_has_a_reason() -> None:
    assert list(REASONS) == list(BROKEN_PROOFS)


@pytest.mark.parametrize("name", BROKEN_PROOFS)
def test_each_is_refused_for_what_it_is_named_after(issuer: StandIn, name: str) -> None:
    holder = Holder()
    headers = holder.broken(name, "GET", URL, issuer.token(holder=holder))
    refused = refusal(Verifier(issuer.settings), request_of(headers))
    assert (type(refused), getattr(refused, "part", None)) == REASONS[name]
    assert refused.status == 401


@pytest.mark.parametrize("name", BROKEN_PROOFS)
@pytest.mark.parametrize("method", ["DELETE", "POST"])
def test_each_is_refused_for_every_kind_of_holder_and_api(tenant: Tenant, name: str, method: str) -> None:
    widest = api(dpop_algorithms=sorted(KIND_OF), dpop_window=3600, leeway=300)
    verifier = Verifier(widest)
    with standing_in(widest, tenant) as issuer:
        for algorithm in ("PS256", "ES512", "Ed25519"):
            holder = Holder(algorithm)
            token = issuer.token(holder=holder)
            assert verifier.verify_request(request_of(holder.headers(method, URL, token), method)).jkt
            assert refusal(verifier, request_of(holder.broken(name, method, URL, token), method)).status == 401


def test_another_name_is_refused() -> None:
    with pytest.raises(SettingsError) as refused:
        Holder().broken("replayed", "GET", URL, "a.b.c")
    assert refused.value.actual == "replayed"


# --- certificates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES512", "Ed25519"])
def test_a_token_is_bound_to_the_certificate_where_mutual_tls_is_taken(tenant: Tenant, algorithm: str) -> None:
    settings = api(proof_of_possession="mtls", trusted_proxies=["127.0.0.1"], certificate_header="Client-Cert")
    holder, verifier = Holder(algorithm), Verifier(settings)
    with standing_in(settings, tenant) as issuer:
        token = issuer.token(holder=holder)
        assert opened(token)[1]["cnf"] == {"x5t#S256": holder.x5t}
        for scheme in ("Bearer", "DPoP"):
            headers = {"Authorization": f"{scheme} {token}", "Client-Cert": holder.client_cert}
            told = verifier.verify_request(request_of(headers, client="127.0.0.1"))
            assert told.certificate_thumbprint == holder.x5t
        strange = {"Authorization": f"Bearer {token}", "Client-Cert": Holder().client_cert}
        assert isinstance(refusal(verifier, request_of(strange, client="127.0.0.1")), CertificateRejected)


def test_the_certificate_of_a_connection_counts_as_well(tenant: Tenant) -> None:
    settings = api(proof_of_possession="mtls")
    holder = Holder()
    with standing_in(settings, tenant) as issuer:
        headers = {"Authorization": f"Bearer {issuer.token(holder=holder)}"}
        request = request_of(headers, client_certificate=holder.certificate)
        assert Verifier(settings).verify_request(request).certificate_thumbprint == holder.x5t


def test_the_thumbprint_is_that_of_the_certificate_which_is_of_the_same_key() -> None:
    holder = Holder("RS256")
    certificate = x509.load_der_x509_certificate(holder.certificate)
    digest = hashlib.sha256(holder.certificate).digest()
    assert holder.x5t == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert holder.certificate is holder.certificate  # made once
    numbers = certificate.public_key().public_numbers()
    assert holder.jwk["n"] == base64.urlsafe_b64encode(numbers.n.to_bytes(256)).rstrip(b"=").decode()
    assert base64.b64decode(holder.client_cert.strip(":")) == holder.certificate


def test_a_connection_can_be_made_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "holder.pem"
    path.write_text(Holder().pem())
    ssl.create_default_context(ssl.Purpose.SERVER_AUTH).load_cert_chain(path)  # takes the key for the certificate's


# --- tokens -----------------------------------------------------------------------------------------------------


def test_a_token_is_bound_to_the_key_wherever_keys_are_taken(tenant: Tenant) -> None:
    for mechanism in ("dpop", ("dpop", "mtls"), ("mtls", "dpop"), None):
        token = StandIn(api(proof_of_possession=mechanism), tenant).token(holder=(holder := Holder()))
        assert opened(token)[1]["cnf"] == {"jkt": holder.jkt}
    assert "cnf" not in opened(StandIn(api(), tenant).token())[1]


@pytest.fixture(scope="module")
def pem() -> str:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(65_537, 2_048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize("content", ["A256GCM", "A192GCM", "A128GCM"])
@pytest.mark.parametrize("algorithm", ["RSA-OAEP", "RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512"])
@pytest.mark.parametrize("kid", [None, "key-1"])
def test_a_token_is_encrypted_for_the_settings_own_key(
    tenant: Tenant, pem: str, algorithm: str, content: str, kid: str | None
) -> None:
    settings = api(
        decryption_keys=[lambda *_: b"", DecryptionKey(pem, kid=kid)],
        encryption_algorithms=[algorithm],
        content_encryption_algorithms=[content],
    )
    holder = Holder()
    with standing_in(settings, tenant) as issuer:
        token = issuer.token(holder=holder, encrypted=True, permissions="read:messages")
        header = json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))
        named = {} if kid is None else {"kid": kid}
        assert header == {"alg": algorithm, "enc": content, "cty": "JWT", **named}
        only = ApiSettings(
            identifier=settings.identifier,
            issuers=settings.issuers,
            proof_of_possession="dpop",
            decryption_keys=[DecryptionKey(pem, kid=kid)],
            encryption_algorithms=[algorithm],
            content_encryption_algorithms=[content],
        )
        told = Verifier(only).verify_request(request_of(holder.headers("GET", URL, token)))
        assert (told.jkt, told.scopes) == (holder.jkt, {"read:messages"})


@pytest.mark.parametrize("keys", [(), [lambda *_: b""]])
def test_without_a_key_of_which_the_public_half_is_known_nothing_is_encrypted(tenant: Tenant, keys: Any) -> None:
    with pytest.raises(SettingsError) as refused:
        StandIn(api(decryption_keys=keys), tenant).token(encrypted=True)
    assert refused.value.setting == "decryption_keys"


# --- the fixtures -----------------------------------------------------------------------------------------------


class TestFixtures:
    @pytest.fixture
    def jwtgate_settings(self) -> ApiSettings:
        return api()

    def test_a_holder_is_there(
        self, jwtgate_settings: ApiSettings, jwtgate_holder: Holder, jwtgate_token: Callable[..., str]
    ) -> None:
        request = request_of(jwtgate_holder.headers("GET", URL, jwtgate_token(holder=jwtgate_holder)))
        assert Verifier(jwtgate_settings).verify_request(request).jkt == jwtgate_holder.jkt

    def test_a_test_runs_once_for_each_broken_proof(
        self,
        jwtgate_settings: ApiSettings,
        jwtgate_holder: Holder,
        jwtgate_token: Callable[..., str],
        jwtgate_broken_proof: Callable[[str, str, str], dict[str, str]],
        request: pytest.FixtureRequest,
    ) -> None:
        headers = jwtgate_broken_proof("GET", URL, jwtgate_token(holder=jwtgate_holder))
        assert refusal(Verifier(jwtgate_settings), request_of(headers)).status == 401
        assert request.node.callspec.id in BROKEN_PROOFS
