"""What is decided at once is what the flow decides, and where something is to be waited for, nothing is decided."""

from __future__ import annotations

from typing import Any

import pytest

from jwtgate import AccessToken, ApiSettings, AuthError, DecryptionKey, InsufficientScope, Issuer, authenticated
from jwtgate.core.binding import Senders
from jwtgate.core.effects import Moment
from jwtgate.core.errors import ClaimRejected, UntrustedIssuer
from jwtgate.core.flow import authenticate_token
from jwtgate.core.heads import Verified
from jwtgate.core.keys import Keyring, keys_of
from jwtgate.core.known import known_to
from jwtgate.core.verification import ShortWay, verify_at_once
from tests.core.test_heads import CASES
from tests.making import ABSENT, API, ISSUER, MOMENT, NOW, Issuing, base64url, compact, drive
from tests.sealing import pem, seal

ISSUING = Issuing()
KEY = ISSUING.key()
LATER = Moment(NOW + 5, MOMENT.monotonic + 5)


def api(**changes: Any) -> ApiSettings:
    jwks = ISSUING.jwks(KEY.jwk())
    return ApiSettings(**{"identifier": API, "issuers": [Issuer(ISSUER, jwks=jwks)], **changes})


PLAIN = api()
FORGETTING = api(token_memory_bytes=0)
GOOD = ISSUING.token()
HEAD, BODY, SIGNATURE = GOOD.split(".")


def said(found: AccessToken) -> Any:
    return found.claims, found.header, found.raw, found.checked_at, found.jkt


def at_once(token: Any, keys: Keyring, moment: Moment = MOMENT) -> Any:
    """None where the flow is to be asked."""
    settings = keys.settings
    try:
        found = ShortWay(settings, keys, Senders(settings))(token, *moment)
    except AuthError as error:
        return type(error), str(error)
    return None if found is None else said(found)


def by_the_flow(token: Any, settings: ApiSettings, moment: Moment = MOMENT) -> Any:
    try:
        return said(drive(authenticate_token(token, settings, keys_of(settings)), moment))
    except AuthError as error:
        return type(error), str(error)


SPECIMENS: list[Any] = [
    GOOD,
    ISSUING.rfc9068_token(),
    f"{HEAD}.{BODY}.{base64url(bytes(256))}",
    f"{HEAD}.{BODY}.",
    f"{HEAD}.{BODY}",
    f"{HEAD}.{BODY[:-1]}.{SIGNATURE}",
    f"{HEAD}.{BODY}.{SIGNATURE}.x.y",
    "opaque",
    "",
    "." * 2_000,
    GOOD + "a" * 20_000,
    None,
    GOOD.encode(),
    [],
    compact({**ISSUING.header(), "alg": "none"}, ISSUING.claims(), KEY),
    compact({**ISSUING.header(), "alg": "PS256"}, ISSUING.claims(), KEY),
    compact({**ISSUING.header(), "crit": ["x"]}, ISSUING.claims(), KEY),
    compact({**ISSUING.header(), "kid": "another"}, ISSUING.claims(), KEY),
    compact({**ISSUING.header(), "typ": "id+jwt"}, ISSUING.claims(), KEY),
    Issuing(url="https://other.test/").token(),
    ISSUING.token(iss=["x"]),
]


@pytest.mark.parametrize("settings", [PLAIN, FORGETTING], ids=["remembering", "forgetting"])
@pytest.mark.parametrize("token", SPECIMENS, ids=range(len(SPECIMENS)))
def test_what_is_decided_at_once_is_what_the_flow_decides(token: Any, settings: ApiSettings) -> None:
    warm = keys_of(settings)
    for known in (GOOD, ISSUING.rfc9068_token()):
        at_once(known, warm)
    flow = by_the_flow(token, settings)
    assert at_once(token, keys_of(settings)) == flow
    for _ in range(2):
        assert at_once(token, warm) == flow


@pytest.mark.parametrize("settings", [PLAIN, api(profile="rfc9068"), api(leeway=0)], ids=["plain", "rfc9068", "strict"])
def test_one_changed_claim_is_decided_as_by_the_flow(settings: ApiSettings) -> None:
    warm = keys_of(settings)
    at_once(GOOD, warm)
    for name, value in CASES:
        token = ISSUING.token(**{name: value})
        found = at_once(token, warm)
        bound = name == "cnf" and found is None
        assert bound or found == by_the_flow(token, settings), (name, value)


def test_keys_that_have_not_come_are_the_flows_to_wait_for() -> None:
    settings = api(issuers=[Issuer(ISSUER)])
    keys = keys_of(settings)
    assert at_once(GOOD, keys) is None
    own = keys[ISSUER]
    drive(own.load(own.begin(), MOMENT), MOMENT, ISSUING.documents(KEY.jwk()))
    assert at_once(GOOD, keys) == said(drive(authenticate_token(GOOD, settings, keys), MOMENT))
    unknown = compact({**ISSUING.header(), "kid": "another"}, ISSUING.claims(), KEY)
    assert at_once(unknown, keys) is None  # it may have been published since
    due = Moment(NOW, own.quiet_until)
    assert [at_once(token, keys, due) for token in (GOOD, ISSUING.token(sub="new"))] == [None, None]


def test_an_issuer_that_a_resolver_may_know_is_its_to_name() -> None:
    settings = ApiSettings(identifier=API, resolver=lambda issuer, request: None)
    assert at_once(GOOD, keys_of(settings)) is None
    assert by_the_flow(GOOD, settings)[0].__name__ == "UntrustedIssuer"


def test_what_is_encrypted_is_the_flows_to_open() -> None:
    settings = api(decryption_keys=[DecryptionKey(pem())])
    keys = keys_of(settings)
    sealed = seal(GOOD)
    assert at_once(sealed, keys) is None
    assert by_the_flow(sealed, settings)[2] == sealed
    # Once it is remembered there is nothing to open.
    drive(authenticate_token(sealed, settings, keys), MOMENT)
    assert at_once(sealed, keys)[2] == sealed


def test_a_bound_token_is_remembered_and_the_flows_to_decide() -> None:
    settings = api(proof_of_possession="dpop")
    keys = keys_of(settings)
    token = ISSUING.token(cnf={"jkt": "A" * 43})
    assert at_once(token, keys) is None
    assert len(known_to(keys).tokens) == 1


@pytest.mark.parametrize("memory", [0, 1_000_000])
def test_where_it_would_be_verified_twice_nothing_is_decided(memory: int) -> None:
    settings = api(proof_of_possession="mtls", token_memory_bytes=memory)
    assert (at_once(GOOD, keys_of(settings)) is None) is (memory == 0)


def test_where_senders_must_prove_something_nothing_is_decided() -> None:
    settings = api(proof_of_possession={"mechanism": "dpop", "required": True})
    assert at_once(GOOD, keys_of(settings)) is None


def test_where_a_resolver_may_have_to_be_asked_nothing_is_decided() -> None:
    settings = api(resolver=lambda stated, request: None)
    assert at_once(GOOD, keys_of(settings)) is None


def test_a_good_token_is_remembered_whichever_way_it_was_verified() -> None:
    keys = keys_of(PLAIN)
    known = known_to(keys)
    for number, token in enumerate([GOOD, ISSUING.token(sub="another")], 1):
        verify_at_once(token, keys, *MOMENT)
        assert len(known.tokens) == number
    assert at_once(GOOD, keys, LATER)[3] == LATER.wall


@pytest.mark.parametrize(
    ("token", "typ"), [(GOOD, "JWT"), (ISSUING.rfc9068_token(), "at+jwt")], ids=["auth0", "rfc9068"]
)
def test_a_verified_token_is_what_was_sent_whether_its_head_was_known_or_not(token: str, typ: str) -> None:
    keys = keys_of(FORGETTING)
    for _ in range(2):
        found = verify_at_once(token, keys, *MOMENT)
        assert isinstance(found, Verified)
        assert (found.raw, found.typ, found.header["typ"]) == (token, typ, typ)


def test_a_token_that_was_decided_at_once_can_be_asked_for_more() -> None:
    token = ISSUING.token(auth_time=int(NOW) - 80, scope="a")
    found = ShortWay(PLAIN, keys_of(PLAIN), Senders(PLAIN))(token, *MOMENT)
    assert found is not None
    assert found.allows("a", authenticated(max_age=60))
    assert not found.allows(authenticated(max_age=40))
    with pytest.raises(InsufficientScope) as refused:
        found.require("b")
    assert refused.value.refusal is not None


@pytest.mark.parametrize("claim", ["jti", "client_id"])
def test_what_a_profile_requires_is_required_at_once_too(claim: str) -> None:
    keys = keys_of(PLAIN)
    for _ in range(2):
        with pytest.raises(ClaimRejected) as refused:
            ShortWay(PLAIN, keys, Senders(PLAIN))(ISSUING.rfc9068_token(**{claim: ABSENT}), *MOMENT)
        assert refused.value.claim == claim
        assert at_once(ISSUING.rfc9068_token(), keys) is not None


@pytest.mark.parametrize("stated", ["https://other.test/", ["x"], None, 7])
def test_an_issuer_that_is_not_trusted_is_told_as_it_was_stated(stated: Any) -> None:
    with pytest.raises(UntrustedIssuer) as refused:
        ShortWay(PLAIN, keys_of(PLAIN), Senders(PLAIN))(ISSUING.token(iss=stated), *MOMENT)
    assert refused.value.actual == stated
