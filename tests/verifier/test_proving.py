"""Both drivers decide a request with a proof at once where this process alone remembers proofs; else they wait."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from typing import Any

import pytest

from jwtgate import AccessToken, AsyncVerifier, AuthError, Request, Verifier
from jwtgate.core.effects import Memory, RememberProof
from jwtgate.core.revocations import Revocation
from jwtgate.stores import Changes, MemoryStore, Store
from tests.loopback import Clock
from tests.making import ISSUER, NOW, Issuing
from tests.proving import ASKING, BASE, BEARER, HOLDER, TOKEN, WITHOUT_NONCES, headers, settings_for

ISSUED = Issuing()


class Elsewhere(Store):
    """As if others shared it."""

    def __init__(self) -> None:
        self._own = MemoryStore()
        self.waited = 0

    def remember(self, proof: RememberProof, now: float) -> Memory:
        return self._own.remember(proof, now)

    async def remember_async(self, proof: RememberProof, now: float) -> Memory:
        self.waited += 1
        await asyncio.sleep(0)
        return self._own.remember(proof, now)

    def revoke(self, revocation: Revocation, now: float) -> None:
        self._own.revoke(revocation, now)

    def changes(self, since: str) -> Changes:
        return self._own.changes(since)

    def close(self) -> None:
        pass


class Broken(MemoryStore):
    def remember(self, proof: RememberProof, now: float) -> Memory:
        raise RuntimeError("no memory")

    async def remember_async(self, proof: RememberProof, now: float) -> Memory:
        raise RuntimeError("no memory")


class Calls:
    """Both kinds of verifier, asked in the same way."""

    def __init__(self, kind: Any, store: Store, **changes: Any) -> None:
        self.verifier = kind(settings_for(**changes), clock=Clock(), store=store)

    def outcome(self, request: Request) -> Any:
        outcome = now(self.verifier.outcome(request))
        assert not isinstance(outcome, AuthError) or outcome.__traceback__ is None  # its frames hold the request
        return said(outcome)

    def verify(self, request: Request) -> Any:
        try:
            return said(now(self.verifier.verify_request(request)))
        except AuthError as error:
            return said(error)


def now(found: Any) -> Any:
    return asyncio.run(found) if asyncio.iscoroutine(found) else found


def said(found: AccessToken | AuthError) -> Any:
    if isinstance(found, AuthError):
        return type(found).__name__, str(found), found.refusal
    return found.claims, found.raw, found.checked_at, found.jkt, found.dpop_nonce


@pytest.fixture(params=[Verifier, AsyncVerifier], ids=["threads", "tasks"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


def request(token: str = TOKEN, **changes: Any) -> Request:
    return Request("GET", f"{BASE}/private", list(headers(token=token, **changes).items()))


EXPIRED = ISSUED.token(cnf={"jkt": HOLDER.jkt}, exp=int(NOW) - 900)
MADE: list[Any] = [
    request,
    lambda: request(nonce=None),
    lambda: request(BEARER),
    lambda: request("opaque"),
    lambda: request(EXPIRED),
    lambda: Request("GET", f"{BASE}/private", [("Authorization", f"Bearer {BEARER}")]),
    lambda: Request("GET", f"{BASE}/private", []),
]


@pytest.mark.parametrize("make", MADE, ids=range(len(MADE)))
def test_what_is_decided_at_once_is_what_is_decided_by_waiting(kind: Any, make: Any) -> None:
    here, elsewhere = Calls(kind, MemoryStore()), Calls(kind, Elsewhere())
    for _ in range(2):
        asked, once = make(), make()
        assert here.outcome(asked) == elsewhere.outcome(asked)
        assert here.verify(once) == elsewhere.verify(once)
        assert here.outcome(once) == elsewhere.outcome(once)  # a proof is good once
    counted = [calls.verifier.counters() for calls in (here, elsewhere)]
    assert counted[0] == counted[1]
    assert counted[0].accepted + sum(counted[0].refused.values()) == 6


async def refusal_of(verifier: Any, asked: Request) -> weakref.ref[AuthError]:
    try:
        found = verifier.verify_request(asked)
        await found
    except AuthError as error:
        return weakref.ref(error)
    raise AssertionError(found)


@pytest.mark.parametrize("make", [MADE[0], *MADE[3:5], MADE[6]], ids=["used twice", "opaque", "expired", "none"])
@pytest.mark.parametrize("store", [MemoryStore, Elsewhere])
def test_a_refusal_goes_with_whoever_caught_it_and_not_with_the_garbage(kind: Any, store: Any, make: Any) -> None:
    verifier, asked = kind(settings_for(), clock=Clock(), store=store()), make()
    now(verifier.outcome(asked))
    gc.disable()
    try:
        assert asyncio.run(refusal_of(verifier, asked))() is None  # its frames hold the request
    finally:
        gc.enable()


def test_a_store_that_others_share_is_waited_for() -> None:
    store = Elsewhere()
    assert Calls(AsyncVerifier, store).outcome(request())[1] == TOKEN
    assert store.waited == 1


def test_a_memory_of_this_process_is_not_waited_for() -> None:
    async def waits(proof: RememberProof, now: float) -> Memory:
        raise RuntimeError("there is nothing to wait for")

    store = MemoryStore()
    store.remember_async = waits  # type: ignore[method-assign]
    assert Calls(AsyncVerifier, store).outcome(request())[1] == TOKEN


def test_a_refusal_is_logged_once_where_it_is_raised_and_not_where_it_is_returned(
    kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    calls, once = Calls(kind, MemoryStore(), **WITHOUT_NONCES), request(nonce=None)
    assert calls.verify(once)[1] == TOKEN
    with caplog.at_level(logging.INFO, "jwtgate"):
        assert calls.outcome(once)[0] == "ProofReplayed"
        assert caplog.records == []
        assert calls.verify(once)[0] == "ProofReplayed"
    assert [record.getMessage().split(" ")[2] for record in caplog.records] == ["ProofReplayed:"]


def test_a_memory_that_fails_is_a_store_that_does_not_answer(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    name, _, refusal = Calls(kind, Broken(), **ASKING).outcome(request())
    assert (name, refusal.status) == ("StoreUnavailable", 503)
    assert [record.getMessage() for record in caplog.records] == ["the store failed"]


def test_a_revoked_token_is_refused_however_well_it_is_proved(kind: Any) -> None:
    store = MemoryStore()
    calls = Calls(kind, store)
    token = ISSUED.rfc9068_token(cnf={"jkt": HOLDER.jkt}, jti="gone")
    assert calls.outcome(request(token))[1] == token
    revoked = calls.verifier.revoke(issuer=ISSUER, jti="gone")
    if revoked is not None:
        asyncio.run(revoked)
    assert calls.outcome(request(token))[0] == "RevokedToken"


def test_of_two_credentials_none_is_dropped_before_the_flow_looks() -> None:
    verifier = Verifier(settings_for(**WITHOUT_NONCES), clock=Clock())
    pairs = [("authorization", "DPoP a"), ("authorization", "DPoP b"), ("authorization", f"Bearer {BEARER}")]
    assert isinstance(verifier.outcome(Request("GET", f"{BASE}/private", pairs)), AuthError)
    assert isinstance(verifier.outcome(Request("GET", f"{BASE}/private", iter(pairs))), AuthError)  # type: ignore[arg-type]


def test_a_memory_that_was_made_to_wait_is_waited_for() -> None:
    class Asking(MemoryStore):
        """Asks another process too."""

        asked = 0

        async def remember_async(self, proof: RememberProof, now: float) -> Memory:
            self.asked += 1
            return await super().remember_async(proof, now)

    async def outcome(store: MemoryStore) -> Any:
        verifier = AsyncVerifier(settings_for(**WITHOUT_NONCES), clock=Clock(), store=store)
        return await verifier.outcome(request())

    store = Asking()
    assert isinstance(asyncio.run(outcome(store)), AccessToken)
    assert store.asked == 1
