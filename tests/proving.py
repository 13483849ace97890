"""A sender with a key of its own, and APIs that ask for its proofs: for tests of what stands before an app."""

from __future__ import annotations

from typing import Any, Final

from jwtgate import ApiSettings, AsyncVerifier, Issuer, Verifier
from jwtgate.core.effects import Memory, RememberProof
from jwtgate.core.nonces import Nonces
from jwtgate.stores import MemoryStore
from jwtgate.testing import Holder
from tests.doors import Clock, Sent
from tests.making import ABSENT, API, ISSUER, NOW, Issuing

ISSUING: Final = Issuing()
HOLDER: Final = Holder(clock=lambda: NOW)
TOKEN: Final = ISSUING.token(cnf={"jkt": HOLDER.jkt})
NAMELESS: Final = ISSUING.token(cnf={"jkt": HOLDER.jkt}, scope=ABSENT)  # may nothing
BEARER: Final = ISSUING.token()  # bound to nobody
BASE: Final = API.rstrip("/")
NONCE_KEY: Final = bytes(range(32))
NONCE: Final = Nonces(NONCE_KEY, 300, API).current(NOW)

ASKING: Final = {"proof_of_possession": "dpop", "public_url": BASE, "dpop_nonce_key": NONCE_KEY}
WITHOUT_NONCES: Final = {**ASKING, "dpop_nonce_key": None}
TOLD: Final = [("cache-control", "no-store"), ("dpop-nonce", NONCE)]  # what is added to an app's answer


def settings_for(identifier: str = API, **changes: Any) -> ApiSettings:
    """An API that asks for proofs with nonces, unless changed."""
    issuer = Issuer(ISSUER, jwks=ISSUING.jwks(ISSUING.key().jwk()))
    return ApiSettings(identifier=identifier, issuers=[issuer], **{**ASKING, **changes})


class Recalling(MemoryStore):
    """Also keeps every proof that it was shown, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[RememberProof] = []

    def remember(self, proof: RememberProof, now: float) -> Memory:
        self.shown.append(proof)
        return super().remember(proof, now)

    async def remember_async(self, proof: RememberProof, now: float) -> Memory:
        return self.remember(proof, now)


def verifier(settings: ApiSettings, store: Any = None) -> Verifier:
    return Verifier(settings, clock=Clock(), store=store)


def async_verifier(settings: ApiSettings, store: Any = None) -> AsyncVerifier:
    return AsyncVerifier(settings, clock=Clock(), store=store)


def headers(
    path: str = "/private", token: str = TOKEN, nonce: str | None = NONCE, method: str = "GET"
) -> dict[str, str]:
    """Those of a request with a good proof, which is another one each time."""
    return HOLDER.headers(method, f"{BASE}{path}", token, nonce)


def sent(path: str = "/private", token: str = TOKEN, nonce: str | None = NONCE, method: str = "GET") -> Sent:
    """The same, as octets for a door."""
    lines = headers(path, token, nonce, method).items()
    return Sent(path, [(name.encode(), value.encode()) for name, value in lines], method)


def bearer(path: str = "/private", token: str = BEARER) -> Sent:
    return Sent(path, [(b"Authorization", f"Bearer {token}".encode())])
