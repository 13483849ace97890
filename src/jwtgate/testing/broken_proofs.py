"""Requests that an API with sender-constrained tokens must refuse, by name: each a good one with one thing wrong."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from jwtgate.core.compact import encode_base64url
from jwtgate.core.jwk import KIND_OF

from .signing import Key, Members, new_key, opened, public_jwk, segment, signed

if TYPE_CHECKING:
    from .holder import Holder

HOURS = 2 * 3600  # seconds; no window is as long

Headers = dict[str, str]
Wrong = Callable[["Holder", str, str, str], Headers]  # (holder, method, url, token) → headers


def _sent(token: str, proof: str) -> Headers:
    return {"Authorization": f"DPoP {token}", "DPoP": proof}


# ---------------------------------------------------------------------------------------------- whether there is one


def missing(_: Holder, __: str, ___: str, token: str) -> Headers:
    """There is no proof."""
    return {"Authorization": f"DPoP {token}"}


def as_bearer(_: Holder, __: str, ___: str, token: str) -> Headers:
    """The token is sent as one that needs no proof (RFC 9449 section 7.2)."""
    return {"Authorization": f"Bearer {token}"}


def two(holder: Holder, method: str, url: str, token: str) -> Headers:
    """There are two proofs, in one line."""
    return _sent(token, f"{holder.proof(method, url, token)}, {holder.proof(method, url, token)}")


def no_jwt(_: Holder, __: str, ___: str, token: str) -> Headers:
    """What a client sends that has lost its proof."""
    return _sent(token, "undefined")


# --------------------------------------------------------------------------------------------------- its signature


def altered(holder: Holder, method: str, url: str, token: str) -> Headers:
    """It was made two hours ago, and its time was changed after it had been signed."""
    header, claims = opened(holder.proof(method, url, token, iat=holder.now() - HOURS))
    signature = holder.proof(method, url, token).rpartition(".")[2]
    return _sent(token, f"{segment(header)}.{segment({**claims, 'iat': holder.now()})}.{signature}")


def forged(holder: Holder, method: str, url: str, token: str) -> Headers:
    """It names the holder's key, and another one signed it."""
    header, claims = opened(holder.proof(method, url, token))
    return _sent(token, signed(header, claims, new_key(KIND_OF[holder.algorithm])))


def another_key(holder: Holder, method: str, url: str, token: str) -> Headers:
    """It holds, and the token is bound to another key."""
    header, claims = opened(holder.proof(method, url, token))
    key = new_key(KIND_OF[holder.algorithm])
    return _sent(token, signed({**header, "jwk": public_jwk(key, holder.algorithm)}, claims, key))


def alg_none(holder: Holder, method: str, url: str, token: str) -> Headers:
    """It says that it is not signed, and it is not."""
    header, claims = opened(holder.proof(method, url, token))
    return _sent(token, f"{segment({**header, 'alg': 'none'})}.{segment(claims)}.")


def symmetric(holder: Holder, method: str, url: str, token: str) -> Headers:
    """Signed with a secret that it brings along."""
    header, claims = opened(holder.proof(method, url, token))
    secret = secrets.token_bytes(32)
    brought = {"kty": "oct", "k": encode_base64url(secret)}
    return _sent(token, signed({**header, "alg": "HS256", "jwk": brought}, claims, Key(None, secret)))


def private_key(holder: Holder, method: str, url: str, token: str) -> Headers:
    """It brings a private key along (RFC 9449 section 4.2)."""
    jwk = {**holder.jwk, "d": encode_base64url(secrets.token_bytes(32))}
    return _sent(token, holder.proof(method, url, token, header={"jwk": jwk}))


def wrong_type(holder: Holder, method: str, url: str, token: str) -> Headers:
    """It is some JWT, and no proof."""
    return _sent(token, holder.proof(method, url, token, header={"typ": "JWT"}))


# ------------------------------------------------------------------------------------------------ what it was made for


def another_method(holder: Holder, method: str, url: str, token: str) -> Headers:
    return _sent(token, holder.proof("DELETE" if method != "DELETE" else "GET", url, token))


def another_url(holder: Holder, method: str, url: str, token: str) -> Headers:
    return _sent(token, holder.proof(method, "https://another-api.example/", token))


def another_token(holder: Holder, method: str, url: str, token: str) -> Headers:
    """Its `ath` is the hash of another token."""
    elsewhere = hashlib.sha256(b"another token").digest()
    return _sent(token, holder.proof(method, url, token, ath=encode_base64url(elsewhere)))


def made_at(shift: int, holder: Holder, method: str, url: str, token: str) -> Headers:
    return _sent(token, holder.proof(method, url, token, iat=holder.now() + shift))


def without(claim: str, holder: Holder, method: str, url: str, token: str) -> Headers:
    """A claim is missing that every proof must have (RFC 9449 section 4.2)."""
    changes: Members = {claim: None}
    return _sent(token, holder.proof(method, url, token, **changes))


# name → the headers. Adding one is one line here, and one in docs/how-to/test-your-api.md.
BROKEN_PROOFS: Final[Mapping[str, Wrong]] = {
    "missing": missing,
    "as_bearer": as_bearer,
    "two": two,
    "no_jwt": no_jwt,
    "altered": altered,
    "forged": forged,
    "another_key": another_key,
    "alg_none": alg_none,
    "symmetric": symmetric,
    "private_key": private_key,
    "wrong_type": wrong_type,
    "another_method": another_method,
    "another_url": another_url,
    "another_token": another_token,
    "stale": partial(made_at, -HOURS),
    "from_the_future": partial(made_at, HOURS),
    "without_jti": partial(without, "jti"),
    "without_htm": partial(without, "htm"),
    "without_htu": partial(without, "htu"),
    "without_iat": partial(without, "iat"),
    "without_ath": partial(without, "ath"),
}
