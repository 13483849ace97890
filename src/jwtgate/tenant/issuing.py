"""What stands in an access token: header and claims, in each profile and dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .apis import Profile
from .exchange import Granted
from .identifiers import new_jti

Claims = dict[str, Any]

TYPES: Mapping[Profile, str] = {"auth0": "JWT", "rfc9068": "at+jwt"}


def machine_claims(granted: Granted, issuer: str, now: float) -> Claims:
    """The claims of a client_credentials token. now: seconds since 1970; claims have whole ones.

    `scope` is absent, not empty, when none was granted.
    """
    issued_at = int(now)
    api = granted.api
    return {
        "iss": issuer,
        "sub": granted.application.subject,
        "aud": api.identifier,
        "iat": issued_at,
        "exp": issued_at + api.token_lifetime,
        **PROFILES[api.profile](granted),
        **({"permissions": list(granted.scopes)} if api.permissions_in_token else {}),
    }


def _auth0(granted: Granted) -> Claims:
    return {
        "azp": granted.application.client_id,
        **_scope(granted),
        "gty": "client-credentials",
    }


def _rfc9068(granted: Granted) -> Claims:
    # RFC 9068 section 2.2: jti and client_id are required.
    return {
        **_scope(granted),
        "jti": new_jti(),
        "client_id": granted.application.client_id,
    }


def _scope(granted: Granted) -> Claims:
    return {"scope": " ".join(granted.scopes)} if granted.scopes else {}


PROFILES: Mapping[Profile, Callable[[Granted], Claims]] = {
    "auth0": _auth0,
    "rfc9068": _rfc9068,
}
