"""What one look at the Authorization line tells is what the whole request would have told, and is counted once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jwtgate import AccessToken, ApiSettings, AsyncVerifier, AuthError, Issuer, Request, Verifier
from tests.loopback import Clock
from tests.making import API, ISSUER, NOW, Issuing, base64url, segment

ISSUING = Issuing()
OTHER = Issuing(url="https://other.test/")
GOOD = ISSUING.token()
HEAD, BODY, SIGNATURE = GOOD.split(".")
SETTINGS = ApiSettings(identifier=API, issuers=[Issuer(ISSUER, jwks=ISSUING.jwks())])
LINES: list[Any] = [
    f"Bearer {GOOD}",
    f"bearer {GOOD}",
    f"Bearer  {GOOD}",
    f"Bearer {GOOD} ",
    f" Bearer {GOOD}",
    f"Bearer {GOOD}, Bearer {GOOD}",
    f"Bearer {GOOD},Basic eA==",
    f"Bearer\t{GOOD}",
    f"Bearer {HEAD}.{BODY}.{base64url(bytes(256))}",
    f"Bearer {ISSUING.token(exp=int(NOW) - 900)}",
    f"Bearer {ISSUING.token(aud='https://another.test/')}",
    f"Bearer {ISSUING.token(cnf={'jkt': 'A' * 43})}",
    f"Bearer {OTHER.token()}",
    f"Bearer {HEAD}.{segment('{')}.{SIGNATURE}",
    f"Bearer {HEAD}.{BODY[:-1]}*.{SIGNATURE}",
    f"Bearer {segment('{')}.{BODY}.{SIGNATURE}",
    "Bearer opaque",
    "Bearer é.é.é",
    "Bearer " + "a" * 100_000,
    "Bearer ",
    "Bearer",
    "Basic eDp5",
    f"DPoP {GOOD}",
    f"Token {GOOD}",
    "",
]


class Calls:
    """Both kinds of verifier, asked in the same way."""

    def __init__(self, kind: Any, settings: ApiSettings) -> None:
        self.verifier = kind(settings, clock=Clock())

    def outcome(self, line: str) -> Any:
        found = self.verifier.outcome(Request("GET", API, [("Authorization", line)]))
        return shown(asyncio.run(found) if asyncio.iscoroutine(found) else found)

    def glance(self, line: Any) -> Any:
        found = self.verifier.glance(line)
        return None if found is None else shown(found)


def shown(found: AccessToken | AuthError) -> Any:
    if isinstance(found, AccessToken):
        return found.claims, found.raw, found.checked_at
    # What led to it holds the token, and an outcome is kept with its request.
    assert found.__traceback__ is None
    assert found.__context__ is None
    return type(found), str(found), found.refusal


@pytest.fixture(params=[Verifier, AsyncVerifier], ids=["threads", "tasks"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_glance_tells_what_the_whole_request_tells(kind: Any, line: str) -> None:
    calls = Calls(kind, SETTINGS)
    whole = Calls(kind, SETTINGS).outcome(line)
    for _ in range(2):
        found = calls.glance(line)
        assert found in (None, whole)
    assert calls.outcome(line) == whole


def test_nearly_every_request_is_decided_by_a_glance(kind: Any) -> None:
    calls = Calls(kind, SETTINGS)
    assert [calls.glance(line) is not None for line in LINES[:2]] == [True, False]
    assert calls.glance(LINES[8])[0].__name__ == "BadSignature"


@pytest.mark.parametrize("line", [None, 7, b"Bearer x", ["Bearer x"]])
def test_what_is_no_text_tells_nothing(kind: Any, line: Any) -> None:
    assert Calls(kind, SETTINGS).glance(line) is None


def test_where_bearer_tokens_are_not_enough_a_glance_tells_nothing(kind: Any) -> None:
    required = {"mechanism": "dpop", "required": True}
    settings = ApiSettings(identifier=API, issuers=SETTINGS.issuers, proof_of_possession=required)
    assert Calls(kind, settings).glance(LINES[0]) is None


def test_what_a_glance_decides_is_counted_once(kind: Any) -> None:
    calls = Calls(kind, SETTINGS)
    for line in (LINES[0], LINES[0], LINES[8], LINES[1]):
        calls.glance(line)
    counted = calls.verifier.counters()
    assert (counted.accepted, dict(counted.refused)) == (2, {"BadSignature": 1})
