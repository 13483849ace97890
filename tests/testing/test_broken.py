"""Each broken token is refused, and for what it is named after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jwtgate import ApiSettings, InvalidToken, Issuer, Verifier
from jwtgate.core.errors import (
    BadSignature,
    BindingRejected,
    ClaimRejected,
    EncryptedToken,
    HeaderRejected,
    MalformedToken,
    OpaqueToken,
    TokenExpired,
    UnknownKey,
    UntrustedIssuer,
    WrongAudience,
    WrongTokenKind,
)
from jwtgate.core.jwk import ASYMMETRIC
from jwtgate.core.values import ALGORITHMS, PROFILES
from jwtgate.tenant import Tenant
from jwtgate.testing import BROKEN, StandIn, standing_in
from jwtgate.testing.signing import opened

ISSUER = "https://idp.example/realms/api"
SECRET = b"0123456789abcdef0123456789abcdef"

# name → the refusal, and what it names
REASONS: dict[str, tuple[type[InvalidToken], dict[str, Any]]] = {
    "expired": (TokenExpired, {"claim": "exp"}),
    "not_yet_valid": (ClaimRejected, {"claim": "nbf"}),
    "issued_in_the_future": (ClaimRejected, {"claim": "iat"}),
    "wrong_audience": (WrongAudience, {"hint": ""}),
    "slash_audience": (WrongAudience, {"hint": "they differ only by the trailing slash, and that counts"}),
    "wrong_issuer": (UntrustedIssuer, {}),
    "altered": (BadSignature, {}),
    "forged": (BadSignature, {}),
    "unknown_key": (UnknownKey, {"kid": "strange-RSA"}),
    "own_key_in_header": (UnknownKey, {"kid": "strange-RSA"}),
    "hs256_with_public_key": (HeaderRejected, {"parameter": "alg", "actual": "HS256"}),
    "other_algorithm": (HeaderRejected, {"parameter": "alg", "actual": "RS512"}),
    "unsigned": (MalformedToken, {"part": "signature"}),
    "alg_none": (HeaderRejected, {"parameter": "alg", "actual": "none"}),
    "alg_none_signed": (HeaderRejected, {"parameter": "alg", "actual": "none"}),
    "critical_extension": (HeaderRejected, {"parameter": "crit"}),
    "id_token": (WrongTokenKind, {"claim": "nonce"}),
    "logout_token": (WrongTokenKind, {"claim": "events"}),
    "bound": (BindingRejected, {"claim": "cnf"}),
    "encrypted": (EncryptedToken, {"algorithm": "RSA-OAEP-256"}),
    "opaque": (OpaqueToken, {}),
    "undefined": (OpaqueToken, {}),
    "without_iss": (UntrustedIssuer, {"actual": None}),
    "without_sub": (ClaimRejected, {"claim": "sub"}),
    "without_aud": (WrongAudience, {"actual": None}),
    "without_iat": (ClaimRejected, {"claim": "iat"}),
    "without_exp": (ClaimRejected, {"claim": "exp"}),
}


@pytest.fixture(scope="module")
def tenant() -> Tenant:
    return Tenant()


@pytest.fixture
def issuer(tenant: Tenant) -> Iterator[StandIn]:
    with standing_in(settings(), tenant) as standing:
        yield standing


def settings(algorithm: str = "RS256", **others: Any) -> ApiSettings:
    secret = SECRET if algorithm == "HS256" else None
    given = {"identifier": "https://api.test/", "signing_algorithms": [algorithm], "signing_secret": secret, **others}
    return ApiSettings(issuers=[Issuer(ISSUER)], **given)


def refusal(verifier: Verifier, token: str) -> InvalidToken:
    with pytest.raises(InvalidToken) as refused:
        verifier.verify(token)
    return refused.value


def test_each_has_a_reason() -> None:
    assert list(REASONS) == list(BROKEN)


@pytest.mark.parametrize("name", BROKEN)
def test_each_is_refused_for_what_it_is_named_after(issuer: StandIn, name: str) -> None:
    error, named = REASONS[name]
    refused = refusal(Verifier(issuer.settings), issuer.broken(name))
    assert type(refused) is error
    assert {attribute: getattr(refused, attribute) for attribute in named} == named


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_each_is_refused_by_every_kind_of_api(tenant: Tenant, algorithm: str, profile: str) -> None:
    api = settings(algorithm, profile=profile, permissions_in_token=True)
    verifier = Verifier(api)
    with standing_in(api, tenant) as issuer:
        answers = {name: refusal(verifier, issuer.broken(name)) for name in BROKEN}
        # The verifier refuses just these: it takes a token with nothing wrong.
        verifier.verify(issuer.token())
    assert {(error.status, error.code) for error in answers.values()} == {(401, "invalid_token")}


def test_the_audience_is_a_strange_one_where_the_api_has_both_slashes(tenant: Tenant) -> None:
    both = ["https://api.test/", "https://api.test"]
    issuer = StandIn(settings(identifier=both), tenant)
    _, claims = opened(issuer.broken("slash_audience"))
    assert claims["aud"].rstrip("/") == "https://api.test"
    assert claims["aud"] not in both


def test_the_algorithm_is_a_strange_one_where_the_api_admits_every_key(tenant: Tenant) -> None:
    api = settings(signing_algorithms=sorted(ASYMMETRIC))
    with standing_in(api, tenant) as issuer:
        refused = refusal(Verifier(api), issuer.broken("other_algorithm"))
    assert isinstance(refused, HeaderRejected)
    assert refused.actual == "HS512"


def test_an_altered_token_names_another_user_than_was_signed(issuer: StandIn) -> None:
    good, altered = opened(issuer.token(issued_at=0))[1], opened(issuer.broken("altered"))[1]
    assert {name for name in good if good[name] != altered[name]} == {"sub", "iat", "exp"}
